//===- NearestSpec.cpp - Help with a checkpoint that no spec reads ------------===//
//
// Every spec that reads some class is compiled to the token level with the checkpoint's config, and
// its parameters are compared with the checkpoint's tensors. What is nearest is a matter of
// tensors, not of names of classes.
//
//===----------------------------------------------------------------------===//

#include "tools/NearestSpec.h"

#include "codegen/common/Weights.h"
#include "dialect/Rondo.h"
#include "frontend/Frontend.h"
#include "tools/OpenCheckpoint.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Diagnostics.h"

#include <map>
#include <set>

using namespace mlir;
using namespace rondo;

namespace {

/// Name to shape, without axes of extent 1.
using Tensors = std::map<std::string, std::vector<int64_t>>;

std::vector<int64_t> withoutOnes(ArrayRef<int64_t> shape) {
  std::vector<int64_t> result;
  for (int64_t extent : shape)
    if (extent != 1)
      result.push_back(extent);
  return result;
}

/// What a spec has in common with a checkpoint.
struct Likeness {
  std::string spec, className;
  size_t parameters = 0, bound = 0;
  std::vector<std::string> missing, other, unread; ///< names: not there; another shape; not wanted

  /// Twice what both have by what they have: 1 where they are the same.
  double value(size_t tensors) const { return 2.0 * double(bound) / double(parameters + tensors); }
};

std::optional<Tensors> parametersOf(MLIRContext &context, const SpecOptions &options) {
  DiagnosticSink sink;
  OwningOpRef<ModuleOp> module = buildTokenLevel(context, options, sink);
  if (!module || sink.failed())
    return std::nullopt; // it needs what this config does not say
  Tensors result;
  module->walk([&](ParamOp param) {
    auto [names, type] = tensorsOf(param.getPath(), cast<RankedTensorType>(param.getType()));
    for (const std::string &name : names)
      result.emplace(name, withoutOnes(type.getShape()));
  });
  return result;
}

Likeness compare(const Tensors &parameters, const Tensors &tensors) {
  Likeness result;
  result.parameters = parameters.size();
  for (auto &[name, shape] : parameters) {
    auto found = tensors.find(name);
    if (found == tensors.end())
      result.missing.push_back(name);
    else if (found->second != shape)
      result.other.push_back(name);
    else
      ++result.bound;
  }
  for (auto &[name, shape] : tensors)
    if (!parameters.count(name))
      result.unread.push_back(name);
  return result;
}

/// Names that differ in numbers between points become one: model.layers.{0..23}.norm.weight.
std::vector<std::string> grouped(const std::vector<std::string> &names) {
  struct Numbers {
    std::vector<std::pair<unsigned long long, unsigned long long>> ranges;
  };
  std::vector<std::string> order;
  std::map<std::string, Numbers> groups;
  for (const std::string &name : names) {
    SmallVector<StringRef> parts;
    StringRef(name).split(parts, '.');
    std::string pattern;
    std::vector<unsigned long long> numbers;
    for (auto [i, part] : llvm::enumerate(parts)) {
      unsigned long long number = 0;
      bool isNumber = !part.getAsInteger(10, number);
      pattern += (i ? "." : "") + (isNumber ? std::string("\1") : part.str());
      if (isNumber)
        numbers.push_back(number);
    }
    auto [it, isNew] = groups.try_emplace(pattern);
    if (isNew) {
      order.push_back(pattern);
      for (unsigned long long number : numbers)
        it->second.ranges.push_back({number, number});
    }
    for (auto [number, range] : llvm::zip(numbers, it->second.ranges))
      range = {std::min(range.first, number), std::max(range.second, number)};
  }
  std::vector<std::string> result;
  for (const std::string &pattern : order) {
    std::string text;
    size_t which = 0;
    for (char c : pattern) {
      if (c != '\1') {
        text += c;
        continue;
      }
      auto [first, last] = groups[pattern].ranges[which++];
      text += first == last ? std::to_string(first)
                            : "{" + std::to_string(first) + ".." + std::to_string(last) + "}";
    }
    result.push_back(text);
  }
  return result;
}

std::string listed(const std::vector<std::string> &names, size_t most) {
  std::vector<std::string> lines = grouped(names);
  std::string text;
  for (size_t i = 0; i < std::min(most, lines.size()); ++i)
    text += (i ? ", " : "") + lines[i];
  if (lines.size() > most)
    text += " and " + std::to_string(lines.size() - most) + " more";
  return text;
}

std::string describe(const Likeness &nearest, size_t tensors) {
  std::string text = "  note: nearest is " + nearest.spec + " (" + nearest.className +
                     "): " + std::to_string(nearest.bound) + " of its " +
                     std::to_string(nearest.parameters) +
                     " tensors are in this checkpoint with their shapes, which has " +
                     std::to_string(tensors) + "\n";
  if (!nearest.missing.empty())
    text += "  note:   not in the checkpoint: " + listed(nearest.missing, 6) + "\n";
  if (!nearest.other.empty())
    text += "  note:   of another shape: " + listed(nearest.other, 6) + "\n";
  if (!nearest.unread.empty())
    text += "  note:   in the checkpoint besides: " + listed(nearest.unread, 6) + "\n";
  return text;
}

} // namespace

std::string rondo::describeUnread(const std::string &modelsDir, const SpecOptions &config,
                                  const std::string &checkpointPath) {
  Result<OpenedCheckpoint> opened = openCheckpoint(checkpointPath, modelsDir);
  if (!opened)
    return "";
  const Checkpoint *checkpoint = &opened->checkpoint;
  Tensors tensors;
  std::vector<std::string> names = checkpoint->names();
  for (const std::string &name : names)
    tensors.emplace(name, withoutOnes(checkpoint->find(name)->shape));

  MLIRContext context;
  context.loadDialect<RondoDialect, func::FuncDialect, scf::SCFDialect, arith::ArithDialect,
                      math::MathDialect, tensor::TensorDialect>();
  ScopedDiagnosticHandler quiet(&context, [](Diagnostic &) { return success(); });
  std::optional<Likeness> best;
  std::set<std::string> tried;
  for (const std::string &className : knownArchitectures(modelsDir)) {
    SpecOptions options;
    options.path = specForArchitecture(modelsDir, className);
    if (!tried.insert(options.path).second)
      continue;
    options.configPath = config.configPath;
    options.configText = config.configText;
    options.importDirs = {modelsDir};
    options.tensorShape = [&](const std::string &name) -> std::optional<std::vector<int64_t>> {
      const TensorView *found = checkpoint->find(name);
      return found ? std::optional(std::vector<int64_t>(found->shape.begin(), found->shape.end()))
                   : std::nullopt;
    };
    std::optional<Tensors> parameters = parametersOf(context, options);
    if (!parameters || parameters->empty())
      continue;
    Likeness found = compare(*parameters, tensors);
    found.spec = options.path;
    found.className = className;
    if (found.bound && (!best || found.value(tensors.size()) > best->value(tensors.size())))
      best = std::move(found);
  }

  std::string text = best ? describe(*best, tensors.size())
                          : "  note: no spec has a tensor of this checkpoint, by name and shape\n";
  text += "  note: a spec must bind these tensors:\n";
  // Those of one shape that differ in numbers alone are one line.
  std::map<std::string, std::vector<std::string>> byShape;
  std::vector<std::string> order;
  for (const std::string &name : names) {
    const TensorView *tensor = checkpoint->find(name);
    std::string shape = std::string(nameOf(tensor->dtype)) + " " + printShape(tensor->shape);
    auto [it, isNew] = byShape.try_emplace(shape);
    if (isNew)
      order.push_back(shape);
    it->second.push_back(name);
  }
  std::vector<std::pair<std::string, std::string>> lines;
  for (const std::string &shape : order)
    for (const std::string &name : grouped(byShape[shape]))
      lines.push_back({name, shape});
  llvm::sort(lines);
  constexpr size_t most = 200;
  for (size_t i = 0; i < std::min(most, lines.size()); ++i)
    text += "    " + lines[i].first + " " + lines[i].second + "\n";
  if (lines.size() > most)
    text += "    and " + std::to_string(lines.size() - most) + " more lines\n";
  return text;
}

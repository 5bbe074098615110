//===- Weights.cpp - Parameters bound to a checkpoint, and their values ---===//

#include "codegen/common/Weights.h"

#include "codegen/common/Derived.h"
#include "codegen/common/Initialise.h"
#include "llvm/ADT/StringExtras.h"
#include <set>

using namespace mlir;
using namespace rondo;

/// "[h = 4, p = 16]"
static std::string shownAxes(RankedTensorType type) {
  std::string text = "[";
  for (auto [i, axis] : llvm::enumerate(axesOf(type)))
    text += (i ? ", " : "") + axis.str() + " = " + std::to_string(type.getDimSize(i));
  return text + "]";
}

static SmallVector<int64_t> withoutOnes(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> rest;
  llvm::copy_if(shape, std::back_inserter(rest), [](int64_t extent) { return extent != 1; });
  return rest;
}

/// `; did you mean 'a', 'b'?`: names that end as `name` does or differ little from it.
static std::string nearNames(StringRef name, ArrayRef<std::string> names) {
  SmallVector<std::pair<unsigned, StringRef>> near;
  unsigned limit = std::max<size_t>(2, name.size() / 4);
  for (const std::string &candidate : names) {
    unsigned distance = name.edit_distance(candidate, /*AllowReplacements=*/true, limit);
    if (StringRef(candidate).ends_with("." + name.str()) || name.ends_with("." + candidate))
      distance = 0;
    if (distance <= limit)
      near.push_back({distance, candidate});
  }
  llvm::sort(near);
  std::string text;
  for (auto [distance, candidate] : ArrayRef(near).take_front(3)) {
    if (distance > near.front().first)
      break;
    text += (text.empty() ? "; did you mean '" : ", '") + candidate.str() + "'";
  }
  return text.empty() ? text : text + "?";
}

/// Whether a name is as a pattern says, in which `*` stands for any letters.
static bool matches(StringRef pattern, StringRef name) {
  auto [first, rest] = pattern.split('*');
  if (first.size() == pattern.size())
    return pattern == name;
  if (!name.consume_front(first))
    return false;
  if (!rest.contains('*'))
    return name.ends_with(rest);
  for (size_t skipped = 0; skipped <= name.size(); ++skipped)
    if (matches(rest, name.drop_front(skipped)))
      return true;
  return false;
}

/// The tensor whose numbers one of this name gives a meaning to; empty: it is no such name.
static std::string scaledBy(StringRef name) {
  for (StringRef suffix : {"_scale", "_scale_inv", "_scale_2", "_global_scale", "_zero_point",
                           ".absmax", ".quant_map", "_scb", ".SCB"})
    if (name.ends_with(suffix))
      return name.drop_back(suffix.size()).str();
  return "";
}

std::pair<std::vector<std::string>, RankedTensorType> rondo::tensorsOf(StringRef path,
                                                                       RankedTensorType type) {
  StringRef axis = stackedAxis(path);
  if (axis.empty())
    return {{path.str()}, type};
  std::vector<std::string> paths;
  for (int64_t i = 0; i < type.getDimSize(0); ++i)
    paths.push_back(pathOfSlice(path, i));
  return {paths, withoutAxis(type, axis)};
}

namespace {
/// Reports at most as many errors as one reads.
class Problems {
public:
  explicit Problems(ModuleOp module) : module(module) {}
  void report(Location location, const std::string &message) {
    if (++count <= limit)
      emitError(location, message);
  }
  bool any() const { return count > 0; }
  ~Problems() {
    if (count > limit)
      module.emitError() << "and " << count - limit << " more tensors that do not fit";
  }

private:
  static constexpr unsigned limit = 6;
  ModuleOp module;
  unsigned count = 0;
};
} // namespace

FailureOr<Weights> Weights::bind(ModuleOp module, WeightOrigin origin) {
  Weights weights;
  std::vector<std::string> names;
  for (auto [i, tensor] : llvm::enumerate(origin.tensors)) {
    weights.byName[tensor.name] = i;
    names.push_back(tensor.name);
  }
  auto find = [&](const std::string &name) -> const TensorView * {
    auto found = weights.byName.find(name);
    return found == weights.byName.end() ? nullptr : &origin.tensors[found->second];
  };
  origin.renames = renamesOf(module);
  Problems problems(module);
  std::map<std::string, RankedTensorType> bound;
  std::set<std::string> read;
  module.walk([&](ParamOp param) {
    std::string path = param.getPath().str();
    auto type = cast<RankedTensorType>(param.getType());
    if (auto [it, inserted] = bound.try_emplace(path, type); !inserted) {
      if (it->second.getShape() != type.getShape())
        problems.report(param.getLoc(), "parameter '" + path + "' is " + shownAxes(type) +
                                            " here and " + shownAxes(it->second) +
                                            " at its first use");
      return;
    }
    weights.order.push_back({path, type});
    if (!type.getElementType().isF32())
      return problems.report(param.getLoc(),
                             "parameter '" + path + "' has no real numbers; expected f32");
    if (origin.seed) {
      std::string why;
      if (param.getInit() && !Initialiser::parse(*param.getInit(), why))
        problems.report(param.getLoc(), "parameter '" + path + "' cannot be initialised: " + why);
      return;
    }
    auto [paths, each] = tensorsOf(path, type);
    for (const std::string &name : paths) {
      Result<std::optional<StoredTensor>> stored =
          findStored(name, each.getShape(), find, origin.rules, origin.renames);
      if (!stored) {
        problems.report(param.getLoc(), stored.error().message);
        continue;
      }
      std::optional<StoredTensor> found = *std::move(stored);
      if (found)
        read.insert(found->names.begin(), found->names.end());
      else {
        problems.report(param.getLoc(), origin.checkpoint + ": no tensor '" + name +
                                            "', expected " + shownAxes(each) +
                                            nearNames(name, names));
        continue;
      }
      if (withoutOnes(found->shape) != withoutOnes(each.getShape()))
        problems.report(param.getLoc(), found->values->file + ": tensor '" + found->values->name +
                                            "' has shape " + printShape(found->shape) +
                                            "; expected " + shownAxes(each));
      else if (found->values->dtype == DType::Bool)
        problems.report(param.getLoc(), found->values->file + ": tensor '" + name + "' is " +
                                            std::string(nameOf(found->values->dtype)) +
                                            "; expected real numbers");
    }
  });
  if (problems.any())
    return failure(); // reported

  SmallVector<StringRef> ignored;
  if (auto patterns = module->getAttrOfType<ArrayAttr>("rondo.ignored"))
    for (auto pattern : patterns.getAsRange<StringAttr>())
      ignored.push_back(pattern);
  std::vector<std::string> unread;
  for (const std::string &name : names) {
    if (read.count(name))
      continue;
    if (std::string of = scaledBy(name); !of.empty() && read.count(of))
      problems.report(module.getLoc(), origin.checkpoint + ": tensor '" + name +
                                           "' says what the numbers of '" + of +
                                           "' mean, and nothing reads it");
    if (llvm::none_of(ignored, [&](StringRef pattern) { return matches(pattern, name); }))
      unread.push_back("'" + name + "'");
  }
  if (problems.any())
    return failure(); // reported
  if (!unread.empty()) {
    std::string rest =
        unread.size() > 8 ? " and " + std::to_string(unread.size() - 8) + " more" : "";
    mlir::emitWarning(module.getLoc()) << origin.checkpoint << ": nothing reads " << unread.size()
                                       << (unread.size() == 1 ? " tensor: " : " tensors: ")
                                       << llvm::join(ArrayRef(unread).take_front(8), ", ") << rest;
  }
  weights.origin = std::move(origin);
  return weights;
}

int64_t Weights::parameterElements() const {
  int64_t count = 0;
  for (auto &[name, type] : order)
    count += type.getNumElements();
  return count;
}

FailureOr<std::vector<float>> Weights::parameter(ParamOp param) const {
  auto type = cast<RankedTensorType>(param.getType());
  std::string path = param.getPath().str(), why;
  if (origin.seed) {
    std::optional<Initialiser> init =
        Initialiser::parse(param.getInit().value_or("normal(0.02)"), why);
    if (!init)
      return param.emitError("parameter '") << path << "' cannot be initialised: " << why;
    return init->fill(path, *origin.seed, type.getNumElements());
  }
  auto [paths, each] = tensorsOf(path, type);
  std::vector<float> all;
  for (const std::string &name : paths) {
    Result<std::optional<StoredTensor>> stored = findStored(
        name, each.getShape(),
        [&](const std::string &part) -> const TensorView * {
          auto found = byName.find(part);
          return found == byName.end() ? nullptr : &origin.tensors[found->second];
        },
        origin.rules, origin.renames);
    if (!stored)
      return param.emitError() << stored.error().message;
    if (!*stored)
      return param.emitError("parameter '")
             << name << "' is not one of the token level's, which were bound to "
             << origin.checkpoint;
    Result<std::vector<float>> values = toF32(**stored, origin.rules);
    if (!values)
      return param.emitError() << values.error().message;
    if (int64_t(values->size()) != each.getNumElements())
      return param.emitError() << (*stored)->values->file << ": tensor '" << name << "' has "
                               << values->size() << " elements; expected " << each.getNumElements();
    if (paths.size() == 1)
      return std::move(*values);
    all.reserve(type.getNumElements());
    all.insert(all.end(), values->begin(), values->end());
  }
  return all;
}

FailureOr<std::vector<float>> Weights::value(const Plan &plan, int64_t constant) const {
  if (auto param = dyn_cast<ParamOp>(plan.constants[constant].source))
    return parameter(param);
  return evaluateDerived(plan, constant, [&](ParamOp param) { return parameter(param); });
}

void rondo::keepParameters(ModuleOp kernelModule, Plan &plan) {
  std::set<std::string> stored;
  for (const PlannedWeight &weight : plan.weights)
    if (auto param = dyn_cast<ParamOp>(plan.constants[weight.constant].source))
      stored.insert(param.getPath().str());
  for (size_t i = 0; i < plan.constants.size(); ++i)
    if (auto param = dyn_cast<ParamOp>(plan.constants[i].source))
      if (stored.insert(param.getPath().str()).second)
        plan.weights.push_back({int64_t(i), "rows"});
  kernelModule.walk([&](ParamOp param) {
    if (!stored.insert(param.getPath().str()).second)
      return;
    plan.constants.push_back(
        {param, {}, param.getPath().str(), cast<RankedTensorType>(param.getType())});
    plan.weights.push_back({int64_t(plan.constants.size()) - 1, "rows"});
  });
}

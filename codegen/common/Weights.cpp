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
      read.insert(name);
      auto found = weights.byName.find(name);
      if (found == weights.byName.end()) {
        problems.report(param.getLoc(), origin.checkpoint + ": no tensor '" + name +
                                            "', expected " + shownAxes(each) +
                                            nearNames(name, names));
        continue;
      }
      const TensorView &tensor = origin.tensors[found->second];
      for (const char *suffix : {"_scale_inv", "_scale"})
        if (tensor.dtype == DType::F8E4M3 || tensor.dtype == DType::F8E5M2)
          read.insert(name + suffix);
      if (withoutOnes(tensor.shape) != withoutOnes(each.getShape()))
        problems.report(param.getLoc(), tensor.file + ": tensor '" + name + "' has shape " +
                                            printShape(tensor.shape) + "; expected " +
                                            shownAxes(each));
      else if (tensor.dtype == DType::Bool)
        problems.report(param.getLoc(), tensor.file + ": tensor '" + name + "' is " +
                                            std::string(nameOf(tensor.dtype)) +
                                            "; expected real numbers");
    }
  });
  if (problems.any())
    return failure(); // reported

  std::vector<std::string> unread;
  for (const std::string &name : names)
    if (!read.count(name))
      unread.push_back("'" + name + "'");
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

const TensorView *Weights::scalesOf(const TensorView &tensor) const {
  if (tensor.dtype != DType::F8E4M3 && tensor.dtype != DType::F8E5M2)
    return nullptr;
  for (const char *suffix : {"_scale_inv", "_scale"})
    if (auto found = byName.find(tensor.name + suffix); found != byName.end())
      return &origin.tensors[found->second];
  return nullptr;
}

/// Rows (or columns) of a matrix that share a scale, when `count` scales are for `extent` of them.
/// Nothing where that does not fit.
static std::optional<int64_t> sharing(int64_t extent, int64_t count) {
  constexpr int64_t published = 128; // where several sizes would fit
  if (count == 1)
    return std::max<int64_t>(extent, 1);
  if (count == extent)
    return 1;
  if (count < 1 || (extent + published - 1) / published != count)
    return std::nullopt;
  return published;
}

/// Values that are stored with scales: one for all, or one a block of rows and columns.
static Status multiply(std::vector<float> &values, const TensorView &tensor,
                       const TensorView &scales) {
  Result<std::vector<float>> factors = toF32(scales);
  if (!factors)
    return factors.error();
  if (factors->size() == 1) {
    for (float &value : values)
      value *= (*factors)[0];
    return {};
  }
  std::optional<int64_t> rows, columns;
  bool matrix = tensor.shape.size() == 2 && scales.shape.size() == 2;
  if (matrix) {
    rows = sharing(tensor.shape[0], scales.shape[0]);
    columns = sharing(tensor.shape[1], scales.shape[1]);
  }
  if (!rows || !columns)
    return Error{scales.file + ": tensor '" + scales.name + "' has shape " +
                 printShape(scales.shape) + "; expected one number, or one for each row or block " +
                 "of 128 of both axes of " + printShape(tensor.shape)};
  for (int64_t i = 0; i < tensor.shape[0]; ++i)
    for (int64_t j = 0; j < tensor.shape[1]; ++j)
      values[size_t(i * tensor.shape[1] + j)] *=
          (*factors)[size_t(i / *rows * scales.shape[1] + j / *columns)];
  return {};
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
    auto found = byName.find(name);
    if (found == byName.end())
      return param.emitError("parameter '")
             << name << "' is not one of the token level's, which were bound to "
             << origin.checkpoint;
    const TensorView &tensor = origin.tensors[found->second];
    Result<std::vector<float>> values = toF32(tensor);
    if (!values)
      return param.emitError() << values.error().message;
    if (const TensorView *scales = scalesOf(tensor))
      if (Status status = multiply(*values, tensor, *scales); !status)
        return param.emitError() << status.error().message;
    if (int64_t(values->size()) != each.getNumElements())
      return param.emitError() << tensor.file << ": tensor '" << name << "' has " << values->size()
                               << " elements; expected " << each.getNumElements();
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

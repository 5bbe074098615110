//===- Derived.cpp - Weights computed from parameters ---------------------===//
//
// A constant's expression may cross calls: an op of a layer's function stands for another value at
// each call. So it is copied into one block, where the operands are those that the planner saw, and
// handed to the interpreter.
//
//===----------------------------------------------------------------------===//

#include "codegen/common/Derived.h"

#include "dialect/Interpreter.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include <map>

using namespace mlir;
using namespace rondo;

namespace {
/// Copies expressions, each constant once.
class Copier {
public:
  Copier(const Plan &plan, MLIRContext *context)
      : plan(plan), module(ModuleOp::create(UnknownLoc::get(context))),
        builder(module->getBodyRegion()) {}

  Value copy(int64_t constant) {
    if (auto it = copies.find(constant); it != copies.end())
      return it->second;
    const PlannedConstant &planned = plan.constants[constant];
    IRMapping mapping;
    for (auto [operand, from] : llvm::zip_equal(planned.source->getOperands(), planned.operands))
      mapping.map(operand, copy(from));
    Operation *op = builder.clone(*planned.source, mapping);
    if (auto param = dyn_cast<ParamOp>(op))
      parameters.push_back(param);
    return copies[constant] = op->getResult(0);
  }

  std::vector<ParamOp> parameters;

private:
  const Plan &plan;
  OwningOpRef<ModuleOp> module;
  OpBuilder builder;
  std::map<int64_t, Value> copies;
};
} // namespace

FailureOr<std::vector<float>> rondo::evaluateDerived(const Plan &plan, int64_t constant,
                                                     ParameterReader parameter) {
  const PlannedConstant &planned = plan.constants[constant];
  Copier copier(plan, planned.source->getContext());
  Value root = copier.copy(constant);
  std::map<std::string, Array, std::less<>> read;
  for (ParamOp param : copier.parameters) {
    FailureOr<std::vector<float>> values = parameter(param);
    if (failed(values))
      return failure(); // reported
    auto type = cast<RankedTensorType>(param.getType());
    read[param.getPath().str()] = {type.getShape().vec(),
                                   std::vector<double>(values->begin(), values->end())};
  }
  auto lookup = [&](StringRef path) -> const Array * {
    auto it = read.find(std::string_view(path.data(), path.size()));
    return it == read.end() ? nullptr : &it->second;
  };
  llvm::Expected<Array> result = evaluateParameterExpression(root, lookup);
  if (!result)
    return planned.source->emitError("weight '")
           << planned.name << "' cannot be computed: " << llvm::toString(result.takeError());
  if (int64_t(result->data.size()) != planned.type.getNumElements())
    return planned.source->emitError("weight '")
           << planned.name << "' has " << result->data.size() << " elements; expected "
           << planned.type.getNumElements();
  return std::vector<float>(result->data.begin(), result->data.end());
}

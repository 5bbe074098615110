//===- Nonlinearity.cpp - Where a recurrence stops being affine -----------===//

#include "passes/Nonlinearity.h"

#include "passes/FreeWork.h"

#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace rondo {

static FileLineColLoc fileOf(Location location) {
  return location->findInstanceOf<FileLineColLoc>();
}

/// Whether the result is linear in those operands that depend on the states.
static bool isLinear(Operation *op, llvm::function_ref<bool(Value)> depends) {
  auto among = [&](ValueRange values) { return llvm::count_if(values, depends); };
  if (auto map = dyn_cast<MapOp>(op)) {
    switch (map.getKind()) {
    case MapKind::Add:
    case MapKind::Sub:
    case MapKind::Neg:
    case MapKind::Convert:
      return true;
    case MapKind::Mul:
      return among(op->getOperands()) < 2;
    case MapKind::Div:
      return !depends(op->getOperand(1));
    case MapKind::Select:
      return !depends(op->getOperand(0));
    default:
      return among(op->getOperands()) == 0;
    }
  }
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return reduce.getKind() == ReduceKind::Sum || among(op->getOperands()) == 0;
  if (isa<ContractOp>(op))
    return among(op->getOperands()) < 2;
  return true;
}

std::optional<FileLineColLoc> findNonlinear(RecurOp op,
                                            llvm::function_ref<bool(unsigned)> isBlamed) {
  unsigned first = op.getInputs().size(), count = op.getInits().size();
  DependenceMap masks = dependences(*op.getBlock(), [&](BlockArgument argument) -> unsigned {
    unsigned at = argument.getArgNumber();
    return at >= first && at < first + count && isBlamed(at - first);
  });
  // What the blamed next values are made of.
  llvm::DenseSet<Value> needed;
  for (unsigned i = 0; i < count; ++i)
    if (isBlamed(i))
      needed.insert(op.getYield()->getOperand(i));
  for (Operation &inner : llvm::reverse(op.getBlock()->without_terminator()))
    if (llvm::any_of(inner.getResults(), [&](Value result) { return needed.contains(result); }))
      needed.insert(inner.operand_begin(), inner.operand_end());

  FileLineColLoc own = fileOf(op.getLoc());
  llvm::DenseSet<Value> from; // of the first nonlinear op
  for (Operation &inner : op.getBlock()->without_terminator()) {
    auto depends = [&](Value value) { return masks.lookup(value) != 0; };
    bool follows =
        llvm::any_of(inner.getOperands(), [&](Value value) { return from.contains(value); });
    bool starts = from.empty() && !isLinear(&inner, depends);
    if ((!follows && !starts) ||
        llvm::none_of(inner.getResults(), [&](Value result) { return needed.contains(result); }))
      continue;
    FileLineColLoc file = fileOf(inner.getLoc());
    if (file && (!own || file.getFilename() == own.getFilename()))
      return file;
    from.insert(inner.result_begin(), inner.result_end());
  }
  return std::nullopt;
}

} // namespace rondo

//===- FreeWork.cpp - Which ops of a body can be computed outside of it ---===//

#include "passes/FreeWork.h"

#include "dialect/Rondo.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace rondo {

DependenceMap dependences(Block &block, llvm::function_ref<unsigned(BlockArgument)> maskOf,
                          unsigned positionMask) {
  DependenceMap masks;
  for (BlockArgument argument : block.getArguments())
    masks[argument] = maskOf(argument);
  for (Operation &op : block) {
    unsigned mask = isa<PositionOp>(op) ? positionMask : 0;
    for (Value operand : op.getOperands())
      mask |= masks.lookup(operand);
    for (Value result : op.getResults())
      masks[result] = mask;
  }
  return masks;
}

bool isArithmetic(Operation *op) {
  return isa<MapOp, ReduceOp, ContractOp, GatherOp, PickOp, ConcatOp, CumsumOp, RoundOp,
             PropagateOp, SolveOp>(op) &&
         !elementTypeOf(op->getResult(0).getType()).isInteger(1);
}

FreeWork findFreeWork(Block &block, llvm::function_ref<bool(Operation *)> isFree,
                      llvm::function_ref<bool(Operation *)> isWorth) {
  llvm::DenseSet<Operation *> movable, moving;
  auto operandsMove = [&](Operation *op) {
    return llvm::all_of(op->getOperands(), [&](Value operand) {
      Operation *def = operand.getDefiningOp();
      return !def || movable.contains(def);
    });
  };
  for (Operation &op : block)
    if (!op.hasTrait<OpTrait::IsTerminator>() && isFree(&op) && operandsMove(&op))
      movable.insert(&op);
  // From the last op to the first: what a moving op reads moves with it.
  for (Operation &op : llvm::reverse(block)) {
    bool readByMoving =
        llvm::any_of(op.getUsers(), [&](Operation *user) { return moving.contains(user); });
    if (movable.contains(&op) && (readByMoving || isWorth(&op)))
      moving.insert(&op);
  }
  // What stays inside: all that does not move, and copies of what moves for others' sake (views,
  // constants) which a staying op reads.
  llvm::DenseSet<Operation *> staying;
  for (Operation &op : llvm::reverse(block)) {
    bool readInside =
        llvm::any_of(op.getUsers(), [&](Operation *user) { return staying.contains(user); });
    if (!moving.contains(&op) || (!isWorth(&op) && readInside))
      staying.insert(&op);
  }
  FreeWork work;
  for (Operation &op : block) {
    if (!moving.contains(&op))
      continue;
    work.ops.insert(&op);
    for (Value result : op.getResults())
      if (isWorth(&op) &&
          llvm::any_of(result.getUsers(), [&](Operation *user) { return staying.contains(user); }))
        work.results.push_back(result);
  }
  return work;
}

} // namespace rondo

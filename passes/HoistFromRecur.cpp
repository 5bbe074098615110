//===- HoistFromRecur.cpp - State-free work leaves the recurrence ---------===//
//
// Token level to token level.
//
//   recur (%x) { ^(%x_t, %S): %e = exp(%x_t); %n = mul(%e, %S); yield (%n) }
//     ->  %e = exp(%x)            (for all tokens)
//         recur (%e) { ^(%e_t, %S): %n = mul(%e_t, %S); yield (%n) }
//
// Sound because an op that reads no state computes the same value for a token wherever it stands,
// and every array op works token by token. What is larger than its operands stays: an outer product
// per token has the size of the state.
//
//===----------------------------------------------------------------------===//

#include "passes/FreeWork.h"
#include "passes/LeadAxes.h"
#include "passes/Passes.h"

namespace rondo {
#define GEN_PASS_DEF_HOISTFROMRECURPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

enum Dependence : unsigned { onToken = 1, onState = 2 };

Value throughViews(Value value) {
  while (auto view = value.getDefiningOp<ViewOp>())
    value = view.getSource();
  return value;
}

/// Whether the op's result, kept for every token, is no larger than what it is computed from.
bool isSmall(Operation *op, const DependenceMap &masks) {
  if (!(masks.lookup(op->getResult(0)) & onToken))
    return true;
  // A table or a matrix that all tokens share: the product belongs outside, whatever its size.
  bool sharesOperand = llvm::any_of(
      op->getOperands(), [&](Value operand) { return !(masks.lookup(operand) & onToken); });
  if (isa<ContractOp, GatherOp>(op) && sharesOperand)
    return true;
  int64_t largest = 0;
  for (Value operand : op->getOperands())
    if (masks.lookup(operand) & onToken)
      largest = std::max(largest, elementsPerToken(throughViews(operand).getType()));
  return elementsPerToken(op->getResult(0).getType()) <= largest || isa<ConcatOp>(op);
}

bool differInTime(ConcatOp op, const DependenceMap &masks) {
  return llvm::any_of(op.getSources(), [&](Value source) {
    return (masks.lookup(source) & onToken) != (masks.lookup(op.getSources().front()) & onToken);
  });
}

struct HoistFromRecur : rondo::impl::HoistFromRecurPassBase<HoistFromRecur> {
  using HoistFromRecurPassBase::HoistFromRecurPassBase;

  void runOnOperation() override {
    SmallVector<RecurOp> recurs;
    getOperation()->walk([&](RecurOp op) { recurs.push_back(op); });
    for (RecurOp op : recurs)
      if (failed(hoist(op)))
        return signalPassFailure();
  }

  LogicalResult hoist(RecurOp op) {
    Block &body = op.getBody().front();
    unsigned inputCount = op.getInputs().size();
    DependenceMap masks = dependences(body, [&](BlockArgument argument) -> unsigned {
      if (argument.getArgNumber() >= inputCount)
        return onState;
      return isPerToken(op.getInputs()[argument.getArgNumber()].getType()) ? onToken : 0;
    });
    auto isStateFree = [&](Operation *inner) {
      return inner->getNumResults() == 1 && !(masks.lookup(inner->getResult(0)) & onState) &&
             canRunOnManyTokens(inner);
    };
    auto isFree = [&](Operation *inner) {
      if (auto concat = dyn_cast<ConcatOp>(inner); concat && differInTime(concat, masks))
        return false;
      return isStateFree(inner) && (!isArithmetic(inner) || isSmall(inner, masks));
    };
    FreeWork work = findFreeWork(body, isFree, isArithmetic);

    OpBuilder builder(op);
    IRMapping outside;
    for (auto [argument, input] :
         llvm::zip(body.getArguments().take_front(inputCount), op.getInputs()))
      outside.map(argument, input);
    std::string why;
    for (Operation *inner : work.ops)
      if (failed(cloneOverLeadAxes(builder, inner, outside, why)))
        return inner->emitOpError("cannot leave the recurrence: ") << why;
    for (Operation &inner : body)
      numKept += isStateFree(&inner) && isArithmetic(&inner) && !work.ops.contains(&inner);
    numHoisted += llvm::count_if(work.ops, isArithmetic);

    // Results become inputs; then drop what nothing reads.
    SmallVector<Value> inputs(op.getInputs());
    for (Value result : work.results) {
      BlockArgument argument =
          body.insertArgument(inputs.size(), result.getType(), result.getLoc());
      result.replaceAllUsesWith(argument);
      inputs.push_back(outside.lookup(result));
    }
    for (Operation *inner : llvm::reverse(work.ops.getArrayRef()))
      if (inner->use_empty())
        inner->erase();
    for (unsigned i = inputs.size(); i-- > 0;)
      if (body.getArgument(i).use_empty()) {
        body.eraseArgument(i);
        inputs.erase(inputs.begin() + i);
      }
    op.getInputsMutable().assign(inputs);
    return success();
  }
};

} // namespace

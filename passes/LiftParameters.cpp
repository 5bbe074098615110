//===- LiftParameters.cpp - Parameter-only work is done once --------------===//
//
// Token level to token level.
//
//   func @layer(%x, %A_log) { %a = exp(%A_log); ... mul(%x, %a) }        func @layer(%x, %a) { ...
//   mul(%x, %a) } call @layer(%x, %p)                                             ->   %a = exp(%p)
//   {rondo.derived = "A_log.derived"}
//                                                                        call @layer(%x, %a)
//
// Sound because ops are pure: an expression of arguments that a caller passes has the same value in
// the caller. Functions are visited callees first, so that what reaches a caller moves on to its
// callers, up to the entry; there, what depends on parameters alone is a weight.
//
//===----------------------------------------------------------------------===//

#include "passes/FreeWork.h"
#include "passes/LeadAxes.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringSet.h"

namespace rondo {
#define GEN_PASS_DEF_LIFTPARAMETERSPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

bool isEntry(func::FuncOp function) { return function->hasAttr("rondo.entry"); }

/// Functions so that each comes after those that it calls.
SmallVector<func::FuncOp> calleesFirst(ModuleOp module) {
  SmallVector<func::FuncOp> order;
  DenseSet<Operation *> seen;
  auto visit = [&](auto &self, func::FuncOp function) -> void {
    if (!seen.insert(function).second)
      return;
    function.walk([&](CallOp call) {
      if (auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee()))
        self(self, callee);
    });
    order.push_back(function);
  };
  for (auto function : module.getOps<func::FuncOp>())
    visit(visit, function);
  return order;
}

/// Whether a state starts from this constant or view of parameters: it must be a weight then, where
/// a sequence's first state is copied from. Nothing is stored for zero.
bool startsState(Operation *op) {
  DenseElementsAttr elements;
  if (!isa<ConstantOp, ViewOp, IndexOp>(op) ||
      (matchPattern(op, m_Constant(&elements)) && matchPattern(op, m_AnyZeroFloat())))
    return false;
  return llvm::any_of(op->getUses(), [](OpOperand &use) {
    ValueRange inits = isa<ScanOp>(use.getOwner())    ? cast<ScanOp>(use.getOwner()).getInits()
                       : isa<RecurOp>(use.getOwner()) ? cast<RecurOp>(use.getOwner()).getInits()
                                                      : ValueRange();
    return llvm::is_contained(inits, use.get());
  });
}

/// Whether consecutive elements along the last axis of this view are neither one element nor
/// consecutive in what it views, and arithmetic reads it so, here or in a function that is called:
/// each read would then gather.
bool scatters(Operation *op) {
  auto view = dyn_cast<ViewOp>(op);
  if (!view || isPerToken(view.getType()) || axesOf(view.getType()).empty())
    return false;
  auto type = cast<RankedTensorType>(view.getType()),
       source = cast<RankedTensorType>(view.getSource().getType());
  unsigned last = type.getRank() - 1;
  // A stored copy is never larger than what it is taken from.
  if (type.getNumElements() > source.getNumElements() || type.getDimSize(last) < 2 ||
      !llvm::all_of(op->getUsers(), llvm::IsaPred<MapOp, CallOp>))
    return false;
  auto offsetAt = [&](int64_t index) {
    Builder b(op->getContext());
    SmallVector<AffineExpr> point(type.getRank(), b.getAffineConstantExpr(0));
    point[last] = b.getAffineConstantExpr(index);
    int64_t offset = 0;
    for (auto [i, expr] : llvm::enumerate(view.getMap().getResults())) {
      auto at = dyn_cast<AffineConstantExpr>(
          simplifyAffineExpr(expr.replaceDims(point), type.getRank(), 0));
      if (!at)
        return std::optional<int64_t>();
      offset = offset * source.getDimSize(i) + at.getValue();
    }
    return std::optional<int64_t>(offset);
  };
  std::optional<int64_t> first = offsetAt(0), second = offsetAt(1);
  return first && second && *second - *first != 0 && *second - *first != 1;
}

/// Arithmetic on values without `t` alone, views that would be gathered, and what states start
/// from. An entry's inputs are never
/// known beforehand.
FreeWork invariantWork(func::FuncOp function) {
  Block &body = function.getBody().front();
  DependenceMap masks = dependences(
      body,
      [&](BlockArgument argument) -> unsigned {
        return isEntry(function) || isPerToken(argument.getType());
      },
      /*positionMask=*/1);
  auto isFree = [&](Operation *op) {
    return op->getNumResults() == 1 && !masks.lookup(op->getResult(0)) &&
           (canRunOnManyTokens(op) || isa<ParamOp>(op));
  };
  return findFreeWork(body, isFree, [](Operation *op) {
    return isArithmetic(op) || startsState(op) || scatters(op);
  });
}

/// The checkpoint name that a derived value is named after: the first parameter that it is computed
/// from.
std::string derivedName(Operation *op) {
  SmallVector<Operation *> next{op};
  DenseSet<Operation *> seen;
  std::string fallback = "constant";
  while (!next.empty()) {
    Operation *current = next.pop_back_val();
    if (auto param = dyn_cast<ParamOp>(current))
      return param.getPath().str();
    for (Value operand : llvm::reverse(current->getOperands()))
      if (Operation *def = operand.getDefiningOp(); def && seen.insert(def).second)
        next.push_back(def);
  }
  return fallback;
}

struct LiftParameters : rondo::impl::LiftParametersPassBase<LiftParameters> {
  using LiftParametersPassBase::LiftParametersPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (func::FuncOp function : calleesFirst(module)) {
      if (function.isExternal())
        continue;
      if (isEntry(function)) {
        markDerived(function);
        continue;
      }
      SmallVector<CallOp> calls;
      module.walk([&](CallOp call) {
        if (call.getCallee() == function.getSymName())
          calls.push_back(call);
      });
      if (failed(lift(function, calls)))
        return signalPassFailure();
      pruneArguments(function, calls);
    }
  }

  LogicalResult lift(func::FuncOp function, ArrayRef<CallOp> calls) {
    FreeWork work = invariantWork(function);
    if (work.results.empty())
      return success();
    Block &body = function.getBody().front();
    for (CallOp call : calls) {
      OpBuilder builder(call);
      IRMapping mapping;
      for (auto [argument, operand] : llvm::zip_equal(body.getArguments(), call.getInputs()))
        mapping.map(argument, operand);
      std::string why;
      for (Operation *op : work.ops)
        if (failed(cloneOverLeadAxes(builder, op, mapping, why)))
          return op->emitOpError("cannot move to the callers: ") << why;
      SmallVector<Value> operands(call.getInputs());
      for (Value result : work.results)
        operands.push_back(mapping.lookup(result));
      call.getInputsMutable().assign(operands);
    }
    for (Value result : work.results) {
      unsigned at = body.getNumArguments();
      if (failed(function.insertArgument(at, result.getType(), {}, result.getLoc())))
        return function.emitOpError("does not take a further argument");
      result.replaceAllUsesWith(body.getArgument(at));
    }
    // Counted before the ops are gone.
    numLifted +=
        llvm::count_if(work.ops, [](Operation *op) { return isArithmetic(op) || scatters(op); });
    for (Operation *op : llvm::reverse(work.ops.getArrayRef()))
      if (op->use_empty())
        op->erase();
    return success();
  }

  static void pruneArguments(func::FuncOp function, ArrayRef<CallOp> calls) {
    BitVector unused(function.getNumArguments());
    for (BlockArgument argument : function.getArguments())
      if (argument.use_empty())
        unused.set(argument.getArgNumber());
    if (unused.none() || failed(function.eraseArguments(unused)))
      return;
    for (CallOp call : calls) {
      SmallVector<Value> operands;
      for (auto [i, operand] : llvm::enumerate(call.getInputs()))
        if (!unused.test(i))
          operands.push_back(operand);
      call.getInputsMutable().assign(operands);
    }
  }

  void markDerived(func::FuncOp entry) {
    llvm::StringSet<> taken;
    entry.walk([&](ParamOp param) { taken.insert(param.getPath()); });
    OpBuilder builder(entry.getContext());
    for (Value result : invariantWork(entry).results) {
      Operation *op = result.getDefiningOp();
      std::string base = derivedName(op) + ".derived", name = base;
      for (unsigned n = 1; !taken.insert(name).second; ++n)
        name = base + "." + std::to_string(n);
      op->setAttr("rondo.derived", builder.getStringAttr(name));
      ++numDerived;
    }
  }
};

} // namespace

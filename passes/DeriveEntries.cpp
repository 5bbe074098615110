//===- DeriveEntries.cpp - prefill, step and score from forward -----------===//
//
// Token level and block level, to the same.
//
//   forward: tokens -> logits of every row
//   prefill: tokens -> logits of each sequence's last row
//   step:    as prefill, its recurrences token by token
//   score:   tokens, targets -> log p(target) of every row
//
// Sound because an op that works row by row gives the same row whether or not the other rows are
// there: `last` may stand before it. It may not stand before an op that looks at other rows (shift,
// recur, over, attend, a call of a function with one of them).
//
//===----------------------------------------------------------------------===//

#include "passes/LeadAxes.h"
#include "passes/Passes.h"
#include "passes/ScanInputs.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"

namespace rondo {
#define GEN_PASS_DEF_DERIVEENTRIESPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

/// What a function does, those that it calls included.
struct Reach {
  bool mixesTokens = false; // some op looks at other rows
  bool recurs = false;      // some recurrence
  std::string readsLater;   // an over or attend that looks at later tokens
};

class Reaches {
public:
  explicit Reaches(ModuleOp module) : module(module) {}

  const Reach &of(func::FuncOp function) {
    if (auto it = known.find(function); it != known.end())
      return it->second;
    Reach reach;
    known[function] = reach; // a cycle, which the verifier refuses, would end here
    function.walk([&](Operation *op) {
      if (isa<ShiftOp, RecurOp, ScanOp, OverOp, AttendOp, PositionOp, LastOp>(op))
        reach.mixesTokens = true;
      if (isa<RecurOp, ScanOp>(op))
        reach.recurs = true;
      if (auto attend = dyn_cast<AttendOp>(op); attend && !attend.getCausal())
        reach.readsLater = attend.getName().str();
      if (auto call = dyn_cast<CallOp>(op))
        if (auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee())) {
          const Reach &inner = of(callee);
          reach.mixesTokens |= inner.mixesTokens;
          reach.recurs |= inner.recurs;
          if (!inner.readsLater.empty())
            reach.readsLater = call.getScope().str() + "." + inner.readsLater;
        }
    });
    return known[function] = reach;
  }

  bool isRowWise(Operation *op) {
    if (auto call = dyn_cast<CallOp>(op)) {
      auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
      return callee && !of(callee).mixesTokens;
    }
    return canRunOnManyTokens(op);
  }

private:
  ModuleOp module;
  DenseMap<Operation *, Reach> known;
};

/// Token ids in, one vector a token out: what has a prefill and a score.
bool isModel(func::FuncOp forward) {
  bool readsIds = llvm::any_of(forward.getArgumentTypes(), [](Type type) {
    return elementTypeOf(type).isInteger(64) && isPerToken(type) && axesOf(type).size() == 1;
  });
  if (!readsIds || forward.getNumResults() != 1)
    return false;
  auto logits = cast<RankedTensorType>(forward.getResultTypes()[0]);
  return isa<FloatType>(logits.getElementType()) && logits.getRank() == 2 && isPerToken(logits);
}

/// Puts `rondo.last` as early as it is sound, so that every returned per-token value has one row a
/// sequence.
void keepLastRows(func::FuncOp function, Reaches &reaches) {
  Block &body = function.getBody().front();
  llvm::SetVector<Operation *> onLast;
  onLast.insert(body.getTerminator());
  for (Operation &op : llvm::reverse(body.without_terminator()))
    if (!op.use_empty() && reaches.isRowWise(&op) &&
        llvm::any_of(op.getResultTypes(), isPerToken) &&
        llvm::all_of(op.getUsers(), [&](Operation *user) { return onLast.contains(user); }))
      onLast.insert(&op);
  DenseMap<Value, Value> last;
  for (Operation *op : onLast)
    for (OpOperand &operand : op->getOpOperands()) {
      Value value = operand.get();
      Operation *def = value.getDefiningOp();
      if (!isPerToken(value.getType()) || (def && onLast.contains(def)))
        continue;
      Value &kept = last[value];
      if (!kept) {
        OpBuilder builder(op->getContext());
        builder.setInsertionPointAfterValue(value);
        kept = LastOp::create(builder, value.getLoc(), value.getType(), value);
      }
      operand.set(kept);
    }
}

struct DeriveEntries : rondo::impl::DeriveEntriesPassBase<DeriveEntries> {
  using DeriveEntriesPassBase::DeriveEntriesPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    func::FuncOp forward;
    for (auto function : module.getOps<func::FuncOp>())
      if (auto entry = function->getAttrOfType<StringAttr>("rondo.entry");
          entry && entry.getValue() == "forward")
        forward = function;
    if (!forward) {
      module.emitError("expects a function with rondo.entry = \"forward\", found none");
      return signalPassFailure();
    }
    Reaches reaches(module);
    bool model = isModel(forward);
    for (StringRef name : {"prefill", "step", "score"}) {
      if (!entries.empty() && !llvm::is_contained(entries, name))
        continue;
      if (name != "step" && !model) {
        refuse(forward, name, "it needs integer tokens in and one output with one axis beside 't'");
        continue;
      }
      if (const std::string &later = reaches.of(forward).readsLater;
          name == "step" && !later.empty()) {
        refuse(forward, name, "'" + later + "' reads later tokens");
        continue;
      }
      func::FuncOp entry = cloneEntry(forward, name);
      if (name == "step")
        makeSequential(entry, reaches);
      if (name == "score")
        addScore(entry);
      else if (model)
        keepLastRows(entry, reaches);
      ++numDerived;
    }
    for (StringRef name : entries)
      if (name != "prefill" && name != "step" && name != "score" && name != "forward") {
        forward.emitError() << "has no entry '" << name
                            << "'; expected forward, prefill, step or score";
        return signalPassFailure();
      }
  }

  void refuse(func::FuncOp forward, StringRef name, const Twine &why) {
    forward.emitRemark() << "no entry '" << name << "': " << why;
    ++numRefused;
  }

  func::FuncOp cloneEntry(func::FuncOp forward, StringRef name) {
    OpBuilder builder(getOperation().getBody(), getOperation().getBody()->end());
    auto entry = cast<func::FuncOp>(builder.clone(*forward));
    entry.setSymName(name);
    entry->setAttr("rondo.entry", builder.getStringAttr(name));
    return entry;
  }

  /// Marks the entry, and copies of the functions with recurrences that it calls.
  void makeSequential(func::FuncOp function, Reaches &reaches) {
    ModuleOp module = getOperation();
    function->setAttr("rondo.sequential", UnitAttr::get(&getContext()));
    function.walk([](ScanOp scan) {
      if (scan.getBlock().empty())
        return;
      rondo::makeSequential(scan);
      // The estimate was the blocks'.
      scan->setAttr("rondo.why", StringAttr::get(scan.getContext(), "a step has few tokens"));
      scan->removeAttr("rondo.cost");
    });
    function.walk([&](CallOp call) {
      auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
      if (!callee || callee->hasAttr("rondo.sequential") || !reaches.of(callee).recurs)
        return;
      std::string name = (callee.getSymName() + "_step").str();
      auto copy = module.lookupSymbol<func::FuncOp>(name);
      if (!copy) {
        OpBuilder builder(callee);
        builder.setInsertionPointAfter(callee);
        copy = cast<func::FuncOp>(builder.clone(*callee));
        copy.setSymName(name);
        makeSequential(copy, reaches);
      }
      call.setCallee(name);
    });
  }

  /// logprobs[t] = logits[t, targets[t]] - log sum exp(logits[t]), shifted by the maximum so that
  /// nothing overflows.
  void addScore(func::FuncOp entry) {
    Block &body = entry.getBody().front();
    auto ret = cast<func::ReturnOp>(body.getTerminator());
    Value logits = ret.getOperand(0);
    OpBuilder builder(ret);
    Location loc = entry.getLoc();
    auto idsType = withTime(RankedTensorType::get({}, builder.getI64Type()));
    unsigned at = entry.getNumArguments();
    auto named = [&](StringRef name) {
      return builder.getDictionaryAttr(
          builder.getNamedAttr("rondo.name", builder.getStringAttr(name)));
    };
    if (failed(entry.insertArgument(at, idsType, named("targets"), loc)))
      return;
    StringRef vocabulary = axesOf(logits.getType()).back().getValue();
    Value most = ReduceOp::create(builder, loc, ReduceKind::Max, logits, {vocabulary});
    Value shifted = MapOp::create(builder, loc, MapKind::Sub, ValueRange{logits, most});
    Value exps = MapOp::create(builder, loc, MapKind::Exp, ValueRange{shifted});
    Value sum = ReduceOp::create(builder, loc, ReduceKind::Sum, exps, {vocabulary});
    Value log = MapOp::create(builder, loc, MapKind::Log, ValueRange{sum});
    Value picked = PickOp::create(builder, loc, most.getType(), shifted, body.getArgument(at),
                                  builder.getStringAttr(vocabulary));
    Value logprobs = MapOp::create(builder, loc, MapKind::Sub, ValueRange{picked, log});
    ret.setOperand(0, logprobs);
    entry.setType(builder.getFunctionType(entry.getArgumentTypes(), {logprobs.getType()}));
    entry.setResultAttrs(0, named("logprobs"));
  }
};

} // namespace

//===- ReportStates.cpp - A pass that lives outside of Rondo --------------===//
//
// Token level or block level, unchanged. Remarks, at each recurrence's place in the spec, how many
// numbers its states hold for a sequence; fails where they are more than `limit`.
//
// A pass plugin is a shared object with the function mlirGetPassPluginInfo, and for rondoc also
// rondoPassesAfter. Such a pass cannot have a td entry of Rondo's, so it says its name, description
// and options itself.
//
//===----------------------------------------------------------------------===//

#include "dialect/Rondo.h"

#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;
using namespace rondo;

namespace {

struct ReportStates : PassWrapper<ReportStates, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ReportStates)

  ReportStates() = default;
  ReportStates(const ReportStates &other) : PassWrapper(other) {}

  StringRef getArgument() const final { return "example-report-states"; }
  StringRef getDescription() const final { return "remark how large each recurrence's state is"; }

  void runOnOperation() override {
    getOperation()->walk([&](Operation *op) {
      if (auto recur = dyn_cast<RecurOp>(op))
        report(op, recur.getInits().getTypes());
      else if (auto scan = dyn_cast<ScanOp>(op))
        report(op, scan.getInits().getTypes());
    });
  }

private:
  void report(Operation *op, TypeRange states) {
    int64_t numbers = 0;
    for (Type state : states)
      numbers += elementsPerToken(state);
    if (limit > 0 && numbers > limit) {
      op->emitError("expects states of at most ")
          << limit.getValue() << " numbers, got " << numbers;
      return signalPassFailure();
    }
    op->emitRemark() << "carries " << numbers << " numbers a sequence";
    ++numReported;
  }

  Option<int64_t> limit{*this, "limit", llvm::cl::desc("the most numbers allowed; 0: any"),
                        llvm::cl::init(0)};
  Statistic numReported{this, "num-reported", "recurrences remarked"};
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "rondo-example-pass", "1",
          [] { PassRegistration<ReportStates>(); }};
}

/// The passes that rondoc adds after a stage of the model (token, block or kernel), as a pipeline's
/// text; null for none.
extern "C" const char *rondoPassesAfter(const char *stage) {
  return StringRef(stage) == "token" ? "example-report-states" : nullptr;
}

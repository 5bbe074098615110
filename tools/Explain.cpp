//===- Explain.cpp - What was derived, in words ---------------------------===//

#include "tools/Explain.h"

#include "dialect/Rondo.h"
#include "tools/DiagnosticPrinter.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace rondo;

/// How often each function runs in one pass through `function`, which is counted too.
static void countCalls(func::FuncOp function, int64_t times, SymbolTable &symbols, llvm::MapVector<Operation *, int64_t> &counts) {
  counts[function] += times;
  function.walk([&](CallOp call) {
    if (auto callee = symbols.lookup<func::FuncOp>(call.getCallee()))
      countCalls(callee, times, symbols, counts);
  });
}

/// Why a scan has its form, and the cost model's estimate (passes/README.md).
static void explainChoice(ScanOp scan, llvm::raw_ostream &os) {
  if (auto why = scan->getAttrOfType<StringAttr>("rondo.why"))
    os << "    why:        " << why.getValue() << "\n";
  auto cost = scan->getAttrOfType<DictionaryAttr>("rondo.cost");
  if (!cost)
    return;
  auto of = [&](StringRef name) {
    auto value = cost.getAs<FloatAttr>(name);
    return value ? value.getValueAsDouble() : 0.0;
  };
  os << llvm::formatv("    estimate:   {0:F0} FLOPs, {1:F0} exponentials, {2:F0} bytes of state, {3:F0} cycles a token",
                      of("flops"), of("exps"), of("bytes"), of("cycles"));
  if (double other = of("other_cycles"))
    os << llvm::formatv("; {0:F0} cycles {1}", other, scan.getChunk() > 1 ? "token by token" : "in blocks");
  os << "\n";
}

static void explainOp(Operation *op, int64_t times, llvm::raw_ostream &os) {
  std::string place = placeOf(op->getLoc());
  auto begin = [&](StringRef what, StringRef name) {
    os << "  " << what << " " << name;
    if (times > 1)
      os << ", " << times << " times";
    if (!place.empty())
      os << " (" << place << ")";
    os << "\n";
  };
  if (auto scan = dyn_cast<ScanOp>(op)) {
    begin("recurrence", scan.getName());
    os << "    states:     ";
    for (auto [i, state] : llvm::enumerate(scan.getStates().getAsValueRange<StringAttr>()))
      os << (i ? ", " : "") << state << " " << scan.getInits()[i].getType();
    os << "\n    transition: " << scan.getTransition() << "\n    form:       " << scan.getForm();
    if (scan.getChunk() > 1)
      os << ", " << scan.getChunk() << " tokens at once";
    os << "\n";
    explainChoice(scan, os);
  } else if (auto attend = dyn_cast<AttendOp>(op)) {
    begin("read of other tokens", attend.getName());
    os << "    combined by: " << stringifyOverKind(attend.getKind()) << "\n    block map:   " << (attend.getCausal() ? "earlier tokens and this one" : "all tokens");
    if (attend.getWindow() > 0)
      os << ", the last " << attend.getWindow();
    os << "\n";
  } else if (auto shift = dyn_cast<ShiftOp>(op)) {
    begin("earlier token", shift.getName());
    os << "    distance:   " << shift.getDistance() << "\n";
  }
}

std::string rondo::explain(ModuleOp module, const std::vector<std::string> &remarks) {
  std::string text;
  llvm::raw_string_ostream os(text);
  SymbolTable symbols(module);
  for (auto entry : module.getOps<func::FuncOp>()) {
    auto name = entry->getAttrOfType<StringAttr>("rondo.entry");
    if (!name)
      continue;
    os << "entry " << name.getValue() << "\n";
    llvm::MapVector<Operation *, int64_t> counts;
    countCalls(entry, 1, symbols, counts);
    for (auto [function, times] : counts)
      function->walk([&, times = times](Operation *op) { explainOp(op, times, os); });
  }
  if (!remarks.empty())
    os << "remarks\n";
  for (const std::string &remark : remarks)
    os << "  " << remark << "\n";
  return text;
}

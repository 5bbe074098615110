//===- Explain.cpp - What was derived, in words ---------------------------===//

#include "tools/Explain.h"

#include "codegen/common/Work.h"
#include "dialect/Axes.h"
#include "dialect/Rondo.h"
#include "tools/DiagnosticPrinter.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace rondo;

/// How often each function runs in one pass through `function`, which is counted too.
static void countCalls(func::FuncOp function, int64_t times, SymbolTable &symbols,
                       llvm::MapVector<Operation *, int64_t> &counts) {
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
  os << llvm::formatv("    estimate:   {0:F0} FLOPs, {1:F0} decays of pairs, {2:F0} bytes of "
                      "state, {3:F0} cycles a token",
                      of("flops"), of("pairs"), of("bytes"), of("cycles"));
  if (double other = of("other_cycles"))
    os << llvm::formatv("; {0:F0} cycles {1}", other,
                        scan.getChunk() > 1 ? "token by token" : "in blocks");
  os << "\n";
}

/// " scaled by S.m"
static std::string scaledBy(ScanOp scan, unsigned i) {
  auto scales = scan->getAttrOfType<ArrayAttr>("rondo.scales");
  StringRef scale = scales ? cast<StringAttr>(scales[i]).getValue() : "";
  return scale.empty() ? "" : (" scaled by " + scale).str();
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
      os << (i ? ", " : "") << state << " " << scan.getInits()[i].getType() << scaledBy(scan, i);
    os << "\n    transition: " << scan.getTransition() << "\n    form:       " << scan.getForm();
    if (scan.getChunk() > 1)
      os << ", " << scan.getChunk() << " tokens at once";
    os << "\n";
    explainChoice(scan, os);
  } else if (auto attend = dyn_cast<AttendOp>(op)) {
    begin("read of other tokens", attend.getName());
    os << "    combined by: " << stringifyOverKind(attend.getKind()) << "\n    block map:   "
       << (attend.getCausal() ? "earlier tokens and this one" : "all tokens");
    if (attend.getWindow() > 0)
      os << ", the last " << attend.getWindow();
    os << "\n";
  } else if (auto shift = dyn_cast<ShiftOp>(op)) {
    begin("earlier token", shift.getName());
    os << "    distance:   " << shift.getDistance() << "\n";
  }
}

/// Calls `begin` for every entry, and `visit` for every op of it and of what it calls, with how
/// often that runs.
static void walkEntries(ModuleOp module, llvm::function_ref<void(StringRef)> begin,
                        llvm::function_ref<void(Operation *, int64_t)> visit) {
  SymbolTable symbols(module);
  for (auto entry : module.getOps<func::FuncOp>()) {
    auto name = entry->getAttrOfType<StringAttr>("rondo.entry");
    if (!name)
      continue;
    begin(name.getValue());
    llvm::MapVector<Operation *, int64_t> counts;
    countCalls(entry, 1, symbols, counts);
    for (auto [function, times] : counts)
      function->walk([&, times = times](Operation *op) { visit(op, times); });
  }
}

std::string rondo::explain(ModuleOp module, const std::vector<std::string> &remarks) {
  std::string text;
  llvm::raw_string_ostream os(text);
  walkEntries(
      module, [&](StringRef name) { os << "entry " << name << "\n"; },
      [&](Operation *op, int64_t times) { explainOp(op, times, os); });
  if (!remarks.empty())
    os << "remarks\n";
  for (const std::string &remark : remarks)
    os << "  " << remark << "\n";
  return text;
}

std::string rondo::explainKernels(ModuleOp module) {
  struct Row {
    KernelWork work;
    std::string kind, place;
    int64_t times = 0;
  };
  struct Part {
    std::string entry;
    llvm::MapVector<StringRef, Row> rows;
  };
  std::vector<Part> parts;
  SymbolTable symbols(module);
  walkEntries(
      module,
      [&](StringRef name) {
        parts.push_back({name.str(), {}});
      },
      [&](Operation *op, int64_t times) {
        auto launch = dyn_cast<LaunchOp>(op);
        auto kernel = launch ? symbols.lookup<func::FuncOp>(launch.getKernel()) : func::FuncOp();
        if (!kernel)
          return;
        Row &row = parts.back().rows[kernel.getName()];
        if (!row.times) {
          row.work = workOf(kernel);
          row.kind = kernel->getAttrOfType<StringAttr>("rondo.kernel").str();
          row.place = placeOf(kernel.getLoc());
        }
        row.times += times;
      });
  std::string text;
  llvm::raw_string_ostream os(text);
  for (Part &part : parts) {
    os << "kernels of " << part.entry << "\n";
    for (auto &[name, row] : part.rows) {
      os << llvm::formatv("  {0} ({1}", name, row.kind);
      if (!row.place.empty())
        os << ", " << row.place;
      os << llvm::formatv("), {0} time{1}: {2:F0} FLOPs and {3} bytes a token", row.times,
                          row.times == 1 ? "" : "s", row.work.flopsPerRow, row.work.bytesPerRow);
      if (row.work.flopsPerPair)
        os << llvm::formatv(", {0:F0} FLOPs a token looked at", row.work.flopsPerPair);
      if (row.work.bytesOnce)
        os << llvm::formatv(", {0} bytes of weights", row.work.bytesOnce);
      os << "\n";
    }
  }
  return text;
}

static int64_t floatsOf(Type type) {
  int64_t floats = 1;
  for (int64_t extent : cast<RankedTensorType>(type).getShape())
    floats *= ShapedType::isDynamic(extent) ? 1 : extent; // of one token
  return floats;
}

/// The axes of one token's value.
static llvm::json::Array axesOfToken(Type type) {
  llvm::json::Array axes;
  for (auto [axis, extent] : llvm::zip_equal(axesOf(type), cast<RankedTensorType>(type).getShape()))
    if (!ShapedType::isDynamic(extent))
      axes.push_back(axis.getValue());
  return axes;
}

static llvm::json::Object describeScan(ScanOp scan) {
  llvm::json::Array states;
  auto scales = scan->getAttrOfType<ArrayAttr>("rondo.scales");
  for (auto [i, name] : llvm::enumerate(scan.getStates().getAsValueRange<StringAttr>())) {
    Type type = scan.getInits()[i].getType();
    llvm::json::Object state{
        {"name", name}, {"axes", axesOfToken(type)}, {"floats", floatsOf(type)}};
    if (scales && !cast<StringAttr>(scales[i]).empty())
      state["scale"] = cast<StringAttr>(scales[i]).getValue();
    states.push_back(std::move(state));
  }
  llvm::json::Object scanned{{"kind", "recurrence"},
                             {"states", std::move(states)},
                             {"transition", scan.getTransition()},
                             {"form", scan.getForm()},
                             {"chunk", static_cast<int64_t>(scan.getChunk())}};
  if (auto why = scan->getAttrOfType<StringAttr>("rondo.why"))
    scanned["why"] = why.getValue();
  if (auto cost = scan->getAttrOfType<DictionaryAttr>("rondo.cost")) {
    llvm::json::Object numbers;
    for (NamedAttribute part : cost)
      if (auto number = dyn_cast<FloatAttr>(part.getValue()))
        numbers[part.getName().getValue()] = number.getValueAsDouble();
    scanned["cost"] = std::move(numbers);
  }
  return scanned;
}

static std::optional<llvm::json::Object> describeOp(Operation *op) {
  if (auto scan = dyn_cast<ScanOp>(op))
    return describeScan(scan);
  if (auto attend = dyn_cast<AttendOp>(op)) {
    llvm::json::Array kept;
    for (Value key : attend.getKeys())
      kept.push_back(llvm::json::Object{{"axes", axesOfToken(key.getType())},
                                        {"floats", floatsOf(key.getType())}});
    return llvm::json::Object{{"kind", "read of other tokens"},
                              {"combined", stringifyOverKind(attend.getKind())},
                              {"causal", attend.getCausal()},
                              {"window", static_cast<int64_t>(attend.getWindow())},
                              {"keys", std::move(kept)}};
  }
  if (auto shift = dyn_cast<ShiftOp>(op))
    return llvm::json::Object{
        {"kind", "earlier token"},
        {"distance", static_cast<int64_t>(shift.getDistance())},
        {"axes", axesOfToken(shift.getType())},
        {"floats", static_cast<int64_t>(shift.getDistance()) * floatsOf(shift.getType())}};
  return std::nullopt;
}

std::string rondo::explainJson(ModuleOp module, const std::vector<std::string> &remarks) {
  llvm::json::Array entries, notDone;
  auto begin = [&](StringRef name) {
    entries.push_back(llvm::json::Object{{"entry", name}, {"parts", llvm::json::Array()}});
  };
  auto visit = [&](Operation *op, int64_t times) {
    std::optional<llvm::json::Object> part = describeOp(op);
    if (!part)
      return;
    (*part)["name"] = op->getAttrOfType<StringAttr>("name").getValue();
    (*part)["place"] = placeOf(op->getLoc());
    (*part)["times"] = times;
    entries.back().getAsObject()->getArray("parts")->push_back(*std::move(part));
  };
  walkEntries(module, begin, visit);
  for (const std::string &remark : remarks)
    notDone.push_back(remark);
  return llvm::formatv("{0:2}\n",
                       llvm::json::Value(llvm::json::Object{{"entries", std::move(entries)},
                                                            {"remarks", std::move(notDone)}}));
}

//===- FormTrials.cpp - What each form of a recurrence would cost ---------===//

#include "tools/FormTrials.h"

#include "codegen/cpu/Estimate.h"
#include "dialect/Rondo.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FormatVariadic.h"
#include <map>
#include <set>

using namespace mlir;
using namespace rondo;

/// Tokens of the sequence that forms are compared on: a prompt's piece.
static constexpr int64_t tokens = 512;

namespace {
/// Derives forms of a copy; nobody hears of what a copy says.
class Trial {
public:
  Trial(ModuleOp token, const BlockPipelineOptions &blocks, const std::string &form)
      : module(token.clone()), silence(token.getContext(), [](Diagnostic &) { return success(); }) {
    BlockPipelineOptions options;
    options.target = blocks.target;
    for (const std::string &asked : blocks.forms)
      options.forms.push_back(asked);
    if (!form.empty())
      options.forms.push_back("*=" + form);
    options.entries.push_back("forward");
    ready = run([&](OpPassManager &passes) { buildBlockPipeline(passes, options); });
  }

  bool isReady() const { return ready; }

  /// Recurrences that have another form within reach of the one chosen. An estimate of the class
  /// alone, without the code, may be that far off.
  std::set<std::string> withChoice() {
    constexpr double reach = 6;
    std::set<std::string> names;
    module->walk([&](ScanOp scan) {
      auto cost = scan->getAttrOfType<DictionaryAttr>("rondo.cost");
      auto cycles = cost ? cost.getAs<FloatAttr>("cycles") : FloatAttr();
      auto other = cost ? cost.getAs<FloatAttr>("other_cycles") : FloatAttr();
      if (cycles && other && other.getValueAsDouble() > 0 &&
          other.getValueAsDouble() < reach * cycles.getValueAsDouble() &&
          cycles.getValueAsDouble() < reach * other.getValueAsDouble())
        names.insert(scan.getName().str());
    });
    return names;
  }

  /// Cycles a token of each scan in `names`, at its form and block.
  std::map<std::string, std::pair<std::string, double>>
  cycles(const std::set<std::string> &names, const cpu::Isa &isa,
         const KernelPipelineOptions &kernels) {
    std::map<std::string, std::pair<std::string, double>> found;
    KernelPipelineOptions options;
    options.weights = kernels.weights;
    options.integers = kernels.integers;
    options.chosen = kernels.chosen;
    if (!run([&](OpPassManager &passes) { buildKernelPipeline(passes, options); }))
      return found;
    OwningOpRef<ModuleOp> target = ModuleOp::create(module->getLoc());
    for (auto function : module->getOps<func::FuncOp>()) {
      if (!function->hasAttr("rondo.kernel") || function.isDeclaration())
        continue;
      auto scans = function.getBody().front().getOps<ScanOp>();
      if (scans.empty())
        continue;
      ScanOp scan = *scans.begin();
      std::string name = scan.getName().str();
      if (!names.contains(name) || found.contains(name))
        continue;
      FailureOr<cpu::KernelRecord> record = cpu::emitKernel(function, isa, *target);
      if (failed(record))
        continue;
      auto emitted = cast<func::FuncOp>(target->getBody()->back());
      std::string form = scan.getForm().str();
      if (scan.getChunk() > 1)
        form += ":" + std::to_string(scan.getChunk());
      found[name] = {form,
                     cpu::cyclesOf(emitted, isa, *record, {tokens, 0}).shared / double(tokens)};
    }
    return found;
  }

private:
  bool run(llvm::function_ref<void(OpPassManager &)> build) {
    PassManager passes(module->getContext());
    build(passes);
    return succeeded(passes.run(*module));
  }

  OwningOpRef<ModuleOp> module;
  ScopedDiagnosticHandler silence;
  bool ready = false;
};
} // namespace

std::vector<std::string> rondo::tryForms(ModuleOp token, const cpu::Isa &isa,
                                         const BlockPipelineOptions &blocks,
                                         const KernelPipelineOptions &kernels) {
  // One form for all leaves nothing to choose.
  for (const std::string &asked : blocks.forms)
    if (StringRef(asked).starts_with("*="))
      return {};
  std::set<std::string> names;
  if (Trial first(token, blocks, ""); first.isReady())
    names = first.withChoice();
  std::set<std::string> tried;
  if (names.empty())
    return {};
  std::map<std::string, double> smaller; // the blocks before: half as long
  for (const char *form : {"sequential", "chunk:8", "chunk:16", "chunk:32", "chunk:64"}) {
    Trial trial(token, blocks, form);
    if (!trial.isReady())
      continue;
    bool gains = smaller.empty();
    for (auto &[name, found] : trial.cycles(names, isa, kernels)) {
      auto &[chosen, cycles] = found;
      tried.insert(llvm::formatv("{0}={1}@{2:F0}", name, chosen, cycles).str());
      if (StringRef(form) == "sequential")
        continue;
      auto [before, first] = smaller.try_emplace(name, cycles);
      gains |= first || cycles < before->second;
      before->second = cycles;
    }
    // Longer blocks have more pairs of tokens: where none gained, none will.
    if (!gains)
      break;
  }
  return {tried.begin(), tried.end()};
}

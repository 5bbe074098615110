//===- Pipelines.cpp - The recipes from stage to stage --------------------===//

#include "passes/Pipelines.h"

#include "passes/Passes.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace rondo {

void buildBlockPipeline(OpPassManager &passes, const BlockPipelineOptions &options) {
  // Constants meet: bounds of predicates and constant decays are recognised below.
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  // First: what experts compute is work of the token like any other.
  passes.addPass(createExpandRoutesPass());
  // Before hoisting: what is made of a sum is a recurrence like any other.
  SumsToRecurrencesPassOptions sums;
  sums.forms.assign(options.forms.begin(), options.forms.end());
  passes.addPass(createSumsToRecurrencesPass(sums));
  // Before anything is moved out of a body, where exponents and what they multiply stand together.
  passes.addPass(createStabiliseExponentialsPass());
  // The rewritten body has its products one by one: equal ones meet before they become inputs.
  passes.addPass(createCSEPass());
  // Before hoisting, which moves out what depends on a part's values alone.
  passes.addPass(createSplitRecurrencesPass());
  // Before all that reads recurrences, so that what leaves one can be lifted when it depends on
  // parameters alone, and the algebra sees leaves.
  passes.addPass(createHoistFromRecurPass());
  // Before entries, since a bidirectional read of other tokens has no step.
  passes.addPass(createMapBlocksPass());
  // Hoisted work may repeat what stood outside already.
  passes.addPass(createCSEPass());
  // Before lifting: what a block needs of parameters alone is lifted with the rest.
  ChunkRecurrencesPassOptions chunks;
  chunks.target = options.target;
  chunks.forms.assign(options.forms.begin(), options.forms.end());
  chunks.tried.assign(options.tried.begin(), options.tried.end());
  passes.addPass(createChunkRecurrencesPass(chunks));
  // Exponentials that only the token body reads now, and other leftovers, must not become weights.
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  // Before lifting: what is the same in every block is parameter-only work.
  passes.addPass(createHoistFromBlockPass());
  // Before entries, so that they share the derived weights by name; equal expressions are one op by
  // now.
  passes.addPass(createLiftParametersPass());
  passes.addPass(createCSEPass());
  // After all that reads what stands in front of a scan; before entries, whose copies share it.
  passes.addPass(createSinkIntoScanPass());
  // Last: it clones what is finished, and takes the block bodies out of step's copies.
  DeriveEntriesPassOptions entries;
  entries.entries.assign(options.entries.begin(), options.entries.end());
  passes.addPass(createDeriveEntriesPass(entries));
  // Values that only a block body read are dead in step's copies.
  passes.addPass(createCanonicalizerPass());
}

void buildKernelPipeline(OpPassManager &passes, const KernelPipelineOptions &options) {
  FormKernelsPassOptions kernels;
  kernels.weights = options.weights;
  kernels.integers = options.integers;
  kernels.chosen = options.chosen;
  passes.addPass(createFormKernelsPass(kernels));
}

void registerRondoPipelines() {
  PassPipelineRegistration<BlockPipelineOptions>(
      "rondo-block-pipeline", "from token level to block level", buildBlockPipeline);
  PassPipelineRegistration<KernelPipelineOptions>(
      "rondo-kernel-pipeline", "from block level to kernel level", buildKernelPipeline);
}

} // namespace rondo

//===- FormTrials.h - What each form of a recurrence would cost -----------===//
//
// From a token-level module to estimates of its recurrences' forms: each form that the cost model
// of passes/algebra/Schema.h finds worth a look is derived and emitted in a copy, and the cycles of
// its code are counted (codegen/cpu/Estimate.h). The choice stays ChunkRecurrences'.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/Isa.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace rondo {

struct BlockPipelineOptions;
struct KernelPipelineOptions;

/// One "NAME=FORM@CYCLES" for each form tried, cycles a token: the option `tried` of
/// BlockPipelineOptions. Empty where no recurrence has a choice. A form that cannot be emitted is
/// not tried: what is wrong with it is told where it is asked for.
std::vector<std::string> tryForms(mlir::ModuleOp token, const cpu::Isa &isa,
                                  const BlockPipelineOptions &blocks,
                                  const KernelPipelineOptions &kernels);

} // namespace rondo

//===- Estimate.h - How long an emitted kernel computes --------*- C++ -*-===//
//
// From the loops of an emitted function to cycles, for a launch of so many rows: numbers of trips
// are computed from what the runtime would pass, as the code itself does, and the ops of each loop
// are weighed by what a core with two pipes for vector multiplications can begin in a cycle. Cores
// differ in whether additions, comparisons and shuffles have pipes beside those, so both are
// computed. Memory is not in it: whoever predicts a time takes the longer of this and of reading
// the bytes (machine.h has the speeds, and which core it is).
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/Isa.h"
#include "codegen/cpu/Kernels.h"

namespace rondo::cpu {

/// A launch over one sequence.
struct LaunchSize {
  int64_t rows = 1;
  int64_t position = 0; ///< tokens of the sequence that came before
};

struct Cycles {
  double shared = 0; ///< every vector op takes one of two pipes
  double beside = 0; ///< what multiplies nothing has two more of its own

  Cycles &operator+=(Cycles other) {
    shared += other.shared, beside += other.beside;
    return *this;
  }
  Cycles operator*(double times) const { return {shared * times, beside * times}; }
};

/// The cycles of all work items of a launch, one after the other. `emitted` is what emitKernel
/// appended, not yet lowered.
Cycles cyclesOf(mlir::func::FuncOp emitted, const Isa &isa, const KernelRecord &record,
                LaunchSize size);

} // namespace rondo::cpu

//===- Kernels.h - From an outlined kernel to a function of the CPU -------===//
//
// A kernel (a func.func with `rondo.kernel`) becomes one llvm-lowerable function for each ISA
// level, with the signature of runtime/abi.h: scf, arith, math, vector and llvm.ptr ops. See
// codegen/README.md for the conventions on operands and states.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/Isa.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace rondo::cpu {

/// What the package says of a kernel (see runtime/package.fbs).
struct KernelRecord {
  enum class Per { Once, Rows, Sequences };
  std::string kind; ///< rows, product, group, scan, attend
  Per per = Per::Once;
  int64_t unit = 1; ///< work items: ceil(count / unit) * factor
  int64_t factor = 1;
  int64_t grain = 1;        ///< fewest items worth a thread
  int64_t scratchBytes = 0; ///< the larger of the levels'
};

/// The symbol of `kernel` at `isa`.
std::string symbolOf(mlir::func::FuncOp kernel, const Isa &isa);

/// The levels that `kernel` needs variants for, the lowest first, to serve those named: a level is
/// replaced by its base where the kernel would be the same at both.
llvm::SmallVector<const Isa *> variantsOf(mlir::func::FuncOp kernel,
                                          llvm::ArrayRef<std::string> levels);

/// Appends the function `symbolOf(kernel, isa)` to `target` with attribute `rondo.isa`. On failure
/// an error was reported at the op's location.
mlir::FailureOr<KernelRecord> emitKernel(mlir::func::FuncOp kernel, const Isa &isa,
                                         mlir::ModuleOp target);

} // namespace rondo::cpu

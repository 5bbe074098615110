//===- Object.h - From kernel functions to machine code --------*- C++ -*-===//
//
// The last stretch of the CPU's pipeline, each stage of which can be printed:
//
//   kernels (func.func of scf, arith, math, vector and llvm.ptr ops, each with `rondo.isa`)
//     -> LLVM dialect -> LLVM IR, optimised -> assembly or an ELF object -> a shared object without
//     dependencies
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Support/LLVM.h"
#include <string>

namespace rondo::cpu {

struct ObjectOptions {
  /// Functions are shared out over this many threads, each with an LLVM context and an object of
  /// its own; 0: the machine's.
  unsigned threads = 0;
  /// The linker; empty: the one that was found when the compiler was built, else `ld.lld-22` or
  /// `ld.lld` of PATH.
  std::string linker;
};

/// Brings the functions of `target` into the LLVM dialect, in place. Every function must name its
/// level in `rondo.isa`, a name of Isa.h such as "x86-64-v4". On failure an error was reported.
mlir::LogicalResult lowerToLlvm(mlir::ModuleOp target);

/// The optimised LLVM IR of a lowered module, as text.
mlir::FailureOr<std::string> emitLlvm(mlir::ModuleOp lowered);

/// The assembly of a lowered module.
mlir::FailureOr<std::string> emitAssembly(mlir::ModuleOp lowered,
                                          const ObjectOptions &options = {});

/// One relocatable ELF object (position-independent) of a lowered module. It has no undefined
/// symbol: one that would need a library's function (memcpy, expf) is an error that names it.
mlir::FailureOr<std::string> emitObject(mlir::ModuleOp lowered, const ObjectOptions &options = {});

/// `object` as a shared object: symbols in a GNU hash table, no dependencies, no debug information.
mlir::FailureOr<std::string> linkShared(llvm::StringRef object, mlir::Location location,
                                        const ObjectOptions &options = {});

} // namespace rondo::cpu

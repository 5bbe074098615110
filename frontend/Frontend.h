//===- Frontend.h - From a spec to the token level -------------*- C++ -*-===//
//
// What tools call. Everything wrong with spec, config or settings goes to the sink; the result is
// then null.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/Program.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

namespace rondo {

/// The token-level module of a spec: its entry as @forward with `rondo.entry`, one private function
/// for each distinct iteration of `repeat ... as`. Every op carries its place in the spec. The
/// module has passed the verifier.
mlir::OwningOpRef<mlir::ModuleOp> buildTokenLevel(mlir::MLIRContext &context,
                                                  const SpecOptions &options, DiagnosticSink &sink);

/// The spec's tree as text (`--emit=ast`); without the files that it imports.
std::optional<std::string> dumpAst(const SpecOptions &options, DiagnosticSink &sink);

} // namespace rondo

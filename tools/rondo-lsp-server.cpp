//===- rondo-lsp-server.cpp - Editor support for rondo IR -----------------===//
//
// The language server of MLIR with the rondo dialect: diagnostics, definitions and hovers in .mlir
// files.
//
//===----------------------------------------------------------------------===//

#include "dialect/Rondo.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<rondo::RondoDialect>();
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}

//===- rondo-opt.cpp - Run passes on rondo IR -----------------------------===//
//
// mlir-opt with the rondo dialect; `-load-pass-plugin` and `-load-dialect-plugin` bring in others
// (tools/example-pass/).
//
//===----------------------------------------------------------------------===//

#include "dialect/Rondo.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  registry.insert<rondo::RondoDialect>();
  rondo::registerRondoPasses();
  rondo::registerRondoPipelines();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "rondo optimizer driver\n", registry));
}

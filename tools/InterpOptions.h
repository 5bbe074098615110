//===- InterpOptions.h - What rondo-interp is asked to do ------*- C++ -*-===//

#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rondo {

struct InterpOptions {
  std::string program; ///< .mlir, .mlirbc or .rpk
  std::string inputs, outputs;
  std::string parameters; ///< a folder or a .safetensors file; empty: the package's own, or none
  std::string entry = "forward";
  bool f64 = false;
  bool tokenBodies = false;
};

/// The options of a command line, or the exit code (0 after --help, 2 for wrong usage) where there
/// is nothing to run.
struct InterpCommand {
  std::optional<InterpOptions> options;
  int exitCode = 0;
};

InterpCommand parseInterpCommand(int argc, char **argv);

} // namespace rondo

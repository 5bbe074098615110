//===- InterpOptions.h - What rondo-interp is asked to do ------*- C++ -*-===//

#pragma once

#include "frontend/Program.h"

#include <optional>
#include <string>

namespace rondo {

struct InterpOptions {
  SpecOptions spec; ///< its path: .rondo, .mlir, .mlirbc or .rpk; empty: chosen by the checkpoint
  std::string inputs, outputs;
  std::string checkpoint; ///< a folder: config.json, too, unless the spec has one
  std::string parameters; ///< a folder, a .safetensors file or an .rpk; empty: the checkpoint or
                          ///< the package
  std::string entry = "forward";
  bool f64 = false;      ///< numbers are written as f64
  bool extended = false; ///< and computed in long double
  bool tokenBodies = false;
  bool unrounded = false; ///< rondo.round gives what it is given
  bool roundFactors = false; ///< of products with weights of fewer bits, as kernels may
};

/// The options of a command line, or the exit code (0 after --help, 2 for wrong usage) where there
/// is nothing to run.
struct InterpCommand {
  std::optional<InterpOptions> options;
  int exitCode = 0;
};

InterpCommand parseInterpCommand(int argc, char **argv);

} // namespace rondo

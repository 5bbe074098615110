//===- Compilation.h - From a spec to what was asked for -------*- C++ -*-===//
//
// The stages of rondoc, in the order in which they run:
//
//   ast -> token -> block -> kernel -> vector -> llvm -> asm, object -> package, exe, header
//
// Each one's text can be printed (--emit), kept (--dump-to), replaced (--override) and started from
// (--from).
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/Program.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rondo {

struct CompileOptions {
  SpecOptions spec;
  std::string checkpoint;             ///< a folder or a .safetensors file; empty: none
  std::optional<uint64_t> randomSeed; ///< --random-init
  std::string precision = "f32";      ///< one of precisionNames()
  std::vector<std::string> isas;      ///< levels that kernels are emitted for, best first
  std::vector<std::string> entries;   ///< empty: all that apply
  std::vector<std::pair<std::string, std::string>>
      forms; ///< recurrence, form: "chunk:64", "sequential"
  std::string emit = "package";
  std::string output; ///< empty: stdout for text, else named after the spec
  std::string dumpTo; ///< a folder; empty: none
  std::string from;   ///< the stage that spec.path is the text of; empty: it is a spec
  std::vector<std::pair<std::string, std::string>> overrides; ///< stage, file
  std::vector<std::string> passPlugins;
  bool explain = false;
  bool json = false; ///< what --explain prints is for programs
  bool remarks = false;
  bool remarksAreErrors = false;
  bool times = false;
  std::string command; ///< for the package's provenance
};

/// The stages' names, in order.
const std::vector<std::string> &stageNames();

/// What weights of products are stored in: "f32", "bf16", "w8", "w4".
const std::vector<std::string> &precisionNames();

/// Runs the compiler; the exit code (0 or 1). Results go to stdout or the output file, everything
/// else to stderr.
int compile(const CompileOptions &options);

} // namespace rondo

//===- Executable.h - A model as one static program ------------*- C++ -*-===//
//
// The `rondo` tool, the package and its kernels, linked into one file that needs no other: no
// loader, no library, no environment. The package is the symbol `rondo_linked_package` (to
// `rondo_linked_package_end`), the kernels are the table `rondo_linked_kernels` (runtime/code.h).
//
//===----------------------------------------------------------------------===//

#pragma once

#include <string>
#include <vector>

namespace rondo {

struct ExecutableParts {
  std::string package;              ///< path of the package file
  std::string object;               ///< the kernels' object, its bytes
  std::vector<std::string> symbols; ///< the kernels in it
};

/// Links to `output`, beside it first and then renamed. Empty, or what went wrong.
std::string linkExecutable(const ExecutableParts &parts, const std::string &output);

} // namespace rondo

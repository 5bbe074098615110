// Sibling.h - The other programs of this build, started as processes: `rondo` itself links no
// compiler.

#ifndef RONDO_TOOLS_RONDO_SIBLING_H
#define RONDO_TOOLS_RONDO_SIBLING_H

#include "runtime/error.h"

#include <optional>
#include <string>
#include <vector>

namespace rondo::cli {

/// The program of that name beside this executable, else on PATH.
std::optional<std::string> findProgram(const std::string &name);

/// Runs `arguments` (the first is the program) to its end with stdin empty. An error holds the
/// command and all that it printed.
Status runProgram(const std::vector<std::string> &arguments);

/// A folder for intermediate files that goes away with the object.
class ScratchFolder {
public:
  static Result<ScratchFolder> create();
  ScratchFolder(ScratchFolder &&other) noexcept : path(std::exchange(other.path, {})) {}
  ScratchFolder &operator=(ScratchFolder &&) = delete;
  ~ScratchFolder();
  std::string file(const std::string &name) const { return path + "/" + name; }

private:
  ScratchFolder() = default;
  std::string path;
};

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_SIBLING_H

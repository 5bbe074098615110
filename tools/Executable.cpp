//===- Executable.cpp - A model as one static program ---------------------===//

#include "tools/Executable.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include <filesystem>
#include <fstream>

using namespace rondo;
namespace fs = std::filesystem;

namespace {
/// A folder that goes away.
struct Folder {
  llvm::SmallString<128> path;
  std::error_code error = llvm::sys::fs::createUniqueDirectory("rondo-exe", path);
  ~Folder() {
    if (!error)
      llvm::sys::fs::remove_directories(path);
  }
  std::string operator/(const char *name) const { return (path + "/" + name).str(); }
};
} // namespace

/// A static library of ours: installed beside the program, or in the build folder.
static std::string findLibrary(const std::string &name, std::string &problem) {
  std::error_code code;
  fs::path here = fs::canonical("/proc/self/exe", code).parent_path();
  std::string tried;
  for (const char *folder : {"../lib/rondo", "../lib", "../runtime", "../tools/rondo"}) {
    fs::path candidate = (here / folder / name).lexically_normal();
    if (fs::exists(candidate, code))
      return candidate.string();
    tried += (tried.empty() ? "" : ", ") + candidate.parent_path().string();
  }
  problem = "found no " + name + ", which an executable is linked from; looked in " + tried;
  return {};
}

/// The package's bytes and the table of kernels, as assembly.
static std::string embedding(const ExecutableParts &parts) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "  .section .rodata.rondo_package,\"a\",@progbits\n  .p2align 12\n  .globl "
        "rondo_linked_package\nrondo_linked_package:\n  .incbin \""
     << fs::absolute(parts.package).string()
     << "\"\n  .globl rondo_linked_package_end\nrondo_linked_package_end:\n";
  os << "  .section .data.rel.ro.rondo_kernels,\"aw\",@progbits\n  .p2align 3\n  .globl "
        "rondo_linked_kernels\nrondo_linked_kernels:\n";
  for (auto [i, symbol] : llvm::enumerate(parts.symbols))
    os << "  .quad .Lname" << i << "\n  .quad " << symbol << "\n";
  os << "  .quad 0\n  .quad 0\n  .section .rodata.rondo_names,\"a\",@progbits\n";
  for (auto [i, symbol] : llvm::enumerate(parts.symbols))
    os << ".Lname" << i << ": .asciz \"" << symbol << "\"\n";
  os << "  .section .note.GNU-stack,\"\",@progbits\n";
  return text;
}

static bool write(const std::string &path, const std::string &bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), std::streamsize(bytes.size()));
  return bool(file.flush());
}

std::string rondo::linkExecutable(const ExecutableParts &parts, const std::string &output) {
  std::string problem;
  std::string tool = findLibrary("librondo_tool.a", problem),
              runtime = findLibrary("librondo_runtime.a", problem);
  if (!problem.empty())
    return problem;
  std::string driver = RONDO_CXX_COMPILER;
  if (!llvm::sys::fs::can_execute(driver)) {
    llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName("clang++-22");
    if (!found)
      return "found no " + driver + " and no clang++-22 on PATH, which links executables";
    driver = *found;
  }
  Folder folder;
  if (folder.error)
    return "cannot make a temporary folder: " + folder.error.message();
  if (!write(folder / "embedding.s", embedding(parts)) ||
      !write(folder / "kernels.o", parts.object))
    return "cannot write to " + folder.path.str().str();

  std::string beside = output + ".partial", assembly = folder / "embedding.s",
              kernels = folder / "kernels.o", log = folder / "log";
  llvm::SmallVector<llvm::StringRef> command{driver,
                                             "-static",
                                             "-fuse-ld=lld",
                                             "-Wl,--gc-sections",
                                             "-Wl,--strip-all",
                                             "-o",
                                             beside,
                                             assembly,
                                             kernels,
                                             tool,
                                             runtime};
  llvm::SmallVector<llvm::StringRef> libraries;
  llvm::StringRef(RONDO_EXECUTABLE_LIBRARIES).split(libraries, ' ', -1, false);
  command.append(libraries);
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), llvm::StringRef(log),
                                                llvm::StringRef(log)};
  int status = llvm::sys::ExecuteAndWait(driver, command, std::nullopt, redirects, 0, 0, &problem);
  std::error_code code;
  if (status == 0)
    fs::rename(beside, output, code);
  if (status == 0 && !code)
    return {};
  fs::remove(beside, code);
  if (auto said = llvm::MemoryBuffer::getFile(log))
    problem += (*said)->getBuffer().trim();
  return driver + " could not link " + output + ": " + problem;
}

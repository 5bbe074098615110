// code.h - The kernels of a package as functions.

#ifndef RONDO_RUNTIME_CODE_H
#define RONDO_RUNTIME_CODE_H

#include "runtime/abi.h"
#include "runtime/error.h"

#include <cstddef>
#include <span>
#include <string>

/// An executable made by `rondoc --emit=exe` has its kernels linked in: a table of them, ended by a
/// null name.
extern "C" {
typedef struct rondo_linked_kernel {
  const char *name;
  rondo_kernel address;
} rondo_linked_kernel;
}

namespace rondo {

/// The kernels of one package, loaded for as long as the object lives. Loading runs no code of the
/// package; calling a kernel does, so a package must be trusted.
class KernelCode {
public:
  KernelCode() = default;
  /// From the shared object in a package's code section. `name` is the package's, for messages.
  static Result<KernelCode> load(std::span<const std::byte> sharedObject, const std::string &name);
  /// From a table linked into this executable.
  static KernelCode linked(const rondo_linked_kernel *table);
  KernelCode(KernelCode &&other) noexcept;
  KernelCode &operator=(KernelCode &&other) noexcept;
  ~KernelCode();

  /// The function of that name, or null.
  rondo_kernel find(const std::string &symbol) const;

private:
  void *handle = nullptr;
  int descriptor = -1; // of the memory file: open as long as the code is loaded
  const rondo_linked_kernel *table = nullptr;
};

} // namespace rondo

#endif // RONDO_RUNTIME_CODE_H

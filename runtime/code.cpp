// code.cpp - The kernels of a package as functions.

#include "runtime/code.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace rondo {

Result<KernelCode> KernelCode::load(std::span<const std::byte> sharedObject,
                                    const std::string &name) {
  // The loader knows a library by its path and gives out the loaded one for a path that it has
  // seen. The path holds the descriptor's number, which must not be another package's while this
  // one is loaded.
  KernelCode code;
  code.descriptor = memfd_create("rondo-kernels", MFD_CLOEXEC);
  if (code.descriptor < 0)
    return Error{name + ": no memory file for its kernels: " + std::strerror(errno)};
  size_t written = 0;
  while (written < sharedObject.size()) {
    ssize_t n =
        write(code.descriptor, sharedObject.data() + written, sharedObject.size() - written);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return Error{name + ": its kernels do not fit into memory: " + std::strerror(errno)};
    written += static_cast<size_t>(n);
  }
  std::string path = "/proc/self/fd/" + std::to_string(code.descriptor);
  code.handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!code.handle)
    return Error{name +
                 ": code section: expected a shared object of this machine's kind: " + dlerror()};
  return code;
}

KernelCode KernelCode::linked(const rondo_linked_kernel *table) {
  KernelCode code;
  code.table = table;
  return code;
}

KernelCode::KernelCode(KernelCode &&other) noexcept
    : handle(std::exchange(other.handle, nullptr)), descriptor(std::exchange(other.descriptor, -1)),
      table(std::exchange(other.table, nullptr)) {}

KernelCode &KernelCode::operator=(KernelCode &&other) noexcept {
  std::swap(handle, other.handle);
  std::swap(descriptor, other.descriptor);
  std::swap(table, other.table);
  return *this;
}

KernelCode::~KernelCode() {
  if (handle)
    dlclose(handle);
  if (descriptor >= 0)
    close(descriptor);
}

rondo_kernel KernelCode::find(const std::string &symbol) const {
  if (handle)
    return reinterpret_cast<rondo_kernel>(dlsym(handle, symbol.c_str()));
  for (const rondo_linked_kernel *entry = table; entry && entry->name; ++entry)
    if (symbol == entry->name)
      return entry->address;
  return nullptr;
}

} // namespace rondo

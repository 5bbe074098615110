// code.cpp - The kernels of a package as functions.

#include "runtime/code.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace rondo {

Result<KernelCode> KernelCode::load(std::span<const std::byte> sharedObject, const std::string &name) {
  int descriptor = memfd_create("rondo-kernels", MFD_CLOEXEC);
  if (descriptor < 0)
    return Error{name + ": no memory file for its kernels: " + std::strerror(errno)};
  size_t written = 0;
  while (written < sharedObject.size()) {
    ssize_t n = write(descriptor, sharedObject.data() + written, sharedObject.size() - written);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      std::string why = std::strerror(errno);
      close(descriptor);
      return Error{name + ": its kernels do not fit into memory: " + why};
    }
    written += static_cast<size_t>(n);
  }
  std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  KernelCode code;
  code.handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  std::string why = code.handle ? "" : dlerror();
  close(descriptor);
  if (!code.handle)
    return Error{name + ": code section: expected a shared object of this machine's kind: " + why};
  return code;
}

KernelCode KernelCode::linked(const rondo_linked_kernel *table) {
  KernelCode code;
  code.table = table;
  return code;
}

KernelCode::KernelCode(KernelCode &&other) noexcept
    : handle(std::exchange(other.handle, nullptr)), table(std::exchange(other.table, nullptr)) {}

KernelCode &KernelCode::operator=(KernelCode &&other) noexcept {
  std::swap(handle, other.handle);
  std::swap(table, other.table);
  return *this;
}

KernelCode::~KernelCode() {
  if (handle)
    dlclose(handle);
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

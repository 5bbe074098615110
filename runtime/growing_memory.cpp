// growing_memory.cpp - Ranges of pages by mmap, grown by mremap.

#include "runtime/growing_memory.h"

#include <cstdint>
#include <sys/mman.h>
#include <unistd.h>

namespace rondo {

GrowingBytes::~GrowingBytes() {
  if (start)
    munmap(start, mapped);
}

bool GrowingBytes::grow(size_t size) {
  if (size <= count)
    return true;
  // Kernels may read a vector that begins at the last element.
  constexpr size_t beyond = 64;
  static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (size > SIZE_MAX - beyond - page)
    return false;
  size_t wanted = (size + beyond + page - 1) / page * page;
  if (wanted > mapped) {
    void *found =
        start ? mremap(start, mapped, wanted, MREMAP_MAYMOVE)
              : mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED)
      return false;
    // Caches of a model lie beside each other: together they are large enough for pages of 2 MiB,
    // each one fault in place of 512. The system may refuse; the bytes are the same.
    madvise(found, wanted, MADV_HUGEPAGE);
    start = static_cast<std::byte *>(found);
    mapped = wanted;
  }
  count = size;
  return true;
}

} // namespace rondo

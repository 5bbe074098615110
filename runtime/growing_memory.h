// growing_memory.h - Zeroed memory that grows without being copied.
//
// A range of addresses of this process: the system gives its pages when they are first written, and
// growing moves the range's page table entries where it must move at all. A cache of a long
// sequence is therefore never there twice, and what was reserved and not written costs no memory.

#ifndef RONDO_RUNTIME_GROWING_MEMORY_H
#define RONDO_RUNTIME_GROWING_MEMORY_H

#include <cstddef>
#include <utility>

namespace rondo {

class GrowingBytes {
public:
  GrowingBytes() = default;
  GrowingBytes(GrowingBytes &&other) noexcept
      : start(std::exchange(other.start, nullptr)), count(std::exchange(other.count, 0)),
        mapped(std::exchange(other.mapped, 0)) {}
  GrowingBytes &operator=(GrowingBytes &&other) noexcept {
    std::swap(start, other.start);
    std::swap(count, other.count);
    std::swap(mapped, other.mapped);
    return *this;
  }
  ~GrowingBytes();

  /// At least `size` bytes; the further ones are zero. Addresses change. False when there is not
  /// enough memory: nothing has changed then.
  bool grow(size_t size);
  /// At the beginning of a page.
  std::byte *data() const { return start; }
  /// Bytes that were asked for.
  size_t size() const { return count; }

private:
  std::byte *start = nullptr;
  size_t count = 0, mapped = 0;
};

} // namespace rondo

#endif // RONDO_RUNTIME_GROWING_MEMORY_H

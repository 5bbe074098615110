// MachineRead.cpp - How fast this machine reads memory.

#include "tools/rondo/MachineRead.h"

#include "runtime/cpu.h"
#include "runtime/executor.h"
#include "tools/rondo/Console.h"

#include <algorithm>

namespace rondo::cli {

namespace {

// Eight sums of whole vectors, so that neither the adder's latency nor the width of a load is the
// limit. The vector type is wider than the level's registers where it has to be; the compiler
// splits it.
typedef uint64_t Wide __attribute__((vector_size(64), may_alias));
constexpr size_t stride = 8 * sizeof(Wide);

#define RONDO_SUM(NAME, TARGET)                                                                    \
  __attribute__((target(TARGET), noinline)) uint64_t NAME(const std::byte *bytes, size_t count) {  \
    Wide s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{};                                           \
    for (size_t offset = 0; offset < count; offset += stride) {                                    \
      const Wide *from = reinterpret_cast<const Wide *>(bytes + offset);                           \
      s0 += from[0], s1 += from[1], s2 += from[2], s3 += from[3];                                  \
      s4 += from[4], s5 += from[5], s6 += from[6], s7 += from[7];                                  \
    }                                                                                              \
    s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7;                                                        \
    return s0[0] ^ s0[1] ^ s0[2] ^ s0[3] ^ s0[4] ^ s0[5] ^ s0[6] ^ s0[7];                          \
  }

RONDO_SUM(sumBaseline, "sse2")
RONDO_SUM(sumAvx2, "avx2")
RONDO_SUM(sumAvx512, "avx512f")
#undef RONDO_SUM

} // namespace

double measureReadBandwidth(ThreadPool &pool, size_t bytes) {
  std::vector<std::string> levels = supportedIsas();
  auto has = [&](const char *level) {
    return std::find(levels.begin(), levels.end(), level) != levels.end();
  };
  auto *sum = has("x86-64-v4") ? sumAvx512 : has("x86-64-v3") ? sumAvx2 : sumBaseline;
  // Each thread reads a part of whole strides, as it would read its part of the weights.
  size_t threads = static_cast<size_t>(pool.threads());
  size_t part = std::max<size_t>(bytes / threads / stride, 64) * stride;
  AlignedBytes buffer(part * threads);
  if (!buffer.data())
    return 0;
  std::atomic<uint64_t> keep{0};
  auto readOnce = [&] {
    pool.parallelFor(static_cast<int64_t>(threads), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        keep.fetch_xor(sum(buffer.data() + static_cast<size_t>(i) * part, part),
                       std::memory_order_relaxed);
    });
  };
  readOnce();
  // The best of passes within a fifth of a second: other processes only ever slow one down.
  double best = 0;
  Stopwatch total;
  do {
    Stopwatch pass;
    readOnce();
    best = std::max(best, static_cast<double>(part * threads) / pass.seconds());
  } while (total.seconds() < 0.2);
  return best;
}

} // namespace rondo::cli

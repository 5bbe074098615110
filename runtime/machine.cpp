// machine.cpp - Measures what this machine can do at most, once, and keeps it.

#include "runtime/machine.h"

#include "runtime/cpu.h"
#include "runtime/file.h"
#include "runtime/json.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace rondo {

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

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

#if defined(__x86_64__)
// Twelve independent sums hide the latency of any of these instructions; the empty assembly keeps
// each in a register and the loop from being folded.
#define RONDO_PEAK(NAME, TARGET, VECTOR, ZERO, STEP)                                               \
  __attribute__((target(TARGET), noinline)) void NAME(int64_t rounds) {                            \
    VECTOR s0 = ZERO, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;                                 \
    VECTOR s6 = s0, s7 = s0, s8 = s0, s9 = s0, s10 = s0, s11 = s0;                                 \
    auto step = [](VECTOR sum) __attribute__((target(TARGET), always_inline)) { return STEP; };    \
    for (int64_t round = 0; round < rounds; ++round) {                                             \
      s0 = step(s0), s1 = step(s1), s2 = step(s2), s3 = step(s3), s4 = step(s4), s5 = step(s5);    \
      s6 = step(s6), s7 = step(s7), s8 = step(s8), s9 = step(s9), s10 = step(s10);                 \
      s11 = step(s11);                                                                             \
      asm volatile(""                                                                              \
                   : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6),         \
                     "+v"(s7), "+v"(s8), "+v"(s9), "+v"(s10), "+v"(s11));                          \
    }                                                                                              \
  }

// Eight sums as above, and six that are additions: as many as AVX2's registers hold.
#define RONDO_MIXED(NAME, TARGET, VECTOR, ZERO, FUSED, ADDED)                                      \
  __attribute__((target(TARGET), noinline)) void NAME(int64_t rounds) {                            \
    VECTOR s0 = ZERO, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;               \
    VECTOR a0 = ZERO, a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0;                                 \
    auto fused = [](VECTOR sum) __attribute__((target(TARGET), always_inline)) { return FUSED; };  \
    auto added = [](VECTOR sum) __attribute__((target(TARGET), always_inline)) { return ADDED; };  \
    for (int64_t round = 0; round < rounds; ++round) {                                             \
      s0 = fused(s0), a0 = added(a0), s1 = fused(s1), a1 = added(a1), s2 = fused(s2);              \
      a2 = added(a2), s3 = fused(s3), a3 = added(a3), s4 = fused(s4), a4 = added(a4);              \
      s5 = fused(s5), a5 = added(a5), s6 = fused(s6), s7 = fused(s7);                              \
      asm volatile(""                                                                              \
                   : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6),         \
                     "+v"(s7), "+v"(a0), "+v"(a1), "+v"(a2), "+v"(a3), "+v"(a4), "+v"(a5));        \
    }                                                                                              \
  }

RONDO_PEAK(fusedAvx2, "avx2,fma", __m256, _mm256_setzero_ps(),
           _mm256_fmadd_ps(sum, _mm256_set1_ps(0.5f), _mm256_set1_ps(1.0f)))
RONDO_PEAK(fusedAvx512, "avx512f", __m512, _mm512_setzero_ps(),
           _mm512_fmadd_ps(sum, _mm512_set1_ps(0.5f), _mm512_set1_ps(1.0f)))
RONDO_PEAK(pairsAvx512, "avx512f,avx512bf16", __m512, _mm512_setzero_ps(),
           _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(0x3f003f00),
                            (__m512bh)_mm512_set1_epi32(0x3f003f00)))
RONDO_PEAK(quadsAvx512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(),
           _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_set1_epi8(1)))
RONDO_MIXED(mixedAvx2, "avx2,fma", __m256, _mm256_setzero_ps(),
            _mm256_fmadd_ps(sum, _mm256_set1_ps(0.5f), _mm256_set1_ps(1.0f)),
            _mm256_add_ps(sum, _mm256_set1_ps(0.5f)))
RONDO_MIXED(mixedAvx512, "avx512f", __m512, _mm512_setzero_ps(),
            _mm512_fmadd_ps(sum, _mm512_set1_ps(0.5f), _mm512_set1_ps(1.0f)),
            _mm512_add_ps(sum, _mm512_set1_ps(0.5f)))
#undef RONDO_MIXED
#undef RONDO_PEAK

/// What the tile registers are configured with.
struct TileShapes {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);

// Products of whole registers: as many rows by as many columns, by
// 16 pairs of bf16 or quads of bytes.
#define RONDO_TILE_PEAK(NAME, TARGET, INSTRUCTION)                                                 \
  __attribute__((target(TARGET), noinline)) void NAME(int64_t rounds) {                            \
    static constexpr TileShapes shapes;                                                            \
    _tile_loadconfig(&shapes);                                                                     \
    _tile_zero(4), _tile_zero(5), _tile_zero(6), _tile_zero(7);                                    \
    for (int64_t round = 0; round < rounds; ++round) {                                             \
      INSTRUCTION(0, 4, 6);                                                                        \
      INSTRUCTION(1, 4, 7);                                                                        \
      INSTRUCTION(2, 5, 6);                                                                        \
      INSTRUCTION(3, 5, 7);                                                                        \
    }                                                                                              \
    _tile_release();                                                                               \
  }

RONDO_TILE_PEAK(pairsTiles, "amx-tile,amx-bf16", _tile_dpbf16ps)
RONDO_TILE_PEAK(quadsTiles, "amx-tile,amx-int8", _tile_dpbsud)
#undef RONDO_TILE_PEAK
#endif

/// Operations a second of `loop`, of which a round does `operations` on each of `sums`.
double measurePeak(ThreadPool &pool, void (*loop)(int64_t), double operations, double sums = 12) {
  constexpr int64_t rounds = 2'000'000;
  double best = 0;
  for (int repeat = 0; repeat < 8; ++repeat) {
    double begin = now();
    pool.parallelFor(pool.threads(), 1, [&](int64_t from, int64_t to, int) {
      for (int64_t i = from; i < to; ++i)
        loop(rounds);
    });
    double seconds = now() - begin;
    best = std::max(best, sums * operations * static_cast<double>(rounds) *
                              static_cast<double>(pool.threads()) / seconds);
  }
  return best;
}

/// Eight multiply-adds take as long with six additions among them where those have pipes of their
/// own, and 14/8 as long where they do not.
void measureFused(ThreadPool &pool, MachineDescription &machine, void (*fused)(int64_t),
                  void (*mixed)(int64_t), double operations) {
  machine.f32Peak = measurePeak(pool, fused, operations);
  double beside = measurePeak(pool, mixed, operations, 8);
  machine.besides = std::clamp(1 - (machine.f32Peak / beside - 1) * 8 / 6, 0.0, 1.0);
}

double measureLaunch(ThreadPool &pool) {
  constexpr int rounds = 20, launches = 200;
  std::atomic<int64_t> done{0};
  double best = 1;
  for (int round = 0; round < rounds; ++round) {
    double begin = now();
    for (int i = 0; i < launches; ++i)
      pool.parallelFor(pool.threads(), 1, [&](int64_t from, int64_t to, int) {
        done.fetch_add(to - from, std::memory_order_relaxed);
      });
    best = std::min(best, (now() - begin) / launches);
  }
  return best;
}

uint64_t cacheSize(int name) {
  long bytes = sysconf(name);
  return bytes > 0 ? static_cast<uint64_t>(bytes) : 0;
}

std::string fileOf(const std::string &folder, const MachineDescription &key) {
  std::string name;
  for (char c : fmt::format("{}-{}-{}", key.processor, key.isa, key.threads))
    name += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  return folder + "/machine-" + name + ".json";
}

nlohmann::ordered_json describe(const MachineDescription &machine) {
  nlohmann::ordered_json reads = nlohmann::ordered_json::array();
  for (const ReadSpeed &read : machine.reads)
    reads.push_back({{"bytes", read.bytes}, {"bytes_per_second", read.bytesPerSecond}});
  return {{"processor", machine.processor},      {"isa", machine.isa},
          {"threads", machine.threads},          {"first_cache", machine.firstCache},
          {"second_cache", machine.secondCache}, {"last_cache", machine.lastCache},
          {"f32_peak", machine.f32Peak},         {"bf16_peak", machine.bf16Peak},
          {"int8_peak", machine.int8Peak},       {"besides", machine.besides},
          {"launch_seconds", machine.launch},    {"reads", reads}};
}

/// False unless the file is a whole description of this very machine.
bool readDescription(const std::string &path, MachineDescription &machine) {
  Result<std::string> text = readText(path, 1 << 16);
  if (!text)
    return false;
  nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  auto number = [&](const nlohmann::json &from, const char *name, double &into) {
    auto found = from.is_object() ? from.find(name) : from.end();
    if (!from.is_object() || found == from.end() || !found->is_number())
      return false;
    into = found->get<double>();
    return into >= 0 && into < 1e18;
  };
  MachineDescription read = machine;
  if (!number(json, "f32_peak", read.f32Peak) || !number(json, "bf16_peak", read.bf16Peak) ||
      !number(json, "int8_peak", read.int8Peak) || !number(json, "launch_seconds", read.launch) ||
      !number(json, "besides", read.besides) || read.besides > 1 || !json.contains("reads") ||
      !json["reads"].is_array() || json["reads"].empty())
    return false;
  for (const nlohmann::json &entry : json["reads"]) {
    double bytes = 0, speed = 0;
    if (!number(entry, "bytes", bytes) || !number(entry, "bytes_per_second", speed))
      return false;
    read.reads.push_back({static_cast<uint64_t>(bytes), speed});
  }
  machine = read;
  return true;
}

MachineDescription withoutFigures(ThreadPool &pool) {
  MachineDescription machine;
  machine.processor = processorName();
  std::vector<std::string> levels = supportedIsas();
  machine.isa = levels.empty() ? "none" : levels.front();
  machine.threads = pool.threads();
  machine.firstCache = cacheSize(_SC_LEVEL1_DCACHE_SIZE);
  machine.secondCache = cacheSize(_SC_LEVEL2_CACHE_SIZE);
  machine.lastCache = cacheSize(_SC_LEVEL3_CACHE_SIZE);
  return machine;
}

} // namespace

double cyclesPerSecond(const MachineDescription &machine) {
  double lanes = machine.isa == "x86-64-v3" ? 8 : 16;
  return machine.f32Peak / machine.threads / (2 * 2 * lanes);
}

ReadProbe::ReadProbe(ThreadPool &pool, size_t bytes)
    : pool(pool),
      part(std::max<size_t>(bytes / static_cast<size_t>(pool.threads()) / stride, 64) * stride),
      buffer(part * static_cast<size_t>(pool.threads())) {
  // Memory that nobody has written to is one page of zeros, which every cache holds.
  if (buffer.data())
    std::fill_n(buffer.data(), buffer.size(), std::byte(1));
}

double ReadProbe::pass() {
  if (!buffer.data())
    return 0;
  static auto *const sum = [] {
    std::vector<std::string> levels = supportedIsas();
    auto has = [&](const char *level) {
      return std::find(levels.begin(), levels.end(), level) != levels.end();
    };
    return has("x86-64-v4") ? sumAvx512 : has("x86-64-v3") ? sumAvx2 : sumBaseline;
  }();
  // What fits a cache is read many times between two looks at the clock.
  size_t times = std::max<size_t>((size_t(1) << 22) / part, 1);
  std::atomic<uint64_t> keep{0};
  double begin = now();
  pool.parallelFor(pool.threads(), 1, [&](int64_t from, int64_t to, int) {
    for (int64_t i = from; i < to; ++i)
      for (size_t time = 0; time < times; ++time)
        keep.fetch_xor(sum(buffer.data() + static_cast<size_t>(i) * part, part),
                       std::memory_order_relaxed);
  });
  return static_cast<double>(buffer.size() * times) / (now() - begin);
}

/// The best of passes within a fifth of a second: other processes only ever slow one down.
static double measureReadBandwidth(ThreadPool &pool, size_t bytes) {
  ReadProbe probe(pool, bytes);
  probe.pass();
  double best = 0, begin = now();
  do
    best = std::max(best, probe.pass());
  while (now() - begin < 0.2);
  return best;
}

MachineDescription measureMachine(ThreadPool &pool) {
  MachineDescription machine = withoutFigures(pool);
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f"))
    measureFused(pool, machine, fusedAvx512, mixedAvx512, 2 * 16);
  else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    measureFused(pool, machine, fusedAvx2, mixedAvx2, 2 * 8);
  if (__builtin_cpu_supports("avx512bf16"))
    machine.bf16Peak = measurePeak(pool, pairsAvx512, 2 * 32);
  if (__builtin_cpu_supports("avx512vnni"))
    machine.int8Peak = measurePeak(pool, quadsAvx512, 2 * 64);
  if (machine.isa == "x86-64-v4-amx" && __builtin_cpu_supports("amx-tile")) {
    constexpr double sums = 16 * 16, products = 4;
    machine.bf16Peak =
        std::max(machine.bf16Peak, measurePeak(pool, pairsTiles, 2 * 32 * sums, products));
    machine.int8Peak =
        std::max(machine.int8Peak, measurePeak(pool, quadsTiles, 2 * 64 * sums, products));
  }
#endif
  machine.launch = measureLaunch(pool);
  // Within each cache, and far beyond the last one; a part of the cache, so that its other users
  // leave room: of the last one, which virtual machines report whole, not more than a core's share.
  uint64_t threads = static_cast<uint64_t>(machine.threads);
  uint64_t sizes[] = {(machine.firstCache ? machine.firstCache : 32u << 10) / 2 * threads,
                      (machine.secondCache ? machine.secondCache : 512u << 10) / 2 * threads,
                      std::min<uint64_t>(machine.lastCache ? machine.lastCache / 4 : 4u << 20,
                                         (8u << 20) * threads),
                      uint64_t(512) << 20};
  for (uint64_t bytes : sizes)
    if (machine.reads.empty() || bytes > machine.reads.back().bytes)
      if (double speed = measureReadBandwidth(pool, bytes); speed > 0)
        machine.reads.push_back({bytes, speed});
  return machine;
}

std::string machineCacheFolder() {
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::string(cache) + "/rondo";
  if (const char *home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.cache/rondo";
  return "";
}

MachineDescription describeMachine(ThreadPool &pool, const std::string &folder, bool again) {
  MachineDescription machine = withoutFigures(pool);
  if (folder.empty())
    return measureMachine(pool);
  std::string path = fileOf(folder, machine);
  if (!again && readDescription(path, machine))
    return machine;
  machine = measureMachine(pool);
  std::error_code ignored; // not kept: measured again next time
  std::filesystem::create_directories(folder, ignored);
  if (Result<NewFile> file = NewFile::create(path);
      file && file->write(describe(machine).dump(2) + "\n"))
    (void)file->commit();
  return machine;
}

std::string processorName() {
  std::string name = "CPU";
  if (std::FILE *file = std::fopen("/proc/cpuinfo", "r")) {
    char line[512];
    while (std::fgets(line, sizeof line, file)) {
      std::string_view text(line);
      size_t colon = text.find(": ");
      if (text.starts_with("model name") && colon != std::string_view::npos) {
        name = text.substr(colon + 2, text.find('\n') - colon - 2);
        break;
      }
    }
    std::fclose(file);
  }
  return name;
}

} // namespace rondo

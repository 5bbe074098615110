// EmulatorTest.cpp - Tile instructions against formulas.
//
// The same checks hold on a processor that has them: there nothing is emulated.

#include "test/amx/Emulator.h"

#include "runtime/cpu.h"

#include <array>
#include <barrier>
#include <climits>
#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <immintrin.h>
#include <random>
#include <thread>
#include <ucontext.h>
#include <vector>

using namespace rondo::test;

#define RONDO_TILES __attribute__((target("amx-tile,amx-bf16,amx-int8"), noinline))

namespace {

struct Configuration {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
  Configuration &tile(int i, int rowsOf, int bytesOf) {
    rows[i] = uint8_t(rowsOf), bytes[i] = uint16_t(bytesOf);
    return *this;
  }
};

class TileEmulator : public ::testing::Test {
protected:
  void SetUp() override {
    provideTileLevel();
    std::vector<std::string> levels = rondo::supportedIsas();
    // A processor with tiles whose system does not let us use them.
    if (__builtin_cpu_supports("amx-tile") && levels.front() != "x86-64-v4-amx")
      GTEST_SKIP() << "the operating system gives no tile registers";
  }
  static bool isEmulated() { return !__builtin_cpu_supports("amx-tile"); }

  std::vector<uint8_t> random(size_t count) {
    std::vector<uint8_t> bytes(count);
    for (uint8_t &byte : bytes)
      byte = uint8_t(generator());
    return bytes;
  }
  /// Pairs of bf16 of moderate size.
  std::vector<uint8_t> randomPairs(size_t bytes) {
    std::vector<uint8_t> halves(bytes);
    std::uniform_real_distribution<float> uniform(-2, 2);
    for (size_t i = 0; i < bytes; i += 2) {
      float value = uniform(generator);
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      auto half = uint16_t(bits >> 16);
      std::memcpy(halves.data() + i, &half, 2);
    }
    return halves;
  }
  static float real(const uint8_t *half) {
    uint32_t bits = uint32_t(half[0] | half[1] << 8) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }

  std::mt19937 generator{3};
};

RONDO_TILES void copyTile(const Configuration &shape, const uint8_t *from, int64_t stride,
                          uint8_t *to) {
  _tile_loadconfig(&shape);
  _tile_loadd(3, from, stride);
  _tile_stored(3, to, 64);
  _tile_release();
}

RONDO_TILES void multiplyPairs(const Configuration &shape, const uint8_t *rows,
                               const uint8_t *panel, uint8_t *sums) {
  _tile_loadconfig(&shape);
  _tile_loadd(0, sums, 64);
  _tile_loadd(1, rows, 64);
  _tile_stream_loadd(2, panel, 64);
  _tile_dpbf16ps(0, 1, 2);
  _tile_stored(0, sums, 64);
  _tile_release();
}

RONDO_TILES void multiplyQuads(const Configuration &shape, const uint8_t *rows,
                               const uint8_t *panel, uint8_t *sums) {
  _tile_loadconfig(&shape);
  _tile_loadd(1, rows, 64);
  _tile_loadd(2, panel, 64);
  _tile_zero(0), _tile_zero(3), _tile_zero(4), _tile_zero(5);
  _tile_dpbssd(0, 1, 2);
  _tile_dpbsud(3, 1, 2);
  _tile_dpbusd(4, 1, 2);
  _tile_dpbuud(5, 1, 2);
  _tile_stored(0, sums, 64);
  _tile_stored(3, sums + 1024, 64);
  _tile_stored(4, sums + 2048, 64);
  _tile_stored(5, sums + 3072, 64);
  _tile_release();
}

/// Loads the bytes at `from`, rows 64 apart, by addresses of all kinds; each leaves the tile at its
/// own place of `to`. The base is put back from SAVED: it may be the stack's, so there must be free
/// memory before `from` for what a signal writes.
constexpr int addresses = 23;
RONDO_TILES void loadByAddresses(const Configuration &shape, const uint8_t *from, uint8_t *to) {
  _tile_loadconfig(&shape);
#define RONDO_LOAD(BASE, INDEX, SAVED, SCALE, DISPLACEMENT)                                        \
  asm volatile("mov %2, %%" INDEX "\n\tmov %%" BASE ", %%" SAVED "\n\tmov %1, %%" BASE             \
               "\n\ttileloadd " #DISPLACEMENT "(%%" BASE ",%%" INDEX "," #SCALE ")"                \
               ", %%tmm6\n\tmov %%" SAVED ", %%" BASE "\n\ttilestored %%tmm6, (%0,%3,1)"           \
               :                                                                                   \
               : "r"(to), "r"(from - (DISPLACEMENT)), "r"(int64_t(64 / SCALE)), "r"(int64_t(64))   \
               : INDEX, SAVED, "memory");                                                          \
  to += 1024;
  // Each register as a base: a wrong number of one would read elsewhere.
  RONDO_LOAD("rax", "r9", "r8", 1, 0)
  RONDO_LOAD("rcx", "r9", "r8", 1, 0)
  RONDO_LOAD("rdx", "r9", "r8", 1, 0)
  RONDO_LOAD("rbx", "r9", "r8", 1, 0)
  RONDO_LOAD("rsp", "r9", "r8", 1, 0)
  RONDO_LOAD("rbp", "r9", "r8", 1, 0)
  RONDO_LOAD("rsi", "r9", "r8", 1, 0)
  RONDO_LOAD("rdi", "r9", "r8", 1, 0)
  RONDO_LOAD("r8", "r9", "r10", 1, 0)
  RONDO_LOAD("r9", "r8", "r10", 1, 0)
  RONDO_LOAD("r10", "r9", "r8", 1, 0)
  RONDO_LOAD("r11", "r9", "r8", 1, 0)
  RONDO_LOAD("r12", "r9", "r8", 1, 0)
  RONDO_LOAD("r13", "r9", "r8", 1, 0)
  RONDO_LOAD("r14", "r9", "r8", 1, 0)
  RONDO_LOAD("r15", "r9", "r8", 1, 0)
  // Displacements of one and four bytes, scales, and r12 as an index, whose low bits say of rsp
  // that there is none.
  RONDO_LOAD("rax", "r12", "r8", 2, 0x40)
  RONDO_LOAD("rsp", "rcx", "r8", 4, -0x80)
  RONDO_LOAD("rbp", "rdi", "r8", 8, 0x1000)
  RONDO_LOAD("r12", "r13", "r8", 4, 0x7f)
  RONDO_LOAD("r13", "r12", "r8", 8, -0x1000)
  RONDO_LOAD("r13", "r15", "r8", 1, -1)
#undef RONDO_LOAD
  // Without an index the stride is 0.
  asm volatile("tileloadd (%1), %%tmm6\n\ttilestored %%tmm6, (%0,%2,1)"
               :
               : "r"(to), "r"(from), "r"(int64_t(64))
               : "memory");
  _tile_release();
}

TEST_F(TileEmulator, LoadsShapesByStrides) {
  std::vector<uint8_t> from = random(4096);
  for (auto [rows, bytes, stride] :
       {std::tuple{16, 64, int64_t(64)}, {16, 64, 100}, {5, 12, 64}, {1, 4, 0}, {7, 64, -64}}) {
    std::vector<uint8_t> to(1024, 0xaa), expected = to;
    const uint8_t *first = from.data() + 2048;
    copyTile(Configuration().tile(3, rows, bytes), first, stride, to.data());
    for (int row = 0; row < rows; ++row)
      std::memcpy(expected.data() + 64 * row, first + row * stride, size_t(bytes));
    EXPECT_EQ(to, expected) << rows << " x " << bytes << " by " << stride;
  }
}

TEST_F(TileEmulator, ReadsAddressesOfAllKinds) {
  constexpr size_t before = 1 << 17;
  std::vector<uint8_t> from = random(before + 1024), to(addresses * 1024);
  loadByAddresses(Configuration().tile(6, 16, 64), from.data() + before, to.data());
  for (size_t i = 0; i + 1 < addresses; ++i)
    EXPECT_EQ(std::memcmp(from.data() + before, to.data() + i * 1024, 1024), 0) << i;
  for (size_t row = 0; row < 16; ++row)
    EXPECT_EQ(std::memcmp(from.data() + before, to.data() + (addresses - 1) * 1024 + 64 * row, 64),
              0)
        << row;
}

RONDO_TILES void loadConfigurationByAddresses(const Configuration &shape, uint8_t *to) {
  asm volatile("ldtilecfg -0x70(%0)\n\tsttilecfg 0x1000(%1)\n\ttilerelease"
               :
               : "r"(reinterpret_cast<const uint8_t *>(&shape) + 0x70), "r"(to - 0x1000)
               : "memory");
  asm volatile("ldtilecfg 8(%0,%1,4)\n\tsttilecfg -3(%2,%1,2)\n\ttilerelease"
               :
               : "r"(reinterpret_cast<const uint8_t *>(&shape) - 8 - 4 * 24), "r"(int64_t(24)),
                 "r"(to + 64 + 3 - 2 * 24)
               : "memory");
  // Tile 5 of 2 x 8, near the code.
  asm volatile(".pushsection .rodata\n1:\n\t.byte 1\n\t.zero 25\n\t.byte 8\n\t.zero 26\n\t.byte "
               "2\n\t.zero 10\n\t.popsection\n\tldtilecfg 1b(%%rip)\n\tsttilecfg (%0)"
               :
               : "r"(to + 128)
               : "memory");
  _tile_release();
}

TEST_F(TileEmulator, ReadsConfigurationsByAddresses) {
  Configuration shape = Configuration().tile(0, 3, 8).tile(7, 16, 64),
                near = Configuration().tile(5, 2, 8);
  std::vector<uint8_t> to(192);
  loadConfigurationByAddresses(shape, to.data());
  EXPECT_EQ(std::memcmp(to.data(), &shape, 64), 0);
  EXPECT_EQ(std::memcmp(to.data() + 64, &shape, 64), 0);
  EXPECT_EQ(std::memcmp(to.data() + 128, &near, 64), 0);
}

RONDO_TILES void loadFromRow(const Configuration &shape, const uint8_t *from, uint8_t *to,
                             uint8_t *configuration) {
  _tile_loadconfig(&shape);
  _tile_loadd(3, from, 64);
  _tile_storeconfig(configuration);
  _tile_stored(3, to, 64);
  _tile_release();
}

TEST_F(TileEmulator, GoesOnFromTheRowOfAnInterruption) {
  std::vector<uint8_t> from = random(1024), to(1024, 0xaa), expected = from;
  Configuration shape = Configuration().tile(3, 16, 64), after = shape, found;
  shape.startRow = 2;
  loadFromRow(shape, from.data(), to.data(), reinterpret_cast<uint8_t *>(&found));
  std::fill_n(expected.begin(), 128, 0); // as ldtilecfg left them
  EXPECT_EQ(to, expected);
  EXPECT_EQ(std::memcmp(&found, &after, 64), 0);
}

TEST_F(TileEmulator, MultipliesPairs) {
  for (auto [rows, words, columns] : {std::tuple{16, 16, 16}, {3, 5, 7}, {1, 16, 2}}) {
    std::vector<uint8_t> left = randomPairs(1024), right = randomPairs(1024);
    std::vector<float> sums(256), begin;
    for (float &sum : sums)
      sum = float(generator() % 1000) / 500 - 1;
    begin = sums;
    Configuration shape = Configuration()
                              .tile(0, rows, columns * 4)
                              .tile(1, rows, words * 4)
                              .tile(2, words, columns * 4);
    multiplyPairs(shape, left.data(), right.data(), reinterpret_cast<uint8_t *>(sums.data()));
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 16; ++n) {
        auto place = size_t(16 * m + n);
        if (m >= rows || n >= columns) {
          EXPECT_EQ(sums[place], begin[place]);
          continue;
        }
        double sum = begin[place];
        for (int k = 0; k < 2 * words; ++k)
          sum += double(real(&left[size_t(64 * m + 2 * k)])) *
                 double(real(&right[size_t(64 * (k / 2) + 4 * n + 2 * (k % 2))]));
        EXPECT_NEAR(sums[place], sum, 2e-5) << m << ", " << n;
      }
  }
}

/// sum + left x right, of one row and one column.
float multipliedPairs(float sum, const std::vector<float> &left, const std::vector<float> &right) {
  auto words = int(left.size() / 2);
  Configuration shape = Configuration().tile(0, 1, 4).tile(1, 1, 4 * words).tile(2, words, 4);
  std::vector<uint8_t> rows(1024), panel(1024), sums(1024);
  auto put = [](uint8_t *half, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    EXPECT_EQ(bits & 0xffff, 0u) << value << " is no bf16";
    half[0] = uint8_t(bits >> 16), half[1] = uint8_t(bits >> 24);
  };
  for (size_t k = 0; k < left.size(); ++k) {
    put(&rows[2 * k], left[k]);
    put(&panel[64 * (k / 2) + 2 * (k % 2)], right[k]);
  }
  std::memcpy(sums.data(), &sum, 4);
  multiplyPairs(shape, rows.data(), panel.data(), sums.data());
  std::memcpy(&sum, sums.data(), 4);
  return sum;
}

TEST_F(TileEmulator, AddsPairsInTheOrderOfTheManual) {
  // One after another, each 1 would be lost beside 2^24; the odd ones are summed apart.
  EXPECT_EQ(multipliedPairs(0, {0x1p12f, 1, 0, 1}, {0x1p12f, 1, 0, 1}), 0x1p24f + 2);
  // Even ones are one sum: there they are lost.
  EXPECT_EQ(multipliedPairs(0, {0x1p12f, 0, 1, 0, 1, 0}, {0x1p12f, 0, 1, 0, 1, 0}), 0x1p24f);
  // The two are added before the sum there was.
  EXPECT_EQ(multipliedPairs(-0x1p24f, {0x1p12f, 1}, {0x1p12f, 1}), 0);
  // A product is not rounded before it is added: this one would be infinite.
  EXPECT_EQ(multipliedPairs(0, {-0x1p64f, 0, 0x1p64f, 0}, {0x1p63f, 0, 0x1p64f, 0}), 0x1p127f);
}

TEST_F(TileEmulator, TakesDenormalsOfPairsAsZeros) {
  // A product with no normal number.
  EXPECT_EQ(multipliedPairs(0, {0x1p-63f, 0}, {0x1p-65f, 0}), 0);
  EXPECT_EQ(multipliedPairs(0, {0x1p-63f, 0}, {0x1p-63f, 0}), 0x1p-126f);
  // Denormal factors and a denormal sum.
  EXPECT_EQ(multipliedPairs(0, {1, 0}, {0x1p-127f, 0}), 0);
  EXPECT_EQ(multipliedPairs(0, {0x1p-130f, 0}, {0x1p100f, 0}), 0);
  EXPECT_EQ(multipliedPairs(0x1p-127f, {1, 0}, {0x1p-126f, 0}), 0x1p-126f);
  // Halves that are normal, but not their difference.
  EXPECT_EQ(multipliedPairs(0, {0x1.8p-126f, -1}, {1, 0x1p-126f}), 0);
  // 2^-126 - 2^-150 is too small with 24 bits, though it rounds up to 2^-126 with denormals' bits.
  EXPECT_EQ(multipliedPairs(0, {0x1p-63f, 0, -0x1p-75f, 0}, {0x1p-63f, 0, 0x1p-75f, 0}), 0);
}

TEST_F(TileEmulator, NeitherReadsNorChangesTheModeOfRounding) {
  std::vector<float> left{1, 0, 0x1p-12f, 0}, right{1, 0, 0x1.8p-12f, 0}; // 1 + 1.5 * 2^-24
  unsigned before = _mm_getcsr();
  _mm_setcsr((before & ~unsigned(_MM_ROUND_MASK)) | _MM_ROUND_DOWN);
  unsigned during = _mm_getcsr();
  float found = multipliedPairs(0, left, right);
  unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(found, 1 + 0x1p-23f);
  EXPECT_EQ(after, during);
}

TEST_F(TileEmulator, MultipliesQuadsOfEachSign) {
  for (auto [rows, words, columns] : {std::tuple{16, 16, 16}, {16, 8, 16}, {2, 3, 5}}) {
    std::vector<uint8_t> left = random(1024), right = random(1024);
    std::vector<int32_t> sums(1024, -1);
    Configuration shape = Configuration().tile(1, rows, words * 4).tile(2, words, columns * 4);
    for (int tile : {0, 3, 4, 5})
      shape.tile(tile, rows, columns * 4);
    multiplyQuads(shape, left.data(), right.data(), reinterpret_cast<uint8_t *>(sums.data()));
    for (size_t kind = 0; kind < 4; ++kind)
      for (int m = 0; m < rows; ++m)
        for (int n = 0; n < columns; ++n) {
          auto number = [](uint8_t byte, bool isSigned) { return isSigned ? int8_t(byte) : byte; };
          int32_t sum = 0;
          for (int k = 0; k < 4 * words; ++k)
            sum += number(left[size_t(64 * m + k)], kind < 2) *
                   number(right[size_t(64 * (k / 4) + 4 * n + k % 4)], kind % 2 == 0);
          EXPECT_EQ(sums[kind * 256 + size_t(16 * m + n)], sum) << kind << ": " << m << ", " << n;
        }
  }
}

RONDO_TILES int32_t addedQuads(int32_t sum, const std::array<uint8_t, 4> &left,
                               const std::array<uint8_t, 4> &right) {
  Configuration shape = Configuration().tile(0, 1, 4).tile(1, 1, 4).tile(2, 1, 4);
  _tile_loadconfig(&shape);
  _tile_loadd(0, &sum, 4);
  _tile_loadd(1, left.data(), 4);
  _tile_loadd(2, right.data(), 4);
  _tile_dpbssd(0, 1, 2);
  _tile_stored(0, &sum, 4);
  _tile_release();
  return sum;
}

TEST_F(TileEmulator, AddsQuadsWithoutSaturation) {
  EXPECT_EQ(addedQuads(10, {1, 2, 3, 0x80}, {4, 5, 6, 0x80}), 10 + 4 + 10 + 18 + 16384);
  EXPECT_EQ(addedQuads(INT_MAX, {1}, {1}), INT_MIN);
  EXPECT_EQ(addedQuads(INT_MIN, {1}, {0xff}), INT_MAX);
}

RONDO_TILES void storeConfiguration(uint8_t *to) { _tile_storeconfig(to); }
RONDO_TILES void loadConfiguration(const Configuration &shape) { _tile_loadconfig(&shape); }
RONDO_TILES void loadTile(const uint8_t *from) { _tile_loadd(2, from, 64); }
RONDO_TILES void storeTile(uint8_t *to) { _tile_stored(2, to, 64); }
RONDO_TILES void zeroTile() { _tile_zero(2); }
RONDO_TILES void release() { _tile_release(); }

TEST_F(TileEmulator, KeepsConfigurationsByThread) {
  Configuration shape = Configuration().tile(0, 3, 8).tile(7, 16, 64);
  loadConfiguration(shape);
  std::vector<uint8_t> own(64, 1), other(64, 1);
  std::thread([&] { storeConfiguration(other.data()); }).join();
  storeConfiguration(own.data());
  release();
  EXPECT_EQ(std::memcmp(own.data(), &shape, 64), 0);
  EXPECT_EQ(other, std::vector<uint8_t>(64));
  storeConfiguration(own.data());
  EXPECT_EQ(own, std::vector<uint8_t>(64));
}

TEST_F(TileEmulator, KeepsTilesByThread) {
  constexpr int threads = 2, times = 20;
  std::barrier together(threads);
  std::vector<uint8_t> from = random(threads * times * 1024), to(from.size());
  auto work = [&](size_t thread) {
    loadConfiguration(Configuration().tile(2, thread ? 16 : 5, thread ? 64 : 12));
    for (size_t i = 0; i < times; ++i) {
      size_t place = (thread * times + i) * 1024;
      loadTile(from.data() + place);
      together.arrive_and_wait();
      storeTile(to.data() + place);
      together.arrive_and_wait();
    }
    release();
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  for (size_t i = 0; i < from.size(); ++i) {
    bool isHeld = i >= times * 1024 || (i % 1024 < 5 * 64 && i % 64 < 12);
    ASSERT_EQ(to[i], isHeld ? from[i] : 0) << i;
  }
}

TEST_F(TileEmulator, ZeroesTiles) {
  std::vector<uint8_t> from = random(1024), to(1024, 0xaa);
  Configuration shape = Configuration().tile(2, 16, 64);
  loadConfiguration(shape);
  loadTile(from.data());
  zeroTile();
  storeTile(to.data());
  EXPECT_EQ(to, std::vector<uint8_t>(1024));
  loadTile(from.data());
  loadConfiguration(shape);
  to.assign(1024, 0xaa);
  storeTile(to.data());
  EXPECT_EQ(to, std::vector<uint8_t>(1024));
  // Palette 0 ends all of it, as a release does.
  Configuration none;
  none.palette = 0, none.startRow = 3;
  loadConfiguration(none);
  to.assign(64, 0xaa);
  storeConfiguration(to.data());
  EXPECT_EQ(to, std::vector<uint8_t>(64));
}

TEST_F(TileEmulator, CountsWhatItCarriesOut) {
  std::vector<uint8_t> bytes(4096);
  auto counts = [] {
    TileCounts now = tileCounts();
    return std::array{now.configurations, now.configurationsRead,
                      now.releases,       now.zeros,
                      now.loads,          now.stores,
                      now.pairs,          now.quads};
  };
  std::array<uint64_t, 8> before = counts(), expected = {3, 1, 3, 4, 6, 6, 1, 4};
  Configuration pairs = Configuration().tile(0, 16, 64).tile(1, 16, 64).tile(2, 16, 64),
                quads = pairs;
  quads.tile(3, 16, 64).tile(4, 16, 64).tile(5, 16, 64);
  multiplyPairs(pairs, bytes.data(), bytes.data(), bytes.data());
  multiplyQuads(quads, bytes.data(), bytes.data(), bytes.data());
  loadFromRow(Configuration().tile(3, 16, 64), bytes.data(), bytes.data() + 1024, bytes.data());
  std::array<uint64_t, 8> after = counts();
  for (size_t i = 0; i < after.size(); ++i)
    EXPECT_EQ(after[i] - before[i], isEmulated() ? expected[i] : 0) << i;
}

/// A processor ends the program with a signal, the emulator with a reason.
#define RONDO_EXPECT_REFUSED(STATEMENT, REASON)                                                    \
  EXPECT_DEATH(STATEMENT, isEmulated() ? "tile emulator: " REASON : "")

TEST_F(TileEmulator, RefusesWhatAProcessorWould) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto bytes = std::vector<uint8_t>(1024);
  auto copy = [&](const Configuration &shape) { copyTile(shape, bytes.data(), 64, bytes.data()); };
  auto multiply = [&](const Configuration &shape) {
    multiplyPairs(shape, bytes.data(), bytes.data(), bytes.data());
  };
  Configuration good = Configuration().tile(3, 16, 64), palette = good, reserved = good,
                start = good;
  copy(good);
  palette.palette = 2, reserved.reserved[13] = 1, start.startRow = 16;
  RONDO_EXPECT_REFUSED(copy(palette), "ldtilecfg: expected palette 0 or 1");
  RONDO_EXPECT_REFUSED(copy(reserved), "ldtilecfg: reserved bytes are not zero");
  RONDO_EXPECT_REFUSED(copy(Configuration(good).tile(8, 1, 4)), "ldtilecfg: reserved bytes");
  RONDO_EXPECT_REFUSED(copy(Configuration().tile(3, 17, 64)), "ldtilecfg: more than 16 rows");
  RONDO_EXPECT_REFUSED(copy(Configuration().tile(3, 16, 68)), "ldtilecfg: more than 16 rows");
  RONDO_EXPECT_REFUSED(copy(Configuration(good).tile(1, 1, 0)), "ldtilecfg: rows without bytes");
  RONDO_EXPECT_REFUSED(copy(Configuration().tile(2, 16, 64)), "a tile is used that is not");
  RONDO_EXPECT_REFUSED(zeroTile(), "a tile is used that is not configured");
  RONDO_EXPECT_REFUSED(copy(start), "a tile is loaded or stored from a row");
  RONDO_EXPECT_REFUSED(copy(Configuration().tile(3, 16, 6)), "a tile is loaded or stored whose");

  Configuration fit = Configuration().tile(0, 4, 8).tile(1, 4, 12).tile(2, 3, 8);
  multiply(fit);
  for (auto [tile, rows, width] :
       {std::array{0, 5, 8}, {0, 4, 4}, {1, 5, 12}, {1, 4, 16}, {2, 2, 8}})
    RONDO_EXPECT_REFUSED(multiply(Configuration(fit).tile(tile, rows, width)),
                         "a product of tiles whose shapes do not fit");
}

TEST_F(TileEmulator, LeavesOtherInstructionsAlone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(asm volatile("ud2"), ::testing::KilledBySignal(SIGILL), "");
  // A tile instruction with fields that have no meaning: tilerelease with another third operand.
  EXPECT_EXIT(asm volatile(".byte 0xc4, 0xe2, 0x70, 0x49, 0xc0"), ::testing::KilledBySignal(SIGILL),
              "");
}

TEST_F(TileEmulator, HandsOtherInstructionsToTheHandlerBefore) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  static int seen = 0;
  auto passed = [&] {
    struct sigaction action = {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t *, void *frame) {
      ++seen;
      static_cast<ucontext_t *>(frame)->uc_mcontext.gregs[REG_RIP] += 2;
    };
    sigaction(SIGILL, &action, nullptr);
    if (isEmulated())
      emulateTiles(), emulateTiles();
    std::vector<uint8_t> from = random(1024), to(1024);
    for (int i = 0; i < 3; ++i) {
      asm volatile("ud2");
      copyTile(Configuration().tile(3, 16, 64), from.data(), 64, to.data());
    }
    return seen == 3 && from == to;
  };
  EXPECT_EXIT(_exit(passed() ? 0 : 1), ::testing::ExitedWithCode(0), "");
}

} // namespace

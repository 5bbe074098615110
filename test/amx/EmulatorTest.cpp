// EmulatorTest.cpp - Tile instructions against formulas.
//
// The same checks hold on a processor that has them: there nothing is emulated.

#include "test/amx/Emulator.h"

#include "runtime/cpu.h"

#include <cstring>
#include <gtest/gtest.h>
#include <immintrin.h>
#include <random>
#include <thread>
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

/// Loads with addresses of all kinds; each leaves the tile at its own place of `to`.
RONDO_TILES void loadByAddresses(const Configuration &shape, const uint8_t *from, uint8_t *to) {
  _tile_loadconfig(&shape);
  int64_t stride = 64;
#define RONDO_LOAD(BASE, INDEX, SCALE, DISPLACEMENT, SHIFT)                                        \
  asm volatile("mov %1, %%" BASE "\n\tmov %2, %%" INDEX "\n\ttileloadd " DISPLACEMENT "(%%" BASE   \
               ",%%" INDEX "," SCALE "), %%tmm6\n\ttilestored %%tmm6, (%0,%3,1)"                   \
               :                                                                                   \
               : "r"(to), "r"(from - (SHIFT)), "r"(stride / std::stoi(SCALE)), "r"(stride)         \
               : BASE, INDEX, "memory");                                                           \
  to += 1024;
  RONDO_LOAD("rbx", "rcx", "1", "", 0)
  RONDO_LOAD("r12", "r13", "4", "", 0)
  RONDO_LOAD("r13", "r12", "2", "0x40", 0x40)
  RONDO_LOAD("r13", "r12", "8", "-0x1000", -0x1000)
#undef RONDO_LOAD
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
  std::vector<uint8_t> from = random(1024), to(4 * 1024);
  loadByAddresses(Configuration().tile(6, 16, 64), from.data(), to.data());
  for (size_t i = 0; i < 4; ++i)
    EXPECT_TRUE(std::equal(from.begin(), from.end(), to.begin() + long(i * 1024))) << i;
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

TEST_F(TileEmulator, FlushesWhatIsTooSmallForPairs) {
  Configuration shape = Configuration().tile(0, 1, 4).tile(1, 1, 4).tile(2, 1, 4);
  std::vector<uint8_t> left(1024), right(1024), sums(1024);
  left[1] = 0x20, right[1] = 0x1f; // 2^-63 * 2^-65: a product with no normal number
  multiplyPairs(shape, left.data(), right.data(), sums.data());
  EXPECT_EQ(std::vector<uint8_t>(sums.begin(), sums.begin() + 4), std::vector<uint8_t>(4));
  left[1] = 0x3f, left[0] = 0x80, right[1] = 0x00, right[0] = 0x7f; // 1 * a denormal
  multiplyPairs(shape, left.data(), right.data(), sums.data());
  EXPECT_EQ(std::vector<uint8_t>(sums.begin(), sums.begin() + 4), std::vector<uint8_t>(4));
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

RONDO_TILES void storeConfiguration(uint8_t *to) { _tile_storeconfig(to); }
RONDO_TILES void loadConfiguration(const Configuration &shape) { _tile_loadconfig(&shape); }
RONDO_TILES void release() { _tile_release(); }

TEST_F(TileEmulator, KeepsRegistersByThread) {
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

TEST_F(TileEmulator, RefusesWhatAProcessorWould) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto bytes = std::vector<uint8_t>(1024);
  EXPECT_DEATH(copyTile(Configuration().tile(3, 17, 64), bytes.data(), 64, bytes.data()), "");
  EXPECT_DEATH(copyTile(Configuration().tile(2, 16, 64), bytes.data(), 64, bytes.data()), "");
  Configuration unfit = Configuration().tile(0, 16, 64).tile(1, 16, 32).tile(2, 16, 64);
  EXPECT_DEATH(multiplyPairs(unfit, bytes.data(), bytes.data(), bytes.data()), "");
  EXPECT_DEATH(asm volatile("ud2"), "");
}

} // namespace

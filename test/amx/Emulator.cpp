// Emulator.cpp - Decodes tile instructions and carries them out.
//
// All of them are VEX-encoded, map 0F38, with the fields of that prefix: C4, inverted bits of
// registers, then W, vvvv, L and pp. The signal's frame has the general registers; vector registers
// and MXCSR come back from it as they were, so the handler may use them.

#include "test/amx/Emulator.h"

#include "runtime/cpu.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <immintrin.h>
#include <unistd.h>

namespace rondo::test {

namespace {

constexpr int tiles = 8, mostRows = 16, mostBytes = 64;

struct Unit {
  uint8_t palette, startRow;
  struct {
    uint16_t bytes;
    uint8_t rows;
  } shape[tiles];
  uint8_t data[tiles][mostRows][mostBytes];
};
// Not made at its first use, which would take a lock inside the handler.
thread_local constinit Unit unit __attribute__((tls_model("initial-exec"))) = {};

std::atomic<uint64_t> configurations, configurationsRead, releases, zeros, loads, stores, pairs,
    quads;
static_assert(std::atomic<uint64_t>::is_always_lock_free, "counted in a signal handler");
struct sigaction before;

void count(std::atomic<uint64_t> &kind) { kind.fetch_add(1, std::memory_order_relaxed); }

[[noreturn]] void refuse(const char *why) {
  constexpr char name[] = "tile emulator: ";
  (void)!write(STDERR_FILENO, name, sizeof name - 1);
  (void)!write(STDERR_FILENO, why, std::strlen(why));
  (void)!write(STDERR_FILENO, "\n", 1);
  std::abort();
}

/// One instruction: its bytes so far, and the registers that it names.
struct Decoder {
  const uint8_t *at;
  const greg_t *registers;
  bool r = false, x = false, b = false;

  uint64_t general(int number) const {
    static constexpr int places[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                     REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                     REG_R12, REG_R13, REG_R14, REG_R15};
    return static_cast<uint64_t>(registers[places[number]]);
  }
  template <typename T> T next() {
    T value;
    std::memcpy(&value, at, sizeof value);
    at += sizeof value;
    return value;
  }
  struct Memory {
    uint64_t address = 0, index = 0;
  };
  /// The memory operand behind `modrm`; an index is kept apart, for tiles it is the stride.
  Memory memory(uint8_t modrm) {
    Memory result;
    int mode = modrm >> 6, low = modrm & 7;
    bool isRelative = false, isAbsolute = false;
    if (low == 4) {
      uint8_t sib = next<uint8_t>();
      int index = (sib >> 3 & 7) | (x ? 8 : 0);
      if (index != 4)
        result.index = general(index) << (sib >> 6);
      low = sib & 7;
      isAbsolute = low == 5 && mode == 0;
    } else {
      isRelative = low == 5 && mode == 0;
    }
    if (!isRelative && !isAbsolute)
      result.address = general(low | (b ? 8 : 0));
    if (mode == 1)
      result.address += static_cast<uint64_t>(int64_t(next<int8_t>()));
    else if (mode == 2 || isRelative || isAbsolute)
      result.address += static_cast<uint64_t>(int64_t(next<int32_t>()));
    if (isRelative)
      result.address += reinterpret_cast<uint64_t>(at);
    return result;
  }
};

void configure(const uint8_t *from) {
  Unit next{};
  if (from[0] > 1)
    refuse("ldtilecfg: expected palette 0 or 1");
  // Palette 0 is the state of the beginning, whatever else is given.
  if (from[0] == 1) {
    next.palette = 1;
    next.startRow = from[1];
    auto isZero = [&](int begin, int end) {
      return std::all_of(from + begin, from + end, [](uint8_t byte) { return byte == 0; });
    };
    if (!isZero(2, 16) || !isZero(32, 48) || !isZero(56, 64))
      refuse("ldtilecfg: reserved bytes are not zero");
    for (int i = 0; i < tiles; ++i) {
      std::memcpy(&next.shape[i].bytes, from + 16 + 2 * i, 2);
      next.shape[i].rows = from[48 + i];
      if (next.shape[i].bytes > mostBytes || next.shape[i].rows > mostRows)
        refuse("ldtilecfg: more than 16 rows of 64 bytes");
      if ((next.shape[i].bytes == 0) != (next.shape[i].rows == 0))
        refuse("ldtilecfg: rows without bytes, or bytes without rows");
    }
  }
  unit = next;
}

void storeConfiguration(uint8_t *to) {
  std::memset(to, 0, 64);
  to[0] = unit.palette;
  to[1] = unit.startRow;
  for (int i = 0; i < tiles; ++i) {
    std::memcpy(to + 16 + 2 * i, &unit.shape[i].bytes, 2);
    to[48 + i] = unit.shape[i].rows;
  }
}

void mustBeConfigured(int tile) {
  if (tile >= tiles || !unit.palette || !unit.shape[tile].rows)
    refuse("a tile is used that is not configured");
}

/// A tile goes to or comes from memory from the row on at which it was interrupted.
void mustBeMovable(int tile) {
  mustBeConfigured(tile);
  if (unit.shape[tile].bytes % 4)
    refuse("a tile is loaded or stored whose rows are not of whole words");
  if (unit.startRow >= unit.shape[tile].rows)
    refuse("a tile is loaded or stored from a row on that it does not have");
}

float ofBfloat(const uint8_t *from) {
  uint16_t half;
  std::memcpy(&half, from, 2);
  uint32_t bits = uint32_t(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// Rounds to nearest and takes denormals as zeros, in operands and results. The processor's own
/// mode does so here: whether a result is too small is asked after it was rounded as if exponents
/// had no end, which cannot be seen of the result any more.
constexpr unsigned modeOfProducts = 0x1f80 | _MM_FLUSH_ZERO_ON | 0x40 /* denormals are zeros */;

/// The products with even and with odd k are summed apart, each by fused multiply-adds.
float dotPairs(float sum, const uint8_t *row, const uint8_t (*panel)[mostBytes], int column,
               int words) {
  float halves[2] = {0, 0};
  for (int k = 0; k < words; ++k)
    for (int half = 0; half < 2; ++half)
      halves[half] = std::fma(ofBfloat(row + 4 * k + 2 * half),
                              ofBfloat(panel[k] + 4 * column + 2 * half), halves[half]);
  return sum + (halves[0] + halves[1]);
}

int32_t dotQuads(int32_t sum, const uint8_t *row, const uint8_t (*panel)[mostBytes], int column,
                 int words, bool signedRow, bool signedPanel) {
  auto number = [](uint8_t byte, bool isSigned) { return isSigned ? int8_t(byte) : int(byte); };
  auto wrapped = static_cast<uint32_t>(sum);
  for (int k = 0; k < words; ++k)
    for (int i = 0; i < 4; ++i)
      wrapped += static_cast<uint32_t>(number(row[4 * k + i], signedRow) *
                                       number(panel[k][4 * column + i], signedPanel));
  return static_cast<int32_t>(wrapped);
}

/// sums += rows x panel; pp says which kind of bytes they are of.
void multiply(int sums, int rows, int panel, bool isPairs, int pp) {
  for (int tile : {sums, rows, panel})
    mustBeConfigured(tile);
  if (sums == rows || sums == panel || rows == panel)
    refuse("a product of tiles names one of them twice");
  int words = unit.shape[rows].bytes / 4, columns = unit.shape[sums].bytes / 4;
  if (unit.shape[rows].bytes % 4 || unit.shape[sums].bytes % 4 ||
      unit.shape[sums].rows != unit.shape[rows].rows || unit.shape[panel].rows != words ||
      unit.shape[panel].bytes != unit.shape[sums].bytes)
    refuse("a product of tiles whose shapes do not fit");
  for (int m = 0; m < mostRows; ++m) {
    if (m >= unit.shape[sums].rows) {
      std::memset(unit.data[sums][m], 0, mostBytes);
      continue;
    }
    for (int n = 0; n < columns; ++n) {
      uint8_t *place = unit.data[sums][m] + 4 * n;
      if (isPairs) {
        float sum;
        std::memcpy(&sum, place, 4);
        sum = dotPairs(sum, unit.data[rows][m], unit.data[panel], n, words);
        std::memcpy(place, &sum, 4);
      } else {
        int32_t sum;
        std::memcpy(&sum, place, 4);
        sum = dotQuads(sum, unit.data[rows][m], unit.data[panel], n, words, pp == 3 || pp == 2,
                       pp == 3 || pp == 1);
        std::memcpy(place, &sum, 4);
      }
    }
    std::memset(unit.data[sums][m] + unit.shape[sums].bytes, 0,
                size_t(mostBytes - unit.shape[sums].bytes));
  }
  unit.startRow = 0;
  count(isPairs ? pairs : quads);
}

void move(int tile, Decoder::Memory memory, bool isStore) {
  mustBeMovable(tile);
  auto bytes = size_t(unit.shape[tile].bytes);
  for (int row = unit.startRow; row < mostRows; ++row) {
    uint8_t *held = unit.data[tile][row];
    auto *place =
        reinterpret_cast<uint8_t *>(memory.address + static_cast<uint64_t>(row) * memory.index);
    if (row >= unit.shape[tile].rows) {
      if (!isStore)
        std::memset(held, 0, mostBytes);
    } else if (isStore) {
      std::memcpy(place, held, bytes);
    } else {
      std::memcpy(held, place, bytes);
      std::memset(held + bytes, 0, mostBytes - bytes);
    }
  }
  unit.startRow = 0;
  count(isStore ? stores : loads);
}

/// Carries out the instruction at `from`; null where it is no tile instruction, else what is behind
/// it. Not inlined: its arithmetic must not move to before the mode of its caller.
[[gnu::noinline]] const uint8_t *carryOut(const uint8_t *from, const greg_t *registers) {
  Decoder in{from, registers};
  if (in.next<uint8_t>() != 0xc4)
    return nullptr;
  uint8_t high = in.next<uint8_t>(), low = in.next<uint8_t>(), opcode = in.next<uint8_t>();
  in.r = !(high & 0x80), in.x = !(high & 0x40), in.b = !(high & 0x20);
  int pp = low & 3, third = ~(low >> 3) & 15;
  if ((high & 0x1f) != 2 || (low & 0x84))
    return nullptr;
  uint8_t modrm = in.next<uint8_t>();
  bool isRegister = modrm >> 6 == 3;
  int reg = (modrm >> 3 & 7) | (in.r ? 8 : 0), rm = (modrm & 7) | (in.b ? 8 : 0);
  // Where there is no third operand its field is all ones, of which `third` is the inverse.
  bool isPlain = third == 0;
  if (opcode == 0x49 && isRegister && isPlain && pp == 3 && rm == 0) {
    mustBeConfigured(reg);
    std::memset(unit.data[reg], 0, sizeof unit.data[reg]);
    unit.startRow = 0;
    count(zeros);
  } else if (opcode == 0x49 && isRegister && isPlain && pp == 0 && reg == 0 && rm == 0) {
    unit = Unit{};
    count(releases);
  } else if (opcode == 0x49 && !isRegister && isPlain && reg == 0 && pp <= 1) {
    Decoder::Memory memory = in.memory(modrm);
    auto *bytes = reinterpret_cast<uint8_t *>(memory.address + memory.index);
    if (pp == 0)
      configure(bytes);
    else
      storeConfiguration(bytes);
    count(pp == 0 ? configurations : configurationsRead);
  } else if (opcode == 0x4b && !isRegister && isPlain && (modrm & 7) == 4 && pp != 0) {
    move(reg, in.memory(modrm), pp == 2);
  } else if ((opcode == 0x5c && pp == 2) || opcode == 0x5e) {
    if (!isRegister)
      return nullptr;
    multiply(reg, rm, third, opcode == 0x5c, pp);
  } else {
    return nullptr;
  }
  return in.at;
}

void handle(int signal, siginfo_t *info, void *frame) {
  greg_t *registers = static_cast<ucontext_t *>(frame)->uc_mcontext.gregs;
  auto *from = reinterpret_cast<const uint8_t *>(registers[REG_RIP]);
  unsigned mode = _mm_getcsr();
  _mm_setcsr(modeOfProducts);
  const uint8_t *behind = carryOut(from, registers);
  _mm_setcsr(mode);
  if (behind) {
    registers[REG_RIP] = reinterpret_cast<greg_t>(behind);
  } else if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(signal, info, frame);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    // Again, and to the end of the program.
    sigaction(SIGILL, &before, nullptr);
  }
}

} // namespace

TileCounts tileCounts() {
  return {configurations, configurationsRead, releases, zeros, loads, stores, pairs, quads};
}

void emulateTiles() {
  struct sigaction action = {}, installed = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGILL, nullptr, &installed) != 0)
    refuse("sigaction: no handler could be read");
  if (installed.sa_sigaction == handle)
    return;
  before = installed;
  if (sigaction(SIGILL, &action, nullptr) != 0)
    refuse("sigaction: no handler could be installed");
}

void provideTileLevel() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("amx-tile"))
    return;
  emulateTiles();
  provideTiles();
}

} // namespace rondo::test

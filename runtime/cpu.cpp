// cpu.cpp - Which levels of the instruction set this machine has.

#include "runtime/cpu.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace rondo {

namespace {
bool tilesAreProvided = false;

/// Whether this process may use tile registers.
bool mayUseTiles() {
#if defined(__x86_64__) && defined(__linux__)
  // Documentation/arch/x86/xstate.rst of Linux: ARCH_REQ_XCOMP_PERM for XTILEDATA. Kernels that
  // know nothing of it refuse.
  constexpr int request = 0x1023, tileData = 18;
  static const bool allowed =
      __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
      __builtin_cpu_supports("amx-int8") && ::syscall(SYS_arch_prctl, request, tileData) == 0;
  return allowed || tilesAreProvided;
#else
  return false;
#endif
}
} // namespace

void provideTiles() { tilesAreProvided = true; }

const std::vector<std::string> &isaNames() {
  static const std::vector<std::string> names{"x86-64-v4-amx", "x86-64-v4-bf16", "x86-64-v4",
                                              "x86-64-v3"};
  return names;
}

std::vector<std::string> supportedIsas() {
  std::vector<std::string> levels;
#if defined(__x86_64__)
  __builtin_cpu_init();
  // These ask cpuid for every feature of the level and xgetbv for the registers that the operating
  // system saves.
  bool v4 = __builtin_cpu_supports("x86-64-v4");
  bool dots = v4 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
  if (dots && mayUseTiles())
    levels.push_back("x86-64-v4-amx");
  if (dots)
    levels.push_back("x86-64-v4-bf16");
  if (v4)
    levels.push_back("x86-64-v4");
  if (__builtin_cpu_supports("x86-64-v3"))
    levels.push_back("x86-64-v3");
#endif
  return levels;
}

bool roundsFactors(std::string_view isa) {
  return isa == "x86-64-v4-amx" || isa == "x86-64-v4-bf16";
}

} // namespace rondo

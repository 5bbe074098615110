// cpu.cpp - Which levels of the instruction set this machine has.

#include "runtime/cpu.h"

namespace rondo {

const std::vector<std::string> &isaNames() {
  static const std::vector<std::string> names{"x86-64-v4-bf16", "x86-64-v4", "x86-64-v3"};
  return names;
}

std::vector<std::string> supportedIsas() {
  std::vector<std::string> levels;
#if defined(__x86_64__)
  __builtin_cpu_init();
  // These ask cpuid for every feature of the level and xgetbv for the registers that the operating
  // system saves.
  bool v4 = __builtin_cpu_supports("x86-64-v4");
  if (v4 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni"))
    levels.push_back("x86-64-v4-bf16");
  if (v4)
    levels.push_back("x86-64-v4");
  if (__builtin_cpu_supports("x86-64-v3"))
    levels.push_back("x86-64-v3");
#endif
  return levels;
}

bool roundsFactors(std::string_view isa) { return isa == "x86-64-v4-bf16"; }

} // namespace rondo

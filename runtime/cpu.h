// cpu.h - Which levels of the instruction set this machine has.

#ifndef RONDO_RUNTIME_CPU_H
#define RONDO_RUNTIME_CPU_H

#include <string>
#include <vector>

namespace rondo {

/// The levels that the processor and the operating system support, best first: of "x86-64-v4"
/// (AVX-512), "x86-64-v3" (AVX2 and FMA).
std::vector<std::string> supportedIsas();

} // namespace rondo

#endif // RONDO_RUNTIME_CPU_H

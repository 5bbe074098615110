// cpu.h - Which levels of the instruction set this machine has.

#ifndef RONDO_RUNTIME_CPU_H
#define RONDO_RUNTIME_CPU_H

#include <string>
#include <string_view>
#include <vector>

namespace rondo {

/// Every level that kernels can be made for, best first: "x86-64-v4-amx" (the next one with tile
/// registers: AMX_TILE, AMX_BF16 and AMX_INT8), "x86-64-v4-bf16" (AVX-512 with dot products of bf16
/// and of bytes: AVX512_BF16 and AVX512_VNNI), "x86-64-v4" (AVX-512), "x86-64-v3" (AVX2 and FMA).
const std::vector<std::string> &isaNames();

/// Those that the processor and the operating system support, best first. Tile registers are asked
/// for at the first call: Linux gives them to a process that does.
std::vector<std::string> supportedIsas();

/// Counts tile registers as supported from now on, where AVX-512 has dot products: for programs
/// that carry out their instructions themselves. Before any other thread uses this header.
void provideTiles();

/// Whether kernels of this level multiply pairs of bf16, and so round both factors of a product
/// with weights of bf16.
bool roundsFactors(std::string_view isa);

} // namespace rondo

#endif // RONDO_RUNTIME_CPU_H

//===- Isa.h - What code generation knows of a CPU level ------------------===//

#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>

namespace rondo::cpu {

/// One level of the instruction set that kernels are emitted for. The runtime picks the highest one
/// that the machine has (runtime/cpu.h).
struct Isa {
  llvm::StringRef name;   ///< "x86-64-v3": LLVM's name of the CPU level, and the one in packages
  llvm::StringRef suffix; ///< of kernel symbols
  int64_t lanes;          ///< f32 values in a vector register
  int64_t registerBits;   ///< prefer-vector-width
  int64_t productRows;    ///< rows of a product's register tile, two vectors wide
};

/// AVX2 and FMA: 16 registers of 8 lanes; a 6x16 tile takes 12 accumulators, 2 loads and a
/// broadcast.
inline constexpr Isa v3{"x86-64-v3", "v3", 8, 256, 6};
/// AVX-512: 32 registers of 16 lanes; an 8x32 tile takes 16 accumulators, 2 loads and broadcasts
/// from memory.
inline constexpr Isa v4{"x86-64-v4", "v4", 16, 512, 8};

inline constexpr Isa allIsas[] = {v3, v4};

} // namespace rondo::cpu

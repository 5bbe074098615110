//===- Isa.h - What code generation knows of a CPU level ------------------===//
//
// A level is a name in packages, and what LLVM is told: a CPU and features beside it. A level that
// adds instructions for some kernels alone extends another one, its base: kernels that would be the
// same at both have a variant for the base only, and the runtime takes that one.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>

namespace rondo::cpu {

/// One level of the instruction set that kernels are emitted for. The runtime picks, kernel by
/// kernel, the highest one that the machine has (runtime/cpu.h).
struct Isa {
  llvm::StringRef name;      ///< in packages: "x86-64-v4-bf16"
  llvm::StringRef suffix;    ///< of kernel symbols
  llvm::StringRef cpu;       ///< LLVM's name of the CPU
  llvm::StringRef features;  ///< that LLVM may use beside the CPU's: "+avx512bf16"; may be empty
  int64_t lanes;             ///< f32 values in a vector register
  int64_t registerBits;      ///< prefer-vector-width
  int64_t productRows;       ///< rows of a product's register tile, two vectors wide
  const Isa *base = nullptr; ///< the level that this one extends
  bool dotPairs = false;     ///< sums of two products of bf16 in each lane (vdpbf16ps)
  bool dotBytes = false;     ///< sums of four products of bytes in each lane (vpdpbusd)
  bool tiles = false;        ///< products of matrices in tile registers (Tiles.h)

  /// The level whose vectors and tiles this one shares: itself, or the last of its bases.
  const Isa &root() const { return base ? base->root() : *this; }
};

/// AVX2 and FMA: 16 registers of 8 lanes; a 6x16 tile takes 12 accumulators, 2 loads and a
/// broadcast.
inline constexpr Isa v3{"x86-64-v3", "v3", "x86-64-v3", "", 8, 256, 6};
/// AVX-512: 32 registers of 16 lanes; an 8x32 tile takes 16 accumulators, 2 loads and broadcasts
/// from memory.
inline constexpr Isa v4{"x86-64-v4", "v4", "x86-64-v4", "", 16, 512, 8};
/// The same with dot products of bf16 and of bytes.
inline constexpr Isa v4bf16{"x86-64-v4-bf16",
                            "v4bf16",
                            "x86-64-v4",
                            "+avx512bf16,+avx512vnni",
                            16,
                            512,
                            8,
                            &v4,
                            true,
                            true};

/// The same with tile registers, for products of bf16 and of bytes.
inline constexpr Isa v4amx{"x86-64-v4-amx",
                           "v4amx",
                           "x86-64-v4",
                           "+avx512bf16,+avx512vnni,+amx-tile,+amx-bf16,+amx-int8",
                           16,
                           512,
                           8,
                           &v4bf16,
                           true,
                           true,
                           true};

/// All levels, the lowest first.
inline constexpr const Isa *allIsas[] = {&v3, &v4, &v4bf16, &v4amx};

/// Null for a name that is none.
inline const Isa *isaNamed(llvm::StringRef name) {
  for (const Isa *isa : allIsas)
    if (isa->name == name)
      return isa;
  return nullptr;
}

} // namespace rondo::cpu

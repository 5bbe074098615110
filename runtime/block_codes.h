// block_codes.h - Numbers of few bits in blocks of bytes that hold their scales, as GGUF files do.
//
// The codes, by the names and numbers that such files give them
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md):
//
//   Q4_0, Q5_0, Q8_0          32 integers, one f16 scale: (q - 8), (q - 16) or q times the scale
//   Q4_1, Q5_1                32 integers, f16 scale and offset: q * scale + offset
//   Q4_K, Q5_K                256 integers: eight groups of 32, each with a scale and an offset of
//                             6 bits, two f16 that these are multiplied by
//   Q6_K                      256 integers (q - 32): sixteen groups of 16, each with a scale of 8
//                             bits, one f16 that these are multiplied by
//
// A number's value is what its formula gives when it is evaluated in f32.

#ifndef RONDO_RUNTIME_BLOCK_CODES_H
#define RONDO_RUNTIME_BLOCK_CODES_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rondo {

struct BlockCode {
  std::string_view name;
  uint32_t type;   ///< as a file says it
  int64_t numbers; ///< of a block
  int64_t bytes;   ///< of a block
  /// One block to its numbers.
  void (*decode)(const std::byte *block, float *numbers);
};

/// Null: there is none of that name or type.
const BlockCode *blockCodeNamed(std::string_view name);
const BlockCode *blockCodeOf(uint32_t type);
std::span<const BlockCode> blockCodes();

/// The name under which a reader offers the blocks of tensor `name`: U8, the last axis a block's
/// bytes.
std::string nameOfBlocks(std::string_view name, const BlockCode &code);

} // namespace rondo

#endif // RONDO_RUNTIME_BLOCK_CODES_H

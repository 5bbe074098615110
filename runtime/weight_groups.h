// weight_groups.h - Matrices stored in 8 or 4 bits a number, by groups that share a scale.
//
// 32 consecutive columns k of one row n are a group: number = q * scale, where q is an integer,
// -127..127 in 8 bits or -8..7 in 4, and the scale an f16, times a power of two that all groups of
// the matrix share so that small scales keep their digits.
//
//   64 bytes: the power of two as f32, zeros
//   [ceil(n / 32)][ceil(k / 32)] of
//     [32] f16      the scales of 32 rows
//     [8][32][4]    8 bits: q + 128 of 32 rows, four k side by side
//     [4][32][4]    4 bits: q + 8; k in the lower halves of the bytes, k + 16 in the upper ones
//
// Beyond n and k scales or q are 0. Integers are stored with an offset because the dot product of
// four bytes takes one operand without a sign.

#ifndef RONDO_RUNTIME_WEIGHT_GROUPS_H
#define RONDO_RUNTIME_WEIGHT_GROUPS_H

#include "runtime/error.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace rondo {

/// Columns that share a scale, and rows of a panel.
constexpr int64_t groupDepth = 32, groupPanel = 32;
/// Bytes in front of the first panel.
constexpr int64_t groupHeader = 64;

/// Bytes of the groups of 32 rows with the same columns.
constexpr int64_t groupBytes(int bits) { return groupPanel * (2 + groupDepth * bits / 8); }

/// One group: the integers of `numbers` (at most 32), and their scale. `bits` is 8 or 4.
struct Group {
  int8_t q[groupDepth] = {};
  float scale = 0;
};
/// The scale is that of the smallest squared error among those tried (4 bits), or the largest
/// magnitude's 127th part (8 bits), rounded to f16 after division by `unit`. Numbers that are such
/// integers times such a scale already are kept.
Group quantiseGroup(std::span<const float> numbers, int bits, float unit);

/// Bytes of a matrix; nothing when they do not fit.
std::optional<uint64_t> bytesOfGroups(std::span<const int64_t> shape, int bits);
/// From row-major f32. An error where a number is not finite.
Result<std::vector<std::byte>> packGroups(std::span<const std::byte> rows,
                                          std::span<const int64_t> shape, int bits);
/// The numbers that `packed`, of bytesOfGroups bytes, stands for, row-major.
void unpackGroups(std::span<const std::byte> packed, std::span<const int64_t> shape, int bits,
                  std::span<float> rows);

} // namespace rondo

#endif // RONDO_RUNTIME_WEIGHT_GROUPS_H

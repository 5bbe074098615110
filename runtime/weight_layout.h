// weight_layout.h - How weights lie in a package, and what of their numbers is kept.
//
//   rows      row-major f32
//   panels32  of a matrix [n, k]: [ceil(n / 32)][k][32] f32, zeros beyond n
//   halves32  the same in bf16, rounded to nearest, ties to even
//   pairs32   of a matrix [n, k]: [ceil(n / 32)][ceil(k / 2)][32][2] bf16; zeros beyond n and k
//   bytes32   of a matrix [n, k]: integers of 8 bits by groups that share a scale (weight_groups.h)
//   nibbles32 the same with 4 bits
//
// Of [e, n, k]: e such matrices, one after the other.
//
// A layout says the element type too, so that a name is all that compiler and runtime exchange.

#ifndef RONDO_RUNTIME_WEIGHT_LAYOUT_H
#define RONDO_RUNTIME_WEIGHT_LAYOUT_H

#include "runtime/tensor.h"

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace rondo {

/// "rows, panels32, ... or nibbles32"
std::string weightLayoutNames();
bool isWeightLayout(std::string_view layout);
/// Whether numbers are integers with scales.
bool isOfIntegers(std::string_view layout);
/// The element type that real numbers have in `layout`.
DType storedType(std::string_view layout);
/// Bytes of a weight of this logical shape. Nothing when the layout is unknown, is not for this
/// rank or element type, or the size does not fit.
std::optional<uint64_t> packedBytes(DType stored, std::span<const int64_t> shape,
                                    std::string_view layout);
/// From row-major f32 to `layout`, and back to row-major numbers of the stored type, or to f32
/// where integers have scales.
Result<std::vector<std::byte>> packWeight(const TensorView &rows, std::string_view layout);
Result<Tensor> unpackWeight(std::string name, DType stored, std::vector<int64_t> shape,
                            std::string_view layout, std::span<const std::byte> packed);

} // namespace rondo

#endif // RONDO_RUNTIME_WEIGHT_LAYOUT_H

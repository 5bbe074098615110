// tensor.h - Element types, sizes that cannot overflow, and a named view of a tensor in memory.
//
// Every size that comes from a file is computed with the functions here: a product or sum that does
// not fit is reported, never wrapped.

#ifndef RONDO_RUNTIME_TENSOR_H
#define RONDO_RUNTIME_TENSOR_H

#include "runtime/error.h"

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

enum class DType : int8_t { F32, F64, BF16, F16, I8, I32, I64, U8, I16, Bool, F8E4M3, F8E5M2 };

/// Bytes of one element.
size_t bytesOf(DType dtype);
/// As safetensors spells it: "F32", "BF16", "BOOL", ...
std::string_view nameOf(DType dtype);
std::optional<DType> dtypeNamed(std::string_view name);

std::optional<uint64_t> checkedMul(uint64_t a, uint64_t b);
std::optional<uint64_t> checkedAdd(uint64_t a, uint64_t b);
/// The product of extents that are each at least zero; nothing when one is negative or the product
/// exceeds 2^62.
std::optional<int64_t> elementsOf(std::span<const int64_t> shape);
/// Bytes of a tensor; nothing when that does not fit.
std::optional<uint64_t> bytesOf(DType dtype, std::span<const int64_t> shape);
/// "[2, 37]"
std::string printShape(std::span<const int64_t> shape);

/// A tensor in memory that somebody else keeps alive; row-major, not necessarily aligned for its
/// type.
struct TensorView {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  std::string file; // where it was read from, for messages

  int64_t elements() const { return static_cast<int64_t>(bytes.size() / bytesOf(dtype)); }
};

/// Memory from a multiple of 64 bytes on: vectors that cross lines of the cache take two reads.
template <class T> struct LineAligned {
  using value_type = T;
  static constexpr std::align_val_t line{64};
  LineAligned() = default;
  template <class U> LineAligned(const LineAligned<U> &) {}
  T *allocate(size_t count) { return static_cast<T *>(::operator new(count * sizeof(T), line)); }
  void deallocate(T *memory, size_t) { ::operator delete(memory, line); }
  friend bool operator==(const LineAligned &, const LineAligned &) { return true; }
};

/// A tensor that owns its elements.
struct Tensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::vector<std::byte, LineAligned<std::byte>> bytes;

  TensorView view() const { return {name, dtype, shape, bytes, {}}; }
  template <class T> std::span<T> as() {
    return {reinterpret_cast<T *>(bytes.data()), bytes.size() / sizeof(T)};
  }
  template <class T> std::span<const T> as() const {
    return {reinterpret_cast<const T *>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

/// A zeroed tensor, or an error when its size does not fit.
Result<Tensor> makeTensor(std::string name, DType dtype, std::vector<int64_t> shape);

/// Element conversions. Every stored type converts to real numbers; only integers and BOOL convert
/// to i64.
Result<std::vector<float>> toF32(const TensorView &tensor);
Result<std::vector<double>> toF64(const TensorView &tensor);
Result<std::vector<int64_t>> toI64(const TensorView &tensor);

float halfToFloat(uint16_t bits);
float bfloatToFloat(uint16_t bits);
/// Numbers of 8 bits (arXiv 2209.05433): four bits of exponent, without infinities, and five.
float e4m3ToFloat(uint8_t bits);
float e5m2ToFloat(uint8_t bits);
/// Rounds to nearest, ties to even; NaN stays NaN.
uint16_t floatToBfloat(float value);
uint16_t floatToHalf(float value);

} // namespace rondo

#endif // RONDO_RUNTIME_TENSOR_H

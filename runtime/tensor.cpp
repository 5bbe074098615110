// tensor.cpp - Element types, sizes that cannot overflow, conversions.

#include "runtime/tensor.h"

#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace rondo {

namespace {

struct TypeInfo {
  DType dtype;
  std::string_view name;
  size_t bytes;
};
constexpr TypeInfo types[] = {
    {DType::F32, "F32", 4},   {DType::F64, "F64", 8},        {DType::BF16, "BF16", 2},
    {DType::F16, "F16", 2},   {DType::I8, "I8", 1},          {DType::I32, "I32", 4},
    {DType::I64, "I64", 8},   {DType::U8, "U8", 1},          {DType::I16, "I16", 2},
    {DType::Bool, "BOOL", 1}, {DType::F8E4M3, "F8_E4M3", 1}, {DType::F8E5M2, "F8_E5M2", 1},
};

const TypeInfo &info(DType dtype) { return types[static_cast<size_t>(dtype)]; }

/// Elements of a mapped file need not be aligned for their type: each is copied out.
template <class Stored, class To, class Convert>
std::vector<To> convertAll(const TensorView &tensor, Convert convert) {
  std::vector<To> result(tensor.bytes.size() / sizeof(Stored));
  const std::byte *at = tensor.bytes.data();
  for (To &element : result) {
    Stored stored;
    std::memcpy(&stored, at, sizeof stored);
    at += sizeof stored;
    element = static_cast<To>(convert(stored));
  }
  return result;
}

template <class To> Result<std::vector<To>> toReal(const TensorView &tensor) {
  auto same = [](auto x) { return x; };
  switch (tensor.dtype) {
  case DType::F32:
    return convertAll<float, To>(tensor, same);
  case DType::F64:
    return convertAll<double, To>(tensor, same);
  case DType::BF16:
    return convertAll<uint16_t, To>(tensor, bfloatToFloat);
  case DType::F16:
    return convertAll<uint16_t, To>(tensor, halfToFloat);
  case DType::I8:
    return convertAll<int8_t, To>(tensor, same);
  case DType::I16:
    return convertAll<int16_t, To>(tensor, same);
  case DType::I32:
    return convertAll<int32_t, To>(tensor, same);
  case DType::I64:
    return convertAll<int64_t, To>(tensor, same);
  case DType::U8:
  case DType::Bool:
    return convertAll<uint8_t, To>(tensor, same);
  case DType::F8E4M3:
    return convertAll<uint8_t, To>(tensor, e4m3ToFloat);
  case DType::F8E5M2:
    return convertAll<uint8_t, To>(tensor, e5m2ToFloat);
  }
  return Error{fmt::format("{}: tensor '{}': unknown element type", tensor.file, tensor.name)};
}

} // namespace

size_t bytesOf(DType dtype) { return info(dtype).bytes; }
std::string_view nameOf(DType dtype) { return info(dtype).name; }

std::optional<DType> dtypeNamed(std::string_view name) {
  for (const TypeInfo &type : types)
    if (type.name == name)
      return type.dtype;
  return std::nullopt;
}

std::optional<uint64_t> checkedMul(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product))
    return std::nullopt;
  return product;
}

std::optional<uint64_t> checkedAdd(uint64_t a, uint64_t b) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum))
    return std::nullopt;
  return sum;
}

std::optional<int64_t> elementsOf(std::span<const int64_t> shape) {
  // A zero anywhere makes the product zero, but the other extents must still be sensible.
  uint64_t product = 1;
  bool zero = false;
  for (int64_t extent : shape) {
    if (extent < 0)
      return std::nullopt;
    if (extent == 0) {
      zero = true;
      continue;
    }
    auto next = checkedMul(product, static_cast<uint64_t>(extent));
    if (!next || *next > (uint64_t(1) << 62))
      return std::nullopt;
    product = *next;
  }
  return zero ? 0 : static_cast<int64_t>(product);
}

std::optional<uint64_t> bytesOf(DType dtype, std::span<const int64_t> shape) {
  auto elements = elementsOf(shape);
  if (!elements)
    return std::nullopt;
  return checkedMul(static_cast<uint64_t>(*elements), bytesOf(dtype));
}

std::string printShape(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Result<Tensor> makeTensor(std::string name, DType dtype, std::vector<int64_t> shape) {
  auto bytes = bytesOf(dtype, shape);
  if (!bytes || *bytes > (uint64_t(1) << 46))
    return Error{fmt::format("tensor '{}' {}: found a size that does not fit into memory", name,
                             printShape(shape))};
  Tensor tensor{std::move(name), dtype, std::move(shape), {}};
  tensor.bytes.resize(*bytes);
  return tensor;
}

Result<std::vector<float>> toF32(const TensorView &tensor) { return toReal<float>(tensor); }
Result<std::vector<double>> toF64(const TensorView &tensor) { return toReal<double>(tensor); }

Result<std::vector<int64_t>> toI64(const TensorView &tensor) {
  switch (tensor.dtype) {
  case DType::I8:
  case DType::I16:
  case DType::I32:
  case DType::I64:
  case DType::U8:
  case DType::Bool:
    return toReal<int64_t>(tensor);
  default:
    return Error{fmt::format("{}: tensor '{}': found {}, expected an integer type", tensor.file,
                             tensor.name, nameOf(tensor.dtype))};
  }
}

float bfloatToFloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

float halfToFloat(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = (bits >> 10) & 31,
           mantissa = bits & 1023;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent != 0)
    return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  float magnitude = static_cast<float>(mantissa) * 0x1p-24f; // subnormal or zero: exact
  return sign ? -magnitude : magnitude;
}

float e4m3ToFloat(uint8_t bits) {
  uint32_t sign = uint32_t(bits & 0x80) << 24, exponent = (bits >> 3) & 15, mantissa = bits & 7;
  if (exponent == 15 && mantissa == 7)
    return std::bit_cast<float>(sign | 0x7fc00000);
  if (exponent != 0)
    return std::bit_cast<float>(sign | (exponent + 120) << 23 | mantissa << 20);
  float magnitude = static_cast<float>(mantissa) * 0x1p-9f; // subnormal or zero: exact
  return sign ? -magnitude : magnitude;
}

// The upper half of an f16.
float e5m2ToFloat(uint8_t bits) { return halfToFloat(static_cast<uint16_t>(bits << 8)); }

uint16_t floatToBfloat(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t floatToHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000)
    return sign | 0x7e00;
  if (bits >= 0x477ff000) // rounds to 2^16 or more
    return sign | 0x7c00;
  if (bits < 0x38800000) {
    // Below the least normal half: adding 1/2 leaves the rounded multiple of 2^-24 in the low
    // mantissa bits.
    float shifted = std::bit_cast<float>(bits) + 0.5f;
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) - 0x3f000000);
  }
  return sign | static_cast<uint16_t>((bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13);
}

} // namespace rondo

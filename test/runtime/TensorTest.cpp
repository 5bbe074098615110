// TensorTest.cpp - Sizes never wrap, and conversions are exact where they can be.

#include "runtime/tensor.h"
#include "test/runtime/Scratch.h"

#include <cmath>
#include <cstring>
#include <limits>

using namespace rondo;

TEST(Tensor, NumbersOfEightBits) {
  // Four bits of exponent: 2^-9 to 448, one pattern of each sign is no number.
  EXPECT_EQ(e4m3ToFloat(0x00), 0.0f);
  EXPECT_EQ(e4m3ToFloat(0x01), 0x1p-9f);
  EXPECT_EQ(e4m3ToFloat(0x08), 0x1p-6f);
  EXPECT_EQ(e4m3ToFloat(0x38), 1.0f);
  EXPECT_EQ(e4m3ToFloat(0xb9), -1.125f);
  EXPECT_EQ(e4m3ToFloat(0x7e), 448.0f);
  EXPECT_TRUE(std::isnan(e4m3ToFloat(0x7f)) && std::isnan(e4m3ToFloat(0xff)));
  EXPECT_EQ(e5m2ToFloat(0x3c), 1.0f);
  EXPECT_EQ(e5m2ToFloat(0xc5), -5.0f);
  EXPECT_EQ(e5m2ToFloat(0x01), 0x1p-16f);
  EXPECT_EQ(e5m2ToFloat(0x7b), 57344.0f);
  EXPECT_TRUE(std::isinf(e5m2ToFloat(0x7c)) && std::isnan(e5m2ToFloat(0x7d)));
  // Each is what the numbers of its bits say: rising with the bits.
  for (int bits = 1; bits < 0x7f; ++bits)
    EXPECT_GT(e4m3ToFloat(static_cast<uint8_t>(bits)), e4m3ToFloat(static_cast<uint8_t>(bits - 1)));
}

TEST(Tensor, SizesNeverWrap) {
  EXPECT_EQ(elementsOf(std::vector<int64_t>{}), 1);
  EXPECT_EQ(elementsOf(std::vector<int64_t>{3, 0, 5}), 0);
  EXPECT_EQ(elementsOf(std::vector<int64_t>{int64_t(1) << 40, int64_t(1) << 40}), std::nullopt);
  EXPECT_EQ(elementsOf(std::vector<int64_t>{(int64_t(1) << 62) + 1, 4}), std::nullopt);
  EXPECT_EQ(elementsOf(std::vector<int64_t>{0, -1}), std::nullopt);
  EXPECT_EQ(bytesOf(DType::F64, std::vector<int64_t>{int64_t(1) << 62}), std::nullopt);
  EXPECT_EQ(checkedAdd(UINT64_MAX, 1), std::nullopt);
  test::expectError(makeTensor("x", DType::F32, {int64_t(1) << 50}), "'x'", "does not fit");
}

TEST(Tensor, EveryHalfSurvivesTheWayToFloatAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    float value = halfToFloat(static_cast<uint16_t>(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(value))));
    else
      EXPECT_EQ(floatToHalf(value), bits);
    value = bfloatToFloat(static_cast<uint16_t>(bits));
    if (!std::isnan(value))
      EXPECT_EQ(floatToBfloat(value), bits);
  }
}

TEST(Tensor, RoundingIsToNearestEven) {
  EXPECT_EQ(halfToFloat(floatToHalf(1.0f + 0x1p-11f)), 1.0f);
  EXPECT_EQ(halfToFloat(floatToHalf(1.0f + 3 * 0x1p-11f)), 1.0f + 0x1p-9f);
  EXPECT_EQ(halfToFloat(floatToHalf(65520.0f)), std::numeric_limits<float>::infinity());
  EXPECT_EQ(halfToFloat(floatToHalf(65519.0f)), 65504.0f);
  EXPECT_EQ(halfToFloat(floatToHalf(0x1p-25f)), 0.0f);
  EXPECT_EQ(halfToFloat(floatToHalf(1.5f * 0x1p-25f)), 0x1p-24f);
  EXPECT_EQ(bfloatToFloat(floatToBfloat(1.0f + 0x1p-8f)), 1.0f);
  EXPECT_TRUE(std::isnan(bfloatToFloat(floatToBfloat(std::nanf("")))));
}

TEST(Tensor, ConvertsWithoutAlignment) {
  std::vector<std::byte> bytes(9);
  float two[2] = {1.5f, -2.0f};
  std::memcpy(bytes.data() + 1, two, 8);
  TensorView view{"x", DType::F32, {2}, std::span(bytes).subspan(1), "f"};
  EXPECT_EQ(*toF32(view), (std::vector<float>{1.5f, -2.0f}));
  EXPECT_EQ(*toF64(view), (std::vector<double>{1.5, -2.0}));
  test::expectError(toI64(view), "f", "'x'", "F32", "integer");
}

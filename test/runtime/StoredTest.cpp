// StoredTest.cpp - Packed and scaled tensors against numbers worked out by hand from the formats.

#include "runtime/stored.h"

#include "gtest/gtest.h"
#include <cmath>
#include <map>

using namespace rondo;

namespace {
class Stored : public testing::Test {
protected:
  template <class T>
  void add(const std::string &name, DType dtype, std::vector<int64_t> shape, std::vector<T> data) {
    std::vector<std::byte> &bytes = memory[name];
    auto from = std::as_bytes(std::span(data));
    bytes.assign(from.begin(), from.end());
    tensors[name] = {name, dtype, std::move(shape), bytes, "file"};
  }
  Result<std::optional<StoredTensor>> find(const std::string &name,
                                           std::vector<int64_t> expected = {}) {
    return findStored(
        name, expected,
        [&](const std::string &part) {
          auto found = tensors.find(part);
          return found == tensors.end() ? nullptr : &found->second;
        },
        rules);
  }
  std::vector<float> values(const std::string &name, std::vector<int64_t> shape) {
    auto stored = find(name, shape);
    if (!stored || !*stored) {
      ADD_FAILURE() << (stored ? "no tensor" : stored.error().message);
      return {};
    }
    EXPECT_EQ((*stored)->shape, shape);
    auto numbers = toF32(**stored, rules);
    EXPECT_TRUE(numbers) << numbers.error().message;
    return numbers ? *numbers : std::vector<float>{};
  }
  std::string refusal(const std::string &name) {
    auto stored = find(name);
    return stored ? "" : stored.error().message;
  }
  StorageRules rules;
  std::map<std::string, std::vector<std::byte>> memory;
  std::map<std::string, TensorView> tensors;
};
using Floats = std::vector<float>;
} // namespace

TEST_F(Stored, ReadsRealNumbersAsTheyAre) {
  add<float>("w", DType::F32, {2}, {1, 2});
  EXPECT_EQ(values("w", {2}), (Floats{1, 2}));
  auto absent = find("v");
  ASSERT_TRUE(absent);
  EXPECT_FALSE(*absent);
}

TEST_F(Stored, LooksUnderOtherBeginningsOnlyWhereNoneIsThere) {
  add<float>("b.w", DType::F32, {1}, {2});
  auto under = [&](const Renames &renames) {
    auto found = findStored(
        "a.w", {},
        [&](const std::string &part) {
          auto at = tensors.find(part);
          return at == tensors.end() ? nullptr : &at->second;
        },
        rules, renames);
    return found && *found ? (*found)->values->name : "";
  };
  EXPECT_EQ(under({{"a.", "c."}, {"a.", "b."}}), "b.w");
  EXPECT_EQ(under({{"b.", "b."}, {"a.w.", ""}}), "");
  add<float>("w", DType::F32, {1}, {3});
  EXPECT_EQ(under({{"a.", ""}, {"a.", "b."}}), "w");
  add<float>("a.w", DType::F32, {1}, {4});
  EXPECT_EQ(under({{"a.", ""}}), "a.w");
}

TEST_F(Stored, ScalesBytesByTensorRowAndBlock) {
  add<int8_t>("w", DType::I8, {2, 3}, {1, 2, 3, -4, -5, -128});
  add<float>("w_scale", DType::F32, {1}, {2});
  EXPECT_EQ(values("w", {2, 3}), (Floats{2, 4, 6, -8, -10, -256}));
  add<float>("w_scale", DType::F32, {2, 1}, {1, 10});
  EXPECT_EQ(values("w", {2, 3}), (Floats{1, 2, 3, -40, -50, -1280}));
  add<float>("w_scale", DType::F32, {2}, {1, 10}); // one a row, without the columns' axis
  EXPECT_EQ(values("w", {2, 3}), (Floats{1, 2, 3, -40, -50, -1280}));
  // Blocks of two columns, the last one ragged, are the config's.
  rules.blockExtents = {1, 2};
  add<float>("w_scale", DType::F32, {2, 2}, {1, 10, 100, 1000});
  EXPECT_EQ(values("w", {2, 3}), (Floats{1, 2, 30, -400, -500, -128000}));
  // E8M0: 2 to the power of the byte less 127.
  add<uint8_t>("w_scale", DType::U8, {2, 1}, {128, 126});
  EXPECT_EQ(values("w", {2, 3}), (Floats{2, 4, 6, -2, -2.5f, -64}));
  add<float>("w_scale", DType::F32, {3, 1}, {1, 2, 3});
  EXPECT_NE(refusal("w").find("tensor 'w_scale' is F32 [3, 1]; expected one number"),
            std::string::npos);
}

TEST_F(Stored, ScalesStackedMatrices) {
  // 0x38 is 1 in E4M3, 0xb8 is -1, 0x40 is 2.
  add<uint8_t>("w", DType::F8E4M3, {2, 2, 2}, {0x38, 0x38, 0x40, 0x40, 0x38, 0xb8, 0x40, 0x40});
  add<float>("w_scale_inv", DType::F32, {2, 1, 1}, {3, 5});
  EXPECT_EQ(values("w", {2, 2, 2}), (Floats{3, 3, 6, 6, 5, -5, 10, 10}));
  add<float>("w_scale_inv", DType::F32, {2, 2}, {1, 2, 3, 4}); // one a row
  EXPECT_EQ(values("w", {2, 2, 2}), (Floats{1, 1, 4, 4, 3, -3, 8, 8}));
}

TEST_F(Stored, RefusesBytesWithoutScales) {
  add<uint8_t>("w", DType::F8E5M2, {1}, {0x3c});
  EXPECT_EQ(values("w", {1}), (Floats{1})); // no config says that there are scales
  rules.scaled = true;
  EXPECT_NE(refusal("w").find("tensor 'w' is F8_E5M2 [1]; expected tensor 'w_scale'"),
            std::string::npos);
  add<int8_t>("v", DType::I8, {1}, {3});
  rules.scaled = false;
  EXPECT_NE(refusal("v").find("tensor 'v' is I8 [1]; expected tensor 'v_scale'"),
            std::string::npos);
}

TEST_F(Stored, ReadsFloatsOfFourBits) {
  std::vector<uint8_t> bytes(32, 0);
  for (uint8_t i = 0; i < 8; ++i)
    bytes[i] = uint8_t(2 * i | (2 * i + 1) << 4); // all sixteen in order, the low half first
  bytes[16] = 0x72;                               // 1, then 6
  add<uint8_t>("e_blocks", DType::U8, {1, 2, 16}, bytes);
  add<uint8_t>("e_scales", DType::U8, {1, 2}, {127, 130});
  Floats found = values("e", {1, 64});
  Floats first(found.begin(), found.begin() + 17);
  EXPECT_EQ(first,
            (Floats{0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6, 0}));
  EXPECT_EQ(found[32], 8);
  EXPECT_EQ(found[33], 48);
  add<uint8_t>("e_scales", DType::U8, {1, 3}, {127, 130, 1});
  EXPECT_NE(refusal("e").find("with 'e_scales' U8 [..., groups]"), std::string::npos);
}

TEST_F(Stored, ReadsIntegersPackedAlongInputs) {
  // Eight inputs, eight outputs, two groups. Word o of the first row holds inputs 0 to 7 of output
  // o.
  std::vector<int32_t> q(8, 0), z{0, 0};
  q[0] = 0x76543210; // input i has i
  q[1] = int32_t(0xffffffff);
  z[0] = 0x00000032; // group 0: output 0 has 2, output 1 has 3 (less one)
  z[1] = 0x00000004; // group 1: output 0 has 4
  Floats scales(16, 0);
  scales[0] = 10, scales[1] = 1, scales[8] = 100, scales[9] = 2;
  add<int32_t>("m.qweight", DType::I32, {1, 8}, q);
  add<int32_t>("m.qzeros", DType::I32, {2, 1}, z);
  add<float>("m.scales", DType::F32, {2, 8}, scales);
  Floats found = values("m.weight", {8, 8});
  EXPECT_EQ(Floats(found.begin(), found.begin() + 16),
            (Floats{-30, -20, -10, 0, -100, 0, 100, 200, 11, 11, 11, 11, 28, 28, 28, 28}));
  rules.zerosLessOne = false;
  EXPECT_EQ(values("m.weight", {8, 8})[0], -20);
  add<int32_t>("m.g_idx", DType::I32, {8}, {1, 0, 0, 0, 0, 1, 1, 1});
  EXPECT_EQ(values("m.weight", {8, 8})[0], -400);
  EXPECT_EQ(values("m.weight", {8, 8})[4], 20);
  add<int32_t>("m.g_idx", DType::I32, {8}, {1, 0, 0, 2, 0, 1, 1, 1});
  auto stored = find("m.weight");
  ASSERT_TRUE(stored && *stored);
  auto outside = toF32(**stored, rules);
  ASSERT_FALSE(outside);
  EXPECT_NE(
      outside.error().message.find("tensor 'm.g_idx' is I32 [8]; expected groups from 0 to 1"),
      std::string::npos);
  tensors.erase("m.qzeros");
  EXPECT_NE(refusal("m.weight").find("'m.qweight' is I32 [1, 8]; expected a matrix of packed I32"),
            std::string::npos);
}

TEST_F(Stored, ReadsIntegersPackedAlongOutputs) {
  // Two inputs; the halves of a byte are outputs 0 2 4 6 1 3 5 7, from the lowest.
  add<int32_t>("m.qweight", DType::I32, {2, 1}, {0x76543210, 0});
  add<int32_t>("m.qzeros", DType::I32, {1, 1}, {0x00000001});
  add<float>("m.scales", DType::F32, {1, 8}, {2, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_EQ(values("m.weight", {8, 2}), (Floats{-2, -2, 4, 0, 1, 0, 5, 0, 2, 0, 6, 0, 3, 0, 7, 0}));
}

TEST_F(Stored, ReadsIntegersPackedByRows) {
  // One output, ten inputs in two words; numbers are stored plus eight.
  add<int32_t>("m.weight_packed", DType::I32, {1, 2}, {0x76543210, 0x98});
  add<float>("m.weight_scale", DType::F32, {1, 2}, {1, 10});
  add<int64_t>("m.weight_shape", DType::I64, {2}, {1, 10});
  EXPECT_EQ(values("m.weight", {1, 10}), (Floats{-8, -7, -6, -5, -4, -30, -20, -10, 0, 10}));
  add<int32_t>("m.weight_zero_point", DType::I32, {1, 2}, {9, 7});
  EXPECT_EQ(values("m.weight", {1, 10}), (Floats{-9, -8, -7, -6, -5, -20, -10, 0, 10, 20}));
  add<int64_t>("m.weight_shape", DType::I64, {2}, {1, 100});
  EXPECT_NE(refusal("m.weight").find("expected integers of 4 or 8 bits that fit [1, 100]"),
            std::string::npos);
  add<int64_t>("m.weight_shape", DType::I64, {2}, {-1, INT64_MAX});
  EXPECT_NE(refusal("m.weight"), "");
}

TEST_F(Stored, ReadsTernaryNumbersByQuarters) {
  add<uint8_t>("w", DType::U8, {1, 2}, {0b10'01'00'10, 0b00'01'10'01});
  EXPECT_EQ(values("w", {4, 2}), (Floats{1, 0, -1, 1, 0, 0, 1, -1}));
  EXPECT_EQ(values("w", {1, 2}), (Floats{146, 25})); // bytes where the shape is theirs
}

// GgufTest.cpp - GGUF files made here: read as written; every cut and changed byte refused or read.

#include "runtime/gguf.h"
#include "runtime/stored.h"
#include "runtime/weight_groups.h"
#include "test/runtime/Scratch.h"

#include "gtest/gtest.h"
#include <cmath>
#include <cstring>
#include <random>

using namespace rondo;

using rondo::test::Scratch;

namespace {
/// The bytes of a file, value by value.
struct Writer {
  std::string bytes;
  template <class T> Writer &put(T value) {
    bytes.append(reinterpret_cast<const char *>(&value), sizeof value);
    return *this;
  }
  Writer &text(std::string_view value) {
    put<uint64_t>(value.size());
    bytes += value;
    return *this;
  }
};

/// What a good file says; tests change one thing.
struct Small {
  std::string magic = "GGUF";
  uint32_t version = 3, alignmentType = 4, alignment = 64, axes = 2, type = 8;
  uint64_t tensors = 3, settings = 4, columns = 32, offset = 64, listed = 2;
  std::string second = "b";

  std::string make() const {
    Writer file;
    file.bytes = magic;
    file.put(version).put(tensors).put(settings);
    file.text("general.architecture").put<uint32_t>(8).text("kind");
    file.text("general.alignment").put(alignmentType).put(alignment);
    file.text("list").put<uint32_t>(9).put<uint32_t>(5).put(listed).put<int32_t>(-1).put<int32_t>(
        2);
    file.text("eps").put<uint32_t>(6).put(1e-5f);
    file.text("a").put<uint32_t>(1).put<uint64_t>(3).put<uint32_t>(0).put<uint64_t>(0);
    file.text(second).put(axes).put(columns).put<uint64_t>(2).put(type).put(offset);
    file.text("c").put<uint32_t>(1).put<uint64_t>(2).put<uint32_t>(30).put<uint64_t>(192);
    file.bytes.resize((file.bytes.size() + 63) / 64 * 64);
    for (float number : {1.5f, -2.0f, 3.0f})
      file.put(number);
    file.bytes.resize((file.bytes.size() + 63) / 64 * 64);
    for (int row = 0; row < 2; ++row) {
      file.put<uint16_t>(row ? 0x3800 : 0xc000); // 0.5, -2
      for (int i = 0; i < 32; ++i)
        file.put<int8_t>(static_cast<int8_t>(i * 8 - 127));
    }
    file.bytes.resize((file.bytes.size() + 63) / 64 * 64);
    file.put<uint16_t>(0x3f80).put<uint16_t>(0xc000);
    return file.bytes;
  }
};

class Gguf : public testing::Test {
protected:
  Result<GgufFile> open(const std::string &bytes) {
    std::string path = scratch / "m.gguf";
    scratch.write("m.gguf", bytes);
    return GgufFile::open(path);
  }
  void refused(const Small &file, const std::string &says) {
    auto opened = open(file.make());
    ASSERT_FALSE(opened) << "expected: " << says;
    EXPECT_NE(opened.error().message.find(says), std::string::npos) << opened.error().message;
    EXPECT_NE(opened.error().message.find("m.gguf"), std::string::npos) << opened.error().message;
  }
  Scratch scratch;
};
} // namespace

TEST_F(Gguf, ReadsWhatWasWritten) {
  auto file = open(Small().make());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->settings().at("general.architecture"), "kind");
  EXPECT_EQ(file->settings().at("list"), (Json{-1, 2}));
  EXPECT_EQ(file->settings().at("eps"), 1e-5); // the decimal that was meant
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(*toF32(file->tensors()[0]), (std::vector<float>{1.5, -2, 3}));
  EXPECT_EQ(*toF32(file->tensors()[2]), (std::vector<float>{1, -2}));
  EXPECT_EQ(file->tensors()[1].name, "b:Q8_0");

  auto stored = findStored("b", {},
                           [&](const std::string &name) -> const TensorView * {
                             return name == "b:Q8_0" ? &file->tensors()[1] : nullptr;
                           },
                           {});
  ASSERT_TRUE(stored && *stored);
  EXPECT_EQ((*stored)->shape, (std::vector<int64_t>{2, 32}));
  auto numbers = toF32(**stored, {});
  ASSERT_TRUE(numbers);
  for (size_t i = 0; i < 64; ++i)
    EXPECT_EQ((*numbers)[i], (i < 32 ? -2.0f : 0.5f) * (float(i % 32) * 8 - 127)) << i;
}

TEST_F(Gguf, RefusesWhatDoesNotFit) {
  auto with = [](auto change) {
    Small file;
    change(file);
    return file;
  };
  refused(with([](Small &f) { f.magic = "GGML"; }), "expected GGUF");
  refused(with([](Small &f) { f.version = 1; }), "found version 1, expected 2 or 3");
  refused(with([](Small &f) { f.tensors = uint64_t(1) << 60; }),
          "expected at most 1048576 of each");
  refused(with([](Small &f) { f.settings = UINT64_MAX; }), "expected at most 1048576 of each");
  refused(with([](Small &f) { f.alignment = 0; }), "general.alignment: found 0");
  refused(with([](Small &f) { f.alignmentType = 99; }), "found a value of type 99");
  refused(with([](Small &f) { f.listed = uint64_t(1) << 62; }), "'list': found a list of");
  refused(with([](Small &f) { f.axes = 5; }), "found 5 axes, expected at most 4");
  refused(with([](Small &f) { f.type = 4; }), "'b': found type 4, expected F32");
  refused(with([](Small &f) { f.columns = 33; }), "expected rows of blocks of 32");
  refused(with([](Small &f) { f.columns = uint64_t(1) << 62; }), "expected a size that fits");
  refused(with([](Small &f) { f.columns = UINT64_MAX - 31; }), "found an extent of");
  refused(with([](Small &f) { f.offset = uint64_t(1) << 40; }), "expected them within its");
  refused(with([](Small &f) { f.offset = UINT64_MAX; }), "expected them within its");
  refused(with([](Small &f) { f.offset = 0; }), "overlaps");
  refused(with([](Small &f) { f.second = "a"; }), "tensor 'a' comes twice");
}

TEST_F(Gguf, RefusesEveryCut) {
  std::string whole = Small().make();
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(open(whole.substr(0, size))) << size;
}

/// A changed byte may still be a file: then all that it says is inside it.
TEST_F(Gguf, SurvivesEveryChangedByte) {
  std::string whole = Small().make();
  size_t refusals = 0;
  for (size_t at = 0; at < 400; ++at) // what follows is data
    for (unsigned char change : {0x01, 0x80}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      auto file = open(bytes);
      if (!file) {
        ++refusals;
        continue;
      }
      for (const TensorView &view : file->tensors())
        if (view.dtype != DType::Bool)
          EXPECT_TRUE(toF32(view)) << at;
    }
  EXPECT_GT(refusals, 300u);
}

/// Blocks of Q8_0 and Q4_0 are those of our own groups: no integer and no scale changes.
TEST(BlockCodes, AreKeptByGroups) {
  std::mt19937 random(7);
  for (auto [name, bits] : {std::pair("Q8_0", 8), std::pair("Q4_0", 4)}) {
    const BlockCode &code = *blockCodeNamed(name);
    constexpr int64_t rows = 33, blocks = 3;
    std::vector<float> numbers(rows * blocks * 32);
    for (int64_t block = 0; block < rows * blocks; ++block) {
      std::vector<std::byte> bytes(size_t(code.bytes));
      for (std::byte &byte : bytes)
        byte = static_cast<std::byte>(random());
      // Any positive or negative f16 that is finite, of moderate size; some integers at the ends.
      uint16_t scale = uint16_t(0x1400 + random() % 0x1400 + (random() % 2 ? 0x8000 : 0));
      std::memcpy(bytes.data(), &scale, 2);
      for (std::byte &byte : std::span(bytes).subspan(2))
        if (bits == 8 && byte == std::byte(0x80))
          byte = std::byte(0x7f);
      if (block == 5)
        std::fill(bytes.begin() + 2, bytes.end(), std::byte(bits == 8 ? 0 : 0x88)); // zeros
      code.decode(bytes.data(), numbers.data() + block * 32);
    }
    std::vector<int64_t> shape{rows, blocks * 32};
    for (int own = bits; own <= 8; own += 4) { // four bits fit into eight
      auto packed = packGroups(std::as_bytes(std::span(numbers)), shape, own);
      ASSERT_TRUE(packed);
      std::vector<float> kept(numbers.size());
      unpackGroups(*packed, shape, own, kept);
      EXPECT_EQ(kept, numbers) << name << " in " << own << " bits";
    }
  }
}

/// Numbers worked out by hand from the format.
TEST(BlockCodes, DecodeByHand) {
  auto decoded = [](const char *name, std::vector<int> bytes) {
    const BlockCode &code = *blockCodeNamed(name);
    bytes.resize(size_t(code.bytes));
    std::vector<std::byte> block;
    for (int byte : bytes)
      block.push_back(static_cast<std::byte>(byte));
    std::vector<float> numbers(size_t(code.numbers));
    code.decode(block.data(), numbers.data());
    return numbers;
  };
  std::vector<float> q4 = decoded("Q4_0", {0x00, 0x40, 0x1f}); // 2; f below, 1 above
  EXPECT_EQ(q4[0], 14);
  EXPECT_EQ(q4[16], -14);
  EXPECT_EQ(q4[1], -16);
  std::vector<float> q41 = decoded("Q4_1", {0x00, 0x40, 0x00, 0x3c, 0x1f}); // 2, 1
  EXPECT_EQ(q41[0], 31);
  EXPECT_EQ(q41[16], 3);
  std::vector<float> q50 = decoded("Q5_0", {0x00, 0x40, 0x01, 0, 0x01, 0, 0x1f});
  EXPECT_EQ(q50[0], 30); // 31 - 16
  EXPECT_EQ(q50[16], 2); // 17 - 16
  EXPECT_EQ(q50[1], -32);
  std::vector<float> q51 = decoded("Q5_1", {0x00, 0x40, 0x00, 0x3c, 0x01, 0, 0, 0, 0x1f});
  EXPECT_EQ(q51[0], 63);
  EXPECT_EQ(q51[16], 3);
  // Unit 2 of scales, 1 of offsets; groups 0 and 5: scales 3 and 33, offsets 2 and 1.
  std::vector<int> q4k{0x00, 0x40, 0x00, 0x3c, 3, 0x80, 0, 0, 2, 0, 0, 0, 0, 0x11};
  q4k.resize(16);
  q4k.push_back(0x05);
  q4k.resize(16 + 64);
  q4k.push_back(0x70); // groups 4 and 5
  std::vector<float> k = decoded("Q4_K", q4k);
  EXPECT_EQ(k[0], 2 * 3 * 5 - 2);
  EXPECT_EQ(k[1], -2);
  EXPECT_EQ(k[5 * 32], 2 * 33 * 7 - 1);
  EXPECT_EQ(k[5 * 32 + 1], -1);
  std::vector<int> q5k = q4k;
  q5k.insert(q5k.begin() + 16, 32, 0);
  q5k[16] = 0x20; // the fifth bit of group 5's first number
  std::vector<float> k5 = decoded("Q5_K", q5k);
  EXPECT_EQ(k5[0], 2 * 3 * 5 - 2);
  EXPECT_EQ(k5[5 * 32], 2 * 33 * 23 - 1);
  // Number 128 + 96 is in the second half's fourth quarter: upper halves of bytes 64.. and bits
  // 6, 7.
  std::vector<int> q6(210);
  q6[96] = 0x50;
  q6[128 + 32] = 0xc0;
  q6[192 + 14] = 0xff; // -1
  q6[209] = 0x40;      // 2
  std::vector<float> k6 = decoded("Q6_K", q6);
  EXPECT_EQ(k6[224], 2.0f * -1 * (5 + 48 - 32));
  EXPECT_EQ(k6[225], 2.0f * -1 * -32);
  EXPECT_EQ(k6[0], 0);
}

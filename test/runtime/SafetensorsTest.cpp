// SafetensorsTest.cpp - What is written is read back, and a file that lies is refused with the
// place where it does.

#include "runtime/safetensors.h"
#include "test/runtime/Scratch.h"

#include <cstring>

using namespace rondo;
using rondo::test::expectError;
using rondo::test::Scratch;

namespace {

std::string file(const std::string &header, size_t data, uint64_t length) {
  std::string result(8, '\0');
  std::memcpy(result.data(), &length, 8);
  return result + header + std::string(data, '\1');
}
std::string file(const std::string &header, size_t data) {
  return file(header, data, header.size());
}

std::string entry(const std::string &name, const std::string &dtype, const std::string &shape,
                  const std::string &offsets) {
  return "\"" + name + "\": {\"dtype\": \"" + dtype + "\", \"shape\": " + shape +
         ", \"data_offsets\": " + offsets + "}";
}

class BadFile : public testing::Test {
protected:
  template <class... Words> void refused(const std::string &content, const Words &...words) {
    std::string path = scratch.write("bad.safetensors", content);
    expectError(TensorFile::open(path), path.c_str(), words...);
  }
  Scratch scratch;
};

} // namespace

TEST(Safetensors, WritesAndReads) {
  Scratch scratch;
  Tensor a = *makeTensor("a", DType::F32, {2, 3}), b = *makeTensor("b", DType::I64, {2}),
         empty = *makeTensor("e", DType::F32, {0, 4});
  for (size_t i = 0; i < 6; ++i)
    a.as<float>()[i] = float(i) / 2;
  b.as<int64_t>()[1] = -7;
  std::string path = scratch / "x.safetensors";
  std::vector<Tensor> all{a, empty, b};
  ASSERT_TRUE(writeTensors(path, std::span<const Tensor>(all), {{"made by", "a test"}}));
  EXPECT_EQ(scratch.files(), 1u);
  auto read = TensorFile::open(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->metadata().at("made by"), "a test");
  ASSERT_TRUE(read->find("a"));
  EXPECT_EQ(read->find("a")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*toF32(*read->find("a")))[5], 2.5f);
  EXPECT_EQ((*toI64(*read->find("b")))[1], -7);
  EXPECT_EQ(read->find("e")->bytes.size(), 0u);
  EXPECT_FALSE(read->find("c"));
}

TEST(Safetensors, WritingTwiceTheSameNameLeavesNothing) {
  Scratch scratch;
  std::vector<Tensor> all{*makeTensor("a", DType::F32, {2}), *makeTensor("a", DType::F32, {2})};
  expectError(writeTensors(scratch / "x.safetensors", std::span<const Tensor>(all)), "'a'",
              "twice");
  EXPECT_EQ(scratch.files(), 0u);
}

TEST_F(BadFile, Missing) {
  expectError(TensorFile::open(scratch / "none"), "none", "No such file");
}
TEST_F(BadFile, Folder) {
  expectError(TensorFile::open(scratch / "."), "folder", "expected a file");
}
TEST_F(BadFile, Empty) { refused("", "0 bytes", "expected at least 8"); }
TEST_F(BadFile, Short) { refused("12345", "5 bytes", "expected"); }
TEST_F(BadFile, HeaderBeyondFile) {
  refused(file("{}", 0, uint64_t(1) << 60), "header", "1152921504606846976", "expected at most 2");
}
TEST_F(BadFile, HeaderNotJson) { refused(file("{\"a\": {", 0), "header", "JSON"); }
TEST_F(BadFile, HeaderNotObject) {
  refused(file("[1, 2]", 0), "header", "array", "expected an object");
}
TEST_F(BadFile, HeaderNestedWithoutEnd) {
  refused(file(std::string(200000, '['), 0), "header", "nesting");
}
TEST_F(BadFile, HeaderWithInvalidUtf8) { refused(file("{\"\xff\": 1}", 0), "header", "JSON"); }
TEST_F(BadFile, EntryNotObject) {
  refused(file("{\"a\": 3}", 0), "'a'", "number", "expected an object");
}
TEST_F(BadFile, NoOffsets) {
  refused(file("{\"a\": {\"dtype\": \"F32\", \"shape\": []}}", 4), "'a'", "data_offsets");
}
TEST_F(BadFile, UnknownType) {
  refused(file("{" + entry("a", "F7", "[1]", "[0, 4]") + "}", 4), "'a'", "F7", "expected");
}
TEST_F(BadFile, NegativeShape) {
  refused(file("{" + entry("a", "F32", "[-4]", "[0, 4]") + "}", 4), "'a'", "-4");
}
TEST_F(BadFile, ShapeOfText) {
  refused(file("{" + entry("a", "F32", "[\"four\"]", "[0, 4]") + "}", 4), "'a'", "four",
          "expected");
}
TEST_F(BadFile, FractionalShape) {
  refused(file("{" + entry("a", "F32", "[1.5]", "[0, 4]") + "}", 4), "'a'", "1.5");
}
TEST_F(BadFile, ShapeOverflows) {
  refused(file("{" + entry("a", "F32", "[1099511627776, 1099511627776]", "[0, 4]") + "}", 4),
          "'a'");
}
TEST_F(BadFile, ShapeWrapsToTheRightSize) {
  refused(file("{" + entry("a", "F32", "[4611686018427387905, 4]", "[0, 16]") + "}", 16), "'a'",
          "4611686018427387905");
}
TEST_F(BadFile, ShapeLies) {
  refused(file("{" + entry("a", "F32", "[100]", "[0, 4]") + "}", 4), "'a'", "found 4",
          "expected 400");
}
TEST_F(BadFile, RankWithoutEnd) {
  refused(file("{" + entry("a", "F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0, 4]") + "}", 4),
          "'a'", "at most 16");
}
TEST_F(BadFile, OffsetsBeyondFile) {
  refused(file("{" + entry("a", "F32", "[1]", "[4, 8]") + "}", 4), "'a'", "[4, 8]", "expected");
}
TEST_F(BadFile, OffsetsReversed) {
  refused(file("{" + entry("a", "F32", "[1]", "[4, 0]") + "}", 4), "'a'", "[4, 0]");
}
TEST_F(BadFile, OffsetsNegative) {
  refused(file("{" + entry("a", "F32", "[1]", "[-4, 0]") + "}", 4), "'a'", "-4");
}
TEST_F(BadFile, OffsetsNotTwo) {
  refused(file("{" + entry("a", "F32", "[1]", "[0, 4, 8]") + "}", 8), "'a'", "[begin, end]");
}
TEST_F(BadFile, Overlap) {
  refused(file("{" + entry("a", "F32", "[2]", "[0, 8]") + "," + entry("b", "F32", "[1]", "[4, 8]") +
                   "}",
               8),
          "'b'", "overlaps", "'a'");
}
TEST_F(BadFile, Hole) {
  refused(file("{" + entry("a", "F32", "[1]", "[0, 4]") + "," +
                   entry("b", "F32", "[1]", "[8, 12]") + "}",
               12),
          "'b'", "byte 8", "expected 4");
}
TEST_F(BadFile, Trailing) {
  refused(file("{" + entry("a", "F32", "[1]", "[0, 4]") + "}", 9), "found 9 bytes", "expected 4");
}
TEST_F(BadFile, NameTwice) {
  refused(file("{" + entry("a", "F32", "[1]", "[0, 4]") + "," + entry("a", "F32", "[1]", "[4, 8]") +
                   "}",
               8),
          "'a'", "twice");
}

TEST_F(BadFile, EveryTruncationIsRefused) {
  std::string good = file("{" + entry("a", "F32", "[2]", "[0, 8]") + "," +
                              entry("b", "BF16", "[2]", "[8, 12]") + "}",
                          12);
  ASSERT_TRUE(TensorFile::open(scratch.write("good.safetensors", good)));
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(TensorFile::open(scratch.write("bad.safetensors", good.substr(0, size)))) << size;
}

TEST_F(BadFile, EveryChangedByteIsSurvived) {
  std::string good = file("{" + entry("a", "F32", "[2]", "[0, 8]") + "}", 8);
  for (size_t at = 0; at < good.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = good;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      auto read = TensorFile::open(scratch.write("bad.safetensors", changed));
      if (read)
        for (const TensorView &view : read->tensors())
          EXPECT_EQ(view.bytes.size(), *bytesOf(view.dtype, view.shape));
    }
}

namespace {

class Shards : public testing::Test {
protected:
  Shards() {
    scratch.write("one.safetensors", file("{" + entry("x.a", "F32", "[1]", "[0, 4]") + "}", 4));
    scratch.write("two.safetensors", file("{" + entry("x.b", "F32", "[2, 1]", "[0, 8]") + "}", 8));
  }
  Result<Checkpoint> open(const std::string &map) {
    scratch.write("model.safetensors.index.json", map);
    return Checkpoint::open(scratch / ".");
  }
  Scratch scratch;
};

} // namespace

TEST_F(Shards, AreOneCheckpoint) {
  auto read = open(
      R"({"metadata": {"total_size": 12}, "weight_map": {"x.a": "one.safetensors", "x.b": "two.safetensors"}})");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->names(), (std::vector<std::string>{"x.a", "x.b"}));
  EXPECT_TRUE(read->get("x.b", std::vector<int64_t>{2, 1}));
  expectError(read->get("x.b", std::vector<int64_t>{1, 2}), "two.safetensors", "x.b",
              "found shape [2, 1]", "expected [1, 2]");
  expectError(read->get("y.x.b", std::vector<int64_t>{1, 2}), "'y.x.b'", "missing", "[1, 2]",
              "x.b");
}

TEST_F(Shards, MissingShard) {
  expectError(open(R"({"weight_map": {"x.a": "three.safetensors"}})"), "three.safetensors",
              "No such file");
}
TEST_F(Shards, WrongShard) {
  expectError(open(R"({"weight_map": {"x.a": "two.safetensors"}})"), "two.safetensors", "'x.a'");
}
TEST_F(Shards, LeavesTheFolder) {
  for (const char *name : {"../one.safetensors", "/etc/passwd", "..", ""})
    expectError(open(std::string(R"({"weight_map": {"x.a": ")") + name + "\"}}"), "index.json",
                "x.a", name, "same folder");
}
TEST_F(Shards, NoMap) { expectError(open(R"({"weights": {}})"), "index.json", "weight_map"); }
TEST_F(Shards, NoFiles) {
  expectError(Checkpoint::open(scratch / "."), "model.safetensors", "expected");
}

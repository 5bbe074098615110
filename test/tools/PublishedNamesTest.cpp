// PublishedNamesTest.cpp - The tables of models/gguf, and tables that are wrong.

#include "tools/PublishedNames.h"

#include "frontend/Program.h"
#include "test/runtime/Scratch.h"

#include <cmath>
#include <map>
#include <utility>

using namespace rondo;
using rondo::test::expectError;

namespace {
/// A file of f32 tensors, each [2, 4] with the numbers -1 to -8, and one setting.
std::string fileOf(std::initializer_list<std::string_view> tensors) {
  std::string bytes = "GGUF";
  auto put = [&](auto value) {
    bytes.append(reinterpret_cast<const char *>(&value), sizeof value);
  };
  auto text = [&](std::string_view value) {
    put(uint64_t(value.size()));
    bytes += value;
  };
  put(uint32_t(3));
  put(uint64_t(tensors.size()));
  put(uint64_t(1));
  text("k.two");
  put(uint32_t(4));
  put(uint32_t(2));
  uint64_t offset = 0;
  for (std::string_view name : tensors) {
    text(name);
    put(uint32_t(2));
    put(uint64_t(4));
    put(uint64_t(2));
    put(uint32_t(0));
    put(std::exchange(offset, offset + 32));
  }
  bytes.resize((bytes.size() + 31) / 32 * 32);
  for (size_t i = 0; i < tensors.size(); ++i)
    for (int number = 1; number <= 8; ++number)
      put(float(-number));
  return bytes;
}

struct Tables : testing::Test {
  test::Scratch scratch;
  std::string folder = scratch / ".";
};
} // namespace

TEST(GgufTables, AreForClassesThatASpecReads) {
  std::vector<std::string> known = PublishedNames::known(RONDO_MODELS_FOLDER "/gguf");
  EXPECT_GE(known.size(), 6u);
  for (const std::string &architecture : known) {
    auto names = PublishedNames::find(RONDO_MODELS_FOLDER "/gguf", architecture);
    ASSERT_TRUE(names) << names.error().message;
    ASSERT_TRUE(*names);
    EXPECT_NE(specForArchitecture(RONDO_MODELS_FOLDER, (*names)->className()), "") << architecture;
  }
}

TEST_F(Tables, OfNoArchitectureIsNone) {
  auto names = PublishedNames::find(folder, "other");
  ASSERT_TRUE(names);
  EXPECT_FALSE(*names);
}

TEST_F(Tables, SayWhichLineIsWrong) {
  scratch.write("a.names", "// first\ngguf a for A\nkey: value\n");
  expectError(PublishedNames::find(folder, "a"), "a.names:3", "expected");
  scratch.write("b.names", "gguf b for B\nimport b.names\n");
  expectError(PublishedNames::find(folder, "b"), "b.names", "imported by itself");
  scratch.write("c.names", "gguf c for C\nimport none.names\n");
  expectError(PublishedNames::find(folder, "c"), "none.names");
}

TEST_F(Tables, NameAndChangeWhatAFileHas) {
  scratch.write("k.names", R"(gguf k for K
size = none.such | *.two
half = extent(a.0.w, 1) | 7
ratio = *.two / *.two
list = numbers(b)
tied = false if c | true
lacks = 1 if d
A.{i}.{part} <- a.{i}.{part}
log <- b log_negative
less <- b less_one
first <- b row 1
parts <- b split *.two
whole <- b flat
halves <- c pairs none.such *.two
- <- e
)");
  auto file = GgufFile::open(scratch.write("m.gguf", fileOf({"a.0.w", "b", "e", "other"})));
  ASSERT_TRUE(file) << file.error().message;
  auto names = PublishedNames::find(folder, "k");
  ASSERT_TRUE(names && *names);
  auto config = (*names)->config(*file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["architectures"], Json::array({"K"}));
  EXPECT_EQ((*config)["size"], 2);
  EXPECT_EQ((*config)["half"], 4);
  EXPECT_EQ((*config)["ratio"], 1);
  EXPECT_EQ((*config)["list"].size(), 8u);
  EXPECT_EQ((*config)["tied"], true);
  EXPECT_FALSE(config->contains("lacks"));

  std::vector<Tensor> made;
  auto tensors = (*names)->tensors(*file, made);
  ASSERT_TRUE(tensors) << tensors.error().message;
  std::map<std::string, std::pair<std::vector<int64_t>, std::vector<float>>> found;
  for (const TensorView &view : *tensors)
    found[view.name] = {view.shape, *toF32(view)};
  std::vector<float> all{-1, -2, -3, -4, -5, -6, -7, -8}, less, logs;
  for (float number : all) {
    less.push_back(number - 1);
    logs.push_back(std::log(-number));
  }
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(found.size(), 7u);
  EXPECT_EQ(found["A.0.w"], std::pair(Shape({2, 4}), all));
  EXPECT_EQ(found["log"], std::pair(Shape({2, 4}), logs));
  EXPECT_EQ(found["less"], std::pair(Shape({2, 4}), less));
  EXPECT_EQ(found["first"], std::pair(Shape({4}), std::vector<float>{-5, -6, -7, -8}));
  EXPECT_EQ(found["parts"], std::pair(Shape({2, 2, 2}), all));
  EXPECT_EQ(found["whole"], std::pair(Shape({8}), all));
  EXPECT_EQ(found["other"], std::pair(Shape({2, 4}), all)); // of which the table says nothing

  auto wrong = GgufFile::open(scratch.write("w.gguf", fileOf({"c"})));
  ASSERT_TRUE(wrong);
  expectError((*names)->tensors(*wrong, made), "w.gguf", "'c'", "rows of 2 heads of pairs");
}

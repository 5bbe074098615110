// PublishedNamesTest.cpp - The tables of models/gguf, and tables that are wrong.

#include "tools/PublishedNames.h"

#include "frontend/Program.h"
#include "test/runtime/Scratch.h"

using namespace rondo;
using rondo::test::expectError;

namespace {
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

// SentencePieceTest.cpp - A .model gives the ids of the library that made it
// (tokenizers/make_models.py), and damage is refused.

#include "runtime/sentencepiece.h"
#include "runtime/file.h"
#include "runtime/tokenizer.h"
#include "test/runtime/Scratch.h"

#include <nlohmann/json.hpp>

using namespace rondo;
using rondo::test::expectError;
using Json = nlohmann::json;

namespace {

std::string fileOf(const std::string &name) {
  return *readText(RONDO_SOURCE_DIR "/test/runtime/tokenizers/" + name);
}

class SentencePiece : public testing::TestWithParam<const char *> {};

TEST_P(SentencePiece, GivesTheSameIds) {
  auto json = tokenizerJsonOf(fileOf(std::string(GetParam()) + ".model"), GetParam());
  ASSERT_TRUE(json) << json.error().message;
  auto tokenizer = Tokenizer::fromJson(*json, GetParam());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  Json expected = Json::parse(fileOf("models.json"));
  const Json &own = expected[GetParam()];
  size_t texts = 0;
  for (size_t i = 0; i < expected["texts"].size(); ++i) {
    auto text = expected["texts"][i].get<std::string>();
    SCOPED_TRACE("text: '" + text + "'");
    auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, own["ids"][i].get<std::vector<int64_t>>());
    if (own["text"][i].is_null())
      continue;
    EXPECT_EQ(tokenizer->decode(*ids), own["text"][i].get<std::string>());
    ++texts;
  }
  EXPECT_GT(texts, 5u);
}

TEST_P(SentencePiece, SurvivesEveryTruncationAndChangedByte) {
  std::string model = fileOf(std::string(GetParam()) + ".model");
  for (size_t size = 0; size < model.size(); size += 7)
    if (auto json = tokenizerJsonOf(std::string_view(model).substr(0, size), "m"))
      (void)Tokenizer::fromJson(*json, "m");
  for (size_t at = 0; at < model.size(); at += 11) {
    std::string changed = model;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    if (auto json = tokenizerJsonOf(changed, "m"))
      (void)Tokenizer::fromJson(*json, "m");
  }
}
INSTANTIATE_TEST_SUITE_P(Files, SentencePiece, testing::Values("sp_bpe", "sp_unigram", "sp_plain"));

TEST(SentencePieces, FrameIsThatOfTheConfig) {
  std::string model = fileOf("sp_bpe.model");
  auto framed = [&](const char *config) {
    return *Tokenizer::fromJson(*tokenizerJsonOf(model, "m", config), "m")->encode("the");
  };
  auto plain = framed("{}"), both = framed(R"({"add_bos_token": true, "add_eos_token": true})");
  ASSERT_EQ(both.size(), plain.size() + 2);
  EXPECT_EQ(both.front(), 1);
  EXPECT_EQ(both.back(), 2);
  expectError(tokenizerJsonOf(model, "m", "{"), "m, tokenizer_config.json");
}

TEST(SentencePieces, RefusesWhatIsNotRead) {
  std::string model = fileOf("sp_bpe.model");
  expectError(tokenizerJsonOf("", "m"), "m: found no piece");
  expectError(tokenizerJsonOf("\x0f", "m"), "wire type 7");
  expectError(tokenizerJsonOf("\x0a\x7f", "m"), "found 0 bytes, expected 127");
  expectError(tokenizerJsonOf("\xff\xff", "m"), "a number without an end");
  auto piece = [](const std::string &text, char type) {
    std::string inner =
        "\x0a" + std::string(1, static_cast<char>(text.size())) + text + std::string("\x18") + type;
    return "\x0a" + std::string(1, static_cast<char>(inner.size())) + inner;
  };
  expectError(tokenizerJsonOf(model + piece("new", 4), "m"), "piece 420", "'new'",
              "defined by its user", "tokenizer.json");
  expectError(tokenizerJsonOf(model + piece("new", 5), "m"), "not used");
  expectError(tokenizerJsonOf(model + piece("<s>", 3), "m"), "'<s>' comes a second time");
  expectError(tokenizerJsonOf(model + piece("\xff", 1), "m"), "expected 1 to 4096 of UTF-8");
  expectError(tokenizerJsonOf(piece("a", 1), "m"), "no piece for what is unknown");
  expectError(tokenizerJsonOf(model + std::string("\x12\x02\x18\x03"), "m"), "a model of words");
}

} // namespace

// TokenizerTest.cpp - Ids equal to those of the library whose files are read (tokenizers/make_tokenizers.py), and refusals by name.

#include "runtime/file.h"
#include "runtime/pretokenizer.h"
#include "runtime/tokenizer.h"
#include "test/runtime/Scratch.h"

#include <nlohmann/json.hpp>

using namespace rondo;
using rondo::test::expectError;
using Json = nlohmann::json;

namespace {

std::string fileOf(const std::string &name) { return *readText(RONDO_SOURCE_DIR "/test/runtime/tokenizers/" + name + ".json"); }

class PublishedTokenizer : public testing::TestWithParam<const char *> {};

/// byte_level with something changed.
Result<Tokenizer> changed(const std::function<void(Json &)> &change) {
  Json json = Json::parse(fileOf("byte_level"));
  change(json);
  return Tokenizer::fromJson(json.dump(), "tokenizer.json");
}

using J = Json &;

} // namespace

TEST_P(PublishedTokenizer, GivesTheSameIds) {
  auto tokenizer = Tokenizer::fromJson(fileOf(GetParam()), GetParam());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  Json expected = Json::parse(fileOf("expected"));
  for (size_t i = 0; i < expected["texts"].size(); ++i) {
    auto text = expected["texts"][i].get<std::string>();
    auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, expected[GetParam()]["ids"][i].get<std::vector<int64_t>>()) << "text: '" << text << "'";
    EXPECT_EQ(tokenizer->decode(*ids), expected[GetParam()]["text"][i].get<std::string>());
  }
}
INSTANTIATE_TEST_SUITE_P(Files, PublishedTokenizer, testing::Values("byte_level", "threes", "digits"));

TEST(Tokenizer, BytesAreTheirOwnIds) {
  Tokenizer tokenizer = Tokenizer::bytes();
  std::string all;
  for (int b = 0; b < 256; ++b)
    all += static_cast<char>(b);
  auto ids = *tokenizer.encode(all);
  ASSERT_EQ(ids.size(), 256u);
  EXPECT_EQ(ids[255], 255);
  EXPECT_EQ(tokenizer.decode(ids), all);
  EXPECT_EQ(tokenizer.size(), 256);
}

TEST(Tokenizer, FramesOnlyWhenAsked) {
  auto tokenizer = *Tokenizer::fromJson(fileOf("threes"), "threes");
  auto framed = *tokenizer.encode("a", true), bare = *tokenizer.encode("a", false);
  ASSERT_EQ(framed.size(), bare.size() + 1);
  EXPECT_EQ(tokenizer.decode(framed), "a");
  EXPECT_EQ(tokenizer.decode(framed, true), "<|begin|>a");
}

TEST(Tokenizer, UnknownIdsHaveNoText) {
  auto tokenizer = *Tokenizer::fromJson(fileOf("byte_level"), "byte_level");
  EXPECT_EQ(tokenizer.decode(std::vector<int64_t>{-1, 1 << 30, INT64_MIN}), "");
}

TEST(Tokenizer, LongPiecesTakeNoQuadraticTime) {
  auto tokenizer = *Tokenizer::fromJson(fileOf("byte_level"), "byte_level");
  std::string text(300000, 'e');
  auto ids = tokenizer.encode(text);
  ASSERT_TRUE(ids);
  EXPECT_EQ(tokenizer.decode(*ids), text);
}

TEST(Tokenizer, RefusesInvalidUtf8) {
  auto tokenizer = *Tokenizer::fromJson(fileOf("byte_level"), "byte_level");
  for (const char *bad : {"ab\xff", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xe2\x82", "ab\xf5\x80\x80\x80", "ab\xf4\x90\x80\x80"})
    expectError(tokenizer.encode(bad), "byte 2", "UTF-8");
}

TEST(Tokenizer, RefusesTextThatNfcWouldChange) {
  auto tokenizer = *Tokenizer::fromJson(fileOf("digits"), "digits");
  expectError(tokenizer.encode("e\u0301"), "byte 1", "NFC");
  EXPECT_TRUE(tokenizer.encode("\u00e9"));
}

TEST(Tokenizer, RefusesOtherKinds) {
  expectError(Tokenizer::fromJson("{", "tokenizer.json"), "tokenizer.json", "no valid JSON");
  expectError(Tokenizer::fromJson("[]", "tokenizer.json"), "model", "expected BPE");
  expectError(changed([](J j) { j["model"]["type"] = "Unigram"; }), "model", "Unigram", "expected BPE");
  expectError(changed([](J j) { j["model"]["byte_fallback"] = true; }), "byte_fallback");
  expectError(changed([](J j) { j["model"]["end_of_word_suffix"] = "</w>"; }), "end_of_word_suffix", "</w>");
  expectError(changed([](J j) { j["pre_tokenizer"] = nullptr; }), "pre_tokenizer", "expected ByteLevel");
  expectError(changed([](J j) { j["pre_tokenizer"]["type"] = "Metaspace"; }), "pre_tokenizer", "Metaspace");
  expectError(changed([](J j) { j["normalizer"] = {{"type", "Lowercase"}}; }), "normalizer", "Lowercase");
  expectError(changed([](J j) { j["post_processor"] = {{"type", "BertProcessing"}}; }), "post_processor", "BertProcessing");
}

TEST(Tokenizer, RefusesBrokenFiles) {
  expectError(changed([](J j) { j["model"].erase("vocab"); }), "vocab");
  expectError(changed([](J j) { j["model"]["vocab"]["a"] = -3; }), "'a'", "-3");
  expectError(changed([](J j) { j["model"]["vocab"]["a"] = int64_t(1) << 60; }), "'a'", "expected 0 to");
  expectError(changed([](J j) { j["model"]["vocab"]["a"] = "x"; }), "'a'", "expected 0 to");
  expectError(changed([](J j) { j["model"]["vocab"]["a"] = j["model"]["vocab"]["b"]; }), "second time");
  expectError(changed([](J j) { j["model"].erase("merges"); }), "merges");
  expectError(changed([](J j) { j["model"]["merges"][3] = "one"; }), "merges", "entry 3");
  expectError(changed([](J j) { j["model"]["merges"][3] = {"zq", "qz"}; }), "merges", "entry 3", "'zq'");
  expectError(changed([](J j) { j["added_tokens"][0]["id"] = -1; }), "added_tokens", "-1");
  expectError(changed([](J j) { j["added_tokens"][0]["content"] = ""; }), "added_tokens", "without content");
  expectError(changed([](J j) { j["added_tokens"][0]["single_word"] = true; }), "single_word");
  expectError(changed([](J j) { j["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(("}}}, {"behavior", "Isolated"}}; }), "pattern '(('");
  expectError(changed([](J j) { j["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "MergedWithNext"}}; }), "MergedWithNext");
  expectError(changed([](J j) { j["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {{{"SpecialToken", {{"id", "<s>"}}}}}}, {"special_tokens", Json::object()}}; }), "'<s>'");
}

TEST(Tokenizer, StreamsWholeCharacters) {
  Utf8Stream stream;
  EXPECT_EQ(stream.add("a\xe2"), "a");
  EXPECT_EQ(stream.add("\x82"), "");
  EXPECT_EQ(stream.add("\xac!"), "\xe2\x82\xac!");
  EXPECT_EQ(stream.add("\xff"), "\xff") << "never a character";
  EXPECT_EQ(stream.add("\xf0\x9f"), "");
  EXPECT_EQ(stream.finish(), "\xf0\x9f");
}

// TokenizerTest.cpp - Ids equal to those of the library whose files are read
// (tokenizers/make_tokenizers.py), and refusals by name.

#include "runtime/tokenizer.h"
#include "runtime/file.h"
#include "test/runtime/Scratch.h"

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

using namespace rondo;
using rondo::test::expectError;
using Json = nlohmann::json;

namespace {

std::string fileOf(const std::string &name) {
  return *readText(RONDO_SOURCE_DIR "/test/runtime/tokenizers/" + name + ".json");
}

class PublishedTokenizer : public testing::TestWithParam<const char *> {};
class PublishedPieces : public testing::TestWithParam<const char *> {};

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
    EXPECT_EQ(*ids, expected[GetParam()]["ids"][i].get<std::vector<int64_t>>())
        << "text: '" << text << "'";
    EXPECT_EQ(tokenizer->decode(*ids), expected[GetParam()]["text"][i].get<std::string>());
  }
}
INSTANTIATE_TEST_SUITE_P(Files, PublishedTokenizer,
                         testing::Values("byte_level", "threes", "digits"));

/// Models whose tokens are characters (tokenizers/make_pieces.py).
TEST_P(PublishedPieces, GiveTheSameIds) {
  auto tokenizer = Tokenizer::fromJson(fileOf(GetParam()), GetParam());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  Json expected = Json::parse(fileOf("pieces"));
  const Json &own = expected[GetParam()];
  for (size_t i = 0; i < expected["texts"].size(); ++i) {
    auto text = expected["texts"][i].get<std::string>();
    SCOPED_TRACE("text: '" + text + "'");
    auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, own["ids"][i].get<std::vector<int64_t>>());
    EXPECT_EQ(tokenizer->decode(*ids), own["text"][i].get<std::string>());
    EXPECT_EQ(tokenizer->decode(*ids, true), own["with_specials"][i].get<std::string>());
  }
}
INSTANTIATE_TEST_SUITE_P(Files, PublishedPieces,
                         testing::Values("wordpiece", "unigram", "fallback"));

TEST_P(PublishedPieces, SurviveEveryTruncationAndChangedByte) {
  std::string text = fileOf(GetParam());
  for (size_t size = 0; size < text.size(); size += 31)
    EXPECT_FALSE(Tokenizer::fromJson(text.substr(0, size), "t"));
  for (size_t at = 0; at < text.size(); at += 13) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    if (auto tokenizer = Tokenizer::fromJson(changed, "t"))
      (void)tokenizer->encode("Hello w\u00f6rld <s>");
  }
}

TEST(Tokenizer, WithinATextTheFirstSpaceStays) {
  auto tokenizer = *Tokenizer::fromJson(fileOf("fallback"), "fallback");
  auto ids = *tokenizer.encode("the", false);
  EXPECT_EQ(tokenizer.decode(ids), "the");
  EXPECT_EQ(tokenizer.decode(ids, false, /*begins=*/false), " the");
}

/// byte_level with each part of the format replaced (tokenizers/make_variants.py).
TEST(Tokenizer, EveryPartGivesTheSameIds) {
  Json base = Json::parse(fileOf("byte_level")), file = Json::parse(fileOf("variants"));
  ASSERT_GT(file["variants"].size(), 40u);
  for (const auto &[name, variant] : file["variants"].items()) {
    SCOPED_TRACE(name);
    Json json = base;
    json.merge_patch(variant["patch"]);
    auto tokenizer = Tokenizer::fromJson(json.dump(), name);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    for (size_t i = 0; i < file["texts"].size(); ++i) {
      auto text = file["texts"][i].get<std::string>();
      SCOPED_TRACE("text: '" + text + "'");
      auto ids = tokenizer->encode(text, false), framed = tokenizer->encode(text, true);
      ASSERT_TRUE(ids) << ids.error().message;
      ASSERT_TRUE(framed) << framed.error().message;
      EXPECT_EQ(*ids, variant["ids"][i].get<std::vector<int64_t>>());
      EXPECT_EQ(
          *framed,
          variant[variant.contains("framed") ? "framed" : "ids"][i].get<std::vector<int64_t>>());
      EXPECT_EQ(tokenizer->decode(*ids), variant["text"][i].get<std::string>());
      EXPECT_EQ(tokenizer->decode(*ids, true),
                variant[variant.contains("with_specials") ? "with_specials" : "text"][i]
                    .get<std::string>());
    }
  }
}

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
  for (const char *bad : {"ab\xff", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xe2\x82",
                          "ab\xf5\x80\x80\x80", "ab\xf4\x90\x80\x80"})
    expectError(tokenizer.encode(bad), "byte 2", "UTF-8");
}

TEST(Tokenizer, ManyThreadsMayEncode) {
  auto tokenizer = *Tokenizer::fromJson(fileOf("threes"), "threes");
  std::string text = "The hacker's guide to 12345 galaxies.\n";
  auto expected = *tokenizer.encode(text);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k)
        if (auto ids = tokenizer.encode(text); !ids || *ids != expected)
          ++wrong;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Tokenizer, RefusesAByteWithoutToken) {
  auto tokenizer = *changed([](J j) {
    j["model"]["vocab"].erase("z");
    j["model"]["merges"] = Json::array();
  });
  expectError(tokenizer.encode("fuzzy"), "0x7a", "no token");
}

TEST(Tokenizer, RefusesOtherKinds) {
  expectError(Tokenizer::fromJson("{", "tokenizer.json"), "tokenizer.json", "no valid JSON");
  expectError(Tokenizer::fromJson("[]", "tokenizer.json"), "tokenizer.json", "expected an object");
  expectError(Tokenizer::fromJson("{}", "tokenizer.json"), "tokenizer.json", "no 'model'");
  expectError(Tokenizer::fromJson("{\"a\": 1, \"a\": 2}", "tokenizer.json"), "tokenizer.json",
              "'a' twice");
  expectError(Tokenizer::fromJson("{\"a\": 1e999}", "tokenizer.json"), "tokenizer.json",
              "no valid JSON");
  expectError(Tokenizer::fromJson(std::string(1 << 20, '['), "tokenizer.json"), "tokenizer.json",
              "nesting deeper");
  expectError(Tokenizer::fromJson("{\"a\": \"\xff\"}", "tokenizer.json"), "tokenizer.json",
              "no valid JSON");
  expectError(changed([](J j) { j["model"]["type"] = "WordLevel"; }), "model", "WordLevel",
              "expected BPE");
  expectError(changed([](J j) { j["model"]["type"] = "Unigram"; }), "model", "ByteLevel");
  expectError(changed([](J j) { j["model"]["byte_fallback"] = true; }), "byte_fallback");
  expectError(changed([](J j) { j["model"]["end_of_word_suffix"] = "</w>"; }), "end_of_word_suffix",
              "</w>");
  expectError(changed([](J j) { j["model"]["dropout"] = 0.1; }), "model.dropout", "0.1");
  expectError(changed([](J j) { j["pre_tokenizer"] = nullptr; }), "decoder", "ByteLevel");
  expectError(changed([](J j) { j["pre_tokenizer"]["type"] = "FixedLength"; }), "pre_tokenizer",
              "FixedLength");
  expectError(changed([](J j) {
                j["pre_tokenizer"] = {{"type", "Digits"}};
              }),
              "decoder", "found ByteLevel");
  expectError(changed([](J j) {
                j["pre_tokenizer"] = {{"type", "Sequence"},
                                      {"pretokenizers", {j["pre_tokenizer"], j["pre_tokenizer"]}}};
              }),
              "pre_tokenizer.pretokenizers[1]", "second ByteLevel");
  expectError(changed([](J j) { j["normalizer"] = {{"type", "Nmt"}}; }), "normalizer", "Nmt");
  expectError(changed([](J j) { j["decoder"] = nullptr; }), "no 'decoder'");
  expectError(changed([](J j) { j["decoder"] = {{"type", "CTC"}}; }), "decoder", "CTC");
  expectError(changed([](J j) {
                j["post_processor"] = {{"type", "BertProcessing"}};
              }),
              "post_processor", "no 'cls'");
}

TEST(Tokenizer, RefusesBrokenFiles) {
  expectError(changed([](J j) { j["model"].erase("vocab"); }), "no 'vocab'");
  expectError(changed([](J j) { j["model"]["vocab"] = Json::object(); }), "model.vocab",
              "no token");
  expectError(changed([](J j) { j["model"]["vocab"]["a"] = -3; }), "model.vocab.'a'", "-3");
  expectError(changed([](J j) { j["model"]["vocab"]["a"] = int64_t(1) << 60; }), "'a'",
              "expected an integer from 0 to");
  expectError(changed([](J j) { j["model"]["vocab"]["a"] = 1.5; }), "'a'", "1.5");
  expectError(changed([](J j) { j["model"]["vocab"]["a"] = "x"; }), "'a'", "\"x\"",
              "expected an integer from 0 to");
  expectError(changed([](J j) { j["model"]["vocab"]["a"] = j["model"]["vocab"]["b"]; }),
              "second time");
  expectError(changed([](J j) { j["model"]["vocab"][""] = 5000; }), "model.vocab", "without text");
  expectError(changed([](J j) { j["model"]["unk_token"] = "zqzq"; }), "unk_token", "zqzq");
  expectError(changed([](J j) { j["model"]["ignore_merges"] = "yes"; }), "model.ignore_merges",
              "\"yes\"", "true or false");
  expectError(changed([](J j) { j["model"].erase("merges"); }), "no 'merges'");
  expectError(changed([](J j) { j["model"]["merges"][3] = "one"; }), "model.merges[3]", "one");
  expectError(changed([](J j) { j["model"]["merges"][3] = "a b c"; }), "model.merges[3]");
  expectError(changed([](J j) {
                j["model"]["merges"][3] = {"zq", "qz"};
              }),
              "model.merges[3]", "'zq'");
  expectError(changed([](J j) {
                j["model"]["merges"][3] = {"a", 1};
              }),
              "model.merges[3]", "an array of 2");
  expectError(changed([](J j) { j["model"]["merges"][3] = j["model"]["merges"][2]; }),
              "model.merges[3]", "second time");
  expectError(changed([](J j) { j["added_tokens"] = 3; }), "added_tokens", "expected an array");
  expectError(changed([](J j) { j["added_tokens"][0]["id"] = -1; }), "added_tokens[0].id", "-1");
  expectError(changed([](J j) { j["added_tokens"][0]["id"] = 77; }), "added_tokens[0].id", "77",
              "as in model.vocab");
  expectError(changed([](J j) { j["added_tokens"][2]["id"] = 77; }), "added_tokens[2].id", "77",
              "no other token");
  expectError(changed([](J j) { j["added_tokens"][1] = j["added_tokens"][0]; }), "added_tokens[1]",
              "second time");
  expectError(changed([](J j) { j["added_tokens"][0]["content"] = ""; }), "added_tokens[0]",
              "content", "found 0 bytes");
  expectError(changed([](J j) { j["added_tokens"][0]["content"] = std::string(5000, 'x'); }),
              "added_tokens[0]", "found 5000 bytes");
  expectError(changed([](J j) { j["added_tokens"][0]["lstrip"] = 1; }), "added_tokens[0].lstrip",
              "true or false");
  expectError(changed([](J j) { j["pre_tokenizer"].erase("add_prefix_space"); }), "pre_tokenizer",
              "add_prefix_space");
  expectError(changed([](J j) { j["pre_tokenizer"]["use_regex"] = "no"; }),
              "pre_tokenizer.use_regex", "\"no\"");
  auto template_ = [](Json single, Json ids) {
    return changed([&](J j) {
      j["post_processor"] = {{"type", "TemplateProcessing"},
                             {"single", single},
                             {"special_tokens", {{"<s>", {{"ids", ids}}}}}};
    });
  };
  Json text = {{"Sequence", {{"id", "A"}}}}, begin = {{"SpecialToken", {{"id", "<s>"}}}},
       other = {{"SpecialToken", {{"id", "<t>"}}}};
  expectError(template_({begin}, {1}), "post_processor.single", "no 'Sequence'");
  expectError(template_({text, text}, {1}), "post_processor.single[1]", "second time");
  expectError(template_({other, text}, {1}), "post_processor.special_tokens", "no '<t>'");
  expectError(template_({begin, text}, {5000}), "post_processor.special_tokens.<s>.ids[0]", "5000");
}

/// Under the sanitizers (label bad-input): no part of a file leads out of bounds, whatever stands
/// there.
TEST(Tokenizer, SurvivesEveryTruncationAndChangedByte) {
  std::string whole = fileOf("threes"), text = "The hacker's guide <|pad|> 12345 \u00e9\n";
  for (size_t size = 0; size < whole.size(); size += 5)
    expectError(Tokenizer::fromJson(std::string_view(whole).substr(0, size), "tokenizer.json"),
                "tokenizer.json", "no valid JSON");
  size_t accepted = 0;
  for (size_t at = 0; at < whole.size(); at += 3) {
    std::string damaged = whole;
    damaged[at] = "\"0}],x\xff\\"[at % 8];
    auto tokenizer = Tokenizer::fromJson(damaged, "tokenizer.json");
    if (!tokenizer) {
      EXPECT_TRUE(tokenizer.error().message.starts_with("tokenizer.json: "))
          << tokenizer.error().message;
      continue;
    }
    ++accepted;
    if (auto ids = tokenizer->encode(text))
      (void)tokenizer->decode(*ids);
  }
  EXPECT_GT(accepted, 10u) << "nothing was encoded by a changed file";
}

TEST(Tokenizer, RefusesExpressionsThatWouldMeanSomethingElse) {
  auto split = [](Json pattern, const char *behavior) {
    return changed([&](J j) {
      Json rule = {
          {"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}, {"invert", false}};
      j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {rule, j["pre_tokenizer"]}}};
    });
  };
  expectError(split({{"Regex", "a"}}, "Sideways"), "pretokenizers[0]", "behavior", "Sideways");
  expectError(split("a", "Isolated"), "pretokenizers[0].pattern", "expected an object");
  expectError(split(Json::object(), "Isolated"), "pretokenizers[0].pattern",
              "'String' or a 'Regex'");
  expectError(split({{"Regex", "(("}}, "Isolated"), "pretokenizers[0]", "'(('", "parenthesis");
  for (const char *expression :
       {"\\h", "a\\b", "[a&&b]", "[a[b]]", "[\\W]", "a{2,3}+", "(?m)a", "(*UCP)a", "\\", "\\p{L",
        "[[:alpha", "[]", "\\v", "\\xe9", "\\u12", "\\1"}) {
    SCOPED_TRACE(expression);
    expectError(split({{"Regex", expression}}, "Isolated"), "pretokenizers[0]", expression,
                "found");
  }
}

TEST(Tokenizer, AnExpressionWithoutEndIsAnError) {
  auto tokenizer = changed([](J j) {
    Json rule = {{"type", "Split"},
                 {"pattern", {{"Regex", "(a|a|aa)+[cd]"}}},
                 {"behavior", "Isolated"},
                 {"invert", false}};
    j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {rule, j["pre_tokenizer"]}}};
  });
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  expectError(tokenizer->encode(std::string(40, 'a') + "b"), "pretokenizers[0]", "(a|a|aa)+[cd]",
              "match limit");
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

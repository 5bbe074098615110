// token_decoder.cpp - From the texts of tokens to a text: each rule sees what the one before made.

#include "runtime/token_decoder.h"

#include <fmt/format.h>

namespace rondo {

static constexpr int32_t mostStripped = 1 << 20;

Result<TokenDecoder> TokenDecoder::fromJson(const JsonPlace &json) {
  TokenDecoder result;
  RONDO_CHECK(result.add(json));
  if (result.byteLevel && !result.rules.empty())
    return json.error("found ByteLevel and other rules, expected ByteLevel alone or none");
  return result;
}

Status TokenDecoder::add(const JsonPlace &json) {
  RONDO_TAKE(std::string type, json.requiredText("type"));
  if (type == "Sequence") {
    RONDO_TAKE(JsonPlace list, json.required("decoders"));
    RONDO_CHECK(list.isArray());
    for (size_t i = 0; i < list.json().size(); ++i)
      RONDO_CHECK(add(list.element(i)));
    return {};
  }
  if (type == "ByteLevel") {
    byteLevel = true;
    return {};
  }
  Rule rule{Rule::Fuse};
  if (type == "WordPiece") {
    rule.kind = Rule::WordPiece;
    RONDO_TAKE(rule.text, json.requiredText("prefix"));
    RONDO_TAKE(rule.flag, json.flag("cleanup", true));
  } else if (type == "Metaspace") {
    rule.kind = Rule::Metaspace;
    RONDO_TAKE(rule.text, json.requiredText("replacement"));
    RONDO_TAKE(rule.flag, json.flag("add_prefix_space", true));
    if (json.member("prepend_scheme")) {
      RONDO_TAKE(std::string scheme, json.requiredText("prepend_scheme"));
      rule.flag = scheme != "never";
    }
  } else if (type == "Replace") {
    rule.kind = Rule::Replace;
    RONDO_TAKE(JsonPlace pattern, json.required("pattern"));
    RONDO_CHECK(pattern.isObject());
    RONDO_TAKE(rule.text, pattern.requiredText("String"));
    RONDO_TAKE(rule.by, json.requiredText("content"));
  } else if (type == "ByteFallback") {
    rule.kind = Rule::Bytes;
  } else if (type == "Strip") {
    rule.kind = Rule::Strip;
    RONDO_TAKE(rule.text, json.requiredText("content"));
    RONDO_TAKE(JsonPlace start, json.required("start"));
    RONDO_TAKE(JsonPlace stop, json.required("stop"));
    RONDO_TAKE(int32_t begin, start.natural(mostStripped));
    RONDO_TAKE(int32_t end, stop.natural(mostStripped));
    rule.atBegin = static_cast<size_t>(begin);
    rule.atEnd = static_cast<size_t>(end);
  } else if (type != "Fuse") {
    return json.error(fmt::format("found '{}', expected ByteLevel, WordPiece, Metaspace, Replace, "
                                  "ByteFallback, Fuse, Strip or a Sequence of them",
                                  type));
  }
  if (rule.text.empty() && rule.kind != Rule::Fuse && rule.kind != Rule::Bytes)
    return json.error("found a rule without a text to look for");
  rules.push_back(std::move(rule));
  return {};
}

static void replaceAll(std::string &text, std::string_view from, std::string_view by) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += by.size())
    text.replace(at, from.size(), by);
}

/// As in English text.
static void tidySpaces(std::string &text) {
  static constexpr std::pair<const char *, const char *> pairs[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto &[from, by] : pairs)
    replaceAll(text, from, by);
}

/// The byte that "<0x1F>" stands for.
static std::optional<char> byteOf(const std::string &token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
    return std::nullopt;
  int value = 0;
  for (char c : {token[3], token[4]}) {
    size_t digit = std::string_view("0123456789ABCDEF").find(c);
    if (digit == std::string_view::npos)
      return std::nullopt;
    value = value * 16 + static_cast<int>(digit);
  }
  return static_cast<char>(value);
}

std::string TokenDecoder::decode(std::vector<std::string> tokens, bool begins) const {
  auto join = [&] {
    std::string all;
    for (const std::string &token : tokens)
      all += token;
    return all;
  };
  for (const Rule &rule : rules) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string &token = tokens[i];
      bool first = begins && i == 0;
      switch (rule.kind) {
      case Rule::WordPiece:
        if (token.starts_with(rule.text) && !first)
          token.erase(0, rule.text.size());
        else if (!first)
          token.insert(0, 1, ' ');
        if (rule.flag)
          tidySpaces(token);
        break;
      case Rule::Metaspace:
        replaceAll(token, rule.text, first && rule.flag ? "" : " ");
        break;
      case Rule::Replace:
        replaceAll(token, rule.text, rule.by);
        break;
      case Rule::Bytes:
        if (std::optional<char> byte = byteOf(token))
          token.assign(1, *byte);
        break;
      case Rule::Fuse:
        break;
      case Rule::Strip:
        for (size_t n = 0; n < rule.atBegin && (begins || i > 0) && token.starts_with(rule.text);
             ++n)
          token.erase(0, rule.text.size());
        for (size_t n = 0; n < rule.atEnd && token.ends_with(rule.text); ++n)
          token.erase(token.size() - rule.text.size());
        break;
      }
    }
    if (rule.kind == Rule::Fuse && !tokens.empty())
      tokens = {join()};
  }
  return join();
}

} // namespace rondo

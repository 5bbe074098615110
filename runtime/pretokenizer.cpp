// pretokenizer.cpp - Cuts a text into the pieces that are encoded each on its own.

#include "runtime/pretokenizer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace rondo {

using Json = nlohmann::json;

struct Pattern::Code {
  pcre2_code *code = nullptr;
  pcre2_match_data *data = nullptr;
  pcre2_match_context *limits = nullptr;
  ~Code() {
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    pcre2_code_free(code);
  }
};

Pattern::Pattern() : code(std::make_unique<Code>()) {}
Pattern::Pattern(Pattern &&) noexcept = default;
Pattern::~Pattern() = default;

static std::string messageOf(int error) {
  unsigned char buffer[256] = {};
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char *>(buffer);
}

Result<Pattern> Pattern::compile(std::string_view expression, bool literal, const std::string &place) {
  Pattern pattern;
  int error = 0;
  size_t at = 0;
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  if (literal)
    options = PCRE2_UTF | PCRE2_LITERAL;
  pattern.code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(), options, &error, &at, nullptr);
  if (!pattern.code->code)
    return Error{fmt::format("{}: pattern '{}': {} at character {}", place, expression, messageOf(error), at)};
  // Without JIT the interpreter matches: slower, the same result.
  (void)pcre2_jit_compile(pattern.code->code, PCRE2_JIT_COMPLETE);
  pattern.code->data = pcre2_match_data_create_from_pattern(pattern.code->code, nullptr);
  pattern.code->limits = pcre2_match_context_create(nullptr);
  if (!pattern.code->data || !pattern.code->limits)
    return Error{fmt::format("{}: not enough memory for a pattern", place)};
  pcre2_set_match_limit(pattern.code->limits, 50'000'000);
  return pattern;
}

Status Pattern::findAll(std::string_view text, std::vector<Match> &matches) const {
  matches.clear();
  const size_t *found = pcre2_get_ovector_pointer(code->data);
  for (size_t at = 0; at < text.size();) {
    // The text was checked once as a whole; checking it at each match would be quadratic.
    int count = pcre2_match(code->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, code->data, code->limits);
    if (count == PCRE2_ERROR_NOMATCH)
      break;
    if (count < 0)
      return Error{fmt::format("the tokenizer's pattern failed at byte {} of a text: {}", at, messageOf(count))};
    matches.push_back({found[0], found[1]});
    at = found[1];
  }
  return {};
}

size_t firstInvalidUtf8(std::string_view text) {
  auto continues = [&](size_t at) { return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; };
  for (size_t i = 0; i < text.size();) {
    auto lead = static_cast<unsigned char>(text[i]);
    size_t length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
    if (length == 0)
      return i;
    for (size_t k = 1; k < length; ++k)
      if (!continues(i + k))
        return i;
    if (length >= 3) {
      auto second = static_cast<unsigned char>(text[i + 1]);
      // Overlong forms, surrogates, and what is beyond U+10FFFF.
      if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) || (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90))
        return i;
    }
    i += length;
  }
  return std::string_view::npos;
}

namespace {

/// What ByteLevel cuts by when no other pattern is given.
constexpr std::string_view byteLevelPattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::string typeOf(const Json &json) {
  return json.is_object() && json.contains("type") && json["type"].is_string() ? json["type"].get<std::string>() : "nothing";
}

bool flag(const Json &json, const char *name, bool otherwise) {
  return json.contains(name) && json[name].is_boolean() ? json[name].get<bool>() : otherwise;
}

} // namespace

Result<PreTokenizer> PreTokenizer::fromJson(const Json &json, const std::string &place) {
  PreTokenizer result;
  RONDO_CHECK(result.add(json, place + ": pre_tokenizer"));
  if (!result.byteLevel)
    return Error{fmt::format("{}: pre_tokenizer: found {}, expected ByteLevel at its end: only byte-level BPE is read", place, typeOf(json))};
  return result;
}

Status PreTokenizer::add(const Json &json, const std::string &place) {
  std::string type = typeOf(json);
  auto isolate = [&](std::string_view expression) -> Status {
    RONDO_TAKE(Pattern pattern, Pattern::compile(expression, false, place));
    rules.push_back({Rule::Isolate, {}});
    rules.back().pattern.push_back(std::move(pattern));
    return {};
  };
  if (type == "Sequence") {
    if (!json.contains("pretokenizers") || !json["pretokenizers"].is_array())
      return Error{fmt::format("{}: found no list 'pretokenizers' in a Sequence", place)};
    for (const Json &one : json["pretokenizers"])
      RONDO_CHECK(add(one, place));
    return {};
  }
  if (type == "ByteLevel") {
    byteLevel = true;
    if (flag(json, "add_prefix_space", true))
      rules.push_back({Rule::PrefixSpace, {}});
    return flag(json, "use_regex", true) ? isolate(byteLevelPattern) : Status();
  }
  if (type == "Digits")
    return isolate(flag(json, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
  if (type != "Split")
    return Error{fmt::format("{}: found {}, expected ByteLevel, Split, Digits or a Sequence of them", place, type)};

  const Json &pattern = json.value("pattern", Json());
  bool literal = pattern.contains("String");
  const Json &text = literal ? pattern["String"] : pattern.value("Regex", Json());
  if (!text.is_string())
    return Error{fmt::format("{}: Split: found no pattern, expected a String or Regex", place)};
  std::string behavior = json.contains("behavior") && json["behavior"].is_string() ? json["behavior"].get<std::string>() : "";
  bool invert = flag(json, "invert", false);
  Rule::Kind kind = behavior == "Isolated" ? Rule::Isolate : invert ? Rule::KeepMatches : Rule::RemoveMatches;
  if (behavior != "Isolated" && behavior != "Removed")
    return Error{fmt::format("{}: Split: found behavior '{}', expected Isolated or Removed", place, behavior)};
  RONDO_TAKE(Pattern compiled, Pattern::compile(text.get<std::string>(), literal, place));
  rules.push_back({kind, {}});
  rules.back().pattern.push_back(std::move(compiled));
  return {};
}

Status PreTokenizer::cut(std::string_view text, std::vector<std::string> &pieces) const {
  pieces.assign(1, std::string(text));
  std::vector<std::string> next;
  std::vector<Pattern::Match> matches;
  for (const Rule &rule : rules) {
    if (rule.kind == Rule::PrefixSpace) {
      for (std::string &piece : pieces)
        if (!piece.starts_with(' '))
          piece.insert(0, " ");
      continue;
    }
    next.clear();
    for (const std::string &piece : pieces) {
      RONDO_CHECK(rule.pattern[0].findAll(piece, matches));
      auto keep = [&](bool wanted, size_t begin, size_t end) {
        if (wanted && begin < end)
          next.push_back(piece.substr(begin, end - begin));
      };
      size_t at = 0;
      for (const Pattern::Match &match : matches) {
        keep(rule.kind != Rule::KeepMatches, at, match.begin);
        keep(rule.kind != Rule::RemoveMatches, match.begin, match.end);
        at = match.end;
      }
      keep(rule.kind != Rule::KeepMatches, at, piece.size());
    }
    pieces.swap(next);
  }
  return {};
}

} // namespace rondo

// normalizer.cpp - Rewrites a text before it is cut into pieces: each rule sees what the one before
// made.

#include "runtime/normalizer.h"

#include <fmt/format.h>

namespace rondo {

/// What comes of it is cut with offsets in 32 bits.
static constexpr size_t longest = size_t(1) << 30;

Result<Normalizer> Normalizer::fromJson(const JsonPlace &json) {
  Normalizer result;
  RONDO_CHECK(result.add(json));
  return result;
}

Status Normalizer::add(const JsonPlace &json) {
  RONDO_TAKE(std::string type, json.requiredText("type"));
  if (type == "Sequence") {
    RONDO_TAKE(JsonPlace list, json.required("normalizers"));
    RONDO_CHECK(list.isArray());
    for (size_t i = 0; i < list.json().size(); ++i)
      RONDO_CHECK(add(list.element(i)));
    return {};
  }
  static const std::pair<const char *, NormalForm> forms[] = {{"NFC", NormalForm::NFC},
                                                              {"NFD", NormalForm::NFD},
                                                              {"NFKC", NormalForm::NFKC},
                                                              {"NFKD", NormalForm::NFKD}};
  for (const auto &[name, form] : forms)
    if (type == name) {
      rules.push_back({Rule::Form, form});
      return {};
    }
  if (type == "Lowercase") {
    rules.push_back({Rule::Lower});
  } else if (type == "StripAccents") {
    rules.push_back({Rule::Accents});
  } else if (type == "BertNormalizer") {
    return addCleaning(json);
  } else if (type == "Strip") {
    Rule rule{Rule::Strip};
    RONDO_TAKE(rule.left, json.flag("strip_left", true));
    RONDO_TAKE(rule.right, json.flag("strip_right", true));
    rules.push_back(std::move(rule));
  } else if (type == "Prepend") {
    Rule rule{Rule::Prepend};
    RONDO_TAKE(rule.text, json.requiredText("prepend"));
    rules.push_back(std::move(rule));
  } else if (type == "Replace") {
    Rule rule{Rule::Replace};
    RONDO_TAKE(Regex regex, Regex::fromJson(json));
    RONDO_TAKE(rule.text, json.requiredText("content"));
    rule.regex.push_back(std::move(regex));
    rules.push_back(std::move(rule));
  } else if (type == "Precompiled") {
    Rule rule{Rule::Mapped};
    RONDO_TAKE(JsonPlace map, json.required("precompiled_charsmap"));
    RONDO_TAKE(CharacterMap read, CharacterMap::fromJson(map));
    rule.map.push_back(std::move(read));
    rules.push_back(std::move(rule));
  } else {
    return json.error(
        fmt::format("found '{}', expected none, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, "
                    "Strip, Prepend, Replace, BertNormalizer, Precompiled or a Sequence of them",
                    type));
  }
  return {};
}

Status Normalizer::addCleaning(const JsonPlace &json) {
  RONDO_TAKE(bool clean, json.flag("clean_text", true));
  RONDO_TAKE(bool apart, json.flag("handle_chinese_chars", true));
  RONDO_TAKE(bool lower, json.flag("lowercase", true));
  RONDO_TAKE(bool strip, json.flag("strip_accents", lower)); // null: as lowercase
  if (clean)
    rules.push_back({Rule::Clean});
  if (apart)
    rules.push_back({Rule::Apart});
  if (strip) {
    rules.push_back({Rule::Form, NormalForm::NFD});
    rules.push_back({Rule::Accents});
  }
  if (lower)
    rules.push_back({Rule::Lower});
  return {};
}

Result<std::string> Normalizer::apply(const Rule &rule, std::string text) {
  switch (rule.kind) {
  case Rule::Form:
    return normalize(text, rule.form);
  case Rule::Lower:
    return lowercase(text);
  case Rule::Accents:
    return withoutMarks(text);
  case Rule::Clean:
    return withoutControls(text);
  case Rule::Apart:
    return ideographsApart(text);
  case Rule::Strip: {
    size_t end = text.size() - (rule.right ? spacesAtEnd(text) : 0);
    size_t begin = rule.left ? std::min(spacesAtBegin(text), end) : 0;
    return text.substr(begin, end - begin);
  }
  case Rule::Prepend:
    return text.empty() ? text : rule.text + text;
  case Rule::Replace: {
    std::vector<Regex::Match> matches;
    RONDO_CHECK(rule.regex[0].findAll(text, matches));
    std::string result;
    size_t at = 0;
    for (const Regex::Match &match : matches) {
      result.append(text, at, match.begin - at).append(rule.text);
      at = match.end;
      if (result.size() >= longest)
        break;
    }
    return result.append(text, at);
  }
  case Rule::Mapped:
    return rule.map[0].apply(text);
  }
  return text;
}

Result<Normalizer::Normalized> Normalizer::apply(std::string_view text) const {
  Normalized result{std::string(text)};
  for (const Rule &rule : rules) {
    RONDO_TAKE(std::string first, apply(rule, result.text.substr(0, firstCluster(result.text))));
    result.begins &= !first.empty() || result.text.empty();
    RONDO_TAKE(result.text, apply(rule, std::move(result.text)));
    if (result.text.size() >= longest)
      return Error{fmt::format("text: found {} bytes after it was normalized, expected less than "
                               "{}",
                               result.text.size(), longest)};
  }
  return result;
}

} // namespace rondo

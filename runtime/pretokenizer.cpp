// pretokenizer.cpp - Cuts a text into the pieces that are encoded each on its own.
//
// Each rule sees each piece of the rule before on its own. ByteLevel writes bytes as characters:
// rules after it see those, so they are written out when there are such rules, and taken back at
// the end.

#include "runtime/pretokenizer.h"
#include "runtime/unicode.h"

#include <fmt/format.h>

namespace rondo {

namespace {

/// What ByteLevel cuts by when no other expression is given.
constexpr std::string_view byteLevelExpression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
/// Unicode's punctuation, and the symbols of ASCII.
constexpr std::string_view punctuation = R"([\p{P}$+<=>^`|~])";

} // namespace

Result<PreTokenizer> PreTokenizer::fromJson(const JsonPlace &json) {
  PreTokenizer result;
  RONDO_CHECK(result.add(json));
  if (result.rules.size() && result.rules.back().kind == Rule::Characters)
    result.rules.pop_back(); // nobody sees the characters
  return result;
}

Status PreTokenizer::add(const JsonPlace &json) {
  RONDO_TAKE(std::string type, json.requiredText("type"));
  if (type == "Sequence") {
    RONDO_TAKE(JsonPlace list, json.required("pretokenizers"));
    RONDO_CHECK(list.isArray());
    for (size_t i = 0; i < list.json().size(); ++i)
      RONDO_CHECK(add(list.element(i)));
    return {};
  }
  if (type == "ByteLevel") {
    if (byteLevel)
      return json.error("found a second ByteLevel, expected one");
    byteLevel = true;
    RONDO_TAKE(bool prefix, json.flag("add_prefix_space", std::nullopt));
    RONDO_TAKE(bool cuts, json.flag("use_regex", true));
    if (prefix)
      rules.push_back({Rule::Prefix, {}});
    if (cuts)
      RONDO_CHECK(addSplit(byteLevelExpression, false, "ByteLevel", Behavior::Isolated, false));
    rules.push_back({Rule::Characters, {}});
    return {};
  }
  if (type == "Digits") {
    RONDO_TAKE(bool individual, json.flag("individual_digits", false));
    return addSplit(R"(\p{N})", false, "Digits",
                    individual ? Behavior::Isolated : Behavior::Contiguous, false);
  }
  if (type == "Punctuation") {
    Behavior behavior = Behavior::Isolated;
    if (json.member("behavior")) {
      RONDO_TAKE(behavior, behaviorOf(json));
    }
    return addSplit(punctuation, false, "Punctuation", behavior, false);
  }
  if (type == "Split")
    return addSplit(json);
  if (type == "Metaspace")
    return addSpaces(json);
  if (type == "Whitespace")
    return addSplit(R"(\w+|[^\w\s]+)", false, type, Behavior::Removed, true);
  if (type == "WhitespaceSplit" || type == "BertPreTokenizer") {
    RONDO_CHECK(addSplit(R"(\s)", false, type, Behavior::Removed, false));
    if (type == "BertPreTokenizer")
      RONDO_CHECK(addSplit(punctuation, false, type, Behavior::Isolated, false));
    return {};
  }
  return json.error(
      fmt::format("found '{}', expected ByteLevel, Split, Digits, Punctuation, Metaspace, "
                  "Whitespace, WhitespaceSplit, BertPreTokenizer or a Sequence of them",
                  type));
}

Result<PreTokenizer::Behavior> PreTokenizer::behaviorOf(const JsonPlace &json) {
  static const std::pair<const char *, Behavior> names[] = {
      {"Removed", Behavior::Removed},
      {"Isolated", Behavior::Isolated},
      {"MergedWithPrevious", Behavior::MergedWithPrevious},
      {"MergedWithNext", Behavior::MergedWithNext},
      {"Contiguous", Behavior::Contiguous}};
  RONDO_TAKE(std::string name, json.requiredText("behavior"));
  for (const auto &[text, behavior] : names)
    if (name == text)
      return behavior;
  return json.error(fmt::format("behavior: found '{}', expected Removed, Isolated, "
                                "MergedWithPrevious, MergedWithNext or Contiguous",
                                name));
}

Status PreTokenizer::addSplit(const JsonPlace &json) {
  Rule rule{Rule::Split, {}};
  RONDO_TAKE(Regex regex, Regex::fromJson(json));
  rule.regex.push_back(std::move(regex));
  RONDO_TAKE(rule.behavior, behaviorOf(json));
  RONDO_TAKE(rule.invert, json.flag("invert", false));
  rules.push_back(std::move(rule));
  return {};
}

Status PreTokenizer::addSpaces(const JsonPlace &json) {
  Rule rule{Rule::Spaces, {}};
  RONDO_TAKE(rule.mark, json.requiredText("replacement"));
  if (rule.mark.empty() || firstCharacter(rule.mark) != rule.mark.size())
    return json.error(fmt::format("replacement: found '{}', expected one character", rule.mark));
  rule.front = Rule::Always;
  if (json.member("prepend_scheme")) {
    RONDO_TAKE(std::string scheme, json.requiredText("prepend_scheme"));
    if (scheme != "always" && scheme != "first" && scheme != "never")
      return json.error(
          fmt::format("prepend_scheme: found '{}', expected always, first or never", scheme));
    rule.front = scheme == "always" ? Rule::Always : scheme == "first" ? Rule::First : Rule::Never;
  } else { // earlier files
    RONDO_TAKE(bool prefix, json.flag("add_prefix_space", true));
    rule.front = prefix ? Rule::Always : Rule::Never;
  }
  RONDO_TAKE(bool cuts, json.flag("split", true));
  std::string mark = rule.mark;
  rules.push_back(std::move(rule));
  return cuts ? addSplit(mark, true, "Metaspace", Behavior::MergedWithNext, false) : Status();
}

Status PreTokenizer::addSplit(std::string_view expression, bool literal, const std::string &place,
                              Behavior behavior, bool invert) {
  RONDO_TAKE(Regex regex, Regex::compile(expression, literal, place));
  rules.push_back({Rule::Split, {}, behavior, invert});
  rules.back().regex.push_back(std::move(regex));
  return {};
}

void PreTokenizer::split(const Rule &rule, const std::string &piece,
                         const std::vector<Regex::Match> &matches,
                         std::vector<std::string> &result) {
  struct Part {
    size_t begin, end;
    bool match;
  };
  std::vector<Part> parts;
  size_t at = 0;
  auto part = [&](size_t begin, size_t end, bool match) {
    parts.push_back({begin, end, match != rule.invert});
  };
  for (const Regex::Match &match : matches) {
    if (at < match.begin)
      part(at, match.begin, false);
    part(match.begin, match.end, true);
    at = match.end;
  }
  if (at < piece.size())
    part(at, piece.size(), false);

  std::vector<Part> kept;
  switch (rule.behavior) {
  case Behavior::Removed:
    for (const Part &p : parts)
      if (!p.match)
        kept.push_back(p);
    break;
  case Behavior::Isolated:
    kept = std::move(parts);
    break;
  case Behavior::Contiguous:
    for (const Part &p : parts)
      if (!kept.empty() && kept.back().match == p.match)
        kept.back().end = p.end;
      else
        kept.push_back(p);
    break;
  case Behavior::MergedWithPrevious: {
    bool after = false; // a match after a match stands alone
    for (const Part &p : parts) {
      if (p.match && !after && !kept.empty())
        kept.back().end = p.end;
      else
        kept.push_back(p);
      after = p.match;
    }
    break;
  }
  case Behavior::MergedWithNext: {
    bool before = false;
    for (size_t i = parts.size(); i-- > 0;) {
      if (parts[i].match && !before && !kept.empty())
        kept.back().begin = parts[i].begin;
      else
        kept.push_back(parts[i]);
      before = parts[i].match;
    }
    kept = {kept.rbegin(), kept.rend()};
    break;
  }
  }
  for (const Part &p : kept)
    if (p.begin < p.end)
      result.push_back(piece.substr(p.begin, p.end - p.begin));
}

static void markSpaces(std::string &piece, const std::string &mark, bool front) {
  std::string result;
  for (char c : piece)
    c == ' ' ? result += mark : result += c;
  piece = front && !result.starts_with(mark) ? mark + result : result;
}

Status PreTokenizer::cut(std::string_view text, bool begins,
                         std::vector<std::string> &pieces) const {
  pieces.assign(1, std::string(text));
  std::vector<std::string> next;
  std::vector<Regex::Match> matches;
  bool characters = false;
  for (const Rule &rule : rules) {
    switch (rule.kind) {
    case Rule::Prefix:
      for (std::string &piece : pieces)
        if (!piece.starts_with(' '))
          piece.insert(0, 1, ' ');
      break;
    case Rule::Characters:
      for (std::string &piece : pieces)
        piece = charactersOf(piece);
      characters = true;
      break;
    case Rule::Spaces:
      for (std::string &piece : pieces)
        markSpaces(piece, rule.mark,
                   rule.front == Rule::Always ||
                       (rule.front == Rule::First && begins && &piece == pieces.data()));
      break;
    case Rule::Split:
      next.clear();
      for (const std::string &piece : pieces) {
        RONDO_CHECK(rule.regex[0].findAll(piece, matches));
        split(rule, piece, matches, next);
      }
      pieces.swap(next);
      break;
    }
  }
  // Each character stands for a byte, and expressions match whole characters.
  if (characters)
    for (std::string &piece : pieces)
      piece = bytesOfCharacters(piece).value();
  return {};
}

} // namespace rondo

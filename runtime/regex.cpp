// regex.cpp - From Oniguruma's syntax to PCRE2's, and from a text to its matches.

#include "runtime/regex.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <optional>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace rondo {

struct Regex::Code {
  std::string place, expression;
  pcre2_code *code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

Regex::Regex(std::unique_ptr<Code> code) : code(std::move(code)) {}
Regex::Regex(Regex &&) noexcept = default;
Regex &Regex::operator=(Regex &&) noexcept = default;
Regex::~Regex() = default;

namespace {

constexpr uint32_t matchLimit =
    50'000'000; // steps of one match: an expression that backtracks without end is an error

std::string messageOf(int error) {
  unsigned char buffer[256] = {};
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char *>(buffer);
}

/// Reads an expression in Oniguruma's Ruby syntax once, left to right, and writes what PCRE2 reads
/// as the same.
class Translation {
public:
  explicit Translation(std::string_view source) : source(source) {}

  /// What is wrong, or nothing.
  std::optional<std::string> run() {
    while (at < source.size() && !problem) {
      char c = source[at];
      if (c == '\\')
        escape();
      else if (inClass)
        classCharacter(c);
      else
        outsideCharacter(c);
    }
    return problem;
  }
  std::string result;

private:
  // White space, and what a word is made of, as Oniguruma has them; PCRE2's own classes differ in
  // U+180E, and in marks and connectors.
  static constexpr std::string_view space = R"(\t-\r\x{85}\p{Z})";
  static constexpr std::string_view word = R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9})";

  char peek(size_t ahead) const { return at + ahead < source.size() ? source[at + ahead] : '\0'; }
  void refuse(std::string what) { problem = fmt::format("{} at byte {}", std::move(what), at); }
  void copy(size_t count) {
    result += source.substr(at, count);
    at += std::min(count, source.size() - at);
  }
  void characterClass(std::string_view members, bool negated) {
    if (!inClass)
      result += fmt::format("[{}{}]", negated ? "^" : "", members);
    else if (!negated)
      result += members;
    else
      return refuse("found the complement of a class inside [...], expected classes that both "
                    "syntaxes read alike");
    at += 2;
  }
  void braced() { // \p{...} or \x{...}
    size_t end = source.find('}', at);
    if (end == std::string_view::npos)
      return refuse("found no '}' to a '{'");
    copy(end + 1 - at);
  }
  void escape() {
    char c = peek(1);
    switch (c) {
    case 's':
    case 'S':
      return characterClass(space, c == 'S');
    case 'w':
    case 'W':
      return characterClass(word, c == 'W');
    case 'p':
    case 'P':
    case 'x':
      if (peek(2) == '{')
        return braced();
      if (c == 'x' && peek(2) >= '0' && peek(2) <= '7' &&
          std::isxdigit(static_cast<unsigned char>(peek(3))))
        return copy(4);
      break;
    case 'u': {
      std::string_view digits = source.substr(at).substr(2, 4);
      if (digits.size() < 4 || !std::all_of(digits.begin(), digits.end(), [](char d) {
            return std::isxdigit(static_cast<unsigned char>(d));
          }))
        break;
      result += fmt::format("\\x{{{}}}", digits);
      at += 6;
      return;
    }
    case 'd':
    case 'D':
    case 'n':
    case 'r':
    case 't':
    case 'f':
    case 'a':
    case 'e':
    case 'A':
    case 'z':
      return copy(2);
    case '\0':
      return refuse("found '\\' at the end");
    default:
      if (!std::isalnum(static_cast<unsigned char>(c)))
        return copy(
            2); // itself; a byte of a longer character is followed by the others as they are
    }
    refuse(fmt::format("found '\\{}', expected what both syntaxes read alike", c));
  }
  void classCharacter(char c) {
    if (c == '[' && peek(1) == ':') {
      size_t end = source.find(":]", at + 2);
      if (end == std::string_view::npos)
        return refuse("found no ':]' to a '[:'");
      return copy(end + 2 - at);
    }
    if (c == '[')
      return refuse(
          "found '[' inside [...], expected no class inside a class (a character is written \\[)");
    if (c == '&' && peek(1) == '&')
      return refuse("found '&&' inside [...], expected no intersection of classes");
    if (c == ']')
      inClass = false;
    copy(1);
  }
  void outsideCharacter(char c) {
    if (c == '[') {
      inClass = true;
      size_t begin = peek(1) == '^' ? 2 : 1;
      if (peek(begin) == ']')
        return refuse("found an empty class");
      return copy(begin);
    }
    if (c == '(' && peek(1) == '?') {
      size_t end = at + 2;
      while (end < source.size() &&
             (std::isalpha(static_cast<unsigned char>(source[end])) || source[end] == '-'))
        ++end;
      bool options =
          end > at + 2 && end < source.size() && (source[end] == ':' || source[end] == ')');
      std::string_view named = source.substr(at + 2, end - at - 2);
      if ((options && named.find_first_not_of("i-") != std::string_view::npos) ||
          (!options && !named.empty()))
        return refuse(fmt::format("found '(?{}', expected no option but i", named));
      return copy(end - at);
    }
    if (c == '(' && peek(1) == '*')
      return refuse("found '(*'");
    if (c == '}' && peek(1) == '+')
      return refuse("found '}+', which is possessive in one syntax alone");
    copy(1);
  }

  std::string_view source;
  size_t at = 0;
  bool inClass = false;
  std::optional<std::string> problem;
};

} // namespace

Result<Regex> Regex::fromJson(const JsonPlace &rule) {
  RONDO_TAKE(JsonPlace pattern, rule.required("pattern"));
  RONDO_CHECK(pattern.isObject());
  bool literal = pattern.member("String").has_value();
  if (literal == pattern.member("Regex").has_value())
    return pattern.unexpected("either a 'String' or a 'Regex' in it");
  RONDO_TAKE(std::string expression, pattern.requiredText(literal ? "String" : "Regex"));
  // The place of the expression is what its errors begin with.
  return compile(expression, literal, rule.error("pattern").message);
}

Result<Regex> Regex::compile(std::string_view expression, bool literal, const std::string &place) {
  auto error = [&](const std::string &what) {
    return Error{fmt::format("{}: expression '{}': {}", place, expression, what)};
  };
  std::string translated(expression);
  uint32_t options = PCRE2_UTF | PCRE2_LITERAL;
  if (!literal) {
    Translation translation(expression);
    if (auto problem = translation.run())
      return error(*problem);
    translated = std::move(translation.result);
    // In Ruby's syntax ^ and $ are a line's ends.
    options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  }
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  if (!context)
    return error("not enough memory");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  auto code = std::make_unique<Code>();
  code->place = place;
  code->expression = expression;
  int problem = 0;
  size_t at = 0;
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                             options, &problem, &at, context.get());
  if (!code->code)
    return error(fmt::format("{} (at byte {} of '{}')", messageOf(problem), at, translated));
  // Without JIT the interpreter matches: slower, the same result.
  (void)pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);
  return Regex(std::move(code));
}

Status Regex::findAll(std::string_view text, std::vector<Match> &matches) const {
  matches.clear();
  if (text.empty())
    return {};
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> limits(
      pcre2_match_context_create(nullptr), &pcre2_match_context_free);
  if (!data || !limits)
    return Error{fmt::format("{}: not enough memory to match", code->place)};
  pcre2_set_match_limit(limits.get(), matchLimit);
  const size_t *found = pcre2_get_ovector_pointer(data.get());
  auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t at = 0;
  while (at <= text.size()) {
    // The text was checked once as a whole; checking it at each match would be quadratic.
    int count = pcre2_match(code->code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, data.get(),
                            limits.get());
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) // the interpreter keeps its stack on the heap
      count = pcre2_match(code->code, subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                          data.get(), limits.get());
    if (count == PCRE2_ERROR_NOMATCH)
      break;
    if (count < 0)
      return Error{fmt::format("{}: expression '{}': failed at byte {} of a text: {}", code->place,
                               code->expression, at, messageOf(count))};
    bool empty = found[0] == found[1];
    bool adjacent = !matches.empty() && matches.back().end == found[1];
    if (!(empty && adjacent))
      matches.push_back({found[0], found[1]});
    at = found[1];
    // Past an empty match by a whole character.
    if (empty)
      do
        ++at;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
  }
  return {};
}

} // namespace rondo

//===- Lexer.cpp - Text to tokens ---------------------------------------------------===//

#include "frontend/Lexer.h"

#include <charconv>
#include <cmath>

using namespace rondo;

std::string Token::shown() const {
  switch (kind) {
  case End:
    return "the end of the file";
  case String:
    return "the string \"" + text + "\"";
  default:
    return "'" + text + "'";
  }
}

namespace {
bool isNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool isDigit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
public:
  Lexer(const SourceFile &file, DiagnosticSink &sink) : file(file), text(file.text), sink(sink) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    while (true) {
      bool line = tokens.empty(), space = false;
      skipBlank(line, space);
      Token token;
      token.place = here();
      token.lineBefore = line;
      token.spaceBefore = space || line;
      if (at == text.size()) {
        token.lineBefore = true;
        tokens.push_back(token);
        return tokens;
      }
      if (next(token))
        tokens.push_back(std::move(token));
    }
  }

private:
  Place here() const { return {&file, line, static_cast<unsigned>(at - lineStart + 1)}; }

  void skipBlank(bool &sawLine, bool &sawSpace) {
    while (at < text.size()) {
      char c = text[at];
      if (c == '\n') {
        sawLine = true;
        ++line;
        lineStart = ++at;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        sawSpace = true;
        ++at;
      } else if (text.substr(at, 2) == "//") {
        while (at < text.size() && text[at] != '\n')
          ++at;
      } else {
        return;
      }
    }
  }

  bool next(Token &token) {
    char c = text[at];
    size_t start = at;
    if (isNameStart(c)) {
      while (at < text.size() && (isNameStart(text[at]) || isDigit(text[at])))
        ++at;
      token.kind = Token::Name;
      token.text = std::string(text.substr(start, at - start));
      return true;
    }
    if (isDigit(c))
      return number(token);
    if (c == '"')
      return string(token);
    static constexpr std::string_view two[] = {"->", "<=", ">=", "==", "!=", ".."};
    for (std::string_view p : two)
      if (text.substr(at, 2) == p) {
        token.kind = Token::Punct;
        token.text = p;
        at += 2;
        return true;
      }
    if (std::string_view("+-*/%^()[]{}<>=,;@.").find(c) != std::string_view::npos) {
      token.kind = Token::Punct;
      token.text = std::string(1, c);
      ++at;
      return true;
    }
    return unknown(token);
  }

  // One message for a run of bytes that belong to no token.
  bool unknown(const Token &token) {
    static constexpr char hex[] = "0123456789abcdef";
    unsigned char c = static_cast<unsigned char>(text[at]);
    std::string shown = c >= 32 && c < 127 ? std::string("'") + text[at] + "'"
                                           : std::string("the byte 0x") + hex[c >> 4] + hex[c & 15];
    std::string hint = c == '#'   ? "; comments begin with //"
                       : c == '!' ? "; write `not`"
                       : c == '&' ? "; write `and`"
                       : c == '|' ? "; write `or`"
                                  : "";
    sink.error(token.place, "unexpected " + shown + hint);
    char first = text[at];
    while (at < text.size() && (text[at] == first || static_cast<unsigned char>(text[at]) >= 127))
      ++at;
    return false;
  }

  bool number(Token &token) {
    size_t start = at;
    auto digits = [&] {
      while (at < text.size() && isDigit(text[at]))
        ++at;
    };
    digits();
    bool real = false;
    // `0..16` is a range: a point followed by another belongs to no number.
    if (at + 1 < text.size() && text[at] == '.' && isDigit(text[at + 1])) {
      real = true;
      ++at;
      digits();
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
      size_t back = at++;
      if (at < text.size() && (text[at] == '+' || text[at] == '-'))
        ++at;
      if (at < text.size() && isDigit(text[at])) {
        real = true;
        digits();
      } else {
        at = back;
      }
    }
    token.text = std::string(text.substr(start, at - start));
    token.kind = real ? Token::Real : Token::Integer;
    const char *begin = token.text.data(), *end = begin + token.text.size();
    auto asReal = std::from_chars(begin, end, token.real);
    bool good = asReal.ec == std::errc() || (asReal.ec == std::errc::result_out_of_range &&
                                             token.text.find("e-") != std::string::npos);
    if (token.kind == Token::Integer)
      good = std::from_chars(begin, end, token.integer).ec == std::errc();
    if (!good)
      sink.error(token.place, "the number " + token.text + " is too large");
    if (at < text.size() && isNameStart(text[at]))
      sink.error(here(), "a name cannot follow a number without a space");
    return true;
  }

  bool string(Token &token) {
    ++at;
    token.kind = Token::String;
    while (at < text.size() && text[at] != '"' && text[at] != '\n') {
      if (text[at] == '\\' && at + 1 < text.size() && text[at + 1] != '\n')
        ++at;
      token.text += text[at++];
    }
    if (at == text.size() || text[at] == '\n')
      sink.error(token.place, "this string does not end on its line; expected a closing '\"'");
    else
      ++at;
    return true;
  }

  const SourceFile &file;
  std::string_view text;
  DiagnosticSink &sink;
  size_t at = 0, lineStart = 0;
  unsigned line = 1;
};
} // namespace

std::vector<Token> rondo::lex(const SourceFile &file, DiagnosticSink &sink) {
  return Lexer(file, sink).run();
}

//===- Lexer.h - Text to tokens --------------------------------*- C++ -*-===//
//
// Comments run from `//` to the end of the line. Line ends are no tokens; a token knows whether one
// stands before it, which is all the parser needs.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/Source.h"

#include <vector>

namespace rondo {

struct Token {
  enum Kind { End, Name, Integer, Real, String, Punct };
  Kind kind = End;
  Place place;
  std::string text;         // a string's content without quotes and escapes
  int64_t integer = 0;      // of an Integer
  double real = 0;          // of an Integer or Real
  bool lineBefore = false;  // first on its line
  bool spaceBefore = false; // not glued to the token before it

  bool is(std::string_view punct) const { return kind == Punct && text == punct; }
  bool isName(std::string_view name) const { return kind == Name && text == name; }
  /// As a message names it.
  std::string shown() const;
};

/// All tokens of a file, ended by an End. A byte that belongs to no token is reported once and
/// skipped.
std::vector<Token> lex(const SourceFile &file, DiagnosticSink &sink);

} // namespace rondo

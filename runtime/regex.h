// regex.h - Regular expressions as tokenizer.json means them, run by PCRE2.
//
// The files are written for Oniguruma's Ruby syntax. Where PCRE2 means the same, an expression is
// passed on; where it has another way to say it
// (\s, \w, \uHHHH, lines' ends), it is translated; what the two read differently and cannot be
// translated (\h, [a&&b], x{2}+, (?m), ...) is refused by name, since a text that is cut
// differently from how a model was trained gives worse answers without a sign of it.

#ifndef RONDO_RUNTIME_REGEX_H
#define RONDO_RUNTIME_REGEX_H

#include "runtime/json.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

class Regex {
public:
  struct Match {
    size_t begin, end;
  };

  /// `place` begins messages. `literal`: the text itself instead of an expression.
  static Result<Regex> compile(std::string_view expression, bool literal, const std::string &place);
  /// From the member "pattern" of a rule: {"String": text} or {"Regex": expression}.
  static Result<Regex> fromJson(const JsonPlace &rule);
  Regex(Regex &&) noexcept;
  Regex &operator=(Regex &&) noexcept;
  ~Regex();

  /// All matches in order, without overlap; an empty one only where the match before does not end.
  /// `text` must be valid UTF-8 of less than 2 GiB. Any number of threads may ask at once.
  Status findAll(std::string_view text, std::vector<Match> &matches) const;

private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code;
};

} // namespace rondo

#endif // RONDO_RUNTIME_REGEX_H

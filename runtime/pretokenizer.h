// pretokenizer.h - Cuts a text into the pieces that are encoded each on its own, by the rules of a
// tokenizer.json.

#ifndef RONDO_RUNTIME_PRETOKENIZER_H
#define RONDO_RUNTIME_PRETOKENIZER_H

#include "runtime/json.h"
#include "runtime/regex.h"

#include <string>
#include <string_view>
#include <vector>

namespace rondo {

class PreTokenizer {
public:
  /// From the value of "pre_tokenizer": ByteLevel, Split, Digits, Punctuation and sequences of
  /// them, with exactly one ByteLevel.
  static Result<PreTokenizer> fromJson(const JsonPlace &json);

  /// Pieces (bytes, none empty) of a text without added tokens, valid UTF-8 of less than 1 GiB.
  Status cut(std::string_view text, std::vector<std::string> &pieces) const;

private:
  enum class Behavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };
  struct Rule {
    enum Kind {
      Prefix,
      Characters,
      Split
    } kind; // a space in front; bytes to characters that stand for them; a cut at matches
    std::vector<Regex> regex; // one, of Split
    Behavior behavior = Behavior::Isolated;
    bool invert = false;
  };
  Status add(const JsonPlace &json);
  Status addSplit(const JsonPlace &json);
  Status addSplit(std::string_view expression, bool literal, const std::string &place,
                  Behavior behavior, bool invert);
  static Result<Behavior> behaviorOf(const JsonPlace &json);
  static void split(const Rule &rule, const std::string &piece,
                    const std::vector<Regex::Match> &matches, std::vector<std::string> &result);

  std::vector<Rule> rules;
  bool byteLevel = false;
};

} // namespace rondo

#endif // RONDO_RUNTIME_PRETOKENIZER_H

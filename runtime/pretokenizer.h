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
  /// Leaves a text whole.
  PreTokenizer() = default;
  /// From the value of "pre_tokenizer": ByteLevel, Split, Digits, Punctuation, Metaspace,
  /// Whitespace, WhitespaceSplit, BertPreTokenizer and sequences of them, with at most one
  /// ByteLevel.
  static Result<PreTokenizer> fromJson(const JsonPlace &json);

  /// Whether tokens are written with a character for each byte.
  bool writesBytes() const { return byteLevel; }

  /// Pieces (bytes, none empty) of a text without added tokens, valid UTF-8 of less than 1 GiB;
  /// `begins`: nothing of the whole text lies before it.
  Status cut(std::string_view text, bool begins, std::vector<std::string> &pieces) const;

private:
  enum class Behavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };
  struct Rule {
    enum Kind {
      Prefix,
      Characters,
      Split,
      Spaces
    } kind; // a space in front; bytes to characters that stand for them; a cut at matches; a
            // character for each space, and in front
    std::vector<Regex> regex; // one, of Split
    Behavior behavior = Behavior::Isolated;
    bool invert = false;
    std::string mark{}; // of Spaces
    enum { Never, First, Always } front = Never;
  };
  Status add(const JsonPlace &json);
  Status addSplit(const JsonPlace &json);
  Status addSpaces(const JsonPlace &json);
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

// pretokenizer.h - Cuts a text into the pieces that are encoded each on its own, by the rules of a tokenizer.json.

#ifndef RONDO_RUNTIME_PRETOKENIZER_H
#define RONDO_RUNTIME_PRETOKENIZER_H

#include "runtime/error.h"

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

/// A regular expression over UTF-8, with Unicode's character classes.
class Pattern {
public:
  /// `literal`: the text itself instead of an expression.
  static Result<Pattern> compile(std::string_view expression, bool literal, const std::string &place);
  Pattern(Pattern &&) noexcept;
  ~Pattern();

  struct Match {
    size_t begin, end;
  };
  /// All matches that are not empty, in order, without overlap. `text` must be valid UTF-8.
  Status findAll(std::string_view text, std::vector<Match> &matches) const;

private:
  struct Code;
  Pattern();
  std::unique_ptr<Code> code;
};

/// The byte at which `text` stops being UTF-8, or npos.
size_t firstInvalidUtf8(std::string_view text);

class PreTokenizer {
public:
  /// From the value of "pre_tokenizer". It must work on bytes (end in ByteLevel).
  static Result<PreTokenizer> fromJson(const nlohmann::json &json, const std::string &place);

  /// Pieces of a text without added tokens.
  Status cut(std::string_view text, std::vector<std::string> &pieces) const;

private:
  struct Rule {
    enum Kind { Isolate, RemoveMatches, KeepMatches, PrefixSpace } kind;
    std::vector<Pattern> pattern; // one, or none of PrefixSpace
  };
  Status add(const nlohmann::json &json, const std::string &place);
  std::vector<Rule> rules;
  bool byteLevel = false;
};

} // namespace rondo

#endif // RONDO_RUNTIME_PRETOKENIZER_H

// normalizer.h - Rewrites a text before it is cut into pieces, by the rules of a tokenizer.json.

#ifndef RONDO_RUNTIME_NORMALIZER_H
#define RONDO_RUNTIME_NORMALIZER_H

#include "runtime/character_map.h"
#include "runtime/json.h"
#include "runtime/regex.h"
#include "runtime/unicode.h"

#include <string>
#include <string_view>
#include <vector>

namespace rondo {

class Normalizer {
public:
  /// Leaves a text as it is.
  Normalizer() = default;
  /// From the value of "normalizer": NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend,
  /// Replace, BertNormalizer, Precompiled and sequences of them.
  static Result<Normalizer> fromJson(const JsonPlace &json);

  /// `text` must be valid UTF-8 of less than 1 GiB.
  struct Normalized {
    std::string text;
    bool begins = true; // the text's first character is still there, as itself or as others
  };
  Result<Normalized> apply(std::string_view text) const;

private:
  struct Rule {
    enum Kind {
      Form,
      Lower,
      Accents, // nonspacing marks, dropped
      Clean,   // control characters dropped, white space of any kind becomes a space
      Apart,   // spaces around ideographs
      Strip,
      Prepend,
      Replace,
      Mapped
    } kind;
    NormalForm form = NormalForm::NFC;
    bool left = false, right = false; // of Strip
    std::string text{};               // of Prepend and Replace: what comes in
    std::vector<Regex> regex{};       // one, of Replace
    std::vector<CharacterMap> map{};  // one, of Mapped
  };
  Status add(const JsonPlace &json);
  Status addCleaning(const JsonPlace &json);
  static Result<std::string> apply(const Rule &rule, std::string text);

  std::vector<Rule> rules;
};

} // namespace rondo

#endif // RONDO_RUNTIME_NORMALIZER_H

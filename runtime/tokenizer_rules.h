// tokenizer_rules.h - What a tokenizer.json says, checked and ready to be applied.

#ifndef RONDO_RUNTIME_TOKENIZER_RULES_H
#define RONDO_RUNTIME_TOKENIZER_RULES_H

#include "runtime/added_tokens.h"
#include "runtime/bpe.h"
#include "runtime/pretokenizer.h"
#include "runtime/tokenizer.h"
#include "runtime/unicode.h"

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace rondo {

struct Tokenizer::Rules {
  /// What an id stands for.
  struct Token {
    std::string bytes;
    bool special = false;
  };

  bool rawBytes = false;
  std::unordered_map<int64_t, Token> tokens;
  int64_t size = 0; // one more than the largest id
  Bpe bpe;
  AddedTokens inText, inNormalized; // found before and after the text is normalized
  std::vector<NormalForm> normalForms;
  std::optional<PreTokenizer> cutter; // none of raw bytes
  std::vector<int64_t> before, after; // of a framed text

  /// From the text of a tokenizer.json.
  static Result<std::unique_ptr<Rules>> read(std::string_view json, const std::string &place);
};

} // namespace rondo

#endif // RONDO_RUNTIME_TOKENIZER_RULES_H

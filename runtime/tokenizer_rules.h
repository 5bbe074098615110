// tokenizer_rules.h - What a tokenizer.json says, checked and ready to be applied.

#ifndef RONDO_RUNTIME_TOKENIZER_RULES_H
#define RONDO_RUNTIME_TOKENIZER_RULES_H

#include "runtime/added_tokens.h"
#include "runtime/bpe.h"
#include "runtime/normalizer.h"
#include "runtime/pretokenizer.h"
#include "runtime/token_decoder.h"
#include "runtime/tokenizer.h"
#include "runtime/unigram.h"
#include "runtime/wordpiece.h"

#include <memory>
#include <unordered_map>
#include <variant>
#include <vector>

namespace rondo {

struct Tokenizer::Rules {
  /// What an id stands for.
  struct Token {
    std::string bytes; // or what the file says, which the decoder makes a text of
    bool special = false;
  };

  bool rawBytes = false;
  std::unordered_map<int64_t, Token> tokens;
  int64_t size = 0; // one more than the largest id
  std::variant<Bpe, Unigram, WordPiece> model;
  AddedTokens inText, inNormalized; // found before and after the text is normalized
  Normalizer normalizer;
  PreTokenizer cutter;
  TokenDecoder decoder;
  std::vector<int64_t> before, after; // of a framed text

  /// Appends the ids of a piece.
  Status encode(std::string_view piece, std::vector<int64_t> &ids) const;

  /// From the text of a tokenizer.json.
  static Result<std::unique_ptr<Rules>> read(std::string_view json, const std::string &place);
};

} // namespace rondo

#endif // RONDO_RUNTIME_TOKENIZER_RULES_H

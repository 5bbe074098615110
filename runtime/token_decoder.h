// token_decoder.h - From the texts of tokens to the text that they stand for, by the "decoder" of a
// tokenizer.json.

#ifndef RONDO_RUNTIME_TOKEN_DECODER_H
#define RONDO_RUNTIME_TOKEN_DECODER_H

#include "runtime/json.h"

#include <string>
#include <vector>

namespace rondo {

class TokenDecoder {
public:
  /// From the value of "decoder": ByteLevel; WordPiece, Metaspace, Replace, ByteFallback, Fuse,
  /// Strip and sequences of them.
  static Result<TokenDecoder> fromJson(const JsonPlace &json);

  /// Whether tokens are written with a character for each byte.
  bool writesBytes() const { return byteLevel; }

  /// `begins`: nothing comes before the tokens, so that what marks the beginning of a text goes.
  std::string decode(std::vector<std::string> tokens, bool begins) const;

private:
  struct Rule {
    enum Kind { WordPiece, Metaspace, Replace, Bytes, Fuse, Strip } kind;
    std::string text{}, by{}; // the prefix; the mark; what is replaced, and by what; the character
    bool flag = false;        // WordPiece: tidy spaces; Metaspace: a mark in front goes
    size_t atBegin = 0, atEnd = 0; // of Strip: at most so many
  };
  Status add(const JsonPlace &json);

  std::vector<Rule> rules;
  bool byteLevel = false;
};

} // namespace rondo

#endif // RONDO_RUNTIME_TOKEN_DECODER_H

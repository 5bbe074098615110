// tokenizer.h - Text to token ids and back, as tokenizer.json describes it, or the 256 byte values
// themselves.
//
// Read from tokenizer.json (huggingface.co/docs/tokenizers): models BPE (over bytes, or over
// characters with bytes to fall back on), Unigram and WordPiece; the normalizers of normalizer.h,
// the cuts of pretokenizer.h and the decoders of token_decoder.h; added tokens; a template that
// puts special tokens in front or behind. What is asked for beyond that is refused by name: a text
// that is cut differently from how the model was trained gives worse answers without a sign of it.
// Truncation and padding make batches of a training run, and are not applied.

#ifndef RONDO_RUNTIME_TOKENIZER_H
#define RONDO_RUNTIME_TOKENIZER_H

#include "runtime/error.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

class Tokenizer {
public:
  /// From the text of a tokenizer.json; `place` stands for the file in messages.
  static Result<Tokenizer> fromJson(std::string_view json, const std::string &place);
  /// Token i is byte i.
  static Tokenizer bytes();

  Tokenizer(Tokenizer &&) noexcept;
  Tokenizer &operator=(Tokenizer &&) noexcept;
  ~Tokenizer();

  /// Ids of a text in UTF-8, less than 1 GiB (of any bytes for bytes()). Added tokens are
  /// recognised in it. `framed`: with the special tokens that the tokenizer puts around a text, as
  /// at the beginning of a sequence.
  Result<std::vector<int64_t>> encode(std::string_view text, bool framed = true) const;

  /// The bytes of ids; a token may end inside a character. Special tokens have no text unless asked
  /// for; ids that are no tokens have none. `begins`: nothing comes before them, so that a space
  /// that the tokenizer puts before a text goes.
  std::string decode(std::span<const int64_t> ids, bool specials = false, bool begins = true) const;

  /// One more than the largest id.
  int64_t size() const;

  struct Rules; // tokenizer_rules.h

private:
  explicit Tokenizer(std::unique_ptr<Rules> rules);
  std::unique_ptr<Rules> rules;
};

/// Collects bytes and gives out whole UTF-8 characters, for printing text as it is generated; bytes
/// that can never become one are given out as they are.
class Utf8Stream {
public:
  /// What can be printed now.
  std::string add(std::string_view bytes);
  /// The rest.
  std::string finish() { return std::move(pending); }

private:
  std::string pending;
};

} // namespace rondo

#endif // RONDO_RUNTIME_TOKENIZER_H

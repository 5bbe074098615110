// TokenText.h - Text to token ids and back, as a package says.

#ifndef RONDO_TOOLS_RONDO_TOKENTEXT_H
#define RONDO_TOOLS_RONDO_TOKENTEXT_H

#include "runtime/tokenizer.h"
#include "tools/rondo/Session.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rondo::cli {

/// A package has a tokenizer.json, or its vocabulary is the 256 byte values, or it knows ids alone;
/// so it does when its tokenizer cannot be read.
class TokenText {
public:
  static Result<TokenText> of(const Session &session);

  /// Whether ids have a text.
  bool hasText() const { return tokenizer.has_value(); }
  /// An error when the package knows ids alone. `framed`: with the special tokens around a text, as
  /// at the beginning of a sequence.
  Result<std::vector<int64_t>> encode(std::string_view text, bool framed) const;
  /// Of ids that follow others. Empty when the package knows ids alone. A token may end inside a
  /// character.
  std::string decode(std::span<const int64_t> ids) const;

private:
  std::string reason; // why there is no text
  std::optional<Tokenizer> tokenizer;
};

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_TOKENTEXT_H

// TokenText.cpp - Text to token ids and back, as a package says.

#include "tools/rondo/TokenText.h"

#include <fmt/format.h>

namespace rondo::cli {

Result<TokenText> TokenText::of(const Session &session) {
  TokenText result;
  result.package = session.path();
  for (const package::Entry *entry : *session.manifest().entries())
    result.vocabulary = std::max(result.vocabulary, vocabularyOf(*entry));
  const flatbuffers::String *json = session.manifest().tokenizer();
  if (json && json->size() > 0) {
    RONDO_TAKE(result.tokenizer, Tokenizer::fromJson(json->string_view(), session.path() + ": tokenizer.json"));
  } else if (result.vocabulary == 256) {
    result.tokenizer = Tokenizer::bytes();
  }
  return result;
}

Result<std::vector<int64_t>> TokenText::encode(std::string_view text, bool framed) const {
  if (!tokenizer)
    return Error{fmt::format("{}: it has no tokenizer, and its vocabulary of {} is not the 256 byte values: text cannot be read; give ids with --tokens", package, vocabulary)};
  return tokenizer->encode(text, framed);
}

std::string TokenText::decode(std::span<const int64_t> ids) const { return tokenizer ? tokenizer->decode(ids) : std::string(); }

} // namespace rondo::cli

// TokenText.cpp - Text to token ids and back, as a package says.

#include "tools/rondo/TokenText.h"

#include <fmt/format.h>

namespace rondo::cli {

Result<TokenText> TokenText::of(const Session &session) {
  TokenText result;
  result.package = session.path();
  for (const package::Entry *entry : *session.manifest().entries())
    result.vocabulary = std::max(result.vocabulary, vocabularyOf(*entry));
  const flatbuffers::String *tokenizer = session.manifest().tokenizer();
  result.bytes = result.vocabulary == 256 && !(tokenizer && tokenizer->size() > 0);
  return result;
}

Result<std::vector<int64_t>> TokenText::encode(std::string_view text) const {
  if (!bytes)
    return Error{fmt::format("{}: it has no tokenizer, and its vocabulary of {} is not the 256 byte values: text cannot be read; give ids with --tokens", package, vocabulary)};
  std::vector<int64_t> ids;
  for (char c : text)
    ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

std::string TokenText::decode(std::span<const int64_t> ids) const {
  std::string text;
  if (bytes)
    for (int64_t id : ids)
      text += static_cast<char>(id);
  return text;
}

} // namespace rondo::cli

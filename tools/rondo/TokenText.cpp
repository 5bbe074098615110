// TokenText.cpp - Text to token ids and back, as a package says.

#include "tools/rondo/TokenText.h"

#include <fmt/format.h>

namespace rondo::cli {

Result<TokenText> TokenText::of(const Session &session) {
  TokenText result;
  int64_t vocabulary = 0;
  for (const package::Entry *entry : *session.manifest().entries())
    vocabulary = std::max(vocabulary, vocabularyOf(*entry));
  const flatbuffers::String *json = session.manifest().tokenizer();
  if (json && json->size() > 0) {
    Result<Tokenizer> read =
        Tokenizer::fromJson(json->string_view(), session.path() + ": tokenizer.json");
    if (read)
      result.tokenizer = *std::move(read);
    else // no reason to refuse ids
      result.reason = read.error().message + "; ids can be given with --tokens";
  } else if (vocabulary == 256) {
    result.tokenizer = Tokenizer::bytes();
  } else {
    result.reason = fmt::format("{}: it has no tokenizer, and its vocabulary of {} is not the 256 "
                                "byte values: text cannot be read; give ids with --tokens",
                                session.path(), vocabulary);
  }
  return result;
}

Result<std::vector<int64_t>> TokenText::encode(std::string_view text, bool framed) const {
  if (!tokenizer)
    return Error{reason};
  return tokenizer->encode(text, framed);
}

std::string TokenText::decode(std::span<const int64_t> ids) const {
  return tokenizer ? tokenizer->decode(ids, /*specials=*/false, /*begins=*/false) : std::string();
}

} // namespace rondo::cli

// tokenizer.cpp - Text to token ids and back.
//
// A text is cut at its added tokens; what is between them is normalized and cut into pieces
// (pretokenizer.h); each piece becomes tokens (bpe.h).

#include "runtime/tokenizer.h"
#include "runtime/tokenizer_rules.h"

#include <algorithm>
#include <fmt/format.h>

namespace rondo {

Tokenizer::Tokenizer(std::unique_ptr<Rules> rules) : rules(std::move(rules)) {}
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::bytes() {
  auto rules = std::make_unique<Rules>();
  rules->rawBytes = true;
  rules->size = 256;
  for (int b = 0; b < 256; ++b)
    rules->tokens[b] = {std::string(1, static_cast<char>(b)), false};
  return Tokenizer(std::move(rules));
}

Result<Tokenizer> Tokenizer::fromJson(std::string_view json, const std::string &place) {
  RONDO_TAKE(std::unique_ptr<Rules> rules, Rules::read(json, place));
  return Tokenizer(std::move(rules));
}

int64_t Tokenizer::size() const { return rules->size; }

Result<std::vector<int64_t>> Tokenizer::encode(std::string_view text, bool framed) const {
  constexpr size_t longest = size_t(1)
                             << 30; // what comes of it, at twice the size, has offsets in 32 bits
  std::vector<int64_t> ids;
  if (rules->rawBytes) {
    for (char c : text)
      ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  if (text.size() >= longest)
    return Error{fmt::format("text: found {} bytes, expected less than {}", text.size(), longest)};
  if (size_t at = firstInvalidUtf8(text); at != std::string_view::npos)
    return Error{fmt::format("text: found 0x{:02x} at byte {}, expected UTF-8",
                             static_cast<unsigned char>(text[at]), at)};
  if (framed)
    ids = rules->before;
  std::vector<std::string> pieces;
  for (const AddedTokens::Part &part : rules->inText.split(text)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    RONDO_TAKE(Normalizer::Normalized whole, rules->normalizer.apply(part.text));
    const std::string &normalized = whole.text;
    bool begins = whole.begins && part.text.data() == text.data();
    for (const AddedTokens::Part &inner : rules->inNormalized.split(normalized)) {
      if (inner.id >= 0) {
        ids.push_back(inner.id);
        continue;
      }
      RONDO_CHECK(
          rules->cutter.cut(inner.text, begins && inner.text.data() == normalized.data(), pieces));
      for (const std::string &piece : pieces)
        RONDO_CHECK(rules->encode(piece, ids));
    }
  }
  if (framed)
    ids.insert(ids.end(), rules->after.begin(), rules->after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool specials, bool begins) const {
  bool asBytes = rules->rawBytes || rules->decoder.writesBytes();
  std::string text;
  std::vector<std::string> tokens;
  for (int64_t id : ids)
    if (auto found = rules->tokens.find(id);
        found != rules->tokens.end() && (specials || !found->second.special)) {
      if (asBytes)
        text += found->second.bytes;
      else
        tokens.push_back(found->second.bytes);
    }
  return asBytes ? text : rules->decoder.decode(std::move(tokens), begins);
}

std::string Utf8Stream::add(std::string_view bytes) {
  pending += bytes;
  // Hold back a last character that further bytes may complete.
  size_t hold = 0;
  for (size_t back = 1; back <= 3 && back <= pending.size(); ++back) {
    auto byte = static_cast<unsigned char>(pending[pending.size() - back]);
    if ((byte & 0xc0) == 0x80)
      continue;
    size_t length = byte >= 0xf5 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
    if (length > back)
      hold = back;
    break;
  }
  std::string ready = pending.substr(0, pending.size() - hold);
  pending.erase(0, ready.size());
  return ready;
}

} // namespace rondo

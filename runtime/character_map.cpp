// character_map.cpp - Looks characters up in a compiled map. Nothing in the table is trusted: an
// index that leaves it ends the search.

#include "runtime/character_map.h"
#include "runtime/unicode.h"

#include <cstring>
#include <fmt/format.h>

namespace rondo {

static constexpr std::string_view base64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::optional<std::string> bytesOfBase64(std::string_view text) {
  while (text.ends_with('='))
    text.remove_suffix(1);
  if (text.size() % 4 == 1)
    return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t held = 0;
  int bits = 0;
  for (char c : text) {
    size_t digit = base64Digits.find(c);
    if (digit == std::string_view::npos)
      return std::nullopt;
    held = held << 6 | static_cast<uint32_t>(digit);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>(held >> bits & 0xff);
    }
  }
  return bytes;
}

std::string base64Of(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t held = 0;
    size_t count = std::min<size_t>(3, bytes.size() - at);
    for (size_t i = 0; i < 3; ++i)
      held = held << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    for (size_t i = 0; i < 4; ++i)
      text += i <= count ? base64Digits[held >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

Result<CharacterMap> CharacterMap::fromJson(const JsonPlace &json) {
  CharacterMap map;
  RONDO_TAKE(std::string text, json.text());
  std::optional<std::string> bytes = bytesOfBase64(text);
  uint32_t size = 0;
  if (!bytes || bytes->size() < sizeof size)
    return json.error("found no base64 of at least 4 bytes, expected a compiled character map");
  for (size_t i = sizeof size; i-- > 0;)
    size = size << 8 | static_cast<unsigned char>((*bytes)[i]);
  if (size % sizeof(uint32_t) != 0 || size > bytes->size() - sizeof size)
    return json.error(fmt::format("found a table of {} bytes in a map of {}, expected a multiple "
                                  "of 4 that lies in it",
                                  size, bytes->size()));
  map.trie.resize(size / sizeof(uint32_t));
  for (size_t i = 0; i < map.trie.size(); ++i)
    for (size_t k = sizeof(uint32_t); k-- > 0;)
      map.trie[i] = map.trie[i] << 8 |
                    static_cast<unsigned char>((*bytes)[sizeof size + i * sizeof(uint32_t) + k]);
  map.texts = bytes->substr(sizeof size + size);
  if (size_t bad = firstInvalidUtf8(map.texts); bad != std::string_view::npos)
    return json.error(fmt::format("found no UTF-8 at byte {} of its texts", bad));
  return map;
}

std::optional<std::string_view> CharacterMap::find(std::string_view key) const {
  if (trie.empty())
    return std::nullopt;
  auto offset = [](uint32_t unit) { return size_t(unit >> 10) << ((unit & 0x200) >> 6); };
  size_t node = offset(trie[0]);
  for (char c : key) {
    auto byte = static_cast<unsigned char>(c);
    node ^= byte;
    if (byte == 0 || node >= trie.size() || (trie[node] & 0x800000ff) != byte)
      return std::nullopt;
    bool ends = trie[node] >> 8 & 1;
    node ^= offset(trie[node]);
    if (!ends)
      continue;
    size_t at = node < trie.size() ? trie[node] & 0x7fffffff : texts.size();
    if (at >= texts.size())
      return std::nullopt;
    std::string_view rest = std::string_view(texts).substr(at);
    return rest.substr(0, rest.find('\0'));
  }
  return std::nullopt;
}

std::string CharacterMap::apply(std::string_view text) const {
  constexpr size_t longestWhole = 5;
  std::string result;
  while (!text.empty()) {
    std::string_view cluster = text.substr(0, firstCluster(text));
    text.remove_prefix(cluster.size());
    std::optional<std::string_view> whole;
    if (cluster.size() <= longestWhole)
      whole = find(cluster);
    if (whole) {
      result += *whole;
      continue;
    }
    while (!cluster.empty()) {
      std::string_view character = cluster.substr(0, firstCharacter(cluster));
      cluster.remove_prefix(character.size());
      result += find(character).value_or(character);
    }
  }
  return result;
}

} // namespace rondo

// character_map.h - What SentencePiece replaces characters by, compiled into one table: a
// double-array trie over UTF-8 bytes (Aoe 1989; the layout of Darts-clone) whose values are
// offsets into a run of texts that each end with a zero byte.

#ifndef RONDO_RUNTIME_CHARACTER_MAP_H
#define RONDO_RUNTIME_CHARACTER_MAP_H

#include "runtime/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

class CharacterMap {
public:
  /// From base64 text: bytes of the trie (u32, little endian), the trie, the texts.
  static Result<CharacterMap> fromJson(const JsonPlace &json);

  /// Each cluster of characters that a reader takes for one is replaced as a whole where the map
  /// has something for its beginning and it is shorter than 6 bytes, else character by character.
  std::string apply(std::string_view text) const;

private:
  /// What the shortest beginning of `key` that the map has is replaced by.
  std::optional<std::string_view> find(std::string_view key) const;

  std::vector<uint32_t> trie;
  std::string texts;
};

/// The bytes that base64 stands for (RFC 4648, with or without padding); none where it is not that.
std::optional<std::string> bytesOfBase64(std::string_view text);
std::string base64Of(std::string_view bytes);

} // namespace rondo

#endif // RONDO_RUNTIME_CHARACTER_MAP_H

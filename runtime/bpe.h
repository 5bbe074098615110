// bpe.h - Byte pair encoding: the bytes or characters of a piece become tokens, of which neighbours
// are merged, the earliest rule of the list first and the leftmost of equal ones, until no rule
// applies (Sennrich et al., https://arxiv.org/abs/1508.07909).

#ifndef RONDO_RUNTIME_BPE_H
#define RONDO_RUNTIME_BPE_H

#include "runtime/error.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rondo {

class Bpe {
public:
  Bpe() { idOfByte.fill(-1); }

  void addToken(std::string bytes, int32_t id);
  /// Rules in the order of their rank. False when the two have a rule already.
  bool addMerge(int32_t left, int32_t right, int32_t joined);
  /// A piece that is a token is that token, whatever the rules make of it.
  void takeWholePieces() { wholePieces = true; }
  /// Begins with characters instead of bytes. `bytes`: tokens of the 256 bytes, which stand for a
  /// character without a token where each of its bytes has one (-1: it has none).
  void beginWithCharacters(const std::array<int32_t, 256> &bytes);
  /// What a byte or character without a token becomes; `fused`: one for neighbours together.
  void setUnknown(int32_t id, bool fused);

  /// Appends the ids of a piece, in O(n log n). An error names a byte that has no token.
  Status encode(std::string_view piece, std::vector<int64_t> &ids) const;

private:
  struct Merge {
    int32_t rank, joined;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  /// The tokens before any merge.
  Status split(std::string_view piece, std::vector<int32_t> &tokens) const;
  const Merge *mergeOf(int32_t left, int32_t right) const;

  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> idOfBytes;
  std::array<int32_t, 256> idOfByte;          // that a piece begins with, or falls back on
  std::unordered_map<uint64_t, Merge> merges; // by the two ids
  std::optional<int32_t> unknown;
  bool fuseUnknown = false, wholePieces = false, characters = false;
};

} // namespace rondo

#endif // RONDO_RUNTIME_BPE_H

// unigram.h - Of all ways to cut a piece into tokens the most probable one, where a token has a
// probability of its own (Kudo 2018, https://arxiv.org/abs/1804.10959).

#ifndef RONDO_RUNTIME_UNIGRAM_H
#define RONDO_RUNTIME_UNIGRAM_H

#include "runtime/error.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rondo {

class Unigram {
public:
  Unigram() { idOfByte.fill(-1); }

  /// `score`: the logarithm of the probability, finite. Of equal texts the last one counts.
  void addToken(std::string_view text, int32_t id, double score);
  /// What characters without a token become, neighbours together.
  void setUnknown(int32_t id) { unknown = id; }
  /// Bytes that stand for such characters where each has a token (-1: it has none).
  void fallBackOn(const std::array<int32_t, 256> &bytes) { idOfByte = bytes; }

  /// Appends the ids of a piece in valid UTF-8, in O(n * longest token).
  Status encode(std::string_view piece, std::vector<int64_t> &ids) const;

private:
  struct Token {
    int32_t id;
    double score;
  };
  std::unordered_map<uint64_t, int32_t> children; // of a node and a byte
  std::vector<std::optional<Token>> nodes{1};     // of a trie; the first is its root
  double least = 0;                               // of all scores
  std::optional<int32_t> unknown;
  std::array<int32_t, 256> idOfByte;
};

} // namespace rondo

#endif // RONDO_RUNTIME_UNIGRAM_H

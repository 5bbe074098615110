// wordpiece.h - A word becomes its longest beginning that is a token, then the longest of what is
// left, written with a prefix; a word that cannot be cut so is one unknown token (Schuster and
// Nakajima 2012; https://arxiv.org/abs/1810.04805).

#ifndef RONDO_RUNTIME_WORDPIECE_H
#define RONDO_RUNTIME_WORDPIECE_H

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rondo {

struct WordPiece {
  std::unordered_map<std::string, int32_t> idOf;
  std::string prefix;       // of what goes on inside a word
  size_t longestWord = 100; // in characters; a longer one is unknown
  size_t longestToken = 0;  // in bytes
  int32_t unknown = 0;

  /// Appends the ids of a word in valid UTF-8.
  void encode(std::string_view word, std::vector<int64_t> &ids) const;
};

} // namespace rondo

#endif // RONDO_RUNTIME_WORDPIECE_H

// wordpiece.cpp - From a word to its tokens, the longest first.

#include "runtime/wordpiece.h"
#include "runtime/unicode.h"

#include <algorithm>

namespace rondo {

void WordPiece::encode(std::string_view word, std::vector<int64_t> &ids) const {
  std::vector<size_t> ends; // of characters
  for (size_t at = 0; at < word.size();) {
    at += firstCharacter(word.substr(at));
    ends.push_back(at);
  }
  size_t before = ids.size(), begin = 0;
  std::string candidate;
  for (size_t first = 0; first < ends.size() && ends.size() <= longestWord;) {
    size_t after = ends.size();
    const int32_t *found = nullptr;
    for (; after > first && !found; --after) {
      size_t length = ends[after - 1] - begin;
      if (length > longestToken)
        continue;
      candidate = begin ? prefix : std::string();
      candidate += word.substr(begin, length);
      if (auto it = idOf.find(candidate); it != idOf.end())
        found = &it->second;
      if (found)
        break;
    }
    if (!found)
      break;
    ids.push_back(*found);
    first = after;
    begin = ends[after - 1];
  }
  if (begin == word.size())
    return;
  ids.resize(before);
  ids.push_back(unknown);
}

} // namespace rondo

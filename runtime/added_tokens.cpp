// added_tokens.cpp - From a text to its added tokens and what lies between them.

#include "runtime/added_tokens.h"
#include "runtime/unicode.h"

#include <algorithm>

namespace rondo {

AddedTokens::AddedTokens(std::vector<Token> list) : tokens(std::move(list)) {
  std::sort(tokens.begin(), tokens.end(),
            [](const Token &a, const Token &b) { return a.text < b.text; });
  for (const Token &token : tokens)
    begins[static_cast<unsigned char>(token.text[0])] = true;
}

/// Narrows the sorted list byte by byte to the tokens that begin as the text does; of those the
/// shortest comes first.
const AddedTokens::Token *AddedTokens::longestAt(std::string_view text) const {
  auto low = tokens.begin(), high = tokens.end();
  const Token *longest = nullptr;
  for (size_t i = 0; i < text.size() && low != high; ++i) {
    auto byte = [&](const Token &token) { return static_cast<unsigned char>(token.text[i]); };
    auto wanted = static_cast<unsigned char>(text[i]);
    low = std::partition_point(low, high, [&](const Token &token) { return byte(token) < wanted; });
    high =
        std::partition_point(low, high, [&](const Token &token) { return byte(token) == wanted; });
    if (low != high && low->text.size() == i + 1)
      longest = &*low++;
  }
  return longest;
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text) const {
  std::vector<Part> parts;
  size_t begin = 0; // of what is in no part yet
  for (size_t at = 0; at < text.size() && !tokens.empty();) {
    const Token *token =
        begins[static_cast<unsigned char>(text[at])] ? longestAt(text.substr(at)) : nullptr;
    if (!token) {
      ++at;
      continue;
    }
    size_t start = at, end = at + token->text.size();
    at = end;
    if (token->singleWord &&
        (endsWithWord(text.substr(0, start)) || beginsWithWord(text.substr(end))))
      continue;
    if (token->stripLeft)
      start -= spacesAtEnd(text.substr(0, start));
    if (token->stripRight)
      end += spacesAtBegin(text.substr(end));
    start = std::max(start, begin); // the token before may have taken the white space between them
    if (begin < start)
      parts.push_back({text.substr(begin, start - begin), -1});
    parts.push_back({text.substr(start, std::max(start, end) - start), token->id});
    begin = std::max(begin, end);
  }
  if (begin < text.size())
    parts.push_back({text.substr(begin), -1});
  return parts;
}

} // namespace rondo

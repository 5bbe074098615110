// added_tokens.h - Tokens that are found in a text before it is cut into pieces: the longest at a
// place, the leftmost first.

#ifndef RONDO_RUNTIME_ADDED_TOKENS_H
#define RONDO_RUNTIME_ADDED_TOKENS_H

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

class AddedTokens {
public:
  struct Token {
    std::string text; // not empty
    int32_t id = 0;
    bool stripLeft = false, stripRight = false; // takes the white space beside it
    bool singleWord = false;                    // only where no word goes on beside it
  };
  /// A part of a text: a token, or (id -1) what lies between tokens.
  struct Part {
    std::string_view text;
    int32_t id;
  };

  AddedTokens() = default;
  /// Texts must differ.
  explicit AddedTokens(std::vector<Token> tokens);

  /// Parts in order; none between tokens is empty.
  std::vector<Part> split(std::string_view text) const;

private:
  const Token *longestAt(std::string_view text) const;

  std::vector<Token> tokens; // sorted by text
  std::array<bool, 256> begins{};
};

} // namespace rondo

#endif // RONDO_RUNTIME_ADDED_TOKENS_H

// unigram.cpp - The most probable tokens of a piece, by dynamic programming over its bytes.

#include "runtime/unigram.h"
#include "runtime/unicode.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace rondo {

static uint64_t keyOf(int32_t node, char byte) {
  return uint64_t(uint32_t(node)) << 8 | static_cast<unsigned char>(byte);
}

void Unigram::addToken(std::string_view text, int32_t id, double score) {
  least = nodes.size() == 1 ? score : std::min(least, score);
  int32_t node = 0;
  for (char c : text) {
    auto [child, fresh] = children.try_emplace(keyOf(node, c), static_cast<int32_t>(nodes.size()));
    if (fresh)
      nodes.emplace_back();
    node = child->second;
  }
  nodes[static_cast<size_t>(node)] = Token{id, score};
}

Status Unigram::encode(std::string_view piece, std::vector<int64_t> &ids) const {
  // An unknown character costs more than the least probable token, by what SentencePiece says.
  constexpr double unknownPenalty = 10;
  constexpr size_t nowhere = std::numeric_limits<size_t>::max();
  struct Best {
    double score = 0;
    size_t begin = nowhere; // of the token that ends here
    int32_t id = -1;        // -1: none
  };
  std::vector<Best> best(piece.size() + 1);
  for (size_t begin = 0; begin < piece.size();) {
    size_t character = firstCharacter(piece.substr(begin));
    bool whole = false; // the character is a token
    auto offer = [&](size_t end, int32_t id, double score) {
      double sum = best[begin].score + score;
      if (best[end].begin == nowhere || sum > best[end].score)
        best[end] = {sum, begin, id};
    };
    int32_t node = 0;
    for (size_t end = begin; end < piece.size();) {
      auto child = children.find(keyOf(node, piece[end]));
      if (child == children.end())
        break;
      node = child->second;
      ++end;
      if (const std::optional<Token> &token = nodes[static_cast<size_t>(node)]) {
        offer(end, token->id, token->score);
        whole |= end == begin + character;
      }
    }
    if (!whole)
      offer(begin + character, -1, least - unknownPenalty);
    begin += character;
  }
  struct Part {
    size_t begin, end;
    int32_t id;
  };
  std::vector<Part> parts;
  for (size_t end = piece.size(); end > 0; end = best[end].begin) {
    bool unknownHere = best[end].id < 0 || best[end].id == unknown;
    if (unknownHere && !parts.empty() && parts.back().id < 0)
      parts.back().begin = best[end].begin;
    else
      parts.push_back({best[end].begin, end, unknownHere ? -1 : best[end].id});
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->id >= 0) {
      ids.push_back(part->id);
      continue;
    }
    std::string_view text = piece.substr(part->begin, part->end - part->begin);
    auto idOf = [&](char c) { return idOfByte[static_cast<unsigned char>(c)]; };
    if (std::all_of(text.begin(), text.end(), [&](char c) { return idOf(c) >= 0; }))
      for (char c : text)
        ids.push_back(idOf(c));
    else if (unknown)
      ids.push_back(*unknown);
    else
      return Error{fmt::format("text: found '{}', for which the tokenizer has no token", text)};
  }
  return {};
}

} // namespace rondo

// bpe.cpp - From the bytes of a piece to its tokens.
//
// Symbols form a linked list, and a queue holds the merges that were possible when they were found,
// so that a piece of any length costs O(n log n).

#include "runtime/bpe.h"
#include "runtime/unicode.h"

#include <algorithm>
#include <fmt/format.h>
#include <queue>
#include <utility>

namespace rondo {

void Bpe::addToken(std::string bytes, int32_t id) {
  if (bytes.size() == 1 && !characters)
    idOfByte[static_cast<unsigned char>(bytes[0])] = id;
  idOfBytes.emplace(std::move(bytes), id);
}

static uint64_t keyOf(int32_t left, int32_t right) {
  return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
}

bool Bpe::addMerge(int32_t left, int32_t right, int32_t joined) {
  return merges.try_emplace(keyOf(left, right), Merge{static_cast<int32_t>(merges.size()), joined})
      .second;
}

const Bpe::Merge *Bpe::mergeOf(int32_t left, int32_t right) const {
  auto found = merges.find(keyOf(left, right));
  return found == merges.end() ? nullptr : &found->second;
}

void Bpe::setUnknown(int32_t id, bool fused) {
  unknown = id;
  fuseUnknown = fused;
}

void Bpe::beginWithCharacters(const std::array<int32_t, 256> &bytes) {
  characters = true;
  idOfByte = bytes;
}

Status Bpe::split(std::string_view piece, std::vector<int32_t> &tokens) const {
  // An unknown token is written when a known one follows, or another that is not fused with it:
  // bytes that stand for a character come before it, as in the library whose files these are.
  bool pending = false;
  auto flush = [&] {
    if (std::exchange(pending, false))
      tokens.push_back(*unknown);
  };
  auto byteId = [&](char c) { return idOfByte[static_cast<unsigned char>(c)]; };
  while (!piece.empty()) {
    std::string_view symbol = piece.substr(0, characters ? firstCharacter(piece) : 1);
    piece.remove_prefix(symbol.size());
    int32_t id = characters ? -1 : byteId(symbol[0]);
    if (auto found = characters ? idOfBytes.find(symbol) : idOfBytes.end();
        found != idOfBytes.end())
      id = found->second;
    if (id >= 0) {
      flush();
      tokens.push_back(id);
    } else if (characters &&
               std::all_of(symbol.begin(), symbol.end(), [&](char c) { return byteId(c) >= 0; })) {
      for (char c : symbol)
        tokens.push_back(byteId(c));
    } else if (unknown) {
      if (!fuseUnknown)
        flush();
      pending = true;
    } else if (characters) {
      return Error{fmt::format("text: found '{}', for which the tokenizer has no token", symbol)};
    } else {
      return Error{fmt::format("text: found byte 0x{:02x}, for which the tokenizer has no token",
                               static_cast<unsigned char>(symbol[0]))};
    }
  }
  flush();
  return {};
}

Status Bpe::encode(std::string_view piece, std::vector<int64_t> &ids) const {
  if (wholePieces)
    if (auto whole = idOfBytes.find(piece); whole != idOfBytes.end()) {
      ids.push_back(whole->second);
      return {};
    }
  struct Symbol {
    int32_t id; // -1: merged into the one before
    int64_t previous, next;
  };
  struct Candidate {
    Merge merge;
    int32_t left, right; // ids as they were
    int64_t at;
    bool operator>(const Candidate &other) const {
      return merge.rank != other.merge.rank ? merge.rank > other.merge.rank : at > other.at;
    }
  };
  std::vector<Symbol> list;
  list.reserve(piece.size());
  auto symbol = [&](int64_t at) -> Symbol & { return list[static_cast<size_t>(at)]; };
  std::vector<int32_t> tokens;
  RONDO_CHECK(split(piece, tokens));
  for (int32_t id : tokens)
    list.push_back(
        {id, static_cast<int64_t>(list.size()) - 1, static_cast<int64_t>(list.size()) + 1});
  if (list.empty())
    return {};
  list.back().next = -1;

  std::vector<Candidate> storage;
  storage.reserve(list.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue({},
                                                                               std::move(storage));
  auto propose = [&](int64_t at) {
    if (at < 0 || symbol(at).next < 0)
      return;
    int32_t left = symbol(at).id, right = symbol(symbol(at).next).id;
    if (const Merge *merge = mergeOf(left, right))
      queue.push({*merge, left, right, at});
  };
  for (int64_t i = 0; i < static_cast<int64_t>(list.size()); ++i)
    propose(i);
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    Symbol &left = symbol(best.at);
    // Stale when one of the two was merged meanwhile.
    if (left.id != best.left || left.next < 0 || symbol(left.next).id != best.right)
      continue;
    Symbol &right = symbol(left.next);
    left.id = best.merge.joined;
    left.next = right.next;
    right.id = -1;
    if (right.next >= 0)
      symbol(right.next).previous = best.at;
    propose(left.previous);
    propose(best.at);
  }
  for (int64_t at = 0; at >= 0; at = symbol(at).next)
    ids.push_back(symbol(at).id);
  return {};
}

} // namespace rondo

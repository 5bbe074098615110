// tokenizer.cpp - Text to token ids and back.
//
// A text is cut at its added tokens; what is between them is cut into pieces (pretokenizer.h); each piece becomes the tokens of its bytes, of which
// neighbours are merged, the earliest rule of the list first, until no rule applies.

#include "runtime/tokenizer.h"
#include "runtime/pretokenizer.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>
#include <unordered_map>

namespace rondo {

using Json = nlohmann::json;

namespace {

constexpr int64_t mostIds = 1 << 24;

struct Merge {
  int32_t rank, result;
};

struct AddedToken {
  std::string text;
  int64_t id;
  bool special, stripLeft, stripRight;
};

/// tokenizer.json writes byte b as a printable character: itself where it is one, else the next free one from U+0100.
struct ByteAlphabet {
  std::unordered_map<uint32_t, uint8_t> byteOf;
  ByteAlphabet() {
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
      byteOf[printable ? b : next++] = static_cast<uint8_t>(b);
    }
  }
  /// The bytes that `token` stands for; nothing when it has a character of another alphabet.
  std::optional<std::string> decode(std::string_view token) const {
    std::string bytes;
    for (size_t i = 0; i < token.size();) {
      auto lead = static_cast<unsigned char>(token[i]);
      uint32_t character = lead;
      size_t length = 1;
      if (lead >= 0xc0 && lead < 0xe0 && i + 1 < token.size()) {
        character = uint32_t(lead & 0x1f) << 6 | (static_cast<unsigned char>(token[i + 1]) & 0x3f);
        length = 2;
      } else if (lead >= 0x80) {
        return std::nullopt;
      }
      auto found = byteOf.find(character);
      if (found == byteOf.end())
        return std::nullopt;
      bytes += static_cast<char>(found->second);
      i += length;
    }
    return bytes;
  }
};

const Json &member(const Json &json, const char *name) {
  static const Json none;
  if (!json.is_object())
    return none;
  auto found = json.find(name);
  return found == json.end() ? none : *found;
}

bool isTrue(const Json &json) { return json.is_boolean() && json.get<bool>(); }

bool isSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Characters that NFC may change or join with what is before them (the Unicode property NFC_Quick_Check is not Yes), as ranges that hold all of them.
constexpr std::string_view notNfc =
    R"([\p{M}\x{374}\x{37e}\x{387}\x{1161}-\x{1175}\x{11a8}-\x{11c2}\x{1f71}-\x{1fff}\x{2000}\x{2001}\x{2126}\x{212a}\x{212b}\x{2329}\x{232a}\x{2adc}\x{f900}-\x{faff}\x{fb1d}-\x{fb4e}\x{1d15e}-\x{1d1c0}\x{2f800}-\x{2fa1d}])";

} // namespace

struct Tokenizer::Rules {
  bool rawBytes = false;
  std::vector<std::string> bytesOfId;
  std::vector<bool> specialId;
  std::unordered_map<std::string, int32_t> idOfBytes;
  std::array<int32_t, 256> idOfByte;
  std::unordered_map<uint64_t, Merge> merges; // by the two ids
  bool ignoreMerges = false;
  std::vector<AddedToken> added; // longest first
  std::array<std::vector<size_t>, 256> addedByFirstByte;
  std::vector<int64_t> before, after; // of a framed text
  std::vector<PreTokenizer> cutter;   // one, but of raw bytes
  std::vector<Pattern> normalized;    // finds what normalization would change

  Status read(const Json &json, const std::string &place);
  Status readVocabulary(const Json &model, const std::string &place);
  Status readMerges(const Json &model, const std::string &place);
  Status readAdded(const Json &tokens, const std::string &place);
  Status readFrame(const Json &processor, const std::string &place);
  Status readNormalizer(const Json &normalizer, const std::string &place);
  Status encodeText(std::string_view text, std::vector<int64_t> &ids) const;
  Status encodePiece(const std::string &piece, std::vector<int64_t> &ids) const;
  const AddedToken *addedAt(std::string_view text, size_t at) const;
  void setToken(int64_t id, std::string bytes, bool special);
};

Tokenizer::Tokenizer(std::unique_ptr<Rules> rules) : rules(std::move(rules)) {}
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::bytes() {
  auto rules = std::make_unique<Rules>();
  rules->rawBytes = true;
  for (int b = 0; b < 256; ++b)
    rules->setToken(b, std::string(1, static_cast<char>(b)), false);
  return Tokenizer(std::move(rules));
}

Result<Tokenizer> Tokenizer::fromJson(std::string_view text, const std::string &place) {
  auto rules = std::make_unique<Rules>();
  try {
    Json json = Json::parse(text.begin(), text.end());
    RONDO_CHECK(rules->read(json, place));
  } catch (const Json::parse_error &error) {
    return Error{fmt::format("{}: found no valid JSON at byte {}", place, error.byte)};
  } catch (const Json::exception &error) {
    return Error{fmt::format("{}: found a value of another type than expected: {}", place, error.what())};
  }
  return Tokenizer(std::move(rules));
}

int64_t Tokenizer::size() const { return static_cast<int64_t>(rules->bytesOfId.size()); }

//===----------------------------------------------------------------------===//
// Reading tokenizer.json
//===----------------------------------------------------------------------===//

Status Tokenizer::Rules::read(const Json &json, const std::string &place) {
  const Json &model = member(json, "model");
  const Json &type = member(model, "type");
  // Early files have no type, but merges.
  std::string name = type.is_string() ? type.get<std::string>() : model.is_object() && model.contains("merges") ? "BPE" : "nothing";
  if (name != "BPE")
    return Error{fmt::format("{}: model: found {}, expected BPE: only byte-level BPE is read", place, name)};
  if (isTrue(member(model, "byte_fallback")))
    return Error{fmt::format("{}: model: found byte_fallback, expected byte-level BPE", place)};
  for (const char *affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const Json &text = member(model, affix); text.is_string() && !text.get<std::string>().empty())
      return Error{fmt::format("{}: model: found {} '{}', expected none", place, affix, text.get<std::string>())};
  ignoreMerges = isTrue(member(model, "ignore_merges"));
  RONDO_TAKE(PreTokenizer pre, PreTokenizer::fromJson(member(json, "pre_tokenizer"), place));
  cutter.push_back(std::move(pre));
  RONDO_CHECK(readNormalizer(member(json, "normalizer"), place));
  RONDO_CHECK(readVocabulary(model, place));
  RONDO_CHECK(readMerges(model, place));
  RONDO_CHECK(readAdded(member(json, "added_tokens"), place));
  return readFrame(member(json, "post_processor"), place);
}

void Tokenizer::Rules::setToken(int64_t id, std::string bytes, bool special) {
  auto index = static_cast<size_t>(id);
  if (bytesOfId.size() <= index) {
    bytesOfId.resize(index + 1);
    specialId.resize(index + 1);
  }
  bytesOfId[index] = std::move(bytes);
  specialId[index] = special;
}

static Result<int64_t> readId(const Json &json, const std::string &token, const std::string &place) {
  if (!json.is_number_integer() || json.get<int64_t>() < 0 || json.get<int64_t>() >= mostIds)
    return Error{fmt::format("{}: token '{}': found id {}, expected 0 to {}", place, token, json.dump(-1, ' ', false, Json::error_handler_t::replace), mostIds - 1)};
  return json.get<int64_t>();
}

Status Tokenizer::Rules::readVocabulary(const Json &model, const std::string &place) {
  const Json &vocabulary = member(model, "vocab");
  if (!vocabulary.is_object() || vocabulary.empty())
    return Error{fmt::format("{}: model: found no 'vocab', expected an object from tokens to ids", place)};
  static const ByteAlphabet alphabet;
  idOfByte.fill(-1);
  idOfBytes.reserve(vocabulary.size());
  std::vector<bool> taken;
  for (const auto &[token, value] : vocabulary.items()) {
    RONDO_TAKE(int64_t id, readId(value, token, place + ": model: vocab"));
    if (taken.size() <= static_cast<size_t>(id))
      taken.resize(static_cast<size_t>(id) + 1);
    if (taken[static_cast<size_t>(id)])
      return Error{fmt::format("{}: model: vocab: token '{}': found id {} a second time, expected each id once", place, token, id)};
    taken[static_cast<size_t>(id)] = true;
    // A token outside the alphabet can only be an added one: no bytes lead to it.
    std::optional<std::string> bytes = alphabet.decode(token);
    setToken(id, bytes ? *bytes : token, false);
    if (!bytes)
      continue;
    if (bytes->size() == 1)
      idOfByte[static_cast<unsigned char>((*bytes)[0])] = static_cast<int32_t>(id);
    idOfBytes.emplace(std::move(*bytes), static_cast<int32_t>(id));
  }
  return {};
}

Status Tokenizer::Rules::readMerges(const Json &model, const std::string &place) {
  const Json &list = member(model, "merges");
  if (!list.is_array())
    return Error{fmt::format("{}: model: found no 'merges', expected a list of pairs", place)};
  static const ByteAlphabet alphabet;
  merges.reserve(list.size());
  int32_t rank = 0;
  for (const Json &entry : list) {
    std::string left, right;
    if (entry.is_string()) {
      const auto &pair = entry.get_ref<const std::string &>();
      size_t space = pair.find(' ');
      if (space != std::string::npos) {
        left = pair.substr(0, space);
        right = pair.substr(space + 1);
      }
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
      left = entry[0].get<std::string>();
      right = entry[1].get<std::string>();
    }
    if (left.empty() || right.empty())
      return Error{fmt::format("{}: model: merges: entry {}: expected two tokens, as \"a b\" or [\"a\", \"b\"]", place, rank)};
    auto a = alphabet.decode(left), b = alphabet.decode(right);
    auto idOf = [&](const std::optional<std::string> &bytes) {
      auto found = bytes ? idOfBytes.find(*bytes) : idOfBytes.end();
      return found == idOfBytes.end() ? -1 : found->second;
    };
    int32_t first = idOf(a), second = idOf(b), joined = a && b ? idOf(*a + *b) : -1;
    if (first < 0 || second < 0 || joined < 0)
      return Error{fmt::format("{}: model: merges: entry {}: found '{}' and '{}', expected both and '{}{}' in the vocabulary", place, rank, left, right, left, right)};
    merges.try_emplace(uint64_t(uint32_t(first)) << 32 | uint32_t(second), Merge{rank, joined});
    ++rank;
  }
  return {};
}

Status Tokenizer::Rules::readAdded(const Json &tokens, const std::string &place) {
  if (!tokens.is_null() && !tokens.is_array())
    return Error{fmt::format("{}: added_tokens: found {}, expected a list", place, tokens.type_name())};
  for (const Json &token : tokens) {
    const Json &content = member(token, "content");
    if (!content.is_string() || content.get<std::string>().empty())
      return Error{fmt::format("{}: added_tokens: found one without content", place)};
    auto text = content.get<std::string>();
    RONDO_TAKE(int64_t id, readId(member(token, "id"), text, place + ": added_tokens"));
    if (isTrue(member(token, "single_word")))
      return Error{fmt::format("{}: added_tokens: token '{}': found single_word, expected none that depends on words", place, text)};
    bool special = isTrue(member(token, "special"));
    setToken(id, text, special);
    added.push_back({std::move(text), id, special, isTrue(member(token, "lstrip")), isTrue(member(token, "rstrip"))});
  }
  std::sort(added.begin(), added.end(), [](const AddedToken &a, const AddedToken &b) {
    return a.text.size() != b.text.size() ? a.text.size() > b.text.size() : a.text < b.text;
  });
  for (size_t i = 0; i < added.size(); ++i)
    addedByFirstByte[static_cast<unsigned char>(added[i].text[0])].push_back(i);
  return {};
}

Status Tokenizer::Rules::readFrame(const Json &processor, const std::string &place) {
  const Json &type = member(processor, "type");
  std::string name = type.is_string() ? type.get<std::string>() : "ByteLevel";
  if (name == "ByteLevel") // concerns offsets alone
    return {};
  if (name == "Sequence") {
    for (const Json &one : member(processor, "processors"))
      RONDO_CHECK(readFrame(one, place));
    return {};
  }
  if (name != "TemplateProcessing")
    return Error{fmt::format("{}: post_processor: found {}, expected TemplateProcessing, ByteLevel or a Sequence of them", place, name)};
  bool seen = false;
  for (const Json &part : member(processor, "single")) {
    if (part.contains("Sequence")) {
      seen = true;
      continue;
    }
    const Json &special = member(member(part, "SpecialToken"), "id");
    std::string token = special.is_string() ? special.get<std::string>() : "";
    const Json &ids = member(member(member(processor, "special_tokens"), token.c_str()), "ids");
    if (!ids.is_array())
      return Error{fmt::format("{}: post_processor: found no ids of special token '{}'", place, token)};
    for (const Json &id : ids) {
      RONDO_TAKE(int64_t value, readId(id, token, place + ": post_processor"));
      (seen ? after : before).push_back(value);
    }
  }
  return {};
}

Status Tokenizer::Rules::readNormalizer(const Json &normalizer, const std::string &place) {
  if (normalizer.is_null())
    return {};
  const Json &type = member(normalizer, "type");
  std::string name = type.is_string() ? type.get<std::string>() : "nothing";
  if (name == "Sequence" && member(normalizer, "normalizers").empty())
    return {};
  if (name != "NFC")
    return Error{fmt::format("{}: normalizer: found {}, expected none or NFC", place, name)};
  RONDO_TAKE(Pattern pattern, Pattern::compile(notNfc, false, place));
  normalized.push_back(std::move(pattern));
  return {};
}

//===----------------------------------------------------------------------===//
// Encoding
//===----------------------------------------------------------------------===//

const AddedToken *Tokenizer::Rules::addedAt(std::string_view text, size_t at) const {
  for (size_t i : addedByFirstByte[static_cast<unsigned char>(text[at])])
    if (text.substr(at).starts_with(added[i].text))
      return &added[i];
  return nullptr;
}

Result<std::vector<int64_t>> Tokenizer::encode(std::string_view text, bool framed) const {
  const Rules &r = *rules;
  std::vector<int64_t> ids;
  if (r.rawBytes) {
    for (char c : text)
      ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  if (size_t at = firstInvalidUtf8(text); at != std::string_view::npos)
    return Error{fmt::format("text: byte {} is 0x{:02x}, expected UTF-8", at, static_cast<unsigned char>(text[at]))};
  if (!r.normalized.empty()) {
    std::vector<Pattern::Match> changed;
    RONDO_CHECK(r.normalized[0].findAll(text, changed));
    if (!changed.empty())
      return Error{fmt::format("text: byte {} begins the character '{}', which normalization may join or replace; expected text in NFC without combining characters",
                               changed[0].begin, text.substr(changed[0].begin, changed[0].end - changed[0].begin))};
  }
  if (framed)
    ids = r.before;
  size_t begin = 0; // of what is not yet encoded
  for (size_t at = 0; at < text.size();) {
    const AddedToken *token = r.addedAt(text, at);
    if (!token) {
      ++at;
      continue;
    }
    size_t end = at;
    while (token->stripLeft && end > begin && isSpace(text[end - 1]))
      --end;
    RONDO_CHECK(r.encodeText(text.substr(begin, end - begin), ids));
    ids.push_back(token->id);
    at += token->text.size();
    while (token->stripRight && at < text.size() && isSpace(text[at]))
      ++at;
    begin = at;
  }
  RONDO_CHECK(r.encodeText(text.substr(begin), ids));
  if (framed)
    ids.insert(ids.end(), r.after.begin(), r.after.end());
  return ids;
}

Status Tokenizer::Rules::encodeText(std::string_view text, std::vector<int64_t> &ids) const {
  if (text.empty())
    return {};
  std::vector<std::string> pieces;
  RONDO_CHECK(cutter[0].cut(text, pieces));
  for (const std::string &piece : pieces)
    RONDO_CHECK(encodePiece(piece, ids));
  return {};
}

Status Tokenizer::Rules::encodePiece(const std::string &piece, std::vector<int64_t> &ids) const {
  if (ignoreMerges)
    if (auto whole = idOfBytes.find(piece); whole != idOfBytes.end()) {
      ids.push_back(whole->second);
      return {};
    }
  // A linked list of symbols, and a queue of the merges that were possible when they were found: a piece may be long.
  struct Symbol {
    int32_t id;
    int64_t previous, next;
  };
  struct Candidate {
    int32_t rank, left, right, result; // ids as they were
    int64_t at;
    bool operator>(const Candidate &other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  auto count = static_cast<int64_t>(piece.size());
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  for (int64_t i = 0; i < count; ++i) {
    auto byte = static_cast<unsigned char>(piece[static_cast<size_t>(i)]);
    if (idOfByte[byte] < 0)
      return Error{fmt::format("text: the tokenizer has no token for byte 0x{:02x}", byte)};
    symbols.push_back({idOfByte[byte], i - 1, i + 1 < count ? i + 1 : -1});
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  auto propose = [&](int64_t at) {
    if (at < 0 || symbols[static_cast<size_t>(at)].next < 0)
      return;
    int32_t left = symbols[static_cast<size_t>(at)].id, right = symbols[static_cast<size_t>(symbols[static_cast<size_t>(at)].next)].id;
    if (auto found = merges.find(uint64_t(uint32_t(left)) << 32 | uint32_t(right)); found != merges.end())
      queue.push({found->second.rank, left, right, found->second.result, at});
  };
  for (int64_t i = 0; i < count; ++i)
    propose(i);
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    Symbol &symbol = symbols[static_cast<size_t>(best.at)];
    // Stale: one of the two was merged meanwhile.
    if (symbol.id != best.left || symbol.next < 0 || symbols[static_cast<size_t>(symbol.next)].id != best.right)
      continue;
    Symbol &gone = symbols[static_cast<size_t>(symbol.next)];
    symbol.id = best.result;
    symbol.next = gone.next;
    gone.id = -1;
    if (gone.next >= 0)
      symbols[static_cast<size_t>(gone.next)].previous = best.at;
    propose(symbol.previous);
    propose(best.at);
  }
  for (int64_t i = 0; i >= 0 && i < count; i = symbols[static_cast<size_t>(i)].next)
    ids.push_back(symbols[static_cast<size_t>(i)].id);
  return {};
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool specials) const {
  std::string text;
  for (int64_t id : ids)
    if (id >= 0 && id < size() && (specials || !rules->specialId[static_cast<size_t>(id)]))
      text += rules->bytesOfId[static_cast<size_t>(id)];
  return text;
}

std::string Utf8Stream::add(std::string_view bytes) {
  pending += bytes;
  // Hold back a last character that further bytes may complete.
  size_t hold = 0;
  for (size_t back = 1; back <= 3 && back <= pending.size(); ++back) {
    auto byte = static_cast<unsigned char>(pending[pending.size() - back]);
    if ((byte & 0xc0) == 0x80)
      continue;
    size_t length = byte >= 0xf5 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (length > back)
      hold = back;
    break;
  }
  std::string ready = pending.substr(0, pending.size() - hold);
  pending.erase(0, ready.size());
  return ready;
}

} // namespace rondo

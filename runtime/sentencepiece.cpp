// sentencepiece.cpp - From a SentencePiece .model to the text of a tokenizer.json.

#include "runtime/sentencepiece.h"
#include "runtime/character_map.h"
#include "runtime/json.h"
#include "runtime/unicode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace rondo {

namespace {

constexpr size_t mostPieces = size_t(1) << 24, longestPiece = 4096;
constexpr std::string_view space = "\u2581";

/// The fields of a message, one after the other.
class Message {
public:
  Message(std::string_view bytes, const std::string &place) : rest(bytes), place(place) {}

  bool atEnd() const { return rest.empty(); }
  Status next() {
    RONDO_TAKE(uint64_t key, varint());
    number = key >> 3;
    value = 0;
    bytes = {};
    switch (key & 7) {
    case 0: {
      RONDO_TAKE(value, varint());
      return {};
    }
    case 1:
      return take(8);
    case 2: {
      RONDO_TAKE(uint64_t size, varint());
      return take(size);
    }
    case 5:
      RONDO_CHECK(take(4));
      std::memcpy(&real, bytes.data(), sizeof real);
      return {};
    }
    return Error{fmt::format("{}: found a field of wire type {}, expected a SentencePiece model",
                             place, key & 7)};
  }

  uint64_t number = 0, value = 0; ///< of the field; its value where it is an integer
  float real = 0;                 ///< where it has 32 bits
  std::string_view bytes;         ///< where it has a length

private:
  Result<uint64_t> varint() {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest.empty())
        break;
      auto byte = static_cast<unsigned char>(rest.front());
      rest.remove_prefix(1);
      result |= uint64_t(byte & 127) << shift;
      if (byte < 128)
        return result;
    }
    return Error{place + ": found a number without an end, expected a SentencePiece model"};
  }
  Status take(uint64_t size) {
    if (size > rest.size())
      return Error{
          fmt::format("{}: found {} bytes, expected {} more of a field", place, rest.size(), size)};
    bytes = rest.substr(0, size);
    rest.remove_prefix(size);
    return {};
  }

  std::string_view rest;
  const std::string &place;
};

enum PieceType { Normal = 1, Unknown, Control, UserDefined, Unused, Byte };

struct Piece {
  std::string text;
  float score = 0;
  uint64_t type = Normal;
};

class Reader {
public:
  Reader(std::string_view model, const std::string &place) : model(model), place(place) {}

  Status read() {
    for (Message m(model, place); !m.atEnd();) {
      RONDO_CHECK(m.next());
      if (m.number == 1)
        RONDO_CHECK(readPiece(m.bytes));
      else if (m.number == 2)
        RONDO_CHECK(readTrainer(m.bytes));
      else if (m.number == 3)
        RONDO_CHECK(readNormalizer(m.bytes));
      else if (m.number == 5)
        RONDO_CHECK(refuseMap(m.bytes));
    }
    if (pieces.empty())
      return Error{place + ": found no piece, expected a SentencePiece model"};
    if (unknown < 0)
      return Error{place + ": found no piece for what is unknown, expected one"};
    return {};
  }

  Result<std::string> json(std::string_view config) const {
    Json normalizers = Json::array();
    if (!characterMap.empty())
      normalizers.push_back(
          {{"type", "Precompiled"}, {"precompiled_charsmap", base64Of(characterMap)}});
    auto replace = [&](const char *kind, const std::string &what, std::string_view by) {
      normalizers.push_back({{"type", "Replace"}, {"pattern", {{kind, what}}}, {"content", by}});
    };
    if (removesSpaces) {
      replace("Regex", "\\A +", "");
      replace("Regex", " {2,}", " ");
    }
    if (beginsWithSpace)
      normalizers.push_back({{"type", "Prepend"}, {"prepend", space}});
    replace("String", " ", space);
    if (removesSpaces) // at the end also those that were written as the piece has them
      replace("Regex", std::string("(?:") + std::string(space) + ")+\\z", "");
    Json decoders =
        Json::array({{{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}},
                     {{"type", "ByteFallback"}},
                     {{"type", "Fuse"}}});
    // One space, or all where a text never begins with one.
    if (beginsWithSpace || removesSpaces)
      decoders.push_back({{"type", "Strip"},
                          {"content", " "},
                          {"start", removesSpaces ? longestPiece : 1},
                          {"stop", 0}});
    Json added = Json::array();
    for (size_t id = 0; id < pieces.size(); ++id)
      if (pieces[id].type == Unknown || pieces[id].type == Control)
        added.push_back({{"id", id},
                         {"content", pieces[id].text},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", true}});
    Json result{{"version", "1.0"},
                {"added_tokens", added},
                {"normalizer", {{"type", "Sequence"}, {"normalizers", normalizers}}},
                {"pre_tokenizer", nullptr},
                {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
                {"model", isBpe ? bpe() : unigram()}};
    RONDO_TAKE(Json frame, frameOf(config));
    result["post_processor"] = frame;
    return result.dump();
  }

private:
  Error bad(const std::string &what) const {
    return Error{fmt::format("{}: piece {}: {}", place, pieces.size(), what)};
  }

  Status readPiece(std::string_view bytes) {
    Piece piece;
    for (Message m(bytes, place); !m.atEnd();) {
      RONDO_CHECK(m.next());
      if (m.number == 1)
        piece.text = m.bytes;
      else if (m.number == 2)
        piece.score = m.real;
      else if (m.number == 3)
        piece.type = m.value;
    }
    if (pieces.size() >= mostPieces)
      return bad(fmt::format("expected less than {} pieces", mostPieces));
    if (piece.text.empty() || piece.text.size() > longestPiece ||
        firstInvalidUtf8(piece.text) != std::string_view::npos)
      return bad(fmt::format("found {} bytes, expected 1 to {} of UTF-8", piece.text.size(),
                             longestPiece));
    if (!std::isfinite(piece.score))
      return bad("found a score that is not finite");
    if (piece.type == UserDefined || piece.type == Unused || piece.type < Normal ||
        piece.type > Byte)
      return bad(fmt::format(
          "'{}' is {}, which is not read from a .model; expected a tokenizer.json beside it",
          piece.text,
          piece.type == UserDefined ? "defined by its user"
          : piece.type == Unused    ? "not used"
                                    : fmt::format("of type {}", piece.type)));
    auto id = static_cast<int64_t>(pieces.size());
    if (!idOf.emplace(piece.text, id).second)
      return bad("'" + piece.text + "' comes a second time");
    if (piece.type == Unknown)
      unknown = id;
    pieces.push_back(std::move(piece));
    return {};
  }

  Status readTrainer(std::string_view bytes) {
    for (Message m(bytes, place); !m.atEnd();) {
      RONDO_CHECK(m.next());
      if (m.number == 3) {
        if (m.value != 1 && m.value != 2)
          return Error{fmt::format("{}: found a model of {}, expected Unigram or BPE", place,
                                   m.value == 3   ? "words"
                                   : m.value == 4 ? "characters"
                                                  : "type " + std::to_string(m.value))};
        isBpe = m.value == 2;
      } else if (m.number == 24 && m.value) {
        return Error{place + ": treat_whitespace_as_suffix: found true, expected false"};
      } else if (m.number == 35) {
        fallsBack = m.value != 0;
      } else if (m.number == 41) {
        begin = static_cast<int32_t>(m.value);
      } else if (m.number == 42) {
        end = static_cast<int32_t>(m.value);
      }
    }
    return {};
  }

  Status readNormalizer(std::string_view bytes) {
    for (Message m(bytes, place); !m.atEnd();) {
      RONDO_CHECK(m.next());
      if (m.number == 2)
        characterMap = m.bytes;
      else if (m.number == 3)
        beginsWithSpace = m.value != 0;
      else if (m.number == 4)
        removesSpaces = m.value != 0;
      else if (m.number == 5 && !m.value)
        return Error{place + ": escape_whitespaces: found false, expected true"};
    }
    return {};
  }

  Status refuseMap(std::string_view bytes) const {
    for (Message m(bytes, place); !m.atEnd();) {
      RONDO_CHECK(m.next());
      if (m.number == 2 && !m.bytes.empty())
        return Error{place + ": denormalizer_spec: found a character map, expected none"};
    }
    return {};
  }

  Json unigram() const {
    Json vocabulary = Json::array();
    for (const Piece &piece : pieces)
      vocabulary.push_back({piece.text, piece.score});
    return {{"type", "Unigram"},
            {"unk_id", unknown},
            {"vocab", vocabulary},
            {"byte_fallback", fallsBack}};
  }

  /// Neighbours are merged where together they are a piece, those of the best score first: a rule
  /// for each cut of each piece, in that order.
  Json bpe() const {
    Json vocabulary = Json::object(), merges = Json::array();
    std::vector<std::tuple<float, int64_t, size_t>> cuts; // minus score, id, where
    for (size_t id = 0; id < pieces.size(); ++id) {
      const Piece &piece = pieces[id];
      vocabulary[piece.text] = id;
      if (piece.type != Normal)
        continue;
      for (size_t at = 1; at < piece.text.size(); ++at) {
        auto isNormal = [&](std::string_view part) {
          auto found = idOf.find(std::string(part));
          return found != idOf.end() && pieces[static_cast<size_t>(found->second)].type == Normal;
        };
        std::string_view text = piece.text;
        if (isNormal(text.substr(0, at)) && isNormal(text.substr(at)))
          cuts.emplace_back(-piece.score, static_cast<int64_t>(id), at);
      }
    }
    std::sort(cuts.begin(), cuts.end());
    for (auto [score, id, at] : cuts) {
      const std::string &text = pieces[static_cast<size_t>(id)].text;
      merges.push_back({text.substr(0, at), text.substr(at)});
    }
    return {{"type", "BPE"},          {"unk_token", pieces[static_cast<size_t>(unknown)].text},
            {"fuse_unk", true},       {"byte_fallback", fallsBack},
            {"ignore_merges", false}, {"vocab", vocabulary},
            {"merges", merges}};
  }

  Result<Json> frameOf(std::string_view config) const {
    if (config.empty())
      return Json();
    std::string file = place + ", tokenizer_config.json";
    RONDO_TAKE(Json json, parseJson(file, config, /*maxDepth=*/32));
    JsonPlace root(file, "", json);
    RONDO_CHECK(root.isObject());
    Json single = Json::array(), specials = Json::object();
    auto put = [&](const char *key, int32_t id) -> Status {
      RONDO_TAKE(bool wanted, root.flag(key, false));
      if (!wanted)
        return {};
      if (id < 0 || static_cast<size_t>(id) >= pieces.size())
        return Error{fmt::format("{}: {}: found true, but the model has no such piece", file, key)};
      const std::string &text = pieces[static_cast<size_t>(id)].text;
      single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
      specials[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
      return {};
    };
    RONDO_CHECK(put("add_bos_token", begin));
    single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    RONDO_CHECK(put("add_eos_token", end));
    return Json{{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", specials}};
  }

  std::string_view model, characterMap;
  const std::string &place;
  std::vector<Piece> pieces;
  std::unordered_map<std::string, int64_t> idOf;
  int64_t unknown = -1;
  int32_t begin = 1, end = 2; // what the format has where nothing is said
  bool isBpe = false, fallsBack = false, beginsWithSpace = true, removesSpaces = true;
};

} // namespace

Result<std::string> tokenizerJsonOf(std::string_view model, const std::string &place,
                                    std::string_view config) {
  Reader reader(model, place);
  RONDO_CHECK(reader.read());
  return reader.json(config);
}

} // namespace rondo

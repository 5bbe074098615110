// tokenizer_rules.cpp - From the text of a tokenizer.json to checked rules. Whatever would change
// ids and is not applied here is an error.

#include "runtime/tokenizer_rules.h"
#include "runtime/json.h"
#include "runtime/unicode.h"

#include <array>
#include <cmath>
#include <fmt/format.h>

namespace rondo {

namespace {

constexpr int32_t mostIds = 1 << 24;
constexpr int maxDepth = 32; // the files nest some eight levels
constexpr size_t longestAdded = 4096;

class Reader {
public:
  explicit Reader(Tokenizer::Rules &rules) : rules(rules) {}

  Status read(const JsonPlace &file) {
    RONDO_CHECK(file.isObject());
    RONDO_TAKE(JsonPlace model, file.required("model"));
    if (auto normalizer = file.member("normalizer")) {
      RONDO_TAKE(rules.normalizer, Normalizer::fromJson(*normalizer));
    }
    if (auto cutter = file.member("pre_tokenizer")) {
      RONDO_TAKE(rules.cutter, PreTokenizer::fromJson(*cutter));
    }
    RONDO_TAKE(JsonPlace decoder, file.required("decoder"));
    RONDO_TAKE(rules.decoder, TokenDecoder::fromJson(decoder));
    if (rules.cutter.writesBytes() != rules.decoder.writesBytes())
      return decoder.error(rules.cutter.writesBytes()
                               ? "found no ByteLevel, expected it as in pre_tokenizer"
                               : "found ByteLevel, expected it in pre_tokenizer too");
    RONDO_CHECK(readModel(model));
    if (auto added = file.member("added_tokens"))
      RONDO_CHECK(readAdded(*added));
    if (auto frame = file.member("post_processor"))
      RONDO_CHECK(readFrame(*frame));
    return {};
  }

private:
  Status readModel(const JsonPlace &model) {
    RONDO_CHECK(model.isObject());
    std::string type = "BPE"; // early files say nothing
    if (model.member("type")) {
      RONDO_TAKE(type, model.requiredText("type"));
    }
    if (type == "Unigram")
      return readUnigram(model);
    if (type == "WordPiece")
      return readWordPiece(model);
    if (type == "BPE")
      return readBpe(model);
    return model.error(fmt::format("type: found '{}', expected BPE, Unigram or WordPiece", type));
  }

  Status readBpe(const JsonPlace &model) {
    RONDO_TAKE(bool fallback, model.flag("byte_fallback", false));
    bool bytes = rules.cutter.writesBytes();
    if (fallback && bytes)
      return model.error(
          "byte_fallback: found true, expected false: in byte-level BPE a byte is a token");
    for (const char *affix : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (auto text = model.member(affix);
          text &&
          !(text->json().is_string() && text->json().get_ref<const std::string &>().empty()))
        return text->unexpected("none");
    if (auto dropout = model.member("dropout");
        dropout && !(dropout->json().is_number() && dropout->json().get<double>() == 0))
      return dropout->unexpected("none: ids would be drawn at random");
    Bpe bpe;
    RONDO_TAKE(bool whole, model.flag("ignore_merges", false));
    if (whole)
      bpe.takeWholePieces();
    RONDO_TAKE(JsonPlace vocabulary, model.required("vocab"));
    RONDO_CHECK(readVocabulary(vocabulary, bytes));
    if (!bytes)
      bpe.beginWithCharacters(fallback ? byteTokens() : noTokens());
    for (const auto &[token, id] : idOf) {
      std::optional<std::string> own = bytes ? bytesOfCharacters(token) : token;
      if (own) // no bytes lead to a token outside the alphabet
        bpe.addToken(std::move(*own), id);
    }
    RONDO_TAKE(JsonPlace merges, model.required("merges"));
    RONDO_CHECK(readMerges(merges, bpe));
    if (model.member("unk_token")) {
      RONDO_TAKE(int32_t unknown, readUnknown(model));
      RONDO_TAKE(bool fused, model.flag("fuse_unk", false));
      bpe.setUnknown(unknown, fused);
    }
    rules.model = std::move(bpe);
    return {};
  }

  Status readUnigram(const JsonPlace &model) {
    RONDO_CHECK(needsCharacters(model));
    Unigram unigram;
    RONDO_TAKE(JsonPlace vocabulary, model.required("vocab"));
    RONDO_CHECK(vocabulary.isArray());
    if (vocabulary.json().size() >= static_cast<size_t>(mostIds))
      return vocabulary.error(
          fmt::format("found {} tokens, expected less than {}", vocabulary.json().size(), mostIds));
    for (size_t i = 0; i < vocabulary.json().size(); ++i) {
      const Json &entry = vocabulary.json()[i];
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
        return vocabulary.element(i).unexpected("a token and its score, as [\"a\", -2.5]");
      const auto &token = entry[0].get_ref<const std::string &>();
      double score = entry[1].get<double>();
      if (!std::isfinite(score))
        return vocabulary.element(i).unexpected("a score that is finite");
      auto id = static_cast<int32_t>(i);
      idOf.insert_or_assign(token, id);
      setToken(id, token, false);
      if (!token.empty())
        unigram.addToken(token, id, score);
    }
    if (auto unknown = model.member("unk_id")) {
      RONDO_TAKE(int32_t id, unknown->natural(static_cast<int32_t>(vocabulary.json().size())));
      unigram.setUnknown(id);
    }
    RONDO_TAKE(bool fallback, model.flag("byte_fallback", false));
    if (fallback)
      unigram.fallBackOn(byteTokens());
    rules.model = std::move(unigram);
    return {};
  }

  Status readWordPiece(const JsonPlace &model) {
    RONDO_CHECK(needsCharacters(model));
    WordPiece pieces;
    RONDO_TAKE(JsonPlace vocabulary, model.required("vocab"));
    RONDO_CHECK(readVocabulary(vocabulary, /*bytes=*/false));
    for (const auto &[token, id] : idOf) {
      pieces.idOf.emplace(token, id);
      pieces.longestToken = std::max(pieces.longestToken, token.size());
    }
    RONDO_TAKE(pieces.prefix, model.requiredText("continuing_subword_prefix"));
    if (auto longest = model.member("max_input_chars_per_word")) {
      RONDO_TAKE(int32_t count, longest->natural(1 << 20));
      pieces.longestWord = static_cast<size_t>(count);
    }
    RONDO_TAKE(pieces.unknown, readUnknown(model));
    rules.model = std::move(pieces);
    return {};
  }

  Status needsCharacters(const JsonPlace &model) {
    if (rules.cutter.writesBytes())
      return model.error("type: found no BPE, expected it: pre_tokenizer has a ByteLevel");
    return {};
  }

  Result<int32_t> readUnknown(const JsonPlace &model) {
    RONDO_TAKE(std::string token, model.requiredText("unk_token"));
    auto found = idOf.find(token);
    if (found == idOf.end())
      return model.error(
          fmt::format("unk_token: found '{}', expected a token of the vocabulary", token));
    return found->second;
  }

  static std::array<int32_t, 256> noTokens() {
    std::array<int32_t, 256> ids;
    ids.fill(-1);
    return ids;
  }

  /// Those that stand for a byte: <0x00> to <0xFF>.
  std::array<int32_t, 256> byteTokens() const {
    std::array<int32_t, 256> ids = noTokens();
    for (size_t b = 0; b < ids.size(); ++b)
      if (auto found = idOf.find(fmt::format("<0x{:02X}>", b)); found != idOf.end())
        ids[b] = found->second;
    return ids;
  }

  void setToken(int32_t id, std::string bytes, bool special) {
    rules.tokens[id] = {std::move(bytes), special};
    rules.size = std::max<int64_t>(rules.size, int64_t(id) + 1);
  }

  /// `bytes`: tokens are written with a character for each byte.
  Status readVocabulary(const JsonPlace &vocabulary, bool bytes) {
    RONDO_CHECK(vocabulary.isObject());
    if (vocabulary.json().empty())
      return vocabulary.error("found no token, expected at least one");
    idOf.reserve(vocabulary.json().size());
    rules.tokens.reserve(vocabulary.json().size());
    for (const auto &[token, value] : vocabulary.json().items()) {
      JsonPlace place = vocabulary.named(fmt::format("'{}'", token), value);
      RONDO_TAKE(int32_t id, place.natural(mostIds));
      if (rules.tokens.contains(id))
        return place.error(fmt::format("found id {} a second time, expected each id once", id));
      if (token.empty())
        return place.error("found a token without text");
      idOf.emplace(token, id);
      std::optional<std::string> own = bytes ? bytesOfCharacters(token) : std::nullopt;
      setToken(id, own ? *own : token, false); // outside the alphabet: what the file says
    }
    return {};
  }

  Status readMerges(const JsonPlace &merges, Bpe &bpe) {
    RONDO_CHECK(merges.isArray());
    for (size_t i = 0; i < merges.json().size(); ++i) {
      const Json &entry = merges.json()[i];
      std::string left, right;
      if (entry.is_string()) {
        const auto &pair = entry.get_ref<const std::string &>();
        size_t space = pair.find(' ');
        if (space != std::string::npos && pair.find(' ', space + 1) == std::string::npos) {
          left = pair.substr(0, space);
          right = pair.substr(space + 1);
        }
      } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
                 entry[1].is_string()) {
        left = entry[0].get<std::string>();
        right = entry[1].get<std::string>();
      }
      if (left.empty() || right.empty())
        return merges.element(i).unexpected("two tokens, as \"a b\" or [\"a\", \"b\"]");
      int32_t ids[3];
      size_t count = 0;
      for (const std::string &token : {left, right, left + right}) {
        auto found = idOf.find(token);
        if (found == idOf.end())
          return merges.element(i).error(fmt::format("found '{}' and '{}', expected them and what "
                                                     "they join to in the vocabulary; '{}' is not",
                                                     left, right, token));
        ids[count++] = found->second;
      }
      if (!bpe.addMerge(ids[0], ids[1], ids[2]))
        return merges.element(i).error(
            fmt::format("found '{}' and '{}' a second time, expected each pair once", left, right));
    }
    return {};
  }

  Status readAdded(const JsonPlace &list) {
    RONDO_CHECK(list.isArray());
    std::vector<AddedTokens::Token> inText, inNormalized;
    std::unordered_map<std::string, size_t> seen;
    for (size_t i = 0; i < list.json().size(); ++i) {
      JsonPlace place = list.element(i);
      AddedTokens::Token token;
      RONDO_TAKE(token.text, place.requiredText("content"));
      if (token.text.empty() || token.text.size() > longestAdded)
        return place.error(fmt::format("content: found {} bytes, expected 1 to {}",
                                       token.text.size(), longestAdded));
      RONDO_TAKE(JsonPlace number, place.required("id"));
      RONDO_TAKE(token.id, number.natural(mostIds));
      RONDO_TAKE(bool special, place.flag("special", false));
      RONDO_TAKE(token.stripLeft, place.flag("lstrip", false));
      RONDO_TAKE(token.stripRight, place.flag("rstrip", false));
      RONDO_TAKE(token.singleWord, place.flag("single_word", false));
      RONDO_TAKE(bool afterwards, place.flag("normalized", !special));
      if (!seen.emplace(token.text, i).second)
        return place.error(
            fmt::format("content: found '{}' a second time, expected each text once", token.text));
      // An added token may be in the vocabulary too; then it has one id.
      auto known = idOf.find(token.text);
      if (known != idOf.end() ? known->second != token.id : rules.tokens.contains(token.id))
        return number.error(
            known != idOf.end()
                ? fmt::format("found {} for '{}', expected {} as in model.vocab", token.id,
                              token.text, known->second)
                : fmt::format("found {} for '{}', expected an id that no other token has", token.id,
                              token.text));
      idOf.emplace(token.text, token.id);
      if (afterwards) {
        RONDO_TAKE(Normalizer::Normalized normalized, rules.normalizer.apply(token.text));
        token.text = std::move(normalized.text);
      }
      setToken(token.id, token.text, special);
      (afterwards ? inNormalized : inText).push_back(std::move(token));
    }
    rules.inText = AddedTokens(std::move(inText));
    rules.inNormalized = AddedTokens(std::move(inNormalized));
    return {};
  }

  /// The id in ["[CLS]", 101].
  Result<int64_t> readFrameToken(const JsonPlace &processor, const char *name) {
    RONDO_TAKE(JsonPlace pair, processor.required(name));
    if (!pair.json().is_array() || pair.json().size() != 2)
      return pair.unexpected("a token and its id");
    RONDO_TAKE(int32_t id, pair.element(1).natural(mostIds));
    if (!rules.tokens.contains(id))
      return pair.unexpected("the id of a token");
    return int64_t(id);
  }

  Status readFrame(const JsonPlace &processor) {
    RONDO_TAKE(std::string type, processor.requiredText("type"));
    if (type == "ByteLevel") // concerns offsets alone
      return {};
    if (type == "Sequence") {
      RONDO_TAKE(JsonPlace list, processor.required("processors"));
      RONDO_CHECK(list.isArray());
      for (size_t i = 0; i < list.json().size(); ++i)
        RONDO_CHECK(readFrame(list.element(i)));
      return {};
    }
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      RONDO_TAKE(int64_t first, readFrameToken(processor, "cls"));
      RONDO_TAKE(int64_t last, readFrameToken(processor, "sep"));
      rules.before.insert(rules.before.begin(), first);
      rules.after.push_back(last);
      return {};
    }
    if (type != "TemplateProcessing")
      return processor.error(fmt::format("found '{}', expected TemplateProcessing, BertProcessing, "
                                         "RobertaProcessing, ByteLevel or a Sequence of them",
                                         type));
    RONDO_TAKE(JsonPlace specials, processor.required("special_tokens"));
    RONDO_CHECK(specials.isObject());
    RONDO_TAKE(JsonPlace single, processor.required("single"));
    RONDO_CHECK(single.isArray());
    std::vector<int64_t> before, after;
    bool seen = false;
    for (size_t i = 0; i < single.json().size(); ++i) {
      JsonPlace part = single.element(i);
      RONDO_CHECK(part.isObject());
      if (part.member("Sequence")) {
        if (seen)
          return part.error("found the text a second time, expected it once");
        seen = true;
        continue;
      }
      RONDO_TAKE(JsonPlace named, part.required("SpecialToken"));
      RONDO_TAKE(std::string token, named.requiredText("id"));
      RONDO_TAKE(JsonPlace special, specials.required(token.c_str()));
      RONDO_TAKE(JsonPlace ids, special.required("ids"));
      RONDO_CHECK(ids.isArray());
      for (size_t k = 0; k < ids.json().size(); ++k) {
        RONDO_TAKE(int32_t id, ids.element(k).natural(mostIds));
        if (!rules.tokens.contains(id))
          return ids.element(k).unexpected("the id of a token");
        (seen ? after : before).push_back(id);
      }
    }
    if (!seen)
      return single.error("found no 'Sequence', expected the text among the special tokens");
    // A later template puts its tokens around what an earlier one made.
    rules.before.insert(rules.before.begin(), before.begin(), before.end());
    rules.after.insert(rules.after.end(), after.begin(), after.end());
    return {};
  }

  Tokenizer::Rules &rules;
  std::unordered_map<std::string, int32_t> idOf; // by the text in the file
};

} // namespace

Status Tokenizer::Rules::encode(std::string_view piece, std::vector<int64_t> &ids) const {
  if (const auto *bpe = std::get_if<Bpe>(&model))
    return bpe->encode(piece, ids);
  if (const auto *unigram = std::get_if<Unigram>(&model))
    return unigram->encode(piece, ids);
  std::get<WordPiece>(model).encode(piece, ids);
  return {};
}

Result<std::unique_ptr<Tokenizer::Rules>> Tokenizer::Rules::read(std::string_view text,
                                                                 const std::string &place) {
  RONDO_TAKE(Json json, parseJson(place, text, maxDepth));
  auto rules = std::make_unique<Rules>();
  RONDO_CHECK(Reader(*rules).read({place, "", json}));
  return rules;
}

} // namespace rondo

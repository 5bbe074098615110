// unicode.cpp - What is asked of text in UTF-8; the tables of characters are utf8proc's.

#include "runtime/unicode.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <utf8proc.h>

namespace rondo {

namespace {

/// A character and its length in bytes; length 0 when there is none.
struct Character {
  int32_t code = -1;
  size_t length = 0;
};

Character firstOf(std::string_view text) {
  if (text.empty())
    return {};
  int32_t code = -1;
  auto length =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t *>(text.data()),
                       static_cast<utf8proc_ssize_t>(std::min<size_t>(text.size(), 4)), &code);
  return length > 0 ? Character{code, static_cast<size_t>(length)} : Character{};
}

Character lastOf(std::string_view text) {
  size_t length = std::min<size_t>(text.size(), 1);
  while (length < std::min<size_t>(text.size(), 4) &&
         (static_cast<unsigned char>(text[text.size() - length]) & 0xc0) == 0x80)
    ++length;
  return firstOf(text.substr(text.size() - length));
}

bool isSpace(int32_t code) {
  if ((code >= '\t' && code <= '\r') || code == 0x85)
    return true;
  auto category = code < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

bool isWord(int32_t code) {
  if (code < 0)
    return false;
  switch (utf8proc_category(code)) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_PC:
    return true;
  default:
    return code == 0x200c || code == 0x200d; // joiners
  }
}

struct ByteCharacters {
  static constexpr size_t count = 0x144; // 256 characters, of which 68 lie from U+0100
  std::array<uint16_t, 256> codeOf;
  std::array<int16_t, count> byteOf;
  ByteCharacters() {
    byteOf.fill(-1);
    uint16_t next = 256;
    for (uint16_t b = 0; b < 256; ++b) {
      bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      codeOf[b] = printable ? b : next++;
      byteOf[codeOf[b]] = static_cast<int16_t>(b);
    }
  }
};

const ByteCharacters &byteCharacters() {
  static const ByteCharacters table;
  return table;
}

} // namespace

size_t firstInvalidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    Character next = firstOf(text.substr(at));
    if (next.length == 0)
      return at;
    at += next.length;
  }
  return std::string_view::npos;
}

Result<std::string> normalize(std::string_view text, NormalForm form) {
  // ASCII is its own normal form in all of them.
  if (std::all_of(text.begin(), text.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return std::string(text);
  int options = UTF8PROC_STABLE;
  options |=
      form == NormalForm::NFC || form == NormalForm::NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::NFKC || form == NormalForm::NFKD)
    options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t *result = nullptr;
  auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(text.data()),
                             static_cast<utf8proc_ssize_t>(text.size()), &result,
                             static_cast<utf8proc_option_t>(options));
  std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
  if (length < 0)
    return Error{fmt::format("text: {} bytes cannot be normalized: {}", text.size(),
                             utf8proc_errmsg(length))};
  return std::string(reinterpret_cast<const char *>(result), static_cast<size_t>(length));
}

size_t firstCharacter(std::string_view text) {
  return std::max<size_t>(firstOf(text).length, text.empty() ? 0 : 1);
}

size_t firstCluster(std::string_view text) {
  Character last = firstOf(text);
  size_t size = firstCharacter(text);
  for (int32_t state = 0; last.length > 0 && size < text.size();) {
    Character next = firstOf(text.substr(size));
    if (next.length == 0 || utf8proc_grapheme_break_stateful(last.code, next.code, &state))
      break;
    size += next.length;
    last = next;
  }
  return size;
}

/// Each character of valid UTF-8 through `rewrite`, which appends to the result.
template <typename Rewrite>
static std::string eachCharacter(std::string_view text, Rewrite rewrite) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    Character next = firstOf(text);
    std::string_view bytes = text.substr(0, std::max<size_t>(next.length, 1));
    rewrite(next.code, bytes, result);
    text.remove_prefix(bytes.size());
  }
  return result;
}

static void append(int32_t code, std::string &result) {
  utf8proc_uint8_t bytes[4];
  result.append(reinterpret_cast<const char *>(bytes),
                static_cast<size_t>(utf8proc_encode_char(code, bytes)));
}

std::string lowercase(std::string_view text) {
  return eachCharacter(text, [](int32_t code, std::string_view bytes, std::string &result) {
    if (code < 0)
      result += bytes;
    else if (code == 0x130) // the one character that has two of them in lower case
      result += "i\xcc\x87";
    else
      append(utf8proc_tolower(code), result);
  });
}

std::string withoutMarks(std::string_view text) {
  return eachCharacter(text, [](int32_t code, std::string_view bytes, std::string &result) {
    if (code < 0 || utf8proc_category(code) != UTF8PROC_CATEGORY_MN)
      result += bytes;
  });
}

std::string withoutControls(std::string_view text) {
  return eachCharacter(text, [](int32_t code, std::string_view bytes, std::string &result) {
    bool space = code == '\t' || code == '\n' || code == '\r' || (code != 0x85 && isSpace(code));
    switch (code < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
      if (code != '\t' && code != '\n' && code != '\r')
        return;
      break;
    default:
      break;
    }
    if (code != 0xfffd)
      result += space ? std::string_view(" ") : bytes;
  });
}

std::string ideographsApart(std::string_view text) {
  static constexpr std::pair<int32_t, int32_t> blocks[] = {
      {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0x20000, 0x2a6df},
      {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f}};
  return eachCharacter(text, [](int32_t code, std::string_view bytes, std::string &result) {
    bool apart = std::any_of(std::begin(blocks), std::end(blocks), [&](const auto &block) {
      return code >= block.first && code <= block.second;
    });
    (((apart ? result += ' ' : result) += bytes) += apart ? " " : "");
  });
}

size_t spacesAtEnd(std::string_view text) {
  size_t count = 0;
  for (;;) {
    Character last = lastOf(text.substr(0, text.size() - count));
    if (last.length == 0 || !isSpace(last.code))
      return count;
    count += last.length;
  }
}

size_t spacesAtBegin(std::string_view text) {
  size_t count = 0;
  for (;;) {
    Character first = firstOf(text.substr(count));
    if (first.length == 0 || !isSpace(first.code))
      return count;
    count += first.length;
  }
}

bool endsWithWord(std::string_view text) { return isWord(lastOf(text).code); }
bool beginsWithWord(std::string_view text) { return isWord(firstOf(text).code); }

std::string charactersOf(std::string_view bytes) {
  std::string result;
  for (char c : bytes) {
    uint16_t code = byteCharacters().codeOf[static_cast<unsigned char>(c)];
    if (code < 0x80) {
      result += static_cast<char>(code);
    } else {
      result += static_cast<char>(0xc0 | code >> 6);
      result += static_cast<char>(0x80 | (code & 0x3f));
    }
  }
  return result;
}

std::optional<std::string> bytesOfCharacters(std::string_view characters) {
  std::string bytes;
  while (!characters.empty()) {
    Character next = firstOf(characters);
    if (next.length == 0 || static_cast<size_t>(next.code) >= ByteCharacters::count)
      return std::nullopt;
    int16_t byte = byteCharacters().byteOf[static_cast<size_t>(next.code)];
    if (byte < 0)
      return std::nullopt;
    bytes += static_cast<char>(byte);
    characters.remove_prefix(next.length);
  }
  return bytes;
}

} // namespace rondo

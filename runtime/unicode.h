// unicode.h - What is asked of text in UTF-8: validity, normal forms, classes of characters, and
// the characters that stand for bytes.

#ifndef RONDO_RUNTIME_UNICODE_H
#define RONDO_RUNTIME_UNICODE_H

#include "runtime/error.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rondo {

/// The byte at which `text` stops being UTF-8, or npos.
size_t firstInvalidUtf8(std::string_view text);

enum class NormalForm { NFC, NFD, NFKC, NFKD };
/// `text` must be valid UTF-8.
Result<std::string> normalize(std::string_view text, NormalForm form);

/// Bytes of the first character, and of the first cluster of characters that a reader takes for
/// one; at least 1 of a text that is not empty.
size_t firstCharacter(std::string_view text);
size_t firstCluster(std::string_view text);

/// Each character by itself in lower case.
std::string lowercase(std::string_view text);
/// Without nonspacing marks.
std::string withoutMarks(std::string_view text);
/// Without control, format, private and unassigned characters and U+FFFD; white space of any kind
/// becomes a space.
std::string withoutControls(std::string_view text);
/// With a space before and behind each ideograph of the blocks that Chinese is written in.
std::string ideographsApart(std::string_view text);

/// Bytes of white space (the Unicode property) at the end and at the beginning of a text.
size_t spacesAtEnd(std::string_view text);
size_t spacesAtBegin(std::string_view text);
/// Whether the last or first character belongs to a word: a letter, mark, decimal digit or
/// connector.
bool endsWithWord(std::string_view text);
bool beginsWithWord(std::string_view text);

/// tokenizer.json writes byte b as a printable character: itself where it is one in Latin-1, else
/// the next free one from U+0100.
std::string charactersOf(std::string_view bytes);
/// The bytes that characters stand for; nothing when one of them stands for none.
std::optional<std::string> bytesOfCharacters(std::string_view characters);

} // namespace rondo

#endif // RONDO_RUNTIME_UNICODE_H

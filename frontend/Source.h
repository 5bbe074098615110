//===- Source.h - Spec files, places in them, and what is wrong there ----*- C++ -*-===//
//
// A place is file, line and column (both from 1, columns in bytes). Every message goes through a
// DiagnosticSink, which quotes the line, puts a caret under the column, keeps the first message at
// one place and stops printing after `limit` errors. Nothing here throws.
//
//===----------------------------------------------------------------------===//

#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

/// One text. `path` is what messages show.
struct SourceFile {
  std::string path;
  std::string text;

  /// The text of a line (from 1) without its end; empty beyond the last.
  std::string_view line(unsigned number) const;
};

/// A place in a file; without a file it is a place outside any spec (a flag, a config).
struct Place {
  const SourceFile *file = nullptr;
  unsigned line = 0;
  unsigned column = 0;
};

/// Collects and prints errors. Written messages read `file:line:col: error: message`, the line, a
/// caret, then the notes.
class DiagnosticSink {
public:
  explicit DiagnosticSink(unsigned limit = 40) : limit(limit) {}

  void error(Place place, std::string message, std::vector<std::string> notes = {});

  unsigned errors() const { return count; }
  bool failed() const { return count != 0; }

  /// All messages so far, as they are shown to the user: a file's in the order of its lines.
  std::string text() const;

private:
  unsigned limit;
  unsigned count = 0;
  std::set<std::string> seen;
  struct Message {
    Place place;
    std::string text;
  };
  std::vector<Message> messages;
};

/// Keeps every file that was read alive, so that places stay valid.
class SourceFiles {
public:
  /// The largest spec that is read, in bytes.
  static constexpr size_t maxBytes = size_t(4) << 20;

  /// The file at `path`, read at most once; nothing, with an error at `from`, where it cannot be
  /// read.
  const SourceFile *read(const std::string &path, Place from, DiagnosticSink &sink);
  const SourceFile *add(std::string path, std::string text);

private:
  std::deque<SourceFile> files;
};

/// The whole of a regular file of at most `limit` bytes; otherwise nothing and why.
std::optional<std::string> readWhole(const std::string &path, size_t limit, std::string &why);

/// The candidates close enough to `name` to be meant, best first, at most three.
std::vector<std::string> nearest(std::string_view name, const std::vector<std::string> &candidates);

/// `; did you mean a, b?`, or nothing.
std::string didYouMean(std::string_view name, const std::vector<std::string> &candidates);

} // namespace rondo

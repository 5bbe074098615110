//===- Source.cpp - Reading specs and printing what is wrong in them ----------------===//

#include "frontend/Source.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <tuple>

using namespace rondo;

std::string_view SourceFile::line(unsigned number) const {
  std::string_view rest = text;
  for (unsigned i = 1; i < number; ++i) {
    size_t end = rest.find('\n');
    if (end == std::string_view::npos)
      return {};
    rest.remove_prefix(end + 1);
  }
  rest = rest.substr(0, rest.find('\n'));
  if (!rest.empty() && rest.back() == '\r')
    rest.remove_suffix(1);
  return rest;
}

// A line for a terminal: bytes that would move the cursor are shown as '?', and of a very long line
// the part around the caret.
static std::string shown(std::string_view line, unsigned column, unsigned &caret) {
  constexpr unsigned widest = 160;
  size_t start = 0;
  if (line.size() > widest && column > widest / 2)
    start = std::min<size_t>(column - widest / 2, line.size() - widest);
  std::string text;
  for (char c : line.substr(start, widest))
    text += c == '\t' ? ' ' : (static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c);
  caret = column > start ? column - static_cast<unsigned>(start) : 1;
  return text;
}

void DiagnosticSink::error(Place place, std::string message, std::vector<std::string> notes) {
  std::string where = place.file ? place.file->path + ":" + std::to_string(place.line) + ":" +
                                       std::to_string(place.column) + ": "
                                 : "";
  std::string head = where + "error: " + message + "\n";
  if (!seen.insert(place.file ? where : head).second)
    return;
  if (++count > limit)
    return;
  std::string out = head;
  if (place.file && place.line) {
    unsigned caret = 0;
    std::string number = std::to_string(place.line);
    std::string text = shown(place.file->line(place.line), place.column, caret);
    out += "  " + number + " | " + text + "\n";
    out += "  " + std::string(number.size(), ' ') + " | " +
           std::string(caret ? caret - 1 : 0, ' ') + "^\n";
  }
  for (const std::string &note : notes)
    out += "  note: " + note + "\n";
  messages.push_back({place, out});
}

std::string DiagnosticSink::text() const {
  std::vector<const Message *> sorted;
  for (const Message &message : messages)
    sorted.push_back(&message);
  // Reading order within a file; files in the order of their first message.
  auto rank = [&](const Message *m) {
    for (size_t i = 0; i < messages.size(); ++i)
      if (messages[i].place.file == m->place.file)
        return i;
    return messages.size();
  };
  std::sort(sorted.begin(), sorted.end(), [&](const Message *a, const Message *b) {
    return std::tuple(rank(a), a->place.line, a->place.column, a) <
           std::tuple(rank(b), b->place.line, b->place.column, b);
  });
  std::string out;
  for (const Message *message : sorted)
    out += message->text;
  if (count > limit)
    out += "error: more than " + std::to_string(limit) + " errors; the rest is not shown\n";
  return out;
}

std::optional<std::string> rondo::readWhole(const std::string &path, size_t limit,
                                            std::string &why) {
  std::error_code code;
  auto status = std::filesystem::status(path, code);
  if (!std::filesystem::exists(status)) {
    why = "no such file";
    return std::nullopt;
  }
  if (!std::filesystem::is_regular_file(status)) {
    why = "it is not a regular file";
    return std::nullopt;
  }
  auto size = std::filesystem::file_size(path, code);
  if (!code && size > limit) {
    why =
        "it has " + std::to_string(size) + " bytes; at most " + std::to_string(limit) + " are read";
    return std::nullopt;
  }
  std::ifstream in(path, std::ios::binary);
  std::string text;
  if (!code && in) {
    text.resize(size);
    in.read(text.data(), static_cast<std::streamsize>(size));
  }
  if (code || !in || static_cast<size_t>(in.gcount()) != size) {
    why = "it cannot be read";
    return std::nullopt;
  }
  return text;
}

const SourceFile *SourceFiles::read(const std::string &path, Place from, DiagnosticSink &sink) {
  std::error_code code;
  for (const SourceFile &file : files)
    if (file.path == path || std::filesystem::equivalent(file.path, path, code))
      return &file;
  std::string why;
  std::optional<std::string> text = readWhole(path, maxBytes, why);
  if (!text) {
    sink.error(from, "cannot read the spec '" + path + "': " + why);
    return nullptr;
  }
  return add(path, std::move(*text));
}

const SourceFile *SourceFiles::add(std::string path, std::string text) {
  files.push_back({std::move(path), std::move(text)});
  return &files.back();
}

// Levenshtein's distance, with a swap of neighbours as one step.
static unsigned distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<unsigned>> d(a.size() + 1, std::vector<unsigned>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i)
    for (size_t j = 0; j <= b.size(); ++j) {
      if (!i || !j) {
        d[i][j] = static_cast<unsigned>(i + j);
        continue;
      }
      unsigned same = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + same});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

std::vector<std::string> rondo::nearest(std::string_view name,
                                        const std::vector<std::string> &candidates) {
  std::vector<std::pair<unsigned, std::string>> found;
  if (name.size() > 64)
    return {};
  for (const std::string &candidate : candidates) {
    if (candidate.size() > 64 || candidate == name)
      continue;
    unsigned d = distance(name, candidate);
    unsigned most = name.size() <= 2 ? 1 : static_cast<unsigned>(name.size() + 2) / 3;
    // Of two single letters each is as near as any other: that suggests nothing.
    if (d <= most && d < std::max(name.size(), candidate.size()))
      found.push_back({d, candidate});
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<std::string> names;
  for (size_t i = 0; i < found.size() && i < 3 && found[i].first <= found[0].first + 1; ++i)
    names.push_back(found[i].second);
  return names;
}

std::string rondo::didYouMean(std::string_view name, const std::vector<std::string> &candidates) {
  std::vector<std::string> near = nearest(name, candidates);
  if (near.empty())
    return "";
  std::string text = "; did you mean ";
  for (size_t i = 0; i < near.size(); ++i)
    text += (i ? (i + 1 == near.size() ? " or '" : ", '") : "'") + near[i] + "'";
  return text + "?";
}

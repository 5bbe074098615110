// Console.cpp - Progress on a terminal, and tables.

#include "tools/rondo/Console.h"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <unistd.h>

namespace rondo::cli {

bool stdoutIsTerminal() { return isatty(STDOUT_FILENO); }
bool stderrIsTerminal() { return isatty(STDERR_FILENO); }

void Progress::line(const std::string &text) {
  if (!stderrIsTerminal())
    return;
  auto now = std::chrono::steady_clock::now();
  if (shown && now - last < std::chrono::milliseconds(100))
    return;
  last = now;
  shown = true;
  std::fprintf(stderr, "\r\033[K%s: %s", what.c_str(), text.c_str());
  std::fflush(stderr);
}

void Progress::show(int64_t done, int64_t total, const std::string &unit) {
  line(total > 0 ? fmt::format("{} of {} {} ({} %)", done, total, unit, done * 100 / total)
                 : fmt::format("{} {}", done, unit));
}

void Progress::show(const std::string &step) { line(step); }

void Progress::clear() {
  if (shown)
    std::fprintf(stderr, "\r\033[K");
  shown = false;
}

/// Characters, not bytes: enough to align text in UTF-8 without wide characters.
static size_t width(const std::string &text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string markdownTable(const std::vector<std::string> &heads, const std::vector<bool> &right,
                          const std::vector<std::vector<std::string>> &rows) {
  std::vector<size_t> widths;
  for (size_t column = 0; column < heads.size(); ++column) {
    widths.push_back(std::max<size_t>(3, width(heads[column])));
    for (const std::vector<std::string> &row : rows)
      widths[column] = std::max(widths[column], width(row[column]));
  }
  std::string text;
  auto addRow = [&](const std::vector<std::string> &row) {
    text += "|";
    for (size_t column = 0; column < row.size(); ++column) {
      std::string pad(widths[column] - width(row[column]), ' ');
      text += right[column] ? " " + pad + row[column] + " |" : " " + row[column] + pad + " |";
    }
    text += "\n";
  };
  addRow(heads);
  text += "|";
  for (size_t column = 0; column < heads.size(); ++column)
    text += right[column] ? " " + std::string(widths[column] - 1, '-') + ": |"
                          : " " + std::string(widths[column], '-') + " |";
  text += "\n";
  for (const std::vector<std::string> &row : rows)
    addRow(row);
  return text;
}

std::string printBytes(uint64_t bytes) {
  const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit)
    value /= 1024;
  return unit ? fmt::format("{:.2f} {}", value, units[unit]) : fmt::format("{} B", bytes);
}

std::string printCount(uint64_t count) {
  const char *units[] = {"", " K", " M", " B", " T"};
  double value = static_cast<double>(count);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(units); ++unit)
    value /= 1000;
  return unit ? fmt::format("{:.2f}{}", value, units[unit]) : std::to_string(count);
}

void printJson(const nlohmann::ordered_json &value) {
  std::string text = value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  fmt::print("{}\n", text);
}

} // namespace rondo::cli

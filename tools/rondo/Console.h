// Console.h - Progress on a terminal, and tables.

#ifndef RONDO_TOOLS_RONDO_CONSOLE_H
#define RONDO_TOOLS_RONDO_CONSOLE_H

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rondo::cli {

bool stdoutIsTerminal();
bool stderrIsTerminal();

/// One line on stderr that replaces itself, at most ten times a second; nothing at all when stderr
/// is no terminal.
class Progress {
public:
  explicit Progress(std::string what) : what(std::move(what)) {}
  ~Progress() { clear(); }
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;
  /// `total` 0: not known.
  void show(int64_t done, int64_t total, const std::string &unit);
  /// What is being done now.
  void show(const std::string &step);
  void clear();

private:
  void line(const std::string &text);
  std::string what;
  std::chrono::steady_clock::time_point last{};
  bool shown = false;
};

/// A table in GitHub's markdown, columns padded so that it reads well as text; `right` says which
/// columns are numbers.
std::string markdownTable(const std::vector<std::string> &heads, const std::vector<bool> &right,
                          const std::vector<std::vector<std::string>> &rows);
/// "1.6 MiB"
std::string printBytes(uint64_t bytes);
/// "1.56 M": a count in thousands, millions, ...
std::string printCount(uint64_t count);

/// Prints to stdout, indented; bytes that are no UTF-8 become U+FFFD.
void printJson(const nlohmann::ordered_json &value);

/// Seconds since construction.
class Stopwatch {
public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

private:
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
};

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_CONSOLE_H

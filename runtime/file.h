// file.h - Files that are mapped read-only, and files that appear whole or not at all.

#ifndef RONDO_RUNTIME_FILE_H
#define RONDO_RUNTIME_FILE_H

#include "runtime/error.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace rondo {

/// The bytes of a regular file, mapped read-only for as long as the object lives. Moving does not
/// change the address.
class MappedFile {
public:
  static Result<MappedFile> open(const std::string &path);
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return content; }
  const std::string &path() const { return name; }

private:
  MappedFile() = default;
  std::string name;
  std::span<const std::byte> content;
};

/// Writes a file beside `path` and renames it: what reads `path` sees the old file or the whole new
/// one. An object that goes away before commit() removes what it wrote.
class NewFile {
public:
  static Result<NewFile> create(const std::string &path);
  NewFile(NewFile &&other) noexcept;
  NewFile &operator=(NewFile &&) = delete;
  ~NewFile();

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  /// Zero bytes up to `offset` from the start of the file.
  Status padTo(uint64_t offset);
  /// Overwrites bytes that were already written.
  Status writeAt(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t written() const { return size; }
  Status commit();

private:
  NewFile() = default;
  std::string path, beside;
  int descriptor = -1;
  uint64_t size = 0;
};

/// A whole text file of at most `limit` bytes.
Result<std::string> readText(const std::string &path, uint64_t limit = uint64_t(1) << 30);

} // namespace rondo

#endif // RONDO_RUNTIME_FILE_H

// file.cpp - Mapped files, and files that appear whole or not at all.

#include "runtime/file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rondo {

namespace {

Error systemError(const std::string &path, const char *what) {
  return Error{fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

Status writeAll(int descriptor, const std::string &path, std::span<const std::byte> bytes,
                int64_t at = -1) {
  while (!bytes.empty()) {
    ssize_t done = at < 0 ? ::write(descriptor, bytes.data(), bytes.size())
                          : ::pwrite(descriptor, bytes.data(), bytes.size(), at);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return systemError(path, "cannot write");
    bytes = bytes.subspan(static_cast<size_t>(done));
    at = at < 0 ? at : at + done;
  }
  return {};
}

} // namespace

Result<MappedFile> MappedFile::open(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return systemError(path, "cannot open");
  struct stat status;
  if (::fstat(descriptor, &status) != 0) {
    Error error = systemError(path, "cannot read");
    ::close(descriptor);
    return error;
  }
  if (!S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return Error{fmt::format("{}: found {}, expected a file", path,
                             S_ISDIR(status.st_mode) ? "a folder" : "a special file")};
  }
  MappedFile file;
  file.name = path;
  if (status.st_size > 0) {
    size_t size = static_cast<size_t>(status.st_size);
    void *address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) {
      Error error = systemError(path, "cannot map into memory");
      ::close(descriptor);
      return error;
    }
    file.content = {static_cast<const std::byte *>(address), size};
  }
  ::close(descriptor);
  return file;
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : name(std::move(other.name)), content(std::exchange(other.content, {})) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(name, other.name);
  std::swap(content, other.content);
  return *this;
}

MappedFile::~MappedFile() {
  if (!content.empty())
    ::munmap(const_cast<std::byte *>(content.data()), content.size());
}

Result<NewFile> NewFile::create(const std::string &path) {
  NewFile file;
  file.path = path;
  std::string pattern = path + ".XXXXXX";
  file.descriptor = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (file.descriptor < 0)
    return systemError(path, "cannot write");
  file.beside = pattern;
  // mkostemp gives 0600; a result has the mode that the user's umask gives any new file.
  mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(file.descriptor, 0666 & ~mask);
  return file;
}

NewFile::NewFile(NewFile &&other) noexcept
    : path(std::move(other.path)), beside(std::move(other.beside)),
      descriptor(std::exchange(other.descriptor, -1)), size(other.size) {}

NewFile::~NewFile() {
  if (descriptor >= 0) {
    ::close(descriptor);
    ::unlink(beside.c_str());
  }
}

Status NewFile::write(std::span<const std::byte> bytes) {
  RONDO_CHECK(writeAll(descriptor, path, bytes));
  size += bytes.size();
  return {};
}

Status NewFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text.data(), text.size())));
}

Status NewFile::padTo(uint64_t offset) {
  static const std::byte zeros[4096] = {};
  while (size < offset)
    RONDO_CHECK(write(std::span(zeros, std::min<uint64_t>(sizeof zeros, offset - size))));
  return {};
}

Status NewFile::writeAt(uint64_t offset, std::span<const std::byte> bytes) {
  return writeAll(descriptor, path, bytes, static_cast<int64_t>(offset));
}

Status NewFile::commit() {
  if (::close(std::exchange(descriptor, -1)) != 0 || ::rename(beside.c_str(), path.c_str()) != 0) {
    Error error = systemError(path, "cannot write");
    ::unlink(beside.c_str());
    return error;
  }
  return {};
}

Result<std::string> readText(const std::string &path, uint64_t limit) {
  RONDO_TAKE(MappedFile file, MappedFile::open(path));
  if (file.bytes().size() > limit)
    return Error{
        fmt::format("{}: found {} bytes, expected at most {}", path, file.bytes().size(), limit)};
  return std::string(reinterpret_cast<const char *>(file.bytes().data()), file.bytes().size());
}

} // namespace rondo

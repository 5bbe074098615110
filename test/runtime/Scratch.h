// Scratch.h - A folder of a test's own, and the words an error must have.

#ifndef RONDO_TEST_RUNTIME_SCRATCH_H
#define RONDO_TEST_RUNTIME_SCRATCH_H

#include "runtime/error.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <unistd.h>

namespace rondo::test {

class Scratch {
public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rondo-test-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
  }
  ~Scratch() { std::filesystem::remove_all(folder); }
  std::string operator/(const std::string &name) const { return folder + "/" + name; }
  std::string write(const std::string &name, std::string_view text) const {
    std::string path = folder + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  size_t files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
  }

private:
  std::string folder;
};

/// The result is an error whose message has all of `words`.
template <class T, class... Words>
void expectError(const rondo::Result<T> &result, const Words &...words) {
  ASSERT_FALSE(result) << "found success, expected an error";
  for (std::string_view word : {std::string_view(words)...})
    EXPECT_NE(result.error().message.find(word), std::string::npos)
        << "message: " << result.error().message << "\nexpected in it: " << word;
}

} // namespace rondo::test

#endif // RONDO_TEST_RUNTIME_SCRATCH_H

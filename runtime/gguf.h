// gguf.h - Reads GGUF files (versions 2 and 3): one file with a model's settings and its tensors.
//
// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every count, length, type
// and offset is checked against the file before it is used. Tensors are F32, F64, F16, BF16 and
// integers as they are, and blocks of the codes of block_codes.h; other types are refused by name.
// Data is mapped and never copied by opening.

#ifndef RONDO_RUNTIME_GGUF_H
#define RONDO_RUNTIME_GGUF_H

#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/tensor.h"

#include <map>

namespace rondo {

/// Views stay valid while it lives, also when it is moved.
class GgufFile {
public:
  static Result<GgufFile> open(const std::string &path);

  const std::string &path() const { return file.path(); }
  /// By the file's names; shapes slowest axis first. One in blocks is named by nameOfBlocks and has
  /// an axis more, a block's bytes.
  const std::vector<TensorView> &tensors() const { return all; }
  /// Numbers, truth values, texts, and lists of those.
  const std::map<std::string, Json> &settings() const { return keys; }

private:
  explicit GgufFile(MappedFile mapped) : file(std::move(mapped)) {}
  Status read();
  MappedFile file;
  std::vector<TensorView> all;
  std::map<std::string, Json> keys;
};

/// Whether the file begins as such a file does; false where it cannot be read.
bool isGguf(const std::string &path);

} // namespace rondo

#endif // RONDO_RUNTIME_GGUF_H

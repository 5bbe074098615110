// safetensors.h - Reads and writes tensors in the safetensors format (u64 header length, JSON
// header, data), also sharded checkpoints.
//
// The format: https://huggingface.co/docs/safetensors. Everything a file says is checked before it
// is used: the header's length, each tensor's type, shape and offsets, that sizes agree, that
// tensors neither overlap nor leave holes, that no name comes twice. Data is mapped read-only and
// never copied by opening.

#ifndef RONDO_RUNTIME_SAFETENSORS_H
#define RONDO_RUNTIME_SAFETENSORS_H

#include "runtime/file.h"
#include "runtime/tensor.h"

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rondo {

/// One safetensors file. Views stay valid while it lives, also when it is moved.
class TensorFile {
public:
  static Result<TensorFile> open(const std::string &path);

  const std::string &path() const { return file.path(); }
  /// In the order of the data.
  const std::vector<TensorView> &tensors() const { return all; }
  /// Null when there is none of that name.
  const TensorView *find(std::string_view name) const;
  const std::map<std::string, std::string> &metadata() const { return notes; }

private:
  explicit TensorFile(MappedFile mapped) : file(std::move(mapped)) {}
  MappedFile file;
  std::vector<TensorView> all;
  std::unordered_map<std::string, size_t> byName;
  std::map<std::string, std::string> notes;
};

/// The tensors of a published checkpoint: a folder with model.safetensors or
/// model.safetensors.index.json and its shards, or one .safetensors file.
class Checkpoint {
public:
  static Result<Checkpoint> open(const std::string &fileOrFolder);
  /// Tensors of a file of another format, under the names that a published checkpoint has; `memory`
  /// keeps their bytes alive. Names must differ.
  static Checkpoint of(const std::string &file, std::vector<TensorView> tensors,
                       std::shared_ptr<const void> memory);

  const std::string &path() const { return origin; }
  /// What is read from each file, in the order of its data.
  struct Part {
    std::string file;
    std::vector<TensorView> tensors;
  };
  std::vector<Part> parts() const;
  const TensorView *find(std::string_view name) const;
  /// As find, but an error that names near matches when there is none; `shape` is what the caller
  /// expects.
  Result<const TensorView *> get(std::string_view name, std::span<const int64_t> shape) const;
  /// Sorted.
  std::vector<std::string> names() const;

private:
  std::string origin;
  std::vector<TensorFile> shards;
  std::shared_ptr<const void> memory;                    ///< of what no shard holds
  std::shared_ptr<const std::vector<TensorView>> others; ///< the same
  std::map<std::string, const TensorView *, std::less<>> byName;
};

/// Writes a safetensors file as a whole or not at all. Names must differ and sizes agree.
Status writeTensors(const std::string &path, std::span<const TensorView> tensors,
                    const std::map<std::string, std::string> &metadata = {});
Status writeTensors(const std::string &path, std::span<const Tensor> tensors,
                    const std::map<std::string, std::string> &metadata = {});

} // namespace rondo

#endif // RONDO_RUNTIME_SAFETENSORS_H

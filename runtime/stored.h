// stored.h - A checkpoint's tensors as the parameters that they mean: packed integers and numbers
// of 8 or 4 bits, with their scales beside them, as real numbers.
//
// The forms are those of the published checkpoints (NAME without the ".weight" at its end is X):
//   NAME, NAME_scale_inv or NAME_scale        F8 or I8; a scale for all, or one a block of each
//   axis NAME_blocks, NAME_scales                  U8, two E2M1 a byte; E8M0, one for 32 (OCP MX,
//   2023) X.qweight, X.qzeros, X.scales, X.g_idx    I32, packed along inputs: arXiv 2210.17323
//   (GPTQ) X.qweight, X.qzeros, X.scales             I32, packed along outputs: arXiv 2306.00978
//   (AWQ) X.weight_packed, _scale, _zero_point      I32, packed along inputs, zeros along outputs
//   NAME                                      U8, four of -1, 0 and 1 a byte, by quarters of the
//   rows
//   NAME:CODE                                 U8, the last axis the blocks of block_codes.h

#ifndef RONDO_RUNTIME_STORED_H
#define RONDO_RUNTIME_STORED_H

#include "runtime/block_codes.h"
#include "runtime/tensor.h"

#include <functional>

namespace rondo {

/// What a checkpoint's config says of how its numbers are stored.
struct StorageRules {
  bool scaled = false;      ///< 8-bit floats have scales: without one they are an error
  bool zerosLessOne = true; ///< X.qzeros hold zero points less one, where inputs are packed
  std::vector<int64_t> blockExtents; ///< numbers of each axis that share a scale; may be empty
};

/// A parameter and the tensors that it is stored in.
struct StoredTensor {
  enum Form {
    Plain,
    Scaled,
    FourBitFloats,
    InputsPacked,
    OutputsPacked,
    RowsPacked,
    Ternary,
    Blocks
  };
  Form form = Plain;
  const TensorView *values = nullptr;
  const TensorView *scales = nullptr;
  const TensorView *zeros = nullptr;  ///< null: in the middle
  const TensorView *groups = nullptr; ///< of each input; null: in order, equally many
  std::vector<int64_t> shape;         ///< the parameter's
  int64_t bits = 0;                   ///< of packed integers
  const BlockCode *code = nullptr;    ///< of blocks

  /// The tensors above, and those that say nothing else.
  std::vector<std::string> names;
};

/// How names of tensors begin in a spec, and how they may in a checkpoint.
using Renames = std::vector<std::pair<std::string, std::string>>;

using FindTensor = std::function<const TensorView *(const std::string &)>;

/// How `name` is stored; nothing where no form of it is there. `expected` is its shape as far as
/// the caller knows it: ternary numbers are told from bytes by it. An error where tensors do not
/// fit each other, or where 8-bit numbers lack the scales that give them their meaning.
Result<std::optional<StoredTensor>> findStored(const std::string &name,
                                               std::span<const int64_t> expected,
                                               const FindTensor &find, const StorageRules &rules,
                                               const Renames &renames = {});

/// The numbers, row-major.
Result<std::vector<float>> toF32(const StoredTensor &stored, const StorageRules &rules);

} // namespace rondo

#endif // RONDO_RUNTIME_STORED_H

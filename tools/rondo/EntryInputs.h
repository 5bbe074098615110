// EntryInputs.h - An entry's inputs from a safetensors file, checked against what the entry takes.

#ifndef RONDO_TOOLS_RONDO_ENTRYINPUTS_H
#define RONDO_TOOLS_RONDO_ENTRYINPUTS_H

#include "runtime/package.h"
#include "runtime/safetensors.h"

#include <string>
#include <vector>

namespace rondo::cli {

/// How the rows of the inputs belong to sequences.
struct Batch {
  std::vector<int64_t> leading; ///< [B, T] of the tensors
  std::vector<int64_t> lengths; ///< of each sequence
};

/// "FILE: tensor 'NAME': found F32 [2, 3], expected ..."
Error wrongTensor(const TensorView &found, const std::string &expected);

/// One input, [B, T, axes...], converted to the element type that the entry takes; the first one
/// read decides B and T.
Result<Tensor> readInput(const TensorFile &file, const package::Entry &entry,
                         const package::Value &value, Batch &batch);

/// Fills in batch.lengths: B sequences of T tokens, or those of `cu_seqlens`.
Status splitIntoSequences(const TensorFile &file, Batch &batch);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_ENTRYINPUTS_H

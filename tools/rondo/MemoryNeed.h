// MemoryNeed.h - What running a package takes of memory, known before it runs.

#ifndef RONDO_TOOLS_MEMORYNEED_H
#define RONDO_TOOLS_MEMORYNEED_H

#include "runtime/package.h"

#include <cstdint>

namespace rondo::cli {

/// Bytes. What a run holds at once is at most their sum: weights that no token reads, rows of a
/// table say, and parts of an arena that are not used are counted, and need not be there.
struct MemoryNeed {
  uint64_t program = 0; ///< code, libraries, stacks: measured, rounded up
  uint64_t package = 0; ///< the file: weights, code, manifest
  uint64_t arena = 0;   ///< values of one piece of tokens, in the larger of the entries
  uint64_t scratch = 0; ///< of the kernels, on all threads
  uint64_t states = 0;  ///< recurrent states and caches of all sequences
  uint64_t text = 0;    ///< tokenizer, ids, logits
  uint64_t sum() const;
};

/// Of `sequences` sequences that have `tokens` tokens each, by the entries that prefill and decode
/// (by all, where a package has none of these).
MemoryNeed memoryNeed(const Package &package, int64_t tokens, int64_t sequences, int threads);

} // namespace rondo::cli

#endif // RONDO_TOOLS_MEMORYNEED_H

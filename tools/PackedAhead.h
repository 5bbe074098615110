//===- PackedAhead.h - Weights packed while others are written ------------===//
//
//   indices of weights, a function that packs one  ->  their bytes, one after the other in order
//
// Reading, converting and laying out a weight takes longer than writing it, and no weight depends
// on another: all processors do it, in order, while the bytes before are written. What is packed
// and not taken yet is bounded, so that a large checkpoint needs no more memory than a few of its
// weights.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "runtime/error.h"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace rondo {

class PackedAhead {
public:
  using Bytes = std::vector<std::byte>;
  /// Packs the weight of one index; called on several threads at once.
  using Pack = std::function<Result<Bytes>(size_t index)>;

  /// `sizes[i]`: bytes that packing `indices[i]` takes, about.
  PackedAhead(std::vector<size_t> indices, std::vector<uint64_t> sizes, Pack pack);
  /// Waits for what is being packed.
  ~PackedAhead();
  PackedAhead(const PackedAhead &) = delete;
  PackedAhead &operator=(const PackedAhead &) = delete;

  /// Of the next index.
  Result<Bytes> next();

private:
  void work();

  std::vector<size_t> indices;
  std::vector<uint64_t> sizes;
  Pack pack;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<size_t, Result<Bytes>> ready;
  size_t begun = 0, taken = 0;
  uint64_t held = 0; ///< sizes of what was begun and not taken
  bool stopping = false;
  std::vector<std::thread> threads;
};

} // namespace rondo

// sampling.h - From logits to the next token.

#ifndef RONDO_RUNTIME_SAMPLING_H
#define RONDO_RUNTIME_SAMPLING_H

#include "runtime/error.h"

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace rondo {

struct SamplingOptions {
  float temperature = 0; // 0: the likeliest token; logits are divided by it
  float topP = 1;    // only the likeliest tokens whose probabilities together reach this, in (0, 1]
  uint64_t seed = 1; // the same seed, logits and options give the same tokens, on any machine
};

class Sampler {
public:
  static Result<Sampler> create(const SamplingOptions &options);
  /// An id in [0, logits.size()); of equal logits the lowest id is likeliest. An error when there
  /// are none, or one is not a number.
  Result<int64_t> sample(std::span<const float> logits);

private:
  explicit Sampler(const SamplingOptions &options) : options(options), random(options.seed) {}
  SamplingOptions options;
  std::mt19937_64 random;
  std::vector<std::pair<float, int64_t>> candidates; // kept, so that sampling allocates once
};

} // namespace rondo

#endif // RONDO_RUNTIME_SAMPLING_H

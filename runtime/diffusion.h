// diffusion.h - Making text with a model that sees whole sequences: programs over its `forward`.
//
// Each begins with a sequence of which some tokens are hidden and ends with none. What the model
// says of a sequence is asked through a callback, so that this knows no package.

#ifndef RONDO_RUNTIME_DIFFUSION_H
#define RONDO_RUNTIME_DIFFUSION_H

#include "runtime/sampling.h"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace rondo {

enum class Remasking {
  LowConfidence, ///< the tokens that the model is surest of stay
  Random         ///< any stay
};

struct DiffusionOptions {
  int64_t steps = 0; ///< calls of the model at least; 0: as many as tokens are made
  int64_t block = 0; ///< tokens of a block, blocks are finished from left to right; 0: all are one
  Remasking remasking = Remasking::LowConfidence;
  SamplingOptions sampling; ///< temperature 0 takes the likeliest token
};

/// Logits [tokens.size(), vocabulary] of a sequence, kept by whoever answers until the next call.
using MaskedModel = std::function<Result<std::span<const float>>(std::span<const int64_t> tokens)>;
/// The same at a level of noise `sigma`: logarithms of the ratios p(y) / p(x) of putting y in the
/// place of what is there now. Of noise without a level, sigma is ignored.
using ScoreModel =
    std::function<Result<std::span<const float>>(std::span<const int64_t> tokens, double sigma)>;
/// For noisy vectors z [tokens, width] at log-noise-ratio `gamma`: what they were without noise, of
/// the same shape.
using VectorModel =
    std::function<Result<std::span<const float>>(std::span<const float> z, double gamma)>;
/// Told after each call of the model: how many are done of how many.
using DiffusionProgress = std::function<void(int64_t done, int64_t all)>;

/// Fills the tokens that are `mask`, a block at a time, in each step as many as make the steps of a
/// block equal (LLaDA, arXiv 2502.09992, algorithm 5; its semi-autoregressive form with blocks
/// shorter than what is made). `mask` itself is never an answer. Of equal confidences the earlier
/// token stays.
Status fillMasked(std::vector<int64_t> &tokens, int64_t mask, const DiffusionOptions &options,
                  const MaskedModel &model, const DiffusionProgress &progress = {});

/// Tweedie tau-leaping with an absorbing state from all noise to none, log-linear noise sigma(t) =
/// -log(1 - (1 - 1e-3) t) (SEDD, arXiv 2310.16834, equation 19, algorithm 2): each hidden token
/// leaves the mask by itself, with the probability that the scores give. Draws with
/// options.sampling.seed; temperature and blocks do not apply.
Status denoiseScores(std::vector<int64_t> &tokens, int64_t mask, const DiffusionOptions &options,
                     const ScoreModel &model, const DiffusionProgress &progress = {});

/// Ancestral sampling of a variational diffusion model (arXiv 2107.00630, equations 32 to 34;
/// Plaid, arXiv 2305.18619): from noise to vectors through `steps` equal steps of gamma from `last`
/// down to `first`, with alpha^2 = sigmoid(-gamma). Returns the model's last estimate, [tokens,
/// width].
Result<std::vector<float>> denoiseVectors(int64_t tokens, int64_t width, double first, double last,
                                          const DiffusionOptions &options, const VectorModel &model,
                                          const DiffusionProgress &progress = {});

} // namespace rondo

#endif // RONDO_RUNTIME_DIFFUSION_H

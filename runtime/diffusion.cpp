// diffusion.cpp - Making text with a model that sees whole sequences.

#include "runtime/diffusion.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numbers>
#include <utility>

namespace rondo {

namespace {

/// 53 random bits in [0, 1): distributions of the standard library differ between its versions.
double draw(std::mt19937_64 &random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

Result<size_t> vocabularyOf(std::span<const float> logits, size_t tokens, int64_t mask) {
  size_t vocabulary = tokens ? logits.size() / tokens : 0;
  if (!vocabulary || vocabulary * tokens != logits.size())
    return Error{fmt::format("found {} logits for {} tokens", logits.size(), tokens)};
  if (mask < 0 || static_cast<size_t>(mask) >= vocabulary)
    return Error{fmt::format("mask: found id {}, expected one below {}", mask, vocabulary)};
  return vocabulary;
}

struct Candidate {
  int64_t token;
  double confidence;
};

/// A token for a hidden place, and the probability that the model gives it.
Result<Candidate> answer(std::span<const float> logits, int64_t mask, Sampler &sampler,
                         std::vector<float> &allowed) {
  allowed.assign(logits.begin(), logits.end());
  allowed[static_cast<size_t>(mask)] = -INFINITY;
  RONDO_TAKE(int64_t token, sampler.sample(allowed));
  float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(static_cast<double>(logit) - static_cast<double>(largest));
  return Candidate{token, std::exp(static_cast<double>(logits[static_cast<size_t>(token)]) -
                                   static_cast<double>(largest)) /
                              sum};
}

} // namespace

Status fillMasked(std::vector<int64_t> &tokens, int64_t mask, const DiffusionOptions &options,
                  const MaskedModel &model, const DiffusionProgress &progress) {
  RONDO_TAKE(Sampler sampler, Sampler::create(options.sampling));
  std::mt19937_64 random(options.sampling.seed);
  std::vector<size_t> hidden;
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] == mask)
      hidden.push_back(i);
  if (hidden.empty())
    return {};
  // Blocks are of places, from the first hidden one on, so that what is given in between counts.
  size_t begin = hidden.front(), end = hidden.back() + 1,
         block = options.block > 0 ? static_cast<size_t>(options.block) : end - begin;
  size_t blocks = (end - begin + block - 1) / block;
  size_t all = options.steps > 0 ? static_cast<size_t>(options.steps) : hidden.size();
  size_t stepsOfBlock = std::max<size_t>(1, all / blocks);

  std::vector<float> allowed;
  std::vector<std::pair<double, size_t>> found;
  std::vector<int64_t> answers(tokens.size());
  int64_t done = 0;
  for (size_t b = 0; b < blocks; ++b) {
    size_t from = begin + b * block, to = std::min(end, from + block);
    auto masked =
        static_cast<size_t>(std::count(tokens.begin() + static_cast<std::ptrdiff_t>(from),
                                       tokens.begin() + static_cast<std::ptrdiff_t>(to), mask));
    size_t steps = std::min(stepsOfBlock, masked);
    for (size_t step = 0; step < steps; ++step) {
      RONDO_TAKE(std::span<const float> logits, model(tokens));
      RONDO_TAKE(size_t vocabulary, vocabularyOf(logits, tokens.size(), mask));
      found.clear();
      for (size_t i = from; i < to; ++i) {
        if (tokens[i] != mask)
          continue;
        RONDO_TAKE(Candidate candidate,
                   answer(logits.subspan(i * vocabulary, vocabulary), mask, sampler, allowed));
        answers[i] = candidate.token;
        bool sure = options.remasking == Remasking::LowConfidence;
        found.emplace_back(sure ? candidate.confidence : draw(random), i);
      }
      size_t count = masked / steps + (step < masked % steps ? 1 : 0);
      std::sort(found.begin(), found.end(), [](const auto &a, const auto &b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
      });
      for (size_t i = 0; i < count; ++i)
        tokens[found[i].second] = answers[found[i].second];
      if (progress)
        progress(++done, static_cast<int64_t>(stepsOfBlock * blocks));
    }
  }
  return {};
}

Status denoiseScores(std::vector<int64_t> &tokens, int64_t mask, const DiffusionOptions &options,
                     const ScoreModel &model, const DiffusionProgress &progress) {
  constexpr double most = 1 - 1e-3, last = 1e-5; // the schedule's, and where the last step begins
  auto sigmaAt = [](double t) { return -std::log1p(-most * t); };
  std::mt19937_64 random(options.sampling.seed);
  auto hidden = static_cast<int64_t>(std::count(tokens.begin(), tokens.end(), mask));
  int64_t steps = options.steps > 0 ? options.steps : hidden;
  std::vector<double> weights;
  for (int64_t step = 0; step <= steps && hidden > 0; ++step) {
    // One more step than asked for: the last one takes away what noise is left, and nothing stays
    // hidden.
    double t = 1 - (1 - last) * static_cast<double>(step) / static_cast<double>(steps);
    double sigma = sigmaAt(t);
    double leaves =
        step == steps ? sigma : sigma - sigmaAt(t - (1 - last) / static_cast<double>(steps));
    RONDO_TAKE(std::span<const float> logits, model(tokens, sigma));
    RONDO_TAKE(size_t vocabulary, vocabularyOf(logits, tokens.size(), mask));
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] != mask)
        continue;
      // Scores at a step less of noise are these times exp(leaves), and what the other tokens lose
      // comes to the mask; a hidden token became so within the step with 1 - exp(-leaves). The
      // mask's own score is 1.
      double sum = 0, total = 0;
      weights.assign(vocabulary, 0);
      for (size_t y = 0; y < vocabulary; ++y) {
        if (y == static_cast<size_t>(mask))
          continue;
        double score = std::exp(static_cast<double>(logits[i * vocabulary + y]));
        if (!std::isfinite(score))
          return Error{fmt::format("score {} of token {} is {}", y, i, score)};
        sum += score;
        weights[y] = score * std::exp(leaves) * -std::expm1(-leaves);
        total += weights[y];
      }
      if (step < steps) {
        double stays = std::max(0.0, std::exp(leaves) - std::expm1(leaves) * (sum + 1));
        weights[static_cast<size_t>(mask)] = stays;
        total += stays;
      }
      if (!(total > 0))
        return Error{fmt::format("the scores of token {} are all 0", i)};
      double at = draw(random) * total;
      size_t taken = 0;
      for (size_t y = 0; y < vocabulary; ++y)
        if (weights[y] > 0) {
          taken = y;
          if ((at -= weights[y]) < 0)
            break;
        }
      if (static_cast<int64_t>(taken) != mask) {
        tokens[i] = static_cast<int64_t>(taken);
        --hidden;
      }
    }
    if (progress)
      progress(step + 1, steps + 1);
  }
  return {};
}

Result<std::vector<float>> denoiseVectors(int64_t tokens, int64_t width, double first, double last,
                                          const DiffusionOptions &options, const VectorModel &model,
                                          const DiffusionProgress &progress) {
  if (!(last > first))
    return Error{fmt::format("noise: found gamma from {} to {}, expected it to grow", first, last)};
  std::mt19937_64 random(options.sampling.seed);
  // Box and Muller; the one of two that is left is kept for the next call.
  double spare = 0;
  bool kept = false;
  auto gaussian = [&] {
    if (std::exchange(kept, false))
      return spare;
    double radius = std::sqrt(-2 * std::log1p(-draw(random))),
           angle = 2 * std::numbers::pi * draw(random);
    spare = radius * std::sin(angle);
    kept = true;
    return radius * std::cos(angle);
  };
  auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  int64_t steps = options.steps > 0 ? options.steps : 256;
  auto count = static_cast<size_t>(tokens) * static_cast<size_t>(width);
  std::vector<float> z(count);
  for (float &value : z)
    value = static_cast<float>(gaussian());
  for (int64_t step = 0; step < steps; ++step) {
    double share = 1.0 / static_cast<double>(steps);
    double t = last + (first - last) * share * static_cast<double>(step),
           s = last + (first - last) * share * static_cast<double>(step + 1);
    RONDO_TAKE(std::span<const float> x, model(z, t));
    if (x.size() != count)
      return Error{fmt::format("found {} numbers from the model, expected {}", x.size(), count)};
    // q(z_s | z_t, x): variance sigma_s^2 (1 - exp(s - t)), mean by the same share of x.
    double alphaT = std::sqrt(sigmoid(-t)), alphaS = std::sqrt(sigmoid(-s)), varianceS = sigmoid(s),
           gained = -std::expm1(s - t);
    double fromZ = alphaS / alphaT * (1 - gained), fromX = alphaS * gained,
           noise = std::sqrt(varianceS * gained);
    for (size_t i = 0; i < count; ++i)
      z[i] = static_cast<float>(fromZ * static_cast<double>(z[i]) +
                                fromX * static_cast<double>(x[i]) + noise * gaussian());
    if (progress)
      progress(step + 1, steps + 1);
  }
  RONDO_TAKE(std::span<const float> x, model(z, first));
  if (progress)
    progress(steps + 1, steps + 1);
  return std::vector<float>(x.begin(), x.end());
}

} // namespace rondo

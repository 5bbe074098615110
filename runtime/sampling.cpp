// sampling.cpp - From logits to the next token.

#include "runtime/sampling.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace rondo {

Result<Sampler> Sampler::create(const SamplingOptions &options) {
  if (!(options.temperature >= 0) || !std::isfinite(options.temperature))
    return Error{
        fmt::format("temperature: found {}, expected a number of at least 0", options.temperature)};
  if (!(options.topP > 0 && options.topP <= 1))
    return Error{
        fmt::format("top-p: found {}, expected a number above 0, and at most 1", options.topP)};
  return Sampler(options);
}

Result<int64_t> Sampler::sample(std::span<const float> logits) {
  if (logits.empty())
    return Error{"found no logits to choose a token from"};
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      return Error{fmt::format("logit {} is not a number", i)};
    if (logits[i] > logits[best])
      best = i;
  }
  if (std::isinf(logits[best]))
    return Error{fmt::format("logit {} is infinite", best)};
  if (options.temperature == 0)
    return static_cast<int64_t>(best);

  // Unnormalised probabilities, likeliest first; a temperature so small that everything else
  // underflows is greedy.
  candidates.clear();
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    float weight = std::exp((logits[i] - logits[best]) / options.temperature);
    if (weight > 0) {
      candidates.emplace_back(weight, static_cast<int64_t>(i));
      total += static_cast<double>(weight);
    }
  }
  if (options.topP < 1) {
    // A heap gives out the likeliest one by one: of a large vocabulary few are needed.
    auto less = [](const auto &a, const auto &b) {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    };
    std::make_heap(candidates.begin(), candidates.end(), less);
    double reached = 0;
    auto rest = candidates.end();
    while (rest != candidates.begin() &&
           (rest == candidates.end() || reached < static_cast<double>(options.topP) * total)) {
      std::pop_heap(candidates.begin(), rest, less);
      reached += static_cast<double>((--rest)->first);
    }
    // What was taken stands at the end, the likeliest last.
    candidates.erase(candidates.begin(), rest);
    std::reverse(candidates.begin(), candidates.end());
    total = reached;
  }
  // 53 random bits: distributions of the standard library differ between its versions.
  double draw = static_cast<double>(random() >> 11) * 0x1p-53 * total;
  for (const auto &[weight, id] : candidates)
    if ((draw -= static_cast<double>(weight)) < 0)
      return id;
  return candidates.back().second;
}

} // namespace rondo

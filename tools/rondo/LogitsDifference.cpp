// LogitsDifference.cpp - How far the logits of two packages are apart.

#include "tools/rondo/LogitsDifference.h"

#include "runtime/tensor.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <memory>

namespace rondo::cli {

namespace {

/// log(sum of exp)
double logOfSum(std::span<const double> logits) {
  double largest = *std::max_element(logits.begin(), logits.end()), sum = 0;
  for (double logit : logits)
    sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

} // namespace

Result<LogitsDifference> differenceOf(const Numbers &expected, const Numbers &found) {
  if (expected.shape != found.shape || expected.shape.size() != 2 || expected.shape[0] < 1 ||
      expected.shape[1] < 1)
    return Error{fmt::format("logits: found shape {}, expected {}, tokens by ids",
                             printShape(found.shape), printShape(expected.shape))};
  LogitsDifference difference;
  auto tokens = static_cast<size_t>(expected.shape[0]),
       ids = static_cast<size_t>(expected.shape[1]);
  for (size_t t = 0; t < tokens; ++t) {
    auto wanted = std::span(expected.values).subspan(t * ids, ids);
    auto made = std::span(found.values).subspan(t * ids, ids);
    double wantedSum = logOfSum(wanted), madeSum = logOfSum(made);
    for (size_t i = 0; i < ids; ++i) {
      double off = std::fabs(made[i] - wanted[i]);
      difference.maxAbs = std::max(difference.maxAbs, off);
      difference.meanAbs += off;
      double log = wanted[i] - wantedSum;
      difference.divergence += std::exp(log) * (log - (made[i] - madeSum));
    }
    auto first = [](std::span<const double> logits) {
      return std::max_element(logits.begin(), logits.end()) - logits.begin();
    };
    difference.sameFirst += first(wanted) == first(made);
  }
  difference.meanAbs /= static_cast<double>(tokens * ids);
  difference.divergence /= static_cast<double>(tokens);
  difference.sameFirst /= static_cast<double>(tokens);
  return difference;
}

std::string printDifference(const LogitsDifference &difference) {
  return fmt::format("at most {:.3g} apart, {:.3g} on average; divergence {:.3g} nats a token; the "
                     "same most likely id for {:.1f} % of tokens",
                     difference.maxAbs, difference.meanAbs, difference.divergence,
                     100 * difference.sameFirst);
}

nlohmann::ordered_json describeDifference(const LogitsDifference &difference) {
  return {{"logits_max_abs", difference.maxAbs},
          {"logits_mean_abs", difference.meanAbs},
          {"kl_nats", difference.divergence},
          {"same_first", difference.sameFirst}};
}

LogitsDifference differenceIn(const package::LogitsError &stored) {
  return {stored.max_abs(), stored.mean_abs(), stored.divergence(), stored.same_first()};
}

std::string originOf(const package::LogitsError &stored) {
  std::string precision = stored.precision() ? stored.precision()->str() : "";
  return fmt::format("those of {}{}, over {} tokens of seed {}", stored.against()->string_view(),
                     precision.empty() ? "" : " (" + precision + ")", stored.tokens(),
                     stored.seed());
}

Status storeDifference(const Package &package, const LogitsDifference &difference,
                       const Package &other, int64_t tokens, uint64_t seed) {
  std::unique_ptr<package::PackageT> manifest(package.manifest().UnPack());
  auto stored = std::make_unique<package::LogitsErrorT>();
  stored->against = other.contentHash();
  if (const package::Provenance *from = other.manifest().provenance(); from && from->precision())
    stored->precision = from->precision()->str();
  stored->tokens = tokens;
  stored->seed = seed;
  stored->max_abs = difference.maxAbs;
  stored->mean_abs = difference.meanAbs;
  stored->divergence = difference.divergence;
  stored->same_first = difference.sameFirst;
  manifest->logits_error = std::move(stored);
  // The open package's bytes stay as they are: the new file takes the name.
  return writePackage(package.path(), *manifest, package.code(), [&](size_t index) {
    std::span<const std::byte> bytes = package.weight(index);
    return Result<std::vector<std::byte>>({bytes.begin(), bytes.end()});
  });
}

} // namespace rondo::cli

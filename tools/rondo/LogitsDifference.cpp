// LogitsDifference.cpp - How far the logits of two packages are apart.

#include "tools/rondo/LogitsDifference.h"

#include "runtime/tensor.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

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

} // namespace rondo::cli

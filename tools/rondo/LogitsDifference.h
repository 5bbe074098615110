// LogitsDifference.h - How far the logits of two packages are apart, as a user of text sees it.

#ifndef RONDO_TOOLS_RONDO_LOGITSDIFFERENCE_H
#define RONDO_TOOLS_RONDO_LOGITSDIFFERENCE_H

#include "runtime/package.h"
#include "tools/rondo/Comparison.h"

#include <nlohmann/json.hpp>

namespace rondo::cli {

/// Over all tokens of a sequence.
struct LogitsDifference {
  double maxAbs = 0, meanAbs = 0; ///< of the logits
  double divergence = 0;          ///< mean Kullback-Leibler divergence from the expected, in nats
  double sameFirst = 0;           ///< share of tokens whose most likely next id is the same
};

/// Both [tokens, vocabulary]; an error where their shapes differ.
Result<LogitsDifference> differenceOf(const Numbers &expected, const Numbers &found);

std::string printDifference(const LogitsDifference &difference);
nlohmann::ordered_json describeDifference(const LogitsDifference &difference);

/// Of a package, as it was stored there.
LogitsDifference differenceIn(const package::LogitsError &stored);
/// "those of 9f25... (f32), over 64 tokens of seed 0"
std::string originOf(const package::LogitsError &stored);

/// Writes the package anew, whole or not at all, with the difference from `other` in it.
Status storeDifference(const Package &package, const LogitsDifference &difference,
                       const Package &other, int64_t tokens, uint64_t seed);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_LOGITSDIFFERENCE_H

// LogitsDifference.h - How far the logits of two packages are apart, as a user of text sees it.

#ifndef RONDO_TOOLS_RONDO_LOGITSDIFFERENCE_H
#define RONDO_TOOLS_RONDO_LOGITSDIFFERENCE_H

#include "tools/rondo/Comparison.h"

namespace rondo::cli {

/// Over all tokens of a sequence.
struct LogitsDifference {
  double maxAbs = 0, meanAbs = 0; ///< of the logits
  double divergence = 0;          ///< mean Kullback-Leibler divergence from the expected, in nats
  double sameFirst = 0;           ///< share of tokens whose most likely next id is the same
};

/// Both [tokens, vocabulary]; an error where their shapes differ.
Result<LogitsDifference> differenceOf(const Numbers &expected, const Numbers &found);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_LOGITSDIFFERENCE_H

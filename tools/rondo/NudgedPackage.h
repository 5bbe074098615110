// NudgedPackage.h - A package whose f32 weights are off by about what sums in another order are.
//
// Where numbers are rounded coarsely on their way (rows to 8 bits, factors to bf16), a last bit can
// decide which way, and from there on two right ways of computing differ by whole steps. How far
// they come apart is a property of the model, the rounding and the tokens. It is measured by making
// the difference on purpose, with the same kernels and with nothing else changed.

#ifndef RONDO_TOOLS_RONDO_NUDGEDPACKAGE_H
#define RONDO_TOOLS_RONDO_NUDGEDPACKAGE_H

#include "runtime/package.h"

namespace rondo::cli {

/// Writes to `path` the package with each number of each f32 weight multiplied by 1 + 2^-21 or
/// 1 - 2^-21, as a hash of its place and `seed` says. Integers and bf16 stay as they are, and so
/// does zero. An error when there is no f32 weight.
Status writeNudged(const Package &package, uint64_t seed, const std::string &path);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_NUDGEDPACKAGE_H

// Diffuse.h - Text from a package that sees whole sequences: what it was trained to fill is filled.

#ifndef RONDO_TOOLS_RONDO_DIFFUSE_H
#define RONDO_TOOLS_RONDO_DIFFUSE_H

#include "runtime/diffusion.h"
#include "tools/rondo/Session.h"

#include <cstdint>
#include <vector>

namespace rondo::cli {

/// Puts `count` hidden tokens behind the prompt and fills them as the package's objective says;
/// returns the filled ones. An error where the entry `forward` takes anything but `tokens` (and the
/// level of noise, `sigma`, where the objective has one).
Result<std::vector<int64_t>> diffuse(Session &session, const package::Objective &objective,
                                     const std::vector<int64_t> &prompt, int64_t count,
                                     const DiffusionOptions &options);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_DIFFUSE_H

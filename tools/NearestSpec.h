//===- NearestSpec.h - Help with a checkpoint that no spec reads ---*- C++ -*-===//

#pragma once

#include "frontend/Program.h"

#include <string>

namespace rondo {

/// Notes for whoever has to write a spec: which spec of `modelsDir`, compiled with this config, has
/// most parameters in common with the checkpoint (names and shapes), what it lacks and what it has
/// besides, and the tensors that a spec must bind, those that differ in numbers as one line. Empty
/// where the checkpoint cannot be read.
std::string describeUnread(const std::string &modelsDir, const SpecOptions &config,
                           const std::string &checkpointPath);

} // namespace rondo

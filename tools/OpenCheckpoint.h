//===- OpenCheckpoint.h - Checkpoints of any format that is read -*- C++ -*-===//

#pragma once

#include "runtime/safetensors.h"

#include <string>

namespace rondo {

/// A checkpoint under the names of a published class.
struct OpenedCheckpoint {
  Checkpoint checkpoint;
  std::string config; ///< the settings of a file that holds them, as a config.json; else empty
  std::string help;   ///< what keeps such a file from being read without a spec; else empty
};

/// Whether the file at `path` holds a model's settings besides its tensors.
bool holdsSettings(const std::string &path);

/// A folder or file of safetensors, or a GGUF file, whose names those of `modelsDir`/gguf are for;
/// where there are none for its architecture, settings and tensors have the file's own names.
Result<OpenedCheckpoint> openCheckpoint(const std::string &path, const std::string &modelsDir);

} // namespace rondo

//===- StorageRules.h - What a config says of stored numbers -----*- C++ -*-===//

#pragma once

#include "frontend/Program.h"
#include "runtime/stored.h"

namespace rondo {

/// `quantization_config` of a config.json: `quant_method` (8-bit floats have scales),
/// `checkpoint_format` (how zero points are written), `weight_block_size`. What it says where there
/// is no such file or key.
StorageRules storageRulesOf(const SpecOptions &options);

} // namespace rondo

//===- ModelsFolder.h - Where the specs are --------------------*- C++ -*-===//

#pragma once

#include <string>

namespace rondo {

/// The folder of specs: what RONDO_MODELS says, or beside the build or the installed program.
std::string modelsFolder();

} // namespace rondo

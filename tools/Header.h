//===- Header.h - A model's entries as a C header --------------*- C++ -*-===//

#pragma once

#include "codegen/common/Manifest.h"
#include <string>

namespace rondo {

/// A header for programs that run the model through runtime/rondo.h: the extents of every input,
/// output and state as constants, and one inline function an entry whose arguments are those
/// tensors, so that a wrong shape does not compile.
std::string makeHeader(const Plan &plan, const PackageNotes &notes);

} // namespace rondo

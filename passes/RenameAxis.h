//===- RenameAxis.h - Makes room for a lead axis ---------------*- C++ -*-===//
//
// Blocks have the axes `c` and `s` of their own. A spec's axis of that name is renamed, inside of
// the op that holds the body and at its operands and results (by views, which cost nothing).
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"

namespace rondo {

/// Renames `axis` in an op with isolated bodies (recur, over) to a name that the op does not use.
/// Nothing happens where it is not used.
void renameAxis(mlir::Operation *op, llvm::StringRef axis);

} // namespace rondo

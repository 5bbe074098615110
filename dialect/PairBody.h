//===- PairBody.h - Questions about the body of an over --------*- C++ -*-===//
//
// What the body of an `over` or `attend` computes from which of its arguments.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/Value.h"

namespace rondo {

/// Whether a value of such a body, with so many queries and keys, is computed from a key or its
/// position.
bool readsKey(mlir::Value value, unsigned queries, unsigned keys);

} // namespace rondo

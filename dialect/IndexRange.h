//===- IndexRange.h - What values a view's index can take ------*- C++ -*-===//
//
// Affine expressions over axes of known extents: dimension i runs over [0, extents[i]).
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/AffineMap.h"

namespace rondo {

/// Bounds, both inclusive; not always attained.
struct IndexRange {
  int64_t low, high;
};

/// Bounds of an expression by interval arithmetic; nothing when it overflows or divides by what is
/// no positive constant. Extents are at least 1.
std::optional<IndexRange> rangeOf(mlir::AffineExpr expr, llvm::ArrayRef<int64_t> extents);

/// The map with every `floordiv` and `mod` removed that the extents make trivial: (h * 4 + k)
/// floordiv 4 -> h for k < 4.
mlir::AffineMap simplifyInRange(mlir::AffineMap map, llvm::ArrayRef<int64_t> extents);

/// Whether every index maps inside [0, bounds): by intervals where they suffice, else index by
/// index.
bool mapsInside(mlir::AffineMap map, llvm::ArrayRef<int64_t> extents,
                llvm::ArrayRef<int64_t> bounds);

} // namespace rondo

//===- Triangle.h - Which half of a value over two axes is zero -----------===//
//
// What a token of a block reads of the others is masked: `select(s <= c, x, 0)`. Sums of products
// with such a value leave out what the mask makes zero. Sound because what is left out is zero;
// only a product of it with an infinity would not have been.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"
#include <algorithm>
#include <optional>

namespace rondo::cpu {

/// A value is zero where its index along `column` is above that along `row`, or the same where
/// `strict`.
struct Triangle {
  mlir::StringAttr row, column;
  bool strict;

  /// How many of the columns [first, first + count) a row has that are not zero: the first ones.
  int64_t columnsOf(int64_t index, int64_t first, int64_t count) const {
    return std::clamp<int64_t>(index + (strict ? 0 : 1) - first, 0, count);
  }
};

/// The triangle that `value` is by its own definition: a mask, or a product with what has one.
std::optional<Triangle> triangleOf(mlir::Value value);

} // namespace rondo::cpu

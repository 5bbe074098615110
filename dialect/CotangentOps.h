//===- CotangentOps.h - Arithmetic on lazily broadcast values --*- C++ -*-===//
//
// A cotangent stands for a value with all axes of what it belongs to, but lacks those along which
// it is constant. These functions add, multiply and sum such values, and emit nothing where a
// factor is 1 or an axis is summed that is not there (the extent becomes a factor). Used by
// Differentiate.cpp and ViewAdjoint.cpp alone.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"

namespace rondo {

class CotangentOps {
public:
  CotangentOps(mlir::OpBuilder &builder, mlir::Location loc) : builder(builder), loc(loc) {}

  mlir::Value number(double value);
  mlir::Value map(MapKind kind, mlir::ValueRange inputs);
  mlir::Value times(mlir::Value a, mlir::Value b);
  /// 0 .. extent - 1 along an axis.
  mlir::Value index(llvm::StringRef axis, int64_t extent);
  /// `value` where `condition`, else 0.
  mlir::Value where(mlir::Value condition, mlir::Value value);

  /// The sum over all axes of `whole` that `target` lacks of a * b. Null where that is a sum over
  /// tokens.
  mlir::Value productTo(mlir::Value a, mlir::Value b, mlir::RankedTensorType whole,
                        mlir::RankedTensorType target);
  /// The same of one value.
  mlir::Value sumTo(mlir::Value a, mlir::RankedTensorType whole, mlir::RankedTensorType target);

  /// The value with all axes of `type`, in their order.
  mlir::Value broadcastTo(mlir::Value a, mlir::RankedTensorType type);

  /// View of the value; `axes` and `extents` are the result's but t's, `map` goes from them to the
  /// value's.
  mlir::Value view(mlir::Value a, llvm::ArrayRef<mlir::StringAttr> axes,
                   llvm::ArrayRef<int64_t> extents, mlir::AffineMap map);
  /// The axis under another name.
  mlir::Value renamed(mlir::Value a, llvm::StringRef from, llvm::StringRef to);

  mlir::OpBuilder &builder;
  mlir::Location loc;
};

/// Indices are compared as f32: whole numbers are exact up to 2^24, and their quotients are rounded
/// down rightly up to this.
inline constexpr int64_t mostComparedIndex = int64_t(1) << 22;

/// What a view's source gets of the result's cotangent: each element the sum of the elements that
/// show it. Null where that compares larger indices.
mlir::Value adjointOfView(CotangentOps &ops, ViewOp view, mlir::Value cotangent);

} // namespace rondo

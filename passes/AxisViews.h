//===- AxisViews.h - A value over other axes, by a view --------*- C++ -*-===//

#pragma once

#include "dialect/Rondo.h"
#include "mlir/IR/Builders.h"

namespace rondo {

/// The value with exactly the axes of `type`, in its order; those that it lacks are broadcast. The
/// value itself where it has that type.
mlir::Value conform(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                    mlir::RankedTensorType type);

} // namespace rondo

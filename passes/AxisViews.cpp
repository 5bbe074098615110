//===- AxisViews.cpp - A value over other axes, by a view -----------------===//

#include "passes/AxisViews.h"

using namespace mlir;

namespace rondo {

Value conform(OpBuilder &builder, Location loc, Value value, RankedTensorType type) {
  if (value.getType() == type)
    return value;
  SmallVector<AffineExpr> places;
  for (StringAttr axis : axesOf(value.getType()))
    places.push_back(builder.getAffineDimExpr(*axisIndex(type, axis)));
  auto map = AffineMap::get(type.getRank(), 0, places, builder.getContext());
  return ViewOp::create(builder, loc, type, value, AffineMapAttr::get(map));
}

} // namespace rondo

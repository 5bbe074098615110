//===- CotangentOps.cpp - Arithmetic on lazily broadcast values ----------===//

#include "dialect/CotangentOps.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace rondo;

static std::optional<double> splatOf(Value value) {
  DenseElementsAttr elements;
  if (!matchPattern(value, m_Constant(&elements)) || !elements.isSplat() ||
      !elements.getElementType().isF32())
    return std::nullopt;
  return elements.getSplatValue<APFloat>().convertToDouble();
}

// What is no f32 is the sum of two, so that an evaluation in f64 sees it to 48 bits.
Value CotangentOps::number(double value) {
  auto type = RankedTensorType::get({}, builder.getF32Type());
  auto constant = [&](float x) -> Value {
    return ConstantOp::create(builder, loc, type, DenseElementsAttr::get(type, APFloat(x)));
  };
  auto high = static_cast<float>(value);
  auto low = static_cast<float>(value - high);
  return low == 0 ? constant(high) : map(MapKind::Add, {constant(high), constant(low)});
}

Value CotangentOps::map(MapKind kind, ValueRange inputs) {
  return builder.createOrFold<MapOp>(loc, kind, inputs);
}

Value CotangentOps::times(Value a, Value b) {
  std::optional<double> x = splatOf(a), y = splatOf(b);
  if (x && !y) {
    std::swap(a, b);
    std::swap(x, y);
  }
  if (y == 1.0)
    return a;
  if (y == -1.0)
    return map(MapKind::Neg, a);
  return map(MapKind::Mul, {a, b});
}

Value CotangentOps::index(StringRef axis, int64_t extent) {
  return IndexOp::create(builder, loc,
                         namedType(builder.getContext(), ArrayRef<StringRef>(axis),
                                   ArrayRef<int64_t>(extent), builder.getF32Type()));
}

Value CotangentOps::where(Value condition, Value value) {
  return map(MapKind::Select, {condition, value, number(0)});
}

/// Axes of `type` that `other` lacks.
static SmallVector<StringRef> without(Type type, Type other) {
  SmallVector<StringRef> names;
  for (StringAttr axis : axesOf(type))
    if (!hasAxis(other, axis.getValue()))
      names.push_back(axis.getValue());
  return names;
}

/// The axes of `type` in the order of `like`, then the others.
static RankedTensorType inOrderOf(RankedTensorType type, RankedTensorType like) {
  SmallVector<StringAttr> names;
  SmallVector<int64_t> extents;
  auto add = [&](RankedTensorType from, bool inLike) {
    for (StringAttr axis : axesOf(from))
      if (hasAxis(type, axis.getValue()) && hasAxis(like, axis.getValue()) == inLike) {
        names.push_back(axis);
        extents.push_back(extentOf(type, axis.getValue()));
      }
  };
  add(like, true);
  add(type, false);
  return namedType(type.getContext(), names, extents, type.getElementType());
}

static Value reduceAway(CotangentOps &ops, Value a, ArrayRef<StringRef> axes) {
  return axes.empty()
             ? a
             : ReduceOp::create(ops.builder, ops.loc, ReduceKind::Sum, a, axes).getResult();
}

Value CotangentOps::sumTo(Value a, RankedTensorType whole, RankedTensorType target) {
  return productTo(a, number(1), whole, target);
}

Value CotangentOps::productTo(Value a, Value b, RankedTensorType whole, RankedTensorType target) {
  SmallVector<StringRef> onlyA, onlyB, both;
  double repeated = 1;
  for (StringRef axis : without(whole, target)) {
    if (axis == timeAxis)
      return {};
    bool inA = hasAxis(a.getType(), axis), inB = hasAxis(b.getType(), axis);
    if (!inA && !inB) {
      if (ShapedType::isDynamic(extentOf(whole, axis)))
        return {};
      repeated *= static_cast<double>(extentOf(whole, axis));
      continue;
    }
    (inA && inB ? both : inA ? onlyA : onlyB).push_back(axis);
  }
  a = reduceAway(*this, a, onlyA);
  b = reduceAway(*this, b, onlyB);
  if (repeated != 1) {
    Value &smaller = axesOf(a.getType()).size() < axesOf(b.getType()).size() ? a : b;
    smaller = times(smaller, number(repeated));
  }
  if (both.empty()) {
    Value product = times(a, b);
    // The product's own axes may come in the order that its user has.
    if (auto op = product.getDefiningOp<MapOp>();
        op && op.getKind() == MapKind::Mul && product != a && product != b)
      op.getResult().setType(inOrderOf(op.getType(), target));
    return product;
  }
  auto product = ContractOp::create(builder, loc, a, b, both);
  product.getResult().setType(inOrderOf(product.getType(), target));
  return product;
}

Value CotangentOps::view(Value a, ArrayRef<StringAttr> axes, ArrayRef<int64_t> extents,
                         AffineMap map) {
  auto type = namedType(builder.getContext(), axes, extents, elementTypeOf(a.getType()));
  if (isPerToken(a.getType()))
    type = withTime(type);
  if (type == a.getType() && map.isIdentity())
    return a;
  return ViewOp::create(builder, loc, type, a, AffineMapAttr::get(map));
}

Value CotangentOps::broadcastTo(Value a, RankedTensorType type) {
  if (a.getType() == type)
    return a;
  if (std::optional<double> splat = splatOf(a); splat && type.hasStaticShape())
    return ConstantOp::create(builder, loc, type,
                              DenseElementsAttr::get(type, APFloat(static_cast<float>(*splat))));
  if (isPerToken(type) != isPerToken(a.getType())) {
    // A view cannot repeat over time; a map can.
    auto zero = ConstantOp::create(builder, loc, withoutTime(type),
                                   DenseElementsAttr::get(withoutTime(type), APFloat(0.0f)));
    return MapOp::create(builder, loc, type, MapKind::Add, ValueRange{a, zero});
  }
  RankedTensorType inner = withoutTime(type);
  SmallVector<AffineExpr> sources;
  for (StringAttr axis : axesOf(withoutTime(a.getType())))
    sources.push_back(builder.getAffineDimExpr(*axisIndex(inner, axis.getValue())));
  return view(
      a, axesOf(inner), inner.getShape(),
      AffineMap::get(static_cast<unsigned>(inner.getRank()), 0, sources, builder.getContext()));
}

Value CotangentOps::renamed(Value a, StringRef from, StringRef to) {
  if (from == to)
    return a;
  RankedTensorType inner = withoutTime(a.getType());
  SmallVector<StringAttr> names(axesOf(inner));
  names[*axisIndex(inner, from)] = builder.getStringAttr(to);
  return view(a, names, inner.getShape(),
              builder.getMultiDimIdentityMap(static_cast<unsigned>(inner.getRank())));
}

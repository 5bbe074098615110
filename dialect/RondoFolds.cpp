//===- RondoFolds.cpp - Folds and canonical forms -------------------------===//
//
// A fold computes in f64 and applies only where the result is exactly an f32: then neither the f64
// nor the f32 meaning of the program changes, and a constant such as 1/3 stays an op (what depends
// on parameters and constants alone is lifted out of the program anyway). Canonical forms:
// constants on the right of commutative kinds, powers as products and roots, one view in place of a
// chain.
//
//===----------------------------------------------------------------------===//

#include "dialect/IndexRange.h"
#include "dialect/Rondo.h"

#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

#include <cmath>

using namespace mlir;
using namespace rondo;

// A larger constant than this is not made by folding: it would be stored where a few ops were.
static constexpr int64_t maxFoldedElements = 4096;

//===----------------------------------------------------------------------===//
// Constants as numbers
//===----------------------------------------------------------------------===//

namespace {

/// The elements of a dense constant of f32 or i1, by names of axes.
struct Numbers {
  DenseElementsAttr value;
  SmallVector<double> elements; // one for a splat

  static std::optional<Numbers> of(Attribute attribute) {
    auto dense = dyn_cast_if_present<DenseElementsAttr>(attribute);
    if (!dense || (!dense.isSplat() && dense.getNumElements() > maxFoldedElements))
      return std::nullopt;
    Numbers numbers{dense, {}};
    auto push = [&](auto values) {
      for (auto x : values) {
        numbers.elements.push_back(double(x));
        if (dense.isSplat())
          return;
      }
    };
    if (dense.getElementType().isF32())
      push(dense.getValues<float>());
    else if (dense.getElementType().isInteger(1))
      push(dense.getValues<bool>());
    else
      return std::nullopt;
    return numbers;
  }

  /// The element at an index of `whole`, by axis name.
  double at(RankedTensorType whole, ArrayRef<int64_t> index) const {
    if (value.isSplat())
      return elements[0];
    int64_t offset = 0;
    for (auto [axis, extent] : llvm::zip_equal(axesOf(value.getType()), value.getType().getShape()))
      offset = offset * extent + index[*axisIndex(whole, axis)];
    return elements[offset];
  }
};

} // namespace

/// A dense constant of the elements, or null when one of them is no f32.
static Attribute exactConstant(RankedTensorType type, ArrayRef<double> elements) {
  if (type.getElementType().isInteger(1)) {
    SmallVector<bool> bits(llvm::map_range(elements, [](double x) { return x != 0; }));
    return DenseElementsAttr::get(type, ArrayRef<bool>(bits));
  }
  if (!type.getElementType().isF32())
    return {};
  SmallVector<float> values;
  for (double x : elements) {
    if (!std::isfinite(x) || double(float(x)) != x)
      return {};
    values.push_back(float(x));
  }
  return DenseElementsAttr::get(type, ArrayRef<float>(values));
}

/// Calls `visit` with each index of a static shape, in order.
static void forEachIndex(ArrayRef<int64_t> shape, function_ref<void(ArrayRef<int64_t>)> visit) {
  SmallVector<int64_t> index(shape.size(), 0);
  int64_t count = llvm::product_of(shape);
  for (int64_t n = 0; n < count; ++n) {
    visit(index);
    for (size_t axis = shape.size(); axis > 0 && ++index[axis - 1] == shape[axis - 1]; --axis)
      index[axis - 1] = 0;
  }
}

static bool isSplatOf(Attribute attribute, double number) {
  auto dense = dyn_cast_if_present<DenseElementsAttr>(attribute);
  if (!dense || !dense.isSplat())
    return false;
  auto numbers = Numbers::of(dense);
  return numbers && numbers->elements[0] == number;
}

//===----------------------------------------------------------------------===//
// ConstantOp and ConcatOp
//===----------------------------------------------------------------------===//

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

OpFoldResult ConcatOp::fold(FoldAdaptor) {
  return getSources().size() == 1 ? OpFoldResult(getSources().front()) : OpFoldResult();
}

//===----------------------------------------------------------------------===//
// MapOp
//===----------------------------------------------------------------------===//

/// Kinds whose f64 result is correctly rounded everywhere, so that compile time and run time agree.
static std::optional<double> evaluateExactly(MapKind kind, ArrayRef<double> x) {
  switch (kind) {
  case MapKind::Add:
    return x[0] + x[1];
  case MapKind::Sub:
    return x[0] - x[1];
  case MapKind::Mul:
    return x[0] * x[1];
  case MapKind::Div:
    return x[0] / x[1];
  case MapKind::Min:
    return std::fmin(x[0], x[1]);
  case MapKind::Max:
    return std::fmax(x[0], x[1]);
  case MapKind::Neg:
    return -x[0];
  case MapKind::Abs:
    return std::fabs(x[0]);
  case MapKind::Sqrt:
    return std::sqrt(x[0]);
  case MapKind::Floor:
    return std::floor(x[0]);
  case MapKind::Lt:
    return x[0] < x[1];
  case MapKind::Le:
    return x[0] <= x[1];
  case MapKind::Eq:
    return x[0] == x[1];
  case MapKind::Ne:
    return x[0] != x[1];
  case MapKind::And:
    return x[0] != 0 && x[1] != 0;
  case MapKind::Or:
    return x[0] != 0 || x[1] != 0;
  case MapKind::Not:
    return x[0] == 0;
  case MapKind::Select:
    return x[0] != 0 ? x[1] : x[2];
  default:
    return std::nullopt;
  }
}

static Attribute foldConstants(MapOp op, ArrayRef<Attribute> operands) {
  RankedTensorType type = op.getType();
  SmallVector<Numbers> inputs;
  bool splat = true;
  for (Attribute operand : operands) {
    auto numbers = Numbers::of(operand);
    if (!numbers)
      return {};
    splat &= numbers->value.isSplat();
    inputs.push_back(std::move(*numbers));
  }
  if (!type.hasStaticShape() || (!splat && type.getNumElements() > maxFoldedElements))
    return {};
  SmallVector<double> elements;
  bool known = true;
  auto evaluate = [&](ArrayRef<int64_t> index) {
    SmallVector<double> x;
    for (const Numbers &input : inputs)
      x.push_back(input.at(type, index));
    auto value = evaluateExactly(op.getKind(), x);
    known &= value.has_value();
    elements.push_back(value.value_or(0));
  };
  if (splat)
    evaluate({});
  else
    forEachIndex(type.getShape(), evaluate);
  return known ? exactConstant(type, elements) : Attribute();
}

/// Where a kind with one constant operand is the other operand, of the result's own type.
static Value foldNeutral(MapOp op, ArrayRef<Attribute> operands) {
  auto inputs = op.getInputs();
  auto operand = [&](unsigned i) {
    return inputs[i].getType() == op.getType() ? inputs[i] : Value();
  };
  switch (op.getKind()) {
  case MapKind::Add:
  case MapKind::Sub:
    return isSplatOf(operands[1], 0) ? operand(0) : Value();
  case MapKind::Mul:
  case MapKind::Div:
  case MapKind::Pow:
    return isSplatOf(operands[1], 1) ? operand(0) : Value();
  case MapKind::And:
    return isSplatOf(operands[1], 1) ? operand(0) : Value();
  case MapKind::Or:
    return isSplatOf(operands[1], 0) ? operand(0) : Value();
  case MapKind::Min:
  case MapKind::Max:
    return inputs[0] == inputs[1] ? operand(0) : Value();
  case MapKind::Select:
    if (inputs[1] == inputs[2] || isSplatOf(operands[0], 1))
      return operand(1);
    return isSplatOf(operands[0], 0) ? operand(2) : Value();
  case MapKind::Neg:
  case MapKind::Not: {
    auto inner = inputs[0].getDefiningOp<MapOp>();
    bool twice =
        inner && inner.getKind() == op.getKind() && inner.getInputs()[0].getType() == op.getType();
    return twice ? inner.getInputs()[0] : Value();
  }
  case MapKind::Convert:
    return operand(0);
  default:
    return {};
  }
}

OpFoldResult MapOp::fold(FoldAdaptor adaptor) {
  if (Value neutral = foldNeutral(*this, adaptor.getInputs()))
    return neutral;
  return foldConstants(*this, adaptor.getInputs());
}

namespace {

/// 2 * x -> x * 2: one place to look for a constant.
struct ConstantToTheRight : OpRewritePattern<MapOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MapOp op, PatternRewriter &rewriter) const override {
    switch (op.getKind()) {
    case MapKind::Add:
    case MapKind::Mul:
    case MapKind::Min:
    case MapKind::Max:
    case MapKind::Eq:
    case MapKind::Ne:
    case MapKind::And:
    case MapKind::Or:
      break;
    default:
      return rewriter.notifyMatchFailure(op, "the kind is not commutative");
    }
    auto isConstant = [](Value value) { return matchPattern(value, m_Constant()); };
    if (!isConstant(op.getInputs()[0]) || isConstant(op.getInputs()[1]))
      return rewriter.notifyMatchFailure(op, "no constant on the left of something else");
    rewriter.replaceOpWithNewOp<MapOp>(op, op.getType(), op.getKind(),
                                       ValueRange{op.getInputs()[1], op.getInputs()[0]});
    return success();
  }
};

/// x^2 -> x * x, x^0.5 -> sqrt x, x^-0.5 -> rsqrt x: what hardware has. Equal up to the rounding of
/// pow itself.
struct PowerToProductOrRoot : OpRewritePattern<MapOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MapOp op, PatternRewriter &rewriter) const override {
    if (op.getKind() != MapKind::Pow)
      return rewriter.notifyMatchFailure(op, "not a power");
    Value base = op.getInputs()[0];
    DenseElementsAttr exponent;
    if (!matchPattern(op.getInputs()[1], m_Constant(&exponent)))
      return rewriter.notifyMatchFailure(op, "the exponent is not constant");
    if (isSplatOf(exponent, 2))
      rewriter.replaceOpWithNewOp<MapOp>(op, op.getType(), MapKind::Mul, ValueRange{base, base});
    else if (isSplatOf(exponent, 0.5))
      rewriter.replaceOpWithNewOp<MapOp>(op, op.getType(), MapKind::Sqrt, base);
    else if (isSplatOf(exponent, -0.5))
      rewriter.replaceOpWithNewOp<MapOp>(op, op.getType(), MapKind::Rsqrt, base);
    else
      return rewriter.notifyMatchFailure(op, "the exponent is none of 2, 0.5 and -0.5");
    return success();
  }
};

} // namespace

void MapOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<ConstantToTheRight, PowerToProductOrRoot>(context);
}

//===----------------------------------------------------------------------===//
// ViewOp
//===----------------------------------------------------------------------===//

OpFoldResult ViewOp::fold(FoldAdaptor adaptor) {
  if (getSource().getType() == getType() && getMap().isIdentity())
    return getSource();
  auto numbers = Numbers::of(adaptor.getSource());
  if (!numbers || !getType().hasStaticShape())
    return {};
  if (numbers->value.isSplat())
    return numbers->value.resizeSplat(getType());
  if (getType().getNumElements() > maxFoldedElements)
    return {};
  SmallVector<double> elements;
  forEachIndex(getType().getShape(), [&](ArrayRef<int64_t> index) {
    elements.push_back(numbers->at(getSource().getType(), getMap().compose(index)));
  });
  return exactConstant(getType(), elements);
}

namespace {

/// A view of a view is one view.
struct ComposeViews : OpRewritePattern<ViewOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ViewOp outer, PatternRewriter &rewriter) const override {
    auto inner = outer.getSource().getDefiningOp<ViewOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(outer, "the source is not a view");
    AffineMap map = simplifyInRange(inner.getMap().compose(outer.getMap()),
                                    withoutTime(outer.getType()).getShape());
    auto loc = rewriter.getFusedLoc({inner.getLoc(), outer.getLoc()});
    auto view = ViewOp::create(rewriter, loc, outer.getType(), inner.getSource(), map);
    rewriter.replaceOp(outer, view);
    return success();
  }
};

/// Quotients and remainders that the extents make trivial go, so that equal views are equal ops.
struct SimplifyIndices : OpRewritePattern<ViewOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ViewOp op, PatternRewriter &rewriter) const override {
    AffineMap map = simplifyInRange(op.getMap(), withoutTime(op.getType()).getShape());
    if (map == op.getMap())
      return rewriter.notifyMatchFailure(op, "the map is as simple as the extents allow");
    rewriter.modifyOpInPlace(op, [&] { op.setMap(map); });
    return success();
  }
};

} // namespace

void ViewOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<ComposeViews, SimplifyIndices>(context);
}

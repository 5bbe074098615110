//===- IndexRange.cpp - What values a view's index can take ---------------===//

#include "dialect/IndexRange.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace mlir;

namespace rondo {

static std::optional<IndexRange> rangeOfSum(IndexRange a, IndexRange b) {
  IndexRange sum;
  if (llvm::AddOverflow(a.low, b.low, sum.low) || llvm::AddOverflow(a.high, b.high, sum.high))
    return std::nullopt;
  return sum;
}

static std::optional<IndexRange> rangeOfProduct(IndexRange a, int64_t factor) {
  int64_t x, y;
  if (llvm::MulOverflow(a.low, factor, x) || llvm::MulOverflow(a.high, factor, y))
    return std::nullopt;
  return IndexRange{std::min(x, y), std::max(x, y)};
}

std::optional<IndexRange> rangeOf(AffineExpr expr, ArrayRef<int64_t> extents) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return IndexRange{constant.getValue(), constant.getValue()};
  if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
    int64_t extent = extents[dim.getPosition()];
    return extent >= 1 ? std::optional(IndexRange{0, extent - 1}) : std::nullopt;
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return std::nullopt;
  auto lhs = rangeOf(binary.getLHS(), extents), rhs = rangeOf(binary.getRHS(), extents);
  if (!lhs || !rhs)
    return std::nullopt;
  if (expr.getKind() == AffineExprKind::Add)
    return rangeOfSum(*lhs, *rhs);
  if (rhs->low != rhs->high)
    return std::nullopt;
  int64_t constant = rhs->low;
  if (expr.getKind() == AffineExprKind::Mul)
    return rangeOfProduct(*lhs, constant);
  if (constant < 1)
    return std::nullopt;
  switch (expr.getKind()) {
  case AffineExprKind::FloorDiv:
    return IndexRange{llvm::divideFloorSigned(lhs->low, constant),
                      llvm::divideFloorSigned(lhs->high, constant)};
  case AffineExprKind::CeilDiv:
    return IndexRange{llvm::divideCeilSigned(lhs->low, constant),
                      llvm::divideCeilSigned(lhs->high, constant)};
  case AffineExprKind::Mod:
    if (lhs->low >= 0 && lhs->high < constant)
      return lhs;
    return IndexRange{0, constant - 1};
  default:
    return std::nullopt;
  }
}

static AffineExpr simplifyExpr(AffineExpr expr, ArrayRef<int64_t> extents) {
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return expr;
  AffineExpr lhs = simplifyExpr(binary.getLHS(), extents),
             rhs = simplifyExpr(binary.getRHS(), extents);
  AffineExpr rebuilt = getAffineBinaryOpExpr(expr.getKind(), lhs, rhs);
  // What MLIR made of the rebuilt expression may hold smaller quotients: (h * 4 + k) floordiv 4 ->
  // h + k floordiv 4.
  if (auto changed = dyn_cast<AffineBinaryOpExpr>(rebuilt); changed && changed != expr)
    return simplifyExpr(rebuilt, extents);
  auto range = rangeOf(lhs, extents);
  auto constant = dyn_cast<AffineConstantExpr>(rhs);
  if (!range || !constant || constant.getValue() < 1 || !isa<AffineBinaryOpExpr>(rebuilt))
    return rebuilt;
  int64_t divisor = constant.getValue();
  if (rebuilt.getKind() == AffineExprKind::FloorDiv) {
    int64_t low = llvm::divideFloorSigned(range->low, divisor);
    if (low == llvm::divideFloorSigned(range->high, divisor))
      return getAffineConstantExpr(low, expr.getContext());
  }
  if (rebuilt.getKind() == AffineExprKind::Mod && range->low >= 0 && range->high < divisor)
    return lhs;
  return rebuilt;
}

AffineMap simplifyInRange(AffineMap map, ArrayRef<int64_t> extents) {
  SmallVector<AffineExpr> results;
  for (AffineExpr expr : map.getResults())
    results.push_back(
        simplifyExpr(simplifyAffineExpr(expr, map.getNumDims(), map.getNumSymbols()), extents));
  return AffineMap::get(map.getNumDims(), map.getNumSymbols(), results, map.getContext());
}

static bool mapsEachInside(AffineMap map, ArrayRef<int64_t> extents, ArrayRef<int64_t> bounds) {
  SmallVector<int64_t> index(extents.size(), 0);
  while (true) {
    for (auto [value, bound] : llvm::zip_equal(map.compose(index), bounds))
      if (value < 0 || value >= bound)
        return false;
    size_t axis = extents.size();
    while (axis > 0 && ++index[axis - 1] == extents[axis - 1])
      index[--axis] = 0;
    if (axis == 0)
      return true;
  }
}

bool mapsInside(AffineMap map, ArrayRef<int64_t> extents, ArrayRef<int64_t> bounds) {
  bool sufficient = true;
  for (auto [expr, bound] : llvm::zip_equal(map.getResults(), bounds)) {
    auto range = rangeOf(expr, extents);
    sufficient &= range && range->low >= 0 && range->high < bound;
  }
  return sufficient || mapsEachInside(map, extents, bounds);
}

} // namespace rondo

//===- IndexRangeTest.cpp - Bounds and simplification, by random maps -----===//

#include "dialect/IndexRange.h"

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/MLIRContext.h"
#include <gtest/gtest.h>

#include <random>

using namespace mlir;
using namespace rondo;

namespace {

AffineExpr randomExpr(MLIRContext &context, std::mt19937 &random, int depth) {
  auto constant = [&](int low, int high) {
    return getAffineConstantExpr(std::uniform_int_distribution(low, high)(random), &context);
  };
  int kind = std::uniform_int_distribution(0, depth > 0 ? 5 : 1)(random);
  if (kind == 0)
    return constant(-3, 9);
  if (kind == 1)
    return getAffineDimExpr(std::uniform_int_distribution(0, 1)(random), &context);
  AffineExpr lhs = randomExpr(context, random, depth - 1);
  if (kind == 2)
    return lhs + randomExpr(context, random, depth - 1);
  if (kind == 3)
    return lhs * constant(-2, 4);
  return kind == 4 ? lhs.floorDiv(constant(1, 5)) : lhs % constant(1, 5);
}

TEST(IndexRangeTest, BoundsHoldAndSimplifiedMapsAreEqualOnEveryIndex) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  std::mt19937 random(7);
  for (int trial = 0; trial < 2000; ++trial) {
    AffineExpr expr = randomExpr(context, random, 4);
    AffineMap map = AffineMap::get(2, 0, expr);
    int64_t extents[] = {1 + trial % 4, 1 + trial % 7};
    AffineMap simple = simplifyInRange(map, extents);
    auto range = rangeOf(expr, extents);
    ASSERT_TRUE(range);
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (int64_t i = 0; i < extents[0]; ++i)
      for (int64_t j = 0; j < extents[1]; ++j) {
        int64_t value = map.compose({i, j})[0];
        ASSERT_EQ(simple.compose({i, j})[0], value) << "trial " << trial;
        ASSERT_LE(range->low, value) << "trial " << trial;
        ASSERT_GE(range->high, value) << "trial " << trial;
        low = std::min(low, value), high = std::max(high, value);
      }
    EXPECT_EQ(mapsInside(map, extents, {high + 1}), low >= 0);
    if (high >= 0)
      EXPECT_FALSE(mapsInside(map, extents, {high}));
  }
}

TEST(IndexRangeTest, ASplitAfterItsMergeIsTheIdentity) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  AffineExpr h = getAffineDimExpr(0, &context), k = getAffineDimExpr(1, &context);
  AffineExpr merged = h * 4 + k;
  AffineMap map = AffineMap::get(2, 0, {merged.floorDiv(4), merged % 4}, &context);
  EXPECT_TRUE(simplifyInRange(map, {3, 4}).isIdentity());
  // With five values of k the quotient is not h.
  EXPECT_FALSE(simplifyInRange(map, {3, 5}).isIdentity());
}

TEST(IndexRangeTest, AnOverflowHasNoBounds) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  AffineExpr big = getAffineDimExpr(0, &context) * (int64_t(1) << 62);
  EXPECT_FALSE(rangeOf(big, {8}));
}

} // namespace

//===- SolveLoops.cpp - The loops of a triangular system ------------------===//
//
// x[r] = source[r] + sum over s < r of matrix[r, s] x[s], for all sources side by side in lanes. Of
// few rows all are registers: what is known of a row goes into all below it, so that these do not
// wait for each other, and the matrix is read as broadcasts. Of more rows, each is summed from what
// the rows above it left in memory. Sound because both add the products of a row in the order of
// its columns.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Nest.h"

#include "dialect/Axes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

using IndexRanges = llvm::DenseMap<StringAttr, IndexRange>;

LogicalResult Nest::emitSolveInto(SolveOp op, const Buffer &buffer, const Env &env,
                                  const IndexRanges &ranges) {
  Value value = op.getResult();
  auto row = b.getStringAttr(op.getRows()), column = b.getStringAttr(op.getColumns());
  int64_t rows = extentOf(value.getType(), op.getRows());
  SmallVector<StringAttr> others;
  for (StringAttr axis : buffer.axes)
    if (axis != row && !env.contains(axis))
      others.push_back(axis);
  StringAttr lanes;
  if (!others.empty())
    lanes = chooseLanes(others, op, value, buffer, env, ranges);
  // A register tile: as many accumulators as a product's.
  constexpr int64_t mostUnrolled = 16;
  bool unrolled = rows <= mostUnrolled;
  int64_t vectors = !unrolled ? 4 : std::max<int64_t>(1, 2 * target.productRows / rows);

  auto evaluateAt = [&](Value of, Env at, AffineExpr atRow, AffineExpr atColumn) {
    at.set(row, atRow);
    if (atColumn)
      at.set(column, atColumn);
    return evaluate(of, at);
  };
  /// `sum` + matrix[r, s] `x`
  auto addProduct = [&](const Env &at, AffineExpr r, AffineExpr s, Value x,
                        Value sum) -> FailureOr<Value> {
    FailureOr<Value> factor = evaluateAt(op.getMatrix(), at, r, s);
    if (failed(factor))
      return factor;
    return vm.fma(isa<VectorType>(x.getType()) ? broadcast(*factor) : *factor, x, sum);
  };
  auto sourceAt = [&](const Env &at, AffineExpr r) -> FailureOr<Value> {
    FailureOr<Value> source = evaluateAt(op.getSource(), at, r, {});
    return failed(source) || !lanes ? source : FailureOr<Value>(broadcast(*source));
  };
  auto storeAt = [&](Value x, Env at, AffineExpr r) {
    at.set(row, r);
    store(x, buffer, at);
  };

  auto inRegisters = [&](ArrayRef<Env> tile) -> LogicalResult {
    SmallVector<AffineExpr> index;
    for (int64_t r = 0; r < rows; ++r)
      index.push_back(openDim(i64(r), rows));
    SmallVector<SmallVector<Value>> x(rows);
    for (int64_t r = 0; r < rows; ++r)
      for (const Env &at : tile) {
        FailureOr<Value> source = sourceAt(at, index[r]);
        if (failed(source))
          return failure();
        x[r].push_back(*source);
      }
    for (int64_t s = 0; s < rows; ++s)
      for (int64_t r = s + 1; r < rows; ++r)
        for (auto [i, at] : llvm::enumerate(tile)) {
          FailureOr<Value> sum = addProduct(at, index[r], index[s], x[s][i], x[r][i]);
          if (failed(sum))
            return failure();
          x[r][i] = *sum;
        }
    for (int64_t r = 0; r < rows; ++r)
      for (auto [i, at] : llvm::enumerate(tile))
        storeAt(x[r][i], at, index[r]);
    return success();
  };
  auto inMemory = [&](ArrayRef<Env> tile) -> LogicalResult {
    LogicalResult result = success();
    auto fail = [&](SmallVector<Value> values) {
      result = failure();
      return values;
    };
    forLoop(i64(0), i64(rows), 1, [&](Value r) {
      AffineExpr atRow = openDim(r, rows);
      SmallVector<Value> sums;
      for (const Env &at : tile) {
        FailureOr<Value> source = sourceAt(at, atRow);
        if (failed(source)) {
          result = failure();
          return;
        }
        sums.push_back(*source);
      }
      sums = forLoop(i64(0), r, 1, sums, [&](Value s, ValueRange carried) {
        AffineExpr atColumn = openDim(s, rows);
        SmallVector<Value> next;
        for (auto [sum, at] : llvm::zip(carried, tile)) {
          Env above = at;
          above.set(row, atColumn);
          FailureOr<Value> more = addProduct(at, atRow, atColumn, load(buffer, above), sum);
          if (failed(more))
            return fail(carried);
          next.push_back(*more);
        }
        return next;
      });
      for (auto [sum, at] : llvm::zip(sums, tile))
        storeAt(sum, at, atRow);
    });
    return result;
  };

  std::function<LogicalResult(unsigned, Env)> level = [&](unsigned depth,
                                                          Env here) -> LogicalResult {
    while (depth < others.size() && others[depth] == lanes)
      ++depth;
    if (depth < others.size())
      return overAxis(others[depth], value, here, ranges,
                      [&](const Env &inner) { return level(depth + 1, inner); });
    auto solve = [&](ArrayRef<Env> tile) { return unrolled ? inRegisters(tile) : inMemory(tile); };
    if (!lanes)
      return solve(here);
    int64_t extent = extentOf(value.getType(), lanes.getValue());
    return overLanes(rangeOf(lanes, value, ranges), vectors, [&](Value base, int64_t count, bool) {
      SmallVector<Env> tile;
      for (int64_t j = 0; j < count; ++j) {
        tile.push_back(here);
        tile.back().set(lanes, openDim(after(base, j * target.lanes), extent, /*lanes=*/true));
      }
      return solve(tile);
    });
  };
  return level(0, env);
}

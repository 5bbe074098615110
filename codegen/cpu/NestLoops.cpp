//===- NestLoops.cpp - The loops that fill a buffer -----------------------===//
//
// The loop half of Nest.h. Elementwise values: plain loops, the cheapest axis in lanes. Reductions
// and contractions: a register tile of rows times vectors of accumulators around the reduction's
// loops, lanes along a result axis where one is consecutive in memory, else along the reduced axis
// with a horizontal sum at the end. The order of additions depends on shapes only, never on
// threads.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Nest.h"

#include "codegen/cpu/Triangle.h"
#include "dialect/Axes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

using IndexRanges = llvm::DenseMap<StringAttr, IndexRange>;

/// Values computed inside are forgotten at the end: they do not dominate what follows.
class Nest::Scope {
public:
  explicit Scope(Nest &nest) : nest(nest) { nest.memos.emplace_back(); }
  ~Scope() { nest.memos.pop_back(); }

private:
  Nest &nest;
};

//===----------------------------------------------------------------------===//
// Plain loops
//===----------------------------------------------------------------------===//

SmallVector<Value> Nest::forLoop(Value lo, Value hi, int64_t step, ValueRange init,
                                 llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, loc, lo, hi, i64(step), init);
  OpBuilder::InsertionGuard guard(b);
  Block *block = loop.getBody();
  if (init.empty())
    b.setInsertionPoint(block->getTerminator());
  else
    b.setInsertionPointToEnd(block);
  Scope scope(*this);
  SmallVector<Value> results = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!init.empty())
    scf::YieldOp::create(b, loc, results);
  return llvm::to_vector(llvm::map_range(loop.getResults(), [](OpResult r) { return Value(r); }));
}

void Nest::forLoop(Value lo, Value hi, int64_t step, llvm::function_ref<void(Value)> body) {
  forLoop(lo, hi, step, ValueRange{}, [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>{};
  });
}

void Nest::ifThen(Value condition, llvm::function_ref<void()> body) {
  auto branch = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  Scope scope(*this);
  body();
}

Value Nest::indexAt(const IndexRange &range, Value i) {
  if (!range.list)
    return i;
  Type narrow = b.getI32Type();
  Value index = LLVM::LoadOp::create(b, loc, narrow, addressOf(range.list, i, narrow));
  return arith::ExtSIOp::create(b, loc, b.getI64Type(), index);
}

Value Nest::after(Value base, int64_t distance) {
  if (distance == 0)
    return base;
  if (auto constant = base.getDefiningOp<arith::ConstantIntOp>())
    return i64(constant.value() + distance);
  return arith::AddIOp::create(b, loc, base, i64(distance));
}

IndexRange Nest::rangeOf(StringAttr axis, Value value, const IndexRanges &ranges) {
  if (auto it = ranges.find(axis); it != ranges.end())
    return it->second;
  return fullRange(extentOf(value.getType(), axis.getValue()));
}

LogicalResult Nest::overAxis(StringAttr axis, Value value, const Env &env,
                             const IndexRanges &ranges,
                             llvm::function_ref<LogicalResult(const Env &)> body) {
  IndexRange range = rangeOf(axis, value, ranges);
  LogicalResult result = success();
  forLoop(range.lo, range.hi, 1, [&](Value i) {
    Env inner = env;
    inner.set(axis, openDim(indexAt(range, i), extentOf(value.getType(), axis.getValue())));
    result = body(inner);
  });
  return result;
}

LogicalResult Nest::overTiles(const IndexRange &range, int64_t maxCount, TileBody body) {
  LogicalResult result = success();
  auto run = [&](Value base, int64_t count) {
    Scope scope(*this);
    if (succeeded(result))
      result = body(base, count);
  };
  if (range.extent) {
    int64_t whole = *range.extent / maxCount * maxCount, rest = *range.extent - whole;
    Value end = after(range.lo, whole);
    if (whole == maxCount)
      run(range.lo, maxCount);
    else if (whole)
      forLoop(range.lo, end, maxCount, [&](Value i) { run(i, maxCount); });
    if (rest)
      run(end, rest);
    return result;
  }
  // A ragged rest of unknown size is cut into powers of two, so that its largest part still shares
  // loads.
  Value left = arith::SubIOp::create(b, loc, range.hi, range.lo);
  Value whole = arith::MulIOp::create(b, loc, arith::DivUIOp::create(b, loc, left, i64(maxCount)),
                                      i64(maxCount));
  Value base = arith::AddIOp::create(b, loc, range.lo, whole);
  forLoop(range.lo, base, maxCount, [&](Value i) { run(i, maxCount); });
  int64_t part = 1;
  while (part * 2 < maxCount)
    part *= 2;
  for (; part >= 1 && maxCount > 1; part /= 2) {
    Value rest = arith::SubIOp::create(b, loc, range.hi, base);
    Value fits = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, rest, i64(part));
    ifThen(fits, [&] { run(base, part); });
    Value next = arith::AddIOp::create(b, loc, base, i64(part));
    base = arith::SelectOp::create(b, loc, fits, next, base);
  }
  return result;
}

LogicalResult Nest::overLanes(const IndexRange &range, int64_t maxCount, LanesBody body) {
  LogicalResult result = success();
  const int64_t lanes = target.lanes;
  auto run = [&](Value base, int64_t count, bool masked) {
    Scope scope(*this);
    if (masked)
      mask = maskBelow(base, range.hi);
    maskedMayCompute = masked;
    if (succeeded(result))
      result = body(base, count, masked);
    mask = Value();
    maskedMayCompute = false;
  };
  if (range.extent) {
    int64_t extent = *range.extent, step = lanes * maxCount;
    int64_t whole = extent / step * step, singles = (extent - whole) / lanes;
    if (whole == step)
      run(range.lo, maxCount, false);
    else if (whole)
      forLoop(range.lo, after(range.lo, whole), step, [&](Value i) { run(i, maxCount, false); });
    if (singles)
      run(after(range.lo, whole), singles, false);
    if (extent % lanes)
      run(after(range.lo, extent / lanes * lanes), 1, true);
    return result;
  }
  Value left = arith::SubIOp::create(b, loc, range.hi, range.lo);
  auto roundDown = [&](int64_t step) -> Value {
    Value count = arith::DivUIOp::create(b, loc, left, i64(step));
    return arith::AddIOp::create(b, loc, range.lo, arith::MulIOp::create(b, loc, count, i64(step)));
  };
  Value end = range.lo;
  if (maxCount > 1) {
    end = roundDown(lanes * maxCount);
    forLoop(range.lo, end, lanes * maxCount, [&](Value i) { run(i, maxCount, false); });
  }
  Value lastWhole = roundDown(lanes);
  forLoop(end, lastWhole, lanes, [&](Value i) { run(i, 1, false); });
  ifThen(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, lastWhole, range.hi),
         [&] { run(lastWhole, 1, true); });
  return result;
}

//===----------------------------------------------------------------------===//
// Which axis runs in lanes
//===----------------------------------------------------------------------===//

StringAttr Nest::chooseLanes(ArrayRef<StringAttr> candidates, Operation *reduction, Value value,
                             const Buffer &buffer, const Env &env, const IndexRanges &ranges) {
  StringAttr best;
  double bestCost = std::numeric_limits<double>::infinity();
  for (StringAttr axis : candidates) {
    // A trial with every axis open, this one in lanes; only expressions are made, no code.
    size_t opened = dims.size();
    Env trial = env;
    auto open = [&](Type type) {
      for (StringAttr a : axesOf(type))
        if (!trial.contains(a))
          trial.set(a, openDim(Value(), extentOf(type, a.getValue()), a == axis));
    };
    SmallVector<AffineExpr> loads;
    open(value.getType());
    if (reduction) {
      for (Value operand : reduction->getOperands())
        open(operand.getType());
      for (Value operand : reduction->getOperands())
        collectLoads(operand, trial, loads);
    } else {
      collectLoads(value, trial, loads);
    }
    auto costOf = [&](AffineExpr expr, double vectorCost) {
      std::optional<int64_t> stride = laneStride(expr);
      return stride == 0 ? 0.5 : stride == 1 ? vectorCost : double(target.lanes);
    };
    double cost = 0;
    for (AffineExpr load : loads)
      cost += costOf(load, 1);
    bool reduced =
        !axesOf(value.getType()).empty() && !llvm::is_contained(axesOf(value.getType()), axis);
    reduced |= axesOf(value.getType()).empty();
    // A horizontal sum costs a few shuffles for each result, spread over the reduced extent.
    if (!reduction || !reduced)
      cost +=
          reduction ? 0.1 * costOf(offsetOf(buffer, trial), 1) : costOf(offsetOf(buffer, trial), 1);
    int64_t extent = reduction && reduced
                         ? extentOf(reduction->getOperand(0).getType(), axis.getValue())
                         : extentOf(value.getType(), axis.getValue());
    if (auto it = ranges.find(axis); it != ranges.end() && it->second.extent)
      extent = *it->second.extent;
    if (extent > 0) {
      double vectors = double((extent + target.lanes - 1) / target.lanes);
      cost *= vectors * target.lanes / double(extent);
      if (reduction && reduced)
        cost += 8.0 / vectors;
    }
    dims.truncate(opened);
    if (cost < bestCost) {
      bestCost = cost;
      best = axis;
    }
  }
  return best;
}

//===----------------------------------------------------------------------===//
// Elementwise values
//===----------------------------------------------------------------------===//

LogicalResult Nest::emitInto(Value value, const Buffer &buffer, const Env &env,
                             const IndexRanges &ranges) {
  Scope scope(*this);
  Operation *op = bufferOf(value) ? nullptr : value.getDefiningOp();
  if (auto it = fused.find(value); op && it != fused.end() && !bufferOf(it->second->getResult(0)))
    return emitReductionInto(it->second, value, buffer, env, ranges);
  if (isa_and_nonnull<ReduceOp, ContractOp>(op))
    return emitReductionInto(op, value, buffer, env, ranges);
  if (isa_and_nonnull<CumsumOp, PropagateOp>(op))
    return emitRunningInto(value, buffer, env, ranges);
  if (auto solve = dyn_cast_or_null<SolveOp>(op))
    return emitSolveInto(solve, buffer, env, ranges);
  if (auto concat = dyn_cast_or_null<ConcatOp>(op))
    return emitConcatInto(concat, buffer, env, ranges);
  return emitMapInto(value, buffer, env, ranges);
}

LogicalResult Nest::emitMapInto(Value value, const Buffer &buffer, const Env &env,
                                const IndexRanges &ranges) {
  SmallVector<StringAttr> open;
  for (StringAttr axis : buffer.axes)
    if (!env.contains(axis))
      open.push_back(axis);
  if (open.empty()) {
    FailureOr<Value> result = evaluate(value, env);
    if (failed(result))
      return failure();
    store(*result, buffer, env);
    return success();
  }
  StringAttr lanes = chooseLanes(open, nullptr, value, buffer, env, ranges);
  int64_t extent = extentOf(value.getType(), lanes.getValue());
  IndexRange along = rangeOf(lanes, value, ranges);
  // Lanes that are one vector are opened first: what depends on them alone, as a gather of what
  // lies apart, is computed once.
  bool lanesFirst = along.extent && *along.extent <= target.lanes;
  auto inLanes = [&](const Env &here, llvm::function_ref<LogicalResult(const Env &)> body) {
    return overLanes(along, 1, [&](Value base, int64_t, bool) -> LogicalResult {
      Env inner = here;
      inner.set(lanes, openDim(base, extent, /*lanes=*/true));
      return body(inner);
    });
  };
  auto leaf = [&](const Env &here) -> LogicalResult {
    FailureOr<Value> result = evaluate(value, here);
    if (failed(result))
      return failure();
    store(*result, buffer, here);
    return success();
  };
  std::function<LogicalResult(unsigned, Env)> level = [&](unsigned depth,
                                                          Env here) -> LogicalResult {
    if (failed(hoist(value, here)))
      return failure();
    while (depth < open.size() && open[depth] == lanes)
      ++depth;
    if (depth == open.size())
      return lanesFirst ? leaf(here) : inLanes(here, leaf);
    return overAxis(open[depth], value, here, ranges,
                    [&](const Env &inner) { return level(depth + 1, inner); });
  };
  return lanesFirst ? inLanes(env, [&](const Env &here) { return level(0, here); }) : level(0, env);
}

//===----------------------------------------------------------------------===//
// Reductions and contractions
//===----------------------------------------------------------------------===//

namespace {
/// How a reduction starts and combines.
struct Combiner {
  ReduceKind kind;
  double identity() const {
    double inf = std::numeric_limits<double>::infinity();
    return kind == ReduceKind::Sum ? 0 : kind == ReduceKind::Max ? -inf : inf;
  }
  vector::CombiningKind horizontal() const {
    return kind == ReduceKind::Sum   ? vector::CombiningKind::ADD
           : kind == ReduceKind::Max ? vector::CombiningKind::MAXNUMF
                                     : vector::CombiningKind::MINNUMF;
  }
  Value apply(VectorMath &vm, Value sum, Value x) const {
    return kind == ReduceKind::Sum   ? vm.add(sum, x)
           : kind == ReduceKind::Max ? vm.max(x, sum)
                                     : vm.min(x, sum);
  }
};
} // namespace

FailureOr<Value> Nest::computeUnrolled(Operation *op, const Env &env) {
  auto contract = dyn_cast<ContractOp>(op);
  auto reduce = dyn_cast<ReduceOp>(op);
  Combiner combiner{reduce ? reduce.getKind() : ReduceKind::Sum};
  SmallVector<Env> terms{env};
  for (Attribute attr : contract ? contract.getAxes() : reduce.getAxes()) {
    auto axis = cast<StringAttr>(attr);
    int64_t extent = -1;
    for (Value operand : op->getOperands())
      if (llvm::is_contained(axesOf(operand.getType()), axis))
        extent = extentOf(operand.getType(), axis.getValue());
    int64_t lo = axis == part.axis ? part.lo : 0, hi = axis == part.axis ? part.hi : extent;
    constexpr int64_t most = 256;
    if (extent < 1 || (hi - lo) * int64_t(terms.size()) > most)
      return op->emitOpError("has no buffer and is too long to be unrolled");
    SmallVector<Env> next;
    for (const Env &term : terms)
      for (int64_t i = lo; i < hi; ++i) {
        next.push_back(term);
        next.back().set(axis, b.getAffineConstantExpr(i));
      }
    terms = std::move(next);
  }
  // Two sums side by side: one chain of additions would wait for itself.
  SmallVector<Value> sums;
  for (auto [i, term] : llvm::enumerate(terms)) {
    FailureOr<Value> x = evaluate(op->getOperand(0), term);
    FailureOr<Value> y = contract ? evaluate(op->getOperand(1), term) : x;
    if (failed(x) || failed(y))
      return failure();
    // All terms are vectors, or all are not: they differ in constants alone.
    if (isa<VectorType>(x->getType()) || isa<VectorType>(y->getType())) {
      x = broadcast(*x);
      y = broadcast(*y);
    }
    if (sums.size() < 2)
      sums.push_back(contract ? vm.mul(*x, *y) : *x);
    else
      sums[i % 2] = contract ? vm.fma(*x, *y, sums[i % 2]) : combiner.apply(vm, sums[i % 2], *x);
  }
  return sums.size() == 1 ? sums[0] : combiner.apply(vm, sums[0], sums[1]);
}

bool Nest::endsAlong(StringAttr axis, Value value, const Buffer &buffer, const Env &env) {
  size_t opened = dims.size();
  Env trial = env;
  for (StringAttr a : axesOf(value.getType()))
    if (!trial.contains(a))
      trial.set(a, openDim(Value(), extentOf(value.getType(), a.getValue()), a == axis));
  bool ends = laneStride(offsetOf(buffer, trial)) == 1;
  dims.truncate(opened);
  return ends;
}

LogicalResult Nest::finish(Value sum, Operation *reduction, Value value, const Buffer &buffer,
                           const Env &env) {
  Value result = reduction->getResult(0);
  Env named = env;
  if (auto ending = endings.find(reduction); value == result && ending != endings.end()) {
    value = ending->second;
    for (auto [own, other] : llvm::zip_equal(axesOf(result.getType()), axesOf(value.getType())))
      named.set(other, env.lookup(own));
  }
  if (value != result) {
    know(result, env, sum);
    FailureOr<Value> rest = evaluate(value, named);
    if (failed(rest))
      return failure();
    sum = *rest;
  }
  store(sum, buffer, env);
  return success();
}

void Nest::withLanes(Value lanes, llvm::function_ref<void()> body) {
  std::swap(mask, lanes);
  body();
  std::swap(mask, lanes);
}

LogicalResult Nest::emitReductionInto(Operation *op, Value value, const Buffer &buffer,
                                      const Env &env, const IndexRanges &ranges) {
  auto contract = dyn_cast<ContractOp>(op);
  auto reduce = dyn_cast<ReduceOp>(op);
  Combiner combiner{reduce ? reduce.getKind() : ReduceKind::Sum};
  SmallVector<StringAttr> reduced, open;
  for (Attribute axis : contract ? contract.getAxes() : reduce.getAxes())
    reduced.push_back(cast<StringAttr>(axis));
  for (StringAttr axis : buffer.axes)
    if (!env.contains(axis))
      open.push_back(axis);
  auto operandWith = [&](StringAttr axis) {
    for (Value operand : op->getOperands())
      if (llvm::is_contained(axesOf(operand.getType()), axis))
        return operand;
    return op->getOperand(0);
  };

  // Neighbours in a list are no neighbours in memory.
  SmallVector<StringAttr> candidates = llvm::filter_to_vector(open, [&](StringAttr axis) {
    auto it = ranges.find(axis);
    return it == ranges.end() || !it->second.list;
  });
  candidates.append(reduced);
  StringAttr lanes = chooseLanes(candidates, op, value, buffer, env, ranges);
  bool lanesReduced = llvm::is_contained(reduced, lanes);

  // The tile axis: one along which some operand is shared. Without one, more vectors keep the
  // pipeline full.
  StringAttr tile;
  for (StringAttr axis : llvm::reverse(open))
    if (axis != lanes && !tile &&
        llvm::any_of(op->getOperands(),
                     [&](Value operand) {
                       auto axes = axesOf(operand.getType());
                       return !llvm::is_contained(axes, axis);
                     }) &&
        (ranges.contains(axis) || extentOf(value.getType(), axis.getValue()) != 1))
      tile = axis;
  // Sums across lanes of several vectors end in one. Eight: more, with the numbers of the shuffles,
  // do not stay in registers.
  bool merges = lanesReduced && tile && combiner.kind == ReduceKind::Sum &&
                !(ranges.contains(tile) && ranges.find(tile)->second.list) &&
                endsAlong(tile, value, buffer, env);
  int64_t rows = !tile ? 1 : merges ? 8 : lanesReduced ? 4 : target.productRows;

  // Of a factor that is a triangle, only what is not zero: its axes are walked in constants, its
  // rows are a tile's.
  constexpr int64_t mostUnrolled = 16;
  auto isShort = [&](StringAttr axis, Value of) {
    IndexRange range = rangeOf(axis, of, ranges);
    return range.extent && *range.extent <= mostUnrolled && getConstantIntValue(range.lo) == 0;
  };
  std::optional<Triangle> triangle;
  if (contract && tile && !lanesReduced && reduced.size() == 1)
    for (Value operand : op->getOperands())
      if (auto of = triangleOf(operand); of && of->row == tile && of->column == reduced[0] &&
                                         isShort(tile, value) && isShort(reduced[0], operand))
        triangle = of;
  auto rowOf = [&](const Env &at) {
    return *getConstantIntValue(dims[cast<AffineDimExpr>(at.lookup(tile)).getPosition()].base);
  };
  int64_t vectors = lanesReduced ? 1 : tile ? 2 : 4;

  auto accumulate = [&](Value sum, const Env &at) -> FailureOr<Value> {
    auto shape = [&](Value v) { return isa<VectorType>(sum.getType()) ? broadcast(v) : v; };
    // Lanes past the end must not reach a horizontal sum.
    auto guard = [&](Value x) -> Value {
      if (!mask || !lanesReduced)
        return x;
      return arith::SelectOp::create(b, loc, mask, x, vm.splat(combiner.identity(), x));
    };
    FailureOr<Value> x = evaluate(op->getOperand(0), at);
    if (failed(x))
      return x;
    if (!contract)
      return combiner.apply(vm, sum, guard(shape(*x)));
    FailureOr<Value> y = evaluate(op->getOperand(1), at);
    if (failed(y))
      return y;
    // A masked load gives zeros, and so the product; only computed operands need the guard.
    bool loaded = bufferOf(op->getOperand(0)) || bufferOf(op->getOperand(1));
    return vm.fma(loaded ? shape(*x) : guard(shape(*x)), shape(*y), sum);
  };

  // Vectors along the reduced axis that runs in lanes.
  auto vectorsReduced = [&]() -> int64_t {
    if (!lanesReduced)
      return 1;
    int64_t extent = extentOf(operandWith(lanes).getType(), lanes.getValue());
    return std::max<int64_t>(1, (extent + target.lanes - 1) / target.lanes);
  };

  // The loops over the reduced axes around `leaf`, which updates every accumulator.
  using Sums = SmallVector<Value>;
  LogicalResult result = success();
  std::function<Sums(unsigned, Sums, SmallVector<Env>)> overReduced =
      [&](unsigned depth, Sums sums, SmallVector<Env> at) -> Sums {
    while (depth < reduced.size() && reduced[depth] == lanes)
      ++depth;
    if (depth < reduced.size()) {
      Value operand = operandWith(reduced[depth]);
      IndexRange range = rangeOf(reduced[depth], operand, ranges);
      auto step = [&](Value i, ValueRange carried) {
        AffineExpr dim = openDim(i, extentOf(operand.getType(), reduced[depth].getValue()));
        SmallVector<Env> inner(at);
        for (Env &e : inner)
          e.set(reduced[depth], dim);
        return overReduced(depth + 1, Sums(carried), inner);
      };
      bool innermost =
          depth + 1 == reduced.size() || (depth + 2 == reduced.size() && reduced.back() == lanes);
      if (triangle) {
        if (beside.ask)
          beside.ask(int64_t(at.size()) * *range.extent / 2);
        for (int64_t column = 0; column < *range.extent; ++column) {
          AffineExpr dim = openDim(i64(column), *range.extent);
          for (auto [sum, e] : llvm::zip(sums, at)) {
            if (triangle->columnsOf(rowOf(e), column, 1) == 0)
              continue;
            Env inner = e;
            inner.set(reduced[depth], dim);
            FailureOr<Value> next = accumulate(sum, inner);
            if (failed(next))
              result = failure();
            else
              sum = *next;
          }
        }
        return sums;
      }
      if (!beside.ask || !innermost || !range.extent)
        return forLoop(range.lo, range.hi, 1, sums, step);
      // The share of the extent whose work is nearest to `every`.
      int64_t work = int64_t(at.size()) * vectorsReduced(), share = 1;
      for (int64_t part = 2; part <= *range.extent; ++part)
        if (*range.extent % part == 0 && share * part * work * work < beside.every * beside.every)
          share = part;
      if (share == *range.extent) {
        beside.ask(work * *range.extent);
        return forLoop(range.lo, range.hi, 1, sums, step);
      }
      return forLoop(range.lo, range.hi, share, sums, [&](Value start, ValueRange carried) {
        beside.ask(work * share);
        return forLoop(start, after(start, share), 1, carried, step);
      });
    }
    auto leaf = [&](Sums current, ArrayRef<Env> envs) {
      for (auto [sum, e] : llvm::zip(current, envs)) {
        FailureOr<Value> next = accumulate(sum, e);
        if (failed(next)) {
          result = failure();
          return current;
        }
        sum = *next;
      }
      return current;
    };
    if (!lanesReduced)
      return leaf(sums, at);
    Value operand = operandWith(lanes);
    IndexRange range = rangeOf(lanes, operand, ranges);
    int64_t extent = extentOf(operand.getType(), lanes.getValue());
    auto step = [&](Value i, ValueRange carried, bool masked) {
      AffineExpr dim = openDim(i, extent, /*lanes=*/true);
      SmallVector<Env> inner(at);
      for (Env &e : inner)
        e.set(lanes, dim);
      if (masked)
        mask = maskBelow(i, range.hi);
      Sums next = leaf(Sums(carried), inner);
      mask = Value();
      return next;
    };
    Value left = arith::SubIOp::create(b, loc, range.hi, range.lo);
    Value whole = arith::MulIOp::create(
        b, loc, arith::DivUIOp::create(b, loc, left, i64(target.lanes)), i64(target.lanes));
    Value end = range.extent ? after(range.lo, *range.extent / target.lanes * target.lanes)
                             : Value(arith::AddIOp::create(b, loc, range.lo, whole));
    sums = forLoop(range.lo, end, target.lanes, sums,
                   [&](Value i, ValueRange carried) { return step(i, carried, false); });
    bool ragged = !range.extent || *range.extent % target.lanes;
    if (ragged)
      sums = forLoop(end, range.hi, target.lanes, sums,
                     [&](Value i, ValueRange carried) { return step(i, carried, true); });
    return sums;
  };

  // The value where its sums are `final`.
  auto end = [&](Value sum, const Env &e) {
    if (failed(finish(sum, op, value, buffer, e)))
      result = failure();
  };

  // One register tile: initialise, reduce, store. `first`: its first index along the tile axis.
  auto reduceTile = [&](ArrayRef<Env> at, bool vectorised, Value first) {
    auto vector = VectorType::get(target.lanes, b.getF32Type());
    Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(float(combiner.identity())));
    Value init = vectorised ? Value(vector::BroadcastOp::create(b, loc, vector, zero)) : zero;
    if (beside.ask && reduced.size() == 1 && lanesReduced)
      beside.ask(int64_t(at.size()) * vectorsReduced());
    Sums sums = overReduced(0, Sums(at.size(), init), SmallVector<Env>(at));
    if (merges && first && at.size() > 1) {
      Env along = at.front();
      int64_t extent = extentOf(value.getType(), tile.getValue()), count = int64_t(at.size());
      along.set(tile, openDim(first, extent, /*lanes=*/true));
      if (count < target.lanes)
        mask = maskBelow(first, after(first, count));
      // The lanes past an axis that ends here are nobody's.
      maskedMayCompute = count < target.lanes && count == extent;
      end(vm.sumsOf(sums), along);
      mask = Value();
      maskedMayCompute = false;
      return result;
    }
    for (auto [sum, e] : llvm::zip(sums, at)) {
      Value final = sum;
      if (lanesReduced)
        final =
            vector::ReductionOp::create(b, loc, combiner.horizontal(), sum,
                                        arith::FastMathFlags::reassoc | arith::FastMathFlags::nnan);
      end(final, e);
    }
    return result;
  };

  auto overResultLanes = [&](ArrayRef<Env> tiles, Value first = {}) -> LogicalResult {
    if (lanesReduced || !lanes)
      return reduceTile(tiles, lanesReduced, first);
    int64_t extent = extentOf(value.getType(), lanes.getValue());
    return overLanes(rangeOf(lanes, value, ranges), vectors,
                     [&](Value base, int64_t count, bool) -> LogicalResult {
                       SmallVector<Env> at;
                       SmallVector<AffineExpr> laneDims;
                       for (int64_t j = 0; j < count; ++j) {
                         Value start = after(base, j * target.lanes);
                         laneDims.push_back(openDim(start, extent, /*lanes=*/true));
                       }
                       for (const Env &row : tiles)
                         for (AffineExpr dim : laneDims) {
                           at.push_back(row);
                           at.back().set(lanes, dim);
                         }
                       return reduceTile(at, true, Value());
                     });
  };

  std::function<LogicalResult(unsigned, Env)> level = [&](unsigned depth,
                                                          Env here) -> LogicalResult {
    while (depth < open.size() && (open[depth] == lanes || open[depth] == tile))
      ++depth;
    for (Value operand : op->getOperands())
      if (failed(hoist(operand, here)))
        return failure();
    if (depth < open.size())
      return overAxis(open[depth], value, here, ranges,
                      [&](const Env &inner) { return level(depth + 1, inner); });
    if (!tile)
      return overResultLanes(here);
    IndexRange tileRange = rangeOf(tile, value, ranges);
    auto body = [&](Value base, int64_t count) -> LogicalResult {
      SmallVector<Env> at;
      for (int64_t i = 0; i < count; ++i) {
        Value row = indexAt(tileRange, after(base, i));
        at.push_back(here);
        at.back().set(tile, openDim(row, extentOf(value.getType(), tile.getValue())));
      }
      return overResultLanes(at, base);
    };
    if (!triangle)
      return overTiles(tileRange, rows, body);
    for (int64_t i = 0; i < *tileRange.extent; i += rows) {
      Scope scope(*this);
      if (failed(body(i64(i), std::min(rows, *tileRange.extent - i))))
        return failure();
    }
    return success();
  };
  return level(0, env);
}

//===----------------------------------------------------------------------===//
// Running sums, linear recurrences and concatenation
//===----------------------------------------------------------------------===//

LogicalResult Nest::emitRunningInto(Value value, const Buffer &buffer, const Env &env,
                                    const IndexRanges &ranges) {
  Operation *op = value.getDefiningOp();
  auto propagate = dyn_cast<PropagateOp>(op);
  Value source = propagate ? propagate.getSource() : cast<CumsumOp>(op).getSource();
  auto along = b.getStringAttr(propagate ? propagate.getAxis() : cast<CumsumOp>(op).getAxis());
  ArrayAttr mixing = propagate ? propagate.getMixing().value_or(ArrayAttr()) : ArrayAttr();
  auto row = mixing ? cast<StringAttr>(mixing[0]) : StringAttr(),
       column = mixing ? cast<StringAttr>(mixing[1]) : StringAttr();
  int64_t rows = mixing ? extentOf(value.getType(), row.getValue()) : 1;
  SmallVector<StringAttr> others;
  for (StringAttr axis : buffer.axes)
    if (axis != along && axis != row && !env.contains(axis))
      others.push_back(axis);
  StringAttr lanes;
  if (!others.empty())
    lanes = chooseLanes(others, propagate.getOperation(), propagate ? value : source, buffer, env,
                        ranges);
  LogicalResult result = success();
  // The rows of one step, given those of the step before it.
  auto step = [&](const Env &here, ValueRange before) -> FailureOr<SmallVector<Value>> {
    SmallVector<Value> after;
    auto shaped = [&](Value x) { return isa<VectorType>(before[0].getType()) ? broadcast(x) : x; };
    for (int64_t i = 0; i < rows; ++i) {
      Env at = here;
      if (row)
        at.set(row, b.getAffineConstantExpr(i));
      FailureOr<Value> sum = evaluate(source, at);
      for (int64_t j = 0; j < rows && succeeded(sum); ++j) {
        if (column)
          at.set(column, b.getAffineConstantExpr(j));
        FailureOr<Value> factor =
            propagate ? evaluate(propagate.getFactors(), at) : FailureOr<Value>(Value());
        if (failed(factor))
          return failure();
        sum = propagate ? vm.fma(shaped(*factor), before[j], shaped(*sum))
                        : vm.add(before[j], shaped(*sum));
      }
      if (failed(sum))
        return failure();
      store(*sum, buffer, at);
      after.push_back(*sum);
    }
    return after;
  };
  auto run = [&](const Env &here, Value zero) {
    IndexRange range = rangeOf(along, value, ranges);
    forLoop(range.lo, range.hi, 1, SmallVector<Value>(rows, zero),
            [&](Value i, ValueRange carried) {
              Env inner = here;
              inner.set(along, openDim(i, extentOf(value.getType(), along.getValue())));
              auto next = step(inner, carried);
              if (failed(next))
                result = failure();
              return succeeded(next) ? *next : SmallVector<Value>(carried);
            });
  };
  Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
  std::function<LogicalResult(unsigned, Env)> level = [&](unsigned depth,
                                                          Env here) -> LogicalResult {
    while (depth < others.size() && others[depth] == lanes)
      ++depth;
    if (depth < others.size())
      return overAxis(others[depth], value, here, ranges,
                      [&](const Env &inner) { return level(depth + 1, inner); });
    if (!lanes) {
      run(here, zero);
      return result;
    }
    return overLanes(
        rangeOf(lanes, value, ranges), 1, [&](Value base, int64_t, bool) -> LogicalResult {
          Env inner = here;
          inner.set(lanes,
                    openDim(base, extentOf(value.getType(), lanes.getValue()), /*lanes=*/true));
          run(inner, broadcast(zero));
          return result;
        });
  };
  return level(0, env);
}

LogicalResult Nest::emitConcatInto(ConcatOp op, const Buffer &buffer, const Env &env,
                                   const IndexRanges &ranges) {
  auto along = b.getStringAttr(op.getAxis());
  auto position = llvm::find(buffer.axes, along) - buffer.axes.begin();
  int64_t start = 0;
  for (Value source : op.getSources()) {
    Buffer part = buffer;
    part.padded = false; // what lies behind one part is the next one
    SmallVector<AffineExpr> shifted;
    for (unsigned i = 0; i < buffer.axes.size(); ++i)
      shifted.push_back(b.getAffineDimExpr(i) + (int64_t(i) == position ? start : 0));
    part.layout =
        AffineMap::get(buffer.axes.size(), 0, buffer.layout.getResult(0).replaceDims(shifted));
    IndexRanges inner = ranges;
    int64_t extent = extentOf(source.getType(), along.getValue());
    inner[along] = fullRange(extent);
    if (failed(emitInto(source, part, env, inner)))
      return failure();
    start += extent;
  }
  return success();
}

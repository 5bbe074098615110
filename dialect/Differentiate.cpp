//===- Differentiate.cpp - Reverse mode over array ops -------------------===//

#include "dialect/Differentiate.h"

#include "dialect/CotangentOps.h"

#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <numbers>

using namespace mlir;
using namespace rondo;

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

namespace {

class Reverse {
public:
  Reverse(OpBuilder &builder, DifferentiationError error) : builder(builder), error(error) {}

  FailureOr<SmallVector<Value>> run(Value of, ArrayRef<Value> with);

private:
  void markActive(Value of, ArrayRef<Value> with);
  LogicalResult adjoint(Operation *op, Value c);
  LogicalResult noRule(Operation *op);
  LogicalResult tooLong(Operation *op);
  LogicalResult adjointOfMap(MapOp op, Value c);
  LogicalResult adjointOfExtremum(ReduceOp op, Value c);
  LogicalResult adjointOfPropagate(PropagateOp op, Value c);
  LogicalResult adjointOfSolve(SolveOp op, Value c);
  /// The factor of the cotangent for input `i`; null where it is zero.
  Value partial(CotangentOps &ops, MapOp op, unsigned i);

  bool isActive(Value value) const { return active.contains(value); }
  /// Adds to a value's cotangent. Fails, with a message, on null: what would be summed over tokens.
  LogicalResult add(CotangentOps &ops, Value value, Value cotangent);

  OpBuilder &builder;
  DifferentiationError error;
  DenseSet<Value> active; // depend on what is differentiated with respect to, and `of` on them
  SmallVector<Operation *> order;
  DenseMap<Value, Value> cotangents;
};

} // namespace

void Reverse::markActive(Value of, ArrayRef<Value> with) {
  DenseSet<Value> dependent(with.begin(), with.end());
  Block *block = of.getParentBlock();
  SmallVector<Operation *> forward;
  for (Operation &op : *block)
    if (llvm::any_of(op.getOperands(), [&](Value v) { return dependent.contains(v); })) {
      for (Value result : op.getResults())
        dependent.insert(result);
      forward.push_back(&op);
    }
  DenseSet<Value> needed{of};
  for (Operation *op : llvm::reverse(forward)) {
    // What is differentiated with respect to may itself be computed from another such value.
    if (llvm::none_of(op->getResults(), [&](Value v) { return needed.contains(v); }))
      continue;
    needed.insert(op->operand_begin(), op->operand_end());
    order.push_back(op);
  }
  for (Value value : needed)
    if (dependent.contains(value))
      active.insert(value);
}

LogicalResult Reverse::add(CotangentOps &ops, Value value, Value cotangent) {
  if (!cotangent) {
    error(ops.loc,
          "a derivative with respect to a value that is the same for every token adds over "
          "tokens");
    return failure();
  }
  Value &held = cotangents[value];
  held = held ? ops.map(MapKind::Add, {held, cotangent}) : cotangent;
  return success();
}

LogicalResult Reverse::noRule(Operation *op) {
  error(op->getLoc(), "'" + op->getName().stripDialect().str() +
                          "' reaches other tokens and has no derivative of one token");
  return failure();
}

LogicalResult Reverse::tooLong(Operation *op) {
  error(op->getLoc(),
        "the derivative of this choice of elements compares indices, which are exact up to " +
            std::to_string(mostComparedIndex) + "; the axis has more elements");
  return failure();
}

FailureOr<SmallVector<Value>> Reverse::run(Value of, ArrayRef<Value> with) {
  markActive(of, with);
  CotangentOps start(builder, of.getLoc());
  if (isActive(of))
    cotangents[of] = start.number(1);
  for (Operation *op : order) {
    bool single = op->getNumResults() == 1;
    Value c = single ? cotangents.lookup(op->getResult(0)) : Value();
    if (!single ? failed(noRule(op)) : c && failed(adjoint(op, c)))
      return failure();
  }
  SmallVector<Value> gradients;
  for (Value value : with) {
    Value c = cotangents.lookup(value);
    CotangentOps ops(builder, value.getLoc());
    gradients.push_back(c ? ops.broadcastTo(c, typeOf(value)) : Value());
  }
  return gradients;
}

//===----------------------------------------------------------------------===//
// map
//===----------------------------------------------------------------------===//

Value Reverse::partial(CotangentOps &ops, MapOp op, unsigned i) {
  ValueRange in = op.getInputs();
  Value x = in[0], y = op.getResult();
  auto one = [&] { return ops.number(1); };
  auto map = [&](MapKind kind, ValueRange values) { return ops.map(kind, values); };
  auto minus = [&](Value value) { return ops.map(MapKind::Neg, value); };
  switch (op.getKind()) {
  case MapKind::Add:
    return one();
  case MapKind::Sub:
    return i == 0 ? one() : ops.number(-1);
  case MapKind::Mul:
    return in[1 - i];
  case MapKind::Div:
    return i == 0 ? map(MapKind::Div, {one(), in[1]}) : minus(map(MapKind::Div, {y, in[1]}));
  case MapKind::Min: // a tie belongs to the first
  case MapKind::Max: {
    bool smallest = op.getKind() == MapKind::Min;
    Value first = map(MapKind::Le, {in[smallest ? 0 : 1], in[smallest ? 1 : 0]});
    Value zero = ops.number(0);
    return i == 0 ? map(MapKind::Select, {first, one(), zero})
                  : map(MapKind::Select, {first, zero, one()});
  }
  case MapKind::Pow:
    if (i == 1)
      return ops.times(y, map(MapKind::Log, x));
    return ops.times(map(MapKind::Pow, {x, map(MapKind::Sub, {in[1], one()})}), in[1]);
  case MapKind::Mod:
    return i == 0 ? one() : minus(map(MapKind::Floor, map(MapKind::Div, {x, in[1]})));
  case MapKind::Neg:
    return ops.number(-1);
  case MapKind::Abs:
    return map(MapKind::Sign, x);
  case MapKind::Exp:
    return y;
  case MapKind::Log:
    return map(MapKind::Div, {one(), x});
  case MapKind::Sqrt:
    return map(MapKind::Div, {ops.number(0.5), y});
  case MapKind::Rsqrt:
    return ops.times(ops.times(ops.times(y, y), y), ops.number(-0.5));
  case MapKind::Sin:
    return map(MapKind::Cos, x);
  case MapKind::Cos:
    return minus(map(MapKind::Sin, x));
  case MapKind::Tanh:
    return map(MapKind::Sub, {one(), ops.times(y, y)});
  case MapKind::Erf:
    return ops.times(map(MapKind::Exp, minus(ops.times(x, x))),
                     ops.number(2 * std::numbers::inv_sqrtpi));
  case MapKind::Sigmoid:
    return ops.times(y, map(MapKind::Sub, {one(), y}));
  case MapKind::Softplus:
    return map(MapKind::Sigmoid, x);
  case MapKind::Select:
    if (i == 0)
      return {};
    return i == 1 ? map(MapKind::Select, {x, one(), ops.number(0)})
                  : map(MapKind::Select, {x, ops.number(0), one()});
  case MapKind::Convert:
    return elementTypeOf(x.getType()).isF32() ? one() : Value();
  case MapKind::Floor:
  case MapKind::Sign:
  case MapKind::Lt:
  case MapKind::Le:
  case MapKind::Eq:
  case MapKind::Ne:
  case MapKind::And:
  case MapKind::Or:
  case MapKind::Not:
    return {};
  }
  llvm_unreachable("a kind without a rule");
}

LogicalResult Reverse::adjointOfMap(MapOp op, Value c) {
  CotangentOps ops(builder, op.getLoc());
  ValueRange in = op.getInputs();
  auto to = [&](Value value, Value a, Value b) {
    return add(ops, value, ops.productTo(a, b, op.getType(), typeOf(value)));
  };
  // 2 x rather than x + x, so that the half of a squared loss goes.
  if (op.getKind() == MapKind::Mul && in[0] == in[1])
    return to(in[0], ops.times(c, ops.number(2)), in[0]);
  for (unsigned i = 0; i < in.size(); ++i) {
    if (!isActive(in[i]))
      continue;
    // c / b, not c * (1 / b): one rounding, and a constant b stays what was written.
    if (op.getKind() == MapKind::Div && i == 0) {
      if (failed(to(in[0], ops.map(MapKind::Div, {c, in[1]}), ops.number(1))))
        return failure();
    } else if (op.getKind() == MapKind::Select && i > 0) {
      Value zero = ops.number(0);
      Value chosen = ops.map(MapKind::Select,
                             i == 1 ? ValueRange{in[0], c, zero} : ValueRange{in[0], zero, c});
      if (failed(to(in[i], chosen, ops.number(1))))
        return failure();
    } else if (Value factor = partial(ops, op, i)) {
      if (failed(to(in[i], c, factor)))
        return failure();
    }
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Other array ops
//===----------------------------------------------------------------------===//

/// The value along an axis in another order: `at` gives each element's place from its index n.
static Value reordered(CotangentOps &ops, Value value, StringRef axis,
                       llvm::function_ref<AffineExpr(AffineExpr)> at) {
  RankedTensorType inner = withoutTime(value.getType());
  unsigned rank = static_cast<unsigned>(inner.getRank());
  SmallVector<AffineExpr> sources;
  for (unsigned i = 0; i < rank; ++i)
    sources.push_back(ops.builder.getAffineDimExpr(i));
  AffineExpr &along = sources[*axisIndex(inner, axis)];
  along = at(along);
  return ops.view(value, axesOf(inner), inner.getShape(),
                  AffineMap::get(rank, 0, sources, ops.builder.getContext()));
}

// Of the source: the same recurrence from the end, each factor one step later and transposed. Of
// the factors: that times the result one step earlier.
LogicalResult Reverse::adjointOfPropagate(PropagateOp op, Value c) {
  CotangentOps ops(builder, op.getLoc());
  StringRef axis = op.getAxis(), i, j;
  if (op.getMixing()) {
    i = cast<StringAttr>((*op.getMixing())[0]).getValue();
    j = cast<StringAttr>((*op.getMixing())[1]).getValue();
  }
  auto result = typeOf(op.getResult());
  int64_t extent = extentOf(result, axis);
  auto backwards = [&](AffineExpr n) { return (extent - 1) - n; };
  Value factors = op.getFactors();
  if (hasAxis(factors.getType(), axis)) // nothing is before the first: any factor serves there
    factors = reordered(ops, factors, axis, [&](AffineExpr n) { return (extent - n) % extent; });
  if (!i.empty()) {
    factors = ops.renamed(factors, i, "'");
    factors = ops.renamed(ops.renamed(factors, j, i), "'", j);
  }
  auto type = unionType({factors.getType(), result}, result.getElementType());
  if (!i.empty())
    type = withoutAxis(type, j);
  Value turned = reordered(ops, ops.broadcastTo(c, result), axis, backwards);
  Value source = PropagateOp::create(builder, op.getLoc(), type, factors, turned, op.getAxisAttr(),
                                     op.getMixingAttr());
  source = reordered(ops, source, axis, backwards);
  if (isActive(op.getSource()) &&
      failed(add(ops, op.getSource(), ops.sumTo(source, result, typeOf(op.getSource())))))
    return failure();
  if (!isActive(op.getFactors()))
    return success();
  Value before = reordered(ops, op.getResult(), axis,
                           [&](AffineExpr n) { return (n + (extent - 1)) % extent; });
  before = ops.where(ops.map(MapKind::Lt, {ops.number(0), ops.index(axis, extent)}), before);
  if (!i.empty())
    before = ops.renamed(before, i, j);
  auto all = unionType({source.getType(), before.getType()}, result.getElementType());
  return add(ops, op.getFactors(), ops.productTo(source, before, all, typeOf(op.getFactors())));
}

// Of the source: the system of the transposed matrix, which goes from the last row to the first. Of
// the matrix: that times the result, below the diagonal.
LogicalResult Reverse::adjointOfSolve(SolveOp op, Value c) {
  CotangentOps ops(builder, op.getLoc());
  StringRef rows = op.getRows(), columns = op.getColumns();
  auto result = typeOf(op.getResult());
  int64_t extent = extentOf(result, rows);
  auto backwards = [&](AffineExpr n) { return (extent - 1) - n; };
  Value matrix =
      reordered(ops, reordered(ops, op.getMatrix(), rows, backwards), columns, backwards);
  matrix = ops.renamed(matrix, rows, "'");
  matrix = ops.renamed(ops.renamed(matrix, columns, rows), "'", columns);
  Value turned = reordered(ops, ops.broadcastTo(c, result), rows, backwards);
  auto type = withoutAxis(unionType({matrix.getType(), result}, result.getElementType()), columns);
  Value source = SolveOp::create(builder, op.getLoc(), type, matrix, turned, op.getRowsAttr(),
                                 op.getColumnsAttr());
  source = reordered(ops, source, rows, backwards);
  if (isActive(op.getSource()) &&
      failed(add(ops, op.getSource(), ops.sumTo(source, result, typeOf(op.getSource())))))
    return failure();
  if (!isActive(op.getMatrix()))
    return success();
  Value below = ops.map(MapKind::Lt, {ops.index(columns, extent), ops.index(rows, extent)});
  Value read = ops.where(below, ops.renamed(op.getResult(), rows, columns));
  auto all = unionType({source.getType(), read.getType()}, result.getElementType());
  return add(ops, op.getMatrix(), ops.productTo(source, read, all, typeOf(op.getMatrix())));
}

// To the first element, in storage order, that attains the maximum or minimum.
LogicalResult Reverse::adjointOfExtremum(ReduceOp op, Value c) {
  CotangentOps ops(builder, op.getLoc());
  Value source = op.getSource();
  Value hit = ops.map(MapKind::Eq, {source, op.getResult()});
  hit = ops.broadcastTo(ops.where(hit, ops.number(1)), typeOf(source));
  // Hits before each element, counted along the reduced axes one inside the other.
  Value before;
  Value total = hit;
  SmallVector<StringRef> axes(op.getAxes().getAsValueRange<StringAttr>());
  llvm::sort(axes, [&](StringRef a, StringRef b) {
    return *axisIndex(source.getType(), a) > *axisIndex(source.getType(), b);
  });
  for (StringRef axis : axes) {
    auto name = builder.getStringAttr(axis);
    Value running = CumsumOp::create(builder, op.getLoc(), total.getType(), total, name);
    Value own = ops.map(MapKind::Sub, {running, total});
    before = before ? ops.map(MapKind::Add, {before, own}) : own;
    total = ReduceOp::create(builder, op.getLoc(), ReduceKind::Sum, total, axis);
  }
  Value first = ops.map(MapKind::Eq, {before, ops.number(0)});
  Value weight = ops.where(first, hit);
  return add(ops, source, ops.productTo(c, weight, typeOf(source), typeOf(source)));
}

/// 1 where the index along the axis is the id.
static Value oneHot(CotangentOps &ops, Type indexed, StringRef axis, Value ids) {
  Value number = ops.map(MapKind::Convert, ids);
  return ops.map(MapKind::Eq, {ops.index(axis, extentOf(indexed, axis)), number});
}

LogicalResult Reverse::adjoint(Operation *op, Value c) {
  CotangentOps ops(builder, op->getLoc());
  auto whole = [](TypeRange types) { return unionType(types, elementTypeOf(types.front())); };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](MapOp map) { return adjointOfMap(map, c); })
      .Case([&](ContractOp contract) -> LogicalResult {
        Value lhs = contract.getLhs(), rhs = contract.getRhs();
        RankedTensorType all = whole({lhs.getType(), rhs.getType()});
        if (lhs == rhs)
          return add(ops, lhs, ops.productTo(ops.times(c, ops.number(2)), lhs, all, typeOf(lhs)));
        if (isActive(lhs) && failed(add(ops, lhs, ops.productTo(c, rhs, all, typeOf(lhs)))))
          return failure();
        return isActive(rhs) ? add(ops, rhs, ops.productTo(c, lhs, all, typeOf(rhs))) : success();
      })
      .Case([&](ReduceOp reduce) {
        return reduce.getKind() == ReduceKind::Sum ? add(ops, reduce.getSource(), c)
                                                   : adjointOfExtremum(reduce, c);
      })
      .Case([&](ViewOp view) -> LogicalResult {
        Value own = adjointOfView(ops, view, c);
        return own ? add(ops, view.getSource(), own) : tooLong(op);
      })
      .Case([&](ConcatOp concat) -> LogicalResult {
        StringRef axis = concat.getAxis();
        int64_t low = 0;
        for (Value part : concat.getSources()) {
          int64_t extent = extentOf(part.getType(), axis);
          Value own = c;
          if (hasAxis(c.getType(), axis)) {
            RankedTensorType inner = withoutTime(c.getType());
            SmallVector<int64_t> sizes(inner.getShape());
            unsigned rank = static_cast<unsigned>(inner.getRank());
            SmallVector<AffineExpr> sources;
            for (unsigned i = 0; i < rank; ++i)
              sources.push_back(builder.getAffineDimExpr(i));
            unsigned place = *axisIndex(inner, axis);
            sizes[place] = extent;
            sources[place] = sources[place] + low;
            own = ops.view(c, axesOf(inner), sizes,
                           AffineMap::get(rank, 0, sources, builder.getContext()));
          }
          low += extent;
          if (isActive(part) && failed(add(ops, part, own)))
            return failure();
        }
        return success();
      })
      .Case([&](RoundOp round) { return add(ops, round.getSource(), c); })
      .Case([&](CumsumOp cumsum) {
        Value source = cumsum.getSource();
        if (!hasAxis(c.getType(), cumsum.getAxis()))
          c = ops.broadcastTo(c, typeOf(source));
        int64_t last = extentOf(source.getType(), cumsum.getAxis()) - 1;
        auto backwards = [&](AffineExpr n) { return last - n; };
        Value turned = reordered(ops, c, cumsum.getAxis(), backwards);
        Value sums =
            CumsumOp::create(builder, op->getLoc(), turned.getType(), turned, cumsum.getAxisAttr());
        return add(ops, source, reordered(ops, sums, cumsum.getAxis(), backwards));
      })
      .Case([&](PropagateOp propagate) { return adjointOfPropagate(propagate, c); })
      .Case([&](SolveOp solve) { return adjointOfSolve(solve, c); })
      .Case([&](PickOp pick) -> LogicalResult {
        if (extentOf(pick.getSource().getType(), pick.getAxis()) > mostComparedIndex)
          return tooLong(op);
        Value hit = oneHot(ops, pick.getSource().getType(), pick.getAxis(), pick.getIds());
        return add(ops, pick.getSource(), ops.where(hit, c));
      })
      .Case([&](GatherOp gather) -> LogicalResult {
        if (extentOf(gather.getTable().getType(), gather.getAxis()) > mostComparedIndex)
          return tooLong(op);
        Value hit = oneHot(ops, gather.getTable().getType(), gather.getAxis(), gather.getIds());
        Value weight = ops.where(hit, ops.number(1));
        Value table = gather.getTable();
        return add(
            ops, table,
            ops.productTo(c, weight, whole({gather.getType(), weight.getType()}), typeOf(table)));
      })
      .Default([&](Operation *other) { return noRule(other); });
}

//===----------------------------------------------------------------------===//
// Public
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<Value>> rondo::differentiate(OpBuilder &builder, Value of,
                                                   ArrayRef<Value> with,
                                                   DifferentiationError error) {
  return Reverse(builder, error).run(of, with);
}

bool rondo::dependsOn(Value of, Value value) {
  DenseSet<Value> dependent{value};
  for (Operation &op : *of.getParentBlock())
    if (llvm::any_of(op.getOperands(), [&](Value v) { return dependent.contains(v); }))
      dependent.insert(op.result_begin(), op.result_end());
  return dependent.contains(of);
}

//===- MapBlocks.cpp - From a predicate to a block map --------------------===//
//
// Token level (`rondo.over`) to block level (`rondo.attend`).
//
//   where s <= t and t - s < 4 and doc == doc@s   ->   causal, window 4, residual doc == doc@s
//
// Sound because positions are integers: a conjunct `s <= t + c` or `t - s < c` bounds the distance
// t - s, all such bounds together are one interval, and [0, w) is what the map says; whatever else
// the interval or the predicate asks remains in the residual. A sum whose value has the factor
// table[t - s] is 0 where that is outside of the table: the table's extent is one more such bound.
// The body is rewritten from one pair to blocks by broadcasting over `t` and `s` (LeadAxes.h); work
// of one side leaves the body, since it is the same for all pairs.
//
//===----------------------------------------------------------------------===//

#include "passes/FreeWork.h"
#include "passes/LeadAxes.h"
#include "passes/Passes.h"
#include "passes/RenameAxis.h"

#include "mlir/IR/Matchers.h"

#include <cmath>
#include <limits>

namespace rondo {
#define GEN_PASS_DEF_MAPBLOCKSPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

//===----------------------------------------------------------------------===//
// The predicate
//===----------------------------------------------------------------------===//

std::optional<double> scalarConstant(Value value) {
  DenseElementsAttr elements;
  if (!matchPattern(value, m_Constant(&elements)) || !elements.isSplat())
    return std::nullopt;
  if (isa<FloatType>(elements.getElementType()))
    return elements.getSplatValue<APFloat>().convertToDouble();
  if (elements.getElementType().isInteger(1))
    return elements.getSplatValue<bool>() ? 1.0 : 0.0;
  return std::nullopt;
}

/// a*t + b*s + c.
struct Linear {
  double t = 0, s = 0, c = 0;
};

std::optional<Linear> linearOf(Value value, Value t, Value s) {
  if (value == t)
    return Linear{1, 0, 0};
  if (value == s)
    return Linear{0, 1, 0};
  if (auto constant = scalarConstant(value))
    return Linear{0, 0, *constant};
  auto map = value.getDefiningOp<MapOp>();
  if (!map)
    return std::nullopt;
  SmallVector<Linear> of;
  for (Value input : map.getInputs()) {
    auto linear = linearOf(input, t, s);
    if (!linear)
      return std::nullopt;
    of.push_back(*linear);
  }
  switch (map.getKind()) {
  case MapKind::Add:
    return Linear{of[0].t + of[1].t, of[0].s + of[1].s, of[0].c + of[1].c};
  case MapKind::Sub:
    return Linear{of[0].t - of[1].t, of[0].s - of[1].s, of[0].c - of[1].c};
  case MapKind::Neg:
    return Linear{-of[0].t, -of[0].s, -of[0].c};
  default:
    return std::nullopt;
  }
}

/// The distances d = t - s that the predicate allows, from `least` up to but without `end`, and
/// what else it asks.
struct BlockMap {
  double least = -std::numeric_limits<double>::infinity();
  double end = std::numeric_limits<double>::infinity();
  SmallVector<Value> residual;
};

/// Takes in `lhs < rhs` or `lhs <= rhs`; false when it is no bound of the distance.
bool takeBound(BlockMap &map, Value lhs, Value rhs, bool strict, Value t, Value s) {
  auto left = linearOf(lhs, t, s), right = linearOf(rhs, t, s);
  if (!left || !right)
    return false;
  Linear sum{left->t - right->t, left->s - right->s, left->c - right->c}; // sum < 0 or sum <= 0
  if (sum.t != -sum.s || std::abs(sum.t) > 1)
    return false;
  if (sum.t == 0) // a comparison of constants
    return strict ? sum.c < 0 : sum.c <= 0;
  if (sum.t > 0) // d < -c or d <= -c
    map.end = std::min(map.end, strict ? std::ceil(-sum.c) : std::floor(-sum.c) + 1);
  else // d > c or d >= c
    map.least = std::max(map.least, strict ? std::floor(sum.c) + 1 : std::ceil(sum.c));
  return true;
}

void readPredicate(BlockMap &map, Value predicate, Value t, Value s) {
  if (scalarConstant(predicate) == 1.0)
    return;
  if (auto op = predicate.getDefiningOp<MapOp>()) {
    ValueRange in = op.getInputs();
    switch (op.getKind()) {
    case MapKind::And:
      readPredicate(map, in[0], t, s);
      readPredicate(map, in[1], t, s);
      return;
    case MapKind::Lt:
      if (takeBound(map, in[0], in[1], /*strict=*/true, t, s))
        return;
      break;
    case MapKind::Le:
      if (takeBound(map, in[0], in[1], /*strict=*/false, t, s))
        return;
      break;
    case MapKind::Eq:
      if (takeBound(map, in[0], in[1], false, t, s) && takeBound(map, in[1], in[0], false, t, s))
        return;
      break;
    case MapKind::Not: // not (a < b) is b <= a
      if (auto inner = in[0].getDefiningOp<MapOp>()) {
        ValueRange of = inner.getInputs();
        if (inner.getKind() == MapKind::Lt && takeBound(map, of[1], of[0], false, t, s))
          return;
        if (inner.getKind() == MapKind::Le && takeBound(map, of[1], of[0], true, t, s))
          return;
      }
      break;
    default:
      break;
    }
  }
  map.residual.push_back(predicate);
}

//===----------------------------------------------------------------------===//
// Tables that are read at a computed number
//===----------------------------------------------------------------------===//

/// The number x of where(index == x, 1, 0).
Value oneHotIndex(Value value, StringRef axis) {
  auto select = value.getDefiningOp<MapOp>();
  if (!select || select.getKind() != MapKind::Select ||
      scalarConstant(select.getInputs()[1]) != 1.0 || scalarConstant(select.getInputs()[2]) != 0.0)
    return Value();
  auto equal = select.getInputs()[0].getDefiningOp<MapOp>();
  if (!equal || equal.getKind() != MapKind::Eq)
    return Value();
  for (unsigned i : {0, 1}) {
    Value index = equal.getInputs()[i], number = equal.getInputs()[1 - i];
    if (index.getDefiningOp<IndexOp>() && hasAxis(index.getType(), axis) &&
        !hasAxis(number.getType(), axis) && elementTypeOf(number.getType()).isF32())
      return number;
  }
  return Value();
}

/// sum over the axis of where(index == x, 1, 0) * table, the same table for all tokens, is one of
/// its elements.
void readTables(OverOp op) {
  unsigned perToken = 2 + op.getQueries().size() + op.getKeys().size();
  DependenceMap masks = dependences(op.getBody().front(), [&](BlockArgument argument) -> unsigned {
    return argument.getArgNumber() < perToken;
  });
  SmallVector<ContractOp> contractions(op.getBody().front().getOps<ContractOp>());
  for (ContractOp contract : contractions) {
    if (contract.getAxes().size() != 1)
      continue;
    auto axis = cast<StringAttr>(contract.getAxes()[0]);
    for (auto [hot, table] : {std::pair(contract.getLhs(), contract.getRhs()),
                              std::pair(contract.getRhs(), contract.getLhs())}) {
      Value number = oneHotIndex(hot, axis.getValue());
      if (!number || masks.lookup(table) || !elementTypeOf(table.getType()).isF32() ||
          llvm::any_of(axesOf(number.getType()),
                       [&](StringAttr a) { return hasAxis(table.getType(), a); }))
        continue;
      OpBuilder builder(contract);
      auto type = unionType({number.getType(), withoutAxis(table.getType(), axis.getValue())},
                            builder.getF32Type());
      Value element = GatherOp::create(builder, contract.getLoc(), type, table, number, axis);
      if (type != contract.getType()) {
        SmallVector<AffineExpr> exprs;
        for (StringAttr name : axesOf(type))
          exprs.push_back(builder.getAffineDimExpr(*axisIndex(contract.getType(), name)));
        auto map = AffineMap::get(contract.getType().getRank(), 0, exprs, op.getContext());
        element = ViewOp::create(builder, contract.getLoc(), contract.getType(), element,
                                 AffineMapAttr::get(map));
      }
      contract.getResult().replaceAllUsesWith(element);
      contract.erase();
      break;
    }
  }
}

/// Takes in the distances at which a factor of `value` is not 0.
void readFactors(BlockMap &map, Value value, Value t, Value s) {
  if (auto product = value.getDefiningOp<MapOp>()) {
    bool isQuotient = product.getKind() == MapKind::Div;
    if (isQuotient || product.getKind() == MapKind::Neg || product.getKind() == MapKind::Mul)
      for (Value factor : product.getInputs().take_front(isQuotient ? 1 : 2))
        readFactors(map, factor, t, s);
    return;
  }
  if (auto view = value.getDefiningOp<ViewOp>())
    return readFactors(map, view.getSource(), t, s);
  if (auto contract = value.getDefiningOp<ContractOp>()) {
    readFactors(map, contract.getLhs(), t, s);
    return readFactors(map, contract.getRhs(), t, s);
  }
  auto gather = value.getDefiningOp<GatherOp>();
  auto at = gather ? linearOf(gather.getIds(), t, s) : std::nullopt;
  if (!at || at->t != -at->s || std::abs(at->t) != 1)
    return;
  // 0 <= a d + c <= extent - 1
  double last = double(extentOf(gather.getTable().getType(), gather.getAxis())) - 1;
  double one = -at->c / at->t, other = (last - at->c) / at->t;
  map.least = std::max(map.least, std::ceil(std::min(one, other)));
  map.end = std::min(map.end, std::floor(std::max(one, other)) + 1);
}

//===----------------------------------------------------------------------===//
// The body
//===----------------------------------------------------------------------===//

enum Side : unsigned { query = 1, key = 2 };

Value addTrue(OpBuilder &builder, Location loc) {
  auto type = RankedTensorType::get({}, builder.getI1Type());
  return ConstantOp::create(builder, loc, type, DenseElementsAttr::get(type, true));
}

int64_t sizeOf(ArrayRef<Value> values) {
  int64_t size = 0;
  for (Value value : values)
    size += elementsPerToken(value.getType());
  return size;
}

struct MapBlocks : rondo::impl::MapBlocksPassBase<MapBlocks> {
  using MapBlocksPassBase::MapBlocksPassBase;

  void runOnOperation() override {
    SmallVector<OverOp> overs;
    getOperation()->walk([&](OverOp op) { overs.push_back(op); });
    for (OverOp op : overs)
      if (failed(mapOne(op)))
        return signalPassFailure();
  }

  /// Moves one side's arithmetic out of the body; its results become operands of that side. A
  /// result that depends on neither side becomes shared.
  LogicalResult moveOut(OverOp op, Side side) {
    Block &body = op.getBody().front();
    unsigned queries = op.getQueries().size(), keys = op.getKeys().size();
    DependenceMap masks = dependences(body, [&](BlockArgument argument) -> unsigned {
      unsigned i = argument.getArgNumber();
      if (i < 2)
        return i == 0 ? query : key;
      return i < 2 + queries ? query : i < 2 + queries + keys ? key : 0;
    });
    auto isFree = [&](Operation *inner) {
      if (inner->getNumResults() != 1 || (masks.lookup(inner->getResult(0)) & ~side) ||
          !canRunOnManyTokens(inner))
        return false;
      auto concat = dyn_cast<ConcatOp>(inner);
      return !concat || llvm::all_of(concat.getSources(), [&](Value source) {
        return masks.lookup(source) == masks.lookup(concat.getSources().front());
      });
    };
    FreeWork work = findFreeWork(body, isFree, isArithmetic);
    if (work.results.empty())
      return success();
    if (side == key && growsCache(op, work))
      return success();

    OpBuilder builder(op);
    IRMapping outside;
    SmallVector<Value> operands(op.getOperands());
    for (auto [argument, operand] : llvm::zip(body.getArguments().drop_front(2), operands))
      outside.map(argument, operand);
    BlockArgument position = body.getArgument(side == query ? 0 : 1);
    if (llvm::any_of(position.getUsers(),
                     [&](Operation *user) { return work.ops.contains(user); })) {
      outside.map(position, PositionOp::create(builder, op.getLoc(), withTime(position.getType())));
    }
    std::string why;
    for (Operation *inner : work.ops)
      if (failed(cloneOverLeadAxes(builder, inner, outside, why)))
        return inner->emitOpError("cannot leave the body of the over: ") << why;

    SmallVector<Value> q(op.getQueries()), k(op.getKeys()), shared(op.getShared());
    for (Value result : work.results) {
      bool isShared = !masks.lookup(result);
      auto &list = isShared ? shared : side == query ? q : k;
      unsigned at =
          2 + q.size() + (isShared || side == key ? k.size() : 0) + (isShared ? shared.size() : 0);
      result.replaceAllUsesWith(body.insertArgument(at, result.getType(), result.getLoc()));
      list.push_back(outside.lookup(result));
    }
    for (Operation *inner : llvm::reverse(work.ops.getArrayRef()))
      if (inner->use_empty())
        inner->erase();
    assignOperands(op, q, k, shared);
    return success();
  }

  /// Whether the cache would hold more after the move: keys that only moving ops read leave it, the
  /// results enter it.
  bool growsCache(OverOp op, const FreeWork &work) {
    Block &body = op.getBody().front();
    SmallVector<Value> before, after(work.results);
    for (auto [i, operand] : llvm::enumerate(op.getKeys())) {
      BlockArgument argument = body.getArgument(2 + op.getQueries().size() + i);
      if (argument.use_empty())
        continue;
      before.push_back(argument);
      if (llvm::any_of(argument.getUsers(),
                       [&](Operation *user) { return !work.ops.contains(user); }))
        after.push_back(argument);
    }
    if (sizeOf(after) <= sizeOf(before))
      return false;
    op.emitRemark() << "key-side work of '" << op.getName()
                    << "' stays inside: moving it out would grow the cache from " << sizeOf(before)
                    << " to " << sizeOf(after) << " values a token";
    return true;
  }

  /// Sets the operands, leaving out those whose argument nothing reads.
  static void assignOperands(OverOp op, SmallVectorImpl<Value> &q, SmallVectorImpl<Value> &k,
                             SmallVectorImpl<Value> &shared) {
    Block &body = op.getBody().front();
    auto prune = [&](SmallVectorImpl<Value> &list, unsigned first) {
      for (unsigned i = list.size(); i-- > 0;)
        if (body.getArgument(first + i).use_empty()) {
          body.eraseArgument(first + i);
          list.erase(list.begin() + i);
        }
    };
    prune(shared, 2 + q.size() + k.size());
    prune(k, 2 + q.size());
    prune(q, 2);
    op.getQueriesMutable().assign(q);
    op.getKeysMutable().assign(k);
    op.getSharedMutable().assign(shared);
  }

  LogicalResult mapOne(OverOp op) {
    renameAxis(op, keyAxis);
    // First the predicate, as long as its constants stand in the body; what remains of it is an
    // expression like the others.
    Block &body = op.getBody().front();
    auto yield = cast<YieldOp>(body.getTerminator());
    BlockMap map;
    readTables(op);
    readPredicate(map, yield.getOutputs()[0], body.getArgument(0), body.getArgument(1));
    if (op.getKind() == OverKind::Sum)
      readFactors(map, yield.getOutputs()[2], body.getArgument(0), body.getArgument(1));
    Map resolved = resolve(op, map);
    eraseDead(body);
    if (failed(moveOut(op, query)) || failed(moveOut(op, key)))
      return failure(); // reported above
    SmallVector<Value> q(op.getQueries()), k(op.getKeys()), shared(op.getShared());
    assignOperands(op, q, k, shared);
    return rewrite(op, resolved);
  }

  struct Map {
    bool causal;
    int64_t window;
    bool hasResidual;
  };

  static void eraseDead(Block &block) {
    SmallVector<Operation *> ops;
    for (Operation &op : block.without_terminator())
      ops.push_back(&op);
    for (Operation *op : llvm::reverse(ops))
      if (op->use_empty())
        op->erase();
  }

  /// [0, w) is the map's; a bound that it cannot say stays in the residual as it was written. The
  /// body then yields the residual.
  static Map resolve(OverOp op, BlockMap &map) {
    auto yield = cast<YieldOp>(op.getBody().front().getTerminator());
    bool hasWindow = std::isfinite(map.end) && map.end >= 1;
    bool isSaid =
        (map.least == 0 || std::isinf(map.least)) && (hasWindow || !std::isfinite(map.end));
    if (!isSaid)
      map.residual = {yield.getOutputs()[0]};
    OpBuilder builder(yield);
    Value residual;
    for (Value next : map.residual)
      residual = residual
                     ? MapOp::create(builder, op.getLoc(), MapKind::And, ValueRange{residual, next})
                           .getResult()
                     : next;
    if (!residual)
      residual = addTrue(builder, op.getLoc());
    yield.getOutputsMutable()[0].set(residual);
    return {map.least >= 0, hasWindow ? static_cast<int64_t>(map.end) : 0, !map.residual.empty()};
  }

  LogicalResult rewrite(OverOp op, const Map &map) {
    Block &from = op.getBody().front();
    auto yield = cast<YieldOp>(from.getTerminator());
    OpBuilder builder(op);
    auto attend =
        AttendOp::create(builder, op.getLoc(), op.getResult().getType(), op.getNameAttr(),
                         op.getKindAttr(), op.getQueries(), op.getKeys(), op.getShared(),
                         builder.getBoolAttr(map.causal), builder.getI64IntegerAttr(map.window));
    attend->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    Block *to = builder.createBlock(&attend.getBody());
    IRMapping mapping;
    unsigned queries = op.getQueries().size(), keys = op.getKeys().size();
    for (BlockArgument argument : from.getArguments()) {
      unsigned i = argument.getArgNumber();
      bool isQuery = i == 0 || (i >= 2 && i < 2 + queries);
      bool isKey = i == 1 || (i >= 2 + queries && i < 2 + queries + keys);
      Type type = argument.getType();
      if (isQuery || isKey)
        type = withLeadAxis(type, isQuery ? "t" : "s", ShapedType::kDynamic);
      mapping.map(argument, to->addArgument(type, argument.getLoc()));
    }
    std::string why;
    for (Operation &inner : from.without_terminator())
      if (failed(cloneOverLeadAxes(builder, &inner, mapping, why)))
        return inner.emitOpError("cannot run on blocks of tokens: ") << why;
    YieldOp::create(builder, yield.getLoc(), ValueRange{},
                    llvm::map_to_vector(yield.getOutputs(),
                                        [&](Value output) { return mapping.lookup(output); }));

    auto remark = op.emitRemark() << "'" << op.getName()
                                  << "': " << (map.causal ? "causal" : "bidirectional");
    if (map.window)
      remark << ", window " << map.window;
    if (map.hasResidual)
      remark << ", with a residual predicate";
    numMapped += 1;
    numResidual += map.hasResidual;
    op.replaceAllUsesWith(attend.getOperation());
    op.erase();
    return success();
  }
};

} // namespace

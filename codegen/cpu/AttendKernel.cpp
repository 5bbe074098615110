//===- AttendKernel.cpp - Softmax and sums over other tokens, in tiles ----===//
//
// A work item is one sequence and one index of an axis that nothing is exchanged along (a head), or
// some vectors of it where it runs in lanes. It takes the sequence's queries in tiles and, for
// each, the keys of the cache that the block map admits, tile by tile, with a running maximum m,
// normaliser l and weighted sum:
//
//   m' = max(m, max_s score),  p = exp(score - m'),  l' = l exp(m - m') + sum_s p,  acc' = acc
//   exp(m - m') + sum_s p value
//
// (online softmax: Milakov and Gimelshein, arXiv 1805.02867). It starts at m = -inf, l = 0, acc =
// 0, or, where the body yields a sink, as after that score with the value 0: m = sink, l = 1. The
// tile's computation is written as rondo ops behind a copy of the body and emitted like any other,
// so the score and the value may be any expression.
//
// Many queries lie in lanes: they, m, l, acc and all that is computed of a tile have t innermost in
// scratch. Then scores and weighted sums are products whose other operand, keys and values as the
// cache has them, is broadcast, and maximum and normaliser are whole vectors; queries are
// transposed once for all their keys. Few queries (the tail of a piece, a decode step) would leave
// lanes empty: for them the lanes run where the cache is consecutive.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/KernelFrame.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/IRMapping.h"
#include <limits>

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

namespace {
constexpr int64_t keyTile = 64;
/// Queries of a tile: few with the lanes wherever operands are consecutive, or many that lie in
/// lanes themselves. Whole vectors of every level.
constexpr int64_t fewQueries = 16, manyQueries = 64;
constexpr int64_t laneBlock =
    64; // of a work item, where the axis that is shared out runs in lanes: vectors of every level

/// A copy of the attend's body whose block axes have the tiles' extents, followed by one step of
/// the online softmax.
struct TileBody {
  Block block;
  Value queryPosition, keyPosition;
  SmallVector<Value> queries, keys, shared;
  SmallVector<Value> states, next; ///< m, l, acc for a softmax; acc for a sum
  Value normaliser, accumulator;   ///< as states
  Value sink;                      ///< null: none
  int64_t queryTile;

  TileBody(AttendOp attend, int64_t queryTile);
};
} // namespace

/// `type` with the tiles' extents on t and s.
static RankedTensorType tiled(Type type, int64_t queryTile) {
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<int64_t> shape(tensor.getShape());
  for (auto [axis, extent] : llvm::zip(axesOf(type), shape))
    extent = axis.getValue() == timeAxis  ? queryTile
             : axis.getValue() == keyAxis ? keyTile
                                          : extent;
  return RankedTensorType::get(shape, tensor.getElementType(), tensor.getEncoding());
}

TileBody::TileBody(AttendOp attend, int64_t queryTile) : queryTile(queryTile) {
  auto tiled = [&](Type type) { return ::tiled(type, queryTile); };
  MLIRContext *context = attend.getContext();
  OpBuilder b(context);
  Location loc = attend.getLoc();
  IRMapping mapping;
  Block &body = attend->getRegion(0).front();
  SmallVector<Value> copies;
  for (BlockArgument argument : body.getArguments()) {
    copies.push_back(block.addArgument(tiled(argument.getType()), argument.getLoc()));
    mapping.map(argument, copies.back());
  }
  queryPosition = copies[0];
  keyPosition = copies[1];
  auto take = [&, next = 2u](size_t count) mutable {
    SmallVector<Value> values(copies.begin() + next, copies.begin() + next + count);
    next += count;
    return values;
  };
  queries = take(attend.getQueries().size());
  keys = take(attend.getKeys().size());
  shared = take(attend.getShared().size());
  b.setInsertionPointToEnd(&block);
  for (Operation &op : body.without_terminator()) {
    Operation *copy = b.clone(op, mapping);
    for (Value result : copy->getResults())
      result.setType(tiled(result.getType()));
  }
  auto yield = cast<YieldOp>(body.getTerminator());
  Value valid = mapping.lookup(yield.getOutputs()[0]);
  Value score = mapping.lookup(yield.getOutputs()[1]);
  Value value = mapping.lookup(yield.getOutputs()[2]);
  if (yield.getOutputs().size() > 3)
    sink = mapping.lookup(yield.getOutputs()[3]);

  auto f32 = b.getF32Type();
  auto scalar = [&](double x) -> Value {
    auto type = RankedTensorType::get({}, f32);
    return ConstantOp::create(b, loc, type, DenseElementsAttr::get(type, float(x)));
  };
  auto map = [&](MapKind kind, ValueRange operands) -> Value {
    return MapOp::create(b, loc, kind, operands);
  };
  if (attend.getCausal())
    valid = map(MapKind::And, {valid, map(MapKind::Le, {keyPosition, queryPosition})});
  if (attend.getWindow() > 0) {
    Value distance = map(MapKind::Sub, {queryPosition, keyPosition});
    valid = map(MapKind::And,
                {valid, map(MapKind::Lt, {distance, scalar(double(attend.getWindow()))})});
  }
  // Score and value reach every (t, s) of the tile, whatever they depend on themselves.
  if (!attend.getCausal() && attend.getWindow() <= 0) {
    Value distance = map(MapKind::Sub, {queryPosition, keyPosition});
    valid =
        map(MapKind::And,
            {valid, map(MapKind::Lt, {distance, scalar(std::numeric_limits<double>::infinity())})});
  }
  auto accType = withoutAxis(tiled(value.getType()), keyAxis);
  accType = unionType({tiled(attend.getType()), accType}, f32);
  auto pairUnion = unionType(
      {queryPosition.getType(), keyPosition.getType(), valid.getType(), score.getType()}, f32);
  auto rowType = withoutAxis(pairUnion, keyAxis);
  if (sink)
    rowType = unionType({rowType, sink.getType()}, f32);
  auto state = [&](RankedTensorType type) {
    states.push_back(block.addArgument(type, loc));
    return states.back();
  };
  StringRef overKeys[] = {keyAxis};
  if (attend.getKind() == OverKind::Sum) {
    Value acc = state(accType);
    Value term = map(MapKind::Select, {valid, value, scalar(0)});
    next = {map(MapKind::Add,
                {acc, ReduceOp::create(b, loc, ReduceKind::Sum, term, ArrayRef(overKeys))})};
    accumulator = acc;
    return;
  }
  Value m = state(rowType), l = state(rowType), acc = state(accType);
  Value lowest = scalar(-std::numeric_limits<double>::infinity());
  Value masked = map(MapKind::Select, {valid, score, lowest});
  Value highest = ReduceOp::create(b, loc, ReduceKind::Max, masked, ArrayRef(overKeys));
  Value newM = map(MapKind::Max, {m, highest});
  // Where no key was seen yet m' is -inf: the difference would be NaN, so it is replaced by 0
  // there.
  Value seen = map(MapKind::Ne, {newM, lowest});
  Value safeM = map(MapKind::Select, {seen, newM, scalar(0)});
  Value p = map(MapKind::Exp, {map(MapKind::Sub, {masked, safeM})});
  Value shrink = map(MapKind::Exp, {map(MapKind::Sub, {m, safeM})});
  Value newL =
      map(MapKind::Add, {map(MapKind::Mul, {l, shrink}),
                         ReduceOp::create(b, loc, ReduceKind::Sum, p, ArrayRef(overKeys))});
  Value sum = ContractOp::create(b, loc, p, value, ArrayRef(overKeys));
  Value newAcc = map(MapKind::Add, {map(MapKind::Mul, {acc, shrink}), sum});
  next = {newM, newL, newAcc};
  normaliser = l;
  accumulator = acc;
}

namespace {
/// The rows of one work item: a sequence, and its part of the shared axis.
struct Item {
  Value sequence, first, last, before, total; ///< total: tokens with this piece's
  IndexRanges ranges;
};

/// Emits one tile of queries after the other.
class TileEmitter {
public:
  TileEmitter(KernelFrame &frame, AttendOp attend, const Item &item, StringAttr outer,
              int64_t queryTile, bool queriesInLanes)
      : frame(frame), nest(frame.nest), attend(attend), item(item), outer(outer),
        inner(queriesInLanes ? StringAttr::get(attend.getContext(), timeAxis) : StringAttr()),
        tile(attend, queryTile), loc(attend.getLoc()) {}

  int64_t queryTile() const { return tile.queryTile; }
  /// The queries of rows [row, row + count).
  LogicalResult emit(Value row, Value count);

private:
  void allocate();
  LogicalResult begin(Value row, Value queryStart);
  LogicalResult copyFactors(const IndexRanges &keyRanges);
  LogicalResult emitKeys(Value keyRow, Value keyEnd, Value queryStart);
  LogicalResult finish(Value row);

  KernelFrame &frame;
  Nest &nest;
  AttendOp attend;
  const Item &item;
  StringAttr outer, inner;
  TileBody tile;
  Location loc;
  IndexRanges ranges;
  SmallVector<Buffer> stateBuffers, queryBuffers;
};
} // namespace

void TileEmitter::allocate() {
  Program allocator(nest, frame.scratch, outer, inner);
  for (Value state : tile.states)
    stateBuffers.push_back(allocator.allocate(state, Env(), item.ranges));
  if (inner)
    for (Value query : tile.queries)
      queryBuffers.push_back(allocator.allocate(query, Env(), item.ranges));
}

/// The queries where they are wanted in lanes, and the states of a tile that has seen no key.
LogicalResult TileEmitter::begin(Value row, Value queryStart) {
  OpBuilder &b = nest.builder();
  auto queryAxis = b.getStringAttr(timeAxis);
  AffineExpr time = nest.openDim(row);
  for (auto [value, input] : llvm::zip(tile.queries, attend.getQueries()))
    nest.bindSlice(value, input, time, queryAxis);
  for (auto [value, input] : llvm::zip(tile.shared, attend.getShared()))
    nest.bindSlice(value, input, time, StringAttr());
  for (auto [value, buffer] : llvm::zip(tile.queries, queryBuffers)) {
    if (failed(nest.emitInto(value, buffer, Env(), ranges)))
      return failure();
    nest.bind(value, buffer);
  }
  nest.bindPosition(tile.queryPosition, queryStart);
  for (auto [i, state] : llvm::enumerate(tile.states)) {
    // m starts at -inf, sums at 0; after a sink m is that and l 1.
    bool isMaximum = attend.getKind() == OverKind::Softmax && i == 0;
    bool isOne = tile.sink && state == tile.normaliser;
    auto type = cast<RankedTensorType>(state.getType());
    float first = isMaximum ? -std::numeric_limits<float>::infinity() : isOne ? 1.0f : 0.0f;
    OpBuilder constants(b.getContext());
    constants.setInsertionPointToStart(&tile.block);
    Value start = ConstantOp::create(constants, loc, type, DenseElementsAttr::get(type, first));
    if (isMaximum && tile.sink) {
      constants.setInsertionPointToEnd(&tile.block);
      start = MapOp::create(constants, loc, MapKind::Max, ValueRange{start, tile.sink});
    }
    if (failed(nest.emitInto(start, stateBuffers[i], Env(), ranges)))
      return failure();
  }
  return success();
}

/// What a product takes of the keys, as one dense block: in the cache other heads lie between one
/// token's and the next one's. Copying fetches them all at once, from wherever they are, and leaves
/// them where the product's rows do not displace each other.
LogicalResult TileEmitter::copyFactors(const IndexRanges &keyRanges) {
  Program allocator(nest, frame.scratch, outer);
  auto isFactor = [](Value value) {
    return llvm::any_of(value.getUsers(), llvm::IsaPred<ContractOp>);
  };
  for (Value key : tile.keys) {
    SmallVector<Value> factors;
    if (isFactor(key))
      factors.push_back(key);
    else
      for (Operation *user : key.getUsers())
        if (isa<ViewOp>(user) && isFactor(user->getResult(0)))
          factors.push_back(user->getResult(0));
    for (Value factor : factors) {
      Buffer buffer = allocator.allocate(factor, Env(), keyRanges);
      if (failed(nest.emitInto(factor, buffer, Env(), keyRanges)))
        return failure();
      nest.bind(factor, buffer);
    }
  }
  return success();
}

/// One step of the softmax with the keys [keyRow, keyEnd), a tile of them at most.
LogicalResult TileEmitter::emitKeys(Value keyRow, Value keyEnd, Value queryStart) {
  OpBuilder &b = nest.builder();
  auto key = b.getStringAttr(keyAxis);
  Value keyCount = arith::MinSIOp::create(b, loc, nest.i64(keyTile),
                                          arith::SubIOp::create(b, loc, keyEnd, keyRow));
  IndexRanges keyRanges = ranges;
  keyRanges[key] = IndexRange{nest.i64(0), keyCount, std::nullopt};
  nest.bindPosition(tile.queryPosition, queryStart);
  nest.bindPosition(tile.keyPosition, keyRow);
  for (auto [i, value] : llvm::enumerate(tile.keys)) {
    Value cache = frame.state(i);
    Value slot = arith::RemUIOp::create(b, loc, keyRow, frame.cacheCapacity(item.sequence, cache));
    Buffer whole = frame.inputBuffer(cast<BlockArgument>(attend.getKeys()[i]).getArgNumber());
    whole.base = frame.cacheBase(item.sequence, cache);
    nest.bind(value, frame.fromRow(whole, cast<RankedTensorType>(attend.getKeys()[i].getType()),
                                   slot, key));
  }
  int64_t mark = frame.scratch.mark();
  if (inner && failed(copyFactors(keyRanges)))
    return failure();
  Program program(nest, frame.scratch, outer, inner);
  for (auto [i, state] : llvm::enumerate(tile.states)) {
    nest.bind(state, stateBuffers[i]);
    program.addState(state, tile.next[i], stateBuffers[i]);
  }
  SmallVector<Operation *> ops;
  for (Operation &op : tile.block)
    ops.push_back(&op);
  LogicalResult result = program.emit(ops, Env(), keyRanges);
  frame.scratch.release(mark);
  return result;
}

/// y = acc / l, and 0 for a query that saw no key.
LogicalResult TileEmitter::finish(Value row) {
  OpBuilder tail(attend.getContext());
  tail.setInsertionPointToEnd(&tile.block);
  Value out = tile.accumulator;
  for (auto [i, state] : llvm::enumerate(tile.states))
    nest.bind(state, stateBuffers[i]);
  if (tile.normaliser) {
    auto scalarType = RankedTensorType::get({}, tail.getF32Type());
    Value zero =
        ConstantOp::create(tail, loc, scalarType, DenseElementsAttr::get(scalarType, 0.0f));
    Value some = MapOp::create(tail, loc, MapKind::Ne, ValueRange{tile.normaliser, zero});
    Value ratio =
        MapOp::create(tail, loc, MapKind::Div, ValueRange{tile.accumulator, tile.normaliser});
    out = MapOp::create(tail, loc, MapKind::Select, ValueRange{some, ratio, zero});
  }
  auto queryAxis = tail.getStringAttr(timeAxis);
  Buffer target = frame.fromRow(frame.outputBuffer(0), cast<RankedTensorType>(attend.getType()),
                                row, queryAxis);
  return nest.emitInto(out, target, Env(), ranges);
}

LogicalResult TileEmitter::emit(Value row, Value count) {
  OpBuilder &b = nest.builder();
  int64_t mark = frame.scratch.mark();
  ranges = item.ranges;
  ranges[b.getStringAttr(timeAxis)] = IndexRange{nest.i64(0), count, std::nullopt};
  allocate();
  Value since = arith::SubIOp::create(b, loc, row, item.first);
  Value queryStart = arith::AddIOp::create(b, loc, item.before, since);
  if (failed(begin(row, queryStart)))
    return failure();
  Value keyEnd = item.total, keyStart = nest.i64(0);
  if (attend.getCausal())
    keyEnd = arith::AddIOp::create(b, loc, queryStart, count);
  if (attend.getWindow() > 0) {
    // The tile's first query reaches back furthest. Starts are whole tiles, so that no tile wraps
    // in the ring.
    Value reach = arith::SubIOp::create(b, loc, queryStart, nest.i64(attend.getWindow() - 1));
    Value bounded = arith::MaxSIOp::create(b, loc, reach, nest.i64(0));
    keyStart = arith::MulIOp::create(
        b, loc, arith::DivUIOp::create(b, loc, bounded, nest.i64(keyTile)), nest.i64(keyTile));
  }
  LogicalResult result = success();
  nest.forLoop(keyStart, keyEnd, keyTile,
               [&](Value keyRow) { result = emitKeys(keyRow, keyEnd, queryStart); });
  if (succeeded(result))
    result = finish(row);
  frame.scratch.release(mark);
  return result;
}

LogicalResult cpu::emitAttend(KernelFrame &frame, AttendOp attend, KernelRecord &record) {
  if (frame.kernel.getBody().front().getTerminator()->getOperands() !=
      ValueRange{attend.getResult()})
    return attend.emitOpError("expects the kernel to return exactly its result");
  Nest &nest = frame.nest;
  OpBuilder &b = nest.builder();
  Location loc = attend.getLoc();

  Sharing sharing;
  {
    TileBody tile(attend, fewQueries);
    Block *bodies[] = {&attend->getRegion(0).front()};
    for (StringAttr axis : axesOf(attend.getType()))
      if (!sharing.axis && axis.getValue() != timeAxis && isParallel(axis, bodies) &&
          llvm::all_of(tile.states,
                       [&](Value s) { return llvm::is_contained(axesOf(s.getType()), axis); })) {
        sharing.axis = axis;
        sharing.extent = extentOf(attend.getType(), axis.getValue());
        // The innermost axis is the one that runs in lanes.
        if (axis == axesOf(attend.getType()).back())
          sharing.block = std::min(sharing.extent, laneBlock);
      }
  }
  bool sharesLanes = sharing.block > 1;
  StringAttr outer = sharesLanes ? StringAttr() : sharing.axis;
  record.per = KernelRecord::Per::Sequences;
  record.factor = sharing.blocks();

  frame.bindArguments();
  LogicalResult result = success();
  // These outlive the nest's use of their bodies' values.
  Item item;
  TileEmitter few(frame, attend, item, outer, fewQueries, false);
  TileEmitter many(frame, attend, item, outer, manyQueries, true);
  nest.forLoop(frame.begin(), frame.end(), 1, [&](Value number) {
    item.sequence = arith::DivUIOp::create(b, loc, number, nest.i64(sharing.blocks()));
    Value part = arith::RemUIOp::create(b, loc, number, nest.i64(sharing.blocks()));
    if (sharing.axis) {
      Value lo = arith::MulIOp::create(b, loc, part, nest.i64(sharing.block));
      IndexRange range{lo, nest.after(lo, sharing.block), sharing.block};
      if (sharing.extent % sharing.block)
        range = IndexRange{lo, arith::MinSIOp::create(b, loc, range.hi, nest.i64(sharing.extent)),
                           std::nullopt};
      item.ranges[sharing.axis] = range;
    }
    item.first = frame.firstRow(item.sequence);
    item.last = frame.endRow(item.sequence);
    item.before = frame.position(item.sequence);
    frame.bindPositions(item.sequence);
    item.total = arith::AddIOp::create(b, loc, item.before,
                                       arith::SubIOp::create(b, loc, item.last, item.first));

    auto overQueries = [&](TileEmitter &emitter, Value from, Value to) {
      nest.forLoop(from, to, emitter.queryTile(), [&](Value row) {
        Value left = arith::SubIOp::create(b, loc, to, row);
        Value count = arith::MinSIOp::create(b, loc, nest.i64(emitter.queryTile()), left);
        if (succeeded(result))
          result = emitter.emit(row, count);
      });
    };
    Value middle = item.first;
    if (!sharesLanes) {
      // A last tile that fills half a vector is worth its lanes.
      Value length = arith::SubIOp::create(b, loc, item.last, item.first);
      Value rest = arith::RemUIOp::create(b, loc, length, nest.i64(manyQueries));
      Value worth = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, rest,
                                          nest.i64(nest.isa().lanes / 2));
      middle = arith::SelectOp::create(b, loc, worth, item.last,
                                       arith::SubIOp::create(b, loc, item.last, rest));
      overQueries(many, item.first, middle);
    }
    overQueries(few, middle, item.last);
  });
  return result;
}

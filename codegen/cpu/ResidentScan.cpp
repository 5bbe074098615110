//===- ResidentScan.cpp - Token loops whose states stay in registers ------===//
//
// See ResidentScan.h. Sound because no value of the body depends on another index of the lanes or
// of the axes around them: each vector of lanes runs through all tokens before the next one begins.
// All other axes are unrolled, so that every element of a state has a register; a sum over them is
// a chain of multiply-adds. Parts of an axis: the outputs are sums along it, which add up, and
// their memory holds what the parts so far come to; what ends an output is computed by the last
// part.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/ResidentScan.h"

#include "dialect/Axes.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

/// The product of the extents of `axes` that `runs` does not hold.
static int64_t unrolled(ArrayRef<StringAttr> axes, Type type, ArrayRef<StringAttr> runs) {
  int64_t count = 1;
  for (StringAttr axis : axes)
    if (axis.getValue() != timeAxis && !llvm::is_contained(runs, axis))
      count *= extentOf(type, axis.getValue());
  return count;
}

/// An axis of all states that a token mixes in no other way than by the sums that it yields; null
/// where there is none.
static StringAttr summedAxis(ScanOp scan, ArrayRef<StringAttr> free) {
  Block &token = scan.getToken().front();
  auto yield = cast<YieldOp>(token.getTerminator());
  auto isSum = [&](Operation &op) {
    auto reduce = dyn_cast<ReduceOp>(op);
    return (isa<ContractOp>(op) || (reduce && reduce.getKind() == ReduceKind::Sum)) &&
           op.hasOneUse() && llvm::is_contained(yield.getOutputs(), op.getResult(0));
  };
  for (StringAttr axis : axesOf(scan.getInits().front().getType())) {
    auto has = [&](Value state) { return llvm::is_contained(axesOf(state.getType()), axis); };
    auto isFit = [&](Operation &op) { return !exchangesAlong(axis, &op) || isSum(op); };
    auto isOfSums = [&](Value output) {
      Operation *op = output.getDefiningOp();
      return op && isSum(*op) && exchangesAlong(axis, op);
    };
    if (!llvm::is_contained(free, axis) && llvm::all_of(scan.getInits(), has) &&
        llvm::all_of(token, isFit) && llvm::all_of(yield.getOutputs(), isOfSums))
      return axis;
  }
  return StringAttr();
}

std::optional<Residency> cpu::planResidency(ScanOp scan, const Isa &target) {
  Block &token = scan.getToken().front();
  Block *body = &token;
  if (scan.getInits().empty() || scan.getEvery())
    return std::nullopt;
  // Elementwise work and sums alone: the rest needs memory.
  for (Operation &op : token.without_terminator())
    if (!isa_and_nonnull<MapOp, ViewOp, ConstantOp, IndexOp, ContractOp, ReduceOp>(&op))
      return std::nullopt;
  Residency result;
  int64_t best = -1;
  SmallVector<StringAttr> free;
  for (StringAttr axis : axesOf(scan.getInits().front().getType())) {
    auto everywhere = [&](ValueRange values) {
      return llvm::all_of(values,
                          [&](Value v) { return llvm::is_contained(axesOf(v.getType()), axis); });
    };
    if (!everywhere(scan.getInits()) || !everywhere(scan.getOutputs()) || !isParallel(axis, body))
      continue;
    free.push_back(axis);
    // Lanes should be consecutive in what is read and written at every token.
    int64_t consecutive = 0;
    auto count = [&](ValueRange values) {
      for (Value v : values)
        consecutive += isPerToken(v.getType()) && axesOf(v.getType()).back() == axis;
    };
    count(scan.getInputs());
    count(scan.getOutputs());
    if (2 * extentOf(scan.getInits().front().getType(), axis.getValue()) >= target.lanes &&
        consecutive > best) {
      best = consecutive;
      result.lanes = axis;
    }
  }
  if (best <= 0)
    return std::nullopt;
  for (StringAttr axis : free)
    if (axis != result.lanes)
      result.outer.push_back(axis);
  for (Value init : scan.getInits())
    result.registers += unrolled(axesOf(init.getType()), init.getType(), free);
  // Half of the registers: the other half computes.
  constexpr int64_t mostRegisters = 16, mostOps = 1024;
  int64_t ops = 0;
  for (Operation &op : token.without_terminator()) {
    int64_t count = 1, cost = 1;
    if (auto map = dyn_cast<MapOp>(op)) {
      count = unrolled(axesOf(map.getType()), map.getType(), free);
      cost = costOf(map);
    } else if (isa<ContractOp, ReduceOp>(op)) {
      SmallVector<StringAttr> seen(free);
      for (Value operand : op.getOperands()) {
        count *= unrolled(axesOf(operand.getType()), operand.getType(), seen);
        llvm::append_range(seen, axesOf(operand.getType()));
      }
    }
    ops += count * cost;
  }
  if (result.registers <= mostRegisters && ops <= mostOps)
    return result;
  constexpr int64_t mostParts = 16;
  result.parted = summedAxis(scan, free);
  if (!result.parted)
    return std::nullopt;
  int64_t extent = extentOf(scan.getInits().front().getType(), result.parted.getValue());
  int64_t perIndex = result.registers / extent;
  int64_t parts = std::max(llvm::divideCeil(extent, std::max<int64_t>(1, mostRegisters / perIndex)),
                           llvm::divideCeil(ops, mostOps));
  result.partSize = int64_t(llvm::divideCeil(extent, parts));
  result.registers = perIndex * result.partSize;
  if (parts > mostParts || result.registers > mostRegisters)
    return std::nullopt;
  return result;
}

namespace {
/// The indices [lo, hi) of the parted axis.
struct Part {
  StringAttr axis;
  int64_t lo = 0, hi = 0;
  bool isFirst = true, isLast = true;
};
} // namespace

/// Every index of the axes of `type` that `env` does not fix, of the parted one those of `part`, as
/// constants in a copy of `env`.
static SmallVector<Env> unroll(Type type, const Env &env, const Part &part) {
  SmallVector<Env> all{env};
  for (StringAttr axis : axesOf(type)) {
    if (env.contains(axis))
      continue;
    bool isParted = axis == part.axis;
    int64_t lo = isParted ? part.lo : 0, hi = isParted ? part.hi : extentOf(type, axis.getValue());
    SmallVector<Env> next;
    for (const Env &e : all)
      for (int64_t i = lo; i < hi; ++i) {
        next.push_back(e);
        next.back().set(axis, getAffineConstantExpr(i, axis.getContext()));
      }
    all = std::move(next);
  }
  return all;
}

LogicalResult cpu::emitResident(KernelFrame &frame, ScanOp scan, const Residency &residency,
                                const IndexRanges &ranges, ArrayRef<Buffer> stateBuffers,
                                ArrayRef<Ending> endings, Value first, Value last) {
  Nest &nest = frame.nest;
  Block &body = scan.getToken().front();
  auto yield = cast<YieldOp>(body.getTerminator());
  unsigned inputs = scan.getInputs().size(), states = scan.getInits().size();
  Value state = scan.getInits().front();
  Type stateType = state.getType();
  auto time = StringAttr::get(scan.getContext(), timeAxis);

  // What no token changes is laid out once so that a vector of lanes is one load.
  int64_t mark = frame.scratch.mark();
  for (auto [i, input] : llvm::enumerate(scan.getInputs())) {
    Value argument = body.getArgument(i);
    auto axes = axesOf(input.getType());
    auto stored = dyn_cast<BlockArgument>(input);
    bool packed = stored && frame.inputLayout(stored.getArgNumber()) != "rows";
    bool strided = !packed && !isPerToken(input.getType()) && axes.size() > 1 &&
                   llvm::is_contained(axes, residency.lanes) && axes.back() != residency.lanes;
    nest.bindSlice(argument, input, nest.openDim(first), StringAttr());
    if (!strided)
      continue;
    SmallVector<StringAttr> order;
    for (StringAttr axis : axes)
      if (axis != residency.lanes)
        order.push_back(axis);
    order.push_back(residency.lanes);
    SmallVector<int64_t> extents;
    int64_t count = 1;
    for (StringAttr axis : order) {
      extents.push_back(extentOf(input.getType(), axis.getValue()));
      count *= extents.back();
    }
    Buffer copy = nest.rowMajor(frame.scratch.allocate(nest, count * int64_t(sizeof(float))), order,
                                extents, getElementTypeOrSelf(input.getType()));
    if (failed(nest.emitInto(input, copy, Env(), ranges)))
      return failure();
    nest.bind(argument, copy);
  }

  // A token's numbers of a few lanes are a line or two of each row, too far apart for the processor
  // to foresee them.
  auto prefetch = [&](ArrayRef<Env> at, Value row) {
    constexpr int64_t tokensAhead = 12;
    AffineExpr ahead = nest.openDim(nest.after(row, tokensAhead));
    auto ask = [&](const Buffer &buffer) {
      if (!llvm::is_contained(buffer.axes, time) ||
          !llvm::is_contained(buffer.axes, residency.lanes))
        return;
      for (Env env : at) {
        env.set(time, ahead);
        if (llvm::all_of(buffer.axes, [&](StringAttr axis) { return env.contains(axis); }))
          nest.prefetch(buffer, env);
      }
    };
    for (unsigned i = 0; i < frame.kernel.getNumArguments(); ++i)
      if (isPerToken(frame.kernel.getArgument(i).getType()))
        ask(frame.inputBuffer(i));
    for (const Ending &ending : endings)
      ask(frame.outputBuffer(ending.place));
  };

  LogicalResult result = success();
  // One or more vectors of lanes through all tokens: a chain of dependent operations from token to
  // token leaves most of the machine idle where the states are few.
  auto walk = [&](ArrayRef<Env> at, const Part &part) -> LogicalResult {
    SmallVector<Value> init;
    for (const Env &env : at)
      for (unsigned i = 0; i < states; ++i)
        for (const Env &e : unroll(scan.getInits()[i].getType(), env, part))
          init.push_back(nest.broadcast(nest.load(stateBuffers[i], e)));
    SmallVector<Value> final =
        nest.forLoop(first, last, 1, init, [&](Value row, ValueRange carried) {
          AffineExpr now = nest.openDim(row);
          prefetch(at, row);
          for (auto [i, input] : llvm::enumerate(scan.getInputs()))
            nest.bindSlice(body.getArgument(i), input, now, StringAttr());
          SmallVector<Value> next;
          unsigned place = 0;
          for (const Env &env : at)
            for (unsigned i = 0; i < states; ++i)
              for (const Env &e : unroll(scan.getInits()[i].getType(), env, part))
                nest.know(body.getArgument(inputs + i), e, carried[place++]);
          for (const Env &env : at)
            for (unsigned i = 0; i < states; ++i)
              for (const Env &e : unroll(scan.getInits()[i].getType(), env, part)) {
                FailureOr<Value> value = nest.evaluate(yield.getStates()[i], e);
                if (failed(value))
                  result = failure();
                next.push_back(succeeded(value) ? nest.broadcast(*value)
                                                : Value(carried[next.size()]));
              }
          for (const Env &env : at)
            for (auto [i, value] : llvm::enumerate(yield.getOutputs()))
              for (const Env &e : unroll(value.getType(), env, part)) {
                FailureOr<Value> output = nest.evaluate(value, e);
                if (failed(output)) {
                  result = failure();
                  continue;
                }
                Env place = e;
                place.set(time, now);
                Buffer target = frame.outputBuffer(endings[i].place);
                if (!part.isFirst)
                  output = nest.math().add(nest.broadcast(nest.load(target, place)),
                                           nest.broadcast(*output));
                if (!part.isLast) {
                  nest.store(*output, target, place);
                  continue;
                }
                nest.know(scan.getOutputs()[i], place, *output);
                FailureOr<Value> ended = nest.evaluate(endings[i].value, place);
                if (failed(ended)) {
                  result = failure();
                  continue;
                }
                nest.store(*ended, target, place);
              }
          return next;
        });
    unsigned place = 0;
    for (const Env &env : at)
      for (unsigned i = 0; i < states; ++i)
        for (const Env &e : unroll(scan.getInits()[i].getType(), env, part))
          nest.store(final[place++], stateBuffers[i], e);
    return result;
  };

  std::function<LogicalResult(unsigned, Env)> level = [&](unsigned depth,
                                                          Env here) -> LogicalResult {
    if (depth < residency.outer.size())
      return nest.overAxis(residency.outer[depth], state, here, ranges,
                           [&](const Env &inner) { return level(depth + 1, inner); });
    int64_t extent = extentOf(stateType, residency.lanes.getValue());
    int64_t vectors = std::clamp<int64_t>(8 / residency.registers, 1, 4);
    return nest.overLanes(
        nest.rangeOf(residency.lanes, state, ranges), vectors,
        [&](Value base, int64_t count, bool) -> LogicalResult {
          SmallVector<Env> at(count, here);
          for (int64_t j = 0; j < count; ++j)
            at[j].set(residency.lanes,
                      nest.openDim(nest.after(base, j * nest.isa().lanes), extent, /*lanes=*/true));
          if (!residency.parted)
            return walk(at, Part());
          int64_t extent = extentOf(stateType, residency.parted.getValue());
          for (int64_t lo = 0; lo < extent; lo += residency.partSize) {
            int64_t hi = std::min(lo + residency.partSize, extent);
            nest.sumOnly(residency.parted, lo, hi);
            LogicalResult walked = walk(at, Part{residency.parted, lo, hi, lo == 0, hi == extent});
            nest.sumOnly(StringAttr(), 0, 0);
            if (failed(walked))
              return failure();
          }
          return success();
        });
  };
  LogicalResult done = level(0, Env());
  for (unsigned i = 0; i < inputs; ++i)
    nest.unbind(body.getArgument(i));
  frame.scratch.release(mark);
  return done;
}

//===- ScanKernel.cpp - A recurrence over the tokens of a sequence --------===//
//
// A work item is one sequence and one block of an axis along which the recurrence exchanges nothing
// (heads, channels). It walks the sequence's tokens of this piece in order, whole blocks of `chunk`
// tokens by the scan's block body and the ragged rest by its token body; the states stay in the
// sequence's state block and are updated in place. Sound because both bodies mean the same
// (dialect/RondoOps.td, scan).
//
// With `every`, the piece is cut where a group of tokens ends, counted from the sequence's first
// token, and the states are copied aside where one begins. Blocks may begin anywhere in a group;
// they end in it.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/ResidentScan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include <numeric>

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

/// The axis shared out among work items: of those in every state and output that nothing is
/// exchanged along, the first.
static Sharing shareScan(ScanOp scan, ArrayRef<Block *> bodies) {
  Sharing sharing;
  for (StringAttr axis : axesOf(scan.getInits().front().getType())) {
    auto everywhere = [&](ValueRange values) {
      return llvm::all_of(values,
                          [&](Value v) { return llvm::is_contained(axesOf(v.getType()), axis); });
    };
    if (!everywhere(scan.getInits()) || !everywhere(scan.getOutputs()) || !isParallel(axis, bodies))
      continue;
    sharing.axis = axis;
    sharing.extent = extentOf(scan.getInits().front().getType(), axis.getValue());
    // A block is worth a few thousand state elements, and a multiple of the longest vector unless
    // it is single indices.
    int64_t perIndex = 0;
    for (Value init : scan.getInits())
      perIndex += elementsPerToken(init.getType()) / sharing.extent;
    constexpr int64_t enough = 2048, lanes = 16;
    if (perIndex < enough)
      sharing.block = std::min(
          sharing.extent, (enough / std::max<int64_t>(1, perIndex) + lanes - 1) / lanes * lanes);
    return sharing;
  }
  return sharing;
}

namespace {
/// A work item's part of a per-token value: of each row, a run of numbers for each index of the
/// axes before the shared one.
struct RowPart {
  Buffer buffer;
  Value first; ///< of the runs, in elements
  int64_t rowBytes, runs, runBytes;
};

/// Emits one body at some rows.
struct BodyEmitter {
  KernelFrame &frame;
  ScanOp scan;
  const Sharing &sharing;
  const IndexRanges &ranges;
  ArrayRef<Buffer> stateBuffers;
  ArrayRef<Ending> endings;

  /// `count` = 0: the token body at `row`; otherwise the block body at rows [row, row + count).
  LogicalResult emit(Region &region, Value row, int64_t count) {
    Nest &nest = frame.nest;
    Block &body = region.front();
    auto blockTokens = StringAttr::get(scan.getContext(), blockAxis);
    unsigned inputs = scan.getInputs().size();
    AffineExpr time = nest.openDim(row);
    for (auto [i, input] : llvm::enumerate(scan.getInputs()))
      nest.bindSlice(body.getArgument(i), input, time,
                     count && isPerToken(input.getType()) ? blockTokens : StringAttr());
    int64_t mark = frame.scratch.mark();
    Program program(nest, frame.scratch, sharing.axis);
    auto yield = cast<YieldOp>(body.getTerminator());
    unsigned states = scan.getInits().size();
    for (unsigned i = inputs + states; i < body.getNumArguments(); ++i)
      nest.bind(body.getArgument(i), stateBuffers[i - inputs]);
    for (auto [i, next] : llvm::enumerate(yield.getStates())) {
      Value old = body.getArgument(inputs + i);
      nest.bind(old, stateBuffers[i]);
      program.addState(old, next, stateBuffers[i]);
    }
    for (auto [i, value] : llvm::enumerate(yield.getOutputs())) {
      auto type = cast<RankedTensorType>(scan.getOutputs()[i].getType());
      Buffer whole = frame.outputBuffer(endings[i].place);
      program.addTarget(value, count ? frame.fromRow(whole, type, row, blockTokens)
                                     : frame.atRow(whole, type, row));
    }
    SmallVector<Operation *> ops;
    for (Operation &op : body.without_terminator())
      ops.push_back(&op);
    bool apart = count && collides(count);
    if (apart)
      for (auto [i, input] : llvm::enumerate(scan.getInputs()))
        if (isPerToken(input.getType())) {
          Value rows = body.getArgument(i);
          Buffer copy = program.allocate(rows, Env(), ranges);
          if (failed(nest.emitInto(rows, copy, Env(), ranges)))
            return failure();
          nest.bind(rows, copy);
        }
    if (count)
      prefetch(body, nest.after(row, count), count, apart);
    LogicalResult result = program.emit(ops, Env(), ranges);
    nest.besides({});
    if (apart)
      for (unsigned i = 0; i < inputs; ++i)
        nest.unbind(body.getArgument(i));
    frame.scratch.release(mark);
    if (failed(result))
      return failure();
    // The row was written as the scan has it: what ends it is done in place.
    Env now;
    now.set(StringAttr::get(scan.getContext(), timeAxis), time);
    for (auto [output, ending] : llvm::zip(scan.getOutputs(), endings)) {
      if (ending.value == output)
        continue;
      Buffer whole = frame.outputBuffer(ending.place);
      nest.bind(output, whole);
      result = nest.emitInto(ending.value, whole, now, ranges);
      nest.unbind(output);
      if (failed(result))
        return failure();
    }
    return success();
  }

  RowPart partOf(const Buffer &buffer, RankedTensorType type) {
    Nest &nest = frame.nest;
    OpBuilder &b = nest.builder();
    int64_t bytes = buffer.element.getIntOrFloatBitWidth() / 8;
    int64_t runs = 1, length = 1, behind = 1;
    Value first = nest.i64(0);
    for (StringAttr axis : ArrayRef(buffer.axes).drop_front()) {
      int64_t extent = extentOf(type, axis.getValue());
      length *= extent;
      behind *= extent;
      if (axis != sharing.axis)
        continue;
      runs = length / extent;
      length = std::min(sharing.block, extent);
      behind = 1;
      if (auto it = ranges.find(axis); it != ranges.end())
        first = it->second.lo;
    }
    first = arith::MulIOp::create(b, scan.getLoc(), first, nest.i64(behind));
    return RowPart{buffer, first, elementsPerToken(type) * bytes, runs, length * bytes};
  }

  /// Vectors of multiply-adds in the sums of `body`.
  int64_t sumsOf(Block &body) {
    int64_t total = 0;
    for (auto contract : body.getOps<ContractOp>()) {
      int64_t count = 1;
      SmallVector<StringAttr> seen;
      for (Value operand : contract->getOperands())
        for (StringAttr axis : axesOf(operand.getType()))
          if (!llvm::is_contained(seen, axis)) {
            seen.push_back(axis);
            count *=
                axis == sharing.axis ? sharing.block : extentOf(operand.getType(), axis.getValue());
          }
      total += count;
    }
    return total / frame.nest.isa().lanes;
  }

  /// Whether the rows of a block lie in so few sets of the innermost cache (64 sets of 64 bytes
  /// in every CPU of these levels) that they drive each other and the states out of it: rows at
  /// a distance of a multiple of 4096 bytes, as powers of two make it, are all in the same. Such
  /// rows are copied side by side, and asked ahead into the next cache, which has more sets. Not
  /// where a set holds most of them, nor where the states alone take more than half of the
  /// smallest such cache: copying would cost more than it saves.
  bool collides(int64_t count) {
    constexpr int64_t sets = 4096, most = 24, cache = 16384;
    int64_t inOneSet = 0, states = 0;
    auto bytesOf = [](Type type) {
      return elementsPerToken(type) * elementTypeOf(type).getIntOrFloatBitWidth() / 8;
    };
    auto add = [&](Type type) {
      if (!isPerToken(type))
        return;
      int64_t period = sets / std::gcd(bytesOf(type), sets);
      inOneSet += (count + period - 1) / period;
    };
    for (Value input : scan.getInputs())
      add(input.getType());
    for (Value output : scan.getOutputs())
      add(output.getType());
    for (Value init : scan.getInits())
      states += bytesOf(init.getType()) / sharing.blocks();
    return inOneSet > most && states <= cache;
  }

  /// A line of each row: of which part, and where in the row.
  struct Line {
    RowPart part;
    int64_t at;
  };

  /// What the body of `count` rows reads and writes of each.
  SmallVector<Line> linesOf(int64_t count) {
    constexpr int64_t line = 64, mostLines = 512;
    SmallVector<Line> lines;
    auto add = [&](const Buffer &buffer, Type type) {
      RowPart part = partOf(buffer, cast<RankedTensorType>(type));
      if (part.runs * part.runBytes * count > mostLines * line)
        return;
      for (int64_t run = 0; run < part.runs; ++run)
        for (int64_t at = 0; at < part.runBytes; at += line)
          lines.push_back({part, run * (part.rowBytes / part.runs) + at});
    };
    for (Value input : scan.getInputs())
      if (const Buffer *buffer = frame.nest.bufferOf(input); buffer && isPerToken(input.getType()))
        add(*buffer, input.getType());
    for (auto [i, output] : llvm::enumerate(scan.getOutputs()))
      add(frame.outputBuffer(endings[i].place), output.getType());
    return lines;
  }

  /// Asks, beside the sums of `body`, for what the body of the rows [row, row + count) will read
  /// and write: rows of one head are too far apart for the processor to foresee them. Evenly: a
  /// core waits for some twenty lines at once, and what asks for more holds up the work behind it.
  /// Where the lines are is written down before, so that asking is a few instructions. `far`: not
  /// into the innermost cache.
  void prefetch(Block &body, Value row, int64_t count, bool far) {
    Nest &nest = frame.nest;
    OpBuilder &b = nest.builder();
    Location loc = scan.getLoc();
    SmallVector<Line> lines = linesOf(count);
    int64_t sums = sumsOf(body), asks = int64_t(lines.size()) * count;
    if (asks == 0 || sums == 0)
      return;
    // Together: a line of as many rows as come to a register tile's sums over a short block.
    constexpr int64_t tile = 128;
    int64_t together = 1;
    while (together < 4 && count % (2 * together) == 0 && tile * asks >= together * sums * 3 / 2)
      together *= 2;
    int64_t groups = asks / together;
    Value next = frame.onStack(b.getI64Type(), 1), starts = frame.onStack(b.getI64Type(), groups),
          strides = frame.onStack(b.getI64Type(), groups);
    auto entry = [&](Value table, Value index) {
      return nest.addressOf(table, index, b.getI64Type());
    };
    int64_t group = 0;
    for (const auto &[part, at] : lines) {
      Value start = nest.addressOf(part.buffer.base, part.first, part.buffer.element);
      Value offset = arith::MulIOp::create(b, loc, row, nest.i64(part.rowBytes));
      for (int64_t i = 0; i < count; i += together) {
        Value index = nest.i64(group);
        Value here =
            nest.addressOf(start, nest.after(offset, i * part.rowBytes + at), b.getI8Type());
        LLVM::StoreOp::create(b, loc, here, entry(starts, index));
        OpBuilder::InsertionGuard guard(b); // once a call of the kernel
        b.setInsertionPointAfter(strides.getDefiningOp());
        LLVM::StoreOp::create(b, loc, nest.i64(part.rowBytes), entry(strides, nest.i64(group)));
        ++group;
      }
    }
    LLVM::StoreOp::create(b, loc, nest.i64(0), next);
    // What comes next moves on by what a share of the sums is worth, in parts of a group, and an
    // eighth: all must be asked for before the sums are done, as a store that waits for its line
    // holds up all stores behind it.
    constexpr int64_t parts = 256, eighths = 9;
    int64_t every = std::max<int64_t>(1, sums / groups);
    auto ask = [=, this](int64_t work) {
      Nest &nest = frame.nest;
      OpBuilder &b = nest.builder();
      int64_t step = (work * groups * parts * eighths / 8 + sums - 1) / sums;
      auto load = [&](Type type, Value table, Value index) -> Value {
        return LLVM::LoadOp::create(b, loc, type, nest.addressOf(table, index, b.getI64Type()));
      };
      Value from = LLVM::LoadOp::create(b, loc, b.getI64Type(), next);
      Value first = arith::DivUIOp::create(b, loc, from, nest.i64(parts));
      for (int64_t i = 0; i < std::min<int64_t>(4, (step + parts - 1) / parts); ++i) {
        Value at = arith::MinSIOp::create(b, loc, nest.after(first, i), nest.i64(groups - 1));
        Value here = load(LLVM::LLVMPointerType::get(b.getContext()), starts, at),
              stride = load(b.getI64Type(), strides, at);
        for (int64_t of = 0; of < together; ++of) {
          LLVM::Prefetch::create(b, loc, here, /*rw=*/0, /*hint=*/far ? 2 : 3, /*cache=*/1);
          here = nest.addressOf(here, stride, b.getI8Type());
        }
      }
      LLVM::StoreOp::create(b, loc, nest.after(from, step), next);
    };
    nest.besides({every, ask});
  }

  /// Whole blocks, then token by token.
  LogicalResult emitRows(Value first, Value last) {
    Nest &nest = frame.nest;
    OpBuilder &b = nest.builder();
    Location loc = scan.getLoc();
    Region &token = scan.getToken(), &block = scan.getBlock();
    LogicalResult result = success();
    Value rest = first;
    if (!block.empty()) {
      int64_t chunk = scan.getChunk();
      Value length = arith::SubIOp::create(b, loc, last, first);
      Value whole = arith::MulIOp::create(
          b, loc, arith::DivUIOp::create(b, loc, length, nest.i64(chunk)), nest.i64(chunk));
      rest = arith::AddIOp::create(b, loc, first, whole);
      nest.forLoop(first, rest, chunk, [&](Value row) { result = emit(block, row, chunk); });
    }
    if (failed(result))
      return failure();
    if (block.empty())
      if (auto residency = planResidency(scan, nest.isa()))
        return emitResident(frame, scan, *residency, ranges, stateBuffers, endings, rest, last);
    nest.forLoop(rest, last, 1, [&](Value row) { result = emit(token, row, 0); });
    return result;
  }

  /// The rows of a piece whose first row is token `position` of its sequence, group by group.
  LogicalResult emitGroups(Value first, Value last, Value position) {
    Nest &nest = frame.nest;
    OpBuilder &b = nest.builder();
    Location loc = scan.getLoc();
    Value every = nest.i64(*scan.getEvery());
    Value inGroup = arith::RemUIOp::create(b, loc, position, every);
    Value origin = arith::SubIOp::create(b, loc, first, inGroup);
    Value groups =
        arith::CeilDivUIOp::create(b, loc, arith::SubIOp::create(b, loc, last, origin), every);
    // An empty piece begins no group.
    groups = arith::SelectOp::create(
        b, loc, arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, first, last), groups,
        nest.i64(0));
    LogicalResult result = success();
    nest.forLoop(nest.i64(0), groups, 1, [&](Value group) {
      Value begin =
          arith::AddIOp::create(b, loc, origin, arith::MulIOp::create(b, loc, group, every));
      Value lo = arith::MaxSIOp::create(b, loc, begin, first);
      Value hi = arith::MinSIOp::create(b, loc, arith::AddIOp::create(b, loc, begin, every), last);
      Value begins = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, begin, lo);
      nest.ifThen(begins, [&] { result = keepStarts(); });
      if (succeeded(result))
        result = emitRows(lo, hi);
    });
    return result;
  }

  LogicalResult keepStarts() {
    Program program(frame.nest, frame.scratch, sharing.axis);
    unsigned states = scan.getInits().size();
    for (unsigned i = 0; i < states; ++i) {
      Value state = scan.getToken().getArgument(scan.getInputs().size() + i);
      frame.nest.bind(state, stateBuffers[i]);
      program.addTarget(state, stateBuffers[states + i]);
    }
    return program.emit({}, Env(), ranges);
  }
};
} // namespace

/// Which result of the kernel each output of `scan` becomes; a value of null: none.
static SmallVector<Ending> endingsOf(func::FuncOp kernel, ScanOp scan) {
  SmallVector<Ending> endings(scan.getOutputs().size(), Ending{0, Value()});
  for (auto [place, value] :
       llvm::enumerate(kernel.getBody().front().getTerminator()->getOperands())) {
    auto outputs = scan.getOutputs();
    auto found = llvm::find(outputs, value);
    if (auto map = value.getDefiningOp<MapOp>())
      found = llvm::find_if(
          outputs, [&](Value output) { return llvm::is_contained(map.getInputs(), output); });
    if (found != outputs.end())
      endings[size_t(found - outputs.begin())] = Ending{unsigned(place), value};
  }
  return endings;
}

LogicalResult cpu::emitScan(KernelFrame &frame, ScanOp scan, KernelRecord &record) {
  SmallVector<Ending> endings = endingsOf(frame.kernel, scan);
  bool blocks = !scan.getBlock().empty();
  for (auto [output, ending] : llvm::zip(scan.getOutputs(), endings))
    if (!ending.value || (blocks && ending.value != output))
      return scan.emitOpError("expects the kernel to return its outputs, those of a token loop "
                              "perhaps after what ends them");
  Nest &nest = frame.nest;
  OpBuilder &b = nest.builder();
  Location loc = scan.getLoc();
  Region &token = scan->getRegion(0), &block = scan->getRegion(1);
  SmallVector<Block *> bodies{&token.front()};
  if (!block.empty())
    bodies.push_back(&block.front());
  Sharing sharing = shareScan(scan, bodies);
  record.per = KernelRecord::Per::Sequences;
  record.factor = sharing.blocks();

  frame.bindArguments();
  LogicalResult result = success();
  nest.forLoop(frame.begin(), frame.end(), 1, [&](Value item) {
    Value sequence = item;
    IndexRanges ranges;
    if (sharing.blocks() > 1) {
      sequence = arith::DivUIOp::create(b, loc, item, nest.i64(sharing.blocks()));
      Value part = arith::RemUIOp::create(b, loc, item, nest.i64(sharing.blocks()));
      Value lo = arith::MulIOp::create(b, loc, part, nest.i64(sharing.block));
      IndexRange range{lo, nest.after(lo, sharing.block), sharing.block};
      if (sharing.extent % sharing.block)
        range = IndexRange{lo, arith::MinSIOp::create(b, loc, range.hi, nest.i64(sharing.extent)),
                           std::nullopt};
      ranges[sharing.axis] = range;
    }
    frame.bindPositions(sequence);
    Value stateBlock = frame.stateBlock(sequence);
    SmallVector<Buffer> stateBuffers;
    for (auto [i, info] : llvm::enumerate(frame.stateInfos())) {
      SmallVector<StringAttr> axes;
      SmallVector<int64_t> extents;
      for (int64_t place = 0; place < info.type.getRank(); ++place) {
        int64_t axis = info.order.empty() ? place : info.order[place];
        axes.push_back(axesOf(info.type)[axis]);
        extents.push_back(info.type.getDimSize(axis));
      }
      stateBuffers.push_back(
          nest.rowMajor(nest.addressOf(stateBlock, frame.state(i), b.getI8Type()), axes, extents,
                        info.type.getElementType()));
    }
    BodyEmitter emitter{frame, scan, sharing, ranges, stateBuffers, endings};
    Value first = frame.firstRow(sequence), last = frame.endRow(sequence);
    result = scan.getEvery() ? emitter.emitGroups(first, last, frame.position(sequence))
                             : emitter.emitRows(first, last);
  });
  return result;
}

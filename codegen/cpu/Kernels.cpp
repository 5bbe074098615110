//===- Kernels.cpp - From an outlined kernel to a function of the CPU -----===//
//
// The frame that all kernels share (arguments, operands, batch), and the choice of emitter by the
// kernel's kind. Rows and product kernels are here as well: they are a loop around a Program.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/KernelFrame.h"

#include "dialect/Axes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "runtime/weight_groups.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

std::string cpu::symbolOf(func::FuncOp kernel, const Isa &isa) {
  return (kernel.getName() + "_" + isa.suffix).str();
}

/// Whether `kernel` has operations that `isa` does in another way than its base.
static bool gainsFrom(func::FuncOp kernel, const Isa &isa) {
  auto kind = kernel->getAttrOfType<StringAttr>("rondo.kernel");
  bool product = kind && kind.getValue() == "product";
  auto reads = [&](StringRef layout) {
    for (unsigned i = 0; i < kernel.getNumArguments(); ++i)
      if (auto own = kernel.getArgAttrOfType<StringAttr>(i, "rondo.layout"))
        if (own.getValue() == layout)
          return true;
    return false;
  };
  return !isa.base || (product && isa.dotPairs && reads("pairs32")) ||
         (product && isa.dotBytes && (reads("bytes32") || reads("nibbles32")));
}

SmallVector<const Isa *> cpu::variantsOf(func::FuncOp kernel, ArrayRef<std::string> levels) {
  llvm::SmallPtrSet<const Isa *, 4> wanted;
  for (const std::string &level : levels) {
    const Isa *isa = isaNamed(level);
    while (!gainsFrom(kernel, *isa))
      isa = isa->base;
    wanted.insert(isa);
  }
  return llvm::filter_to_vector(allIsas, [&](const Isa *isa) { return wanted.contains(isa); });
}

//===----------------------------------------------------------------------===//
// Frame
//===----------------------------------------------------------------------===//

static StateInfo readStateInfo(Attribute attr) {
  auto dict = cast<DictionaryAttr>(attr);
  StateInfo info;
  StringRef kind = dict.getAs<StringAttr>("kind").getValue();
  info.kind = kind == "fixed"  ? StateInfo::Kind::Fixed
              : kind == "tail" ? StateInfo::Kind::Tail
                               : StateInfo::Kind::Cache;
  info.type = cast<RankedTensorType>(dict.getAs<TypeAttr>("type").getValue());
  if (auto tokens = dict.getAs<IntegerAttr>("tokens"))
    info.tokens = tokens.getInt();
  if (auto source = dict.getAs<IntegerAttr>("source"))
    info.source = source.getInt();
  if (auto order = dict.getAs<DenseI64ArrayAttr>("order"))
    info.order.assign(order.asArrayRef().begin(), order.asArrayRef().end());
  return info;
}

KernelFrame::KernelFrame(func::FuncOp kernel, const Isa &isa, OpBuilder &builder,
                         func::FuncOp function)
    : nest(builder, kernel.getLoc(), isa), kernel(kernel), scratch(function.getArgument(3)),
      function(function), inputs(kernel.getNumArguments()) {
  pointer = LLVM::LLVMPointerType::get(builder.getContext());
  if (auto infos = kernel->getAttrOfType<ArrayAttr>("rondo.state_info"))
    for (Attribute attr : infos)
      states.push_back(readStateInfo(attr));
  if (auto all = kernel->getAttrOfType<ArrayAttr>("rondo.states"))
    for (Attribute name : all)
      names.push_back(cast<StringAttr>(name).getValue());
  Value operands = nest.loadAt(pointer, function.getArgument(0), 0);
  batch = nest.loadAt(pointer, function.getArgument(0), 8);
  unsigned total = inputs + states.size() + kernel.getNumResults();
  for (unsigned i = 0; i < total; ++i) {
    bool isState = i >= inputs && i < inputs + states.size();
    Value operand = nest.loadAt(isState ? Type(builder.getI64Type()) : pointer, operands, 8 * i);
    operandBases.push_back(operand);
    if (isState)
      stateOffsets.push_back(operand);
  }
}

Value KernelFrame::batchField(Type type, int64_t byteOffset) {
  return nest.loadAt(type, batch, byteOffset);
}
Value KernelFrame::rows() { return batchField(nest.builder().getI64Type(), 0); }

/// field[index] for an array of `element` whose address is at `byteOffset` of the batch.
static Value arrayElement(Nest &nest, Value array, Value index, Type element) {
  return LLVM::LoadOp::create(nest.builder(), array.getLoc(), element,
                              nest.addressOf(array, index, element));
}
Value KernelFrame::onStack(Type type, int64_t count) {
  OpBuilder &b = nest.builder();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&function.getBody().front());
  Value number = arith::ConstantOp::create(b, function.getLoc(), b.getI64IntegerAttr(count));
  return LLVM::AllocaOp::create(b, function.getLoc(), pointer, type, number);
}

Value KernelFrame::firstRow(Value sequence) {
  return arrayElement(nest, batchField(pointer, 16), sequence, nest.builder().getI64Type());
}
Value KernelFrame::endRow(Value sequence) { return firstRow(nest.after(sequence, 1)); }
Value KernelFrame::position(Value sequence) {
  return arrayElement(nest, batchField(pointer, 24), sequence, nest.builder().getI64Type());
}
Value KernelFrame::sequenceOfRow(Value row) {
  Value narrow = arrayElement(nest, batchField(pointer, 32), row, nest.builder().getI32Type());
  return arith::ExtSIOp::create(nest.builder(), row.getLoc(), nest.builder().getI64Type(), narrow);
}
Value KernelFrame::stateBlock(Value sequence) {
  return arrayElement(nest, batchField(pointer, 40), sequence, pointer);
}

static Value cacheSlot(KernelFrame &frame, Value caches, Value sequence, Value cache) {
  OpBuilder &b = frame.nest.builder();
  Value row = arith::MulIOp::create(b, cache.getLoc(), sequence, caches);
  return arith::AddIOp::create(b, cache.getLoc(), row, cache);
}
Value KernelFrame::cacheBase(Value sequence, Value cache) {
  Value slot = cacheSlot(*this, batchField(nest.builder().getI64Type(), 64), sequence, cache);
  return arrayElement(nest, batchField(pointer, 48), slot, pointer);
}
Value KernelFrame::cacheCapacity(Value sequence, Value cache) {
  Value slot = cacheSlot(*this, batchField(nest.builder().getI64Type(), 64), sequence, cache);
  return arrayElement(nest, batchField(pointer, 56), slot, nest.builder().getI64Type());
}

Buffer KernelFrame::bufferFor(Value base, RankedTensorType type, StringRef layout) {
  SmallVector<StringAttr> axes(axesOf(type));
  Buffer buffer = nest.rowMajor(base, axes, type.getShape(), type.getElementType());
  if (layout == "panels32" || layout == "halves32") {
    OpBuilder &b = nest.builder();
    auto rank = unsigned(type.getRank()); // 3: matrices one after the other
    AffineExpr n = b.getAffineDimExpr(rank - 2), k = b.getAffineDimExpr(rank - 1);
    int64_t depth = type.getShape().back(), rows = type.getDimSize(rank - 2);
    AffineExpr place = n.floorDiv(32) * (depth * 32) + k * 32 + n % 32;
    if (rank == 3)
      place = b.getAffineDimExpr(0) * ((rows + 31) / 32 * 32 * depth) + place;
    buffer.layout = AffineMap::get(rank, 0, place);
    if (layout == "halves32")
      buffer.element = b.getBF16Type();
  } else if (layout == "pairs32") {
    OpBuilder &b = nest.builder();
    AffineExpr n = b.getAffineDimExpr(0), k = b.getAffineDimExpr(1);
    int64_t depth = (type.getDimSize(1) + 1) / 2 * 2;
    buffer.layout = AffineMap::get(
        2, 0, n.floorDiv(32) * (depth * 32) + k.floorDiv(2) * 64 + n % 32 * 2 + k % 2);
    buffer.element = b.getBF16Type();
  } else if (layout == "bytes32" || layout == "nibbles32") {
    OpBuilder &b = nest.builder();
    int bits = layout == "bytes32" ? 8 : 4;
    AffineExpr n = b.getAffineDimExpr(0), k = b.getAffineDimExpr(1);
    int64_t groups = (type.getDimSize(1) + groupDepth - 1) / groupDepth;
    AffineExpr block = n.floorDiv(groupPanel) * groups + k.floorDiv(groupDepth);
    AffineExpr scale = block * (groupBytes(bits) / 2) + n % groupPanel + groupHeader / 2;
    AffineExpr low = bits == 8 ? k % groupDepth : k % (groupDepth / 2);
    AffineExpr byte = block * groupBytes(bits) + low.floorDiv(4) * (groupPanel * 4) +
                      n % groupPanel * 4 + k % 4 + (groupHeader + 2 * groupPanel);
    AffineExpr shift = (k % groupDepth).floorDiv(groupDepth / 2) * 4;
    buffer.layout = AffineMap::get(2, 0, byte);
    buffer.element = b.getI8Type();
    buffer.groups = Buffer::Groups{bits, AffineMap::get(2, 0, scale),
                                   AffineMap::get(2, 0, bits == 4 ? shift : shift * 0)};
  }
  return buffer;
}

void KernelFrame::bindArguments() {
  for (unsigned i = 0; i < inputs; ++i)
    nest.bind(kernel.getArgument(i), inputBuffer(i));
}

void KernelFrame::bindPositions(Value sequence) {
  for (PositionOp op : kernel.getBody().front().getOps<PositionOp>())
    nest.bindPosition(
        op.getResult(),
        arith::SubIOp::create(nest.builder(), op.getLoc(), position(sequence), firstRow(sequence)));
}

StringRef KernelFrame::inputLayout(unsigned i) {
  auto layout = kernel.getArgAttrOfType<StringAttr>(i, "rondo.layout");
  return layout ? layout.getValue() : StringRef("rows");
}

Buffer KernelFrame::inputBuffer(unsigned i) {
  return bufferFor(input(i), cast<RankedTensorType>(kernel.getArgument(i).getType()),
                   inputLayout(i));
}

Buffer KernelFrame::outputBuffer(unsigned i) {
  return bufferFor(output(i), cast<RankedTensorType>(kernel.getResultTypes()[i]), "rows");
}

/// Elements of one row of a value whose leading axis counts rows.
static int64_t rowElements(RankedTensorType type) {
  int64_t count = 1;
  for (int64_t extent : type.getShape().drop_front())
    count *= extent;
  return count;
}

Buffer KernelFrame::atRow(const Buffer &buffer, RankedTensorType type, Value row) {
  OpBuilder &b = nest.builder();
  Value offset = arith::MulIOp::create(b, row.getLoc(), row, nest.i64(rowElements(type)));
  return nest.rowMajor(nest.addressOf(buffer.base, offset, buffer.element),
                       ArrayRef(buffer.axes).drop_front(), type.getShape().drop_front(),
                       buffer.element);
}

Buffer KernelFrame::fromRow(const Buffer &buffer, RankedTensorType type, Value row,
                            StringAttr axis) {
  OpBuilder &b = nest.builder();
  Value offset = arith::MulIOp::create(b, row.getLoc(), row, nest.i64(rowElements(type)));
  Buffer moved = buffer;
  moved.base = nest.addressOf(buffer.base, offset, buffer.element);
  moved.axes[0] = axis;
  return moved;
}

//===----------------------------------------------------------------------===//
// Sharing out
//===----------------------------------------------------------------------===//

/// Whether `view` leaves `axis` as it is, or does not have it.
static bool keepsAxis(ViewOp view, StringAttr axis) {
  auto position = [&](Type type) -> int {
    int i = 0;
    for (StringAttr a : axesOf(type)) {
      if (a.getValue() == "t")
        continue;
      if (a == axis)
        return i;
      ++i;
    }
    return -1;
  };
  int from = position(view.getSource().getType());
  if (from < 0)
    return true;
  int to = position(view.getType());
  if (to < 0)
    return false;
  for (auto [i, expr] : llvm::enumerate(view.getMap().getResults())) {
    bool identity = expr == getAffineDimExpr(to, view.getContext());
    if (int(i) == from ? !identity : expr.isFunctionOfDim(to))
      return false;
  }
  return true;
}

bool cpu::exchangesAlong(StringAttr axis, Operation *op) {
  auto has = [&](ArrayAttr axes) { return llvm::is_contained(axes, Attribute(axis)); };
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return has(reduce.getAxes());
  if (auto contract = dyn_cast<ContractOp>(op))
    return has(contract.getAxes());
  if (auto view = dyn_cast<ViewOp>(op))
    return !keepsAxis(view, axis);
  if (auto cumsum = dyn_cast<CumsumOp>(op))
    return cumsum.getAxis() == axis.getValue();
  if (auto propagate = dyn_cast<PropagateOp>(op))
    return propagate.getAxis() == axis.getValue() ||
           (propagate.getMixing() && has(*propagate.getMixing()));
  if (auto solve = dyn_cast<SolveOp>(op))
    return solve.getRows() == axis.getValue() || solve.getColumns() == axis.getValue();
  if (auto concat = dyn_cast<ConcatOp>(op))
    return concat.getAxis() == axis.getValue();
  if (auto gather = dyn_cast<GatherOp>(op))
    return gather.getAxis() == axis.getValue();
  if (auto pick = dyn_cast<PickOp>(op))
    return pick.getAxis() == axis.getValue();
  return false;
}

bool cpu::isParallel(StringAttr axis, ArrayRef<Block *> bodies) {
  return llvm::all_of(bodies, [&](Block *body) {
    return llvm::none_of(*body, [&](Operation &op) { return exchangesAlong(axis, &op); });
  });
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// A shift reads an earlier row of the piece, or the tail state that earlier pieces left.
static void bindShift(KernelFrame &frame, ShiftOp shift, Value row, Value sequence) {
  Nest &nest = frame.nest;
  OpBuilder &b = nest.builder();
  Location loc = shift.getLoc();
  unsigned operand = cast<BlockArgument>(shift.getSource()).getArgNumber();
  unsigned state = 0;
  while (frame.stateInfos()[state].source != int64_t(operand))
    ++state;
  const StateInfo &info = frame.stateInfos()[state];
  auto type = cast<RankedTensorType>(shift.getType());
  Buffer whole = frame.inputBuffer(operand);
  // Rows since the sequence's first of this piece.
  Value since = arith::SubIOp::create(b, loc, row, frame.firstRow(sequence));
  Value inPiece = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, since,
                                        nest.i64(shift.getDistance()));
  Buffer earlier = frame.atRow(whole, type, nest.after(row, -int64_t(shift.getDistance())));
  Value block = nest.addressOf(frame.stateBlock(sequence), frame.state(state), b.getI8Type());
  Buffer kept = whole;
  kept.base = block;
  Buffer tail =
      frame.atRow(kept, type, nest.after(since, info.tokens - int64_t(shift.getDistance())));
  Buffer chosen = earlier;
  chosen.base = arith::SelectOp::create(b, loc, inPiece, earlier.base, tail.base);
  nest.bind(shift.getResult(), chosen);
}

LogicalResult cpu::emitRows(KernelFrame &frame, KernelRecord &record) {
  record.per = KernelRecord::Per::Rows;
  Nest &nest = frame.nest;
  OpBuilder &b = nest.builder();
  Block &body = frame.kernel.getBody().front();
  auto time = b.getStringAttr("t");
  frame.bindArguments();
  SmallVector<Buffer> outputs;
  for (unsigned i = 0; i < frame.kernel.getNumResults(); ++i)
    outputs.push_back(frame.outputBuffer(i));

  int64_t work = 0;
  SmallVector<Operation *> ops;
  for (Operation &op : body.without_terminator()) {
    ops.push_back(&op);
    int64_t elements = 1;
    for (Value value : op.getOperands())
      if (auto type = dyn_cast<RankedTensorType>(value.getType()); type && isPerToken(type))
        elements = std::max(elements, rowElements(type));
    work += elements;
  }
  record.grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, work));

  LogicalResult result = success();
  nest.forLoop(frame.begin(), frame.end(), 1, [&](Value row) {
    Env env;
    env.set(time, nest.openDim(row));
    Value sequence;
    auto sequenceHere = [&] { return sequence ? sequence : sequence = frame.sequenceOfRow(row); };
    for (Operation *op : ops) {
      if (auto shift = dyn_cast<ShiftOp>(op))
        bindShift(frame, shift, row, sequenceHere());
      if (auto position = dyn_cast<PositionOp>(op)) {
        Value since = arith::SubIOp::create(b, op->getLoc(), row, frame.firstRow(sequenceHere()));
        Value token = arith::AddIOp::create(b, op->getLoc(), since, frame.position(sequence));
        nest.bindScalar(position.getResult(),
                        arith::SIToFPOp::create(b, op->getLoc(), b.getF32Type(), token));
      }
    }
    Program program(nest, frame.scratch);
    for (auto [value, buffer] : llvm::zip(body.getTerminator()->getOperands(), outputs))
      program.addTarget(value, buffer);
    result = program.emit(ops, env, IndexRanges());
  });
  return result;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// The contraction that `value` is or is made of.
static ContractOp contractionOf(Value value) {
  if (auto contract = value.getDefiningOp<ContractOp>())
    return contract;
  if (Operation *op = value.getDefiningOp(); isa_and_nonnull<MapOp, ViewOp>(op))
    for (Value operand : op->getOperands())
      if (ContractOp contract = contractionOf(operand))
        return contract;
  return ContractOp();
}

FailureOr<ProductPanels> ProductPanels::of(KernelFrame &frame) {
  ProductPanels products(frame);
  Operation *end = frame.kernel.getBody().front().getTerminator();
  Value rows;
  StringRef layout;
  for (auto [i, value] : llvm::enumerate(end->getOperands())) {
    ContractOp contract = contractionOf(value);
    if (!contract)
      return frame.kernel.emitOpError("expects a product kernel to return contractions, or what "
                                      "is elementwise in one");
    auto type = cast<RankedTensorType>(contract.getType());
    if (type.getRank() != 2 && type.getRank() != 3)
      return contract.emitOpError("expects a product of rows, or of their blocks, by columns, got ")
             << type;
    int64_t blocks = type.getRank() == 3 ? type.getDimSize(1) : 1;
    Value weight, other = contract.getLhs();
    for (Value operand : contract->getOperands())
      if (isa<BlockArgument>(operand) && !isPerToken(operand.getType()))
        weight = operand;
    if (weight)
      other = contract.getLhs() == weight ? contract.getRhs() : contract.getLhs();
    unsigned number = weight ? cast<BlockArgument>(weight).getArgNumber() : 0;
    StringRef own = weight ? frame.inputLayout(number) : StringRef();
    if (i > 0 && (!weight || other != rows || own != layout))
      return contract.emitOpError("expects products of a kernel to be of the same rows, with "
                                  "matrices of the same layout");
    rows = other;
    layout = own;
    int64_t columns = type.getShape().back();
    // What ends two products reads different values.
    bool isPlain = value == contract.getResult();
    auto same = llvm::find_if(products.groups, [&](Same &s) {
      return isPlain && s.columns == columns && s.blocks == blocks &&
             s.ended == s.contract.getResult();
    });
    if (same == products.groups.end()) {
      products.groups.push_back(
          {contract, value, weight, columns, (columns + width - 1) / width, 0, blocks, 0, {}, {}});
      same = std::prev(products.groups.end());
    }
    same->results.push_back(i);
    same->bases.push_back(weight ? frame.input(number) : Value());
  }
  int64_t before = 0;
  for (Same &same : products.groups) {
    same.first = products.total;
    same.before = before;
    before += int64_t(same.results.size());
    products.total += same.ofEach() * int64_t(same.results.size());
  }
  return products;
}

SmallVector<Value> ProductPanels::matrices() const {
  SmallVector<Value> all;
  for (const Same &same : groups)
    all.append(same.bases.begin(), same.bases.end());
  return all;
}

ProductPanels::Panel ProductPanels::chosen(const Same &same, Value number) {
  Nest &nest = frame.nest;
  OpBuilder &b = nest.builder();
  Location loc = frame.kernel.getLoc();
  Panel panel{same.contract,
              same.ended,
              same.weight,
              same.results[0],
              same.bases[0],
              frame.output(same.results[0]),
              number ? nest.after(number, same.before) : nest.i64(same.before),
              Value(),
              same.columns,
              Value()};
  for (size_t i = 1; i < same.results.size(); ++i) {
    Value reached =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, number, nest.i64(int64_t(i)));
    panel.base = arith::SelectOp::create(b, loc, reached, same.bases[i], panel.base);
    Value output = frame.output(same.results[i]);
    panel.output = arith::SelectOp::create(b, loc, reached, output, panel.output);
  }
  return panel;
}

LogicalResult ProductPanels::panelsOf(Panel panel, Value begin, Value end, IndexRange rows,
                                      Body body) {
  LogicalResult result = success();
  frame.nest.forLoop(begin, end, 1, [&](Value item) {
    panel.item = item;
    result = body(panel, rows);
  });
  return result;
}

LogicalResult ProductPanels::forEachBlock(KernelRecord &record, int64_t blockRows,
                                          llvm::function_ref<LogicalResult(IndexRange)> prepare,
                                          Body body) {
  Nest &nest = frame.nest;
  OpBuilder &b = nest.builder();
  Location loc = frame.kernel.getLoc();
  auto sub = [&](Value x, Value y) -> Value { return arith::SubIOp::create(b, loc, x, y); };
  auto mul = [&](Value x, Value y) -> Value { return arith::MulIOp::create(b, loc, x, y); };
  auto least = [&](Value x, Value y) -> Value { return arith::MinSIOp::create(b, loc, x, y); };
  auto most = [&](Value x, Value y) -> Value { return arith::MaxSIOp::create(b, loc, x, y); };
  record.per = KernelRecord::Per::Rows;
  record.unit = blockRows;
  Value rows = frame.rows(), zero = nest.i64(0);
  Value blocks =
      arith::DivUIOp::create(b, loc, nest.after(rows, blockRows - 1), nest.i64(blockRows));
  LogicalResult result = success();
  Value prepared = nest.i64(-1); // the block whose rows are at hand
  for (Same &same : groups) {
    auto count = int64_t(same.results.size());
    Value panels = nest.i64(same.panels);
    Value before = mul(nest.i64(same.first), blocks);
    Value all = mul(nest.i64(count * same.panels), blocks);
    Value lo = most(sub(frame.begin(), before), zero);
    Value hi = most(least(sub(frame.end(), before), all), zero);
    Value firstRun = arith::DivUIOp::create(b, loc, lo, panels);
    Value endRun = arith::DivUIOp::create(b, loc, nest.after(hi, same.panels - 1), panels);
    auto run = [&](Value number, ValueRange carried) -> SmallVector<Value> {
      Value block = number, product;
      if (count > 1) {
        product = arith::DivUIOp::create(b, loc, number, blocks);
        block = sub(number, mul(product, blocks));
      }
      Value first = mul(block, nest.i64(blockRows));
      IndexRange blockRange{first, least(nest.after(first, blockRows), rows), std::nullopt};
      auto makeReady = [&] {
        if (failed(prepare(blockRange)))
          result = failure();
      };
      if (!several())
        makeReady();
      else
        nest.ifThen(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, block, carried.front()),
                    makeReady);
      Value past = mul(number, panels);
      if (failed(panelsOf(chosen(same, product), most(sub(lo, past), zero),
                          least(sub(hi, past), panels), blockRange, body)))
        result = failure();
      return several() ? SmallVector<Value>{block} : SmallVector<Value>{};
    };
    // Nothing for an item that is not there.
    endRun = arith::SelectOp::create(
        b, loc, arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, lo, hi), endRun, firstRun);
    SmallVector<Value> last =
        nest.forLoop(firstRun, endRun, 1, several() ? ValueRange(prepared) : ValueRange(), run);
    if (several())
      prepared = last.front();
  }
  return result;
}

LogicalResult ProductPanels::forEach(Body body) {
  Nest &nest = frame.nest;
  OpBuilder &b = nest.builder();
  LogicalResult result = success();
  IndexRange rows{nest.i64(0), frame.rows(), std::nullopt};
  for (Same &same : groups) {
    Location loc = same.contract.getLoc();
    int64_t behind = same.first + same.ofEach() * int64_t(same.results.size());
    Value lo = frame.begin(), hi = frame.end();
    if (same.first > 0)
      lo = arith::MaxSIOp::create(b, loc, lo, nest.i64(same.first));
    if (behind < total)
      hi = arith::MinSIOp::create(b, loc, hi, nest.i64(behind));
    nest.forLoop(lo, hi, 1, [&](Value item) {
      Value product;
      item = nest.after(item, -same.first);
      if (same.results.size() > 1) {
        Value panels = nest.i64(same.ofEach());
        product = arith::DivUIOp::create(b, loc, item, panels);
        item = arith::RemUIOp::create(b, loc, item, panels);
      }
      Panel panel = chosen(same, product);
      if (cast<RankedTensorType>(same.contract.getType()).getRank() == 3) {
        Value panels = nest.i64(same.panels);
        panel.block = arith::DivUIOp::create(b, loc, item, panels);
        item = arith::RemUIOp::create(b, loc, item, panels);
      }
      panel.item = item;
      if (succeeded(result))
        result = body(panel, rows);
    });
  }
  return result;
}

LogicalResult cpu::storePanelTile(Nest &nest, ValueRange sums, const PanelTile &tile,
                                  const ProductPanels::Panel &own) {
  OpBuilder &b = nest.builder();
  ContractOp contract = own.contract;
  auto type = cast<RankedTensorType>(contract.getType());
  SmallVector<StringAttr> axes(axesOf(type));
  Buffer target = nest.rowMajor(own.output, axes, type.getShape(), b.getF32Type());
  nest.endWith(contract, own.ended);
  Value firstOfPanel =
      arith::MulIOp::create(b, target.base.getLoc(), tile.panel, nest.i64(ProductPanels::width));
  LogicalResult result = success();
  for (int64_t j = 0, vectors = int64_t(sums.size()) / tile.count; j < vectors; ++j) {
    Value first = nest.after(firstOfPanel, tile.column + j * nest.isa().lanes);
    AffineExpr column = nest.openDim(first, own.columns, /*lanes=*/true);
    bool ragged = own.columns % ProductPanels::width;
    nest.withLanes(ragged ? nest.maskBelow(first, nest.i64(own.columns)) : Value(), [&] {
      for (int64_t r = 0; r < tile.count; ++r) {
        Env env;
        env.set(axes[0], nest.openDim(nest.after(tile.row, r)));
        env.set(axes[1], column);
        if (failed(nest.finish(sums[size_t(r * vectors + j)], contract, contract.getResult(),
                               target, env)))
          result = failure();
      }
    });
  }
  return result;
}

LogicalResult cpu::emitProduct(KernelFrame &frame, KernelRecord &record) {
  Nest &nest = frame.nest;
  OpBuilder &b = nest.builder();
  constexpr int64_t panel = ProductPanels::width;
  frame.bindArguments();
  FailureOr<ProductPanels> products = ProductPanels::of(frame);
  if (failed(products))
    return failure();
  record.per = KernelRecord::Per::Once;
  record.factor = products->count();
  int64_t depth = 1;
  ContractOp contract = products->contract();
  for (Attribute axis : contract.getAxes())
    depth *= extentOf(contract.getLhs().getType(), cast<StringAttr>(axis).getValue());
  record.grain = std::max<int64_t>(1, 8192 / (depth * panel));
  if (Value weight = products->weight()) {
    StringRef layout = frame.inputLayout(cast<BlockArgument>(weight).getArgNumber());
    if (layout == "pairs32")
      return emitPackedProduct(frame, *products, record);
    if (layout == "bytes32" || layout == "nibbles32")
      return emitGroupsProduct(frame, *products, layout == "bytes32" ? 8 : 4, record);
  }

  return products->forEach([&](const ProductPanels::Panel &own, IndexRange rows) {
    ContractOp contract = own.contract;
    auto type = cast<RankedTensorType>(contract.getType());
    Value lo = arith::MulIOp::create(b, contract.getLoc(), own.item, nest.i64(panel));
    IndexRange range{lo, nest.after(lo, panel), panel};
    if (own.columns % panel) {
      Value limit = nest.i64(own.columns);
      range = IndexRange{lo, arith::MinSIOp::create(b, contract.getLoc(), range.hi, limit),
                         std::nullopt};
    }
    IndexRanges ranges;
    ranges[axesOf(type)[0]] = rows;
    ranges[axesOf(type).back()] = range;
    Env env;
    if (own.block)
      env.set(axesOf(type)[1], nest.openDim(own.block, type.getDimSize(1)));
    if (own.weight) {
      Buffer matrix = frame.inputBuffer(cast<BlockArgument>(own.weight).getArgNumber());
      matrix.base = own.base;
      nest.bind(own.weight, matrix);
    }
    Buffer output = frame.outputBuffer(own.result);
    output.base = own.output;
    output.axes.assign(axesOf(type).begin(), axesOf(type).end());
    nest.endWith(contract, own.ended);
    return nest.emitInto(contract.getResult(), output, env, ranges);
  });
}

//===----------------------------------------------------------------------===//
// Dispatch
//===----------------------------------------------------------------------===//

FailureOr<KernelRecord> cpu::emitKernel(func::FuncOp kernel, const Isa &isa, ModuleOp target) {
  auto kind = kernel->getAttrOfType<StringAttr>("rondo.kernel");
  if (!kind)
    return kernel.emitOpError("expects attribute rondo.kernel");
  MLIRContext *context = kernel.getContext();
  context->loadDialect<arith::ArithDialect, LLVM::LLVMDialect, scf::SCFDialect>();
  OpBuilder builder(context);
  builder.setInsertionPointToEnd(target.getBody());
  Type pointer = LLVM::LLVMPointerType::get(context), i64 = builder.getI64Type();
  auto function = func::FuncOp::create(builder, kernel.getLoc(), symbolOf(kernel, isa),
                                       builder.getFunctionType({pointer, i64, i64, pointer}, {}));
  function->setAttr("rondo.isa", builder.getStringAttr(isa.name));
  builder.setInsertionPointToEnd(function.addEntryBlock());
  auto done = func::ReturnOp::create(builder, kernel.getLoc());
  builder.setInsertionPoint(done);

  KernelRecord record;
  record.kind = kind.getValue().str();
  KernelFrame frame(kernel, isa, builder, function);
  LogicalResult result = success();
  Block &body = kernel.getBody().front();
  if (record.kind == "rows") {
    result = emitRows(frame, record);
  } else if (record.kind == "product") {
    result = emitProduct(frame, record);
  } else if (record.kind == "group") {
    result = emitGroup(frame, record);
  } else if (auto scans = body.getOps<ScanOp>(); record.kind == "scan" && !scans.empty()) {
    result = emitScan(frame, *scans.begin(), record);
  } else if (auto attends = body.getOps<AttendOp>(); record.kind == "attend" && !attends.empty()) {
    result = emitAttend(frame, *attends.begin(), record);
  } else {
    return kernel.emitOpError("expects kind rows, product, group, scan or attend with its op, got ")
           << kind;
  }
  if (failed(result))
    return failure();
  record.scratchBytes = frame.scratch.largest();
  return record;
}

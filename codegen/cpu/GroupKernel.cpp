//===- GroupKernel.cpp - Rows times the matrices that they choose ---------===//
//
//   rows [t, k] or [t, j, k], ids [t, j], matrices [e, n, k]  ->  [t, j, n]
//
// A slot is one choice of one row. Slots are sorted by matrix once a call, by counting (stable, so
// in the order of rows), and each matrix multiplies the rows of its slots as they lie: rows are
// found through the list of slots, so nothing is gathered, padded or scattered. Work items are
// panels of 32 columns; one reads each chosen matrix's panel once. A slot whose id is no index
// becomes zeros.
//
// Every sum is over k in order, whatever rows stand beside it: results do not depend on how many
// rows come at once, in which order, or on threads.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/KernelFrame.h"

#include "dialect/Axes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

namespace {
constexpr int64_t panel = 32;
/// Slots that are sorted at once: their list is in scratch.
constexpr int64_t mostSlots = 4096;

class Groups {
public:
  Groups(KernelFrame &frame, ContractOp contract, GatherOp gather)
      : frame(frame), nest(frame.nest), b(nest.builder()), loc(contract.getLoc()), gather(gather),
        contract(contract),
        rows(contract.getLhs() == gather.getResult() ? contract.getRhs() : contract.getLhs()),
        depthAxis(cast<StringAttr>(contract.getAxes()[0])),
        table(cast<RankedTensorType>(gather.getTable().getType())), matrices(table.getDimSize(0)),
        choices(elementsPerToken(gather.getIds().getType())),
        columns(cast<RankedTensorType>(contract.getType()).getShape().back()),
        depth(extentOf(table, depthAxis.getValue())) {}

  int64_t panels() const { return (columns + panel - 1) / panel; }
  int64_t depthOf() const { return depth; }
  LogicalResult emit();

private:
  Type i32() { return b.getI32Type(); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value loadNumber(Value base, Value index) {
    Value narrow = LLVM::LoadOp::create(b, loc, i32(), nest.addressOf(base, index, i32()));
    return arith::ExtSIOp::create(b, loc, b.getI64Type(), narrow);
  }
  void storeNumber(Value number, Value base, Value index) {
    Value narrow = arith::TruncIOp::create(b, loc, i32(), number);
    LLVM::StoreOp::create(b, loc, narrow, nest.addressOf(base, index, i32()));
  }
  Value address(Value argument) {
    return frame.input(cast<BlockArgument>(argument).getArgNumber());
  }
  /// The matrix that a slot chooses; their number: none.
  Value matrixOf(Value slot);
  void sortSlots(Value first, Value end);
  LogicalResult emitMatrix(Value matrix, Value item);
  void emitZeros(Value item);
  IndexRange columnsOf(Value item);

  KernelFrame &frame;
  Nest &nest;
  OpBuilder &b;
  Location loc;
  GatherOp gather;
  ContractOp contract;
  Value rows;
  StringAttr depthAxis;
  RankedTensorType table;
  int64_t matrices, choices, columns, depth;
  Value list;   ///< slots, by matrix
  Value starts; ///< where in the list each matrix's slots begin; the last two: those of none
};
} // namespace

Value Groups::matrixOf(Value slot) {
  Type f32 = b.getF32Type();
  Value id = LLVM::LoadOp::create(b, loc, f32, nest.addressOf(address(gather.getIds()), slot, f32));
  auto number = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(float(value)));
  };
  auto holds = [&](arith::CmpFPredicate predicate, Value x, Value y) -> Value {
    return arith::CmpFOp::create(b, loc, predicate, x, y);
  };
  // Within the range first, so that the conversion is defined.
  Value inside =
      arith::AndIOp::create(b, loc, holds(arith::CmpFPredicate::OGE, id, number(0)),
                            holds(arith::CmpFPredicate::OLT, id, number(double(matrices))));
  Value safe = arith::SelectOp::create(b, loc, inside, id, number(0));
  Value index = arith::FPToSIOp::create(b, loc, b.getI64Type(), safe);
  Value back = arith::SIToFPOp::create(b, loc, f32, index);
  Value whole = arith::AndIOp::create(b, loc, inside, holds(arith::CmpFPredicate::OEQ, back, safe));
  return arith::SelectOp::create(b, loc, whole, index, nest.i64(matrices));
}

void Groups::sortSlots(Value first, Value end) {
  // starts[m + 2] counts matrix m, then starts[m + 1] is where its next slot goes.
  nest.forLoop(nest.i64(0), nest.i64(matrices + 3), 1,
               [&](Value m) { storeNumber(nest.i64(0), starts, m); });
  nest.forLoop(first, end, 1, [&](Value slot) {
    Value place = nest.after(matrixOf(slot), 2);
    storeNumber(nest.after(loadNumber(starts, place), 1), starts, place);
  });
  nest.forLoop(nest.i64(2), nest.i64(matrices + 3), 1, [&](Value m) {
    Value before = loadNumber(starts, nest.after(m, -1));
    storeNumber(add(before, loadNumber(starts, m)), starts, m);
  });
  nest.forLoop(first, end, 1, [&](Value slot) {
    Value place = nest.after(matrixOf(slot), 1);
    Value next = loadNumber(starts, place);
    storeNumber(slot, list, next);
    storeNumber(nest.after(next, 1), starts, place);
  });
}

IndexRange Groups::columnsOf(Value item) {
  Value lo = arith::MulIOp::create(b, loc, item, nest.i64(panel));
  if (columns % panel == 0)
    return IndexRange{lo, nest.after(lo, panel), panel};
  return IndexRange{lo, arith::MinSIOp::create(b, loc, nest.after(lo, panel), nest.i64(columns)),
                    std::nullopt};
}

LogicalResult Groups::emitMatrix(Value matrix, Value item) {
  // The product of one matrix with the rows of its slots, as an op of its own over [slot, column].
  auto slot = b.getStringAttr("t"), column = axesOf(contract.getType()).back();
  Type f32 = b.getF32Type();
  auto typeOf = [&](ArrayRef<StringAttr> axes, ArrayRef<int64_t> extents) {
    return namedType(b.getContext(), axes, extents, f32);
  };
  Block block;
  Value x = block.addArgument(typeOf({slot, depthAxis}, {ShapedType::kDynamic, depth}), loc);
  Value w = block.addArgument(withoutAxis(table, gather.getAxis()), loc);
  OpBuilder detached(b.getContext());
  detached.setInsertionPointToEnd(&block);
  auto product =
      ContractOp::create(detached, loc, typeOf({slot, column}, {ShapedType::kDynamic, columns}), x,
                         w, detached.getArrayAttr({depthAxis}));

  AffineExpr s = b.getAffineDimExpr(0), i = b.getAffineDimExpr(1);
  bool ofChoices =
      cast<RankedTensorType>(rows.getType()).getRank() == gather.getIds().getType().getRank() + 1;
  AffineExpr row = ofChoices || choices == 1 ? s : s.floorDiv(choices);
  nest.bind(x,
            Buffer{address(rows), {slot, depthAxis}, AffineMap::get(2, 0, row * depth + i), f32});
  unsigned weight = cast<BlockArgument>(gather.getTable()).getArgNumber();
  StringRef layout = frame.inputLayout(weight);
  bool packed = layout == "panels32" || layout == "halves32";
  Type stored = layout == "halves32" ? Type(b.getBF16Type()) : f32;
  int64_t elements = packed ? panels() * panel * depth : columns * depth;
  Value offset = arith::MulIOp::create(b, loc, matrix, nest.i64(elements));
  Value base = nest.addressOf(frame.input(weight), offset, stored);
  Buffer weights = nest.rowMajor(base, axesOf(w.getType()),
                                 cast<RankedTensorType>(w.getType()).getShape(), stored);
  if (packed)
    weights.layout =
        AffineMap::get(2, 0, s.floorDiv(panel) * (depth * panel) + i * panel + s % panel);
  nest.bind(w, weights);
  Buffer output{frame.output(0), {slot, column}, AffineMap::get(2, 0, s * columns + i), f32};

  llvm::DenseMap<StringAttr, IndexRange> ranges;
  Value start = loadNumber(starts, matrix), end = loadNumber(starts, nest.after(matrix, 1));
  ranges[slot] = IndexRange{start, end, std::nullopt, list};
  ranges[column] = columnsOf(item);
  LogicalResult result = nest.emitInto(product.getResult(), output, Env(), ranges);
  nest.unbind(x);
  nest.unbind(w);
  return result;
}

void Groups::emitZeros(Value item) {
  IndexRange range = columnsOf(item);
  Value none = nest.i64(matrices);
  nest.forLoop(loadNumber(starts, none), loadNumber(starts, nest.after(none, 1)), 1, [&](Value i) {
    Value row = arith::MulIOp::create(b, loc, loadNumber(list, i), nest.i64(columns));
    nest.forLoop(range.lo, range.hi, 1, [&](Value column) {
      Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
      LLVM::StoreOp::create(b, loc, zero,
                            nest.addressOf(frame.output(0), add(row, column), b.getF32Type()));
    });
  });
}

LogicalResult Groups::emit() {
  LogicalResult result = success();
  list = frame.scratch.allocate(nest, mostSlots * 4);
  starts = frame.scratch.allocate(nest, (matrices + 3) * 4);
  Value slots = arith::MulIOp::create(b, loc, frame.rows(), nest.i64(choices));
  nest.forLoop(nest.i64(0), slots, mostSlots, [&](Value first) {
    Value end = arith::MinSIOp::create(b, loc, nest.after(first, mostSlots), slots);
    sortSlots(first, end);
    nest.forLoop(frame.begin(), frame.end(), 1, [&](Value item) {
      nest.forLoop(nest.i64(0), nest.i64(matrices), 1, [&](Value matrix) {
        Value start = loadNumber(starts, matrix), after = loadNumber(starts, nest.after(matrix, 1));
        nest.ifThen(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, start, after), [&] {
          if (failed(emitMatrix(matrix, item)))
            result = failure();
        });
      });
      emitZeros(item);
    });
  });
  return result;
}

LogicalResult cpu::emitGroup(KernelFrame &frame, KernelRecord &record) {
  Block &body = frame.kernel.getBody().front();
  auto contract = body.getTerminator()->getOperand(0).getDefiningOp<ContractOp>();
  GatherOp gather;
  for (Value operand : contract ? contract->getOperands() : ValueRange())
    if (auto own = operand.getDefiningOp<GatherOp>())
      gather = own;
  if (!gather || body.getTerminator()->getNumOperands() != 1)
    return frame.kernel.emitOpError("expects a group kernel to return one contraction of a gather");
  frame.bindArguments();
  Groups groups(frame, contract, gather);
  record.per = KernelRecord::Per::Once;
  record.factor = groups.panels();
  record.grain = std::max<int64_t>(1, 8192 / (groups.depthOf() * panel));
  return groups.emit();
}

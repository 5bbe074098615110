//===- PackedProduct.cpp - Products with matrices of low-precision numbers ===//
//
//   rows [t, k] of f32  x  panels of 32 columns with groups of k side by side  ->  [t, n] of f32
//
// The generator of loops takes one k at a time, each an f32 of its own (NestLoops.cpp). Here one
// step of k is a group, whose numbers share a 32-bit word of the panel: a vector of words is as
// many columns as a vector of f32 has, so the register tile, rows times two vectors of
// accumulators, is the same as there.
//
// Pairs of bf16: a level with dot products of pairs rounds the rows to bf16, a block of them at a
// time in scratch, and adds both products of a pair in one instruction. Others widen the words (a
// shift, a mask) and multiply them with the rows as they are. Sums are f32, in the order of k,
// whatever the tile: results do not depend on how rows and columns were shared out.
//
// Where there are tile registers, the panel's words lie as these take them: 32 rows by 32 columns
// are summed in four of them, 16 pairs at a time, and come to memory of their own. The pairs that
// are left and what ends the sums are added to them from there, in vectors. Every row goes this
// way, the single one of a decoded token too: else its bits would depend on its neighbours.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Tiles.h"

#include "dialect/Axes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

namespace {
constexpr int64_t panel = ProductPanels::width;
/// Rows that are rounded before they are multiplied; their pairs stay in cache.
constexpr int64_t blockRows = 64;
/// Rows that are summed in tile registers at once, two of them high.
constexpr int64_t tiledRows = 2 * Tiles::rows;
static_assert(panel == 2 * Tiles::columns && blockRows % tiledRows == 0);

class PairsProduct {
public:
  PairsProduct(KernelFrame &frame, ContractOp contract, Value weight)
      : nest(frame.nest), b(nest.builder()), loc(contract.getLoc()), isa(nest.isa()),
        rows(contract.getLhs() == weight ? contract.getRhs() : contract.getLhs()),
        rowAxis(axesOf(contract.getType())[0]), depthAxis(cast<StringAttr>(contract.getAxes()[0])),
        depth(extentOf(weight.getType(), depthAxis.getValue())) {}

  LogicalResult emit(KernelFrame &frame, ProductPanels &products, KernelRecord &record);

private:
  using Sums = SmallVector<Value>;
  int64_t pairs() const { return (depth + 1) / 2; }
  Type lanesOf(Type element) { return VectorType::get(isa.lanes, element); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) { return arith::MulIOp::create(b, loc, x, nest.i64(y)); }

  /// Memory of a rounded row. Rows that a tile register takes at once lie an odd number of cache
  /// lines apart: a power of two would have them displace each other.
  int64_t rowPairs() const {
    return tiledPairs() ? ((pairs() + Tiles::columns - 1) / Tiles::columns | 1) * Tiles::columns
                        : pairs();
  }
  /// Pairs that are summed in tile registers, from the first on.
  int64_t tiledPairs() const { return isa.tiles ? pairs() / Tiles::rows * Tiles::rows : 0; }

  LogicalResult roundRows(Value first, Value end);
  LogicalResult emitPanel(IndexRange block, const ProductPanels::Panel &own);
  /// Sums of the tiled pairs, of `high` registers of rows from `row` on, in `tiledSums`.
  void sumInTiles(Value row, int64_t high, Value item);
  /// What the sums of a tile begin with.
  Sums begin(Value row, int64_t count, int64_t column);
  LogicalResult emitTile(Value row, int64_t count, const ProductPanels::Panel &own, int64_t column);
  /// The words of one pair for the tile's vectors of columns.
  SmallVector<Value> words(Value item, Value pair, int64_t column);
  Sums dotStep(Value pair, ValueRange sums, Value row, Value item, int64_t column);
  Sums widenedStep(Value pair, ValueRange sums, Value row, Value item, int64_t column, bool whole);

  Nest &nest;
  OpBuilder &b;
  Location loc;
  const Isa &isa;
  Value rows;
  StringAttr rowAxis, depthAxis;
  int64_t depth;
  Value weights;      ///< the panel's matrix
  Value rounded;      ///< [row - firstRounded][rowPairs] of two bf16
  Value firstRounded; ///< the row that it begins with
  Tiles *tiles = nullptr;
  Value tiledSums;  ///< [row - firstTiled][32 columns]
  Value firstTiled; ///< the row that they begin with
  LogicalResult result = success();
  static constexpr int64_t vectors = 2;
};
} // namespace

LogicalResult PairsProduct::emit(KernelFrame &frame, ProductPanels &products,
                                 KernelRecord &record) {
  if (isa.dotPairs)
    rounded = frame.scratch.allocate(nest, blockRows * rowPairs() * 4);
  std::optional<Tiles> unit;
  if (tiledPairs()) {
    tiledSums = frame.scratch.allocate(nest, tiledRows * panel * 4);
    constexpr Tiles::Shape whole{Tiles::rows, Tiles::bytes};
    tiles = &unit.emplace(frame, SmallVector<Tiles::Shape>(8, whole));
  }
  LogicalResult panels = products.forEachBlock(
      record, blockRows,
      [&](IndexRange block) {
        firstRounded = block.lo;
        return isa.dotPairs ? roundRows(block.lo, block.hi) : success();
      },
      [&](const ProductPanels::Panel &own, IndexRange block) {
        weights = own.base;
        firstRounded = block.lo;
        if (!tiles)
          return emitPanel(block, own);
        nest.forLoop(block.lo, block.hi, tiledRows, [&](Value row) {
          Value left = arith::SubIOp::create(b, loc, block.hi, row);
          Value isHigh =
              arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, left, nest.i64(Tiles::rows));
          firstTiled = row;
          auto branch = scf::IfOp::create(b, loc, isHigh, /*withElseRegion=*/true);
          for (int64_t high : {2, 1}) {
            OpBuilder::InsertionGuard guard(b);
            b.setInsertionPoint(
                (high == 2 ? branch.thenBlock() : branch.elseBlock())->getTerminator());
            sumInTiles(row, high, own.item);
          }
          Value end = arith::MinSIOp::create(b, loc, nest.after(row, tiledRows), block.hi);
          if (failed(emitPanel(IndexRange{row, end, std::nullopt}, own)))
            result = failure();
        });
        return result;
      });
  if (tiles)
    tiles->release();
  return panels;
}

LogicalResult PairsProduct::emitPanel(IndexRange block, const ProductPanels::Panel &own) {
  for (int64_t column = 0; column < panel; column += vectors * isa.lanes) {
    LogicalResult tiles = nest.overTiles(block, isa.productRows, [&](Value row, int64_t count) {
      return emitTile(row, count, own, column);
    });
    if (failed(tiles))
      result = failure();
  }
  return result;
}

void PairsProduct::sumInTiles(Value row, int64_t high, Value item) {
  // Registers: sums of rows i and columns j in 2 i + j, rows i in 4 + i, columns j in 6 + j.
  int64_t rowBytes = rowPairs() * 4, lineBytes = panel * 4;
  for (int64_t i = 0; i < high * 2; ++i)
    tiles->zero(i);
  Value firstRow = mul(arith::SubIOp::create(b, loc, row, firstRounded), rowBytes);
  Value firstLine = mul(mul(item, pairs()), lineBytes);
  auto address = [&](Value base, Value first, int64_t offset) {
    return nest.addressOf(base, nest.after(first, offset), b.getI8Type());
  };
  nest.forLoop(nest.i64(0), nest.i64(tiledPairs()), Tiles::rows, [&](Value pair) {
    Value ownRow = add(firstRow, mul(pair, 4)), line = add(firstLine, mul(pair, lineBytes));
    for (int64_t j = 0; j < 2; ++j)
      tiles->load(6 + j, address(weights, line, j * Tiles::bytes), lineBytes);
    for (int64_t i = 0; i < high; ++i) {
      tiles->load(4 + i, address(rounded, ownRow, i * Tiles::rows * rowBytes), rowBytes);
      for (int64_t j = 0; j < 2; ++j)
        tiles->dotPairs(2 * i + j, 4 + i, 6 + j);
    }
  });
  for (int64_t i = 0; i < high; ++i)
    for (int64_t j = 0; j < 2; ++j)
      tiles->store(2 * i + j,
                   address(tiledSums, nest.i64(0), i * Tiles::rows * lineBytes + j * Tiles::bytes),
                   lineBytes);
}

PairsProduct::Sums PairsProduct::begin(Value row, int64_t count, int64_t column) {
  VectorType type = cast<VectorType>(lanesOf(b.getF32Type()));
  if (!tiles)
    return Sums(count * vectors, arith::ConstantOp::create(b, loc, b.getZeroAttr(type)));
  Sums sums;
  Value first = mul(arith::SubIOp::create(b, loc, row, firstTiled), panel);
  for (int64_t r = 0; r < count; ++r)
    for (int64_t j = 0; j < vectors; ++j) {
      Value place = nest.after(first, r * panel + column + j * isa.lanes);
      sums.push_back(LLVM::LoadOp::create(
          b, loc, type, nest.addressOf(tiledSums, place, b.getF32Type()), unsigned(isa.lanes * 4)));
    }
  return sums;
}

LogicalResult PairsProduct::roundRows(Value first, Value end) {
  Type bf16 = b.getBF16Type();
  Value back = arith::SubIOp::create(b, loc, nest.i64(0), mul(first, 2 * rowPairs()));
  Buffer buffer = nest.rowMajor(nest.addressOf(rounded, back, bf16), {rowAxis, depthAxis},
                                {ShapedType::kDynamic, 2 * rowPairs()}, bf16);
  llvm::DenseMap<StringAttr, IndexRange> ranges;
  ranges[rowAxis] = IndexRange{first, end, std::nullopt};
  if (failed(nest.emitInto(rows, buffer, Env(), ranges)))
    return failure();
  // The pair's half beyond the last k meets a zero of the panel, but must be a number.
  if (depth % 2)
    nest.forLoop(first, end, 1, [&](Value row) {
      Value place = add(mul(row, 2 * rowPairs()), nest.i64(depth));
      Value zero = arith::ConstantOp::create(b, loc, b.getI16IntegerAttr(0));
      LLVM::StoreOp::create(b, loc, zero, nest.addressOf(buffer.base, place, b.getI16Type()));
    });
  return success();
}

SmallVector<Value> PairsProduct::words(Value item, Value pair, int64_t column) {
  SmallVector<Value> result;
  Value place = mul(add(mul(item, pairs()), pair), panel);
  for (int64_t j = 0; j < vectors; ++j) {
    Value address =
        nest.addressOf(weights, nest.after(place, column + j * isa.lanes), b.getI32Type());
    result.push_back(
        LLVM::LoadOp::create(b, loc, lanesOf(b.getI32Type()), address, unsigned(isa.lanes * 4)));
  }
  return result;
}

PairsProduct::Sums PairsProduct::dotStep(Value pair, ValueRange sums, Value row, Value item,
                                         int64_t column) {
  auto halves = VectorType::get(2 * isa.lanes, b.getBF16Type());
  SmallVector<Value> panelWords = words(item, pair, column);
  for (Value &word : panelWords)
    word = vector::BitCastOp::create(b, loc, halves, word);
  Sums next;
  Value pairOfRow;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (i % vectors == 0) {
      Value own = nest.after(row, int64_t(i / vectors));
      Value place = add(mul(arith::SubIOp::create(b, loc, own, firstRounded), rowPairs()), pair);
      Value word = LLVM::LoadOp::create(b, loc, b.getI32Type(),
                                        nest.addressOf(rounded, place, b.getI32Type()));
      Value all = vector::BroadcastOp::create(b, loc, lanesOf(b.getI32Type()), word);
      pairOfRow = vector::BitCastOp::create(b, loc, halves, all);
    }
    next.push_back(
        LLVM::CallIntrinsicOp::create(b, loc, lanesOf(b.getF32Type()),
                                      b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
                                      ValueRange{sums[i], pairOfRow, panelWords[i % vectors]})
            .getResult(0));
  }
  return next;
}

PairsProduct::Sums PairsProduct::widenedStep(Value pair, ValueRange sums, Value row, Value item,
                                             int64_t column, bool whole) {
  auto constant = [&](int32_t bits) -> Value {
    auto type = cast<VectorType>(lanesOf(b.getI32Type()));
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(type, b.getI32IntegerAttr(bits)));
  };
  SmallVector<Value> panelWords = words(item, pair, column);
  Sums next(sums);
  AffineExpr pairDim = nest.openDim(pair, pairs());
  SmallVector<AffineExpr> rowDims;
  for (size_t r = 0; r < sums.size() / vectors; ++r)
    rowDims.push_back(nest.openDim(nest.after(row, int64_t(r))));
  for (int half = 0; half < (whole ? 2 : 1); ++half) {
    SmallVector<Value> wide;
    for (Value word : panelWords) {
      Value bits = half ? Value(arith::AndIOp::create(b, loc, word, constant(int32_t(0xffff0000))))
                        : Value(arith::ShLIOp::create(b, loc, word, constant(16)));
      wide.push_back(arith::BitcastOp::create(b, loc, lanesOf(b.getF32Type()), bits));
    }
    for (size_t i = 0; i < next.size(); ++i) {
      Env env;
      env.set(rowAxis, rowDims[i / vectors]);
      env.set(depthAxis, pairDim * 2 + half);
      FailureOr<Value> x = nest.evaluate(rows, env);
      if (failed(x)) {
        result = failure();
        return Sums(sums);
      }
      Value all = vector::BroadcastOp::create(b, loc, lanesOf(b.getF32Type()), *x);
      next[i] = nest.math().fma(all, wide[i % vectors], next[i]);
    }
  }
  return next;
}

LogicalResult PairsProduct::emitTile(Value row, int64_t count, const ProductPanels::Panel &own,
                                     int64_t column) {
  Value item = own.item;
  int64_t whole = isa.dotPairs ? pairs() : depth / 2;
  Sums sums = begin(row, count, column);
  if (tiledPairs() != whole)
    sums = nest.forLoop(nest.i64(tiledPairs()), nest.i64(whole), 1, sums,
                        [&](Value pair, ValueRange carried) {
                          return isa.dotPairs ? dotStep(pair, carried, row, item, column)
                                              : widenedStep(pair, carried, row, item, column, true);
                        });
  if (whole != pairs())
    sums = widenedStep(nest.i64(whole), sums, row, item, column, false);
  if (failed(storePanelTile(nest, sums, {row, count, item, column}, own)))
    return failure();
  return result;
}

LogicalResult cpu::emitPackedProduct(KernelFrame &frame, ProductPanels &products,
                                     KernelRecord &record) {
  PairsProduct product(frame, products.contract(), products.weight());
  return product.emit(frame, products, record);
}

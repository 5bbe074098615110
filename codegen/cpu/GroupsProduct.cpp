//===- GroupsProduct.cpp - Products with matrices of integers -------------===//
//
//   round(rows) [t, k]  x  panels of 32 columns, integers by groups of 32 k  ->  [t, n] of f32
//
// Rows are rounded as `rondo.round` says, a block of them at a time in scratch: integers of 8 bits,
// and for each group its scale and the sum of its integers. One step of k is four bytes of a panel,
// stored with an offset so that they have no sign; what the offset adds, offset times the sum of
// the row's integers, is where the group's sum starts. A group's sum is exact: a level with dot
// products of bytes takes four products in one instruction, others widen to 16 bits and add
// products of pairs, and all have the same integer. It is scaled by both scales and added in f32,
// group by group in the order of k: results do not depend on how rows and columns were shared out.
// Tile registers take 16 rows and 16 columns of a group in one instruction, rows that are left go
// as before; halves of bytes are widened once for all rows of a block.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Tiles.h"

#include "dialect/Axes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "runtime/weight_groups.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

namespace {
constexpr int64_t panel = groupPanel, depthOfGroup = groupDepth, quads = depthOfGroup / 4;
/// Rows that are rounded before they are multiplied; they stay in cache.
constexpr int64_t blockRows = 64;

class GroupsProduct {
public:
  GroupsProduct(KernelFrame &frame, ContractOp contract, Value weight, RoundOp round, int bits)
      : nest(frame.nest), b(nest.builder()), loc(contract.getLoc()), isa(nest.isa()),
        rows(round.getSource()), rowAxis(axesOf(contract.getType())[0]),
        depthAxis(cast<StringAttr>(contract.getAxes()[0])), bits(bits),
        depth(extentOf(weight.getType(), depthAxis.getValue())),
        groups((depth + depthOfGroup - 1) / depthOfGroup),
        rowGroups(isa.tiles ? groups | 1 : groups) {}

  LogicalResult emit(KernelFrame &frame, ProductPanels &products, KernelRecord &record);

private:
  using Sums = SmallVector<Value>;
  /// Bytes of a rounded number: those that are multiplied in pairs are widened once.
  int64_t width() const { return isa.dotBytes ? 1 : 2; }
  /// Both accumulators of a tile, integers and f32, two vectors a row.
  int64_t tileRows() const { return isa.lanes == 16 ? 6 : 2; }
  VectorType lanesOf(Type element) { return VectorType::get(isa.lanes, element); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) { return arith::MulIOp::create(b, loc, x, nest.i64(y)); }
  Value load(Type type, Value base, Value offset, unsigned align) {
    return LLVM::LoadOp::create(b, loc, type, nest.addressOf(base, offset, b.getI8Type()), align);
  }
  void store(Value value, Value base, Value offset, unsigned align) {
    LLVM::StoreOp::create(b, loc, value, nest.addressOf(base, offset, b.getI8Type()), align);
  }
  Value splat(int32_t value, VectorType type) {
    return arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(type, IntegerAttr::get(type.getElementType(), value)));
  }
  Value real(double value) {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(float(value)));
  }
  Value spread(Value scalar) {
    return vector::BroadcastOp::create(b, loc, lanesOf(scalar.getType()), scalar);
  }
  Value call(StringRef intrinsic, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(b, loc, lanesOf(b.getI32Type()),
                                         b.getStringAttr(intrinsic), operands)
        .getResult(0);
  }
  /// Index of (row - firstRounded, group).
  Value groupOf(Value row, Value group) {
    return add(mul(sub(row, firstRounded), rowGroups), group);
  }

  LogicalResult roundRow(Value row);
  void roundGroup(Value row, Value group);
  LogicalResult emitPanel(IndexRange block, const ProductPanels::Panel &own);
  LogicalResult emitTile(Value row, int64_t count, const ProductPanels::Panel &own, int64_t column);
  /// The same of as many rows and columns as a tile register has.
  LogicalResult emitHighTile(Value row, const ProductPanels::Panel &own, int64_t column);
  /// The numbers of a panel's groups as bytes, in `wide`.
  void widen(Value item);
  /// The factors of a vector's columns for the sums of a group.
  Value factorsAt(Value block, int64_t column);
  /// `sum` + the integers of a row's group times their factors.
  Value scaled(Value sum, Value integers, Value factors, Value scale);
  /// Where the group of a panel begins, behind its header.
  Value blockOf(Value item, Value group) {
    return nest.after(mul(add(mul(item, groups), group), groupBytes(bits)), groupHeader);
  }
  /// One side of a step of k, as the level's instruction takes it: quads of bytes, or the pairs at
  /// even and odd k.
  using Factor = SmallVector<Value, 2>;
  Value shaped(Value value, Type element);
  Factor ofPanel(Value words);
  Factor ofRow(Value place, Value quad);
  /// Integers of one step of k, of a vector's columns, times those of the row, added to `sum`.
  Value dot(Value sum, const Factor &panel, const Factor &row);
  /// Vectors of bytes that a group has of each column: a step of k, or two in halves of bytes.
  int64_t lines() const { return quads * bits / 8; }
  /// Bytes of a vector's columns of one line: of step `line`, and in halves of bytes of that of
  /// line + lines() too.
  SmallVector<Value> stepsOf(Value block, int64_t column, Value line);

  Nest &nest;
  OpBuilder &b;
  Location loc;
  const Isa &isa;
  Value rows;
  StringAttr rowAxis, depthAxis;
  int bits;
  int64_t depth, groups;
  /// Memory of a rounded row. Rows that a tile register takes at once would displace each other in
  /// the cache where they lie a power of two apart.
  int64_t rowGroups;
  Value weights;               ///< the panel's matrix
  SmallVector<Value> matrices; ///< all; the unit of each is part of the rows' scales for it
  Value numbers;               ///< one row, f32, zeros beyond its depth
  Value rounded;               ///< [row - firstRounded][rowGroups][32] of i8 or i16
  Value scales, offsets;       ///< [row - firstRounded][rowGroups] of f32, i32
  Value allScales;             ///< [matrix][row - firstRounded][rowGroups]
  Value firstRounded;          ///< the row that they begin with
  Tiles *tiles = nullptr;
  Value tiledSums; ///< [row][columns] of i32
  Value wide;      ///< [group][step of k][32 columns][4] of bytes, where a panel has halves of them
  static constexpr int64_t vectors = 2;
};
} // namespace

LogicalResult GroupsProduct::emit(KernelFrame &frame, ProductPanels &products,
                                  KernelRecord &record) {
  matrices = products.matrices();
  numbers = frame.scratch.allocate(nest, groups * depthOfGroup * 4);
  rounded = frame.scratch.allocate(nest, blockRows * rowGroups * depthOfGroup * width());
  int64_t scalesOfMatrix = blockRows * rowGroups * 4;
  allScales = frame.scratch.allocate(nest, scalesOfMatrix * int64_t(matrices.size()));
  offsets = frame.scratch.allocate(nest, blockRows * rowGroups * 4);
  std::optional<Tiles> unit;
  if (isa.tiles) {
    tiledSums = frame.scratch.allocate(nest, Tiles::rows * Tiles::bytes);
    if (bits < 8)
      wide = frame.scratch.allocate(nest, groups * depthOfGroup * panel);
    // Sums, rows of one group, columns of one group.
    tiles = &unit.emplace(frame, ArrayRef<Tiles::Shape>{{Tiles::rows, Tiles::bytes},
                                                        {Tiles::rows, depthOfGroup},
                                                        {quads, Tiles::bytes}});
  }
  LogicalResult result = success();
  LogicalResult panels = products.forEachBlock(
      record, blockRows,
      [&](IndexRange block) {
        firstRounded = block.lo;
        nest.forLoop(block.lo, block.hi, 1, [&](Value row) {
          if (failed(roundRow(row)))
            result = failure();
        });
        return result;
      },
      [&](const ProductPanels::Panel &own, IndexRange block) {
        weights = own.base;
        scales = nest.addressOf(allScales, mul(own.number, scalesOfMatrix), b.getI8Type());
        firstRounded = block.lo;
        if (!tiles)
          return emitPanel(block, own);
        // Integers are exact: rows that fill no register may go another way.
        Value high = sub(block.hi, block.lo);
        high = sub(high, arith::RemUIOp::create(b, loc, high, nest.i64(Tiles::rows)));
        Value end = add(block.lo, high);
        if (bits < 8)
          nest.ifThen(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, high, nest.i64(0)),
                      [&] { widen(own.item); });
        nest.forLoop(block.lo, end, Tiles::rows, [&](Value row) {
          for (int64_t column = 0; column < panel; column += Tiles::columns)
            if (failed(emitHighTile(row, own, column)))
              result = failure();
        });
        return failed(emitPanel(IndexRange{end, block.hi, std::nullopt}, own)) ? failure() : result;
      });
  if (tiles)
    tiles->release();
  return panels;
}

LogicalResult GroupsProduct::emitPanel(IndexRange block, const ProductPanels::Panel &own) {
  LogicalResult result = success();
  for (int64_t column = 0; column < panel; column += vectors * isa.lanes)
    if (failed(nest.overTiles(block, tileRows(), [&](Value row, int64_t count) {
          return emitTile(row, count, own, column);
        })))
      result = failure();
  return result;
}

LogicalResult GroupsProduct::roundRow(Value row) {
  int64_t padded = groups * depthOfGroup;
  Value back = sub(nest.i64(0), mul(row, padded));
  Buffer buffer = nest.rowMajor(nest.addressOf(numbers, back, b.getF32Type()), {rowAxis, depthAxis},
                                {ShapedType::kDynamic, padded}, b.getF32Type());
  llvm::DenseMap<StringAttr, IndexRange> ranges;
  ranges[rowAxis] = IndexRange{row, nest.after(row, 1), 1};
  if (failed(nest.emitInto(rows, buffer, Env(), ranges)))
    return failure();
  for (int64_t k = depth; k < padded; ++k)
    store(real(0), numbers, nest.i64(k * 4), 4);
  nest.forLoop(nest.i64(0), nest.i64(groups), 1, [&](Value group) { roundGroup(row, group); });
  return success();
}

void GroupsProduct::roundGroup(Value row, Value group) {
  Type i32 = b.getI32Type();
  SmallVector<Value> parts;
  Value largest; // as bits: NaN is above all numbers
  for (int64_t k = 0; k < depthOfGroup; k += isa.lanes) {
    Value place = mul(nest.after(mul(group, depthOfGroup), k), 4);
    parts.push_back(load(lanesOf(b.getF32Type()), numbers, place, 4));
    Value part = arith::BitcastOp::create(b, loc, lanesOf(i32), parts.back());
    Value magnitude = arith::AndIOp::create(b, loc, part, splat(0x7fffffff, lanesOf(i32)));
    largest = largest ? arith::MaxSIOp::create(b, loc, largest, magnitude) : magnitude;
  }
  Value most = vector::ReductionOp::create(b, loc, vector::CombiningKind::MAXSI, largest);
  most = arith::BitcastOp::create(b, loc, b.getF32Type(), most);
  Value none = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, most, real(0x1p-100));
  Value quotient = arith::DivFOp::create(b, loc, real(127), most);
  Value inverse = spread(arith::SelectOp::create(b, loc, none, real(0), quotient));
  // An infinity less itself is no number, and makes the group's scale none.
  Value scale = arith::AddFOp::create(b, loc, arith::DivFOp::create(b, loc, most, real(127)),
                                      arith::SubFOp::create(b, loc, most, most));
  Value place = groupOf(row, group);
  for (auto [i, matrix] : llvm::enumerate(matrices)) {
    Value inUnits = arith::MulFOp::create(b, loc, scale, nest.loadAt(b.getF32Type(), matrix, 0));
    store(inUnits, allScales, mul(nest.after(place, int64_t(i) * blockRows * rowGroups), 4), 4);
  }

  Value total;
  for (auto [i, part] : llvm::enumerate(parts)) {
    // The sum with 1.5 * 2^23 has no digits below 1: the nearest integer, even where two are.
    constexpr int32_t shifted = 0x4b400000;
    Value magic = spread(real(12582912.0));
    Value sum = arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, part, inverse), magic);
    Value integers =
        sub(arith::BitcastOp::create(b, loc, lanesOf(i32), sum), splat(shifted, lanesOf(i32)));
    total = total ? add(total, integers) : integers;
    Value at = mul(nest.after(mul(place, depthOfGroup), int64_t(i) * isa.lanes), width());
    if (!isa.dotBytes) {
      // Both even numbers of four, then both odd ones, as the panel's bytes are widened.
      SmallVector<int64_t> order;
      for (int64_t q = 0; q < isa.lanes; q += 4)
        order.append({q, q + 2, q + 1, q + 3});
      integers = vector::ShuffleOp::create(b, loc, integers, integers, order);
    }
    Type narrow = isa.dotBytes ? b.getI8Type() : b.getIntegerType(16);
    store(arith::TruncIOp::create(b, loc, lanesOf(narrow), integers), rounded, at,
          unsigned(width()));
  }
  Value sum = vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, total);
  Value offset = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(bits == 8 ? -128 : -8));
  store(arith::MulIOp::create(b, loc, sum, offset), offsets, mul(place, 4), 4);
}

SmallVector<Value> GroupsProduct::stepsOf(Value block, int64_t column, Value line) {
  auto words = lanesOf(b.getI32Type());
  Value place = nest.after(add(block, mul(line, panel * 4)), 2 * panel + column * 4);
  Value bytes = load(words, weights, place, unsigned(isa.lanes * 4));
  if (bits == 8)
    return {bytes};
  Value mask = splat(0x0f0f0f0f, words);
  Value high = arith::ShRUIOp::create(b, loc, bytes, splat(4, words));
  return {arith::AndIOp::create(b, loc, bytes, mask), arith::AndIOp::create(b, loc, high, mask)};
}

Value GroupsProduct::shaped(Value value, Type element) {
  int64_t count = isa.lanes * 32 / element.getIntOrFloatBitWidth();
  return vector::BitCastOp::create(b, loc, VectorType::get(count, element), value);
}

GroupsProduct::Factor GroupsProduct::ofPanel(Value words) {
  if (isa.dotBytes)
    return {shaped(words, b.getI8Type())};
  Type i16 = b.getIntegerType(16);
  auto halves = VectorType::get(2 * isa.lanes, i16);
  Value both = shaped(words, i16);
  return {arith::AndIOp::create(b, loc, both, splat(0xff, halves)),
          arith::ShRUIOp::create(b, loc, both, splat(8, halves))};
}

GroupsProduct::Factor GroupsProduct::ofRow(Value place, Value quad) {
  Value first = mul(add(place, mul(quad, 4)), width());
  auto at = [&](int64_t offset, Type element) {
    return shaped(spread(load(b.getI32Type(), rounded, nest.after(first, offset), 4)), element);
  };
  if (isa.dotBytes)
    return {at(0, b.getI8Type())};
  return {at(0, b.getIntegerType(16)), at(4, b.getIntegerType(16))};
}

Value GroupsProduct::dot(Value sum, const Factor &panel, const Factor &row) {
  if (isa.dotBytes)
    return call("llvm.x86.avx512.vpdpbusd.512", {sum, panel[0], row[0]});
  StringRef pairs = isa.lanes == 16 ? "llvm.x86.avx512.pmaddw.d.512" : "llvm.x86.avx2.pmadd.wd";
  for (size_t half = 0; half < panel.size(); ++half)
    sum = add(sum, call(pairs, {panel[half], row[half]}));
  return sum;
}

Value GroupsProduct::factorsAt(Value block, int64_t column) {
  Value place = nest.after(block, 2 * column);
  Value stored = load(lanesOf(b.getF16Type()), weights, place, unsigned(isa.lanes * 2));
  return arith::ExtFOp::create(b, loc, lanesOf(b.getF32Type()), stored);
}

Value GroupsProduct::scaled(Value sum, Value integers, Value factors, Value scale) {
  Value exact = arith::SIToFPOp::create(b, loc, lanesOf(b.getF32Type()), integers);
  return nest.math().fma(exact, arith::MulFOp::create(b, loc, factors, scale), sum);
}

void GroupsProduct::widen(Value item) {
  nest.forLoop(nest.i64(0), nest.i64(groups), 1, [&](Value group) {
    Value block = blockOf(item, group), first = mul(group, depthOfGroup * panel);
    for (int64_t line = 0; line < lines(); ++line)
      for (int64_t column = 0; column < panel; column += isa.lanes)
        for (auto [part, bytes] : llvm::enumerate(stepsOf(block, column, nest.i64(line)))) {
          int64_t step = line + int64_t(part) * lines();
          store(bytes, wide, nest.after(first, (step * panel + column) * 4),
                unsigned(isa.lanes * 4));
        }
  });
}

LogicalResult GroupsProduct::emitHighTile(Value row, const ProductPanels::Panel &own,
                                          int64_t column) {
  auto at = [&](Value base, Value offset) { return nest.addressOf(base, offset, b.getI8Type()); };
  VectorType integersType = lanesOf(b.getI32Type());
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(lanesOf(b.getF32Type())));
  Sums sums =
      nest.forLoop(nest.i64(0), nest.i64(groups), 1, Sums(Tiles::rows, zero),
                   [&](Value group, ValueRange carried) {
                     Value block = blockOf(own.item, group);
                     tiles->zero(0);
                     tiles->load(1, at(rounded, mul(groupOf(row, group), depthOfGroup)),
                                 rowGroups * depthOfGroup);
                     Value numbers = wide ? at(wide, mul(group, depthOfGroup * panel))
                                          : at(weights, nest.after(block, 2 * panel));
                     tiles->load(2, at(numbers, nest.i64(column * 4)), panel * 4);
                     tiles->dotBytes(0, 1, 2);
                     tiles->store(0, tiledSums, Tiles::bytes);
                     Value factors = factorsAt(block, column);
                     Sums next;
                     for (int64_t r = 0; r < Tiles::rows; ++r) {
                       Value place = mul(groupOf(nest.after(row, r), group), 4);
                       Value start = spread(load(b.getI32Type(), offsets, place, 4));
                       Value dots =
                           load(integersType, tiledSums, nest.i64(r * Tiles::bytes), Tiles::bytes);
                       Value scale = spread(load(b.getF32Type(), scales, place, 4));
                       next.push_back(scaled(carried[size_t(r)], add(dots, start), factors, scale));
                     }
                     return next;
                   });
  return storePanelTile(nest, sums, {row, Tiles::rows, own.item, column}, own);
}

LogicalResult GroupsProduct::emitTile(Value row, int64_t count, const ProductPanels::Panel &own,
                                      int64_t column) {
  Value item = own.item;
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(lanesOf(b.getF32Type())));
  Sums sums = nest.forLoop(
      nest.i64(0), nest.i64(groups), 1, Sums(count * vectors, zero),
      [&](Value group, ValueRange carried) {
        Value block = blockOf(item, group);
        SmallVector<Value> factors;
        for (int64_t j = 0; j < vectors; ++j)
          factors.push_back(factorsAt(block, column + j * isa.lanes));
        Sums integers, places, next;
        for (int64_t r = 0; r < count; ++r) {
          Value index = groupOf(nest.after(row, r), group);
          places.push_back(index);
          Value start = spread(load(b.getI32Type(), offsets, mul(index, 4), 4));
          integers.append(vectors, start);
        }
        auto addLine = [&](Value line, ValueRange before) {
          Sums sums = llvm::to_vector(before);
          SmallVector<SmallVector<Value>> steps;
          for (int64_t j = 0; j < vectors; ++j)
            steps.push_back(stepsOf(block, column + j * isa.lanes, line));
          for (size_t part = 0; part < steps[0].size(); ++part) {
            Value quad = nest.after(line, int64_t(part) * lines());
            SmallVector<Factor> panels;
            for (int64_t j = 0; j < vectors; ++j)
              panels.push_back(ofPanel(steps[size_t(j)][part]));
            for (int64_t r = 0; r < count; ++r) {
              Factor own = ofRow(mul(places[size_t(r)], depthOfGroup), quad);
              for (int64_t j = 0; j < vectors; ++j) {
                Value &sum = sums[size_t(r * vectors + j)];
                sum = dot(sum, panels[size_t(j)], own);
              }
            }
          }
          return sums;
        };
        // Written out, the sums of widened products of several rows are taken one after the other,
        // with all bytes and all rows kept meanwhile: more registers than there are.
        if (isa.dotBytes) {
          for (int64_t line = 0; line < lines(); ++line)
            integers = addLine(nest.i64(line), integers);
        } else {
          integers = nest.forLoop(nest.i64(0), nest.i64(lines()), 1, integers, addLine);
        }
        for (int64_t r = 0; r < count; ++r) {
          Value scale = spread(load(b.getF32Type(), scales, mul(places[size_t(r)], 4), 4));
          for (int64_t j = 0; j < vectors; ++j) {
            auto i = size_t(r * vectors + j);
            next.push_back(scaled(carried[i], integers[i], factors[size_t(j)], scale));
          }
        }
        return next;
      });
  return storePanelTile(nest, sums, {row, count, item, column}, own);
}

LogicalResult cpu::emitGroupsProduct(KernelFrame &frame, ProductPanels &products, int bits,
                                     KernelRecord &record) {
  ContractOp contract = products.contract();
  Value weight = products.weight();
  Value rows = contract.getLhs() == weight ? contract.getRhs() : contract.getLhs();
  auto round = rows.getDefiningOp<RoundOp>();
  if (!round || round.getAxis() != cast<StringAttr>(contract.getAxes()[0]).getValue() ||
      int64_t(round.getGroup()) != depthOfGroup)
    return contract.emitOpError("expects rows that are rounded along the summed axis by ")
           << depthOfGroup << ", since the matrix is stored as integers";
  return GroupsProduct(frame, contract, weight, round, bits).emit(frame, products, record);
}

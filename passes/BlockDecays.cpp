//===- BlockDecays.cpp - What remains between two tokens of a block -------===//
//
// The decay half of BlockEmitter.h: from a group's decays (one number, or a small matrix over its
// states) to
//
//   P[c, s]   the product of the decays of the tokens after s, up to c; 0 where s is after c
//   P[c]      that of all tokens up to c
//
// P[., s] is a linear recurrence along c that starts with 1 at s, so it is one rondo.propagate;
// P[c] = P[c, 0] a[0]. For a read before the update both are taken one token earlier. Entries of a
// matrix that no chain of states leads to are 0 and cost nothing.
//
//===----------------------------------------------------------------------===//

#include "passes/BlockEmitter.h"

#include "passes/LeadAxes.h"

using namespace mlir;

namespace rondo {

using algebra::Expr;

/// The axes of matrices of decays: rows, columns, and the column that a product started from.
static constexpr llvm::StringLiteral rowAxis = "c_i", columnAxis = "c_j", startAxis = "c_q";

int BlockEmitter::rowOf(int state) {
  const std::vector<int> &states = transition.groups[transition.groupOf[state]].states;
  return std::find(states.begin(), states.end(), state) - states.begin();
}

/// Each entry of a matrix along the axes of rows and columns, one after the other.
Value BlockEmitter::stacked(ArrayRef<SmallVector<Value>> entries, StringRef rows,
                            StringRef columns) {
  SmallVector<Type> types;
  for (const auto &row : entries)
    llvm::append_range(types, ValueRange(row).getTypes());
  auto common = unionType(types, builder.getF32Type());
  auto type = [&](int64_t rowCount, int64_t columnCount) {
    SmallVector<StringAttr> names(axesOf(common));
    SmallVector<int64_t> extents(common.getShape());
    for (auto [axis, extent] : {std::pair(rows, rowCount), std::pair(columns, columnCount)})
      if (!axis.empty()) {
        names.push_back(builder.getStringAttr(axis));
        extents.push_back(extent);
      }
    return namedType(builder.getContext(), names, extents, builder.getF32Type());
  };
  auto join = [&](ArrayRef<Value> parts, StringRef axis, RankedTensorType result) -> Value {
    if (parts.size() == 1)
      return parts[0];
    return ConcatOp::create(builder, loc, result, parts, builder.getStringAttr(axis));
  };
  SmallVector<Value> whole;
  for (const auto &row : entries) {
    SmallVector<Value> parts;
    for (Value entry : row)
      parts.push_back(conform(entry, type(1, 1)));
    whole.push_back(join(parts, columns, type(1, row.size())));
  }
  return join(whole, rows, type(entries.size(), entries[0].size()));
}

Value BlockEmitter::sameIndex(Value a, Value b) {
  return map(MapKind::Select, {map(MapKind::Eq, {a, b}), constant(1), constant(0)});
}

/// An entry of products of matrices, with the axes of those entries that it is made of: along the
/// others, which other entries have, it is the same.
Value BlockEmitter::entryOf(Value product, const std::vector<std::vector<Expr>> &matrix,
                            const Decays &of, size_t row, size_t column) {
  algebra::AxisSet axes = 0;
  for (size_t i = 0; i < matrix.size(); ++i)
    for (size_t j = 0; j < matrix.size(); ++j)
      if (!of.entries[i][j].isZero && of.reaches[row][i] && of.reaches[j][column])
        axes |= pool[matrix[i][j]].axes;
  SmallVector<StringRef> own = reader.namesOf(axes);
  for (StringAttr axis : SmallVector<StringAttr>(axesOf(product.getType())))
    if (axis != blockAxis && axis != keyAxis && !llvm::is_contained(own, axis.getValue()))
      product = atIndex(product, axis, 0);
  return product;
}

LogicalResult BlockEmitter::makeDecays(int group) {
  group = sameDecays[group];
  Decays &of = decays[group];
  if (of.made)
    return success();
  of.made = true;
  const auto &matrix = transition.groups[group].matrix;
  size_t m = matrix.size();
  of.entries.assign(m, SmallVector<Factor>(m));
  of.reaches.assign(m, SmallVector<bool>(m));
  for (size_t i = 0; i < m; ++i)
    for (size_t j = 0; j < m; ++j) {
      Factor &entry = of.entries[i][j];
      entry.isZero = pool.isConstant(matrix[i][j], 0);
      of.reaches[i][j] = i == j || !entry.isZero;
      if (entry.isZero || pool.isConstant(matrix[i][j], 1))
        continue;
      auto value = emit(matrix[i][j]);
      if (failed(value))
        return failure(); // reported by emit
      entry.value = *value;
    }
  for (size_t k = 0; k < m; ++k)
    for (size_t i = 0; i < m; ++i)
      for (size_t j = 0; j < m; ++j)
        if (of.reaches[i][k] && of.reaches[k][j])
          of.reaches[i][j] = true;
  of.isMatrix = transition.groups[group].isMatrix;
  Value start = sameIndex(index(blockAxis), index(keyAxis));
  auto along = builder.getStringAttr(blockAxis);
  auto propagate = [&](Value factors, Value source, ArrayAttr mixing) {
    auto type = unionType({source.getType(), factors.getType()}, builder.getF32Type());
    if (mixing)
      type = withoutAxis(type, columnAxis);
    return arranged(PropagateOp::create(builder, loc, type, factors, source, along, mixing), group);
  };
  if (of.isMatrix) {
    SmallVector<SmallVector<Value>> values(m);
    for (size_t i = 0; i < m; ++i)
      for (size_t j = 0; j < m; ++j)
        values[i].push_back(of.entries[i][j].value ? of.entries[i][j].value
                                                   : constant(of.entries[i][j].isZero ? 0 : 1));
    Value same = sameIndex(index(rowAxis, m), index(startAxis, m));
    Value all = propagate(stacked(values, rowAxis, columnAxis), map(MapKind::Mul, {start, same}),
                          builder.getStrArrayAttr({rowAxis, columnAxis}));
    for (size_t i = 0; i < m; ++i)
      for (size_t j = 0; j < m; ++j)
        of.products.push_back(
            entryOf(atIndex(atIndex(all, rowAxis, i), startAxis, j), matrix, of, i, j));
    return success();
  }
  // Without a matrix, states of a group have a decay each.
  for (size_t i = 0; i < m; ++i)
    for (size_t j = 0; j < m; ++j)
      of.products.push_back(i == j && of.entries[i][i].value
                                ? propagate(of.entries[i][i].value, start, {})
                            : i == j && of.entries[i][i].isZero ? start
                                                                : Value());
  return success();
}

/// The value where `axis` is at `at`; itself where it lacks the axis.
Value BlockEmitter::atIndex(Value value, StringRef axis, int64_t at) {
  if (!hasAxis(value.getType(), axis))
    return value;
  return reindexed(value, withoutAxis(value.getType(), axis), [&](StringRef name) {
    return name == axis ? builder.getAffineConstantExpr(at) : AffineExpr();
  });
}

/// The value one token later along `c`, the last one first.
Value BlockEmitter::delayed(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return reindexed(value, type, [&](StringRef axis) {
    return axis == blockAxis
               ? (builder.getAffineDimExpr(*axisIndex(type, axis)) + (chunk - 1)) % chunk
               : AffineExpr();
  });
}

BlockEmitter::Factor BlockEmitter::betweenTokens(int group, int row, ArrayRef<int> columns,
                                                 bool strict) {
  group = sameDecays[group];
  Factor &result = knownBetween[{group, row, std::vector<int>(columns), strict}];
  if (result.value)
    return result;
  Decays &of = decays[group];
  size_t m = of.entries.size();
  int terms = 0;
  for (int column : columns) {
    if (!of.reaches[row][column])
      continue;
    ++terms;
    // Of one state that does not decay: nothing but the mask.
    if (Value product = of.products[row * m + column])
      result.value =
          result.value ? arranged(map(MapKind::Add, {result.value, product}), group) : product;
  }
  result.isZero = terms == 0;
  if (result.value && strict)
    result.value = delayed(result.value);
  return result;
}

/// P[c], or P[c - 1] for what is read before the update.
BlockEmitter::Factor BlockEmitter::sinceEntering(int group, int row, int column, bool strict) {
  group = sameDecays[group];
  Decays &of = decays[group];
  size_t m = of.entries.size();
  auto [it, isNew] = knownSince.try_emplace({group, row, column, strict});
  Factor &result = it->second;
  if (!isNew)
    return result;
  result.isZero = true;
  for (size_t between = 0; between < m; ++between) {
    const Factor &first = of.entries[between][column];
    if (first.isZero || !of.reaches[row][between])
      continue;
    result.isZero = false;
    Value product = of.products[row * m + between];
    if (!product && !first.value)
      continue; // no decay
    Value term;
    if (product)
      term = atIndex(product, keyAxis, 0);
    if (first.value) {
      Value at = atIndex(first.value, blockAxis, 0);
      term = term ? map(MapKind::Mul, {term, at}) : at;
    }
    result.value = add(result.value, term);
  }
  if (!strict)
    return result;
  bool own = row == column;
  if (result.isZero && !own)
    return result;
  if (result.value || result.isZero) {
    Value hasEarlier = map(MapKind::Lt, {constant(0), index(blockAxis)});
    Value earlier = result.value ? delayed(result.value) : constant(0);
    result.value = map(MapKind::Select, {hasEarlier, earlier, constant(own ? 1 : 0)});
    result.isZero = false;
  }
  return result;
}

BlockEmitter::Factor BlockEmitter::untilLeaving(int group, int row, ArrayRef<int> columns) {
  Factor result = betweenTokens(group, row, columns, /*strict=*/false);
  if (!result.value)
    return result;
  Value last = atIndex(result.value, blockAxis, chunk - 1);
  result.value = renamed(last, keyAxis, blockAxis);
  return result;
}

BlockEmitter::Factor BlockEmitter::ofWholeBlock(int group, int row, int column) {
  Factor result = sinceEntering(group, row, column, /*strict=*/false);
  if (result.value)
    result.value = atIndex(result.value, blockAxis, chunk - 1);
  return result;
}

} // namespace rondo

//===- BlockSolve.cpp - A block's reads of states by their own updates ----===//
//
// The delta-rule half of BlockEmitter.h. A token's updates depend linearly on r reads y of the
// group's states, so that
//
//   y = right side + M y,     M[(c, i), (s, j)] = what the token s writes for a y of 1 as its j-th
//   read, as read by the i-th read of the token c
//
// where the right side is what the entering states and the updates without y answer. M is strictly
// lower triangular: rows are ordered by token, then by unknown, and an unknown of the same token is
// one that an answer is made of. y = (I - M)^-1 right side.
//
//===----------------------------------------------------------------------===//

#include "passes/BlockEmitter.h"

#include "passes/LeadAxes.h"

using namespace mlir;

namespace rondo {

using algebra::AtomKind;
using algebra::Expr;

/// The axes of unknowns of a token, and of all rows of the system.
static constexpr llvm::StringLiteral unknownAxis = "c_r", otherAxis = "c_q", rowsAxis = "c_e",
                                     columnsAxis = "c_f";

/// value = given + sum of coefficients * unknowns
struct BlockEmitter::Affine {
  Expr given;
  SmallVector<std::pair<unsigned, Expr>> coefficients; // by place among the unknowns
  SmallVector<std::pair<Expr, Expr>> reads;            // other reads: atom, coefficient
};

BlockEmitter::Affine BlockEmitter::affineOf(const algebra::StateGroup &group, Expr e) {
  Affine result{pool.constant(0), {}, {}};
  for (const algebra::Term &term : algebra::expand(pool, e, group.own)) {
    auto place = llvm::find(group.unknowns, term.atom);
    if (term.atom && place != group.unknowns.end())
      result.coefficients.push_back({place - group.unknowns.begin(), term.coefficient});
    else if (term.kind == AtomKind::Read)
      result.reads.push_back({term.atom, term.coefficient});
    else
      result.given = pool.add({result.given, algebra::termExpr(pool, term)});
  }
  return result;
}

/// Adds what a read of the states before the token gives to a row of the system.
LogicalResult BlockEmitter::addRead(const algebra::StateGroup &group, Expr atom, Expr scale,
                                    Value &right, MutableArrayRef<Value> row) {
  algebra::ReadParts read = algebra::partsOf(pool, atom);
  auto factor = emit(scale);
  auto answer = answerOfEntering(read);
  if (failed(factor) || failed(answer))
    return failure(); // reported by emit
  auto scaled = [&](Value value) {
    return pool.isConstant(scale, 1) ? value : map(MapKind::Mul, {*factor, value});
  };
  right = add(right, scaled(*answer));
  int index = transition.groupOf[read.state];
  for (const Source &source : sourcesOf(index)) {
    Factor between = betweenTokens(index, rowOf(read.state), source.columns, /*strict=*/true);
    if (between.isZero)
      continue;
    // value = given + coefficients * unknowns; each part has weights of its own where it has key
    // axes.
    auto contribution = [&](Expr part, bool isGiven) -> FailureOr<Value> {
      auto [key, value] = split(part, read.over);
      auto weights = weightsOf(read, key, between);
      auto values = emit(value);
      if (failed(weights) || failed(values))
        return failure(); // reported by emit
      return scaled(isGiven ? sumOfProducts(*weights, atSources(*values), {keyAxis})
                    : pool.isConstant(value, 1)
                        ? *weights
                        : map(MapKind::Mul, {*weights, atSources(*values)}));
    };
    Affine value = affineOf(group, source.product);
    // Products without unknowns share their factors' weights with the reads of others.
    for (Expr given : pool.terms(value.given)) {
      if (pool.isConstant(given, 0))
        continue;
      auto part = contribution(given, true);
      if (failed(part))
        return failure(); // reported by emit
      right = add(right, *part);
    }
    for (auto [place, coefficient] : value.coefficients) {
      auto part = contribution(coefficient, false);
      if (failed(part))
        return failure(); // reported by emit
      row[place] = add(row[place], *part);
    }
  }
  return success();
}

LogicalResult BlockEmitter::solveOwnReads(int index) {
  const algebra::StateGroup &group = transition.groups[index];
  if (group.unknowns.empty() || solved[index])
    return success();
  solved[index] = true;
  if (failed(makeDecays(index)))
    return failure(); // reported by emit
  size_t count = group.unknowns.size();
  SmallVector<Value> right(count);
  SmallVector<SmallVector<Value>> matrix(count, SmallVector<Value>(count));
  for (size_t i = 0; i < count; ++i) {
    Expr unknown = group.unknowns[i];
    if (pool[unknown].kind != algebra::Kind::Answer) {
      if (failed(addRead(group, unknown, pool.constant(1), right[i], matrix[i])))
        return failure(); // reported by emit
      continue;
    }
    Affine definition = affineOf(group, pool[unknown].arguments[0]);
    for (auto [read, coefficient] : definition.reads)
      if (failed(addRead(group, read, coefficient, right[i], matrix[i])))
        return failure(); // reported by emit
    if (!pool.isConstant(definition.given, 0)) {
      auto given = emit(definition.given);
      if (failed(given))
        return failure(); // reported by emit
      right[i] = add(right[i], *given);
    }
    // Of the same token.
    for (auto [place, coefficient] : definition.coefficients) {
      auto factor = emit(coefficient);
      if (failed(factor))
        return failure(); // reported by emit
      Value same = sameIndex(this->index(blockAxis), this->index(keyAxis));
      matrix[i][place] = add(matrix[i][place], map(MapKind::Mul, {same, *factor}));
    }
  }
  if (count == 1) {
    known[group.unknowns[0]] = matrix[0][0]
                                   ? sumOfProducts(inverse(matrix[0][0], blockAxis, keyAxis),
                                                   atSources(right[0]), {keyAxis})
                                   : right[0];
    return success();
  }
  solveTogether(group, right, matrix);
  return success();
}

/// All unknowns of all tokens as one system: row c * count + i.
void BlockEmitter::solveTogether(const algebra::StateGroup &group, ArrayRef<Value> right,
                                 MutableArrayRef<SmallVector<Value>> matrix) {
  int64_t count = right.size(), rows = count * chunk;
  Value zero =
      map(MapKind::Mul, {constant(0), sameIndex(this->index(blockAxis), this->index(keyAxis))});
  for (SmallVector<Value> &row : matrix)
    for (Value &entry : row)
      if (!entry)
        entry = zero;
  SmallVector<SmallVector<Value>> column;
  for (Value value : right)
    column.push_back({conform(value, withTokens(value))});
  // [c, i, ...] as [c * count + i, ...]
  auto flattened = [&](Value value, ArrayRef<std::array<StringRef, 3>> axes) {
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<StringAttr> names;
    SmallVector<int64_t> extents;
    for (auto [name, extent] : llvm::zip_equal(axesOf(type), type.getShape())) {
      auto token = llvm::find_if(axes, [&](auto &axis) { return axis[0] == name.getValue(); });
      if (llvm::any_of(axes, [&](auto &axis) { return axis[1] == name.getValue(); }))
        continue;
      names.push_back(token == axes.end() ? name : builder.getStringAttr((*token)[2]));
      extents.push_back(token == axes.end() ? extent : rows);
    }
    auto flat = namedType(builder.getContext(), names, extents, builder.getF32Type());
    return reindexed(value, flat, [&](StringRef name) -> AffineExpr {
      for (auto &axis : axes) {
        AffineExpr at = builder.getAffineDimExpr(*axisIndex(flat, axis[2]));
        if (name == axis[0])
          return at.floorDiv(count);
        if (name == axis[1])
          return at % count;
      }
      return {};
    });
  };
  Value system = flattened(stacked(matrix, unknownAxis, otherAxis),
                           {{blockAxis, unknownAxis, rowsAxis}, {keyAxis, otherAxis, columnsAxis}});
  Value given =
      flattened(stacked(column, unknownAxis, ""), {{blockAxis, unknownAxis, columnsAxis}});
  Value all = sumOfProducts(inverse(system, rowsAxis, columnsAxis), given, {columnsAxis});
  for (int64_t i = 0; i < count; ++i) {
    // Axes that only other unknowns have are broadcast: any index of them will do.
    algebra::AxisSet axes = pool[group.unknowns[i]].axes;
    auto own = reader.namesOf(axes);
    SmallVector<StringRef> names{blockAxis};
    SmallVector<int64_t> extents{chunk};
    for (auto [name, extent] :
         llvm::zip_equal(axesOf(all.getType()), cast<RankedTensorType>(all.getType()).getShape()))
      if (llvm::is_contained(own, name.getValue())) {
        names.push_back(name.getValue());
        extents.push_back(extent);
      }
    auto type = namedType(builder.getContext(), names, extents, builder.getF32Type());
    known[group.unknowns[i]] = reindexed(all, type, [&](StringRef name) -> AffineExpr {
      if (name == rowsAxis)
        return builder.getAffineDimExpr(0) * count + i;
      return llvm::is_contained(own, name) ? AffineExpr() : builder.getAffineConstantExpr(0);
    });
  }
}

/// By halves: with m = [[a, 0], [b, d]], the inverse is [[A, 0], [D b A, D]]. All diagonal blocks
/// of a level at once, along the axis `c_u`. The smallest, of n (4 to 7, or all of an odd chunk)
/// rows, by (I + m)(I + m^2)(I + m^4)..., which ends since m^n = 0; so short a product of powers
/// loses no digits.
Value BlockEmitter::inverse(Value m, StringRef rows, StringRef columns) {
  constexpr llvm::StringLiteral u = "c_u", row = "c_i", column = "c_j", inner = "c_k";
  int64_t whole = extentOf(m.getType(), rows), size = whole;
  while (size % 2 == 0 && size / 2 >= 4)
    size /= 2;
  // [c_u, c_i, c_j, others...] -> m at (stride u + i0 + i, stride u + j0 + j)
  SmallVector<StringRef> others;
  for (StringAttr axis : axesOf(m.getType()))
    if (axis != rows && axis != columns)
      others.push_back(axis.getValue());
  auto blockType = [&](int64_t blocks, int64_t height, int64_t width) {
    SmallVector<StringRef> names{u, row, column};
    SmallVector<int64_t> extents{blocks, height, width};
    for (StringRef axis : others) {
      names.push_back(axis);
      extents.push_back(extentOf(m.getType(), axis));
    }
    return namedType(builder.getContext(), names, extents, builder.getF32Type());
  };
  auto dim = [&](unsigned i) { return builder.getAffineDimExpr(i); };
  auto blocksOf = [&](int64_t stride, int64_t i0, int64_t height) {
    return reindexed(m, blockType(whole / stride, height, height),
                     [&](StringRef axis) -> AffineExpr {
                       if (axis == rows)
                         return dim(0) * stride + dim(1) + i0;
                       return axis == columns ? dim(0) * stride + dim(2) : AffineExpr();
                     });
  };
  auto multiply = [&](Value a, Value b) {
    Value product = sumOfProducts(renamed(a, column, inner), renamed(b, row, inner), {inner});
    auto type = cast<RankedTensorType>(a.getType());
    return conform(product, blockType(type.getDimSize(0), type.getDimSize(1),
                                      cast<RankedTensorType>(b.getType()).getDimSize(2)));
  };
  Value identity = sameIndex(index(row, size), index(column, size));
  Value power = blocksOf(size, 0, size);
  Value result =
      conform(map(MapKind::Add, {power, identity}), cast<RankedTensorType>(power.getType()));
  for (int64_t terms = 2; terms < size; terms *= 2) {
    power = multiply(power, power);
    result = map(MapKind::Add, {result, multiply(result, power)});
  }
  for (; size < whole; size *= 2) {
    auto type = blockType(whole / (2 * size), size, size);
    auto half = [&](int64_t which) {
      return reindexed(result, type, [&](StringRef axis) {
        return axis == u ? dim(0) * 2 + which : AffineExpr();
      });
    };
    Value top = half(0), bottom = half(1), zero = conform(constant(0), type);
    Value corner = multiply(multiply(bottom, blocksOf(2 * size, size, size)), top);
    auto join = [&](Value a, Value b, StringRef axis, RankedTensorType joined) -> Value {
      return ConcatOp::create(builder, loc, joined, ValueRange{a, b}, builder.getStringAttr(axis));
    };
    auto wide = blockType(whole / (2 * size), size, 2 * size);
    result = join(join(top, zero, column, wide), join(corner, bottom, column, wide), row,
                  blockType(whole / (2 * size), 2 * size, 2 * size));
  }
  auto type = cast<RankedTensorType>(m.getType());
  return reindexed(result, type, [&](StringRef axis) -> AffineExpr {
    if (axis == u)
      return builder.getAffineConstantExpr(0);
    return axis == row      ? dim(*axisIndex(type, rows))
           : axis == column ? dim(*axisIndex(type, columns))
                            : AffineExpr();
  });
}

} // namespace rondo

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
// one that an answer is made of: `rondo.solve`.
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
    known[group.unknowns[0]] =
        matrix[0][0]
            ? solve(matrix[0][0], conform(right[0], withTokens(right[0])), blockAxis, keyAxis)
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
  Value given = flattened(stacked(column, unknownAxis, ""), {{blockAxis, unknownAxis, rowsAxis}});
  Value all = solve(system, given, rowsAxis, columnsAxis);
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

Value BlockEmitter::solve(Value matrix, Value source, StringRef rows, StringRef columns) {
  auto type = unionType(
      {cast<RankedTensorType>(source.getType()), cast<RankedTensorType>(matrix.getType())},
      builder.getF32Type());
  return SolveOp::create(builder, loc, withoutAxis(type, columns), matrix, source,
                         builder.getStringAttr(rows), builder.getStringAttr(columns));
}

} // namespace rondo

//===- ViewAdjoint.cpp - The gradient rule of view -----------------------===//
//
// A view's map falls into components: source axes and result axes that share no index with the
// others. Each is turned back by itself:
//
//   no result axis           the picked element gets the cotangent, the others 0
//   one source axis, result indices row-major in it, at an offset
//                            merged, and zeros around them (split, rename, slice)
//   j = i floordiv r         summed over each r (repeat by group)
//   as many elements, each shown once
//                            the inverse view (merge, and any other reshape)
//   anything else            the sum over the result's axes, weighted with 1 where its index is the
//                            source's (as large as both together, but right for every map)
//
// A result axis that no index has is summed (a broadcast). Axes that the cotangent lacks stay away
// where the rule allows.
//
//===----------------------------------------------------------------------===//

#include "dialect/CotangentOps.h"
#include "dialect/IndexRange.h"

#include "llvm/ADT/EquivalenceClasses.h"

using namespace mlir;
using namespace rondo;

// Inverse views that interval arithmetic cannot prove are tried index by index up to this size.
static constexpr int64_t mostTried = int64_t(1) << 20;

namespace {

struct Axis {
  StringAttr name;
  int64_t extent;
};

struct Component {
  SmallVector<unsigned> sources, results; // places in the source's and the result's axes
};

class ViewAdjoint {
public:
  ViewAdjoint(CotangentOps &ops, ViewOp op, Value cotangent)
      : ops(ops), op(op), context(op.getContext()), c(cotangent),
        source(axesIn(op.getSource().getType())), result(axesIn(op.getType())) {
    for (const Axis &axis : result)
      extents.push_back(axis.extent);
    map = simplifyInRange(op.getMap(), extents);
  }

  Value run() {
    sumBroadcasts();
    for (const Component &component : components()) {
      if (!c)
        return {};
      turnBack(component);
    }
    for (const Axis &axis : source)
      if (c && hasAxis(c.getType(), temporary(axis)))
        c = ops.renamed(c, temporary(axis), axis.name);
    return c;
  }

private:
  static SmallVector<Axis> axesIn(Type type) {
    SmallVector<Axis> axes;
    RankedTensorType inner = withoutTime(type);
    for (auto [name, extent] : llvm::zip_equal(axesOf(inner), inner.getShape()))
      axes.push_back({name, extent});
    return axes;
  }

  /// What a source axis is called until all result axes are gone, which may have its name.
  std::string temporary(const Axis &axis) const {
    bool taken = llvm::any_of(result, [&](const Axis &other) { return other.name == axis.name; });
    return taken ? axis.name.str() + "'" : axis.name.str();
  }

  bool has(unsigned resultAxis) const { return hasAxis(c.getType(), result[resultAxis].name); }

  static void dimsOf(AffineExpr expr, SmallVectorImpl<unsigned> &dims) {
    expr.walk([&](AffineExpr inner) {
      if (auto dim = dyn_cast<AffineDimExpr>(inner))
        dims.push_back(dim.getPosition());
    });
  }

  void sumBroadcasts() {
    SmallVector<unsigned> used;
    for (AffineExpr expr : map.getResults())
      dimsOf(expr, used);
    RankedTensorType whole = op.getType(), kept = whole;
    for (auto [i, axis] : llvm::enumerate(result))
      if (!llvm::is_contained(used, i))
        kept = withoutAxis(kept, axis.name);
    c = ops.sumTo(c, whole, kept);
  }

  SmallVector<Component> components() const {
    // Result axis i is number i, source axis j is number result.size() + j.
    unsigned first = static_cast<unsigned>(result.size());
    llvm::EquivalenceClasses<unsigned> classes;
    for (auto [j, expr] : llvm::enumerate(map.getResults())) {
      unsigned number = first + static_cast<unsigned>(j);
      classes.insert(number);
      SmallVector<unsigned> dims;
      dimsOf(expr, dims);
      for (unsigned dim : dims)
        classes.unionSets(number, dim);
    }
    SmallVector<Component> all;
    DenseMap<unsigned, unsigned> places;
    auto of = [&](unsigned number) -> Component & {
      auto [it, fresh] = places.try_emplace(classes.getLeaderValue(number), all.size());
      if (fresh)
        all.emplace_back();
      return all[it->second];
    };
    for (unsigned j = 0; j < source.size(); ++j)
      of(first + j).sources.push_back(j);
    for (unsigned i = 0; i < first; ++i)
      if (classes.contains(i))
        of(i).results.push_back(i);
    return all;
  }

  void turnBack(const Component &component) {
    bool turned = component.results.empty() ? pick(component)
                                            : lazily(component) || repeat(component) ||
                                                  linear(component) || reshape(component);
    if (!turned)
      select(component);
  }

  /// The constant that an index is.
  bool pick(const Component &component) {
    const Axis &axis = source[component.sources[0]];
    auto at = dyn_cast<AffineConstantExpr>(map.getResult(component.sources[0]));
    if (!at || axis.extent > mostComparedIndex)
      return false;
    if (axis.extent == 1)
      return true;
    Value index = ops.index(temporary(axis), axis.extent);
    c = ops.where(ops.map(MapKind::Eq, {index, ops.number(static_cast<double>(at.getValue()))}), c);
    return true;
  }

  int64_t elements(ArrayRef<unsigned> places, ArrayRef<Axis> axes) const {
    int64_t count = 1;
    for (unsigned i : places)
      count *= axes[i].extent;
    return count;
  }

  /// Each element shown as often as every other one, and the cotangent constant along all of them.
  bool lazily(const Component &component) {
    if (llvm::any_of(component.results, [&](unsigned i) { return has(i); }))
      return false;
    int64_t shown = elements(component.results, result), of = elements(component.sources, source);
    bool even = shown == of ? bool(inverseOf(component)) : repeatsOf(component) > 0;
    if (!even)
      return false;
    c = ops.times(c, ops.number(static_cast<double>(shown / of)));
    return true;
  }

  /// r of i floordiv r over r times the source's extent; 0 of anything else.
  int64_t repeatsOf(const Component &component) const {
    if (component.sources.size() != 1 || component.results.size() != 1)
      return 0;
    auto quotient = dyn_cast<AffineBinaryOpExpr>(map.getResult(component.sources[0]));
    if (!quotient || quotient.getKind() != AffineExprKind::FloorDiv ||
        !isa<AffineDimExpr>(quotient.getLHS()))
      return 0;
    auto r = dyn_cast<AffineConstantExpr>(quotient.getRHS());
    bool whole =
        r && r.getValue() > 0 &&
        r.getValue() * source[component.sources[0]].extent == result[component.results[0]].extent;
    return whole ? r.getValue() : 0;
  }

  bool repeat(const Component &component) {
    int64_t r = repeatsOf(component);
    if (!r)
      return false;
    const Axis &to = source[component.sources[0]];
    std::string each = temporary(to) + "''";
    reindex(
        component.results,
        {{StringAttr::get(context, temporary(to)), to.extent}, {StringAttr::get(context, each), r}},
        [&](ArrayRef<AffineExpr> in) { return SmallVector<AffineExpr>{in[0] * r + in[1]}; });
    StringRef names[] = {each};
    c = ReduceOp::create(ops.builder, ops.loc, ReduceKind::Sum, c, names);
    return true;
  }

  /// One source axis whose index is a row-major number of the result's, from `low` on; or from the
  /// end.
  bool linear(const Component &component) {
    if (component.sources.size() != 1)
      return false;
    AffineExpr expr = map.getResult(component.sources[0]);
    const Axis &to = source[component.sources[0]];
    SmallVector<int64_t> coefficients;
    int64_t low = 0;
    if (!coefficientsOf(expr, coefficients, low))
      return false;
    SmallVector<unsigned> order(component.results);
    llvm::sort(order, [&](unsigned a, unsigned b) { // an axis of one element before its equal
      return std::pair(-std::abs(coefficients[a]), result[a].extent) <
             std::pair(-std::abs(coefficients[b]), result[b].extent);
    });
    bool reversed = order.size() == 1 && coefficients[order[0]] == -1;
    int64_t stride = 1;
    for (unsigned i : llvm::reverse(order)) {
      if (coefficients[i] != (reversed ? -1 : stride))
        return false;
      stride *= result[i].extent;
    }
    int64_t count = stride;
    if (reversed)
      low -= count - 1;
    if (to.extent > mostComparedIndex)
      return false;
    materialise(component);
    StringAttr name = StringAttr::get(context, temporary(to));
    reindex(order, {{name, count}}, [&](ArrayRef<AffineExpr> in) {
      SmallVector<AffineExpr> indices;
      int64_t step = count;
      for (unsigned i : order) {
        step /= result[i].extent;
        AffineExpr index = reversed ? (count - 1) - in[0] : in[0].floorDiv(step);
        indices.push_back(step * result[i].extent == count ? index : index % result[i].extent);
      }
      return indices;
    });
    pad(name, low, to.extent);
    return true;
  }

  /// The index as `constant` + sum of coefficients times result indices; false where it has a
  /// quotient or remainder.
  bool coefficientsOf(AffineExpr expr, SmallVectorImpl<int64_t> &coefficients, int64_t &constant,
                      int64_t factor = 1) const {
    coefficients.resize(result.size(), 0);
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      coefficients[dim.getPosition()] += factor;
      return true;
    }
    if (auto number = dyn_cast<AffineConstantExpr>(expr)) {
      constant += factor * number.getValue();
      return true;
    }
    auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
    if (!binary)
      return false;
    if (expr.getKind() == AffineExprKind::Add)
      return coefficientsOf(binary.getLHS(), coefficients, constant, factor) &&
             coefficientsOf(binary.getRHS(), coefficients, constant, factor);
    auto times = dyn_cast<AffineConstantExpr>(binary.getRHS());
    return expr.getKind() == AffineExprKind::Mul && times &&
           coefficientsOf(binary.getLHS(), coefficients, constant, factor * times.getValue());
  }

  /// The other way round, where it is row-major on both sides: what the result's indices are in
  /// terms of the source's (dims 0, 1, ... in the component's order).
  SmallVector<AffineExpr> rowMajorInverse(const Component &component) const {
    AffineExpr number = getAffineConstantExpr(0, context);
    for (auto [n, j] : llvm::enumerate(component.sources))
      number = number * source[j].extent + getAffineDimExpr(static_cast<unsigned>(n), context);
    SmallVector<AffineExpr> indices;
    int64_t step = elements(component.results, result);
    for (unsigned i : component.results) {
      step /= result[i].extent;
      indices.push_back(number.floorDiv(step) % result[i].extent);
    }
    return indices;
  }

  /// Null where the map does not show each element once in row-major order.
  AffineMap inverseOf(const Component &component) const {
    int64_t count = elements(component.results, result);
    if (count != elements(component.sources, source))
      return {};
    SmallVector<AffineExpr> inverse = rowMajorInverse(component), dims(result.size());
    for (auto [i, expr] : llvm::zip_equal(component.results, inverse))
      dims[i] = expr;
    for (AffineExpr &dim : dims)
      if (!dim)
        dim = getAffineConstantExpr(0, context);
    SmallVector<AffineExpr> round;
    SmallVector<int64_t> sizes;
    for (unsigned j : component.sources) {
      round.push_back(map.getResult(j).replaceDims(dims));
      sizes.push_back(source[j].extent);
    }
    unsigned rank = static_cast<unsigned>(sizes.size());
    AffineMap there = AffineMap::get(rank, 0, round, context);
    AffineMap back = AffineMap::get(rank, 0, inverse, context);
    if (simplifyInRange(there, sizes).isIdentity())
      return back;
    if (count > mostTried)
      return {};
    SmallVector<int64_t> index(rank, 0);
    for (int64_t n = 0; n < count; ++n) {
      if (there.compose(index) != index)
        return {};
      for (size_t axis = rank; axis > 0 && ++index[axis - 1] == sizes[axis - 1]; --axis)
        index[axis - 1] = 0;
    }
    return back;
  }

  bool reshape(const Component &component) {
    AffineMap inverse = inverseOf(component);
    if (!inverse)
      return false;
    materialise(component);
    SmallVector<Axis> to;
    for (unsigned j : component.sources)
      to.push_back({StringAttr::get(context, temporary(source[j])), source[j].extent});
    reindex(component.results, to, [&](ArrayRef<AffineExpr> in) {
      SmallVector<AffineExpr> indices;
      for (AffineExpr expr : inverse.getResults())
        indices.push_back(expr.replaceDims(in));
      return indices;
    });
    return true;
  }

  /// Any map: hit[j..., i...] = 1 where map(i...) = j....
  void select(const Component &component) {
    Value hit;
    RankedTensorType kept = cast<RankedTensorType>(c.getType()), whole;
    for (unsigned j : component.sources) {
      Value index = ops.index(temporary(source[j]), source[j].extent);
      Value shown = valueOf(map.getResult(j));
      if (source[j].extent > mostComparedIndex || !shown) {
        c = {};
        return;
      }
      Value equal = ops.map(MapKind::Eq, {index, shown});
      hit = hit ? ops.map(MapKind::And, {hit, equal}) : equal;
    }
    Value weight = ops.where(hit, ops.number(1));
    whole = kept = unionType({c.getType(), weight.getType()}, kept.getElementType());
    for (unsigned i : component.results)
      if (hasAxis(kept, result[i].name))
        kept = withoutAxis(kept, result[i].name);
    c = ops.productTo(c, weight, whole, kept);
  }

  /// An index as a number for each element of the result.
  Value valueOf(AffineExpr expr) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      const Axis &axis = result[dim.getPosition()];
      return axis.extent > mostComparedIndex ? Value() : ops.index(axis.name, axis.extent);
    }
    if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      return ops.number(static_cast<double>(constant.getValue()));
    auto range = rangeOf(expr, extents);
    auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
    if (!binary || !range || range->low < -mostComparedIndex || range->high > mostComparedIndex)
      return {};
    Value lhs = valueOf(binary.getLHS()), rhs = valueOf(binary.getRHS());
    if (!lhs || !rhs)
      return {};
    switch (expr.getKind()) {
    case AffineExprKind::Add:
      return ops.map(MapKind::Add, {lhs, rhs});
    case AffineExprKind::Mul:
      return ops.map(MapKind::Mul, {lhs, rhs});
    case AffineExprKind::FloorDiv:
      return ops.map(MapKind::Floor, ops.map(MapKind::Div, {lhs, rhs}));
    case AffineExprKind::Mod:
      return ops.map(MapKind::Mod, {lhs, rhs});
    default:
      return {};
    }
  }

  //--- Pieces

  /// Gives the cotangent all result axes of the component.
  void materialise(const Component &component) {
    SmallVector<StringAttr> names(axesOf(c.getType()));
    SmallVector<int64_t> sizes(cast<RankedTensorType>(c.getType()).getShape());
    for (unsigned i : component.results)
      if (!has(i)) {
        names.push_back(result[i].name);
        sizes.push_back(result[i].extent);
      }
    c = ops.broadcastTo(c, namedType(context, names, sizes, elementTypeOf(c.getType())));
  }

  /// Puts the axes `to` in the place of result axes; `indices` gives those of `from` (in its order)
  /// in terms of the new ones.
  void reindex(ArrayRef<unsigned> from, ArrayRef<Axis> to,
               llvm::function_ref<SmallVector<AffineExpr>(ArrayRef<AffineExpr>)> indices) {
    SmallVector<Axis> before = axesIn(c.getType()), after;
    auto placeIn = [&](StringAttr name) {
      return llvm::find_if(from, [&](unsigned i) { return result[i].name == name; }) - from.begin();
    };
    bool placed = false;
    SmallVector<AffineExpr> fresh, sources(before.size());
    SmallVector<AffineExpr> kept(before.size());
    for (auto [n, axis] : llvm::enumerate(before)) {
      if (placeIn(axis.name) == static_cast<ptrdiff_t>(from.size())) {
        kept[n] = getAffineDimExpr(static_cast<unsigned>(after.size()), context);
        after.push_back(axis);
        continue;
      }
      if (placed)
        continue;
      placed = true;
      for (const Axis &axis : to) {
        fresh.push_back(getAffineDimExpr(static_cast<unsigned>(after.size()), context));
        after.push_back(axis);
      }
    }
    SmallVector<AffineExpr> inner = indices(fresh);
    SmallVector<StringAttr> names;
    SmallVector<int64_t> sizes;
    for (const Axis &axis : after) {
      names.push_back(axis.name);
      sizes.push_back(axis.extent);
    }
    for (auto [n, axis] : llvm::enumerate(before))
      sources[n] = kept[n] ? kept[n] : inner[placeIn(axis.name)];
    AffineMap back = AffineMap::get(static_cast<unsigned>(after.size()), 0, sources, context);
    c = ops.view(c, names, sizes, simplifyInRange(back, sizes));
  }

  /// Zeros before and behind along an axis: elsewhere any of its elements is read and dropped.
  void pad(StringAttr axis, int64_t low, int64_t extent) {
    RankedTensorType inner = withoutTime(c.getType());
    unsigned place = *axisIndex(inner, axis);
    int64_t own = inner.getDimSize(place);
    if (own == extent)
      return;
    SmallVector<int64_t> sizes(inner.getShape());
    sizes[place] = extent;
    unsigned rank = static_cast<unsigned>(inner.getRank());
    SmallVector<AffineExpr> sources;
    for (unsigned i = 0; i < rank; ++i) {
      AffineExpr dim = getAffineDimExpr(i, context);
      sources.push_back(i == place ? (dim + (own - low % own) % own) % own : dim);
    }
    c = ops.view(c, axesOf(inner), sizes,
                 simplifyInRange(AffineMap::get(rank, 0, sources, context), sizes));
    Value index = ops.index(axis, extent);
    auto bound = [&](int64_t n) { return ops.number(static_cast<double>(n)); };
    if (low > 0)
      c = ops.where(ops.map(MapKind::Le, {bound(low), index}), c);
    if (low + own < extent)
      c = ops.where(ops.map(MapKind::Lt, {index, bound(low + own)}), c);
  }

  CotangentOps &ops;
  ViewOp op;
  MLIRContext *context;
  Value c;
  SmallVector<Axis> source, result;
  SmallVector<int64_t> extents;
  AffineMap map;
};

} // namespace

Value rondo::adjointOfView(CotangentOps &ops, ViewOp view, Value cotangent) {
  return ViewAdjoint(ops, view, cotangent).run();
}

//===- BlockEmitter.cpp - The block body of a chunked recurrence ----------===//

#include "passes/BlockEmitter.h"

#include "passes/AxisViews.h"
#include "passes/LeadAxes.h"

#include <cmath>

using namespace mlir;

namespace rondo {

using algebra::AtomKind;
using algebra::AxisSet;
using algebra::Expr;
using algebra::Kind;
using algebra::Node;

BlockEmitter::BlockEmitter(OpBuilder &builder, Location loc, RecurrenceReader &reader,
                           const algebra::TransitionClass &transition, IRMapping arguments,
                           ArrayRef<Value> entering, int64_t chunk)
    : builder(builder), loc(loc), reader(reader), pool(reader.body.pool), transition(transition),
      mapping(std::move(arguments)), entering(entering), chunk(chunk),
      left(transition.states.size()), decays(transition.groups.size()),
      solved(transition.groups.size()) {
  // Groups of equal decays share what is made of them.
  for (const algebra::StateGroup &group : transition.groups) {
    auto same = llvm::find_if(transition.groups, [&](const algebra::StateGroup &other) {
      return other.matrix == group.matrix;
    });
    sameDecays.push_back(same - transition.groups.begin());
  }
}

Value BlockEmitter::map(MapKind kind, ValueRange inputs) {
  return MapOp::create(builder, loc, kind, inputs);
}

/// A number that the algebra folded from several may have more digits than f32: as a sum of two,
/// which rounds to the first in f32 and keeps the digits where the forms are compared in f64.
Value BlockEmitter::constant(double value) {
  auto type = RankedTensorType::get({}, builder.getF32Type());
  auto single = [&](float part) -> Value {
    return ConstantOp::create(builder, loc, type, DenseElementsAttr::get(type, part));
  };
  float rounded = static_cast<float>(value), rest = static_cast<float>(value - rounded);
  if (rest == 0 || !std::isfinite(rounded))
    return single(rounded);
  return map(MapKind::Add, {single(rounded), single(rest)});
}

bool BlockEmitter::sharesAxis(Value value, AxisSet axes) {
  return llvm::any_of(reader.namesOf(axes),
                      [&](StringRef axis) { return hasAxis(value.getType(), axis); });
}

/// A state-free value of the token body, for all tokens of the block.
FailureOr<Value> BlockEmitter::valueInBlock(Value value) {
  if (Value done = mapping.lookupOrNull(value))
    return done;
  Operation *op = value.getDefiningOp();
  for (Value operand : op->getOperands())
    if (failed(valueInBlock(operand)))
      return failure(); // reported below, at the operand
  std::string why;
  if (failed(cloneOverLeadAxes(builder, op, mapping, why))) {
    op->emitRemark() << "cannot run on blocks of tokens: " << why;
    return failure();
  }
  return mapping.lookup(value);
}

FailureOr<Value> BlockEmitter::emit(Expr e) {
  if (Value done = known.lookup(e))
    return done;
  auto value = emitNode(e);
  if (succeeded(value))
    known[e] = *value;
  return value;
}

FailureOr<Value> BlockEmitter::emitNode(Expr e) {
  const Node node = pool[e];
  SmallVector<Value> in;
  auto emitArguments = [&]() -> LogicalResult {
    for (Expr argument : node.arguments) {
      auto value = emit(argument);
      if (failed(value))
        return failure(); // reported by emit
      in.push_back(*value);
    }
    return success();
  };
  switch (node.kind) {
  case Kind::Constant:
    // x / c became x * (1 / c), whose f32 constant is not what the token loop divides by.
    if (float(node.value) != node.value && float(1 / node.value) == 1 / node.value)
      return map(MapKind::Div, {constant(1), constant(1 / node.value)});
    return constant(node.value);
  case Kind::Leaf:
    return valueInBlock(reader.valueOf(node.index));
  case Kind::Mul:
    return emitProduct(node.arguments);
  case Kind::Add: {
    Value total;
    SmallVector<Expr> subtracted;
    for (Expr term : node.arguments) {
      std::vector<Expr> factors = pool.factors(term);
      if (factors.size() > 1 && pool.isConstant(factors[0], -1)) {
        subtracted.push_back(pool.mul({factors.begin() + 1, factors.end()}));
        continue;
      }
      auto value = emit(term);
      if (failed(value))
        return value;
      total = total ? map(MapKind::Add, {total, *value}) : *value;
    }
    for (Expr term : subtracted) {
      auto value = emit(term);
      if (failed(value))
        return value;
      total = total ? map(MapKind::Sub, {total, *value}) : map(MapKind::Neg, {*value});
    }
    return total;
  }
  case Kind::Function: {
    if (failed(emitArguments()))
      return failure(); // reported by emit
    if (node.name == "reciprocal")
      return map(MapKind::Div, {constant(1), in[0]});
    if (node.name == "indicator")
      return map(MapKind::Select, {in[0], constant(1), constant(0)});
    return map(*symbolizeMapKind(node.name), in);
  }
  case Kind::Sum:
    return node.states ? emitTerms(e) : emitSum(node);
  case Kind::Answer:
    return emit(node.arguments[0]);
  case Kind::Foreign: {
    if (failed(emitArguments()))
      return failure(); // reported by emit
    Operation *op = reader.foreignOp(node.index);
    IRMapping inner;
    for (auto [operand, value] : llvm::zip_equal(op->getOperands(), in)) {
      // The op's index maps count on its operand's own axes and order.
      auto type = cast<RankedTensorType>(operand.getType());
      inner.map(operand, conform(value, hasAxis(value.getType(), blockAxis)
                                            ? withLeadAxis(type, blockAxis, chunk)
                                            : type));
    }
    std::string why;
    if (failed(cloneOverLeadAxes(builder, op, inner, why))) {
      op->emitRemark() << "cannot run on blocks of tokens: " << why;
      return failure();
    }
    return inner.lookup(op->getResult(0));
  }
  case Kind::State:
  case Kind::NewState:
    return emitRead(e);
  }
  llvm_unreachable("all kinds are handled");
}

/// A product inside a sum is a contraction.
FailureOr<Value> BlockEmitter::emitSum(const Node &node) {
  std::vector<Expr> factors = pool.factors(node.arguments[0]);
  auto first = emit(factors[0]);
  if (factors.size() == 1 && succeeded(first))
    return Value(
        ReduceOp::create(builder, loc, ReduceKind::Sum, *first, reader.namesOf(node.summed)));
  auto rest = emit(pool.mul({factors.begin() + 1, factors.end()}));
  if (failed(first) || failed(rest))
    return failure(); // reported by emit
  return sumOfProducts(*first, *rest, reader.namesOf(node.summed));
}

/// Small factors first, so that the product grows late; divisions last.
FailureOr<Value> BlockEmitter::emitProduct(ArrayRef<Expr> factors) {
  SmallVector<std::pair<double, Expr>> order;
  for (Expr factor : factors) {
    const Node &node = pool[factor];
    bool divides = node.kind == Kind::Function && node.name == "reciprocal";
    order.push_back({pool.size(node.axes) + (divides ? 1e30 : 0), factor});
  }
  llvm::sort(order); // equal sizes by id, which is the order in which they were read
  Value product;
  bool negate = false;
  for (auto [size, factor] : order) {
    if (pool.isConstant(factor, -1)) {
      negate = true;
      continue;
    }
    bool divides = size >= 1e30 && product;
    auto value = emit(divides ? pool[factor].arguments[0] : factor);
    if (failed(value))
      return value;
    product = product ? map(divides ? MapKind::Div : MapKind::Mul, {product, *value}) : *value;
  }
  return negate ? map(MapKind::Neg, {product}) : product;
}

/// An affine function of reads.
FailureOr<Value> BlockEmitter::emitTerms(Expr e) {
  Value total;
  for (const algebra::Term &term : algebra::expand(pool, e)) {
    FailureOr<Value> value = Value();
    if (term.kind == AtomKind::Read)
      value = emitRead(term.atom);
    else if (term.kind == AtomKind::Opaque && pool[term.atom].kind == Kind::Sum)
      value = emitSum(Node(pool[term.atom]));
    else if (term.kind != AtomKind::None)
      value = emit(term.atom);
    if (failed(value))
      return value;
    if (!pool.isConstant(term.coefficient, 1) || !*value) {
      auto coefficient = emit(term.coefficient);
      if (failed(coefficient))
        return coefficient;
      value = *value ? map(MapKind::Mul, {*coefficient, *value}) : *coefficient;
    }
    total = add(total, *value);
  }
  return total ? total : constant(0);
}

Value BlockEmitter::add(Value total, Value term) {
  return total ? map(MapKind::Add, {total, term}) : term;
}

//===----------------------------------------------------------------------===//
// Reads
//===----------------------------------------------------------------------===//

/// The group's updates, each once with the places of the states that it is added to.
SmallVector<BlockEmitter::Source> BlockEmitter::sourcesOf(int group) {
  SmallVector<Source> sources;
  for (auto [column, state] : llvm::enumerate(transition.groups[group].states))
    for (const algebra::Update &update : transition.states[state].updates) {
      Expr product = pool.mul({update.key, update.value});
      auto same = llvm::find_if(sources, [&](const Source &s) { return s.product == product; });
      if (same == sources.end())
        sources.push_back({product, {static_cast<int>(column)}});
      else
        same->columns.push_back(static_cast<int>(column));
    }
  return sources;
}

/// A product's factors with one of the axes, and the others.
std::pair<Expr, Expr> BlockEmitter::split(Expr product, AxisSet axes) {
  std::vector<Expr> inside, outside;
  for (Expr factor : pool.factors(product))
    (pool[factor].axes & axes ? inside : outside).push_back(factor);
  return {pool.mul(inside), pool.mul(outside)};
}

/// What the entering states answer to a read.
FailureOr<Value> BlockEmitter::answerOfEntering(const algebra::ReadParts &read) {
  SmallVector<StringRef> over = reader.namesOf(read.over);
  int group = transition.groupOf[read.state];
  auto vector = emit(read.vector);
  if (failed(vector) || failed(makeDecays(group)))
    return failure(); // reported by emit
  Value total;
  for (auto [column, state] : llvm::enumerate(transition.groups[group].states)) {
    Factor since = sinceEntering(group, rowOf(read.state), column, /*strict=*/!read.isNew);
    if (since.isZero)
      continue;
    bool inside = since.value && sharesAxis(since.value, read.over);
    Value answer = sumOfProducts(inside ? map(MapKind::Mul, {*vector, since.value}) : *vector,
                                 entering[state], over);
    if (since.value && !inside)
      answer = map(MapKind::Mul, {answer, since.value});
    total = add(total, answer);
  }
  return total ? total : constant(0);
}

/// The masked, decayed scores of a read against keys: over `c` and `s`.
FailureOr<Value> BlockEmitter::weightsOf(const algebra::ReadParts &read, Expr key,
                                         const Factor &between) {
  bool strict = !read.isNew, inside = between.value && sharesAxis(between.value, read.over);
  Value &weights =
      knownWeights[{read.vector, key, read.over, between.value.getAsOpaquePointer(), strict}];
  if (weights)
    return weights;
  auto vector = emit(read.vector), keys = emit(key);
  if (failed(vector) || failed(keys))
    return failure(); // reported by emit
  int group = transition.groupOf[read.state];
  SmallVector<StringRef> over = reader.namesOf(read.over);
  if (inside) {
    Value decayed = arranged(map(MapKind::Mul, {between.value, *vector}), group);
    weights = arranged(sumOfProducts(decayed, atSources(*keys), over), group);
  } else {
    Value &scores = knownScores[{read.vector, key, read.over}];
    if (!scores)
      scores = sumOfProducts(*vector, atSources(*keys), over);
    weights = between.value ? arranged(map(MapKind::Mul, {scores, between.value}), group) : scores;
  }
  return weights = arranged(map(MapKind::Select, {mask(strict), weights, constant(0)}), group);
}

FailureOr<Value> BlockEmitter::emitRead(Expr atom) {
  algebra::ReadParts read = algebra::partsOf(pool, atom);
  int group = transition.groupOf[read.state];
  if (failed(solveOwnReads(group)))
    return failure(); // reported there
  if (Value done = known.lookup(atom))
    return done;
  auto result = answerOfEntering(read);
  for (const Source &source : sourcesOf(group)) {
    auto [key, value] = split(source.product, read.over);
    Factor between =
        betweenTokens(group, rowOf(read.state), source.columns, /*strict=*/!read.isNew);
    if (between.isZero)
      continue;
    auto weights = weightsOf(read, key, between);
    auto values = emit(value);
    if (failed(result) || failed(weights) || failed(values))
      return failure(); // reported by emit
    result = map(MapKind::Add, {*result, sumOfProducts(*weights, atSources(*values), {keyAxis})});
  }
  if (succeeded(result))
    known[atom] = *result;
  return result;
}

FailureOr<Value> BlockEmitter::emitForLast(Expr e) {
  const Node node = pool[e];
  if (node.kind == Kind::NewState)
    return emitLeaving(node.index);
  bool isSum = node.kind == Kind::Add, isProduct = node.kind == Kind::Mul;
  if (!node.states || (!isSum && !isProduct)) {
    auto value = emit(e);
    return failed(value) ? value : atIndex(*value, blockAxis, chunk - 1);
  }
  Value result;
  for (Expr argument : node.arguments) {
    auto value = emitForLast(argument);
    if (failed(value))
      return value;
    result = result ? map(isSum ? MapKind::Add : MapKind::Mul, {result, *value}) : *value;
  }
  return result;
}

FailureOr<Value> BlockEmitter::emitLeaving(int index) {
  if (left[index])
    return left[index];
  auto type = cast<RankedTensorType>(entering[index].getType());
  auto value =
      transition.states[index].isDefined ? emitForLast(reader.body.next[index]) : afterBlock(index);
  if (failed(value))
    return failure(); // reported there
  for (StringAttr axis : axesOf(value->getType()))
    if (!hasAxis(type, axis))
      return emitRemark(loc) << "cannot run on blocks of tokens: a state of the axes " << type
                             << " would get " << axis,
             failure();
  return left[index] = conform(*value, type);
}

FailureOr<Value> BlockEmitter::afterBlock(int index) {
  int group = transition.groupOf[index], row = rowOf(index);
  if (failed(makeDecays(group)) || failed(solveOwnReads(group)))
    return failure(); // reported by emit
  const algebra::StateClass &state = transition.states[index];
  Value result;
  for (auto [column, other] : llvm::enumerate(transition.groups[group].states)) {
    Factor total = ofWholeBlock(group, row, column);
    if (total.isZero)
      continue;
    Value kept = entering[other];
    result = add(result, total.value ? map(MapKind::Mul, {kept, total.value}) : kept);
  }
  for (const Source &source : sourcesOf(group)) {
    auto [keyExpr, valueExpr] = split(source.product, state.key);
    auto keyOr = emit(keyExpr), valueOr = emit(valueExpr);
    if (failed(keyOr) || failed(valueOr))
      return failure(); // reported by emit
    Value key = *keyOr, value = *valueOr;
    Factor until = untilLeaving(group, row, source.columns);
    if (until.isZero)
      continue;
    if (until.value) {
      // Into the factor that has the decay's axes; into the smaller one when both do.
      bool intoKey = sharesAxis(until.value, state.key) ||
                     (!sharesAxis(until.value, state.value) &&
                      elementsPerToken(key.getType()) <= elementsPerToken(value.getType()));
      (intoKey ? key : value) = map(MapKind::Mul, {intoKey ? key : value, until.value});
    }
    result = add(result, sumOfProducts(key, value, {blockAxis}));
  }
  return result ? result : constant(0);
}

//===----------------------------------------------------------------------===//
// Values over tokens and their sources
//===----------------------------------------------------------------------===//

Value BlockEmitter::index(StringRef axis, int64_t extent) {
  auto type = namedType(builder.getContext(), ArrayRef<StringRef>{axis}, {extent ? extent : chunk},
                        builder.getF32Type());
  return IndexOp::create(builder, loc, type);
}

Value BlockEmitter::mask(bool strict) {
  Value &mask = masks[strict];
  if (!mask) {
    auto type = namedType(builder.getContext(), ArrayRef<StringRef>{blockAxis, keyAxis},
                          {chunk, chunk}, builder.getI1Type());
    mask = MapOp::create(builder, loc, type, strict ? MapKind::Lt : MapKind::Le,
                         ValueRange{index(keyAxis), index(blockAxis)});
  }
  return mask;
}

Value BlockEmitter::reindexed(Value value, RankedTensorType type,
                              llvm::function_ref<AffineExpr(StringRef)> indexOf) {
  SmallVector<AffineExpr> exprs;
  for (StringAttr axis : axesOf(value.getType())) {
    AffineExpr index = indexOf(axis.getValue());
    exprs.push_back(index ? index : builder.getAffineDimExpr(*axisIndex(type, axis)));
  }
  auto map = AffineMap::get(type.getRank(), 0, exprs, builder.getContext());
  return ViewOp::create(builder, loc, type, value, AffineMapAttr::get(map));
}

Value BlockEmitter::renamed(Value value, StringRef from, StringRef to) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!hasAxis(type, from))
    return value;
  SmallVector<StringAttr> names;
  for (StringAttr name : axesOf(type))
    names.push_back(name == from ? builder.getStringAttr(to) : name);
  auto result = namedType(builder.getContext(), names, type.getShape(), type.getElementType());
  return ViewOp::create(builder, loc, result, value,
                        AffineMapAttr::get(builder.getMultiDimIdentityMap(type.getRank())));
}

Value BlockEmitter::atSources(Value value) { return renamed(value, blockAxis, keyAxis); }

RankedTensorType BlockEmitter::withTokens(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return hasAxis(type, blockAxis) ? type : withLeadAxis(type, blockAxis, chunk);
}

Value BlockEmitter::arranged(Value value, int group) {
  auto type = cast<RankedTensorType>(value.getType());
  AxisSet innerAxes = 0;
  for (int state : transition.groups[group].states)
    innerAxes |= transition.states[state].key | transition.states[state].value;
  SmallVector<StringRef> inner = reader.namesOf(innerAxes);
  auto place = [&](StringRef axis) {
    return axis == blockAxis ? 1 : axis == keyAxis ? 2 : llvm::is_contained(inner, axis) ? 3 : 0;
  };
  SmallVector<StringAttr> names;
  SmallVector<int64_t> extents;
  for (int wanted = 0; wanted < 4; ++wanted)
    for (auto [axis, extent] : llvm::zip_equal(axesOf(type), type.getShape()))
      if (place(axis.getValue()) == wanted) {
        names.push_back(axis);
        extents.push_back(extent);
      }
  assert((isa<MapOp, ContractOp, PropagateOp>(value.getDefiningOp())));
  value.setType(namedType(builder.getContext(), names, extents, type.getElementType()));
  return value;
}

Value BlockEmitter::sumOfProducts(Value a, Value b, ArrayRef<StringRef> over) {
  SmallVector<StringRef> both;
  double scale = 1;
  for (StringRef axis : over) {
    bool inA = hasAxis(a.getType(), axis), inB = hasAxis(b.getType(), axis);
    if (inA && inB)
      both.push_back(axis);
    else if (inA)
      a = ReduceOp::create(builder, loc, ReduceKind::Sum, a, ArrayRef<StringRef>{axis});
    else if (inB)
      b = ReduceOp::create(builder, loc, ReduceKind::Sum, b, ArrayRef<StringRef>{axis});
    else if (axis == blockAxis || axis == keyAxis)
      scale *= static_cast<double>(chunk);
    else
      scale *= pool.axisExtent(pool.axis(axis.str(), 1));
  }
  Value product = both.empty() ? map(MapKind::Mul, {a, b})
                               : ContractOp::create(builder, loc, a, b, both).getResult();
  return scale == 1 ? product : map(MapKind::Mul, {product, constant(scale)});
}

Value BlockEmitter::conform(Value value, RankedTensorType type) {
  return rondo::conform(builder, loc, value, type);
}

} // namespace rondo

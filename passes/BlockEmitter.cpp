//===- BlockEmitter.cpp - The block body of a chunked recurrence ----------===//

#include "passes/BlockEmitter.h"

#include "passes/LeadAxes.h"

using namespace mlir;

namespace rondo {

using algebra::AtomKind;
using algebra::AxisSet;
using algebra::Expr;
using algebra::Kind;
using algebra::Node;

BlockEmitter::BlockEmitter(OpBuilder &builder, Location loc, RecurrenceReader &reader,
                           const algebra::TransitionClass &transition, IRMapping arguments,
                           ArrayRef<Value> entering, ArrayRef<Value> logs, int64_t chunk)
    : builder(builder), loc(loc), reader(reader), transition(transition),
      mapping(std::move(arguments)), entering(entering), logs(logs), chunk(chunk),
      decays(transition.states.size()), solved(transition.states.size()) {}

Value BlockEmitter::map(MapKind kind, ValueRange inputs) {
  return MapOp::create(builder, loc, kind, inputs);
}

Value BlockEmitter::constant(double value) {
  auto type = RankedTensorType::get({}, builder.getF32Type());
  return ConstantOp::create(builder, loc, type,
                            DenseElementsAttr::get(type, static_cast<float>(value)));
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
  const Node node = reader.body.pool[e];
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
      std::vector<Expr> factors = reader.body.pool.factors(term);
      if (factors.size() > 1 && reader.body.pool.isConstant(factors[0], -1)) {
        subtracted.push_back(reader.body.pool.mul({factors.begin() + 1, factors.end()}));
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
    if (node.readsState)
      return emitTerms(e);
    if (auto value = emit(node.arguments[0]); succeeded(value)) {
      Value sum =
          ReduceOp::create(builder, loc, ReduceKind::Sum, *value, reader.namesOf(node.summed));
      return sum;
    }
    return failure(); // reported by emit
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
    break;
  }
  llvm_unreachable("a state that is used whole has no block form");
}

/// Small factors first, so that the product grows late; divisions last.
FailureOr<Value> BlockEmitter::emitProduct(ArrayRef<Expr> factors) {
  auto &pool = reader.body.pool;
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
  auto &pool = reader.body.pool;
  Value total;
  for (const algebra::Term &term : algebra::expand(pool, e)) {
    FailureOr<Value> value = Value();
    if (term.kind == AtomKind::Read && known.lookup(term.atom))
      value = known.lookup(term.atom);
    else if (term.kind == AtomKind::Read) {
      value = emitRead(algebra::partsOf(pool, term.atom));
      if (succeeded(value))
        known[term.atom] = *value;
    } else if (term.kind == AtomKind::Opaque && pool[term.atom].kind == Kind::Sum) {
      value = emit(pool[term.atom].arguments[0]);
      if (succeeded(value))
        value = Value(ReduceOp::create(builder, loc, ReduceKind::Sum, *value,
                                       reader.namesOf(pool[term.atom].summed)));
    } else if (term.kind == AtomKind::Opaque)
      value = emit(term.atom);
    if (term.kind != AtomKind::None && failed(value))
      return value;
    if (!pool.isConstant(term.coefficient, 1) || !*value) {
      auto coefficient = emit(term.coefficient);
      if (failed(coefficient))
        return coefficient;
      value = *value ? map(MapKind::Mul, {*coefficient, *value}) : *coefficient;
    }
    total = total ? map(MapKind::Add, {total, *value}) : *value;
  }
  return total ? total : constant(0);
}

Value BlockEmitter::index(StringRef axis) {
  return IndexOp::create(
      builder, loc,
      namedType(builder.getContext(), ArrayRef<StringRef>{axis}, {chunk}, builder.getF32Type()));
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

Value BlockEmitter::cumsum(Value value) {
  return CumsumOp::create(builder, loc, value.getType(), value, builder.getStringAttr(blockAxis));
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

Value BlockEmitter::delayed(Value log) {
  auto type = cast<RankedTensorType>(log.getType());
  return reindexed(log, type, [&](StringRef axis) {
    return axis == blockAxis
               ? (builder.getAffineDimExpr(*axisIndex(type, axis)) + (chunk - 1)) % chunk
               : AffineExpr();
  });
}

FailureOr<const BlockEmitter::Decay *> BlockEmitter::decayOf(int state) {
  auto &decay = decays[state];
  if (decay)
    return &*decay;
  const algebra::Decay &of = transition.states[state].decay;
  decay.emplace();
  if (of.kind == algebra::DecayKind::None)
    return &*decay;
  Value log = logs[state];
  if (!log) {
    auto value = emit(of.log);
    if (failed(value))
      return failure(); // reported by emit
    log = *value;
  }
  // A decay that is constant in time has one logarithm for all tokens.
  if (!hasAxis(log.getType(), blockAxis))
    log = conform(log, withLeadAxis(log.getType(), blockAxis, chunk));
  for (auto &other : decays)
    if (other && other->log == log)
      return &*(decay = *other);
  decay->log = log;
  decay->running = cumsum(log);
  Value hasEarlier = map(MapKind::Lt, {constant(0), index(blockAxis)});
  decay->before = cumsum(conform(map(MapKind::Select, {hasEarlier, delayed(log), constant(0)}),
                                 cast<RankedTensorType>(log.getType())));
  decay->total =
      ReduceOp::create(builder, loc, ReduceKind::Sum, log, ArrayRef<StringRef>{blockAxis});
  return &*decay;
}

Value BlockEmitter::atSources(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!hasAxis(type, blockAxis))
    return value;
  SmallVector<StringAttr> names;
  for (StringAttr name : axesOf(type))
    names.push_back(name == blockAxis ? builder.getStringAttr(keyAxis) : name);
  auto renamed = namedType(builder.getContext(), names, type.getShape(), type.getElementType());
  return ViewOp::create(builder, loc, renamed, value,
                        AffineMapAttr::get(builder.getMultiDimIdentityMap(type.getRank())));
}

Value BlockEmitter::arranged(Value value, const algebra::StateClass &state) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<StringRef> inner = reader.namesOf(state.key | state.value);
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
  assert((isa<MapOp, ContractOp>(value.getDefiningOp())));
  value.setType(namedType(builder.getContext(), names, extents, type.getElementType()));
  return value;
}

Value BlockEmitter::logBetween(const Decay &decay, bool strict, const algebra::StateClass &state) {
  Value &result = logsBetween[{decay.running, strict}];
  if (!result) {
    // Token c counts when s is before it; in the sum up to c - 1, token c - 1 when s is before that
    // one.
    Value counts = mask(/*strict=*/true), log = decay.log;
    if (strict) {
      auto type = cast<RankedTensorType>(counts.getType());
      Value next = map(MapKind::Add, {index(keyAxis), constant(1)});
      counts = MapOp::create(builder, loc, type, MapKind::Lt, ValueRange{next, index(blockAxis)});
      log = delayed(log);
    }
    result = cumsum(arranged(map(MapKind::Select, {counts, log, constant(0)}), state));
  }
  return result;
}

Value BlockEmitter::decayBetween(const Decay &decay, bool strict,
                                 const algebra::StateClass &state) {
  Value &result = between[{decay.running, strict}];
  if (!result)
    result = map(MapKind::Exp, {logBetween(decay, strict, state)});
  return result;
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
      scale *= reader.body.pool.axisExtent(reader.body.pool.axis(axis.str(), 1));
  }
  Value product = both.empty() ? map(MapKind::Mul, {a, b})
                               : ContractOp::create(builder, loc, a, b, both).getResult();
  return scale == 1 ? product : map(MapKind::Mul, {product, constant(scale)});
}

FailureOr<Value> BlockEmitter::answerOfEntering(const algebra::ReadParts &read) {
  bool strict = !read.isNew;
  SmallVector<StringRef> over = reader.namesOf(read.over);
  auto decay = decayOf(read.state);
  auto vector = emit(read.vector);
  if (failed(decay) || failed(vector))
    return failure(); // reported by emit
  if (!(*decay)->log)
    return sumOfProducts(*vector, entering[read.state], over);
  Value since = map(MapKind::Exp, {strict ? (*decay)->before : (*decay)->running});
  if (sharesAxis((*decay)->log, read.over))
    return sumOfProducts(map(MapKind::Mul, {*vector, since}), entering[read.state], over);
  return map(MapKind::Mul, {sumOfProducts(*vector, entering[read.state], over), since});
}

FailureOr<Value> BlockEmitter::weightsOf(const algebra::ReadParts &read,
                                         const algebra::Update &update) {
  bool strict = !read.isNew;
  auto decay = decayOf(read.state);
  auto vector = emit(read.vector), key = emit(update.key);
  if (failed(decay) || failed(vector) || failed(key))
    return failure(); // reported by emit
  const algebra::StateClass &state = transition.states[read.state];
  bool overKey = (*decay)->log && sharesAxis((*decay)->log, read.over);
  Value weights = *vector;
  if (overKey)
    weights = arranged(map(MapKind::Mul, {decayBetween(**decay, strict, state), weights}), state);
  weights = arranged(sumOfProducts(weights, atSources(*key), reader.namesOf(read.over)), state);
  if ((*decay)->log && !overKey)
    weights = arranged(map(MapKind::Mul, {weights, decayBetween(**decay, strict, state)}), state);
  return arranged(map(MapKind::Select, {mask(strict), weights, constant(0)}), state);
}

FailureOr<Value> BlockEmitter::emitRead(const algebra::ReadParts &read) {
  if (failed(solveOwnReads(read.state)))
    return failure(); // reported there
  auto result = answerOfEntering(read);
  for (const algebra::Update &update : transition.states[read.state].updates) {
    auto weights = weightsOf(read, update);
    auto value = emit(update.value);
    if (failed(result) || failed(weights) || failed(value))
      return failure(); // reported by emit
    result = map(MapKind::Add, {*result, sumOfProducts(*weights, atSources(*value), {keyAxis})});
  }
  return result;
}

LogicalResult BlockEmitter::solveOwnReads(int index) {
  const algebra::StateClass &state = transition.states[index];
  if (state.ownReads.empty() || solved[index])
    return success();
  solved[index] = true;
  auto &pool = reader.body.pool;
  Expr unknown = state.ownReads.front();
  algebra::ReadParts read = algebra::partsOf(pool, unknown);
  auto right = answerOfEntering(read);
  Value matrix;
  for (const algebra::Update &update : state.updates) {
    // value = given + coefficient * unknown
    Expr coefficient = pool.constant(0), given = pool.constant(0);
    for (const algebra::Term &term : algebra::expand(pool, update.value))
      if (term.atom == unknown)
        coefficient = term.coefficient;
      else
        given = pool.add({given, algebra::termExpr(pool, term)});
    auto weights = weightsOf(read, update);
    auto givenValue = emit(given), factor = emit(coefficient);
    if (failed(right) || failed(weights) || failed(givenValue) || failed(factor))
      return failure(); // reported by emit
    if (!pool.isConstant(given, 0))
      right =
          map(MapKind::Add, {*right, sumOfProducts(*weights, atSources(*givenValue), {keyAxis})});
    if (pool.isConstant(coefficient, 0))
      continue;
    Value part = map(MapKind::Mul, {*weights, atSources(*factor)});
    matrix = matrix ? map(MapKind::Add, {matrix, part}) : part;
  }
  known[unknown] = sumOfProducts(inverse(matrix), atSources(*right), {keyAxis});
  return success();
}

/// By halves: with m = [[a, 0], [b, d]], the inverse is [[A, 0], [D b A, D]]. All diagonal blocks
/// of a level at once, along the axis `c_u`. The smallest, of n (4 to 7, or all of an odd chunk)
/// rows, by (I + m)(I + m^2)(I + m^4)..., which ends since m^n = 0; so short a product of powers
/// loses no digits.
Value BlockEmitter::inverse(Value m) {
  constexpr llvm::StringLiteral u = "c_u", row = "c_i", column = "c_j", inner = "c_k";
  int64_t size = chunk;
  while (size % 2 == 0 && size / 2 >= 4)
    size /= 2;
  // [c_u, c_i, c_j, others...] -> m at (stride u + i0 + i, stride u + j0 + j)
  SmallVector<StringRef> others;
  for (StringAttr axis : axesOf(m.getType()))
    if (axis != blockAxis && axis != keyAxis)
      others.push_back(axis.getValue());
  auto blockType = [&](int64_t blocks, int64_t rows, int64_t columns) {
    SmallVector<StringRef> names{u, row, column};
    SmallVector<int64_t> extents{blocks, rows, columns};
    for (StringRef axis : others) {
      names.push_back(axis);
      extents.push_back(extentOf(m.getType(), axis));
    }
    return namedType(builder.getContext(), names, extents, builder.getF32Type());
  };
  auto dim = [&](unsigned i) { return builder.getAffineDimExpr(i); };
  auto blocksOf = [&](int64_t stride, int64_t i0, int64_t rows) {
    return reindexed(m, blockType(chunk / stride, rows, rows), [&](StringRef axis) -> AffineExpr {
      if (axis == blockAxis)
        return dim(0) * stride + dim(1) + i0;
      return axis == keyAxis ? dim(0) * stride + dim(2) : AffineExpr();
    });
  };
  auto renameAxis = [&](Value value, StringRef from, StringRef to) -> Value {
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<StringAttr> names;
    for (StringAttr name : axesOf(type))
      names.push_back(name == from ? builder.getStringAttr(to) : name);
    return ViewOp::create(
        builder, loc,
        namedType(builder.getContext(), names, type.getShape(), type.getElementType()), value,
        AffineMapAttr::get(builder.getMultiDimIdentityMap(type.getRank())));
  };
  auto multiply = [&](Value a, Value b) {
    Value product = sumOfProducts(renameAxis(a, column, inner), renameAxis(b, row, inner), {inner});
    auto type = cast<RankedTensorType>(a.getType());
    return conform(product, blockType(type.getDimSize(0), type.getDimSize(1),
                                      cast<RankedTensorType>(b.getType()).getDimSize(2)));
  };
  auto indexOf = [&](StringRef axis) -> Value {
    return IndexOp::create(
        builder, loc,
        namedType(builder.getContext(), ArrayRef<StringRef>{axis}, {size}, builder.getF32Type()));
  };
  Value identity = map(MapKind::Select, {map(MapKind::Eq, {indexOf(row), indexOf(column)}),
                                         constant(1), constant(0)});
  Value power = blocksOf(size, 0, size);
  Value result =
      conform(map(MapKind::Add, {power, identity}), cast<RankedTensorType>(power.getType()));
  for (int64_t terms = 2; terms < size; terms *= 2) {
    power = multiply(power, power);
    result = map(MapKind::Add, {result, multiply(result, power)});
  }
  for (; size < chunk; size *= 2) {
    auto type = blockType(chunk / (2 * size), size, size);
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
    auto wide = blockType(chunk / (2 * size), size, 2 * size);
    result = join(join(top, zero, column, wide), join(corner, bottom, column, wide), row,
                  blockType(chunk / (2 * size), 2 * size, 2 * size));
  }
  auto type = cast<RankedTensorType>(m.getType());
  return reindexed(result, type, [&](StringRef axis) -> AffineExpr {
    if (axis == u)
      return builder.getAffineConstantExpr(0);
    return axis == row      ? dim(*axisIndex(type, blockAxis))
           : axis == column ? dim(*axisIndex(type, keyAxis))
                            : AffineExpr();
  });
}

FailureOr<Value> BlockEmitter::emitLeaving(int index) {
  const algebra::StateClass &state = transition.states[index];
  auto decay = decayOf(index);
  if (failed(decay) || failed(solveOwnReads(index)))
    return failure(); // reported by emit
  Value result = entering[index];
  auto type = cast<RankedTensorType>(result.getType());
  Value until;
  if ((*decay)->log) {
    result = map(MapKind::Mul, {result, map(MapKind::Exp, {(*decay)->total})});
    // D[last, s], for each token as a source.
    auto logType = cast<RankedTensorType>((*decay)->log.getType());
    Value logUntil = reindexed(
        logBetween(**decay, /*strict=*/false, state), logType, [&](StringRef axis) -> AffineExpr {
          if (axis == blockAxis)
            return builder.getAffineConstantExpr(chunk - 1);
          return axis == keyAxis ? builder.getAffineDimExpr(*axisIndex(logType, blockAxis))
                                 : AffineExpr();
        });
    until = map(MapKind::Exp, {logUntil});
  }
  for (const algebra::Update &update : state.updates) {
    auto keyOr = emit(update.key), valueOr = emit(update.value);
    if (failed(keyOr) || failed(valueOr))
      return failure(); // reported by emit
    Value key = *keyOr, value = *valueOr;
    if (until) {
      // Into the factor that has the decay's axes; into the smaller one when both do.
      bool intoKey = sharesAxis(until, state.key) ||
                     (!sharesAxis(until, state.value) &&
                      elementsPerToken(key.getType()) <= elementsPerToken(value.getType()));
      (intoKey ? key : value) = map(MapKind::Mul, {intoKey ? key : value, until});
    }
    result = map(MapKind::Add, {result, sumOfProducts(key, value, {blockAxis})});
  }
  return conform(result, type);
}

Value BlockEmitter::conform(Value value, RankedTensorType type) {
  if (value.getType() == type)
    return value;
  SmallVector<AffineExpr> exprs;
  for (StringAttr axis : axesOf(value.getType()))
    exprs.push_back(builder.getAffineDimExpr(*axisIndex(type, axis)));
  auto map = AffineMap::get(type.getRank(), 0, exprs, builder.getContext());
  return ViewOp::create(builder, loc, type, value, AffineMapAttr::get(map));
}

} // namespace rondo

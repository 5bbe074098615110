//===- StabiliseExponentials.cpp - Exponential gates stay finite ----------===//
//
// Token level to token level.
//
//   S' = f S + exp(i) k v              m' = max(log f + m, i)
//                                      S' = exp(log f + m - m') S + exp(i - m') k v
//   dot[k](S', q) / max(|n'|, 1)  ->   the same ratio of scaled values, at the scale max(m', 0)
//
// The algebra (algebra/Stabilise.h) finds the states and rewrites the body; here it is read and
// written again. Sound because every value is equal to the one before times a factor that is
// carried beside it; exact up to rounding.
//
//===----------------------------------------------------------------------===//

#include "passes/AxisViews.h"
#include "passes/Passes.h"
#include "passes/ReadRecurrence.h"
#include "passes/algebra/Stabilise.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

namespace rondo {
#define GEN_PASS_DEF_STABILISEEXPONENTIALSPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;
using rondo::algebra::Expr;
using rondo::algebra::Kind;
using rondo::algebra::Node;

namespace {

/// Where nothing was gained yet: its exponential is zero, and so is that of any sum with it.
constexpr float emptyMaximum = -1e30f;

/// Writes expressions of one token as ops of a new body.
class TokenEmitter {
public:
  /// `op` is the new recurrence, with the old inputs in front; `mapping`: the old body's arguments.
  TokenEmitter(RecurOp op, RecurrenceReader &reader, Block *oldBody, IRMapping mapping,
               size_t ownStates)
      : op(op), oldBody(oldBody), reader(reader), pool(reader.body.pool),
        mapping(std::move(mapping)), builder(OpBuilder::atBlockEnd(op.getBlock())),
        loc(op.getLoc()), ownStates(ownStates) {}

  /// The new state i's expression, and where the spec says it.
  void setNext(ArrayRef<Expr> expressions, ArrayRef<Location> locations) {
    next.assign(expressions.begin(), expressions.end());
    places.assign(locations.begin(), locations.end());
  }

  Value emit(Expr e) {
    if (Value done = known.lookup(e))
      return done;
    Value value = emitNode(e);
    return known[e] = value;
  }

  Value emitNext(size_t state) {
    if (Value done = newStates.lookup(state))
      return done;
    Location outer = std::exchange(loc, places[state]);
    Value value = conform(emit(next[state]), op.getInits()[state].getType());
    loc = outer;
    return newStates[state] = value;
  }

  Value conform(Value value, Type type) {
    return rondo::conform(builder, loc, value, cast<RankedTensorType>(type));
  }

private:
  Value map(MapKind kind, ValueRange in) { return MapOp::create(builder, loc, kind, in); }

  Value constant(double value) {
    auto type = RankedTensorType::get({}, builder.getF32Type());
    return ConstantOp::create(builder, loc, type,
                              DenseElementsAttr::get(type, static_cast<float>(value)));
  }

  /// A state-free value of the old body, or one outside of it, which becomes an input.
  Value copy(Value value) {
    if (Value done = mapping.lookupOrNull(value))
      return done;
    Operation *def = value.getDefiningOp();
    if (def && def->getBlock() == oldBody) {
      for (Value operand : def->getOperands())
        copy(operand);
      return builder.clone(*def, mapping)->getResult(cast<OpResult>(value).getResultNumber());
    }
    for (auto [i, input] : llvm::enumerate(op.getInputs()))
      if (input == value)
        return op.getBlock()->getArgument(i);
    unsigned at = op.getInputs().size();
    Value argument =
        op.getBlock()->insertArgument(at, withoutTime(value.getType()), value.getLoc());
    op.getInputsMutable().append(value);
    mapping.map(value, argument);
    return argument;
  }

  Value emitNode(Expr e) {
    const Node node = pool[e];
    switch (node.kind) {
    case Kind::Constant:
      return constant(node.value);
    case Kind::Leaf:
      return copy(reader.valueOf(node.index));
    case Kind::State:
      return op.getStateArgs()[node.index];
    case Kind::NewState:
      return emitNext(node.index);
    case Kind::Add:
      return emitAdd(node);
    case Kind::Mul:
      return emitProduct(node.arguments);
    case Kind::Sum:
      return emitSum(node);
    case Kind::Answer:
      return emit(node.arguments[0]);
    case Kind::Function: {
      SmallVector<Value> in;
      for (Expr argument : node.arguments)
        in.push_back(emit(argument));
      if (node.name == "reciprocal")
        return map(MapKind::Div, {constant(1), in[0]});
      if (node.name == "indicator")
        return map(MapKind::Select, {in[0], constant(1), constant(0)});
      return map(*symbolizeMapKind(node.name), in);
    }
    case Kind::Foreign: {
      Operation *foreign = reader.foreignOp(node.index);
      IRMapping inner;
      for (auto [operand, argument] : llvm::zip_equal(foreign->getOperands(), node.arguments))
        inner.map(operand, conform(emit(argument), operand.getType()));
      return builder.clone(*foreign, inner)->getResult(0);
    }
    }
    llvm_unreachable("a kind of expression");
  }

  /// Maxima first: their difference is exact where it matters, while the sum with another exponent
  /// would be rounded to the last place of the maximum.
  Value emitAdd(const Node &node) {
    auto rank = [&](Expr term) {
      std::vector<Expr> factors = pool.factors(term);
      const Node &last = pool[factors.back()];
      bool isMaximum = (last.kind == Kind::State || last.kind == Kind::NewState) &&
                       static_cast<size_t>(last.index) >= ownStates;
      bool isNegated = pool.isConstant(factors.front(), -1) && factors.size() > 1;
      return isMaximum ? (isNegated ? 1 : 0) : isNegated ? 3 : 2;
    };
    std::vector<Expr> terms = node.arguments; // in the order of ids
    llvm::sort(terms,
               [&](Expr a, Expr b) { return std::pair(rank(a), a) < std::pair(rank(b), b); });
    Value total;
    for (Expr term : terms) {
      bool subtract = rank(term) % 2 && total;
      if (subtract) {
        std::vector<Expr> factors = pool.factors(term);
        term = pool.mul({factors.begin() + 1, factors.end()});
      }
      Value value = emit(term);
      total = !total ? value : map(subtract ? MapKind::Sub : MapKind::Add, {total, value});
    }
    return total;
  }

  /// Small factors first, so that the product grows late; divisions last.
  Value emitProduct(ArrayRef<Expr> factors) {
    SmallVector<std::pair<double, Expr>> order, divisors;
    bool negate = false;
    for (Expr factor : factors) {
      const Node &node = pool[factor];
      if (pool.isConstant(factor, -1))
        negate = true;
      else if (node.kind == Kind::Function && node.name == "reciprocal")
        divisors.push_back({pool.size(node.axes), node.arguments[0]});
      else
        order.push_back({pool.size(node.axes), factor});
    }
    llvm::sort(order);
    Value product;
    for (auto [size, factor] : order) {
      Value value = emit(factor);
      product = product ? map(MapKind::Mul, {product, value}) : value;
    }
    if (negate && product)
      product = map(MapKind::Neg, {product});
    if (!product)
      product = constant(negate ? -1 : 1);
    for (auto [size, divisor] : divisors)
      product = map(MapKind::Div, {product, emit(divisor)});
    return product;
  }

  /// sum[over](the largest factor * the rest), a contraction where both have the axes.
  Value emitSum(const Node &node) {
    SmallVector<StringRef> over = reader.namesOf(node.summed);
    std::vector<Expr> factors = pool.factors(node.arguments[0]);
    auto largest = std::max_element(factors.begin(), factors.end(), [&](Expr a, Expr b) {
      return pool.size(pool[a].axes) < pool.size(pool[b].axes);
    });
    Expr one = *largest;
    factors.erase(largest);
    algebra::AxisSet rest = 0;
    for (Expr factor : factors)
      rest |= pool[factor].axes;
    if ((rest & pool[one].axes & node.summed) == node.summed)
      return ContractOp::create(builder, loc, emit(one), emitProduct(factors), over);
    return ReduceOp::create(builder, loc, ReduceKind::Sum, emit(node.arguments[0]), over);
  }

  RecurOp op;
  Block *oldBody;
  RecurrenceReader &reader;
  algebra::Pool &pool;
  IRMapping mapping;
  OpBuilder builder;
  Location loc;
  std::vector<Location> places;
  size_t ownStates;
  std::vector<Expr> next;
  DenseMap<unsigned, Value> known;
  DenseMap<size_t, Value> newStates;
};

struct StabiliseExponentials : rondo::impl::StabiliseExponentialsPassBase<StabiliseExponentials> {
  using StabiliseExponentialsPassBase::StabiliseExponentialsPassBase;

  void runOnOperation() override {
    SmallVector<RecurOp> recurs;
    getOperation()->walk([&](RecurOp op) { recurs.push_back(op); });
    for (RecurOp op : recurs)
      stabilise(op);
  }

  void refuse(RecurOp op, const Twine &why) {
    ++numRefused;
    op.emitRemark() << "'" << op.getName()
                    << "': an exponential stays as it is written: " << why.str();
  }

  void stabilise(RecurOp op) {
    RecurrenceReader reader(op);
    if (!reader.fits())
      return; // rondo-chunk-recurrences says so
    algebra::Stabilised stable = algebra::stabilise(reader.body);
    if (stable.scales.empty()) {
      if (!stable.why.empty())
        refuse(op, stable.why);
      return;
    }
    bool converts = llvm::any_of(*op.getBlock(), [](Operation &inner) {
      auto map = dyn_cast<MapOp>(inner);
      return map && map.getKind() == MapKind::Convert;
    });
    if (converts)
      return refuse(op, "the body converts between types of numbers");
    SmallVector<Attribute> states(op.getStates().begin(), op.getStates().end()),
        scales(states.size(), StringAttr::get(&getContext(), ""));
    std::string said;
    for (const algebra::RunningMaximum &scale : stable.scales) {
      auto name = StringAttr::get(&getContext(),
                                  cast<StringAttr>(states[scale.states.front()]).getValue() + ".m");
      if (llvm::is_contained(states, name))
        return refuse(op, "a state is called '" + name.getValue() + "' already");
      for (int state : scale.states) {
        scales[state] = name;
        said += (said.empty() ? "'" : ", '") + reader.body.names[state] + "'";
      }
      said += " by '" + name.str() + "'";
      states.push_back(name);
      scales.push_back(StringAttr::get(&getContext(), ""));
    }
    op.emitRemark() << "'" << op.getName() << "': exponentials stay finite: running maxima scale "
                    << said;
    ++numStabilised;
    rewrite(op, reader, stable, states, scales);
  }

  static bool isZero(Value value) {
    DenseElementsAttr elements;
    return matchPattern(value, m_Constant(&elements)) && elements.isSplat() &&
           elements.getSplatValue<APFloat>().isZero();
  }

  void rewrite(RecurOp op, RecurrenceReader &reader, const algebra::Stabilised &stable,
               ArrayRef<Attribute> states, ArrayRef<Attribute> scales) {
    OpBuilder builder(op);
    SmallVector<Value> inits(op.getInits());
    for (const algebra::RunningMaximum &scale : stable.scales) {
      bool empty =
          llvm::all_of(scale.states, [&](int state) { return isZero(op.getInits()[state]); });
      SmallVector<int64_t> extents;
      SmallVector<StringRef> names = reader.namesOf(scale.axes);
      for (unsigned axis = 0; axis < algebra::maxAxes; ++axis)
        if (scale.axes >> axis & 1)
          extents.push_back(reader.body.pool.axisExtent(axis));
      auto type = namedType(&getContext(), names, extents, builder.getF32Type());
      inits.push_back(ConstantOp::create(
          builder, op.getLoc(), type, DenseElementsAttr::get(type, empty ? emptyMaximum : 0.0f)));
    }
    size_t inputCount = op.getInputs().size(), stateCount = op.getInits().size();
    auto made =
        RecurOp::create(builder, op.getLoc(), op.getResultTypes(), op.getNameAttr(),
                        builder.getArrayAttr(states), op.getInputs(), inits, op.getEveryAttr());
    made->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    made->setAttr("rondo.scales", builder.getArrayAttr(scales));
    Block *body = builder.createBlock(&made.getBody());
    IRMapping mapping;
    for (BlockArgument argument : op.getBlock()->getArguments().take_front(inputCount + stateCount))
      mapping.map(argument, body->addArgument(argument.getType(), argument.getLoc()));
    for (Value init : ArrayRef(inits).drop_front(stateCount))
      body->addArgument(init.getType(), op.getLoc());

    TokenEmitter emitter(made, reader, op.getBlock(), mapping, stateCount);
    std::vector<Expr> next = stable.next;
    for (const algebra::RunningMaximum &scale : stable.scales)
      next.push_back(scale.next);
    SmallVector<Location> places;
    for (Value value : op.getYield().getStates())
      places.push_back(value.getLoc());
    for (const algebra::RunningMaximum &scale : stable.scales)
      places.push_back(places[scale.states.front()]);
    emitter.setNext(next, places);
    SmallVector<Value> newStates, outputs;
    for (size_t i = 0; i < inits.size(); ++i)
      newStates.push_back(emitter.emitNext(i));
    for (auto [output, result] : llvm::zip_equal(stable.outputs, op.getOutputs()))
      outputs.push_back(emitter.conform(emitter.emit(output), withoutTime(result.getType())));
    OpBuilder end = OpBuilder::atBlockEnd(body);
    YieldOp::create(end, op.getLoc(), newStates, outputs);
    op.replaceAllUsesWith(made.getOperation());
    op.erase();
  }
};

} // namespace

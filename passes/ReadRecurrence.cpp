//===- ReadRecurrence.cpp - From a body in the dialect to the algebra -----===//

#include "passes/ReadRecurrence.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace rondo {

using algebra::AxisSet;
using algebra::Expr;

static std::optional<double> splatOf(Value value) {
  DenseElementsAttr elements;
  if (!matchPattern(value, m_Constant(&elements)) || !elements.isSplat() ||
      !isa<FloatType>(elements.getElementType()))
    return std::nullopt;
  return elements.getSplatValue<APFloat>().convertToDouble();
}

/// A view that only reorders axes.
static bool isReordering(ViewOp op) {
  Type from = op.getSource().getType(), to = op.getType();
  if (axesOf(from).size() != axesOf(to).size() || !op.getMap().isPermutation())
    return false;
  SmallVector<StringAttr> source, result;
  for (StringAttr axis : axesOf(from))
    if (axis != timeAxis)
      source.push_back(axis);
  for (StringAttr axis : axesOf(to))
    if (axis != timeAxis)
      result.push_back(axis);
  for (auto [i, expr] : llvm::enumerate(op.getMap().getResults()))
    if (result[cast<AffineDimExpr>(expr).getPosition()] != source[i])
      return false;
  return true;
}

/// The parameter that a function's argument is in its first use, by its name relative to the use's
/// scope.
static std::string parameterName(BlockArgument argument) {
  auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  auto uses =
      function ? SymbolTable::getSymbolUses(function, function->getParentOp()) : std::nullopt;
  if (!uses || uses->empty())
    return "";
  auto call = dyn_cast<CallOp>((*uses->begin()).getUser());
  if (!call || argument.getArgNumber() >= call.getInputs().size())
    return "";
  auto param = call.getInputs()[argument.getArgNumber()].getDefiningOp<ParamOp>();
  if (!param)
    return "";
  StringRef path = param.getPath();
  path.consume_front(call.getScope());
  path.consume_front(".");
  return path.str();
}

/// A name for messages: the parameter's, the spec's where the location has one, else a letter and a
/// number.
static std::string nameOf(Value value, size_t number) {
  if (auto name = value.getLoc()->findInstanceOf<NameLoc>())
    return name.getName().str();
  if (auto param = value.getDefiningOp<ParamOp>())
    return param.getPath().str();
  if (auto argument = dyn_cast<BlockArgument>(value))
    if (std::string name = parameterName(argument); !name.empty())
      return name;
  return "x" + std::to_string(number);
}

RecurrenceReader::RecurrenceReader(RecurOp op) : block(op.getBlock()) {
  auto yield = op.getYield();
  for (auto [i, pair] : llvm::enumerate(llvm::zip_equal(op.getStates(), op.getInits()))) {
    auto [name, init] = pair;
    body.names.push_back(cast<StringAttr>(name).str());
    body.axes.push_back(axesOfType(init.getType()));
    Value argument = op.getStateArgs()[i];
    known[argument] = body.pool.state(static_cast<int>(i), body.axes.back());
    onState.insert(argument);
  }
  for (Operation &inner : *block)
    if (llvm::any_of(inner.getOperands(), [&](Value v) { return onState.contains(v); }))
      onState.insert(inner.result_begin(), inner.result_end());
  for (auto [input, argument] : llvm::zip(op.getInputs(), block->getArguments()))
    known[argument] = addLeaf(argument, readOutside(input, 8));
  if (op.getEvery())
    readGroup(op);
  // A new value that another expression uses is used as the state after the token.
  for (auto [i, value] : llvm::enumerate(yield.getStates()))
    if (value.getDefiningOp() && onState.contains(value))
      newStates.try_emplace(value, i);
  for (Value value : yield.getStates())
    body.next.push_back(value.getDefiningOp() ? readOp(value.getDefiningOp()) : read(value));
  for (Value value : yield.getOutputs())
    body.outputs.push_back(read(value));
}

void RecurrenceReader::readGroup(RecurOp op) {
  body.group = static_cast<int64_t>(*op.getEvery());
  DenseSet<Value> onStart;
  for (BlockArgument start :
       block->getArguments().drop_front(op.getInputs().size() + op.getInits().size())) {
    known[start] = addLeaf(start);
    onStart.insert(start);
  }
  for (Operation &inner : *block) {
    if (llvm::none_of(inner.getOperands(), [&](Value v) { return onStart.contains(v); }))
      continue;
    onStart.insert(inner.result_begin(), inner.result_end());
    auto contract = dyn_cast<ContractOp>(inner);
    if (!contract || onState.contains(contract))
      continue;
    double products = static_cast<double>(elementsPerToken(contract.getType()));
    for (auto axis : contract.getAxes().getAsRange<StringAttr>())
      products *= static_cast<double>(extentOf(contract.getLhs().getType(), axis.getValue()));
    body.groupProducts += products;
  }
}

AxisSet RecurrenceReader::axesOfType(Type type) {
  AxisSet axes = 0;
  for (auto [name, extent] :
       llvm::zip_equal(axesOf(type), cast<RankedTensorType>(type).getShape())) {
    if (name == timeAxis)
      continue;
    unsigned axis = body.pool.axis(name.str(), extent);
    overflow |= axis == algebra::maxAxes;
    axes |= AxisSet(1) << (axis % algebra::maxAxes);
  }
  return axes;
}

SmallVector<StringRef> RecurrenceReader::namesOf(AxisSet axes) const {
  SmallVector<StringRef> names;
  for (unsigned i = 0; i < algebra::maxAxes; ++i)
    if (axes >> i & 1)
      names.push_back(body.pool.axisName(i));
  return names;
}

Expr RecurrenceReader::addLeaf(Value value, Expr definition) {
  bool perToken = isPerToken(value.getType());
  if (auto argument = dyn_cast<BlockArgument>(value); argument && argument.getOwner() == block) {
    // A group's first state is the same for all tokens of a block but not for all of time.
    ValueRange inputs = cast<RecurOp>(block->getParentOp()).getInputs();
    unsigned place = argument.getArgNumber();
    perToken = place >= inputs.size() || isPerToken(inputs[place].getType());
  } else if (Operation *def = value.getDefiningOp(); def && def->getBlock() == block)
    perToken = true; // some operand is: work on inputs without `t` was hoisted
  leafValues.push_back(value);
  Expr leaf = body.pool.leaf(nameOf(value, leafValues.size()), axesOfType(value.getType()),
                             perToken, definition);
  if (value.getDefiningOp<IndexOp>())
    body.pool.setBounds(leaf, 0, cast<RankedTensorType>(value.getType()).getDimSize(0) - 1);
  return leaf;
}

Expr RecurrenceReader::read(Value value) {
  if (auto it = known.find(value); it != known.end())
    return it->second;
  Expr e;
  if (auto it = newStates.find(value); it != newStates.end())
    e = body.pool.newState(it->second, body.axes[it->second]);
  else
    e = readOp(value.getDefiningOp());
  return known[value] = e;
}

Expr RecurrenceReader::readMap(MapOp op, llvm::function_ref<Expr(Value)> operand) {
  auto &pool = body.pool;
  SmallVector<Expr> in;
  for (Value input : op.getInputs())
    in.push_back(operand(input));
  switch (op.getKind()) {
  case MapKind::Add:
    return pool.add({in[0], in[1]});
  case MapKind::Sub:
    return pool.sub(in[0], in[1]);
  case MapKind::Mul:
    return pool.mul({in[0], in[1]});
  case MapKind::Div:
    return pool.mul({in[0], pool.function("reciprocal", {in[1]})});
  case MapKind::Neg:
    return pool.neg(in[0]);
  case MapKind::Pow:
    if (pool.isConstant(in[1], 2))
      return pool.mul({in[0], in[0]});
    break;
  default:
    break;
  }
  return pool.function(stringifyMapKind(op.getKind()).str(),
                       std::vector<Expr>(in.begin(), in.end()));
}

Expr RecurrenceReader::readOp(Operation *op) {
  auto &pool = body.pool;
  Value result = op->getResult(0);
  if (auto value = splatOf(result); value && axesOf(result.getType()).empty())
    return pool.constant(*value);
  if (auto map = dyn_cast<MapOp>(op))
    return readMap(map, [&](Value v) { return read(v); });
  if (!onState.contains(result))
    return addLeaf(result);
  auto setOf = [&](ArrayAttr names) {
    AxisSet axes = 0;
    for (auto name : names.getAsRange<StringAttr>())
      axes |= AxisSet(1) << (pool.axis(name.str(), 1) % algebra::maxAxes);
    return axes;
  };
  if (auto contract = dyn_cast<ContractOp>(op))
    return pool.sum(setOf(contract.getAxes()),
                    pool.mul({read(contract.getLhs()), read(contract.getRhs())}));
  if (auto reduce = dyn_cast<ReduceOp>(op); reduce && reduce.getKind() == ReduceKind::Sum)
    return pool.sum(setOf(reduce.getAxes()), read(reduce.getSource()));
  if (auto view = dyn_cast<ViewOp>(op); view && isReordering(view))
    return read(view.getSource());
  std::vector<Expr> arguments;
  for (Value operand : op->getOperands())
    arguments.push_back(read(operand));
  foreignOps.push_back(op);
  return pool.foreign(static_cast<int>(foreignOps.size()) - 1, arguments,
                      axesOfType(result.getType()));
}

Expr RecurrenceReader::readOutside(Value value, int depth) {
  if (auto it = known.find(value); it != known.end())
    return it->second;
  Expr e;
  auto constant = splatOf(value);
  auto map = value.getDefiningOp<MapOp>();
  if (constant && axesOf(value.getType()).empty())
    e = body.pool.constant(*constant);
  else if (map && depth > 0)
    e = readMap(map, [&](Value v) { return readOutside(v, depth - 1); });
  else
    e = addLeaf(value);
  return known[value] = e;
}

} // namespace rondo

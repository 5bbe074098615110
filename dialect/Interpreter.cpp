//===- Interpreter.cpp - The walk over functions, bodies and ops ----------===//
//
// Walks a function op by op. Array ops are in InterpreterArrays.cpp, ops that reach other tokens in
// InterpreterTokens.cpp. Slow and obvious on purpose.
//
//===----------------------------------------------------------------------===//

#include "dialect/InterpreterWalk.h"

#include "mlir/IR/Location.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::interpreter;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

Axes interpreter::axesIn(Type type) {
  Axes axes;
  for (StringAttr axis : axesOf(type))
    axes.push_back(axis.getValue());
  return axes;
}

/// `file:line:col: op: message`.
static Error at(Operation &op, Error error) {
  std::string where;
  llvm::raw_string_ostream stream(where);
  auto place = op.getLoc()->findInstanceOf<FileLineColLoc>();
  if (place)
    stream << place.getFilename().getValue() << ":" << place.getLine() << ":" << place.getColumn();
  else
    stream << op.getLoc();
  return createStringError(where + ": " + op.getName().getStringRef().str() + ": " +
                           llvm::toString(std::move(error)));
}

static std::string printed(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << '[';
  llvm::interleaveComma(shape, stream);
  stream << ']';
  return text;
}

Error interpreter::otherShape(const Twine &what, ArrayRef<int64_t> expected,
                              ArrayRef<int64_t> found) {
  return createStringError(what + ": expected shape " + printed(expected) + ", found " +
                           printed(found));
}

/// Whether the numbers are as many as the shape says.
static bool isWhole(const rondo::Array &array) {
  int64_t count = 1;
  for (int64_t extent : array.shape)
    if (extent < 0 || llvm::MulOverflow(count, extent, count))
      return false;
  return int64_t(array.data.size()) == count;
}

//===----------------------------------------------------------------------===//
// Sources and array ops
//===----------------------------------------------------------------------===//

/// Elements of a constant as numbers.
static rondo::Array arrayOf(ElementsAttr attr, RankedTensorType type) {
  rondo::Array array{type.getShape().vec(), {}};
  auto dense = cast<DenseElementsAttr>(attr);
  bool truth = type.getElementType().isInteger(1);
  if (type.getElementType().isF32())
    for (const APFloat &x : dense.getValues<APFloat>())
      array.data.push_back(x.convertToFloat());
  else
    for (const APInt &x : dense.getValues<APInt>())
      array.data.push_back(truth ? double(x.getZExtValue()) : double(x.getSExtValue()));
  return array;
}

template <typename Real> Error Interpreter<Real>::runSource(Operation &op, Named &result) {
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  result = Named{axesIn(type), {type.getShape().vec(), {}}};
  if (auto param = dyn_cast<ParamOp>(op)) {
    const rondo::Array *array = parameters(param.getPath());
    if (!array)
      return createStringError("no parameter '" + param.getPath() + "'");
    if (ArrayRef(array->shape) != type.getShape() || !isWhole(*array))
      return otherShape("parameter '" + param.getPath() + "'", type.getShape(), array->shape);
    result.array = convertTo<Real>(*array);
    result.parameter = param.getPath().str();
  } else if (auto constant = dyn_cast<ConstantOp>(op)) {
    result.array = convertTo<Real>(arrayOf(constant.getValue(), type));
  } else if (isa<IndexOp>(op)) {
    for (int64_t i = 0; i < type.getDimSize(0); ++i)
      result.array.data.push_back(Real(i));
  } else {
    for (auto [length, state] : llvm::zip_equal(lengths, states))
      for (int64_t i = 0; i < length; ++i)
        result.array.data.push_back(Real(state.position + i));
    result.array.shape[0] = result.array.data.size();
  }
  return Error::success();
}

/// The factors of a contraction as they are multiplied: what meets a parameter may be rounded.
template <typename Real>
static std::array<Named<Real>, 2> factorsOf(ContractOp op, ArrayRef<const Named<Real> *> x,
                                            const FactorRounding &round) {
  std::array<Named<Real>, 2> factors{*x[0], *x[1]};
  for (unsigned i = 0; i < 2; ++i) {
    const std::string &path = x[1 - i]->parameter;
    if (path.empty() || !isPerToken(op->getOperand(i).getType()))
      continue;
    Numbers<Real> &array = factors[i].array;
    std::vector<double> numbers(array.data.begin(), array.data.end());
    round(path, array.shape, numbers);
    array.data.assign(numbers.begin(), numbers.end());
  }
  return factors;
}

template <typename Real>
Error Interpreter<Real>::runArrayOp(Operation &op, Values &values, Named &result) {
  Type type = op.getResult(0).getType();
  Axes axes = axesIn(type);
  bool f32 = options.f32;
  SmallVector<const Named *> x;
  for (Value operand : op.getOperands())
    x.push_back(&values.find(operand)->second);
  using Taken = Expected<Named>;
  Taken taken =
      llvm::TypeSwitch<Operation *, Taken>(&op)
          .Case([&](MapOp map) {
            return interpreter::map<Real>(map.getKind(), x, axes, elementTypeOf(type));
          })
          .Case([&](ReduceOp reduce) {
            return interpreter::reduce(reduce.getKind(), *x[0], axes, f32);
          })
          .Case([&](ContractOp op) {
            if (!options.roundFactor)
              return contract(*x[0], *x[1], axes, f32);
            std::array<Named, 2> factors = factorsOf<Real>(op, x, options.roundFactor);
            return contract(factors[0], factors[1], axes, f32);
          })
          .Case([&](ViewOp view) { return interpreter::view(*x[0], view.getMap(), type); })
          .Case([&](CumsumOp cumsum) { return interpreter::cumsum(*x[0], cumsum.getAxis(), f32); })
          .Case([&](RoundOp round) {
            return roundGroups(*x[0], round.getAxis(), int64_t(round.getGroup()), f32);
          })
          .Case([&](PropagateOp op) {
            auto mixing = op.getMixing().value_or(ArrayAttr());
            auto named = [&](unsigned i) {
              return mixing ? cast<StringAttr>(mixing[i]).getValue() : StringRef();
            };
            return propagate(*x[0], *x[1], op.getAxis(), named(0), named(1), axes, f32);
          })
          .Case([&](SolveOp op) {
            return solve(*x[0], *x[1], op.getRows(), op.getColumns(), axes, f32);
          })
          .Case(
              [&](ConcatOp concat) { return interpreter::concat<Real>(x, concat.getAxis(), axes); })
          .Case([&](GatherOp gather) {
            bool isReal = elementTypeOf(gather.getIds().getType()).isF32();
            return take(*x[0], *x[1], gather.getAxis(), axes, isReal);
          })
          .Case([&](PickOp pick) { return take(*x[0], *x[1], pick.getAxis(), axes, false); })
          .Default([](Operation *) { return createStringError("has no meaning here"); });
  if (!taken)
    return taken.takeError();
  result = std::move(*taken);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

template <typename Real> Error Interpreter<Real>::dispatch(Operation &op, Values &values) {
  if (auto shift = dyn_cast<ShiftOp>(op))
    return runShift(shift, values);
  if (auto last = dyn_cast<LastOp>(op))
    return runLast(last, values);
  if (auto over = dyn_cast<OverOp>(op))
    return runPairs(over, values);
  if (auto attend = dyn_cast<AttendOp>(op))
    return runPairs(attend, values);
  if (auto route = dyn_cast<RouteOp>(op))
    return runRoute(route, values);
  if (auto recur = dyn_cast<RecurOp>(op))
    return runRecurrence(recur, *recur.getBlock(), nullptr, 1, values);
  if (auto scan = dyn_cast<ScanOp>(op)) {
    bool blocks = options.blockBodies && !scan.getBlock().empty();
    return runRecurrence(scan, scan.getToken().front(), blocks ? &scan.getBlock().front() : nullptr,
                         int64_t(scan.getChunk()), values);
  }
  if (auto call = dyn_cast<CallOp>(op))
    return runCall(&op, call.getCalleeAttr(), call.getScope(), values);
  if (auto launch = dyn_cast<LaunchOp>(op))
    return runCall(&op, launch.getKernelAttr(), "", values);
  if (op.getNumResults() != 1 || !isValueType(op.getResult(0).getType()))
    return createStringError("has no meaning here");
  Named result;
  bool source = isa<ParamOp, ConstantOp, IndexOp, PositionOp>(op);
  if (Error error = source ? runSource(op, result) : runArrayOp(op, values, result))
    return error;
  if (options.f32 && elementTypeOf(op.getResult(0).getType()).isF32())
    for (Real &x : result.array.data)
      x = float(x);
  values[op.getResult(0)] = std::move(result);
  return Error::success();
}

template <typename Real> Error Interpreter<Real>::runOp(Operation &op, Values &values) {
  Error error = dispatch(op, values);
  // The innermost op that fails gives the place; those around it hand its message on.
  if (!error || located)
    return error;
  located = true;
  return at(op, std::move(error));
}

template <typename Real> Error Interpreter<Real>::runBlock(Block &block, Values &values) {
  for (Operation &op : block.without_terminator())
    if (Error error = runOp(op, values))
      return error;
  return Error::success();
}

template <typename Real>
Error Interpreter<Real>::runBody(Block &block, ArrayRef<Named> arguments,
                                 std::vector<Named> &newStates, std::vector<Named> &outputs) {
  Values values;
  for (auto [argument, value] : llvm::zip_equal(block.getArguments(), arguments))
    values[argument] = value;
  if (Error error = runBlock(block, values))
    return error;
  auto yield = cast<YieldOp>(block.getTerminator());
  for (Value state : yield.getStates())
    newStates.push_back(values.find(state)->second);
  for (Value output : yield.getOutputs())
    outputs.push_back(values.find(output)->second);
  return Error::success();
}

// InterpreterTokens.cpp runs bodies.
template Error Interpreter<double>::runBody(Block &, ArrayRef<Named>, std::vector<Named> &,
                                            std::vector<Named> &);
template Error Interpreter<long double>::runBody(Block &, ArrayRef<Named>, std::vector<Named> &,
                                                 std::vector<Named> &);

//===----------------------------------------------------------------------===//
// Calls and functions
//===----------------------------------------------------------------------===//

template <typename Real>
Error Interpreter<Real>::runCall(Operation *op, FlatSymbolRefAttr callee, StringRef at,
                                 Values &values) {
  auto function = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(op, callee);
  if (++depth > 1000)
    return createStringError("calls of '" + callee.getValue() + "' do not end");
  std::vector<Named> arguments, results;
  for (Value operand : op->getOperands())
    arguments.push_back(values.find(operand)->second);
  std::string outer = scope;
  if (!at.empty())
    scope += at.str() + ".";
  if (Error error = runFunction(function, std::move(arguments), results))
    return error;
  scope = outer;
  --depth;
  for (auto [value, result] : llvm::zip_equal(op->getResults(), results))
    values[value] = std::move(result);
  return Error::success();
}

template <typename Real>
Error Interpreter<Real>::runFunction(func::FuncOp function, std::vector<Named> arguments,
                                     std::vector<Named> &results) {
  if (function.isExternal())
    return createStringError("function '" + function.getName() + "' has no body");
  Values values;
  Block &body = function.getBody().front();
  for (auto [argument, value] : llvm::zip_equal(body.getArguments(), arguments)) {
    value.axes = axesIn(argument.getType());
    values[argument] = std::move(value);
  }
  if (Error error = runBlock(body, values))
    return error;
  for (Value result : body.getTerminator()->getOperands())
    results.push_back(values.find(result)->second);
  return Error::success();
}

/// The arguments with their axes, or what is wrong with one.
template <typename Real>
static Expected<std::vector<Named<Real>>>
namedArguments(func::FuncOp function, ArrayRef<Array> arguments, int64_t rowCount) {
  std::vector<Named<Real>> values;
  if (arguments.size() != function.getNumArguments())
    return createStringError("function '" + function.getName() + "': expected " +
                             Twine(function.getNumArguments()) + " arguments, found " +
                             Twine(arguments.size()));
  for (auto [i, type, array] : llvm::enumerate(function.getArgumentTypes(), arguments)) {
    std::string what = ("argument " + Twine(i) + " of '" + function.getName() + "'").str();
    if (!isValueType(type))
      return createStringError(what + ": its type is none of this dialect");
    SmallVector<int64_t> expected(cast<RankedTensorType>(type).getShape());
    for (int64_t &extent : expected)
      extent = ShapedType::isDynamic(extent) ? rowCount : extent;
    if (ArrayRef(array.shape) != ArrayRef(expected))
      return otherShape(what, expected, array.shape);
    if (!isWhole(array))
      return createStringError(what + ": expected shape " + printed(expected) + ", found " +
                               printed(array.shape) + " with " + Twine(array.data.size()) +
                               " numbers");
    values.push_back({axesIn(type), convertTo<Real>(array)});
  }
  return values;
}

template <typename Real>
static Expected<std::vector<Array>>
interpretIn(func::FuncOp function, ArrayRef<Array> arguments, ArrayRef<int64_t> lengths,
            std::vector<SequenceState> &states, ParameterLookup parameters,
            const InterpreterOptions &options) {
  int64_t rowCount = 0;
  for (int64_t length : lengths)
    if (length < 0 || llvm::AddOverflow(rowCount, length, rowCount))
      return createStringError("expected numbers of tokens, found " + Twine(length));
  auto named = namedArguments<Real>(function, arguments, rowCount);
  if (!named)
    return named.takeError();
  std::vector<Seen<Real>> advanced(states.size());
  for (auto [from, to] : llvm::zip_equal(states, advanced)) {
    to.position = from.position;
    for (const auto &[name, array] : from.values)
      to.values[name] = convertTo<Real>(array);
  }
  std::vector<Named<Real>> results;
  Interpreter<Real> interpreter(lengths, advanced, parameters, options);
  if (Error error = interpreter.runFunction(function, std::move(*named), results))
    return std::move(error);
  for (auto [length, from, to] : llvm::zip_equal(lengths, advanced, states)) {
    to.position = from.position + length;
    for (const auto &[name, array] : from.values) {
      auto whole = convertTo<double>(array);
      to.values[name] = {std::move(whole.shape), std::move(whole.data)};
    }
  }
  std::vector<Array> arrays;
  for (Named<Real> &result : results) {
    auto whole = convertTo<double>(result.array);
    arrays.push_back({std::move(whole.shape), std::move(whole.data)});
  }
  return arrays;
}

Expected<std::vector<Array>> rondo::interpret(func::FuncOp function, ArrayRef<Array> arguments,
                                              ArrayRef<int64_t> lengths,
                                              std::vector<SequenceState> &states,
                                              ParameterLookup parameters,
                                              const InterpreterOptions &options) {
  if (states.size() != lengths.size())
    return createStringError("expected a state for each of " + Twine(lengths.size()) +
                             " sequences, found " + Twine(states.size()));
  return options.extended
             ? interpretIn<long double>(function, arguments, lengths, states, parameters, options)
             : interpretIn<double>(function, arguments, lengths, states, parameters, options);
}

Expected<Array> rondo::evaluateParameterExpression(Value value, ParameterLookup parameters,
                                                   const InterpreterOptions &options) {
  std::vector<Seen<double>> none;
  Interpreter<double> interpreter({}, none, parameters, options);
  Interpreter<double>::Values values;
  std::function<Error(Value)> run = [&](Value v) -> Error {
    if (values.contains(v))
      return Error::success();
    Operation *op = v.getDefiningOp();
    if (!op || isPerToken(v.getType()))
      return createStringError("the expression reads a value that is no parameter");
    for (Value operand : op->getOperands())
      if (Error error = run(operand))
        return error;
    return interpreter.runOp(*op, values);
  };
  if (Error error = run(value))
    return std::move(error);
  auto &array = values.find(value)->second.array;
  return Array{std::move(array.shape), std::move(array.data)};
}

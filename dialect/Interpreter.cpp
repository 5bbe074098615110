//===- Interpreter.cpp - What the ops mean --------------------------------===//
//
// Walks a function op by op. Array ops are in InterpreterArrays.cpp; here are the ops that reach other tokens, calls and the packing of
// sequences. Slow and obvious on purpose.
//
//===----------------------------------------------------------------------===//

#include "dialect/Interpreter.h"

#include "dialect/InterpreterArrays.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace rondo;
using namespace rondo::interpreter;
using llvm::Error;

namespace {

using Values = llvm::DenseMap<Value, Named>;

Axes axesIn(Type type) {
  Axes axes;
  for (StringAttr axis : axesOf(type))
    axes.push_back(axis.getValue());
  return axes;
}

class Interpreter {
public:
  Interpreter(ArrayRef<int64_t> lengths, std::vector<SequenceState> &states, ParameterLookup parameters,
              const InterpreterOptions &options)
      : lengths(lengths), states(states), parameters(parameters), options(options) {}

  Error runFunction(func::FuncOp function, std::vector<Named> arguments, std::vector<Named> &results);
  Error runOp(Operation &op, Values &values);

private:
  Error runBlock(Block &block, Values &values);
  Error runBody(Block &block, ArrayRef<Named> arguments, std::vector<Named> &states, std::vector<Named> &outputs);
  Error runArrayOp(Operation &op, Values &values, Named &result);
  Error runShift(ShiftOp op, Values &values);
  Error runLast(LastOp op, Values &values);
  Error runOver(OverOp op, Values &values);
  Error runAttend(AttendOp op, Values &values);
  template <typename RecurrenceOp>
  Error runRecurrence(RecurrenceOp op, Block &token, Block *block, int64_t chunk, Values &values);
  Error runCall(Operation *op, FlatSymbolRefAttr callee, StringRef scope, Values &values);

  /// Combines what a token reads: pred, score and value with the axis s in front.
  Named combine(OverKind kind, const Named &valid, const Named &score, const Named &value, const Axes &resultAxes, ArrayRef<const Named *> extents);
  Named &keysOf(size_t sequence, StringRef name, size_t i, const Named &all, int64_t first, int64_t count);

  std::string stateName(const Twine &name) const { return (Twine(scope) + name).str(); }
  Error at(Operation &op, Error error);

  ArrayRef<int64_t> lengths;
  std::vector<SequenceState> &states;
  ParameterLookup parameters;
  const InterpreterOptions &options;
  std::string scope; ///< "" or "backbone.layers.3."
  std::map<std::string, Named> keyStore;
};

Error Interpreter::at(Operation &op, Error error) {
  std::string where;
  llvm::raw_string_ostream(where) << op.getLoc();
  return llvm::createStringError(where + ": " + op.getName().getStringRef().str() + ": " + llvm::toString(std::move(error)));
}

//===----------------------------------------------------------------------===//
// Array ops
//===----------------------------------------------------------------------===//

/// Elements of a constant as numbers.
Array arrayOf(ElementsAttr attr, RankedTensorType type) {
  Array array{std::vector<int64_t>(type.getShape()), {}};
  auto dense = cast<DenseElementsAttr>(attr);
  if (type.getElementType().isF32())
    for (const APFloat &x : dense.getValues<APFloat>())
      array.data.push_back(x.convertToFloat());
  else
    for (const APInt &x : dense.getValues<APInt>())
      array.data.push_back(type.getElementType().isInteger(1) ? double(x.getZExtValue()) : double(x.getSExtValue()));
  return array;
}

Error Interpreter::runArrayOp(Operation &op, Values &values, Named &result) {
  Axes axes = axesIn(op.getResult(0).getType());
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  bool f32 = options.f32;
  SmallVector<const Named *> operands;
  for (Value operand : op.getOperands())
    operands.push_back(&values.find(operand)->second);
  auto assign = [&](llvm::Expected<Named> value) -> Error {
    if (!value)
      return value.takeError();
    result = std::move(*value);
    return Error::success();
  };
  return llvm::TypeSwitch<Operation *, Error>(&op)
      .Case([&](ParamOp param) -> Error {
        const Array *array = parameters(param.getPath());
        if (!array)
          return llvm::createStringError("no parameter '" + param.getPath().str() + "'");
        if (ArrayRef<int64_t>(array->shape) != type.getShape())
          return llvm::createStringError("parameter '" + param.getPath().str() + "' has another shape than the module says");
        result = Named{axes, *array};
        return Error::success();
      })
      .Case([&](ConstantOp constant) { result = Named{axes, arrayOf(constant.getValue(), type)}; return Error::success(); })
      .Case([&](IndexOp) {
        result = Named{axes, {std::vector<int64_t>(type.getShape()), {}}};
        for (int64_t i = 0; i < type.getDimSize(0); ++i)
          result.array.data.push_back(double(i));
        return Error::success();
      })
      .Case([&](PositionOp) {
        result = Named{axes, {{0}, {}}};
        for (auto [length, state] : llvm::zip(lengths, states))
          for (int64_t i = 0; i < length; ++i, ++result.array.shape[0])
            result.array.data.push_back(double(state.position + i));
        return Error::success();
      })
      .Case([&](MapOp map) { result = interpreter::map(map.getKind(), operands, axes); return Error::success(); })
      .Case([&](ReduceOp reduce) { result = interpreter::reduce(reduce.getKind(), *operands[0], axes, f32); return Error::success(); })
      .Case([&](ContractOp) { result = contract(*operands[0], *operands[1], axes, f32); return Error::success(); })
      .Case([&](ViewOp view) {
        SmallVector<int64_t> shape(type.getShape());
        for (auto [axis, extent] : llvm::zip(axes, shape))
          if (ShapedType::isDynamic(extent))
            extent = operands[0]->extent(axis);
        return assign(interpreter::view(*operands[0], view.getMap(), axes, shape));
      })
      .Case([&](CumsumOp cumsum) { result = interpreter::cumsum(*operands[0], cumsum.getAxis(), f32); return Error::success(); })
      .Case([&](ConcatOp concat) { result = interpreter::concat(operands, concat.getAxis(), axes); return Error::success(); })
      .Case([&](GatherOp gather) { return assign(take(*operands[0], *operands[1], gather.getAxis(), axes)); })
      .Case([&](PickOp pick) { return assign(take(*operands[0], *operands[1], pick.getAxis(), axes)); })
      .Default([](Operation *) { return llvm::createStringError("has no meaning here"); });
}

//===----------------------------------------------------------------------===//
// Ops that reach other tokens
//===----------------------------------------------------------------------===//

Error Interpreter::runShift(ShiftOp op, Values &values) {
  Named source = values.find(op.getSource())->second, result = source;
  int64_t distance = op.getDistance(), first = 0;
  int64_t size = elementsPerToken(op.getType());
  for (auto [length, state] : llvm::zip(lengths, states)) {
    Array &tail = state.values[stateName(op.getName())];
    if (tail.shape.empty()) {
      tail.shape = source.array.shape;
      tail.shape[0] = distance;
      tail.data.assign(distance * size, 0.0);
    }
    // The tail followed by the new tokens: token t reads `distance` places before itself.
    std::vector<double> all = tail.data;
    all.insert(all.end(), source.array.data.begin() + first * size, source.array.data.begin() + (first + length) * size);
    std::copy_n(all.begin(), length * size, result.array.data.begin() + first * size);
    tail.data.assign(all.end() - distance * size, all.end());
    first += length;
  }
  values[op.getResult()] = std::move(result);
  return Error::success();
}

Error Interpreter::runLast(LastOp op, Values &values) {
  const Named &source = values.find(op.getSource())->second;
  Named result = source;
  int64_t size = elementsPerToken(op.getType()), first = 0;
  result.array.shape[0] = lengths.size();
  result.array.data.assign(lengths.size() * size, 0.0);
  for (auto [i, length] : llvm::enumerate(lengths)) {
    first += length;
    if (length)
      std::copy_n(source.array.data.begin() + (first - 1) * size, size, result.array.data.begin() + i * size);
  }
  values[op.getResult()] = std::move(result);
  return Error::success();
}

template <typename RecurrenceOp>
Error Interpreter::runRecurrence(RecurrenceOp op, Block &token, Block *block, int64_t chunk, Values &values) {
  std::vector<Named> outputs;
  for (Value output : op.getOutputs()) {
    Named empty{axesIn(output.getType()), {std::vector<int64_t>(cast<RankedTensorType>(output.getType()).getShape()), {}}};
    empty.array.shape[0] = 0;
    outputs.push_back(std::move(empty));
  }
  int64_t first = 0;
  for (auto [length, sequence] : llvm::zip(lengths, states)) {
    std::vector<Named> current, starts;
    auto stored = [&](size_t i, StringRef suffix) -> Array & {
      return sequence.values[stateName(op.getName() + "." + cast<StringAttr>(op.getStates()[i]).getValue() + suffix)];
    };
    for (auto [i, init] : llvm::enumerate(op.getInits())) {
      current.push_back(values.find(init)->second);
      if (Array &carried = stored(i, ""); !carried.shape.empty() || !carried.data.empty())
        current[i].array = carried;
      starts.push_back(current[i]);
      if (Array &carried = stored(i, ".start"); op.getEvery() && !carried.data.empty())
        starts[i].array = carried;
    }
    for (int64_t done = 0; done < length;) {
      bool whole = block && length - done >= chunk;
      int64_t count = whole ? chunk : 1;
      if (op.getEvery() && (sequence.position + done) % int64_t(*op.getEvery()) == 0)
        starts = current;
      std::vector<Named> arguments;
      for (Value input : op.getInputs()) {
        const Named &all = values.find(input)->second;
        if (!isPerToken(input.getType()))
          arguments.push_back(all);
        else if (whole)
          arguments.push_back(withLeading(rows(all, first + done, count), blockAxis));
        else
          arguments.push_back(dropLeading(rows(all, first + done, 1)));
      }
      llvm::append_range(arguments, current);
      if (op.getEvery())
        llvm::append_range(arguments, starts);
      std::vector<Named> next, produced;
      if (Error error = runBody(whole ? *block : token, arguments, next, produced))
        return error;
      current = std::move(next);
      for (auto [output, here] : llvm::zip(outputs, produced)) {
        output.array.shape[0] += count;
        output.array.data.insert(output.array.data.end(), here.array.data.begin(), here.array.data.end());
      }
      done += count;
    }
    for (size_t i = 0; i < current.size(); ++i) {
      stored(i, "") = current[i].array;
      if (op.getEvery())
        stored(i, ".start") = starts[i].array;
    }
    first += length;
  }
  for (auto [result, output] : llvm::zip(op.getOutputs(), outputs))
    values[result] = std::move(output);
  return Error::success();
}

Named Interpreter::combine(OverKind kind, const Named &valid, const Named &score, const Named &value, const Axes &resultAxes,
                           ArrayRef<const Named *> extents) {
  // Everything over the result's axes and s.
  Axes pairs = resultAxes;
  pairs.insert(pairs.begin(), keyAxis);
  SmallVector<const Named *> like{&valid, &score, &value};
  llvm::append_range(like, extents);
  Named weight = zerosOver(pairs, like);
  int64_t count = weight.array.shape[0], inner = count ? weight.array.data.size() / count : 0;
  Named terms = weight;
  forEachIndex(weight, {&valid, &score, &value}, [&](int64_t i, ArrayRef<int64_t> offsets) {
    bool seen = valid.array.data[offsets[0]] != 0;
    double lowest = -std::numeric_limits<double>::infinity();
    weight.array.data[i] = kind == OverKind::Sum ? (seen ? 1 : 0) : seen ? score.array.data[offsets[1]] : lowest;
    terms.array.data[i] = value.array.data[offsets[2]];
  });
  Named result = zerosOver(resultAxes, like);
  for (int64_t at = 0; at < inner; ++at) {
    double highest = -std::numeric_limits<double>::infinity(), total = 0, sum = 0;
    for (int64_t s = 0; s < count; ++s)
      highest = std::max(highest, weight.array.data[s * inner + at]);
    for (int64_t s = 0; s < count; ++s) {
      double w = weight.array.data[s * inner + at];
      if (kind == OverKind::Softmax)
        w = std::isinf(w) && w < 0 ? 0 : std::exp(w - highest);
      if (w == 0)
        continue;
      total += w;
      sum += w * terms.array.data[s * inner + at];
    }
    result.array.data[at] = kind == OverKind::Sum ? sum : total == 0 ? 0 : sum / total;
  }
  return result;
}

Named &Interpreter::keysOf(size_t sequence, StringRef name, size_t i, const Named &all, int64_t first, int64_t count) {
  std::string full = stateName(name + ".key" + Twine(i));
  Array &stored = states[sequence].values[full];
  Named fresh = rows(all, first, count);
  if (stored.shape.empty())
    stored = fresh.array;
  else
    appendRows(stored, fresh.array);
  return keyStore[full + "#" + std::to_string(sequence)] = Named{all.axes, stored};
}

Error Interpreter::runOver(OverOp op, Values &values) {
  Axes resultAxes = axesIn(withoutTime(op.getType()));
  Named like{resultAxes, {std::vector<int64_t>(withoutTime(op.getType()).getShape()), {}}};
  Named result{axesIn(op.getType()), {{0}, {}}};
  llvm::append_range(result.array.shape, like.array.shape);
  int64_t first = 0;
  for (auto [sequence, length] : llvm::enumerate(lengths)) {
    std::vector<Named> keys;
    for (auto [i, key] : llvm::enumerate(op.getKeys()))
      keys.push_back(keysOf(sequence, op.getName(), i, values.find(key)->second, first, length));
    int64_t before = states[sequence].position;
    for (int64_t t = 0; t < length; ++t) {
      Named valid, score, value;
      for (int64_t s = 0; s < before + length; ++s) {
        std::vector<Named> arguments{Named{{}, {{}, {double(before + t)}}}, Named{{}, {{}, {double(s)}}}};
        for (Value query : op.getQueries())
          arguments.push_back(dropLeading(rows(values.find(query)->second, first + t, 1)));
        for (const Named &key : keys)
          arguments.push_back(dropLeading(rows(key, s, 1)));
        for (Value shared : op.getShared())
          arguments.push_back(values.find(shared)->second);
        std::vector<Named> none, outputs;
        if (Error error = runBody(*op.getBlock(), arguments, none, outputs))
          return error;
        for (auto [all, here] : llvm::zip(ArrayRef<Named *>({&valid, &score, &value}), outputs)) {
          here.axes.insert(here.axes.begin(), keyAxis);
          here.array.shape.insert(here.array.shape.begin(), 1);
          if (s == 0)
            *all = here;
          else
            appendRows(all->array, here.array);
        }
      }
      Named here = combine(op.getKind(), valid, score, value, resultAxes, {&like});
      result.array.shape[0] += 1;
      llvm::append_range(result.array.data, here.array.data);
    }
    first += length;
  }
  values[op.getResult()] = std::move(result);
  return Error::success();
}

Error Interpreter::runAttend(AttendOp op, Values &values) {
  Axes resultAxes = axesIn(op.getType());
  Named result{resultAxes, {std::vector<int64_t>(cast<RankedTensorType>(op.getType()).getShape()), {}}};
  result.array.shape[0] = 0;
  int64_t first = 0;
  for (auto [sequence, length] : llvm::enumerate(lengths)) {
    std::vector<Named> keys;
    for (auto [i, key] : llvm::enumerate(op.getKeys()))
      keys.push_back(withLeading(keysOf(sequence, op.getName(), i, values.find(key)->second, first, length), keyAxis));
    int64_t before = states[sequence].position, total = before + length;
    Named positions{{keyAxis}, {{total}, {}}};
    for (int64_t s = 0; s < total; ++s)
      positions.array.data.push_back(double(s));
    for (int64_t t = 0; t < length; ++t) {
      // One query and all keys are one tile.
      std::vector<Named> arguments{Named{{timeAxis}, {{1}, {double(before + t)}}}, positions};
      for (Value query : op.getQueries())
        arguments.push_back(rows(values.find(query)->second, first + t, 1));
      llvm::append_range(arguments, keys);
      for (Value shared : op.getShared())
        arguments.push_back(values.find(shared)->second);
      std::vector<Named> none, outputs;
      if (Error error = runBody(*op.getBlock(), arguments, none, outputs))
        return error;
      Named reach = positions;
      for (int64_t s = 0; s < total; ++s) {
        bool causal = !op.getCausal() || s <= before + t;
        bool inWindow = int64_t(op.getWindow()) <= 0 || before + t - s < int64_t(op.getWindow());
        reach.array.data[s] = causal && inWindow;
      }
      Axes validAxes = outputs[0].axes;
      if (!llvm::is_contained(validAxes, keyAxis))
        validAxes.push_back(keyAxis);
      Named valid = interpreter::map(MapKind::And, {&outputs[0], &reach}, validAxes);
      Named like{resultAxes, {std::vector<int64_t>(result.array.shape), {}}};
      like.array.shape[0] = 1;
      Named here = combine(op.getKind(), valid, outputs[1], outputs[2], resultAxes, {&like});
      result.array.shape[0] += 1;
      llvm::append_range(result.array.data, here.array.data);
    }
    first += length;
  }
  values[op.getResult()] = std::move(result);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Bodies, calls, functions
//===----------------------------------------------------------------------===//

Error Interpreter::runCall(Operation *op, FlatSymbolRefAttr callee, StringRef at, Values &values) {
  auto function = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(op, callee);
  std::vector<Named> arguments, results;
  for (Value operand : op->getOperands())
    arguments.push_back(values.find(operand)->second);
  std::string outer = scope;
  if (!at.empty())
    scope += at.str() + ".";
  if (Error error = runFunction(function, std::move(arguments), results))
    return error;
  scope = outer;
  for (auto [value, result] : llvm::zip(op->getResults(), results))
    values[value] = std::move(result);
  return Error::success();
}

Error Interpreter::runOp(Operation &op, Values &values) {
  Error error = llvm::TypeSwitch<Operation *, Error>(&op)
                    .Case([&](ShiftOp shift) { return runShift(shift, values); })
                    .Case([&](LastOp last) { return runLast(last, values); })
                    .Case([&](OverOp over) { return runOver(over, values); })
                    .Case([&](AttendOp attend) { return runAttend(attend, values); })
                    .Case([&](RecurOp recur) { return runRecurrence(recur, *recur.getBlock(), nullptr, 1, values); })
                    .Case([&](ScanOp scan) {
                      Region &block = scan->getRegion(1);
                      bool chunked = options.blockBodies && !block.empty();
                      return runRecurrence(scan, scan->getRegion(0).front(), chunked ? &block.front() : nullptr,
                                           chunked ? int64_t(scan.getChunk()) : 1, values);
                    })
                    .Case([&](CallOp call) { return runCall(&op, call.getCalleeAttr(), call.getScope(), values); })
                    .Case([&](LaunchOp launch) { return runCall(&op, launch.getKernelAttr(), "", values); })
                    .Default([&](Operation *) -> Error {
                      Named result;
                      if (Error error = runArrayOp(op, values, result))
                        return at(op, std::move(error));
                      if (options.f32)
                        for (double &x : result.array.data)
                          x = float(x);
                      values[op.getResult(0)] = std::move(result);
                      return Error::success();
                    });
  return error;
}

Error Interpreter::runBlock(Block &block, Values &values) {
  for (Operation &op : block.without_terminator())
    if (Error error = runOp(op, values))
      return error;
  return Error::success();
}

/// `value` over the axes of `type`, in that order: a yield may leave out what does not vary.
Named shapedAs(const Named &value, Type type) {
  Axes axes = axesIn(type);
  if (axes == value.axes)
    return value;
  return interpreter::map(MapKind::Convert, {&value}, axes);
}

Error Interpreter::runBody(Block &block, ArrayRef<Named> arguments, std::vector<Named> &states, std::vector<Named> &outputs) {
  Values values;
  for (auto [argument, value] : llvm::zip(block.getArguments(), arguments))
    values[argument] = value;
  if (Error error = runBlock(block, values))
    return error;
  auto yield = cast<YieldOp>(block.getTerminator());
  for (Value state : yield.getStates())
    states.push_back(shapedAs(values.find(state)->second, state.getType()));
  for (Value output : yield.getOutputs())
    outputs.push_back(shapedAs(values.find(output)->second, output.getType()));
  return Error::success();
}

Error Interpreter::runFunction(func::FuncOp function, std::vector<Named> arguments, std::vector<Named> &results) {
  Values values;
  Block &body = function.getBody().front();
  for (auto [argument, value] : llvm::zip(body.getArguments(), arguments)) {
    value.axes = axesIn(argument.getType());
    values[argument] = std::move(value);
  }
  if (Error error = runBlock(body, values))
    return error;
  for (Value result : body.getTerminator()->getOperands())
    results.push_back(values.find(result)->second);
  return Error::success();
}

} // namespace

llvm::Expected<std::vector<Array>> rondo::interpret(func::FuncOp function, ArrayRef<Array> arguments, ArrayRef<int64_t> lengths,
                                                    std::vector<SequenceState> &states, ParameterLookup parameters,
                                                    const InterpreterOptions &options) {
  if (states.size() != lengths.size())
    return llvm::createStringError("as many states as sequences are needed");
  if (arguments.size() != function.getNumArguments())
    return llvm::createStringError("function '%s' takes %u arguments, got %zu", function.getName().str().c_str(),
                                   function.getNumArguments(), arguments.size());
  int64_t rowCount = 0;
  for (int64_t length : lengths)
    rowCount += length;
  std::vector<Named> values;
  for (auto [argument, array] : llvm::zip(function.getArguments(), arguments)) {
    SmallVector<int64_t> expected(cast<RankedTensorType>(argument.getType()).getShape());
    for (int64_t &extent : expected)
      extent = ShapedType::isDynamic(extent) ? rowCount : extent;
    if (ArrayRef<int64_t>(array.shape) != ArrayRef<int64_t>(expected))
      return llvm::createStringError("argument %u of '%s' has another shape than its type says", argument.getArgNumber(),
                                     function.getName().str().c_str());
    values.push_back(Named{{}, array});
  }
  std::vector<Named> results;
  Interpreter interpreter(lengths, states, parameters, options);
  if (Error error = interpreter.runFunction(function, std::move(values), results))
    return std::move(error);
  for (auto [length, state] : llvm::zip(lengths, states))
    state.position += length;
  std::vector<Array> arrays;
  for (Named &result : results)
    arrays.push_back(std::move(result.array));
  return arrays;
}

llvm::Expected<Array> rondo::evaluateParameterExpression(Value value, ParameterLookup parameters, const InterpreterOptions &options) {
  std::vector<SequenceState> none;
  Interpreter interpreter({}, none, parameters, options);
  Values values;
  std::function<Error(Value)> run = [&](Value v) -> Error {
    if (values.contains(v))
      return Error::success();
    Operation *op = v.getDefiningOp();
    if (!op || isPerToken(v.getType()))
      return llvm::createStringError("the expression reads a value that is no parameter");
    for (Value operand : op->getOperands())
      if (Error error = run(operand))
        return error;
    return interpreter.runOp(*op, values);
  };
  if (Error error = run(value))
    return std::move(error);
  return values.find(value)->second.array;
}

//===- InterpreterTokens.cpp - Ops that reach other tokens ----------------===//
//
// Shifts, recurrences and readings of other tokens, one sequence after the other, one token after
// the other. What an earlier piece of a sequence left behind is in its state.
//
//===----------------------------------------------------------------------===//

#include "dialect/InterpreterWalk.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace rondo;
using namespace rondo::interpreter;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

template <typename Real>
auto Interpreter<Real>::carried(size_t sequence, const Twine &name, ArrayRef<int64_t> shape)
    -> Expected<Array *> {
  auto &own = states[sequence].values;
  auto found = own.find((Twine(scope) + name).str());
  if (found == own.end())
    return nullptr;
  if (ArrayRef(found->second.shape) != shape ||
      int64_t(found->second.data.size()) != llvm::product_of(shape))
    return otherShape("state '" + found->first + "'", shape, found->second.shape);
  return &found->second;
}

//===----------------------------------------------------------------------===//
// shift and last
//===----------------------------------------------------------------------===//

template <typename Real> Error Interpreter<Real>::runShift(ShiftOp op, Values &values) {
  const Named &source = values.find(op.getSource())->second;
  Named result = source;
  int64_t distance = op.getDistance(), size = elementsPerToken(op.getType()), first = 0;
  std::vector<int64_t> shape = source.array.shape;
  shape[0] = distance;
  for (auto [sequence, length] : llvm::enumerate(lengths)) {
    auto tail = carried(sequence, op.getName(), shape);
    if (!tail)
      return tail.takeError();
    // The tail followed by the new tokens: token t reads what is `distance` places before itself.
    if (!*tail && states[sequence].position != 0)
      return createStringError("no state '" + scope + op.getName() + "' at position " +
                               Twine(states[sequence].position));
    std::vector<Real> all(distance * size, Real(0));
    if (*tail)
      all = (*tail)->data;
    auto begin = source.array.data.begin() + first * size;
    all.insert(all.end(), begin, begin + length * size);
    std::copy_n(all.begin(), length * size, result.array.data.begin() + first * size);
    stateOf(sequence, op.getName()) = {{shape.begin(), shape.end()},
                                       {all.end() - distance * size, all.end()}};
    first += length;
  }
  values[op.getResult()] = std::move(result);
  return Error::success();
}

template <typename Real> Error Interpreter<Real>::runLast(LastOp op, Values &values) {
  const Named &source = values.find(op.getSource())->second;
  Named result = source;
  int64_t size = elementsPerToken(op.getType()), first = 0;
  result.array.shape[0] = lengths.size();
  result.array.data.assign(lengths.size() * size, Real(0));
  for (auto [i, length] : llvm::enumerate(lengths)) {
    first += length;
    if (length)
      std::copy_n(source.array.data.begin() + (first - 1) * size, size,
                  result.array.data.begin() + i * size);
  }
  values[op.getResult()] = std::move(result);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// recur and scan
//===----------------------------------------------------------------------===//

template <typename RecurrenceOp>
static std::string stateName(RecurrenceOp op, size_t i, StringRef suffix = "") {
  return recurrenceStateName(op.getName(), op.getStates(), i) + suffix.str();
}

/// The states before the first token here, and those at the start of its group.
template <typename Real>
template <typename RecurrenceOp>
Error Interpreter<Real>::loadStates(RecurrenceOp op, size_t sequence, const Values &values,
                                    std::vector<Named> &current, std::vector<Named> &starts) {
  for (auto [i, init] : llvm::enumerate(op.getInits())) {
    current.push_back(values.find(init)->second);
    auto state = carried(sequence, stateName(op, i), current[i].array.shape);
    if (!state)
      return state.takeError();
    auto start = carried(sequence, stateName(op, i, ".start"), current[i].array.shape);
    if (!start)
      return start.takeError();
    if (!*state && states[sequence].position != 0)
      return createStringError("no state '" + scope + stateName(op, i) + "' at position " +
                               Twine(states[sequence].position));
    if (*state)
      current[i].array = **state;
    starts.push_back(current[i]);
    if (*start)
      starts[i].array = **start;
  }
  return Error::success();
}

template <typename Real>
template <typename RecurrenceOp>
void Interpreter<Real>::storeStates(RecurrenceOp op, size_t sequence,
                                    const std::vector<Named> &current,
                                    const std::vector<Named> &starts) {
  for (size_t i = 0; i < current.size(); ++i) {
    stateOf(sequence, stateName(op, i)) = current[i].array;
    if (op.getEvery())
      stateOf(sequence, stateName(op, i, ".start")) = starts[i].array;
  }
}

/// What the body sees of the inputs: one token's row (chunk = 0), or a block's with the axis c.
template <typename Real>
static std::vector<interpreter::Named<Real>>
slicesOf(ValueRange inputs, int64_t row, int64_t chunk,
         const typename Interpreter<Real>::Values &values) {
  using Named = interpreter::Named<Real>;
  std::vector<Named> slices;
  for (Value input : inputs) {
    const Named &all = values.find(input)->second;
    if (!isPerToken(input.getType()))
      slices.push_back(all);
    else if (chunk == 0)
      slices.push_back(dropLeading(rows(all, row, 1)));
    else
      slices.push_back(withLeading(rows(all, row, chunk), blockAxis));
  }
  return slices;
}

template <typename Real>
template <typename RecurrenceOp>
Error Interpreter<Real>::runRecurrence(RecurrenceOp op, Block &token, Block *block, int64_t chunk,
                                       Values &values) {
  std::vector<Named> outputs;
  for (Value output : op.getOutputs())
    outputs.push_back(noRows<Real>(output.getType()));
  int64_t first = 0, every = op.getEvery() ? int64_t(*op.getEvery()) : 0;
  for (auto [sequence, length] : llvm::enumerate(lengths)) {
    std::vector<Named> current, starts;
    if (Error error = loadStates(op, sequence, values, current, starts))
      return error;
    for (int64_t done = 0; done < length;) {
      int64_t inGroup = every ? (states[sequence].position + done) % every : 0;
      bool whole = block && length - done >= chunk && (!every || inGroup + chunk <= every);
      int64_t count = whole ? chunk : 1;
      if (every && inGroup == 0)
        starts = current;
      std::vector<Named> next, produced;
      auto arguments = slicesOf<Real>(op.getInputs(), first + done, whole ? chunk : 0, values);
      llvm::append_range(arguments, current);
      if (every)
        llvm::append_range(arguments, starts);
      if (Error error = runBody(whole ? *block : token, arguments, next, produced))
        return error;
      current = std::move(next);
      for (auto [output, here] : llvm::zip_equal(outputs, produced)) {
        output.array.shape[0] += count;
        llvm::append_range(output.array.data, here.array.data);
      }
      done += count;
    }
    storeStates(op, sequence, current, starts);
    first += length;
  }
  for (auto [result, output] : llvm::zip_equal(op.getOutputs(), outputs))
    values[result] = std::move(output);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// over and attend
//===----------------------------------------------------------------------===//

/// Adds this piece's tokens to the keys of the sequence; `all` is the keys from its first token on.
template <typename Real>
Error Interpreter<Real>::appendKeys(ValueRange keys, StringRef name, size_t sequence, int64_t first,
                                    Values &values, std::vector<Named> &all) {
  for (auto [i, key] : llvm::enumerate(keys)) {
    Named fresh = rows(values.find(key)->second, first, lengths[sequence]);
    std::vector<int64_t> shape = fresh.array.shape;
    shape[0] = states[sequence].position;
    auto stored = carried(sequence, name + ".key" + Twine(i), shape);
    if (!stored)
      return stored.takeError();
    if (!*stored && shape[0] != 0)
      return createStringError("no state '" + scope + name + ".key" + Twine(i) + "' at position " +
                               Twine(shape[0]));
    Array keysSoFar = *stored ? **stored : fresh.array;
    if (*stored)
      appendRows(keysSoFar, fresh.array);
    stateOf(sequence, name + ".key" + Twine(i)) = keysSoFar;
    all.push_back(Named{fresh.axes, std::move(keysSoFar)});
  }
  return Error::success();
}

/// Predicate, score, value and perhaps sink of one token and all tokens s, from bodies of one pair
/// each.
template <typename Real>
auto Interpreter<Real>::readWeights(OverOp op, int64_t row, int64_t position, int64_t count,
                                    ArrayRef<Named> keys, Values &values)
    -> Expected<std::vector<Named>> {
  std::vector<Named> read, queries;
  for (Value query : op.getQueries())
    queries.push_back(dropLeading(rows(values.find(query)->second, row, 1)));
  for (int64_t s = 0; s < count; ++s) {
    std::vector<Named> arguments{Named{{}, {{}, {Real(position)}}}, Named{{}, {{}, {Real(s)}}}};
    llvm::append_range(arguments, queries);
    for (const Named &key : keys)
      arguments.push_back(dropLeading(rows(key, s, 1)));
    for (Value shared : op.getShared())
      arguments.push_back(values.find(shared)->second);
    std::vector<Named> none, outputs;
    if (Error error = runBody(*op.getBlock(), arguments, none, outputs))
      return std::move(error);
    for (auto [i, here] : llvm::enumerate(outputs)) {
      here.axes.insert(here.axes.begin(), keyAxis);
      here.array.shape.insert(here.array.shape.begin(), 1);
      if (s == 0)
        read.push_back(here);
      else
        appendRows(read[i].array, here.array);
    }
  }
  return read;
}

/// The same from the body of one tile: one query and all keys.
template <typename Real>
auto Interpreter<Real>::readWeights(AttendOp op, int64_t row, int64_t position, int64_t count,
                                    ArrayRef<Named> keys, Values &values)
    -> Expected<std::vector<Named>> {
  int64_t window = op.getWindow();
  Named positions{{keyAxis}, {{count}, {}}}, reach = positions;
  for (int64_t s = 0; s < count; ++s) {
    positions.array.data.push_back(Real(s));
    reach.array.data.push_back((!op.getCausal() || s <= position) &&
                               (window == 0 || position - s < window));
  }
  std::vector<Named> arguments{Named{{timeAxis}, {{1}, {Real(position)}}}, positions};
  for (Value query : op.getQueries())
    arguments.push_back(rows(values.find(query)->second, row, 1));
  for (const Named &key : keys)
    arguments.push_back(withLeading(key, keyAxis));
  for (Value shared : op.getShared())
    arguments.push_back(values.find(shared)->second);
  std::vector<Named> none, read;
  if (Error error = runBody(*op.getBlock(), arguments, none, read))
    return std::move(error);
  Axes axes = read[0].axes;
  if (!read[0].has(keyAxis))
    axes.push_back(keyAxis);
  read[0] = interpreter::map<Real>(MapKind::And, {&read[0], &reach}, axes,
                                   IntegerType::get(op.getContext(), 1));
  return read;
}

/// One token's result from predicate, score, value and perhaps sink over s (and what else of the
/// result's axes). A sink, the same for all s, is one more score with the value 0.
template <typename Real>
auto Interpreter<Real>::combine(OverKind kind, ArrayRef<Named> read, Type resultType) -> Named {
  SmallVector<int64_t> shape(withoutTime(resultType).getShape());
  Named result{axesIn(withoutTime(resultType)), {{shape.begin(), shape.end()}, {}}};
  SmallVector<const Named *> operands{&read[0], &read[1], &read[2], &result};
  Axes pairs = result.axes;
  pairs.insert(pairs.begin(), keyAxis);
  Named weights = zerosOver<Real>(pairs, operands), terms = weights;
  Real lowest = -std::numeric_limits<Real>::infinity();
  Named sinks = weights;
  if (read.size() > 3)
    forEachIndex<Real>(sinks, {&read[3]}, [&](int64_t i, ArrayRef<int64_t> from) {
      sinks.array.data[i] = read[3].array.data[from[0]];
    });
  forEachIndex<Real>(weights, {&read[0], &read[1], &read[2]},
                     [&](int64_t i, ArrayRef<int64_t> from) {
                       bool seen = read[0].array.data[from[0]] != 0;
                       Real weight = kind == OverKind::Sum ? 0 : read[1].array.data[from[1]];
                       weights.array.data[i] = seen ? weight : lowest;
                       terms.array.data[i] = seen ? read[2].array.data[from[2]] : 0;
                     });
  int64_t count = weights.array.shape[0], inner = llvm::product_of(shape);
  for (int64_t at = 0; at < inner; ++at) {
    Real highest = lowest, total = 0, sum = 0;
    for (int64_t s = 0; s < count; ++s)
      highest = std::max(highest, weights.array.data[s * inner + at]);
    if (read.size() > 3) {
      highest = std::max(highest, sinks.array.data[at]);
      total = std::exp(sinks.array.data[at] - highest);
    }
    for (int64_t s = 0; s < count; ++s) {
      Real score = weights.array.data[s * inner + at];
      Real weight = score == lowest ? 0 : std::exp(score - highest);
      total = rounded(total + weight, options.f32);
      if (weight != 0)
        sum = rounded(sum + weight * terms.array.data[s * inner + at], options.f32);
    }
    bool divide = kind == OverKind::Softmax && total != 0;
    result.array.data.push_back(divide ? rounded(sum / total, options.f32) : sum);
  }
  return result;
}

template <typename Real>
template <typename PairsOp>
Error Interpreter<Real>::runPairs(PairsOp op, Values &values) {
  Named result = noRows<Real>(op.getType());
  int64_t first = 0;
  for (auto [sequence, length] : llvm::enumerate(lengths)) {
    std::vector<Named> keys;
    if (Error error = appendKeys(op.getKeys(), op.getName(), sequence, first, values, keys))
      return error;
    int64_t before = states[sequence].position, count = before + length;
    for (int64_t t = 0; t < length; ++t) {
      auto read = readWeights(op, first + t, before + t, count, keys, values);
      if (!read)
        return read.takeError();
      result.array.shape[0] += 1;
      llvm::append_range(result.array.data, combine(op.getKind(), *read, op.getType()).array.data);
    }
    first += length;
  }
  values[op.getResult()] = std::move(result);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// route
//===----------------------------------------------------------------------===//

template <typename Real> Error Interpreter<Real>::runRoute(RouteOp op, Values &values) {
  const Named &ids = values.find(op.getIds())->second;
  Named result = noRows<Real>(op.getType());
  SmallVector<StringRef> chosen; // the axes of the ids but t
  SmallVector<int64_t> extents;
  for (StringAttr axis : axesOf(withoutTime(op.getIds().getType()))) {
    chosen.push_back(axis.getValue());
    extents.push_back(ids.extent(axis));
  }
  // One element of `source` along `axis`, 0 where `id` is no index.
  auto sliceAt = [](const Named &source, StringRef axis, Real id) {
    Axes rest;
    for (const auto &own : source.axes)
      if (StringRef(own) != axis)
        rest.push_back(own);
    return take(source, Named{{}, {{}, {id}}}, axis, rest, /*zeroOutside=*/true);
  };
  int64_t choices = llvm::product_of(extents), tokens = ids.array.shape[0];
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t choice = 0; choice < choices; ++choice) {
      std::vector<Named> arguments, none, yielded;
      for (Value input : op.getInputs()) {
        const Named &whole = values.find(input)->second;
        Named value = isPerToken(input.getType()) ? dropLeading(rows(whole, t, 1)) : whole;
        int64_t rest = choice;
        for (size_t i = chosen.size(); i-- > 0; rest /= extents[i])
          if (value.has(chosen[i])) {
            auto slice = sliceAt(value, chosen[i], Real(rest % extents[i]));
            if (!slice)
              return slice.takeError();
            value = std::move(*slice);
          }
        arguments.push_back(std::move(value));
      }
      for (Value table : op.getTables()) {
        auto slice =
            sliceAt(values.find(table)->second, op.getAxis(), ids.array.data[t * choices + choice]);
        if (!slice)
          return slice.takeError();
        arguments.push_back(std::move(*slice));
      }
      if (Error error = runBody(*op.getBlock(), arguments, none, yielded))
        return error;
      llvm::append_range(result.array.data, yielded[0].array.data);
    }
  result.array.shape[0] = tokens;
  values[op.getResult()] = std::move(result);
  return Error::success();
}

#define RONDO_INSTANTIATE(Real)                                                                    \
  template Error Interpreter<Real>::runShift(ShiftOp, Values &);                                   \
  template Error Interpreter<Real>::runLast(LastOp, Values &);                                     \
  template Error Interpreter<Real>::runRoute(RouteOp, Values &);                                   \
  template Error Interpreter<Real>::runRecurrence(RecurOp, Block &, Block *, int64_t, Values &);   \
  template Error Interpreter<Real>::runRecurrence(ScanOp, Block &, Block *, int64_t, Values &);    \
  template Error Interpreter<Real>::runPairs(OverOp, Values &);                                    \
  template Error Interpreter<Real>::runPairs(AttendOp, Values &);

RONDO_INSTANTIATE(double)
RONDO_INSTANTIATE(long double)

// Forms.cpp - A package's entries run in different ways on the same tokens.

#include "tools/rondo/Forms.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <random>

namespace rondo::cli {

namespace {

int64_t bytesOfRow(const Tensor &tensor) {
  int64_t bytes = static_cast<int64_t>(bytesOf(tensor.dtype));
  for (size_t axis = 1; axis < tensor.shape.size(); ++axis)
    bytes *= tensor.shape[axis];
  return bytes;
}

/// The rows of `from` after those of `to`.
void append(std::vector<Numbers> &to, std::vector<Numbers> from) {
  if (to.empty()) {
    to = std::move(from);
    return;
  }
  for (size_t i = 0; i < to.size(); ++i) {
    to[i].shape[0] += from[i].shape[0];
    to[i].values.insert(to[i].values.end(), from[i].values.begin(), from[i].values.end());
  }
}

Result<std::vector<std::span<const std::byte>>> inputsOf(const package::Entry &entry,
                                                         const Sequence &sequence) {
  std::vector<std::span<const std::byte>> inputs;
  for (const package::Value *value : *entry.inputs()) {
    auto found = sequence.inputs.find(value->name()->str());
    if (found == sequence.inputs.end())
      return Error{fmt::format("entry '{}': there is no input '{}'", entry.name()->string_view(),
                               value->name()->string_view())};
    inputs.emplace_back(found->second.bytes);
  }
  return inputs;
}

Result<std::vector<Numbers>> numbersOfAll(const std::vector<Tensor> &tensors) {
  std::vector<Numbers> all;
  for (const Tensor &tensor : tensors) {
    RONDO_TAKE(Numbers numbers, numbersOf(tensor));
    all.push_back(std::move(numbers));
  }
  return all;
}

} // namespace

Result<Sequence> randomSequence(const package::Entry &entry, int64_t tokens, uint64_t seed) {
  // The engine's numbers are fixed by the standard; its distributions are not.
  std::mt19937_64 random(seed);
  Sequence sequence;
  sequence.tokens = tokens;
  for (const package::Value *value : *entry.inputs()) {
    std::vector<int64_t> shape = extentsOf(*value);
    shape.insert(shape.begin(), tokens);
    DType dtype = dtypeOf(value->dtype());
    RONDO_TAKE(Tensor tensor, makeTensor(value->name()->str(), dtype, std::move(shape)));
    if (dtype == DType::I64)
      for (int64_t &id : tensor.as<int64_t>())
        id = static_cast<int64_t>(random() %
                                  static_cast<uint64_t>(std::max<int64_t>(1, value->id_limit())));
    else if (dtype == DType::F32)
      for (float &number : tensor.as<float>())
        number = static_cast<float>(static_cast<int64_t>(random() >> 40) - (1 << 23)) * 0x1p-23f;
    else
      return Error{fmt::format("entry '{}': input '{}' is {}; expected F32 or I64",
                               entry.name()->string_view(), value->name()->string_view(),
                               nameOf(dtype))};
    sequence.inputs.emplace(value->name()->str(), std::move(tensor));
  }
  return sequence;
}

Result<Sequence> part(const Sequence &whole, int64_t begin, int64_t count) {
  Sequence result;
  result.tokens = count;
  for (const auto &[name, tensor] : whole.inputs) {
    std::vector<int64_t> shape = tensor.shape;
    shape[0] = count;
    RONDO_TAKE(Tensor rows, makeTensor(name, tensor.dtype, std::move(shape)));
    auto row = static_cast<size_t>(bytesOfRow(tensor));
    if (count > 0)
      std::memcpy(rows.bytes.data(), tensor.bytes.data() + static_cast<size_t>(begin) * row,
                  rows.bytes.size());
    result.inputs.emplace(name, std::move(rows));
  }
  return result;
}

Result<Sequence> withTargets(const Sequence &whole, const package::Entry &score) {
  RONDO_TAKE(Sequence result, part(whole, 0, whole.tokens - 1));
  RONDO_TAKE(Sequence next, part(whole, 1, whole.tokens - 1));
  auto targets = next.inputs.find("tokens");
  if (targets != next.inputs.end()) {
    targets->second.name = "targets";
    for (const package::Value *value : *score.inputs())
      if (value->name()->string_view() == "targets" && value->id_limit() > 0)
        for (int64_t &id : targets->second.as<int64_t>())
          id %= value->id_limit();
    result.inputs.emplace("targets", std::move(targets->second));
  }
  return result;
}

Status Forms::runPiece(const package::Entry &entry, const Sequence &piece, State &state,
                       std::vector<Numbers> &outputs) {
  RONDO_TAKE(auto inputs, inputsOf(entry, piece));
  State *const states[] = {&state};
  const int64_t lengths[] = {piece.tokens};
  RONDO_TAKE(std::vector<Tensor> made, session.run(entry, states, lengths, inputs));
  RONDO_TAKE(std::vector<Numbers> numbers, numbersOfAll(made));
  append(outputs, std::move(numbers));
  return {};
}

Result<Outcome> Forms::run(const package::Entry &entry, const Sequence &sequence,
                           const std::vector<int64_t> &pieces, const State *start) {
  RONDO_TAKE(State state, session.newState());
  if (start)
    state = *start;
  Outcome outcome;
  int64_t begin = 0;
  for (int64_t count : pieces) {
    RONDO_TAKE(Sequence piece, part(sequence, begin, count));
    RONDO_CHECK(runPiece(entry, piece, state, outcome.outputs));
    begin += count;
  }
  RONDO_TAKE(outcome.states, numbersOf(state));
  return outcome;
}

Result<State> Forms::stateAfter(const package::Entry &entry, const Sequence &sequence) {
  RONDO_TAKE(State state, session.newState());
  std::vector<Numbers> ignored;
  RONDO_CHECK(runPiece(entry, sequence, state, ignored));
  return state;
}

Result<std::vector<Outcome>> Forms::runPacked(const package::Entry &entry,
                                              const std::vector<const Sequence *> &sequences) {
  std::vector<State> states;
  std::vector<State *> pointers;
  std::vector<int64_t> lengths;
  std::vector<std::vector<std::byte>> packed(entry.inputs()->size());
  for (const Sequence *sequence : sequences) {
    RONDO_TAKE(State state, session.newState());
    states.push_back(std::move(state));
    lengths.push_back(sequence->tokens);
    RONDO_TAKE(auto inputs, inputsOf(entry, *sequence));
    for (size_t i = 0; i < inputs.size(); ++i)
      packed[i].insert(packed[i].end(), inputs[i].begin(), inputs[i].end());
  }
  for (State &state : states)
    pointers.push_back(&state);
  std::vector<std::span<const std::byte>> inputs(packed.begin(), packed.end());
  RONDO_TAKE(std::vector<Tensor> made, session.run(entry, pointers, lengths, inputs));
  RONDO_TAKE(std::vector<Numbers> all, numbersOfAll(made));
  std::vector<Outcome> outcomes(sequences.size());
  int64_t begin = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    int64_t rows = entry.outputs_in_last_space() ? 1 : lengths[s];
    outcomes[s].outputs = rowsOf(all, begin, rows);
    begin += rows;
    RONDO_TAKE(outcomes[s].states, numbersOf(states[s]));
  }
  return outcomes;
}

Result<std::vector<Numbers>> numbersOf(const State &state) {
  RONDO_TAKE(std::vector<Tensor> tensors, state.save());
  return numbersOfAll(tensors);
}

std::vector<Numbers> rowsOf(const std::vector<Numbers> &tensors, int64_t begin, int64_t count) {
  std::vector<Numbers> rows;
  for (const Numbers &tensor : tensors) {
    int64_t row = 1;
    for (size_t axis = 1; axis < tensor.shape.size(); ++axis)
      row *= tensor.shape[axis];
    Numbers taken{tensor.name, tensor.shape, {}};
    taken.shape[0] = count;
    taken.values.assign(tensor.values.begin() + begin * row,
                        tensor.values.begin() + (begin + count) * row);
    rows.push_back(std::move(taken));
  }
  return rows;
}

std::vector<Numbers> everything(const Outcome &outcome) {
  std::vector<Numbers> all = outcome.outputs;
  for (const Numbers &state : outcome.states) {
    all.push_back(state);
    all.back().name = "state." + state.name;
  }
  return all;
}

} // namespace rondo::cli

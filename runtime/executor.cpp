// executor.cpp - Runs the entries of a package.

#include "runtime/executor.h"

#include <algorithm>
#include <cstring>

namespace rondo {

/// A part of the call that fits the arena: some rows of some sequences, in order.
struct Executor::Piece {
  std::vector<State *> states;
  std::vector<int64_t> lengths;      // > 0
  std::vector<size_t> sequences;     // of the call
  std::vector<const std::byte *> inputs;
  std::vector<std::byte *> outputs;
  int64_t rows = 0;
  rondo_batch tokens{}, last{};
};

Executor::Executor(std::shared_ptr<const Program> program, std::shared_ptr<ThreadPool> pool)
    : prog(std::move(program)), pool(std::move(pool)) {
  const package::Package &manifest = prog->manifest();
  int64_t arenaSize = 0, scratchSize = 0;
  size_t mostOperands = 0;
  for (const package::Entry *entry : *manifest.entries()) {
    arenaSize = std::max(arenaSize, entry->arena());
    for (const package::Step *step : *entry->steps())
      mostOperands = std::max<size_t>(mostOperands, step->operands()->size());
  }
  for (const package::Kernel *kernel : *manifest.kernels())
    scratchSize = std::max(scratchSize, kernel->scratch());
  scratchOfWorker = static_cast<size_t>((scratchSize + 63) / 64 * 64);
  arena = AlignedBytes(static_cast<size_t>(arenaSize));
  scratch = AlignedBytes(scratchOfWorker * static_cast<size_t>(this->pool->threads()));
  operands.resize(mostOperands);
}

Status Executor::checkArguments(const package::Entry &entry, std::span<State *const> states, std::span<const int64_t> lengths,
                                std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs) {
  std::string name = "entry '" + entry.name()->str() + "'";
  const package::Package &manifest = prog->manifest();
  for (const package::Entry *e : *manifest.entries())
    if (static_cast<uint64_t>(e->arena()) > arena.size())
      return Error{prog->file().path() + ": not enough memory for an arena of " + std::to_string(e->arena()) + " bytes"};
  if (scratchOfWorker && !scratch.data())
    return Error{prog->file().path() + ": not enough memory for the kernels' scratch"};
  if (states.size() != lengths.size())
    return Error{name + ": " + std::to_string(states.size()) + " states for " + std::to_string(lengths.size()) + " sequences"};
  uint64_t rows = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < 0 || lengths[i] > (int64_t(1) << 40))
      return Error{name + ": sequence " + std::to_string(i) + " has length " + std::to_string(lengths[i])};
    rows += static_cast<uint64_t>(lengths[i]);
    if (states[i]->program != prog)
      return Error{name + ": the state of sequence " + std::to_string(i) + " is of another package"};
    if (std::count(states.begin(), states.end(), states[i]) > 1)
      return Error{name + ": two sequences share one state"};
    if (entry.whole_sequence() && states[i]->tokens > 0)
      return Error{name + ": every token reads the whole sequence, so it cannot go on from a state"};
    if (entry.whole_sequence() && lengths[i] > entry.max_rows())
      return Error{name + ": every token reads the whole sequence, which may have at most " + std::to_string(entry.max_rows()) + " tokens, got " +
                   std::to_string(lengths[i])};
  }
  auto checkSize = [&](const package::Value &value, size_t found, uint64_t count, const char *what) -> Status {
    std::optional<uint64_t> expected = checkedMul(static_cast<uint64_t>(rowBytes(value)), count);
    if (!expected || *expected != found)
      return Error{name + ": " + what + " '" + value.name()->str() + "': found " + std::to_string(found) + " bytes, expected " +
                   std::to_string(expected.value_or(0)) + " for " + std::to_string(count) + " rows"};
    return {};
  };
  if (inputs.size() != entry.inputs()->size() || outputs.size() != entry.outputs()->size())
    return Error{name + ": expected " + std::to_string(entry.inputs()->size()) + " inputs and " + std::to_string(entry.outputs()->size()) + " outputs"};
  for (size_t i = 0; i < inputs.size(); ++i) {
    const package::Value &value = *entry.inputs()->Get(static_cast<unsigned>(i));
    RONDO_CHECK(checkSize(value, inputs[i].size(), rows, "input"));
    if (dtypeOf(value.dtype()) != DType::I64)
      continue;
    // Ids index tables in the kernels, which do not look at them again.
    for (uint64_t row = 0; row < inputs[i].size() / sizeof(int64_t); ++row) {
      int64_t id = 0;
      std::memcpy(&id, inputs[i].data() + row * sizeof id, sizeof id);
      if (id < 0 || (value.id_limit() > 0 && id >= value.id_limit()))
        return Error{name + ": input '" + value.name()->str() + "': element " + std::to_string(row) + " is " + std::to_string(id) +
                     ", expected 0 to " + std::to_string(value.id_limit() - 1)};
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i)
    RONDO_CHECK(checkSize(*entry.outputs()->Get(static_cast<unsigned>(i)), outputs[i].size(),
                          entry.outputs_in_last_space() ? lengths.size() : rows, "output"));
  return {};
}

Status Executor::run(const package::Entry &entry, std::span<State *const> states, std::span<const int64_t> lengths,
                     std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs) {
  RONDO_CHECK(checkArguments(entry, states, lengths, inputs, outputs));
  bool lastOnly = entry.outputs_in_last_space();
  if (lastOnly)
    for (std::span<std::byte> output : outputs)
      std::memset(output.data(), 0, output.size());
  std::vector<uint64_t> inputRow, outputRow;
  for (const package::Value *value : *entry.inputs())
    inputRow.push_back(static_cast<uint64_t>(rowBytes(*value)));
  for (const package::Value *value : *entry.outputs())
    outputRow.push_back(static_cast<uint64_t>(rowBytes(*value)));

  size_t sequence = 0;
  int64_t taken = 0; // of the current sequence
  uint64_t firstRow = 0;
  while (sequence < states.size()) {
    Piece piece;
    while (sequence < states.size() && piece.rows < entry.max_rows()) {
      int64_t left = lengths[sequence] - taken;
      int64_t count = std::min(left, entry.max_rows() - piece.rows);
      if (entry.whole_sequence() && count < left)
        break;
      if (count > 0) {
        piece.states.push_back(states[sequence]);
        piece.lengths.push_back(count);
        piece.sequences.push_back(sequence);
        piece.rows += count;
      }
      taken += count;
      if (taken == lengths[sequence]) {
        ++sequence;
        taken = 0;
      }
    }
    if (piece.rows == 0)
      continue;
    for (size_t i = 0; i < inputs.size(); ++i)
      piece.inputs.push_back(inputs[i].data() + firstRow * inputRow[i]);
    if (lastOnly) {
      uint64_t total = 0;
      for (uint64_t bytes : outputRow)
        total += (bytes * piece.states.size() + 63) / 64 * 64;
      if (lastOutput.size() < total)
        lastOutput.resize(total);
      uint64_t offset = 0;
      for (uint64_t bytes : outputRow) {
        piece.outputs.push_back(lastOutput.data() + offset);
        offset += (bytes * piece.states.size() + 63) / 64 * 64;
      }
    } else {
      for (size_t i = 0; i < outputs.size(); ++i)
        piece.outputs.push_back(outputs[i].data() + firstRow * outputRow[i]);
    }
    RONDO_CHECK(growCaches(piece));
    runPiece(entry, piece);
    if (lastOnly)
      for (size_t i = 0; i < outputs.size(); ++i)
        for (size_t s = 0; s < piece.sequences.size(); ++s)
          std::memcpy(outputs[i].data() + piece.sequences[s] * outputRow[i], piece.outputs[i] + s * outputRow[i], outputRow[i]);
    firstRow += static_cast<uint64_t>(piece.rows);
  }
  return {};
}

Status Executor::growCaches(const Piece &piece) {
  for (const package::State *s : *prog->manifest().states())
    if (s->kind() == package::StateKind::Cache)
      for (size_t i = 0; i < piece.states.size(); ++i)
        RONDO_CHECK(piece.states[i]->reserve(*s, piece.states[i]->tokens + piece.lengths[i]));
  return {};
}

void Executor::runPiece(const package::Entry &entry, const Piece &planned) {
  Piece piece = planned;
  size_t count = piece.states.size();
  auto caches = static_cast<size_t>(prog->manifest().caches());
  rowBegin.assign(1, 0);
  position.clear();
  sequenceOfRow.clear();
  lastBegin.assign(1, 0);
  lastPosition.clear();
  sequenceOfLast.clear();
  blocks.clear();
  cacheBases.clear();
  capacities.clear();
  for (size_t s = 0; s < count; ++s) {
    State &state = *piece.states[s];
    rowBegin.push_back(rowBegin.back() + piece.lengths[s]);
    position.push_back(state.tokens);
    sequenceOfRow.insert(sequenceOfRow.end(), static_cast<size_t>(piece.lengths[s]), static_cast<int32_t>(s));
    lastBegin.push_back(static_cast<int64_t>(s) + 1);
    lastPosition.push_back(state.tokens + piece.lengths[s] - 1);
    sequenceOfLast.push_back(static_cast<int32_t>(s));
    blocks.push_back(reinterpret_cast<char *>(state.block.data()));
    for (State::Cache &cache : state.caches) {
      cacheBases.push_back(reinterpret_cast<char *>(cache.bytes.data()));
      capacities.push_back(cache.capacity);
    }
  }
  piece.tokens = rondo_batch{piece.rows, static_cast<int64_t>(count), rowBegin.data(), position.data(), sequenceOfRow.data(),
                             blocks.data(), cacheBases.data(), capacities.data(), static_cast<int64_t>(caches)};
  piece.last = piece.tokens;
  piece.last.rows = static_cast<int64_t>(count);
  piece.last.row_begin = lastBegin.data();
  piece.last.position = lastPosition.data();
  piece.last.sequence_of_row = sequenceOfLast.data();
  for (const package::Step *step : *entry.steps())
    runStep(*step, piece);
  for (size_t s = 0; s < count; ++s)
    piece.states[s]->tokens += piece.lengths[s];
}

std::byte *Executor::address(const package::Operand &operand, const Piece &piece) const {
  auto index = static_cast<size_t>(operand.index());
  switch (operand.kind()) {
  case package::OperandKind::Arena: return arena.data() + index;
  // Kernels only read weights and inputs; the call's operands have one type for all.
  case package::OperandKind::Weight: return const_cast<std::byte *>(prog->file().weight(index).data());
  case package::OperandKind::Input: return const_cast<std::byte *>(piece.inputs[index]);
  case package::OperandKind::Output: return piece.outputs[index];
  // A state's operand is its place in every sequence's block, or a cache's index.
  case package::OperandKind::State:
    return reinterpret_cast<std::byte *>(prog->manifest().states()->Get(static_cast<unsigned>(index))->offset());
  }
  return nullptr;
}

void Executor::runStep(const package::Step &step, const Piece &piece) {
  const rondo_batch &batch = step.space() == package::Space::Last ? piece.last : piece.tokens;
  auto bytes = static_cast<size_t>(step.row_bytes());
  switch (step.kind()) {
  case package::StepKind::Launch: {
    for (unsigned i = 0; i < step.operands()->size(); ++i)
      operands[i] = address(*step.operands()->Get(i), piece);
    auto index = static_cast<unsigned>(step.kernel());
    const package::Kernel &kernel = *prog->manifest().kernels()->Get(index);
    int64_t count = kernel.per() == package::Per::Rows ? batch.rows : kernel.per() == package::Per::Sequences ? batch.sequences : 1;
    int64_t items = (count + kernel.unit() - 1) / kernel.unit() * kernel.factor();
    rondo_call call{operands.data(), &batch};
    rondo_kernel function = prog->kernel(index);
    pool->parallelFor(items, kernel.grain(), [&](int64_t begin, int64_t end, int worker) {
      function(&call, begin, end, scratch.data() + scratchOfWorker * static_cast<size_t>(worker));
    });
    return;
  }
  case package::StepKind::Append: {
    const std::byte *rows = address(*step.operands()->Get(0), piece);
    const package::State &state = *prog->manifest().states()->Get(static_cast<unsigned>(step.operands()->Get(1)->index()));
    for (size_t s = 0; s < piece.states.size(); ++s) {
      State::Cache &cache = piece.states[s]->caches[static_cast<size_t>(state.offset())];
      for (int64_t i = 0; i < piece.lengths[s]; ++i) {
        auto slot = static_cast<size_t>((piece.states[s]->tokens + i) % cache.capacity);
        std::memcpy(cache.bytes.data() + slot * bytes, rows + static_cast<size_t>(rowBegin[s] + i) * bytes, bytes);
      }
    }
    return;
  }
  case package::StepKind::Tail: {
    const std::byte *rows = address(*step.operands()->Get(0), piece);
    const package::State &state = *prog->manifest().states()->Get(static_cast<unsigned>(step.operands()->Get(1)->index()));
    int64_t kept = state.tokens();
    for (size_t s = 0; s < piece.states.size(); ++s) {
      std::byte *tail = piece.states[s]->block.data() + state.offset();
      int64_t fresh = std::min(kept, piece.lengths[s]), old = kept - fresh;
      std::memmove(tail, tail + static_cast<size_t>(fresh) * bytes, static_cast<size_t>(old) * bytes);
      std::memcpy(tail + static_cast<size_t>(old) * bytes, rows + static_cast<size_t>(rowBegin[s + 1] - fresh) * bytes,
                  static_cast<size_t>(fresh) * bytes);
    }
    return;
  }
  case package::StepKind::Last: {
    const std::byte *rows = address(*step.operands()->Get(0), piece);
    std::byte *target = address(*step.operands()->Get(1), piece);
    for (size_t s = 0; s < piece.states.size(); ++s)
      std::memcpy(target + s * bytes, rows + static_cast<size_t>(rowBegin[s + 1] - 1) * bytes, bytes);
    return;
  }
  }
}

} // namespace rondo

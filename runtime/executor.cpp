// executor.cpp - Runs the entries of a package.
//
// An entry is prepared once: each step's kernel, counts and addresses that stay. Running a piece
// then fills in where its inputs and outputs lie, and goes through the steps.

#include "runtime/executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <new>

namespace rondo {

struct Executor::Launch {
  package::StepKind kind{};
  bool lastSpace = false;
  bool forLastRows = false; ///< what it makes is read where a sequence ends, and nowhere else
  package::Per per{};
  int64_t unit = 1, factor = 1, grain = 1;
  rondo_kernel function = nullptr;
  std::vector<void *> operands;
  struct Patch {
    size_t operand, index;
    bool isOutput;
  };
  std::vector<Patch> patches; // operands that are inputs or outputs
  int64_t stateOffset = 0, stateTokens = 0;
  size_t rowBytes = 0;
  Ahead weights; // the largest that it reads whole
  Ahead ahead;   // those of the next launch that has many
};

struct Executor::Prepared {
  const package::Entry *entry = nullptr;
  std::vector<Launch> launches;
  /// An input or output: where the current piece has it. Kernels expect elements at multiples of
  /// their size, which bytes of a caller need not have: then the piece has a copy. Vectors across
  /// cache lines cost less than copying would.
  struct Place {
    uint64_t rowBytes = 0;
    std::byte *address = nullptr;
    AlignedBytes copy;
    bool copied() const { return address == copy.data(); }
    Status bind(std::byte *wanted, int64_t maxRows) {
      address = wanted;
      // No element is larger than 8 bytes, and rows are whole elements.
      uint64_t natural = std::min<uint64_t>(8, rowBytes & (~rowBytes + 1));
      if (natural && reinterpret_cast<uintptr_t>(wanted) % natural == 0)
        return {};
      if (!copy.data())
        if (std::optional<uint64_t> size = checkedMul(rowBytes, static_cast<uint64_t>(maxRows)))
          copy = AlignedBytes(*size);
      if (!copy.data())
        return Error{"not enough memory for an aligned copy of an input or output"};
      address = copy.data();
      return {};
    }
  };
  std::vector<Place> inputs, outputs;
};

Executor::~Executor() = default;

Executor::Executor(std::shared_ptr<const Program> program, std::shared_ptr<ThreadPool> threads)
    : prog(std::move(program)), pool(std::move(threads)) {
  const package::Package &manifest = prog->manifest();
  int64_t arenaSize = 0, scratchSize = 0;
  for (const package::Entry *entry : *manifest.entries())
    arenaSize = std::max(arenaSize, entry->arena());
  for (const package::Kernel *kernel : *manifest.kernels())
    scratchSize = std::max(scratchSize, kernel->scratch());
  scratchOfWorker = static_cast<size_t>((scratchSize + 63) / 64 * 64);
  arena = AlignedBytes(static_cast<size_t>(arenaSize));
  scratch = AlignedBytes(scratchOfWorker * static_cast<size_t>(pool->threads()));
}

int64_t Executor::arenaScale(const package::Entry &entry) const {
  return entry.whole_sequence() ? wholeScale : 1;
}

int64_t Executor::roomFor(const package::Entry &entry) const {
  return entry.max_rows() * arenaScale(entry);
}

Status Executor::makeRoom(const package::Entry &entry, std::span<const int64_t> lengths) {
  int64_t longest = 0;
  for (int64_t length : lengths)
    longest = std::max(longest, length);
  if (!entry.whole_sequence() || longest <= roomFor(entry))
    return {};
  int64_t scale = wholeScale;
  while (scale * entry.max_rows() < longest)
    scale *= 2;
  // Every place in the arena is of so many bytes a row for max_rows rows: times the scale, places
  // and their distances hold that many times the rows.
  uint64_t needed = arena.size();
  for (const package::Entry *e : *prog->manifest().entries())
    if (e->whole_sequence())
      needed = std::max(needed,
                        checkedMul(static_cast<uint64_t>(e->arena()), static_cast<uint64_t>(scale))
                            .value_or(UINT64_MAX));
  AlignedBytes larger(needed);
  if (needed && !larger.data())
    return Error{prog->file().path() + ": entry '" + entry.name()->str() +
                 "': every token reads the whole sequence, and there is not enough memory for " +
                 std::to_string(longest) + " tokens: an arena of " + std::to_string(needed) +
                 " bytes"};
  arena = std::move(larger);
  wholeScale = scale;
  entries.clear(); // they know addresses in the old one
  return {};
}

Result<Executor::Prepared *> Executor::prepare(const package::Entry &entry) {
  if (auto found = entries.find(&entry); found != entries.end())
    return found->second.get();
  const package::Package &manifest = prog->manifest();
  auto prepared = std::make_unique<Prepared>();
  prepared->entry = &entry;
  for (const package::Value *value : *entry.inputs())
    prepared->inputs.push_back({static_cast<uint64_t>(rowBytes(*value)), nullptr, {}});
  for (const package::Value *value : *entry.outputs())
    prepared->outputs.push_back({static_cast<uint64_t>(rowBytes(*value)), nullptr, {}});
  for (const package::Step *step : *entry.steps()) {
    Launch &launch = prepared->launches.emplace_back();
    launch.kind = step->kind();
    launch.lastSpace = step->space() == package::Space::Last;
    launch.rowBytes = static_cast<size_t>(step->row_bytes());
    launch.forLastRows = launch.lastSpace || step->kind() == package::StepKind::Last;
    uint64_t readWhole = 0;
    if (step->kind() == package::StepKind::Launch) {
      const package::Kernel &kernel =
          *manifest.kernels()->Get(static_cast<unsigned>(step->kernel()));
      launch.function = prog->kernel(static_cast<size_t>(step->kernel()));
      launch.per = kernel.per();
      launch.unit = kernel.unit();
      launch.factor = kernel.factor();
      launch.grain = kernel.grain();
      readWhole = static_cast<uint64_t>(kernel.bytes_once());
    }
    for (const package::Operand *operand : *step->operands()) {
      void *address = nullptr;
      auto index = static_cast<size_t>(operand->index());
      switch (operand->kind()) {
      case package::OperandKind::Arena:
        address = arena.data() + index * static_cast<size_t>(arenaScale(entry));
        break;
      case package::OperandKind::Weight:
        // Kernels only read weights and inputs; the call's operands have one type for all.
        address = const_cast<std::byte *>(prog->file().weight(index).data());
        if (size_t size = prog->file().weight(index).size();
            size > launch.weights.size && size <= readWhole)
          launch.weights = {prog->file().weight(index).data(), size};
        break;
      case package::OperandKind::State: {
        launch.forLastRows = false;
        // A state's operand is its place in every sequence's block, or a cache's index.
        const package::State &state = *manifest.states()->Get(static_cast<unsigned>(index));
        launch.stateOffset = state.offset();
        launch.stateTokens = state.tokens();
        address = reinterpret_cast<void *>(state.offset());
        break;
      }
      case package::OperandKind::Input:
      case package::OperandKind::Output:
        launch.patches.push_back(
            {launch.operands.size(), index, operand->kind() == package::OperandKind::Output});
        break;
      }
      launch.operands.push_back(address);
    }
  }
  // Twice around: after the last launch comes the first of the next piece.
  constexpr size_t many = size_t(64) << 10;
  Ahead ahead;
  for (size_t i = 2 * prepared->launches.size(); i-- > 0;) {
    Launch &launch = prepared->launches[i % prepared->launches.size()];
    launch.ahead = ahead;
    if (launch.weights.size >= many)
      ahead = launch.weights;
  }
  // A piece has at most as many sequences as rows.
  auto rows = static_cast<size_t>(roomFor(entry)), caches = static_cast<size_t>(manifest.caches());
  if (rows > position.size()) {
    pieceStates.reserve(rows);
    for (auto *list : {&rowBegin, &lastBegin})
      list->resize(rows + 1);
    lastPosition.resize(rows);
    for (auto *list : {&sequenceOfRow, &sequenceOfLast})
      list->resize(rows);
    blocks.resize(rows);
    cacheBases.resize(rows * caches);
    capacities.resize(rows * caches);
    position.resize(rows); // last: its size says that all have theirs
    for (size_t i = 0; i < rows; ++i) {
      lastBegin[i + 1] = static_cast<int64_t>(i) + 1;
      sequenceOfLast[i] = static_cast<int32_t>(i);
    }
    tokens = {0,
              0,
              rowBegin.data(),
              position.data(),
              sequenceOfRow.data(),
              blocks.data(),
              cacheBases.data(),
              capacities.data(),
              manifest.caches()};
    last = tokens;
    last.row_begin = lastBegin.data();
    last.position = lastPosition.data();
    last.sequence_of_row = sequenceOfLast.data();
  }
  return entries.emplace(&entry, std::move(prepared)).first->second.get();
}

Status Executor::checkArguments(const package::Entry &entry, std::span<State *const> states,
                                std::span<const int64_t> lengths,
                                std::span<const std::span<const std::byte>> inputs,
                                std::span<const std::span<std::byte>> outputs) {
  struct Name { // spelt only when something is wrong
    const package::Entry &entry;
    std::string operator+(const std::string &rest) const {
      return "entry '" + entry.name()->str() + "'" + rest;
    }
  } name{entry};
  const package::Package &manifest = prog->manifest();
  for (const package::Entry *e : *manifest.entries())
    if (static_cast<uint64_t>(e->arena()) > arena.size())
      return Error{prog->file().path() + ": not enough memory for an arena of " +
                   std::to_string(e->arena()) + " bytes"};
  if (scratchOfWorker && !scratch.data())
    return Error{prog->file().path() + ": not enough memory for the kernels' scratch"};
  if (states.size() != lengths.size())
    return Error{name + ": " + std::to_string(states.size()) + " states for " +
                 std::to_string(lengths.size()) + " sequences"};
  uint64_t rows = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < 0 || lengths[i] > (int64_t(1) << 40))
      return Error{name + ": sequence " + std::to_string(i) + " has length " +
                   std::to_string(lengths[i])};
    rows += static_cast<uint64_t>(lengths[i]);
    if (rows > (uint64_t(1) << 40))
      return Error{name + ": found more than 2^40 rows"};
    if (states[i]->program != prog)
      return Error{name + ": the state of sequence " + std::to_string(i) +
                   " is of another package"};
    if (std::count(states.begin(), states.end(), states[i]) > 1)
      return Error{name + ": two sequences share one state"};
    if (const package::Limit *limit = manifest.limit();
        limit && states[i]->tokens + lengths[i] > limit->tokens())
      return Error{name + ": found a sequence of " +
                   std::to_string(states[i]->tokens + lengths[i]) + " tokens, expected at most " +
                   std::to_string(limit->tokens()) + ": " + limit->message()->str()};
    if (entry.whole_sequence() && states[i]->tokens > 0)
      return Error{name +
                   ": every token reads the whole sequence, so it cannot go on from a state"};
  }
  auto checkSize = [&](const package::Value &value, size_t found, uint64_t count,
                       const char *what) -> Status {
    std::optional<uint64_t> expected = checkedMul(static_cast<uint64_t>(rowBytes(value)), count);
    if (!expected || *expected != found)
      return Error{name + ": " + what + " '" + value.name()->str() + "': found " +
                   std::to_string(found) + " bytes, expected " +
                   std::to_string(expected.value_or(0)) + " for " + std::to_string(count) +
                   " rows"};
    return {};
  };
  if (inputs.size() != entry.inputs()->size() || outputs.size() != entry.outputs()->size())
    return Error{name + ": expected " + std::to_string(entry.inputs()->size()) + " inputs and " +
                 std::to_string(entry.outputs()->size()) + " outputs"};
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
        return Error{
            name + ": input '" + value.name()->str() + "': element " + std::to_string(row) +
            ": found id " + std::to_string(id) + ", expected " +
            (value.id_limit() > 0 ? "0 to " + std::to_string(value.id_limit() - 1) : "at least 0")};
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i)
    RONDO_CHECK(checkSize(*entry.outputs()->Get(static_cast<unsigned>(i)), outputs[i].size(),
                          entry.outputs_in_last_space() ? lengths.size() : rows, "output"));
  return {};
}

Status Executor::run(const package::Entry &entry, std::span<State *const> states,
                     std::span<const int64_t> lengths,
                     std::span<const std::span<const std::byte>> inputs,
                     std::span<const std::span<std::byte>> outputs) try {
  RONDO_CHECK(checkArguments(entry, states, lengths, inputs, outputs));
  RONDO_CHECK(makeRoom(entry, lengths));
  RONDO_TAKE(Prepared * prepared, prepare(entry));
  for (size_t i = 0; i < states.size(); ++i)
    RONDO_CHECK(states[i]->reserve(lengths[i], entry.whole_sequence()));
  bool lastOnly = entry.outputs_in_last_space();
  if (lastOnly)
    for (std::span<std::byte> output : outputs)
      std::fill(output.begin(), output.end(), std::byte(0));

  int64_t limit = roomFor(entry);
  if (pieceLimit > 0 && !entry.whole_sequence())
    limit = std::min(limit, pieceLimit);
  size_t sequence = 0;
  int64_t taken = 0; // of the current sequence
  uint64_t firstRow = 0;
  while (sequence < states.size()) {
    // The next piece: rows that follow each other, of sequences that follow each other.
    pieceStates.clear();
    tokens.rows = 0;
    size_t firstSequence = sequence;
    while (sequence < states.size() && tokens.rows < limit) {
      int64_t left = lengths[sequence] - taken, count = std::min(left, limit - tokens.rows);
      if (entry.whole_sequence() && count < left)
        break;
      // An empty sequence is in no piece; where a piece makes one row a sequence, it ends the
      // piece, so that these rows stand beside each other.
      if (left == 0 && lastOnly && !pieceStates.empty())
        break;
      if (count > 0)
        addToPiece(*states[sequence], count);
      taken += count;
      if (taken == lengths[sequence]) {
        ++sequence;
        taken = 0;
      }
      if (pieceStates.empty())
        firstSequence = sequence;
    }
    if (pieceStates.empty())
      continue;

    auto rows = static_cast<uint64_t>(tokens.rows),
         outputRows = lastOnly ? pieceStates.size() : rows;
    uint64_t firstOutput = lastOnly ? firstSequence : firstRow;
    for (size_t i = 0; i < inputs.size(); ++i) {
      Prepared::Place &place = prepared->inputs[i];
      const std::byte *wanted = inputs[i].data() + firstRow * place.rowBytes;
      RONDO_CHECK(place.bind(const_cast<std::byte *>(wanted), roomFor(entry)));
      if (place.copied())
        std::memcpy(place.address, wanted, rows * place.rowBytes);
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      Prepared::Place &place = prepared->outputs[i];
      RONDO_CHECK(place.bind(outputs[i].data() + firstOutput * place.rowBytes, roomFor(entry)));
    }
    // Logits of last rows are those of the last piece of a sequence.
    runPiece(*prepared, !lastOnly || sequence > firstSequence);
    for (size_t i = 0; i < outputs.size(); ++i)
      if (Prepared::Place &place = prepared->outputs[i]; place.copied())
        std::memcpy(outputs[i].data() + firstOutput * place.rowBytes, place.address,
                    outputRows * place.rowBytes);
    firstRow += rows;
  }
  return {};
} catch (const std::bad_alloc &) {
  return Error{prog->file().path() + ": entry '" + entry.name()->str() + "': not enough memory"};
}

void Executor::addToPiece(State &state, int64_t rows) {
  size_t s = pieceStates.size();
  std::fill_n(sequenceOfRow.begin() + tokens.rows, rows, static_cast<int32_t>(s));
  tokens.rows += rows;
  rowBegin[s + 1] = tokens.rows;
  position[s] = state.tokens;
  lastPosition[s] = state.tokens + rows - 1;
  blocks[s] = reinterpret_cast<char *>(state.block.data());
  for (size_t c = 0; c < state.caches.size(); ++c) {
    cacheBases[s * state.caches.size() + c] =
        reinterpret_cast<char *>(state.caches[c].bytes.data());
    capacities[s * state.caches.size() + c] = state.caches[c].capacity;
  }
  pieceStates.push_back(&state);
}

void Executor::runPiece(Prepared &prepared, bool wantsOutputs) {
  tokens.sequences = last.sequences = last.rows = static_cast<int64_t>(pieceStates.size());
  if (stepTimes)
    stepTimes->resize(std::max(stepTimes->size(), prepared.launches.size()));
  for (size_t i = 0; i < prepared.launches.size(); ++i) {
    Launch &launch = prepared.launches[i];
    if (launch.forLastRows && !wantsOutputs)
      continue;
    if (stepTimes)
      runTimed(launch, prepared, (*stepTimes)[i]);
    else
      runStep(launch, prepared);
  }
  for (size_t s = 0; s < pieceStates.size(); ++s)
    pieceStates[s]->tokens += rowBegin[s + 1] - rowBegin[s];
}

void Executor::runTimed(Launch &launch, const Prepared &prepared, StepTime &time) {
  auto begin = std::chrono::steady_clock::now();
  runStep(launch, prepared);
  time.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const rondo_batch &batch = launch.lastSpace ? last : tokens;
  ++time.runs;
  time.rows += batch.rows;
  time.sequences += batch.sequences;
  for (int64_t s = 0; s < batch.sequences; ++s) {
    auto count = static_cast<double>(batch.row_begin[s + 1] - batch.row_begin[s]);
    time.pairs += count * (static_cast<double>(batch.position[s]) + (count + 1) / 2);
  }
}

void Executor::runStep(Launch &launch, const Prepared &prepared) {
  for (const Launch::Patch &patch : launch.patches)
    launch.operands[patch.operand] =
        (patch.isOutput ? prepared.outputs : prepared.inputs)[patch.index].address;
  switch (launch.kind) {
  case package::StepKind::Append:
    return append(launch);
  case package::StepKind::Tail:
    return keepTail(launch);
  case package::StepKind::Last:
    return takeLast(launch);
  case package::StepKind::Launch:
    break;
  }
  const rondo_batch &batch = launch.lastSpace ? last : tokens;
  int64_t count = launch.per == package::Per::Rows        ? batch.rows
                  : launch.per == package::Per::Sequences ? batch.sequences
                                                          : 1;
  int64_t items = (count + launch.unit - 1) / launch.unit * launch.factor;
  rondo_call call{launch.operands.data(), &batch};
  auto share = [&](int64_t begin, int64_t end, int worker) {
    launch.function(&call, begin, end,
                    scratch.data() + scratchOfWorker * static_cast<size_t>(worker));
  };
  // By reference: a std::function of it would allocate.
  pool->parallelFor(items, launch.grain, std::ref(share), launch.ahead);
}

void Executor::append(const Launch &launch) {
  const auto *rows = static_cast<const std::byte *>(launch.operands[0]);
  auto index = static_cast<size_t>(launch.stateOffset);
  // Each row of a piece has a slot of its own: a cache holds a whole piece beside its window. All
  // threads copy, since the pages of a new cache come when they are first written.
  auto copy = [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end;) {
      auto s = static_cast<size_t>(sequenceOfRow[static_cast<size_t>(row)]);
      State::Cache &cache = pieceStates[s]->caches[index];
      int64_t slot = (position[s] + row - rowBegin[s]) % cache.capacity,
              count = std::min(std::min(end, rowBegin[s + 1]) - row, cache.capacity - slot);
      std::memcpy(cache.bytes.data() + static_cast<size_t>(slot) * launch.rowBytes,
                  rows + static_cast<size_t>(row) * launch.rowBytes,
                  static_cast<size_t>(count) * launch.rowBytes);
      row += count;
    }
  };
  // Less than this is copied before another thread has heard of it.
  constexpr size_t worthAThread = 65536;
  pool->parallelFor(tokens.rows,
                    static_cast<int64_t>(worthAThread / std::max<size_t>(1, launch.rowBytes)) + 1,
                    std::ref(copy));
}

void Executor::keepTail(const Launch &launch) {
  const auto *rows = static_cast<const std::byte *>(launch.operands[0]);
  for (size_t s = 0; s < pieceStates.size(); ++s) {
    std::byte *tail = pieceStates[s]->block.data() + launch.stateOffset;
    int64_t fresh = std::min(launch.stateTokens, rowBegin[s + 1] - rowBegin[s]),
            old = launch.stateTokens - fresh;
    std::memmove(tail, tail + static_cast<size_t>(fresh) * launch.rowBytes,
                 static_cast<size_t>(old) * launch.rowBytes);
    std::memcpy(tail + static_cast<size_t>(old) * launch.rowBytes,
                rows + static_cast<size_t>(rowBegin[s + 1] - fresh) * launch.rowBytes,
                static_cast<size_t>(fresh) * launch.rowBytes);
  }
}

void Executor::takeLast(const Launch &launch) {
  const auto *rows = static_cast<const std::byte *>(launch.operands[0]);
  auto *target = static_cast<std::byte *>(launch.operands[1]);
  for (size_t s = 0; s < pieceStates.size(); ++s)
    std::memcpy(target + s * launch.rowBytes,
                rows + static_cast<size_t>(rowBegin[s + 1] - 1) * launch.rowBytes, launch.rowBytes);
}

} // namespace rondo

// executor.h - Runs the entries of a package.
//
// A Program is a package whose kernels are loaded and bound to this machine. A State is what a
// sequence leaves behind for its next token: recurrent states, the last rows of shifted values,
// attention caches. An Executor owns the memory of one running batch (arena, scratch) and runs
// entries on pieces of at most max_rows tokens; longer inputs are cut, which changes nothing (the
// entries are split-invariant).
//
// Shapes: T_i tokens of sequence i; rows = sum of T_i; per-token tensors are [rows, axes...],
// sequences one after the other.

#ifndef RONDO_RUNTIME_EXECUTOR_H
#define RONDO_RUNTIME_EXECUTOR_H

#include "runtime/code.h"
#include "runtime/growing_memory.h"
#include "runtime/package.h"
#include "runtime/tensor.h"
#include "runtime/threads.h"

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace rondo {

/// Zeroed memory at a 64-byte boundary.
class AlignedBytes {
public:
  AlignedBytes() = default;
  /// Null data and size 0 when there is not enough memory.
  explicit AlignedBytes(size_t size);
  AlignedBytes(const AlignedBytes &other);
  AlignedBytes(AlignedBytes &&other) noexcept
      : memory(std::move(other.memory)), start(std::exchange(other.start, nullptr)),
        count(std::exchange(other.count, 0)) {}
  AlignedBytes &operator=(AlignedBytes other) noexcept {
    memory.swap(other.memory);
    std::swap(start, other.start);
    std::swap(count, other.count);
    return *this;
  }
  std::byte *data() const { return start; }
  size_t size() const { return count; }

private:
  struct Free {
    void operator()(std::byte *bytes) const;
  };
  std::unique_ptr<std::byte, Free> memory; ///< as it was allocated
  std::byte *start = nullptr;              ///< aligned, inside it
  size_t count = 0;
};

/// A package ready to run. Immutable; shared by any number of executors and states.
class Program {
public:
  /// Each kernel is taken at the best level that it and the machine have, up to `isa` (empty: any).
  static Result<std::shared_ptr<const Program>> load(Package package, const std::string &isa = {});

  const package::Package &manifest() const { return package.manifest(); }
  const Package &file() const { return package; }
  /// The best level that a kernel in use is of: "x86-64-v4".
  const std::string &isa() const { return level; }
  /// The entry of that name, or null.
  const package::Entry *entry(std::string_view name) const { return package.findEntry(name); }
  /// Entry names, for messages.
  std::string entryNames() const { return package.entryNames(); }
  rondo_kernel kernel(size_t index) const { return kernels[index]; }

private:
  explicit Program(Package package) : package(std::move(package)) {}
  Package package;
  KernelCode code;
  std::string level;
  std::vector<rondo_kernel> kernels;
};

/// Tokens that a cache which has room for `held` of them is given room for, so that it holds
/// `total` of the sequence: a multiple of 64, at least an eighth more than before; of a window, at
/// most the window, the longest piece of an entry, and a tile of 64, unless all come in one piece.
int64_t cacheTokens(const package::Package &manifest, const package::State &state, int64_t total,
                    bool inOnePiece = false, int64_t held = 0);
/// Bytes of a sequence's states after `tokens` tokens that came at once.
uint64_t stateBytes(const package::Package &manifest, int64_t tokens, bool inOnePiece = false);

/// What one sequence has seen. Copyable: a copy is a snapshot to rewind to, or the common start of
/// many sequences.
class State {
public:
  static Result<State> create(std::shared_ptr<const Program> program);
  /// Throws std::bad_alloc when there is not enough memory.
  State(const State &other);
  State(State &&) noexcept = default;
  State &operator=(State other) noexcept;

  /// Tokens taken so far.
  int64_t position() const { return tokens; }
  /// Bytes held now (caches grow).
  size_t bytes() const;
  /// Room in all caches for `more` further tokens, so that running them allocates nothing;
  /// `inOnePiece`: by an entry that needs the whole sequence, which windows then hold too. On
  /// failure the state is what it was, though some caches may have room.
  Status reserve(int64_t more, bool inOnePiece = false);
  /// The state's tensors by name (see package.fbs); a cache as [kept tokens, axes...]; plus
  /// "position" (I64, []).
  Result<std::vector<Tensor>> save() const;
  /// Replaces everything; every state must be there with its shape.
  Status load(std::span<const TensorView> tensors, const std::string &file);
  /// Replaces one fixed or tail state. Its numbers are what the spec says: the logarithm of its
  /// scale, where it has one, becomes 0 (set that afterwards).
  Status set(std::string_view name, const TensorView &value);

private:
  friend class Executor;
  Status assign(std::string_view name, const TensorView &value);
  std::shared_ptr<const Program> program;
  AlignedBytes block;
  State() = default;
  struct Cache {
    GrowingBytes bytes;
    int64_t capacity = 0; // tokens; token p lies in slot p mod capacity
  };
  /// Gives that cache room for `total` tokens of the sequence (a ring: for its window and a piece).
  Status grow(const package::State &state, int64_t total, bool inOnePiece);
  std::vector<Cache> caches;
  int64_t tokens = 0;
};

class Executor {
public:
  Executor(std::shared_ptr<const Program> program, std::shared_ptr<ThreadPool> pool);
  Executor(Executor &&) = delete;
  ~Executor();

  /// Runs `entry` on `states.size()` sequences; `lengths[i]` tokens each, the inputs' rows in that
  /// order. Inputs and outputs are in the entry's order; an input is dense [rows, axes...] of its
  /// dtype, an output f32 [rows, axes...] or, for an entry with outputs_in_last_space, [sequences,
  /// axes...] (zeros for a sequence of length 0). Advances the states. Errors: sizes that do not
  /// match, ids out of range, a bidirectional entry given a split or carried sequence, not enough
  /// memory; a call that is refused has changed nothing. Allocates only where a cache must grow
  /// (see State::reserve), when an entry is run for the first time, and when a sequence that must
  /// be in one piece is longer than max_rows and than any before.
  Status run(const package::Entry &entry, std::span<State *const> states,
             std::span<const int64_t> lengths, std::span<const std::span<const std::byte>> inputs,
             std::span<const std::span<std::byte>> outputs);

  /// Cuts into pieces of at most `rows` from here on, if that is less than an entry's own max_rows;
  /// 0: those. Results do not depend on it: for tests of just that.
  void limitPieces(int64_t rows) { pieceLimit = rows; }

  /// What one step of an entry took, summed over its runs. Rows are those that it had: tokens, or
  /// sequences for a step on last rows. Pairs count, for every token, the tokens up to it.
  struct StepTime {
    int64_t runs = 0, rows = 0, sequences = 0;
    double pairs = 0, seconds = 0;
  };
  /// From here on adds the time of every step to (*times)[its number]; null: does not. For one
  /// entry at a time; `times` grows to its steps.
  void timeSteps(std::vector<StepTime> *times) { stepTimes = times; }

  const Program &program() const { return *prog; }
  size_t arenaBytes() const { return arena.size(); }

private:
  struct Prepared; // an entry with all addresses resolved that stay
  struct Launch;
  Result<Prepared *> prepare(const package::Entry &entry);
  /// The arena of an entry that needs each sequence in one piece is as many times its planned size.
  int64_t arenaScale(const package::Entry &entry) const;
  /// Rows that a piece of the entry may have.
  int64_t roomFor(const package::Entry &entry) const;
  /// Enlarges the arena where a sequence must be in one piece and is longer than any before.
  Status makeRoom(const package::Entry &entry, std::span<const int64_t> lengths);
  Status checkArguments(const package::Entry &entry, std::span<State *const> states,
                        std::span<const int64_t> lengths,
                        std::span<const std::span<const std::byte>> inputs,
                        std::span<const std::span<std::byte>> outputs);
  void addToPiece(State &state, int64_t rows);
  /// Without `wantsOutputs` what is made of last rows alone is left out.
  void runPiece(Prepared &prepared, bool wantsOutputs);
  void runStep(Launch &launch, const Prepared &prepared);
  void runTimed(Launch &launch, const Prepared &prepared, StepTime &time);
  void append(const Launch &launch);
  void keepTail(const Launch &launch);
  void takeLast(const Launch &launch);

  std::shared_ptr<const Program> prog;
  std::shared_ptr<ThreadPool> pool;
  AlignedBytes arena, scratch;
  size_t scratchOfWorker = 0;
  int64_t pieceLimit = 0, wholeScale = 1;
  std::vector<StepTime> *stepTimes = nullptr;
  std::map<const package::Entry *, std::unique_ptr<Prepared>> entries;

  // The piece being run, one element a sequence in it. They hold the largest piece of any prepared
  // entry.
  std::vector<State *> pieceStates;
  std::vector<int64_t> rowBegin, position, lastBegin, lastPosition, capacities;
  std::vector<int32_t> sequenceOfRow, sequenceOfLast;
  std::vector<char *> blocks, cacheBases;
  rondo_batch tokens{}, last{};
};

} // namespace rondo

#endif // RONDO_RUNTIME_EXECUTOR_H

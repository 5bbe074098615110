// Session.h - A package that is ready to run, and runs of its entries on whole tensors.

#ifndef RONDO_TOOLS_RONDO_SESSION_H
#define RONDO_TOOLS_RONDO_SESSION_H

#include "runtime/executor.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace rondo::cli {

/// The options with which every command opens a package.
struct MachineOptions {
  int threads = 0; ///< 0: one for each processor this process may use
  std::string isa; ///< empty: the best that machine and package have
  void addTo(CLI::App &app);
};

/// What stands for the linked package on the command line of a program that rondoc --emit=exe made.
inline constexpr std::string_view linkedName = "(linked)";

/// The package at `path`, or the one linked into this program.
Result<Package> openPackage(const std::string &path);

class Session {
public:
  static Result<Session> open(const std::string &path, const MachineOptions &machine);

  const package::Package &manifest() const { return program->manifest(); }
  const std::string &path() const { return program->file().path(); }
  const std::string &isa() const { return program->isa(); }
  int threads() const { return pool->threads(); }
  Status checkWeights() const { return program->file().checkWeights(); }
  uint64_t weightBytes() const { return program->file().weightBytes(); }
  /// The threads that this session computes with.
  ThreadPool &threadPool() const { return *pool; }

  /// An error names the entries that there are.
  Result<const package::Entry *> entry(std::string_view name) const;
  /// An entry whose inputs are those named, each one id a token; `name`'s output is the one called
  /// `output`.
  Result<const package::Entry *> tokenEntry(std::string_view name,
                                            std::span<const std::string_view> inputs,
                                            std::string_view output) const;
  Result<State> newState() const { return State::create(program); }

  /// Runs `entry` on packed rows; `inputs` in the entry's order. Returns the outputs in the entry's
  /// order: [rows, axes...], or [sequences, axes...] of an entry with outputs_in_last_space.
  Result<std::vector<Tensor>> run(const package::Entry &entry, std::span<State *const> states,
                                  std::span<const int64_t> lengths,
                                  std::span<const std::span<const std::byte>> inputs);
  /// The same into `outputs`, whose memory is used again where an earlier run of the same entry
  /// left tensors of these shapes.
  Status run(const package::Entry &entry, std::span<State *const> states,
             std::span<const int64_t> lengths, std::span<const std::span<const std::byte>> inputs,
             std::vector<Tensor> &outputs);
  /// The same for one sequence and ids alone, into memory that is used again.
  Status run(const package::Entry &entry, State &state,
             std::span<const std::span<const int64_t>> inputs, std::vector<float> &output);

  /// From here on adds the time of every step of the entry that runs to `times`; null: does not.
  void timeSteps(std::vector<Executor::StepTime> *times) { executor->timeSteps(times); }

private:
  std::shared_ptr<const Program> program;
  std::shared_ptr<ThreadPool> pool;
  std::unique_ptr<Executor> executor;
};

/// Extents of a value's axes without t.
std::vector<int64_t> extentsOf(const package::Value &value);
/// "h=4 p=8"
std::string printAxes(const flatbuffers::Vector<flatbuffers::Offset<package::Axis>> &axes);
/// Parameters, each counted once however many layouts it is stored in; not what was computed from
/// them.
uint64_t countParameters(const package::Package &manifest);
/// The size of the vocabulary: the limit of the ids that `entry` takes as `tokens`; 0 when there is
/// none.
int64_t vocabularyOf(const package::Entry &entry);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_SESSION_H

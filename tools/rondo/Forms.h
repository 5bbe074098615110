// Forms.h - A package's entries run in different ways on the same tokens: whole, in pieces, one at
// a time, packed, from a saved state.

#ifndef RONDO_TOOLS_RONDO_FORMS_H
#define RONDO_TOOLS_RONDO_FORMS_H

#include "tools/rondo/Comparison.h"
#include "tools/rondo/Session.h"

#include <map>
#include <string>
#include <vector>

namespace rondo::cli {

/// The inputs of one sequence, by name: [tokens, axes...].
struct Sequence {
  int64_t tokens = 0;
  std::map<std::string, Tensor> inputs;
};

/// Ids uniform below their limit, reals uniform in [-1, 1): the same for a seed on every machine.
Result<Sequence> randomSequence(const package::Entry &entry, int64_t tokens, uint64_t seed);
/// Tokens [begin, begin + count) of a sequence.
Result<Sequence> part(const Sequence &whole, int64_t begin, int64_t count);
/// The same, with `targets`: each token's successor, as one of the `score` entry's own ids where it
/// has fewer. One token shorter.
Result<Sequence> withTargets(const Sequence &whole, const package::Entry &score);

/// What a run leaves: outputs [rows, axes...] and the final states of its sequences.
struct Outcome {
  std::vector<Numbers> outputs, states;
};

class Forms {
public:
  explicit Forms(Session &session) : session(session) {}

  /// One sequence in pieces of these sizes, from `start` (null: a fresh state), which is left as it
  /// was. Outputs of a piece follow each other; of an entry with one row a sequence, each piece
  /// gives one.
  Result<Outcome> run(const package::Entry &entry, const Sequence &sequence,
                      const std::vector<int64_t> &pieces, const State *start = nullptr);
  /// The state after a sequence.
  Result<State> stateAfter(const package::Entry &entry, const Sequence &sequence);
  /// Several sequences in one call; one outcome each.
  Result<std::vector<Outcome>> runPacked(const package::Entry &entry,
                                         const std::vector<const Sequence *> &sequences);

private:
  Status runPiece(const package::Entry &entry, const Sequence &piece, State &state,
                  std::vector<Numbers> &outputs);
  Session &session;
};

Result<std::vector<Numbers>> numbersOf(const State &state);
/// Row `row` of every tensor, as [1, axes...].
std::vector<Numbers> rowsOf(const std::vector<Numbers> &tensors, int64_t begin, int64_t count);
/// Outputs and states in one list.
std::vector<Numbers> everything(const Outcome &outcome);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_FORMS_H

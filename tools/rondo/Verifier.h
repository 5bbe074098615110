// Verifier.h - one model's ways of being computed, run and compared.
//
// Everything is run on one seeded sequence. What the comparisons with each other and with the
// interpreter need of one another (the whole sequence in one call, the bounds that were measured)
// is kept here; the ways themselves are in VerifyWays.cpp, the interpreter and the bounds in
// VerifyReference.cpp, the forms of recurrences in VerifyForms.cpp.

#ifndef RONDO_TOOLS_RONDO_VERIFIER_H
#define RONDO_TOOLS_RONDO_VERIFIER_H

#include "runtime/cpu.h"
#include "tools/rondo/Console.h"
#include "tools/rondo/EntryInputs.h"
#include "tools/rondo/LogitsDifference.h"
#include "tools/rondo/Reference.h"

#include <optional>
#include <string>
#include <vector>

namespace rondo::cli {

struct VerifyOptions {
  std::string package, inputs, config, module, against, precision = "f32";
  std::vector<std::string> sizes; ///< --set, for a spec
  int64_t tokens = 0, referenceTokens = 0;
  uint64_t seed = 1;
  bool noReference = false, json = false, store = false;
  MachineOptions machine;
};

/// Compiles a spec with seeded parameters; `form` of all its recurrences, empty: those that the
/// compiler chooses.
Result<std::string> compileSpec(const VerifyOptions &options, const ScratchFolder &scratch,
                                const std::string &form = {});

/// States as the spec has them: those that the package keeps scaled are multiplied by their scale.
std::vector<Numbers> unscaled(const package::Package &manifest, std::vector<Numbers> found);

class Verifier {
public:
  Verifier(const VerifyOptions &options, Session &session, const package::Entry &forward,
           const ScratchFolder &scratch)
      : options(options), session(session), forms(session), forward(forward), scratch(scratch),
        progress("verify") {}

  Status prepare();
  std::vector<Comparison> compareAll();
  /// From the logits of `path`, another package of the same model.
  Result<LogitsDifference> differenceFrom(const std::string &path);
  int64_t tokens() const { return sequence.tokens; }
  int64_t tokensOfReference() const { return referenceTokens; }

private:
  using Tensors = Result<std::vector<Numbers>>;
  /// Compares what `found` makes with what was expected; an error of either is the failure's note.
  template <class Found>
  void check(const std::string &what, const std::vector<Numbers> &expected, const Bound &bound,
             Found found) {
    progress.show(what);
    Tensors made = found();
    all.push_back(made ? compare(what, expected, *made, bound)
                       : failure(what, made.error().message));
  }
  void skip(const std::string &what, const std::string &why) {
    all.push_back(notApplicable(what, why));
  }

  void compareReference();
  bool roundsHere() const { return fewerBits && roundsFactors(session.isa()); }
  Tensors interpret(const Sequence &of, bool f64, const std::string &flag = {}) {
    std::vector<std::string> program{session.path()};
    if (!flag.empty())
      program.push_back(flag);
    return cli::interpret(scratch, program, of, {of.tokens}, f64);
  }
  /// The best level below those that round factors, if package and machine have it.
  std::optional<std::string> exactLevel() const;
  Status measureRounding(const Sequence &start);
  Status boundLastBits(const std::string &isa, Bound &ofTensors, Bound &ofTheirRows);
  std::vector<Numbers> keptOf(const std::vector<Numbers> &interpreted) const;
  void comparePieces();
  void compareStep(const package::Entry &step);
  void comparePrefill(const package::Entry &prefill, const package::Entry &step);
  void compareScore(const package::Entry &score);
  void comparePacked();
  void compareShort();
  void compareSavedState();
  void compareMachines();
  void compareLevel(const std::string &what, const std::string &level);
  void compareForms();
  void compareBlockForms();
  Tensors inBlocks(const std::string &rondoc, const std::string &form);

  /// `forward` by a session of its own, in one piece.
  Tensors runOn(const MachineOptions &machine, const Sequence &of) const {
    return runOn(session.path(), machine, of);
  }
  static Tensors runOn(const std::string &package, const MachineOptions &machine,
                       const Sequence &of) {
    RONDO_TAKE(Session other, Session::open(package, machine));
    RONDO_TAKE(const package::Entry *entry, other.entry("forward"));
    Forms otherForms(other);
    RONDO_TAKE(Outcome outcome, otherForms.run(*entry, of, {of.tokens}));
    return everything(outcome);
  }
  Tensors runForward(const Sequence &of, const std::vector<int64_t> &pieces) {
    RONDO_TAKE(Outcome outcome, forms.run(forward, of, pieces));
    return everything(outcome);
  }

  const VerifyOptions &options;
  Session &session;
  Forms forms;
  const package::Entry &forward;
  const ScratchFolder &scratch;
  Progress progress;
  Sequence sequence;
  int64_t referenceTokens = 0;
  Bound bound;            ///< between tensors of the whole sequence
  Bound ofRows;           ///< between some rows of them, whose largest magnitude may be less
  bool fewerBits = false; ///< the package has weights of bf16: levels may round the other factors
  bool inSteps = false;   ///< numbers of a token are rounded: where they meet weights of integers,
                          ///< or by the model's own formulas
  Bound acrossLevels;     ///< between a level that rounds factors and one that does not
  Bound exactly;          ///< between ways of computing that do not round factors
  Outcome whole;          ///< forward in one call
  std::vector<Numbers>
      exact; ///< of the first referenceTokens, by the interpreter in f64; empty: not computed
  std::vector<Numbers> exactOfRounded; ///< the same with factors rounded, where `fewerBits`
  std::vector<Comparison> all;
};

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_VERIFIER_H

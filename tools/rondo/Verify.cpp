// Verify.cpp - `rondo verify`: every way of computing a model against every other.
//
// A package promises that its entries are one function of the tokens: however they are cut into
// calls, packed with others, shared out to threads, computed by another level's kernels or taken
// from a saved state. All of that is run on the same seeded tokens and compared, and held against
// the reference interpreter.

#include "runtime/cpu.h"
#include "tools/rondo/Command.h"
#include "tools/rondo/Console.h"
#include "tools/rondo/EntryInputs.h"
#include "tools/rondo/LogitsDifference.h"
#include "tools/rondo/NudgedPackage.h"
#include "tools/rondo/Reference.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

namespace rondo::cli {

namespace {

struct VerifyOptions {
  std::string package, inputs, config, module, against, precision = "f32";
  std::vector<std::string> sizes; ///< --set, for a spec
  int64_t tokens = 0, referenceTokens = 0;
  uint64_t seed = 1;
  bool noReference = false, json = false, store = false;
  MachineOptions machine;
};

/// The file name that compileSpec gives a package in `form`.
std::string packageOf(const std::string &form) {
  return form.empty() ? "spec.rpk" : "spec-" + form + ".rpk";
}

/// Compiles a spec with seeded parameters; `form` of all its recurrences, empty: those that the
/// compiler chooses.
Result<std::string> compileSpec(const VerifyOptions &options, const ScratchFolder &scratch,
                                const std::string &form = {}) {
  std::optional<std::string> program = findProgram("rondoc");
  if (!program)
    return Error{fmt::format("{}: to verify a spec, rondoc has to compile it; it was not found "
                             "beside this program or on PATH",
                             options.package)};
  std::string package = scratch.file(packageOf(form));
  std::vector<std::string> command{
      *program, options.package, "--random-init", std::to_string(options.seed), "-o", package};
  if (!options.config.empty())
    command.insert(command.end(), {"--config", options.config});
  if (!options.module.empty())
    command.insert(command.end(), {"--module", options.module});
  for (const std::string &size : options.sizes)
    command.insert(command.end(), {"--set", size});
  command.insert(command.end(), {"--precision", options.precision});
  if (!form.empty())
    command.insert(command.end(), {"--form", "*=" + form});
  RONDO_CHECK(runProgram(command));
  return package;
}

/// The bound between forms that add the same numbers in another order. Published checkpoints are
/// held to 5e-5 of logits that reach about 5.
constexpr double reordered = 1e-5;
const Bound bitEqual{0, "the same sums in the same order"};

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

/// Sizes of pieces that add up to `total`: those given, over and over.
std::vector<int64_t> piecesOf(int64_t total, const std::vector<int64_t> &sizes) {
  std::vector<int64_t> pieces;
  for (size_t i = 0; total > 0; ++i) {
    pieces.push_back(std::min(total, sizes[i % sizes.size()]));
    total -= pieces.back();
  }
  return pieces;
}

Status Verifier::prepare() {
  for (const package::Weight *weight : *session.manifest().weights()) {
    fewerBits |= dtypeOf(weight->dtype()) == DType::BF16;
    inSteps |= isOfIntegers(weight->layout()->string_view());
  }
  inSteps |= session.manifest().has_steps();
  uint64_t parameters = std::max<uint64_t>(1, countParameters(session.manifest()));
  if (!options.inputs.empty()) {
    RONDO_TAKE(TensorFile file, TensorFile::open(options.inputs));
    Batch batch;
    for (const package::Value *value : *forward.inputs()) {
      RONDO_TAKE(Tensor tensor, readInput(file, forward, *value, batch));
      if (batch.leading[0] != 1)
        return Error{fmt::format("{}: tensor '{}': found {} sequences, expected one", file.path(),
                                 tensor.name, batch.leading[0])};
      tensor.shape.erase(tensor.shape.begin());
      sequence.tokens = batch.leading[1];
      std::string name = tensor.name;
      sequence.inputs.emplace(name, std::move(tensor));
    }
    if (sequence.tokens < 2)
      return Error{
          fmt::format("{}: found {} tokens, expected at least 2", file.path(), sequence.tokens)};
  } else {
    // Enough to fill more than two pieces of the arena, so that caches with a window go round; less
    // of a model that takes long.
    int64_t length = options.tokens;
    if (length == 0)
      length = forward.whole_sequence()  ? std::min<int64_t>(forward.max_rows(), 100)
               : parameters > 50'000'000 ? 67
                                         : 2 * forward.max_rows() + 45;
    if (const package::Limit *limit = session.manifest().limit(); limit && options.tokens == 0)
      length = std::min(length, limit->tokens());
    RONDO_TAKE(sequence, randomSequence(forward, length, options.seed));
  }
  // The interpreter is slow: about ten seconds of it.
  referenceTokens =
      options.referenceTokens
          ? options.referenceTokens
          : std::clamp<int64_t>(static_cast<int64_t>(2'000'000'000 / parameters), 24, 150);
  referenceTokens = std::min(referenceTokens, sequence.tokens);
  return {};
}

/// States as the spec has them: those that the package keeps scaled are multiplied by their scale.
std::vector<Numbers> unscaled(const package::Package &manifest, std::vector<Numbers> found) {
  auto find = [&](const package::State &state) {
    return std::find_if(found.begin(), found.end(), [&](const Numbers &numbers) {
      return numbers.name == "state." + state.name()->str();
    });
  };
  for (const package::State *state : *manifest.states())
    if (const package::State *scale = scaleOf(manifest, *state)) {
      auto numbers = find(*state), exponents = find(*scale);
      if (numbers != found.end() && exponents != found.end())
        multiplyByScale(*state, *scale, numbers->values, exponents->values);
    }
  return found;
}

/// What of the interpreter's outputs and states the package must have as well. What a cache holds
/// is the compiler's choice (work on the key's side may be done before it), and so is how few tails
/// keep the earlier tokens of one value: a state that is the end of a longer tail is in that one.
/// Later logits show both.
std::vector<Numbers> Verifier::keptOf(const std::vector<Numbers> &interpreted) const {
  const auto *states = session.manifest().states();
  auto prefixOf = [](std::string_view name) { return name.substr(0, name.rfind('.')); };
  auto find = [&](const std::string &name) {
    return std::find_if(interpreted.begin(), interpreted.end(),
                        [&](const Numbers &numbers) { return numbers.name == name; });
  };
  auto endsTail = [&](const Numbers &numbers, const package::State &tail) {
    auto longer = find("state." + tail.name()->str());
    return tail.kind() == package::StateKind::Tail && longer != interpreted.end() &&
           longer->values.size() > numbers.values.size() &&
           std::equal(numbers.values.rbegin(), numbers.values.rend(), longer->values.rbegin());
  };
  std::vector<Numbers> kept;
  for (const Numbers &numbers : interpreted) {
    std::string_view name = numbers.name;
    bool elsewhere = false, stored = !name.starts_with("state.");
    if (!stored)
      for (const package::State *state : *states) {
        std::string_view other = state->name()->string_view();
        bool sameOp = prefixOf(other) == prefixOf(name.substr(6));
        // A sum over tokens may be answered by a recurrence, whose state is in place of the cache.
        if (state->kind() == package::StateKind::Cache || other.ends_with(".sum"))
          elsewhere |= sameOp;
        stored |= state->kind() != package::StateKind::Cache && other == name.substr(6);
      }
    if (!stored && !elsewhere)
      elsewhere = std::any_of(states->begin(), states->end(), [&](const package::State *state) {
        return endsTail(numbers, *state);
      });
    if (stored || !elsewhere)
      kept.push_back(numbers);
  }
  return kept;
}

void Verifier::compareReference() {
  bound = {reordered, "f32 sums in another order"};
  std::string what = fmt::format("forward = interpreter in f64, {} tokens", referenceTokens);
  Result<Sequence> start = part(sequence, 0, referenceTokens);
  if (options.noReference) {
    skip(what, "--no-reference");
    if (Status measured = start ? measureRounding(*start) : Status(start.error()); !measured)
      all.push_back(failure(what, measured.error().message));
    return;
  }
  progress.show(what);
  if (!start) {
    all.push_back(failure(what, start.error().message));
    return;
  }
  Tensors precise = interpret(*start, true), rounded = precise ? interpret(*start, false) : precise;
  if (!precise || !rounded) {
    all.push_back(failure(what, (precise ? rounded : precise).error().message));
    return;
  }
  exact = *std::move(precise);
  // What f32 costs the model's own formulas, in the order in which they are written, is not the
  // kernels' error.
  Comparison own = compare("", exact, *rounded, {HUGE_VAL, ""});
  if (own.verdict == Verdict::Passed && 5 * own.maxRel > reordered)
    bound = {5 * own.maxRel,
             fmt::format("five times {:.2g}, the interpreter's own error in f32", own.maxRel)};
  auto ownStates = [&](Tensors found) -> Tensors {
    RONDO_CHECK(found);
    return unscaled(session.manifest(), *std::move(found));
  };
  if (Status measured = measureRounding(*start); !measured) {
    all.push_back(failure(what, measured.error().message));
    return;
  }
  if (std::optional<std::string> level = exactLevel(); level && roundsHere())
    check(what + ", " + *level, keptOf(exact), exactly, [&] {
      return ownStates(runOn({options.machine.threads, *level}, *start));
    });
  check(what + (roundsHere() ? ", factors rounded to bf16" : ""),
        keptOf(roundsHere() ? exactOfRounded : exact), bound,
        [&] { return ownStates(runForward(*start, {referenceTokens})); });
}

std::optional<std::string> Verifier::exactLevel() const {
  for (const std::string &level : supportedIsas())
    if (!roundsFactors(level) && Session::open(session.path(), {1, level}))
      return level;
  return std::nullopt;
}

/// A level that rounds both factors of a product is another function than one that does not: they
/// differ by what the rounding does to the interpreter's numbers; without the interpreter, to the
/// kernels'.
Status Verifier::measureRounding(const Sequence &start) {
  ofRows = exactly = bound;
  if (inSteps || roundsHere())
    RONDO_CHECK(boundLastBits(session.isa(), bound, ofRows));
  if (std::optional<std::string> level = exactLevel(); inSteps && level && roundsHere()) {
    Bound rows = exactly;
    RONDO_CHECK(boundLastBits(*level, exactly, rows));
  }
  acrossLevels = bound;
  if (!fewerBits)
    return {};
  std::vector<Numbers> unrounded = exact;
  if (!options.noReference) {
    RONDO_TAKE(exactOfRounded, interpret(start, true, "--round-factors"));
  } else if (std::optional<std::string> level = exactLevel(); level && roundsHere()) {
    RONDO_TAKE(unrounded, runOn({options.machine.threads, *level}, start));
    RONDO_TAKE(exactOfRounded, runForward(start, {start.tokens}));
  } else {
    return {};
  }
  double effect = compare("", unrounded, exactOfRounded, {HUGE_VAL, ""}).maxRel;
  acrossLevels.middle = std::max(std::max(bound.relative, bound.middle),
                                 2 * middleRowDifference(unrounded, exactOfRounded));
  if (2 * effect > bound.relative) {
    acrossLevels.relative = 2 * effect;
    acrossLevels.reason =
        fmt::format("twice {:.2g}, what rounding the factors of products to bf16 does to {}",
                    effect, options.noReference ? "the kernels" : "the interpreter");
  }
  return {};
}

/// Rows that are rounded, to integers or to bf16, are so by the same rule in f32 everywhere, and a
/// product of the same rows has the same sums at every level. But where two ways of computing a row
/// differ in their last bits, a number that stands between two steps goes the other way here and
/// there, by a whole step; later rows differ then, a token that stands between two experts takes
/// the other, and so on. How far that goes depends on the model and its tokens, so it is measured:
/// the same kernels, with weights whose last bits differ. Two ways differ as two such runs do, each
/// off by as much from what would be exact: twice the most seen.
Status Verifier::boundLastBits(const std::string &isa, Bound &ofTensors, Bound &ofTheirRows) {
  static constexpr int runs = 3;
  std::string path = scratch.file("nudged.rpk");
  MachineOptions machine{options.machine.threads, isa};
  RONDO_TAKE(std::vector<Numbers> own, runOn(machine, sequence));
  RONDO_TAKE(Package package, openPackage(session.path()));
  double effect = 0, inRow = 0, middle = 0;
  for (uint64_t run = 0; run < runs; ++run) {
    progress.show("what last bits of f32 weights change");
    RONDO_CHECK(writeNudged(package, run, path));
    RONDO_TAKE(std::vector<Numbers> nudged, runOn(path, machine, sequence));
    Comparison difference = compare("", own, nudged, {HUGE_VAL, ""});
    if (difference.verdict != Verdict::Passed)
      return Error{fmt::format("with last bits of weights changed, {}", difference.note)};
    effect = std::max(effect, difference.maxRel);
    inRow = std::max(inRow, largestRowDifference(own, nudged));
    middle = std::max(middle, middleRowDifference(own, nudged));
  }
  auto raise = [&](Bound &bound, double effect, const char *where) {
    if (2 * effect <= bound.relative)
      return;
    bound.middle = std::max(bound.relative, 2 * middle);
    bound.relative = 2 * effect;
    bound.reason = fmt::format("twice {:.2g}, the most that last bits of f32 weights change{} in "
                               "{} runs; half of the rows: {:.2g}",
                               effect, where, runs, bound.middle);
  };
  raise(ofTensors, effect, "");
  raise(ofTheirRows, inRow, " in a row");
  return {};
}

void Verifier::comparePieces() {
  const std::vector<std::pair<std::string, std::vector<int64_t>>> splits = {
      {"1, 2, 15, 16, 17, 3, 64, 65", {1, 2, 15, 16, 17, 3, 64, 65}},
      {"16", {16}},
      {"17", {17}},
      {"64", {64}}};
  if (forward.whole_sequence()) {
    skip("forward in pieces", "every token reads the whole sequence");
    return;
  }
  std::vector<Numbers> expected = everything(whole);
  for (const auto &[name, sizes] : splits)
    check(fmt::format("forward = forward in pieces of {}", name), expected, bound,
          [&] { return runForward(sequence, piecesOf(sequence.tokens, sizes)); });
  check("forward = forward token by token", expected, bound,
        [&] { return runForward(sequence, piecesOf(sequence.tokens, {1})); });
}

void Verifier::compareStep(const package::Entry &step) {
  auto lastAndStates = [&](Result<Outcome> outcome) -> Tensors {
    RONDO_CHECK(outcome);
    outcome->outputs = rowsOf(outcome->outputs, outcome->outputs.front().shape[0] - 1, 1);
    return everything(*outcome);
  };
  Tensors last = lastAndStates(whole);
  check("forward = step on the whole sequence", *last, ofRows,
        [&] { return lastAndStates(forms.run(step, sequence, {sequence.tokens})); });
  check("forward = step token by token", everything(whole), bound, [&]() -> Tensors {
    RONDO_TAKE(Outcome outcome, forms.run(step, sequence, piecesOf(sequence.tokens, {1})));
    return everything(outcome);
  });
}

void Verifier::comparePrefill(const package::Entry &prefill, const package::Entry &step) {
  for (int64_t prompt :
       {int64_t(1), int64_t(2), int64_t(16), int64_t(17), sequence.tokens / 2, sequence.tokens}) {
    if (prompt > sequence.tokens || prompt < 1)
      continue;
    int64_t generated = std::min<int64_t>(sequence.tokens - prompt, 20);
    std::string what = fmt::format("forward = prefill of {}, then {} steps", prompt, generated);
    check(what, rowsOf(whole.outputs, prompt - 1, generated + 1), ofRows, [&]() -> Tensors {
      RONDO_TAKE(Sequence first, part(sequence, 0, prompt));
      RONDO_TAKE(Sequence rest, part(sequence, prompt, generated));
      RONDO_TAKE(Outcome outcome, forms.run(prefill, first, {prompt}));
      RONDO_TAKE(State state, forms.stateAfter(prefill, first));
      RONDO_TAKE(Outcome steps, forms.run(step, rest, piecesOf(generated, {1}), &state));
      for (size_t i = 0; i < steps.outputs.size(); ++i) {
        outcome.outputs[i].shape[0] += steps.outputs[i].shape[0];
        outcome.outputs[i].values.insert(outcome.outputs[i].values.end(),
                                         steps.outputs[i].values.begin(),
                                         steps.outputs[i].values.end());
      }
      return outcome.outputs;
    });
  }
}

void Verifier::compareScore(const package::Entry &score) {
  std::string what = "score = log softmax of forward";
  auto isLogits = [](const Numbers &n) { return n.name == "logits"; };
  Result<Sequence> scored = withTargets(sequence, score);
  bool hasLogits = std::any_of(whole.outputs.begin(), whole.outputs.end(), isLogits);
  if (!hasLogits || !scored || !scored->inputs.count("targets") || scored->tokens < 1) {
    skip(what, "there are no logits of tokens");
    return;
  }
  // The last token is a target alone; where a token sees later ones, its logits depend on that one
  // being there.
  Result<Sequence> seen = part(sequence, 0, scored->tokens);
  Result<Outcome> outcome =
      seen ? forms.run(forward, *seen, {seen->tokens}) : Result<Outcome>(seen.error());
  if (!outcome) {
    all.push_back(failure(what, outcome.error().message));
    return;
  }
  auto logits = std::find_if(outcome->outputs.begin(), outcome->outputs.end(), isLogits);
  size_t vocabulary = static_cast<size_t>(logits->shape.back());
  Numbers expected{score.outputs()->Get(0)->name()->str(), {scored->tokens}, {}};
  std::span<const int64_t> targets = std::as_const(scored->inputs.at("targets")).as<int64_t>();
  for (size_t row = 0; row < targets.size(); ++row) {
    const double *values = logits->values.data() + row * vocabulary;
    double largest = *std::max_element(values, values + vocabulary), sum = 0;
    for (size_t i = 0; i < vocabulary; ++i)
      sum += std::exp(values[i] - largest);
    expected.values.push_back(values[targets[row]] - largest - std::log(sum));
  }
  check(what, {expected}, ofRows, [&]() -> Tensors {
    RONDO_TAKE(Outcome outcome, forms.run(score, *scored, {scored->tokens}));
    return outcome.outputs;
  });
}

void Verifier::comparePacked() {
  const std::string what = "each sequence alone = packed with others",
                    reversed = "each sequence alone = packed in reverse";
  std::vector<Sequence> sequences;
  std::vector<Outcome> alone;
  int64_t begin = 0;
  for (int64_t length : {17, 0, 1, 40, 5}) {
    length = std::min(length, sequence.tokens - begin);
    Result<Sequence> one = part(sequence, begin, length);
    Result<Outcome> outcome =
        one ? forms.run(forward, *one, {length}) : Result<Outcome>(one.error());
    if (!outcome) {
      all.push_back(failure(what, outcome.error().message));
      return;
    }
    begin += length;
    sequences.push_back(*std::move(one));
    alone.push_back(*std::move(outcome));
  }
  auto gather = [](const std::vector<Outcome> &outcomes) {
    std::vector<Numbers> tensors;
    for (size_t s = 0; s < outcomes.size(); ++s)
      for (Numbers &tensor : everything(outcomes[s])) {
        tensor.name = fmt::format("sequence {}: {}", s, tensor.name);
        tensors.push_back(std::move(tensor));
      }
    return tensors;
  };
  auto packed = [&](bool backwards) -> Tensors {
    std::vector<const Sequence *> order;
    for (const Sequence &one : sequences)
      order.push_back(&one);
    if (backwards)
      std::reverse(order.begin(), order.end());
    RONDO_TAKE(std::vector<Outcome> outcomes, forms.runPacked(forward, order));
    if (backwards)
      std::reverse(outcomes.begin(), outcomes.end());
    return gather(outcomes);
  };
  check(what, gather(alone), ofRows, [&] { return packed(false); });
  check(reversed, gather(alone), ofRows, [&] { return packed(true); });
}

void Verifier::compareShort() {
  Result<Sequence> none = part(sequence, 0, 0), one = part(sequence, 0, 1);
  Result<State> fresh = session.newState();
  if (!none || !one || !fresh) {
    all.push_back(failure("no tokens change no state", "no state can be made"));
    return;
  }
  auto statesAfterNone = [&](const State &start) -> Tensors {
    RONDO_TAKE(Outcome outcome, forms.run(forward, *none, {0}, &start));
    return outcome.states;
  };
  Tensors before = numbersOf(*fresh);
  if (before)
    check("no tokens change no state", *before, bitEqual, [&] { return statesAfterNone(*fresh); });
  if (!forward.whole_sequence()) {
    Result<State> after = forms.stateAfter(forward, sequence);
    before = after ? numbersOf(*after) : Tensors(after.error());
    if (before)
      check("no tokens change no later state", *before, bitEqual,
            [&] { return statesAfterNone(*after); });
    else
      all.push_back(failure("no tokens change no later state", before.error().message));
    check("forward's first row = forward of one token", rowsOf(whole.outputs, 0, 1), ofRows,
          [&]() -> Tensors {
            RONDO_TAKE(Outcome outcome, forms.run(forward, *one, {1}));
            return outcome.outputs;
          });
  }
}

void Verifier::compareSavedState() {
  const std::string what = "forward = forward from a saved and loaded state";
  if (forward.whole_sequence()) {
    skip(what, "every token reads the whole sequence");
    return;
  }
  // Of a prompt that is no multiple of any block.
  int64_t prompt = sequence.tokens / 2 | 1, rest = sequence.tokens - prompt;
  Result<Sequence> first = part(sequence, 0, prompt), second = part(sequence, prompt, rest);
  Result<State> state = first ? forms.stateAfter(forward, *first) : Result<State>(first.error());
  Result<Outcome> direct = state && second ? forms.run(forward, *second, {rest}, &*state)
                                           : Result<Outcome>(Error{"there is no state"});
  if (!direct) {
    all.push_back(failure(what, (state ? direct.error() : state.error()).message));
    return;
  }
  check("state = state saved to a file and loaded", everything(*direct), bitEqual,
        [&]() -> Tensors {
          RONDO_TAKE(std::vector<Tensor> saved, state->save());
          RONDO_CHECK(writeTensors(scratch.file("state.safetensors"), saved));
          RONDO_TAKE(TensorFile file, TensorFile::open(scratch.file("state.safetensors")));
          RONDO_TAKE(State loaded, session.newState());
          RONDO_CHECK(loaded.load(file.tensors(), file.path()));
          RONDO_TAKE(Outcome outcome, forms.run(forward, *second, {rest}, &loaded));
          return everything(outcome);
        });
  std::vector<Numbers> expected = rowsOf(whole.outputs, prompt, rest);
  check(what, expected, ofRows, [&]() -> Tensors { return direct->outputs; });
}

void Verifier::compareMachines() {
  Tensors single = runOn({1, session.isa()}, sequence);
  for (int threads : {2, 3}) {
    std::string what = fmt::format("1 thread = {} threads", threads);
    if (!single)
      all.push_back(failure(what, single.error().message));
    else
      check(what, *single, bitEqual, [&] { return runOn({threads, session.isa()}, sequence); });
  }
  std::vector<std::string> levels = supportedIsas();
  for (const std::string &level : isaNames()) {
    std::string what = fmt::format("{} = {}", session.isa(), level);
    auto emitted = [&](const package::Kernel *kernel) {
      return std::any_of(
          kernel->variants()->begin(), kernel->variants()->end(),
          [&](const package::Variant *variant) { return variant->isa()->string_view() == level; });
    };
    const auto &kernels = *session.manifest().kernels();
    if (level == session.isa())
      continue;
    std::vector<std::string> names = isaNames(); // best first
    auto runs = [&](const package::Kernel *kernel) {
      return std::any_of(kernel->variants()->begin(), kernel->variants()->end(),
                         [&](const package::Variant *variant) {
                           return std::find(std::find(names.begin(), names.end(), level),
                                            names.end(), variant->isa()->str()) != names.end();
                         });
    };
    if (std::none_of(kernels.begin(), kernels.end(), emitted) ||
        !std::all_of(kernels.begin(), kernels.end(), runs))
      skip(what, "the package has no kernels for it");
    else if (std::find(levels.begin(), levels.end(), level) == levels.end())
      skip(what, "this machine does not have it");
    else
      compareLevel(what, level);
  }
}

/// Where one of the levels rounds, on as many tokens as the bound was measured on.
void Verifier::compareLevel(const std::string &what, const std::string &level) {
  MachineOptions machine{options.machine.threads, level};
  if (roundsFactors(level) == roundsHere() || !fewerBits) {
    check(what, everything(whole), bound, [&] { return runOn(machine, sequence); });
    return;
  }
  Result<Sequence> start = part(sequence, 0, referenceTokens);
  Tensors own = start ? runForward(*start, {referenceTokens}) : Tensors(start.error());
  if (!own)
    all.push_back(failure(what, own.error().message));
  else
    check(fmt::format("{}, {} tokens", what, referenceTokens), *own, acrossLevels,
          [&] { return runOn(machine, *start); });
}

void Verifier::compareForms() {
  if (!options.package.ends_with(".rondo"))
    return;
  for (const std::string form : {"sequential", "chunk:16", "chunk:64"}) {
    std::string what = fmt::format("forward as the compiler chose = recurrences as {}", form);
    check(what, everything(whole), bound, [&]() -> Tensors {
      RONDO_TAKE(std::string path, compileSpec(options, scratch, form));
      RONDO_TAKE(Session other, Session::open(path, options.machine));
      RONDO_TAKE(const package::Entry *entry, other.entry("forward"));
      Forms otherForms(other);
      RONDO_TAKE(Outcome outcome, otherForms.run(*entry, sequence, {sequence.tokens}));
      return everything(outcome);
    });
  }
}

/// What the block level in `form` makes in f64 of the tokens that the interpreter computed, in two
/// pieces. No tensors: no recurrence has that form.
Verifier::Tensors Verifier::inBlocks(const std::string &rondoc, const std::string &form) {
  std::string block = scratch.file("block.mlir");
  RONDO_CHECK(runProgram({rondoc, scratch.file("token.mlirbc"), "--from", "token", "--form",
                          "*=" + form, "--emit", "block", "-o", block}));
  std::ifstream file(block);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (form != "sequential" && text.find("form \"chunk\"") == std::string::npos)
    return std::vector<Numbers>();
  int64_t first = referenceTokens / 5;
  RONDO_TAKE(Sequence tokens, part(sequence, 0, referenceTokens));
  RONDO_TAKE(std::vector<Numbers> found,
             cli::interpret(scratch, {block, "--params", session.path()}, tokens,
                            {first, referenceTokens - first}, true));
  return unscaled(session.manifest(), std::move(found));
}

void Verifier::compareBlockForms() {
  const auto *states = session.manifest().states();
  auto isRecurrent = [&](std::string_view name) {
    return std::any_of(states->begin(), states->end(), [&](const package::State *state) {
      return state->kind() == package::StateKind::Fixed && state->name()->string_view() == name;
    });
  };
  const std::string what = "token loop = recurrences as {}, in f64";
  std::vector<Numbers> expected;
  bool recurrent = false;
  for (const Numbers &numbers : exact) {
    bool state = numbers.name.starts_with("state.");
    recurrent |= state && isRecurrent(numbers.name.substr(6));
    if (!state || isRecurrent(numbers.name.substr(6)))
      expected.push_back(numbers);
  }
  const auto *meaning = session.manifest().meaning();
  std::optional<std::string> rondoc = findProgram("rondoc");
  std::ofstream file(scratch.file("token.mlirbc"), std::ios::binary);
  if (recurrent && meaning)
    file.write(reinterpret_cast<const char *>(meaning->data()),
               static_cast<std::streamsize>(meaning->size()));
  file.close();
  for (const std::string form : {"sequential", "chunk:16", "chunk:64"}) {
    std::string name = fmt::format(fmt::runtime(what), form);
    progress.show(name);
    if (!recurrent) {
      skip(name, exact.empty() ? "the interpreter computed nothing to compare with"
                               : "there is no recurrence");
      continue;
    }
    if (!rondoc || !file) {
      all.push_back(failure(name, rondoc
                                      ? "a file for it cannot be written"
                                      : "rondoc, which derives the form, was not found beside this "
                                        "program or on PATH (--no-reference leaves it out)"));
      continue;
    }
    Tensors made = inBlocks(*rondoc, form);
    if (!made)
      all.push_back(failure(name, made.error().message));
    else if (made->empty())
      skip(name, "no recurrence has this form");
    else
      all.push_back(compare(name, expected, *made, {1e-10, "f64 sums in another order"}));
  }
}

std::vector<Comparison> Verifier::compareAll() {
  compareReference();
  progress.show("forward");
  Result<Outcome> outcome = forms.run(forward, sequence, {sequence.tokens});
  if (!outcome) {
    all.push_back(failure("forward", outcome.error().message));
    return all;
  }
  whole = *std::move(outcome);
  comparePieces();
  Result<const package::Entry *> step = session.entry("step"), prefill = session.entry("prefill"),
                                 score = session.entry("score");
  if (step)
    compareStep(**step);
  else
    skip("forward = step", "the package has no entry 'step'");
  if (prefill && step)
    comparePrefill(**prefill, **step);
  else
    skip("forward = prefill, then steps", "the package does not have both entries");
  if (score)
    compareScore(**score);
  else
    skip("score = log softmax of forward", "the package has no entry 'score'");
  comparePacked();
  compareShort();
  compareSavedState();
  compareMachines();
  compareForms();
  compareBlockForms();
  progress.clear();
  return std::move(all);
}

Result<LogitsDifference> Verifier::differenceFrom(const std::string &path) {
  progress.show("logits of " + path);
  RONDO_TAKE(Session other, Session::open(path, options.machine));
  RONDO_TAKE(const package::Entry *entry, other.entry("forward"));
  Forms otherForms(other);
  RONDO_TAKE(Outcome expected, otherForms.run(*entry, sequence, {sequence.tokens}));
  RONDO_TAKE(Outcome found, forms.run(forward, sequence, {sequence.tokens}));
  progress.clear();
  if (expected.outputs.size() != 1 || found.outputs.size() != 1)
    return Error{
        fmt::format("{}: expected one output, logits, found {}", path, expected.outputs.size())};
  return differenceOf(expected.outputs[0], found.outputs[0]);
}

Result<int> verify(const VerifyOptions &options) {
  RONDO_TAKE(ScratchFolder scratch, ScratchFolder::create());
  std::string path = options.package;
  if (path.ends_with(".rondo")) {
    RONDO_TAKE(path, compileSpec(options, scratch));
  }
  RONDO_TAKE(Session session, Session::open(path, options.machine));
  RONDO_CHECK(session.checkWeights());
  RONDO_TAKE(const package::Entry *forward, session.entry("forward"));
  Verifier verifier(options, session, *forward, scratch);
  RONDO_CHECK(verifier.prepare());
  std::optional<LogitsDifference> difference;
  if (!options.against.empty()) {
    RONDO_TAKE(difference, verifier.differenceFrom(options.against));
  }
  std::vector<Comparison> all = verifier.compareAll();

  auto count = [&](Verdict verdict) {
    return std::count_if(all.begin(), all.end(),
                         [&](const Comparison &c) { return c.verdict == verdict; });
  };
  bool passed = count(Verdict::Failed) == 0;
  std::string repeat =
      fmt::format("rondo verify {} --tokens {} --reference-tokens {} --seed {}", options.package,
                  verifier.tokens(), verifier.tokensOfReference(), options.seed);
  if (options.json) {
    nlohmann::ordered_json result{{"package", options.package},   {"tokens", verifier.tokens()},
                                  {"seed", options.seed},         {"isa", session.isa()},
                                  {"threads", session.threads()}, {"passed", passed},
                                  {"comparisons", describe(all)}};
    if (difference)
      result["against"] = describeDifference(*difference);
    if (difference)
      result["against"]["package"] = options.against;
    printJson(result);
  } else {
    if (difference)
      fmt::print("logits against {}: {}\n", options.against, printDifference(*difference));
    else if (const package::LogitsError *stored = session.manifest().logits_error())
      fmt::print("logits against {}: {}\n", originOf(*stored),
                 printDifference(differenceIn(*stored)));
    fmt::print("{}\n{} tokens, seed {}, {}, {} threads: {} passed, {} failed, {} not applicable\n",
               printComparisons(all), verifier.tokens(), options.seed, session.isa(),
               session.threads(), count(Verdict::Passed), count(Verdict::Failed),
               count(Verdict::NotApplicable));
  }
  if (passed && options.store) {
    RONDO_TAKE(Package package, Package::open(options.package));
    RONDO_TAKE(Package other, Package::open(options.against));
    RONDO_CHECK(storeDifference(package, *difference, other, verifier.tokens(), options.seed));
  }
  if (!passed)
    fmt::print(stderr, "error: {}: {} comparisons failed; repeat with: {}\n", options.package,
               count(Verdict::Failed), repeat);
  return passed ? Success : Failure;
}

} // namespace

Command addVerify(CLI::App &app) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App *command = app.add_subcommand(
      "verify",
      "Every way of computing a model against every other, and against the reference interpreter");
  command
      ->add_option("PKG|SPEC", options->package,
                   "A package, or a .rondo file, which rondoc compiles with seeded parameters")
      ->required();
  auto length = CLI::Range(int64_t(2), int64_t(1) << 20);
  command
      ->add_option("--tokens", options->tokens,
                   "Length of the sequence (default: by the size of the model)")
      ->check(length);
  command
      ->add_option("--reference-tokens", options->referenceTokens,
                   "How many of them the interpreter computes (default: by the size of the model)")
      ->check(length);
  command->add_option("--seed", options->seed, "Of ids, inputs and a spec's parameters")
      ->capture_default_str();
  command
      ->add_option("--inputs", options->inputs,
                   "A safetensors file with the inputs, [1, T, axes...], instead of random ones")
      ->excludes("--tokens");
  CLI::Option *against = command->add_option(
      "--against", options->against,
      "Another package of the same model, as of more precise weights: how far the logits are from "
      "its");
  command
      ->add_flag("--store", options->store,
                 "Keep in the package how far its logits are, for `rondo inspect`: its file is "
                 "written anew when every comparison has passed")
      ->needs(against);
  command->add_flag("--no-reference", options->noReference, "Leave the interpreter out");
  command->add_option("--config", options->config, "Of a spec: config.json with its sizes");
  command->add_option("--set", options->sizes, "Of a spec: name=value of a size or option");
  command->add_option("--precision", options->precision, "Of a spec: as rondoc's");
  command->add_option("--module", options->module,
                      "Of a spec without a model: the module to compile");
  command->add_flag("--json", options->json, "Print an object for programs");
  options->machine.addTo(*command);
  command->footer("Prints a table: the largest difference, absolute and relative to the tensor's "
                  "largest value, its bound and the bound's reason. Exit code 1 when any\n"
                  "comparison fails.\n"
                  "Examples:\n"
                  "  rondo verify model.rpk\n"
                  "  rondo verify small.rpk --against f32.rpk --store\n"
                  "  rondo verify layer.rondo --set h=4 --set n=32\n"
                  "  rondo verify layer.rondo --inputs gates.safetensors --json");
  return {command, [options] { return verify(*options); }};
}

} // namespace rondo::cli

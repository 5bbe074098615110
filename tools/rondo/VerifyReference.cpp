// VerifyReference.cpp - `rondo verify`: the kernels against the interpreter, and the bounds.
//
// How far two right ways of computing a model may be apart is no constant where its numbers are
// rounded on the way. It is measured here, on the model itself, before anything is compared.

#include "tools/rondo/NudgedPackage.h"
#include "tools/rondo/Verifier.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace rondo::cli {

namespace {

/// The bound between forms that add the same numbers in another order. Published checkpoints are
/// held to 5e-5 of logits that reach about 5.
constexpr double reordered = 1e-5;

} // namespace

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

} // namespace rondo::cli

// VerifyWays.cpp - `rondo verify`: every way of running a package's entries against the whole
// sequence.
//
// However the tokens are cut into calls, packed with others, shared out to threads, computed by
// another level's kernels or taken from a saved state, it is one function of them.

#include "tools/rondo/Verifier.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace rondo::cli {

namespace {

const Bound bitEqual{0, "the same sums in the same order"};

/// Sizes of pieces that add up to `total`: those given, over and over.
std::vector<int64_t> piecesOf(int64_t total, const std::vector<int64_t> &sizes) {
  std::vector<int64_t> pieces;
  for (size_t i = 0; total > 0; ++i) {
    pieces.push_back(std::min(total, sizes[i % sizes.size()]));
    total -= pieces.back();
  }
  return pieces;
}

} // namespace

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

} // namespace rondo::cli

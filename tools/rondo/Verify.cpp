// Verify.cpp - `rondo verify`: every way of computing a model against every other.
//
// A package promises that its entries are one function of the tokens: however they are cut into
// calls, packed with others, shared out to threads, computed by another level's kernels or taken
// from a saved state. All of that is run on the same seeded tokens and compared, and held against
// the reference interpreter.

#include "tools/rondo/Command.h"
#include "tools/rondo/Console.h"
#include "tools/rondo/Verifier.h"

#include <algorithm>
#include <fmt/format.h>

namespace rondo::cli {

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

namespace {

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

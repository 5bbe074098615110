// Run.cpp - `rondo run`: continues a prompt: the prompt through the entry `prefill`, what is
// generated through `step`; or, with a model that fills hidden tokens, all at once through
// `forward`.

#include "runtime/file.h"
#include "runtime/safetensors.h"
#include "runtime/sampling.h"
#include "tools/rondo/Command.h"
#include "tools/rondo/Console.h"
#include "tools/rondo/Diffuse.h"
#include "tools/rondo/Session.h"
#include "tools/rondo/TokenText.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <utility>

namespace rondo::cli {

namespace {

struct RunOptions {
  std::string package, prompt, file, format, stateIn, stateOut;
  std::vector<int64_t> tokens;
  bool json = false, ignoreEos = false;
  int64_t count = 128, steps = 0, block = 0;
  Remasking remasking = Remasking::LowConfidence;
  SamplingOptions sampling;
  MachineOptions machine;
};

struct Timings {
  double load = 0, prompt = 0, generate = 0; ///< seconds
};

struct Generated {
  std::vector<int64_t> tokens;
  bool ended = false; ///< by one of the package's eos ids
};

/// `format` with what the user says in place of {prompt}, and with \\n for a line's end, as
/// published chat formats are written down.
Result<std::string> formatted(const std::string &format, const std::string &prompt) {
  constexpr std::string_view place = "{prompt}";
  std::string text;
  bool found = false;
  for (size_t at = 0; at < format.size();) {
    std::string_view rest = std::string_view(format).substr(at);
    if (rest.starts_with(place)) {
      if (std::exchange(found, true))
        return Error{"--format: found {prompt} twice, expected it once"};
      text += prompt;
      at += place.size();
    } else if (rest.starts_with("\\n")) {
      text += '\n';
      at += 2;
    } else {
      text += rest.front();
      ++at;
    }
  }
  if (!found)
    return Error{fmt::format("--format: found '{}', expected {{prompt}} in it", format)};
  return text;
}

Result<std::vector<int64_t>> readPrompt(const RunOptions &options, const TokenText &text) {
  if (!options.tokens.empty())
    return options.tokens;
  std::string content = options.prompt;
  if (!options.file.empty()) {
    RONDO_TAKE(content, readText(options.file));
  }
  if (!options.format.empty()) {
    RONDO_TAKE(content, formatted(options.format, content));
  }
  RONDO_TAKE(std::vector<int64_t> tokens, text.encode(content, /*framed=*/options.stateIn.empty()));
  if (tokens.empty())
    return Error{fmt::format("{}: found no token in it, expected at least one to go on from",
                             options.file.empty() ? "-p" : options.file)};
  return tokens;
}

Status loadState(const std::string &path, State &state) {
  RONDO_TAKE(TensorFile file, TensorFile::open(path));
  return state.load(file.tensors(), path);
}

/// Text is shown as it is made on a terminal, and in one piece anywhere else.
bool streams(const RunOptions &options) { return !options.json && stdoutIsTerminal(); }

void show(const std::string &text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

Result<Generated> generate(const RunOptions &options, Session &session, const TokenText &text,
                           const std::vector<int64_t> &prompt, Timings &timings) {
  const std::string_view inputs[] = {"tokens"};
  RONDO_TAKE(const package::Entry *prefill, session.tokenEntry("prefill", inputs, "logits"));
  RONDO_TAKE(const package::Entry *step, session.tokenEntry("step", inputs, "logits"));
  RONDO_TAKE(State state, session.newState());
  if (!options.stateIn.empty())
    RONDO_CHECK(loadState(options.stateIn, state));
  const auto *eos = session.manifest().eos();
  // Who speaks in ids gets as many as asked for, and finds an end among them.
  bool stops = !options.ignoreEos && options.tokens.empty() && eos;
  auto ends = [&](int64_t id) {
    return stops && std::find(eos->begin(), eos->end(), id) != eos->end();
  };

  std::vector<float> logits;
  Stopwatch watch;
  {
    Progress progress("prompt");
    progress.show(fmt::format("{} tokens", prompt.size()));
    const std::span<const int64_t> rows[] = {prompt};
    RONDO_CHECK(session.run(*prefill, state, rows, logits));
  }
  timings.prompt = watch.seconds();

  Generated result;
  RONDO_TAKE(Sampler sampler, Sampler::create(options.sampling));
  Utf8Stream stream;
  watch = Stopwatch();
  for (int64_t i = 0; i < options.count; ++i) {
    RONDO_TAKE(int64_t token, sampler.sample(logits));
    result.tokens.push_back(token);
    result.ended = ends(token);
    if (!result.ended && streams(options))
      show(stream.add(text.decode({&token, 1})));
    // The last token is only worth a step to whoever goes on from the state.
    bool last = result.ended || i + 1 == options.count;
    if (!last || !options.stateOut.empty()) {
      const std::span<const int64_t> rows[] = {{&token, 1}};
      RONDO_CHECK(session.run(*step, state, rows, logits));
    }
    if (last)
      break;
  }
  if (streams(options))
    show(stream.finish());
  timings.generate = watch.seconds();
  if (!options.stateOut.empty()) {
    RONDO_TAKE(std::vector<Tensor> saved, state.save());
    RONDO_CHECK(writeTensors(options.stateOut, saved));
  }
  return result;
}

/// All tokens through `forward`; as long as what is asked for, unless an end is among it.
Result<Generated> fill(const RunOptions &options, Session &session,
                       const package::Objective &objective, const std::vector<int64_t> &prompt,
                       Timings &timings) {
  if (!options.stateIn.empty() || !options.stateOut.empty())
    return Error{fmt::format("{}: a model that sees whole sequences leaves no state for --state-in "
                             "or --state-out",
                             options.package)};
  DiffusionOptions how{options.steps, options.block, options.remasking, options.sampling};
  Stopwatch watch;
  Generated result;
  RONDO_TAKE(result.tokens, diffuse(session, objective, prompt, options.count, how));
  timings.generate = watch.seconds();
  const auto *eos = session.manifest().eos();
  if (options.ignoreEos || !options.tokens.empty() || !eos)
    return result;
  for (size_t i = 0; i < result.tokens.size() && !result.ended; ++i)
    if (std::find(eos->begin(), eos->end(), result.tokens[i]) != eos->end()) {
      result.ended = true;
      result.tokens.resize(i + 1);
    }
  return result;
}

double perSecond(size_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

Result<int> run(const RunOptions &options) {
  Timings timings;
  Stopwatch watch;
  RONDO_TAKE(Session session, Session::open(options.package, options.machine));
  RONDO_TAKE(TokenText text, TokenText::of(session));
  timings.load = watch.seconds();
  RONDO_TAKE(std::vector<int64_t> prompt, readPrompt(options, text));
  const package::Objective *objective = session.manifest().objective();
  if (!objective && (options.steps > 0 || options.block > 0))
    return Error{fmt::format("{}: --steps and --block-length are for models that fill hidden "
                             "tokens; this one makes its text token by token",
                             options.package)};
  RONDO_TAKE(Generated generated, objective ? fill(options, session, *objective, prompt, timings)
                                            : generate(options, session, text, prompt, timings));

  std::span<const int64_t> shown(generated.tokens);
  if (generated.ended)
    shown = shown.first(shown.size() - 1);
  double promptSpeed = perSecond(prompt.size(), timings.prompt),
         speed = perSecond(generated.tokens.size(), timings.generate);
  if (options.json) {
    printJson({{"tokens", generated.tokens},
               {"text", text.decode(shown)},
               {"stopped_by", generated.ended ? "eos" : "length"},
               {"prompt_tokens", prompt.size()},
               {"timings",
                {{"load_ms", timings.load * 1e3},
                 {"prompt_ms", timings.prompt * 1e3},
                 {"prompt_tokens_per_second", promptSpeed},
                 {"generate_ms", timings.generate * 1e3},
                 {"tokens_per_second", speed}}},
               {"threads", session.threads()},
               {"isa", session.isa()}});
    return Success;
  }
  if (!text.hasText())
    fmt::print("{}", fmt::join(generated.tokens, ","));
  else if (objective || !streams(options))
    fmt::print("{}", text.decode(shown));
  fmt::print("\n");
  // A reader has it before the package's memory is given back, which takes milliseconds.
  std::fflush(stdout);
  if (stderrIsTerminal()) {
    fmt::print(stderr,
               "\nload {:.1f} ms; prompt {} tokens, {:.1f} ms, {:.1f} t/s; generated {} tokens, "
               "{:.1f} ms, {:.1f} t/s; {} threads, {}\n",
               timings.load * 1e3, prompt.size(), timings.prompt * 1e3, promptSpeed,
               generated.tokens.size(), timings.generate * 1e3, speed, session.threads(),
               session.isa());
  }
  return Success;
}

} // namespace

Command addRun(CLI::App &app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App *command = app.add_subcommand("run", "Continues a prompt");
  command->add_option("PKG", options->package, "The package")->required();
  auto *group = command->add_option_group("prompt", "What to go on from");
  group->add_option("-p,--prompt", options->prompt, "The prompt as text");
  group->add_option("--file", options->file, "The prompt as a file");
  auto *ids =
      group
          ->add_option("--tokens", options->tokens,
                       "The prompt as ids: 1,2,3; an end-of-sequence token does not stop it")
          ->delimiter(',')
          ->allow_extra_args(false);
  group->require_option(1);
  command
      ->add_option("--format", options->format,
                   "Text around the prompt, {prompt} stands for it and \\n for a line's end: the "
                   "format of the chats that a model was trained on; special tokens are read in it")
      ->excludes(ids);
  command->add_option("-n,--n-predict", options->count, "Tokens to generate at most")
      ->check(CLI::Range(int64_t(0), int64_t(1) << 40))
      ->capture_default_str();
  command
      ->add_option("--temp", options->sampling.temperature,
                   "Temperature; 0: always the most probable token")
      ->check(CLI::Range(0.0f, 1e6f))
      ->capture_default_str();
  command
      ->add_option("--top-p", options->sampling.topP,
                   "Draw from the most probable tokens that together have this probability")
      ->check(CLI::Range(1e-6f, 1.0f))
      ->capture_default_str();
  command->add_option("--seed", options->sampling.seed, "Of what is drawn")->capture_default_str();
  command->add_option("--state-in", options->stateIn, "Go on from this saved state");
  command->add_option("--state-out", options->stateOut,
                      "Save the state after all tokens, given and generated (safetensors)");
  command
      ->add_option("--steps", options->steps,
                   "Of a model that fills hidden tokens: in so many steps; one a token")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24));
  command
      ->add_option("--block-length", options->block,
                   "Fill so many tokens, then the next; all together")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  command
      ->add_option("--remasking", options->remasking,
                   "Which tokens stay in a step: confidence (the surest ones) or random")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Remasking>{
          {"confidence", Remasking::LowConfidence}, {"random", Remasking::Random}}));
  command->add_flag("--ignore-eos", options->ignoreEos, "Go on after an end-of-sequence token");
  command->add_flag("--json", options->json, "Print an object for programs");
  options->machine.addTo(*command);
  command->footer(
      "Prints what was generated; ids where the package has no text.\n"
      "Examples:\n"
      "  rondo run model.rpk -p \"Once upon a time\" -n 64 --temp 0.8 --top-p 0.95 --seed 7\n"
      "  rondo run chat.rpk -p \"What is a state?\" --format "
      "'<|im_start|>user\\n{prompt}<|im_end|>\\n<|im_start|>assistant\\n'\n"
      "  rondo run model.rpk --tokens 1,2,3 -n 16 --json\n"
      "  rondo run diffusion.rpk -p \"Once upon\" -n 64 --steps 32 --block-length 16\n"
      "  rondo run model.rpk --file chapter1.txt -n 0 --state-out chapter1.state\n"
      "  rondo run model.rpk --state-in chapter1.state -p \"Chapter 2\"");
  return {command, [options] { return run(*options); }};
}

} // namespace rondo::cli

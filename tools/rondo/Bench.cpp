// Bench.cpp - `rondo bench`: tokens a second of prompts (ppN) and of generation (tgN), each after D
// other tokens (@ dD), in the columns that such tables have elsewhere (model, size, params,
// backend, threads, test, t/s). A package of a module, which has no prompts, is timed on random
// inputs: all tokens at once (fwN) and one by one (stN). Tests take turns, so that what slows the
// machine down for a while slows down all of them.

#include "tools/rondo/Command.h"
#include "tools/rondo/Console.h"
#include "tools/rondo/Forms.h"
#include "tools/rondo/KernelTimes.h"
#include "tools/rondo/Session.h"

#include "runtime/machine.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <random>
#include <set>

namespace rondo::cli {

namespace {

struct BenchOptions {
  std::string package, format = "md";
  std::vector<int64_t> prompts{512}, generate{128}, depths{0};
  int64_t repeats = 5;
  uint64_t seed = 1;
  bool warmUp = true, kernels = false;
  MachineOptions machine;
};

struct Measured {
  std::string test;
  int64_t tokens = 0, depth = 0;
  uint64_t stateBytes = 0; ///< of the sequence at the end
  std::vector<double> seconds;
  std::vector<double> readSpeeds; ///< of the machine beside the runs, bytes/s; empty: not measured
  uint64_t bytesPerToken = 0;
  std::vector<KernelTime> kernels; ///< of one run

  double mean() const {
    double sum = 0;
    for (double s : seconds)
      sum += static_cast<double>(tokens) / s;
    return sum / static_cast<double>(seconds.size());
  }
  double deviation() const {
    if (seconds.size() < 2)
      return 0;
    double sum = 0, middle = mean();
    for (double s : seconds)
      sum += std::pow(static_cast<double>(tokens) / s - middle, 2);
    return std::sqrt(sum / static_cast<double>(seconds.size() - 1));
  }
  double readBandwidth() const { return median(readSpeeds); }
  /// Of the speed at which the machine could read the weights of every token; 0: not measured. Both
  /// are medians, of runs and readings in turns: who else uses the memory slows both.
  double share() const {
    double seconds = median(this->seconds) * readBandwidth();
    return seconds > 0 ? static_cast<double>(bytesPerToken) * static_cast<double>(tokens) / seconds
                       : 0;
  }

  /// 0 of no values.
  static double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    size_t half = values.size() / 2;
    if (values.empty())
      return 0;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
  }
};

/// What each token of a step reads whole: weights and states. Tables of which it reads one row do
/// not count, nor what it writes, so the share of the machine's limit is never too high.
uint64_t bytesOfToken(const package::Package &manifest, const package::Entry &entry) {
  std::set<int64_t> seen;
  uint64_t bytes = 0;
  for (const package::Step *step : *entry.steps()) {
    if (step->kind() != package::StepKind::Launch)
      continue;
    bytes += static_cast<uint64_t>(
        manifest.kernels()->Get(static_cast<unsigned>(step->kernel()))->bytes_once());
    for (const package::Operand *operand : *step->operands()) {
      if (operand->kind() != package::OperandKind::State || !seen.insert(operand->index()).second)
        continue;
      const package::State &state =
          *manifest.states()->Get(static_cast<unsigned>(operand->index()));
      if (state.kind() == package::StateKind::Fixed)
        bytes += static_cast<uint64_t>(state.bytes());
    }
  }
  return bytes;
}

/// Of work that takes less, what is measured is not its beginning: threads that slept may share a
/// core for a tenth of a second, until the system spreads them.
constexpr double warmUpSeconds = 0.2;

/// Reads as much as a token reads for a twentieth of a second.
void readBeside(std::map<uint64_t, ReadProbe> &probes, ThreadPool &pool, Measured &measured) {
  uint64_t bytes = measured.bytesPerToken;
  if (bytes == 0)
    return;
  ReadProbe &probe = probes.try_emplace(bytes, pool, bytes).first->second;
  probe.pass(); // what the run left in the caches is not the buffer
  Stopwatch watch;
  do
    if (double speed = probe.pass(); speed > 0)
      measured.readSpeeds.push_back(speed);
  while (watch.seconds() < 0.05);
}

void printMarkdown(const Session &session, const std::string &model,
                   const std::vector<Measured> &all) {
  std::vector<std::vector<std::string>> rows;
  double bandwidth = 0;
  for (const Measured &m : all) {
    bandwidth = std::max(bandwidth, m.readBandwidth());
    rows.push_back({model, printBytes(session.weightBytes()),
                    printCount(countParameters(session.manifest())), "CPU " + session.isa(),
                    std::to_string(session.threads()), m.test,
                    fmt::format("{:.2f} ± {:.2f}", m.mean(), m.deviation()),
                    m.share() > 0 ? fmt::format("{:.0f} %", m.share() * 100) : ""});
  }
  fmt::print("{}", markdownTable({"model", "size", "params", "backend", "threads", "test", "t/s",
                                  "of read limit"},
                                 {false, true, true, false, true, true, true, true}, rows));
  fmt::print("\n{}", processorName());
  if (bandwidth > 0)
    fmt::print("; reads {:.1f} GB/s from a buffer of the size of what a token reads ({})",
               bandwidth / 1e9, printBytes(all.back().bytesPerToken));
  fmt::print("\n");
}

nlohmann::ordered_json describe(const Session &session, const std::string &model,
                                const Measured &m) {
  std::vector<double> speeds;
  for (double seconds : m.seconds)
    speeds.push_back(static_cast<double>(m.tokens) / seconds);
  nlohmann::ordered_json row{{"model", model},
                             {"model_size", session.weightBytes()},
                             {"model_n_params", countParameters(session.manifest())},
                             {"backend", "CPU"},
                             {"isa", session.isa()},
                             {"cpu", processorName()},
                             {"threads", session.threads()},
                             {"test", m.test},
                             {"n_depth", m.depth},
                             {"state_bytes", m.stateBytes},
                             {"avg_ts", m.mean()},
                             {"stddev_ts", m.deviation()},
                             {"samples_ts", speeds}};
  row["bytes_per_token"] =
      m.readBandwidth() > 0 ? nlohmann::ordered_json(m.bytesPerToken) : nlohmann::ordered_json();
  row["read_bytes_per_second"] =
      m.readBandwidth() > 0 ? nlohmann::ordered_json(m.readBandwidth()) : nlohmann::ordered_json();
  row["share_of_read_limit"] =
      m.readBandwidth() > 0 ? nlohmann::ordered_json(m.share()) : nlohmann::ordered_json();
  if (!m.kernels.empty())
    row["kernels"] = describeKernelTimes(m.kernels);
  return row;
}

void printCsv(const Session &session, const std::string &model, const std::vector<Measured> &all) {
  fmt::print("model,model_size,model_n_params,backend,isa,threads,test,avg_ts,stddev_ts,share_of_"
             "read_limit\n");
  std::string quoted = model;
  for (size_t at = 0; (at = quoted.find('"', at)) != std::string::npos; at += 2)
    quoted.insert(at, 1, '"');
  for (const Measured &m : all)
    fmt::print("\"{}\",{},{},CPU,{},{},{},{:.4f},{:.4f},{}\n", quoted, session.weightBytes(),
               countParameters(session.manifest()), session.isa(), session.threads(), m.test,
               m.mean(), m.deviation(), m.share() > 0 ? fmt::format("{:.4f}", m.share()) : "");
}

/// What is timed, from a state after so many tokens.
struct Test {
  Measured measured;
  const package::Entry *entry = nullptr;
  std::shared_ptr<State> begin;
  std::function<Status(State &)> once;
};

constexpr std::string_view tokenInputs[] = {"tokens"};

std::vector<int64_t> randomTokens(const package::Entry &entry, int64_t count,
                                  std::mt19937_64 &random) {
  std::vector<int64_t> tokens(static_cast<size_t>(count));
  auto vocabulary = static_cast<uint64_t>(std::max<int64_t>(1, vocabularyOf(entry)));
  for (int64_t &token : tokens)
    token = static_cast<int64_t>(random() % vocabulary);
  return tokens;
}

/// The state after `depth` random tokens.
Status advance(Session &session, State &state, int64_t depth, std::mt19937_64 &random) {
  if (depth == 0)
    return {};
  RONDO_TAKE(const package::Entry *entry, session.tokenEntry("prefill", tokenInputs, "logits"));
  std::vector<float> logits;
  constexpr int64_t piece = 1 << 16;
  for (int64_t done = 0; done < depth; done += piece) {
    std::vector<int64_t> tokens = randomTokens(*entry, std::min(piece, depth - done), random);
    const std::span<const int64_t> rows[] = {tokens};
    RONDO_CHECK(session.run(*entry, state, rows, logits));
  }
  return {};
}

Status prepare(Session &session, Test &test, int64_t count, bool oneByOne,
               std::mt19937_64 &random) {
  RONDO_TAKE(test.entry, session.tokenEntry(oneByOne ? "step" : "prefill", tokenInputs, "logits"));
  test.measured.test = fmt::format("{}{}", oneByOne ? "tg" : "pp", count);
  if (oneByOne)
    test.measured.bytesPerToken = bytesOfToken(session.manifest(), *test.entry);
  test.once = [&session, entry = test.entry, oneByOne,
               tokens = randomTokens(*test.entry, count, random),
               logits = std::make_shared<std::vector<float>>()](State &state) -> Status {
    std::span<const int64_t> rest(tokens);
    while (!rest.empty()) {
      size_t next = oneByOne ? 1 : rest.size();
      const std::span<const int64_t> rows[] = {rest.first(next)};
      RONDO_CHECK(session.run(*entry, state, rows, *logits));
      rest = rest.subspan(next);
    }
    return {};
  };
  return {};
}

/// Runs a module over a sequence, `piece` rows at a time.
/// Outputs go where the caller wants them, which is memory that it has.
Status runRows(Session &session, const package::Entry &entry, State &state,
               const Sequence &sequence, int64_t piece, std::vector<Tensor> &outputs) {
  State *states[] = {&state};
  for (int64_t done = 0; done < sequence.tokens; done += piece) {
    const int64_t lengths[] = {std::min(piece, sequence.tokens - done)};
    std::vector<std::span<const std::byte>> rows;
    for (const package::Value *value : *entry.inputs()) {
      const Tensor &tensor = sequence.inputs.at(value->name()->str());
      size_t row = tensor.bytes.size() / static_cast<size_t>(sequence.tokens);
      rows.push_back(
          std::span(tensor.bytes)
              .subspan(static_cast<size_t>(done) * row, static_cast<size_t>(lengths[0]) * row));
    }
    RONDO_CHECK(session.run(entry, states, lengths, rows, outputs));
  }
  return {};
}

Status advanceModule(Session &session, State &state, int64_t depth, uint64_t seed) {
  RONDO_TAKE(const package::Entry *entry, session.entry("forward"));
  constexpr int64_t piece = 1 << 12;
  std::vector<Tensor> outputs;
  for (int64_t done = 0; done < depth; done += piece) {
    RONDO_TAKE(Sequence sequence, randomSequence(*entry, std::min(piece, depth - done),
                                                 seed + static_cast<uint64_t>(done)));
    RONDO_CHECK(runRows(session, *entry, state, sequence, piece, outputs));
  }
  return {};
}

/// Rows of a module's inputs are reals, of its own shapes.
Status prepareModule(Session &session, Test &test, int64_t count, bool oneByOne, uint64_t seed) {
  RONDO_TAKE(test.entry, session.entry(oneByOne ? "step" : "forward"));
  test.measured.test = fmt::format("{}{}", oneByOne ? "st" : "fw", count);
  RONDO_TAKE(Sequence sequence, randomSequence(*test.entry, count, seed));
  test.once = [&session, entry = test.entry, piece = oneByOne ? int64_t(1) : count,
               sequence = std::make_shared<Sequence>(std::move(sequence)),
               outputs = std::make_shared<std::vector<Tensor>>()](State &state) {
    return runRows(session, *entry, state, *sequence, piece, *outputs);
  };
  return {};
}

Result<int> bench(const BenchOptions &options) {
  RONDO_TAKE(Session session, Session::open(options.package, options.machine));
  std::vector<Measured> all;
  std::mt19937_64 random(options.seed);
  Progress progress("bench");

  MachineDescription machine;
  if (options.kernels) {
    progress.show("limits of the machine");
    machine = describeMachine(session.threadPool(), machineCacheFolder());
  }
  std::vector<Test> tests;
  bool isModule = !session.entry("prefill") && session.entry("forward");
  for (int64_t depth : options.depths) {
    RONDO_TAKE(State state, session.newState());
    auto begin = std::make_shared<State>(std::move(state));
    progress.show(fmt::format("{} tokens before", depth));
    RONDO_CHECK(isModule ? advanceModule(session, *begin, depth, options.seed)
                         : advance(session, *begin, depth, random));
    for (bool oneByOne : {false, true})
      for (int64_t count : oneByOne ? options.generate : options.prompts) {
        if (count == 0)
          continue;
        Test test;
        test.begin = begin;
        RONDO_CHECK(isModule ? prepareModule(session, test, count, oneByOne, options.seed)
                             : prepare(session, test, count, oneByOne, random));
        test.measured.tokens = count;
        test.measured.depth = depth;
        if (depth)
          test.measured.test += fmt::format(" @ d{}", depth);
        tests.push_back(std::move(test));
      }
  }
  std::map<uint64_t, ReadProbe> probes;
  for (int64_t run = options.warmUp ? -1 : 0; run < options.repeats; ++run)
    for (Test &test : tests) {
      Measured &m = test.measured;
      progress.show(run < 0 ? fmt::format("{} warm-up", m.test)
                            : fmt::format("{} run {} of {}", m.test, run + 1, options.repeats));
      Stopwatch warming;
      do {
        State state(*test.begin);
        RONDO_CHECK(state.reserve(m.tokens));
        if (run >= 0)
          readBeside(probes, session.threadPool(), m);
        Stopwatch watch;
        RONDO_CHECK(test.once(state));
        if (run >= 0) {
          m.seconds.push_back(watch.seconds());
          readBeside(probes, session.threadPool(), m);
        }
        m.stateBytes = state.bytes();
      } while (run < 0 && warming.seconds() < warmUpSeconds);
    }
  // The runs that count are not timed step by step; those are others.
  for (Test &test : tests) {
    if (options.kernels) {
      // Of each step the best of as many runs: other processes only ever slow one down.
      std::vector<Executor::StepTime> best;
      for (int64_t run = 0; run < options.repeats; ++run) {
        progress.show(
            fmt::format("{} kernels, run {} of {}", test.measured.test, run + 1, options.repeats));
        std::vector<Executor::StepTime> times;
        State state(*test.begin);
        session.timeSteps(&times);
        Status status = test.once(state);
        session.timeSteps(nullptr);
        RONDO_CHECK(status);
        if (best.empty())
          best = std::move(times);
        else
          for (size_t i = 0; i < best.size(); ++i)
            best[i].seconds = std::min(best[i].seconds, times[i].seconds);
      }
      test.measured.kernels =
          kernelTimes(session.manifest(), *test.entry, best, machine, session.isa());
    }
    all.push_back(std::move(test.measured));
  }
  progress.clear();

  std::string model = session.manifest().model()->str();
  if (options.format == "json") {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const Measured &m : all)
      rows.push_back(describe(session, model, m));
    printJson(rows);
  } else if (options.format == "csv") {
    printCsv(session, model, all);
  } else {
    printMarkdown(session, model, all);
    for (const Measured &m : all)
      if (!m.kernels.empty())
        printKernelTimes(m.test, m.kernels);
  }
  return Success;
}

} // namespace

Command addBench(CLI::App &app) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App *command =
      app.add_subcommand("bench", "Tokens a second of prompts (ppN) and of generation (tgN); of a "
                                  "module, all at once (fwN) and one by one (stN)");
  command->add_option("PKG", options->package, "The package")->required();
  auto tokens = CLI::Range(int64_t(0), int64_t(1) << 24);
  auto list = [&](const char *name, std::vector<int64_t> &values, const char *what) {
    command->add_option(name, values, what)
        ->check(tokens)
        ->delimiter(',')
        ->allow_extra_args(false)
        ->capture_default_str();
  };
  list("-p,--n-prompt", options->prompts, "Tokens of the prompt, or a list; 0: do not measure");
  list("-n,--n-gen", options->generate, "Tokens to generate, or a list; 0: do not measure");
  list("-d,--n-depth", options->depths,
       "Tokens that the sequence has before what is measured, or a list");
  command->add_option("-r,--repetitions", options->repeats, "Runs of each test")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("-o,--output", options->format, "md, json or csv")
      ->check(CLI::IsMember({"md", "json", "csv"}))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of the random tokens")->capture_default_str();
  command->add_flag("--kernels", options->kernels,
                    "Also where the time goes, kernel by kernel, and how far each is from the "
                    "machine's limits (md, json)");
  command->add_flag("!--no-warmup", options->warmUp,
                    "Do not run each test before measuring it, once or for a fifth of a second");
  command->add_flag_callback(
      "--json", [options] { options->format = "json"; }, "The same as -o json");
  options->machine.addTo(*command);
  command->callback([options] {
    auto none = [](const std::vector<int64_t> &list) {
      return std::all_of(list.begin(), list.end(), [](int64_t count) { return count == 0; });
    };
    if (none(options->prompts) && none(options->generate))
      throw CLI::ValidationError("-p 0 -n 0", "there is nothing to measure");
  });
  command->footer("Mean ± standard deviation. The read limit is how often a second this machine "
                  "reads all that a token reads, measured in the same run.\n"
                  "Examples:\n"
                  "  rondo bench model.rpk -p 512 -n 128 -t 2\n"
                  "  rondo bench model.rpk -p 0 -n 64 -r 10 -o json\n"
                  "  rondo bench model.rpk -p 0 -n 256 -d 1000,1000000 -r 20\n"
                  "  rondo bench model.rpk --kernels -t 1");
  return {command, [options] { return bench(*options); }};
}

} // namespace rondo::cli

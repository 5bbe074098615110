// Bench.cpp - `rondo bench`: tokens a second of prompts (ppN) and of generation (tgN), in the
// columns that such tables have elsewhere (model, size, params, backend, threads, test, t/s). A
// package of a module, which has no prompts, is timed on random inputs: all tokens at once (fwN)
// and one by one (stN).

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
#include <random>
#include <set>

namespace rondo::cli {

namespace {

struct BenchOptions {
  std::string package, format = "md";
  int64_t prompt = 512, generate = 128, repeats = 5;
  uint64_t seed = 1;
  bool warmUp = true, kernels = false;
  MachineOptions machine;
};

struct Measured {
  std::string test;
  int64_t tokens = 0;
  std::vector<double> seconds;
  double readBandwidth = 0; ///< of the machine, bytes/s; 0: no such limit was measured
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
  /// Of the speed at which the machine could read the weights of every token; 0: not measured.
  double share() const {
    return readBandwidth > 0 ? mean() * static_cast<double>(bytesPerToken) / readBandwidth : 0;
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

void printMarkdown(const Session &session, const std::string &model,
                   const std::vector<Measured> &all) {
  std::vector<std::vector<std::string>> rows;
  double bandwidth = 0;
  for (const Measured &m : all) {
    bandwidth = std::max(bandwidth, m.readBandwidth);
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
                             {"avg_ts", m.mean()},
                             {"stddev_ts", m.deviation()},
                             {"samples_ts", speeds}};
  row["bytes_per_token"] =
      m.readBandwidth > 0 ? nlohmann::ordered_json(m.bytesPerToken) : nlohmann::ordered_json();
  row["read_bytes_per_second"] =
      m.readBandwidth > 0 ? nlohmann::ordered_json(m.readBandwidth) : nlohmann::ordered_json();
  row["share_of_read_limit"] =
      m.readBandwidth > 0 ? nlohmann::ordered_json(m.share()) : nlohmann::ordered_json();
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

Result<int> bench(const BenchOptions &options) {
  RONDO_TAKE(Session session, Session::open(options.package, options.machine));
  const std::string_view inputs[] = {"tokens"};
  std::vector<Measured> all;
  std::vector<float> logits;
  std::mt19937_64 random(options.seed);
  Progress progress("bench");

  MachineDescription machine;
  if (options.kernels) {
    progress.show("limits of the machine");
    machine = describeMachine(session.threadPool(), machineCacheFolder());
  }
  // The runs that count are not timed step by step; those are others.
  auto repeat = [&](Measured m, const package::Entry &entry,
                    const std::function<Status()> &once) -> Status {
    for (int64_t run = options.warmUp ? -1 : 0; run < options.repeats; ++run) {
      progress.show(run < 0 ? fmt::format("{} warm-up", m.test)
                            : fmt::format("{} run {} of {}", m.test, run + 1, options.repeats));
      Stopwatch watch;
      RONDO_CHECK(once());
      if (run >= 0)
        m.seconds.push_back(watch.seconds());
    }
    if (options.kernels) {
      // Of each step the best of as many runs: other processes only ever slow one down.
      std::vector<Executor::StepTime> best;
      for (int64_t run = 0; run < options.repeats; ++run) {
        progress.show(fmt::format("{} kernels, run {} of {}", m.test, run + 1, options.repeats));
        std::vector<Executor::StepTime> times;
        session.timeSteps(&times);
        Status status = once();
        session.timeSteps(nullptr);
        RONDO_CHECK(status);
        if (best.empty())
          best = std::move(times);
        else
          for (size_t i = 0; i < best.size(); ++i)
            best[i].seconds = std::min(best[i].seconds, times[i].seconds);
      }
      m.kernels = kernelTimes(session.manifest(), entry, best, machine, session.isa());
    }
    all.push_back(std::move(m));
    return {};
  };

  auto measure = [&](Measured m, const package::Entry &entry, bool oneByOne) -> Status {
    std::vector<int64_t> tokens(static_cast<size_t>(m.tokens));
    uint64_t vocabulary = static_cast<uint64_t>(std::max<int64_t>(1, vocabularyOf(entry)));
    for (int64_t &token : tokens)
      token = static_cast<int64_t>(random() % vocabulary);
    return repeat(std::move(m), entry, [&]() -> Status {
      RONDO_TAKE(State state, session.newState());
      std::span<const int64_t> rest(tokens);
      while (!rest.empty()) {
        size_t count = oneByOne ? 1 : rest.size();
        const std::span<const int64_t> rows[] = {rest.first(count)};
        RONDO_CHECK(session.run(entry, state, rows, logits));
        rest = rest.subspan(count);
      }
      return {};
    });
  };

  // Rows of a module's inputs are reals, of its own shapes.
  auto measureModule = [&](const char *name, const char *test, int64_t tokens,
                           int64_t piece) -> Status {
    RONDO_TAKE(const package::Entry *entry, session.entry(name));
    RONDO_TAKE(Sequence sequence, randomSequence(*entry, tokens, options.seed));
    Measured m;
    m.test = fmt::format("{}{}", test, tokens);
    m.tokens = tokens;
    // Outputs go where the caller wants them, which is memory that it has.
    std::vector<Tensor> outputs;
    return repeat(std::move(m), *entry, [&]() -> Status {
      RONDO_TAKE(State state, session.newState());
      State *states[] = {&state};
      for (int64_t done = 0; done < tokens; done += piece) {
        const int64_t lengths[] = {std::min(piece, tokens - done)};
        std::vector<std::span<const std::byte>> rows;
        for (const package::Value *value : *entry->inputs()) {
          const Tensor &tensor = sequence.inputs.at(value->name()->str());
          size_t row = tensor.bytes.size() / static_cast<size_t>(tokens);
          rows.push_back(
              std::span(tensor.bytes)
                  .subspan(static_cast<size_t>(done) * row, static_cast<size_t>(lengths[0]) * row));
        }
        RONDO_CHECK(session.run(*entry, states, lengths, rows, outputs));
      }
      return {};
    });
  };

  bool isModule = !session.entry("prefill") && session.entry("forward");
  if (isModule) {
    if (options.prompt > 0)
      RONDO_CHECK(measureModule("forward", "fw", options.prompt, options.prompt));
    if (options.generate > 0)
      RONDO_CHECK(measureModule("step", "st", options.generate, 1));
  } else if (options.prompt > 0) {
    RONDO_TAKE(const package::Entry *entry, session.tokenEntry("prefill", inputs, "logits"));
    Measured m;
    m.test = fmt::format("pp{}", options.prompt);
    m.tokens = options.prompt;
    RONDO_CHECK(measure(std::move(m), *entry, false));
  }
  if (!isModule && options.generate > 0) {
    RONDO_TAKE(const package::Entry *entry, session.tokenEntry("step", inputs, "logits"));
    Measured m;
    m.test = fmt::format("tg{}", options.generate);
    m.tokens = options.generate;
    m.bytesPerToken = bytesOfToken(session.manifest(), *entry);
    progress.show("read bandwidth");
    m.readBandwidth =
        m.bytesPerToken ? measureReadBandwidth(session.threadPool(), m.bytesPerToken) : 0;
    RONDO_CHECK(measure(std::move(m), *entry, true));
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
  command->add_option("-p,--n-prompt", options->prompt, "Tokens of the prompt; 0: do not measure")
      ->check(tokens)
      ->capture_default_str();
  command->add_option("-n,--n-gen", options->generate, "Tokens to generate; 0: do not measure")
      ->check(tokens)
      ->capture_default_str();
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
                    "Do not run each test once before measuring it");
  command->add_flag_callback(
      "--json", [options] { options->format = "json"; }, "The same as -o json");
  options->machine.addTo(*command);
  command->callback([options] {
    if (options->prompt == 0 && options->generate == 0)
      throw CLI::ValidationError("-p 0 -n 0", "there is nothing to measure");
  });
  command->footer("Mean ± standard deviation. The read limit is how often a second this machine "
                  "reads all that a token reads, measured in the same run.\n"
                  "Examples:\n"
                  "  rondo bench model.rpk -p 512 -n 128 -t 2\n"
                  "  rondo bench model.rpk -p 0 -n 64 -r 10 -o json\n"
                  "  rondo bench model.rpk --kernels -t 1");
  return {command, [options] { return bench(*options); }};
}

} // namespace rondo::cli

// Score.cpp - `rondo score`: how well a model predicts a text, in one pass with the state carried
// from its first token.

#include "runtime/file.h"
#include "tools/rondo/Command.h"
#include "tools/rondo/Console.h"
#include "tools/rondo/Session.h"
#include "tools/rondo/TokenText.h"

#include <cmath>
#include <fmt/format.h>

namespace rondo::cli {

namespace {

struct ScoreOptions {
  std::string package, file;
  bool json = false;
  MachineOptions machine;
};

Result<int> score(const ScoreOptions &options) {
  RONDO_TAKE(Session session, Session::open(options.package, options.machine));
  const std::string_view inputs[] = {"tokens", "targets"};
  RONDO_TAKE(const package::Entry *entry, session.tokenEntry("score", inputs, "logprobs"));
  RONDO_TAKE(TokenText text, TokenText::of(session));
  RONDO_TAKE(std::string content, readText(options.file));
  RONDO_TAKE(std::vector<int64_t> tokens, text.encode(content, /*framed=*/true));
  if (tokens.size() < 2)
    return Error{
        fmt::format("{}: found {} tokens, expected at least 2: the first one is not predicted",
                    options.file, tokens.size())};

  // Long enough that progress costs nothing, short enough that it moves.
  constexpr size_t portion = 4096;
  size_t predictions = tokens.size() - 1;
  RONDO_TAKE(State state, session.newState());
  std::vector<float> logprobs;
  double total = 0; // natural logarithms
  Stopwatch watch;
  {
    Progress progress("score");
    std::span<const int64_t> all(tokens);
    for (size_t begin = 0; begin < predictions; begin += portion) {
      size_t count = std::min(portion, predictions - begin);
      const std::span<const int64_t> rows[] = {all.subspan(begin, count),
                                               all.subspan(begin + 1, count)};
      RONDO_CHECK(session.run(*entry, state, rows, logprobs));
      for (float logprob : logprobs)
        total -= static_cast<double>(logprob);
      progress.show(static_cast<int64_t>(begin + count), static_cast<int64_t>(predictions),
                    "tokens");
    }
  }
  double seconds = watch.seconds();
  if (!std::isfinite(total))
    return Error{fmt::format("{}: the log-likelihood of {} is not a finite number", session.path(),
                             options.file)};
  // The bytes that were predicted: all but those of the first token.
  size_t firstBytes = std::min(text.decode({tokens.data(), 1}).size(), content.size() - 1);
  size_t bytes = content.size() - firstBytes;
  double bitsPerByte = total / std::log(2.0) / static_cast<double>(bytes);
  double perplexity = std::exp(total / static_cast<double>(predictions));
  double speed = static_cast<double>(predictions) / seconds;
  if (options.json) {
    printJson({{"bits_per_byte", bitsPerByte},
               {"perplexity", perplexity},
               {"nats_per_token", total / static_cast<double>(predictions)},
               {"predictions", predictions},
               {"predicted_bytes", bytes},
               {"tokens_per_second", speed},
               {"seconds", seconds},
               {"threads", session.threads()},
               {"isa", session.isa()}});
    return Success;
  }
  fmt::print("bits per byte  {:.5f}\nperplexity     {:.4f} per token\npredictions    {} ({} "
             "bytes)\nspeed          {:.1f} tokens/s "
             "({:.2f} s, {} threads, {})\n",
             bitsPerByte, perplexity, predictions, bytes, speed, seconds, session.threads(),
             session.isa());
  return Success;
}

} // namespace

Command addScore(CLI::App &app) {
  auto options = std::make_shared<ScoreOptions>();
  CLI::App *command = app.add_subcommand(
      "score", "How well a model predicts a text: bits per byte, perplexity, tokens/s");
  command->add_option("PKG", options->package, "The package")->required();
  command->add_option("FILE", options->file, "The text")->required();
  command->add_flag("--json", options->json, "Print an object for programs");
  options->machine.addTo(*command);
  command->footer("The text is read in one pass, the state carried from its first token; N tokens "
                  "give N - 1 predictions.\n"
                  "Examples:\n"
                  "  rondo score model.rpk heldout.txt\n"
                  "  rondo score model.rpk heldout.txt -t 2 --json");
  return {command, [options] { return score(*options); }};
}

} // namespace rondo::cli

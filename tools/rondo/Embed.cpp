// Embed.cpp - `rondo embed`: a vector of each line of a text, by a model whose entry `prefill`
// gives one for a sequence.

#include "runtime/file.h"
#include "runtime/safetensors.h"
#include "tools/rondo/Command.h"
#include "tools/rondo/Console.h"
#include "tools/rondo/Session.h"
#include "tools/rondo/TokenText.h"

#include <fmt/format.h>

namespace rondo::cli {

namespace {

struct EmbedOptions {
  std::string package, file, output;
  bool json = false;
  MachineOptions machine;
};

std::vector<std::string> linesOf(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

Result<int> embed(const EmbedOptions &options) {
  RONDO_TAKE(Session session, Session::open(options.package, options.machine));
  RONDO_TAKE(TokenText text, TokenText::of(session));
  const std::string_view inputs[] = {"tokens"};
  RONDO_TAKE(const package::Entry *entry, session.tokenEntry("prefill", inputs, "logits"));
  RONDO_TAKE(std::string content, readText(options.file));
  std::vector<std::string> lines = linesOf(content);
  if (lines.empty())
    return Error{options.file + ": found no line, expected at least one text"};

  int64_t width = rowBytes(*entry->outputs()->Get(0)) / static_cast<int64_t>(sizeof(float));
  RONDO_TAKE(Tensor all,
             makeTensor("embeddings", DType::F32, {static_cast<int64_t>(lines.size()), width}));
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  std::vector<float> vector;
  Progress progress("embed");
  for (size_t i = 0; i < lines.size(); ++i) {
    progress.show(fmt::format("text {} of {}", i + 1, lines.size()));
    RONDO_TAKE(std::vector<int64_t> tokens, text.encode(lines[i], /*framed=*/true));
    if (tokens.empty())
      return Error{fmt::format("{}: line {}: found no token in it", options.file, i + 1)};
    RONDO_TAKE(State state, session.newState());
    const std::span<const int64_t> ids[] = {tokens};
    if (Status done = session.run(*entry, state, ids, vector); !done)
      return Error{fmt::format("{}: line {}: {}", options.file, i + 1, done.error().message)};
    std::copy(vector.begin(), vector.end(),
              all.as<float>().begin() + static_cast<std::ptrdiff_t>(i) * width);
    if (options.json)
      rows.push_back({{"text", lines[i]}, {"tokens", tokens}, {"embedding", vector}});
  }
  progress.clear();
  if (options.json)
    printJson(rows);
  if (!options.output.empty()) {
    const Tensor tensors[] = {std::move(all)};
    RONDO_CHECK(writeTensors(options.output, tensors));
  } else if (!options.json) {
    for (size_t i = 0; i < lines.size(); ++i)
      fmt::print("{}\n", fmt::join(all.as<float>().subspan(i * static_cast<size_t>(width),
                                                           static_cast<size_t>(width)),
                                   " "));
  }
  return Success;
}

} // namespace

Command addEmbed(CLI::App &app) {
  auto options = std::make_shared<EmbedOptions>();
  CLI::App *command = app.add_subcommand("embed", "A vector of each line of a text");
  command->add_option("PKG", options->package, "The package")->required();
  command->add_option("FILE", options->file, "The texts, one a line")->required();
  command->add_option("-o,--output", options->output,
                      "Write them as `embeddings` [lines, numbers] (safetensors) instead of "
                      "printing them");
  command->add_flag("--json", options->json, "Print each text with its ids and its vector");
  options->machine.addTo(*command);
  command->footer(
      "What the model gives for a whole text; of an encoder, pooled as its spec was set: "
      "rondoc --checkpoint DIR --set pooling=mean --set unit=true -o encoder.rpk\n"
      "Examples:\n"
      "  rondo embed encoder.rpk sentences.txt -o vectors.safetensors\n"
      "  rondo embed encoder.rpk sentences.txt --json");
  return {command, [options] { return embed(*options); }};
}

} // namespace rondo::cli

// Inspect.cpp - `rondo inspect`: what a package says of itself.

#include "tools/rondo/Command.h"
#include "tools/rondo/Console.h"
#include "tools/rondo/LogitsDifference.h"
#include "tools/rondo/MemoryNeed.h"
#include "tools/rondo/Session.h"

#include <fmt/format.h>

namespace rondo::cli {

namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string package;
  bool json = false, check = false, explain = false;
  int64_t tokens = 0, sequences = 1; ///< to say what memory they need; tokens 0: do not
  int threads = 1;
};

MemoryNeed memoryOf(const Package &package, const InspectOptions &options) {
  return memoryNeed(package, options.tokens, options.sequences, options.threads);
}

std::string textOf(const flatbuffers::String *text) { return text ? text->str() : std::string(); }

std::string kindOf(const package::State &state) {
  switch (state.kind()) {
  case package::StateKind::Fixed:
    return "fixed";
  case package::StateKind::Tail:
    return fmt::format("last {} tokens", state.tokens());
  case package::StateKind::Cache:
    return state.tokens() > 0 ? fmt::format("window of {} tokens", state.tokens())
                              : std::string("all tokens");
  }
  return {};
}

Json describeValue(const package::Value &value) {
  Json axes = Json::array();
  for (const package::Axis *axis : *value.axes())
    axes.push_back({{"name", textOf(axis->name())},
                    {"extent", axis->extent() < 0 ? Json() : Json(axis->extent())}});
  Json result{{"name", textOf(value.name())},
              {"dtype", std::string(nameOf(dtypeOf(value.dtype())))},
              {"axes", axes}};
  if (value.id_limit() > 0)
    result["id_limit"] = value.id_limit();
  return result;
}

Json describeEntries(const package::Package &manifest) {
  Json entries = Json::array();
  for (const package::Entry *entry : *manifest.entries()) {
    Json inputs = Json::array(), outputs = Json::array();
    for (const package::Value *value : *entry->inputs())
      inputs.push_back(describeValue(*value));
    for (const package::Value *value : *entry->outputs())
      outputs.push_back(describeValue(*value));
    entries.push_back({{"name", textOf(entry->name())},
                       {"inputs", inputs},
                       {"outputs", outputs},
                       {"one_row_a_sequence", entry->outputs_in_last_space()},
                       {"whole_sequence", entry->whole_sequence()},
                       {"steps", entry->steps()->size()},
                       {"arena_bytes", entry->arena()},
                       {"max_rows", entry->max_rows()}});
  }
  return entries;
}

Json describeStates(const package::Package &manifest) {
  Json states = Json::array();
  for (const package::State *state : *manifest.states()) {
    states.push_back({{"name", textOf(state->name())},
                      {"kind", state->kind() == package::StateKind::Fixed  ? "fixed"
                               : state->kind() == package::StateKind::Tail ? "tail"
                                                                           : "cache"},
                      {"axes", printAxes(*state->axes())},
                      {"tokens", state->tokens()},
                      {"bytes", state->bytes()}});
    if (state->scale() && state->scale()->size())
      states.back()["scale"] = textOf(state->scale());
  }
  return states;
}

/// Bytes that every sequence holds from its start, and those that every further token adds (until
/// windows are full).
struct StateBytes {
  int64_t fixed = 0, perToken = 0;
};

StateBytes stateBytesOf(const package::Package &manifest) {
  StateBytes bytes{manifest.state_bytes(), 0};
  for (const package::State *state : *manifest.states())
    if (state->kind() == package::StateKind::Cache)
      bytes.perToken += state->bytes();
  return bytes;
}

Json describe(const Package &package, const InspectOptions &options) {
  const package::Package &manifest = package.manifest();
  StateBytes bytes = stateBytesOf(manifest);
  Json kernels = Json::array(), weights = Json::array();
  for (const package::Kernel *kernel : *manifest.kernels()) {
    Json isas = Json::array();
    for (const package::Variant *variant : *kernel->variants())
      isas.push_back(textOf(variant->isa()));
    kernels.push_back({{"name", textOf(kernel->name())},
                       {"kind", textOf(kernel->kind())},
                       {"isas", isas},
                       {"scratch_bytes", kernel->scratch()},
                       {"from", textOf(kernel->location())}});
  }
  for (const package::Weight *weight : *manifest.weights())
    weights.push_back(
        {{"name", textOf(weight->name())},
         {"dtype", std::string(nameOf(dtypeOf(weight->dtype())))},
         {"shape", std::vector<int64_t>(weight->shape()->begin(), weight->shape()->end())},
         {"layout", textOf(weight->layout())},
         {"derived", weight->derived()},
         {"error", weight->error().value_or(0)},
         {"bytes", weight->bytes()}});
  Json result{{"file", package.path()},
              {"model", textOf(manifest.model())},
              {"architecture", textOf(manifest.architecture())},
              {"hash", package.contentHash()},
              {"file_bytes", package.fileBytes()},
              {"code_bytes", package.code().size()},
              {"weight_bytes", package.weightBytes()},
              {"parameters", countParameters(manifest)},
              {"state_bytes_per_sequence", bytes.fixed},
              {"cache_bytes_per_token", bytes.perToken},
              {"tokenizer", manifest.tokenizer() && manifest.tokenizer()->size() > 0},
              {"entries", describeEntries(manifest)},
              {"states", describeStates(manifest)},
              {"kernels", kernels},
              {"weights", weights}};
  if (const package::Objective *objective = manifest.objective())
    result["objective"] = {{"name", textOf(objective->name())}, {"mask", objective->mask()}};
  if (const package::Limit *limit = manifest.limit())
    result["limit"] = {{"tokens", limit->tokens()}, {"message", textOf(limit->message())}};
  result["eos"] = manifest.eos()
                      ? std::vector<int32_t>(manifest.eos()->begin(), manifest.eos()->end())
                      : std::vector<int32_t>();
  if (const package::Provenance *from = manifest.provenance())
    result["provenance"] = {
        {"producer", textOf(from->producer())},   {"spec", textOf(from->spec())},
        {"config", textOf(from->config())},       {"checkpoint", textOf(from->checkpoint())},
        {"precision", textOf(from->precision())}, {"command", textOf(from->command())}};
  if (const package::LogitsError *stored = manifest.logits_error()) {
    Json &error = result["logits_error"] = describeDifference(differenceIn(*stored));
    error["against"] = textOf(stored->against());
    error["precision"] = textOf(stored->precision());
    error["tokens"] = stored->tokens();
    error["seed"] = stored->seed();
  }
  if (options.tokens > 0) {
    MemoryNeed need = memoryOf(package, options);
    result["memory"] = {{"tokens", options.tokens},      {"sequences", options.sequences},
                        {"threads", options.threads},    {"program_bytes", need.program},
                        {"package_bytes", need.package}, {"arena_bytes", need.arena},
                        {"scratch_bytes", need.scratch}, {"state_bytes", need.states},
                        {"text_bytes", need.text},       {"bytes", need.sum()}};
  }
  if (options.check)
    result["weights_checked"] = true;
  return result;
}

std::string signatureOf(const flatbuffers::Vector<flatbuffers::Offset<package::Value>> &values) {
  std::string text;
  for (const package::Value *value : values)
    text += fmt::format("{}{}[{}] {}{}", text.empty() ? "" : ", ", textOf(value->name()),
                        printAxes(*value->axes()), nameOf(dtypeOf(value->dtype())),
                        value->id_limit() > 0 ? fmt::format(" below {}", value->id_limit()) : "");
  return text;
}

void printTables(const package::Package &manifest) {
  std::vector<std::vector<std::string>> rows;
  for (const package::Entry *entry : *manifest.entries())
    rows.push_back(
        {textOf(entry->name()), signatureOf(*entry->inputs()),
         signatureOf(*entry->outputs()) +
             (entry->outputs_in_last_space() ? " (one row a sequence)" : ""),
         std::to_string(entry->steps()->size()), printBytes(static_cast<uint64_t>(entry->arena())),
         std::to_string(entry->max_rows()) + (entry->whole_sequence() ? " (whole sequence)" : "")});
  fmt::print("\n{}", markdownTable({"entry", "inputs", "outputs", "steps", "arena", "rows a piece"},
                                   {false, false, false, true, true, true}, rows));
  rows.clear();
  for (const package::State *state : *manifest.states())
    rows.push_back({textOf(state->name()), kindOf(*state), printAxes(*state->axes()),
                    printBytes(static_cast<uint64_t>(state->bytes())),
                    state->kind() != package::StateKind::Fixed ? "a token"
                    : state->scale() && state->scale()->size()
                        ? fmt::format("times exp({})", textOf(state->scale()))
                        : ""});
  if (!rows.empty())
    fmt::print("\n{}", markdownTable({"state", "keeps", "axes", "bytes", ""},
                                     {false, false, false, true, false}, rows));
  rows.clear();
  for (const package::Kernel *kernel : *manifest.kernels()) {
    std::string isas;
    for (const package::Variant *variant : *kernel->variants())
      isas += (isas.empty() ? "" : ", ") + textOf(variant->isa());
    rows.push_back({textOf(kernel->name()), textOf(kernel->kind()), isas,
                    printBytes(static_cast<uint64_t>(kernel->scratch())),
                    textOf(kernel->location())});
  }
  fmt::print("\n{}", markdownTable({"kernel", "kind", "levels", "scratch a worker", "from"},
                                   {false, false, false, true, false}, rows));
}

/// "85 matrices of BF16, which lost 0.17 % (at most 0.17 %) of their numbers"; empty where all
/// weights are as they were.
std::string printLosses(const package::Package &manifest) {
  double lost = 0, most = 0;
  size_t count = 0;
  std::string types;
  for (const package::Weight *weight : *manifest.weights()) {
    if (weight->layout()->string_view() == "rows" || dtypeOf(weight->dtype()) == DType::F32)
      continue;
    std::string type(nameOf(dtypeOf(weight->dtype())));
    if (types.find(type) == std::string::npos)
      types += (types.empty() ? "" : ", ") + type;
    ++count;
    double error = weight->error().value_or(0);
    lost += error;
    most = std::max(most, error);
  }
  if (count == 0)
    return "";
  return fmt::format("{} matrices of {}, rounded by {:.2g} % on average and {:.2g} % at most (root "
                     "mean square, relative)",
                     count, types, 100 * lost / static_cast<double>(count), 100 * most);
}

void print(const Package &package, const InspectOptions &options) {
  const package::Package &manifest = package.manifest();
  StateBytes bytes = stateBytesOf(manifest);
  std::string architecture = textOf(manifest.architecture());
  fmt::print("model       {}{}\n", textOf(manifest.model()),
             architecture.empty() ? "" : fmt::format(" ({})", architecture));
  fmt::print("file        {}: {}, of which weights {}, code {}\n", package.path(),
             printBytes(package.fileBytes()), printBytes(package.weightBytes()),
             printBytes(package.code().size()));
  fmt::print("hash        {}{}\n", package.contentHash(),
             options.check ? " (weights checked)" : "");
  fmt::print("parameters  {} in {} stored tensors\n", printCount(countParameters(manifest)),
             manifest.weights()->size());
  fmt::print("a sequence  {} of states{}\n", printBytes(static_cast<uint64_t>(bytes.fixed)),
             bytes.perToken ? fmt::format(", and {} of caches a token",
                                          printBytes(static_cast<uint64_t>(bytes.perToken)))
                            : "");
  if (const package::Limit *limit = manifest.limit())
    fmt::print("limit       {} tokens: {}\n", limit->tokens(), limit->message()->string_view());
  if (options.tokens > 0) {
    MemoryNeed need = memoryOf(package, options);
    fmt::print("memory      {} at most with {} sequence{} of {} tokens on {} thread{}: states {}, "
               "package {}, "
               "arena {}, scratch {}, text {}, program {}\n",
               printBytes(need.sum()), options.sequences, options.sequences == 1 ? "" : "s",
               options.tokens, options.threads, options.threads == 1 ? "" : "s",
               printBytes(need.states), printBytes(need.package), printBytes(need.arena),
               printBytes(need.scratch), printBytes(need.text), printBytes(need.program));
  }
  if (manifest.tokenizer() && manifest.tokenizer()->size() > 0)
    fmt::print("tokenizer   tokenizer.json, {}\n", printBytes(manifest.tokenizer()->size()));
  if (manifest.eos() && manifest.eos()->size() > 0)
    fmt::print("ends at     id {}\n",
               fmt::join(manifest.eos()->begin(), manifest.eos()->end(), ", "));
  if (const package::Objective *objective = manifest.objective())
    fmt::print("fills       {}, the mask is id {}\n", objective->name()->string_view(),
               objective->mask());
  if (const package::Provenance *from = manifest.provenance()) {
    auto line = [](const char *label, const flatbuffers::String *text) {
      if (text && text->size() > 0)
        fmt::print("{:<12}{}\n", label, text->string_view());
    };
    line("made by", from->producer());
    line("spec", from->spec());
    line("checkpoint", from->checkpoint());
    std::string precision = textOf(from->precision());
    if (std::string lost = printLosses(manifest); !lost.empty())
      precision += ": " + lost;
    if (!precision.empty())
      fmt::print("{:<12}{}\n", "precision", precision);
    line("command", from->command());
  }
  if (const package::LogitsError *stored = manifest.logits_error()) {
    fmt::print("logits      {}; against {}\n", printDifference(differenceIn(*stored)),
               originOf(*stored));
  }
  printTables(manifest);
}

Result<int> inspect(const InspectOptions &options) {
  RONDO_TAKE(Package package, openPackage(options.package));
  if (options.check)
    RONDO_CHECK(package.checkWeights());
  if (options.explain)
    fmt::print("{}\n", textOf(package.manifest().explain()));
  else if (options.json)
    printJson(describe(package, options));
  else
    print(package, options);
  return Success;
}

} // namespace

Command addInspect(CLI::App &app) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App *command = app.add_subcommand(
      "inspect",
      "What a package says of itself: entries, states, kernels, weights, where it comes from");
  command->add_option("PKG", options->package, "The package")->required();
  auto *json =
      command->add_flag("--json", options->json, "Print an object for programs, with every weight");
  command->add_flag("--check", options->check, "Read all weights and compare them with their hash");
  command->add_flag("--explain", options->explain, "Print what the compiler derived, instead")
      ->excludes(json);
  auto count = CLI::Range(int64_t(1), int64_t(1) << 40);
  command
      ->add_option("--tokens", options->tokens,
                   "Say what memory a run needs that reads and makes so many tokens")
      ->check(count);
  command->add_option("--sequences", options->sequences, "With --tokens: so many at once")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->capture_default_str();
  command->add_option("-t,--threads", options->threads, "With --tokens: on so many threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->footer("Nothing of the package is run.\n"
                  "Examples:\n"
                  "  rondo inspect model.rpk --check\n"
                  "  rondo inspect model.rpk --tokens 65536 -t 2\n"
                  "  rondo inspect model.rpk --json");
  return {command, [options] { return inspect(*options); }};
}

} // namespace rondo::cli

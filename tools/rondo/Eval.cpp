// Eval.cpp - `rondo eval`: one entry on tensors of a safetensors file.
//
// Inputs are [B, T, axes...], or [1, T, axes...] with cu_seqlens [S + 1] for packed sequences of
// different lengths. `state.NAME`, [sequences, axes...], is where that state of each sequence
// begins; with state.position, [sequences], they are whole states to go on from, caches included.
// The final states come back under the same names.

#include "runtime/safetensors.h"
#include "tools/rondo/Command.h"
#include "tools/rondo/EntryInputs.h"
#include "tools/rondo/Session.h"
#include "tools/rondo/Sibling.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace rondo::cli {

namespace {

struct EvalOptions {
  std::string package, entry = "forward", inputs, outputs, precision = "f32";
  bool reference = false;
  MachineOptions machine;
};

constexpr std::string_view statePrefix = "state.";

const package::State *findState(const package::Package &manifest, std::string_view name) {
  for (const package::State *state : *manifest.states())
    if (state->name()->string_view() == name)
      return state;
  return nullptr;
}

/// What the file gives of state `name` for sequence `index` of `count`: that part of [count, ...],
/// or a tensor of its own, `state.NAME[index]`.
Result<std::optional<TensorView>> givenState(const TensorFile &file, const std::string &name,
                                             size_t index, size_t count) {
  std::string whole = std::string(statePrefix) + name;
  if (const TensorView *own = file.find(fmt::format("{}[{}]", whole, index))) {
    TensorView view = *own;
    view.name = name;
    return std::optional(view);
  }
  const TensorView *all = file.find(whole);
  if (!all)
    return std::optional<TensorView>();
  if (all->shape.empty() || all->shape[0] != static_cast<int64_t>(count))
    return wrongTensor(*all, fmt::format("[{}, axes...]: one for each sequence", count));
  size_t each = all->bytes.size() / count;
  return std::optional(TensorView{name,
                                  all->dtype,
                                  {all->shape.begin() + 1, all->shape.end()},
                                  all->bytes.subspan(index * each, each),
                                  file.path()});
}

/// Names on stderr what nothing reads; an error where a state is meant.
Status checkNames(const TensorFile &file, const Session &session, const package::Entry &entry) {
  for (const TensorView &tensor : file.tensors()) {
    std::string_view name = tensor.name;
    if (name.starts_with(statePrefix)) {
      name.remove_prefix(statePrefix.size());
      std::string_view base = name.ends_with(']') ? name.substr(0, name.rfind('[')) : name;
      if (name != "position" && !findState(session.manifest(), name) &&
          !findState(session.manifest(), base))
        return Error{
            fmt::format("{}: tensor '{}': {} has no state '{}'; `rondo inspect` lists its states",
                        file.path(), tensor.name, session.path(), name)};
      continue;
    }
    bool used = name == "cu_seqlens";
    for (const package::Value *value : *entry.inputs())
      used |= value->name()->string_view() == name;
    if (!used)
      fmt::print(stderr, "note: {}: tensor '{}' is no input of entry '{}' and was not used\n",
                 file.path(), name, entry.name()->string_view());
  }
  return {};
}

/// Sets the initial states that the file gives. With `state.position` they are all of them, of
/// sequences that go on; without, those of sequences that begin.
Status readStates(const TensorFile &file, const Session &session, std::vector<State> &states) {
  bool goesOn = file.find("state.position");
  for (size_t i = 0; i < states.size(); ++i) {
    std::vector<TensorView> given;
    if (goesOn) {
      RONDO_TAKE(std::optional<TensorView> position,
                 givenState(file, "position", i, states.size()));
      given.push_back(*position);
    }
    // Scales after what they scale, whose setting makes them 0.
    std::vector<const package::State *> ordered(session.manifest().states()->begin(),
                                                session.manifest().states()->end());
    std::partition(ordered.begin(), ordered.end(), [&](const package::State *state) {
      return scaleOf(session.manifest(), *state);
    });
    for (const package::State *state : ordered) {
      std::string name = state->name()->str();
      RONDO_TAKE(std::optional<TensorView> found, givenState(file, name, i, states.size()));
      if (!found)
        continue;
      if (!goesOn)
        RONDO_CHECK(states[i].set(name, *found));
      given.push_back(*found);
    }
    if (goesOn)
      RONDO_CHECK(states[i].load(given, file.path()));
  }
  return {};
}

/// Appends the final states, [sequences, axes...], to the outputs; caches of sequences of different
/// lengths one by one, as `state.NAME[index]`.
Status addStates(const std::vector<State> &states, std::vector<Tensor> &outputs) {
  std::vector<std::vector<Tensor>> saved;
  for (const State &state : states) {
    RONDO_TAKE(std::vector<Tensor> tensors, state.save());
    saved.push_back(std::move(tensors));
  }
  for (size_t t = 0; !saved.empty() && t < saved.front().size(); ++t) {
    const Tensor &first = saved.front()[t];
    std::string name = std::string(statePrefix) + first.name;
    if (!std::all_of(saved.begin(), saved.end(),
                     [&](const auto &own) { return own[t].shape == first.shape; })) {
      for (size_t i = 0; i < saved.size(); ++i) {
        saved[i][t].name = fmt::format("{}[{}]", name, i);
        outputs.push_back(std::move(saved[i][t]));
      }
      continue;
    }
    std::vector<int64_t> shape = first.shape;
    shape.insert(shape.begin(), static_cast<int64_t>(saved.size()));
    RONDO_TAKE(Tensor all, makeTensor(name, first.dtype, std::move(shape)));
    for (size_t i = 0; i < saved.size(); ++i)
      if (!saved[i][t].bytes.empty())
        std::memcpy(all.bytes.data() + i * saved[i][t].bytes.size(), saved[i][t].bytes.data(),
                    saved[i][t].bytes.size());
    outputs.push_back(std::move(all));
  }
  return {};
}

/// The interpreter keeps states as the spec has them. In its outputs stay those that the package
/// keeps as well, so that `rondo eval` can go on from them: a scaled state comes with the exponent
/// 0; a cache whose contents the compiler chose otherwise cannot be handed over, and is named.
Status keepPackageStates(const EvalOptions &options) {
  RONDO_TAKE(Package package, Package::open(options.package));
  const package::Package &manifest = package.manifest();
  std::vector<Tensor> kept;
  std::string missing;
  {
    RONDO_TAKE(TensorFile file, TensorFile::open(options.outputs));
    auto keep = [&](const TensorView &view) -> Status {
      RONDO_TAKE(Tensor tensor, makeTensor(view.name, view.dtype, view.shape));
      std::copy(view.bytes.begin(), view.bytes.end(), tensor.bytes.begin());
      kept.push_back(std::move(tensor));
      return {};
    };
    const TensorView *position = file.find("state.position");
    for (const TensorView &view : file.tensors())
      if (!view.name.starts_with(statePrefix) || &view == position)
        RONDO_CHECK(keep(view));
    for (const package::State *state : *manifest.states()) {
      std::string name = std::string(statePrefix) + state->name()->str();
      size_t before = kept.size();
      for (const TensorView &view : file.tensors())
        if (view.name == name || view.name.starts_with(name + "["))
          RONDO_CHECK(keep(view));
      if (kept.size() > before || !position)
        continue;
      bool scales = std::any_of(
          manifest.states()->begin(), manifest.states()->end(),
          [&](const package::State *other) { return scaleOf(manifest, *other) == state; });
      if (!scales) {
        missing += (missing.empty() ? "'" : ", '") + state->name()->str() + "'";
        continue;
      }
      std::vector<int64_t> shape{position->shape.empty() ? 1 : position->shape[0]};
      for (const package::Axis *axis : *state->axes())
        shape.push_back(axis->extent());
      RONDO_TAKE(Tensor zero, makeTensor(name, DType::F32, shape));
      kept.push_back(std::move(zero));
    }
  }
  if (!missing.empty())
    fmt::print(stderr,
               "note: {}: the package keeps {} otherwise than the interpreter does: sequences "
               "cannot go on from these states\n",
               options.outputs, missing);
  return writeTensors(options.outputs, kept);
}

Status evaluateReference(const EvalOptions &options) {
  std::optional<std::string> program = findProgram("rondo-interp");
  if (!program)
    return Error{"rondo-interp was not found beside this program or on PATH; the reference is "
                 "computed by it"};
  std::vector<std::string> command{*program,       options.package, "--inputs",
                                   options.inputs, "--outputs",     options.outputs};
  if (options.precision == "f64")
    command.push_back("--f64");
  if (options.entry != "forward")
    command.insert(command.end(), {"--entry", options.entry});
  RONDO_CHECK(runProgram(command));
  return keepPackageStates(options);
}

Result<int> evaluate(const EvalOptions &options) {
  if (options.reference) {
    RONDO_CHECK(evaluateReference(options));
    return Success;
  }
  RONDO_TAKE(Session session, Session::open(options.package, options.machine));
  RONDO_TAKE(const package::Entry *entry, session.entry(options.entry));
  RONDO_TAKE(TensorFile file, TensorFile::open(options.inputs));

  Batch batch;
  std::vector<Tensor> inputs;
  std::vector<std::span<const std::byte>> bytes;
  for (const package::Value *value : *entry->inputs()) {
    RONDO_TAKE(Tensor tensor, readInput(file, *entry, *value, batch));
    inputs.push_back(std::move(tensor));
  }
  for (const Tensor &tensor : inputs)
    bytes.emplace_back(tensor.bytes);
  if (batch.leading.empty())
    return Error{
        fmt::format("{}: entry '{}' takes no input, so nothing says how many tokens to run",
                    session.path(), options.entry)};
  RONDO_CHECK(splitIntoSequences(file, batch));

  std::vector<State> states;
  std::vector<State *> pointers;
  for (size_t i = 0; i < batch.lengths.size(); ++i) {
    RONDO_TAKE(State state, session.newState());
    states.push_back(std::move(state));
  }
  for (State &state : states)
    pointers.push_back(&state);
  RONDO_CHECK(checkNames(file, session, *entry));
  RONDO_CHECK(readStates(file, session, states));

  RONDO_TAKE(std::vector<Tensor> outputs, session.run(*entry, pointers, batch.lengths, bytes));
  if (!entry->outputs_in_last_space())
    for (Tensor &tensor : outputs) {
      tensor.shape.erase(tensor.shape.begin());
      tensor.shape.insert(tensor.shape.begin(), batch.leading.begin(), batch.leading.end());
    }
  RONDO_CHECK(addStates(states, outputs));
  RONDO_CHECK(writeTensors(options.outputs, outputs));
  return Success;
}

} // namespace

Command addEval(CLI::App &app) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App *command = app.add_subcommand("eval", "Runs one entry on tensors of a safetensors file");
  command->add_option("PKG", options->package, "The package")->required();
  command->add_option("--entry", options->entry, "forward, prefill, step, score")
      ->capture_default_str();
  command
      ->add_option("--inputs", options->inputs,
                   "Tensors named as the entry's inputs, [B, T, axes...]; `state.NAME` [B, "
                   "axes...]: initial states; with cu_seqlens "
                   "[S + 1] the inputs are [1, T, axes...] and the states [S, axes...]")
      ->required();
  command
      ->add_option("--outputs", options->outputs,
                   "Where to write the outputs, [B, T, axes...] ([B, axes...] of prefill and "
                   "step), and the final states as `state.NAME`: what --inputs takes to go on")
      ->required();
  command->add_option("--precision", options->precision, "f64 only with --reference")
      ->check(CLI::IsMember({"f32", "f64"}))
      ->capture_default_str();
  command->add_flag("--reference", options->reference,
                    "Let the reference interpreter (rondo-interp) compute it");
  options->machine.addTo(*command);
  command->callback([options] {
    if (options->precision == "f64" && !options->reference)
      throw CLI::ValidationError(
          "--precision f64",
          "kernels compute in f32; add --reference to let the interpreter compute in f64");
  });
  command->footer("Examples:\n"
                  "  rondo eval model.rpk --entry forward --inputs tokens.safetensors --outputs "
                  "logits.safetensors\n"
                  "  rondo eval model.rpk --inputs tokens.safetensors --outputs exact.safetensors "
                  "--precision f64 --reference");
  return {command, [options] { return evaluate(*options); }};
}

} // namespace rondo::cli

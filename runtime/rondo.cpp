// rondo.cpp - The C API over Program, State and Executor: arguments checked, errors kept a thread,
// no exception out.

#include "runtime/rondo.h"
#include "runtime/executor.h"
#include "runtime/file.h"
#include "runtime/safetensors.h"
#include "runtime/sampling.h"
#include "runtime/tokenizer.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <mutex>
#include <new>
#include <optional>

using namespace rondo;

/// What a model and its states share: it lives until the last of them goes.
struct Shared {
  std::shared_ptr<const Program> program;
  std::unique_ptr<Executor> executor;
  std::optional<Tokenizer> tokenizer;
  std::string noTokenizer; // why there is none
  std::mutex mutex;        // one call at a time
};

struct rondo_model {
  std::shared_ptr<Shared> shared;
};

struct rondo_state {
  std::shared_ptr<Shared> shared;
  State state;
};

static_assert(int(RONDO_F32) == int(DType::F32) && int(RONDO_I32) == int(DType::I32) &&
              int(RONDO_I64) == int(DType::I64) && int(RONDO_U8) == int(DType::U8));

namespace {

thread_local std::string lastError = "no call has failed";

/// Runs a body that returns a Status; keeps its error, and what it throws, for rondo_last_error.
template <class Body> int guarded(Body body) noexcept {
  try {
    Status status = body();
    if (status)
      return RONDO_OK;
    lastError = status.error().message;
  } catch (const std::bad_alloc &) {
    lastError.assign("not enough memory"); // short enough to need none
  } catch (const std::exception &error) {
    try {
      lastError = error.what();
    } catch (...) {
      lastError.clear();
    }
  }
  return RONDO_ERROR;
}

Status present(const void *argument, const char *name) {
  if (!argument)
    return Error{fmt::format("argument '{}': found null", name)};
  return {};
}

/// Readies text where the package has some; a tokenizer that is not read is no reason to refuse
/// ids.
void readTokenizer(Shared &shared) {
  const package::Package &manifest = shared.program->manifest();
  if (manifest.tokenizer() && manifest.tokenizer()->size() > 0) {
    Result<Tokenizer> read = Tokenizer::fromJson(
        manifest.tokenizer()->string_view(), shared.program->file().path() + ": tokenizer.json");
    if (read)
      shared.tokenizer = *std::move(read);
    else
      shared.noTokenizer = read.error().message;
    return;
  }
  for (const package::Entry *entry : *manifest.entries())
    for (const package::Value *value : *entry->inputs())
      if (value->id_limit() == 256 && !shared.tokenizer)
        shared.tokenizer = Tokenizer::bytes();
  if (!shared.tokenizer)
    shared.noTokenizer =
        shared.program->file().path() +
        ": it has no tokenizer, and its vocabulary is not the 256 byte values: use ids";
}

Result<const package::Entry *> findEntry(const Shared &shared, const char *name) {
  RONDO_CHECK(present(name, "entry"));
  if (const package::Entry *entry = shared.program->entry(name))
    return entry;
  return Error{fmt::format("{}: found no entry '{}', expected one of {}",
                           shared.program->file().path(), name, shared.program->entryNames())};
}

using Values = flatbuffers::Vector<flatbuffers::Offset<package::Value>>;

int describe(const rondo_model *model, const char *entryName, size_t index, rondo_value *result,
             bool output) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(model, "model"));
    RONDO_CHECK(present(result, "value"));
    RONDO_TAKE(const package::Entry *entry, findEntry(*model->shared, entryName));
    const Values &values = output ? *entry->outputs() : *entry->inputs();
    if (index >= values.size())
      return Error{fmt::format("entry '{}': found index {}, expected less than {}", entryName,
                               index, values.size())};
    const package::Value *value = values.Get(static_cast<uint32_t>(index));
    *result = {};
    result->name = value->name()->c_str();
    result->dtype = static_cast<rondo_dtype>(value->dtype());
    result->rank = std::min<size_t>(value->axes()->size(), 17);
    for (uint32_t i = 0; i < result->rank; ++i) {
      result->shape[i] = value->axes()->Get(i)->extent();
      result->axes[i] = value->axes()->Get(i)->name()->c_str();
    }
    result->id_limit = value->id_limit();
    return {};
  });
}

/// The bytes of the tensor that is `value`, found by name among those given; its type and shape
/// must be the value's with `rows` rows.
Result<std::span<std::byte>> bytesOf(const package::Value &value, const rondo_tensor *tensors,
                                     size_t count, int64_t rows, const char *entry,
                                     const char *what) {
  const rondo_tensor *found = nullptr;
  for (size_t i = 0; i < count; ++i)
    if (tensors[i].name && value.name()->string_view() == tensors[i].name) {
      if (found)
        return Error{fmt::format("entry '{}': {} '{}': found it twice", entry, what,
                                 value.name()->string_view())};
      found = &tensors[i];
    }
  std::vector<int64_t> expected{rows};
  for (uint32_t i = 1; i < value.axes()->size(); ++i)
    expected.push_back(value.axes()->Get(i)->extent());
  std::string_view type = nameOf(dtypeOf(value.dtype()));
  if (!found)
    return Error{fmt::format("entry '{}': {} '{}' is missing, expected {} {}", entry, what,
                             value.name()->string_view(), type, printShape(expected))};
  std::span<const int64_t> shape(found->shape,
                                 found->shape ? std::min<size_t>(found->rank, 32) : 0);
  int dtype; // C lets an enum hold any number
  std::memcpy(&dtype, &found->dtype, sizeof dtype);
  if (dtype != int(value.dtype()) ||
      !std::equal(shape.begin(), shape.end(), expected.begin(), expected.end()))
    return Error{fmt::format("entry '{}': {} '{}': found {} {}, expected {} {}", entry, what,
                             value.name()->string_view(),
                             dtype >= 0 && dtype <= int(RONDO_U8)
                                 ? nameOf(static_cast<DType>(dtype))
                                 : "an unknown type",
                             printShape(shape), type, printShape(expected))};
  auto size = rondo::bytesOf(dtypeOf(value.dtype()), expected);
  if (!size || (*size && !found->data))
    return Error{fmt::format("entry '{}': {} '{}': found no data, expected {} {}", entry, what,
                             value.name()->string_view(), type, printShape(expected))};
  return std::span(static_cast<std::byte *>(found->data), *size);
}

Status runEntry(Shared &shared, const char *name, rondo_state *const *states,
                const int64_t *lengths, size_t sequences, const rondo_tensor *inputs,
                size_t inputCount, const rondo_tensor *outputs, size_t outputCount) {
  RONDO_TAKE(const package::Entry *entry, findEntry(shared, name));
  uint64_t rows = 0;
  std::vector<State *> pointers;
  for (size_t i = 0; i < sequences; ++i) {
    RONDO_CHECK(present(states[i], "states[i]"));
    pointers.push_back(&states[i]->state);
    if (lengths[i] < 0 || lengths[i] > (int64_t(1) << 40) ||
        (rows += static_cast<uint64_t>(lengths[i])) > (uint64_t(1) << 40))
      return Error{
          fmt::format("entry '{}': sequence {}: found length {}, expected 0 to 2^40 rows in all",
                      name, i, lengths[i])};
  }
  if (inputCount != entry->inputs()->size() || outputCount != entry->outputs()->size())
    return Error{fmt::format("entry '{}': found {} inputs and {} outputs, expected {} and {}", name,
                             inputCount, outputCount, entry->inputs()->size(),
                             entry->outputs()->size())};
  int64_t outputRows = static_cast<int64_t>(entry->outputs_in_last_space() ? sequences : rows);
  std::vector<std::span<const std::byte>> in;
  std::vector<std::span<std::byte>> out;
  for (const package::Value *value : *entry->inputs()) {
    RONDO_TAKE(std::span<std::byte> bytes,
               bytesOf(*value, inputs, inputCount, static_cast<int64_t>(rows), name, "input"));
    in.push_back(bytes);
  }
  for (const package::Value *value : *entry->outputs()) {
    RONDO_TAKE(std::span<std::byte> bytes,
               bytesOf(*value, outputs, outputCount, outputRows, name, "output"));
    out.push_back(bytes);
  }
  return shared.executor->run(*entry, pointers, {lengths, sequences}, in, out);
}

/// An entry from `tokens` to one row of `logits` a sequence, as generation needs.
Result<const package::Entry *> tokenEntry(const Shared &shared, const char *name) {
  RONDO_TAKE(const package::Entry *entry, findEntry(shared, name));
  if (entry->inputs()->size() != 1 || entry->inputs()->Get(0)->dtype() != package::DType::I64 ||
      entry->inputs()->Get(0)->axes()->size() != 1 || entry->outputs()->size() != 1 ||
      entry->outputs()->Get(0)->dtype() != package::DType::F32 || !entry->outputs_in_last_space())
    return Error{fmt::format("{}: entry '{}': expected ids as its only input, and logits of the "
                             "last token as its only output",
                             shared.program->file().path(), name)};
  return entry;
}

Status generate(Shared &shared, State &state, std::span<const int64_t> prompt,
                const rondo_sampling &sampling, size_t most, rondo_on_token onToken, void *context,
                int64_t *ids, size_t &count) {
  RONDO_TAKE(const package::Entry *prefill, tokenEntry(shared, "prefill"));
  RONDO_TAKE(const package::Entry *step, tokenEntry(shared, "step"));
  RONDO_TAKE(Sampler sampler,
             Sampler::create({sampling.temperature, sampling.top_p, sampling.seed}));
  if (prompt.empty())
    return Error{"prompt: found no token, expected at least one to go on from"};
  if (most > (size_t(1) << 40))
    return Error{fmt::format("most: found {}, expected at most 2^40 tokens", most)};
  // Room first: nothing is allocated, and nothing of that kind can fail, once tokens were given
  // out.
  RONDO_CHECK(state.reserve(static_cast<int64_t>(prompt.size() + most)));
  std::vector<float> logits(static_cast<size_t>(rowBytes(*prefill->outputs()->Get(0))) /
                            sizeof(float));
  State *states[] = {&state};
  auto run = [&](const package::Entry &entry, std::span<const int64_t> tokens) {
    int64_t lengths[] = {static_cast<int64_t>(tokens.size())};
    std::span<const std::byte> in[] = {std::as_bytes(tokens)};
    std::span<std::byte> out[] = {std::as_writable_bytes(std::span(logits))};
    return shared.executor->run(entry, states, lengths, in, out);
  };
  const auto *eos = shared.program->manifest().eos();
  RONDO_CHECK(run(*prefill, prompt));
  while (count < most) {
    RONDO_TAKE(int64_t id, sampler.sample(logits));
    ids[count++] = id;
    bool ends = eos && std::find(eos->begin(), eos->end(), id) != eos->end();
    if ((onToken && onToken(context, id) != 0) || ends || count == most)
      break;
    RONDO_CHECK(run(*step, {&id, 1}));
  }
  return {};
}

} // namespace

const char *rondo_last_error(void) { return lastError.c_str(); }
const char *rondo_version(void) { return RONDO_VERSION; }

int rondo_open(const char *path, const rondo_options *options, rondo_model **model) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(path, "path"));
    RONDO_CHECK(present(model, "model"));
    auto shared = std::make_shared<Shared>();
    RONDO_TAKE(Package package, Package::open(path));
    RONDO_TAKE(shared->program,
               Program::load(std::move(package), options && options->isa ? options->isa : ""));
    shared->executor = std::make_unique<Executor>(
        shared->program,
        std::make_shared<ThreadPool>(options ? options->threads : 0, options && options->pin));
    readTokenizer(*shared);
    *model = new rondo_model{std::move(shared)};
    return {};
  });
}

void rondo_close(rondo_model *model) { delete model; }

const char *rondo_entry_name(const rondo_model *model, size_t index) {
  if (!model || index >= model->shared->program->manifest().entries()->size())
    return nullptr;
  return model->shared->program->manifest()
      .entries()
      ->Get(static_cast<uint32_t>(index))
      ->name()
      ->c_str();
}

int rondo_input(const rondo_model *model, const char *entry, size_t index, rondo_value *value) {
  return describe(model, entry, index, value, false);
}
int rondo_output(const rondo_model *model, const char *entry, size_t index, rondo_value *value) {
  return describe(model, entry, index, value, true);
}

int rondo_state_new(rondo_model *model, rondo_state **state) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(model, "model"));
    RONDO_CHECK(present(state, "state"));
    RONDO_TAKE(State created, State::create(model->shared->program));
    *state = new rondo_state{model->shared, std::move(created)};
    return {};
  });
}

int rondo_state_copy(const rondo_state *state, rondo_state **copy) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(state, "state"));
    RONDO_CHECK(present(copy, "copy"));
    std::lock_guard lock(state->shared->mutex);
    auto copied = std::make_unique<rondo_state>(*state);
    // Memory that was short leaves a copy that holds less.
    if (copied->state.bytes() != state->state.bytes())
      return Error{
          fmt::format("not enough memory for a copy of a state of {} bytes", state->state.bytes())};
    *copy = copied.release();
    return {};
  });
}

void rondo_state_free(rondo_state *state) { delete state; }

int64_t rondo_state_position(const rondo_state *state) {
  return state ? state->state.position() : 0;
}

int rondo_state_reserve(rondo_state *state, int64_t tokens) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(state, "state"));
    std::lock_guard lock(state->shared->mutex);
    return state->state.reserve(tokens);
  });
}

int rondo_state_save(const rondo_state *state, const char *path) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(state, "state"));
    RONDO_CHECK(present(path, "path"));
    std::lock_guard lock(state->shared->mutex);
    RONDO_TAKE(std::vector<Tensor> tensors, state->state.save());
    return writeTensors(path, std::span<const Tensor>(tensors));
  });
}

int rondo_state_load(rondo_state *state, const char *path) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(state, "state"));
    RONDO_CHECK(present(path, "path"));
    std::lock_guard lock(state->shared->mutex);
    RONDO_TAKE(TensorFile file, TensorFile::open(path));
    return state->state.load(file.tensors(), path);
  });
}

int rondo_run(rondo_model *model, const char *entry, rondo_state *const *states,
              const int64_t *lengths, size_t sequences, const rondo_tensor *inputs,
              size_t input_count, const rondo_tensor *outputs, size_t output_count) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(model, "model"));
    if (sequences) {
      RONDO_CHECK(present(states, "states"));
      RONDO_CHECK(present(lengths, "lengths"));
    }
    if (input_count)
      RONDO_CHECK(present(inputs, "inputs"));
    if (output_count)
      RONDO_CHECK(present(outputs, "outputs"));
    std::lock_guard lock(model->shared->mutex);
    return runEntry(*model->shared, entry, states, lengths, sequences, inputs, input_count, outputs,
                    output_count);
  });
}

int rondo_encode(const rondo_model *model, const char *text, size_t size, int framed, int64_t *ids,
                 size_t capacity, size_t *count) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(model, "model"));
    RONDO_CHECK(present(count, "count"));
    if (size)
      RONDO_CHECK(present(text, "text"));
    std::lock_guard lock(model->shared->mutex); // patterns hold what they match
    if (!model->shared->tokenizer)
      return Error{model->shared->noTokenizer};
    RONDO_TAKE(std::vector<int64_t> found,
               model->shared->tokenizer->encode({text, size}, framed != 0));
    *count = found.size();
    if (found.size() > capacity)
      return Error{fmt::format("ids: found room for {}, expected {}", capacity, found.size())};
    if (!found.empty())
      RONDO_CHECK(present(ids, "ids"));
    std::copy(found.begin(), found.end(), ids);
    return {};
  });
}

int rondo_decode(const rondo_model *model, const int64_t *ids, size_t count, char *text,
                 size_t capacity, size_t *size) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(model, "model"));
    RONDO_CHECK(present(size, "size"));
    if (count)
      RONDO_CHECK(present(ids, "ids"));
    if (!model->shared->tokenizer)
      return Error{model->shared->noTokenizer};
    std::string decoded = model->shared->tokenizer->decode({ids, count});
    *size = decoded.size();
    if (decoded.size() > capacity)
      return Error{
          fmt::format("text: found room for {} bytes, expected {}", capacity, decoded.size())};
    if (!decoded.empty())
      RONDO_CHECK(present(text, "text"));
    std::copy(decoded.begin(), decoded.end(), text);
    return {};
  });
}

int rondo_generate(rondo_model *model, rondo_state *state, const int64_t *prompt,
                   size_t prompt_count, const rondo_sampling *sampling, size_t most,
                   rondo_on_token on_token, void *context, int64_t *ids, size_t *count) {
  return guarded([&]() -> Status {
    RONDO_CHECK(present(model, "model"));
    RONDO_CHECK(present(state, "state"));
    RONDO_CHECK(present(count, "count"));
    if (prompt_count)
      RONDO_CHECK(present(prompt, "prompt"));
    if (most)
      RONDO_CHECK(present(ids, "ids"));
    std::lock_guard lock(model->shared->mutex);
    // Worked on aside: a generation that fails leaves the state as it was.
    State next = state->state;
    if (next.bytes() != state->state.bytes())
      return Error{
          fmt::format("not enough memory for a copy of a state of {} bytes", state->state.bytes())};
    size_t generated = 0;
    RONDO_CHECK(generate(*model->shared, next, {prompt, prompt_count},
                         sampling ? *sampling : rondo_sampling{0, 1, 1}, most, on_token, context,
                         ids, generated));
    state->state = std::move(next);
    *count = generated;
    return {};
  });
}

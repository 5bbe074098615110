// state.cpp - What a sequence leaves behind for its next token.

#include "runtime/executor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace rondo {

AlignedBytes::AlignedBytes(size_t size) {
  // calloc gives large memory as pages that the system zeroes when they are first touched: what an
  // entry of the package that nobody calls would need costs nothing.
  constexpr size_t alignment = 64;
  if (size > SIZE_MAX - alignment)
    return;
  memory.reset(static_cast<std::byte *>(std::calloc(1, size + alignment)));
  if (!memory)
    return;
  void *first = memory.get();
  size_t room = size + alignment;
  start = static_cast<std::byte *>(std::align(alignment, size, first, room));
  count = size;
}

AlignedBytes::AlignedBytes(const AlignedBytes &other) : AlignedBytes(other.count) {
  if (other.count && memory)
    std::memcpy(start, other.start, other.count);
}

void AlignedBytes::Free::operator()(std::byte *bytes) const { std::free(bytes); }

/// More than any sequence has; sums of two such numbers fit.
static constexpr int64_t mostTokens = int64_t(1) << 40;

static std::vector<int64_t> shapeOf(const package::State &state) {
  std::vector<int64_t> shape;
  if (state.kind() == package::StateKind::Tail)
    shape.push_back(state.tokens());
  for (const package::Axis *axis : *state.axes())
    shape.push_back(axis->extent());
  return shape;
}

/// Copies a state between the order of its axes and the order in which kernels store it.
static void copyState(const package::State &state, const std::byte *from, std::byte *to,
                      bool toStorage) {
  auto total = static_cast<size_t>(state.bytes());
  if (!state.order() || state.order()->size() == 0) {
    std::memcpy(to, from, total);
    return;
  }
  size_t rank = state.axes()->size(), element = bytesOf(dtypeOf(state.dtype()));
  std::vector<size_t> extents(rank), strides(rank), index(rank, 0);
  for (size_t i = 0; i < rank; ++i)
    extents[i] = static_cast<size_t>(state.axes()->Get(static_cast<unsigned>(i))->extent());
  size_t stride = 1;
  for (size_t i = rank; i-- > 0;) {
    auto axis = static_cast<size_t>(state.order()->Get(static_cast<unsigned>(i)));
    strides[axis] = stride;
    stride *= extents[axis];
  }
  for (size_t at = 0; at < total / element; ++at) {
    size_t stored = 0;
    for (size_t i = 0; i < rank; ++i)
      stored += index[i] * strides[i];
    std::memcpy(to + (toStorage ? stored : at) * element,
                from + (toStorage ? at : stored) * element, element);
    for (size_t i = rank; i-- > 0 && ++index[i] == extents[i];)
      index[i] = 0;
  }
}

Result<State> State::create(std::shared_ptr<const Program> program) {
  const package::Package &manifest = program->manifest();
  State state;
  state.block = AlignedBytes(static_cast<size_t>(manifest.state_bytes()));
  if (!state.block.data())
    return Error{program->file().path() + ": not enough memory for a state of " +
                 std::to_string(manifest.state_bytes()) + " bytes"};
  state.caches.resize(static_cast<size_t>(manifest.caches()));
  for (const package::State *s : *manifest.states())
    if (s->kind() == package::StateKind::Fixed && s->init() >= 0)
      copyState(*s, program->file().weight(static_cast<size_t>(s->init())).data(),
                state.block.data() + s->offset(), /*toStorage=*/true);
  state.program = std::move(program);
  return state;
}

State::State(const State &other)
    : program(other.program), block(other.block), caches(other.caches.size()),
      tokens(other.tokens) {
  if (block.size() != other.block.size())
    throw std::bad_alloc();
  for (const package::State *s : *program->manifest().states()) {
    if (s->kind() != package::StateKind::Cache)
      continue;
    auto index = static_cast<size_t>(s->offset());
    const Cache &from = other.caches[index];
    // What was reserved and holds nothing yet is not copied.
    auto written = static_cast<size_t>(std::min(tokens, from.capacity) * s->bytes());
    if (!caches[index].bytes.grow(from.bytes.size()))
      throw std::bad_alloc();
    if (written)
      std::memcpy(caches[index].bytes.data(), from.bytes.data(), written);
    caches[index].capacity = from.capacity;
  }
}

State &State::operator=(State other) noexcept {
  program = std::move(other.program);
  std::swap(block, other.block);
  std::swap(caches, other.caches);
  tokens = other.tokens;
  return *this;
}

size_t State::bytes() const {
  size_t total = block.size();
  for (const Cache &cache : caches)
    total += cache.bytes.size();
  return total;
}

/// How many of the tokens seen a cache still holds.
static int64_t keptTokens(const package::State &state, int64_t seen) {
  return state.tokens() > 0 ? std::min(seen, state.tokens()) : seen;
}

Result<std::vector<Tensor>> State::save() const {
  std::vector<Tensor> tensors;
  RONDO_TAKE(Tensor at, makeTensor("position", DType::I64, {}));
  std::memcpy(at.bytes.data(), &tokens, sizeof tokens);
  tensors.push_back(std::move(at));
  for (const package::State *s : *program->manifest().states()) {
    std::vector<int64_t> shape = shapeOf(*s);
    auto dtype = dtypeOf(s->dtype());
    if (s->kind() != package::StateKind::Cache) {
      RONDO_TAKE(Tensor tensor, makeTensor(s->name()->str(), dtype, shape));
      if (s->kind() == package::StateKind::Fixed)
        copyState(*s, block.data() + s->offset(), tensor.bytes.data(), /*toStorage=*/false);
      else
        std::memcpy(tensor.bytes.data(), block.data() + s->offset(), tensor.bytes.size());
      tensors.push_back(std::move(tensor));
      continue;
    }
    const Cache &cache = caches[static_cast<size_t>(s->offset())];
    int64_t kept = keptTokens(*s, tokens);
    shape.insert(shape.begin(), kept);
    RONDO_TAKE(Tensor tensor, makeTensor(s->name()->str(), dtype, shape));
    auto row = static_cast<size_t>(s->bytes());
    for (int64_t i = 0; i < kept; ++i) {
      int64_t slot = (tokens - kept + i) % cache.capacity;
      std::memcpy(tensor.bytes.data() + static_cast<size_t>(i) * row,
                  cache.bytes.data() + static_cast<size_t>(slot) * row, row);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

static Error mismatch(const TensorView &found, DType dtype, const std::vector<int64_t> &shape) {
  return Error{found.file + ": state '" + found.name + "': found " +
               std::string(nameOf(found.dtype)) + " " + printShape(found.shape) + ", expected " +
               std::string(nameOf(dtype)) + " " + printShape(shape)};
}

Status State::set(std::string_view name, const TensorView &value) {
  RONDO_CHECK(assign(name, value));
  for (const package::State *s : *program->manifest().states())
    if (const package::State *scale =
            s->name()->string_view() == name ? scaleOf(program->manifest(), *s) : nullptr)
      std::memset(block.data() + scale->offset(), 0, static_cast<size_t>(scale->bytes()));
  return {};
}

Status State::assign(std::string_view name, const TensorView &value) {
  for (const package::State *s : *program->manifest().states()) {
    if (s->name()->string_view() != name)
      continue;
    auto dtype = dtypeOf(s->dtype());
    std::vector<int64_t> shape = shapeOf(*s);
    if (s->kind() == package::StateKind::Cache)
      return Error{value.file + ": state '" + std::string(name) +
                   "' is a cache: it can only be loaded with the whole state"};
    if (value.dtype != dtype || value.shape != shape)
      return mismatch(value, dtype, shape);
    if (s->kind() == package::StateKind::Fixed)
      copyState(*s, value.bytes.data(), block.data() + s->offset(), /*toStorage=*/true);
    else
      std::memcpy(block.data() + s->offset(), value.bytes.data(), value.bytes.size());
    return {};
  }
  return Error{value.file + ": no state is called '" + std::string(name) + "'"};
}

Status State::load(std::span<const TensorView> tensors, const std::string &file) {
  auto find = [&](std::string_view name) -> const TensorView * {
    for (const TensorView &tensor : tensors)
      if (tensor.name == name)
        return &tensor;
    return nullptr;
  };
  const TensorView *at = find("position");
  if (!at || at->dtype != DType::I64 || at->bytes.size() != sizeof(int64_t))
    return Error{file + ": expected a tensor 'position' of one I64, as a saved state has"};
  int64_t seen = 0;
  std::memcpy(&seen, at->bytes.data(), sizeof seen);
  if (seen < 0 || seen > mostTokens)
    return Error{file + ": tensor 'position': found " + std::to_string(seen) +
                 ", expected a number of tokens from 0 to " + std::to_string(mostTokens)};
  if (tensors.size() != program->manifest().states()->size() + 1)
    return Error{file + ": found " + std::to_string(tensors.size()) + " tensors, expected " +
                 std::to_string(program->manifest().states()->size() + 1) + ": the states of " +
                 program->manifest().model()->str() + ", and position"};
  // Built aside, so that a bad file leaves this state as it was.
  RONDO_TAKE(State next, State::create(program));
  next.tokens = seen;
  for (const package::State *s : *program->manifest().states()) {
    const TensorView *found = find(s->name()->string_view());
    if (!found)
      return Error{file + ": state '" + s->name()->str() + "' is missing"};
    if (s->kind() != package::StateKind::Cache) {
      RONDO_CHECK(next.assign(s->name()->string_view(), *found));
      continue;
    }
    std::vector<int64_t> shape = shapeOf(*s);
    int64_t kept = keptTokens(*s, seen);
    shape.insert(shape.begin(), kept);
    if (found->dtype != dtypeOf(s->dtype()) || found->shape != shape)
      return mismatch(*found, dtypeOf(s->dtype()), shape);
    Cache &cache = next.caches[static_cast<size_t>(s->offset())];
    auto row = static_cast<size_t>(s->bytes());
    // Its size was compared with the file's first: a position that no data backs allocates nothing.
    RONDO_CHECK(next.grow(*s, seen, /*inOnePiece=*/false));
    for (int64_t i = 0; i < kept; ++i) {
      int64_t slot = (seen - kept + i) % cache.capacity;
      std::memcpy(cache.bytes.data() + static_cast<size_t>(slot) * row,
                  found->bytes.data() + static_cast<size_t>(i) * row, row);
    }
  }
  *this = std::move(next);
  return {};
}

int64_t cacheTokens(const package::Package &manifest, const package::State &state, int64_t total,
                    bool inOnePiece, int64_t held) {
  // A key tile of 64 tokens starts at a multiple of 64 and may not wrap; a ring keeps the window
  // and one piece besides, so that a piece can be appended before its first query is answered.
  constexpr int64_t tile = 64;
  if (held >= total)
    return held;
  int64_t capacity = (std::max(total, held + held / 8) + tile - 1) / tile * tile;
  if (state.tokens() == 0 || inOnePiece)
    return capacity;
  int64_t piece = 1;
  for (const package::Entry *entry : *manifest.entries())
    piece = std::max(piece, entry->max_rows());
  return std::min(capacity, (state.tokens() + piece + 2 * tile - 1) / tile * tile);
}

uint64_t stateBytes(const package::Package &manifest, int64_t tokens, bool inOnePiece) {
  auto bytes = static_cast<uint64_t>(manifest.state_bytes());
  for (const package::State *s : *manifest.states()) {
    if (s->kind() != package::StateKind::Cache)
      continue;
    std::optional<uint64_t> cache =
        checkedMul(static_cast<uint64_t>(cacheTokens(manifest, *s, tokens, inOnePiece)),
                   static_cast<uint64_t>(s->bytes()));
    bytes = checkedAdd(bytes, cache.value_or(UINT64_MAX)).value_or(UINT64_MAX);
  }
  return bytes;
}

Status State::grow(const package::State &state, int64_t total, bool inOnePiece) {
  Cache &cache = caches[static_cast<size_t>(state.offset())];
  int64_t capacity = cacheTokens(program->manifest(), state, total, inOnePiece, cache.capacity);
  auto row = static_cast<uint64_t>(state.bytes());
  std::optional<uint64_t> size = checkedMul(static_cast<uint64_t>(capacity), row);
  // Nothing has wrapped yet: a ring has its full size before its first token is overwritten.
  if (!size || !cache.bytes.grow(*size))
    return Error{"state '" + state.name()->str() + "': not enough memory for a cache of " +
                 std::to_string(capacity) + " tokens of " + std::to_string(row) + " bytes"};
  cache.capacity = capacity;
  return {};
}

Status State::reserve(int64_t more, bool inOnePiece) {
  if (more < 0 || more > mostTokens - tokens)
    return Error{"state: found " + std::to_string(more) + " further tokens after " +
                 std::to_string(tokens) + ", expected at most " + std::to_string(mostTokens) +
                 " in all"};
  for (const package::State *s : *program->manifest().states())
    if (s->kind() == package::StateKind::Cache)
      RONDO_CHECK(grow(*s, tokens + more, inOnePiece));
  return {};
}

} // namespace rondo

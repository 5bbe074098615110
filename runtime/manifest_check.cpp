// manifest_check.cpp - Every index, size, sum and name of a manifest, before anything of it is
// used.
//
// The FlatBuffers verifier has shown that the tables, vectors and strings lie inside the buffer; it
// knows nothing of their meaning. Here each number that later is an index, an offset or a size
// meets its bound. The order is that of the schema.

#include "runtime/abi.h"
#include "runtime/package.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace rondo {

namespace {

using namespace package;

// Caps that no sensible package comes near: they keep sums of checked products from overflowing,
// and a lie from becoming an allocation.
constexpr int64_t maxBytes = int64_t(1) << 40;
constexpr int64_t maxRowsOfPiece = int64_t(1) << 24;
constexpr int64_t maxScratch = int64_t(1) << 30;
constexpr size_t maxName = 4096;
constexpr size_t maxAxes = 16;

class Checker {
public:
  Checker(const std::string &file, const package::Package &manifest, uint64_t weightBytes)
      : file(file), manifest(manifest), weightBytes(weightBytes) {}

  Status check() {
    if (manifest.abi() != RONDO_ABI_VERSION)
      return bad(
          "abi",
          "found kernel ABI {}, expected {}; compile the model again with this version's rondoc",
          manifest.abi(), RONDO_ABI_VERSION);
    RONDO_CHECK(checkName("model", manifest.model()));
    RONDO_CHECK(inRange("state_bytes", manifest.state_bytes(), 0, maxBytes));
    RONDO_CHECK(inRange("caches", manifest.caches(), 0, manifest.states()->size()));
    RONDO_CHECK(checkWeights());
    RONDO_CHECK(checkStates());
    RONDO_CHECK(checkKernels());
    RONDO_CHECK(checkEntries());
    if (manifest.eos())
      for (int id : *manifest.eos())
        RONDO_CHECK(inRange("eos", id, 0, INT32_MAX));
    if (const package::Objective *objective = manifest.objective()) {
      RONDO_CHECK(checkName("objective", objective->name()));
      RONDO_CHECK(inRange("objective.mask", objective->mask(), 0, INT32_MAX));
    }
    if (const package::Limit *limit = manifest.limit())
      RONDO_CHECK(inRange("limit.tokens", limit->tokens(), 1, INT64_MAX));
    return {};
  }

private:
  template <class... Args>
  Error bad(const std::string &place, fmt::format_string<Args...> what, Args &&...args) const {
    return Error{fmt::format("{}: manifest: {}: {}", file, place,
                             fmt::format(what, std::forward<Args>(args)...))};
  }

  Status inRange(const std::string &place, int64_t value, int64_t least, int64_t most) const {
    if (value < least || value > most)
      return bad(place, "found {}, expected {} to {}", value, least, most);
    return {};
  }

  template <class Enum>
  Status checkEnum(const std::string &place, const char *what, Enum value) const {
    if (value < Enum::MIN || value > Enum::MAX)
      return bad(place, "found {} {}, expected {} to {}", what, int(value), int(Enum::MIN),
                 int(Enum::MAX));
    return {};
  }

  Status checkName(const std::string &place, const flatbuffers::String *name) const {
    if (name->size() == 0 || name->size() > maxName)
      return bad(place, "found a name of {} bytes, expected 1 to {}", name->size(), maxName);
    // Names reach terminals, file headers and dlsym.
    for (char c : name->string_view())
      if (static_cast<unsigned char>(c) < 32 || c == 127)
        return bad(place, "found a control character in a name, expected none");
    return {};
  }

  template <class List> Status uniqueNames(const std::string &place, const List &list) const {
    std::set<std::string_view> seen;
    for (const auto *item : list) {
      RONDO_CHECK(checkName(place, item->name()));
      if (!seen.insert(item->name()->string_view()).second)
        return bad(place, "found '{}' twice, expected different names",
                   item->name()->string_view());
    }
    return {};
  }

  /// Bytes of one element block without rows. With `rows`, the first axis must be t, of extent -1;
  /// no other may be.
  Result<int64_t> axesBytes(const std::string &place, package::DType dtype,
                            const flatbuffers::Vector<flatbuffers::Offset<Axis>> &axes,
                            bool rows) const {
    RONDO_CHECK(checkEnum(place, "element type", dtype));
    if (axes.size() > maxAxes)
      return bad(place, "found {} axes, expected at most {}", axes.size(), maxAxes);
    if (rows && (axes.size() == 0 || axes.Get(0)->extent() != -1))
      return bad(place, "found no rows, expected the first axis to be t, of extent -1");
    std::vector<int64_t> shape;
    for (uint32_t i = rows ? 1 : 0; i < axes.size(); ++i) {
      RONDO_CHECK(checkName(place, axes.Get(i)->name()));
      RONDO_CHECK(inRange(place + ": extent of axis " + axes.Get(i)->name()->str(),
                          axes.Get(i)->extent(), 1, maxBytes));
      shape.push_back(axes.Get(i)->extent());
    }
    auto bytes = bytesOf(dtypeOf(dtype), shape);
    if (!bytes || *bytes > uint64_t(maxBytes))
      return bad(place, "found shape {}, expected a size of at most 2^40 bytes", printShape(shape));
    return static_cast<int64_t>(*bytes);
  }

  Status checkWeights() {
    std::set<std::pair<std::string_view, std::string_view>> seen;
    std::vector<const Weight *> byOffset;
    for (const Weight *weight : *manifest.weights()) {
      RONDO_CHECK(checkName("weight", weight->name()));
      std::string place = fmt::format("weight '{}'", weight->name()->string_view());
      RONDO_CHECK(checkEnum(place, "element type", weight->dtype()));
      std::vector<int64_t> shape(weight->shape()->begin(), weight->shape()->end());
      if (shape.size() > maxAxes)
        return bad(place, "found {} axes, expected at most {}", shape.size(), maxAxes);
      std::string_view layout = weight->layout()->string_view();
      if (!isWeightLayout(layout))
        return bad(place, "found layout '{}', expected {}", layout, weightLayoutNames());
      if (layout != "rows" && dtypeOf(weight->dtype()) != storedType(layout))
        return bad(place, "found {} in layout {}, expected {}", nameOf(dtypeOf(weight->dtype())),
                   layout, nameOf(storedType(layout)));
      auto bytes = packedBytes(dtypeOf(weight->dtype()), shape, layout);
      if (!bytes)
        return bad(place,
                   "found shape {} in layout {}, expected a size that fits into a file (and two "
                   "axes for all but rows)",
                   printShape(shape), layout);
      if (weight->bytes() != *bytes)
        return bad(place, "found {} bytes, expected {} for {} {} in layout {}", weight->bytes(),
                   *bytes, nameOf(dtypeOf(weight->dtype())), printShape(shape), layout);
      if (weight->offset() % 64 != 0)
        return bad(place, "found offset {}, expected a multiple of 64", weight->offset());
      auto end = checkedAdd(weight->offset(), weight->bytes());
      if (!end || *end > weightBytes)
        return bad(
            place,
            "found offset {} and {} bytes, expected an end of at most {} (the weights section)",
            weight->offset(), weight->bytes(), weightBytes);
      if (!seen.insert({weight->name()->string_view(), layout}).second)
        return bad(place, "found twice in layout {}, expected once", layout);
      byOffset.push_back(weight);
    }
    std::sort(byOffset.begin(), byOffset.end(), [](const Weight *a, const Weight *b) {
      return std::pair(a->offset(), a->bytes()) < std::pair(b->offset(), b->bytes());
    });
    for (size_t i = 1; i < byOffset.size(); ++i)
      if (byOffset[i]->offset() < byOffset[i - 1]->offset() + byOffset[i - 1]->bytes())
        return bad(fmt::format("weight '{}'", byOffset[i]->name()->string_view()),
                   "its bytes overlap those of '{}'; expected each weight to have its own",
                   byOffset[i - 1]->name()->string_view());
    return {};
  }

  /// A storage order names every axis once.
  Status checkOrder(const std::string &place, const State &state) {
    if (!state.order() || state.order()->size() == 0)
      return {};
    std::vector<bool> seen(state.axes()->size(), false);
    bool whole = state.kind() == StateKind::Fixed && state.order()->size() == seen.size();
    for (int32_t axis : *state.order()) {
      whole = whole && axis >= 0 && size_t(axis) < seen.size() && !seen[size_t(axis)];
      if (whole)
        seen[size_t(axis)] = true;
    }
    if (!whole)
      return bad(place,
                 "found a storage order that does not name each of its {} axes once, expected one "
                 "that does, on a fixed state only",
                 seen.size());
    return {};
  }

  /// The state that scales another has some of its axes.
  Status checkScale(const std::string &place, const State &state) {
    if (!state.scale() || state.scale()->size() == 0)
      return {};
    for (const State *scale : *manifest.states()) {
      if (scale->name()->string_view() != state.scale()->string_view())
        continue;
      bool fits = scale->kind() == StateKind::Fixed && state.kind() == StateKind::Fixed;
      for (const Axis *axis : *scale->axes())
        fits &= std::any_of(state.axes()->begin(), state.axes()->end(), [&](const Axis *own) {
          return own->name()->string_view() == axis->name()->string_view() &&
                 own->extent() == axis->extent();
        });
      return fits ? Status()
                  : bad(place,
                        "found the scale '{}', whose axes are not some of its own, expected a "
                        "fixed state with some of them",
                        state.scale()->string_view());
    }
    return bad(place, "found the scale '{}', expected the name of a state",
               state.scale()->string_view());
  }

  Status checkStates() {
    RONDO_CHECK(uniqueNames("states", *manifest.states()));
    std::vector<std::pair<int64_t, int64_t>> blocks; // [begin, end) in the sequence's block
    std::set<int64_t> caches;
    for (const State *state : *manifest.states()) {
      std::string place = fmt::format("state '{}'", state->name()->string_view());
      RONDO_CHECK(checkEnum(place, "kind", state->kind()));
      RONDO_TAKE(int64_t bytes, axesBytes(place, state->dtype(), *state->axes(), /*rows=*/false));
      if (state->bytes() != bytes)
        return bad(place, "found {} bytes, expected {} for its axes", state->bytes(), bytes);
      RONDO_CHECK(checkOrder(place, *state));
      if (state->kind() == StateKind::Cache) {
        RONDO_CHECK(inRange(place + ": index of the cache", state->offset(), 0,
                            int64_t(manifest.caches()) - 1));
        RONDO_CHECK(inRange(place + ": window", state->tokens(), 0, int64_t(1) << 32));
        if (!caches.insert(state->offset()).second)
          return bad(place, "found cache {} for two states, expected each to have its own",
                     state->offset());
        if (state->init() != -1)
          return bad(place, "found an initial weight {}, expected none (-1) for a cache",
                     state->init());
        continue;
      }
      RONDO_CHECK(checkScale(place, *state));
      int64_t rows = 1;
      if (state->kind() == StateKind::Tail) {
        RONDO_CHECK(inRange(place + ": rows kept", state->tokens(), 1, maxRowsOfPiece));
        rows = state->tokens();
        if (state->init() != -1)
          return bad(place, "found an initial weight {}, expected none (-1) for a tail",
                     state->init());
      } else if (state->init() != -1) {
        RONDO_CHECK(inRange(place + ": initial weight", state->init(), 0,
                            int64_t(manifest.weights()->size()) - 1));
        const Weight *init = manifest.weights()->Get(static_cast<uint32_t>(state->init()));
        if (init->layout()->string_view() != "rows" || init->dtype() != state->dtype() ||
            int64_t(init->bytes()) != bytes)
          return bad(place,
                     "found initial weight '{}' of {} bytes in layout {}, expected {} bytes of its "
                     "type in layout rows",
                     init->name()->string_view(), init->bytes(), init->layout()->string_view(),
                     bytes);
      }
      auto size = checkedMul(static_cast<uint64_t>(bytes), static_cast<uint64_t>(rows));
      if (state->offset() < 0 || state->offset() % 64 != 0)
        return bad(place, "found offset {}, expected a multiple of 64", state->offset());
      if (!size || *size > uint64_t(manifest.state_bytes()) ||
          state->offset() > manifest.state_bytes() - int64_t(*size))
        return bad(place, "found offset {} in the sequence's block, expected an end of at most {}",
                   state->offset(), manifest.state_bytes());
      blocks.push_back({state->offset(), state->offset() + int64_t(*size)});
    }
    std::sort(blocks.begin(), blocks.end());
    for (size_t i = 1; i < blocks.size(); ++i)
      if (blocks[i].first < blocks[i - 1].second)
        return bad("states",
                   "found two that overlap at byte {} of the sequence's block, expected each to "
                   "have its own",
                   blocks[i].first);
    if (int64_t(caches.size()) != manifest.caches())
      return bad("caches", "found {} states for {} caches, expected one each", caches.size(),
                 manifest.caches());
    return {};
  }

  Status checkEstimates(const std::string &place, const Variant &variant) {
    if (!variant.estimates())
      return {};
    int64_t rows = 0;
    bool deep = false;
    for (const Estimate *estimate : *variant.estimates()) {
      RONDO_CHECK(inRange(place + ": rows of an estimate", estimate->rows(), 1, int64_t(1) << 40));
      RONDO_CHECK(
          inRange(place + ": position of an estimate", estimate->position(), 0, int64_t(1) << 40));
      for (double cycles : {estimate->cycles(), estimate->cycles_beside()})
        if (!(cycles >= 0 && cycles <= 1e18))
          return bad(place, "found an estimate of {} cycles, expected 0 to 1e18", cycles);
      deep |= estimate->position() > 0;
      if (!deep && estimate->rows() <= rows)
        return bad(place, "found an estimate for {} rows after one for {}, expected rising rows",
                   estimate->rows(), rows);
      rows = estimate->rows();
    }
    return {};
  }

  Status checkKernels() {
    RONDO_CHECK(uniqueNames("kernels", *manifest.kernels()));
    for (const Kernel *kernel : *manifest.kernels()) {
      std::string place = fmt::format("kernel '{}'", kernel->name()->string_view());
      RONDO_CHECK(checkEnum(place, "count", kernel->per()));
      RONDO_CHECK(inRange(place + ": unit", kernel->unit(), 1, maxRowsOfPiece));
      RONDO_CHECK(inRange(place + ": factor", kernel->factor(), 1, int64_t(1) << 32));
      RONDO_CHECK(inRange(place + ": grain", kernel->grain(), 1, int64_t(1) << 40));
      RONDO_CHECK(inRange(place + ": scratch", kernel->scratch(), 0, maxScratch));
      constexpr int64_t most = int64_t(1) << 50;
      RONDO_CHECK(inRange(place + ": bytes of a row", kernel->bytes_per_row(), 0, most));
      RONDO_CHECK(inRange(place + ": bytes of weights", kernel->bytes_once(), 0, most));
      for (double flops : {kernel->flops_per_row(), kernel->flops_per_pair()})
        if (!(flops >= 0 && flops <= double(most)))
          return bad(place, "found {} operations, expected 0 to {}", flops, most);
      if (kernel->variants()->size() == 0)
        return bad(place, "found no variant, expected at least one");
      std::set<std::string_view> levels;
      for (const Variant *variant : *kernel->variants()) {
        RONDO_CHECK(checkName(place + ": isa", variant->isa()));
        RONDO_CHECK(checkName(place + ": symbol", variant->symbol()));
        RONDO_CHECK(checkEstimates(place, *variant));
        if (!levels.insert(variant->isa()->string_view()).second)
          return bad(place, "found two variants for {}, expected one",
                     variant->isa()->string_view());
      }
    }
    return {};
  }

  Status checkValues(const std::string &entry, const char *what,
                     const flatbuffers::Vector<flatbuffers::Offset<Value>> &values) const {
    RONDO_CHECK(uniqueNames(entry + ": " + what + "s", values));
    for (const Value *value : values) {
      std::string place = fmt::format("{}: {} '{}'", entry, what, value->name()->string_view());
      RONDO_TAKE(int64_t bytes, axesBytes(place, value->dtype(), *value->axes(), /*rows=*/true));
      RONDO_CHECK(inRange(place + ": bytes of a row", bytes, 1, int64_t(1) << 32));
      RONDO_CHECK(inRange(place + ": id_limit", value->id_limit(), 0, int64_t(1) << 40));
      if (value->id_limit() != 0 && value->dtype() != package::DType::I64)
        return bad(place, "found id_limit {} for {}, expected one for I64 only", value->id_limit(),
                   nameOf(dtypeOf(value->dtype())));
    }
    return {};
  }

  Status checkEntries() {
    RONDO_CHECK(uniqueNames("entries", *manifest.entries()));
    for (const Entry *entry : *manifest.entries()) {
      std::string place = fmt::format("entry '{}'", entry->name()->string_view());
      RONDO_CHECK(checkValues(place, "input", *entry->inputs()));
      RONDO_CHECK(checkValues(place, "output", *entry->outputs()));
      RONDO_CHECK(inRange(place + ": max_rows", entry->max_rows(), 1, maxRowsOfPiece));
      RONDO_CHECK(inRange(place + ": arena", entry->arena(), 0, maxBytes));
      std::vector<bool> written(entry->outputs()->size());
      for (uint32_t i = 0; i < entry->steps()->size(); ++i)
        RONDO_CHECK(checkStep(fmt::format("{}: step {}", place, i), *entry, *entry->steps()->Get(i),
                              written));
      for (uint32_t i = 0; i < written.size(); ++i)
        if (!written[i])
          return bad(place, "found no step that writes output '{}', expected one",
                     entry->outputs()->Get(i)->name()->string_view());
    }
    return {};
  }

  Status checkOperand(const std::string &place, const Entry &entry, const Operand &operand) const {
    RONDO_CHECK(checkEnum(place, "kind", operand.kind()));
    auto index = [&](size_t count) {
      return inRange(place, operand.index(), 0, int64_t(count) - 1);
    };
    switch (operand.kind()) {
    case OperandKind::Arena:
      if (operand.index() % 64 != 0)
        return bad(place, "found arena offset {}, expected a multiple of 64", operand.index());
      return inRange(place, operand.index(), 0, entry.arena() - 1);
    case OperandKind::Weight:
      return index(manifest.weights()->size());
    case OperandKind::State:
      return index(manifest.states()->size());
    case OperandKind::Input:
      return index(entry.inputs()->size());
    case OperandKind::Output:
      return index(entry.outputs()->size());
    }
    return {};
  }

  /// A whole piece of rows of `bytes` each lies inside the operand.
  Status checkRows(const std::string &place, const Entry &entry, const Operand &operand,
                   int64_t bytes, bool isWritten) const {
    int64_t found = 0;
    switch (operand.kind()) {
    case OperandKind::Arena:
      if (auto size = checkedMul(uint64_t(entry.max_rows()), uint64_t(bytes));
          !size || *size > uint64_t(entry.arena()) ||
          operand.index() > entry.arena() - int64_t(*size))
        return bad(place,
                   "found {} rows of {} bytes at {}, expected an end of at most {} (the arena)",
                   entry.max_rows(), bytes, operand.index(), entry.arena());
      return {};
    case OperandKind::Input:
      if (isWritten)
        return bad(place,
                   "found an input to be written, expected a place in the arena or an output");
      found = rowBytes(*entry.inputs()->Get(static_cast<uint32_t>(operand.index())));
      break;
    case OperandKind::Output:
      found = rowBytes(*entry.outputs()->Get(static_cast<uint32_t>(operand.index())));
      break;
    case OperandKind::Weight:
    case OperandKind::State:
      return bad(place, "found a {}, expected rows (arena, input or output)",
                 operand.kind() == OperandKind::Weight ? "weight" : "state");
    }
    if (found != bytes)
      return bad(place, "found rows of {} bytes, expected {} as the step says", found, bytes);
    return {};
  }

  Status checkStep(const std::string &place, const Entry &entry, const Step &step,
                   std::vector<bool> &written) const {
    RONDO_CHECK(checkEnum(place, "kind", step.kind()));
    RONDO_CHECK(checkEnum(place, "space", step.space()));
    const auto &operands = *step.operands();
    // The FlatBuffers verifier leaves the alignment of a vector's structs open.
    if (reinterpret_cast<uintptr_t>(operands.Data()) % alignof(package::Operand))
      return bad(place, "found operands at an odd address, expected one that is a multiple of {}",
                 alignof(package::Operand));
    for (uint32_t i = 0; i < operands.size(); ++i) {
      RONDO_CHECK(checkOperand(fmt::format("{}: operand {}", place, i), entry, *operands.Get(i)));
      if (operands.Get(i)->kind() == OperandKind::Output)
        written[static_cast<size_t>(operands.Get(i)->index())] = true;
    }
    if (step.kind() == StepKind::Launch)
      return inRange(place + ": kernel", step.kernel(), 0, int64_t(manifest.kernels()->size()) - 1);
    if (step.kernel() != -1)
      return bad(place, "found kernel {}, expected none (-1) for {}", step.kernel(),
                 EnumNameStepKind(step.kind()));
    if (operands.size() != 2)
      return bad(place, "found {} operands, expected 2 for {}", operands.size(),
                 EnumNameStepKind(step.kind()));
    if (step.space() != Space::Tokens)
      return bad(place, "found the space of last rows, expected tokens for {}",
                 EnumNameStepKind(step.kind()));
    RONDO_CHECK(inRange(place + ": row_bytes", step.row_bytes(), 1, int64_t(1) << 32));
    RONDO_CHECK(checkRows(place + ": operand 0", entry, *operands.Get(0), step.row_bytes(),
                          /*isWritten=*/false));
    if (step.kind() == StepKind::Last)
      return checkRows(place + ": operand 1", entry, *operands.Get(1), step.row_bytes(),
                       /*isWritten=*/true);
    if (operands.Get(1)->kind() != OperandKind::State)
      return bad(place, "found no state as operand 1, expected one for {}",
                 EnumNameStepKind(step.kind()));
    const State *state = manifest.states()->Get(static_cast<uint32_t>(operands.Get(1)->index()));
    StateKind expected = step.kind() == StepKind::Append ? StateKind::Cache : StateKind::Tail;
    if (state->kind() != expected)
      return bad(place, "found state '{}' of kind {}, expected {}", state->name()->string_view(),
                 EnumNameStateKind(state->kind()), EnumNameStateKind(expected));
    if (state->bytes() != step.row_bytes())
      return bad(place, "found rows of {} bytes, expected {} of state '{}'", step.row_bytes(),
                 state->bytes(), state->name()->string_view());
    return {};
  }

  const std::string &file;
  const package::Package &manifest;
  uint64_t weightBytes;
};

} // namespace

Status checkManifest(const std::string &file, const package::Package &manifest,
                     uint64_t weightBytes) {
  return Checker(file, manifest, weightBytes).check();
}

} // namespace rondo

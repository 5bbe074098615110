// SmallModel.cpp - The package around kernels.c.

#include "test/runtime/SmallModel.h"

#include <cstring>

namespace rondo::test {

namespace {

using namespace package;

std::unique_ptr<AxisT> axis(const char *name, int64_t extent) {
  auto result = std::make_unique<AxisT>();
  result->name = name;
  result->extent = extent;
  return result;
}

std::unique_ptr<ValueT> value(const char *name, package::DType dtype,
                              std::vector<std::pair<const char *, int64_t>> axes,
                              int64_t limit = 0) {
  auto result = std::make_unique<ValueT>();
  result->name = name;
  result->dtype = dtype;
  result->axes.push_back(axis("t", -1));
  for (auto [axisName, extent] : axes)
    result->axes.push_back(axis(axisName, extent));
  result->id_limit = limit;
  return result;
}

std::unique_ptr<StateT> state(const char *name, StateKind kind, int64_t offset, int64_t tokens,
                              int init = -1) {
  auto result = std::make_unique<StateT>();
  result->name = name;
  result->kind = kind;
  result->dtype = package::DType::F32;
  result->axes.push_back(axis("d", width));
  result->offset = offset;
  result->bytes = width * 4;
  result->tokens = tokens;
  result->init = init;
  return result;
}

std::unique_ptr<WeightT> weight(const char *name, std::vector<int64_t> shape, const char *layout) {
  auto result = std::make_unique<WeightT>();
  result->name = name;
  result->dtype = package::DType::F32;
  result->shape = std::move(shape);
  result->layout = layout;
  return result;
}

std::unique_ptr<KernelT> kernel(const char *name, const char *kind, Per per, int64_t unit = 1,
                                int64_t factor = 1) {
  auto result = std::make_unique<KernelT>();
  result->name = name;
  result->kind = kind;
  auto variant = std::make_unique<VariantT>();
  variant->isa = "x86-64-v3";
  variant->symbol = name;
  result->variants.push_back(std::move(variant));
  result->per = per;
  result->unit = unit;
  result->factor = factor;
  result->scratch = 64;
  result->location = "small.rondo:1:1";
  return result;
}

std::unique_ptr<StepT> step(StepKind kind, int kernelIndex, std::vector<Operand> operands,
                            int64_t bytes = 0, Space space = Space::Tokens) {
  auto result = std::make_unique<StepT>();
  result->kind = kind;
  result->kernel = kernelIndex;
  result->operands = std::move(operands);
  result->row_bytes = bytes;
  result->space = space;
  return result;
}

constexpr int64_t rowBytesOfX = width * 4, bufferBytes = pieceRows * rowBytesOfX;
enum Buffers : int64_t {
  x = 0,
  y = bufferBytes,
  e = 2 * bufferBytes,
  all = 3 * bufferBytes,
  last = 4 * bufferBytes
};

std::unique_ptr<EntryT> entry(const char *name, Operand out) {
  using K = OperandKind;
  auto result = std::make_unique<EntryT>();
  result->name = name;
  result->inputs.push_back(value("tokens", package::DType::I64, {}, vocabulary));
  result->outputs.push_back(value("logits", package::DType::F32, {{"d", width}}));
  result->arena = 5 * bufferBytes;
  result->max_rows = pieceRows;
  Operand ax(K::Arena, x), ay(K::Arena, y), ae(K::Arena, e);
  result->steps.push_back(
      step(StepKind::Launch, 0, {Operand(K::Input, 0), Operand(K::Weight, 0), ax}));
  result->steps.push_back(step(StepKind::Launch, 1, {ax, Operand(K::State, 0), ay}));
  result->steps.push_back(step(StepKind::Launch, 2, {ax, Operand(K::State, 1), ae}));
  result->steps.push_back(step(StepKind::Append, -1, {ax, Operand(K::State, 2)}, rowBytesOfX));
  result->steps.push_back(step(StepKind::Append, -1, {ax, Operand(K::State, 3)}, rowBytesOfX));
  result->steps.push_back(
      step(StepKind::Launch, 3, {ay, ae, Operand(K::State, 2), Operand(K::State, 3), out}));
  result->steps.push_back(step(StepKind::Tail, -1, {ax, Operand(K::State, 1)}, rowBytesOfX));
  return result;
}

} // namespace

PackageT smallManifest() {
  using K = OperandKind;
  PackageT package;
  package.model = "small";
  package.abi = 1;
  package.architecture = "SmallForTests";
  package.weights.push_back(weight("table", {vocabulary, width}, "rows"));
  package.weights.push_back(weight("initial", {width}, "rows"));
  package.weights.push_back(weight("packed", {3, 2}, "panels32"));
  package.states.push_back(state("mixer.S", StateKind::Fixed, 0, 0, 1));
  package.states.push_back(state("mixer.shift", StateKind::Tail, 64, 2));
  package.states.push_back(state("mixer.all", StateKind::Cache, 0, 0));
  package.states.push_back(state("mixer.window", StateKind::Cache, 1, 3));
  package.state_bytes = 128;
  package.caches = 2;
  package.kernels.push_back(kernel("embed", "rows", Per::Rows));
  package.kernels.push_back(kernel("scan", "scan", Per::Sequences, 1, width));
  package.kernels.push_back(kernel("shift", "rows", Per::Rows, 2));
  package.kernels.push_back(kernel("finish", "attend", Per::Rows));
  package.kernels.push_back(kernel("twice", "rows", Per::Rows));
  package.entries.push_back(entry("forward", Operand(K::Output, 0)));
  auto addLast = [&](const char *name) {
    package.entries.push_back(entry(name, Operand(K::Arena, all)));
    auto &added = *package.entries.back();
    added.outputs_in_last_space = true;
    added.steps.push_back(
        step(StepKind::Last, -1, {Operand(K::Arena, all), Operand(K::Arena, last)}, rowBytesOfX));
    added.steps.push_back(step(StepKind::Launch, 4,
                               {Operand(K::Arena, last), Operand(K::Output, 0)}, 0, Space::Last));
  };
  addLast("prefill");
  addLast("step");
  package.entries.push_back(entry("whole", Operand(K::Output, 0)));
  package.entries.back()->whole_sequence = true;
  package.eos = {15};
  package.provenance = std::make_unique<ProvenanceT>();
  package.provenance->producer = "a test";
  return package;
}

std::vector<float> smallTable() {
  std::vector<float> table(vocabulary * width);
  for (size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<float>(i * 7 % 13) / 8;
  return table;
}

std::vector<float> smallInitial() { return {0.5f, 1, 1.5f, 2}; }

Status writeSmall(const std::string &path, const std::function<void(PackageT &)> &change) {
  PackageT manifest = smallManifest();
  if (change)
    change(manifest);
  RONDO_TAKE(MappedFile code, MappedFile::open(RONDO_TEST_KERNELS));
  std::vector<std::vector<float>> rows{smallTable(), smallInitial(), {1, 2, 3, 4, 5, 6}};
  return writePackage(path, manifest, code.bytes(), [&](size_t i) {
    const WeightT &w = *manifest.weights[i];
    return packWeight({w.name, rondo::DType::F32, w.shape, std::as_bytes(std::span(rows[i])), {}},
                      w.layout);
  });
}

std::vector<float> expectForward(const std::vector<int64_t> &tokens) {
  std::vector<float> table = smallTable(), S = smallInitial(), out;
  auto at = [&](int64_t t, int64_t i) {
    return t < 0 ? 0.0f : table[static_cast<size_t>(tokens[static_cast<size_t>(t)] * width + i)];
  };
  for (int64_t t = 0; t < int64_t(tokens.size()); ++t)
    for (int64_t i = 0; i < width; ++i) {
      float &s = S[static_cast<size_t>(i)];
      s = s / 2 + at(t, i);
      float sum = 0, window = 0;
      for (int64_t p = 0; p <= t; ++p)
        sum += at(p, i);
      for (int64_t p = t < 2 ? 0 : t - 2; p <= t; ++p)
        window += at(p, i);
      out.push_back(s + (at(t, i) + at(t - 2, i)) * 1000 + sum * 10 + window +
                    static_cast<float>(t) / 16);
    }
  return out;
}

} // namespace rondo::test

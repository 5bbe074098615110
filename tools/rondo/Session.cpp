// Session.cpp - A package that is ready to run, and runs of its entries on whole tensors.

#include "tools/rondo/Session.h"

#include "runtime/cpu.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace rondo::cli {

void MachineOptions::addTo(CLI::App &app) {
  app.add_option("-t,--threads", threads, "Threads; 0: one for each processor this process may use")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--isa", isa,
                 "At most this level of the instruction set (default: the best of machine and "
                 "package, kernel by kernel)")
      ->check(CLI::IsMember(isaNames()));
}

Result<Package> openPackage(const std::string &path) {
  return path == linkedName ? Package::fromMemory(linkedPackage(), path) : Package::open(path);
}

Result<Session> Session::open(const std::string &path, const MachineOptions &machine) {
  RONDO_TAKE(Package package, openPackage(path));
  Session session;
  RONDO_TAKE(session.program, Program::load(std::move(package), machine.isa));
  session.pool = std::make_shared<ThreadPool>(machine.threads);
  session.executor = std::make_unique<Executor>(session.program, session.pool);
  return session;
}

Result<const package::Entry *> Session::entry(std::string_view name) const {
  if (const package::Entry *found = program->entry(name))
    return found;
  return Error{fmt::format("{}: it has no entry '{}'; its entries: {}", path(), name,
                           program->entryNames())};
}

Result<const package::Entry *> Session::tokenEntry(std::string_view name,
                                                   std::span<const std::string_view> inputs,
                                                   std::string_view output) const {
  RONDO_TAKE(const package::Entry *found, entry(name));
  std::string expected, has;
  bool same = found->inputs()->size() == inputs.size();
  for (size_t i = 0; i < inputs.size(); ++i) {
    expected += fmt::format("{}{}", i ? ", " : "", inputs[i]);
    if (!same)
      continue;
    const package::Value &value = *found->inputs()->Get(static_cast<unsigned>(i));
    same = value.name()->string_view() == inputs[i] && dtypeOf(value.dtype()) == DType::I64 &&
           extentsOf(value).empty();
  }
  for (const package::Value *value : *found->inputs())
    has += fmt::format("{}{}", has.empty() ? "" : ", ", value->name()->string_view());
  if (!same)
    return Error{fmt::format("{}: entry '{}' takes {}; expected a model over token ids ({}). "
                             "`rondo eval` runs any entry",
                             path(), name, has, expected)};
  if (found->outputs()->size() != 1 || found->outputs()->Get(0)->name()->string_view() != output ||
      dtypeOf(found->outputs()->Get(0)->dtype()) != DType::F32)
    return Error{fmt::format("{}: entry '{}': expected one output '{}'", path(), name, output)};
  return found;
}

Result<std::vector<Tensor>> Session::run(const package::Entry &entry,
                                         std::span<State *const> states,
                                         std::span<const int64_t> lengths,
                                         std::span<const std::span<const std::byte>> inputs) {
  std::vector<Tensor> outputs;
  RONDO_CHECK(run(entry, states, lengths, inputs, outputs));
  return outputs;
}

Status Session::run(const package::Entry &entry, std::span<State *const> states,
                    std::span<const int64_t> lengths,
                    std::span<const std::span<const std::byte>> inputs,
                    std::vector<Tensor> &outputs) {
  int64_t count = static_cast<int64_t>(states.size());
  if (!entry.outputs_in_last_space()) {
    count = 0;
    for (int64_t length : lengths)
      count += length;
  }
  outputs.resize(entry.outputs()->size());
  std::vector<std::span<std::byte>> places;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const package::Value &value = *entry.outputs()->Get(static_cast<unsigned>(i));
    std::vector<int64_t> shape = extentsOf(value);
    shape.insert(shape.begin(), count);
    if (outputs[i].bytes.empty() || outputs[i].shape != shape) {
      RONDO_TAKE(outputs[i],
                 makeTensor(value.name()->str(), dtypeOf(value.dtype()), std::move(shape)));
    }
    places.emplace_back(outputs[i].bytes);
  }
  return executor->run(entry, states, lengths, inputs, places);
}

Status Session::run(const package::Entry &entry, State &state,
                    std::span<const std::span<const int64_t>> inputs, std::vector<float> &output) {
  const package::Value &value = *entry.outputs()->Get(0);
  size_t rows = entry.outputs_in_last_space() ? 1 : inputs.front().size();
  output.resize(rows * static_cast<size_t>(rowBytes(value)) / sizeof(float));
  std::vector<std::span<const std::byte>> bytes;
  for (std::span<const int64_t> input : inputs)
    bytes.push_back(std::as_bytes(input));
  State *const states[] = {&state};
  const int64_t lengths[] = {static_cast<int64_t>(inputs.front().size())};
  const std::span<std::byte> outputs[] = {std::as_writable_bytes(std::span(output))};
  return executor->run(entry, states, lengths, bytes, outputs);
}

std::vector<int64_t> extentsOf(const package::Value &value) {
  std::vector<int64_t> extents;
  for (const package::Axis *axis : *value.axes())
    if (axis->extent() >= 0)
      extents.push_back(axis->extent());
  return extents;
}

std::string printAxes(const flatbuffers::Vector<flatbuffers::Offset<package::Axis>> &axes) {
  std::string text;
  for (const package::Axis *axis : axes) {
    text += text.empty() ? "" : " ";
    text += axis->name()->str();
    if (axis->extent() >= 0)
      text += fmt::format("={}", axis->extent());
  }
  return text;
}

uint64_t countParameters(const package::Package &manifest) {
  std::set<std::string_view> seen;
  uint64_t count = 0;
  for (const package::Weight *weight : *manifest.weights()) {
    if (weight->derived() || !seen.insert(weight->name()->string_view()).second)
      continue;
    uint64_t elements = 1;
    for (int64_t extent : *weight->shape())
      elements *= static_cast<uint64_t>(extent);
    count += elements;
  }
  return count;
}

int64_t vocabularyOf(const package::Entry &entry) {
  for (const package::Value *value : *entry.inputs())
    if (value->name()->string_view() == "tokens")
      return value->id_limit();
  return 0;
}

} // namespace rondo::cli

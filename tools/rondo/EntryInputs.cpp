// EntryInputs.cpp - An entry's inputs from a safetensors file, checked against what the entry
// takes.

#include "tools/rondo/EntryInputs.h"

#include "tools/rondo/Session.h"

#include <algorithm>
#include <fmt/format.h>

namespace rondo::cli {

Error wrongTensor(const TensorView &found, const std::string &expected) {
  return Error{fmt::format("{}: tensor '{}': found {} {}, expected {}", found.file, found.name,
                           nameOf(found.dtype), printShape(found.shape), expected)};
}

static std::string printExpected(const package::Value &value, const Batch &batch) {
  std::string text = fmt::format("{} [{}", dtypeOf(value.dtype()) == DType::I64 ? "I64" : "F32",
                                 batch.leading.empty()
                                     ? std::string("B, T")
                                     : fmt::format("{}, {}", batch.leading[0], batch.leading[1]));
  for (const package::Axis *axis : *value.axes())
    if (axis->extent() >= 0)
      text += fmt::format(", {}={}", axis->name()->string_view(), axis->extent());
  return text + "]";
}

/// One input, converted to what the entry takes; the first one decides B and T.
Result<Tensor> readInput(const TensorFile &file, const package::Entry &entry,
                         const package::Value &value, Batch &batch) {
  std::string name = value.name()->str();
  const TensorView *found = file.find(name);
  if (!found)
    return Error{fmt::format("{}: tensor '{}' is missing; expected {}, an input of entry '{}'",
                             file.path(), name, printExpected(value, batch),
                             entry.name()->string_view())};
  std::vector<int64_t> extents = extentsOf(value);
  bool fits = found->shape.size() == extents.size() + 2 &&
              std::equal(extents.begin(), extents.end(), found->shape.begin() + 2);
  if (fits && batch.leading.empty())
    batch.leading = {found->shape[0], found->shape[1]};
  if (!fits || !std::equal(batch.leading.begin(), batch.leading.end(), found->shape.begin()))
    return wrongTensor(*found, printExpected(value, batch));
  DType dtype = dtypeOf(value.dtype());
  RONDO_TAKE(Tensor tensor, makeTensor(name, dtype, found->shape));
  if (dtype == DType::I64) {
    if (found->dtype != DType::I64 && found->dtype != DType::I32)
      return wrongTensor(*found, printExpected(value, batch) + " (or I32)");
    RONDO_TAKE(std::vector<int64_t> numbers, toI64(*found));
    std::copy(numbers.begin(), numbers.end(), tensor.as<int64_t>().begin());
  } else {
    RONDO_TAKE(std::vector<float> numbers, toF32(*found));
    std::copy(numbers.begin(), numbers.end(), tensor.as<float>().begin());
  }
  return tensor;
}

Status splitIntoSequences(const TensorFile &file, Batch &batch) {
  int64_t sequences = batch.leading[0], tokens = batch.leading[1];
  const TensorView *found = file.find("cu_seqlens");
  if (!found) {
    batch.lengths.assign(static_cast<size_t>(sequences), tokens);
    return {};
  }
  if (sequences != 1)
    return Error{fmt::format("{}: with cu_seqlens all sequences are packed into one; found inputs "
                             "of [{}, {}], expected [1, T]",
                             file.path(), sequences, tokens)};
  if ((found->dtype != DType::I64 && found->dtype != DType::I32) || found->shape.size() != 1 ||
      found->shape[0] < 1)
    return wrongTensor(*found, "I64 [sequences + 1]");
  RONDO_TAKE(std::vector<int64_t> ends, toI64(*found));
  if (ends.front() != 0 || ends.back() != tokens)
    return Error{fmt::format("{}: cu_seqlens goes from {} to {}, expected from 0 to {}",
                             file.path(), ends.front(), ends.back(), tokens)};
  for (size_t i = 1; i < ends.size(); ++i) {
    if (ends[i] < ends[i - 1])
      return Error{fmt::format("{}: cu_seqlens[{}] is {}, expected at least {}", file.path(), i,
                               ends[i], ends[i - 1])};
    batch.lengths.push_back(ends[i] - ends[i - 1]);
  }
  return {};
}

} // namespace rondo::cli

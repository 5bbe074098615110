// stored.cpp - A checkpoint's tensors as the parameters that they mean.

#include "runtime/stored.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

namespace rondo {

namespace {

bool isFloatOfEight(DType dtype) { return dtype == DType::F8E4M3 || dtype == DType::F8E5M2; }

Error misfit(const TensorView &tensor, const std::string &expected) {
  return Error{fmt::format("{}: tensor '{}' is {} {}; expected {}", tensor.file, tensor.name,
                           nameOf(tensor.dtype), printShape(tensor.shape), expected)};
}

/// Numbers of an axis that share a scale, when `count` scales are for `extent` of them; nothing
/// where that does not fit. Ragged last blocks are read with the config's block or the published
/// 128.
std::optional<int64_t> sharing(int64_t extent, int64_t count, int64_t block) {
  if (count == 1)
    return std::max<int64_t>(extent, 1);
  if (count == extent)
    return 1;
  for (int64_t candidate : {block, int64_t(128)})
    if (candidate > 0 && count > 0 && (extent - 1) / candidate + 1 == count)
      return candidate;
  return count > 0 && extent % count == 0 ? std::optional(extent / count) : std::nullopt;
}

/// How many neighbours along each axis of `shape` share one of `scales`: those of a matrix count
/// from the last axis, and one number is for all.
Result<std::vector<int64_t>> sharingOf(const TensorView &scales, const std::vector<int64_t> &shape,
                                       const StorageRules &rules) {
  std::vector<int64_t> shared(shape.size(), 1);
  if (scales.elements() == 1) {
    for (size_t axis = 0; axis < shape.size(); ++axis)
      shared[axis] = std::max<int64_t>(shape[axis], 1);
    return shared;
  }
  // One scale a row may be written without the axis of its columns.
  bool short_ = scales.shape.size() + 1 == shape.size() && shape.size() >= 2;
  bool fits = scales.shape.size() == shape.size() || short_;
  for (size_t axis = 0; fits && axis < shape.size(); ++axis) {
    int64_t count = axis < scales.shape.size() ? scales.shape[axis] : 1;
    size_t fromEnd = shape.size() - axis;
    int64_t block = rules.blockExtents.size() >= fromEnd
                        ? rules.blockExtents[rules.blockExtents.size() - fromEnd]
                        : 0;
    auto each = sharing(shape[axis], count, block);
    fits = each.has_value();
    shared[axis] = each.value_or(1);
  }
  if (!fits)
    return misfit(scales, "one number, or one for each row or block of 128 of the axes of " +
                              printShape(shape));
  return shared;
}

/// 2 to the power of a byte less 127: E8M0.
float powerOf(uint8_t bits) {
  return bits == 255 ? std::nanf("") : std::ldexp(1.0f, int(bits) - 127);
}

Result<std::vector<float>> scalesOf(const TensorView &scales) {
  if (scales.dtype != DType::U8)
    return toF32(scales);
  std::vector<float> factors;
  for (std::byte bits : scales.bytes)
    factors.push_back(powerOf(uint8_t(bits)));
  return factors;
}

Result<std::vector<float>> scaled(const StoredTensor &stored, const StorageRules &rules) {
  RONDO_TAKE(std::vector<float> values, toF32(*stored.values));
  RONDO_TAKE(std::vector<float> factors, scalesOf(*stored.scales));
  RONDO_TAKE(std::vector<int64_t> shared, sharingOf(*stored.scales, stored.shape, rules));
  const std::vector<int64_t> &shape = stored.shape;
  std::vector<int64_t> at(shape.size(), 0);
  for (float &value : values) {
    size_t factor = 0;
    if (factors.size() > 1)
      for (size_t axis = 0; axis < stored.scales->shape.size(); ++axis)
        factor = factor * size_t(stored.scales->shape[axis]) + size_t(at[axis] / shared[axis]);
    value *= factors[factor];
    for (size_t axis = shape.size(); axis-- > 0 && ++at[axis] == shape[axis];)
      at[axis] = 0;
  }
  return values;
}

Result<std::vector<float>> fourBitFloats(const StoredTensor &stored) {
  // E2M1: a sign, two bits of exponent, one of mantissa.
  constexpr float magnitudes[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  constexpr size_t bytes = 16; // that share a scale
  std::vector<float> values(stored.values->bytes.size() * 2);
  for (size_t i = 0; i < values.size(); ++i) {
    unsigned byte = unsigned(stored.values->bytes[i / 2]), bits = i % 2 ? byte >> 4 : byte & 15;
    float magnitude = magnitudes[bits & 7];
    float scale = powerOf(uint8_t(stored.scales->bytes[i / 2 / bytes]));
    values[i] = (bits & 8 ? -magnitude : magnitude) * scale;
  }
  return values;
}

Result<std::vector<float>> ternary(const StoredTensor &stored) {
  std::span<const std::byte> bytes = stored.values->bytes;
  std::vector<float> values(bytes.size() * 4);
  for (size_t quarter = 0; quarter < 4; ++quarter)
    for (size_t i = 0; i < bytes.size(); ++i)
      values[quarter * bytes.size() + i] = float(int(unsigned(bytes[i]) >> 2 * quarter & 3) - 1);
  return values;
}

Result<std::vector<float>> decoded(const StoredTensor &stored) {
  const BlockCode &code = *stored.code;
  std::span<const std::byte> bytes = stored.values->bytes;
  size_t blocks = bytes.size() / size_t(code.bytes);
  std::vector<float> values(blocks * size_t(code.numbers));
  for (size_t block = 0; block < blocks; ++block)
    code.decode(bytes.data() + block * size_t(code.bytes),
                values.data() + block * size_t(code.numbers));
  return values;
}

/// Words of integers of a few bits, the lowest bits first.
class PackedWords {
public:
  PackedWords(const TensorView &tensor, int64_t bits) : bytes(tensor.bytes), bits(bits) {}
  int64_t perWord() const { return 32 / bits; }
  int64_t get(int64_t word, int64_t place) const {
    uint32_t value;
    std::memcpy(&value, bytes.data() + word * 4, 4);
    return int64_t(value >> (place * bits) & ((uint64_t(1) << bits) - 1));
  }

private:
  std::span<const std::byte> bytes;
  int64_t bits;
};

/// The place in its word of column j: where outputs are packed, even columns come first.
int64_t interleaved(int64_t j) { return j % 2 * 4 + j / 2; }

/// Matrices [outputs, inputs] of packed integers: (integer - zero) * scale.
Result<std::vector<float>> packed(const StoredTensor &stored, const StorageRules &rules) {
  using Form = StoredTensor::Form;
  int64_t outputs = stored.shape[0], inputs = stored.shape[1], bits = stored.bits;
  bool rows = stored.form == Form::RowsPacked, ordered = stored.form == Form::OutputsPacked;
  PackedWords words(*stored.values, bits);
  int64_t per = words.perWord();
  RONDO_TAKE(std::vector<float> scales, toF32(*stored.scales));
  int64_t groups = rows ? stored.scales->shape[1] : stored.scales->shape[0];
  std::vector<int64_t> groupOf;
  if (stored.groups) {
    RONDO_TAKE(groupOf, toI64(*stored.groups));
    for (int64_t group : groupOf)
      if (group < 0 || group >= groups)
        return misfit(*stored.groups, fmt::format("groups from 0 to {}", groups - 1));
  } else {
    for (int64_t i = 0; i < inputs; ++i)
      groupOf.push_back(i / (inputs / groups));
  }
  // Of each group and output.
  std::vector<float> zeros(size_t(groups * outputs), rows ? float(int64_t(1) << (bits - 1)) : 0.0f);
  if (stored.zeros) {
    PackedWords zeroWords(*stored.zeros, bits);
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t o = 0; o < outputs; ++o) {
        int64_t word = rows ? o / per * groups + g : g * (outputs / per) + o / per;
        int64_t place = ordered ? interleaved(o % per) : o % per;
        bool less = stored.form == Form::InputsPacked && rules.zerosLessOne;
        zeros[size_t(g * outputs + o)] = float(zeroWords.get(word, place) + less);
      }
  }
  std::vector<float> values(size_t(outputs * inputs));
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t i = 0; i < inputs; ++i) {
      int64_t g = groupOf[size_t(i)];
      int64_t integer = rows      ? words.get(o * ((inputs + per - 1) / per) + i / per, i % per)
                        : ordered ? words.get(i * (outputs / per) + o / per, interleaved(o % per))
                                  : words.get(i / per * outputs + o, i % per);
      float scale = scales[size_t(rows ? o * groups + g : g * outputs + o)];
      values[size_t(o * inputs + i)] = (float(integer) - zeros[size_t(g * outputs + o)]) * scale;
    }
  return values;
}

bool isMatrixOf(const TensorView *tensor, DType dtype) {
  return tensor && tensor->dtype == dtype && tensor->shape.size() == 2;
}

/// X.qweight and what stands beside it.
Result<std::optional<StoredTensor>> packedColumns(const std::string &stem, const TensorView &values,
                                                  const FindTensor &find) {
  StoredTensor stored;
  stored.values = &values;
  stored.scales = find(stem + "scales");
  stored.zeros = find(stem + "qzeros");
  stored.groups = find(stem + "g_idx");
  if (!isMatrixOf(&values, DType::I32) || !stored.scales || stored.scales->shape.size() != 2 ||
      !isMatrixOf(stored.zeros, DType::I32))
    return misfit(values, "a matrix of packed I32 with '" + stem + "scales' and '" + stem +
                              "qzeros' of two axes beside it");
  int64_t groups = stored.scales->shape[0], outputs = stored.scales->shape[1];
  // The zeros say how many share a word, and whether values have as many columns which axis is
  // packed.
  int64_t words = stored.zeros->shape[1];
  int64_t per = words > 0 ? outputs / words : 0;
  bool byInputs = values.shape[1] == outputs;
  stored.form = byInputs ? StoredTensor::InputsPacked : StoredTensor::OutputsPacked;
  stored.bits = per > 0 ? 32 / per : 0;
  int64_t inputs = byInputs ? values.shape[0] * per : values.shape[0];
  bool knownBits =
      byInputs ? stored.bits == 2 || stored.bits == 4 || stored.bits == 8 : stored.bits == 4;
  if (!knownBits || words * per != outputs || stored.zeros->shape[0] != groups || groups < 1 ||
      (!byInputs && values.shape[1] != words) ||
      (stored.groups ? stored.groups->elements() != inputs : inputs % groups != 0))
    return misfit(values, fmt::format("integers of 2, 4 or 8 bits that fit '{}' {} and '{}' {}",
                                      stored.scales->name, printShape(stored.scales->shape),
                                      stored.zeros->name, printShape(stored.zeros->shape)));
  stored.shape = {outputs, inputs};
  for (const char *part : {"qweight", "qzeros", "scales", "g_idx"})
    stored.names.push_back(stem + part);
  return std::optional(std::move(stored));
}

/// X.weight_packed and what stands beside it.
Result<std::optional<StoredTensor>> packedRows(const std::string &name, const TensorView &values,
                                               const FindTensor &find) {
  StoredTensor stored;
  stored.form = StoredTensor::RowsPacked;
  stored.values = &values;
  stored.scales = find(name + "_scale");
  stored.zeros = find(name + "_zero_point");
  stored.groups = find(name + "_g_idx");
  const TensorView *shape = find(name + "_shape");
  if (shape) {
    RONDO_TAKE(stored.shape, toI64(*shape));
  }
  if (!isMatrixOf(&values, DType::I32) || stored.shape.size() != 2 || !stored.scales ||
      stored.scales->shape.size() != 2)
    return misfit(values, "a matrix of packed I32 with '" + name + "_shape' and '" + name +
                              "_scale' of two axes beside it");
  int64_t outputs = stored.shape[0], inputs = stored.shape[1], groups = stored.scales->shape[1];
  auto words = [](int64_t count, int64_t bits) { return (count - 1) / (32 / bits) + 1; };
  for (int64_t bits : {4, 8})
    if (outputs > 0 && inputs > 0 && inputs <= INT32_MAX && values.shape[1] == words(inputs, bits))
      stored.bits = bits;
  if (!stored.bits || values.shape[0] != outputs || stored.scales->shape[0] != outputs ||
      groups < 1 || (stored.groups ? stored.groups->elements() != inputs : inputs % groups != 0) ||
      (stored.zeros &&
       (!isMatrixOf(stored.zeros, DType::I32) ||
        stored.zeros->shape[0] != words(outputs, stored.bits) || stored.zeros->shape[1] != groups)))
    return misfit(values, fmt::format("integers of 4 or 8 bits that fit {} and '{}' {}",
                                      printShape(stored.shape), stored.scales->name,
                                      printShape(stored.scales->shape)));
  for (const char *part : {"_packed", "_scale", "_zero_point", "_g_idx", "_shape"})
    stored.names.push_back(name + part);
  return std::optional(std::move(stored));
}

} // namespace

static Result<std::optional<StoredTensor>> findNamed(const std::string &name,
                                                     std::span<const int64_t> expected,
                                                     const FindTensor &find,
                                                     const StorageRules &rules) {
  StoredTensor stored;
  stored.values = find(name);
  if (stored.values) {
    const TensorView &values = *stored.values;
    stored.shape = values.shape;
    stored.names = {name};
    for (const char *suffix : {"_scale_inv", "_scale"})
      if (!stored.scales && (stored.scales = find(name + suffix)))
        stored.names.push_back(name + suffix);
    bool eight = isFloatOfEight(values.dtype) || values.dtype == DType::I8;
    if (values.dtype == DType::U8 && !values.shape.empty() &&
        values.shape.size() == expected.size() && values.shape[0] <= expected[0] / 4 &&
        values.shape[0] * 4 == expected[0] &&
        std::equal(values.shape.begin() + 1, values.shape.end(), expected.begin() + 1)) {
      stored.form = StoredTensor::Ternary;
      stored.shape.assign(expected.begin(), expected.end());
      stored.names = {name}; // their scale is the formula's
      return std::optional(std::move(stored));
    }
    if (!eight || !stored.scales) {
      if (values.dtype == DType::I8 || (eight && rules.scaled))
        return misfit(values, "tensor '" + name + "_scale' or '" + name +
                                  "_scale_inv' beside it, or real numbers");
      stored.scales = nullptr;
      stored.names = {name};
      return std::optional(std::move(stored));
    }
    stored.form = StoredTensor::Scaled;
    RONDO_TAKE(std::vector<int64_t> shared, sharingOf(*stored.scales, values.shape, rules));
    return std::optional(std::move(stored));
  }
  if ((stored.values = find(name + "_blocks"))) {
    const TensorView &values = *stored.values;
    stored.form = StoredTensor::FourBitFloats;
    stored.scales = find(name + "_scales");
    stored.shape = values.shape;
    bool fits = values.dtype == DType::U8 && values.shape.size() >= 2 &&
                values.shape.back() == 16 && stored.scales && stored.scales->dtype == DType::U8;
    if (fits) {
      stored.shape.pop_back();
      fits = stored.scales->shape == stored.shape;
      stored.shape.back() *= 32;
    }
    if (!fits)
      return misfit(values, "U8 [..., groups, 16] with '" + name + "_scales' U8 [..., groups]");
    stored.names = {name + "_blocks", name + "_scales"};
    return std::optional(std::move(stored));
  }
  for (const BlockCode &code : blockCodes())
    if ((stored.values = find(nameOfBlocks(name, code)))) {
      const TensorView &values = *stored.values;
      if (values.dtype != DType::U8 || values.shape.size() < 2 || values.shape.back() != code.bytes)
        return misfit(values, fmt::format("U8 [..., blocks, {}]", code.bytes));
      stored.form = StoredTensor::Blocks;
      stored.code = &code;
      stored.shape.assign(values.shape.begin(), values.shape.end() - 1);
      stored.shape.back() *= code.numbers;
      stored.names = {values.name};
      return std::optional(std::move(stored));
    }
  constexpr std::string_view last = "weight";
  bool isWeight = name == last || name.ends_with(".weight");
  std::string stem = isWeight ? name.substr(0, name.size() - last.size()) : "";
  if (const TensorView *values = isWeight ? find(stem + "qweight") : nullptr)
    return packedColumns(stem, *values, find);
  if (const TensorView *values = find(name + "_packed"))
    return packedRows(name, *values, find);
  return std::optional<StoredTensor>();
}

Result<std::optional<StoredTensor>> findStored(const std::string &name,
                                               std::span<const int64_t> expected,
                                               const FindTensor &find, const StorageRules &rules,
                                               const Renames &renames) {
  auto found = findNamed(name, expected, find, rules);
  for (auto renamed = renames.begin(); found && !*found && renamed != renames.end(); ++renamed)
    if (name.starts_with(renamed->first))
      found =
          findNamed(renamed->second + name.substr(renamed->first.size()), expected, find, rules);
  return found;
}

Result<std::vector<float>> toF32(const StoredTensor &stored, const StorageRules &rules) {
  switch (stored.form) {
  case StoredTensor::Plain:
    return toF32(*stored.values);
  case StoredTensor::Scaled:
    return scaled(stored, rules);
  case StoredTensor::FourBitFloats:
    return fourBitFloats(stored);
  case StoredTensor::Ternary:
    return ternary(stored);
  case StoredTensor::Blocks:
    return decoded(stored);
  case StoredTensor::InputsPacked:
  case StoredTensor::OutputsPacked:
  case StoredTensor::RowsPacked:
    return packed(stored, rules);
  }
  return Error{"unknown form of a stored tensor"};
}

} // namespace rondo

// weight_layout.cpp - How weights lie in a package, and what of their numbers is kept.

#include "runtime/weight_layout.h"

#include "runtime/weight_groups.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace rondo {

namespace {

/// Panels of `width` rows of a matrix, in which `group` consecutive columns lie side by side.
struct WeightLayout {
  std::string_view name;
  DType stored;
  int64_t width; ///< 1: row-major, of any rank
  int64_t group;
  int groupBits = 0; ///< not 0: groups of integers with a scale (weight_groups.h)

  int64_t columns(int64_t k) const { return (k + group - 1) / group * group; }
  /// Where the element [row, column] of a matrix with `k` columns is, counted in elements.
  int64_t place(int64_t row, int64_t column, int64_t k) const {
    return row / width * (columns(k) * width) + column / group * (width * group) +
           row % width * group + column % group;
  }
};

constexpr WeightLayout layouts[] = {
    {"rows", DType::F32, 1, 1},        {"panels32", DType::F32, 32, 1},
    {"halves32", DType::BF16, 32, 1},  {"pairs32", DType::BF16, 32, 2},
    {"bytes32", DType::I8, 32, 32, 8}, {"nibbles32", DType::U8, 32, 32, 4}};

const WeightLayout *find(std::string_view name) {
  const auto *found = std::find_if(std::begin(layouts), std::end(layouts),
                                   [&](const WeightLayout &layout) { return layout.name == name; });
  return found == std::end(layouts) ? nullptr : found;
}

/// Calls visit(place in the layout, place in rows) for each element of a matrix, or of several:
/// a few columns of all rows of a panel, then the next ones, so that both sides stay in cache.
template <class Visit>
void forEach(const WeightLayout &layout, std::span<const int64_t> shape, Visit visit) {
  constexpr int64_t block = 32; // columns; a multiple of every group
  int64_t matrices = shape.size() == 3 ? shape[0] : 1;
  int64_t rows = shape[shape.size() - 2], columns = shape.back();
  int64_t packed =
      (rows + layout.width - 1) / layout.width * layout.width * layout.columns(columns);
  for (int64_t matrix = 0; matrix < matrices; ++matrix)
    for (int64_t panel = 0; panel < rows; panel += layout.width)
      for (int64_t first = 0; first < columns; first += block)
        for (int64_t row = panel; row < std::min(rows, panel + layout.width); ++row) {
          int64_t from = (matrix * rows + row) * columns;
          int64_t place = matrix * packed + layout.place(row, first, columns);
          for (int64_t column = first, inGroup = 0; column < std::min(columns, first + block);
               ++column) {
            visit(static_cast<size_t>(place + inGroup), static_cast<size_t>(from + column));
            if (++inGroup == layout.group) {
              place += layout.width * layout.group;
              inGroup = 0;
            }
          }
        }
}

} // namespace

std::string weightLayoutNames() {
  std::string names;
  for (size_t i = 0; i < std::size(layouts); ++i)
    names += fmt::format("{}{}",
                         i == 0                       ? ""
                         : i + 1 < std::size(layouts) ? ", "
                                                      : " or ",
                         layouts[i].name);
  return names;
}

bool isWeightLayout(std::string_view layout) { return find(layout); }

bool isOfIntegers(std::string_view layout) {
  const WeightLayout *found = find(layout);
  return found && found->groupBits;
}

DType storedType(std::string_view layout) {
  const WeightLayout *found = find(layout);
  return found ? found->stored : DType::F32;
}

std::optional<uint64_t> packedBytes(DType stored, std::span<const int64_t> shape,
                                    std::string_view layout) {
  const WeightLayout *found = find(layout);
  if (!found)
    return std::nullopt;
  if (found->width == 1)
    return bytesOf(stored, shape);
  if (found->groupBits)
    return stored == found->stored ? bytesOfGroups(shape, found->groupBits) : std::nullopt;
  if (shape.size() < 2 || shape.size() > 3 || stored != found->stored)
    return std::nullopt;
  int64_t rows = shape[shape.size() - 2], columns = shape.back();
  if (rows < 0 || rows > INT64_MAX - found->width || columns < 0 ||
      columns > INT64_MAX - found->group)
    return std::nullopt;
  int64_t padded[] = {shape.size() == 3 ? shape[0] : 1,
                      (rows + found->width - 1) / found->width * found->width,
                      found->columns(columns)};
  return bytesOf(stored, padded);
}

Result<std::vector<std::byte>> packWeight(const TensorView &rows, std::string_view layout) {
  auto bytes = packedBytes(storedType(layout), rows.shape, layout);
  if (!bytes || rows.dtype != DType::F32 || bytesOf(DType::F32, rows.shape) != rows.bytes.size())
    return Error{fmt::format("weight '{}' {} {}: cannot be laid out as '{}', expected f32 numbers "
                             "and {}, all but rows of a matrix or of several",
                             rows.name, nameOf(rows.dtype), printShape(rows.shape), layout,
                             weightLayoutNames())};
  const WeightLayout &to = *find(layout);
  if (to.width == 1)
    return std::vector<std::byte>(rows.bytes.begin(), rows.bytes.end());
  if (to.groupBits) {
    auto groups = packGroups(rows.bytes, rows.shape, to.groupBits);
    if (!groups)
      return Error{fmt::format("weight '{}' {}: {}", rows.name, printShape(rows.shape),
                               groups.error().message)};
    return groups;
  }
  std::vector<std::byte> packed(*bytes);
  forEach(to, rows.shape, [&](size_t place, size_t from) {
    const std::byte *source = rows.bytes.data() + from * sizeof(float);
    if (to.stored == DType::F32) {
      std::memcpy(packed.data() + place * sizeof(float), source, sizeof(float));
      return;
    }
    float number;
    std::memcpy(&number, source, sizeof number);
    uint16_t rounded = floatToBfloat(number);
    std::memcpy(packed.data() + place * sizeof rounded, &rounded, sizeof rounded);
  });
  return packed;
}

Result<Tensor> unpackWeight(std::string name, DType stored, std::vector<int64_t> shape,
                            std::string_view layout, std::span<const std::byte> packed) {
  auto bytes = packedBytes(stored, shape, layout);
  if (!bytes || *bytes != packed.size())
    return Error{fmt::format("weight '{}' {}: found {} bytes in layout '{}'", name,
                             printShape(shape), packed.size(), layout)};
  const WeightLayout &from = *find(layout);
  RONDO_TAKE(Tensor tensor,
             makeTensor(std::move(name), from.groupBits ? DType::F32 : stored, std::move(shape)));
  if (from.groupBits) {
    unpackGroups(packed, tensor.shape, from.groupBits, tensor.as<float>());
    return tensor;
  }
  if (from.width == 1) {
    std::copy(packed.begin(), packed.end(), tensor.bytes.begin());
    return tensor;
  }
  size_t width = bytesOf(stored);
  forEach(from, tensor.shape, [&](size_t place, size_t to) {
    std::memcpy(tensor.bytes.data() + to * width, packed.data() + place * width, width);
  });
  return tensor;
}

} // namespace rondo

// gguf.cpp - From the bytes of a GGUF file to checked settings and views of its tensors.

#include "runtime/gguf.h"
#include "runtime/block_codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <set>

namespace rondo {

namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::string_view magic = "GGUF";
constexpr uint64_t maxName = 1 << 16, maxCount = 1 << 20, maxAlignment = 1 << 20;
constexpr uint32_t maxAxes = 4;
constexpr int maxDepth = 4;

/// Takes values one after another, never beyond the end.
class Cursor {
public:
  Cursor(const std::string &path, std::span<const std::byte> bytes) : path(path), bytes(bytes) {}

  template <class T> Result<T> take(std::string_view what) {
    T value;
    if (left() < sizeof value)
      return Error{
          fmt::format("{}: byte {}: found the end of the file, expected {}", path, at, what)};
    std::memcpy(&value, bytes.data() + at, sizeof value);
    at += sizeof value;
    return value;
  }
  Result<std::string> text(std::string_view what, uint64_t limit) {
    RONDO_TAKE(uint64_t length, take<uint64_t>(what));
    limit = std::min<uint64_t>(limit, left());
    if (length > limit)
      return Error{fmt::format("{}: byte {}: {}: found a length of {}, expected at most {}", path,
                               at, what, length, limit)};
    std::string value(reinterpret_cast<const char *>(bytes.data()) + at, length);
    at += length;
    return value;
  }
  uint64_t position() const { return at; }
  uint64_t left() const { return bytes.size() - at; }

private:
  const std::string &path;
  std::span<const std::byte> bytes;
  uint64_t at = 0;
};

/// Types of a setting's value, by the number that files give them.
enum ValueType : uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Truth = 7,
  Text = 8,
  List = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12
};

template <class T> Result<Json> number(Cursor &cursor, const std::string &key) {
  RONDO_TAKE(T value, cursor.take<T>(key));
  return Json(value);
}

/// The shortest decimal that reads as the same f32: settings are written as decimals.
Result<Json> single(Cursor &cursor, const std::string &key) {
  RONDO_TAKE(float value, cursor.take<float>(key));
  return Json(std::isfinite(value) ? std::stod(fmt::format("{}", value)) : double(value));
}

Result<Json> value(Cursor &cursor, const std::string &path, const std::string &key, uint32_t type,
                   int depth) {
  switch (type) {
  case U8:
    return number<uint8_t>(cursor, key);
  case I8:
    return number<int8_t>(cursor, key);
  case U16:
    return number<uint16_t>(cursor, key);
  case I16:
    return number<int16_t>(cursor, key);
  case U32:
    return number<uint32_t>(cursor, key);
  case I32:
    return number<int32_t>(cursor, key);
  case U64:
    return number<uint64_t>(cursor, key);
  case I64:
    return number<int64_t>(cursor, key);
  case F32:
    return single(cursor, key);
  case F64:
    return number<double>(cursor, key);
  case Truth: {
    RONDO_TAKE(uint8_t truth, cursor.take<uint8_t>(key));
    if (truth > 1)
      return Error{fmt::format("{}: '{}': found {}, expected a truth value", path, key, truth)};
    return Json(truth == 1);
  }
  case Text: {
    RONDO_TAKE(std::string text, cursor.text(key, UINT64_MAX));
    return Json(std::move(text));
  }
  case List: {
    if (depth >= maxDepth)
      return Error{
          fmt::format("{}: '{}': found lists nested more than {} deep", path, key, maxDepth)};
    RONDO_TAKE(uint32_t element, cursor.take<uint32_t>(key));
    RONDO_TAKE(uint64_t count, cursor.take<uint64_t>(key));
    // Each element takes a byte of the file or more.
    if (count > cursor.left())
      return Error{fmt::format("{}: '{}': found a list of {}, expected at most {}: the file ends",
                               path, key, count, cursor.left())};
    Json list = Json::array();
    for (uint64_t i = 0; i < count; ++i) {
      RONDO_TAKE(Json item, value(cursor, path, key, element, depth + 1));
      list.push_back(std::move(item));
    }
    return list;
  }
  default:
    return Error{fmt::format("{}: '{}': found a value of type {}, expected one from 0 to {}", path,
                             key, type, static_cast<uint32_t>(F64))};
  }
}

struct PlainType {
  uint32_t type;
  DType dtype;
};
constexpr PlainType plainTypes[] = {{0, DType::F32},  {1, DType::F16},  {24, DType::I8},
                                    {25, DType::I16}, {26, DType::I32}, {27, DType::I64},
                                    {28, DType::F64}, {30, DType::BF16}};

/// A tensor's entry; its bytes are not yet known to be in the file.
struct Entry {
  TensorView view;
  std::string name; ///< the file's
  uint64_t offset = 0, bytes = 0;
};

Result<Entry> readEntry(Cursor &cursor, const std::string &path) {
  Entry entry;
  RONDO_TAKE(entry.name, cursor.text("a tensor's name", maxName));
  auto bad = [&](const std::string &why) {
    return Error{fmt::format("{}: tensor '{}': {}", path, entry.name, why)};
  };
  RONDO_TAKE(uint32_t axes, cursor.take<uint32_t>("a tensor's number of axes"));
  if (axes > maxAxes)
    return bad(fmt::format("found {} axes, expected at most {}", axes, maxAxes));
  std::vector<int64_t> &shape = entry.view.shape;
  for (uint32_t i = 0; i < axes; ++i) {
    RONDO_TAKE(uint64_t extent, cursor.take<uint64_t>("a tensor's extent"));
    if (extent > uint64_t(INT64_MAX))
      return bad(fmt::format("found an extent of {}, expected at most 2^63 - 1", extent));
    shape.insert(shape.begin(), static_cast<int64_t>(extent)); // the file has the fastest first
  }
  RONDO_TAKE(uint32_t type, cursor.take<uint32_t>("a tensor's type"));
  RONDO_TAKE(entry.offset, cursor.take<uint64_t>("a tensor's offset"));
  entry.view.name = entry.name;
  entry.view.file = path;
  const auto *plain = std::find_if(std::begin(plainTypes), std::end(plainTypes),
                                   [&](const PlainType &known) { return known.type == type; });
  if (plain != std::end(plainTypes)) {
    entry.view.dtype = plain->dtype;
  } else if (const BlockCode *code = blockCodeOf(type)) {
    if (shape.empty() || shape.back() % code->numbers)
      return bad(fmt::format("found shape {} of {}, expected rows of blocks of {}",
                             printShape(shape), code->name, code->numbers));
    entry.view.name = nameOfBlocks(entry.name, *code);
    entry.view.dtype = DType::U8;
    shape.back() /= code->numbers;
    shape.push_back(code->bytes);
  } else {
    std::string known = "F32, F64, F16, BF16, integers";
    for (const BlockCode &code : blockCodes())
      known += (&code == &blockCodes().back() ? " or " : ", ") + std::string(code.name);
    return bad(fmt::format("found type {}, expected {}", type, known));
  }
  auto bytes = bytesOf(entry.view.dtype, shape);
  if (!bytes)
    return bad(fmt::format("found shape {}, expected a size that fits", printShape(shape)));
  entry.bytes = *bytes;
  return entry;
}

} // namespace

bool isGguf(const std::string &path) {
  auto mapped = MappedFile::open(path);
  return mapped && mapped->bytes().size() >= magic.size() &&
         std::memcmp(mapped->bytes().data(), magic.data(), magic.size()) == 0;
}

Status GgufFile::read() {
  const std::string &path = file.path();
  std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() < magic.size() || std::memcmp(bytes.data(), magic.data(), magic.size()) != 0)
    return Error{fmt::format("{}: found another beginning, expected {}", path, magic)};
  Cursor cursor(path, bytes);
  RONDO_TAKE(uint32_t begin, cursor.take<uint32_t>("the format's name"));
  static_cast<void>(begin);
  RONDO_TAKE(uint32_t version, cursor.take<uint32_t>("the version"));
  if (version != 2 && version != 3)
    return Error{fmt::format("{}: found version {}, expected 2 or 3", path, version)};
  RONDO_TAKE(uint64_t tensors, cursor.take<uint64_t>("the number of tensors"));
  RONDO_TAKE(uint64_t settings, cursor.take<uint64_t>("the number of settings"));
  if (tensors > maxCount || settings > maxCount)
    return Error{fmt::format("{}: found {} tensors and {} settings, expected at most {} of each",
                             path, tensors, settings, maxCount)};
  for (uint64_t i = 0; i < settings; ++i) {
    RONDO_TAKE(std::string key, cursor.text("a setting's name", maxName));
    RONDO_TAKE(uint32_t type, cursor.take<uint32_t>(key));
    RONDO_TAKE(Json json, value(cursor, path, key, type, 0));
    if (!keys.emplace(key, std::move(json)).second)
      return Error{
          fmt::format("{}: setting '{}' comes twice; expected names that differ", path, key)};
  }
  uint64_t alignment = 32;
  if (auto given = keys.find("general.alignment"); given != keys.end()) {
    alignment = given->second.is_number_unsigned() ? given->second.get<uint64_t>() : 0;
    if (alignment == 0 || alignment > maxAlignment)
      return Error{fmt::format("{}: general.alignment: found {}, expected an integer from 1 to {}",
                               path, printJson(given->second), maxAlignment)};
  }
  std::vector<Entry> entries;
  std::set<std::string> names;
  for (uint64_t i = 0; i < tensors; ++i) {
    RONDO_TAKE(Entry entry, readEntry(cursor, path));
    if (!names.insert(entry.name).second)
      return Error{
          fmt::format("{}: tensor '{}' comes twice; expected names that differ", path, entry.name)};
    entries.push_back(std::move(entry));
  }
  uint64_t data = (cursor.position() + alignment - 1) / alignment * alignment;
  for (Entry &entry : entries) {
    auto first = checkedAdd(data, entry.offset);
    auto last = first ? checkedAdd(*first, entry.bytes) : std::nullopt;
    if (!last || *last > bytes.size())
      return Error{fmt::format("{}: tensor '{}': found {} bytes at {} of the data, expected them "
                               "within its {} bytes",
                               path, entry.name, entry.bytes, entry.offset,
                               bytes.size() - std::min<uint64_t>(data, bytes.size()))};
    entry.view.bytes = bytes.subspan(*first, entry.bytes);
    all.push_back(std::move(entry.view));
  }
  std::vector<const TensorView *> order;
  for (const TensorView &view : all)
    order.push_back(&view);
  std::sort(order.begin(), order.end(), [](const TensorView *a, const TensorView *b) {
    return std::pair(a->bytes.data(), a->bytes.size()) <
           std::pair(b->bytes.data(), b->bytes.size());
  });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i - 1]->bytes.data() + order[i - 1]->bytes.size() > order[i]->bytes.data())
      return Error{fmt::format("{}: tensor '{}': its data overlaps that of '{}'; expected each "
                               "tensor to have its own",
                               path, order[i]->name, order[i - 1]->name)};
  return {};
}

Result<GgufFile> GgufFile::open(const std::string &path) {
  RONDO_TAKE(MappedFile mapped, MappedFile::open(path));
  GgufFile result(std::move(mapped));
  RONDO_CHECK(result.read());
  return result;
}

} // namespace rondo

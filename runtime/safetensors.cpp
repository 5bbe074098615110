// safetensors.cpp - From the bytes of a file to checked views of its tensors, and back.

#include "runtime/safetensors.h"
#include "runtime/json.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <sys/stat.h>

namespace rondo {

namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr uint64_t maxHeader = 100'000'000; // the format's own limit
constexpr size_t maxRank = 16;
constexpr int maxDepth = 8; // a header nests three levels

Error tensorError(const std::string &file, const std::string &tensor, const std::string &what) {
  return Error{fmt::format("{}: tensor '{}': {}", file, tensor, what)};
}

/// An integer in [0, 2^63); `name` is the place inside the tensor's entry.
Result<int64_t> natural(const std::string &file, const std::string &tensor, const char *name,
                        const Json &json) {
  bool fits = json.is_number_unsigned() && json.get<uint64_t>() <= uint64_t(INT64_MAX);
  if (!fits)
    return tensorError(file, tensor,
                       fmt::format("{}: found {}, expected an integer from 0 to 2^63 - 1", name,
                                   json.dump(-1, ' ', false, Json::error_handler_t::replace)));
  return static_cast<int64_t>(json.get<uint64_t>());
}

/// One entry of the header. `data` is what follows the header.
Result<TensorView> readEntry(const std::string &file, const std::string &name, const Json &entry,
                             std::span<const std::byte> data) {
  if (!entry.is_object())
    return tensorError(file, name, fmt::format("found {}, expected an object", entry.type_name()));
  for (const char *key : {"dtype", "shape", "data_offsets"})
    if (!entry.contains(key))
      return tensorError(file, name,
                         fmt::format("found no '{}', expected dtype, shape and data_offsets", key));

  TensorView view;
  view.name = name;
  view.file = file;
  const Json &type = entry["dtype"];
  auto dtype = type.is_string() ? dtypeNamed(type.get<std::string>()) : std::nullopt;
  if (!dtype)
    return tensorError(
        file, name,
        fmt::format("dtype: found {}, expected F32, F64, BF16, F16, F8_E4M3, F8_E5M2, "
                    "I8, I16, I32, I64, U8 or BOOL",
                    type.dump(-1, ' ', false, Json::error_handler_t::replace)));
  view.dtype = *dtype;

  const Json &shape = entry["shape"];
  if (!shape.is_array() || shape.size() > maxRank)
    return tensorError(file, name,
                       fmt::format("shape: expected an array of at most {} extents", maxRank));
  for (const Json &extent : shape) {
    RONDO_TAKE(int64_t value, natural(file, name, "shape", extent));
    view.shape.push_back(value);
  }
  auto bytes = bytesOf(view.dtype, view.shape);
  if (!bytes)
    return tensorError(file, name,
                       fmt::format("shape: found {}, expected a size that fits into the file",
                                   printShape(view.shape)));

  const Json &offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2)
    return tensorError(file, name, "data_offsets: expected an array [begin, end]");
  RONDO_TAKE(int64_t begin, natural(file, name, "data_offsets", offsets[0]));
  RONDO_TAKE(int64_t end, natural(file, name, "data_offsets", offsets[1]));
  if (begin > end || static_cast<uint64_t>(end) > data.size())
    return tensorError(
        file, name,
        fmt::format("data_offsets: found [{}, {}], expected begin <= end <= {} (the bytes "
                    "after the header)",
                    begin, end, data.size()));
  if (static_cast<uint64_t>(end - begin) != *bytes)
    return tensorError(file, name,
                       fmt::format("found {} bytes of data, expected {} for {} {}", end - begin,
                                   *bytes, nameOf(view.dtype), printShape(view.shape)));
  view.bytes = data.subspan(static_cast<size_t>(begin), static_cast<size_t>(*bytes));
  return view;
}

bool isFolder(const std::string &path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool exists(const std::string &path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

} // namespace

Result<TensorFile> TensorFile::open(const std::string &path) {
  RONDO_TAKE(MappedFile mapped, MappedFile::open(path));
  TensorFile result(std::move(mapped));
  std::span<const std::byte> bytes = result.file.bytes();
  uint64_t header = 0;
  if (bytes.size() < sizeof header)
    return Error{fmt::format("{}: found {} bytes, expected at least 8 for the length of the header",
                             path, bytes.size())};
  std::memcpy(&header, bytes.data(), sizeof header);
  uint64_t room = bytes.size() - sizeof header;
  if (header > maxHeader || header > room)
    return Error{fmt::format("{}: header: found a length of {} bytes, expected at most {}", path,
                             header, std::min(maxHeader, room))};
  std::string_view text(reinterpret_cast<const char *>(bytes.data()) + sizeof header, header);
  std::span<const std::byte> data = bytes.subspan(sizeof header + header);

  RONDO_TAKE(Json json, parseJson(path + ": header", text, maxDepth));
  if (!json.is_object())
    return Error{
        fmt::format("{}: header: found {}, expected an object of tensors", path, json.type_name())};
  for (const auto &[name, entry] : json.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object())
        return Error{fmt::format("{}: header: __metadata__: found {}, expected an object", path,
                                 entry.type_name())};
      for (const auto &[key, note] : entry.items())
        if (note.is_string())
          result.notes[key] = note.get<std::string>();
      continue;
    }
    RONDO_TAKE(TensorView view, readEntry(path, name, entry, data));
    result.all.push_back(std::move(view));
  }

  // An empty tensor lies before one that begins at the same byte.
  std::sort(result.all.begin(), result.all.end(), [](const TensorView &a, const TensorView &b) {
    return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
  });
  const std::byte *end = data.data();
  for (size_t i = 0; i < result.all.size(); ++i) {
    const TensorView &view = result.all[i];
    if (view.bytes.data() < end)
      return tensorError(
          path, view.name,
          fmt::format("its data overlaps that of '{}'; expected each tensor to have its own",
                      result.all[i - 1].name));
    end = view.bytes.data() + view.bytes.size();
    result.byName.emplace(view.name, i);
  }
  end = data.data();
  for (const TensorView &view : result.all) {
    if (view.bytes.data() != end)
      return tensorError(path, view.name,
                         fmt::format("its data begins at byte {}, expected {} (no hole before it)",
                                     view.bytes.data() - data.data(), end - data.data()));
    end = view.bytes.data() + view.bytes.size();
  }
  if (size_t used = static_cast<size_t>(end - data.data()); used != data.size())
    return Error{fmt::format("{}: found {} bytes after the header, expected {} (the tensors' data)",
                             path, data.size(), used)};
  return result;
}

const TensorView *TensorFile::find(std::string_view name) const {
  auto found = byName.find(std::string(name));
  return found == byName.end() ? nullptr : &all[found->second];
}

Result<Checkpoint> Checkpoint::open(const std::string &fileOrFolder) {
  Checkpoint result;
  result.origin = fileOrFolder;
  if (!isFolder(fileOrFolder)) {
    RONDO_TAKE(TensorFile file, TensorFile::open(fileOrFolder));
    result.shards.push_back(std::move(file));
    for (const TensorView &view : result.shards[0].tensors())
      result.byName.emplace(view.name, &view);
    return result;
  }

  std::string single = fileOrFolder + "/model.safetensors", index = single + ".index.json";
  if (exists(single)) {
    RONDO_TAKE(TensorFile file, TensorFile::open(single));
    result.shards.push_back(std::move(file));
    for (const TensorView &view : result.shards[0].tensors())
      result.byName.emplace(view.name, &view);
    return result;
  }
  if (!exists(index))
    return Error{fmt::format("{}: found neither model.safetensors nor "
                             "model.safetensors.index.json, expected one of them",
                             fileOrFolder)};

  RONDO_TAKE(std::string text, readText(index, maxHeader));
  RONDO_TAKE(Json json, parseJson(index, text, maxDepth));
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    return Error{fmt::format(
        "{}: found no object 'weight_map', expected one from tensor names to files", index)};
  std::map<std::string, size_t> shardOf;
  const Json &map = json["weight_map"];
  for (const auto &[name, file] : map.items()) {
    if (!file.is_string())
      return Error{fmt::format("{}: weight_map: '{}': found {}, expected a file name", index, name,
                               file.type_name())};
    // A file name only: it must not lead out of the folder.
    std::string shard = file.get<std::string>();
    if (shard.empty() || shard == "." || shard == ".." || shard.find('/') != std::string::npos ||
        shard.find('\0') != std::string::npos)
      return Error{fmt::format(
          "{}: weight_map: '{}': found '{}', expected the name of a file in the same folder", index,
          name, shard)};
    shardOf.emplace(shard, 0);
  }
  for (auto &[shard, number] : shardOf) {
    number = result.shards.size();
    RONDO_TAKE(TensorFile file, TensorFile::open(fileOrFolder + "/" + shard));
    result.shards.push_back(std::move(file));
  }
  for (const auto &[name, file] : map.items()) {
    const TensorFile &shard = result.shards[shardOf[file.get<std::string>()]];
    const TensorView *view = shard.find(name);
    if (!view)
      return Error{fmt::format("{}: found no tensor '{}', expected it there as {} says",
                               shard.path(), name, index)};
    result.byName.emplace(name, view);
  }
  return result;
}

Checkpoint Checkpoint::of(const std::string &file, std::vector<TensorView> tensors,
                          std::shared_ptr<const void> memory) {
  Checkpoint result;
  result.origin = file;
  result.memory = std::move(memory);
  result.others = std::make_shared<const std::vector<TensorView>>(std::move(tensors));
  for (const TensorView &view : *result.others)
    result.byName.emplace(view.name, &view);
  return result;
}

std::vector<Checkpoint::Part> Checkpoint::parts() const {
  std::vector<Part> result;
  if (others)
    result.push_back({origin, *others});
  for (const TensorFile &shard : shards)
    result.push_back({shard.path(), shard.tensors()});
  return result;
}

const TensorView *Checkpoint::find(std::string_view name) const {
  auto found = byName.find(name);
  return found == byName.end() ? nullptr : found->second;
}

Result<const TensorView *> Checkpoint::get(std::string_view name,
                                           std::span<const int64_t> shape) const {
  const TensorView *view = find(name);
  if (!view) {
    // A tensor with the same last two name parts is the likeliest mistake: a scope too many or too
    // few.
    std::string hint;
    std::string_view tail = name;
    if (size_t dot = name.rfind('.'); dot != name.npos)
      tail = name.substr(name.rfind('.', dot - 1) + 1);
    for (const auto &[other, unused] : byName)
      if (other.size() > tail.size() && std::string_view(other).ends_with(tail)) {
        hint = fmt::format("; did the spec mean '{}'?", other);
        break;
      }
    return Error{fmt::format("{}: tensor '{}' is missing, expected shape {}{}", origin, name,
                             printShape(shape), hint)};
  }
  if (!std::equal(shape.begin(), shape.end(), view->shape.begin(), view->shape.end()))
    return Error{fmt::format("{}: tensor '{}': found shape {}, expected {}", view->file, name,
                             printShape(view->shape), printShape(shape))};
  return view;
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> result;
  for (const auto &[name, view] : byName)
    result.push_back(name);
  return result;
}

Status writeTensors(const std::string &path, std::span<const TensorView> tensors,
                    const std::map<std::string, std::string> &metadata) {
  Json header = Json::object();
  if (!metadata.empty())
    header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const TensorView &tensor : tensors) {
    auto bytes = bytesOf(tensor.dtype, tensor.shape);
    if (!bytes || *bytes != tensor.bytes.size())
      return tensorError(path, tensor.name,
                         fmt::format("found {} bytes to write, expected those of {}",
                                     tensor.bytes.size(), printShape(tensor.shape)));
    if (header.contains(tensor.name))
      return tensorError(path, tensor.name, "given twice");
    header[tensor.name] = {{"dtype", nameOf(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + *bytes}}};
    offset += *bytes;
  }
  // Spaces after the header keep the data aligned.
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  RONDO_TAKE(NewFile file, NewFile::create(path));
  RONDO_CHECK(file.write(std::as_bytes(std::span(&length, 1))));
  RONDO_CHECK(file.write(text));
  for (const TensorView &tensor : tensors)
    RONDO_CHECK(file.write(tensor.bytes));
  return file.commit();
}

Status writeTensors(const std::string &path, std::span<const Tensor> tensors,
                    const std::map<std::string, std::string> &metadata) {
  std::vector<TensorView> views;
  for (const Tensor &tensor : tensors)
    views.push_back(tensor.view());
  return writeTensors(path, std::span<const TensorView>(views), metadata);
}

} // namespace rondo

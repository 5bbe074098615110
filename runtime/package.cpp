// package.cpp - The file of a package: header, sections and hashes, read and written.

#include "runtime/package.h"
#include "runtime/abi.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

extern "C" const std::byte rondo_linked_package[] __attribute__((weak));
extern "C" const std::byte rondo_linked_package_end[] __attribute__((weak));

namespace rondo {

namespace {

constexpr char magic[8] = {'R', 'O', 'N', 'D', 'O', 'P', 'K', '1'};
constexpr const char *sectionNames[3] = {"manifest", "code", "weights"};

struct SectionRecord {
  uint64_t offset, size;
  uint64_t hash[2];
};

struct Header {
  char magic[8];
  uint32_t version, zero;
  uint64_t fileSize;
  SectionRecord sections[3];
  uint64_t hash;
};
static_assert(sizeof(Header) == 128 && offsetof(Header, hash) == 120);

uint64_t pageAligned(uint64_t size) { return (size + packagePage - 1) / packagePage * packagePage; }

SectionRecord recordOf(uint64_t offset, uint64_t size, XXH128_hash_t hash) {
  return {offset, size, {hash.low64, hash.high64}};
}

Status checkHash(const std::string &file, const char *section, std::span<const std::byte> bytes,
                 const SectionRecord &record) {
  XXH128_hash_t found = XXH3_128bits(bytes.data(), bytes.size());
  if (found.low64 != record.hash[0] || found.high64 != record.hash[1])
    return Error{fmt::format("{}: {}: found hash {:016x}{:016x}, expected {:016x}{:016x}; the file "
                             "is damaged, and its native code is not run",
                             file, section, found.high64, found.low64, record.hash[1],
                             record.hash[0])};
  return {};
}

/// The header's own fields; on success the sections are inside the file, in order, and do not
/// overlap.
Result<Header> readHeader(const std::string &file, std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(Header))
    return Error{fmt::format(
        "{}: header: found {} bytes, expected at least {} of a package that begins with RONDOPK1",
        file, bytes.size(), sizeof(Header))};
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, magic, sizeof magic) != 0) {
    std::string found(header.magic, sizeof magic);
    std::replace_if(
        found.begin(), found.end(), [](unsigned char c) { return c < 32 || c > 126; }, '?');
    return Error{fmt::format(
        "{}: header: found '{}' in front, expected RONDOPK1 of a package made by rondoc", file,
        found)};
  }
  if (header.version != packageVersion)
    return Error{fmt::format("{}: header: found version {}, expected {}; compile the model again "
                             "with this version's rondoc",
                             file, header.version, packageVersion)};
  if (uint64_t hash = XXH3_64bits(bytes.data(), offsetof(Header, hash)); hash != header.hash)
    return Error{
        fmt::format("{}: header: found hash {:016x}, expected {:016x}; the file is damaged", file,
                    hash, header.hash)};
  if (header.zero != 0)
    return Error{fmt::format("{}: header: found {} at byte 12, expected 0", file, header.zero)};
  if (header.fileSize != bytes.size())
    return Error{fmt::format("{}: found {} bytes, expected {} as its header says", file,
                             bytes.size(), header.fileSize)};
  uint64_t end = packagePage;
  for (int i = 0; i < 3; ++i) {
    const SectionRecord &section = header.sections[i];
    auto sectionEnd = checkedAdd(section.offset, section.size);
    if (section.offset % packagePage != 0)
      return Error{fmt::format("{}: header: {}: found offset {}, expected a multiple of {}", file,
                               sectionNames[i], section.offset, packagePage)};
    if (section.offset < end)
      return Error{fmt::format(
          "{}: header: {}: found offset {}, expected at least {} (it overlaps what is before it)",
          file, sectionNames[i], section.offset, end)};
    if (!sectionEnd || *sectionEnd > bytes.size())
      return Error{fmt::format(
          "{}: header: {}: found offset {} and size {}, expected an end of at most {} (the file)",
          file, sectionNames[i], section.offset, section.size, bytes.size())};
    end = *sectionEnd;
  }
  if (end != bytes.size())
    return Error{fmt::format("{}: found {} bytes, expected {} (the end of the weights)", file,
                             bytes.size(), end)};
  return header;
}

} // namespace

Result<Package> Package::open(const std::string &path) {
  RONDO_TAKE(MappedFile file, MappedFile::open(path));
  std::span<const std::byte> bytes = file.bytes();
  return read(std::move(file), bytes, path);
}

Result<Package> Package::fromMemory(std::span<const std::byte> bytes, std::string name) {
  return read(std::nullopt, bytes, std::move(name));
}

Result<Package> Package::read(std::optional<MappedFile> file, std::span<const std::byte> bytes,
                              std::string name) {
  RONDO_TAKE(Header header, readHeader(name, bytes));
  if (reinterpret_cast<uintptr_t>(bytes.data()) % packagePage != 0)
    return Error{fmt::format("{}: found in memory at an odd address, expected a multiple of {}",
                             name, packagePage)};
  auto section = [&](int i) {
    return bytes.subspan(header.sections[i].offset, header.sections[i].size);
  };
  for (int i : {0, 1})
    RONDO_CHECK(checkHash(name, sectionNames[i], section(i), header.sections[i]));

  std::span<const std::byte> manifest = section(0);
  const auto *data = reinterpret_cast<const uint8_t *>(manifest.data());
  if (manifest.size() < 16 || manifest.size() >= FLATBUFFERS_MAX_BUFFER_SIZE)
    return Error{fmt::format("{}: manifest: found {} bytes, expected 16 to {}", name,
                             manifest.size(), FLATBUFFERS_MAX_BUFFER_SIZE)};
  if (!package::PackageBufferHasIdentifier(data))
    return Error{fmt::format("{}: manifest: found another identifier, expected {}", name,
                             package::PackageIdentifier())};
  flatbuffers::Verifier verifier(data, manifest.size(), /*max_depth=*/64,
                                 /*max_tables=*/100'000'000);
  if (!package::VerifyPackageBuffer(verifier))
    return Error{fmt::format(
        "{}: manifest: found a malformed FlatBuffer, expected one as runtime/package.fbs describes",
        name)};
  const package::Package *root = package::GetPackage(data);
  RONDO_CHECK(checkManifest(name, *root, header.sections[2].size));

  Package result;
  result.mapped = std::move(file);
  result.content = bytes;
  result.codeBytes = section(1);
  result.weightSection = section(2);
  result.name = std::move(name);
  result.root = root;
  return result;
}

std::span<const std::byte> Package::weight(size_t index) const {
  const package::Weight *weight = root->weights()->Get(static_cast<uint32_t>(index));
  return weightSection.subspan(weight->offset(), weight->bytes());
}

std::optional<size_t> Package::findWeight(std::string_view wanted, std::string_view layout) const {
  for (uint32_t i = 0; i < root->weights()->size(); ++i) {
    const package::Weight *weight = root->weights()->Get(i);
    if (weight->name()->string_view() == wanted &&
        (layout.empty() || weight->layout()->string_view() == layout))
      return i;
  }
  return std::nullopt;
}

const package::Entry *Package::findEntry(std::string_view wanted) const {
  for (const package::Entry *entry : *root->entries())
    if (entry->name()->string_view() == wanted)
      return entry;
  return nullptr;
}

std::string Package::entryNames() const {
  std::string names;
  for (const package::Entry *entry : *root->entries())
    names += (names.empty() ? "" : ", ") + entry->name()->str();
  return names.empty() ? "none" : names;
}

std::string Package::contentHash() const {
  XXH128_hash_t hash = XXH3_128bits(content.data(), sizeof(Header));
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

Status Package::checkWeights() const {
  Header header;
  std::memcpy(&header, content.data(), sizeof header);
  return checkHash(name, sectionNames[2], weightSection, header.sections[2]);
}

DType dtypeOf(package::DType dtype) { return static_cast<DType>(dtype); }
static_assert(
    int(DType::F32) == int(package::DType::F32) && int(DType::F64) == int(package::DType::F64) &&
    int(DType::BF16) == int(package::DType::BF16) && int(DType::F16) == int(package::DType::F16) &&
    int(DType::I8) == int(package::DType::I8) && int(DType::I32) == int(package::DType::I32) &&
    int(DType::I64) == int(package::DType::I64) && int(DType::U8) == int(package::DType::U8));

std::optional<package::DType> packageDType(DType dtype) {
  if (int(dtype) > int(package::DType::MAX))
    return std::nullopt;
  return static_cast<package::DType>(dtype);
}

const package::State *scaleOf(const package::Package &manifest, const package::State &state) {
  if (state.scale() && state.scale()->size() > 0)
    for (const package::State *other : *manifest.states())
      if (other->name()->string_view() == state.scale()->string_view())
        return other;
  return nullptr;
}

void multiplyByScale(const package::State &state, const package::State &scale,
                     std::span<double> numbers, std::span<const double> exponents) {
  // Strides of the scale along the state's axes, 0 where it lacks one.
  std::vector<int64_t> extents, strides;
  for (const package::Axis *axis : *state.axes()) {
    int64_t stride = 0, inner = 1;
    for (unsigned i = scale.axes()->size(); i-- > 0; inner *= scale.axes()->Get(i)->extent())
      if (scale.axes()->Get(i)->name()->string_view() == axis->name()->string_view())
        stride = inner;
    extents.push_back(axis->extent());
    strides.push_back(stride);
  }
  for (size_t at = 0; at < numbers.size(); ++at) {
    int64_t left = static_cast<int64_t>(at), place = 0;
    for (size_t i = extents.size(); i-- > 0; left /= extents[i])
      place += left % extents[i] * strides[i];
    // What is empty stays so: its exponent may be any.
    if (numbers[at] != 0)
      numbers[at] *= std::exp(exponents[static_cast<size_t>(place)]);
  }
}

int64_t rowBytes(const package::Value &value) {
  int64_t bytes = static_cast<int64_t>(bytesOf(dtypeOf(value.dtype())));
  for (const package::Axis *axis : *value.axes())
    if (axis->extent() >= 0)
      bytes *= axis->extent();
  return bytes;
}

Result<Tensor> unpackWeight(const Package &package, size_t index) {
  const package::Weight *weight = package.manifest().weights()->Get(static_cast<uint32_t>(index));
  return unpackWeight(weight->name()->str(), dtypeOf(weight->dtype()),
                      {weight->shape()->begin(), weight->shape()->end()},
                      weight->layout()->string_view(), package.weight(index));
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

namespace {

/// The manifest's bytes.
flatbuffers::DetachedBuffer bytesOf(const package::PackageT &manifest) {
  flatbuffers::FlatBufferBuilder builder(1 << 16);
  package::FinishPackageBuffer(builder, package::CreatePackage(builder, &manifest));
  return builder.Release();
}

std::span<const std::byte> viewOf(const flatbuffers::DetachedBuffer &buffer) {
  return std::as_bytes(std::span(buffer.data(), buffer.size()));
}

} // namespace

Status writePackage(const std::string &path, package::PackageT &manifest,
                    std::span<const std::byte> code, const WeightSource &weights) {
  manifest.abi = RONDO_ABI_VERSION;
  uint64_t weightsSize = 0;
  for (auto &weight : manifest.weights) {
    auto bytes = packedBytes(dtypeOf(weight->dtype), weight->shape, weight->layout);
    auto end = bytes ? checkedAdd((weightsSize + 63) / 64 * 64, *bytes) : std::nullopt;
    if (!end)
      return Error{
          fmt::format("{}: weight '{}' {}: found a size or layout '{}' that cannot be written",
                      path, weight->name, printShape(weight->shape), weight->layout)};
    weight->offset = (weightsSize + 63) / 64 * 64;
    weight->bytes = *bytes;
    weightsSize = *end;
  }
  flatbuffers::DetachedBuffer first = bytesOf(manifest);
  std::span<const std::byte> manifestBytes = viewOf(first);
  RONDO_CHECK(checkManifest(path, *package::GetPackage(first.data()), weightsSize));

  Header header = {};
  std::memcpy(header.magic, magic, sizeof magic);
  header.version = packageVersion;
  uint64_t codeAt = packagePage + pageAligned(manifestBytes.size());
  uint64_t weightsAt = codeAt + pageAligned(code.size());
  header.fileSize = weightsAt + weightsSize;
  header.sections[1] = recordOf(codeAt, code.size(), XXH3_128bits(code.data(), code.size()));

  RONDO_TAKE(NewFile file, NewFile::create(path));
  RONDO_CHECK(file.padTo(packagePage));
  RONDO_CHECK(file.write(manifestBytes));
  RONDO_CHECK(file.padTo(codeAt));
  RONDO_CHECK(file.write(code));
  RONDO_CHECK(file.padTo(weightsAt));
  XXH3_state_t *running = XXH3_createState();
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t *)> owner(running, XXH3_freeState);
  XXH3_128bits_reset(running);
  for (size_t i = 0; i < manifest.weights.size(); ++i) {
    const package::WeightT &weight = *manifest.weights[i];
    RONDO_TAKE(std::vector<std::byte> bytes, weights(i));
    if (bytes.size() != weight.bytes)
      return Error{fmt::format("{}: weight '{}': found {} packed bytes, expected {}", path,
                               weight.name, bytes.size(), weight.bytes)};
    static const std::byte zeros[64] = {};
    uint64_t gap = weightsAt + weight.offset - file.written();
    RONDO_CHECK(file.write(std::span(zeros, gap)));
    XXH3_128bits_update(running, zeros, gap);
    RONDO_CHECK(file.write(bytes));
    XXH3_128bits_update(running, bytes.data(), bytes.size());
  }
  // It stands before the weights, and what they lost is known now; numbers take no more room.
  flatbuffers::DetachedBuffer known = bytesOf(manifest);
  if (known.size() != first.size())
    return Error{
        fmt::format("{}: manifest: found {} bytes after the weights, expected {} as before "
                    "them",
                    path, known.size(), first.size())};
  RONDO_CHECK(file.writeAt(packagePage, viewOf(known)));
  header.sections[0] =
      recordOf(packagePage, known.size(), XXH3_128bits(known.data(), known.size()));
  header.sections[2] = recordOf(weightsAt, weightsSize, XXH3_128bits_digest(running));
  header.hash = XXH3_64bits(&header, offsetof(Header, hash));
  RONDO_CHECK(file.writeAt(0, std::as_bytes(std::span(&header, 1))));
  return file.commit();
}

std::span<const std::byte> linkedPackage() {
  return rondo_linked_package ? std::span(rondo_linked_package, rondo_linked_package_end)
                              : std::span<const std::byte>();
}

} // namespace rondo

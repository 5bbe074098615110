// package.h - Reads a package (.rpk) without trusting it, and writes one as a whole or not at all.
//
// The file: a header of one page, then three sections, each at a multiple of 4096 bytes: manifest
// (the FlatBuffer of package.fbs), code (a shared object), weights (tensors, each at a multiple of
// 64 bytes). The header:
//
//   bytes    0  "RONDOPK1"
//            8  u32 version of this layout, u32 zero
//           16  u64 size of the file
//           24  three times u64 offset, u64 size, u64[2] XXH3-128 of the section: manifest, code,
//           weights
//          120  u64 XXH3-64 of the bytes 0 to 120
//
// Opening checks the header, the hashes of manifest and code, the FlatBuffer's structure, and every
// index, size and sum in it: what is reachable through manifest() is in range. The weights' hash
// takes a pass over all of them and is checked by checkWeights().
//
// A package holds native code. The hashes find damage, not malice: run only packages that you trust
// as you would trust a program.

#ifndef RONDO_RUNTIME_PACKAGE_H
#define RONDO_RUNTIME_PACKAGE_H

#include "runtime/file.h"
#include "runtime/package_generated.h"
#include "runtime/tensor.h"
#include "runtime/weight_layout.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

/// The version of the file's layout, and what a package must be aligned to in memory.
inline constexpr uint32_t packageVersion = 2;
inline constexpr uint64_t packagePage = 4096;

class Package {
public:
  static Result<Package> open(const std::string &path);
  /// Over bytes that the caller keeps alive, at a multiple of 4096; `name` stands for the file in
  /// messages.
  static Result<Package> fromMemory(std::span<const std::byte> bytes, std::string name);

  const std::string &path() const { return name; }
  const package::Package &manifest() const { return *root; }
  std::span<const std::byte> code() const { return codeBytes; }
  /// The packed bytes of weight `index` of the manifest.
  std::span<const std::byte> weight(size_t index) const;
  /// The index of a weight; nothing when there is none. `layout` empty: any.
  std::optional<size_t> findWeight(std::string_view name, std::string_view layout = {}) const;
  /// Null when there is none.
  const package::Entry *findEntry(std::string_view name) const;
  /// "forward, prefill, step"
  std::string entryNames() const;
  uint64_t fileBytes() const { return content.size(); }
  uint64_t weightBytes() const { return weightSection.size(); }
  /// Hexadecimal XXH3-128 over the header, which holds the sections' hashes: the package's
  /// identity.
  std::string contentHash() const;
  /// Compares the weights with their hash: reads all of them.
  Status checkWeights() const;

private:
  static Result<Package> read(std::optional<MappedFile> file, std::span<const std::byte> bytes,
                              std::string name);
  std::optional<MappedFile> mapped;
  std::span<const std::byte> content, codeBytes, weightSection;
  std::string name;
  const package::Package *root = nullptr;
};

/// The bytes of the package that is linked into this program (`rondoc --emit=exe`); empty in any
/// other.
std::span<const std::byte> linkedPackage();

/// Every index, size, sum and name in a manifest that is structurally sound. `weightBytes` is the
/// size of the weights section.
Status checkManifest(const std::string &file, const package::Package &manifest,
                     uint64_t weightBytes);

DType dtypeOf(package::DType dtype);
std::optional<package::DType> packageDType(DType dtype);
/// The state that scales `state`: whose exponential its numbers are to be multiplied with. Null:
/// they are what the spec says.
const package::State *scaleOf(const package::Package &manifest, const package::State &state);
/// Multiplies the numbers of a state, in the order of its axes, with the exponentials of those of
/// the state that scales it.
void multiplyByScale(const package::State &state, const package::State &scale,
                     std::span<double> numbers, std::span<const double> exponents);
/// Bytes of one row of an entry's value: the product of its axes but the first (t).
int64_t rowBytes(const package::Value &value);

/// Row-major, of the stored type.
Result<Tensor> unpackWeight(const Package &package, size_t index);

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// Gives the packed bytes of weight `index` of the manifest; called once for each, in order. May
/// set the error of a weight that has one: what is lost is known when its bytes are.
using WeightSource = std::function<Result<std::vector<std::byte>>(size_t index)>;

/// Writes `path` beside and renames it. Sets offset and bytes of each weight in `manifest` from its
/// dtype, shape and layout, and the ABI's version. What is written passes the same checks as what
/// is read.
Status writePackage(const std::string &path, package::PackageT &manifest,
                    std::span<const std::byte> code, const WeightSource &weights);

} // namespace rondo

#endif // RONDO_RUNTIME_PACKAGE_H

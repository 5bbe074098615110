// NudgedPackage.cpp - Multiplies f32 weights by 1 + 2^-21 or 1 - 2^-21.

#include "tools/rondo/NudgedPackage.h"

#include <cstring>
#include <fmt/format.h>
#include <memory>

namespace rondo::cli {

namespace {

/// The finaliser of splitmix64: every bit of the result depends on every bit of `x`.
uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// Every f32 layout is numbers and zeros, in whatever order.
bool holdsOnlyF32(const package::Weight &weight) {
  return weight.dtype() == package::DType::F32 && !isOfIntegers(weight.layout()->string_view());
}

} // namespace

Status writeNudged(const Package &package, uint64_t seed, const std::string &path) {
  const package::Package &manifest = package.manifest();
  bool any = false;
  auto source = [&](size_t index) -> Result<std::vector<std::byte>> {
    std::span<const std::byte> packed = package.weight(index);
    std::vector<std::byte> bytes(packed.begin(), packed.end());
    if (!holdsOnlyF32(*manifest.weights()->Get(static_cast<flatbuffers::uoffset_t>(index))))
      return bytes;
    uint64_t stream = mixed(seed ^ mixed(index + 1));
    for (size_t i = 0; i + sizeof(float) <= bytes.size(); i += sizeof(float)) {
      float number;
      std::memcpy(&number, &bytes[i], sizeof(float));
      number *= mixed(stream + i) & 1 ? 1 + 0x1p-21f : 1 - 0x1p-21f;
      std::memcpy(&bytes[i], &number, sizeof(float));
    }
    any |= !bytes.empty();
    return bytes;
  };
  std::unique_ptr<package::PackageT> copy(manifest.UnPack());
  RONDO_CHECK(writePackage(path, *copy, package.code(), source));
  if (!any)
    return Error{fmt::format("{}: no weight is f32, so what a last bit does to its numbers cannot "
                             "be measured",
                             package.path())};
  return {};
}

} // namespace rondo::cli

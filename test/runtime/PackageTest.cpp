// PackageTest.cpp - A package is read as it was written; one that is damaged or lies is refused
// with the place where it does.

#include "runtime/package.h"
#include "test/runtime/Scratch.h"
#include "test/runtime/SmallModel.h"

#include <cmath>
#include <cstring>

using namespace rondo;
using rondo::test::expectError;
using rondo::test::Scratch;

namespace {

std::string readBytes(const std::string &path) { return *readText(path); }

class PackageFile : public testing::Test {
protected:
  PackageFile() {
    Status written = test::writeSmall(path);
    EXPECT_TRUE(written) << written.error().message;
    good = readBytes(path);
  }
  template <class... Words> void refused(std::string content, const Words &...words) {
    std::string bad = scratch.write("bad.rpk", content);
    expectError(Package::open(bad), bad.c_str(), words...);
  }
  template <class T> std::string changed(size_t at, T value) {
    std::string content = good;
    std::memcpy(content.data() + at, &value, sizeof value);
    return content;
  }
  /// As changed, with the header's own hash made right again: a lie instead of damage.
  template <class T> std::string lie(size_t at, T value);
  Scratch scratch;
  std::string path = scratch / "good.rpk", good;
};

/// The manifest after `change` fails its check.
class Manifest : public testing::Test {
protected:
  template <class... Words>
  void refused(const std::function<void(package::PackageT &)> &change, const Words &...words) {
    package::PackageT manifest = test::smallManifest();
    // Offsets as writePackage sets them.
    uint64_t offset = 0;
    for (auto &weight : manifest.weights) {
      weight->offset = offset;
      weight->bytes = *packedBytes(DType::F32, weight->shape, weight->layout);
      offset += (weight->bytes + 63) / 64 * 64;
    }
    change(manifest);
    flatbuffers::FlatBufferBuilder builder;
    package::FinishPackageBuffer(builder, package::CreatePackage(builder, &manifest));
    expectError(checkManifest("m.rpk", *package::GetPackage(builder.GetBufferPointer()), offset),
                "m.rpk: manifest: ", words...);
  }
};

using M = package::PackageT &;

} // namespace

#define XXH_INLINE_ALL
#include <xxhash.h>

template <class T> std::string PackageFile::lie(size_t at, T value) {
  std::string content = changed(at, value);
  uint64_t hash = XXH3_64bits(content.data(), 120);
  std::memcpy(content.data() + 120, &hash, 8);
  return content;
}

TEST_F(PackageFile, IsReadAsWritten) {
  auto package = Package::open(path);
  ASSERT_TRUE(package) << package.error().message;
  EXPECT_EQ(package->manifest().model()->str(), "small");
  EXPECT_EQ(package->entryNames(), "forward, prefill, step, whole");
  EXPECT_TRUE(package->findEntry("prefill"));
  EXPECT_FALSE(package->findEntry("train_step"));
  EXPECT_TRUE(package->checkWeights());
  EXPECT_EQ(scratch.files(), 1u);
  EXPECT_EQ(package->weight(0).size(), test::smallTable().size() * 4);
  EXPECT_EQ(
      std::memcmp(package->weight(0).data(), test::smallTable().data(), package->weight(0).size()),
      0);
}

TEST_F(PackageFile, SaysWhatItsWeightsLost) {
  auto package = Package::open(path);
  ASSERT_TRUE(package) << package.error().message;
  std::unique_ptr<package::PackageT> manifest(package->manifest().UnPack());
  auto bytes = [&](size_t index) {
    std::span<const std::byte> of = package->weight(index);
    return Result<std::vector<std::byte>>({of.begin(), of.end()});
  };
  manifest->weights[0]->error = 0;
  std::string other = scratch / "lossy.rpk";
  auto known = [&](size_t index) {
    if (index == 0)
      manifest->weights[0]->error = 0.25f;
    return bytes(index);
  };
  auto written = writePackage(other, *manifest, package->code(), known);
  ASSERT_TRUE(written) << written.error().message;
  auto lossy = Package::open(other);
  ASSERT_TRUE(lossy) << lossy.error().message;
  EXPECT_EQ(lossy->manifest().weights()->Get(0)->error(), 0.25f);
  EXPECT_FALSE(lossy->manifest().weights()->Get(1)->error());
  EXPECT_TRUE(lossy->checkWeights());

  // One that was not announced has no room: nothing is written.
  auto sudden = [&](size_t index) {
    manifest->weights[1]->error = 0.5f;
    return bytes(index);
  };
  expectError(writePackage(scratch / "sudden.rpk", *manifest, package->code(), sudden),
              "manifest: found ", "expected");
  EXPECT_EQ(scratch.files(), 2u);
}

TEST_F(PackageFile, PanelsUnpackToRows) {
  auto package = Package::open(path);
  size_t index = *package->findWeight("packed");
  EXPECT_EQ(package->weight(index).size(), 2u * 32 * 4);
  auto rows = unpackWeight(*package, index);
  EXPECT_EQ(*toF32(rows->view()), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  const auto *panel = reinterpret_cast<const float *>(package->weight(index).data());
  EXPECT_EQ(panel[0], 1);  // n 0, k 0
  EXPECT_EQ(panel[1], 3);  // n 1, k 0
  EXPECT_EQ(panel[32], 2); // n 0, k 1
  EXPECT_EQ(panel[3], 0);  // beyond n
}

TEST(WeightLayout, PairsAreRoundedAndSideBySide) {
  // n = 33 rows of k = 3: a second panel, and half a pair.
  std::vector<float> numbers(33 * 3);
  for (size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = static_cast<float>(i);
  numbers[1] = 1.00390625f; // halfway between two bf16: to the even one, below
  numbers[2] = 1.01171875f; // halfway: to the even one, above
  numbers[4] = 1.004f;      // beyond halfway
  TensorView rows{"w", DType::F32, {33, 3}, std::as_bytes(std::span(numbers)), {}};
  auto packed = packWeight(rows, "pairs32");
  ASSERT_TRUE(packed);
  ASSERT_EQ(packed->size(), 2u * 2 * 32 * 2 * 2);
  auto at = [&](size_t place) {
    uint16_t bits;
    std::memcpy(&bits, packed->data() + 2 * place, 2);
    return bfloatToFloat(bits);
  };
  EXPECT_EQ(at(0), 0);          // n 0, k 0
  EXPECT_EQ(at(1), 1);          // n 0, k 1
  EXPECT_EQ(at(2), 3);          // n 1, k 0
  EXPECT_EQ(at(3), 1.0078125f); // n 1, k 1
  EXPECT_EQ(at(64), 1.015625f); // n 0, k 2
  EXPECT_EQ(at(65), 0);         // beyond k
  EXPECT_EQ(at(128), 96);       // n 32, k 0
  EXPECT_EQ(at(130), 0);        // beyond n
  auto back = unpackWeight("w", DType::BF16, {33, 3}, "pairs32", *packed);
  ASSERT_TRUE(back);
  std::vector<float> found = *toF32(back->view());
  for (size_t i = 0; i < numbers.size(); ++i)
    EXPECT_EQ(found[i], bfloatToFloat(floatToBfloat(numbers[i])));
  EXPECT_FALSE(unpackWeight("w", DType::F32, {33, 3}, "pairs32", *packed));
  EXPECT_FALSE(unpackWeight("w", DType::BF16, {33, 5}, "pairs32", *packed));
  EXPECT_FALSE(packWeight({"v", DType::F32, {99}, rows.bytes, {}}, "pairs32"));
}

/// Numbers without a pattern, in every size from 1e-3 to 1.
static std::vector<float> unevenNumbers(size_t count) {
  std::vector<float> numbers(count);
  for (size_t i = 0; i < count; ++i)
    numbers[i] = std::sin(0.7f * static_cast<float>(i * i % 1009)) /
                 static_cast<float>(1 + i / 97 % 11 * 100);
  return numbers;
}

TEST(WeightLayout, IntegersAreWithinHalfAStepOfTheirGroup) {
  for (auto [layout, stored, steps] :
       {std::tuple{"bytes32", DType::I8, 127.0f}, std::tuple{"nibbles32", DType::U8, 7.0f}})
    // A second panel, a second group that is not whole; and exact multiples.
    for (std::vector<int64_t> shape : {std::vector<int64_t>{33, 41}, {32, 32}, {1, 3}}) {
      std::vector<float> numbers = unevenNumbers(static_cast<size_t>(shape[0] * shape[1]));
      TensorView rows{"w", DType::F32, shape, std::as_bytes(std::span(numbers)), {}};
      auto packed = packWeight(rows, layout);
      ASSERT_TRUE(packed) << packed.error().message;
      EXPECT_EQ(packed->size(), packedBytes(stored, shape, layout));
      auto back = unpackWeight("w", stored, shape, layout, *packed);
      ASSERT_TRUE(back) << back.error().message;
      ASSERT_EQ(back->dtype, DType::F32);
      std::span<const float> found = std::as_const(*back).as<float>();
      double off = 0, all = 0;
      for (int64_t row = 0; row < shape[0]; ++row)
        for (int64_t k = 0; k < shape[1]; ++k) {
          float largest = 0;
          for (int64_t i = k / 32 * 32; i < std::min(shape[1], k / 32 * 32 + 32); ++i)
            largest = std::max(largest, std::fabs(numbers[size_t(row * shape[1] + i)]));
          auto at = static_cast<size_t>(row * shape[1] + k);
          // In 4 bits the largest may be cut off, by one step, where that serves the others.
          float bound = largest / steps * (stored == DType::I8 ? 0.51f : 1.3f);
          EXPECT_NEAR(found[at], numbers[at], bound) << layout << " " << row << " " << k;
          off += std::pow(found[at] - numbers[at], 2);
          all += std::pow(numbers[at], 2);
        }
      EXPECT_LT(std::sqrt(off / all), stored == DType::I8 ? 0.006 : 0.09) << layout;
      // What was rounded once stays as it is.
      std::vector<float> once(found.begin(), found.end());
      auto again = packWeight({"w", DType::F32, shape, std::as_bytes(std::span(once)), {}}, layout);
      auto twice = unpackWeight("w", stored, shape, layout, *again);
      std::span<const float> second = std::as_const(*twice).as<float>();
      if (stored == DType::I8)
        EXPECT_TRUE(std::equal(second.begin(), second.end(), once.begin()));
    }
}

TEST(WeightLayout, GroupsOfZerosAndSmallNumbersKeepTheirMeaning) {
  std::vector<float> numbers(3 * 64, 0.0f);
  numbers[64] = 1e-9f; // the second row's first group: far below f16, which holds the scales
  numbers[65] = -1e-9f;
  for (const char *layout : {"bytes32", "nibbles32"}) {
    TensorView rows{"w", DType::F32, {3, 64}, std::as_bytes(std::span(numbers)), {}};
    auto packed = packWeight(rows, layout);
    ASSERT_TRUE(packed);
    auto back = unpackWeight("w", storedType(layout), {3, 64}, layout, *packed);
    ASSERT_TRUE(back);
    std::span<const float> found = std::as_const(*back).as<float>();
    for (size_t i = 0; i < numbers.size(); ++i)
      EXPECT_NEAR(found[i], numbers[i], 2e-10) << layout << " " << i;
    EXPECT_EQ(found[0], 0);
  }
}

TEST(WeightLayout, IntegersRefuseWhatHasNone) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> numbers(64, 1.0f);
    numbers[37] = bad;
    TensorView rows{"w", DType::F32, {2, 32}, std::as_bytes(std::span(numbers)), {}};
    auto packed = packWeight(rows, "bytes32");
    ASSERT_FALSE(packed);
    EXPECT_NE(packed.error().message.find("[1, 5], expected finite numbers"), std::string::npos)
        << packed.error().message;
  }
  EXPECT_FALSE(packedBytes(DType::I8, std::vector<int64_t>{INT64_MAX, INT64_MAX}, "bytes32"));
  EXPECT_FALSE(packedBytes(DType::I8, std::vector<int64_t>{INT64_MAX / 2, 64}, "nibbles32"));
  EXPECT_FALSE(packedBytes(DType::F32, std::vector<int64_t>{32, 32}, "bytes32"));
  EXPECT_FALSE(packedBytes(DType::I8, std::vector<int64_t>{32}, "bytes32"));
}

TEST_F(PackageFile, IsReadFromMemory) {
  auto file = MappedFile::open(path);
  EXPECT_TRUE(Package::fromMemory(file->bytes(), "embedded"));
  std::vector<std::byte> odd(file->bytes().size() + 4097);
  size_t shift = 1 + (4096 - reinterpret_cast<uintptr_t>(odd.data()) % 4096) % 4096;
  std::memcpy(odd.data() + shift, file->bytes().data(), file->bytes().size());
  expectError(Package::fromMemory({odd.data() + shift, file->bytes().size()}, "embedded"),
              "embedded", "odd address");
}

TEST_F(PackageFile, WritingABadManifestLeavesNothing) {
  expectError(test::writeSmall(scratch / "new.rpk", [](M m) { m.kernels[0]->unit = 0; }), "embed",
              "unit");
  expectError(test::writeSmall(scratch / "new.rpk", [](M m) { m.weights[0]->layout = "odd"; }),
              "table", "odd");
  EXPECT_EQ(scratch.files(), 1u);
}

TEST_F(PackageFile, Missing) {
  expectError(Package::open(scratch / "none.rpk"), "none.rpk", "No such file");
}
TEST_F(PackageFile, Empty) { refused("", "0 bytes", "expected"); }
TEST_F(PackageFile, OtherFormat) {
  refused(std::string(5000, 'x'), "'xxxxxxxx'", "expected RONDOPK1");
}
TEST_F(PackageFile, OtherVersion) { refused(changed<uint32_t>(8, 77), "version 77", "expected 2"); }
TEST_F(PackageFile, DamagedHeader) {
  refused(changed<uint64_t>(16, 1), "header", "hash", "damaged");
}
TEST_F(PackageFile, ReservedField) { refused(lie<uint32_t>(12, 9), "byte 12", "expected 0"); }
TEST_F(PackageFile, LyingSize) { refused(lie<uint64_t>(16, 1 << 20), "expected 1048576"); }
TEST_F(PackageFile, ShortByOne) {
  refused(good.substr(0, good.size() - 1), "expected", std::to_string(good.size()));
}
TEST_F(PackageFile, LongByOne) { refused(good + "x", "expected", std::to_string(good.size())); }
TEST_F(PackageFile, SectionOffAPage) {
  refused(lie<uint64_t>(24, 4097), "manifest", "4097", "multiple of 4096");
}
TEST_F(PackageFile, SectionOverHeader) {
  refused(lie<uint64_t>(24, 0), "manifest", "expected at least 4096");
}
TEST_F(PackageFile, SectionOverAnother) {
  refused(lie<uint64_t>(24 + 32, 4096), "code", "overlaps");
}
TEST_F(PackageFile, SectionBeyondFile) {
  refused(lie<uint64_t>(24 + 64 + 8, 1 << 30), "weights", "the file");
}
TEST_F(PackageFile, SectionSizeWraps) {
  refused(lie<uint64_t>(24 + 64 + 8, UINT64_MAX - 10), "weights", "the file");
}
TEST_F(PackageFile, ShortWeights) {
  refused(lie<uint64_t>(24 + 64 + 8, 4), "the end of the weights");
}
TEST_F(PackageFile, DamagedManifest) {
  refused(changed<uint8_t>(4096 + 100, 0xee), "manifest", "hash", "damaged");
}
TEST_F(PackageFile, DamagedCode) {
  uint64_t code;
  std::memcpy(&code, good.data() + 24 + 32, 8);
  refused(changed<uint8_t>(code + 64, 0xee), "code", "hash", "native code is not run");
}
TEST_F(PackageFile, DamagedWeightsAreFoundOnRequest) {
  std::string bad = scratch.write("bad.rpk", changed<uint8_t>(good.size() - 1, 0xee));
  auto package = Package::open(bad);
  ASSERT_TRUE(package);
  expectError(package->checkWeights(), "bad.rpk", "weights", "hash");
}
TEST_F(PackageFile, ManifestThatIsNoFlatBuffer) {
  // Right hashes over garbage: what a liar would send.
  std::string content = good;
  std::memset(content.data() + 4096 + 8, 0xff, 40);
  uint64_t size;
  std::memcpy(&size, content.data() + 32, 8);
  XXH128_hash_t hash = XXH3_128bits(content.data() + 4096, size);
  std::memcpy(content.data() + 40, &hash.low64, 8);
  std::memcpy(content.data() + 48, &hash.high64, 8);
  good = content;
  refused(lie<uint32_t>(12, 0), "manifest", "malformed");
  std::memcpy(good.data() + 4100, "EVIL", 4);
  hash = XXH3_128bits(good.data() + 4096, size);
  std::memcpy(good.data() + 40, &hash.low64, 8);
  std::memcpy(good.data() + 48, &hash.high64, 8);
  refused(lie<uint32_t>(12, 0), "manifest", "identifier");
}
TEST_F(PackageFile, EveryTruncationIsRefused) {
  for (size_t size = 0; size < good.size(); size += size < 256 ? 1 : 97)
    EXPECT_FALSE(Package::open(scratch.write("bad.rpk", good.substr(0, size)))) << size;
}
TEST_F(PackageFile, EveryChangedByteOfHeaderAndManifestIsRefused) {
  uint64_t size;
  std::memcpy(&size, good.data() + 32, 8);
  std::vector<std::byte> memory(good.size() + 4096);
  std::byte *bytes =
      memory.data() + (4096 - reinterpret_cast<uintptr_t>(memory.data()) % 4096) % 4096;
  std::memcpy(bytes, good.data(), good.size());
  ASSERT_TRUE(Package::fromMemory({bytes, good.size()}, "m"));
  for (size_t at = 0; at < 4096 + size; at = at == 127 ? 4096 : at + 1) {
    bytes[at] ^= std::byte(0x40);
    EXPECT_FALSE(Package::fromMemory({bytes, good.size()}, "m")) << at;
    bytes[at] ^= std::byte(0x40);
  }
}

/// With right hashes every changed byte of the manifest must be refused or harmless: run under the
/// sanitizers.
TEST_F(PackageFile, EveryLyingByteOfTheManifestIsSurvived) {
  uint64_t size;
  std::memcpy(&size, good.data() + 32, 8);
  std::vector<uint64_t> storage((size + 7) / 8);
  auto *bytes = reinterpret_cast<uint8_t *>(storage.data());
  size_t refusedOnes = 0;
  for (size_t at = 0; at < size; ++at)
    for (uint8_t flip : {0x01, 0x80, 0xff}) {
      std::memcpy(bytes, good.data() + 4096, size);
      bytes[at] ^= flip;
      flatbuffers::Verifier verifier(bytes, size);
      if (!package::VerifyPackageBuffer(verifier) ||
          !checkManifest("m", *package::GetPackage(bytes), 4096))
        ++refusedOnes;
    }
  EXPECT_GT(refusedOnes, size / 2);
}

TEST_F(Manifest, OtherAbi) {
  refused([](M m) { m.abi = 9; }, "abi", "found kernel ABI 9", "expected 1");
}
TEST_F(Manifest, NoModel) {
  refused([](M m) { m.model = ""; }, "model", "0 bytes");
}
TEST_F(Manifest, NegativeStateBytes) {
  refused([](M m) { m.state_bytes = -1; }, "state_bytes", "-1");
}
TEST_F(Manifest, HugeStateBytes) {
  refused([](M m) { m.state_bytes = INT64_MAX; }, "state_bytes");
}
TEST_F(Manifest, TooManyCaches) {
  refused([](M m) { m.caches = 5; }, "caches", "found 5");
}
TEST_F(Manifest, NegativeCaches) {
  refused([](M m) { m.caches = -5; }, "caches", "found -5");
}
TEST_F(Manifest, CacheWithoutState) {
  refused([](M m) { m.caches = 3; }, "caches", "2 states for 3 caches");
}
TEST_F(Manifest, EosNegative) {
  refused([](M m) { m.eos = {-3}; }, "eos", "-3");
}

TEST_F(Manifest, WeightUnknownType) {
  refused([](M m) { m.weights[0]->dtype = package::DType(77); }, "'table'", "element type 77");
}
TEST_F(Manifest, WeightUnknownLayout) {
  refused([](M m) { m.weights[0]->layout = "odd"; }, "'table'", "'odd'", "expected rows");
}
TEST_F(Manifest, WeightNegativeExtent) {
  refused([](M m) { m.weights[0]->shape[0] = -16; }, "'table'", "[-16, 4]");
}
TEST_F(Manifest, WeightShapeOverflows) {
  refused([](M m) { m.weights[0]->shape = {int64_t(1) << 62, 8}; }, "'table'", "expected a size");
}
TEST_F(Manifest, WeightShapeWraps) {
  refused([](M m) { m.weights[0]->shape = {(int64_t(1) << 62) + 16, 4}; }, "'table'");
}
TEST_F(Manifest, WeightPanelsOfVector) {
  refused([](M m) { m.weights[1]->layout = "panels32"; }, "'initial'", "two axes");
}
TEST_F(Manifest, WeightPairsOfAnotherType) {
  refused([](M m) { m.weights[2]->layout = "pairs32"; }, "'packed'", "F32 in layout pairs32",
          "expected BF16");
}
TEST_F(Manifest, WeightPanelsOverflow) {
  refused([](M m) { m.weights[2]->shape = {INT64_MAX, 1}; }, "'packed'");
}
TEST_F(Manifest, WeightWrongBytes) {
  refused([](M m) { m.weights[0]->bytes = 100; }, "'table'", "found 100", "expected 256");
}
TEST_F(Manifest, WeightUnaligned) {
  refused([](M m) { m.weights[0]->offset = 4; }, "'table'", "multiple of 64");
}
TEST_F(Manifest, WeightBeyondSection) {
  refused([](M m) { m.weights[0]->offset = 64 * 1000; }, "'table'", "the weights section");
}
TEST_F(Manifest, WeightOffsetWraps) {
  refused([](M m) { m.weights[0]->offset = UINT64_MAX - 63; }, "'table'", "the weights section");
}
TEST_F(Manifest, WeightsOverlap) {
  refused([](M m) { m.weights[1]->offset = 0; }, "'initial'", "overlap", "'table'");
}
TEST_F(Manifest, WeightTwice) {
  refused([](M m) { m.weights[1]->name = "table"; }, "'table'", "twice");
}
TEST_F(Manifest, WeightRankWithoutEnd) {
  refused([](M m) { m.weights[1]->shape.assign(17, 1); }, "'initial'", "17 axes");
}
TEST_F(Manifest, WeightNameOfControls) {
  refused([](M m) { m.weights[0]->name = "a\033[2J"; }, "weight", "control character");
}
TEST_F(Manifest, WeightNameTooLong) {
  refused([](M m) { m.weights[0]->name.assign(5000, 'a'); }, "weight", "5000 bytes");
}

TEST_F(Manifest, StateTwice) {
  refused([](M m) { m.states[1]->name = "mixer.S"; }, "states", "'mixer.S' twice");
}
TEST_F(Manifest, StateUnknownKind) {
  refused([](M m) { m.states[0]->kind = package::StateKind(9); }, "'mixer.S'", "kind 9");
}
TEST_F(Manifest, StateNegativeAxis) {
  refused([](M m) { m.states[0]->axes[0]->extent = -4; }, "'mixer.S'", "axis d", "-4");
}
TEST_F(Manifest, StateAxesOverflow) {
  refused([](M m) { m.states[0]->axes[0]->extent = int64_t(1) << 40; }, "'mixer.S'", "2^40");
}
TEST_F(Manifest, StateWrongBytes) {
  refused([](M m) { m.states[0]->bytes = 8; }, "'mixer.S'", "found 8", "expected 16");
}
TEST_F(Manifest, StateUnaligned) {
  refused([](M m) { m.states[0]->offset = 4; }, "'mixer.S'", "multiple of 64");
}
TEST_F(Manifest, StateNegativeOffset) {
  refused([](M m) { m.states[0]->offset = -64; }, "'mixer.S'", "-64");
}
TEST_F(Manifest, StateBeyondBlock) {
  refused([](M m) { m.states[0]->offset = 128; }, "'mixer.S'", "at most 128");
}
TEST_F(Manifest, StatesOverlap) {
  refused([](M m) { m.states[1]->offset = 0; }, "states", "overlap");
}
TEST_F(Manifest, StateInitBeyondWeights) {
  refused([](M m) { m.states[0]->init = 3; }, "'mixer.S'", "initial weight", "found 3");
}
TEST_F(Manifest, StateInitBelowMinusOne) {
  refused([](M m) { m.states[0]->init = -2; }, "'mixer.S'", "found -2");
}
TEST_F(Manifest, StateInitOfOtherSize) {
  refused([](M m) { m.states[0]->init = 0; }, "'mixer.S'", "'table'", "256 bytes");
}
TEST_F(Manifest, TailWithoutRows) {
  refused([](M m) { m.states[1]->tokens = 0; }, "'mixer.shift'", "rows kept");
}
TEST_F(Manifest, TailWithInit) {
  refused([](M m) { m.states[1]->init = 1; }, "'mixer.shift'", "expected none");
}
TEST_F(Manifest, TailTooLong) {
  refused([](M m) { m.states[1]->tokens = 100; }, "'mixer.shift'", "at most 128");
}
TEST_F(Manifest, CacheIndexBeyond) {
  refused([](M m) { m.states[2]->offset = 2; }, "'mixer.all'", "found 2");
}
TEST_F(Manifest, CacheIndexNegative) {
  refused([](M m) { m.states[2]->offset = -1; }, "'mixer.all'", "found -1");
}
TEST_F(Manifest, CacheShared) {
  refused([](M m) { m.states[2]->offset = 1; }, "cache 1 for two states");
}
TEST_F(Manifest, CacheWindowNegative) {
  refused([](M m) { m.states[3]->tokens = -3; }, "'mixer.window'", "window", "-3");
}
TEST_F(Manifest, CacheWithInit) {
  refused([](M m) { m.states[2]->init = 1; }, "'mixer.all'", "expected none");
}

TEST_F(Manifest, KernelTwice) {
  refused([](M m) { m.kernels[1]->name = "embed"; }, "kernels", "'embed' twice");
}
TEST_F(Manifest, KernelUnknownCount) {
  refused([](M m) { m.kernels[0]->per = package::Per(7); }, "'embed'", "count 7");
}
TEST_F(Manifest, KernelUnitZero) {
  refused([](M m) { m.kernels[0]->unit = 0; }, "'embed'", "unit", "found 0");
}
TEST_F(Manifest, KernelFactorZero) {
  refused([](M m) { m.kernels[0]->factor = 0; }, "'embed'", "factor", "found 0");
}
TEST_F(Manifest, KernelGrainNegative) {
  refused([](M m) { m.kernels[0]->grain = -1; }, "'embed'", "grain", "-1");
}
TEST_F(Manifest, KernelScratchHuge) {
  refused([](M m) { m.kernels[0]->scratch = int64_t(1) << 50; }, "'embed'", "scratch");
}
TEST_F(Manifest, KernelWithoutVariant) {
  refused([](M m) { m.kernels[0]->variants.clear(); }, "'embed'", "no variant");
}
TEST_F(Manifest, KernelVariantTwice) {
  refused(
      [](M m) {
        m.kernels[0]->variants.push_back(
            std::make_unique<package::VariantT>(*m.kernels[0]->variants[0]));
      },
      "'embed'", "two variants");
}
TEST_F(Manifest, KernelWithoutSymbol) {
  refused([](M m) { m.kernels[0]->variants[0]->symbol = ""; }, "'embed'", "symbol");
}

TEST_F(Manifest, EstimatesThatDoNotRise) {
  refused(
      [](M m) {
        m.kernels[0]->variants[0]->estimates = {package::Estimate(8, 0, 1.0, 1.0),
                                                package::Estimate(8, 0, 2.0, 2.0)};
      },
      "'embed'", "rising rows");
}
TEST_F(Manifest, EstimateWithoutRows) {
  refused([](M m) { m.kernels[0]->variants[0]->estimates = {package::Estimate(0, 0, 1.0, 1.0)}; },
          "'embed'", "rows of an estimate");
}
TEST_F(Manifest, EstimateOfNegativeCycles) {
  refused([](M m) { m.kernels[0]->variants[0]->estimates = {package::Estimate(1, 0, 1.0, -1.0)}; },
          "'embed'", "cycles");
}

TEST_F(Manifest, EntryTwice) {
  refused([](M m) { m.entries[1]->name = "forward"; }, "entries", "twice");
}
TEST_F(Manifest, EntryMaxRowsZero) {
  refused([](M m) { m.entries[0]->max_rows = 0; }, "'forward'", "max_rows");
}
TEST_F(Manifest, EntryArenaNegative) {
  refused([](M m) { m.entries[0]->arena = -1; }, "'forward'", "arena");
}
TEST_F(Manifest, EntryArenaHuge) {
  refused([](M m) { m.entries[0]->arena = INT64_MAX; }, "'forward'", "arena");
}
TEST_F(Manifest, ValueTwice) {
  refused(
      [](M m) {
        m.entries[0]->inputs.push_back(std::make_unique<package::ValueT>());
        m.entries[0]->inputs[1]->name = "tokens";
      },
      "inputs", "twice");
}
TEST_F(Manifest, ValueWithoutRows) {
  refused([](M m) { m.entries[0]->outputs[0]->axes.erase(m.entries[0]->outputs[0]->axes.begin()); },
          "'logits'", "no rows");
}
TEST_F(Manifest, ValueRowsTwice) {
  refused([](M m) { m.entries[0]->outputs[0]->axes[1]->extent = -1; }, "'logits'", "axis d", "-1");
}
TEST_F(Manifest, ValueHuge) {
  refused([](M m) { m.entries[0]->outputs[0]->axes[1]->extent = int64_t(1) << 35; }, "'logits'",
          "bytes of a row");
}
TEST_F(Manifest, ValueIdLimitOfReals) {
  refused([](M m) { m.entries[0]->outputs[0]->id_limit = 3; }, "'logits'", "id_limit 3",
          "I64 only");
}
TEST_F(Manifest, ValueIdLimitNegative) {
  refused([](M m) { m.entries[0]->inputs[0]->id_limit = -3; }, "'tokens'", "-3");
}
TEST_F(Manifest, StepUnknownKind) {
  refused([](M m) { m.entries[0]->steps[0]->kind = package::StepKind(9); }, "step 0", "kind 9");
}
TEST_F(Manifest, StepUnknownSpace) {
  refused([](M m) { m.entries[0]->steps[0]->space = package::Space(9); }, "step 0", "space 9");
}
TEST_F(Manifest, StepKernelBeyond) {
  refused([](M m) { m.entries[0]->steps[0]->kernel = 5; }, "step 0", "kernel", "found 5");
}
TEST_F(Manifest, StepKernelMissing) {
  refused([](M m) { m.entries[0]->steps[0]->kernel = -1; }, "step 0", "kernel", "found -1");
}
TEST_F(Manifest, StepKernelOfAppend) {
  refused([](M m) { m.entries[0]->steps[3]->kernel = 0; }, "step 3",
          "expected none (-1) for Append");
}
TEST_F(Manifest, StepOperandCount) {
  refused([](M m) { m.entries[0]->steps[3]->operands.pop_back(); }, "step 3", "found 1 operands");
}
TEST_F(Manifest, StepSpaceOfAppend) {
  refused([](M m) { m.entries[0]->steps[3]->space = package::Space::Last; }, "step 3",
          "space of last rows");
}
TEST_F(Manifest, StepRowBytesZero) {
  refused([](M m) { m.entries[0]->steps[3]->row_bytes = 0; }, "step 3", "row_bytes");
}

namespace {
void operand(M m, size_t step, size_t index, package::OperandKind kind, int64_t value) {
  m.entries[0]->steps[step]->operands[index] = package::Operand(kind, value);
}
} // namespace
using K = package::OperandKind;
TEST_F(Manifest, OperandUnknownKind) {
  refused([](M m) { operand(m, 0, 0, K(9), 0); }, "step 0: operand 0", "kind 9");
}
TEST_F(Manifest, OperandArenaBeyond) {
  refused([](M m) { operand(m, 0, 2, K::Arena, 640); }, "step 0: operand 2", "found 640");
}
TEST_F(Manifest, OperandArenaNegative) {
  refused([](M m) { operand(m, 0, 2, K::Arena, -64); }, "step 0: operand 2", "found -64");
}
TEST_F(Manifest, OperandArenaUnaligned) {
  refused([](M m) { operand(m, 0, 2, K::Arena, 4); }, "step 0: operand 2", "multiple of 64");
}
TEST_F(Manifest, OperandWeightBeyond) {
  refused([](M m) { operand(m, 0, 1, K::Weight, 3); }, "step 0: operand 1", "found 3");
}
TEST_F(Manifest, OperandStateBeyond) {
  refused([](M m) { operand(m, 1, 1, K::State, 4); }, "step 1: operand 1", "found 4");
}
TEST_F(Manifest, OperandInputBeyond) {
  refused([](M m) { operand(m, 0, 0, K::Input, 1); }, "step 0: operand 0", "found 1");
}
TEST_F(Manifest, OperandOutputNegative) {
  refused([](M m) { operand(m, 5, 4, K::Output, -1); }, "step 5: operand 4", "found -1");
}
TEST_F(Manifest, OutputNeverWritten) {
  refused([](M m) { operand(m, 5, 4, K::Arena, 0); }, "'forward'",
          "no step that writes output 'logits'");
}
TEST_F(Manifest, AppendBeyondArena) {
  refused([](M m) { m.entries[0]->max_rows = 1000; }, "step 3: operand 0", "1000 rows",
          "the arena");
}
TEST_F(Manifest, AppendOfWeight) {
  refused([](M m) { operand(m, 3, 0, K::Weight, 0); }, "step 3: operand 0", "found a weight");
}
TEST_F(Manifest, AppendOfOtherRows) {
  refused([](M m) { operand(m, 3, 0, K::Input, 0); }, "step 3: operand 0", "rows of 8 bytes",
          "expected 16");
}
TEST_F(Manifest, AppendToTail) {
  refused([](M m) { operand(m, 3, 1, K::State, 1); }, "step 3", "'mixer.shift' of kind Tail",
          "expected Cache");
}
TEST_F(Manifest, AppendToArena) {
  refused([](M m) { operand(m, 3, 1, K::Arena, 0); }, "step 3", "no state");
}
TEST_F(Manifest, TailOfFixed) {
  refused([](M m) { operand(m, 6, 1, K::State, 0); }, "step 6", "'mixer.S' of kind Fixed",
          "expected Tail");
}
TEST_F(Manifest, LastIntoInput) {
  refused([](M m) { m.entries[1]->steps[7]->operands[1] = package::Operand(K::Input, 0); },
          "'prefill': step 7: operand 1", "input to be written");
}
TEST_F(Manifest, RowBytesOfOtherState) {
  refused(
      [](M m) {
        m.states[2]->axes[0]->extent = 8;
        m.states[2]->bytes = 32;
      },
      "step 3", "rows of 16 bytes", "expected 32");
}

// NudgedPackageTest.cpp - A nudged package differs from its origin in the last bits of f32 weights
// and in nothing else.

#include "tools/rondo/NudgedPackage.h"

#include "test/runtime/Scratch.h"
#include "test/runtime/SmallModel.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace rondo;
using namespace rondo::test;

namespace {

/// Weight 0 of the small model, nudged.
std::vector<double> nudged(const Scratch &scratch, uint64_t seed) {
  Result<Package> package = Package::open(scratch / "small.rpk");
  EXPECT_TRUE(package);
  std::string path = scratch / "nudged.rpk";
  Status written = cli::writeNudged(*package, seed, path);
  EXPECT_TRUE(written) << (written ? "" : written.error().message);
  Result<Package> other = Package::open(path);
  EXPECT_TRUE(other);
  EXPECT_TRUE(other->checkWeights());
  EXPECT_TRUE(std::ranges::equal(package->code(), other->code()));
  EXPECT_EQ(package->entryNames(), other->entryNames());
  Result<Tensor> table = unpackWeight(*other, 0);
  EXPECT_TRUE(table);
  return *toF64(table->view());
}

} // namespace

TEST(NudgedPackage, EachNumberIsOffByOnePart) {
  Scratch scratch;
  ASSERT_TRUE(writeSmall(scratch / "small.rpk"));
  std::vector<float> table = smallTable();
  std::vector<double> found = nudged(scratch, 1);
  ASSERT_EQ(found.size(), table.size());
  size_t up = 0, down = 0;
  for (size_t i = 0; i < table.size(); ++i) {
    // A product of f32 is rounded by at most 2^-24 of it.
    EXPECT_NEAR(std::fabs(found[i] - double(table[i])), std::fabs(table[i]) * 0x1p-21,
                std::fabs(table[i]) * 0x1p-23);
    (std::fabs(found[i]) > std::fabs(table[i]) ? up : down) += table[i] != 0;
  }
  EXPECT_GT(up, 0u);
  EXPECT_GT(down, 0u);
}

TEST(NudgedPackage, ASeedGivesTheSameNumbersAndAnotherOthers) {
  Scratch scratch;
  ASSERT_TRUE(writeSmall(scratch / "small.rpk"));
  EXPECT_EQ(nudged(scratch, 1), nudged(scratch, 1));
  EXPECT_NE(nudged(scratch, 1), nudged(scratch, 2));
}

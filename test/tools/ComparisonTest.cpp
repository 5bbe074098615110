// ComparisonTest.cpp - What counts as equal in `rondo verify`: nothing that is missing, misshapen,
// not finite or beyond its bound.

#include "tools/rondo/Comparison.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace rondo;
using namespace rondo::cli;

static Comparison compareValues(std::vector<double> expected, std::vector<double> found,
                                double bound) {
  auto size = [](const std::vector<double> &v) {
    return std::vector<int64_t>{static_cast<int64_t>(v.size())};
  };
  return compare("c", {{"y", size(expected), expected}}, {{"y", size(found), found}},
                 {bound, "a reason"});
}

TEST(Comparison, EqualBitsPassABoundOfZero) {
  Comparison c = compareValues({1, -2, 0}, {1, -2, 0}, 0);
  EXPECT_EQ(c.verdict, Verdict::Passed);
  EXPECT_EQ(c.maxAbs, 0);
}

TEST(Comparison, OneUlpFailsABoundOfZero) {
  EXPECT_EQ(compareValues({1, 2}, {1, std::nextafter(2.0, 3.0)}, 0).verdict, Verdict::Failed);
}

TEST(Comparison, DifferencesAreRelativeToTheLargestValue) {
  Comparison c = compareValues({0.001, -100}, {0.002, -100}, 1e-4);
  EXPECT_EQ(c.verdict, Verdict::Passed);
  EXPECT_NEAR(c.maxRel, 1e-5, 1e-12);
  EXPECT_EQ(c.note, "y[0]");
  EXPECT_EQ(compareValues({0.001, -100}, {0.002, -100}, 1e-6).verdict, Verdict::Failed);
}

TEST(Comparison, AnyDifferenceFromZerosFails) {
  EXPECT_EQ(compareValues({0, 0}, {0, 1e-30}, 1).verdict, Verdict::Failed);
}

TEST(Comparison, NumbersThatAreNotFiniteFailEvenWhenEqual) {
  EXPECT_EQ(compareValues({NAN}, {NAN}, 1).verdict, Verdict::Failed);
  EXPECT_EQ(compareValues({INFINITY}, {INFINITY}, 1).verdict, Verdict::Failed);
  EXPECT_EQ(compareValues({1}, {NAN}, 1).verdict, Verdict::Failed);
}

TEST(Comparison, MissingAndMisshapenTensorsFail) {
  EXPECT_EQ(compare("c", {{"y", {1}, {1}}}, {{"z", {1}, {1}}}, {1, "r"}).verdict, Verdict::Failed);
  EXPECT_EQ(compare("c", {{"y", {1, 2}, {1, 2}}}, {{"y", {2, 1}, {1, 2}}}, {1, "r"}).verdict,
            Verdict::Failed);
  EXPECT_EQ(compare("c", {}, {}, {1, "r"}).verdict, Verdict::Failed);
}

TEST(Comparison, OneBadTensorAmongGoodOnesFails) {
  Comparison c = compare("c", {{"a", {1}, {1}}, {"b", {1}, {5}}, {"c", {1}, {1}}},
                         {{"a", {1}, {1}}, {"b", {1}, {6}}, {"c", {1}, {1}}}, {1e-3, "r"});
  EXPECT_EQ(c.verdict, Verdict::Failed);
  EXPECT_NE(c.note.find("b[0]"), std::string::npos) << c.note;
}

TEST(Comparison, ThePlaceIsInTheTensorsAxes) {
  Comparison c = compare("c", {{"y", {2, 3}, {9, 9, 9, 9, 9, 9}}},
                         {{"y", {2, 3}, {9, 9, 9, 9, 9, 8}}}, {1e-3, "r"});
  EXPECT_NE(c.note.find("y[1, 2]"), std::string::npos) << c.note;
}

TEST(Comparison, ARowsDifferenceIsRelativeToThatRow) {
  std::vector<Numbers> expected{{"y", {2, 2}, {100, 50, 1, 0.5}}};
  EXPECT_DOUBLE_EQ(largestRowDifference(expected, {{"y", {2, 2}, {100, 50, 1, 0.75}}}), 0.25);
  EXPECT_DOUBLE_EQ(largestRowDifference(expected, {{"y", {2, 2}, {101, 50, 1, 0.5}}}), 0.01);
  EXPECT_EQ(largestRowDifference(expected, expected), 0);
}

TEST(Comparison, AStateIsOneRow) {
  EXPECT_DOUBLE_EQ(largestRowDifference({{"state.S", {2, 2}, {100, 50, 1, 0.5}}},
                                        {{"state.S", {2, 2}, {100, 50, 1, 0.75}}}),
                   0.0025);
}

TEST(Comparison, OneRowFarApartPassesWhereTheMiddleOneIsNot) {
  Numbers expected{"y", {5, 1}, {1, 1, 1, 1, 1}}, one{"y", {5, 1}, {1, 1, 1.5, 1, 1}},
      most{"y", {5, 1}, {1.5, 1, 1.5, 1, 1.5}};
  Bound bound{1, "a reason", 0.1};
  EXPECT_EQ(compare("c", {expected}, {one}, bound).verdict, Verdict::Passed);
  Comparison far = compare("c", {expected}, {most}, bound);
  EXPECT_EQ(far.verdict, Verdict::Failed);
  EXPECT_NE(far.note.find("half of the rows are apart by 0.5"), std::string::npos) << far.note;
  EXPECT_EQ(compare("c", {expected}, {most}, {1, "a reason"}).verdict, Verdict::Passed);
}

TEST(Comparison, TheMiddleRowIsOfOutputsOnly) {
  EXPECT_EQ(middleRowDifference({{"state.S", {1}, {1}}}, {{"state.S", {1}, {2}}}), 0);
  EXPECT_EQ(middleRowDifference({{"y", {1}, {1}}}, {{"z", {1}, {1}}}), HUGE_VAL);
}

TEST(Comparison, RowsOfOtherTensorsAreInfinitelyFar) {
  std::vector<Numbers> expected{{"y", {1, 2}, {1, 2}}};
  EXPECT_EQ(largestRowDifference(expected, {{"z", {1, 2}, {1, 2}}}), HUGE_VAL);
  EXPECT_EQ(largestRowDifference(expected, {{"y", {2, 1}, {1, 2}}}), HUGE_VAL);
  EXPECT_EQ(largestRowDifference(expected, {{"y", {1, 2}, {1, NAN}}}), HUGE_VAL);
}

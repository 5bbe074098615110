// SamplingTest.cpp - Greedy takes the first of the largest; sampling follows the probabilities, and
// the seed alone.

#include "runtime/sampling.h"
#include "test/runtime/Scratch.h"

#include <cmath>
#include <limits>
#include <set>

using namespace rondo;
using rondo::test::expectError;

TEST(Sampling, GreedyTakesTheFirstOfTheLargest) {
  auto sampler = *Sampler::create({});
  EXPECT_EQ(*sampler.sample(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(*sampler.sample(std::vector<float>{-INFINITY, -5}), 1);
}

TEST(Sampling, FollowsTheProbabilities) {
  auto sampler = *Sampler::create({1, 1, 7});
  std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.2f), -INFINITY};
  double counts[4] = {};
  for (int i = 0; i < 20000; ++i)
    ++counts[*sampler.sample(logits)];
  // Four standard deviations of 20000 draws are 0.014.
  EXPECT_NEAR(counts[0] / 20000, 0.5, 0.015);
  EXPECT_NEAR(counts[1] / 20000, 0.3, 0.015);
  EXPECT_EQ(counts[3], 0);
}

TEST(Sampling, TopPKeepsTheLikeliest) {
  auto sampler = *Sampler::create({1, 0.7f, 7});
  std::vector<float> logits{std::log(0.2f), std::log(0.5f), std::log(0.3f)};
  for (int i = 0; i < 1000; ++i)
    EXPECT_NE(*sampler.sample(logits), 0);
  auto narrow = *Sampler::create({1, 1e-6f, 7});
  EXPECT_EQ(*narrow.sample(logits), 1);
}

TEST(Sampling, TopPTakesAsFewAsReachIt) {
  // 0.4, 0.3, 0.2, 0.1, not in order: 0.65 needs two of them, and equals go by id.
  std::vector<float> logits{std::log(0.1f), std::log(0.3f), std::log(0.4f), std::log(0.2f)},
      equal(100, 1.0f);
  auto seen = [](const std::vector<float> &logits, float topP) {
    auto sampler = *Sampler::create({1, topP, 11});
    std::set<int64_t> ids;
    for (int i = 0; i < 500; ++i)
      ids.insert(*sampler.sample(logits));
    return ids;
  };
  EXPECT_EQ(seen(logits, 0.39f), (std::set<int64_t>{2}));
  EXPECT_EQ(seen(logits, 0.65f), (std::set<int64_t>{1, 2}));
  EXPECT_EQ(seen(logits, 0.95f), (std::set<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(seen(equal, 0.025f), (std::set<int64_t>{0, 1, 2}));
}

TEST(Sampling, SameIdsOnEveryMachine) {
  // By the published definition of mt19937-64, the upper 53 bits of each draw; no draw is near a
  // boundary.
  std::vector<float> logits{0, 1, 2, 1, 0};
  auto sampler = *Sampler::create({1, 1, 42});
  std::vector<int64_t> ids;
  for (int i = 0; i < 12; ++i)
    ids.push_back(*sampler.sample(logits));
  EXPECT_EQ(ids, (std::vector<int64_t>{3, 2, 3, 1, 3, 1, 2, 2, 2, 2, 0, 2}));
}

TEST(Sampling, TheSeedDecides) {
  std::vector<float> logits(50);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>(i % 7);
  auto draw = [&](uint64_t seed) {
    auto sampler = *Sampler::create({0.8f, 0.95f, seed});
    std::vector<int64_t> ids;
    for (int i = 0; i < 20; ++i)
      ids.push_back(*sampler.sample(logits));
    return ids;
  };
  EXPECT_EQ(draw(3), draw(3));
  EXPECT_NE(draw(3), draw(4));
}

TEST(Sampling, RefusesWhatIsNoNumber) {
  auto sampler = *Sampler::create({});
  expectError(sampler.sample({}), "no logits");
  expectError(sampler.sample(std::vector<float>{1, NAN}), "logit 1", "not a number");
  expectError(sampler.sample(std::vector<float>{1, INFINITY}), "logit 1", "infinite");
  expectError(Sampler::create({-1, 1, 1}), "temperature", "-1");
  expectError(Sampler::create({NAN, 1, 1}), "temperature");
  expectError(Sampler::create({1, 0, 1}), "top-p");
  expectError(Sampler::create({1, 1.5f, 1}), "top-p", "1.5");
}

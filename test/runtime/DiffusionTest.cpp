// DiffusionTest.cpp - The samplers against models whose answers are known: which tokens are shown
// when, and distributions that must come out.

#include "runtime/diffusion.h"
#include "test/runtime/Scratch.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace rondo;
using rondo::test::expectError;

namespace {

constexpr int64_t mask = 4, vocabulary = 5;

/// Is sure of token (place % 4) at a place, and surer the further to the right.
struct Sure {
  std::vector<std::vector<int64_t>> seen;
  std::vector<float> logits;
  Result<std::span<const float>> operator()(std::span<const int64_t> tokens) {
    seen.emplace_back(tokens.begin(), tokens.end());
    logits.assign(tokens.size() * vocabulary, 0);
    for (size_t i = 0; i < tokens.size(); ++i) {
      logits[i * vocabulary + i % 4] = 1 + static_cast<float>(i);
      logits[i * vocabulary + mask] = 100; // never taken
    }
    return std::span<const float>(logits);
  }
};

std::vector<int64_t> hiddenTokens(int64_t given, int64_t hidden) {
  std::vector<int64_t> tokens(static_cast<size_t>(given), 0);
  tokens.resize(static_cast<size_t>(given + hidden), mask);
  return tokens;
}

std::vector<size_t> shownAfter(const std::vector<int64_t> &before,
                               const std::vector<int64_t> &after) {
  std::vector<size_t> shown;
  for (size_t i = 0; i < before.size(); ++i)
    if (before[i] == mask && after[i] != mask)
      shown.push_back(i);
  return shown;
}

} // namespace

TEST(Diffusion, TheSurestStay) {
  Sure model;
  DiffusionOptions options;
  options.steps = 3;
  std::vector<int64_t> tokens = hiddenTokens(2, 7);
  ASSERT_TRUE(fillMasked(tokens, mask, options, std::ref(model)));
  ASSERT_EQ(model.seen.size(), 3u);
  // 7 tokens in 3 steps: 3, 2, 2; what the mask's logit adds to the sum makes the right surer.
  EXPECT_EQ(shownAfter(model.seen[0], model.seen[1]), (std::vector<size_t>{6, 7, 8}));
  EXPECT_EQ(shownAfter(model.seen[1], model.seen[2]), (std::vector<size_t>{4, 5}));
  for (size_t i = 2; i < tokens.size(); ++i)
    EXPECT_EQ(tokens[i], static_cast<int64_t>(i % 4));
}

TEST(Diffusion, BlocksAreFinishedFromTheLeft) {
  Sure model;
  DiffusionOptions options;
  options.steps = 4;
  options.block = 4;
  std::vector<int64_t> tokens = hiddenTokens(1, 8);
  ASSERT_TRUE(fillMasked(tokens, mask, options, std::ref(model)));
  ASSERT_EQ(model.seen.size(), 4u);
  EXPECT_EQ(shownAfter(model.seen[0], model.seen[1]), (std::vector<size_t>{3, 4}));
  EXPECT_EQ(shownAfter(model.seen[1], model.seen[2]), (std::vector<size_t>{1, 2}));
  EXPECT_EQ(shownAfter(model.seen[2], model.seen[3]), (std::vector<size_t>{7, 8}));
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), mask), 0);
}

TEST(Diffusion, RefusesAMaskThatIsNoToken) {
  Sure model;
  std::vector<int64_t> tokens = {9, 9};
  expectError(fillMasked(tokens, 9, {}, std::ref(model)), "mask", "9", "below 5");
}

TEST(Diffusion, ScoresOfKnownProbabilitiesGiveThem) {
  // Independent tokens with these probabilities have the score p / (exp(sigma) - 1) at a mask.
  const double p[] = {0.5, 0.3, 0.15, 0.05};
  std::vector<float> logits;
  auto model = [&](std::span<const int64_t> tokens,
                   double sigma) -> Result<std::span<const float>> {
    logits.assign(tokens.size() * vocabulary, 0);
    for (size_t i = 0; i < tokens.size(); ++i)
      for (size_t y = 0; y < 4; ++y)
        logits[i * vocabulary + y] =
            static_cast<float>(std::log(p[y]) - std::log(std::expm1(sigma)));
    return std::span<const float>(logits);
  };
  DiffusionOptions options;
  options.steps = 16;
  std::vector<int64_t> tokens = hiddenTokens(1, 20000);
  int64_t calls = 0, half = 0;
  ASSERT_TRUE(denoiseScores(tokens, mask, options, model, [&](int64_t done, int64_t all) {
    ++calls;
    EXPECT_EQ(all, 17);
    if (done == 8)
      half = std::count(tokens.begin(), tokens.end(), mask);
  }));
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), mask), 0);
  // The schedule hides the share t: half of all after half of the steps. Four standard deviations.
  EXPECT_NEAR(static_cast<double>(half) / 20000, 0.5, 4 * std::sqrt(0.25 / 20000) + 1e-3);
  for (int64_t y = 0; y < 4; ++y) {
    double share = static_cast<double>(std::count(tokens.begin() + 1, tokens.end(), y)) / 20000;
    EXPECT_NEAR(share, p[y], 4 * std::sqrt(p[y] * (1 - p[y]) / 20000)) << "token " << y;
  }
}

TEST(Diffusion, VectorsOfAKnownDistributionComeOut) {
  // Numbers that are -1 with probability 0.8 and 1 with 0.2; the best estimate of one from z is
  // known.
  std::vector<float> estimate;
  auto model = [&](std::span<const float> z, double gamma) -> Result<std::span<const float>> {
    double variance = 1 / (1 + std::exp(-gamma)), alpha = std::sqrt(1 - variance);
    estimate.resize(z.size());
    for (size_t i = 0; i < z.size(); ++i) {
      double odds = std::log(0.2 / 0.8) + 2 * alpha * static_cast<double>(z[i]) / variance;
      estimate[i] = static_cast<float>(std::tanh(odds / 2));
    }
    return std::span<const float>(estimate);
  };
  DiffusionOptions options;
  options.steps = 200;
  auto made = denoiseVectors(5000, 2, -8, 8, options, model);
  ASSERT_TRUE(made);
  ASSERT_EQ(made->size(), 10000u);
  double ones = 0;
  for (float x : *made) {
    EXPECT_GT(std::fabs(x), 0.99f);
    ones += x > 0;
  }
  EXPECT_NEAR(ones / 10000, 0.2, 4 * std::sqrt(0.16 / 10000) + 0.005); // 200 steps are not a limit
  expectError(denoiseVectors(1, 1, 3, -3, options, model), "gamma from 3 to -3");
}

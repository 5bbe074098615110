//===- WeightsTest.cpp - What weights hold and how they lie ---------------===//

#include "codegen/common/Initialise.h"
#include "codegen/common/Layout.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace mlir;
using namespace rondo;

TEST(Layout, PanelsHoldEveryElementOnceAndZeros) {
  MLIRContext context;
  for (int64_t outputs : {1, 31, 32, 33, 70})
    for (int64_t depth : {1, 5}) {
      auto type = RankedTensorType::get({outputs, depth}, Float32Type::get(&context));
      std::vector<float> rows(outputs * depth);
      for (size_t i = 0; i < rows.size(); ++i)
        rows[i] = float(i + 1);
      std::vector<float> panels = pack("panels32", type, rows);
      ASSERT_EQ(int64_t(panels.size()), packedElements("panels32", type));
      for (int64_t panel = 0; panel * 32 < outputs; ++panel)
        for (int64_t k = 0; k < depth; ++k)
          for (int64_t lane = 0; lane < 32; ++lane) {
            int64_t n = panel * 32 + lane;
            EXPECT_EQ(panels[(panel * depth + k) * 32 + lane], n < outputs ? rows[n * depth + k] : 0.0f);
          }
    }
}

TEST(Layout, OnlyMatricesHavePanels) {
  MLIRContext context;
  EXPECT_TRUE(isLayoutOf("rows", RankedTensorType::get({2, 3, 4}, Float32Type::get(&context))));
  EXPECT_FALSE(isLayoutOf("panels32", RankedTensorType::get({2, 3, 4}, Float32Type::get(&context))));
  EXPECT_FALSE(isLayoutOf("columns", RankedTensorType::get({2, 3}, Float32Type::get(&context))));
}

static Initialiser parsed(llvm::StringRef text) {
  std::string why;
  std::optional<Initialiser> result = Initialiser::parse(text, why);
  EXPECT_TRUE(result) << why;
  return result.value_or(Initialiser{Initialiser::Kind::Constant});
}

TEST(Initialiser, NormalHasItsMoments) {
  std::vector<float> values = parsed("normal(0.02)").fill("w", 1, 200001);
  double sum = 0, squares = 0;
  for (float value : values) {
    sum += value;
    squares += double(value) * value;
  }
  // The mean of 200,001 draws has a standard deviation of 4.5e-5; their variance one of 0.3 %.
  EXPECT_LT(std::abs(sum / values.size()), 5 * 4.5e-5);
  EXPECT_NEAR(squares / values.size(), 4e-4, 4e-4 * 0.016);
}

TEST(Initialiser, DependsOnSeedAndPathAlone) {
  Initialiser normal = parsed("normal(1)");
  EXPECT_EQ(normal.fill("a", 7, 10), normal.fill("a", 7, 10));
  EXPECT_NE(normal.fill("a", 7, 10), normal.fill("b", 7, 10));
  EXPECT_NE(normal.fill("a", 7, 10), normal.fill("a", 8, 10));
}

TEST(Initialiser, Forms) {
  EXPECT_EQ(parsed("zeros").fill("a", 1, 2), (std::vector<float>{0, 0}));
  EXPECT_EQ(parsed("ones").fill("a", 1, 2), (std::vector<float>{1, 1}));
  EXPECT_EQ(parsed("constant(-2.5)").fill("a", 1, 1), (std::vector<float>{-2.5}));
  EXPECT_EQ(parsed("0.5").fill("a", 1, 1), (std::vector<float>{0.5}));
  for (float value : parsed("uniform(1, 2)").fill("a", 1, 100)) {
    EXPECT_GE(value, 1);
    EXPECT_LT(value, 2);
  }
}

TEST(Initialiser, RefusesWhatItDoesNotKnow) {
  std::string why;
  EXPECT_FALSE(Initialiser::parse("gaussian(1)", why));
  EXPECT_EQ(why, "found 'gaussian(1)'; expected a number, zeros, ones, constant(c), uniform(a, b) or normal(sigma)");
  EXPECT_FALSE(Initialiser::parse("normal(x)", why));
  EXPECT_EQ(why, "expected a number, found 'x'");
  EXPECT_FALSE(Initialiser::parse("normal(1, 2)", why));
  EXPECT_EQ(why, "'normal' takes 1 numbers, found 2");
  EXPECT_FALSE(Initialiser::parse("normal(1", why));
}

//===- AxesTest.cpp - Types by names, and what builders infer -------------===//

#include "dialect/Rondo.h"

#include "mlir/IR/Verifier.h"
#include <gtest/gtest.h>

using namespace mlir;
using namespace rondo;

namespace {

class AxesTest : public ::testing::Test {
protected:
  AxesTest() { context.loadDialect<RondoDialect, func::FuncDialect>(); }

  RankedTensorType type(ArrayRef<StringRef> names, ArrayRef<int64_t> extents) {
    return namedType(&context, names, extents, Float32Type::get(&context));
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
  static constexpr int64_t time = ShapedType::kDynamic;
};

TEST_F(AxesTest, QuestionsAreAnsweredByName) {
  RankedTensorType x = type({"t", "h", "p"}, {time, 2, 3});
  EXPECT_TRUE(isPerToken(x));
  EXPECT_EQ(extentOf(x, "p"), 3);
  EXPECT_EQ(extentOf(x, "absent"), 1);
  EXPECT_EQ(axisIndex(x, "h"), 1u);
  EXPECT_EQ(elementsPerToken(x), 6);
  EXPECT_FALSE(isPerToken(withoutTime(x)));
  EXPECT_EQ(withTime(withoutTime(x)), x);
  EXPECT_EQ(withoutAxis(x, "h"), type({"t", "p"}, {time, 3}));
  EXPECT_EQ(withoutAxis(x, "absent"), x);
}

TEST_F(AxesTest, AnUnionPutsTimeInFrontAndKeepsTheOrderInWhichAxesAreSeen) {
  Type f32 = Float32Type::get(&context);
  RankedTensorType h = type({"h"}, {2}), tph = type({"t", "p", "h"}, {time, 3, 2});
  EXPECT_EQ(unionType({h, tph}, f32), type({"t", "h", "p"}, {time, 2, 3}));
  EXPECT_EQ(unionType({}, f32), type({}, {}));
}

TEST_F(AxesTest, ATensorWithoutNamesIsNoValue) {
  EXPECT_FALSE(isValueType(RankedTensorType::get({4}, Float32Type::get(&context))));
  EXPECT_FALSE(isValueType(RankedTensorType::get({}, Float64Type::get(&context))));
  EXPECT_FALSE(isValueType(Float32Type::get(&context)));
  EXPECT_TRUE(isValueType(RankedTensorType::get({}, Float32Type::get(&context))));
}

TEST_F(AxesTest, BuildersInferResultsThatVerify) {
  OpBuilder builder(&context);
  auto loc = builder.getUnknownLoc();
  OwningOpRef<ModuleOp> module = ModuleOp::create(builder, loc);
  builder.setInsertionPointToStart(module->getBody());
  Value w = ParamOp::create(builder, loc, type({"o", "d"}, {5, 3}), "w", nullptr);
  Value b = ParamOp::create(builder, loc, type({"d"}, {3}), "b", nullptr);
  Value product = ContractOp::create(builder, loc, w, b, ArrayRef<StringRef>{"d"});
  Value outer = MapOp::create(builder, loc, MapKind::Lt, ValueRange{product, b});
  Value sum = ReduceOp::create(builder, loc, ReduceKind::Sum, w, ArrayRef<StringRef>{"o", "d"});
  EXPECT_EQ(product.getType(), type({"o"}, {5}));
  EXPECT_EQ(outer.getType(), withElementType(type({"o", "d"}, {5, 3}), builder.getI1Type()));
  EXPECT_EQ(sum.getType(), type({}, {}));
  EXPECT_TRUE(succeeded(verify(*module)));
}

} // namespace

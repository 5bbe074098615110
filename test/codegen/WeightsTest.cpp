//===- WeightsTest.cpp - What weights hold ------------------------------===//

#include "codegen/common/Weights.h"
#include "codegen/common/Initialise.h"

#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace mlir;
using namespace rondo;

//===----------------------------------------------------------------------===//
// Binding
//===----------------------------------------------------------------------===//

namespace {
class Binding : public testing::Test {
protected:
  Binding() {
    context.loadDialect<RondoDialect, func::FuncDialect>();
    context.getDiagEngine().registerHandler([&](Diagnostic &diagnostic) {
      messages += diagnostic.str() + "\n";
      return success();
    });
    module = parseSourceString<ModuleOp>(R"mlir(
      !matrix = tensor<2x3xf32, #rondo.axes<[h, k]>>
      !vector = tensor<3xf32, #rondo.axes<[k]>>
      !row = tensor<?x3xf32, #rondo.axes<[t, k]>>
      func.func private @scale(!row, !vector) -> !row attributes {rondo.kernel = "rows"}
      func.func private @layer(%x: !row, %a: !vector) -> !row {
        %n = rondo.map neg(%a) : (!vector) -> !vector
        %y = rondo.launch @scale(%x, %n) : (!row, !vector) -> !row
        return %y : !row
      }
      func.func @forward(%x: !row) -> !row attributes {rondo.entry = "forward"} {
        %w = rondo.param "layers.0.w" : !matrix
        %a = rondo.param "layers.0.a" init "ones" : !vector
        %s = rondo.reduce sum %w over [h] : !matrix -> !vector
        %b = rondo.map mul(%s, %a) : (!vector, !vector) -> !vector
        %y = rondo.call @layer(%x, %b) at "first" : (!row, !vector) -> !row
        %z = rondo.call @layer(%y, %a) at "second" : (!row, !vector) -> !row
        return %z : !row
      })mlir",
                                         &context);
    EXPECT_TRUE(module) << messages;
  }
  TensorView tensor(std::string name, std::vector<int64_t> shape, const std::vector<float> &values,
                    DType dtype = DType::F32) {
    return {std::move(name), dtype, std::move(shape), std::as_bytes(std::span(values)),
            "model.safetensors"};
  }
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::string messages;
  std::vector<float> w{1, 2, 3, 4, 5, 6}, a{1, 10, 100};
};
} // namespace

TEST_F(Binding, ComputesDerivedWeightsAtEachCall) {
  // Published tensors may carry axes of extent 1.
  FailureOr<Weights> weights = Weights::bind(
      *module, {{tensor("layers.0.w", {2, 1, 3}, w), tensor("layers.0.a", {3}, a)}, "folder", {}});
  ASSERT_TRUE(succeeded(weights)) << messages;
  FailureOr<Plan> plan = planModule(*module);
  ASSERT_TRUE(succeeded(plan)) << messages;
  ASSERT_EQ(plan->weights.size(), 2u);
  EXPECT_EQ(*weights->value(*plan, plan->weights[0].constant), (std::vector<float>{-5, -70, -900}));
  EXPECT_EQ(*weights->value(*plan, plan->weights[1].constant), (std::vector<float>{-1, -10, -100}));
  // The parameters themselves are kept for whoever checks the package.
  keepParameters(*module, *plan);
  ASSERT_EQ(plan->weights.size(), 4u);
  EXPECT_EQ(*weights->value(*plan, plan->weights[3].constant), a);
}

TEST_F(Binding, DrawsParametersWithoutACheckpoint) {
  FailureOr<Weights> weights = Weights::bind(*module, {{}, "", 3});
  ASSERT_TRUE(succeeded(weights)) << messages;
  EXPECT_EQ(weights->parameterElements(), 9);
  FailureOr<Plan> plan = planModule(*module);
  ASSERT_TRUE(succeeded(plan)) << messages;
  EXPECT_EQ(*weights->value(*plan, plan->weights[1].constant), (std::vector<float>{-1, -1, -1}));
}

TEST_F(Binding, NamesWhatIsMissingAndWhatIsNear) {
  EXPECT_TRUE(failed(Weights::bind(
      *module,
      {{tensor("model.layers.0.w", {2, 3}, w), tensor("layers.0.b", {3}, a)}, "folder", {}})));
  EXPECT_NE(messages.find("folder: no tensor 'layers.0.w', expected [h = 2, k = 3]; did you mean "
                          "'model.layers.0.w'?"),
            std::string::npos)
      << messages;
  EXPECT_NE(
      messages.find("folder: no tensor 'layers.0.a', expected [k = 3]; did you mean 'layers.0.b'?"),
      std::string::npos)
      << messages;
}

TEST_F(Binding, RefusesAnotherShape) {
  EXPECT_TRUE(failed(Weights::bind(
      *module, {{tensor("layers.0.w", {3, 2}, w), tensor("layers.0.a", {3}, a)}, "folder", {}})));
  EXPECT_NE(messages.find(
                "model.safetensors: tensor 'layers.0.w' has shape [3, 2]; expected [h = 2, k = 3]"),
            std::string::npos)
      << messages;
}

TEST_F(Binding, MultipliesNumbersOfEightBitsWithTheirScales) {
  const uint8_t ones[] = {0x38, 0x38, 0x38, 0x38, 0x38, 0xb8};
  TensorView stored{
      "layers.0.w", DType::F8E4M3, {2, 3}, std::as_bytes(std::span(ones)), "model.safetensors"};
  const std::vector<float> rows{2, -4}, wrong{1, 2, 3};
  auto valueOf = [&](TensorView scales) {
    FailureOr<Weights> weights =
        Weights::bind(*module, {{stored, tensor("layers.0.a", {3}, a), scales}, "folder", {}});
    EXPECT_TRUE(succeeded(weights)) << messages;
    FailureOr<Plan> plan = planModule(*module);
    keepParameters(*module, *plan);
    for (size_t i = 0; i < plan->weights.size(); ++i)
      if (plan->constants[plan->weights[i].constant].name == "layers.0.w")
        return weights->value(*plan, plan->weights[i].constant);
    return FailureOr<std::vector<float>>(failure());
  };
  FailureOr<std::vector<float>> found = valueOf(tensor("layers.0.w_scale_inv", {2, 1}, rows));
  ASSERT_TRUE(succeeded(found)) << messages;
  EXPECT_EQ(*found, (std::vector<float>{2, 2, 2, -4, -4, 4}));
  EXPECT_EQ(messages.find("nothing reads"), std::string::npos) << messages;
  EXPECT_TRUE(failed(Weights::bind(
      *module, {{stored, tensor("layers.0.a", {3}, a), tensor("layers.0.w_scale", {3, 1}, wrong)},
                "folder",
                {}})));
  EXPECT_NE(messages.find("tensor 'layers.0.w_scale' is F32 [3, 1]; expected one number"),
            std::string::npos)
      << messages;
}

TEST_F(Binding, WarnsOfWhatNothingReads) {
  EXPECT_TRUE(succeeded(
      Weights::bind(*module, {{tensor("layers.0.w", {2, 3}, w), tensor("layers.0.a", {3}, a),
                               tensor("rope.inv_freq", {3}, a)},
                              "folder",
                              {}})));
  EXPECT_NE(messages.find("folder: nothing reads 1 tensor: 'rope.inv_freq'"), std::string::npos)
      << messages;
}

TEST_F(Binding, RefusesANumbersMeaningThatNothingReads) {
  EXPECT_TRUE(
      failed(Weights::bind(*module, {{tensor("layers.0.w", {2, 3}, w), tensor("layers.0.a", {3}, a),
                                      tensor("layers.0.w_zero_point", {3}, a)},
                                     "folder",
                                     {}})));
  EXPECT_NE(messages.find("folder: tensor 'layers.0.w_zero_point' says what the numbers of "
                          "'layers.0.w' mean, and nothing reads it"),
            std::string::npos)
      << messages;
}

TEST_F(Binding, IsSilentOnWhatTheSpecIgnores) {
  auto patterns = [&](std::vector<llvm::StringRef> each) {
    messages.clear();
    (*module)->setAttr("rondo.ignored", Builder(&context).getStrArrayAttr(each));
    EXPECT_TRUE(succeeded(
        Weights::bind(*module, {{tensor("layers.0.w", {2, 3}, w), tensor("layers.0.a", {3}, a),
                                 tensor("layers.0.rope.inv_freq", {3}, a)},
                                "folder",
                                {}})));
    return messages.empty();
  };
  EXPECT_TRUE(patterns({"layers.*.inv_freq"}));
  EXPECT_TRUE(patterns({"mtp.*", "*rope*freq"}));
  EXPECT_TRUE(patterns({"layers.0.rope.inv_freq"}));
  EXPECT_FALSE(patterns({"layers.*.freq", "rope*", "*inv", "layers.0.rope.inv_fre", ""}));
}

//===----------------------------------------------------------------------===//
// Drawing
//===----------------------------------------------------------------------===//

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
  for (float value : parsed("uniform(0.5)").fill("a", 1, 100))
    EXPECT_LE(std::abs(value), 0.5f);
  std::string why;
  EXPECT_FALSE(Initialiser::parse("gaussian(1)", why));
  EXPECT_EQ(why, "found 'gaussian(1)'; expected a number, zeros, ones, constant(c), uniform(a), "
                 "uniform(a, b) or normal(sigma)");
  why.clear();
  EXPECT_FALSE(Initialiser::parse("normal(x)", why));
  EXPECT_EQ(why, "expected a number, found 'x'");
  why.clear();
  EXPECT_FALSE(Initialiser::parse("normal(1, 2)", why));
  EXPECT_EQ(why, "'normal' takes 1 numbers, found 2");
  EXPECT_FALSE(Initialiser::parse("normal(1", why));
}

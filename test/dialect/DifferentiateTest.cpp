//===- DifferentiateTest.cpp - Every rule against finite differences ------===//
//
// Each case of DifferentiateCases.inc is a function y(a, b, ...). Its derivative by every input is
// compared in f64 with differences of the interpreter's results, with cotangents that are 1, have
// all of the result's axes, or lack some: rules work on those as they are.
//
//===----------------------------------------------------------------------===//

#include "dialect/Differentiate.h"
#include "dialect/Interpreter.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include <gtest/gtest.h>

#include <random>

using namespace mlir;
using namespace rondo;

namespace {

struct Case {
  const char *name;
  std::vector<const char *> inputs;
  const char *result;
  double low, high;
  const char *body;
};

void PrintTo(const Case &test, std::ostream *os) { *os << test.body; }

const Case cases[] = {
#include "test/dialect/DifferentiateCases.inc"
};

constexpr int64_t tokens = 3;

/// "h k" is a tensor with axes h and k; an axis has its letter's extent, or the number behind it.
std::string typeText(StringRef axes) {
  auto [names, element] = axes.split(':');
  std::string sizes, list;
  SmallVector<StringRef> parts;
  names.split(parts, ' ', -1, false);
  for (StringRef part : parts) {
    int64_t extent = part[0] == 'h' ? 2 : part[0] == 'k' ? 3 : 4;
    part.drop_front().getAsInteger(10, extent);
    sizes += (part == "t" ? "?" : std::to_string(extent)) + "x";
    list += (list.empty() ? "" : ", ") + part.take_front().str();
  }
  std::string text = "tensor<" + sizes + (element.empty() ? "f32" : element.str());
  return text + (list.empty() ? ">" : ", #rondo.axes<[" + list + "]>>");
}

std::string expand(StringRef text) {
  std::string out;
  while (!text.empty()) {
    auto [before, rest] = text.split('{');
    out += before;
    if (rest.empty() && !text.contains('{'))
      break;
    auto [axes, after] = rest.split('}');
    out += typeText(axes);
    text = after;
  }
  return out;
}

class Differentiate : public ::testing::TestWithParam<Case> {
protected:
  Differentiate() { context.loadDialect<RondoDialect, func::FuncDialect>(); }

  /// y(a, b, ...), times the argument w where there is one (its axes), as one function.
  OwningOpRef<ModuleOp> parse(const Case &test, const char *weight) {
    std::string text = "func.func @f(";
    const char *names[] = {"%a", "%b", "%c_"};
    for (size_t i = 0; i < test.inputs.size(); ++i)
      text += (i ? ", " : "") + std::string(names[i]) + ": " + typeText(test.inputs[i]);
    std::string result = typeText(test.result);
    if (weight)
      text += ", %w: " + typeText(weight);
    text += ") -> " + result + " {\n" + expand(test.body) + "\n";
    if (weight)
      text += "%out = rondo.map mul(%y, %w) : (" + result + ", " + typeText(weight) + ") -> " +
              result + "\n";
    text += std::string("return ") + (weight ? "%out" : "%y") + " : " + result + "\n}\n";
    return parseSourceString<ModuleOp>(text, &context);
  }

  static std::vector<Array> run(func::FuncOp f, ArrayRef<Array> arguments) {
    std::vector<SequenceState> states(1);
    auto results = interpret(f, arguments, {tokens}, states, [](StringRef) { return nullptr; });
    if (!results) {
      ADD_FAILURE() << llvm::toString(results.takeError());
      return {};
    }
    return *results;
  }

  static double total(func::FuncOp f, ArrayRef<Array> arguments) {
    double sum = 0;
    for (const Array &y : run(f, arguments))
      for (double value : y.data)
        sum += value;
    return sum;
  }

  /// Replaces what `f` returns by the derivatives by its first `count` arguments.
  LogicalResult derive(func::FuncOp f, unsigned count) {
    auto result = cast<func::ReturnOp>(f.getBody().front().getTerminator());
    OpBuilder builder(result);
    SmallVector<Value> with(f.getArguments().take_front(count));
    auto gradients = differentiate(builder, result.getOperand(0), with,
                                   [&](Location, const std::string &why) { refusal = why; });
    if (failed(gradients))
      return failure();
    for (auto [gradient, value] : llvm::zip_equal(*gradients, with)) {
      zero.push_back(!gradient);
      if (!gradient)
        gradient = value;
    }
    result.getOperandsMutable().assign(*gradients);
    f.setFunctionType(
        FunctionType::get(&context, f.getArgumentTypes(), ValueRange(*gradients).getTypes()));
    return verify(f);
  }

  void check(const Case &test, const char *weight) {
    SCOPED_TRACE(std::string("cotangent ") + (weight ? weight : "1"));
    auto plain = parse(test, weight), derived = parse(test, weight);
    ASSERT_TRUE(plain && derived);
    auto f = *plain->getOps<func::FuncOp>().begin(), g = *derived->getOps<func::FuncOp>().begin();
    unsigned count = static_cast<unsigned>(test.inputs.size());
    zero.clear();
    ASSERT_TRUE(succeeded(derive(g, count))) << refusal;
    PassManager passes(&context);
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());

    std::mt19937 random(7);
    std::vector<Array> arguments;
    for (auto [i, type] : llvm::enumerate(f.getArgumentTypes())) {
      Array array;
      int64_t elements = 1;
      for (int64_t size : cast<RankedTensorType>(type).getShape()) {
        array.shape.push_back(ShapedType::isDynamic(size) ? tokens : size);
        elements *= array.shape.back();
      }
      std::uniform_real_distribution<> numbers(i < count ? test.low : -1,
                                               i < count ? test.high : 1);
      for (int64_t n = 0; n < elements; ++n)
        array.data.push_back(numbers(random));
      arguments.push_back(std::move(array));
    }
    for (bool canonical : {false, true}) {
      SCOPED_TRACE(canonical ? "canonical" : "as emitted");
      if (canonical)
        ASSERT_TRUE(succeeded(passes.run(*derived)));
      std::vector<Array> found = run(g, arguments);
      ASSERT_EQ(found.size(), count);
      for (unsigned i = 0; i < count; ++i)
        for (size_t n = 0; n < arguments[i].data.size(); ++n) {
          // Central differences of fourth order: error about step^4.
          auto at = [&](double steps) {
            std::vector<Array> moved = arguments;
            moved[i].data[n] += steps * 1e-3;
            return total(f, moved);
          };
          double expected = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / 12e-3;
          EXPECT_NEAR(zero[i] ? 0 : found[i].data[n], expected,
                      1e-9 * std::max(1.0, std::abs(expected)))
              << "by input " << i << ", element " << n;
        }
    }
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
  std::string refusal;
  std::vector<bool> zero;
};

TEST_P(Differentiate, EqualsFiniteDifferences) {
  const Case &test = GetParam();
  check(test, nullptr);
  check(test, test.result);
  SmallVector<StringRef> axes;
  StringRef(test.result).split(axes, ' ', -1, false);
  for (StringRef axis : axes)
    check(test, axis.str().c_str());
}

INSTANTIATE_TEST_SUITE_P(Ops, Differentiate, ::testing::ValuesIn(cases),
                         [](const auto &info) { return std::string(info.param.name); });

/// What the derivatives of `text`'s result by its arguments are at given arguments.
class Kinks : public Differentiate {
protected:
  std::vector<Array> gradients(const Case &test, ArrayRef<Array> arguments) {
    auto module = parse(test, nullptr);
    auto f = *module->getOps<func::FuncOp>().begin();
    EXPECT_TRUE(succeeded(derive(f, static_cast<unsigned>(test.inputs.size())))) << refusal;
    return run(f, arguments);
  }
};

TEST_F(Kinks, ATieBelongsToTheFirst) {
  Case most{"", {"h", "h"}, "h", 0, 0, "%y = rondo.map max(%a, %b) : ({h}, {h}) -> {h}"};
  auto found = gradients(most, {Array{{2}, {1, 1}}, Array{{2}, {1, 2}}});
  EXPECT_EQ(found[0].data, (std::vector<double>{1, 0}));
  EXPECT_EQ(found[1].data, (std::vector<double>{0, 1}));

  Case reduced{"", {"h k"}, "", 0, 0, "%y = rondo.reduce max %a over [k, h] : {h k} -> {}"};
  found = gradients(reduced, {Array{{2, 3}, {1, 0, 5, 5, 5, 2}}});
  EXPECT_EQ(found[0].data, (std::vector<double>{0, 0, 1, 0, 0, 0}));
}

TEST_F(Kinks, NoDerivativeWhereEveryWayIsFlat) {
  Case flat{"", {"h", "h"}, "h", 0, 0, "%y = rondo.map floor(%a) : ({h}) -> {h}"};
  auto module = parse(flat, nullptr);
  auto f = *module->getOps<func::FuncOp>().begin();
  Value y = f.getBody().front().getTerminator()->getOperand(0);
  EXPECT_TRUE(dependsOn(y, f.getArgument(0)));
  EXPECT_FALSE(dependsOn(y, f.getArgument(1)));
  ASSERT_TRUE(succeeded(derive(f, 2)));
  EXPECT_EQ(zero, (std::vector<bool>{true, true}));
}

TEST_F(Kinks, RefusesToAddOverTokens) {
  Case weights{
      "", {"t k", "k"}, "t", 0, 0, "%y = rondo.contract %a, %b over [k] : {t k}, {k} -> {t}"};
  auto module = parse(weights, nullptr);
  EXPECT_TRUE(failed(derive(*module->getOps<func::FuncOp>().begin(), 2)));
  EXPECT_NE(refusal.find("adds over tokens"), std::string::npos);
}

TEST_F(Kinks, RefusesWhatReachesOtherTokens) {
  Case earlier{"", {"t k"}, "t k", 0, 0, "%y = rondo.shift %a by 1 \"x\" : {t k}"};
  auto module = parse(earlier, nullptr);
  EXPECT_TRUE(failed(derive(*module->getOps<func::FuncOp>().begin(), 1)));
  EXPECT_EQ(refusal, "'shift' reaches other tokens and has no derivative of one token");
}

TEST_F(Kinks, RefusesToCompareIndicesThatAreNotExact) {
  Case slice{"",  {"d8388608"},
             "k", 0,
             0,   "%y = rondo.view %a by affine_map<(k) -> (k + 7)> : {d8388608} -> {k}"};
  Case choice{"",
              {"d8388608"},
              "k",
              0,
              0,
              "%i = rondo.constant dense<7> : {k:i64}\n %y = rondo.gather %a[%i] along d : "
              "{d8388608}, {k:i64} -> {k}"};
  for (const Case &test : {slice, choice}) {
    auto module = parse(test, nullptr);
    EXPECT_TRUE(failed(derive(*module->getOps<func::FuncOp>().begin(), 1)));
    EXPECT_NE(refusal.find("exact up to 4194304"), std::string::npos);
  }
}

TEST_F(Kinks, SecondDerivatives) {
  // The derivative of the sum of 3 x^2 by x: 6 x; of x^3: 6 x again.
  Case cube{"",
            {"k"},
            "k",
            0,
            0,
            "%s = rondo.map mul(%a, %a) : ({k}, {k}) -> {k}\n %y = rondo.map mul(%s, %a) : ({k}, "
            "{k}) -> {k}"};
  auto module = parse(cube, nullptr);
  auto f = *module->getOps<func::FuncOp>().begin();
  ASSERT_TRUE(succeeded(derive(f, 1)) && succeeded(derive(f, 1)));
  auto found = run(f, {Array{{3}, {1, -2, 0.5}}});
  EXPECT_EQ(found[0].data, (std::vector<double>{6, -12, 3}));
}

} // namespace

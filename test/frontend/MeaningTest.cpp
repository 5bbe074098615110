// What small specs compute, against values worked out by hand: the front end's choices (order of
// assignments, of axes, of splits) are in no model's logits alone.

#include "dialect/Interpreter.h"
#include "frontend/Frontend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

using namespace rondo;

namespace {
/// The outputs of a spec's last module over one sequence; each input is [tokens, elements of its
/// axes].
std::vector<std::vector<double>>
run(const std::string &spec, std::vector<std::vector<double>> inputs, int64_t tokens,
    const std::map<std::string, std::vector<double>> &parameters = {}) {
  SpecOptions options;
  options.path = testing::TempDir() + "meaning.rondo";
  options.importDirs = {RONDO_SOURCE_DIR "/models"};
  std::ofstream(options.path) << spec;
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  DiagnosticSink sink;
  auto module = buildTokenLevel(context, options, sink);
  EXPECT_EQ(sink.text(), "");
  if (!module)
    return {};
  auto forward = module->lookupSymbol<mlir::func::FuncOp>("forward");
  auto shaped = [](mlir::Type type, int64_t tokens, std::vector<double> data) {
    Array array;
    for (int64_t extent : llvm::cast<mlir::ShapedType>(type).getShape())
      array.shape.push_back(extent == mlir::ShapedType::kDynamic ? tokens : extent);
    array.data = std::move(data);
    return array;
  };
  std::vector<Array> arguments;
  for (size_t i = 0; i < inputs.size(); ++i)
    arguments.push_back(shaped(forward.getArgumentTypes()[i], tokens, inputs[i]));
  std::map<std::string, Array> held;
  module->walk([&](ParamOp op) {
    auto found = parameters.find(op.getPath().str());
    if (found != parameters.end())
      held[op.getPath().str()] = shaped(op.getType(), 0, found->second);
  });
  std::vector<SequenceState> states(1);
  auto lookup = [&](llvm::StringRef path) -> const Array * {
    auto found = held.find(path.str());
    return found == held.end() ? nullptr : &found->second;
  };
  auto results = interpret(forward, arguments, {tokens}, states, lookup);
  if (!results) {
    ADD_FAILURE() << llvm::toString(results.takeError());
    return {};
  }
  std::vector<std::vector<double>> values;
  for (const Array &array : *results)
    values.push_back(array.data);
  return values;
}

void near(const std::vector<double> &found, const std::vector<double> &expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], 1e-6) << "element " << i; // constants are stored in f32
}
} // namespace

TEST(Meaning, AStateIsTheOldOneUntilItIsAssigned) {
  auto y =
      run("module m(x) { recur S = 0 { seen = S; S = S + x } yield a = seen, b = S; return a, b }",
          {{1, 2, 3}}, 3);
  near(y.at(0), {0, 1, 3});
  near(y.at(1), {1, 3, 6});
}

TEST(Meaning, StatesFeedEachOtherInTheOrderOfAssignments) {
  // M sees the old S, S the new M.
  auto y = run("module m(x) { recur M = 1, S = 2 { M = M - S + x; S = S + M } yield M, S }",
               {{1, 1, 1}}, 3);
  near(y.at(0), {0, -1, -1});
  near(y.at(1), {2, 1, 0});
}

TEST(Meaning, GroupsKeepTheStateOfTheirStart) {
  auto y = run("module m(x) { recur S = 0 every 2 { S = S + x + 10 * S@start } yield S }",
               {{1, 1, 1, 1}}, 4);
  near(y.at(0), {1, 2, 23, 44});
}

TEST(Meaning, LearnedFirstStates) {
  auto y = run("size k = 2\nmodule m(x[k]) { param W0[k]; recur W[k] = W0 { W = W + x } yield W }",
               {{1, 2, 3, 4}}, 2, {{"W0", {10, 20}}});
  near(y.at(0), {11, 22, 14, 26});
}

TEST(Meaning, EarlierTokensAreZeroBeforeTheFirst) {
  auto y = run("module m(x) { return x@-1 + 100 * x@-2 + t }", {{1, 2, 3, 4}}, 4);
  near(y.at(0), {0, 2, 104, 206});
}

TEST(Meaning, SplitsAndMergesAreRowMajor) {
  auto y = run("size d = 6\nsize h = 2\nsize k = 3\nmodule m(x[d]) {\n"
               "a = x[d -> h k]\n return a[k = 1], a[h k -> d], a[k h -> d]\n}",
               {{0, 1, 2, 3, 4, 5}}, 1);
  near(y.at(0), {1, 4});
  near(y.at(1), {0, 1, 2, 3, 4, 5});
  near(y.at(2), {0, 3, 1, 4, 2, 5}); // by the names' order, not the value's
}

TEST(Meaning, OneValueIntoSeveralNames) {
  auto y = run("size d = 7\nsize h = 2\nsize k = 2\nmodule m(x[d]) {\n"
               "u[h k], v[k], w[one = 1] = x\n return u[h = 1], v, w\n}",
               {{0, 1, 2, 3, 4, 5, 6}}, 1);
  near(y.at(0), {2, 3});
  near(y.at(1), {4, 5});
  near(y.at(2), {6});
}

TEST(Meaning, GroupsServeNeighbouringHeads) {
  auto y = run("size g = 2\nsize h = 6\nmodule m(x[g]) { return x[g -> h] }", {{1, 2}}, 1);
  near(y.at(0), {1, 1, 1, 2, 2, 2});
}

TEST(Meaning, ReductionsAlongNamedAxes) {
  auto y = run("size e = 4\nmodule m(x[e]) {\n"
               "return sum[e](x), mean[e](x), max[e](x), min[e](x), topk[e](x, 2), softmax[e](x * "
               "0), dot[e](x, index[e])\n}",
               {{3, 1, 3, 3}}, 1);
  near(y.at(0), {10});
  near(y.at(1), {2.5});
  near(y.at(2), {3});
  near(y.at(3), {1});
  near(y.at(4), {1, 0, 1, 0}); // of equals the earlier ones
  near(y.at(5), {.25, .25, .25, .25});
  near(y.at(6), {1 + 6 + 9});
}

TEST(Meaning, FunctionsOfNumbers) {
  auto y = run("module m(x) { return ceil(x), round(x), x % 3, x^3, where(x > 0 or x == -4, 1, 2), "
               "abs(x), -x^2 }",
               {{-4, 2.5}}, 2);
  near(y.at(0), {-4, 3});
  near(y.at(1), {-4, 3});
  near(y.at(2), {2, 2.5});
  near(y.at(3), {-64, 15.625});
  near(y.at(4), {1, 1});
  near(y.at(5), {4, 2.5});
  near(y.at(6), {-16, -6.25});
}

TEST(Meaning, AFilterIsReadAtADistance) {
  auto y = run("size taps = 2\nmodule m(x) { param f[taps]; return sum over s where s <= t { "
               "f[taps = t - s] * x@s } }",
               {{1, 2, 3}}, 3, {{"f", {10, 1}}});
  near(y.at(0), {10, 21, 32}); // beyond the filter is nothing
}

TEST(Meaning, SoftmaxOverAWindow) {
  auto y = run("module m(q, key, val) { return softmax over s where s <= t and t - s < 2 { score q "
               "* key@s; value val@s } }",
               {{0, 0, 0}, {5, 6, 7}, {1, 3, 8}}, 3);
  near(y.at(0), {1, 2, 5.5});
}

TEST(Meaning, ShortConvolutionAndRope) {
  auto conv = run("import \"std.rondo\"\nsize k = 1\nmodule m(x[k]) { return short_conv(x, width = "
                  "3, bias = false) }",
                  {{1, 2, 3, 4}}, 4, {{"weight", {100, 10, 1}}});
  near(conv.at(0), {1, 12, 123, 234});
  // One radian at position 1 for theta = 1: pairs (0, 2) and (1, 3).
  auto rope = run("import \"std.rondo\"\nsize k = 4\nmodule m(x[k]) { return rope(x, 1) }",
                  {{1, 2, 3, 4, 1, 2, 3, 4}}, 2);
  double c = std::cos(1.0), s = std::sin(1.0);
  near(rope.at(0), {1, 2, 3, 4, c - 3 * s, 2 * c - 4 * s, 3 * c + s, 4 * c + 2 * s});
}

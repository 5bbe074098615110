//===- InterpreterTest.cpp - What holds for every program -----------------===//
//
// One program with every op that reaches other tokens: any split of a sequence into pieces, any
// packing and any order of sequences give the same numbers, bit by bit in f64.
//
//===----------------------------------------------------------------------===//

#include "dialect/Interpreter.h"

#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

#include <random>

using namespace mlir;
using namespace rondo;

namespace {

constexpr const char *source = R"mlir(
#td = #rondo.axes<[t, d]>
#d = #rondo.axes<[d]>
!x = tensor<?x2xf32, #td>
!d = tensor<2xf32, #d>
!s = tensor<f32>
func.func private @layer(%x: !x, %w: !d) -> !x {
  %old = rondo.shift %x by 2 "old" : !x
  %p = rondo.position : tensor<?xf32, #rondo.axes<[t]>>
  %sine = rondo.map sin(%p) : (tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>>
  %u = rondo.map add(%old, %sine) : (!x, tensor<?xf32, #rondo.axes<[t]>>) -> !x
  %y = rondo.recur "r" inputs(%u, %w : !x, !d) states("S" = %w : !d) every 3 -> (!x) body(%u_t, %w_t, %S, %start) {
    %0 = rondo.map mul(%S, %w_t) : (!d, !d) -> !d
    %1 = rondo.map add(%0, %u_t) : (!d, !d) -> !d
    %2 = rondo.map sub(%1, %start) : (!d, !d) -> !d
    rondo.yield (%1 : !d) (%2 : !d)
  }
  %z = rondo.attend softmax "a" causal window 4 queries(%x : !x) keys(%y : !x) -> !x body(%t, %s, %x_t, %y_s) {
    %true = rondo.constant dense<true> : tensor<i1>
    %score = rondo.contract %x_t, %y_s over [d] : !x, tensor<?x2xf32, #rondo.axes<[s, d]>> -> tensor<?x?xf32, #rondo.axes<[t, s]>>
    rondo.yield () (%true, %score, %y_s : tensor<i1>, tensor<?x?xf32, #rondo.axes<[t, s]>>, tensor<?x2xf32, #rondo.axes<[s, d]>>)
  }
  return %z : !x
}
func.func @main(%x: !x) -> !x {
  %w = rondo.param "w" : !d
  %0 = rondo.call @layer(%x, %w) at "0" : (!x, !d) -> !x
  %1 = rondo.call @layer(%0, %w) at "1" : (!x, !d) -> !x
  return %1 : !x
}
func.func @ids(%x: !x, %ids: tensor<?xi64, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> {
  %old = rondo.shift %x by 2 "old" : !x
  %0 = rondo.pick %old[%ids] along d : !x, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?xf32, #rondo.axes<[t]>>
  return %0 : tensor<?xf32, #rondo.axes<[t]>>
}
)mlir";

class InterpreterTest : public ::testing::Test {
protected:
  InterpreterTest() {
    context.loadDialect<RondoDialect, func::FuncDialect>();
    module = parseSourceString<ModuleOp>(source, &context);
    std::mt19937 random(3);
    for (double &value : tokens)
      value = std::uniform_real_distribution(-1.0, 1.0)(random);
  }

  /// Tokens [first, first + count) of the test's sequence.
  Array slice(int64_t first, int64_t count) const {
    return {{count, 2}, {tokens.begin() + first * 2, tokens.begin() + (first + count) * 2}};
  }

  llvm::Expected<std::vector<Array>> run(StringRef name, ArrayRef<Array> arguments,
                                         ArrayRef<int64_t> lengths,
                                         std::vector<SequenceState> &states) {
    auto parameters = [&](StringRef path) { return path == "w" ? &w : nullptr; };
    return interpret(module->lookupSymbol<func::FuncOp>(name), arguments, lengths, states,
                     parameters);
  }

  std::vector<double> whole(int64_t length) {
    std::vector<SequenceState> states(1);
    auto results = run("main", {slice(0, length)}, {length}, states);
    EXPECT_TRUE(bool(results)) << llvm::toString(results.takeError());
    return (*results)[0].data;
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
  OwningOpRef<ModuleOp> module;
  Array w{{2}, {0.5, -0.75}};
  std::vector<double> tokens = std::vector<double>(22);
};

TEST_F(InterpreterTest, AnySplitOfASequenceGivesTheSame) {
  ASSERT_TRUE(module);
  std::vector<double> expected = whole(11);
  for (unsigned cuts = 0; cuts < 1u << 10; cuts += 37) {
    std::vector<SequenceState> states(1);
    std::vector<double> found;
    for (int64_t first = 0, end; first < 11; first = end) {
      for (end = first + 1; end < 11 && !(cuts >> (end - 1) & 1);)
        ++end;
      auto results = run("main", {slice(first, end - first)}, {end - first}, states);
      ASSERT_TRUE(bool(results)) << llvm::toString(results.takeError());
      llvm::append_range(found, (*results)[0].data);
    }
    EXPECT_EQ(found, expected) << "cut after the tokens of the bits of " << cuts;
    EXPECT_EQ(states[0].position, 11);
  }
}

TEST_F(InterpreterTest, PackedSequencesDoNotSeeEachOther) {
  std::vector<SequenceState> states(3);
  Array packed = slice(0, 5);
  llvm::append_range(packed.data, slice(0, 3).data);
  packed.shape[0] = 8;
  auto results = run("main", {packed}, {5, 0, 3}, states);
  ASSERT_TRUE(bool(results)) << llvm::toString(results.takeError());
  std::vector<double> expected = whole(5);
  llvm::append_range(expected, whole(3));
  EXPECT_EQ((*results)[0].data, expected);
}

TEST_F(InterpreterTest, StatesAreNamedByTheirScopes) {
  std::vector<SequenceState> states(1);
  ASSERT_TRUE(bool(run("main", {slice(0, 5)}, {5}, states)));
  std::vector<std::string> names;
  for (const auto &[name, value] : states[0].values)
    names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"0.a.key0", "0.old", "0.r.S", "0.r.S.start",
                                             "1.a.key0", "1.old", "1.r.S", "1.r.S.start"}));
  EXPECT_EQ(states[0].values["0.old"].shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(states[0].values["0.a.key0"].shape, (std::vector<int64_t>{5, 2}));
}

TEST_F(InterpreterTest, AfterAnErrorTheStatesAreAsTheyWere) {
  std::vector<SequenceState> states(1);
  Array good{{2}, {0, 1}}, bad{{2}, {0, 2}};
  ASSERT_TRUE(bool(run("ids", {slice(0, 2), good}, {2}, states)));
  auto before = states[0].values["old"].data;
  auto results = run("ids", {slice(2, 2), bad}, {2}, states);
  ASSERT_FALSE(bool(results));
  EXPECT_NE(llvm::toString(results.takeError()).find("index 2 is outside [0, 2)"),
            std::string::npos);
  EXPECT_EQ(states[0].values["old"].data, before);
  EXPECT_EQ(states[0].position, 2);
}

TEST_F(InterpreterTest, ArgumentsAreCheckedAgainstTheirTypes) {
  std::vector<SequenceState> states(1);
  auto message = [&](ArrayRef<Array> arguments, ArrayRef<int64_t> lengths) {
    auto results = run("main", arguments, lengths, states);
    return results ? std::string("success") : llvm::toString(results.takeError());
  };
  EXPECT_EQ(message({}, {1}), "function 'main': expected 1 arguments, found 0");
  EXPECT_EQ(message({slice(0, 2)}, {1}),
            "argument 0 of 'main': expected shape [1, 2], found [2, 2]");
  EXPECT_EQ(message({Array{{1, 2}, {1}}}, {1}),
            "argument 0 of 'main': expected shape [1, 2], found [1, 2] with 1 numbers");
  EXPECT_EQ(message({slice(0, 1)}, {1, 2}), "expected a state for each of 2 sequences, found 1");
  EXPECT_EQ(message({slice(0, 1)}, {-1}), "expected numbers of tokens, found -1");
}

TEST_F(InterpreterTest, ExpressionsOverParametersHaveValues) {
  auto function = parseSourceString<ModuleOp>(R"mlir(
    func.func @f() -> tensor<2xf32, #rondo.axes<[d]>> {
      %w = rondo.param "w" : tensor<2xf32, #rondo.axes<[d]>>
      %0 = rondo.map exp(%w) : (tensor<2xf32, #rondo.axes<[d]>>) -> tensor<2xf32, #rondo.axes<[d]>>
      return %0 : tensor<2xf32, #rondo.axes<[d]>>
    })mlir",
                                              &context);
  Value value = (*function->getOps<func::FuncOp>().begin()).front().getTerminator()->getOperand(0);
  auto result = evaluateParameterExpression(value, [&](StringRef) { return &w; });
  ASSERT_TRUE(bool(result));
  EXPECT_EQ(result->data, (std::vector<double>{std::exp(0.5), std::exp(-0.75)}));
}

} // namespace

//===- PlanTest.cpp - Entries become steps over static memory -------------===//

#include "codegen/common/Plan.h"

#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"
#include <random>

using namespace mlir;
using namespace rondo;
using Kind = PlannedStep::Kind;
using Operand = PlannedOperand;

//===----------------------------------------------------------------------===//
// The arena
//===----------------------------------------------------------------------===//

TEST(Arena, LiveValuesNeverOverlap) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    auto upTo = [&](int64_t n) { return int64_t(random() % n); };
    std::vector<Lifetime> lives;
    int64_t steps = 1 + upTo(60);
    for (int64_t n = upTo(120); n > 0; --n) {
      int64_t first = upTo(steps);
      lives.push_back(
          {1 + upTo(seed % 2 ? 100 : 100000), first, std::min(steps, first + upTo(10))});
    }
    ArenaPlan plan = planArena(lives);
    int64_t least = 0;
    for (int64_t step = 0; step <= steps; ++step) {
      int64_t together = 0;
      for (const Lifetime &life : lives)
        if (life.first <= step && step <= life.last)
          together += life.bytes;
      least = std::max(least, together);
    }
    EXPECT_GE(plan.bytes, least) << "seed " << seed;
    for (size_t i = 0; i < lives.size(); ++i) {
      EXPECT_EQ(plan.offsets[i] % 64, 0) << "seed " << seed;
      EXPECT_LE(plan.offsets[i] + lives[i].bytes, plan.bytes) << "seed " << seed;
      for (size_t j = 0; j < i; ++j) {
        bool together = lives[i].first <= lives[j].last && lives[j].first <= lives[i].last;
        bool overlap = plan.offsets[i] < plan.offsets[j] + lives[j].bytes &&
                       plan.offsets[j] < plan.offsets[i] + lives[i].bytes;
        EXPECT_FALSE(together && overlap) << "seed " << seed << ": values " << i << " and " << j;
      }
    }
  }
}

TEST(Arena, ValuesOfDifferentTimesShareAPlace) {
  ArenaPlan plan = planArena({{1000, 0, 1}, {1000, 2, 3}, {500, 1, 2}});
  EXPECT_EQ(plan.offsets[0], plan.offsets[1]);
  EXPECT_EQ(plan.bytes, 1024 + 512);
}

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

namespace {
class PlanModule : public testing::Test {
protected:
  PlanModule() {
    context.loadDialect<RondoDialect, func::FuncDialect>();
    context.getDiagEngine().registerHandler([&](Diagnostic &diagnostic) {
      errors += diagnostic.str() + "\n";
      return success();
    });
  }
  FailureOr<Plan> plan(StringRef text) {
    module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module) << errors;
    return module ? planModule(*module) : FailureOr<Plan>(failure());
  }
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::string errors;
};

// Two layers that are one function: a product, a shift, a recurrence; then the last rows and a head
// whose table is the embedding's.
constexpr llvm::StringLiteral twoLayers = R"mlir(
!row = tensor<?x8xf32, #rondo.axes<[t, d]>>
!matrix = tensor<8x8xf32, #rondo.axes<[j, d]>>
!table = tensor<5x8xf32, #rondo.axes<[v, d]>>
!ids = tensor<?xi64, #rondo.axes<[t]>>
func.func private @embed(%ids: !ids, %w: !table) -> !row attributes {rondo.kernel = "rows"} {
  %x = rondo.gather %w[%ids] along v : !table, !ids -> !row
  return %x : !row
}
func.func private @product(!row, !matrix {rondo.layout = "panels32"}) -> !row attributes {rondo.kernel = "product"}
func.func private @shifted(!row) -> !row attributes {rondo.kernel = "rows", rondo.states = ["conv"],
  rondo.state_info = [{kind = "tail", type = tensor<8xf32, #rondo.axes<[d]>>, tokens = 3, source = 0}]}
func.func private @scan(!row, tensor<8xf32, #rondo.axes<[d]>>) -> !row attributes {rondo.kernel = "scan", rondo.states = ["S", "M"],
  rondo.state_info = [{kind = "fixed", type = tensor<8x4xf32, #rondo.axes<[d, n]>>, init = -1}, {kind = "fixed", type = tensor<8xf32, #rondo.axes<[d]>>, init = 1}]}
func.func private @head(!row, !table {rondo.layout = "panels32"}) -> tensor<?x5xf32, #rondo.axes<[t, v]>> attributes {rondo.kernel = "product"}
func.func private @layer(%x: !row, %w: !matrix, %b: tensor<8xf32, #rondo.axes<[d]>>) -> !row {
  %0 = rondo.launch @product(%x, %w) : (!row, !matrix) -> !row
  %1 = rondo.launch @shifted(%0) : (!row) -> !row
  %2 = rondo.launch @scan(%1, %b) : (!row, tensor<8xf32, #rondo.axes<[d]>>) -> !row
  return %2 : !row
}
func.func @prefill(%tokens: !ids {rondo.name = "tokens"}) -> (tensor<?x5xf32, #rondo.axes<[t, v]>> {rondo.name = "logits"}) attributes {rondo.entry = "prefill"} {
  %e = rondo.param "embed.weight" : !table
  %w0 = rondo.param "layers.0.w" : !matrix
  %w1 = rondo.param "layers.1.w" : !matrix
  %b = rondo.param "b" : tensor<8xf32, #rondo.axes<[d]>>
  %nb = rondo.map exp(%b) {rondo.derived = "exp.b"} : (tensor<8xf32, #rondo.axes<[d]>>) -> tensor<8xf32, #rondo.axes<[d]>>
  %x = rondo.launch @embed(%tokens, %e) : (!ids, !table) -> !row
  %y = rondo.call @layer(%x, %w0, %nb) at "layers.0" : (!row, !matrix, tensor<8xf32, #rondo.axes<[d]>>) -> !row
  %z = rondo.call @layer(%y, %w1, %nb) at "layers.1" : (!row, !matrix, tensor<8xf32, #rondo.axes<[d]>>) -> !row
  %l = rondo.last %z : !row
  %e2 = rondo.param "embed.weight" : !table
  %o = rondo.launch @head(%l, %e2) : (!row, !table) -> tensor<?x5xf32, #rondo.axes<[t, v]>>
  return %o : tensor<?x5xf32, #rondo.axes<[t, v]>>
}
)mlir";
} // namespace

TEST_F(PlanModule, FlattensCallsIntoSteps) {
  FailureOr<Plan> result = plan(twoLayers);
  ASSERT_TRUE(succeeded(result)) << errors;
  ASSERT_EQ(result->entries.size(), 1u);
  PlannedEntry &entry = result->entries[0];
  std::vector<Kind> kinds;
  for (PlannedStep &step : entry.steps)
    kinds.push_back(step.kind);
  // The tail is kept after its reader, in each layer.
  EXPECT_EQ(kinds, (std::vector<Kind>{Kind::Launch, Kind::Launch, Kind::Launch, Kind::Tail,
                                      Kind::Launch, Kind::Launch, Kind::Launch, Kind::Tail,
                                      Kind::Launch, Kind::Last, Kind::Launch}));
  EXPECT_EQ(result->kernels.size(), 5u);
  EXPECT_EQ(entry.steps[1].kernel, entry.steps[5].kernel);
  EXPECT_EQ(entry.steps[0].operands.front(), (Operand{Operand::Kind::Input, 0}));
  EXPECT_EQ(entry.steps.back().operands.back(), (Operand{Operand::Kind::Output, 0}));
  EXPECT_TRUE(entry.outputsInLastSpace);
  EXPECT_FALSE(entry.steps[9].lastSpace);
  EXPECT_TRUE(entry.steps[10].lastSpace);
  EXPECT_EQ(entry.inputs[0].idLimit, 5);
  EXPECT_EQ(entry.outputs[0].name, "logits");
}

TEST_F(PlanModule, NamesStatesByScopeAndPlacesThem) {
  FailureOr<Plan> result = plan(twoLayers);
  ASSERT_TRUE(succeeded(result)) << errors;
  std::vector<std::string> names;
  for (PlannedState &state : result->states) {
    names.push_back(state.name);
    EXPECT_EQ(state.offset % 64, 0);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"layers.0.conv", "layers.0.S", "layers.0.M",
                                             "layers.1.conv", "layers.1.S", "layers.1.M"}));
  // 3 rows of 32 bytes, 128 bytes, 32 bytes, each rounded up to 64.
  EXPECT_EQ(result->stateBytes, 2 * (128 + 128 + 64));
  ASSERT_GE(result->states[2].init, 0);
  EXPECT_EQ(result->constants[result->weights[result->states[2].init].constant].name, "exp.b");
}

TEST_F(PlanModule, AWeightIsStoredOnceThoughItIsLookedUpAndMultipliedWith) {
  FailureOr<Plan> result = plan(twoLayers);
  ASSERT_TRUE(succeeded(result)) << errors;
  std::vector<std::pair<std::string, std::string>> weights;
  for (PlannedWeight &weight : result->weights)
    weights.push_back({result->constants[weight.constant].name, weight.layout});
  EXPECT_EQ(weights,
            (std::vector<std::pair<std::string, std::string>>{{"embed.weight", "panels32"},
                                                              {"layers.0.w", "panels32"},
                                                              {"exp.b", "rows"},
                                                              {"layers.1.w", "panels32"}}));
}

TEST_F(PlanModule, ACacheIsFilledBeforeItIsRead) {
  FailureOr<Plan> result = plan(R"mlir(
    !row = tensor<?x8xf32, #rondo.axes<[t, d]>>
    func.func private @attend(!row, !row) -> !row attributes {rondo.kernel = "attend", rondo.states = ["k"],
      rondo.state_info = [{kind = "cache", type = tensor<8xf32, #rondo.axes<[d]>>, tokens = 16, source = 1}]}
    func.func private @rows(!row) -> !row attributes {rondo.kernel = "rows"}
    func.func @forward(%x: !row) -> !row attributes {rondo.entry = "forward"} {
      %k = rondo.launch @rows(%x) : (!row) -> !row
      %y = rondo.launch @attend(%x, %k) : (!row, !row) -> !row
      return %y : !row
    })mlir");
  ASSERT_TRUE(succeeded(result)) << errors;
  auto &steps = result->entries[0].steps;
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[1].kind, Kind::Append);
  EXPECT_EQ(steps[1].rowBytes, 32);
  EXPECT_EQ(steps[1].operands[0], steps[0].operands[1]);
  EXPECT_EQ(steps[1].operands[1], (Operand{Operand::Kind::State, 0}));
  EXPECT_EQ(result->states[0].tokens, 16);
  EXPECT_EQ(result->caches, 1);
}

//===----------------------------------------------------------------------===//
// Refusals
//===----------------------------------------------------------------------===//

TEST_F(PlanModule, RefusesArithmeticOutsideKernels) {
  EXPECT_TRUE(failed(plan(R"mlir(
    !row = tensor<?x8xf32, #rondo.axes<[t, d]>>
    func.func @forward(%x: !row) -> !row attributes {rondo.entry = "forward"} {
      %y = rondo.map exp(%x) : (!row) -> !row
      return %y : !row
    })mlir")));
  EXPECT_NE(errors.find("is in no kernel"), std::string::npos) << errors;
}

TEST_F(PlanModule, RefusesOneStateNameForTwoStates) {
  EXPECT_TRUE(failed(plan(R"mlir(
    !row = tensor<?x8xf32, #rondo.axes<[t, d]>>
    func.func private @a(!row) -> !row attributes {rondo.kernel = "rows", rondo.states = ["x"],
      rondo.state_info = [{kind = "tail", type = tensor<8xf32, #rondo.axes<[d]>>, tokens = 1, source = 0}]}
    func.func private @b(!row) -> !row attributes {rondo.kernel = "rows", rondo.states = ["x"],
      rondo.state_info = [{kind = "tail", type = tensor<8xf32, #rondo.axes<[d]>>, tokens = 2, source = 0}]}
    func.func @forward(%x: !row) -> !row attributes {rondo.entry = "forward"} {
      %y = rondo.launch @a(%x) : (!row) -> !row
      %z = rondo.launch @b(%x) : (!row) -> !row
      return %z : !row
    })mlir")));
  EXPECT_NE(errors.find("state 'x' was"), std::string::npos) << errors;
}

TEST_F(PlanModule, RefusesMixedSpaces) {
  EXPECT_TRUE(failed(plan(R"mlir(
    !row = tensor<?x8xf32, #rondo.axes<[t, d]>>
    func.func private @a(!row, !row) -> !row attributes {rondo.kernel = "rows"}
    func.func @forward(%x: !row) -> !row attributes {rondo.entry = "forward"} {
      %l = rondo.last %x : !row
      %y = rondo.launch @a(%x, %l) : (!row, !row) -> !row
      return %y : !row
    })mlir")));
  EXPECT_NE(errors.find("mixes values of all tokens with values of last tokens"), std::string::npos)
      << errors;
}

TEST_F(PlanModule, RefusesAModuleWithoutEntry) {
  EXPECT_TRUE(failed(plan("module {}")));
  EXPECT_NE(errors.find("no entry"), std::string::npos) << errors;
}

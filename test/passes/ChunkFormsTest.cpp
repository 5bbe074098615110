//===- ChunkFormsTest.cpp - Every form of a recurrence is the recurrence --===//
//
// Each recurrence below is interpreted in f64 as it is written and after hoisting and chunking, for
// lengths around a block's, in two pieces, packed with a second sequence, from a non-zero state; a
// hundred random ones as well. The tolerance is 1e-10 of the largest value: both sides are f64, and
// what differs is the order of sums and exp(a)exp(b) against exp(a + b) over at most 3 blocks.
//
//===----------------------------------------------------------------------===//

#include "dialect/Interpreter.h"
#include "passes/Passes.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace rondo;

namespace {

struct Case {
  std::string name;
  std::string inputs; // NAME:AXES of the per-token inputs
  std::string states; // NAME:AXES
  std::string output; // axes
  std::string body;
  std::string form;       // expected; empty: either
  std::string transition; // expected; empty: any
  int64_t every = 0;      // with groups, the body reads NAME_start as well
};

// Axes: h 2, k 4, v 3. Body arguments are the inputs' names, then the states'.
const Case cases[] = {
#include "test/passes/ChunkFormsCases.inc"
};

/// `%name` of type over `axes`, written as "hk".
std::string typeOf(llvm::StringRef axes, bool perToken) {
  std::string dims = perToken ? "?x" : "", names = perToken ? "t" : "";
  for (char axis : axes) {
    dims += axis == 'h' ? "2x" : axis == 'k' ? "4x" : axis == 'v' ? "3x" : "4x";
    names += std::string(names.empty() ? "" : ", ") + axis;
  }
  return names.empty() ? "tensor<f32>" : "tensor<" + dims + "f32, #rondo.axes<[" + names + "]>>";
}

int64_t sizeOf(llvm::StringRef axes) {
  int64_t size = 1;
  for (char axis : axes)
    size *= axis == 'h' ? 2 : axis == 'v' ? 3 : 4;
  return size;
}

struct Parts {
  explicit Parts(llvm::StringRef text) {
    llvm::SmallVector<llvm::StringRef> items;
    text.split(items, ' ', -1, false);
    for (auto item : items) {
      auto [name, of] = item.split(':');
      names.push_back(name);
      axes.push_back(of);
    }
  }
  std::vector<llvm::StringRef> names, axes;
};

/// `@{hk}` in a body stands for the type over h and k, `#{hk}` for that of truths.
std::string withTypes(const std::string &text) {
  std::string result;
  for (size_t at = 0; at < text.size(); ++at) {
    bool truths = text[at] == '#';
    if ((text[at] != '@' && !truths) || at + 1 == text.size() || text[at + 1] != '{') {
      result += text[at];
      continue;
    }
    size_t end = text.find('}', at);
    std::string type = typeOf(llvm::StringRef(text).slice(at + 2, end), false);
    if (size_t element = type.find("f32"); truths)
      type.replace(element, 3, "i1");
    result += type;
    at = end;
  }
  return result;
}

std::string moduleOf(const Case &c) {
  Parts inputs(c.inputs), states(c.states);
  std::string text = "func.func @forward(", operands, types, names, inits, stateTypes;
  for (size_t i = 0; i < inputs.names.size(); ++i) {
    std::string type = typeOf(inputs.axes[i], true), comma = i ? ", " : "";
    text += comma + "%" + inputs.names[i].str() + "_: " + type + " {rondo.name = \"" +
            inputs.names[i].str() + "\"}";
    operands += comma + "%" + inputs.names[i].str() + "_";
    types += comma + type;
    names += "%" + inputs.names[i].str() + ", ";
  }
  std::string group = c.every ? " every " + std::to_string(c.every) : "";
  std::string result = typeOf(c.output, true);
  text += ") -> (" + result + " {rondo.name = \"y\"}) attributes {rondo.entry = \"forward\"} {\n";
  for (size_t i = 0; i < states.names.size(); ++i) {
    std::string type = typeOf(states.axes[i], false), comma = i ? ", " : "",
                name = states.names[i].str();
    text += "  %zero_" + name + " = rondo.constant dense<0.0> : " + type + "\n";
    inits += comma + "\"" + name + "\" = %zero_" + name;
    stateTypes += comma + type;
    names += comma + "%" + name;
  }
  for (size_t i = 0; c.every && i < states.names.size(); ++i)
    names += ", %" + states.names[i].str() + "_start";
  text += "  %y = rondo.recur \"R\" inputs(" + operands + " : " + types + ") states(" + inits +
          " : " + stateTypes + ")" + group + " -> (" + result + ") body(" + names + ") {\n" +
          withTypes(c.body) + "\n  }\n  return %y : " + result + "\n}\n";
  return text;
}

class ChunkForms : public ::testing::TestWithParam<Case> {
protected:
  ChunkForms() { context.loadDialect<RondoDialect, func::FuncDialect>(); }

  OwningOpRef<ModuleOp> parse() {
    return parseSourceString<ModuleOp>(moduleOf(GetParam()), &context);
  }

  static void SetUpTestSuite() { inBlocks = 0; }
  static void TearDownTestSuite() { RecordProperty("scans_in_blocks", inBlocks); }
  static inline int inBlocks = 0;

  void transform(ModuleOp module, const std::string &form) {
    ScopedDiagnosticHandler quiet(&context, [](Diagnostic &d) {
      return success(d.getSeverity() == DiagnosticSeverity::Remark);
    });
    PassManager manager(&context);
    manager.addPass(createHoistFromRecurPass());
    ChunkRecurrencesPassOptions options;
    options.forms = {form};
    manager.addPass(createChunkRecurrencesPass(options));
    ASSERT_TRUE(succeeded(manager.run(module)));
  }

  /// The outputs of two packed sequences of `length` and 5 tokens, the first in pieces, from a
  /// state that an earlier piece left.
  std::vector<double> run(ModuleOp module, int64_t length, int64_t split,
                          InterpreterOptions options = {}) {
    Parts inputs(GetParam().inputs);
    auto function = module.lookupSymbol<func::FuncOp>("forward");
    std::vector<SequenceState> states(2);
    std::mt19937 random(length * 131 + 7);
    std::vector<double> outputs;
    // What a token sees depends on its place in its sequence alone, so that splits can be compared.
    auto piece = [&](std::vector<std::pair<int64_t, int64_t>> ranges) {
      std::vector<Array> arguments;
      std::vector<int64_t> lengths;
      int64_t rows = 0;
      for (auto [from, to] : ranges) {
        lengths.push_back(to - from);
        rows += to - from;
      }
      for (size_t i = 0; i < inputs.names.size(); ++i) {
        Array array;
        array.shape.push_back(rows);
        for (char axis : inputs.axes[i])
          array.shape.push_back(sizeOf(llvm::StringRef(&axis, 1)));
        int64_t size = sizeOf(inputs.axes[i]);
        for (size_t s = 0; s < ranges.size(); ++s)
          for (int64_t t = ranges[s].first; t < ranges[s].second; ++t) {
            std::mt19937 token(1000003 * i + 101 * t + s + 17);
            std::normal_distribution<double> normal;
            for (int64_t j = 0; j < size; ++j)
              array.data.push_back(normal(token));
          }
        arguments.push_back(array);
      }
      auto results = interpret(
          function, arguments, lengths, states,
          [](llvm::StringRef) -> const Array * { return nullptr; }, options);
      if (!results) {
        ADD_FAILURE() << llvm::toString(results.takeError());
        return;
      }
      // In the order of tokens of each sequence, whatever the pieces.
      int64_t row = 0, size = sizeOf(GetParam().output);
      for (size_t s = 0; s < ranges.size(); ++s)
        for (int64_t t = ranges[s].first; t < ranges[s].second; ++t, ++row) {
          auto &of = bySequence[s];
          of.insert(of.end(), (*results)[0].data.begin() + row * size,
                    (*results)[0].data.begin() + (row + 1) * size);
        }
    };
    bySequence.assign(2, {});
    piece({{0, 3}, {0, 0}});
    piece({{3, 3 + split}, {0, 2}});
    piece({{3 + split, 3 + length}, {2, 5}});
    for (auto &of : bySequence)
      outputs.insert(outputs.end(), of.begin(), of.end());
    return outputs;
  }

  MLIRContext context;
  std::vector<std::vector<double>> bySequence;
};

TEST_P(ChunkForms, EqualTheTokenLoop) {
  auto reference = parse();
  ASSERT_TRUE(reference) << moduleOf(GetParam());
  for (int64_t chunk : {1, 4, 16}) {
    auto module = parse();
    transform(*module, "R=chunk:" + std::to_string(chunk));
    module->walk([&](ScanOp scan) {
      if (!GetParam().form.empty()) {
        EXPECT_EQ(scan.getForm().str(), GetParam().form);
        EXPECT_EQ(scan.getTransition().str(), GetParam().transition);
      }
      inBlocks += scan.getForm() == "chunk";
      EXPECT_EQ(scan.getBlock().empty(), scan.getForm() == "sequential");
    });
    for (int64_t length : {int64_t(0), int64_t(1), chunk - 1, chunk, chunk + 1, 3 * chunk + 5})
      for (int64_t split : {int64_t(0), length / 2}) {
        auto expected = run(*reference, length, split), got = run(*module, length, 0);
        ASSERT_EQ(expected.size(), got.size());
        double largest = 1e-300, difference = 0;
        for (size_t i = 0; i < got.size(); ++i) {
          largest = std::max(largest, std::abs(expected[i]));
          difference = std::max(difference, std::abs(expected[i] - got[i]));
        }
        EXPECT_FALSE(std::isnan(difference));
        EXPECT_LE(difference, 1e-10 * largest)
            << GetParam().name << ", chunk " << chunk << ", " << length << " tokens";
        if (HasFailure()) {
          std::string text;
          llvm::raw_string_ostream stream(text);
          module->print(stream);
          FAIL() << text;
        }
      }
  }
}

/// A recurrence that nobody listed: one to three states with random decays (of any sign, zero, over
/// any axes, small matrices over states that hold each other), updates in one to three steps a
/// token, and reads before, between and after them, of each other too. The updates that read their
/// own state are contractions, so that nothing grows without bound.
class Generator {
public:
  explicit Generator(unsigned seed) : random(seed) {}

  Case make(unsigned seed) {
    int wide = 1 + pick(2), all = wide + pick(2);
    Case c;
    c.name = "seed_" + std::to_string(seed);
    c.inputs = "gh:h ghk:hk ghv:hv b:h key:hk key2:hk val:hv q:hk";
    c.output = "hv";
    for (int i = 0; i < all; ++i) {
      std::string name = "S" + std::to_string(i);
      old.push_back(name);
      axes.push_back(i < wide ? "hkv" : "hk");
      c.states += (i ? " " : "") + name + ":" + axes.back();
    }
    std::string rate = map("sigmoid", {"b"}, {"h"}, "h");
    small = scaled(rate, "h", "0.1");
    for (int i = 0; i < all; ++i)
      next.push_back(nextState(i));
    std::string y = answer(0, pick(3) ? pick(2) ? next[0] : old[0] : between[pick(between.size())]);
    for (int i = 1; i < all; ++i) {
      std::string other = answer(i, pick(3) ? next[i] : old[i]);
      y = map(i < wide || pick(2) ? "add" : "mul", {y, other}, {"hv", axes[i] == "hk" ? "h" : "hv"},
              "hv");
    }
    if (pick(8) == 0) // a state that is used whole
      y = map("add", {y, read(map("tanh", {next[0]}, {"hkv"}, "hkv"), "hkv", "q")}, {"hv", "hv"},
              "hv");
    if (pick(8) == 0) // read along both axes
      y = map("add",
              {y, contract(contract(next[0], "hkv", "val", "hv", "v", "hk"), "hk", "q", "hk", "k",
                           "h")},
              {"hv", "h"}, "hv");
    for (int i = 0; i < all; ++i)
      types += (i ? ", @{" : "@{") + axes[i] + "}", names += (i ? ", %" : "%") + next[i];
    c.body = text + "    rondo.yield (" + names + " : " + types + ") (%" + y + " : @{hv})";
    return c;
  }

private:
  int pick(int count) { return random() % count; }

  std::string map(const std::string &kind, std::vector<std::string> in, std::vector<std::string> of,
                  const std::string &result) {
    std::string name = "n" + std::to_string(count++), operands, operandTypes;
    for (size_t i = 0; i < in.size(); ++i) {
      operands += (i ? ", %" : "%") + in[i];
      operandTypes += (i ? ", @{" : "@{") + of[i] + "}";
    }
    text += "    %" + name + " = rondo.map " + kind + "(" + operands + ") : (" + operandTypes +
            ") -> @{" + result + "}\n";
    return name;
  }

  std::string constant(const std::string &value) {
    std::string name = "n" + std::to_string(count++);
    text += "    %" + name + " = rondo.constant dense<" + value + "> : @{}\n";
    return name;
  }

  std::string scaled(const std::string &value, const std::string &of, const std::string &by) {
    return map("mul", {value, constant(by)}, {of, ""}, of);
  }

  std::string contract(const std::string &a, const std::string &ofA, const std::string &b,
                       const std::string &ofB, const std::string &over, const std::string &result) {
    std::string name = "n" + std::to_string(count++);
    text += "    %" + name + " = rondo.contract %" + a + ", %" + b + " over [" + over + "] : @{" +
            ofA + "}, @{" + ofB + "} -> @{" + result + "}\n";
    return name;
  }

  std::string read(const std::string &state, const std::string &of, const std::string &vector) {
    return contract(state, of, vector, "hk", "k", of == "hkv" ? "hv" : "h");
  }

  std::string answer(int i, const std::string &state) {
    return read(state, axes[i], pick(2) ? "q" : "key2");
  }

  /// A factor between -1 and 1 over some of the axes, and those axes; nothing: 1.
  std::pair<std::string, std::string> decay(const std::string &of) {
    std::vector<std::string> choices{"h", "hk"};
    if (of == "hkv")
      choices.push_back("hv");
    std::string over = choices[pick(choices.size())], gate = "g" + over;
    switch (pick(8)) {
    case 0:
      return {};
    case 1:
      return {constant(pick(2) ? "0.9" : "-0.8"), ""};
    case 2: // of any sign
      return {map("tanh", {gate}, {over}, over), over};
    case 3: { // zero now and then
      std::string zero = constant("0.0");
      text += "    %c" + std::to_string(count) + " = rondo.map lt(%" + gate + ", %" + zero +
              ") : (@{" + over + "}, @{}) -> #{" + over + "}\n";
      std::string name = "n" + std::to_string(count), condition = "c" + std::to_string(count);
      ++count;
      std::string kept = map("sigmoid", {gate}, {over}, over);
      text += "    %" + name + " = rondo.map select(%" + condition + ", %" + zero + ", %" + kept +
              ") : (#{" + over + "}, @{}, @{" + over + "}) -> @{" + over + "}\n";
      return {name, over};
    }
    case 4:
      if (of == "hkv") // over all axes
        return {map("mul",
                    {map("sigmoid", {"ghk"}, {"hk"}, "hk"), map("tanh", {"ghv"}, {"hv"}, "hv")},
                    {"hk", "hv"}, "hkv"),
                "hkv"};
      [[fallthrough]];
    case 5:
      return {map("exp", {map("neg", {map("softplus", {gate}, {over}, over)}, {over}, over)},
                  {over}, over),
              over};
    default:
      return {map("sigmoid", {gate}, {over}, over), over};
    }
  }

  std::string decayed(const std::string &state, const std::string &of) {
    if (pick(5) == 0) // (1 - a) S as S - a S
      return map("sub",
                 {state, map("mul", {map("sigmoid", {"gh"}, {"h"}, "h"), state}, {"h", of}, of)},
                 {of, of}, of);
    auto [factor, over] = decay(of);
    return factor.empty() ? state : map("mul", {factor, state}, {over, of}, of);
  }

  std::string nextState(int i) {
    std::string of = axes[i], state = old[i];
    state = pick(12) ? decayed(state, of) : "";
    // What another state holds, element by element.
    if (i > 0 && axes[0] == of && pick(3) == 0)
      state = plus(state, scaled(pick(2) ? next[0] : old[0], of, "0.1"), of);
    else if (i == 0 && axes.size() > 1 && axes[1] == of && pick(3) == 0)
      state = plus(
          state,
          map("mul", {map("tanh", {"gh"}, {"h"}, "h"), scaled(old[1], of, "0.1")}, {"h", of}, of),
          of);
    int steps = pick(3) ? 1 : 2 + pick(2);
    const char *keys[] = {"key", "key2", "q"};
    for (int step = 0; step < steps; ++step) {
      if (step && pick(3) == 0)
        state = decayed(state, of);
      state = plus(state, update(i, state, keys[step]), of);
      if (i == 0)
        between.push_back(state);
    }
    return state;
  }

  /// `state` may be empty: 0.
  std::string plus(const std::string &state, const std::string &term, const std::string &of) {
    return state.empty() ? term : map("add", {state, term}, {of, of}, of);
  }

  std::string update(int i, const std::string &state, const std::string &key) {
    std::string of = axes[i], valueOf = of == "hkv" ? "hv" : "h", value = of == "hkv" ? "val" : "b";
    switch (pick(5)) {
    case 0:
    case 1: // the error of the state's own answer: as it is now or was before the token
      value = map("sub", {value, read(pick(3) && !state.empty() ? state : old[i], of, key)},
                  {valueOf, valueOf}, valueOf);
      break;
    case 2: // what another state answers, before or after its update, as it is or bent
      if (i > 0 && axes[0] == of) {
        value = read(pick(2) ? next[0] : old[0], of, "key2");
        if (pick(2))
          value = map("tanh", {value}, {valueOf}, valueOf);
      } else if (i == 0 && axes.size() > 1 && axes[1] == of) {
        value = map("sub", {value, read(old[1], of, "q")}, {valueOf, valueOf}, valueOf);
      }
      break;
    default:
      break;
    }
    std::string weight = map("mul", {small, key}, {"h", "hk"}, "hk");
    std::string term = map("mul", {weight, value}, {"hk", valueOf}, of);
    if (pick(3) == 0)
      term =
          map("add", {term, map("mul", {"key2", of == "hkv" ? "val" : "b"}, {"hk", valueOf}, of)},
              {of, of}, of);
    return term;
  }

  std::mt19937 random;
  std::vector<std::string> axes, old, next, between;
  std::string text, types, names, small;
  int count = 0;
};

std::vector<Case> randomCases(unsigned count) {
  std::vector<Case> cases;
  for (unsigned seed = 0; seed < count; ++seed)
    cases.push_back(Generator(seed).make(seed));
  return cases;
}

/// A hundred, or as many as RONDO_RECURRENCES says:  RONDO_RECURRENCES=10000
/// build/test/bin/unit-chunk-forms
unsigned randomCount() {
  const char *asked = std::getenv("RONDO_RECURRENCES");
  return asked ? std::atoi(asked) : 100;
}

/// In f32, blocks lose nothing where one token forgets nearly everything and the next ones little:
/// logarithms down to -150 a token beside some near 0, 16 tokens a block. The bound is 40 ulp of
/// the largest value, for sums of up to 4 x 16 products; a difference of running sums (up to 2,400,
/// an ulp of 2e-4) would leave 1e-4.
class StrongDecays : public ChunkForms {};

TEST_P(StrongDecays, KeepTheDigitsOfWeakOnes) {
  auto reference = parse(), module = parse();
  transform(*module, "R=chunk:16");
  InterpreterOptions single;
  single.f32 = true;
  auto expected = run(*reference, 53, 0), got = run(*module, 53, 0, single);
  double largest = 0, difference = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(expected[i] - got[i]));
  }
  EXPECT_LE(difference, 40 * 6e-8 * largest);
}

INSTANTIATE_TEST_SUITE_P(Listed, StrongDecays, ::testing::Values(cases[std::size(cases) - 1]),
                         [](const auto &info) { return info.param.name; });

std::string nameOf(const ::testing::TestParamInfo<Case> &info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Listed, ChunkForms, ::testing::ValuesIn(cases), nameOf);
INSTANTIATE_TEST_SUITE_P(Random, ChunkForms, ::testing::ValuesIn(randomCases(randomCount())),
                         nameOf);

} // namespace

//===- ChunkFormsTest.cpp - Every form of a recurrence is the recurrence --===//
//
// Each recurrence below is interpreted in f64 as it is written and after hoisting and chunking, for
// lengths around a block's, in two pieces, packed with a second sequence, from a non-zero state.
// The tolerance is 1e-10 of the largest value: both sides are f64, and what differs is the order of
// sums and exp(a)exp(b) against exp(a + b) over at most 3 blocks.
//
//===----------------------------------------------------------------------===//

#include "dialect/Interpreter.h"
#include "passes/Passes.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace rondo;

namespace {

struct Case {
  const char *name;
  const char *inputs; // NAME:AXES of the per-token inputs
  const char *states; // NAME:AXES
  const char *output; // axes
  const char *body;
  const char *form;       // expected
  const char *transition; // expected
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

/// `@{hk}` in a body stands for the type over h and k.
std::string withTypes(llvm::StringRef text) {
  std::string result;
  while (!text.empty()) {
    auto [before, rest] = text.split("@{");
    result += before;
    auto [axes, after] = rest.split('}');
    if (rest.data())
      result += text.contains("@{") ? typeOf(axes, false) : "";
    text = after;
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
  text += "  %y = rondo.recur \"R\" inputs(" + operands + " : " + types + ") states(" + inits +
          " : " + stateTypes + ") -> (" + result + ") body(" + names + ") {\n" + withTypes(c.body) +
          "\n  }\n  return %y : " + result + "\n}\n";
  return text;
}

class ChunkForms : public ::testing::TestWithParam<Case> {
protected:
  ChunkForms() { context.loadDialect<RondoDialect, func::FuncDialect>(); }

  OwningOpRef<ModuleOp> parse() {
    return parseSourceString<ModuleOp>(moduleOf(GetParam()), &context);
  }

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
  std::vector<double> run(ModuleOp module, int64_t length, int64_t split) {
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
      auto results = interpret(function, arguments, lengths, states,
                               [](llvm::StringRef) -> const Array * { return nullptr; });
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
      EXPECT_EQ(scan.getForm(), GetParam().form);
      EXPECT_EQ(scan.getTransition(), GetParam().transition);
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

INSTANTIATE_TEST_SUITE_P(Recurrences, ChunkForms, ::testing::ValuesIn(cases),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace

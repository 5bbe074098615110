//===- Interpreter.h - What the ops mean -----------------------*- C++ -*-===//
//
// The reference interpreter: slow, obvious, and the oracle of every pass and kernel, with which it
// shares no code. It runs any function of token-level, block-level or kernel-level IR over packed
// sequences: in f64, with every result rounded to f32, or in the extended precision of the machine
// (x86: a significand of 64 bits and exponents to 2^16384), the oracle where f64 itself would need
// one.
//
// State names: the scopes of the calls joined by ".", then the op's name. A recurrence's state s of
// op n is named by recurrenceStateName (and that + ".start", the group's first, with `every`), a
// shift's tail is "n" [distance, axes...], oldest token first, the keys of an `over` or `attend`
// are "n.key0", "n.key1", ... [tokens so far, axes...]: all of them, also where a window would need
// fewer.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"
#include "llvm/Support/Error.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace rondo {

/// Numbers in row-major order; truth values are 0 and 1, ids whole numbers.
struct Array {
  std::vector<int64_t> shape;
  std::vector<double> data;
};

/// What one sequence has seen.
struct SequenceState {
  int64_t position = 0; ///< tokens so far
  std::map<std::string, Array> values;
};

/// Changes what per-token values of `shape` are multiplied as with the parameter of that path.
using FactorRounding = std::function<void(llvm::StringRef path, llvm::ArrayRef<int64_t> shape,
                                          std::vector<double> &numbers)>;

struct InterpreterOptions {
  bool f32 = false; ///< round every real result to f32 and add in f32, in index order
  bool blockBodies =
      true; ///< run the block body of a scan on whole blocks; else the token body on every token
  bool extended = false; ///< compute in long double: only arguments, results and states, which are
                         ///< handed over in f64, are rounded; excludes `f32`
  FactorRounding roundFactor; ///< empty: nothing; asked at each contraction with a parameter
};

/// Parameters by checkpoint name.
using ParameterLookup = llvm::function_ref<const Array *(llvm::StringRef path)>;

/// Runs `function`. A per-token argument has the rows of all sequences one after the other;
/// `lengths` says how many each has, `states` (as many) is read and advanced. Returns the results
/// in order; a result after `rondo.last` has one row a sequence (zeros for an empty one). Errors
/// name the op's place: an index out of range, a state or parameter of another shape, an op of
/// another dialect. After an error `states` is as it was.
llvm::Expected<std::vector<Array>>
interpret(mlir::func::FuncOp function, llvm::ArrayRef<Array> arguments,
          llvm::ArrayRef<int64_t> lengths, std::vector<SequenceState> &states,
          ParameterLookup parameters, const InterpreterOptions &options = {});

/// The value of an expression over parameters and constants only.
llvm::Expected<Array> evaluateParameterExpression(mlir::Value value, ParameterLookup parameters,
                                                  const InterpreterOptions &options = {});

} // namespace rondo

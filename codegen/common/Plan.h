//===- Plan.h - From entries to lists of steps over static memory -*- C++ -*-===//
//
// At kernel level an entry is a tree of calls whose leaves are launches. The planner walks that
// tree once and writes down what the runtime does: a linear list of steps, every operand a constant
// place (an offset in the arena, a weight, a state, an input, an output). Calls of one layer
// function become as many copies of its steps, which are data, while its kernels stay one.
//
// The plan is for pieces of at most `maxRows` rows. The arena is shared by values whose lives (in
// steps) do not meet.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"
#include <string>
#include <vector>

namespace rondo {

struct PlanOptions {
  int64_t maxRows = 256;            ///< rows of one piece
  int64_t wholeRows = 2048;         ///< the same for an entry that needs each sequence in one piece
  std::vector<std::string> entries; ///< those wanted; empty: all
  std::string tables = "rows";      ///< the layout of matrices that are looked up alone
};

/// A value without `t`: a parameter, or an expression of such values that is computed when the
/// package is written. `source` defines it; its operands are further constants (indices in
/// Plan::constants), because one op of a layer's function stands for another value at each call.
struct PlannedConstant {
  mlir::Operation
      *source; ///< rondo.param, rondo.constant or any other op of the dialect without regions
  std::vector<int64_t> operands; ///< constants
  std::string name;              ///< a parameter's path; the name of a derived weight
  mlir::RankedTensorType type;
};

struct PlannedWeight {
  int64_t constant;   ///< in Plan::constants
  std::string layout; ///< one of runtime/weight_layout.h
};

struct PlannedState {
  enum class Kind { Fixed, Tail, Cache };
  std::string name; ///< with its scopes
  Kind kind;
  mlir::RankedTensorType type; ///< without t
  int64_t offset = 0;          ///< Fixed, Tail: bytes in the sequence's block. Cache: its index
  int64_t bytes = 0;           ///< Fixed: all of it. Tail, Cache: of one token
  int64_t tokens = 0;          ///< Tail: rows kept. Cache: the window, 0 = all
  int64_t init = -1;           ///< Fixed: the weight it starts from, -1 = zero
  std::vector<int64_t>
      order; ///< Fixed: storage order of the type's axes, outermost first; empty: as they are
  std::string scale; ///< Fixed: the state by whose exponential it is divided; empty: none
};

struct PlannedOperand {
  enum class Kind { Arena, Weight, State, Input, Output };
  Kind kind;
  int64_t index; ///< Arena: byte offset. Otherwise the index in its list
  bool operator==(const PlannedOperand &other) const = default;
};

struct PlannedStep {
  enum class Kind { Launch, Append, Tail, Last };
  Kind kind;
  int64_t kernel = -1; ///< in Plan::kernels
  std::vector<PlannedOperand> operands;
  bool lastSpace = false; ///< rows are the last rows of the sequences
  int64_t rowBytes = 0;   ///< Append, Tail, Last
};

struct PlannedValue {
  std::string name;
  mlir::RankedTensorType type;
  int64_t idLimit = 0; ///< integers: every element is in [0, idLimit)
};

struct PlannedEntry {
  std::string name;
  mlir::func::FuncOp function;
  std::vector<PlannedValue> inputs, outputs;
  bool outputsInLastSpace = false;
  std::vector<PlannedStep> steps;
  int64_t arenaBytes = 0, maxRows = 0;
  bool wholeSequence = false;
};

struct Plan {
  std::vector<PlannedConstant> constants;
  std::vector<PlannedWeight> weights;
  std::vector<PlannedState> states;
  int64_t stateBytes = 0, caches = 0;
  std::vector<mlir::func::FuncOp> kernels;
  std::vector<PlannedEntry> entries;
};

/// Plans every entry (function with `rondo.entry`) of a module at kernel level. On failure an error
/// was reported at the op. A weight that would be stored in two layouts for two kernels is stored
/// once: the kernel that reads it by rows gets the other's `rondo.layout`.
mlir::FailureOr<Plan> planModule(mlir::ModuleOp module, const PlanOptions &options = {});

/// One value of the arena: `bytes` from step `first` to step `last`, both included.
struct Lifetime {
  int64_t bytes, first, last;
};

struct ArenaPlan {
  std::vector<int64_t> offsets; ///< of each lifetime, multiples of 64
  int64_t bytes = 0;
};

/// Places values such that no two whose lives meet overlap: the largest first, each in the smallest
/// gap that holds it (best fit).
ArenaPlan planArena(llvm::ArrayRef<Lifetime> lifetimes);

/// Bytes of one row of a per-token value, or of all of a value without `t`.
int64_t bytesPerToken(mlir::Type type);

} // namespace rondo

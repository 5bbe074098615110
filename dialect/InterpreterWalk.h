//===- InterpreterWalk.h - The state of one interpretation -----*- C++ -*-===//
//
// What the interpreter's files share: the walk over functions and bodies (Interpreter.cpp) and the
// ops that reach other tokens (InterpreterTokens.cpp). The array ops need none of it.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/InterpreterArrays.h"

#include "llvm/ADT/DenseMap.h"

namespace rondo::interpreter {

/// The names of a type's axes.
Axes axesIn(mlir::Type type);

/// `what: expected shape [2, 3], found [3, 2]`
llvm::Error otherShape(const llvm::Twine &what, llvm::ArrayRef<int64_t> expected,
                       llvm::ArrayRef<int64_t> found);

/// No rows yet of a per-token value of this type.
template <typename Real> Named<Real> noRows(mlir::Type type) {
  Named<Real> empty{axesIn(type), {mlir::cast<mlir::RankedTensorType>(type).getShape().vec(), {}}};
  empty.array.shape[0] = 0;
  return empty;
}

/// What one sequence has seen, as `SequenceState`.
template <typename Real> struct Seen {
  int64_t position = 0;
  std::map<std::string, Numbers<Real>> values;
};

template <typename Real> class Interpreter {
public:
  using Array = Numbers<Real>;
  using Named = interpreter::Named<Real>;
  using Values = llvm::DenseMap<mlir::Value, Named>;

  Interpreter(llvm::ArrayRef<int64_t> lengths, std::vector<Seen<Real>> &states,
              ParameterLookup parameters, const InterpreterOptions &options)
      : lengths(lengths), states(states), parameters(parameters), options(options) {}

  llvm::Error runFunction(mlir::func::FuncOp function, std::vector<Named> arguments,
                          std::vector<Named> &results);
  llvm::Error runOp(mlir::Operation &op, Values &values);

private:
  // Interpreter.cpp
  llvm::Error dispatch(mlir::Operation &op, Values &values);
  llvm::Error runSource(mlir::Operation &op, Named &result);
  llvm::Error runArrayOp(mlir::Operation &op, Values &values, Named &result);
  llvm::Error runBlock(mlir::Block &block, Values &values);
  llvm::Error runBody(mlir::Block &block, llvm::ArrayRef<Named> arguments,
                      std::vector<Named> &states, std::vector<Named> &outputs);
  llvm::Error runCall(mlir::Operation *op, mlir::FlatSymbolRefAttr callee, llvm::StringRef at,
                      Values &values);

  // InterpreterTokens.cpp
  llvm::Error runShift(ShiftOp op, Values &values);
  llvm::Error runLast(LastOp op, Values &values);
  llvm::Error runRoute(RouteOp op, Values &values);
  template <typename RecurrenceOp>
  llvm::Error runRecurrence(RecurrenceOp op, mlir::Block &token, mlir::Block *block, int64_t chunk,
                            Values &values);
  template <typename RecurrenceOp>
  llvm::Error loadStates(RecurrenceOp op, size_t sequence, const Values &values,
                         std::vector<Named> &current, std::vector<Named> &starts);
  template <typename RecurrenceOp>
  void storeStates(RecurrenceOp op, size_t sequence, const std::vector<Named> &current,
                   const std::vector<Named> &starts);
  template <typename PairsOp> llvm::Error runPairs(PairsOp op, Values &values);
  llvm::Expected<std::vector<Named>> readWeights(OverOp op, int64_t row, int64_t position,
                                                 int64_t count, llvm::ArrayRef<Named> keys,
                                                 Values &values);
  llvm::Expected<std::vector<Named>> readWeights(AttendOp op, int64_t row, int64_t position,
                                                 int64_t count, llvm::ArrayRef<Named> keys,
                                                 Values &values);
  llvm::Error appendKeys(mlir::ValueRange keys, llvm::StringRef name, size_t sequence,
                         int64_t first, Values &values, std::vector<Named> &all);
  Named combine(OverKind kind, llvm::ArrayRef<Named> read, mlir::Type resultType);

  /// A carried state of this name, null where none is; an error where it has another shape.
  llvm::Expected<Array *> carried(size_t sequence, const llvm::Twine &name,
                                  llvm::ArrayRef<int64_t> shape);
  Array &stateOf(size_t sequence, const llvm::Twine &name) {
    return states[sequence].values[(llvm::Twine(scope) + name).str()];
  }

  llvm::ArrayRef<int64_t> lengths;
  std::vector<Seen<Real>> &states;
  ParameterLookup parameters;
  const InterpreterOptions &options;
  std::string scope;    ///< "" or "backbone.layers.3."
  unsigned depth = 0;   ///< of calls
  bool located = false; ///< an error has its place
};

} // namespace rondo::interpreter

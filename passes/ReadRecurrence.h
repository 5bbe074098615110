//===- ReadRecurrence.h - From a body in the dialect to the algebra -*- C++ -*-===//
//
// Reads the body of a `rondo.recur` as expressions of the algebra. Arithmetic is read as it stands;
// what the algebra does not look into (views, reductions, gathers of state-free values) becomes a
// leaf that remembers its value. An input is a leaf too, with what it was computed from outside of
// the recurrence as its definition, so that the logarithm of a decay is found where `exp` was
// hoisted.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"
#include "passes/algebra/Transition.h"
#include "llvm/ADT/DenseMap.h"

namespace rondo {

class RecurrenceReader {
public:
  explicit RecurrenceReader(RecurOp op);

  /// Whether all axes fit into the algebra's sets; nothing else is valid when not.
  bool fits() const { return !overflow; }

  algebra::Body body;

  /// What a leaf stands for: a value of the body, or (from definitions) one outside of the
  /// recurrence.
  mlir::Value valueOf(int leaf) const { return leafValues[leaf]; }
  bool isOutside(int leaf) const { return valueOf(leaf).getParentBlock() != block; }
  mlir::Operation *foreignOp(int index) const { return foreignOps[index]; }

  algebra::AxisSet axesOfType(mlir::Type type);
  /// The names of a set, in the pool's order.
  llvm::SmallVector<llvm::StringRef> namesOf(algebra::AxisSet axes) const;

private:
  /// The states at the start of a group are leaves: whatever is done to them is no recurrence.
  void readGroup(RecurOp op);
  algebra::Expr read(mlir::Value value);
  algebra::Expr readOp(mlir::Operation *op);
  algebra::Expr readMap(MapOp op, llvm::function_ref<algebra::Expr(mlir::Value)> operand);
  algebra::Expr readOutside(mlir::Value value, int depth);
  algebra::Expr addLeaf(mlir::Value value, algebra::Expr definition = 0);

  mlir::Block *block;
  mlir::DenseMap<mlir::Value, algebra::Expr> known;
  mlir::DenseMap<mlir::Value, int> newStates;
  std::vector<mlir::Value> leafValues;
  std::vector<mlir::Operation *> foreignOps;
  mlir::DenseSet<mlir::Value> onState;
  bool overflow = false;
};

} // namespace rondo

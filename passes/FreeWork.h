//===- FreeWork.h - Which ops of a body can be computed outside of it -*- C++ -*-===//
//
// Moving work out of a body (of a recurrence, of an `over`, of a layer's function) is the same
// question each time: which values depend on given block arguments only, and which of the ops that
// compute them are worth moving. The answer:
//
//   - arithmetic moves; views, constants and indices do not move for their own sake (a consumer
//   computes them while it reads), but
//     what a moving op reads moves with it, so that the moved ops are closed under operands;
//   - an op with an operand that cannot move stays.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/Block.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SetVector.h"

namespace rondo {

/// For each value of a block: the union of the masks of the block arguments that it depends on.
using DependenceMap = llvm::DenseMap<mlir::Value, unsigned>;

/// `maskOf` gives each block argument's own mask; a source without operands (a constant) has mask
/// 0, `rondo.position` as `positionMask`.
DependenceMap dependences(mlir::Block &block,
                          llvm::function_ref<unsigned(mlir::BlockArgument)> maskOf,
                          unsigned positionMask = 0);

struct FreeWork {
  /// The ops to compute outside, in order, closed under operands (block arguments excepted).
  llvm::SetVector<mlir::Operation *> ops;
  /// Their results that ops which stay inside still read, in order.
  llvm::SmallVector<mlir::Value> results;
};

/// `isFree`: the op may be computed outside (its operands as well). `isWorth`: it should be, for
/// its own sake.
FreeWork findFreeWork(mlir::Block &block, llvm::function_ref<bool(mlir::Operation *)> isFree,
                      llvm::function_ref<bool(mlir::Operation *)> isWorth);

/// Whether this op computes a number (rather than re-indexes, names or holds a value). A truth
/// value has no form in memory: it is computed again where it is read.
bool isArithmetic(mlir::Operation *op);

} // namespace rondo

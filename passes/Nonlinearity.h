//===- Nonlinearity.h - Where a recurrence stops being affine --*- C++ -*-===//
//
// The algebra says which term of a recurrence is not affine in its states, in its own normal form.
// A reader of a remark wants the line: the first op, in the order of the text, that makes anything
// but a linear function of those states on the way to their next values. Linear are sums, products
// and quotients with one factor of the states, contractions with one such operand, sums along axes,
// choices by something else, and whatever re-indexes.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"

namespace rondo {

/// Where the next values of the states `isBlamed` (by their place) stop being linear in them. An op
/// from another file than the recurrence, of a module that it uses, stands for the first op after
/// it that uses what it makes and is in the recurrence's file. None: they do not.
std::optional<mlir::FileLineColLoc> findNonlinear(RecurOp op,
                                                  llvm::function_ref<bool(unsigned)> isBlamed);

} // namespace rondo

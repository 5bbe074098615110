//===- Differentiate.h - Reverse mode over array ops -----------*- C++ -*-===//
//
// From a value to the ops that compute its derivative, written behind it in the same block. One
// function an op (the gradient rule of its description), and no knowledge of where the block is:
// the body of a recurrence, the block body of a scan, a function.
//
// Cotangents are kept as small as they are: one that is the same along an axis lacks that axis, as
// operands of `map` may. So the derivative of sum[v](e) is 1 without axes, a factor 1 is never
// multiplied with, and what a loss written by hand would not contain is not in its derivative
// either: the gradient of sum[v]((dot[k](S, x) - y)^2) / 2 is (dot[k](S, x) - y) * x.
//
// Derivatives are those of Griewank and Walther, Evaluating Derivatives, 2008, chapter 3; where a
// function has a kink, as its op's description says.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"

namespace rondo {

/// Called once with the place of what has no derivative, and why.
using DifferentiationError = llvm::function_ref<void(mlir::Location, const std::string &)>;

/// The derivatives of the sum of all elements of `of` (f32) with respect to each value of `with`,
/// each of that value's own type; null where `of` depends on it through functions alone whose
/// derivative is zero, or not at all. All values are of one block, the builder inserts behind `of`.
/// Fails where the way from one to the other leads through an op that has no rule (one that reaches
/// other tokens or holds a body), or where a derivative would add over tokens.
mlir::FailureOr<llvm::SmallVector<mlir::Value>> differentiate(mlir::OpBuilder &builder,
                                                              mlir::Value of,
                                                              llvm::ArrayRef<mlir::Value> with,
                                                              DifferentiationError error);

/// Whether `of` is computed from `value`, by ops of its block.
bool dependsOn(mlir::Value of, mlir::Value value);

} // namespace rondo

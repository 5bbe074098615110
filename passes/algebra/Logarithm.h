//===- Logarithm.h - The logarithm of a decay, by structure ----*- C++ -*-===//
//
//   exp(e)          e                        a * b       log a + log b
//   sigmoid(x)      -softplus(-x)            1/a         -log a
//   1 - sigmoid(x)  -softplus(x)             sqrt(a)     log a / 2
//   constant c > 0  log c                    a + b       log a + softplus(log b - log a)      (both
//   with logarithms) f*a + f*b       log f + log(a + b)
//
// No log of a computed value is ever taken, so that a decay that rounds to zero keeps its finite
// logarithm. Leaves are looked through by their definitions.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/algebra/Expr.h"

namespace rondo::algebra {

/// A value with a lower bound from here on may have its logarithm taken.
inline constexpr double leastDecay = 1e-6;

struct Bounds {
  double least, most;
};

/// What the values of a state-free expression lie between.
Bounds boundsOf(const Pool &pool, Expr e);

/// The logarithm, or 0 where neither structure nor bounds give one.
Expr logarithm(Pool &pool, Expr e);

} // namespace rondo::algebra

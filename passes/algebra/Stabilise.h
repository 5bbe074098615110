//===- Stabilise.h - Exponential gates with a running maximum --*- C++ -*-===//
//
// A state that gains exp(e) * update, with e unbounded, leaves the range of f32 although what is
// read of it, a ratio, does not. Its values are kept in two parts,
//
//   S = S~ exp(m),      m' = max(g + m, e)      with g the logarithm of the state's decay,
//
// so that the update becomes S~' = exp(g + m - m') S~ + exp(e - m') update: no exponent is
// positive, and one of the two is zero. The body is rewritten for S~; every value carries the
// logarithm of a factor that is taken out of it, and the factor goes with it through
//
//   a * b, a / b, abs, sqrt, sums over axes that it lacks     factors multiply, ratios cancel
//   a + b, max(a, b), min, select, comparisons                both sides are brought to the larger
//                                                             factor: max(|x| e^m, 1) is
//                                                             e^M max(|x| e^(m-M), e^-M), M =
//                                                             max(m, 0)
//
// and is multiplied in again before anything else reads the value. States whose updates carry the
// same exponentials under the same decay share one m.
//
// Nothing is done where e is bounded by its structure (a sigmoid, min(e, 4)), and nothing where no
// result gains: a read without a ratio needs exp(m) back, and is as large as it always was.
//
// Source: the stabiliser state of arXiv:2405.04517, eq. 15-17, found by the algebra for any body.
// Exact up to rounding.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/algebra/Transition.h"

namespace rondo::algebra {

/// A running maximum: the state after the body's own, in the order of `Stabilised::scales`.
struct RunningMaximum {
  std::vector<int> states; // whose values it is the logarithm of the scale of
  AxisSet axes = 0;
  Expr next = 0; // in terms of state(i) and newState(i) of the scaled states and the maxima
};

struct Stabilised {
  std::vector<RunningMaximum> scales; // empty: the body stays as it is
  std::vector<Expr> next, outputs;    // of the body's states, scaled
  std::string why; // of an exponential that stays: one sentence; empty: there is none
};

/// Rewrites the body's expressions; adds nodes to its pool.
Stabilised stabilise(Body &body);

} // namespace rondo::algebra

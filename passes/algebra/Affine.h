//===- Affine.h - An expression as an affine function of the states -*- C++ -*-===//
//
// Every expression of a body is a sum of terms `coefficient * atom` with state-free coefficients.
// An atom is
//
//   nothing          the term does not depend on a state
//   a state          S, or its new value S'
//   a read           a contraction sum[k](x * S) of a state with a state-free vector x
//   something else   a function of a state, a product of two: the term is not affine
//
// Only what depends on a state is multiplied out: coefficients stay as they were written.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/algebra/Expr.h"

namespace rondo::algebra {

enum class AtomKind : uint8_t { None, State, Read, Opaque };

struct Term {
  Expr coefficient;
  Expr atom = 0;
  AtomKind kind = AtomKind::None;
};

/// The terms, one for each atom; those without an atom one for each product (they are the updates),
/// in a fixed order.
std::vector<Term> expand(Pool &pool, Expr e);

/// A read's parts: sum[over](vector * state).
struct ReadParts {
  int state;
  bool isNew;
  AxisSet over;
  Expr vector;
};
ReadParts partsOf(Pool &pool, Expr read);

/// The product of a coefficient and an atom.
Expr termExpr(Pool &pool, const Term &term);

} // namespace rondo::algebra

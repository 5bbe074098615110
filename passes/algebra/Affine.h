//===- Affine.h - An expression as an affine function of the states -*- C++ -*-===//
//
// Every expression of a body is a sum of terms `coefficient * atom`, where coefficients do not
// depend on the states in question (`own`; what other states answer is as good as an input).
// An atom is
//
//   nothing          the term does not depend on these states
//   a state          S, or its new value S'
//   a read           a contraction sum[k](x * S) of a state with a vector x
//   an answer        what a state answers in the middle of a token: sum[k](x * (S + k1 * (v - y1)))
//                    with y1 itself a read. It is not multiplied out but kept as one unknown, the
//                    reads and earlier answers that it is made of being its definition, so that n
//                    steps in a token have n unknowns and not 2^n terms
//   something else   a function of a state, a product of two: the term is not affine
//
// Only what depends on a state is multiplied out: coefficients stay as they were written.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/algebra/Expr.h"

namespace rondo::algebra {

enum class AtomKind : uint8_t { None, State, Read, Answer, Opaque };

struct Term {
  Expr coefficient;
  Expr atom = 0;
  AtomKind kind = AtomKind::None;
};

/// Expands expressions of one pool, each once.
class Expander {
public:
  explicit Expander(Pool &pool, StateSet own = allStates) : pool(pool), own(own) {}

  /// The terms, one for each atom; those without an atom one for each product (they are the
  /// updates), in a fixed order.
  std::vector<Term> expand(Expr e);
  bool depends(Expr e) const { return pool[e].states & own; }

private:
  AtomKind kindOf(Expr atom) const;
  bool isOwnState(Expr e) const;
  bool isRead(Expr e) const;
  void split(Expr e, Expr &coefficient, std::vector<Expr> &dependent);
  void addTerm(std::vector<Term> &terms, Expr product);
  void expandInto(Expr e, std::vector<Term> &terms);
  std::vector<Term> expandSummand(Expr e);
  void expandSum(Expr e, std::vector<Term> &terms);
  std::vector<Term> collected(std::vector<Term> all);
  void mergeReads(std::vector<Term> &terms);

  Pool &pool;
  StateSet own;
  std::map<Expr, std::vector<Term>> known;
};

std::vector<Term> expand(Pool &pool, Expr e, StateSet own = allStates);

/// A read's parts: sum[over](vector * state). A state itself is read over nothing, with the
/// vector 1.
struct ReadParts {
  int state;
  bool isNew;
  AxisSet over;
  Expr vector;
};
ReadParts partsOf(Pool &pool, Expr read);

/// The product of a coefficient and an atom.
Expr termExpr(Pool &pool, const Term &term);

/// The expression with each state's new value, where one is given (not 0), in the place of
/// newState.
Expr withNewStates(Pool &pool, Expr e, const std::vector<Expr> &next);

} // namespace rondo::algebra

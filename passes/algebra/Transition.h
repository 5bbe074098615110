//===- Transition.h - What kind of recurrence is this? ---------*- C++ -*-===//
//
// The question. A recurrence says what one token does to its states. Read token by token it is a
// loop; the programs that train and prefill fast work on blocks of C tokens, with matrix products.
// When is there such a block form, and which one?
//
// The rule. There is one when the next states are an affine function of the states, with
// coefficients that do not depend on them:
//
//   S' = decay * S + sum of updates (key x value)
//
// because then no token's state need exist. Inside a block that starts at S0, with P[t,i] the
// product of the decays of the tokens after i up to t, and P[t] that of all up to t,
//
//   S[t]      = P[t] S0 + sum over i <= t of P[t,i] key[i] x value[i]
//   x[t].S[t] = (x[t] P[t]).S0 + sum over i <= t of D[t,i] value[i],
//   D[t,i]    = sum[k] x[t] P[t,i] key[i]
//
// so every read sum[k](x * S) is one product with the entering state and one with a masked matrix
// of scores, and the leaving state is one more product. P is a linear recurrence over t itself
// (rondo.propagate): it is multiplied up, never divided, so a decay may be zero or negative, and no
// factor is larger than what the token loop multiplies up too.
//
// The axes. A state's axes play three parts, which nobody declares; they follow from the reads:
//
//   key     contracted by the reads                               S[h k v] read by dot[k](S, q): k
//   head    not contracted, but carried by a key-side factor      h, since q and key carry it
//   value   the rest                                              v
//
// The decay's class is which of them its coefficient varies over; it is multiplied into the scores
// inside or outside of their sum accordingly:
//
//   per head          one number for all keys and values of a head: scores times P[t,i]
//   per key channel   inside the score's sum: a product for each pair of tokens and channel
//   per value channel outside the score's sum, the transposed problem
//   both              scores for each value channel: a form, but the token loop is the fast one
//
// Where a state is used whole (y = S), it is a read over nothing, and its tokens' values are made.
//
// Several states. States that hold each other element by element (S' = a S + M, M' = m M + u) are a
// group with a small matrix of decays, and P[t,i] are products of matrices. States that read each
// other (or themselves) within a token are a group as well, with one triangular system:
//
// The updates. A key or value may depend on reads of states. Of other groups: those are finished
// first, in the order of who reads whom (`groups`), and the dependence may be any function. Of the
// group's own previous values, linearly: the delta rule. With y[i] the r reads of a token and
// value[i] = v[i] + c[i] y[i], the reads of a block are the unknowns of a unit lower triangular
// system of r rows a token,
//
//   y[t] = what S0 and the v answer + sum over i < t of D[t,i] c[i] y[i]
//
// which is solved once. Several steps in one token (S1 = S + k1 (v1 - k1.S), S' = S1 + k2 (v2 -
// k2.S1)) have one such row each: k2.S1 is an answer (Affine.h) that depends on the earlier rows of
// its token. In any other way: not affine, no block form; `refusal` names the term.
//
// Seeing through spelling. S - b*k*dot[k](S, k) + b*k*v and S + b*k*(v - dot[k](S, k)) must be one
// class. What depends on a state is multiplied out (Affine.h), so that each term holds at most one
// atom; what does not is left as it was written. Terms that share their key-side factors are one
// update with the sum of the values, terms that then share a value one with the sum of the keys. A
// state-free sum is opened only where it hides several outer products (k1*v1 + k2*v2).
//
// The result is a value: printable, compared in tests, and all that chunking, cost and code
// generation look at.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/algebra/Affine.h"
#include "passes/algebra/Expr.h"

#include <string>
#include <vector>

namespace rondo::algebra {

/// A recurrence's body. `next` is in terms of state(i), of leaves, and of newState(j) of other
/// states.
struct Body {
  Pool pool;
  std::vector<std::string> names;
  std::vector<AxisSet> axes;
  std::vector<Expr> next;
  std::vector<Expr> outputs;
  int64_t group = 0;        // tokens that share a first state, which is a leaf; 0: none do
  double groupProducts = 0; // multiplications of contractions with that first state, per token
};

enum class DecayKind {
  None,        // 1: the state only gains
  PerHead,     // one number a head
  PerKey,      // varies over key axes
  PerValue,    // varies over value axes
  Elementwise, // varies over key and value axes, or over all axes of a state that is used whole
  Forgets,     // 0: the next state does not hold the state
  Matrix,      // a row of a small matrix over the states of its group
  Maximum,     // max(g + S, e): affine where max is the sum and + the product
};

struct Decay {
  DecayKind kind = DecayKind::None;
  AxisSet axes = 0;
  Expr value = 0;          // of the state itself; of a matrix the diagonal's
  bool isConstant = false; // the same for all tokens
};

/// key x value. Every axis of the state is in one of them or broadcast.
struct Update {
  Expr key;
  Expr value;
};

/// sum[over](vector * state); of a state that is used whole the state itself, over nothing.
struct Read {
  Expr expr;
  int state;
  bool isNew;
  AxisSet over;
  Expr vector;
};

struct StateClass {
  std::string name;
  AxisSet axes = 0, key = 0, head = 0, value = 0;
  Decay decay;
  std::vector<Update> updates;
  std::vector<int> readsStates; // whose reads the updates depend on
  bool isDelta = false;         // the updates depend linearly on reads of this state
  bool isDefined = false; // made of other states and inputs anew, and read by nobody: W' = W0 - A'
  std::vector<Expr> ownReads; // the group's reads that they depend on
  bool isAffine = true;       // in the states of its group
  std::string refusal;        // why it has no block form; empty: it has one
};

/// States that depend on each other's previous values: next[i] = sum over j of matrix[i][j] *
/// states[j] + updates.
struct StateGroup {
  std::vector<int> states;
  StateSet own = 0;
  std::vector<std::vector<Expr>> matrix; // the constant 0 where a state does not hold the other
  bool isMatrix = false;                 // something beside the diagonal
  bool isComplex = false;                // [[a, -b], [b, a]]: multiplication by a + ib
  /// The reads and answers that the updates depend on: unknowns of a block's triangular system,
  /// each after those of its token that it depends on.
  std::vector<Expr> unknowns;
};

struct TransitionClass {
  std::vector<StateClass> states;
  std::vector<StateGroup> groups; // each after those whose states it depends on
  std::vector<int> groupOf;       // by state
  std::vector<Read> reads;        // all, each once
  int64_t group = 0;              // the body's
  bool isAffine = true;
  std::string refusal; // why there is no block form as a whole (the first state's, those that are
                       // not affine before others); empty: there is

  /// One clause a state: axes and kinds, without the expressions, so that equal classes print alike
  /// whatever the spelling. Its end says the class in the words of the literature.
  std::string print(const Pool &pool) const;
};

/// Classifies; adds nodes to the body's pool, and lets its outputs look through states that do not
/// hold themselves.
TransitionClass classify(Body &body);

std::string print(DecayKind kind);

} // namespace rondo::algebra

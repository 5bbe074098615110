//===- Transition.h - What kind of recurrence is this? ---------*- C++ -*-===//
//
// The question. A recurrence says what one token does to its states. Read token by token it is a
// loop; the programs that train and prefill fast work on blocks of C tokens, with matrix products.
// When is there such a block form, and which one?
//
// The rule. There is one when each state is
//
//   changed only by   S' = decay * S + sum of outer products (key x value)          and
//   read only by      contractions sum[k](x * S)
//
// because then no token's state need exist. Inside a block that starts at S0, with G[t] the sum of
// the decays' logarithms up to token t,
//
//   S[t]       = exp(G[t]) * S0 + sum over i <= t of exp(G[t] - G[i]) * key[i] x value[i]
//   x[t].S[t]  = (x[t] exp(G[t])).S0 + sum over i <= t of D[t,i] value[i],     D[t,i] = sum[k] x[t]
//   key[i] exp(G[t] - G[i])
//
// so every read is one product with the entering state and one with a masked matrix of scores, and
// the leaving state is one more product. No exponent is positive that the token loop would not
// multiply up itself.
//
// The axes. A state's axes play three parts, which nobody declares; they follow from the reads:
//
//   key     contracted by the reads                               S[h k v] read by dot[k](S, q): k
//   head    not contracted, but carried by a key-side factor      h, since q and key carry it
//   value   the rest                                              v
//
// The decay's class is which of them its coefficient varies over:
//
//   per head      one number for all keys and values of a head: scores times exp(G[t] - G[i])
//   per key       inside the score's sum                              } exact inside a block, and a
//   block is short on a CPU per value     the transposed problem: outside the score's sum     }
//   elementwise   over key and value: no matrix form; the token loop, vectorised over channels, is
//   the fast one
//
// The updates. A key or value may depend on reads of states. Of other states: those are finished
// first, in the order of who reads whom (`order`), and the dependence may be any function. Of the
// state's own previous value, linearly: the delta rule. With y[i] that read and
// value[i] = v[i] + c[i] y[i], the reads of a block are the unknowns of a unit lower triangular system,
//
//   y[t] = what S0 and the v answer + sum over i < t of D[t,i] c[i] y[i]
//
// which is solved once. In any other way: not affine, no block form; `refusal` names the term.
//
// Seeing through spelling. S - b*k*dot[k](S, k) + b*k*v and S + b*k*(v - dot[k](S, k)) must be one
// class. What depends on a state is multiplied out (Affine.h), so that each term holds at most one
// atom; what does not is left as it was written. Terms that share their key-side factors are one
// update with the sum of the values, terms that then share a value one with the sum of the keys. A
// state-free sum is opened only where it hides several outer products (k1*v1 + k2*v2).
//
// Decays are kept as logarithms (Logarithm.h): exp(e) is e, sigmoid(x) is -softplus(-x), a product
// a sum. A decay without one by structure (a raw input, which may be negative or zero) has no block
// form here, and says so.
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
  Elementwise, // varies over key and value axes
  Forgets,     // 0: the next state does not hold the state
};

struct Decay {
  DecayKind kind = DecayKind::None;
  AxisSet axes = 0;
  Expr value = 0;
  Expr log = 0;            // 0 where there is none by structure
  bool isConstant = false; // the same for all tokens
};

/// key x value. Every axis of the state is in one of them or broadcast.
struct Update {
  Expr key;
  Expr value;
};

struct Read {
  Expr expr; // sum[over](vector * state)
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
  std::vector<Expr> ownReads;   // those reads: the unknowns of a block's triangular system
  std::string refusal;          // why it has no block form; empty: it has one
};

struct TransitionClass {
  std::vector<StateClass> states;
  std::vector<Read> reads; // all, each once
  std::vector<int>
      order; // states, each after those whose reads it depends on; empty when there is a cycle
  int64_t group = 0; // the body's
  bool isAffine = true;
  std::string refusal; // why there is no block form as a whole (the first state's, or a cycle);
                       // empty: there is one

  /// One clause a state: axes and kinds, without the expressions, so that equal classes print alike
  /// whatever the spelling.
  std::string print(const Pool &pool) const;
};

/// Classifies; adds nodes to the body's pool.
TransitionClass classify(Body &body);

std::string print(DecayKind kind);

} // namespace rondo::algebra

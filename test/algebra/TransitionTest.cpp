//===- TransitionTest.cpp - Classes of recurrences, however they are spelt ===//

#include "passes/algebra/Transition.h"
#include "passes/algebra/Logarithm.h"
#include "passes/algebra/Schema.h"
#include "test/algebra/Evaluate.h"

#include <gtest/gtest.h>

#include <random>

using namespace rondo::algebra;

namespace {

/// A body over heads h, keys k and values v, with the leaves that the examples share.
struct Example : Body {
  AxisSet h, k, v;
  Expr S, gate, gateK, gateV, gateKV, beta, key, key2, val, val2, query;

  Example() {
    h = AxisSet(1) << pool.axis("h", 2);
    k = AxisSet(1) << pool.axis("k", 3);
    v = AxisSet(1) << pool.axis("v", 2);
    names = {"S"};
    axes = {h | k | v};
    S = pool.state(0, axes[0]);
    gate = pool.leaf("gate", h, true);
    gateK = pool.leaf("gateK", h | k, true);
    gateV = pool.leaf("gateV", h | v, true);
    gateKV = pool.leaf("gateKV", h | k | v, true);
    beta = pool.leaf("beta", h, true);
    key = pool.leaf("key", h | k, true);
    key2 = pool.leaf("key2", h | k, true);
    val = pool.leaf("val", h | v, true);
    val2 = pool.leaf("val2", h | v, true);
    query = pool.leaf("query", h | k, true);
  }

  Expr exp(Expr e) { return pool.function("exp", {e}); }
  Expr sigmoid(Expr e) { return pool.function("sigmoid", {e}); }
  Expr dot(AxisSet over, Expr a, Expr b) { return pool.sum(over, pool.mul({a, b})); }
  Expr one() { return pool.constant(1); }
  Expr after(int i) { return pool.newState(i, axes[i]); }

  int addState(const std::string &name, AxisSet over) {
    names.push_back(name);
    axes.push_back(over);
    return static_cast<int>(names.size()) - 1;
  }

  /// One state, read by the query after the update.
  TransitionClass of(Expr newState) {
    next = {newState};
    outputs = {dot(k, after(0), query)};
    return classify(*this);
  }
};

/// The class says what the body says: next = decay * S + sum of key x value, at every index.
void expectSameMeaning(const Body &body, const TransitionClass &transition, int state, Expr S) {
  Pool pool = body.pool;
  const StateClass &of = transition.states[state];
  std::vector<Expr> terms{pool.mul({of.decay.value, S})};
  for (const Update &update : of.updates)
    terms.push_back(pool.mul({update.key, update.value}));
  // Answers stand for what they are made of, which Evaluate computes.
  Expr rebuilt = pool.add(terms);
  Evaluator evaluator(pool, 7);
  evaluator.forEach(of.axes, [&](const Index &index) {
    double expected = evaluator.at(body.next[state], index);
    EXPECT_NEAR(evaluator.at(rebuilt, index), expected, 1e-12 * (1 + std::abs(expected)))
        << pool.print(body.next[state], body.names) << "\n  " << pool.print(rebuilt, body.names);
  });
}

TEST(Transition, DecayPerHead) {
  Example e;
  auto transition =
      e.of(e.pool.add({e.pool.mul({e.exp(e.gate), e.S}), e.pool.mul({e.key, e.val})}));
  EXPECT_EQ(transition.print(e.pool),
            "S[h k v]: decay per head [h], rank 1, read over [k] after, that is scalar decay");
  EXPECT_EQ(transition.refusal, "");
  EXPECT_EQ(transition.states[0].updates[0].key, e.key);
  EXPECT_EQ(transition.states[0].updates[0].value, e.val);
}

TEST(Transition, DecayOverOtherAxes) {
  Example e;
  Expr update = e.pool.mul({e.key, e.val});
  auto kindOf = [&](Expr gate) {
    return e.of(e.pool.add({e.pool.mul({e.exp(gate), e.S}), update})).states[0].decay.kind;
  };
  EXPECT_EQ(kindOf(e.gateK), DecayKind::PerKey);
  EXPECT_EQ(kindOf(e.gateV), DecayKind::PerValue);
  EXPECT_EQ(kindOf(e.gateKV), DecayKind::Elementwise);
  EXPECT_EQ(e.of(e.pool.add({e.S, update})).states[0].decay.kind, DecayKind::None);
  EXPECT_EQ(e.of(update).states[0].decay.kind, DecayKind::Forgets);
}

TEST(Transition, DecayPerHeadWhereNoKeyCarriesTheHead) {
  // One key for all heads: the decay makes a head of its axis all the same.
  Example e;
  Expr key = e.pool.leaf("B", e.k, true), query = e.pool.leaf("C", e.k, true);
  e.next = {e.pool.add({e.pool.mul({e.exp(e.gate), e.S}), e.pool.mul({key, e.val})})};
  e.outputs = {e.dot(e.k, e.after(0), query)};
  auto transition = classify(e);
  EXPECT_EQ(transition.states[0].decay.kind, DecayKind::PerHead);
  EXPECT_EQ(transition.states[0].value, e.v);
}

TEST(Transition, DeltaRuleInThreeSpellings) {
  Example e;
  Pool &p = e.pool;
  Expr b = e.beta, read = e.dot(e.k, e.key, e.S);
  std::vector<Expr> spellings = {
      p.add({e.S, p.neg(p.mul({b, e.key, read})), p.mul({b, e.key, e.val})}),
      p.add({e.S, p.mul({b, e.key, p.sub(e.val, read)})}),
      p.sub(e.S, p.mul({e.key, p.sub(p.mul({b, read}), p.mul({b, e.val}))}))};
  for (Expr spelling : spellings) {
    auto transition = e.of(spelling);
    EXPECT_EQ(transition.print(p), "S[h k v]: no decay, rank 1 that reads the state (delta rule), "
                                   "read over [k] before and after, that is identity + rank-1");
    EXPECT_EQ(transition.states[0].updates[0].key, e.key);
    EXPECT_EQ(transition.refusal, "");
    expectSameMeaning(e, transition, 0, e.S);
  }
}

TEST(Transition, GateThenDeltaRuleReadsTheDecayedState) {
  Example e;
  Pool &p = e.pool;
  Expr decayed = p.mul({e.exp(e.gateK), e.S});
  Expr next = p.add({decayed, p.mul({e.beta, e.key, p.sub(e.val, e.dot(e.k, decayed, e.key))})});
  auto transition = e.of(next);
  EXPECT_EQ(transition.states[0].decay.kind, DecayKind::PerKey);
  EXPECT_TRUE(transition.states[0].isDelta);
  expectSameMeaning(e, transition, 0, e.S);
}

TEST(Transition, TheOwnReadIsTheUnknownOfABlock) {
  // Diagonal plus low rank: what is removed and what is written have different keys, and the read's
  // vector is a third one.
  Example e;
  Pool &p = e.pool;
  Expr removed = p.mul({e.key2, e.dot(e.k, e.S, e.query)});
  auto transition =
      e.of(p.add({p.mul({e.exp(e.gateK), e.S}), p.neg(removed), p.mul({e.key, e.val})}));
  EXPECT_EQ(transition.refusal, "");
  EXPECT_EQ(transition.states[0].updates.size(), 2u);
  EXPECT_EQ(transition.states[0].ownReads, (std::vector<Expr>{e.dot(e.k, e.S, e.query)}));
  expectSameMeaning(e, transition, 0, e.S);
  // Two steps in one token read the state in two ways.
  auto step = [&](Expr S, Expr key, Expr val) {
    return p.add({S, p.mul({e.beta, key, p.sub(val, e.dot(e.k, S, key))})});
  };
  auto twice = e.of(step(step(e.S, e.key, e.val), e.key2, e.val2));
  EXPECT_EQ(twice.refusal, "");
  EXPECT_EQ(twice.groups[0].unknowns.size(), 2u);
  EXPECT_TRUE(twice.print(p).ends_with("that is identity + product of 2 rank-1"));
  expectSameMeaning(e, twice, 0, e.S);
}

TEST(Transition, ComplementOfSigmoid) {
  Example e;
  Pool &p = e.pool;
  Expr a = e.sigmoid(e.gate), update = p.mul({a, e.key, e.val});
  for (Expr kept : {p.mul({p.sub(e.one(), a), e.S}), p.sub(e.S, p.mul({a, e.S}))}) {
    auto transition = e.of(p.add({kept, update}));
    EXPECT_EQ(transition.states[0].decay.value, p.sub(e.one(), a));
    expectSameMeaning(e, transition, 0, e.S);
  }
}

TEST(Transition, LogarithmsByStructure) {
  Example e;
  Pool &p = e.pool;
  Expr lower = p.constant(0.25), s = e.sigmoid(e.gate);
  std::vector<Expr> decays = {p.mul({e.exp(e.gate), s}),
                              p.sub(s, p.mul({s, e.sigmoid(e.gateK)})),     // s (1 - sigmoid)
                              p.add({lower, p.mul({p.constant(0.75), s})}), // a lower bound
                              p.function("reciprocal", {p.add({e.one(), e.exp(e.gate)})}),
                              p.function("sqrt", {s}),
                              p.function("pow", {s, p.constant(0.0625)}),
                              p.leaf("decay", e.h, true, e.exp(e.gate))};
  Evaluator evaluator(p, 3);
  for (Expr decay : decays) {
    Expr log = logarithm(p, decay);
    ASSERT_NE(log, 0u) << p.print(decay, e.names);
    if (p[decay].kind == Kind::Leaf)
      EXPECT_EQ(log, e.gate);
    else
      evaluator.forEach(p[decay].axes, [&](const Index &i) {
        EXPECT_NEAR(std::exp(evaluator.at(log, i)), evaluator.at(decay, i), 1e-14);
      });
  }
  EXPECT_EQ(logarithm(p, e.gate), 0u);
  EXPECT_EQ(logarithm(p, p.constant(0)), 0u);
  EXPECT_EQ(logarithm(p, p.neg(s)), 0u);
  EXPECT_EQ(logarithm(p, p.function("tanh", {e.gate})), 0u);
}

TEST(Transition, LogarithmsByBounds) {
  Example e;
  Pool &p = e.pool;
  Expr index = p.leaf("index", e.h, false);
  p.setBounds(index, 0, 1);
  Expr two = p.constant(2), half = p.constant(0.5);
  Expr perHead = p.sub(e.one(), p.function("pow", {two, p.sub(p.constant(-5), index)}));
  Expr clamped = p.function("max", {e.gate, p.constant(0.01)});
  Expr shifted = p.add({half, p.mul({p.constant(0.25), p.function("tanh", {e.gate})})});
  for (Expr decay : {perHead, clamped, shifted})
    EXPECT_EQ(logarithm(p, decay), p.function("log", {decay})) << p.print(decay, e.names);
  // May come too close to zero.
  EXPECT_EQ(logarithm(p, p.add({half, p.mul({half, p.function("tanh", {e.gate})})})), 0u);
  EXPECT_EQ(logarithm(p, p.function("softplus", {e.gate})), 0u);
  EXPECT_DOUBLE_EQ(boundsOf(p, perHead).least, 1 - 1.0 / 32);
  EXPECT_DOUBLE_EQ(boundsOf(p, perHead).most, 1 - 1.0 / 64);
}

TEST(Transition, TwoOuterProductsInsideOneSum) {
  Example e;
  Pool &p = e.pool;
  Expr both = p.add({p.mul({e.key, e.val}), p.mul({e.key2, e.val2})});
  auto transition = e.of(p.add({e.S, p.mul({e.beta, both})}));
  EXPECT_EQ(transition.states[0].updates.size(), 2u);
  EXPECT_EQ(transition.states[0].value, e.v);
  expectSameMeaning(e, transition, 0, e.S);
}

TEST(Transition, SumOfKeysIsOneUpdate) {
  Example e;
  Pool &p = e.pool;
  auto transition = e.of(p.add({e.S, p.mul({e.key, e.val}), p.mul({e.key2, e.val})}));
  EXPECT_EQ(transition.states[0].updates.size(), 1u);
  expectSameMeaning(e, transition, 0, e.S);
}

TEST(Transition, NormaliserIsAStateOfItsOwn) {
  Example e;
  Pool &p = e.pool;
  int z = e.addState("z", e.h | e.k);
  Expr zState = p.state(z, e.axes[z]);
  e.next = {p.add({p.mul({e.sigmoid(e.gate), e.S}), p.mul({e.key, e.val})}),
            p.add({p.mul({e.sigmoid(e.gate), zState}), e.key})};
  Expr norm = p.function("max", {p.function("abs", {e.dot(e.k, e.after(z), e.query)}), e.one()});
  e.outputs = {p.mul({e.dot(e.k, e.after(0), e.query), p.function("reciprocal", {norm})})};
  auto transition = classify(e);
  EXPECT_EQ(transition.refusal, "");
  EXPECT_EQ(transition.print(p),
            "S[h k v]: decay per head [h], rank 1, read over [k] after, that is scalar decay; "
            "z[h k]: decay per head [h], rank 1, read over [k] after, that is scalar decay");
  EXPECT_EQ(transition.groups.size(), 2u);
}

/// A norm over what was read takes sums along value axes; they stay value axes.
TEST(Transition, MeansOfAnswersReadNoMoreThanTheAnswers) {
  Example e;
  Expr answer = e.pool.add({e.dot(e.k, e.after(0), e.query), e.val2});
  Expr mean = e.pool.mul({e.pool.constant(0.5), e.pool.sum(e.v, answer)});
  Expr off = e.pool.sub(answer, mean);
  e.next = {e.pool.add({e.pool.mul({e.gate, e.S}), e.pool.mul({e.key, e.val})})};
  e.outputs = {e.pool.mul({off, e.pool.function("rsqrt", {e.dot(e.v, off, off)})})};
  TransitionClass c = classify(e);
  EXPECT_EQ(c.states[0].key, e.k) << c.print(e.pool);
  EXPECT_EQ(c.states[0].value, e.v);
  EXPECT_EQ(c.states[0].updates.size(), 1u);
  EXPECT_EQ(c.reads.size(), 1u);
  EXPECT_EQ(c.refusal, "");
}

/// W' = W0 - S' read with a function of what another state answered: S is read over keys, not
/// whole.
TEST(Transition, AStateReadWithAnAnswerIsNotTakenWhole) {
  Example e;
  int second = e.addState("T", e.h | e.k);
  Expr T = e.pool.state(second, e.h | e.k), first = e.pool.leaf("first", e.h | e.k | e.v, true);
  e.next = {e.pool.add({e.pool.mul({e.gate, e.S}), e.pool.mul({e.key, e.val})}),
            e.pool.add({e.pool.mul({e.gate, T}), e.key2})};
  Expr answer = e.pool.function("tanh", {e.pool.mul({e.after(1), e.query})});
  e.outputs = {e.dot(e.k, answer, e.pool.sub(first, e.after(0)))};
  TransitionClass c = classify(e);
  for (const Read &read : c.reads)
    EXPECT_EQ(read.over, read.state == 0 ? e.k : AxisSet(0)) << e.pool.print(read.expr, e.names);
  EXPECT_EQ(c.states[0].key, e.k) << c.print(e.pool);
  EXPECT_EQ(c.refusal, "");
}

TEST(Transition, StatesAreOrderedByWhoReadsWhom) {
  // B, named first, learns what A answers; the answer may pass through any function.
  Example e;
  Pool &p = e.pool;
  int second = e.addState("A", e.axes[0]);
  Expr answer = p.function("tanh", {e.dot(e.k, e.after(second), e.query)});
  e.next = {p.add({p.mul({e.exp(e.gate), e.S}), p.mul({e.key, answer})}),
            p.add({p.state(second, e.axes[second]), p.mul({e.key2, e.val})})};
  e.outputs = {e.dot(e.k, e.after(0), e.query)};
  auto transition = classify(e);
  EXPECT_EQ(transition.refusal, "");
  EXPECT_EQ(transition.groups[0].states, std::vector<int>{1});
  EXPECT_EQ(transition.groups[1].states, std::vector<int>{0});
}

TEST(Transition, RefusalsNameTheTerm) {
  Example e;
  Pool &p = e.pool;
  Expr update = p.mul({e.key, e.val});
  auto refusal = [&](Expr next) { return e.of(next).refusal; };
  EXPECT_EQ(refusal(p.add({p.function("tanh", {e.S}), update})),
            "the term `tanh(S)` is not affine in the states");
  EXPECT_EQ(refusal(p.add({e.S, p.mul({e.key, p.function("tanh", {e.dot(e.k, e.S, e.key)})})})),
            "the term `key*tanh(dot[k](S, key))` is not affine in the states");
  // An answer used along the axis that it was read over.
  Expr back = p.mul({e.key, e.dot(e.k, p.mul({e.S, e.key}), e.query)});
  EXPECT_EQ(refusal(p.add({e.S, back, p.mul({e.val, e.dot(e.v, e.S, e.val)})})),
            "its updates read it over [k v] and use what it answers along that axis");
}

TEST(Transition, DecaysOfAnySignAndSize) {
  Example e;
  Pool &p = e.pool;
  Expr update = p.mul({e.key, e.val});
  auto classOf = [&](Expr next) {
    auto transition = e.of(next);
    EXPECT_EQ(transition.refusal, "");
    expectSameMeaning(e, transition, 0, e.S);
    return transition.print(p);
  };
  EXPECT_EQ(classOf(p.add({p.mul({e.gate, e.S}), update})),
            "S[h k v]: decay per head [h], rank 1, read over [k] after, that is scalar decay");
  EXPECT_EQ(classOf(p.add({p.mul({e.exp(e.gateKV), e.S}), update})),
            "S[h k v]: decay per key and value channel [h k v], rank 1, read over [k] after, that "
            "is diagonal decay");
  EXPECT_EQ(classOf(p.sub(update, p.mul({p.constant(0.5), e.S}))),
            "S[h k v]: decay per head, constant in time, rank 1, read over [k] after, that is "
            "static scalar decay");
  EXPECT_EQ(classOf(update),
            "S[h k v]: no memory of itself, rank 1, that is made anew by each token");
  e.next = {p.add({e.S, update})};
  e.outputs = {e.after(0)};
  EXPECT_EQ(classify(e).print(p), "S[h k v]: no decay, rank 1, read whole, that is identity");
}

TEST(Transition, StatesThatFeedEachOtherAreOneGroup) {
  Example e;
  Pool &p = e.pool;
  int other = e.addState("M", e.axes[0]);
  Expr M = p.state(other, e.axes[other]);
  e.next = {p.add({e.S, p.mul({e.key, e.dot(e.k, M, e.key)})}),
            p.add({M, p.mul({e.key, e.dot(e.k, e.S, e.key)})})};
  e.outputs = {e.dot(e.k, e.after(0), e.query)};
  auto transition = classify(e);
  EXPECT_EQ(transition.refusal, "");
  ASSERT_EQ(transition.groups.size(), 1u);
  EXPECT_FALSE(transition.groups[0].isMatrix);
  EXPECT_EQ(transition.groups[0].unknowns.size(), 2u);
}

TEST(Transition, StatesThatHoldEachOtherAreASmallMatrix) {
  // Momentum: what M gains, S gains as well.
  Example e;
  Pool &p = e.pool;
  int other = e.addState("M", e.axes[0]);
  Expr M = p.state(other, e.axes[other]), error = p.sub(e.dot(e.k, e.S, e.key), e.val);
  Expr mu = e.sigmoid(e.gate), kept = p.sub(e.one(), e.beta);
  e.next = {p.add({p.mul({kept, e.S}), e.after(other)}),
            p.sub(p.mul({mu, M}), p.mul({e.key, error}))};
  e.outputs = {e.dot(e.k, e.after(0), e.query)};
  auto transition = classify(e);
  EXPECT_EQ(transition.refusal, "");
  ASSERT_EQ(transition.groups.size(), 1u);
  EXPECT_EQ(transition.groups[0].matrix,
            (std::vector<std::vector<Expr>>{{kept, mu}, {p.constant(0), mu}}));
  EXPECT_EQ(transition.groups[0].unknowns.size(), 1u);
  EXPECT_EQ(transition.print(p),
            "S[h k v]: matrix of decays [h], rank 1 that reads the state (delta rule), read over "
            "[k] before and after, that is small matrix over (S, M) + rank-1; "
            "M[h k v]: decay per head [h], rank 1 that reads S, that is scalar decay + rank-1");
  // Multiplication by a complex number.
  Expr a = e.gate, b = e.beta;
  e.next = {p.add({p.sub(p.mul({a, e.S}), p.mul({b, M})), p.mul({e.key, e.val})}),
            p.add({p.mul({b, e.S}), p.mul({a, M})})};
  transition = classify(e);
  EXPECT_TRUE(transition.groups[0].isComplex);
  EXPECT_EQ(transition.print(p),
            "S[h k v]: matrix of decays [h], rank 1, read over [k] after, that "
            "is complex pair (S, M); M[h k v]: matrix of decays [h], rank 0, "
            "that is complex pair (S, M)");
}

TEST(Transition, StepsOfATokenAreNotMultipliedOut) {
  Example e;
  Pool &p = e.pool;
  Expr S = e.S;
  std::vector<Expr> keys, values;
  for (int i = 0; i < 12; ++i) {
    Expr key = p.leaf("k" + std::to_string(i), e.h | e.k, true),
         val = p.leaf("v" + std::to_string(i), e.h | e.v, true);
    S = p.add({S, p.mul({e.beta, key, p.sub(val, e.dot(e.k, S, key))})});
  }
  auto transition = e.of(S);
  EXPECT_EQ(transition.refusal, "");
  EXPECT_EQ(transition.states[0].updates.size(), 12u);
  EXPECT_EQ(transition.groups[0].unknowns.size(), 12u);
  EXPECT_TRUE(transition.print(p).ends_with("that is identity + product of 12 rank-1"));
}

TEST(Transition, EqualSpellingsAreOneClass) {
  // S' = d S + sum of updates - sum of low-rank terms, spelt in a random way: factored or
  // multiplied out, the decay as its complement, in pieces.
  for (unsigned seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed);
    auto coin = [&] { return random() % 2 == 0; };
    Example e;
    Pool &p = e.pool;
    Expr decay = coin() ? e.sigmoid(e.gate) : coin() ? e.exp(e.gateK) : e.exp(e.gate);
    bool isDelta = coin(), isSecond = coin();
    Expr read = e.dot(e.k, e.key, e.S);
    auto plain = [&] {
      std::vector<Expr> terms{p.mul({decay, e.S}), p.mul({e.beta, e.key, e.val})};
      if (isDelta)
        terms.push_back(p.neg(p.mul({e.beta, e.key, read})));
      if (isSecond)
        terms.push_back(p.mul({e.key2, e.val2}));
      return p.add(terms);
    };
    auto spell = [&] {
      std::vector<Expr> terms;
      Expr half = p.constant(0.5);
      Expr kept = coin() ? p.mul({decay, e.S}) : p.sub(e.S, p.mul({p.sub(e.one(), decay), e.S}));
      if (coin())
        terms.insert(terms.end(), {p.mul({half, kept}), p.mul({half, kept})});
      else
        terms.push_back(kept);
      Expr written = e.val;
      if (isDelta && coin()) {
        written = p.sub(
            e.val, coin() ? read : p.mul({p.constant(2), p.sum(e.k, p.mul({half, e.S, e.key}))}));
      } else if (isDelta) {
        terms.push_back(coin() ? p.neg(p.mul({e.beta, e.key, read}))
                               : p.mul({e.key, p.neg(p.mul({read, e.beta}))}));
      }
      Expr update = coin() ? p.mul({p.mul({e.beta, e.key}), written})
                           : p.mul({e.key, p.mul({written, e.beta})});
      Expr second = p.mul({e.val2, e.key2});
      if (isSecond && coin())
        terms.push_back(
            p.mul({half, p.add({p.mul({p.constant(2), update}), p.mul({p.constant(2), second})})}));
      else
        terms.insert(terms.end(), {update, isSecond ? second : p.constant(0)});
      std::shuffle(terms.begin(), terms.end(), random);
      return p.add(terms);
    };
    auto expected = e.of(plain()).print(p);
    auto transition = e.of(spell());
    EXPECT_EQ(transition.print(p), expected)
        << "seed " << seed << ": " << p.print(e.next[0], e.names);
    EXPECT_EQ(transition.refusal, "") << "seed " << seed << ": " << p.print(e.next[0], e.names);
    expectSameMeaning(e, transition, 0, e.S);
    if (HasFailure())
      return;
  }
}

TEST(Transition, EqualSpellingsOfStepsAndMomentumAreOneClass) {
  // Two delta rules in a token, or a memory with momentum: errors factored or multiplied out,
  // complements as such or by subtraction, the momentum's new value by name or written out, a
  // gradient's sign in either place.
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    auto coin = [&] { return random() % 2 == 0; };
    bool hasMomentum = coin();
    auto spell = [&](Example &e, bool isPlain) {
      Pool &p = e.pool;
      auto flip = [&] { return !isPlain && coin(); };
      Expr rate = e.sigmoid(e.beta), kept = e.sigmoid(e.gate);
      auto decayed = [&](Expr S) {
        return flip() ? p.sub(S, p.mul({p.sub(e.one(), kept), S})) : p.mul({kept, S});
      };
      auto step = [&](Expr S, Expr key, Expr val) {
        Expr read = flip() ? p.mul({p.constant(2), p.sum(e.k, p.mul({p.constant(0.5), key, S}))})
                           : e.dot(e.k, S, key);
        if (flip())
          return p.add({S, p.mul({rate, key, val}), p.neg(p.mul({key, p.mul({read, rate})}))});
        return flip() ? p.sub(S, p.mul({rate, key, p.sub(read, val)}))
                      : p.add({S, p.mul({rate, key, p.sub(val, read)})});
      };
      if (!hasMomentum) {
        e.next = {step(step(decayed(e.S), e.key, e.val), e.key2, e.val2)};
      } else {
        int other = e.addState("M", e.axes[0]);
        Expr M = p.state(other, e.axes[other]), error = p.sub(e.dot(e.k, e.S, e.key), e.val);
        Expr gradient =
            flip() ? p.add({p.mul({e.key, e.dot(e.k, e.S, e.key)}), p.neg(p.mul({e.key, e.val}))})
                   : p.mul({e.key, error});
        Expr newM = flip() ? p.add({p.mul({kept, M}), p.mul({rate, p.neg(gradient)})})
                           : p.sub(p.mul({kept, M}), p.mul({rate, gradient}));
        e.next = {p.add({decayed(e.S), flip() ? newM : e.after(other)}), newM};
      }
      e.outputs = {e.dot(e.k, e.after(0), e.query)};
      auto transition = classify(e);
      EXPECT_EQ(transition.refusal, "") << "seed " << seed;
      return transition.print(p);
    };
    Example plain, other;
    EXPECT_EQ(spell(other, false), spell(plain, true))
        << "seed " << seed << ": " << other.pool.print(other.next[0], other.names);
    if (HasFailure())
      return;
  }
}

TEST(Schema, WideStatesGoInBlocksAndNarrowOnesTokenByToken) {
  auto choose = [](int64_t dk, int64_t dv, FormRequest request = {}) {
    Body body;
    AxisSet h = AxisSet(1) << body.pool.axis("h", 4), k = AxisSet(1) << body.pool.axis("k", dk),
            v = AxisSet(1) << body.pool.axis("v", dv);
    body.names = {"S"};
    body.axes = {h | k | v};
    Expr decay = body.pool.function("exp", {body.pool.leaf("g", h, true)});
    body.next = {body.pool.add(
        {body.pool.mul({decay, body.pool.state(0, body.axes[0])}),
         body.pool.mul({body.pool.leaf("k", h | k, true), body.pool.leaf("v", h | v, true)})})};
    body.outputs = {body.pool.sum(
        k, body.pool.mul({body.pool.newState(0, body.axes[0]), body.pool.leaf("q", h | k, true)}))};
    auto transition = classify(body);
    return chooseForm(body, transition, *machineOf("x86-64-v4"), request);
  };
  EXPECT_EQ(choose(64, 64).form, Form::Chunk);
  EXPECT_EQ(choose(64, 64).chunk, 8);
  EXPECT_EQ(choose(32, 64).form, Form::Chunk);
  EXPECT_EQ(choose(16, 16).form, Form::Sequential);
  EXPECT_EQ(choose(2, 4).form, Form::Sequential);
  EXPECT_EQ(choose(2, 4, {Form::Chunk, 32}).form, Form::Chunk);
  EXPECT_EQ(choose(2, 4, {Form::Chunk, 32}).chunk, 32);
  EXPECT_EQ(choose(64, 64, {Form::Sequential, 0}).form, Form::Sequential);
  EXPECT_FALSE(machineOf("pdp-11"));
  // Operations of the chunk loop per token and head: 2 C (dk + dv) + 4 dk dv, and the exponentials.
  EXPECT_EQ(choose(64, 64).cost.flops, 4 * (2 * 8 * 128 + 4 * 64 * 64));
}

} // namespace

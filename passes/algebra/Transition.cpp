//===- Transition.cpp - What kind of recurrence is this? ------------------===//

#include "passes/algebra/Transition.h"

#include "passes/algebra/Logarithm.h"

#include <algorithm>

namespace rondo::algebra {

namespace {

class Classifier {
public:
  explicit Classifier(Body &body) : body(body), pool(body.pool) {}

  TransitionClass run() {
    for (size_t i = 0; i < body.next.size(); ++i) {
      result.states.emplace_back();
      result.states[i].name = body.names[i];
      result.states[i].axes = body.axes[i];
      next.push_back(expand(pool, body.next[i]));
    }
    whole.resize(next.size());
    for (size_t i = 0; i < next.size(); ++i)
      for (const Term &term : next[i])
        if (!isOwn(term, i))
          collect(termExpr(pool, term));
    for (Expr output : body.outputs)
      collect(output);
    for (size_t i = 0; i < next.size(); ++i)
      classifyState(i);
    orderStates();
    for (const StateClass &state : result.states)
      if (result.refusal.empty())
        result.refusal = state.refusal;
    return result;
  }

private:
  std::string text(Expr e) { return "`" + pool.print(e, body.names) + "`"; }

  /// The state's own decayed value.
  bool isOwn(const Term &term, size_t i) {
    return term.kind == AtomKind::State && pool[term.atom].kind == Kind::State &&
           pool[term.atom].index == static_cast<int>(i);
  }

  void refuse(size_t i, const std::string &why) {
    if (result.states[i].refusal.empty())
      result.states[i].refusal = why;
  }

  /// Records the reads in an expression, and the states that it uses whole.
  void collect(Expr e) {
    if (!pool[e].readsState)
      return;
    for (const Term &term : expand(pool, e)) {
      if (term.kind == AtomKind::State) {
        whole[pool[term.atom].index] = true;
      } else if (term.kind == AtomKind::Read) {
        ReadParts parts = partsOf(pool, term.atom);
        if (std::none_of(result.reads.begin(), result.reads.end(),
                         [&](const Read &read) { return read.expr == term.atom; }))
          result.reads.push_back({term.atom, parts.state, parts.isNew, parts.over, parts.vector});
      } else if (term.kind == AtomKind::Opaque) {
        for (Expr argument : std::vector<Expr>(pool[term.atom].arguments))
          collect(argument);
      }
    }
  }

  /// The states that an expression reads or uses, in the body's order.
  std::vector<int> statesOf(Expr e) {
    std::vector<int> states;
    auto visit = [&](auto &self, Expr e) -> void {
      const Node &node = pool[e];
      if (!node.readsState)
        return;
      if ((node.kind == Kind::State || node.kind == Kind::NewState) &&
          std::find(states.begin(), states.end(), node.index) == states.end())
        states.push_back(node.index);
      for (Expr argument : node.arguments)
        self(self, argument);
    };
    visit(visit, e);
    std::sort(states.begin(), states.end());
    return states;
  }

  /// Whether a state appears in an expression other than under a read.
  bool usesWhole(Expr e) {
    for (const Term &term : expand(pool, e)) {
      if (term.kind == AtomKind::State)
        return true;
      if (term.kind == AtomKind::Opaque)
        for (Expr argument : std::vector<Expr>(pool[term.atom].arguments))
          if (usesWhole(argument))
            return true;
    }
    return false;
  }

  void classifyState(size_t i) {
    StateClass &state = result.states[i];
    findRoles(i);
    Expr coefficient = pool.constant(0);
    std::vector<Expr> products;
    for (const Term &term : next[i]) {
      if (isOwn(term, i)) {
        coefficient = term.coefficient;
        continue;
      }
      Expr product = termExpr(pool, term);
      if (term.kind == AtomKind::State) {
        refuse(i, "its next value holds the state '" + body.names[pool[term.atom].index] +
                      "' element by element: " + text(product));
        continue;
      }
      if (term.kind == AtomKind::Opaque) {
        std::vector<int> used = statesOf(term.atom);
        bool isOwnFunction = std::find(used.begin(), used.end(), static_cast<int>(i)) != used.end();
        if (isOwnFunction || usesWhole(term.atom)) {
          result.isAffine = false;
          refuse(i, "the term " + text(product) + " is not affine in the states");
          continue;
        }
      }
      for (int read : statesOf(product)) {
        if (std::find(state.readsStates.begin(), state.readsStates.end(), read) ==
            state.readsStates.end())
          state.readsStates.push_back(read);
        state.isDelta |= read == static_cast<int>(i);
      }
      products.push_back(product);
    }
    for (Expr product : products)
      separate(i, product);
    mergeUpdates(state);
    findOwnReads(i);
    classifyDecay(i, coefficient);
    AxisSet written = 0;
    for (const Update &update : state.updates)
      written |= pool[update.key].axes | pool[update.value].axes;
    if (written & ~state.axes)
      refuse(i, "an update has the axes " + pool.print(written & ~state.axes) +
                    " that the state lacks");
    if (whole[i])
      refuse(i, "it is read whole, not by a contraction");
    else if (state.key == 0)
      refuse(i, "nothing reads it by a contraction");
  }

  void findOwnReads(size_t i) {
    StateClass &state = result.states[i];
    for (const Update &update : state.updates) {
      std::vector<int> inKey = statesOf(update.key);
      if (std::find(inKey.begin(), inKey.end(), static_cast<int>(i)) != inKey.end())
        refuse(i, "the key " + text(update.key) + " of an update reads the state itself");
      for (const Term &term : expand(pool, update.value))
        if (term.kind == AtomKind::Read && partsOf(pool, term.atom).state == static_cast<int>(i) &&
            std::find(state.ownReads.begin(), state.ownReads.end(), term.atom) ==
                state.ownReads.end())
          state.ownReads.push_back(term.atom);
    }
    if (state.ownReads.size() > 1)
      refuse(i, "its updates read it in " + std::to_string(state.ownReads.size()) +
                    " ways within a token");
  }

  void findRoles(size_t i) {
    StateClass &state = result.states[i];
    for (const Read &read : result.reads) {
      if (read.state != static_cast<int>(i))
        continue;
      if (state.key && state.key != (read.over & state.axes))
        refuse(i,
               "it is read over " + pool.print(state.key) + " and over " + pool.print(read.over));
      state.key |= read.over & state.axes;
      state.head |= pool[read.vector].axes & state.axes;
      if (read.over & ~state.axes)
        refuse(i,
               "a read is over " + pool.print(read.over & ~state.axes) + ", which the state lacks");
    }
    // Axes that a key-side factor of an update carries join the head; see separate().
    state.head &= ~state.key;
    state.value = state.axes & ~state.key & ~state.head;
  }

  void classifyDecay(size_t i, Expr coefficient) {
    StateClass &state = result.states[i];
    Decay &decay = state.decay;
    decay.value = coefficient;
    decay.axes = pool[coefficient].axes;
    decay.isConstant = !pool[coefficient].perToken;
    // A decay over some of the value axes makes heads of them; one over all of them is a decay per
    // value channel.
    if (state.key && state.value & ~decay.axes)
      state.head |= state.value & decay.axes;
    state.value &= ~state.head;
    bool isElementwise = state.key == 0 && decay.axes == state.axes;
    bool overKey = decay.axes & state.key || isElementwise;
    bool overValue = decay.axes & state.value || isElementwise;
    if (pool.isConstant(coefficient, 0)) {
      decay.kind = DecayKind::Forgets;
      refuse(i, "its next value does not hold its value before the token");
      return;
    }
    decay.kind = pool.isConstant(coefficient, 1) ? DecayKind::None
                 : overKey && overValue          ? DecayKind::Elementwise
                 : overKey                       ? DecayKind::PerKey
                 : overValue                     ? DecayKind::PerValue
                                                 : DecayKind::PerHead;
    decay.log = logarithm(pool, coefficient);
    if (decay.axes & ~state.axes)
      refuse(i, "its decay " + text(coefficient) + " has axes that the state lacks");
    if (decay.kind == DecayKind::Elementwise)
      refuse(i, "its decay " + text(coefficient) + " varies over " + pool.print(decay.axes) +
                    ", key and value channels alike: a scan over tokens, vectorised over channels, "
                    "not a matrix form");
    else if (!decay.log)
      refuse(i, "its decay " + text(coefficient) +
                    " has no logarithm by structure (it may be zero or negative)");
  }

  /// Splits a product into key-side factors (those over key axes) and the rest.
  Update splitProduct(const StateClass &state, Expr product) {
    std::vector<Expr> key, value;
    for (Expr factor : pool.factors(product))
      (pool[factor].axes & state.key ? key : value).push_back(factor);
    return {pool.mul(std::move(key)), pool.mul(std::move(value))};
  }

  /// Adds the updates of a product; a sum inside it is opened where that separates key from value
  /// axes.
  void separate(size_t i, Expr product) {
    StateClass &state = result.states[i];
    std::vector<Expr> factors = pool.factors(product);
    for (size_t f = 0; f < factors.size(); ++f) {
      AxisSet axes = pool[factors[f]].axes;
      if (pool[factors[f]].kind != Kind::Add || !(axes & state.key) || !(axes & ~state.key))
        continue;
      std::vector<Expr> terms = pool.terms(factors[f]);
      bool separates = std::any_of(terms.begin(), terms.end(), [&](Expr term) {
        Update split = splitProduct(state, term);
        return (pool[split.key].axes & axes) != axes && (pool[split.value].axes & axes) != axes &&
               pool[split.value].axes & ~pool[split.key].axes;
      });
      if (!separates)
        continue;
      for (Expr term : terms) {
        factors[f] = term;
        separate(i, pool.mul(factors));
      }
      return;
    }
    Update update = splitProduct(state, product);
    state.head |= pool[update.key].axes & state.axes & ~state.key;
    state.value &= ~state.head;
    state.updates.push_back(update);
  }

  /// Sums the values of equal keys, then the keys of equal values.
  void mergeUpdates(StateClass &state) {
    auto merge = [&](Expr Update::*same, Expr Update::*summed) {
      std::vector<Update> merged;
      for (const Update &update : state.updates) {
        auto it = std::find_if(merged.begin(), merged.end(),
                               [&](const Update &other) { return other.*same == update.*same; });
        if (it == merged.end())
          merged.push_back(update);
        else
          (*it).*summed = pool.add({(*it).*summed, update.*summed});
      }
      state.updates = merged;
    };
    merge(&Update::key, &Update::value);
    merge(&Update::value, &Update::key);
  }

  /// Each state after those whose reads it depends on; a cycle of several states has no block form.
  void orderStates() {
    std::vector<bool> done(result.states.size());
    for (size_t round = 0; round < result.states.size(); ++round)
      for (size_t i = 0; i < result.states.size(); ++i) {
        const std::vector<int> &needs = result.states[i].readsStates;
        if (!done[i] && std::all_of(needs.begin(), needs.end(),
                                    [&](int j) { return done[j] || j == static_cast<int>(i); })) {
          done[i] = true;
          result.order.push_back(static_cast<int>(i));
        }
      }
    if (result.order.size() == result.states.size())
      return;
    result.order.clear();
    std::string names;
    for (size_t i = 0; i < done.size(); ++i)
      if (!done[i])
        names += (names.empty() ? "'" : ", '") + body.names[i] + "'";
    for (size_t i = 0; i < done.size(); ++i)
      if (!done[i])
        refuse(i, "the states " + names + " read each other within a token");
  }

  Body &body;
  Pool &pool;
  TransitionClass result;
  std::vector<std::vector<Term>> next;
  std::vector<bool> whole;
};

} // namespace

TransitionClass classify(Body &body) {
  TransitionClass result = Classifier(body).run();
  result.group = body.group;
  return result;
}

std::string print(DecayKind kind) {
  switch (kind) {
  case DecayKind::None:
    return "no decay";
  case DecayKind::PerHead:
    return "decay per head";
  case DecayKind::PerKey:
    return "decay per key channel";
  case DecayKind::PerValue:
    return "decay per value channel";
  case DecayKind::Elementwise:
    return "decay per key and value channel";
  case DecayKind::Forgets:
    return "no memory of itself";
  }
  return "";
}

std::string TransitionClass::print(const Pool &pool) const {
  std::string text;
  for (const StateClass &state : states) {
    int index = static_cast<int>(&state - states.data());
    text += (text.empty() ? "" : "; ") + state.name + pool.print(state.axes) + ": " +
            algebra::print(state.decay.kind);
    if (state.decay.axes)
      text += " " + pool.print(state.decay.axes);
    if (state.decay.isConstant && state.decay.kind != DecayKind::None &&
        state.decay.kind != DecayKind::Forgets)
      text += ", constant in time";
    text += ", rank " + std::to_string(state.updates.size());
    if (state.isDelta)
      text += " that reads the state (delta rule)";
    for (int other : state.readsStates)
      if (other != index)
        text += " that reads " + states[other].name;
    bool before = false, after = false;
    for (const Read &read : reads)
      if (read.state == index)
        (read.isNew ? after : before) = true;
    if (before || after)
      text += ", read over " + pool.print(state.key) +
              (before && after ? " before and after"
               : before        ? " before"
                               : " after");
  }
  if (group)
    text += "; groups of " + std::to_string(group) + " share a first state";
  return isAffine ? text : text + "; not affine";
}

} // namespace rondo::algebra

//===- Transition.cpp - What kind of recurrence is this? ------------------===//

#include "passes/algebra/Transition.h"

#include <algorithm>

namespace rondo::algebra {

namespace {

bool contains(const auto &list, auto item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

class Classifier {
public:
  explicit Classifier(Body &body) : body(body), pool(body.pool) {}

  TransitionClass run() {
    size_t count = body.next.size();
    for (size_t i = 0; i < count; ++i) {
      result.states.emplace_back();
      result.states[i].name = body.names[i];
      result.states[i].axes = body.axes[i];
    }
    seeThroughStates();
    formGroups();
    next.resize(count);
    for (const StateGroup &group : result.groups) {
      // What a new state of the group stands for is written out, so that all is said of old ones.
      std::vector<Expr> inside(count, 0);
      for (int i : group.states)
        inside[i] = body.next[i];
      Expander expander(pool, group.own);
      for (int i : group.states) {
        next[i] = expander.expand(withNewStates(pool, body.next[i], inside));
        for (const Term &term : result.states[i].isDefined ? expand(pool, body.next[i]) : next[i])
          if (term.kind == AtomKind::State)
            collect(term.coefficient);
          else
            collect(termExpr(pool, term));
      }
    }
    for (Expr output : body.outputs)
      collect(output);
    for (size_t i = 0; i < count; ++i)
      findRoles(i);
    for (StateGroup &group : result.groups)
      classifyGroup(group);
    for (bool affine : {false, true})
      for (const StateClass &state : result.states)
        if (result.refusal.empty() && state.isAffine == affine)
          result.refusal = state.refusal;
    return result;
  }

private:
  std::string text(Expr e) { return "`" + pool.print(e, body.names) + "`"; }

  void refuse(int i, const std::string &why) {
    if (result.states[i].refusal.empty())
      result.states[i].refusal = why;
  }

  /// The states that an expression reads or uses, in the body's order.
  std::vector<int> statesOf(Expr e) {
    std::vector<int> states;
    auto visit = [&](auto &self, Expr e) -> void {
      const Node &node = pool[e];
      if (!node.states)
        return;
      if ((node.kind == Kind::State || node.kind == Kind::NewState) &&
          !contains(states, node.index))
        states.push_back(node.index);
      for (Expr argument : node.arguments)
        self(self, argument);
    };
    visit(visit, e);
    std::sort(states.begin(), states.end());
    return states;
  }

  /// Groups of states that depend on each other, each after those that it depends on. A state that
  /// another one of its size holds element by element joins its group: it need not exist for every
  /// token then. (A smaller one, a key that is remembered say, is made for every token.)
  void formGroups() {
    size_t count = body.next.size();
    std::vector<std::vector<bool>> reaches(count, std::vector<bool>(count));
    for (size_t i = 0; i < count; ++i) {
      for (int j : statesOf(body.next[i]))
        reaches[i][j] = true;
      for (const Term &term : expand(pool, body.next[i]))
        if (term.kind == AtomKind::State && pool[term.atom].axes == body.axes[i] &&
            !result.states[i].isDefined)
          reaches[pool[term.atom].index][i] = true;
    }
    for (size_t k = 0; k < count; ++k)
      for (size_t i = 0; i < count; ++i)
        for (size_t j = 0; j < count; ++j)
          if (reaches[i][k] && reaches[k][j])
            reaches[i][j] = true;
    result.groupOf.assign(count, -1);
    auto place = [&](auto &self, size_t i) -> void {
      if (result.groupOf[i] >= 0)
        return;
      result.groupOf[i] = static_cast<int>(count); // being placed
      StateGroup group;
      for (size_t j = 0; j < count; ++j)
        if (j == i || (reaches[i][j] && reaches[j][i])) {
          group.states.push_back(static_cast<int>(j));
          group.own |= stateBit(static_cast<int>(j));
          result.groupOf[j] = static_cast<int>(count);
        }
      for (size_t j = 0; j < count; ++j)
        if (reaches[i][j])
          self(self, j);
      for (int j : group.states)
        result.groupOf[j] = static_cast<int>(result.groups.size());
      result.groups.push_back(std::move(group));
    };
    for (size_t i = 0; i < count; ++i)
      place(place, i);
  }

  /// The outputs read what a state that does not hold itself was made of, not that state: W' = W0 -
  /// A' is read as W0 and A'. When nothing else reads it, it need exist after a block's last token
  /// only.
  void seeThroughStates() {
    StateSet used = 0;
    for (size_t i = 0; i < body.next.size(); ++i) {
      if (!(pool[body.next[i]].states & stateBit(static_cast<int>(i))))
        made.push_back(body.next[i]);
      else
        made.push_back(0);
      used |= pool[body.next[i]].states;
    }
    for (Expr &output : body.outputs) {
      output = withNewStates(pool, output, made);
      used |= pool[output].states;
    }
    for (size_t i = 0; i < made.size(); ++i)
      result.states[i].isDefined = made[i] && !(used & stateBit(static_cast<int>(i)));
  }

  /// Records the reads in an expression; a state that is used whole is read over nothing.
  void collect(Expr e) {
    if (!pool[e].states || contains(collected, e))
      return;
    collected.push_back(e);
    for (const Term &term : expand(pool, e)) {
      collect(term.coefficient);
      if (term.kind == AtomKind::State || term.kind == AtomKind::Read) {
        ReadParts parts = partsOf(pool, term.atom);
        if (std::none_of(result.reads.begin(), result.reads.end(),
                         [&](const Read &read) { return read.expr == term.atom; }))
          result.reads.push_back({term.atom, parts.state, parts.isNew, parts.over, parts.vector});
        collect(parts.vector);
      } else if (term.kind != AtomKind::None) {
        for (Expr argument : std::vector<Expr>(pool[term.atom].arguments))
          collect(argument);
      }
    }
  }

  void findRoles(size_t i) {
    StateClass &state = result.states[i];
    for (const Read &read : result.reads) {
      // A state that only another of its group reads (a momentum) has that one's roles.
      if (result.groupOf[read.state] != result.groupOf[i])
        continue;
      state.key |= read.over & state.axes;
      state.head |= pool[read.vector].axes & state.axes;
    }
    // Axes that a key-side factor of an update carries join the head; see separate().
    state.head &= ~state.key;
    state.value = state.axes & ~state.key & ~state.head;
  }

  /// max(S + g, e, ...) with g and e of no state of the group.
  bool isRunningMaximum(const StateGroup &group, Expr e, Expr state, bool &holdsState) {
    const Node &node = pool[e];
    if (!(node.states & group.own))
      return true;
    if (node.kind == Kind::Function && node.name == "max")
      return isRunningMaximum(group, node.arguments[0], state, holdsState) &&
             isRunningMaximum(group, node.arguments[1], state, holdsState);
    for (Expr term : pool.terms(e))
      if (pool[term].states & group.own && term != state)
        return false;
    return holdsState = true;
  }

  void classifyGroup(StateGroup &group) {
    size_t m = group.states.size();
    int first = group.states[0];
    if (bool holdsState = false;
        m == 1 && pool[body.next[first]].kind == Kind::Function &&
        isRunningMaximum(group, body.next[first], pool.state(first, body.axes[first]),
                         holdsState) &&
        holdsState) {
      group.matrix = {{pool.constant(1)}};
      result.states[first].decay = {DecayKind::Maximum, 0, pool.constant(1), false};
      refuse(
          first,
          "it is a running maximum, no sum of updates: one pass over few numbers, token by token");
      return;
    }
    group.matrix.assign(m, std::vector<Expr>(m, pool.constant(0)));
    for (size_t row = 0; row < m; ++row) {
      int i = group.states[row];
      StateClass &state = result.states[i];
      std::vector<Expr> products;
      for (const Term &term : next[i]) {
        if (term.kind == AtomKind::State) {
          size_t column =
              std::find(group.states.begin(), group.states.end(), pool[term.atom].index) -
              group.states.begin();
          group.matrix[row][column] = term.coefficient;
          group.isMatrix |= column != row;
          continue;
        }
        Expr product = termExpr(pool, term);
        if (term.kind == AtomKind::Opaque) {
          // What else there is to say of the state matters less.
          if (state.isAffine)
            state.refusal = "the term " + text(product) + " is not affine in the states";
          result.isAffine = state.isAffine = false;
          continue;
        }
        if (term.kind != AtomKind::None && !contains(state.ownReads, term.atom)) {
          state.ownReads.push_back(term.atom);
          addUnknown(group, term.atom);
        }
        for (int read : statesOf(product)) {
          if (!contains(state.readsStates, read))
            state.readsStates.push_back(read);
          state.isDelta |= read == i;
        }
        products.push_back(product);
      }
      for (Expr product : products)
        separate(i, product);
      mergeUpdates(state);
    }
    std::sort(group.unknowns.begin(), group.unknowns.end()); // by id: definitions come first
    checkUnknowns(group);
    for (size_t row = 0; row < m; ++row)
      classifyDecay(group, row);
    group.isComplex = m == 2 && group.isMatrix && group.matrix[0][0] == group.matrix[1][1] &&
                      group.matrix[0][1] == pool.neg(group.matrix[1][0]);
  }

  /// An answer's reads that are unknowns for themselves are found by whoever depends on them.
  void addUnknown(StateGroup &group, Expr atom) {
    if (contains(group.unknowns, atom))
      return;
    group.unknowns.push_back(atom);
    if (pool[atom].kind != Kind::Answer)
      return;
    for (const Term &term : expand(pool, pool[atom].arguments[0], group.own))
      if (term.kind == AtomKind::Answer)
        addUnknown(group, term.atom);
  }

  /// Unknowns of one index of the axes that they have must not meet those of another.
  void checkUnknowns(const StateGroup &group) {
    AxisSet axes = 0, over = 0;
    auto addOver = [&](auto &self, Expr atom) -> void {
      if (pool[atom].kind != Kind::Answer) {
        over |= partsOf(pool, atom).over;
        return;
      }
      for (const Term &term : expand(pool, pool[atom].arguments[0], group.own))
        if (term.kind == AtomKind::Read)
          self(self, term.atom);
        else if (term.kind == AtomKind::Opaque)
          over = ~AxisSet(0);
    };
    for (Expr unknown : group.unknowns) {
      axes |= pool[unknown].axes;
      addOver(addOver, unknown);
    }
    if (AxisSet both = axes & over)
      for (int i : group.states)
        if (!result.states[i].ownReads.empty())
          refuse(i, "its updates read it over " + pool.print(both) +
                        " and use what it answers along that axis");
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
  void separate(int i, Expr product) {
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

  void classifyDecay(const StateGroup &group, size_t row) {
    StateClass &state = result.states[group.states[row]];
    Decay &decay = state.decay;
    decay.value = group.matrix[row][row];
    decay.isConstant = true;
    bool isRow = false;
    for (size_t column = 0; column < group.states.size(); ++column) {
      Expr entry = group.matrix[row][column];
      decay.axes |= pool[entry].axes & state.axes;
      decay.isConstant &= !pool[entry].perToken;
      isRow |= column != row && !pool.isConstant(entry, 0);
    }
    // A decay over some of the value axes makes heads of them; one over all of them is a decay per
    // value channel.
    if (state.key && state.value & ~decay.axes)
      state.head |= state.value & decay.axes;
    state.value &= ~state.head;
    bool isElementwise = state.key == 0 && decay.axes == state.axes;
    bool overKey = decay.axes & state.key || isElementwise;
    bool overValue = decay.axes & state.value || isElementwise;
    decay.kind = isRow                             ? DecayKind::Matrix
                 : pool.isConstant(decay.value, 0) ? DecayKind::Forgets
                 : pool.isConstant(decay.value, 1) ? DecayKind::None
                 : overKey && overValue            ? DecayKind::Elementwise
                 : overKey                         ? DecayKind::PerKey
                 : overValue                       ? DecayKind::PerValue
                                                   : DecayKind::PerHead;
  }

  Body &body;
  Pool &pool;
  TransitionClass result;
  std::vector<std::vector<Term>> next;
  std::vector<Expr> made; // the next value of a state that does not hold itself, else 0
  std::vector<Expr> collected;
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
  case DecayKind::Matrix:
    return "matrix of decays";
  case DecayKind::Maximum:
    return "running maximum";
  }
  return "";
}

/// The class in the words of the literature.
static std::string inWords(const TransitionClass &transition, int index, const Pool &pool) {
  const StateClass &state = transition.states[index];
  const StateGroup &group = transition.groups[transition.groupOf[index]];
  bool isDecay = state.decay.kind != DecayKind::None && state.decay.kind != DecayKind::Forgets;
  std::string text = isDecay && state.decay.isConstant ? "static " : "";
  switch (state.decay.kind) {
  case DecayKind::None:
    text += "identity";
    break;
  case DecayKind::Forgets:
    text += "made anew by each token";
    break;
  case DecayKind::Maximum:
    text += "running maximum";
    break;
  case DecayKind::PerHead:
    text += "scalar decay";
    break;
  case DecayKind::PerKey:
  case DecayKind::PerValue:
  case DecayKind::Elementwise:
    text += "diagonal decay";
    break;
  case DecayKind::Matrix: {
    std::string names;
    for (int other : group.states)
      names += (names.empty() ? "" : ", ") + transition.states[other].name;
    text += (group.isComplex ? "complex pair (" : "small matrix over (") + names + ")";
    break;
  }
  }
  size_t rank = state.ownReads.size();
  bool inSteps = std::any_of(state.ownReads.begin(), state.ownReads.end(),
                             [&](Expr read) { return pool[read].kind == Kind::Answer; });
  if (rank && inSteps)
    text += " + product of " + std::to_string(rank) + " rank-1";
  else if (rank)
    text += " + rank-" + std::to_string(rank);
  return text;
}

std::string TransitionClass::print(const Pool &pool) const {
  std::string text;
  for (const StateClass &state : states) {
    int index = static_cast<int>(&state - states.data());
    text += (text.empty() ? "" : "; ") + state.name + pool.print(state.axes) + ": " +
            (state.decay.kind == DecayKind::Elementwise && !state.key
                 ? "decay per channel"
                 : algebra::print(state.decay.kind));
    if (state.decay.axes)
      text += " " + pool.print(state.decay.axes);
    if (state.decay.isConstant && state.decay.kind != DecayKind::None &&
        state.decay.kind != DecayKind::Forgets)
      text += ", constant in time";
    if (state.decay.kind == DecayKind::Maximum)
      continue;
    text += ", rank " + std::to_string(state.updates.size());
    if (state.isDelta)
      text += " that reads the state (delta rule)";
    for (int other : state.readsStates)
      if (other != index)
        text += " that reads " + states[other].name;
    bool before = false, after = false, whole = false;
    for (const Read &read : reads)
      if (read.state == index) {
        (read.isNew ? after : before) |= read.over != 0;
        whole |= read.over == 0;
      }
    if (before || after)
      text += ", read over " + pool.print(state.key) +
              (before && after ? " before and after"
               : before        ? " before"
                               : " after");
    if (whole)
      text += ", read whole";
    if (isAffine)
      text += ", that is " + inWords(*this, index, pool);
  }
  if (group)
    text += "; groups of " + std::to_string(group) + " share a first state";
  return isAffine ? text : text + "; not affine";
}

} // namespace rondo::algebra

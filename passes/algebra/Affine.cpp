//===- Affine.cpp - An expression as an affine function of the states -----===//

#include "passes/algebra/Affine.h"

#include <algorithm>
#include <cstddef>

namespace rondo::algebra {

static bool isState(const Node &node) {
  return node.kind == Kind::State || node.kind == Kind::NewState;
}

bool Expander::isOwnState(Expr e) const { return isState(pool[e]) && depends(e); }

/// A sum over a product with a state in it. Its other factors do not depend on the states in
/// question; where those are all states, they may (and are computed first).
bool Expander::isRead(Expr e) const {
  const Node &node = pool[e];
  if (node.kind != Kind::Sum)
    return false;
  int states = 0;
  for (Expr factor : pool.factors(node.arguments[0])) {
    if (isOwnState(factor))
      ++states;
    else if (depends(factor) && own != allStates)
      return false;
  }
  return states == 1 || (states && own == allStates);
}

AtomKind Expander::kindOf(Expr atom) const {
  return isState(pool[atom])               ? AtomKind::State
         : isRead(atom)                    ? AtomKind::Read
         : pool[atom].kind == Kind::Answer ? AtomKind::Answer
                                           : AtomKind::Opaque;
}

/// Splits a product into its state-free part and the factors that depend on states.
void Expander::split(Expr e, Expr &coefficient, std::vector<Expr> &dependent) {
  std::vector<Expr> free;
  for (Expr factor : pool.factors(e))
    (depends(factor) ? dependent : free).push_back(factor);
  coefficient = pool.mul(std::move(free));
}

void Expander::addTerm(std::vector<Term> &terms, Expr product) {
  Expr coefficient;
  std::vector<Expr> dependent;
  split(product, coefficient, dependent);
  if (pool.isConstant(coefficient, 0))
    return;
  if (dependent.empty()) {
    terms.push_back({coefficient});
    return;
  }
  Expr atom = pool.mul(std::move(dependent));
  terms.push_back({coefficient, atom, kindOf(atom)});
}

/// A state may be read with what other states answered, f(y) * (W0 - S'): the factor that holds it
/// is multiplied out. Not where the rest of the product takes that state whole anyway.
std::vector<Term> Expander::expandSummand(Expr e) {
  std::vector<Expr> factors = pool.factors(e);
  for (size_t i = 0; own == allStates && i < factors.size(); ++i) {
    if (pool[factors[i]].kind != Kind::Add)
      continue;
    std::vector<Expr> rest = factors;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
    StateSet elsewhere = 0;
    for (Expr factor : rest)
      elsewhere |= pool[factor].states;
    std::vector<Term> terms = expand(factors[i]);
    if (!elsewhere || std::none_of(terms.begin(), terms.end(), [&](const Term &term) {
          return term.kind == AtomKind::State && !(pool[term.atom].states & elsewhere);
        }))
      continue;
    for (Term &term : terms) {
      rest.push_back(termExpr(pool, term));
      term = {pool.constant(1), pool.mul(rest),
              term.kind == AtomKind::State ? AtomKind::State : AtomKind::Opaque};
      rest.pop_back();
    }
    return terms;
  }
  return expand(e);
}

/// The summand is a product; what it holds is expanded first, then each term is summed on its own.
/// Where nothing need be affine (all states are in question), what a read answers is summed as it
/// is: a mean over value channels reads the state no other way than the channels do.
void Expander::expandSum(Expr e, std::vector<Term> &terms) {
  const Node node = pool[e]; // a copy: the pool grows below
  bool ofState = false, ofAnswers = false;
  std::vector<Term> summed;
  for (const Term &term : expandSummand(node.arguments[0])) {
    ofState |= term.kind == AtomKind::State;
    if (own == allStates && term.kind == AtomKind::Read && pool[term.atom].axes & node.summed) {
      Expr read = pool.answer(term.atom);
      addTerm(summed, pool.sum(node.summed, pool.mul({term.coefficient, read})));
      continue;
    }
    ofAnswers |= term.kind == AtomKind::Read || term.kind == AtomKind::Answer;
    addTerm(summed, pool.sum(node.summed, termExpr(pool, term)));
  }
  if (ofState && ofAnswers) {
    std::vector<Expr> parts;
    for (const Term &term : collected(std::move(summed)))
      parts.push_back(termExpr(pool, term));
    summed.clear();
    addTerm(summed, parts.size() == 1 ? parts[0] : pool.answer(pool.add(parts)));
  }
  terms.insert(terms.end(), summed.begin(), summed.end());
}

void Expander::expandInto(Expr e, std::vector<Term> &terms) {
  const Node node = pool[e]; // a copy: the pool grows below
  if (!depends(e) || isState(node)) {
    addTerm(terms, e);
    return;
  }
  if (node.kind == Kind::Add) {
    for (Expr argument : node.arguments)
      expandInto(argument, terms);
    return;
  }
  if (node.kind == Kind::Mul) {
    Expr coefficient;
    std::vector<Expr> dependent;
    split(e, coefficient, dependent);
    if (dependent.size() != 1) {
      addTerm(terms, e);
      return;
    }
    for (const Term &term : expand(dependent[0]))
      addTerm(terms, pool.mul({coefficient, termExpr(pool, term)}));
    return;
  }
  if (node.kind == Kind::Sum)
    return expandSum(e, terms);
  if (node.kind == Kind::Function && node.name == "select" && !depends(node.arguments[0])) {
    Expr chosen = pool.function("indicator", {node.arguments[0]});
    expandInto(pool.mul({chosen, node.arguments[1]}), terms);
    expandInto(pool.mul({pool.sub(pool.constant(1), chosen), node.arguments[2]}), terms);
    return;
  }
  addTerm(terms, e);
}

/// Reads of one state over the same axes with the same coefficient are one read with the sum of
/// their vectors.
void Expander::mergeReads(std::vector<Term> &terms) {
  for (size_t i = 0; i < terms.size(); ++i) {
    if (terms[i].kind != AtomKind::Read)
      continue;
    for (size_t j = terms.size(); --j > i;) {
      if (terms[j].kind != AtomKind::Read || terms[j].coefficient != terms[i].coefficient)
        continue;
      ReadParts a = partsOf(pool, terms[i].atom), b = partsOf(pool, terms[j].atom);
      if (a.state != b.state || a.isNew != b.isNew || a.over != b.over ||
          pool[a.vector].axes != pool[b.vector].axes)
        continue;
      std::vector<Expr> factors = pool.factors(pool[terms[i].atom].arguments[0]);
      Expr state =
          *std::find_if(factors.begin(), factors.end(), [&](Expr f) { return isOwnState(f); });
      Expr merged = pool.sum(a.over, pool.mul({pool.add({a.vector, b.vector}), state}));
      terms[i].atom = merged;
      terms.erase(terms.begin() + j);
    }
  }
}

std::vector<Term> Expander::collected(std::vector<Term> all) {
  std::vector<Term> terms;
  for (const Term &term : all) {
    auto same = std::find_if(terms.begin(), terms.end(), [&](const Term &other) {
      return term.atom && other.atom == term.atom;
    });
    if (same == terms.end())
      terms.push_back(term);
    else
      same->coefficient = pool.add({same->coefficient, term.coefficient});
  }
  std::erase_if(terms, [&](const Term &term) { return pool.isConstant(term.coefficient, 0); });
  mergeReads(terms);
  return terms;
}

std::vector<Term> Expander::expand(Expr e) {
  if (auto it = known.find(e); it != known.end())
    return it->second;
  std::vector<Term> all;
  expandInto(e, all);
  return known[e] = collected(std::move(all));
}

std::vector<Term> expand(Pool &pool, Expr e, StateSet own) { return Expander(pool, own).expand(e); }

Expr termExpr(Pool &pool, const Term &term) {
  return term.atom ? pool.mul({term.coefficient, term.atom}) : term.coefficient;
}

ReadParts partsOf(Pool &pool, Expr read) {
  const Node node = pool[read];
  if (isState(node))
    return {node.index, node.kind == Kind::NewState, 0, pool.constant(1)};
  ReadParts parts{-1, false, node.summed, 0};
  std::vector<Expr> vector;
  for (Expr factor : pool.factors(node.arguments[0])) {
    if (isState(pool[factor]) && parts.state < 0) {
      parts.state = pool[factor].index;
      parts.isNew = pool[factor].kind == Kind::NewState;
    } else {
      vector.push_back(factor);
    }
  }
  parts.vector = pool.mul(std::move(vector)); // the constant 1 for a plain sum of the state
  return parts;
}

namespace {
struct Substitution {
  Pool &pool;
  const std::vector<Expr> &next;
  std::map<Expr, Expr> known = {};

  Expr of(Expr e) {
    if (auto it = known.find(e); it != known.end())
      return it->second;
    Expr result = rebuild(e);
    return known[e] = result;
  }

  Expr rebuild(Expr e) {
    const Node node = pool[e]; // a copy: the pool grows below
    if (node.kind == Kind::NewState && next[node.index])
      return of(next[node.index]);
    if (!node.states || node.arguments.empty())
      return e;
    std::vector<Expr> arguments;
    for (Expr argument : node.arguments)
      arguments.push_back(of(argument));
    if (arguments == node.arguments)
      return e;
    switch (node.kind) {
    case Kind::Add:
      return pool.add(arguments);
    case Kind::Mul:
      return pool.mul(arguments);
    case Kind::Function:
      return pool.function(node.name, arguments);
    case Kind::Sum:
      return pool.sum(node.summed, arguments[0]);
    case Kind::Answer:
      return pool.answer(arguments[0]);
    default:
      return pool.foreign(node.index, arguments, node.axes);
    }
  }
};
} // namespace

Expr withNewStates(Pool &pool, Expr e, const std::vector<Expr> &next) {
  return Substitution{pool, next}.of(e);
}

} // namespace rondo::algebra

//===- Affine.cpp - An expression as an affine function of the states -----===//

#include "passes/algebra/Affine.h"

#include <algorithm>

namespace rondo::algebra {

namespace {

bool isState(const Node &node) { return node.kind == Kind::State || node.kind == Kind::NewState; }

/// A sum over a product in which exactly one factor depends on a state, and that factor is a state.
bool isRead(const Pool &pool, Expr e) {
  const Node &node = pool[e];
  if (node.kind != Kind::Sum)
    return false;
  int states = 0;
  for (Expr factor : pool.factors(node.arguments[0])) {
    if (isState(pool[factor]))
      ++states;
    else if (pool[factor].readsState)
      return false;
  }
  return states == 1;
}

AtomKind kindOf(const Pool &pool, Expr atom) {
  return isState(pool[atom])  ? AtomKind::State
         : isRead(pool, atom) ? AtomKind::Read
                              : AtomKind::Opaque;
}

/// Splits a product into its state-free part and the factors that depend on states.
void split(Pool &pool, Expr e, Expr &coefficient, std::vector<Expr> &dependent) {
  std::vector<Expr> free;
  for (Expr factor : pool.factors(e))
    (pool[factor].readsState ? dependent : free).push_back(factor);
  coefficient = pool.mul(std::move(free));
}

void addTerm(Pool &pool, std::vector<Term> &terms, Expr product) {
  Expr coefficient;
  std::vector<Expr> dependent;
  split(pool, product, coefficient, dependent);
  if (pool.isConstant(coefficient, 0))
    return;
  if (dependent.empty()) {
    terms.push_back({coefficient});
    return;
  }
  Expr atom = pool.mul(std::move(dependent));
  terms.push_back({coefficient, atom, kindOf(pool, atom)});
}

void expandInto(Pool &pool, Expr e, std::vector<Term> &terms) {
  const Node node = pool[e]; // a copy: the pool grows below
  if (!node.readsState || isState(node)) {
    addTerm(pool, terms, e);
    return;
  }
  if (node.kind == Kind::Add) {
    for (Expr argument : node.arguments)
      expandInto(pool, argument, terms);
    return;
  }
  if (node.kind == Kind::Mul) {
    Expr coefficient;
    std::vector<Expr> dependent;
    split(pool, e, coefficient, dependent);
    if (dependent.size() != 1) {
      addTerm(pool, terms, e);
      return;
    }
    for (const Term &term : expand(pool, dependent[0]))
      addTerm(pool, terms, pool.mul({coefficient, termExpr(pool, term)}));
    return;
  }
  if (node.kind == Kind::Sum) {
    // The summand is a product; what it holds is expanded first, then each term is summed on its
    // own.
    std::vector<Term> inner = expand(pool, node.arguments[0]);
    for (const Term &term : inner)
      addTerm(pool, terms, pool.sum(node.summed, termExpr(pool, term)));
    return;
  }
  if (node.kind == Kind::Function && node.name == "select" && !pool[node.arguments[0]].readsState) {
    Expr chosen = pool.function("indicator", {node.arguments[0]});
    expandInto(pool, pool.mul({chosen, node.arguments[1]}), terms);
    expandInto(pool, pool.mul({pool.sub(pool.constant(1), chosen), node.arguments[2]}), terms);
    return;
  }
  addTerm(pool, terms, e);
}

/// Reads of one state over the same axes with the same coefficient are one read with the sum of
/// their vectors.
void mergeReads(Pool &pool, std::vector<Term> &terms) {
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
          *std::find_if(factors.begin(), factors.end(), [&](Expr f) { return isState(pool[f]); });
      Expr merged = pool.sum(a.over, pool.mul({pool.add({a.vector, b.vector}), state}));
      terms[i].atom = merged;
      terms.erase(terms.begin() + j);
    }
  }
}

} // namespace

Expr termExpr(Pool &pool, const Term &term) {
  return term.atom ? pool.mul({term.coefficient, term.atom}) : term.coefficient;
}

ReadParts partsOf(Pool &pool, Expr read) {
  const Node node = pool[read];
  ReadParts parts{-1, false, node.summed, 0};
  std::vector<Expr> vector;
  for (Expr factor : pool.factors(node.arguments[0])) {
    if (isState(pool[factor])) {
      parts.state = pool[factor].index;
      parts.isNew = pool[factor].kind == Kind::NewState;
    } else {
      vector.push_back(factor);
    }
  }
  parts.vector = pool.mul(std::move(vector)); // the constant 1 for a plain sum of the state
  return parts;
}

std::vector<Term> expand(Pool &pool, Expr e) {
  std::vector<Term> all;
  expandInto(pool, e, all);
  // Collect by atom.
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
  mergeReads(pool, terms);
  return terms;
}

} // namespace rondo::algebra

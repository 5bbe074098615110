//===- Logarithm.cpp - The logarithm of a decay, by structure -------------===//

#include "passes/algebra/Logarithm.h"

#include <algorithm>
#include <cmath>

namespace rondo::algebra {

static Expr softplus(Pool &pool, Expr e) { return pool.function("softplus", {e}); }

static Expr throughDefinitions(const Pool &pool, Expr e) {
  while (pool[e].kind == Kind::Leaf && pool.leafInfo(pool[e].index).definition)
    e = pool.leafInfo(pool[e].index).definition;
  return e;
}

/// The factors that all terms share.
static std::vector<Expr> commonFactors(const Pool &pool, const std::vector<Expr> &terms) {
  std::vector<Expr> common = pool.factors(terms[0]);
  std::erase_if(common, [&](Expr e) { return pool[e].kind == Kind::Constant; });
  for (Expr term : terms) {
    std::vector<Expr> factors = pool.factors(term), kept;
    for (Expr factor : common)
      if (auto it = std::find(factors.begin(), factors.end(), factor); it != factors.end()) {
        kept.push_back(factor);
        factors.erase(it);
      }
    common = kept;
  }
  return common;
}

static Expr without(Pool &pool, Expr term, const std::vector<Expr> &removed) {
  std::vector<Expr> factors = pool.factors(term);
  for (Expr factor : removed)
    factors.erase(std::find(factors.begin(), factors.end(), factor));
  return pool.mul(std::move(factors));
}

static Expr logarithmOfSum(Pool &pool, Expr e) {
  std::vector<Expr> terms = pool.terms(e);
  if (std::vector<Expr> common = commonFactors(pool, terms); !common.empty()) {
    Expr factor = logarithm(pool, pool.mul(common));
    for (Expr &term : terms)
      term = without(pool, term, common);
    Expr rest = factor ? logarithm(pool, pool.add(terms)) : 0;
    return rest ? pool.add({factor, rest}) : 0;
  }
  // 1 - sigmoid(x)
  if (terms.size() == 2)
    for (int i : {0, 1}) {
      if (!pool.isConstant(terms[i], 1))
        continue;
      Expr other = throughDefinitions(pool, pool.neg(terms[1 - i]));
      if (pool[other].kind == Kind::Function && pool[other].name == "sigmoid")
        return pool.neg(softplus(pool, pool[other].arguments[0]));
    }
  Expr total = 0;
  for (Expr term : terms) {
    Expr log = logarithm(pool, term);
    if (!log)
      return 0;
    total = total ? pool.add({total, softplus(pool, pool.sub(log, total))}) : log;
  }
  return total;
}

Expr logarithm(Pool &pool, Expr e) {
  e = throughDefinitions(pool, e);
  const Node node = pool[e];
  if (node.readsState)
    return 0;
  switch (node.kind) {
  case Kind::Constant:
    return node.value > 0 ? pool.constant(std::log(node.value)) : 0;
  case Kind::Mul: {
    std::vector<Expr> logs;
    for (Expr factor : node.arguments) {
      logs.push_back(logarithm(pool, factor));
      if (!logs.back())
        return 0;
    }
    return pool.add(logs);
  }
  case Kind::Add:
    return logarithmOfSum(pool, e);
  case Kind::Function: {
    Expr argument = node.arguments[0];
    if (node.name == "exp")
      return argument;
    if (node.name == "sigmoid")
      return pool.neg(softplus(pool, pool.neg(argument)));
    if (node.name == "reciprocal" || node.name == "sqrt") {
      Expr log = logarithm(pool, argument);
      return log ? pool.mul({pool.constant(node.name == "sqrt" ? 0.5 : -1), log}) : 0;
    }
    return 0;
  }
  default:
    return 0;
  }
}

} // namespace rondo::algebra

//===- Logarithm.cpp - The logarithm of a decay, by structure -------------===//

#include "passes/algebra/Logarithm.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace rondo::algebra {

static Expr softplus(Pool &pool, Expr e) { return pool.function("softplus", {e}); }

static Expr throughDefinitions(const Pool &pool, Expr e) {
  while (pool[e].kind == Kind::Leaf && pool.leafInfo(pool[e].index).definition)
    e = pool.leafInfo(pool[e].index).definition;
  return e;
}

Bounds boundsOf(const Pool &pool, Expr e) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr Bounds unknown{-infinity, infinity};
  e = throughDefinitions(pool, e);
  const Node &node = pool[e];
  auto of = [&](size_t i) { return boundsOf(pool, node.arguments[i]); };
  auto hull = [](std::initializer_list<double> values) {
    return Bounds{std::min(values), std::max(values)};
  };
  // 0 * infinity is 0 here: the bound is never reached.
  auto times = [](double a, double b) { return a == 0 || b == 0 ? 0 : a * b; };
  switch (node.kind) {
  case Kind::Constant:
    return {node.value, node.value};
  case Kind::Leaf:
    return {pool.leafInfo(node.index).least, pool.leafInfo(node.index).most};
  case Kind::Add: {
    Bounds total{0, 0};
    for (size_t i = 0; i < node.arguments.size(); ++i)
      total = {total.least + of(i).least, total.most + of(i).most};
    return total;
  }
  case Kind::Mul: {
    Bounds total{1, 1};
    for (size_t i = 0; i < node.arguments.size(); ++i) {
      Bounds b = of(i);
      total = hull({times(total.least, b.least), times(total.least, b.most),
                    times(total.most, b.least), times(total.most, b.most)});
    }
    return total;
  }
  case Kind::Function:
    break;
  default:
    return unknown;
  }
  const std::string &name = node.name;
  if (name == "sigmoid" || name == "indicator")
    return {0, 1};
  if (name == "tanh" || name == "sin" || name == "cos" || name == "erf")
    return {-1, 1};
  if (name == "softplus" || name == "abs")
    return {0, infinity};
  if (name == "exp")
    return {std::exp(of(0).least), std::exp(of(0).most)};
  if (name == "sqrt")
    return {std::sqrt(std::max(0.0, of(0).least)), std::sqrt(std::max(0.0, of(0).most))};
  if (name == "reciprocal" && of(0).least > 0)
    return {1 / of(0).most, 1 / of(0).least};
  if (name == "max")
    return {std::max(of(0).least, of(1).least), std::max(of(0).most, of(1).most)};
  if (name == "min")
    return {std::min(of(0).least, of(1).least), std::min(of(0).most, of(1).most)};
  if (name == "pow" && of(0).least > 0 && of(0).least == of(0).most) {
    double rate = std::log(of(0).least);
    return hull({std::exp(times(rate, of(1).least)), std::exp(times(rate, of(1).most))});
  }
  return unknown;
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

static Expr logarithmByStructure(Pool &pool, Expr e) {
  e = throughDefinitions(pool, e);
  const Node node = pool[e];
  switch (node.kind) {
  case Kind::Constant:
    return node.value == 1 ? pool.constant(0) : node.value > 0 ? pool.function("log", {e}) : 0;
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
    if (node.name == "pow") {
      Expr log = logarithm(pool, argument);
      return log ? pool.mul({node.arguments[1], log}) : 0;
    }
    return 0;
  }
  default:
    return 0;
  }
}

Expr logarithm(Pool &pool, Expr e) {
  if (Expr log = logarithmByStructure(pool, e))
    return log;
  return boundsOf(pool, e).least >= leastDecay ? pool.function("log", {e}) : 0;
}

} // namespace rondo::algebra

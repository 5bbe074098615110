//===- Evaluate.h - What an expression of the algebra is worth -*- C++ -*-===//
//
// The slow, obvious meaning of expressions, for the property tests: every leaf has a fixed
// pseudo-random value at every index, states are given, and an expression is computed at one index
// at a time.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/algebra/Expr.h"

#include <array>
#include <cmath>
#include <functional>
#include <stdexcept>

namespace rondo::algebra {

using Index = std::array<int, 8>; // by axis

class Evaluator {
public:
  explicit Evaluator(const Pool &pool, unsigned seed) : pool(pool), seed(seed) {}

  double at(Expr e, const Index &index) const {
    const Node &node = pool[e];
    auto argument = [&](size_t i) { return at(node.arguments[i], index); };
    switch (node.kind) {
    case Kind::Constant:
      return node.value;
    case Kind::Leaf:
      return random(node.index, node.axes, index);
    case Kind::State:
      return random(1000 + node.index, node.axes, index);
    case Kind::NewState:
      return random(2000 + node.index, node.axes, index);
    case Kind::Add: {
      double sum = 0;
      for (size_t i = 0; i < node.arguments.size(); ++i)
        sum += argument(i);
      return sum;
    }
    case Kind::Mul: {
      double product = 1;
      for (size_t i = 0; i < node.arguments.size(); ++i)
        product *= argument(i);
      return product;
    }
    case Kind::Sum:
      return sum(node.arguments[0], node.summed, index);
    case Kind::Function:
      return apply(node.name, node, index);
    case Kind::Answer:
      return argument(0);
    case Kind::Foreign:
      break;
    }
    throw std::logic_error("an op that the algebra does not know has no value");
  }

  /// Calls f for every index over the axes.
  void forEach(AxisSet axes, const std::function<void(const Index &)> &f) const {
    Index index{};
    walk(axes, 0, index, f);
  }

private:
  double sum(Expr e, AxisSet over, Index index) const {
    double total = 0;
    walk(over, 0, index, [&](const Index &i) { total += at(e, i); });
    return total;
  }

  void walk(AxisSet axes, unsigned axis, Index &index,
            const std::function<void(const Index &)> &f) const {
    while (axis < index.size() && !(axes >> axis & 1))
      ++axis;
    if (axis == index.size()) {
      f(index);
      return;
    }
    int before = index[axis];
    for (int i = 0; i < pool.axisExtent(axis); ++i) {
      index[axis] = i;
      walk(axes, axis + 1, index, f);
    }
    index[axis] = before;
  }

  double apply(const std::string &name, const Node &node, const Index &index) const {
    double x = at(node.arguments[0], index);
    if (name == "exp")
      return std::exp(x);
    if (name == "log")
      return std::log(x);
    if (name == "sigmoid")
      return 1 / (1 + std::exp(-x));
    if (name == "softplus")
      return std::log1p(std::exp(x));
    if (name == "tanh")
      return std::tanh(x);
    if (name == "reciprocal")
      return 1 / x;
    if (name == "sqrt")
      return std::sqrt(x);
    if (name == "pow")
      return std::pow(x, at(node.arguments[1], index));
    if (name == "indicator")
      return x > 0;
    if (name == "select")
      return x > 0 ? at(node.arguments[1], index) : at(node.arguments[2], index);
    throw std::logic_error("no value for function " + name);
  }

  /// In (-1, 1), a function of what is asked for.
  double random(int what, AxisSet axes, const Index &index) const {
    uint64_t hash = seed * 0x9e3779b97f4a7c15ull + what;
    for (unsigned i = 0; i < index.size(); ++i)
      if (axes >> i & 1)
        hash = (hash ^ (index[i] + 1)) * 0xbf58476d1ce4e5b9ull + i;
    hash ^= hash >> 31;
    hash *= 0x94d049bb133111ebull;
    hash ^= hash >> 29;
    return static_cast<double>(hash >> 11) / static_cast<double>(1ull << 52) - 1;
  }

  const Pool &pool;
  uint64_t seed;
};

} // namespace rondo::algebra

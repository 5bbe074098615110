//===- Stabilise.cpp - Exponential gates with a running maximum -----------===//

#include "passes/algebra/Stabilise.h"

#include "passes/algebra/Affine.h"
#include "passes/algebra/Logarithm.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

namespace rondo::algebra {

namespace {

/// mantissa * exp(scale); scale 0: no factor was taken out.
struct Scaled {
  Expr mantissa;
  Expr scale = 0;
  bool lost = false; // some factor in it, unbounded, was multiplied in again
};

class Stabiliser {
public:
  explicit Stabiliser(Body &body) : body(body), pool(body.pool), scaleOf(body.next.size(), -1) {}

  Stabilised run() {
    findGates();
    if (result.scales.empty())
      return std::move(result);
    if (body.group) // the group's first states are values of their own, with scales of their own
      return refused("its tokens share a first state by groups");
    for (size_t i = 0; i < scaleOf.size(); ++i)
      if (scaleOf[i] >= 0 && !nextOfScaled(i))
        return refused("the exponentials of '" + body.names[i] +
                       "' differ from those of the states that it shares a decay with");
    bool gains = false;
    for (size_t i = 0; i < scaleOf.size(); ++i)
      if (scaleOf[i] < 0)
        next[i] = rewritten(body.next[i], gains);
    for (Expr output : body.outputs)
      result.outputs.push_back(rewritten(output, gains));
    if (!gains)
      return refused("no result divides it out again, so that it is as large as its exponentials");
    for (size_t i = 0; i < scaleOf.size(); ++i)
      result.next.push_back(next[i]);
    return std::move(result);
  }

private:
  Stabilised refused(const std::string &why) {
    Stabilised none;
    none.why = why;
    return none;
  }

  Expr before(int scale) {
    return pool.state(static_cast<int>(body.next.size()) + scale, result.scales[scale].axes);
  }
  Expr after(int scale) {
    return pool.newState(static_cast<int>(body.next.size()) + scale, result.scales[scale].axes);
  }

  Expr exp(Expr e) { return pool.function("exp", {e}); }

  //===--------------------------------------------------------------------===//
  // Which states
  //===--------------------------------------------------------------------===//

  bool holds(Expr e, int state) {
    const Node &node = pool[e];
    if (!node.states)
      return false;
    if (node.kind == Kind::State || node.kind == Kind::NewState)
      return node.index == state;
    return std::any_of(node.arguments.begin(), node.arguments.end(),
                       [&](Expr argument) { return holds(argument, state); });
  }

  /// The axes over which an expression sums the state.
  AxisSet summed(Expr e, int state) {
    const Node &node = pool[e];
    AxisSet axes = 0;
    if (!holds(e, state))
      return axes;
    if (node.kind == Kind::Sum)
      axes |= node.summed;
    for (Expr argument : node.arguments)
      axes |= summed(argument, state);
    return axes;
  }

  /// A term of a state's next value.
  struct Part {
    Expr whole;
    Expr coefficient = 0; // of the state itself, where the term is one of those
  };

  /// The terms; coefficients may depend on other states.
  std::vector<Part> partsOf(size_t i) {
    std::vector<Part> parts;
    for (const Term &term : expand(pool, body.next[i])) {
      Part part{termExpr(pool, term)};
      std::vector<Expr> rest = pool.factors(part.whole);
      auto own = std::find_if(rest.begin(), rest.end(), [&](Expr factor) {
        return pool[factor].kind == Kind::State && pool[factor].index == static_cast<int>(i);
      });
      if (own != rest.end()) {
        rest.erase(own);
        if (std::none_of(rest.begin(), rest.end(),
                         [&](Expr factor) { return holds(factor, static_cast<int>(i)); }))
          part.coefficient = pool.mul(rest);
      }
      parts.push_back(part);
    }
    return parts;
  }

  /// Finds the states that gain an unbounded exponential, and which of them share a maximum.
  void findGates() {
    std::map<std::pair<Expr, std::set<Expr>>, int> known;
    next.resize(body.next.size());
    for (size_t i = 0; i < body.next.size(); ++i) {
      std::set<Expr> exponents;
      Expr log = 0;
      for (const Part &part : partsOf(i)) {
        if (part.coefficient)
          log = logarithm(pool, part.coefficient);
        else if (Expr exponent = of(part.whole).scale)
          exponents.insert(exponent);
      }
      if (exponents.empty())
        continue;
      AxisSet axes = log ? pool[log].axes : 0, contracted = 0;
      for (Expr exponent : exponents)
        axes |= pool[exponent].axes;
      for (Expr e : body.next)
        contracted |= summed(e, static_cast<int>(i));
      for (Expr e : body.outputs)
        contracted |= summed(e, static_cast<int>(i));
      if (axes & contracted || axes & ~body.axes[i]) {
        result.why = "the exponentials of '" + body.names[i] + "' and its decay vary over " +
                     pool.print(axes) + ", and it is read over " + pool.print(contracted);
        continue;
      }
      auto [place, isNew] =
          known.try_emplace({log, exponents}, static_cast<int>(result.scales.size()));
      if (isNew)
        result.scales.push_back({{}, axes, 0});
      RunningMaximum &scale = result.scales[place->second];
      scale.states.push_back(static_cast<int>(i));
      scaleOf[i] = place->second;
    }
    if (!result.scales.empty())
      result.why.clear();
    memo.clear(); // states had no scale so far
  }

  /// The scaled state's next value, and its maximum's. Fails where that is another than the one it
  /// shares.
  bool nextOfScaled(size_t i) {
    int scale = scaleOf[i];
    std::vector<Scaled> terms;
    for (const Part &part : partsOf(i)) {
      if (!part.coefficient) {
        terms.push_back(of(part.whole));
        continue;
      }
      Expr log = logarithm(pool, part.coefficient),
           state = pool.state(static_cast<int>(i), body.axes[i]);
      terms.push_back(log ? Scaled{state, pool.add({log, before(scale)})}
                          : Scaled{part.whole, before(scale)});
    }
    Expr most = largest(terms);
    Expr &shared = result.scales[scale].next;
    if (shared && shared != most)
      return false;
    shared = most;
    std::vector<Expr> sum;
    for (const Scaled &term : terms)
      sum.push_back(broughtTo(term, after(scale)));
    next[i] = pool.add(sum);
    return true;
  }

  //===--------------------------------------------------------------------===//
  // Values in two parts
  //===--------------------------------------------------------------------===//

  Expr restored(const Scaled &value) {
    if (!value.scale)
      return value.mantissa;
    lost |= !isAtMostOne(value.scale);
    return pool.mul({value.mantissa, exp(value.scale)});
  }

  Expr broughtTo(const Scaled &value, Expr scale) {
    if (value.scale == scale)
      return value.mantissa;
    Expr exponent = value.scale ? pool.sub(value.scale, scale) : pool.neg(scale);
    return pool.mul({value.mantissa, exp(exponent)});
  }

  /// The scale that all have, or the largest of theirs, where one without any counts as 0. 0: none
  /// has one.
  Expr largest(const std::vector<Scaled> &values) {
    std::set<Expr> scales;
    for (const Scaled &value : values)
      if (!pool.isConstant(value.mantissa, 0))
        scales.insert(value.scale);
    if (scales.empty() || (scales.size() == 1 && *scales.begin() == 0))
      return 0;
    Expr most = 0;
    for (Expr scale : scales) {
      Expr e = scale ? scale : pool.constant(0);
      most = most ? pool.function("max", {most, e}) : e;
    }
    return most;
  }

  /// The values' mantissas at one scale.
  Expr atOneScale(std::vector<Scaled> &values) {
    Expr scale = largest(values);
    if (scale)
      for (Scaled &value : values)
        value = {broughtTo(value, scale), scale};
    return scale;
  }

  Scaled of(Expr e) {
    if (auto it = memo.find(e); it != memo.end()) {
      lost |= it->second.lost;
      return it->second;
    }
    bool outer = std::exchange(lost, false);
    Scaled value = compute(e);
    // As a sum, which multiplies numbers out, so that equal ones are one.
    if (value.scale)
      value.scale = pool.add({value.scale});
    if (value.scale && pool.isConstant(value.scale, 0))
      value.scale = 0;
    value.lost = std::exchange(lost, lost || outer);
    return memo[e] = value;
  }

  Scaled compute(Expr e) {
    const Node node = pool[e]; // a copy: the pool grows below
    switch (node.kind) {
    case Kind::Constant:
      return {e};
    case Kind::Leaf:
      if (Expr definition = pool.leafInfo(node.index).definition)
        if (Scaled value = of(definition); value.scale)
          return value;
      return {e};
    case Kind::State:
    case Kind::NewState:
      if (static_cast<size_t>(node.index) >= scaleOf.size() || scaleOf[node.index] < 0)
        return {e};
      return {e,
              node.kind == Kind::State ? before(scaleOf[node.index]) : after(scaleOf[node.index])};
    case Kind::Mul: {
      std::vector<Expr> mantissas, scales;
      for (Expr factor : node.arguments) {
        Scaled value = of(factor);
        mantissas.push_back(value.mantissa);
        if (value.scale)
          scales.push_back(value.scale);
      }
      return {pool.mul(mantissas), scales.empty() ? 0 : pool.add(scales)};
    }
    case Kind::Add: {
      if (!node.states)
        return {e};
      std::vector<Scaled> terms = all(node.arguments);
      Expr scale = atOneScale(terms);
      return {pool.add(mantissasOf(terms)), scale};
    }
    case Kind::Sum: {
      Scaled value = of(node.arguments[0]);
      if (!node.states && !value.scale)
        return {e};
      if (value.scale && pool[value.scale].axes & node.summed)
        return {pool.sum(node.summed, restored(value))};
      return {pool.sum(node.summed, value.mantissa), value.scale};
    }
    case Kind::Answer:
      return of(node.arguments[0]);
    case Kind::Function:
      return ofFunction(e, node);
    case Kind::Foreign: {
      std::vector<Expr> arguments;
      for (Expr argument : node.arguments)
        arguments.push_back(restored(of(argument)));
      return {pool.foreign(node.index, arguments, node.axes)};
    }
    }
    return {e};
  }

  std::vector<Scaled> all(const std::vector<Expr> &arguments) {
    std::vector<Scaled> values;
    for (Expr argument : arguments)
      values.push_back(of(argument));
    return values;
  }

  static std::vector<Expr> mantissasOf(const std::vector<Scaled> &values) {
    std::vector<Expr> mantissas;
    for (const Scaled &value : values)
      mantissas.push_back(value.mantissa);
    return mantissas;
  }

  Scaled ofFunction(Expr e, const Node &node) {
    const std::string &name = node.name;
    if (name == "exp" &&
        boundsOf(pool, node.arguments[0]).most == std::numeric_limits<double>::infinity())
      return {pool.constant(1), restored(of(node.arguments[0]))};
    std::vector<Scaled> arguments = all(node.arguments);
    if (name == "reciprocal" && arguments[0].scale)
      return {pool.function(name, {arguments[0].mantissa}), pool.neg(arguments[0].scale)};
    if (!node.states)
      return {e};
    if (name == "abs")
      return {pool.function(name, {arguments[0].mantissa}), arguments[0].scale};
    if ((name == "sqrt" || name == "rsqrt") && arguments[0].scale)
      return {pool.function(name, {arguments[0].mantissa}),
              pool.mul({pool.constant(name == "sqrt" ? 0.5 : -0.5), arguments[0].scale})};
    if (name == "max" || name == "min") {
      Expr scale = atOneScale(arguments);
      return {pool.function(name, mantissasOf(arguments)), scale};
    }
    if (name == "lt" || name == "le" || name == "eq" || name == "ne") {
      atOneScale(arguments);
      return {pool.function(name, mantissasOf(arguments))};
    }
    if (name == "select") {
      std::vector<Scaled> sides(arguments.begin() + 1, arguments.end());
      Expr scale = atOneScale(sides);
      return {pool.function(name, {restored(arguments[0]), sides[0].mantissa, sides[1].mantissa}),
              scale};
    }
    std::vector<Expr> whole;
    for (const Scaled &argument : arguments)
      whole.push_back(restored(argument));
    return {pool.function(name, whole)};
  }

  //===--------------------------------------------------------------------===//
  // Is it worth it?
  //===--------------------------------------------------------------------===//

  /// The scale as a sum holds a maximum's negative for each of its positive parts: it is at most 0.
  bool isAtMostOne(Expr scale) {
    std::vector<Expr> positive, maxima;
    for (Expr term : pool.terms(scale)) {
      std::vector<Expr> factors = pool.factors(term);
      bool negated = factors.size() == 2 && pool.isConstant(factors[0], -1);
      if (negated && pool[factors[1]].kind == Kind::Function && pool[factors[1]].name == "max")
        maxima.push_back(factors[1]);
      else if (!negated || boundsOf(pool, term).most > 0)
        positive.push_back(term);
    }
    for (Expr most : maxima) {
      auto covers = [&](auto &self, Expr e, Expr part) -> bool {
        const Node &node = pool[e];
        return e == part ||
               (node.kind == Kind::Function && node.name == "max" &&
                (self(self, node.arguments[0], part) || self(self, node.arguments[1], part)));
      };
      auto it = std::find_if(positive.begin(), positive.end(),
                             [&](Expr part) { return covers(covers, most, part); });
      if (it != positive.end())
        positive.erase(it);
    }
    return positive.empty();
  }

  bool readsScaled(Expr e) {
    for (size_t i = 0; i < scaleOf.size(); ++i)
      if (scaleOf[i] >= 0 && holds(e, static_cast<int>(i)))
        return true;
    return false;
  }

  /// The expression for scaled states; `gains` where it reads one and stays small beside it.
  Expr rewritten(Expr e, bool &gains) {
    lost = false;
    Scaled value = of(e);
    gains |= readsScaled(e) && !lost && (!value.scale || isAtMostOne(value.scale));
    return readsScaled(e) ? restored(value) : e;
  }

  Body &body;
  Pool &pool;
  Stabilised result;
  std::vector<int> scaleOf; // by state, -1: as it is
  std::vector<Expr> next;
  std::map<Expr, Scaled> memo;
  bool lost = false; // so far, in the value at hand
};

} // namespace

Stabilised stabilise(Body &body) { return Stabiliser(body).run(); }

} // namespace rondo::algebra

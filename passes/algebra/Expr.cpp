//===- Expr.cpp - Expressions over named axes -----------------------------===//

#include "passes/algebra/Expr.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

namespace rondo::algebra {

unsigned Pool::axis(const std::string &name, int64_t extent) {
  auto it = std::find(axisNames.begin(), axisNames.end(), name);
  if (it != axisNames.end())
    return it - axisNames.begin();
  if (axisNames.size() == maxAxes)
    return maxAxes;
  axisNames.push_back(name);
  axisExtents.push_back(extent);
  return axisNames.size() - 1;
}

double Pool::size(AxisSet axes) const {
  double size = 1;
  for (unsigned i = 0; i < axisNames.size(); ++i)
    if (axes >> i & 1)
      size *= static_cast<double>(axisExtents[i]);
  return size;
}

std::string Pool::print(AxisSet axes) const {
  std::string text = "[";
  for (unsigned i = 0; i < axisNames.size(); ++i)
    if (axes >> i & 1)
      text += (text.size() > 1 ? " " : "") + axisNames[i];
  return text + "]";
}

Expr Pool::intern(Node node) {
  for (Expr argument : node.arguments) {
    node.states |= (*this)[argument].states;
    node.perToken |= (*this)[argument].perToken;
  }
  auto key = std::make_tuple(static_cast<int>(node.kind), node.axes, node.arguments, node.name,
                             node.value, node.index, node.summed);
  auto [it, isNew] = known.try_emplace(key, static_cast<Expr>(nodes.size() + 1));
  if (isNew)
    nodes.push_back(std::move(node));
  return it->second;
}

Expr Pool::constant(double value) {
  Node node{Kind::Constant};
  node.value = value == 0 ? 0 : value; // no negative zero
  return intern(std::move(node));
}

bool Pool::isConstant(Expr e, double value) const {
  return (*this)[e].kind == Kind::Constant && (*this)[e].value == value;
}

Expr Pool::leaf(const std::string &name, AxisSet axes, bool perToken, Expr definition) {
  Node node{Kind::Leaf};
  node.axes = axes;
  node.perToken = perToken;
  node.index = static_cast<int>(leaves.size());
  Expr e = intern(std::move(node));
  leaves.push_back(LeafInfo{name, e, definition});
  return e;
}

void Pool::setBounds(Expr leaf, double least, double most) {
  LeafInfo &info = leaves[(*this)[leaf].index];
  info.least = least;
  info.most = most;
}

Expr Pool::state(int index, AxisSet axes) {
  Node node{Kind::State};
  node.axes = axes;
  node.index = index;
  node.states = stateBit(index);
  node.perToken = true;
  return intern(std::move(node));
}

Expr Pool::newState(int index, AxisSet axes) {
  Node node{Kind::NewState};
  node.axes = axes;
  node.index = index;
  node.states = stateBit(index);
  node.perToken = true;
  return intern(std::move(node));
}

std::vector<Expr> Pool::factors(Expr e) const {
  return (*this)[e].kind == Kind::Mul ? (*this)[e].arguments : std::vector<Expr>{e};
}

std::vector<Expr> Pool::terms(Expr e) const {
  return (*this)[e].kind == Kind::Add ? (*this)[e].arguments : std::vector<Expr>{e};
}

Expr Pool::mul(std::vector<Expr> factorList) {
  double scale = 1;
  std::vector<Expr> flat;
  for (Expr factor : factorList)
    for (Expr e : factors(factor)) {
      if ((*this)[e].kind == Kind::Constant)
        scale *= (*this)[e].value;
      else
        flat.push_back(e);
    }
  // A product with zero is zero, whatever its axes: consumers broadcast by name.
  if (scale == 0 || flat.empty())
    return constant(scale);
  std::sort(flat.begin(), flat.end());
  if (scale != 1)
    flat.insert(flat.begin(), constant(scale));
  if (flat.size() == 1)
    return flat[0];
  Node node{Kind::Mul};
  for (Expr e : flat)
    node.axes |= (*this)[e].axes;
  node.arguments = std::move(flat);
  return intern(std::move(node));
}

Expr Pool::add(std::vector<Expr> termList) {
  // Collect equal terms: coefficient by what it multiplies.
  std::map<Expr, double> scales;
  double offset = 0;
  for (size_t i = 0; i < termList.size(); ++i)
    for (Expr e : terms(termList[i])) {
      const Node node = (*this)[e];
      if (node.kind == Kind::Constant) {
        offset += node.value;
        continue;
      }
      // A number times a sum is a sum: 1 - (1 - a) is a.
      if (node.kind == Kind::Mul && node.arguments.size() == 2 &&
          (*this)[node.arguments[0]].kind == Kind::Constant &&
          (*this)[node.arguments[1]].kind == Kind::Add) {
        for (Expr inner : terms(node.arguments[1]))
          termList.push_back(mul({node.arguments[0], inner}));
        continue;
      }
      double scale = 1;
      Expr rest = e;
      if (node.kind == Kind::Mul && (*this)[node.arguments[0]].kind == Kind::Constant) {
        scale = (*this)[node.arguments[0]].value;
        rest = mul(std::vector<Expr>(node.arguments.begin() + 1, node.arguments.end()));
      }
      scales[rest] += scale;
    }
  std::vector<Expr> flat;
  if (offset != 0)
    flat.push_back(constant(offset));
  for (auto [rest, scale] : scales)
    if (scale != 0)
      flat.push_back(mul({constant(scale), rest}));
  if (flat.empty())
    return constant(0);
  if (flat.size() == 1)
    return flat[0];
  std::sort(flat.begin(), flat.end());
  Node node{Kind::Add};
  for (Expr e : flat)
    node.axes |= (*this)[e].axes;
  node.arguments = std::move(flat);
  return intern(std::move(node));
}

static std::optional<double> fold(const std::string &name, double x) {
  if (name == "exp")
    return std::exp(x);
  if (name == "reciprocal" && x != 0)
    return 1 / x;
  if (name == "sqrt" && x >= 0)
    return std::sqrt(x);
  return std::nullopt;
}

Expr Pool::function(const std::string &name, std::vector<Expr> arguments) {
  if (arguments.size() == 1 && (*this)[arguments[0]].kind == Kind::Constant)
    if (auto value = fold(name, (*this)[arguments[0]].value))
      return constant(*value);
  Node node{Kind::Function};
  node.name = name;
  for (Expr e : arguments)
    node.axes |= (*this)[e].axes;
  node.arguments = std::move(arguments);
  return intern(std::move(node));
}

Expr Pool::sum(AxisSet over, Expr e) {
  // An axis that the summand lacks counts its extent.
  AxisSet absent = over & ~(*this)[e].axes;
  double scale = size(absent);
  over &= ~absent;
  std::vector<Expr> outside{constant(scale)}, inside;
  for (Expr factor : factors(e))
    ((*this)[factor].axes & over ? inside : outside).push_back(factor);
  if (inside.empty())
    return mul(outside);
  // sum[k](a sum[v](b)) is sum[k v](a b) where a does not have v and the inner sum is not over a
  // name that is used outside of it. Not where a reads states as well: what b answers is a vector
  // that another state is read with.
  AxisSet inner = 0;
  for (size_t i = 0; i < inside.size(); ++i) {
    const Node node = (*this)[inside[i]];
    if (node.kind != Kind::Sum || !node.states)
      continue;
    AxisSet others = over | inner;
    StateSet states = 0;
    for (size_t j = 0; j < inside.size(); ++j)
      if (j != i) {
        others |= (*this)[inside[j]].axes;
        states |= (*this)[inside[j]].states;
      }
    if (states || node.summed & others)
      continue;
    inner |= node.summed;
    inside[i] = node.arguments[0];
  }
  Expr summand = mul(inside);
  Node node{Kind::Sum};
  node.summed = over | inner;
  node.axes = (*this)[summand].axes & ~node.summed;
  node.arguments = {summand};
  outside.push_back(intern(std::move(node)));
  return mul(outside);
}

Expr Pool::answer(Expr definition) {
  Node node{Kind::Answer};
  node.axes = (*this)[definition].axes;
  node.arguments = {definition};
  return intern(std::move(node));
}

Expr Pool::foreign(int index, std::vector<Expr> arguments, AxisSet axes) {
  Node node{Kind::Foreign};
  node.index = index;
  node.axes = axes;
  node.arguments = std::move(arguments);
  return intern(std::move(node));
}

static std::string printNumber(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string Pool::print(Expr e, const std::vector<std::string> &stateNames, int depth) const {
  const Node &node = (*this)[e];
  auto inner = [&](Expr argument, bool inProduct) {
    std::string text = print(argument, stateNames, depth - 1);
    return inProduct && (*this)[argument].kind == Kind::Add && depth > 0 ? "(" + text + ")" : text;
  };
  auto join = [&](const char *separator, bool inProduct) {
    std::string text;
    for (Expr argument : node.arguments)
      text += (text.empty() ? "" : separator) + inner(argument, inProduct);
    return text;
  };
  if (depth < 0 && !node.arguments.empty())
    return "...";
  switch (node.kind) {
  case Kind::Constant:
    return printNumber(node.value);
  case Kind::Leaf:
    if (Expr definition = leaves[node.index].definition)
      return print(definition, stateNames, depth);
    return leaves[node.index].name;
  case Kind::State:
    return stateNames[node.index];
  case Kind::NewState:
    return stateNames[node.index] + "'";
  case Kind::Add: {
    std::string text;
    for (Expr argument : node.arguments) {
      std::string term = inner(argument, false);
      if (!text.empty() && term.starts_with("-"))
        text += " - " + term.substr(1);
      else
        text += (text.empty() ? "" : " + ") + term;
    }
    return text;
  }
  case Kind::Mul:
    if (isConstant(node.arguments[0], -1)) {
      std::string text;
      for (size_t i = 1; i < node.arguments.size(); ++i)
        text += (text.empty() ? "-" : "*") + inner(node.arguments[i], true);
      return text;
    }
    return join("*", true);
  case Kind::Function:
    if (node.name == "reciprocal")
      return "1/" + inner(node.arguments[0], true);
    return node.name + "(" + join(", ", false) + ")";
  case Kind::Sum: {
    std::string axes = print(node.summed);
    if (const Node &summand = (*this)[node.arguments[0]];
        summand.kind == Kind::Mul && summand.arguments.size() == 2)
      return "dot" + axes + "(" + inner(summand.arguments[0], false) + ", " +
             inner(summand.arguments[1], false) + ")";
    return "sum" + axes + "(" + join(", ", false) + ")";
  }
  case Kind::Answer:
    return "(" + print(node.arguments[0], stateNames, depth) + ")";
  case Kind::Foreign:
    return "reindex(" + join(", ", false) + ")";
  }
  return "";
}

} // namespace rondo::algebra

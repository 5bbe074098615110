//===- Expr.h - Expressions over named axes --------------------*- C++ -*-===//
//
// The language in which the algebra sees a recurrence's body. Plain C++: no IR.
//
// An expression is a node of a pool. Equal expressions are one node, so that equality is a
// comparison of ids. Constructors keep a light normal form that never multiplies anything out: sums
// and products are flat and sorted, constants folded, equal terms of a sum collected, a factor that
// a summation does not touch stands in front of it, nested summations are one.
//
//   a - b  is  a + (-1) b        a / b  is  a * reciprocal(b)        dot[k](a, b)  is  sum[k](a *
//   b)
//
//===----------------------------------------------------------------------===//

#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace rondo::algebra {

/// A set of axes of a pool, one bit each.
using AxisSet = uint64_t;

/// The most axes a pool can name.
inline constexpr unsigned maxAxes = 64;

/// A set of states, one bit each; the last bit stands for all from the 64th on.
using StateSet = uint64_t;
inline constexpr StateSet allStates = ~StateSet(0);
inline StateSet stateBit(int index) { return StateSet(1) << (index < 63 ? index : 63); }

/// A node of a pool. Ids start at 1; 0 is no expression; arguments have smaller ids.
using Expr = uint32_t;

enum class Kind : uint8_t {
  Constant, // value
  Leaf,     // state-free, opaque: index counts leaves
  State,    // a state before the token: index counts states
  NewState, // a state after the token
  Add,      // arguments
  Mul,      // arguments
  Function, // name(arguments), elementwise
  Sum,      // the argument, summed over `summed`
  Answer,   // the argument, an affine function of reads, kept as one unknown (Affine.h)
  Foreign,  // an op that the algebra does not know: index names it, arguments are what it reads
};

struct Node {
  Kind kind;
  AxisSet axes = 0;
  std::vector<Expr> arguments = {};
  std::string name = {};
  double value = 0;
  int index = -1;
  AxisSet summed = 0;
  StateSet states = 0;   // of each State and NewState below
  bool perToken = false; // some per-token leaf or state below
};

struct LeafInfo {
  std::string name;
  Expr node;
  Expr definition = 0; // what it is made of, where known; for logarithms and bounds only
  double least = -std::numeric_limits<double>::infinity(); // what its values lie between
  double most = std::numeric_limits<double>::infinity();
};

class Pool {
public:
  /// The axis of this name, made on first use. Returns maxAxes when there is no room for another.
  unsigned axis(const std::string &name, int64_t extent);
  const std::string &axisName(unsigned axis) const { return axisNames[axis]; }
  int64_t axisExtent(unsigned axis) const { return axisExtents[axis]; }
  /// The product of the extents.
  double size(AxisSet axes) const;
  std::string print(AxisSet axes) const;

  Expr constant(double value);
  Expr leaf(const std::string &name, AxisSet axes, bool perToken, Expr definition = 0);
  Expr state(int index, AxisSet axes);
  Expr newState(int index, AxisSet axes);
  Expr add(std::vector<Expr> terms);
  Expr mul(std::vector<Expr> factors);
  Expr neg(Expr e) { return mul({constant(-1), e}); }
  Expr sub(Expr a, Expr b) { return add({a, neg(b)}); }
  Expr function(const std::string &name, std::vector<Expr> arguments);
  Expr sum(AxisSet over, Expr e);
  Expr answer(Expr definition);
  Expr foreign(int index, std::vector<Expr> arguments, AxisSet axes);

  const Node &operator[](Expr e) const { return nodes[e - 1]; }
  const LeafInfo &leafInfo(int index) const { return leaves[index]; }
  void setBounds(Expr leaf, double least, double most);
  bool isConstant(Expr e, double value) const;

  /// Factors of a product (itself otherwise), terms of a sum (itself otherwise).
  std::vector<Expr> factors(Expr e) const;
  std::vector<Expr> terms(Expr e) const;

  /// As text in the language's notation; states as S, new ones as S'. `depth` bounds the nesting
  /// that is spelt out.
  std::string print(Expr e, const std::vector<std::string> &stateNames, int depth = 6) const;

private:
  Expr intern(Node node);

  std::vector<Node> nodes;
  std::vector<LeafInfo> leaves;
  std::vector<std::string> axisNames;
  std::vector<int64_t> axisExtents;
  std::map<std::tuple<int, AxisSet, std::vector<Expr>, std::string, double, int, AxisSet>, Expr>
      known;
};

} // namespace rondo::algebra

//===- ConstValue.h - Values known while compiling -------------*- C++ -*-===//
//
// What sizes, options and everything computed from them alone are. Integers are 64 bits and never
// wrap: an operation that would is an error. `/` of integers is exact: an integer where it divides,
// a real otherwise.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/Ast.h"

#include <functional>
#include <optional>

namespace rondo {

struct ConstValue {
  enum Kind { None, Boolean, Integer, Real, String, List };
  Kind kind = None;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;
  std::string text;
  std::vector<ConstValue> items;

  static ConstValue of(bool value);
  static ConstValue of(int64_t value);
  static ConstValue of(double value);
  static ConstValue of(std::string value);

  bool isNumber() const { return kind == Integer || kind == Real; }
  double real() const { return kind == Integer ? static_cast<double>(integer) : number; }
  /// With its kind, for messages: `3`, `"silu" (a string)`.
  std::string shown() const;
  /// As it stands in a scope or a text.
  std::string plain() const;
  bool operator==(const ConstValue &other) const;
};

/// Result or, when empty, why not.
using ConstResult = std::optional<ConstValue>;

ConstResult constUnary(const std::string &op, const ConstValue &a, std::string &why);
ConstResult constBinary(const std::string &op, const ConstValue &a, const ConstValue &b,
                        std::string &why);

/// exp, log, floor, min, ... and len. Nothing with an empty `why` where the name is no such
/// function.
ConstResult constFunction(const std::string &name, const std::vector<ConstValue> &args,
                          std::string &why);
ConstResult constElement(const ConstValue &list, const ConstValue &index, std::string &why);

/// The elementwise functions of the language, by name with the number of their arguments.
struct FunctionName {
  const char *name;
  unsigned arguments;
  bool onlyConst; // has no form on data
};
const std::vector<FunctionName> &functionNames();

/// The functions along named axes, `sum[k](x)`.
const std::vector<std::string> &reductionNames();

/// Evaluates an expression of compile-time values alone; what a name means is asked of `lookup`,
/// which reports an unknown one itself.
ConstResult evaluateConst(const ast::Expr &expr,
                          const std::function<ConstResult(const ast::Expr &name)> &lookup,
                          DiagnosticSink &sink);

} // namespace rondo

//===- ConstValue.cpp - Arithmetic while compiling ----------------------------------===//

#include "frontend/ConstValue.h"

#include <algorithm>
#include <cmath>
#include <sstream>

using namespace rondo;

ConstValue ConstValue::of(bool value) {
  ConstValue v;
  v.kind = Boolean;
  v.boolean = value;
  return v;
}
ConstValue ConstValue::of(int64_t value) {
  ConstValue v;
  v.kind = Integer;
  v.integer = value;
  return v;
}
ConstValue ConstValue::of(double value) {
  ConstValue v;
  v.kind = Real;
  v.number = value;
  return v;
}
ConstValue ConstValue::of(std::string value) {
  ConstValue v;
  v.kind = String;
  v.text = std::move(value);
  return v;
}

std::string ConstValue::plain() const {
  std::ostringstream out;
  switch (kind) {
  case None:
    return "none";
  case Boolean:
    return boolean ? "true" : "false";
  case Integer:
    return std::to_string(integer);
  case Real:
    out << number;
    return out.str();
  case String:
    return text;
  case List:
    for (size_t i = 0; i < items.size() && i < 8; ++i)
      out << (i ? ", " : "[") << items[i].plain();
    out << (items.empty() ? "[]" : items.size() > 8 ? ", ...]" : "]");
    return out.str();
  }
  return "";
}

std::string ConstValue::shown() const {
  if (kind == String)
    return "\"" + text + "\" (a string)";
  if (kind == List)
    return plain() + " (a list)";
  return plain();
}

bool ConstValue::operator==(const ConstValue &other) const {
  if (isNumber() && other.isNumber())
    return kind == Integer && other.kind == Integer ? integer == other.integer
                                                    : real() == other.real();
  if (kind != other.kind)
    return false;
  switch (kind) {
  case Boolean:
    return boolean == other.boolean;
  case String:
    return text == other.text;
  case List:
    return items == other.items;
  default:
    return true;
  }
}

ConstResult rondo::constUnary(const std::string &op, const ConstValue &a, std::string &why) {
  if (op == "not") {
    if (a.kind == ConstValue::Boolean)
      return ConstValue::of(!a.boolean);
    why = "'not' takes true or false, not " + a.shown();
    return std::nullopt;
  }
  if (a.kind == ConstValue::Integer && a.integer != INT64_MIN)
    return ConstValue::of(-a.integer);
  if (a.isNumber())
    return ConstValue::of(-a.real());
  why = "'-' takes a number, not " + a.shown();
  return std::nullopt;
}

static ConstResult integers(const std::string &op, int64_t a, int64_t b, std::string &why) {
  int64_t result = 0;
  bool wraps = false;
  if (op == "+")
    wraps = __builtin_add_overflow(a, b, &result);
  else if (op == "-")
    wraps = __builtin_sub_overflow(a, b, &result);
  else if (op == "*")
    wraps = __builtin_mul_overflow(a, b, &result);
  else if (op == "/" && b != 0 && b != -1 && a % b == 0)
    return ConstValue::of(a / b);
  else if (op == "%" && b > 0)
    return ConstValue::of(((a % b) + b) % b);
  else if (op == "^" && b >= 0 && b < 64) {
    result = 1;
    for (int64_t i = 0; i < b && !wraps; ++i)
      wraps = __builtin_mul_overflow(result, a, &result);
  } else if ((op == "/" || op == "%") && b == 0) {
    why = "division of " + std::to_string(a) + " by zero";
    return std::nullopt;
  } else
    return std::nullopt;
  if (!wraps)
    return ConstValue::of(result);
  why = "the integer " + std::to_string(a) + " " + op + " " + std::to_string(b) +
        " does not fit 64 bits";
  return std::nullopt;
}

ConstResult rondo::constBinary(const std::string &op, const ConstValue &a, const ConstValue &b,
                               std::string &why) {
  if (op == "==")
    return ConstValue::of(a == b);
  if (op == "!=")
    return ConstValue::of(!(a == b));
  if (op == "and" || op == "or") {
    if (a.kind == ConstValue::Boolean && b.kind == ConstValue::Boolean)
      return ConstValue::of(op == "and" ? a.boolean && b.boolean : a.boolean || b.boolean);
    why =
        "'" + op + "' takes true or false, not " + (a.kind == ConstValue::Boolean ? b : a).shown();
    return std::nullopt;
  }
  if (op == "+" && a.kind == ConstValue::String && b.kind == ConstValue::String)
    return ConstValue::of(a.text + b.text);
  if (!a.isNumber() || !b.isNumber()) {
    why = "'" + op + "' takes numbers, not " + (a.isNumber() ? b : a).shown();
    return std::nullopt;
  }
  if (a.kind == ConstValue::Integer && b.kind == ConstValue::Integer) {
    ConstResult result = integers(op, a.integer, b.integer, why);
    if (result || !why.empty())
      return result;
  }
  double x = a.real(), y = b.real();
  if (op == "+")
    return ConstValue::of(x + y);
  if (op == "-")
    return ConstValue::of(x - y);
  if (op == "*")
    return ConstValue::of(x * y);
  if (op == "/")
    return ConstValue::of(x / y);
  if (op == "%")
    return ConstValue::of(x - y * std::floor(x / y));
  if (op == "^")
    return ConstValue::of(std::pow(x, y));
  if (op == "<")
    return ConstValue::of(x < y);
  if (op == "<=")
    return ConstValue::of(x <= y);
  if (op == ">")
    return ConstValue::of(x > y);
  if (op == ">=")
    return ConstValue::of(x >= y);
  why = "'" + op + "' has no meaning here";
  return std::nullopt;
}

const std::vector<FunctionName> &rondo::functionNames() {
  static const std::vector<FunctionName> names = {
      {"abs", 1, false},      {"ceil", 1, false},    {"cos", 1, false},  {"erf", 1, false},
      {"exp", 1, false},      {"floor", 1, false},   {"len", 1, true},   {"log", 1, false},
      {"max", 2, false},      {"min", 2, false},     {"pow", 2, false},  {"round", 1, false},
      {"rsqrt", 1, false},    {"sigmoid", 1, false}, {"sign", 1, false}, {"sin", 1, false},
      {"softplus", 1, false}, {"sqrt", 1, false},    {"tanh", 1, false}, {"where", 3, false}};
  return names;
}

const std::vector<std::string> &rondo::reductionNames() {
  static const std::vector<std::string> names = {"argtop", "concat",  "dot", "max", "mean",
                                                 "min",    "softmax", "sum", "topk"};
  return names;
}

ConstResult rondo::constFunction(const std::string &name, const std::vector<ConstValue> &args,
                                 std::string &why) {
  const FunctionName *known = nullptr;
  for (const FunctionName &f : functionNames())
    if (name == f.name)
      known = &f;
  if (!known)
    return std::nullopt;
  if (args.size() != known->arguments) {
    why = "'" + name + "' takes " + std::to_string(known->arguments) + " arguments, found " +
          std::to_string(args.size());
    return std::nullopt;
  }
  if (name == "len") {
    if (args[0].kind == ConstValue::List)
      return ConstValue::of(static_cast<int64_t>(args[0].items.size()));
    if (args[0].kind == ConstValue::String)
      return ConstValue::of(static_cast<int64_t>(args[0].text.size()));
    why = "'len' takes a list or a string, not " + args[0].shown();
    return std::nullopt;
  }
  if (name == "where") {
    if (args[0].kind == ConstValue::Boolean)
      return args[0].boolean ? args[1] : args[2];
    why = "the first argument of 'where' is true or false, not " + args[0].shown();
    return std::nullopt;
  }
  for (const ConstValue &arg : args)
    if (!arg.isNumber()) {
      why = "'" + name + "' takes numbers, not " + arg.shown();
      return std::nullopt;
    }
  if (name == "min" || name == "max") {
    bool first =
        name == "min" ? args[0].real() <= args[1].real() : args[0].real() >= args[1].real();
    return first ? args[0] : args[1];
  }
  if (name == "pow")
    return constBinary("^", args[0], args[1], why);
  const ConstValue &arg = args[0];
  double x = arg.real();
  if (name == "abs" && arg.kind == ConstValue::Integer)
    return ConstValue::of(arg.integer < 0 ? -arg.integer : arg.integer);
  if (name == "floor" || name == "ceil" || name == "round") {
    if (arg.kind == ConstValue::Integer)
      return arg;
    double y = name == "floor" ? std::floor(x) : name == "ceil" ? std::ceil(x) : std::nearbyint(x);
    if (std::abs(y) < 9e15)
      return ConstValue::of(static_cast<int64_t>(y));
    return ConstValue::of(y);
  }
  double y = name == "abs"        ? std::abs(x)
             : name == "cos"      ? std::cos(x)
             : name == "erf"      ? std::erf(x)
             : name == "exp"      ? std::exp(x)
             : name == "log"      ? std::log(x)
             : name == "rsqrt"    ? 1 / std::sqrt(x)
             : name == "sigmoid"  ? 1 / (1 + std::exp(-x))
             : name == "sign"     ? (x > 0) - (x < 0)
             : name == "sin"      ? std::sin(x)
             : name == "softplus" ? std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)))
             : name == "sqrt"     ? std::sqrt(x)
                                  : std::tanh(x);
  return ConstValue::of(y);
}

ConstResult rondo::constElement(const ConstValue &list, const ConstValue &index, std::string &why) {
  bool text = list.kind == ConstValue::String;
  if (!text && list.kind != ConstValue::List) {
    why = "only lists and strings have elements; found " + list.shown();
    return std::nullopt;
  }
  int64_t n = static_cast<int64_t>(text ? list.text.size() : list.items.size());
  if (index.kind != ConstValue::Integer || index.integer < 0 || index.integer >= n) {
    why = "element " + index.shown() + " of a " + (text ? "string" : "list") + " of " +
          std::to_string(n);
    return std::nullopt;
  }
  return text ? ConstValue::of(list.text.substr(index.integer, 1)) : list.items[index.integer];
}

ConstResult rondo::evaluateConst(const ast::Expr &e,
                                 const std::function<ConstResult(const ast::Expr &)> &lookup,
                                 DiagnosticSink &sink) {
  using ast::Expr;
  std::string why;
  auto value = [&](const Expr &operand) { return evaluateConst(operand, lookup, sink); };
  auto told = [&](ConstResult result) {
    if (!result && !why.empty())
      sink.error(e.place, why);
    return result;
  };
  switch (e.kind) {
  case Expr::Integer:
    return ConstValue::of(e.integer);
  case Expr::Real:
    return ConstValue::of(e.real);
  case Expr::String:
    return ConstValue::of(e.text);
  case Expr::Boolean:
    return ConstValue::of(e.integer != 0);
  case Expr::None:
    return ConstValue();
  case Expr::Name:
    return lookup(e);
  case Expr::List: {
    ConstValue list;
    list.kind = ConstValue::List;
    for (const auto &item : e.operands) {
      ConstResult v = value(*item);
      if (!v)
        return std::nullopt;
      list.items.push_back(std::move(*v));
    }
    return list;
  }
  case Expr::Unary: {
    ConstResult a = value(*e.operands[0]);
    return a ? told(constUnary(e.text, *a, why)) : std::nullopt;
  }
  case Expr::Binary: {
    ConstResult a = value(*e.operands[0]);
    if (!a)
      return std::nullopt;
    // The right side of a settled `and` or `or` is not looked at: it may only make sense when the
    // left one is open.
    if (a->kind == ConstValue::Boolean &&
        ((e.text == "and" && !a->boolean) || (e.text == "or" && a->boolean)))
      return a;
    ConstResult b = value(*e.operands[1]);
    return b ? told(constBinary(e.text, *a, *b, why)) : std::nullopt;
  }
  case Expr::Call: {
    if (e.hasScope || e.hasAxes || e.hasResult)
      break;
    if (e.text == "where" && e.arguments.size() == 3) {
      ConstResult c = value(*e.arguments[0].value);
      if (!c)
        return std::nullopt;
      if (c->kind == ConstValue::Boolean)
        return value(*e.arguments[c->boolean ? 1 : 2].value);
    }
    std::vector<ConstValue> args;
    for (const ast::Argument &argument : e.arguments) {
      ConstResult v = value(*argument.value);
      if (!v)
        return std::nullopt;
      args.push_back(std::move(*v));
    }
    ConstResult result = constFunction(e.text, args, why);
    if (!result && why.empty())
      break;
    return told(result);
  }
  case Expr::Changed: {
    const ast::Change *c = e.changes.size() == 1 ? &e.changes[0] : nullptr;
    ConstResult list = value(*e.operands[0]);
    if (!list)
      return std::nullopt;
    ConstResult index;
    if (c && c->kind == ast::Change::Pick && c->from.empty()) {
      index = value(*c->low);
    } else if (c && c->kind == ast::Change::Check && c->to.size() == 1 && !c->to[0].name.empty()) {
      Expr name(Expr::Name, c->to[0].place);
      name.text = c->to[0].name;
      index = lookup(name);
    } else {
      break;
    }
    return index ? told(constElement(*list, *index, why)) : std::nullopt;
  }
  default:
    break;
  }
  sink.error(
      e.place,
      "expected a compile-time value here (numbers, sizes, options and functions of them), found " +
          ast::print(e));
  return std::nullopt;
}

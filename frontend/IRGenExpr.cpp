//===- IRGenExpr.cpp - Names, arithmetic, reductions --------------------------------===//

#include "frontend/IRGen.h"

#include "llvm/ADT/StringExtras.h"

using namespace rondo;

ConstResult IRGen::evalConst(const ast::Expr &e, const char *what) {
  Val v = eval(e);
  if (v.kind == Val::Const)
    return v.constant;
  if (v.kind != Val::Unknown)
    error(e.place, std::string(what) + " must be known while compiling, found " + describe(v));
  return std::nullopt;
}

std::optional<int64_t> IRGen::evalExtent(const ast::Expr &e, const std::string &what) {
  ConstResult v = evalConst(e, what.c_str());
  if (!v)
    return std::nullopt;
  if (v->kind == ConstValue::Integer && v->integer >= 0 && v->integer <= Program::maxSize)
    return v->integer;
  error(e.place, what + " is an integer from 0 to " + std::to_string(Program::maxSize) +
                     ", found " + v->shown());
  return std::nullopt;
}

std::string IRGen::describe(const Val &v) {
  switch (v.kind) {
  case Val::Const:
    return "the compile-time value " + v.constant.shown();
  case Val::Tensor:
    return std::string(perToken(v) ? "a per-token value" : "a value") + " with axes " +
           shown(axesOf(v));
  case Val::Tuple:
    return std::to_string(v.items.size()) + " values";
  case Val::Unknown:
    return "nothing";
  }
  return "";
}

Val IRGen::number(double value, Place place) {
  auto type = typeOf({}, false);
  auto builder = at();
  auto splat = mlir::DenseElementsAttr::get(type, llvm::APFloat(static_cast<float>(value)));
  return made(ConstantOp::create(builder, location(place), type, splat));
}

Val IRGen::truth(bool value, Place place) {
  auto type = typeOf({}, false, mlir::IntegerType::get(&context, 1));
  auto builder = at();
  return made(ConstantOp::create(builder, location(place), type,
                                 mlir::DenseElementsAttr::get(type, value)));
}

Val IRGen::asNumbers(Val v, Place place, const std::string &what) {
  if (v.kind == Val::Unknown)
    return v;
  if (v.kind == Val::Const && v.constant.isNumber())
    return number(v.constant.real(), place);
  if (v.kind != Val::Tensor)
    return error(place, what + " takes numbers, found " + describe(v));
  mlir::Type element = elementTypeOf(v.tensor.getType());
  if (element.isInteger(1))
    return error(place, what + " takes numbers, found truth values; write where(c, 1, 0)");
  if (element.isInteger(64)) {
    auto builder = at();
    return made(
        MapOp::create(builder, location(place), MapKind::Convert, mlir::ValueRange{use(v)}));
  }
  return v;
}

Val IRGen::asTruth(Val v, Place place, const std::string &what) {
  if (v.kind == Val::Unknown)
    return v;
  if (v.kind == Val::Const && v.constant.kind == ConstValue::Boolean)
    return truth(v.constant.boolean, place);
  if (v.kind == Val::Tensor && elementTypeOf(v.tensor.getType()).isInteger(1))
    return v;
  return error(place, what + " takes truth values (a comparison), found " + describe(v));
}

bool IRGen::compatible(llvm::ArrayRef<Val> inputs, Place place, const std::string &what) {
  std::map<std::string, int64_t> extents;
  int64_t elements = 1;
  for (const Val &v : inputs)
    for (const NamedAxis &axis : axesOf(v)) {
      auto [it, fresh] = extents.insert({axis.name, axis.extent});
      if (it->second != axis.extent) {
        error(place, what + " met axis '" + shown(axis.name) + "' with " +
                         std::to_string(it->second) + " and with " + std::to_string(axis.extent) +
                         " elements");
        return false;
      }
      if (fresh && (__builtin_mul_overflow(elements, axis.extent, &elements) ||
                    elements > Program::maxElements)) {
        error(place, what + " gives more than " + std::to_string(Program::maxElements) +
                         " elements a token");
        return false;
      }
    }
  return true;
}

Val IRGen::map(MapKind kind, llvm::ArrayRef<Val> inputs, Place place) {
  llvm::SmallVector<mlir::Value> values;
  for (const Val &v : inputs) {
    if (v.kind != Val::Tensor)
      return Val();
    values.push_back(use(v));
  }
  if (!compatible(inputs, place, "'" + stringifyMapKind(kind).str() + "'"))
    return Val();
  auto builder = at();
  return made(MapOp::create(builder, location(place), kind, values));
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

Val IRGen::eval(const ast::Expr &e, const Wanted *wanted) {
  using ast::Expr;
  switch (e.kind) {
  case Expr::Integer:
    return Val::of(ConstValue::of(e.integer));
  case Expr::Real:
    return Val::of(ConstValue::of(e.real));
  case Expr::String:
    return Val::of(ConstValue::of(e.text));
  case Expr::Boolean:
    return Val::of(ConstValue::of(e.integer != 0));
  case Expr::None:
    return Val::of(ConstValue());
  case Expr::List: {
    ConstValue list;
    list.kind = ConstValue::List;
    for (const auto &item : e.operands) {
      ConstResult v = evalConst(*item, "an element of a list");
      if (!v)
        return Val();
      list.items.push_back(*v);
    }
    return Val::of(list);
  }
  case Expr::Name:
    return evalName(e);
  case Expr::Unary:
    return evalUnary(e, wanted);
  case Expr::Binary:
    return evalBinary(e, wanted);
  case Expr::Call:
    return call(e, wanted);
  case Expr::Changed:
    return change(e);
  case Expr::At:
    return evalAt(e);
  case Expr::Ascribe: {
    Wanted own(1);
    if (!resolveAxes(e.result, own[0]))
      return Val();
    Val v = eval(*e.operands[0], &own);
    return v.kind == Val::Tensor
               ? conform(v, own[0], e.place, "the value", e.operands[0].get(), false)
               : v;
  }
  case Expr::Index: {
    NamedAxes axes;
    if (!resolveAxes(e.axes, axes))
      return Val();
    if (axes.size() != 1)
      return error(e.place, "index[k] takes one axis, found " + shown(axes));
    auto builder = at();
    return made(IndexOp::create(builder, location(e.place), typeOf(axes, false)));
  }
  case Expr::Recur:
    return evalRecur(e, false);
  case Expr::Over:
    return evalOver(e, wanted);
  case Expr::Route:
    return evalRoute(e);
  }
  return Val();
}

Val IRGen::evalName(const ast::Expr &e) {
  auto &scopes = instance->scopes;
  for (size_t i = scopes.size(); i-- > 0;) {
    auto found = scopes[i].names.find(e.text);
    if (found != scopes[i].names.end()) {
      if (found->second.kind == Val::Tensor && frame->kind == Frame::Function &&
          found->second.frame->kind != Frame::Function)
        return error(
            e.place,
            "'" + e.text +
                "' is computed inside the recurrence or over; '@' reads values from outside it");
      // In a route's body a value is this expert's.
      if (found->second.kind == Val::Tensor && frame->kind == Frame::Route) {
        Val local = here(found->second);
        if (axesOf(local) != axesOf(found->second))
          local.order.clear();
        return local;
      }
      return found->second;
    }
    if (scopes[i].other == e.text && frame->kind == Frame::Over)
      return made(frame->block->getArgument(1));
  }
  if (e.text == "t")
    return position(e.place);
  if (std::optional<NamedAxis> axis = knownAxis(e.text))
    return Val::of(ConstValue::of(axis->extent));
  if (const ast::Setting *s = program.setting(instance->file, e.text)) {
    ConstResult value = program.valueOf(*s, e.place);
    return value ? Val::of(*value) : Val();
  }
  if (e.text == "inf")
    return Val::of(ConstValue::of(std::numeric_limits<double>::infinity()));
  if (e.text == "pi")
    return Val::of(ConstValue::of(3.14159265358979323846));
  std::vector<std::string> names = program.settingNames(instance->file);
  for (size_t i = 0; i < scopes.size(); ++i)
    for (const auto &[name, value] : scopes[i].names)
      names.push_back(name);
  for (const auto &[name, axis] : instance->axes)
    names.push_back(name);
  return error(e.place, "unknown name '" + e.text + "'" + didYouMean(e.text, names));
}

Val IRGen::evalUnary(const ast::Expr &e, const Wanted *wanted) {
  Val a = eval(*e.operands[0], wanted);
  if (a.kind == Val::Const) {
    std::string why;
    ConstResult result = constUnary(e.text, a.constant, why);
    return result ? Val::of(*result) : error(e.place, why);
  }
  if (e.text == "not")
    return map(MapKind::Not, {asTruth(a, e.operands[0]->place, "'not'")}, e.place);
  return map(MapKind::Neg, {asNumbers(a, e.operands[0]->place, "'-'")}, e.place);
}

// Whether the text alone says that this is a number of compile time: nothing is built or reported.
bool IRGen::isNumber(const ast::Expr &e) const {
  using ast::Expr;
  auto all = [&](const auto &operands) {
    return std::all_of(operands.begin(), operands.end(),
                       [&](const auto &operand) { return isNumber(*operand); });
  };
  switch (e.kind) {
  case Expr::Integer:
  case Expr::Real:
  case Expr::Boolean:
    return true;
  case Expr::Unary:
  case Expr::Binary:
    return all(e.operands);
  case Expr::Call:
    return !program.module(instance->file, e.text) &&
           std::all_of(e.arguments.begin(), e.arguments.end(),
                       [&](const auto &argument) { return isNumber(*argument.value); });
  case Expr::Name: {
    const auto &scopes = instance->scopes;
    for (size_t i = scopes.size(); i-- > 0;) {
      auto found = scopes[i].names.find(e.text);
      if (found != scopes[i].names.end())
        return found->second.kind == Val::Const;
    }
    return e.text == "pi" || program.setting(instance->file, e.text);
  }
  default:
    return false;
  }
}

Val IRGen::evalBinary(const ast::Expr &e, const Wanted *wanted) {
  // A number has no axes: what is asked of `2 * x` is asked of x.
  bool scaled = wanted && (isNumber(*e.operands[0]) || isNumber(*e.operands[1]));
  Val a = eval(*e.operands[0], scaled ? wanted : nullptr);
  if ((e.text == "and" || e.text == "or") && a.kind == Val::Const &&
      a.constant.kind == ConstValue::Boolean) {
    if (a.constant.boolean == (e.text == "or"))
      return a; // settled: the right side is not looked at
    Val b = eval(*e.operands[1]);
    if (b.kind == Val::Const && b.constant.kind != ConstValue::Boolean)
      return error(e.operands[1]->place,
                   "'" + e.text + "' takes true or false, not " + b.constant.shown());
    return b;
  }
  Val b = eval(*e.operands[1], scaled ? wanted : nullptr);
  if (a.kind == Val::Unknown || b.kind == Val::Unknown)
    return Val();
  return binary(e.text, a, b, e);
}

Val IRGen::binary(const std::string &op, Val a, Val b, const ast::Expr &e) {
  if (a.kind == Val::Const && b.kind == Val::Const) {
    std::string why;
    ConstResult result = constBinary(op, a.constant, b.constant, why);
    return result ? Val::of(*result) : error(e.place, why);
  }
  bool none = (a.kind == Val::Const && a.constant.kind == ConstValue::None) ||
              (b.kind == Val::Const && b.constant.kind == ConstValue::None);
  if (none && (op == "==" || op == "!="))
    return Val::of(ConstValue::of(op == "!=")); // a tensor is something
  Place left = e.operands[0]->place, right = e.operands[1]->place;
  std::string what = "'" + op + "'";
  if (op == "and" || op == "or") {
    // The left side is data here; a constant on the right settles or drops out.
    if (b.kind == Val::Const && b.constant.kind == ConstValue::Boolean)
      return b.constant.boolean == (op == "or") ? b : a;
    return map(op == "and" ? MapKind::And : MapKind::Or,
               {asTruth(a, left, what), asTruth(b, right, what)}, e.place);
  }
  if (op == "^")
    return evalPower(a, b, e.place);
  a = asNumbers(a, left, what);
  b = asNumbers(b, right, what);
  if (op == ">" || op == ">=")
    std::swap(a, b);
  MapKind kind = op == "+"                  ? MapKind::Add
                 : op == "-"                ? MapKind::Sub
                 : op == "*"                ? MapKind::Mul
                 : op == "/"                ? MapKind::Div
                 : op == "%"                ? MapKind::Mod
                 : op == "<" || op == ">"   ? MapKind::Lt
                 : op == "<=" || op == ">=" ? MapKind::Le
                 : op == "=="               ? MapKind::Eq
                                            : MapKind::Ne;
  return map(kind, {a, b}, e.place);
}

// Small powers are products: exact, cheap and with a simple derivative.
Val IRGen::evalPower(Val a, Val b, Place place) {
  double exponent = b.kind == Val::Const && b.constant.isNumber() ? b.constant.real() : 0;
  Val x = asNumbers(a, place, "'^'");
  if (exponent == 1)
    return x;
  if (exponent == 2)
    return map(MapKind::Mul, {x, x}, place);
  if (exponent == 3)
    return map(MapKind::Mul, {map(MapKind::Mul, {x, x}, place), x}, place);
  if (exponent == 0.5)
    return map(MapKind::Sqrt, {x}, place);
  if (exponent == -0.5)
    return map(MapKind::Rsqrt, {x}, place);
  return map(MapKind::Pow, {x, asNumbers(b, place, "'^'")}, place);
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

static std::optional<MapKind> mapKindOf(const std::string &name) {
  return llvm::StringSwitch<std::optional<MapKind>>(name)
      .Case("abs", MapKind::Abs)
      .Case("cos", MapKind::Cos)
      .Case("erf", MapKind::Erf)
      .Case("exp", MapKind::Exp)
      .Case("floor", MapKind::Floor)
      .Case("log", MapKind::Log)
      .Case("max", MapKind::Max)
      .Case("min", MapKind::Min)
      .Case("rsqrt", MapKind::Rsqrt)
      .Case("sigmoid", MapKind::Sigmoid)
      .Case("sign", MapKind::Sign)
      .Case("sin", MapKind::Sin)
      .Case("softplus", MapKind::Softplus)
      .Case("sqrt", MapKind::Sqrt)
      .Case("tanh", MapKind::Tanh)
      .Default(std::nullopt);
}

Val IRGen::builtin(const ast::Expr &e, const Wanted *wanted) {
  if (e.text == "grad")
    return derivative(e);
  if (e.hasAxes)
    return reduction(e, wanted);
  const FunctionName *function = nullptr;
  std::vector<std::string> names = program.moduleNames(instance->file);
  names.insert(names.end(), reductionNames().begin(), reductionNames().end());
  for (const FunctionName &f : functionNames()) {
    if (e.text == f.name)
      function = &f;
    names.push_back(f.name);
  }
  if (!function) {
    if (std::find(reductionNames().begin(), reductionNames().end(), e.text) !=
        reductionNames().end())
      return error(e.place, "'" + e.text + "' works along named axes: " + e.text + "[k](...)");
    return error(e.place,
                 "unknown module or function '" + e.text + "'" + didYouMean(e.text, names));
  }
  bool named = false;
  for (const ast::Argument &argument : e.arguments)
    named |= !argument.name.empty();
  if (named || e.arguments.size() != function->arguments)
    return error(e.place, "'" + e.text + "' takes " + std::to_string(function->arguments) +
                              " argument" + (function->arguments == 1 ? "" : "s") +
                              " by position, found " + std::to_string(e.arguments.size()));
  std::string what = "'" + e.text + "'";
  std::vector<Val> args;
  if (e.text == "where") {
    Val c = eval(*e.arguments[0].value);
    if (c.kind == Val::Const &&
        c.constant.kind ==
            ConstValue::Boolean) // chosen while compiling: the other is not looked at
      return eval(*e.arguments[c.constant.boolean ? 1 : 2].value, wanted);
    args.push_back(c);
  }
  for (size_t i = args.size(); i < e.arguments.size(); ++i)
    args.push_back(eval(*e.arguments[i].value, e.arguments.size() == 1 ? wanted : nullptr));
  bool constant = true;
  for (const Val &v : args) {
    if (v.kind == Val::Unknown)
      return Val();
    constant &= v.kind == Val::Const;
  }
  if (constant) {
    std::vector<ConstValue> values;
    for (const Val &v : args)
      values.push_back(v.constant);
    std::string why;
    ConstResult result = constFunction(e.text, values, why);
    return result ? Val::of(*result) : error(e.place, why);
  }
  if (function->onlyConst)
    return error(e.place, what + " takes compile-time values, found " + describe(args[0]));
  if (e.text == "where") {
    Val c = asTruth(args[0], e.arguments[0].place, what);
    return map(MapKind::Select,
               {c, asNumbers(args[1], e.place, what), asNumbers(args[2], e.place, what)}, e.place);
  }
  if (e.text == "pow")
    return evalPower(args[0], args[1], e.place);
  std::vector<Val> numbers;
  for (size_t i = 0; i < args.size(); ++i)
    numbers.push_back(asNumbers(args[i], e.arguments[i].place, what));
  if (e.text == "ceil")
    return map(MapKind::Neg,
               {map(MapKind::Floor, {map(MapKind::Neg, {numbers[0]}, e.place)}, e.place)}, e.place);
  if (e.text == "round")
    return map(MapKind::Floor, {map(MapKind::Add, {numbers[0], number(0.5, e.place)}, e.place)},
               e.place);
  return map(*mapKindOf(e.text), numbers, e.place);
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

Val IRGen::reduction(const ast::Expr &e, const Wanted *wanted) {
  bool known =
      std::find(reductionNames().begin(), reductionNames().end(), e.text) != reductionNames().end();
  if (!known) {
    std::vector<std::string> names = program.moduleNames(instance->file);
    names.insert(names.end(), reductionNames().begin(), reductionNames().end());
    return error(e.place,
                 "unknown module or reduction '" + e.text + "'" + didYouMean(e.text, names));
  }
  if (e.text == "argtop")
    return argtop(e);
  size_t expected = e.text == "dot" || e.text == "topk" ? 2 : 1;
  bool concat = e.text == "concat";
  if (concat ? e.arguments.size() < 2 : e.arguments.size() != expected)
    return error(e.place, "'" + e.text + "' takes " +
                              (concat ? "two or more" : std::to_string(expected)) + " argument" +
                              (expected == 1 ? "" : "s") + ", found " +
                              std::to_string(e.arguments.size()));
  // The arguments first: they may declare the axis, as in dot[j](a[k -> j], b[k -> j]).
  std::vector<Val> values, args;
  bool keepsAxes = e.text == "softmax" || e.text == "topk";
  for (const ast::Argument &argument : e.arguments)
    values.push_back(eval(*argument.value, keepsAxes && values.empty() ? wanted : nullptr));
  NamedAxes axes;
  if (!resolveAxes(e.axes, axes))
    return Val();
  std::string what = "'" + e.text + "'";
  bool good = true;
  for (size_t i = 0; i < values.size(); ++i) {
    const ast::Argument &argument = e.arguments[i];
    Val v = values[i];
    bool count = e.text == "topk" && args.size() == 1;
    if (v.kind != Val::Unknown && !count)
      v = asNumbers(v, argument.place, what);
    if (v.kind == Val::Tensor && !count)
      for (const NamedAxis &axis : axes) {
        NamedAxes found = axesOf(v);
        if (std::find_if(found.begin(), found.end(),
                         [&](const NamedAxis &a) { return a.name == axis.name; }) == found.end()) {
          std::string named = argument.value->kind == ast::Expr::Name
                                  ? "'" + argument.value->text + "'"
                                  : "its argument";
          v = error(argument.place, "'" + e.text + "[" + shown(axis.name) + "]' met " + named +
                                        " with axes " + shown(found) + ": expected the axis '" +
                                        shown(axis.name) + "'");
          break;
        }
      }
    good &= v.kind != Val::Unknown;
    args.push_back(v);
  }
  if (!good)
    return Val();
  llvm::SmallVector<llvm::StringRef> names;
  double count = 1;
  for (const NamedAxis &axis : axes) {
    names.push_back(axis.name);
    for (const NamedAxis &own : axesOf(args[0]))
      count *= own.name == axis.name ? static_cast<double>(own.extent) : 1;
  }
  auto builder = at();
  auto loc = location(e.place);
  if (e.text == "dot") {
    if (!compatible(args, e.place, what))
      return Val();
    return made(ContractOp::create(builder, loc, use(args[0]), use(args[1]), names));
  }
  if (e.text == "softmax")
    return softmax(args[0], names, e.place);
  if (e.text == "topk" || concat) {
    if (axes.size() != 1)
      return error(e.place, what + " takes one axis, found " + shown(axes));
    if (e.text == "topk")
      return topk(args[0], axes[0], args[1], e.place);
    int64_t extent = 0;
    NamedAxes whole;
    llvm::SmallVector<mlir::Value> values;
    for (Val &v : args)
      v = here(v);
    for (Val &v : args) { // all with the first's axes, in its order, but for the one along which
                          // they follow each other
      NamedAxes own = axesOf(v);
      if (whole.empty())
        whole = own;
      NamedAxes ordered;
      for (const NamedAxis &axis : whole)
        for (const NamedAxis &other : own)
          if (other.name == axis.name && (other.extent == axis.extent || axis.name == axes[0].name))
            ordered.push_back(other);
      if (ordered.size() != whole.size() || own.size() != whole.size() ||
          perToken(v) != perToken(args[0]))
        return error(e.place, "'concat' met axes " + shown(whole) + " and " + shown(own) +
                                  "; expected the same but for '" + shown(axes[0].name) + "'");
      for (const NamedAxis &axis : ordered)
        extent += axis.name == axes[0].name ? axis.extent : 0;
      v = broadcast(v, ordered, e.place);
      values.push_back(use(v));
    }
    for (NamedAxis &axis : whole)
      axis.extent = axis.name == axes[0].name ? extent : axis.extent;
    auto here = at();
    return made(ConcatOp::create(here, loc, typeOf(whole, perToken(args[0])), values,
                                 mlir::StringAttr::get(&context, axes[0].name)));
  }
  ReduceKind kind = e.text == "max"   ? ReduceKind::Max
                    : e.text == "min" ? ReduceKind::Min
                                      : ReduceKind::Sum;
  Val reduced = made(ReduceOp::create(builder, loc, kind, use(args[0]), names));
  if (e.text == "mean")
    return map(MapKind::Div, {reduced, number(count, e.place)}, e.place);
  return reduced;
}

Val IRGen::softmax(Val x, llvm::ArrayRef<llvm::StringRef> axes, Place place) {
  auto loc = location(place);
  auto builder = at();
  Val most = made(ReduceOp::create(builder, loc, ReduceKind::Max, use(x), axes));
  Val weights = map(MapKind::Exp, {map(MapKind::Sub, {x, most}, place)}, place);
  auto after = at();
  Val total = made(ReduceOp::create(after, loc, ReduceKind::Sum, use(weights), axes));
  return map(MapKind::Div, {weights, total}, place);
}

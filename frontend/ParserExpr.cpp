//===- ParserExpr.cpp - Expressions and axes ----------------------------------------===//
//
// A line's end closes an expression unless a binary operator comes first on the next line or a
// bracket is open: `[`, `(`, `@` and a module's scope must stand on the line of what they follow.
//
//===----------------------------------------------------------------------===//

#include "frontend/ParserImpl.h"

using namespace rondo;
using namespace rondo::ast;

ExprPtr Parser::expression() {
  Nested nested(*this);
  if (tooDeep())
    return nullptr;
  return binary(0);
}

// Levels, loosest first.
static int levelOf(const Token &token) {
  if (token.isName("or"))
    return 0;
  if (token.isName("and"))
    return 1;
  for (const char *p : {"<", "<=", ">", ">=", "==", "!="})
    if (token.is(p))
      return 3;
  if (token.is("+") || token.is("-"))
    return 4;
  if (token.is("*") || token.is("/") || token.is("%"))
    return 5;
  return -1;
}

ExprPtr Parser::binary(int level) {
  if (level == 2) { // between `and` and the comparisons
    if (!peek().isName("not"))
      return binary(3);
    Nested nested(*this);
    if (tooDeep())
      return nullptr;
    ExprPtr e = make(Expr::Unary);
    e->text = take().text;
    ExprPtr operand = binary(2);
    if (!operand)
      return nullptr;
    e->operands.push_back(std::move(operand));
    return e;
  }
  if (level > 5)
    return unary();
  ExprPtr lhs = binary(level + 1);
  bool compared = false;
  // A chain of one operator makes a tree as deep as it is long.
  unsigned chain = 0;
  while (lhs && levelOf(peek()) == level) {
    if (level == 3 && compared) {
      fail("comparisons do not chain; write `a < b and b < c`");
      return nullptr;
    }
    compared = true;
    if (++chain > 4 * deepest) {
      fail("an expression of more than " + std::to_string(4 * deepest) +
           " terms; give parts of it names");
      return nullptr;
    }
    ExprPtr e = make(Expr::Binary);
    e->text = take().text;
    ExprPtr rhs = binary(level + 1);
    if (!rhs)
      return nullptr;
    e->operands.push_back(std::move(lhs));
    e->operands.push_back(std::move(rhs));
    lhs = std::move(e);
  }
  return lhs;
}

ExprPtr Parser::unary() {
  if (!peek().is("-"))
    return power();
  Nested nested(*this);
  if (tooDeep())
    return nullptr;
  ExprPtr e = make(Expr::Unary);
  e->text = take().text;
  ExprPtr operand = unary();
  if (!operand)
    return nullptr;
  e->operands.push_back(std::move(operand));
  return e;
}

ExprPtr Parser::power() {
  ExprPtr base = postfix();
  if (!base || !peek().is("^"))
    return base;
  Nested nested(*this);
  if (tooDeep())
    return nullptr;
  ExprPtr e = make(Expr::Binary);
  e->text = take().text;
  ExprPtr exponent = unary(); // right to left, and `2^-3`
  if (!exponent)
    return nullptr;
  e->operands.push_back(std::move(base));
  e->operands.push_back(std::move(exponent));
  return e;
}

ExprPtr Parser::postfix() {
  ExprPtr e = primary();
  unsigned chain = 0;
  while (e) {
    if (++chain > deepest) {
      fail("more than " + std::to_string(deepest) + " brackets behind one value");
      return nullptr;
    }
    if (peek().is("[") && !peek().lineBefore) {
      ExprPtr changed = make(Expr::Changed);
      take();
      if (!changes(changed->changes))
        return nullptr;
      changed->operands.push_back(std::move(e));
      e = std::move(changed);
    } else if (peek().is("@") && !peek().lineBefore) {
      ExprPtr place = make(Expr::At);
      take();
      if (acceptName("start")) {
        place->text = "start";
        place->operands.push_back(std::move(e));
      } else {
        ExprPtr where = peek().is("-") ? unary() : primary();
        if (!where)
          return nullptr;
        place->operands.push_back(std::move(e));
        place->operands.push_back(std::move(where));
      }
      e = std::move(place);
    } else if (peek().is("->") && peek(1).is("[")) {
      Place arrow = take().place;
      Axes result;
      if (!axes(result))
        return nullptr;
      if (e->kind != Expr::Call || e->hasResult) {
        auto ascribed = std::make_unique<Expr>(Expr::Ascribe, arrow);
        ascribed->operands.push_back(std::move(e));
        e = std::move(ascribed);
      }
      e->hasResult = true;
      e->result = std::move(result);
    } else {
      return e;
    }
  }
  return e;
}

// Words that continue an expression or a statement, so that none begins a scope.
static bool isReserved(const Token &token) {
  for (const char *word : {"and", "or", "not", "from", "as", "init", "every", "top", "by", "where",
                           "else", "yield", "for"})
    if (token.isName(word))
      return true;
  return false;
}

// From the token `ahead`: a scope, then `(`, all on this line.
bool Parser::useFollows(size_t ahead) const {
  const Token *token = &peek(ahead);
  bool first = true;
  if (isReserved(*token))
    return false;
  if (token->is(".") && token->spaceBefore)
    token = &peek(++ahead);
  while (true) {
    if (token->lineBefore)
      return false;
    if (token->is("{")) {
      unsigned open = 0;
      do {
        if (peek(ahead).kind == Token::End || peek(ahead).lineBefore)
          return false;
        open += peek(ahead).is("{") ? 1 : 0;
        open -= peek(ahead).is("}") ? 1 : 0;
        ++ahead;
      } while (open);
    } else if (token->kind == Token::Name || (!first && token->kind == Token::Integer)) {
      ++ahead;
    } else {
      return false;
    }
    first = false;
    if (!peek(ahead).is("."))
      return peek(ahead).is("(") && !peek(ahead).lineBefore;
    token = &peek(++ahead);
  }
}

bool Parser::scope(Scope &scope) {
  scope.absolute = accept(".");
  do {
    ScopePart part;
    part.place = peek().place;
    if (accept("{")) {
      if (!(part.value = expression()) || !expect("}", "after the expression in a scope"))
        return false;
    } else if (peek().kind == Token::Name || peek().kind == Token::Integer) {
      part.text = take().text;
    } else {
      return fail("expected a scope such as layers.{i}, found " + peek().shown());
    }
    scope.parts.push_back(std::move(part));
  } while (accept("."));
  return true;
}

ExprPtr Parser::primary() {
  const Token &token = peek();
  switch (token.kind) {
  case Token::Integer: {
    ExprPtr e = make(Expr::Integer);
    e->integer = token.integer;
    e->real = token.real;
    take();
    return e;
  }
  case Token::Real: {
    ExprPtr e = make(Expr::Real);
    e->real = token.real;
    take();
    return e;
  }
  case Token::String: {
    ExprPtr e = make(Expr::String);
    e->text = take().text;
    return e;
  }
  case Token::Name:
    return named();
  default:
    break;
  }
  if (token.is("(")) {
    take();
    ExprPtr e = expression();
    return e && expect(")", "to close the bracket") ? std::move(e) : nullptr;
  }
  if (token.is("["))
    return list();
  fail("expected an expression, found " + token.shown());
  return nullptr;
}

ExprPtr Parser::list() {
  ExprPtr e = make(Expr::List);
  take();
  while (!peek().is("]")) {
    ExprPtr item = expression();
    if (!item)
      return nullptr;
    e->operands.push_back(std::move(item));
    if (!accept(","))
      break;
  }
  return expect("]", "to close the list") ? std::move(e) : nullptr;
}

ExprPtr Parser::named() {
  const Token &token = peek();
  if (token.isName("true") || token.isName("false")) {
    ExprPtr e = make(Expr::Boolean);
    e->integer = take().text == "true";
    return e;
  }
  if (token.isName("none")) {
    ExprPtr e = make(Expr::None);
    take();
    return e;
  }
  if (token.isName("recur") && peek(1).kind == Token::Name && !peek(1).lineBefore)
    return recur();
  if ((token.isName("softmax") || token.isName("sum")) && peek(1).isName("over"))
    return over();
  if (token.isName("route") && peek(1).kind == Token::Name && peek(2).isName("of"))
    return route();

  if (isReserved(token) && !token.isName("where")) {
    fail("expected an expression, found '" + token.text + "'");
    return nullptr;
  }
  ExprPtr e = make(Expr::Name);
  e->text = take().text;
  // `name[axes](`, `name[axes] scope(`: a call along given axes; `index[k]` the index along an
  // axis.
  if (peek().is("[") && !peek().lineBefore) {
    size_t end = 1, names = 0;
    while (peek(end).kind == Token::Name) {
      ++end;
      ++names;
    }
    if (e->text == "index") {
      e->kind = Expr::Index;
      return axes(e->axes) ? std::move(e) : nullptr;
    }
    if (e->text == "grad") { // `grad[S](loss)`, `grad[S@start](loss)`
      e->kind = Expr::Call;
      take();
      ExprPtr state = expression();
      if (!state || !expect("]", "after the state") || !arguments(e->arguments))
        return nullptr;
      e->operands.push_back(std::move(state));
      return e;
    }
    bool closed = names && peek(end).is("]") && !peek(end + 1).lineBefore;
    bool call = closed && (peek(end + 1).is("(") || useFollows(end + 1));
    if (call) {
      e->kind = Expr::Call;
      e->hasAxes = true;
      if (!axes(e->axes))
        return nullptr;
    }
  }
  bool scoped = !peek().is("(") && !peek().lineBefore && useFollows(0);
  if (scoped) {
    e->kind = Expr::Call;
    e->hasScope = true;
    if (!scope(e->scope))
      return nullptr;
  }
  if (peek().is("(") && !peek().lineBefore) {
    e->kind = Expr::Call;
    if (!arguments(e->arguments))
      return nullptr;
  }
  return e;
}

bool Parser::arguments(std::vector<Argument> &arguments) {
  if (!expect("(", "before the arguments"))
    return false;
  while (!peek().is(")")) {
    Argument argument;
    argument.place = peek().place;
    if (peek().kind == Token::Name && peek(1).is("=")) {
      argument.name = take().text;
      take();
    }
    if (!(argument.value = expression()))
      return false;
    arguments.push_back(std::move(argument));
    if (!accept(","))
      break;
  }
  return expect(")", "after the arguments");
}

bool Parser::axesUntilEnd(Axes &axes) {
  while (!peek().is("]") && !peek().is(",") && !peek().is("->")) {
    Axis axis;
    axis.place = peek().place;
    if (peek().kind == Token::Integer) {
      if (peek().integer != 1)
        return fail(
            "an axis needs a name; only the extent 1 may stand by itself, as in weight[c 1 width]");
      take();
    } else {
      if (!expectName(axis.name, "an axis"))
        return false;
      if (accept("=") && !(axis.extent = expression()))
        return false;
    }
    axes.push_back(std::move(axis));
  }
  return true;
}

bool Parser::axes(Axes &axes) {
  if (!expect("[", "before the axes") || !axesUntilEnd(axes))
    return false;
  if (peek().is(","))
    return fail("axes are separated by spaces, not commas: [h k]");
  return expect("]", "after the axes");
}

bool Parser::changes(std::vector<Change> &changes) {
  if (peek().is("]"))
    return fail("expected axes between the brackets, as in x[d -> h k] or x[k = 0..16]");
  do {
    Change c;
    if (!change(c))
      return false;
    changes.push_back(std::move(c));
  } while (accept(","));
  return expect("]", "after the axes");
}

bool Parser::change(Change &change) {
  change.place = peek().place;
  if (peek().kind == Token::Name && peek(1).is("=")) {
    Axis axis;
    axis.place = peek().place;
    axis.name = take().text;
    take();
    change.from.push_back(std::move(axis));
    if (!(change.low = expression()))
      return false;
    change.kind = Change::Pick;
    if (accept("..")) {
      change.kind = Change::Slice;
      if (!(change.high = expression()))
        return false;
      if (accept("->") && !axesUntilEnd(change.to))
        return false;
    }
    return true;
  }
  size_t names = 0;
  while (peek(names).kind == Token::Name ||
         (peek(names).kind == Token::Integer && peek(names).integer == 1 && names))
    ++names;
  const Token &next = peek(names);
  if (names && next.is("->")) {
    change.kind = Change::Reshape;
    if (!axesUntilEnd(change.from))
      return false;
    take();
    return axesUntilEnd(change.to) &&
           (!change.to.empty() || fail("expected axes after '->', found " + peek().shown()));
  }
  if (names && (next.is("]") || next.is(","))) {
    change.kind = Change::Check;
    return axesUntilEnd(change.to);
  }
  change.kind = Change::Pick;
  return (change.low = expression()) != nullptr;
}

ExprPtr Parser::recur() {
  ExprPtr e = make(Expr::Recur);
  take();
  do {
    State state;
    state.place = peek().place;
    if (!expectName(state.name, "a state's name") || (peek().is("[") && !axes(state.axes)) ||
        !expect("=", "and the state's first value, as in `recur S[h k] = 0`") ||
        !(state.init = expression()))
      return nullptr;
    e->states.push_back(std::move(state));
  } while (accept(","));
  if (acceptName("every") && !(e->every = expression()))
    return nullptr;
  if (!block(e->body, "the recurrence's body"))
    return nullptr;
  if (!acceptName("yield")) {
    fail("expected 'yield' and what the recurrence gives, found " + peek().shown());
    return nullptr;
  }
  // `yield y[h p] = e, z = e` or `yield e`.
  do {
    size_t before = at;
    Target t;
    if (peek().kind == Token::Name && looksLikeLet()) {
      if (!target(t))
        return nullptr;
      if (!accept("=")) {
        at = before;
        t = Target();
      }
    }
    ExprPtr value = expression();
    if (!value)
      return nullptr;
    e->yieldTargets.push_back(std::move(t));
    e->yields.push_back(std::move(value));
  } while (accept(","));
  return e;
}

ExprPtr Parser::over() {
  ExprPtr e = make(Expr::Over);
  e->text = take().text;
  take();
  if (!expectName(e->variable, "the name of the other position, as in `over s`") ||
      (acceptName("where") && !(e->where = expression())) ||
      !expect("{", "before what is read at that position") || !overBody(*e))
    return nullptr;
  return e;
}

// Lets, then `score e`, `value e` and, of a softmax, `sink e` in any order; a sum may have its
// value as a bare expression.
bool Parser::overBody(Expr &over) {
  while (!accept("}")) {
    if (accept(";"))
      continue;
    if (peek().kind == Token::End)
      return fail(over.place, "the body of this 'over' is never closed; expected '}'");
    bool named = (peek().isName("score") || peek().isName("value") || peek().isName("sink")) &&
                 !peek(1).is("=") && !peek(1).is("[") && !peek(1).is(",");
    if (named) {
      Token word = take();
      ExprPtr &slot = word.text == "score"   ? over.score
                      : word.text == "value" ? over.value
                                             : over.sink;
      if (slot)
        return fail(word.place, "a second '" + word.text + "' in this 'over'");
      if (!(slot = expression()))
        return false;
    } else {
      auto s = statement();
      if (!s)
        return false;
      if (s->kind == Stmt::Value && over.text == "sum" && !over.value)
        over.value = std::move(s->value);
      else if (s->kind == Stmt::Value)
        return fail(s->place, "expected 'score', 'value' or a let in this 'over'");
      else
        over.body.push_back(std::move(s));
    }
  }
  // `value = e` is a let: whoever wrote it meant the clause.
  auto lacks = [&](const std::string &what, const std::string &clause) {
    for (const auto &let : over.body)
      if (let->kind == Stmt::Let && let->targets[0].name == clause)
        return fail(let->place, what + " has no '" + clause + "': '" + clause +
                                    " = ...' names a value of its own; expected '" + clause +
                                    " ...', without '='");
    return fail(over.place, what + " has no '" + clause + "'");
  };
  if (!over.value)
    return lacks("this 'over'", "value");
  if (over.text == "softmax" && !over.score)
    return lacks("this softmax", "score");
  if (over.text == "sum" && over.score)
    return fail(over.place, "a sum takes no 'score'; multiply the value by it");
  if (over.text == "sum" && over.sink)
    return fail(over.place, "a sum takes no 'sink': it has no denominator");
  return true;
}

// `route e of 256 top 8 by scores weight w as scope { ... }`, `route e of 256 at ids as scope
// {...}`
ExprPtr Parser::route() {
  ExprPtr e = make(Expr::Route);
  take();
  e->variable = take().text;
  take();
  auto part = [&] {
    e->operands.push_back(expression());
    return e->operands.back() != nullptr;
  };
  if (!part())
    return nullptr;
  if (acceptName("at")) {
    e->text = "at";
    if (!part())
      return nullptr;
  } else {
    e->text = "top";
    for (const char *word : {"top", "by"}) {
      if (!acceptName(word)) {
        fail(std::string("expected '") + word + (word[0] == 't' ? "' or 'at" : "") +
             "' in this route, found " + peek().shown());
        return nullptr;
      }
      if (!part())
        return nullptr;
    }
    if (acceptName("weight") && !part())
      return nullptr;
  }
  if (!acceptName("as")) {
    fail("expected 'as' and the experts' scope in this route, found " + peek().shown());
    return nullptr;
  }
  e->hasScope = true;
  if (!scope(e->scope) || !block(e->body, "an expert's body"))
    return nullptr;
  return e;
}

//===- IRGenTime.cpp - Earlier tokens, recurrences, other positions -----------------===//
//
// The only places where a value of one token meets those of others. Inside a body, `@` reads values
// from outside it: what stands before `@s` is computed once a token, outside, and only changes of
// axes are left to the reader, so that a cache holds what was written and not its repetitions.
//
//===----------------------------------------------------------------------===//

#include "dialect/PairBody.h"
#include "frontend/IRGen.h"

#include "llvm/ADT/StringExtras.h"

using namespace rondo;

// A name of a state, relative to the enclosing function and unique in it.
std::string IRGen::stateName(const std::string &name) {
  Frame *function = frame->function();
  std::string full = instance->path.empty() ? name : llvm::join(instance->path, ".") + "." + name;
  if (!function->prefix.empty() && full.rfind(function->prefix + ".", 0) == 0)
    full = full.substr(function->prefix.size() + 1);
  std::string unique = full;
  for (int i = 2; !function->stateNames.insert(unique).second; ++i)
    unique = full + "_" + std::to_string(i);
  return unique;
}

Val IRGen::position(Place place) {
  if (frame->kind == Frame::Over)
    return made(frame->block->getArgument(0));
  Frame *function = frame->function();
  if (!function->position) {
    auto builder = atEnd(function->block);
    function->position = PositionOp::create(builder, location(place), typeOf({}, true));
  }
  return Val::of(function->position, function);
}

//===----------------------------------------------------------------------===//
// @
//===----------------------------------------------------------------------===//

// Evaluates in the enclosing function, where bodies' own values do not exist.
Val IRGen::evalOutside(const ast::Expr &e, const std::string &what) {
  Frame *inner = frame;
  frame = frame->function();
  Val v = eval(e);
  frame = inner;
  if (v.kind == Val::Tensor && v.frame->kind != Frame::Function)
    return error(
        e.place,
        what + " reads values from outside the recurrence or over; this is computed inside it");
  if (v.kind == Val::Tensor && !perToken(v))
    return error(e.place, "a value with axes " + shown(axesOf(v)) +
                              " that is the same for every token has no earlier or other tokens");
  if (v.kind == Val::Const)
    return error(e.place, "'@' reads another token's value; found " + describe(v));
  return v;
}

Val IRGen::shifted(Val v, int64_t distance, const std::string &name, Place place) {
  Frame *function = v.frame;
  mlir::Value &held = function->shifts[{v.tensor.getAsOpaquePointer(), distance}];
  if (!held) {
    auto builder = atEnd(function->block);
    held = ShiftOp::create(builder, location(place), v.tensor.getType(), v.tensor,
                           static_cast<uint64_t>(distance),
                           stateName(name + "@-" + std::to_string(distance)));
  }
  return Val::of(held, function);
}

Val IRGen::evalAt(const ast::Expr &e) {
  const ast::Expr &source = *e.operands[0];
  if (e.text == "start") {
    for (size_t i = instance->scopes.size(); i-- > 0 && source.kind == ast::Expr::Name;) {
      auto found = instance->scopes[i].starts.find(source.text);
      if (found != instance->scopes[i].starts.end())
        return found->second;
    }
    return error(e.place, "'@start' is a state at the start of its group: it needs a state of a "
                          "recurrence with `every`");
  }
  const ast::Expr &where = *e.operands[1];
  bool other = frame->kind == Frame::Over && where.kind == ast::Expr::Name &&
               instance->scopes.back().other == where.text;
  for (const Instance::Scope &scope : instance->scopes)
    other |= frame->kind == Frame::Over && where.kind == ast::Expr::Name && !scope.other.empty() &&
             scope.other == where.text;
  if (other) {
    llvm::SmallVector<const ast::Expr *> changes;
    const ast::Expr *inner = &source;
    while (inner->kind == ast::Expr::Changed) {
      changes.push_back(inner);
      inner = inner->operands[0].get();
    }
    Val v = evalOutside(*inner, "'@" + where.text + "'");
    if (v.kind != Val::Tensor)
      return v;
    v = made(frame->captureKey(useIn(v.tensor, v.frame, frame->parent)));
    for (const ast::Expr *c : llvm::reverse(changes))
      for (const ast::Change &one : c->changes)
        v = changed(v, one, *c);
    return v;
  }
  ConstResult distance = evalConst(where, "the distance behind '@'");
  if (!distance)
    return Val();
  if (distance->kind != ConstValue::Integer)
    return error(where.place,
                 "the distance behind '@' is an integer such as -1, found " + distance->shown());
  if (distance->integer > 0)
    return error(e.place, "'@" + std::to_string(distance->integer) +
                              "' reads a later token; a module only sees earlier ones, as in x@-1");
  if (distance->integer < -4096)
    return error(where.place, "'@" + std::to_string(distance->integer) +
                                  "' reaches further back than 4096 tokens; use `over`");
  if (distance->integer == 0)
    return eval(source);
  Val v = evalOutside(source, "'@" + std::to_string(distance->integer) + "'");
  if (v.kind != Val::Tensor)
    return v;
  if (v.frame != frame->function())
    v = Val::of(useIn(v.tensor, v.frame, frame->function()), frame->function());
  return shifted(v, -distance->integer, source.kind == ast::Expr::Name ? source.text : "shift",
                 e.place);
}

//===----------------------------------------------------------------------===//
// recur
//===----------------------------------------------------------------------===//

bool IRGen::bindStates(const ast::Expr &e, Frame &body, std::vector<NamedAxes> &axes,
                       llvm::SmallVectorImpl<mlir::Value> &inits) {
  bool good = true;
  for (const ast::State &state : e.states) {
    NamedAxes own;
    Val init = eval(*state.init);
    if (!resolveAxes(state.axes, own) || init.kind == Val::Unknown) {
      good = false;
      continue;
    }
    for (size_t i = 0; i < axes.size(); ++i)
      if (e.states[i].name == state.name) {
        error(state.place, "the state '" + state.name + "' is declared twice");
        good = false;
      }
    if (init.kind == Val::Tensor && perToken(init)) {
      error(state.init->place,
            "the first value of '" + state.name +
                "' must be the same for every sequence: a number or a parameter, found " +
                describe(init));
      good = false;
      continue;
    }
    if (init.kind == Val::Const && !init.constant.isNumber())
      init = error(state.init->place, "the first value of '" + state.name +
                                          "' is a number or a parameter, found " + describe(init));
    init = conform(init, own, state.init->place, "the state '" + state.name + "'", state.init.get(),
                   true);
    if (init.kind == Val::Tensor)
      init = broadcast(init, own, state.init->place);
    good &= init.kind == Val::Tensor;
    axes.push_back(own);
    if (good)
      inits.push_back(use(init));
  }
  if (!good)
    return false;
  for (size_t i = 0; i < axes.size(); ++i)
    body.block->addArgument(typeOf(axes[i], false), location(e.states[i].place));
  return true;
}

Val IRGen::evalRecur(const ast::Expr &e, bool asStatement) {
  if (frame->kind != Frame::Function)
    return error(e.place, "a recurrence inside another's body, or inside over, is not lowered yet");
  std::optional<int64_t> every;
  if (e.every) {
    ConstResult group = evalConst(*e.every, "the group after 'every'");
    if (!group)
      return Val();
    if (group->kind != ConstValue::None) { // an option may leave groups out
      every = evalExtent(*e.every, "the group after 'every'");
      if (!every)
        return Val();
      if (*every < 1)
        return error(e.every->place, "a group has at least one token");
    }
  }
  auto block = std::make_unique<mlir::Block>();
  Frame body(Frame::Recur, frame, block.get());
  std::vector<NamedAxes> axes;
  llvm::SmallVector<mlir::Value> inits;
  bool good = bindStates(e, body, axes, inits);
  size_t count = e.states.size();

  Frame *outer = frame;
  frame = &body;
  instance->scopes.push_back({&body, {}, {}, {}, {}});
  unsigned repeats = instance->repeats;
  for (size_t i = 0; i < count; ++i) {
    Instance::Scope &scope = instance->scopes.back();
    const std::string &name = e.states[i].name;
    scope.names[name] = good ? made(body.block->getArgument(static_cast<unsigned>(i))) : Val();
    if (good)
      scope.states[name] = axes[i];
  }
  // A group of one token starts with the state before it, which is no further state.
  bool grouped = every && *every > 1;
  for (size_t i = 0; i < count && every && good; ++i) {
    mlir::Value start = body.block->getArgument(static_cast<unsigned>(i));
    if (grouped)
      start = body.block->addArgument(typeOf(axes[i], false), location(e.states[i].place));
    instance->scopes.back().starts[e.states[i].name] = made(start);
  }
  runBlock(e.body);

  // What it yields sees the new states.
  llvm::SmallVector<mlir::Value> outputs;
  for (size_t i = 0; i < e.yields.size(); ++i) {
    const ast::Target &target = e.yieldTargets[i];
    Wanted wanted(1);
    bool known = target.written && tryAxes(target.axes, wanted[0]);
    Val v = eval(*e.yields[i], known ? &wanted : nullptr);
    if (v.kind == Val::Const && v.constant.isNumber())
      v = number(v.constant.real(), e.yields[i]->place);
    NamedAxes own;
    if (v.kind == Val::Tensor && target.written)
      v = resolveAxes(target.axes, own) ? conform(v, own, e.yields[i]->place,
                                                  "'" + target.name + "'", e.yields[i].get(), false)
                                        : Val();
    if (v.kind == Val::Const || v.kind == Val::Tuple)
      v = error(e.yields[i]->place, "a recurrence yields numbers, found " + describe(v));
    good &= v.kind == Val::Tensor;
    if (good)
      outputs.push_back(use(v));
  }
  llvm::SmallVector<mlir::Value> states;
  for (size_t i = 0; i < count && good; ++i) {
    const Val &v = instance->scopes.back().names[e.states[i].name];
    good &= v.kind == Val::Tensor;
    if (good)
      states.push_back(use(v));
  }
  if (good) {
    auto builder = at();
    YieldOp::create(builder, location(e.place), states, outputs);
  }
  instance->repeats = repeats;
  instance->scopes.pop_back();
  frame = outer;

  std::vector<Val> results(e.yields.size());
  if (good) {
    llvm::SmallVector<mlir::Type> types;
    for (mlir::Value v : outputs)
      types.push_back(withTime(v.getType()));
    std::string first;
    llvm::SmallVector<mlir::Attribute> names;
    for (const ast::State &state : e.states) {
      std::string full = stateName(state.name);
      if (first.empty())
        first = full;
      names.push_back(mlir::StringAttr::get(&context, full.substr(full.rfind('.') + 1)));
    }
    auto builder = at();
    auto op =
        RecurOp::create(builder, location(e.place), types, mlir::StringAttr::get(&context, first),
                        mlir::ArrayAttr::get(&context, names), body.perToken, inits,
                        grouped ? builder.getI64IntegerAttr(*every) : mlir::IntegerAttr());
    op.getBody().push_back(block.release());
    for (size_t i = 0; i < results.size(); ++i)
      results[i] = made(op.getResult(static_cast<unsigned>(i)));
  }
  if (asStatement)
    instance->resultNames.clear();
  for (size_t i = 0; i < results.size(); ++i) {
    const ast::Target &target = e.yieldTargets[i];
    NamedAxes own;
    if (target.written && results[i].kind == Val::Tensor && resolveAxes(target.axes, own))
      for (const NamedAxis &axis : own)
        results[i].order.push_back(axis.name);
    if (!target.name.empty())
      bind(target.name, results[i], target.place);
    if (asStatement)
      instance->resultNames.push_back(target.name);
  }
  if (results.size() == 1)
    return results[0];
  Val tuple;
  tuple.kind = good ? Val::Tuple : Val::Unknown;
  tuple.items = results;
  return tuple;
}

//===----------------------------------------------------------------------===//
// over
//===----------------------------------------------------------------------===//

Val IRGen::evalOver(const ast::Expr &e, const Wanted *) {
  if (frame->kind != Frame::Function)
    return error(e.place,
                 "'over' inside a recurrence's body, or inside another, is not lowered yet");
  if (e.variable == "t")
    return error(e.place,
                 "'t' is this token's position; the other's needs another name, as in `over s`");
  auto block = std::make_unique<mlir::Block>();
  auto scalar = typeOf({}, false);
  block->addArgument(scalar, location(e.place));
  block->addArgument(scalar, location(e.place));
  Frame body(Frame::Over, frame, block.get());
  Frame *outer = frame;
  frame = &body;
  instance->scopes.push_back({&body, {}, {}, {}, e.variable});

  // The predicate first: a constant one drops out.
  Val predicate = e.where ? eval(*e.where) : Val::of(ConstValue::of(true));
  bool good = predicate.kind != Val::Unknown;
  predicate = asTruth(predicate, e.where ? e.where->place : e.place, "'where'");
  runBlock(e.body);
  Val score = e.score ? eval(*e.score) : Val::of(ConstValue::of(0.0));
  score = asNumbers(score, e.score ? e.score->place : e.place, "'score'");
  Val value = asNumbers(eval(*e.value), e.value->place, "'value'");
  llvm::SmallVector<Val> read{predicate, score, value};
  if (e.sink) {
    read.push_back(asNumbers(eval(*e.sink), e.sink->place, "'sink'"));
    if (read.back().kind == Val::Tensor &&
        readsKey(use(read.back()), body.perToken.size(), body.keys.size())) {
      good = false;
      error(e.sink->place, "a sink is one number for all of a token's '" + e.variable +
                               "'; this one reads that position");
    }
  }
  for (const Val &v : read)
    good &= v.kind == Val::Tensor;
  NamedAxes result;
  if (good && compatible(read, e.place, "'over'")) {
    // The value's axes, after any that only scores, predicate and sink have.
    NamedAxes own = axesOf(value);
    llvm::SmallVector<Val> others{score, predicate};
    if (e.sink)
      others.push_back(read[3]);
    for (const Val &v : others)
      for (const NamedAxis &axis : axesOf(v))
        if (std::find(own.begin(), own.end(), axis) == own.end() &&
            std::find(result.begin(), result.end(), axis) == result.end())
          result.push_back(axis);
    result.insert(result.end(), own.begin(), own.end());
    value = broadcast(value, result, e.value->place);
    llvm::SmallVector<mlir::Value> outputs{use(predicate), use(score), use(value)};
    if (e.sink)
      outputs.push_back(use(read[3]));
    auto builder = at();
    YieldOp::create(builder, location(e.place), mlir::ValueRange(), outputs);
  } else {
    good = false;
  }
  instance->scopes.pop_back();
  frame = outer;
  if (!good)
    return Val();
  auto builder = at();
  auto op = OverOp::create(builder, location(e.place), typeOf(result, true), stateName("cache"),
                           e.text == "sum" ? OverKind::Sum : OverKind::Softmax, body.perToken,
                           body.keys, body.shared);
  op.getBody().push_back(block.release());
  return made(op.getResult());
}

//===- IRGenRoute.cpp - What a token chooses, and experts ---------------------------===//
//
// `topk` and `argtop` number the elements of an axis by how many come first: greater ones, and
// equal ones with a smaller index. A route is written for one expert: in its body the experts' axis
// is gone, a parameter whose scope names the expert is one slice of a stacked parameter, and a
// value of the token with the experts' axis is the element of this expert. Choices (first, second,
// ...) are an axis of the ids; it is gone in the body too and back in the result, where `top` sums
// over it with the experts' weights.
//
//===--------------------------------------------------------------------------------===//

#include "frontend/IRGen.h"

#include <algorithm>

using namespace rondo;

//===----------------------------------------------------------------------===//
// Choosing
//===----------------------------------------------------------------------===//

// How many elements along the axis come before each.
Val IRGen::ranks(Val x, const NamedAxis &axis, Place place) {
  NamedAxes own = axesOf(x), other = own;
  Instance names;
  for (const NamedAxis &a : own)
    names.taken.insert(a.name);
  std::string rival = freshAxis(names, axis.name);
  llvm::SmallVector<mlir::AffineExpr> same;
  NamedAxis rivalAxis;
  for (size_t i = 0; i < other.size(); ++i) {
    if (other[i].name == axis.name) {
      other[i].name = rival;
      rivalAxis = other[i];
    }
    same.push_back(mlir::getAffineDimExpr(static_cast<unsigned>(i), &context));
  }
  Val y = view(x, other, same, place);
  auto builder = at();
  Val i = made(
      IndexOp::create(builder, location(place), typeOf({{axis.name, rivalAxis.extent}}, false)));
  Val j = made(IndexOp::create(builder, location(place), typeOf({rivalAxis}, false)));
  Val earlier =
      map(MapKind::And, {map(MapKind::Eq, {x, y}, place), map(MapKind::Lt, {j, i}, place)}, place);
  Val first = map(MapKind::Or, {map(MapKind::Lt, {x, y}, place), earlier}, place);
  Val counted = map(MapKind::Select, {first, number(1, place), number(0, place)}, place);
  auto after = at();
  llvm::StringRef along[] = {rival};
  return made(ReduceOp::create(after, location(place), ReduceKind::Sum, use(counted), along));
}

// 1 where fewer than `count` others come first.
Val IRGen::topk(Val x, const NamedAxis &axis, const Val &count, Place place) {
  if (count.kind != Val::Const || count.constant.kind != ConstValue::Integer)
    return error(place, "the second argument of 'topk' is a compile-time integer, found " +
                            describe(count));
  Val limit = number(static_cast<double>(count.constant.integer), place);
  Val chosen = map(MapKind::Lt, {ranks(x, axis, place), limit}, place);
  return map(MapKind::Select, {chosen, number(1, place), number(0, place)}, place);
}

// 1 where an element along `axis` is the choice: `table[j e] = (ranks[e] == j)`.
Val IRGen::choiceTable(Val x, const NamedAxis &axis, const NamedAxis &choices, Place place) {
  auto builder = at();
  Val j = made(IndexOp::create(builder, location(place), typeOf({choices}, false)));
  Val hit = map(MapKind::Eq, {j, ranks(x, axis, place)}, place);
  return map(MapKind::Select, {hit, number(1, place), number(0, place)}, place);
}

// The index along `axis` of each choice, from the table of choices.
Val IRGen::choiceNumbers(Val table, const NamedAxis &axis, Place place) {
  if (table.kind != Val::Tensor)
    return Val();
  auto builder = at();
  auto loc = location(place);
  Val along = made(IndexOp::create(builder, loc, typeOf({axis}, false)));
  llvm::StringRef names[] = {axis.name};
  return made(ContractOp::create(builder, loc, use(table), use(along), names));
}

// `argtop[e j](x, 2)`: where along e the largest is, the second largest, ...: a new axis j.
Val IRGen::argtop(const ast::Expr &e) {
  if (e.arguments.size() != 2 || e.axes.size() != 2)
    return error(e.place, "'argtop' takes an axis and a new one for the choices, a value and the "
                          "number of choices, as in argtop[e j](x, 2)");
  Val x = asNumbers(eval(*e.arguments[0].value), e.arguments[0].place, "'argtop'");
  std::optional<int64_t> count =
      evalExtent(*e.arguments[1].value, "the number of choices of 'argtop'");
  std::optional<NamedAxis> axis = resolveAxis(e.axes[0]);
  if (x.kind != Val::Tensor || !axis || !count)
    return Val();
  NamedAxes found = axesOf(x);
  if (std::find(found.begin(), found.end(), *axis) == found.end())
    return error(e.place, "'argtop' met axes " + shown(found) + ": expected the axis '" +
                              shown(axis->name) + "'");
  NamedAxis choices = declareAxis(e.axes[1].name, *count);
  auto same = [&](const NamedAxis &a) { return a.name == choices.name; };
  if (*count > axis->extent || std::find_if(found.begin(), found.end(), same) != found.end())
    return error(e.place, "'argtop' numbers at most " + std::to_string(axis->extent) +
                              " choices along a new axis, found '" + shown(choices.name) + "' of " +
                              std::to_string(*count));
  return choiceNumbers(choiceTable(x, *axis, choices, e.place), *axis, e.place);
}

//===----------------------------------------------------------------------===//
// route
//===----------------------------------------------------------------------===//

// What the experts' variable is in a scope.
static std::string slotOf(const std::string &axis) { return "{" + axis + "}"; }

bool IRGen::isExpert(const std::string &text) const {
  return frame->kind == Frame::Route && text == slotOf(frame->experts.name);
}

// What a token chooses: the ids, 1 where an expert is a choice, and the weight of each choice.
bool IRGen::choose(const ast::Expr &e, const NamedAxis &experts, Choice &choice) {
  auto numbers = [&](const ast::Expr &from, const std::string &what, const Wanted *wanted) {
    return asNumbers(eval(from, wanted), from.place, what);
  };
  auto isPerTokenOver = [&](const Val &v, const NamedAxes &axes, const ast::Expr &from,
                            const std::string &what) {
    if (v.kind != Val::Tensor)
      return false;
    if (perToken(v) && axesOf(v) == axes)
      return true;
    error(from.place, what + " of a route is a token's, with axes " + shown(axes) + "; found " +
                          (perToken(v) ? "" : "a parameter's with ") + shown(axesOf(v)));
    return false;
  };
  if (e.text == "at") {
    choice.ids = numbers(*e.operands[1], "'at'", nullptr);
    if (choice.ids.kind != Val::Tensor)
      return false;
    NamedAxes axes = axesOf(choice.ids);
    if (axes.size() > 1 || !perToken(choice.ids) ||
        (axes.size() == 1 && axes[0].name == experts.name)) {
      error(e.operands[1]->place,
            "'at' takes a token's indices along at most one axis that is not '" +
                shown(experts.name) + "', found " + shown(axes));
      return false;
    }
    if (!axes.empty())
      choice.axis = axes[0];
    auto builder = at();
    Val along = made(IndexOp::create(builder, location(e.place), typeOf({experts}, false)));
    Val hit = map(MapKind::Eq, {choice.ids, along}, e.place);
    choice.table = map(MapKind::Select, {hit, number(1, e.place), number(0, e.place)}, e.place);
    return choice.table.kind == Val::Tensor;
  }
  std::optional<int64_t> count = evalExtent(*e.operands[1], "the number of experts for a token");
  if (!count)
    return false;
  if (*count > experts.extent) {
    error(e.operands[1]->place, "a token cannot choose " + std::to_string(*count) + " of " +
                                    std::to_string(experts.extent) + " experts");
    return false;
  }
  Wanted wanted = {{experts}};
  Val by = numbers(*e.operands[2], "'by'", &wanted);
  if (!isPerTokenOver(by, {experts}, *e.operands[2], "'by'"))
    return false;
  Val weights = by;
  if (e.operands.size() > 3) {
    weights = numbers(*e.operands[3], "'weight'", &wanted);
    if (!isPerTokenOver(weights, {experts}, *e.operands[3], "'weight'"))
      return false;
  }
  Instance names;
  names.taken = instance->taken;
  for (const auto &[name, axis] : instance->axes)
    names.taken.insert(axis.name);
  choice.axis = NamedAxis{freshAxis(names, experts.name + "_choice"), *count};
  choice.table = choiceTable(by, experts, *choice.axis, e.place);
  choice.ids = choiceNumbers(choice.table, experts, e.place);
  if (choice.ids.kind != Val::Tensor)
    return false;
  auto builder = at();
  llvm::StringRef along[] = {experts.name};
  choice.weights =
      made(ContractOp::create(builder, location(e.place), use(choice.table), use(weights), along));
  return true;
}

Val IRGen::evalRoute(const ast::Expr &e) {
  if (frame->kind != Frame::Function)
    return error(e.place, "'route' inside a recurrence's or over's body, or inside another, is not "
                          "lowered yet");
  std::optional<int64_t> extent = evalExtent(*e.operands[0], "the number of experts");
  if (!extent)
    return Val();
  std::optional<NamedAxis> known = knownAxis(e.variable);
  if (known && known->extent != *extent)
    return error(e.place, "the axis '" + e.variable + "' has " + std::to_string(known->extent) +
                              " elements here; the route is of " + std::to_string(*extent));
  NamedAxis experts = known ? *known : declareAxis(e.variable, *extent);
  Choice choice;
  if (!choose(e, experts, choice))
    return Val();

  auto block = std::make_unique<mlir::Block>();
  Frame body(Frame::Route, frame, block.get());
  body.experts = experts;
  body.choices = choice.axis ? choice.axis->name : "";
  body.chosen = use(choice.table);
  Frame *outer = frame;
  auto path = instance->path;
  auto resultNames = instance->resultNames;
  Val result = instance->result;
  bool returned = instance->returned;
  unsigned repeats = instance->repeats;
  frame = &body;
  instance->scopes.push_back({&body, {}, {}, {}, {}});
  instance->scopes.back().names[e.variable] = Val::of(ConstValue::of(slotOf(experts.name)));
  instance->repeats = 0;
  instance->result = Val();
  bool good = scopePath(e.scope, instance->path);
  Val value;
  if (good) {
    runBlock(e.body);
    value = instance->result;
    if (value.kind == Val::Unknown && !sink.failed())
      error(e.place, "the body of this route returns nothing");
    value = asNumbers(value, e.place, "a route's body");
  }
  good &= value.kind == Val::Tensor;
  if (good) {
    value = here(value);
    auto builder = at();
    YieldOp::create(builder, location(e.place), mlir::ValueRange(), mlir::ValueRange{value.tensor});
  }
  NamedAxes axes = good ? axesOf(value) : NamedAxes();
  instance->scopes.pop_back();
  instance->path = path;
  instance->resultNames = resultNames;
  instance->result = result;
  instance->returned = returned;
  instance->repeats = repeats;
  frame = outer;
  if (!good)
    return Val();
  if (body.shared.empty())
    return error(e.place, "this route's body reads no parameter of the experts; expected one in a "
                          "scope with {" +
                              e.variable + "}, or with the axis '" + e.variable + "'");
  if (choice.axis)
    axes.insert(axes.begin(), *choice.axis);
  auto builder = at();
  auto loc = location(e.place);
  auto op = RouteOp::create(builder, loc, typeOf(axes, true), use(choice.ids), experts.name,
                            body.perToken, body.shared);
  op.getBody().push_back(block.release());
  Val all = made(op.getResult());
  if (choice.weights.kind != Val::Tensor)
    return all;
  llvm::StringRef along[] = {choice.axis->name};
  return made(ContractOp::create(builder, loc, use(choice.weights), use(all), along));
}

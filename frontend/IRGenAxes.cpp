//===- IRGenAxes.cpp - Names of axes, and changing a value's axes -------------------===//

#include "frontend/IRGen.h"

#include "mlir/IR/AffineMap.h"

#include <algorithm>

using namespace rondo;
using mlir::AffineExpr;

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

// `t` is time; later stages put block axes `c` and `s` beside a value's own.
std::string IRGen::freshAxis(const Instance &inside, const std::string &name) const {
  std::string base = name == "t" || name == "c" || name == "s" ? name + "_" : name;
  std::string unique = base;
  for (int i = 2; inside.taken.count(unique); ++i)
    unique = base + "_" + std::to_string(i);
  return unique;
}

std::string IRGen::shown(const std::string &axis) {
  return axis.size() > 1 && axis.back() == '_' ? axis.substr(0, axis.size() - 1) : axis;
}

std::string IRGen::shown(const NamedAxes &axes) {
  std::string text;
  for (const NamedAxis &axis : axes)
    text += (text.empty() ? "" : " ") + shown(axis.name);
  return "[" + text + "]";
}

std::optional<NamedAxis> IRGen::knownAxis(const std::string &name) {
  auto own = instance->axes.find(name);
  if (own != instance->axes.end())
    return own->second;
  const ast::Setting *s = program.setting(instance->file, name);
  if (!s || !s->isSize)
    return std::nullopt;
  ConstResult extent = program.valueOf(*s, s->place);
  if (!extent)
    return std::nullopt;
  return NamedAxis{freshAxis(Instance(), name), extent->integer};
}

std::vector<std::string> IRGen::axisNames() const {
  std::vector<std::string> names;
  for (const auto &[name, axis] : instance->axes)
    names.push_back(name);
  for (const std::string &name : program.settingNames(instance->file))
    if (program.setting(instance->file, name)->isSize)
      names.push_back(name);
  return names;
}

NamedAxis IRGen::declareAxis(const std::string &name, int64_t extent) {
  NamedAxis axis{freshAxis(*instance, name), extent};
  auto own = instance->axes.find(name);
  if (own != instance->axes.end())
    axis.name = own->second.name;
  instance->axes[name] = axis;
  return axis;
}

std::optional<NamedAxis> IRGen::resolveAxis(const ast::Axis &axis) {
  if (axis.name.empty()) {
    error(axis.place, "an axis without a name only stands in a parameter's shape");
    return std::nullopt;
  }
  if (axis.name == "t") {
    error(axis.place, "'t' is time, which every per-token value has without saying so");
    return std::nullopt;
  }
  std::optional<NamedAxis> known = knownAxis(axis.name);
  if (axis.extent) {
    std::optional<int64_t> extent =
        evalExtent(*axis.extent, "the extent of axis '" + axis.name + "'");
    if (!extent)
      return std::nullopt;
    if (*extent == 0) {
      error(axis.extent->place, "the extent of axis '" + axis.name + "' is 0; expected at least 1");
      return std::nullopt;
    }
    if (known && known->extent == *extent)
      return known;
    if (known && !instance->axes.count(axis.name)) {
      error(axis.place, "axis '" + axis.name + "' is the size " + std::to_string(known->extent) +
                            "; here it is given " + std::to_string(*extent));
      return std::nullopt;
    }
    return declareAxis(axis.name, *extent);
  }
  if (known)
    return known;
  if (const ast::Setting *s = program.setting(instance->file, axis.name)) {
    if (!s->isSize)
      error(axis.place, "'" + axis.name + "' is an option; an axis needs a size");
    return std::nullopt; // a size without a value was reported
  }
  error(axis.place, "unknown axis '" + axis.name + "'" + didYouMean(axis.name, axisNames()) +
                        "; declare `size " + axis.name + " = ...` or give its extent, [" +
                        axis.name + " = ...]");
  return std::nullopt;
}

bool IRGen::resolveAxes(const ast::Axes &axes, NamedAxes &out) {
  bool good = true;
  int64_t elements = 1;
  for (const ast::Axis &axis : axes) {
    std::optional<NamedAxis> resolved = resolveAxis(axis);
    good &= resolved.has_value();
    if (!resolved)
      continue;
    for (const NamedAxis &other : out)
      if (other.name == resolved->name) {
        error(axis.place, "axis '" + axis.name + "' twice in one list of axes");
        good = false;
      }
    if (good && (__builtin_mul_overflow(elements, resolved->extent, &elements) ||
                 elements > Program::maxElements)) {
      error(axis.place, "axes " + ast::print(axes) + " have more than " +
                            std::to_string(Program::maxElements) + " elements");
      good = false;
    }
    out.push_back(*resolved);
  }
  return good;
}

bool IRGen::tryAxes(const ast::Axes &axes, NamedAxes &out) {
  for (const ast::Axis &axis : axes)
    if (axis.name.empty() || (!axis.extent && !knownAxis(axis.name)))
      return false;
  return resolveAxes(axes, out);
}

mlir::RankedTensorType IRGen::typeOf(const NamedAxes &axes, bool perToken, mlir::Type element) {
  llvm::SmallVector<llvm::StringRef> names;
  llvm::SmallVector<int64_t> extents;
  if (perToken) {
    names.push_back(timeAxis);
    extents.push_back(mlir::ShapedType::kDynamic);
  }
  for (const NamedAxis &axis : axes) {
    names.push_back(axis.name);
    extents.push_back(axis.extent);
  }
  return namedType(&context, names, extents,
                   element ? element : mlir::Type(mlir::Float32Type::get(&context)));
}

NamedAxes IRGen::axesOf(const Val &v) {
  NamedAxes axes;
  auto type = llvm::cast<mlir::RankedTensorType>(v.tensor.getType());
  for (auto [name, extent] : llvm::zip(rondo::axesOf(type), type.getShape()))
    if (name.getValue() != timeAxis)
      axes.push_back({name.getValue().str(), extent});
  return axes;
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

Val IRGen::view(Val v, const NamedAxes &axes, llvm::ArrayRef<AffineExpr> sources, Place place) {
  auto map = mlir::AffineMap::get(static_cast<unsigned>(axes.size()), 0, sources, &context);
  v = here(v);
  auto builder = at();
  auto type = typeOf(axes, perToken(v), elementTypeOf(v.tensor.getType()));
  if (type == v.tensor.getType() && map.isIdentity())
    return v;
  return made(
      ViewOp::create(builder, location(place), type, v.tensor, mlir::AffineMapAttr::get(map)));
}

static size_t placeOf(const NamedAxes &axes, const std::string &name) {
  for (size_t i = 0; i < axes.size(); ++i)
    if (axes[i].name == name)
      return i;
  return axes.size();
}

// The index into axes of these extents as one number, row-major; `first` is the dim of the first.
static AffineExpr linear(mlir::MLIRContext *context, const NamedAxes &axes, const NamedAxes &in) {
  AffineExpr sum = mlir::getAffineConstantExpr(0, context);
  int64_t stride = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    sum =
        mlir::getAffineDimExpr(static_cast<unsigned>(placeOf(in, axes[i].name)), context) * stride +
        sum;
    stride *= axes[i].extent;
  }
  return sum;
}

Val IRGen::broadcast(Val v, const NamedAxes &axes, Place place) {
  if (v.kind == Val::Const) {
    auto type = typeOf(axes, false);
    auto builder = at();
    auto splat =
        mlir::DenseElementsAttr::get(type, llvm::APFloat(static_cast<float>(v.constant.real())));
    return made(ConstantOp::create(builder, location(place), type, splat));
  }
  NamedAxes found = axesOf(v);
  if (found == axes)
    return v;
  llvm::SmallVector<AffineExpr> sources;
  for (const NamedAxis &axis : found)
    sources.push_back(
        mlir::getAffineDimExpr(static_cast<unsigned>(placeOf(axes, axis.name)), &context));
  Val result = view(v, axes, sources, place);
  result.order = v.order;
  return result;
}

static bool subset(const NamedAxes &a, const NamedAxes &b) {
  return std::all_of(a.begin(), a.end(), [&](const NamedAxis &axis) {
    return std::find(b.begin(), b.end(), axis) != b.end();
  });
}

static NamedAxes without(const NamedAxes &a, const NamedAxes &b) {
  NamedAxes rest;
  for (const NamedAxis &axis : a)
    if (std::find(b.begin(), b.end(), axis) == b.end())
      rest.push_back(axis);
  return rest;
}

static int64_t product(const NamedAxes &axes) {
  int64_t elements = 1;
  for (const NamedAxis &axis : axes)
    if (__builtin_mul_overflow(elements, axis.extent, &elements))
      return -1;
  return elements;
}

Val IRGen::conform(Val v, const NamedAxes &axes, Place place, const std::string &what,
                   const ast::Expr *source, bool mayBroadcast) {
  if (v.kind == Val::Const) {
    if (mayBroadcast || axes.empty())
      return broadcast(v, axes, place);
    return error(place, what + " has axes " + shown(axes) + "; found " + describe(v));
  }
  if (v.kind != Val::Tensor)
    return Val();
  NamedAxes found = axesOf(v);
  bool inside = subset(found, axes);
  if (inside && found.size() == axes.size())
    return v;
  if (inside && mayBroadcast)
    return broadcast(v, axes, place);
  NamedAxes rest = without(found, axes), need = without(axes, found);
  // The one axis of a module's result takes the name that the surroundings want; of other values it
  // is only split.
  bool fits =
      rest.size() == 1 && need.size() >= (source ? 2 : 1) && product(need) == rest[0].extent;
  if (fits) {
    NamedAxes result;
    for (const NamedAxis &axis : found)
      if (axis == rest[0])
        result.insert(result.end(), need.begin(), need.end());
      else
        result.push_back(axis);
    llvm::SmallVector<AffineExpr> sources;
    for (const NamedAxis &axis : found)
      sources.push_back(axis == rest[0]
                            ? linear(&context, need, result)
                            : mlir::getAffineDimExpr(
                                  static_cast<unsigned>(placeOf(result, axis.name)), &context));
    return view(v, result, sources, place);
  }
  reportAxes(found, axes, place, what, source);
  return Val();
}

// Looks for the name in an expression that brings an axis in.
const ast::Expr *IRGen::sourceOfAxis(const ast::Expr &e, const std::string &axis) {
  using ast::Expr;
  auto means = [&](const ast::Axes &axes) {
    for (const ast::Axis &a : axes) {
      std::optional<NamedAxis> known = a.name.empty() ? std::nullopt : knownAxis(a.name);
      if (known && known->name == axis)
        return true;
    }
    return false;
  };
  switch (e.kind) {
  case Expr::Name:
    for (size_t i = instance->scopes.size(); i-- > 0;) {
      auto found = instance->scopes[i].names.find(e.text);
      if (found == instance->scopes[i].names.end())
        continue;
      if (found->second.kind == Val::Tensor &&
          placeOf(axesOf(found->second), axis) < axesOf(found->second).size())
        return &e;
      return nullptr;
    }
    return nullptr;
  case Expr::Changed:
    for (const ast::Change &c : e.changes)
      if (means(c.from) || means(c.to))
        return nullptr;
    break;
  case Expr::Call:
    if (e.hasScope || program.module(instance->file, e.text) || (e.hasAxes && means(e.axes)))
      return nullptr;
    for (const ast::Argument &argument : e.arguments)
      if (const ast::Expr *found = sourceOfAxis(*argument.value, axis))
        return found;
    return nullptr;
  case Expr::Unary:
  case Expr::Binary:
  case Expr::At:
    break;
  default:
    return nullptr;
  }
  for (const auto &operand : e.operands)
    if (const ast::Expr *found = sourceOfAxis(*operand, axis))
      return found;
  return nullptr;
}

void IRGen::reportAxes(const NamedAxes &found, const NamedAxes &expected, Place place,
                       const std::string &what, const ast::Expr *source) {
  NamedAxes extra = without(found, expected), missing = without(expected, found);
  for (const NamedAxis &axis : extra)
    if (size_t at = placeOf(expected, axis.name); at < expected.size()) {
      error(place, what + " has axes " + shown(expected) + " with " +
                       std::to_string(expected[at].extent) + " along " + shown(axis.name) +
                       "; the value has " + std::to_string(axis.extent) + " along it");
      return;
    }
  const ast::Expr *leaf = source && !extra.empty() ? sourceOfAxis(*source, extra[0].name) : nullptr;
  if (!leaf) {
    std::string tail =
        extra.empty() ? shown(missing) + " is missing" : shown(extra) + " is not among them";
    error(place,
          what + " has axes " + shown(expected) + "; the value has " + shown(found) + ": " + tail);
    return;
  }
  NamedAxes own;
  for (size_t i = instance->scopes.size(); i-- > 0 && own.empty();)
    if (auto it = instance->scopes[i].names.find(leaf->text); it != instance->scopes[i].names.end())
      own = axesOf(it->second);
  std::string hint;
  NamedAxes candidates = missing;
  candidates.insert(candidates.end(), expected.begin(), expected.end());
  for (const NamedAxis &axis : candidates)
    if (hint.empty() && placeOf(own, axis.name) == own.size() && axis.extent % extra[0].extent == 0)
      hint = ", did you mean " + leaf->text + "[" + shown(extra[0].name) + " -> " +
             shown(axis.name) + "]?";
  error(leaf->place, "'" + leaf->text + "' has axes " + shown(own) + "; " + what + " has axes " +
                         shown(expected) + ": " + shown(extra[0].name) + " is not in " +
                         shown(expected) + hint);
}

std::vector<Val> IRGen::split(Val v, const Wanted &parts, Place place) {
  std::vector<Val> results(parts.size());
  NamedAxes found = axesOf(v), rest;
  for (const NamedAxis &axis : found)
    if (!std::all_of(parts.begin(), parts.end(), [&](const NamedAxes &part) {
          return std::find(part.begin(), part.end(), axis) != part.end();
        }))
      rest.push_back(axis);
  int64_t total = 0;
  std::string sizes;
  for (const NamedAxes &part : parts) {
    int64_t elements = product(rest.size() == 1 ? without(part, found) : part);
    total += elements;
    sizes += (sizes.empty() ? "" : " + ") + shown(part) + " (" + std::to_string(elements) + ")";
  }
  if (rest.size() != 1 || rest[0].extent != total) {
    error(place,
          "a value with axes " + shown(found) +
              (rest.size() == 1 ? " of " + std::to_string(rest[0].extent) + " elements along " +
                                      shown(rest[0].name)
                                : "") +
              " cannot be split into " + sizes +
              (rest.size() == 1 ? " = " + std::to_string(total) : "; expected one axis to split"));
    return results;
  }
  int64_t offset = 0;
  for (size_t p = 0; p < parts.size(); ++p) {
    NamedAxes own = without(parts[p], found);
    llvm::SmallVector<AffineExpr> sources;
    for (const NamedAxis &axis : found)
      sources.push_back(axis == rest[0]
                            ? linear(&context, own, parts[p]) + offset
                            : mlir::getAffineDimExpr(
                                  static_cast<unsigned>(placeOf(parts[p], axis.name)), &context));
    results[p] = view(v, parts[p], sources, place);
    offset += product(own);
  }
  return results;
}

//===----------------------------------------------------------------------===//
// Changes written behind a value
//===----------------------------------------------------------------------===//

Val IRGen::change(const ast::Expr &e) {
  Val v = eval(*e.operands[0]);
  for (const ast::Change &c : e.changes)
    v = changed(v, c, e);
  return v;
}

Val IRGen::changed(Val v, const ast::Change &c, const ast::Expr &e) {
  if (v.kind == Val::Unknown)
    return v;
  if (v.kind == Val::Const &&
      (v.constant.kind == ConstValue::List || v.constant.kind == ConstValue::String)) {
    ConstResult index;
    if (c.kind == ast::Change::Pick && c.from.empty()) {
      index = evalConst(*c.low, "the index of a list or string");
    } else if (c.kind == ast::Change::Check && c.to.size() == 1) {
      ast::Expr name(ast::Expr::Name, c.to[0].place);
      name.text = c.to[0].name;
      index = evalConst(name, "the index of a list or string");
    } else {
      return error(c.place, "a list or string takes one index, as in pattern[i]");
    }
    std::string why;
    ConstResult element = index ? constElement(v.constant, *index, why) : std::nullopt;
    if (element)
      return Val::of(*element);
    return index ? error(c.place, why) : Val();
  }
  if (v.kind != Val::Tensor)
    return error(c.place,
                 "only values with axes, lists and strings take brackets, found " + describe(v));
  switch (c.kind) {
  case ast::Change::Reshape:
    return reshaped(v, c);
  case ast::Change::Slice:
    return sliced(v, c);
  case ast::Change::Pick:
    return picked(v, c);
  case ast::Change::Check: {
    // One name that is no axis is an index.
    if (c.to.size() == 1 && !c.to[0].name.empty() && !knownAxis(c.to[0].name))
      return picked(v, c);
    NamedAxes axes;
    if (!resolveAxes(c.to, axes))
      return Val();
    return conform(v, axes, c.place, "the value", e.operands[0].get(), false);
  }
  }
  return Val();
}

Val IRGen::reshaped(Val v, const ast::Change &c) {
  NamedAxes found = axesOf(v), from;
  for (const ast::Axis &axis : c.from) {
    std::optional<NamedAxis> known = axis.name.empty() ? std::nullopt : knownAxis(axis.name);
    size_t at = placeOf(found, known ? known->name : axis.name);
    if (at == found.size())
      return error(axis.place,
                   "the value has axes " + shown(found) + ": no '" + axis.name + "' among them");
    if (placeOf(from, found[at].name) < from.size())
      return error(axis.place, "axis '" + axis.name + "' twice");
    from.push_back(found[at]);
  }
  // Extents of the new axes; at most one may be open.
  NamedAxes to;
  const ast::Axis *open = nullptr;
  size_t openAt = 0;
  int64_t total = product(from), known = 1;
  for (const ast::Axis &axis : c.to) {
    if (axis.name.empty())
      return error(axis.place, "an axis without a name only stands in a parameter's shape");
    if (!axis.extent && !knownAxis(axis.name)) {
      if (open)
        return error(axis.place, "the extents of both '" + open->name + "' and '" + axis.name +
                                     "' are open; give one, as in [" + axis.name + " = 4]");
      open = &axis;
      openAt = to.size();
      to.push_back({});
      continue;
    }
    std::optional<NamedAxis> resolved = resolveAxis(axis);
    if (!resolved)
      return Val();
    if (__builtin_mul_overflow(known, resolved->extent, &known))
      known = Program::maxElements;
    to.push_back(*resolved);
  }
  if (open) {
    if (total % known != 0)
      return error(open->place, shown(from) + " has " + std::to_string(total) +
                                    " elements, which " + std::to_string(known) +
                                    " does not divide");
    to[openAt] = declareAxis(open->name, total / known);
    known = total;
  }
  bool repeats = from.size() == 1 && to.size() == 1 && known != total && known % total == 0;
  if (known != total && !repeats)
    return error(c.place, shown(from) + " has " + std::to_string(total) + " elements, " +
                              shown(to) + " has " + std::to_string(known));
  NamedAxes result;
  for (const NamedAxis &axis : found)
    if (axis == from[0])
      result.insert(result.end(), to.begin(), to.end());
    else if (placeOf(from, axis.name) == from.size())
      result.push_back(axis);
  for (size_t i = 0; i < result.size(); ++i)
    if (placeOf(result, result[i].name) != i)
      return error(c.place,
                   "axis '" + shown(result[i].name) + "' would stand twice in " + shown(result));
  AffineExpr whole = linear(&context, to, result);
  llvm::SmallVector<AffineExpr> sources;
  for (const NamedAxis &axis : found) {
    size_t at = placeOf(from, axis.name);
    if (at == from.size()) {
      sources.push_back(
          mlir::getAffineDimExpr(static_cast<unsigned>(placeOf(result, axis.name)), &context));
    } else if (repeats) {
      sources.push_back(whole.floorDiv(known / total));
    } else {
      int64_t stride = 1;
      for (size_t i = at + 1; i < from.size(); ++i)
        stride *= from[i].extent;
      AffineExpr index = whole.floorDiv(stride);
      sources.push_back(at == 0 ? index : index % axis.extent);
    }
  }
  return view(v, result, sources, c.place);
}

// The axis of a value that a bracket names, as the value has it.
static std::optional<NamedAxis>
axisIn(const NamedAxes &found, const std::optional<NamedAxis> &known, const std::string &name) {
  size_t at = placeOf(found, known ? known->name : name);
  return at < found.size() ? std::optional(found[at]) : std::nullopt;
}

Val IRGen::sliced(Val v, const ast::Change &c) {
  NamedAxes found = axesOf(v);
  std::optional<NamedAxis> axis = axisIn(found, knownAxis(c.from[0].name), c.from[0].name);
  if (!axis)
    return error(c.place,
                 "the value has axes " + shown(found) + ": no '" + c.from[0].name + "' among them");
  std::optional<int64_t> low = evalExtent(*c.low, "the start of a slice"),
                         high = evalExtent(*c.high, "the end of a slice");
  if (!low || !high)
    return Val();
  if (*low >= *high || *high > axis->extent)
    return error(c.place, "the slice " + std::to_string(*low) + ".." + std::to_string(*high) +
                              " is not inside axis '" + shown(axis->name) + "' of " +
                              std::to_string(axis->extent));
  NamedAxis part{axis->name, *high - *low};
  if (c.to.size() > 1)
    return error(c.place, "a slice takes one new name");
  if (!c.to.empty()) {
    // With its extent written, an earlier axis of this name ends here: in a repeat each slice may
    // have another.
    std::optional<NamedAxis> known =
        c.to[0].extent ? resolveAxis(c.to[0]) : knownAxis(c.to[0].name);
    if (c.to[0].extent && !known)
      return Val();
    if (known && known->extent != part.extent)
      return error(c.place, "the slice has " + std::to_string(part.extent) + " elements, axis '" +
                                c.to[0].name + "' has " + std::to_string(known->extent));
    part = known ? *known : declareAxis(c.to[0].name, part.extent);
  }
  NamedAxes result = found;
  llvm::SmallVector<AffineExpr> sources;
  for (size_t i = 0; i < found.size(); ++i) {
    AffineExpr dim = mlir::getAffineDimExpr(static_cast<unsigned>(i), &context);
    bool own = found[i] == *axis;
    sources.push_back(own ? dim + *low : dim);
    if (own)
      result[i] = part;
  }
  return view(v, result, sources, c.place);
}

/// `s - t` inside of `over s`: how far back s is, as in `x@-1`. Lags are counted up, so it reads
/// the element at t - s.
bool IRGen::isDistanceBack(const ast::Expr &e) const {
  if (e.kind != ast::Expr::Binary || e.text != "-")
    return false;
  const ast::Expr &from = *e.operands[0], &to = *e.operands[1];
  return from.kind == ast::Expr::Name && to.kind == ast::Expr::Name && to.text == "t" &&
         llvm::any_of(instance->scopes, [&](const Instance::Scope &scope) {
           return !scope.other.empty() && scope.other == from.text;
         });
}

Val IRGen::picked(Val v, const ast::Change &c) {
  NamedAxes found = axesOf(v);
  std::optional<NamedAxis> axis;
  Val index;
  if (c.kind == ast::Change::Check) {
    ast::Expr name(ast::Expr::Name, c.to[0].place);
    name.text = c.to[0].name;
    index = eval(name);
  } else {
    index = isDistanceBack(*c.low)
                ? map(MapKind::Sub, {eval(*c.low->operands[1]), eval(*c.low->operands[0])},
                      c.low->place)
                : eval(*c.low);
  }
  if (index.kind == Val::Unknown)
    return index;
  if (c.from.empty()) {
    if (found.size() != 1)
      return error(c.place, "the value has axes " + shown(found) + ": say along which, as in [" +
                                (found.empty() ? "k" : shown(found[0].name)) + " = ...]");
    axis = found[0];
  } else {
    axis = axisIn(found, knownAxis(c.from[0].name), c.from[0].name);
  }
  if (!axis)
    return error(c.place,
                 "the value has axes " + shown(found) + ": no '" + c.from[0].name + "' among them");
  if (index.kind == Val::Tensor)
    return pickedBy(v, *axis, index, c.place);
  if (index.kind != Val::Const || index.constant.kind != ConstValue::Integer ||
      index.constant.integer < 0 || index.constant.integer >= axis->extent)
    return error(c.place, "an index along '" + shown(axis->name) + "' is an integer from 0 to " +
                              std::to_string(axis->extent - 1) + ", found " + describe(index));
  NamedAxes result = without(found, {*axis});
  llvm::SmallVector<AffineExpr> sources;
  unsigned dim = 0;
  for (const NamedAxis &a : found)
    sources.push_back(a == *axis ? mlir::getAffineConstantExpr(index.constant.integer, &context)
                                 : mlir::getAffineDimExpr(dim++, &context));
  return view(v, result, sources, c.place);
}

// By token ids: a gather from a table, or one element of each token's vector. By a real number: the
// element at it, and 0 outside the axis.
Val IRGen::pickedBy(Val v, const NamedAxis &axis, Val index, Place place) {
  v = here(v);
  index = here(index);
  auto builder = at();
  auto loc = location(place);
  NamedAxes rest = without(axesOf(v), {axis});
  if (elementTypeOf(index.tensor.getType()).isInteger(64) && axesOf(index).empty()) {
    auto type = typeOf(rest, perToken(v) || perToken(index), elementTypeOf(v.tensor.getType()));
    auto name = mlir::StringAttr::get(&context, axis.name);
    if (perToken(v))
      return made(PickOp::create(builder, loc, type, use(v), use(index), name));
    return made(GatherOp::create(builder, loc, type, use(v), use(index), name));
  }
  // As a sum over the axis: sum_k v[k] * (k == index).
  Val number = asNumbers(index, place, "an index");
  Val along = made(IndexOp::create(builder, loc, typeOf({axis}, false)));
  Val hit = map(MapKind::Eq, {along, number}, place);
  Val one = this->number(1, place), zero = this->number(0, place);
  Val chosen = map(MapKind::Select, {hit, one, zero}, place);
  Val table = asNumbers(v, place, "a value that is indexed");
  if (table.kind != Val::Tensor || chosen.kind != Val::Tensor)
    return Val();
  auto after = at();
  llvm::StringRef names[] = {axis.name};
  return made(ContractOp::create(after, loc, use(chosen), use(table), names));
}

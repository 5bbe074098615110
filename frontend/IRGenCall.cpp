//===- IRGenCall.cpp - Uses of modules ----------------------------------------------===//
//
// A formal's axis that is no size of the module's file is generic. It means, in this order: what
// `name[axes](...)` says; the argument's only axis; the argument's axis of that very name. The
// argument's other axes are carried along: the module works on each of their indices by itself. A
// generic axis that only the result has takes its extent from what the surroundings want: `-> [h
// k]`, or the names on the left.
//
//===----------------------------------------------------------------------===//

#include "frontend/IRGen.h"

#include "llvm/ADT/StringExtras.h"

using namespace rondo;

// A module that uses itself, or a very deep nest of modules.
static constexpr unsigned deepestUse = 40;

bool IRGen::scopePath(const ast::Scope &scope, std::vector<std::string> &path) {
  if (scope.absolute)
    path.clear();
  for (const ast::ScopePart &part : scope.parts) {
    if (!part.value) {
      path.push_back(part.text);
      continue;
    }
    ConstResult value = evalConst(*part.value, "a part of a scope");
    if (!value)
      return false;
    std::string text = value->plain();
    bool good = !text.empty() && text.size() <= 200 &&
                (value->kind == ConstValue::String || value->kind == ConstValue::Integer);
    for (char c : text)
      good &= llvm::isAlnum(c) || c == '_' || c == '.' || c == '-' || isExpert(text);
    if (!good) {
      error(part.place, "a scope is made of names and numbers, found " + value->shown());
      return false;
    }
    path.push_back(text);
  }
  return true;
}

Val IRGen::call(const ast::Expr &e, const Wanted *wanted) {
  if (const ast::Module *module = program.module(instance->file, e.text)) {
    if (module->isModel)
      return error(e.place, "'" + e.text + "' is a model; only modules can be used");
    return callModule(e, *module, wanted);
  }
  if (!e.hasScope)
    return builtin(e, wanted);
  return error(e.place, "unknown module '" + e.text + "'" +
                            didYouMean(e.text, program.moduleNames(instance->file)));
}

bool IRGen::matchArguments(const ast::Expr &e, const ast::Module &module,
                           std::vector<const ast::Argument *> &given) {
  given.assign(module.formals.size(), nullptr);
  size_t next = 0;
  bool named = false;
  for (const ast::Argument &argument : e.arguments) {
    size_t slot = next;
    if (argument.name.empty()) {
      if (named) {
        error(argument.place, "arguments by position come before those by name");
        return false;
      }
      if (slot >= module.formals.size()) {
        error(argument.place, "'" + module.name + "' takes " +
                                  std::to_string(module.formals.size()) + " inputs, found " +
                                  std::to_string(e.arguments.size()));
        return false;
      }
      ++next;
    } else {
      named = true;
      std::vector<std::string> names;
      for (slot = 0; slot < module.formals.size() && module.formals[slot].name != argument.name;
           ++slot)
        names.push_back(module.formals[slot].name);
      if (slot == module.formals.size()) {
        error(argument.place, "'" + module.name + "' has no input '" + argument.name + "'" +
                                  didYouMean(argument.name, names));
        return false;
      }
    }
    if (given[slot]) {
      error(argument.place, "the input '" + module.formals[slot].name + "' is given twice");
      return false;
    }
    given[slot] = &argument;
  }
  for (size_t i = 0; i < given.size(); ++i)
    if (!given[i] && !module.formals[i].otherwise) {
      error(e.place, "'" + module.name + "' needs the input '" + module.formals[i].name + "'");
      return false;
    }
  return true;
}

static bool sameNames(const ast::Axes &a, const ast::Axes &b) {
  if (a.size() != b.size())
    return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].name != b[i].name)
      return false;
  return true;
}

Val IRGen::callModule(const ast::Expr &e, const ast::Module &module, const Wanted *wanted) {
  if (depth >= deepestUse)
    return error(e.place, "modules used more than " + std::to_string(deepestUse) + " deep; does '" +
                              module.name + "' use itself?");
  Wanted own(1);
  if (e.hasResult) {
    if (!tryAxes(e.result, own[0]) && !resolveAxes(e.result, own[0]))
      return Val();
    wanted = &own;
  }
  std::vector<const ast::Argument *> given;
  if (!matchArguments(e, module, given))
    return Val();

  // Arguments, in the caller.
  std::vector<Val> values(given.size());
  bool good = true;
  for (size_t i = 0; i < given.size(); ++i) {
    if (!given[i])
      continue;
    const ast::Formal &formal = module.formals[i];
    bool through = module.hasResult ? formal.hasAxes && sameNames(formal.axes, module.result)
                                    : i == 0 && !formal.hasAxes;
    values[i] = eval(*given[i]->value, through ? wanted : nullptr);
    if (values[i].kind == Val::Tuple)
      values[i] = error(given[i]->place, "'" + formal.name + "' of '" + module.name +
                                             "' is one value, found " +
                                             std::to_string(values[i].items.size()));
    if (values[i].kind == Val::Const && formal.hasAxes &&
        values[i].constant.kind != ConstValue::None)
      values[i] =
          error(given[i]->place, "'" + formal.name + "' of '" + module.name + "' has axes " +
                                     ast::print(formal.axes) + "; found " + describe(values[i]));
    good &= values[i].kind != Val::Unknown;
  }
  if (!good)
    return Val();

  Instance inner;
  inner.file = program.fileOf(&module);
  inner.module = &module;
  inner.caller = instance;
  inner.use = e.place;
  inner.path = instance->path;
  if (e.hasScope && !scopePath(e.scope, inner.path))
    return Val();
  for (const Val &v : values)
    if (v.kind == Val::Tensor)
      for (const NamedAxis &axis : axesOf(v))
        inner.taken.insert(axis.name);
  std::set<std::string> bound;
  if (!bindFormalAxes(inner, e, module, values, bound))
    return Val();
  std::set<std::string> carried;
  for (const std::string &name : inner.taken)
    if (!bound.count(name))
      carried.insert(name);

  // From here on names mean what they mean in the module.
  Instance *outer = instance;
  inner.scopes.push_back({frame, {}, {}, {}, {}});
  instance = &inner;
  ++depth;
  Val result;
  if (bindResultAxes(inner, e, module, wanted, carried)) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (!given[i])
        values[i] = eval(*module.formals[i].otherwise);
      bind(module.formals[i].name, values[i], module.formals[i].place);
    }
    runBlock(module.body);
    result = inner.result;
    if (module.hasResult && result.kind == Val::Tensor) {
      NamedAxes declared;
      if (resolveAxes(module.result, declared)) {
        for (const NamedAxis &axis : axesOf(result))
          if (carried.count(axis.name) &&
              std::find(declared.begin(), declared.end(), axis) == declared.end())
            declared.insert(declared.begin(), axis);
        result = conform(result, declared, module.place, "the result of '" + module.name + "'",
                         nullptr, false);
      } else {
        result = Val();
      }
    }
  }
  --depth;
  instance = outer;
  if (!inner.returned && inner.result.kind == Val::Unknown && !sink.failed())
    return error(e.place, "the module '" + module.name + "' returns nothing");
  if (result.kind == Val::Tensor && e.hasResult)
    result =
        conform(result, own[0], e.place, "the result of '" + module.name + "'", nullptr, false);
  else if (result.kind == Val::Tensor && module.hasResult && wanted && wanted->size() == 1) {
    // What the surroundings want, where the module's result is one axis to be split.
    NamedAxes found = axesOf(result), expected = (*wanted)[0], renamed = found;
    for (NamedAxis &axis : renamed)
      if (axis.name == inner.standIn)
        axis.name = inner.wanted;
    if (renamed != found)
      return conform(result, renamed, e.place, "the result of '" + module.name + "'", nullptr,
                     false);
    int64_t a = 1, b = 1;
    for (const NamedAxis &axis : found)
      a *= axis.extent;
    bool fits = !expected.empty();
    for (const NamedAxis &axis : expected)
      fits &= !__builtin_mul_overflow(b, axis.extent, &b);
    if (fits && a == b && found.size() < expected.size())
      result =
          conform(result, expected, e.place, "the result of '" + module.name + "'", nullptr, false);
  }
  return result;
}

bool IRGen::bindFormalAxes(Instance &inner, const ast::Expr &e, const ast::Module &module,
                           const std::vector<Val> &values, std::set<std::string> &bound) {
  auto isSize = [&](const std::string &name) {
    const ast::Setting *s = program.setting(inner.file, name);
    return s && s->isSize;
  };
  // `name[k](...)`: the generic axes in the order in which the formals name them.
  if (e.hasAxes) {
    NamedAxes given;
    if (!resolveAxes(e.axes, given))
      return false;
    std::vector<std::string> generic;
    for (const ast::Formal &formal : module.formals)
      for (const ast::Axis &axis : formal.axes)
        if (!isSize(axis.name) &&
            std::find(generic.begin(), generic.end(), axis.name) == generic.end())
          generic.push_back(axis.name);
    if (given.size() > generic.size()) {
      error(e.place, "'" + module.name + "' works along " + std::to_string(generic.size()) +
                         " axes, found " + shown(given));
      return false;
    }
    for (size_t i = 0; i < given.size(); ++i) {
      // The argument's own extent: it may be a slice.
      for (const Val &v : values)
        if (v.kind == Val::Tensor)
          for (const NamedAxis &axis : axesOf(v))
            if (axis.name == given[i].name)
              given[i].extent = axis.extent;
      inner.axes[generic[i]] = given[i];
      bound.insert(given[i].name);
    }
  }
  for (size_t f = 0; f < values.size(); ++f) {
    const ast::Formal &formal = module.formals[f];
    if (values[f].kind != Val::Tensor || !formal.hasAxes)
      continue;
    NamedAxes found = axesOf(values[f]);
    std::string whose = "'" + formal.name + "' of '" + module.name + "' has axes " +
                        ast::print(formal.axes) + "; the argument has " + shown(found);
    std::vector<const ast::Axis *> open;
    NamedAxes left = found; // axes of the argument that no axis of the formal stands for yet
    for (const ast::Axis &axis : formal.axes) {
      std::optional<NamedAxis> means;
      if (inner.axes.count(axis.name)) {
        means = inner.axes[axis.name];
      } else if (const ast::Setting *s = program.setting(inner.file, axis.name); s && s->isSize) {
        ConstResult extent = program.valueOf(*s, e.place);
        if (!extent)
          return false;
        means = NamedAxis{freshAxis(Instance(), axis.name), extent->integer};
      }
      if (!means) {
        open.push_back(&axis);
        continue;
      }
      auto at = std::find(left.begin(), left.end(), *means);
      if (at == left.end()) {
        error(e.place, whose + ": expected " + shown(NamedAxes{*means}) + " of " +
                           std::to_string(means->extent));
        return false;
      }
      bound.insert(means->name);
      left.erase(at);
    }
    if (open.empty())
      continue;
    bool inOrder = open.size() == 1 && left.size() == 1;
    for (const ast::Axis *axis : open) {
      auto at = std::find_if(left.begin(), left.end(),
                             [&](const NamedAxis &a) { return inOrder || a.name == axis->name; });
      if (at == left.end()) {
        std::string text;
        for (const NamedAxis &a : found)
          text += (text.empty() ? "" : " ") + shown(a.name);
        error(e.place, whose + ": which of them is '" + axis->name + "'? Write " + module.name +
                           "[" + (found.empty() ? "..." : shown(found.back().name)) + "](...)" +
                           (found.size() > 1 ? ", or merge them first, as in x[" + text + " -> " +
                                                   axis->name + "]"
                                             : ""));
        return false;
      }
      inner.axes[axis->name] = *at;
      bound.insert(at->name);
      left.erase(at);
    }
  }
  return true;
}

// Axes that only the result has.
bool IRGen::bindResultAxes(Instance &inner, const ast::Expr &e, const ast::Module &module,
                           const Wanted *wanted, const std::set<std::string> &carried) {
  std::vector<const ast::Axis *> open;
  std::set<std::string> others;
  for (const ast::Axis &axis : module.result) {
    const ast::Setting *s = program.setting(inner.file, axis.name);
    if (inner.axes.count(axis.name))
      others.insert(inner.axes[axis.name].name);
    else if (s && s->isSize)
      others.insert(axis.name);
    else if (!axis.extent)
      open.push_back(&axis);
  }
  if (open.empty())
    return true;
  std::string use = module.name + (e.hasScope ? " " + (e.scope.parts.back().text.empty()
                                                           ? std::string("...")
                                                           : e.scope.parts.back().text)
                                              : "");
  if (!wanted || wanted->empty()) {
    std::swap(instance, const_cast<Instance *&>(inner.caller)); // a message of the caller's
    error(e.place, "the axes of the result of '" + use + "' are not known here; write " + use +
                       "(...) -> [axes], or name them on the left");
    std::swap(instance, const_cast<Instance *&>(inner.caller));
    return false;
  }
  std::vector<NamedAxes> parts;
  int64_t total = 0;
  for (const NamedAxes &part : *wanted) {
    NamedAxes rest;
    int64_t product = 1;
    for (const NamedAxis &axis : part)
      if (!carried.count(axis.name) && !others.count(axis.name)) {
        rest.push_back(axis);
        if (__builtin_mul_overflow(product, axis.extent, &product))
          product = Program::maxElements;
      }
    parts.push_back(rest);
    total = std::min(total + product, Program::maxElements);
  }
  if (open.size() == 1) {
    const std::string &name = open[0]->name;
    bool one = parts.size() == 1 && parts[0].size() == 1;
    std::string own = one ? parts[0][0].name : freshAxis(inner, name);
    if (one && inner.taken.count(own)) {
      inner.wanted = own;
      own = inner.standIn = freshAxis(inner, name);
    }
    inner.axes[name] = {own, total};
    inner.taken.insert(own);
    return true;
  }
  if (parts.size() != 1 || parts[0].size() != open.size()) {
    error(e.place, "the result of '" + use + "' has axes " + ast::print(module.result) +
                       "; expected as many on the left");
    return false;
  }
  for (size_t i = 0; i < open.size(); ++i) {
    inner.axes[open[i]->name] = parts[0][i];
    inner.taken.insert(parts[0][i].name);
  }
  return true;
}

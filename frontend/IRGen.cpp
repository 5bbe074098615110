//===- IRGen.cpp - Entry, functions and statements ----------------------------------===//

#include "frontend/IRGen.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace rondo;
using mlir::StringAttr;

// More statements than any real model unfolds to.
static constexpr uint64_t mostSteps = 4'000'000;

//===----------------------------------------------------------------------===//
// Frames and small things
//===----------------------------------------------------------------------===//

static mlir::Type inside(mlir::Type type, Frame::Kind kind) {
  return kind == Frame::Function ? type : mlir::Type(withoutTime(type));
}

mlir::Value Frame::capture(mlir::Value outer) {
  mlir::Value &argument = captured[outer];
  if (argument)
    return argument;
  bool token = isPerToken(outer.getType());
  if (kind == Route) {
    // Inputs, then tables.
    bool table = hasAxis(outer.getType(), experts.name);
    unsigned place = perToken.size() + (table ? shared.size() : 0);
    (table ? shared : perToken).push_back(outer);
    auto type = withoutAxis(withoutTime(outer.getType()), table ? experts.name : choices);
    return argument = block->insertArgument(place, type, outer.getLoc());
  }
  // Arguments: [t, s of an over] per-token values, [keys], [states], others. A recurrence's others
  // stand before its states.
  unsigned place = (kind == Over ? 2 : 0) + perToken.size();
  if (kind == Recur) {
    place = perToken.size();
    token = true; // one list
  } else if (!token) {
    place += keys.size() + shared.size();
  }
  (token ? perToken : shared).push_back(outer);
  return argument = block->insertArgument(place, inside(outer.getType(), kind), outer.getLoc());
}

mlir::Value Frame::captureKey(mlir::Value outer) {
  mlir::Value &argument = capturedKeys[outer];
  if (argument)
    return argument;
  unsigned place = 2 + perToken.size() + keys.size();
  keys.push_back(outer);
  return argument = block->insertArgument(place, inside(outer.getType(), kind), outer.getLoc());
}

mlir::Value IRGen::useIn(mlir::Value v, Frame *home, Frame *target) {
  if (home == target)
    return v;
  assert(target->parent && "a value of a frame that has ended");
  mlir::Value outer = useIn(v, home, target->parent);
  if (target->kind == Frame::Route && isPerToken(outer.getType()) &&
      hasAxis(outer.getType(), target->experts.name)) {
    // A token's number for each expert: this expert's.
    mlir::Value &element = target->elements[outer.getAsOpaquePointer()];
    llvm::StringRef along[] = {target->experts.name};
    if (!element) {
      auto builder = atEnd(target->parent->block);
      element = ContractOp::create(builder, outer.getLoc(), target->chosen, outer, along);
    }
    outer = element;
  }
  return target->capture(outer);
}

mlir::Location IRGen::location(Place place) const {
  if (!place.file)
    return mlir::UnknownLoc::get(&context);
  return mlir::FileLineColLoc::get(&context, place.file->path, place.line, place.column);
}

Val IRGen::error(Place place, const std::string &message) {
  std::vector<std::string> notes;
  for (const Instance *i = instance; i && i->caller && notes.size() < 4; i = i->caller)
    notes.push_back("in '" + i->module->name + "', used at " + i->use.file->path + ":" +
                    std::to_string(i->use.line) + ":" + std::to_string(i->use.column));
  sink.error(place, message, notes);
  return Val();
}

//===----------------------------------------------------------------------===//
// The entry
//===----------------------------------------------------------------------===//

IRGen::IRGen(mlir::MLIRContext &context, Program &program, const ast::Module &entry,
             DiagnosticSink &sink)
    : context(context), program(program), entry(entry), sink(sink) {}

mlir::OwningOpRef<mlir::ModuleOp> IRGen::run() {
  module = mlir::ModuleOp::create(location(entry.place));
  buildEntry();
  if (sink.failed())
    return {};
  return std::move(module);
}

bool IRGen::bindEntryInputs() {
  bool good = true;
  llvm::SmallVector<std::string> names;
  for (const ast::Formal &formal : entry.formals) {
    if (!formal.hasAxes && formal.otherwise && !entry.isModel) {
      ConstResult value = evalConst(*formal.otherwise, "the default of an input");
      bind(formal.name, value ? Val::of(*value) : Val(), formal.place);
      continue;
    }
    NamedAxes axes;
    if (!resolveAxes(formal.axes, axes)) {
      good = false;
      bind(formal.name, Val(), formal.place);
      continue;
    }
    // A model's bare input is token ids; a module's is one real number a token.
    bool ids = entry.isModel && !formal.hasAxes;
    mlir::Type element = ids ? mlir::Type(mlir::IntegerType::get(&context, 64))
                             : mlir::Type(mlir::Float32Type::get(&context));
    mlir::Value argument =
        root->block->addArgument(typeOf(axes, true, element), location(formal.place));
    nameValue(argument, formal.name);
    names.push_back(formal.name);
    bind(formal.name, made(argument), formal.place);
  }
  forward.setFunctionType(mlir::FunctionType::get(&context, root->block->getArgumentTypes(), {}));
  for (unsigned i = 0; i < names.size(); ++i)
    forward.setArgAttr(i, "rondo.name", StringAttr::get(&context, names[i]));
  return good;
}

void IRGen::buildEntry() {
  auto builder = mlir::OpBuilder::atBlockEnd(module->getBody());
  forward = mlir::func::FuncOp::create(builder, location(entry.place), "forward",
                                       mlir::FunctionType::get(&context, {}, {}));
  forward->setAttr("rondo.entry", StringAttr::get(&context, "forward"));
  symbols.insert("forward");
  Frame top(Frame::Function, nullptr, forward.addEntryBlock());
  Instance main;
  main.file = program.fileOf(&entry);
  main.module = &entry;
  main.scopes.push_back({&top, {}, {}, {}, {}});
  root = frame = &top;
  instance = &main;
  if (!bindEntryInputs())
    return;
  runBlock(entry.body);
  finishEntry(main);
  keepIgnored();
  if (entry.isModel)
    buildObjective();
}

void IRGen::finishEntry(Instance &main) {
  if (main.result.kind == Val::Unknown && !main.returned && !sink.failed())
    error(entry.place, "'" + entry.name + "' returns nothing; expected `return` and its result");
  if (sink.failed())
    return;
  std::vector<Val> results =
      main.result.kind == Val::Tuple ? main.result.items : std::vector<Val>{main.result};
  llvm::SmallVector<mlir::Value> values;
  llvm::SmallVector<mlir::Attribute> attributes;
  NamedAxes declared;
  if (entry.hasResult && !resolveAxes(entry.result, declared))
    return;
  for (size_t i = 0; i < results.size(); ++i) {
    Val v = results[i];
    if (v.kind != Val::Tensor || !perToken(v)) {
      error(entry.place, "a result of '" + entry.name + "' is the same for every token: " +
                             describe(v) + "; expected a value of each token");
      return;
    }
    v = asNumbers(v, entry.place, "a result");
    if (entry.hasResult && v.kind == Val::Tensor)
      v = conform(v, declared, entry.place, "the result of '" + entry.name + "'", nullptr, false);
    if (v.kind != Val::Tensor)
      return;
    NamedAxes order = entry.hasResult ? declared : axesOf(v);
    if (!entry.hasResult && v.order.size() == order.size()) {
      NamedAxes wanted;
      for (const std::string &name : v.order)
        for (const NamedAxis &axis : order)
          if (axis.name == name)
            wanted.push_back(axis);
      if (wanted.size() == order.size())
        order = wanted;
    }
    v = broadcast(v, order, entry.place);
    values.push_back(use(v));
    std::string name = i < main.resultNames.size() ? main.resultNames[i] : "";
    if (entry.isModel && results.size() == 1)
      name = "logits";
    if (name.empty())
      name = i ? "y" + std::to_string(i) : "y";
    attributes.push_back(mlir::DictionaryAttr::get(
        &context, mlir::NamedAttribute(StringAttr::get(&context, "rondo.name"),
                                       StringAttr::get(&context, name))));
  }
  auto builder = at();
  mlir::func::ReturnOp::create(builder, location(entry.place), values);
  mlir::ValueRange range(values);
  forward.setFunctionType(
      mlir::FunctionType::get(&context, root->block->getArgumentTypes(), range.getTypes()));
  forward.setResAttrsAttr(mlir::ArrayAttr::get(&context, attributes));
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

void IRGen::runBlock(const ast::Block &block) {
  for (size_t i = 0; i < block.size(); ++i) {
    if (instance->returned) { // a return inside a chosen `if` ends the module early
      if (i && block[i - 1]->kind == ast::Stmt::Return)
        error(block[i]->place, "nothing after 'return' is reached");
      return;
    }
    run(*block[i]);
  }
}

void IRGen::run(const ast::Stmt &s) {
  if (++steps > mostSteps) {
    if (steps == mostSteps + 1)
      error(s.place, "this spec unfolds to more than " + std::to_string(mostSteps) + " statements");
    return;
  }
  switch (s.kind) {
  case ast::Stmt::Params:
    for (const ast::ParamDecl &param : s.params)
      declareParam(param);
    return;
  case ast::Stmt::Let:
    return runLet(s);
  case ast::Stmt::If:
    return runIf(s);
  case ast::Stmt::Repeat:
    return s.hasScope ? runLayer(s) : runRepeat(s);
  case ast::Stmt::Return:
    return runReturn(s);
  case ast::Stmt::Require: {
    if (s.value->kind == ast::Expr::Binary && s.value->text == "<" &&
        s.value->operands[0]->kind == ast::Expr::Name && s.value->operands[0]->text == "t")
      return limitTokens(s);
    ConstResult held = evalConst(*s.value, "what is required");
    if (!held || (held->kind == ConstValue::Boolean && held->boolean))
      return; // A message may be made of what only bad values have.
    if (ConstResult message = evalConst(*s.message, "the message"))
      error(s.place, message->plain());
    return;
  }
  case ast::Stmt::Value: {
    Val v = s.value->kind == ast::Expr::Recur ? evalRecur(*s.value, true) : eval(*s.value);
    // By itself it is what the module gives, where nothing else is.
    instance->result = v;
    return;
  }
  }
}

void IRGen::bind(const std::string &name, Val value, Place place) {
  if (name == "t" || name == "inf" || name == "pi") {
    error(place, "'" + name + "' has a fixed meaning and cannot be assigned to");
    return;
  }
  if (Instance::Scope *scope = scopeOf(name)) {
    scope->names[name] = std::move(value);
    return;
  }
  instance->scopes.back().names[name] = std::move(value);
}

// The scope where assigning to a name puts it: where it is already, but never out of a recurrence's
// or over's body.
Instance::Scope *IRGen::scopeOf(const std::string &name) {
  for (size_t i = instance->scopes.size(); i-- > 0;) {
    Instance::Scope &scope = instance->scopes[i];
    if (scope.names.count(name))
      return &scope;
    if (scope.frame->kind != Frame::Function &&
        (i == 0 || instance->scopes[i - 1].frame != scope.frame))
      return nullptr;
  }
  return nullptr;
}

void IRGen::bindTarget(const ast::Target &target, Val value, Place place, const ast::Expr *source) {
  Instance::Scope *scope = scopeOf(target.name);
  auto state =
      scope ? scope->states.find(target.name) : std::map<std::string, NamedAxes>::iterator();
  bool isState = scope && state != scope->states.end();
  NamedAxes axes;
  if (isState)
    axes = state->second;
  if (target.written && value.kind != Val::Unknown) {
    NamedAxes written;
    if (!resolveAxes(target.axes, written))
      value = Val();
    else if (isState &&
             !std::is_permutation(written.begin(), written.end(), axes.begin(), axes.end()))
      value = error(target.place, "the state '" + target.name + "' has axes " + shown(axes) +
                                      ", not " + shown(written));
    else
      axes = written;
  }
  if (value.kind == Val::Tuple)
    value = error(place, "'" + target.name + "' stands for one value; the right side gives " +
                             std::to_string(value.items.size()));
  if ((isState || target.written) && value.kind != Val::Unknown) {
    bool constant = value.kind == Val::Const;
    if (constant && !value.constant.isNumber())
      value = error(place, "'" + target.name + "' expects numbers, found " + describe(value));
    else
      value = conform(value, axes, place, "'" + target.name + "'", source, isState || constant);
  }
  if (value.kind == Val::Tensor) {
    if (isState)
      value = broadcast(value, axes, place);
    else
      nameValue(value.tensor, target.name);
    value.order.clear();
    if (target.written)
      for (const NamedAxis &axis : axes)
        value.order.push_back(axis.name);
  }
  bind(target.name, value, target.place);
}

/// Remarks speak of a value by the first name that the spec gives it.
void IRGen::nameValue(mlir::Value value, llvm::StringRef name) {
  mlir::Location known = value.getLoc();
  if (!known->findInstanceOf<mlir::NameLoc>())
    value.setLoc(mlir::NameLoc::get(mlir::StringAttr::get(&context, name), known));
}

void IRGen::runLet(const ast::Stmt &s) {
  Wanted wanted;
  bool known = true;
  for (const ast::Target &target : s.targets) {
    NamedAxes axes;
    known &= target.written && tryAxes(target.axes, axes);
    wanted.push_back(axes);
  }
  Val v = s.value->kind == ast::Expr::Recur ? evalRecur(*s.value, false)
                                            : eval(*s.value, known ? &wanted : nullptr);
  if (s.targets.size() == 1)
    return bindTarget(s.targets[0], v, s.value->place, s.value.get());
  std::vector<Val> parts(s.targets.size());
  if (v.kind == Val::Tuple) {
    if (v.items.size() != parts.size())
      error(s.place, std::to_string(parts.size()) + " names for " + std::to_string(v.items.size()) +
                         " values");
    else
      parts = v.items;
  } else if (v.kind == Val::Tensor && known) {
    parts = split(v, wanted, s.value->place);
  } else if (v.kind != Val::Unknown) {
    error(s.place, "one value cannot be split into " + std::to_string(parts.size()) +
                       " without their axes; expected each name with known axes, as in `x[h p], "
                       "B[g n] = ...`");
  }
  for (size_t i = 0; i < parts.size(); ++i)
    bindTarget(s.targets[i], parts[i], s.value->place, s.value.get());
}

void IRGen::runIf(const ast::Stmt &s) {
  Val condition = eval(*s.value);
  if (condition.kind == Val::Unknown)
    return;
  if (condition.kind != Val::Const || condition.constant.kind != ConstValue::Boolean) {
    error(s.value->place,
          "'if' chooses while compiling and takes true or false, found " + describe(condition) +
              (condition.kind == Val::Tensor ? "; for data write where(c, a, b)" : ""));
    return;
  }
  runBlock(condition.constant.boolean ? s.body : s.otherwise);
}

void IRGen::runRepeat(const ast::Stmt &s) {
  std::optional<int64_t> count = evalExtent(*s.value, "the number of repetitions");
  if (!count)
    return;
  for (int64_t i = 0; i < *count && steps <= mostSteps; ++i) {
    ++instance->repeats;
    instance->scopes.push_back({frame, {}, {}, {}, {}});
    instance->scopes.back().names[s.name] = Val::of(ConstValue::of(i));
    runBlock(s.body);
    instance->scopes.pop_back();
    --instance->repeats;
  }
}

std::string IRGen::functionName(const ast::Scope &scope) {
  std::string name;
  for (const ast::ScopePart &part : scope.parts)
    if (!part.value)
      name += (name.empty() ? "" : "_") + part.text;
  if (name.empty())
    name = "layer";
  std::string unique = name;
  for (int i = 1; !symbols.insert(unique).second; ++i)
    unique = name + "_" + std::to_string(i);
  return unique;
}

// Every iteration becomes a function of the values that it uses, its parameters last; one that
// prints like an earlier one is that one.
void IRGen::runLayer(const ast::Stmt &s) {
  std::optional<int64_t> count = evalExtent(*s.value, "the number of repetitions");
  if (!count)
    return;
  if (frame->kind != Frame::Function) {
    error(s.place, "a scope's repetition cannot stand inside a recurrence or over; write `repeat` "
                   "without `as`");
    return;
  }
  for (int64_t i = 0; i < *count && steps <= mostSteps; ++i) {
    auto block = std::make_unique<mlir::Block>();
    Frame layer(Frame::Function, frame, block.get());
    std::vector<std::string> outerPath = instance->path;
    instance->scopes.push_back({&layer, {}, {}, {}, {}});
    instance->scopes.back().names[s.name] = Val::of(ConstValue::of(i));
    frame = &layer;
    ++instance->repeats;
    if (scopePath(s.scope, instance->path)) {
      layer.prefix = llvm::join(instance->path, ".");
      runBlock(s.body);
    }
    --instance->repeats;
    instance->scopes.pop_back();

    // What the body assigned to names from outside it are the function's results.
    llvm::SmallVector<mlir::Value> results;
    std::vector<Val *> changed;
    for (Instance::Scope &scope : instance->scopes)
      for (auto &[name, value] : scope.names)
        if (value.kind == Val::Tensor && value.frame == &layer) {
          results.push_back(value.tensor);
          changed.push_back(&value);
        }
    auto builder = at();
    mlir::func::ReturnOp::create(builder, location(s.place), results);
    frame = layer.parent;
    std::string scope = layer.prefix;
    instance->path = outerPath;
    if (!frame->prefix.empty() && scope.rfind(frame->prefix + ".", 0) == 0)
      scope = scope.substr(frame->prefix.size() + 1);

    auto type = mlir::FunctionType::get(&context, block->getArgumentTypes(),
                                        mlir::ValueRange(results).getTypes());
    auto function = mlir::func::FuncOp::create(location(s.place), "layer", type);
    function.setPrivate();
    function.getBody().push_back(block.release());
    if (sink.failed()) {
      function->erase();
      for (Val *value : changed)
        *value = Val();
      return; // one iteration tells what the others would
    }
    std::string text;
    llvm::raw_string_ostream os(text);
    function->print(os, mlir::OpPrintingFlags().useLocalScope());
    auto [it, fresh] = layers.insert({text, function});
    if (fresh) {
      function.setSymName(functionName(s.scope));
      module->getBody()->push_back(function);
    } else {
      function->erase();
    }
    llvm::SmallVector<mlir::Value> operands(layer.perToken);
    operands.append(layer.shared);
    auto outer = at();
    auto call = CallOp::create(outer, location(s.place), type.getResults(),
                               mlir::FlatSymbolRefAttr::get(it->second.getSymNameAttr()), operands,
                               StringAttr::get(&context, scope));
    for (size_t r = 0; r < changed.size(); ++r) {
      changed[r]->tensor = call.getResult(r);
      changed[r]->frame = frame;
    }
  }
}

void IRGen::runReturn(const ast::Stmt &s) {
  // A route's body returns what an expert gives.
  bool expert = frame->kind == Frame::Route && instance->scopes.back().frame == frame &&
                instance->scopes.front().frame != frame;
  if (instance->repeats || (frame != instance->scopes.front().frame && !expert)) {
    error(s.place, "'return' cannot stand inside a repetition or a recurrence; assign to a name "
                   "and return it after");
    return;
  }
  // A declared result tells the last expression its axes.
  Wanted wanted(1);
  bool known = !expert && instance->module->hasResult && s.values.size() == 1 &&
               tryAxes(instance->module->result, wanted[0]);
  std::vector<Val> items;
  instance->resultNames.clear(); // a recurrence before gave some
  for (const auto &value : s.values) {
    items.push_back(value->kind == ast::Expr::Recur ? evalRecur(*value, false)
                                                    : eval(*value, known ? &wanted : nullptr));
    instance->resultNames.push_back(value->kind == ast::Expr::Name ? value->text : "");
  }
  instance->returned = true;
  instance->result = items[0];
  if (items.size() > 1) {
    instance->result = Val();
    instance->result.kind = Val::Tuple;
    instance->result.items = items;
    for (const Val &item : items)
      if (item.kind == Val::Unknown || item.kind == Val::Tuple)
        instance->result.kind = Val::Unknown;
  }
}

void IRGen::declareParam(const ast::ParamDecl &param) {
  std::vector<std::string> parts = instance->path;
  if (!param.hasScope)
    parts.push_back(param.name);
  else if (!scopePath(param.scope, parts))
    return bind(param.name, Val(), param.place);
  std::string path = llvm::join(parts, ".");
  NamedAxes stored, named; // with and without unit axes
  std::vector<bool> unit;
  int64_t units = 0, elements = 1;
  // A parameter of every expert is one, stacked along their axis.
  bool stacked = llvm::any_of(parts, [&](const std::string &part) { return isExpert(part); });
  if (stacked) {
    stored.push_back(frame->experts);
    elements = frame->experts.extent;
  }
  for (const ast::Axis &axis : param.axes) {
    std::optional<NamedAxis> resolved = NamedAxis{"unit" + (units ? std::to_string(units) : ""), 1};
    if (axis.name.empty())
      ++units;
    else
      resolved = resolveAxis(axis);
    if (!resolved)
      return bind(param.name, Val(), param.place);
    for (const NamedAxis &other : stored)
      if (other.name == resolved->name) {
        error(axis.place,
              "axis '" + shown(resolved->name) + "' twice in the parameter '" + param.name + "'");
        return bind(param.name, Val(), param.place);
      }
    if (__builtin_mul_overflow(elements, resolved->extent, &elements) ||
        elements > Program::maxElements) {
      error(param.place, "the parameter '" + path + "' has more than " +
                             std::to_string(Program::maxElements) + " elements");
      return bind(param.name, Val(), param.place);
    }
    stored.push_back(*resolved);
    unit.push_back(axis.name.empty());
    if (!axis.name.empty())
      named.push_back(*resolved);
  }
  std::string init;
  if (param.init) {
    init = ast::print(*param.init);
    if (param.init->kind == ast::Expr::Call && !param.init->hasScope) {
      init = param.init->text + "(";
      for (const ast::Argument &argument : param.init->arguments) {
        ConstResult value = evalConst(*argument.value, "an argument of init");
        init += (init.back() == '(' ? "" : ", ") + (value ? value->plain() : "");
      }
      init += ")";
    } else if (ConstResult value = evalConst(*param.init, "init")) {
      init = value->plain();
    }
  }
  auto [it, fresh] = params.insert({path, {}});
  Param &held = it->second;
  if (fresh) {
    auto builder = mlir::OpBuilder::atBlockBegin(root->block);
    if (!params.empty())
      for (mlir::Operation &op : *root->block) { // after the parameters that are there
        if (!llvm::isa<ParamOp>(op))
          break;
        builder.setInsertionPointAfter(&op);
      }
    held.value = ParamOp::create(builder, location(param.place), typeOf(stored, false),
                                 StringAttr::get(&context, path),
                                 init.empty() ? StringAttr() : StringAttr::get(&context, init));
    held.place = param.place;
    held.axes = stored;
  }
  bool same = held.axes.size() == stored.size();
  for (size_t i = 0; same && i < stored.size(); ++i)
    same = held.axes[i].extent == stored[i].extent;
  if (!same) {
    auto extents = [](const NamedAxes &axes) {
      std::string text;
      for (const NamedAxis &axis : axes)
        text += (text.empty() ? "" : " ") + std::to_string(axis.extent);
      return "[" + text + "]";
    };
    error(param.place, "the parameter '" + path + "' is shared with line " +
                           std::to_string(held.place.line) + " of " + held.place.file->path +
                           ", where it has shape " + extents(held.axes) + "; here it has " +
                           extents(stored));
    return bind(param.name, Val(), param.place);
  }
  Val v = Val::of(held.value, root);
  if (stacked)
    v = here(v);
  if (units || held.axes != stored) {
    // Dims of the view are the named axes; a unit axis is read at 0.
    llvm::SmallVector<mlir::AffineExpr> sources;
    unsigned dim = 0;
    for (bool one : unit)
      sources.push_back(one ? mlir::getAffineConstantExpr(0, &context)
                            : mlir::getAffineDimExpr(dim++, &context));
    v = view(v, named, sources, param.place);
  }
  bind(param.name, v, param.place);
}

//===- Plan.cpp - From entries to lists of steps over static memory -------===//
//
// One walker a entry. Every value of a function being walked stands for a Place: a constant (a
// value without t), an input, or a buffer. Buffers get their offsets when the whole entry is known,
// since only then their last uses are.
//
//===----------------------------------------------------------------------===//

#include "codegen/common/Plan.h"

#include "mlir/IR/SymbolTable.h"
#include "runtime/weight_groups.h"
#include <map>
#include <set>

using namespace mlir;
using namespace rondo;

int64_t rondo::bytesPerToken(Type type) {
  // Truth values are stored as numbers, 0 and 1.
  return elementsPerToken(type) * (elementTypeOf(type).isInteger(64) ? 8 : 4);
}

namespace {
struct Place {
  enum class Kind { Constant, Input, Buffer } kind;
  int64_t index;          ///< in Plan::constants, the entry's inputs, or the walker's buffers
  bool lastSpace = false; ///< one row a sequence
};

/// A value that a step makes: in the arena, or an output of the entry.
struct Buffer {
  int64_t bytes;       ///< of one row
  int64_t first, last; ///< steps
  int64_t output = -1;
};

/// The weights and states of a package, shared by its entries.
class Shared {
public:
  Shared(ModuleOp module, Plan &plan) : symbols(module), plan(plan) {}

  int64_t constant(Operation *source, std::vector<int64_t> operands);
  int64_t weight(int64_t constant, StringRef layout);
  FailureOr<int64_t> state(PlannedState state, Operation *at);
  int64_t kernel(func::FuncOp function);

  SymbolTable symbols;
  Plan &plan;

private:
  std::map<std::pair<Operation *, std::vector<int64_t>>, int64_t> constants;
  std::map<std::string, int64_t>
      parameters; // by path or derived name: one weight however often it is named
  std::map<std::pair<int64_t, std::string>, int64_t> weights;
  std::map<std::string, int64_t> states;
  llvm::DenseMap<Operation *, int64_t> kernels;
  std::set<std::string> names; // of constants
};

/// Walks one entry.
class EntryWalker {
public:
  EntryWalker(Shared &shared, PlannedEntry &entry) : shared(shared), entry(entry) {}

  LogicalResult run(const PlanOptions &options);

private:
  using Places = llvm::DenseMap<Value, Place>;
  FailureOr<SmallVector<Place>> walk(func::FuncOp function, ArrayRef<Place> arguments,
                                     const std::string &scope);
  LogicalResult visit(Operation &op, Places &places, const std::string &scope);
  LogicalResult visitLaunch(LaunchOp launch, Places &places, const std::string &scope);
  LogicalResult visitCall(CallOp call, Places &places, const std::string &scope);
  LogicalResult visitLast(LastOp last, Places &places);
  LogicalResult visitConstant(Operation &op, Places &places);
  FailureOr<int64_t> addState(Attribute info, StringRef name, LaunchOp launch, func::FuncOp kernel,
                              ArrayRef<Place> inputs, const std::string &scope);
  LogicalResult bindOutputs(ArrayRef<Place> results);

  Place makeBuffer(Type type, bool lastSpace);
  PlannedOperand operand(const Place &place, StringRef layout);
  /// Reads of `place` by the step that comes next.
  void use(const Place &place);
  void placeBuffers(const PlanOptions &options);
  void limitIds(Value ids, int64_t input);

  Shared &shared;
  PlannedEntry &entry;
  std::vector<Buffer> buffers;
  /// Steps that must follow the last launch that reads the state, by state.
  struct PendingTail {
    Place source;
    int64_t lastReader;
    int64_t rowBytes;
  };
  llvm::MapVector<int64_t, PendingTail> tails;
  std::map<int64_t, Place> appended; // caches already filled in this entry, with what
};
} // namespace

//===----------------------------------------------------------------------===//
// Weights, states, kernels
//===----------------------------------------------------------------------===//

/// Whether two ops of functions that need not be the same compute the same from equal operands.
static bool computeTheSame(Operation *a, Operation *b) {
  return a->getName() == b->getName() && a->getAttrDictionary() == b->getAttrDictionary() &&
         a->getPropertiesAsAttribute() == b->getPropertiesAsAttribute() &&
         a->getResultTypes() == b->getResultTypes();
}

int64_t Shared::constant(Operation *source, std::vector<int64_t> operands) {
  // Entries are clones of one function: a parameter, and a derived value of its own name, is one
  // constant in all of them.
  auto param = dyn_cast<ParamOp>(source);
  auto derived = source->getAttrOfType<StringAttr>("rondo.derived");
  std::string shared = param ? param.getPath().str() : derived ? derived.str() : "";
  if (auto it = parameters.find(shared); !shared.empty() && it != parameters.end())
    return it->second;
  auto [it, inserted] = constants.try_emplace({source, operands}, plan.constants.size());
  if (!inserted)
    return it->second;
  // What has no name of its own, such as a parameter's view that a state starts from, is one
  // constant in all entries too.
  if (shared.empty())
    for (auto [index, known] : llvm::enumerate(plan.constants))
      if (known.operands == operands && computeTheSame(known.source, source))
        return it->second = static_cast<int64_t>(index);
  std::string name = shared.empty() ? "constant" : shared;
  if (shared.empty() && !operands.empty())
    name = plan.constants[operands.front()].name + "." + source->getName().stripDialect().str();
  std::string base = name;
  for (int n = 2; !names.insert(name).second; ++n)
    name = base + "." + std::to_string(n);
  if (!shared.empty())
    parameters[shared] = it->second;
  plan.constants.push_back(
      {source, std::move(operands), name, cast<RankedTensorType>(source->getResult(0).getType())});
  return it->second;
}

int64_t Shared::weight(int64_t constant, StringRef layout) {
  auto [it, inserted] = weights.try_emplace({constant, layout.str()}, plan.weights.size());
  if (inserted)
    plan.weights.push_back({constant, layout.str()});
  return it->second;
}

FailureOr<int64_t> Shared::state(PlannedState state, Operation *at) {
  auto [it, inserted] = states.try_emplace(state.name, plan.states.size());
  if (!inserted) {
    const PlannedState &known = plan.states[it->second];
    if (known.kind == state.kind && known.type == state.type && known.tokens == state.tokens &&
        known.init == state.init && known.order == state.order && known.scale == state.scale)
      return it->second;
    return at->emitOpError("state '")
           << state.name << "' was " << known.type << " for " << known.tokens
           << " tokens at its first use; found " << state.type << " for " << state.tokens
           << "; every state needs a name of its own";
  }
  if (state.kind == PlannedState::Kind::Cache) {
    state.offset = plan.caches++;
  } else {
    state.offset = plan.stateBytes;
    int64_t rows = state.kind == PlannedState::Kind::Tail ? state.tokens : 1;
    plan.stateBytes += (rows * state.bytes + 63) / 64 * 64;
  }
  plan.states.push_back(std::move(state));
  return it->second;
}

int64_t Shared::kernel(func::FuncOp function) {
  auto [it, inserted] = kernels.try_emplace(function, plan.kernels.size());
  if (inserted)
    plan.kernels.push_back(function);
  return it->second;
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

Place EntryWalker::makeBuffer(Type type, bool lastSpace) {
  int64_t now = entry.steps.size();
  buffers.push_back({bytesPerToken(type), now, now});
  return {Place::Kind::Buffer, int64_t(buffers.size()) - 1, lastSpace};
}

void EntryWalker::use(const Place &place) {
  if (place.kind == Place::Kind::Buffer)
    buffers[place.index].last = std::max<int64_t>(buffers[place.index].last, entry.steps.size());
}

PlannedOperand EntryWalker::operand(const Place &place, StringRef layout) {
  switch (place.kind) {
  case Place::Kind::Constant:
    return {PlannedOperand::Kind::Weight, shared.weight(place.index, layout)};
  case Place::Kind::Input:
    return {PlannedOperand::Kind::Input, place.index};
  case Place::Kind::Buffer:
    break;
  }
  return {PlannedOperand::Kind::Arena, place.index}; // the buffer's number until placeBuffers
}

/// Follows integer values from an input into the table they index.
void EntryWalker::limitIds(Value ids, int64_t input) {
  if (!elementTypeOf(ids.getType()).isInteger(64))
    return; // real ids may be any number
  int64_t &limit = entry.inputs[input].idLimit;
  auto apply = [&](Type indexed, StringRef axis) {
    int64_t extent = extentOf(indexed, axis);
    limit = limit ? std::min(limit, extent) : extent;
  };
  for (OpOperand &use : ids.getUses()) {
    if (auto gather = dyn_cast<GatherOp>(use.getOwner()); gather && gather.getIds() == ids)
      apply(gather.getTable().getType(), gather.getAxis());
    else if (auto pick = dyn_cast<PickOp>(use.getOwner()); pick && pick.getIds() == ids)
      apply(pick.getSource().getType(), pick.getAxis());
    else if (auto shift = dyn_cast<ShiftOp>(use.getOwner()))
      limitIds(shift.getResult(), input);
  }
}

FailureOr<int64_t> EntryWalker::addState(Attribute attr, StringRef name, LaunchOp launch,
                                         func::FuncOp kernel, ArrayRef<Place> inputs,
                                         const std::string &scope) {
  auto info = dyn_cast<DictionaryAttr>(attr);
  auto kind = info ? info.getAs<StringAttr>("kind") : StringAttr();
  auto type = info ? info.getAs<TypeAttr>("type") : TypeAttr();
  auto number = [&](StringRef key, int64_t otherwise) {
    auto value = info.getAs<IntegerAttr>(key);
    return value ? value.getInt() : otherwise;
  };
  if (!kind || !type || !isa<RankedTensorType>(type.getValue()))
    return kernel.emitOpError("has a `rondo.state_info` entry without kind and type");
  PlannedState state;
  state.name = scope.empty() ? name.str() : scope + "." + name.str();
  state.type = cast<RankedTensorType>(type.getValue());
  state.bytes = bytesPerToken(state.type);
  state.tokens = number("tokens", 0);
  if (kind == "fixed")
    state.kind = PlannedState::Kind::Fixed;
  else if (kind == "tail")
    state.kind = PlannedState::Kind::Tail;
  else if (kind == "cache")
    state.kind = PlannedState::Kind::Cache;
  else
    return kernel.emitOpError("has a state of kind ") << kind << "; expected fixed, tail or cache";

  auto inRange = [&](int64_t index) { return index >= 0 && index < int64_t(inputs.size()); };
  if (state.kind == PlannedState::Kind::Fixed) {
    if (auto order = info.getAs<DenseI64ArrayAttr>("order"))
      state.order.assign(order.asArrayRef().begin(), order.asArrayRef().end());
    if (auto scale = info.getAs<StringAttr>("scale"))
      state.scale = scope.empty() ? scale.str() : scope + "." + scale.str();
    if (int64_t init = number("init", -1); init >= 0) {
      if (!inRange(init) || inputs[init].kind != Place::Kind::Constant)
        return launch.emitOpError("state '")
               << state.name
               << "' starts from a value that depends on tokens; expected one of parameters alone";
      state.init = shared.weight(inputs[init].index, "rows");
    }
    return shared.state(std::move(state), launch);
  }
  int64_t source = number("source", -1), rowBytes = state.bytes;
  if (!inRange(source) || inputs[source].kind == Place::Kind::Constant)
    return launch.emitOpError("state '")
           << state.name << "' keeps rows of a value without t; expected a per-token operand";
  if (inputs[source].lastSpace)
    return launch.emitOpError("state '")
           << state.name << "' keeps rows of a value that exists for last rows only";
  bool isTail = state.kind == PlannedState::Kind::Tail;
  FailureOr<int64_t> index = shared.state(std::move(state), launch);
  if (failed(index))
    return failure(); // reported
  const Place &place = inputs[source];
  auto same = [&](const Place &other) {
    return other.kind == place.kind && other.index == place.index;
  };
  if (isTail) {
    auto [it, inserted] = tails.insert({*index, {place, 0, rowBytes}});
    if (!inserted && !same(it->second.source))
      return launch.emitOpError("tail '")
             << shared.plan.states[*index].name << "' would keep two different values";
  } else if (auto [it, inserted] = appended.try_emplace(*index, place); inserted) {
    use(place);
    entry.steps.push_back({PlannedStep::Kind::Append,
                           -1,
                           {operand(place, "rows"), {PlannedOperand::Kind::State, *index}},
                           false,
                           rowBytes});
  } else if (!same(it->second)) {
    return launch.emitOpError("cache '")
           << shared.plan.states[*index].name << "' would keep two different values";
  }
  return index;
}

LogicalResult EntryWalker::visitLaunch(LaunchOp launch, Places &places, const std::string &scope) {
  auto kernel = shared.symbols.lookup<func::FuncOp>(launch.getKernel());
  if (!kernel || !kernel->hasAttr("rondo.kernel"))
    return launch.emitOpError("launches '") << launch.getKernel() << "', which is not a kernel";
  if (kernel.getNumArguments() != launch.getNumOperands() ||
      kernel.getNumResults() != launch.getNumResults())
    return launch.emitOpError("passes ")
           << launch.getNumOperands() << " operands for " << launch.getNumResults()
           << " results; kernel '" << kernel.getName() << "' has " << kernel.getNumArguments()
           << " and " << kernel.getNumResults();
  SmallVector<Place> inputs;
  std::optional<bool> lastSpace;
  for (Value value : launch.getOperands()) {
    Place place = places.lookup(value);
    inputs.push_back(place);
    if (place.kind == Place::Kind::Constant)
      continue;
    if (lastSpace && *lastSpace != place.lastSpace)
      return launch.emitOpError("mixes values of all tokens with values of last tokens");
    lastSpace = place.lastSpace;
  }

  SmallVector<int64_t> states;
  auto names = kernel->getAttrOfType<ArrayAttr>("rondo.states");
  auto infos = kernel->getAttrOfType<ArrayAttr>("rondo.state_info");
  if ((names ? names.size() : 0) != (infos ? infos.size() : 0))
    return kernel.emitOpError("has `rondo.states` and `rondo.state_info` of different lengths");
  for (unsigned i = 0; names && i < names.size(); ++i) {
    FailureOr<int64_t> state =
        addState(infos[i], cast<StringAttr>(names[i]).getValue(), launch, kernel, inputs, scope);
    if (failed(state))
      return failure(); // reported
    states.push_back(*state);
  }

  PlannedStep step{PlannedStep::Kind::Launch, shared.kernel(kernel), {}, lastSpace.value_or(false)};
  for (auto [i, place] : llvm::enumerate(inputs)) {
    auto layout = kernel.getArgAttrOfType<StringAttr>(i, "rondo.layout");
    step.operands.push_back(operand(place, layout ? layout.getValue() : "rows"));
    use(place);
    if (place.kind == Place::Kind::Input &&
        elementTypeOf(launch.getOperand(i).getType()).isInteger(64) && !kernel.isExternal())
      limitIds(kernel.getArgument(i), place.index);
  }
  for (int64_t state : states) {
    step.operands.push_back({PlannedOperand::Kind::State, state});
    if (auto it = tails.find(state); it != tails.end())
      it->second.lastReader = entry.steps.size();
  }
  for (Value result : launch.getResults()) {
    if (!isPerToken(result.getType()))
      return launch.emitOpError("makes a value without t; expected those to be derived weights");
    Place place = makeBuffer(result.getType(), step.lastSpace);
    places[result] = place;
    step.operands.push_back(operand(place, "rows"));
  }
  kernel.walk([&](AttendOp attend) { entry.wholeSequence |= !attend.getCausal(); });
  entry.steps.push_back(std::move(step));
  return success();
}

LogicalResult EntryWalker::visitCall(CallOp call, Places &places, const std::string &scope) {
  auto callee = shared.symbols.lookup<func::FuncOp>(call.getCallee());
  if (!callee || callee.isExternal())
    return call.emitOpError("calls '") << call.getCallee() << "', which has no body";
  SmallVector<Place> arguments;
  for (Value value : call.getOperands())
    arguments.push_back(places.lookup(value));
  std::string inner = scope.empty() ? call.getScope().str() : scope + "." + call.getScope().str();
  FailureOr<SmallVector<Place>> results = walk(callee, arguments, inner);
  if (failed(results))
    return failure(); // reported
  for (auto [result, place] : llvm::zip_equal(call.getResults(), *results))
    places[result] = place;
  return success();
}

LogicalResult EntryWalker::visitLast(LastOp last, Places &places) {
  Place source = places.lookup(last.getSource());
  if (source.lastSpace) { // a last row of last rows
    places[last.getResult()] = source;
    return success();
  }
  if (source.kind == Place::Kind::Constant)
    return last.emitOpError("takes the last row of a value without t");
  use(source);
  Place result = makeBuffer(last.getType(), /*lastSpace=*/true);
  places[last.getResult()] = result;
  entry.steps.push_back({PlannedStep::Kind::Last,
                         -1,
                         {operand(source, "rows"), operand(result, "rows")},
                         false,
                         bytesPerToken(last.getType())});
  return success();
}

LogicalResult EntryWalker::visitConstant(Operation &op, Places &places) {
  std::vector<int64_t> operands;
  for (Value value : op.getOperands())
    operands.push_back(places.lookup(value).index);
  places[op.getResult(0)] = {Place::Kind::Constant, shared.constant(&op, std::move(operands))};
  return success();
}

LogicalResult EntryWalker::visit(Operation &op, Places &places, const std::string &scope) {
  for (Value value : op.getOperands())
    if (!places.contains(value))
      return op.emitOpError("uses a value that the plan does not know");
  if (auto launch = dyn_cast<LaunchOp>(op))
    return visitLaunch(launch, places, scope);
  if (auto call = dyn_cast<CallOp>(op))
    return visitCall(call, places, scope);
  if (auto last = dyn_cast<LastOp>(op))
    return visitLast(last, places);
  bool constant =
      op.getNumResults() == 1 && op.getNumRegions() == 0 && !isPerToken(op.getResult(0).getType());
  for (Value value : op.getOperands())
    constant &= places.lookup(value).kind == Place::Kind::Constant;
  if (!constant)
    return op.emitOpError("is in no kernel; expected only launches, calls, last rows and "
                          "expressions of parameters at kernel level");
  return visitConstant(op, places);
}

FailureOr<SmallVector<Place>> EntryWalker::walk(func::FuncOp function, ArrayRef<Place> arguments,
                                                const std::string &scope) {
  Places places;
  for (auto [argument, place] : llvm::zip_equal(function.getArguments(), arguments))
    places[argument] = place;
  for (Operation &op : function.getBody().front().without_terminator())
    if (failed(visit(op, places, scope)))
      return failure(); // reported
  SmallVector<Place> results;
  for (Value value : function.getBody().front().getTerminator()->getOperands())
    results.push_back(places.lookup(value));
  return results;
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

static std::string nameOf(Attribute attr, StringRef kind, unsigned index) {
  auto name = dyn_cast_or_null<StringAttr>(attr);
  return name ? name.str() : (kind + Twine(index)).str();
}

LogicalResult EntryWalker::bindOutputs(ArrayRef<Place> results) {
  func::FuncOp function = entry.function;
  for (auto [i, place] : llvm::enumerate(results)) {
    PlannedValue &output = entry.outputs[i];
    if (place.kind != Place::Kind::Buffer)
      return function.emitOpError("returns '")
             << output.name
             << "', which is an input or a parameter; expected a computed per-token value";
    Buffer &buffer = buffers[place.index];
    if (buffer.output >= 0)
      return function.emitOpError("returns one value as both '")
             << entry.outputs[buffer.output].name << "' and '" << output.name << "'";
    if (i && place.lastSpace != entry.outputsInLastSpace)
      return function.emitOpError("returns values of all tokens beside values of last tokens");
    buffer.output = i;
    entry.outputsInLastSpace = place.lastSpace;
  }
  return success();
}

void EntryWalker::placeBuffers(const PlanOptions &options) {
  entry.maxRows = entry.wholeSequence ? options.wholeRows : options.maxRows;
  std::vector<Lifetime> lifetimes;
  std::vector<int64_t> which(buffers.size(), -1);
  for (auto [i, buffer] : llvm::enumerate(buffers))
    if (buffer.output < 0) {
      which[i] = lifetimes.size();
      lifetimes.push_back({buffer.bytes * entry.maxRows, buffer.first, buffer.last});
    }
  ArenaPlan arena = planArena(lifetimes);
  entry.arenaBytes = arena.bytes;
  for (PlannedStep &step : entry.steps)
    for (PlannedOperand &operand : step.operands)
      if (operand.kind == PlannedOperand::Kind::Arena) {
        const Buffer &buffer = buffers[operand.index];
        operand = buffer.output >= 0 ? PlannedOperand{PlannedOperand::Kind::Output, buffer.output}
                                     : PlannedOperand{PlannedOperand::Kind::Arena,
                                                      arena.offsets[which[operand.index]]};
      }
}

LogicalResult EntryWalker::run(const PlanOptions &options) {
  func::FuncOp function = entry.function;
  SmallVector<Place> arguments;
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    if (!isPerToken(type))
      return function.emitOpError("has an input without t: ") << type;
    entry.inputs.push_back(
        {nameOf(function.getArgAttr(i, "rondo.name"), "input", i), cast<RankedTensorType>(type)});
    arguments.push_back({Place::Kind::Input, int64_t(i)});
  }
  for (auto [i, type] : llvm::enumerate(function.getResultTypes()))
    entry.outputs.push_back({nameOf(function.getResultAttr(i, "rondo.name"), "output", i),
                             cast<RankedTensorType>(type)});
  FailureOr<SmallVector<Place>> results = walk(function, arguments, "");
  if (failed(results) || failed(bindOutputs(*results)))
    return failure(); // reported

  // A tail is replaced when its last reader has run; until then its source must not be overwritten.
  // Lives are counted in the steps so far: a Tail that follows step n runs before anything that
  // step n + 1 makes, so its source need only live to n.
  SmallVector<std::pair<int64_t, PendingTail>> pending(tails.begin(), tails.end());
  for (auto &[state, tail] : pending)
    if (tail.source.kind == Place::Kind::Buffer) {
      Buffer &source = buffers[tail.source.index];
      source.last = std::max(source.last, tail.lastReader);
    }
  // From the back, so that the places in front stay valid.
  llvm::sort(pending, [](auto &a, auto &b) {
    return std::pair(b.second.lastReader, b.first) < std::pair(a.second.lastReader, a.first);
  });
  for (auto &[state, tail] : pending)
    entry.steps.insert(entry.steps.begin() + tail.lastReader + 1,
                       {PlannedStep::Kind::Tail,
                        -1,
                        {operand(tail.source, "rows"), {PlannedOperand::Kind::State, state}},
                        false,
                        tail.rowBytes});
  placeBuffers(options);
  return success();
}

/// Whether a kernel takes single rows of a matrix, by their numbers, and nothing else of it.
static bool looksUp(func::FuncOp kernel, size_t argument) {
  if (kernel.isExternal())
    return false;
  Value table = kernel.getArgument(argument);
  auto type = dyn_cast<RankedTensorType>(table.getType());
  // Rows of less than a group would have a scale for a few numbers.
  bool isTable = type && type.getRank() == 2 && type.getDimSize(0) >= groupDepth &&
                 type.getDimSize(1) >= groupDepth;
  return isTable && llvm::all_of(table.getUsers(), [&](Operation *user) {
           auto gather = dyn_cast<GatherOp>(user);
           return gather && gather.getTable() == table && gather.getIds() != table &&
                  gather.getAxis() == axesOf(type)[0].getValue();
         });
}

/// A weight that some kernels read packed and others by rows (a table that is looked up and
/// multiplied with) is stored once, packed, where every launch of a kernel reads such a one: a
/// kernel reads any layout. One that is looked up alone has the layout `tables`. Whether kernels
/// changed.
static bool shareLayouts(const Plan &plan, const std::string &tables) {
  std::map<int64_t, std::string> packed; // by constant
  for (const PlannedWeight &weight : plan.weights)
    if (weight.layout != "rows")
      packed[weight.constant] = weight.layout;
  std::map<int64_t, bool> lookedUp; // by constant: by all that read it by rows
  for (const PlannedEntry &entry : plan.entries)
    for (const PlannedStep &step : entry.steps)
      for (size_t i = 0; i < step.operands.size(); ++i)
        if (const PlannedOperand &operand = step.operands[i];
            operand.kind == PlannedOperand::Kind::Weight &&
            plan.weights[operand.index].layout == "rows")
          lookedUp.try_emplace(plan.weights[operand.index].constant, true).first->second &=
              step.kernel >= 0 && looksUp(plan.kernels[step.kernel], i);
  for (auto [constant, only] : lookedUp)
    if (only && tables != "rows")
      packed.try_emplace(constant, tables);
  std::map<std::pair<int64_t, size_t>, std::string>
      candidates; // kernel and argument; empty: not for all launches
  for (const PlannedEntry &entry : plan.entries)
    for (const PlannedStep &step : entry.steps)
      for (size_t i = 0; step.kernel >= 0 && i < step.operands.size(); ++i) {
        const PlannedOperand &operand = step.operands[i];
        if (operand.kind != PlannedOperand::Kind::Weight ||
            plan.weights[operand.index].layout != "rows")
          continue;
        auto it = packed.find(plan.weights[operand.index].constant);
        std::string layout = it == packed.end() ? "" : it->second;
        auto [known, inserted] = candidates.try_emplace({step.kernel, i}, layout);
        if (!inserted && known->second != layout)
          known->second.clear();
      }
  bool changed = false;
  for (auto &[use, layout] : candidates)
    if (!layout.empty()) {
      func::FuncOp kernel = plan.kernels[use.first];
      kernel.setArgAttr(use.second, "rondo.layout", StringAttr::get(kernel.getContext(), layout));
      changed = true;
    }
  return changed;
}

static FailureOr<Plan> planOnce(ModuleOp module, const PlanOptions &options) {
  Plan plan;
  Shared shared(module, plan);
  std::set<std::string> wanted(options.entries.begin(), options.entries.end());
  for (auto function : module.getOps<func::FuncOp>()) {
    auto name = function->getAttrOfType<StringAttr>("rondo.entry");
    if (!name || (!wanted.empty() && !wanted.count(name.str())))
      continue;
    wanted.erase(name.str());
    PlannedEntry &entry = plan.entries.emplace_back();
    entry.name = name.str();
    entry.function = function;
    if (failed(EntryWalker(shared, entry).run(options)))
      return failure(); // reported
  }
  if (plan.entries.empty())
    return module.emitError("the module has no entry; expected a function with `rondo.entry`");
  return plan;
}

FailureOr<Plan> rondo::planModule(ModuleOp module, const PlanOptions &options) {
  FailureOr<Plan> plan = planOnce(module, options);
  if (succeeded(plan) && shareLayouts(*plan, options.tables))
    return planOnce(module, options);
  return plan;
}

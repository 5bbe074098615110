//===- SplitRecurrences.cpp - States that others only read, apart ---------===//
//
// Token level to token level.
//
//   recur m, S { m' = max(g + m, e); S' = exp(g + m - m') S + exp(e - m') k v }
//     ->  recur m { m' = max(g + m, e); yields m, m' }            (for all tokens)
//         recur S (m, m') { S' = exp(g + m - m') S + exp(e - m') k v }
//
// Sound because the first states depend on no later one: their values of all tokens can be computed
// first, and are per-token inputs then. Bitwise: the same ops on the same values.
//
// States are grouped by strongly connected components of "whose next value depends on whom". A
// split is worth it when the recurrence as a whole has no block form and some of the groups have
// one.
//
//===----------------------------------------------------------------------===//

#include "passes/FreeWork.h"
#include "passes/Passes.h"
#include "passes/ReadRecurrence.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

namespace rondo {
#define GEN_PASS_DEF_SPLITRECURRENCESPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

using Groups = SmallVector<SmallVector<unsigned>>; // of states, in the order in which they run

/// What one group computes for the others, and what it is given.
struct Part {
  llvm::SetVector<Value> imports, exports;
  SmallVector<unsigned> outputs; // of the recurrence
};

/// One way of splitting a recurrence.
class Splitter {
public:
  Splitter(RecurOp op, const Groups &groups)
      : op(op), groups(groups), parts(groups.size()), groupOf(op.getInits().size()) {
    for (auto [g, group] : llvm::enumerate(groups))
      for (unsigned state : group)
        groupOf[state] = g;
    inputCount = op.getInputs().size();
    stateCount = op.getInits().size();
    masks = dependences(*op.getBlock(), [&](BlockArgument argument) {
      return maskOf(argument, inputCount, stateCount);
    });
    auto yield = op.getYield();
    for (size_t g = 0; g < groups.size(); ++g)
      for (unsigned state : groups[g])
        addOwn(yield.getStates()[state], g);
    for (size_t g = 0; g < groups.size(); ++g)
      for (unsigned state : groups[g])
        need(yield.getStates()[state], g);
    for (auto [i, output] : llvm::enumerate(yield.getOutputs())) {
      size_t g = masks.lookup(output) ? earliest(output) : groups.size() - 1;
      parts[g].outputs.push_back(i);
      need(output, g);
    }
  }

  static unsigned maskOf(BlockArgument argument, unsigned inputCount, unsigned stateCount) {
    unsigned place = argument.getArgNumber();
    return place < inputCount ? 0 : 1u << ((place - inputCount) % stateCount);
  }

  /// Elements a token that go from groups to later ones.
  int64_t crossing() const {
    int64_t total = 0;
    for (const Part &part : parts)
      for (Value value : part.exports)
        total += elementsPerToken(value.getType());
    return total;
  }

  /// Whether each state keeps its name in a recurrence of its group's name.
  bool keepsNames() const {
    for (const auto &group : groups)
      for (auto [i, state] : llvm::enumerate(group))
        if (recurrenceStateName(nameOf(group), statesOf(group), i) !=
            recurrenceStateName(op.getName(), op.getStates(), state))
          return false;
    return true;
  }

  /// Makes the recurrences, before the old one; `results` are the values of its outputs.
  SmallVector<RecurOp> build(SmallVector<Value> &results) {
    OpBuilder builder(op);
    IRMapping outside; // exported values to the results that hold them
    SmallVector<RecurOp> made;
    results.assign(op.getNumResults(), Value());
    for (auto [g, group] : llvm::enumerate(groups)) {
      const Part &part = parts[g];
      SmallVector<Value> inputs(op.getInputs()), inits, newStates, outputs;
      SmallVector<Type> types;
      for (Value value : part.imports)
        inputs.push_back(outside.lookup(value));
      for (unsigned state : group)
        inits.push_back(op.getInits()[state]);
      for (Value value : part.exports)
        types.push_back(withTime(value.getType()));
      for (unsigned output : part.outputs)
        types.push_back(op.getOutputs()[output].getType());
      auto recur =
          RecurOp::create(builder, op.getLoc(), types, builder.getStringAttr(nameOf(group)),
                          statesOf(group), inputs, inits, op.getEveryAttr());
      recur->setDiscardableAttrs(op->getDiscardableAttrDictionary());
      if (auto scales = op->getAttrOfType<ArrayAttr>("rondo.scales")) {
        SmallVector<Attribute> own;
        for (unsigned state : group)
          own.push_back(scales[state]);
        recur->setAttr("rondo.scales", builder.getArrayAttr(own));
      }
      fill(recur, g);
      for (auto [i, value] : llvm::enumerate(part.exports))
        outside.map(value, recur.getOutputs()[i]);
      for (auto [i, output] : llvm::enumerate(part.outputs))
        results[output] = recur.getOutputs()[part.exports.size() + i];
      made.push_back(recur);
    }
    return made;
  }

private:
  size_t earliest(Value value) const {
    size_t last = 0;
    for (unsigned state = 0; state < stateCount; ++state)
      if (masks.lookup(value) >> state & 1)
        last = std::max(last, groupOf[state]);
    return last;
  }

  /// What a group computes for its own next states.
  void addOwn(Value value, size_t g) {
    Operation *def = value.getDefiningOp();
    if (!own.insert({value, g}).second || !def)
      return;
    for (Value operand : def->getOperands())
      addOwn(operand, g);
  }

  /// Whether a value of an earlier group is handed over as it is. What is neither at hand there nor
  /// smaller than its operands is computed by those who read it, where the algebra sees how.
  bool isHandedOver(Value value, size_t from) const {
    Operation *def = value.getDefiningOp();
    if (!def || own.contains({value, from}) || isa<ContractOp, ReduceOp>(def))
      return true;
    return llvm::any_of(def->getOperands(), [&](Value operand) {
      return masks.lookup(operand) &&
             elementsPerToken(operand.getType()) > elementsPerToken(value.getType());
    });
  }

  void need(Value value, size_t g) {
    if (!masks.lookup(value) || !needed.insert({value, g}).second)
      return;
    size_t from = earliest(value);
    if (from < g && isHandedOver(value, from)) {
      parts[g].imports.insert(value);
      parts[from].exports.insert(value);
      return need(value, from);
    }
    if (Operation *def = value.getDefiningOp())
      for (Value operand : def->getOperands())
        need(operand, g);
  }

  std::string nameOf(ArrayRef<unsigned> group) const {
    StringRef prefix = op.getName(), first = cast<StringAttr>(op.getStates()[0]).getValue();
    if (prefix.consume_back(first) && (prefix.empty() || prefix.ends_with(".")))
      return (prefix + cast<StringAttr>(op.getStates()[group.front()]).getValue()).str();
    return op.getName().str();
  }

  ArrayAttr statesOf(ArrayRef<unsigned> group) const {
    SmallVector<Attribute> names;
    for (unsigned state : group)
      names.push_back(op.getStates()[state]);
    return ArrayAttr::get(op.getContext(), names);
  }

  void fill(RecurOp recur, size_t g) {
    const Part &part = parts[g];
    OpBuilder builder(op.getContext());
    Block *body = builder.createBlock(&recur.getBody());
    IRMapping mapping;
    auto types = recurrenceArguments(recur.getInputs().getTypes(), recur.getInits().getTypes(),
                                     op.getEvery().has_value(), 0);
    SmallVector<Value> old(op.getBlock()->getArguments().take_front(inputCount));
    llvm::append_range(old, part.imports);
    for (unsigned copies = 0; copies < (op.getEvery() ? 2u : 1u); ++copies)
      for (unsigned state : groups[g])
        old.push_back(op.getBlock()->getArgument(inputCount + copies * stateCount + state));
    for (auto [value, type] : llvm::zip_equal(old, types))
      mapping.map(value, body->addArgument(type, value.getLoc()));
    std::function<Value(Value)> emit = [&](Value value) -> Value {
      if (Value done = mapping.lookupOrNull(value))
        return done;
      Operation *def = value.getDefiningOp();
      for (Value operand : def->getOperands())
        emit(operand);
      return builder.clone(*def, mapping)->getResult(cast<OpResult>(value).getResultNumber());
    };
    auto yield = op.getYield();
    SmallVector<Value> newStates, outputs;
    for (unsigned state : groups[g])
      newStates.push_back(emit(yield.getStates()[state]));
    for (Value value : part.exports)
      outputs.push_back(emit(value));
    for (unsigned output : part.outputs)
      outputs.push_back(emit(yield.getOutputs()[output]));
    YieldOp::create(builder, op.getLoc(), newStates, outputs);
    SmallVector<Value> inputs(recur.getInputs());
    for (unsigned i = inputs.size(); i-- > 0;)
      if (body->getArgument(i).use_empty()) {
        body->eraseArgument(i);
        inputs.erase(inputs.begin() + i);
      }
    recur.getInputsMutable().assign(inputs);
  }

  mutable RecurOp op; // accessors of ops are not const
  const Groups &groups;
  SmallVector<Part> parts;
  SmallVector<size_t> groupOf;
  unsigned inputCount, stateCount;
  DependenceMap masks;
  DenseSet<std::pair<Value, size_t>> own, needed;
};

/// Why a recurrence has no block form; empty: it has one.
std::string refusalOf(RecurOp op) {
  RecurrenceReader reader(op);
  return reader.fits() ? algebra::classify(reader.body).refusal : "it names too many axes";
}

/// Why, if the states were split like this, each group would have no block form.
SmallVector<std::string> refusalsOf(RecurOp op, const Groups &groups) {
  SmallVector<Value> results;
  SmallVector<RecurOp> made = Splitter(op, groups).build(results);
  SmallVector<std::string> refusals;
  for (RecurOp part : made)
    refusals.push_back(refusalOf(part));
  for (RecurOp part : llvm::reverse(made))
    part.erase();
  return refusals;
}

/// The strongly connected components, each after those that it depends on.
Groups componentsOf(RecurOp op) {
  unsigned inputCount = op.getInputs().size(), count = op.getInits().size();
  DependenceMap masks = dependences(*op.getBlock(), [&](BlockArgument argument) {
    return Splitter::maskOf(argument, inputCount, count);
  });
  SmallVector<unsigned> reach;
  for (auto [i, value] : llvm::enumerate(op.getYield().getStates()))
    reach.push_back(masks.lookup(value) | 1u << i);
  for (unsigned via = 0; via < count; ++via)
    for (unsigned &from : reach)
      if (from >> via & 1)
        from |= reach[via];
  Groups components;
  for (unsigned i = 0; i < count; ++i) {
    auto same = llvm::find_if(components, [&](auto &component) {
      return reach[component[0]] == reach[i] && reach[i] >> component[0] & 1;
    });
    if (same != components.end())
      same->push_back(i);
    else
      components.push_back({i});
  }
  // Whoever reaches less comes first: a state reaches all that those which it depends on reach, and
  // itself.
  llvm::sort(components, [&](auto &a, auto &b) {
    return std::pair(llvm::popcount(reach[a[0]]), a[0]) <
           std::pair(llvm::popcount(reach[b[0]]), b[0]);
  });
  return components;
}

struct SplitRecurrences : rondo::impl::SplitRecurrencesPassBase<SplitRecurrences> {
  using SplitRecurrencesPassBase::SplitRecurrencesPassBase;

  void runOnOperation() override {
    SmallVector<RecurOp> recurs;
    getOperation()->walk([&](RecurOp op) { recurs.push_back(op); });
    for (RecurOp op : recurs)
      split(op);
  }

  void split(RecurOp op) {
    if (op.getInits().size() < 2 || op.getInits().size() > 32 || refusalOf(op).empty())
      return;
    Groups components = componentsOf(op);
    if (components.size() < 2)
      return;
    SmallVector<std::string> refusals = refusalsOf(op, components);
    if (llvm::none_of(refusals, [](StringRef refusal) { return refusal.empty(); }))
      return; // rondo-chunk-recurrences says what prevents a block form
    Groups groups = merged(op, components, refusals);
    if (groups.size() < 2)
      return;
    int64_t inBlocks = 0;
    refusals = refusalsOf(op, groups);
    for (auto [group, refusal] : llvm::zip_equal(groups, refusals))
      for (unsigned state : group)
        inBlocks += refusal.empty() ? elementsPerToken(op.getInits()[state].getType()) : 0;
    Splitter splitter(op, groups);
    // Written and read once a token, what crosses must cost less than the pass over the states that
    // blocks save.
    constexpr int64_t share = 4;
    if (splitter.crossing() * share > inBlocks || !splitter.keepsNames()) {
      ++numRefused;
      auto remark = op.emitRemark() << "'" << op.getName() << "' stays one recurrence: ";
      if (splitter.keepsNames())
        remark << splitter.crossing()
               << " numbers a token would go between its parts, and the states that would run in "
                  "blocks have "
               << inBlocks;
      else
        remark << "its states would change their names";
      return;
    }
    SmallVector<Value> results;
    SmallVector<RecurOp> made = splitter.build(results);
    op.replaceAllUsesWith(results);
    auto remark = op.emitRemark() << "'" << op.getName() << "': ";
    for (auto [i, group] : llvm::enumerate(groups)) {
      remark << (i ? "; then " : "");
      for (auto [j, state] : llvm::enumerate(group))
        remark << (j ? ", " : "") << "'" << cast<StringAttr>(op.getStates()[state]).getValue()
               << "'";
    }
    remark << " in recurrences of their own, with " << splitter.crossing()
           << " numbers a token between them";
    op.erase();
    ++numSplit;
  }

  /// Components beside each other that both have a block form, or both have none, stay together
  /// where they have one together.
  static Groups merged(RecurOp op, const Groups &components, ArrayRef<std::string> refusals) {
    Groups groups;
    std::optional<bool> last;
    for (auto [i, component] : llvm::enumerate(components)) {
      bool inBlocks = refusals[i].empty();
      if (last == inBlocks) {
        Groups together = groups;
        llvm::append_range(together.back(), component);
        llvm::sort(together.back());
        Groups all = together;
        all.append(components.begin() + i + 1, components.end());
        if (!inBlocks || refusalsOf(op, all)[together.size() - 1].empty()) {
          groups = together;
          continue;
        }
      }
      groups.push_back(component);
      last = inBlocks;
    }
    return groups;
  }
};

} // namespace

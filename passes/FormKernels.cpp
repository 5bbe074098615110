//===- FormKernels.cpp - Outline block-level ops into kernels -------------===//
//
// Block level to kernel level.
//
//   ops on per-token values  ->  rondo.launch @kernel(...), each kernel a private func.func with
//   `rondo.kernel`
//
// Every op gets a level: a scan, attend, product or group (a product with the matrices that each
// row chooses) is one more than its deepest operand, any other op as deep as it. Products of the
// same rows are one kernel, which prepares the rows once. All other ops of one level (and one
// row space) become one rows kernel, which runs after the level's scans, attends and products;
// what ends a product, or a scan that goes token by token, is done in it, number by number: a bias
// and a residual are added where the sums still are in registers. Views, constants,
// positions and what has no time axis are copied into each kernel that reads them, since reading
// through a view costs nothing. Sound because an op's operands have lower levels, or the same
// one in the same kernel or an earlier launch of it. Equal kernels are one function.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"

#include "dialect/Rondo.h"
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "passes/Products.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

namespace rondo {
#define GEN_PASS_DEF_FORMKERNELSPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

/// A product's weight is worth packing and an own kernel from this many elements on.
static constexpr int64_t smallestProduct = 256;

/// Whether a kernel gets `value` as it lies in the package.
static bool isLeaf(Value value) {
  return isa<BlockArgument>(value) || isa_and_nonnull<ParamOp>(value.getDefiningOp());
}

Value rondo::productWeight(ContractOp contract) {
  auto matrix = [&](Value weight, Value rows) {
    auto type = cast<RankedTensorType>(weight.getType());
    auto result = cast<RankedTensorType>(contract.getType());
    return isLeaf(weight) && !isPerToken(type) && isPerToken(rows.getType()) &&
           type.getRank() == 2 && result.getRank() == 2 && contract.getAxes().size() == 1 &&
           axesOf(type)[1] == cast<StringAttr>(contract.getAxes()[0]) &&
           axesOf(type)[0] == axesOf(result)[1] && type.getNumElements() >= smallestProduct &&
           cast<RankedTensorType>(rows.getType()).getRank() == 2;
  };
  if (matrix(contract.getRhs(), contract.getLhs()))
    return contract.getRhs();
  if (matrix(contract.getLhs(), contract.getRhs()))
    return contract.getLhs();
  return Value();
}

namespace {

/// Whether `gather` takes matrices of parameters, those that tokens choose.
bool isChoice(GatherOp gather) {
  Value table = gather.getTable();
  RankedTensorType ids = gather.getIds().getType();
  return isLeaf(table) && cast<RankedTensorType>(table.getType()).getRank() == 3 &&
         axesOf(table.getType())[0].getValue() == gather.getAxis() && ids.getRank() <= 2 &&
         ids.getElementType().isF32() && isPerToken(ids);
}

/// One cheap operation.
bool isCheap(MapOp map) {
  return llvm::is_contained({MapKind::Add, MapKind::Sub, MapKind::Mul, MapKind::Neg},
                            map.getKind());
}

/// Whether `map` is one cheap operation and its only reader a scan that goes token by token.
bool isReadByLoops(MapOp map) {
  if (!isCheap(map) || !map->hasOneUse())
    return false;
  auto scan = dyn_cast<ScanOp>(*map->user_begin());
  return scan && scan.getBlock().empty() && llvm::is_contained(scan.getInputs(), map.getResult());
}

/// The scan, one that goes token by token, that `map` ends: the only reader of an output, it does
/// one cheap operation on each of its numbers, with weights and rows that the scan reads anyway,
/// perhaps after another one on those. Null: none.
ScanOp endedBy(MapOp map) {
  if (!isCheap(map))
    return ScanOp();
  for (Value output : map.getInputs()) {
    auto scan = output.getDefiningOp<ScanOp>();
    if (!scan || !scan.getBlock().empty() || !output.hasOneUse() ||
        output.getType() != map.getType())
      continue;
    llvm::SmallDenseSet<Value> read(scan.getInputs().begin(), scan.getInputs().end());
    for (Value input : scan.getInputs())
      if (auto before = input.getDefiningOp<MapOp>(); before && isReadByLoops(before))
        read.insert(before.getInputs().begin(), before.getInputs().end());
    auto isAtHand = [&](Value value) {
      return !isPerToken(value.getType()) || read.contains(value);
    };
    bool ends = llvm::all_of(map.getInputs(), [&](Value other) {
      auto before = other.getDefiningOp<MapOp>();
      return other == output || isAtHand(other) ||
             (before && isCheap(before) && before->hasOneUse() &&
              llvm::all_of(before.getInputs(), isAtHand));
    });
    if (ends)
      return scan;
  }
  return ScanOp();
}

/// Whether `map` is one cheap operation and its only reader ends a scan.
bool isReadByEnds(MapOp map) {
  if (!isCheap(map) || !map->hasOneUse() || endedBy(map))
    return false;
  auto end = dyn_cast<MapOp>(*map->user_begin());
  return end && endedBy(end);
}

/// Whether `map` is one cheap operation on rows that its only reader looks back at as well: they
/// are in memory for that, and what is made of them need not be.
bool isReadBesideShifts(MapOp map) {
  if (!isCheap(map) || !map->hasOneUse())
    return false;
  auto reader = dyn_cast<MapOp>(*map->user_begin());
  if (!reader)
    return false;
  llvm::SmallDenseSet<Value> seen;
  auto look = [&](Value value) {
    if (auto shift = value.getDefiningOp<ShiftOp>())
      seen.insert(shift.getSource());
  };
  for (Value other : reader.getInputs()) {
    look(other);
    if (auto before = other.getDefiningOp<MapOp>(); before && isCheap(before))
      llvm::for_each(before.getInputs(), look);
  }
  return llvm::all_of(map.getInputs(), [&](Value value) {
    return !isPerToken(value.getType()) || seen.contains(value);
  });
}

/// Copied into each kernel that reads it.
bool isFree(Operation *op) {
  // The package holds its value.
  if (op->hasAttr("rondo.derived"))
    return false;
  if (isa<ViewOp, ConstantOp, IndexOp, PositionOp, RoundOp>(op))
    return true;
  // Reading chosen matrices where they are costs no more than reading copies.
  if (auto gather = dyn_cast<GatherOp>(op); gather && isChoice(gather))
    return true;
  // A product or sum that a token loop alone reads, once for each of its numbers.
  if (auto map = dyn_cast<MapOp>(op);
      map && (isReadByLoops(map) || isReadByEnds(map) || isReadBesideShifts(map)))
    return true;
  // A truth value has no form in memory.
  if (isa<MapOp>(op) && elementTypeOf(op->getResult(0).getType()).isInteger(1))
    return true;
  return llvm::all_of(op->getResultTypes(),
                      [](Type type) { return isa<RankedTensorType>(type) && !isPerToken(type); }) &&
         !isa<ParamOp, CallOp, LaunchOp>(op);
}

/// The gather of `contract`, when the op is rows times the chosen matrices of a table [e, n, k] or
/// [e, k, n] of parameters; else null.
GatherOp chosenWeight(ContractOp contract) {
  auto result = cast<RankedTensorType>(contract.getType());
  for (auto [weight, rows] : {std::pair(contract.getLhs(), contract.getRhs()),
                              std::pair(contract.getRhs(), contract.getLhs())}) {
    auto gather = weight.getDefiningOp<GatherOp>();
    if (!gather || !isChoice(gather) || contract.getAxes().size() != 1)
      continue;
    auto depth = cast<StringAttr>(contract.getAxes()[0]);
    SmallVector<StringAttr> ids(axesOf(gather.getIds().getType())), token{ids[0], depth};
    SmallVector<StringAttr> choice(ids), out(ids);
    choice.push_back(depth);
    for (StringAttr axis : axesOf(gather.getTable().getType()).drop_front())
      if (axis != depth)
        out.push_back(axis);
    auto found = axesOf(rows.getType());
    if (axesOf(result) == ArrayRef(out) && (found == ArrayRef(token) || found == ArrayRef(choice)))
      return gather;
  }
  return GatherOp();
}

/// The side of `contract` that is a matrix of parameters for each of several blocks, [b, n, k] or
/// [b, k, n], when the op is rows of blocks [t, b, k] times those: a block-diagonal matrix. Null
/// where it is none, or where a block is too small for sums of whole vectors.
Value blockWeight(ContractOp contract) {
  constexpr int64_t smallest = 16;
  auto result = cast<RankedTensorType>(contract.getType());
  if (contract.getAxes().size() != 1 || result.getRank() != 3)
    return Value();
  auto depth = cast<StringAttr>(contract.getAxes()[0]);
  auto axes = axesOf(result);
  auto isBlocks = [&](Value weight, Value rows) {
    auto type = cast<RankedTensorType>(weight.getType());
    if (!isLeaf(weight) || isPerToken(type) || !isPerToken(rows.getType()) || type.getRank() != 3)
      return false;
    int64_t columns = extentOf(result, axes[2].getValue());
    return axesOf(rows.getType()) == ArrayRef({axes[0], axes[1], depth}) &&
           (axesOf(type) == ArrayRef({axes[1], axes[2], depth}) ||
            axesOf(type) == ArrayRef({axes[1], depth, axes[2]})) &&
           columns >= smallest && columns * extentOf(type, depth.getValue()) >= smallestProduct;
  };
  if (isBlocks(contract.getRhs(), contract.getLhs()))
    return contract.getRhs();
  return isBlocks(contract.getLhs(), contract.getRhs()) ? contract.getLhs() : Value();
}

/// What a product is multiplied with.
Value weightOf(ContractOp contract) {
  Value weight = productWeight(contract);
  return weight ? weight : blockWeight(contract);
}

/// In which order a recurrence's state is best stored: what work items share out first, then the
/// axes that every read sums over, so that a read adds whole vectors along the others. Empty: the
/// order of its type.
SmallVector<int64_t> storageOrder(Block &body, Value state) {
  auto axes = axesOf(state.getType());
  llvm::SmallDenseSet<StringAttr> summed(axes.begin(), axes.end());
  bool isRead = false;
  // Every value with all of the state's axes is the state at some moment of the token.
  for (auto contract : body.getOps<ContractOp>())
    for (Value operand : contract->getOperands()) {
      auto has = [&](StringAttr axis) {
        return llvm::is_contained(axesOf(operand.getType()), axis);
      };
      if (!llvm::all_of(axes, has))
        continue;
      isRead = true;
      for (StringAttr axis : axes)
        if (!llvm::is_contained(contract.getAxes(), Attribute(axis)))
          summed.erase(axis);
    }
  if (!isRead || summed.empty() || summed.size() == axes.size())
    return {};
  SmallVector<int64_t> order;
  auto append = [&](auto wanted) {
    for (auto [i, axis] : llvm::enumerate(axes))
      if (!llvm::is_contained(order, int64_t(i)) && wanted(axis))
        order.push_back(i);
  };
  if (axes.size() - summed.size() > 1)
    append([&](StringAttr axis) { return order.empty() && !summed.contains(axis); });
  append([&](StringAttr axis) { return summed.contains(axis); });
  append([](StringAttr) { return true; });
  return llvm::is_sorted(order) ? SmallVector<int64_t>() : order;
}

enum class Kind { Rows, Product, Group, Scan, Attend, Other };

Kind kindOf(Operation *op) {
  if (isa<ScanOp>(op))
    return Kind::Scan;
  if (isa<AttendOp>(op))
    return Kind::Attend;
  if (isa<CallOp, LastOp, LaunchOp, ParamOp>(op) || op->hasTrait<OpTrait::IsTerminator>())
    return Kind::Other;
  if (auto contract = dyn_cast<ContractOp>(op); contract && weightOf(contract))
    return Kind::Product;
  if (auto contract = dyn_cast<ContractOp>(op); contract && chosenWeight(contract))
    return Kind::Group;
  return Kind::Rows;
}

StringRef nameOf(Kind kind) {
  return kind == Kind::Rows      ? "rows"
         : kind == Kind::Product ? "product"
         : kind == Kind::Group   ? "group"
         : kind == Kind::Scan    ? "scan"
                                 : "attend";
}

/// Whether `user` needs the rows of its operand `value` in memory as they are: it keeps them as
/// state, looks back at them, or picks some of them.
bool readsRows(Operation *user, Value value) {
  if (auto attend = dyn_cast<AttendOp>(user))
    return llvm::is_contained(attend.getKeys(), value);
  if (auto map = dyn_cast<MapOp>(user))
    return isPerToken(value.getType()) && isReadBesideShifts(map);
  if (auto gather = dyn_cast<GatherOp>(user))
    return isChoice(gather) && gather.getIds() == value;
  if (auto contract = dyn_cast<ContractOp>(user))
    return value.getDefiningOp<GatherOp>() == GatherOp() ? bool(chosenWeight(contract)) : false;
  return isa<ShiftOp>(user);
}

/// What a product multiplies its matrix with.
Value productRows(Operation *product) {
  auto contract = cast<ContractOp>(product);
  return weightOf(contract) == contract.getLhs() ? contract.getRhs() : contract.getLhs();
}

/// The launches to be made in one function.
struct Group {
  Kind kind;
  SmallVector<Operation *> ops; ///< in order; views and the like not among them
};

/// The tail that all shifts of one value share.
struct Tail {
  StringRef name;
  int64_t distance = 0;
};

class Outliner {
public:
  /// `weights`: the layout of products' matrices; `integers`: of those that meet rounded rows;
  /// `chosen`: of those that tokens choose.
  Outliner(func::FuncOp function, SymbolTable &symbols, llvm::StringMap<func::FuncOp> &known,
           StringRef weights, StringRef integers, StringRef chosen)
      : function(function), symbols(symbols), known(known), weights(weights), integers(integers),
        chosen(chosen), builder(function.getContext()) {}

  /// Returns the number of launches made.
  unsigned run();

private:
  /// Of the matrix of a product; empty: as it is.
  StringRef layoutOf(ContractOp product) const;
  void formGroups();
  void launch(Group &group);
  func::FuncOp outline(Group &group, ArrayRef<Value> inputs, ArrayRef<Value> outputs);
  void describeStates(Group &group, ArrayRef<Value> inputs, func::FuncOp kernel);

  func::FuncOp function;
  SymbolTable &symbols;
  llvm::StringMap<func::FuncOp> &known;
  StringRef weights, integers, chosen;
  OpBuilder builder;
  SmallVector<Group> groups;
  llvm::MapVector<Value, Tail> tails;
};

StringRef Outliner::layoutOf(ContractOp product) const {
  if (Value blocks = blockWeight(product)) {
    // Columns of [b, k, n] are neighbours as they are stored.
    bool alongColumns = axesOf(blocks.getType())[1] == cast<StringAttr>(product.getAxes()[0]);
    return alongColumns ? StringRef() : chosen;
  }
  // Integers are multiplied with integers alone.
  return productRows(product).getDefiningOp<RoundOp>() ? integers : weights;
}

void Outliner::formGroups() {
  Block &block = function.getBody().front();
  llvm::DenseMap<Value, int64_t> level;
  llvm::DenseSet<Value> inLastSpace;
  // (level, last space) -> the rows group of that level.
  std::map<std::pair<int64_t, bool>, Group> rows;
  std::map<int64_t, SmallVector<Group>> boundaries;
  auto isOutput = [](Value value) {
    return llvm::any_of(value.getUsers(), [](Operation *user) {
      return isa<CallOp, LastOp>(user) || user->hasTrait<OpTrait::IsTerminator>();
    });
  };
  // Where a scan's group is.
  llvm::DenseMap<Operation *, std::pair<int64_t, size_t>> scans;
  // Where a product's group is, of the product and of what ends it.
  llvm::DenseMap<Value, std::pair<int64_t, size_t>> products;
  auto productEndedBy = [&](MapOp map) -> Value {
    if (!isCheap(map))
      return Value();
    Value ended;
    for (Value operand : map.getInputs()) {
      auto type = cast<RankedTensorType>(operand.getType());
      Value sums = operand;
      // The same under another name: a square matrix has two axes.
      if (auto view = operand.getDefiningOp<ViewOp>();
          view && view.getMap().isIdentity() && operand.hasOneUse())
        sums = view.getSource();
      if (!ended && products.contains(sums) && sums.hasOneUse() && type == map.getType())
        ended = sums;
      else if (isPerToken(type) ? type != map.getType() : type.getRank() > 1)
        return Value();
    }
    // Other rows are there before the product begins.
    auto isLate = [&](Value operand) { return level.lookup(operand) >= level.lookup(ended); };
    return ended && llvm::count_if(map.getInputs(), isLate) == 1 ? ended : Value();
  };
  for (Operation &op : block) {
    Kind kind = kindOf(&op);
    int64_t deepest = 0;
    bool last = isa<LastOp>(op);
    for (Value operand : op.getOperands()) {
      deepest = std::max(deepest, level.lookup(operand));
      last |= inLastSpace.contains(operand);
    }
    bool boundary = kind != Kind::Rows;
    bool perToken = llvm::any_of(op.getResultTypes(), [](Type type) { return isPerToken(type); });
    if (boundary && perToken)
      ++deepest;
    // Earlier rows are read from memory: the source of a shift is complete before the kernel that
    // shifts it.
    if (auto shift = dyn_cast<ShiftOp>(op)) {
      Value source = shift.getSource();
      Operation *def = source.getDefiningOp();
      if (def && kindOf(def) == Kind::Rows)
        ++deepest;
      Tail &tail = tails[source];
      if (int64_t(shift.getDistance()) > tail.distance)
        tail = Tail{shift.getName(), int64_t(shift.getDistance())};
    }
    for (Value result : op.getResults()) {
      level[result] = deepest;
      if (last)
        inLastSpace.insert(result);
    }
    if (!perToken || kind == Kind::Other)
      continue;
    if (kind != Kind::Rows) {
      SmallVector<Group> &all = boundaries[deepest];
      Group *same = kind != Kind::Product ? all.end() : llvm::find_if(all, [&](Group &group) {
        return group.kind == kind && productRows(group.ops.front()) == productRows(&op) &&
               layoutOf(cast<ContractOp>(group.ops.front())) == layoutOf(cast<ContractOp>(op));
      });
      if (kind == Kind::Scan)
        scans[&op] = {deepest, all.size()};
      if (kind == Kind::Product)
        products[op.getResult(0)] = {deepest, same - all.begin()};
      if (same != all.end())
        same->ops.push_back(&op);
      else
        all.push_back(Group{kind, {&op}});
      continue;
    }
    if (auto map = dyn_cast<MapOp>(op))
      if (ScanOp scan = endedBy(map)) {
        auto [at, place] = scans.lookup(scan);
        boundaries[at][place].ops.push_back(&op);
        continue;
      }
    // A view is read where it is used, unless something needs it in memory.
    bool materialised = llvm::any_of(op.getResults(), [&](Value result) {
      return isOutput(result) || llvm::any_of(result.getUsers(), [&](Operation *user) {
               return readsRows(user, result);
             });
    });
    if (isFree(&op) && !materialised)
      continue;
    if (auto map = dyn_cast<MapOp>(op))
      if (Value ended = productEndedBy(map)) {
        auto [at, place] = products[map] = products.lookup(ended);
        boundaries[at][place].ops.push_back(&op);
        continue;
      }
    auto [it, isNew] = rows.try_emplace({deepest, last}, Group{Kind::Rows, {}});
    it->second.ops.push_back(&op);
  }
  std::set<int64_t> levels;
  for (auto &[key, group] : rows)
    levels.insert(key.first);
  for (auto &[key, group] : boundaries)
    levels.insert(key);
  for (int64_t l : levels) {
    for (Group &group : boundaries[l])
      groups.push_back(std::move(group));
    for (bool last : {false, true})
      if (auto it = rows.find({l, last}); it != rows.end())
        groups.push_back(std::move(it->second));
  }
}

/// What `group` reads from outside: leaves behind the ops that are copied into it.
static void collectInputs(Group &group, llvm::SetVector<Value> &inputs,
                          llvm::SetVector<Operation *> &copied) {
  llvm::DenseSet<Operation *> inside(group.ops.begin(), group.ops.end());
  std::function<void(Value, bool)> visit = [&](Value value, bool whole) {
    Operation *def = value.getDefiningOp();
    if (def && inside.contains(def))
      return;
    if (!def || !isFree(def) || whole) {
      inputs.insert(value);
      return;
    }
    if (copied.contains(def))
      return;
    for (Value operand : def->getOperands())
      visit(operand, readsRows(def, operand));
    copied.insert(def);
  };
  for (Operation *op : group.ops)
    for (Value operand : op->getOperands())
      visit(operand, readsRows(op, operand));
}

/// The name of the state that scales state i; empty: none does.
static std::string scaleName(ScanOp scan, unsigned i) {
  auto scales = scan->getAttrOfType<ArrayAttr>("rondo.scales");
  if (!scales || cast<StringAttr>(scales[i]).empty())
    return "";
  // Beside the state, whose own name is the end of its full one.
  std::string full = recurrenceStateName(scan.getName(), scan.getStates(), i);
  StringRef prefix = full;
  prefix.consume_back(cast<StringAttr>(scan.getStates()[i]).getValue());
  return (prefix + cast<StringAttr>(scales[i]).getValue()).str();
}

void Outliner::describeStates(Group &group, ArrayRef<Value> inputs, func::FuncOp kernel) {
  SmallVector<Attribute> names, infos;
  auto place = [&](Value value) { return int64_t(llvm::find(inputs, value) - inputs.begin()); };
  auto add = [&](const Twine &name, StringRef kind, Type type, int64_t tokens, int64_t source,
                 int64_t init, ArrayRef<int64_t> order = {}, StringRef scale = {}) {
    names.push_back(builder.getStringAttr(name));
    NamedAttrList info;
    info.set("init", builder.getI64IntegerAttr(init));
    info.set("kind", builder.getStringAttr(kind));
    if (!order.empty())
      info.set("order", builder.getDenseI64ArrayAttr(order));
    if (!scale.empty())
      info.set("scale", builder.getStringAttr(scale));
    info.set("source", builder.getI64IntegerAttr(source));
    info.set("tokens", builder.getI64IntegerAttr(tokens));
    info.set("type", TypeAttr::get(type));
    infos.push_back(info.getDictionary(builder.getContext()));
  };
  llvm::SetVector<Value> shifted;
  for (Operation *op : group.ops) {
    if (auto scan = dyn_cast<ScanOp>(op)) {
      Block &token = scan->getRegion(0).front();
      for (auto [i, init] : llvm::enumerate(scan.getInits())) {
        auto constant = init.getDefiningOp<ConstantOp>();
        auto dense =
            constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : DenseElementsAttr();
        bool zero = dense && dense.isSplat() && dense.getElementType().isF32() &&
                    dense.getSplatValue<APFloat>().isZero();
        add(recurrenceStateName(scan.getName(), scan.getStates(), i), "fixed", init.getType(), 0,
            -1, zero ? -1 : place(init),
            storageOrder(token, token.getArgument(scan.getInputs().size() + i)),
            scaleName(scan, i));
      }
      // A group's first states are copied from the states, so they need no initial value.
      for (auto [i, init] :
           llvm::enumerate(scan.getEvery() ? ValueRange(scan.getInits()) : ValueRange())) {
        unsigned place = scan.getInputs().size() + scan.getInits().size() + i;
        add(recurrenceStateName(scan.getName(), scan.getStates(), i) + ".start", "fixed",
            init.getType(), 0, -1, -1, storageOrder(token, token.getArgument(place)));
      }
    }
    if (auto attend = dyn_cast<AttendOp>(op))
      for (auto [i, keys] : llvm::enumerate(attend.getKeys()))
        add(attend.getName() + ".key" + Twine(i), "cache", withoutTime(keys.getType()),
            attend.getWindow(), place(keys), -1);
    if (auto shift = dyn_cast<ShiftOp>(op))
      shifted.insert(shift.getSource());
  }
  for (Value source : shifted)
    add(tails[source].name, "tail", withoutTime(source.getType()), tails[source].distance,
        place(source), -1);
  if (names.empty())
    return;
  kernel->setAttr("rondo.states", builder.getArrayAttr(names));
  kernel->setAttr("rondo.state_info", builder.getArrayAttr(infos));
}

func::FuncOp Outliner::outline(Group &group, ArrayRef<Value> inputs, ArrayRef<Value> outputs) {
  SmallVector<Type> inputTypes, outputTypes;
  for (Value value : inputs)
    inputTypes.push_back(value.getType());
  for (Value value : outputs)
    outputTypes.push_back(value.getType());
  OpBuilder detached(builder.getContext());
  auto kernel = func::FuncOp::create(detached, group.ops.front()->getLoc(), "kernel",
                                     detached.getFunctionType(inputTypes, outputTypes));
  kernel.setPrivate();
  kernel->setAttr("rondo.kernel", builder.getStringAttr(nameOf(group.kind)));
  Block *body = kernel.addEntryBlock();
  detached.setInsertionPointToEnd(body);
  IRMapping mapping;
  for (auto [value, argument] : llvm::zip(inputs, body->getArguments()))
    mapping.map(value, argument);
  std::function<void(Value)> copyOf = [&](Value value) {
    if (mapping.contains(value))
      return;
    Operation *def = value.getDefiningOp();
    for (Value operand : def->getOperands())
      copyOf(operand);
    detached.clone(*def, mapping);
  };
  for (Operation *op : group.ops)
    for (Value result : op->getResults())
      copyOf(result);
  SmallVector<Value> results;
  for (Value value : outputs)
    results.push_back(mapping.lookup(value));
  func::ReturnOp::create(detached, kernel.getLoc(), results);
  describeStates(group, inputs, kernel);
  if (group.kind == Kind::Product) {
    for (Operation *op : group.ops)
      if (auto contract = dyn_cast<ContractOp>(op))
        if (StringRef layout = layoutOf(contract); !layout.empty())
          kernel.setArgAttr(llvm::find(inputs, weightOf(contract)) - inputs.begin(), "rondo.layout",
                            builder.getStringAttr(layout));
  }
  if (auto scan = dyn_cast<ScanOp>(group.ops.front())) {
    // A matrix of parameters that every token meets the state with lies as the state does.
    Block &token = scan.getToken().front();
    Value state = token.getArgument(scan.getInputs().size());
    SmallVector<int64_t> order = storageOrder(token, state);
    for (Value input : scan.getInputs()) {
      auto type = cast<RankedTensorType>(input.getType());
      auto place = llvm::find(inputs, input);
      if (!order.empty() && place != inputs.end() && !isPerToken(type) && type.getRank() == 2 &&
          type.getElementType().isF32() &&
          axesOf(type)[0] == axesOf(state.getType())[size_t(order.back())])
        kernel.setArgAttr(unsigned(place - inputs.begin()), "rondo.layout",
                          builder.getStringAttr("panels32"));
    }
  }
  if (group.kind == Kind::Group) {
    // Panels are of rows of [n, k]; matrices [k, n] are read as they are stored.
    auto contract = cast<ContractOp>(group.ops.front());
    Value table = chosenWeight(contract).getTable();
    if (axesOf(table.getType())[2] == cast<StringAttr>(contract.getAxes()[0]))
      kernel.setArgAttr(llvm::find(inputs, table) - inputs.begin(), "rondo.layout",
                        builder.getStringAttr(chosen));
    else if (chosen != "panels32")
      contract.emitRemark("matrices that tokens choose are stored in f32 where they lie along what "
                          "is summed: only panels of the others have fewer bits");
  }
  return kernel;
}

void Outliner::launch(Group &group) {
  llvm::SetVector<Value> inputs;
  llvm::SetVector<Operation *> copied;
  collectInputs(group, inputs, copied);
  llvm::DenseSet<Operation *> inside(group.ops.begin(), group.ops.end());
  SmallVector<Value> outputs;
  std::function<bool(Value)> escapes = [&](Value value) {
    return llvm::any_of(value.getUsers(), [&](Operation *user) {
      if (inside.contains(user))
        return false;
      // A view is copied to its readers: what escapes is its source, if any reader is elsewhere.
      if (isFree(user) && isa<ViewOp>(user))
        return escapes(user->getResult(0));
      return true;
    });
  };
  for (Operation *op : group.ops)
    for (Value result : op->getResults()) {
      bool ended =
          llvm::any_of(result.getUsers(), [&](Operation *user) { return inside.contains(user); });
      if ((isa<ScanOp, AttendOp>(op) && !ended) || escapes(result))
        outputs.push_back(result);
    }
  if (outputs.empty())
    return;

  func::FuncOp kernel = outline(group, inputs.getArrayRef(), outputs);
  std::string text;
  llvm::raw_string_ostream stream(text);
  kernel.print(stream);
  func::FuncOp &shared = known[text];
  if (shared) {
    kernel.erase();
  } else {
    kernel.setName((function.getName() + "_" + nameOf(group.kind)).str());
    symbols.insert(kernel);
    shared = kernel;
  }
  // After the last operand's definition: groups are visited in an order in which that is sound.
  auto launch =
      LaunchOp::create(builder, group.ops.front()->getLoc(), ValueRange(outputs).getTypes(),
                       FlatSymbolRefAttr::get(shared.getNameAttr()), inputs.getArrayRef());
  for (auto [value, result] : llvm::zip(outputs, launch.getOutputs())) {
    value.replaceUsesWithIf(result,
                            [&](OpOperand &use) { return !inside.contains(use.getOwner()); });
    if (auto it = tails.find(value); it != tails.end()) {
      Tail tail = it->second;
      tails[result] = tail;
    }
  }
}

unsigned Outliner::run() {
  formGroups();
  Block &block = function.getBody().front();
  // Calls, last rows and parameters stay where they are; launches go in front of the first of those
  // that needs them, which is found by building the new order from scratch: everything is moved
  // behind the launches it reads.
  Operation *terminator = block.getTerminator();
  SmallVector<Operation *> old;
  for (Operation &op : block.without_terminator())
    old.push_back(&op);
  builder.setInsertionPoint(terminator);
  for (Group &group : groups)
    launch(group);
  // Keep the ops that are still read (calls, last rows, parameters, what feeds them).
  for (Operation *op : llvm::reverse(old))
    if (op->use_empty() && !isa<CallOp>(op))
      op->erase();
  sortTopologically(&block);
  return groups.size();
}

struct FormKernels : rondo::impl::FormKernelsPassBase<FormKernels> {
  using FormKernelsPassBase::FormKernelsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    WalkResult walk = module.walk([](Operation *op) {
      if (!isa<RecurOp, OverOp>(op))
        return WalkResult::advance();
      op->emitOpError("expects block level: its form is not chosen yet (rondo-chunk-recurrences, "
                      "rondo-map-blocks)");
      return WalkResult::interrupt();
    });
    if (walk.wasInterrupted())
      return signalPassFailure();
    SymbolTable symbols(module);
    llvm::StringMap<func::FuncOp> known;
    SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
    for (func::FuncOp function : functions) {
      if (function.isDeclaration() || function->hasAttr("rondo.kernel"))
        continue;
      numLaunches += Outliner(function, symbols, known, weights, integers, chosen).run();
    }
    numKernels = known.size();
  }
};

} // namespace

//===- Program.cpp - Which values of a body get memory, and in what order -===//
//
// See Program.h. Sound because a value that is not stored is a pure function of stored and bound
// values, and the order keeps every read of a state's old value before the store of its new one.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Program.h"

#include "dialect/Axes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

Value Scratch::allocate(Nest &nest, int64_t bytes) {
  int64_t offset = used;
  used += (bytes + 63) / 64 * 64;
  most = std::max(most, used);
  return nest.addressOf(base, nest.i64(offset), nest.builder().getI8Type());
}

Buffer Program::allocate(Value value, const Env &env, const IndexRanges &ranges) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<StringAttr> axes;
  for (StringAttr axis : axesOf(type))
    if (!env.contains(axis))
      axes.push_back(axis);
  if (auto it = llvm::find(axes, outer); it != axes.end())
    std::rotate(axes.begin(), it, it + 1);
  if (auto it = llvm::find(axes, inner); it != axes.end())
    std::rotate(it, it + 1, axes.end());
  SmallVector<int64_t> extents;
  int64_t count = 1;
  for (StringAttr axis : axes) {
    int64_t extent = extentOf(type, axis.getValue());
    assert(extent >= 0 && "scratch holds values of known size");
    extents.push_back(extent);
    count *= extent;
  }
  Type element = type.getElementType();
  int64_t bytes = element.isInteger(64) ? 8 : 4;
  // Rows of most of a vector get memory for all of it: numbers read after a masked store wait until
  // that has left for the cache.
  int64_t lanes = nest.isa().lanes;
  bool padded = !extents.empty() && extents.back() < lanes && 2 * extents.back() >= lanes;
  if (padded) {
    count = count / extents.back() * lanes;
    extents.back() = lanes;
  }
  Buffer buffer = nest.rowMajor(scratch.allocate(nest, count * bytes), axes, extents, element);
  buffer.padded = padded;
  return buffer;
}

//===----------------------------------------------------------------------===//
// What is stored
//===----------------------------------------------------------------------===//

int64_t cpu::costOf(MapOp op) {
  switch (op.getKind()) {
  case MapKind::Exp:
  case MapKind::Log:
  case MapKind::Sin:
  case MapKind::Cos:
  case MapKind::Tanh:
  case MapKind::Erf:
  case MapKind::Sigmoid:
  case MapKind::Softplus:
  case MapKind::Pow:
    return 16;
  case MapKind::Div:
  case MapKind::Sqrt:
  case MapKind::Rsqrt:
  case MapKind::Mod:
    return 8;
  default:
    return 1;
  }
}

void Program::chooseStored(ArrayRef<Operation *> ops) {
  llvm::DenseMap<Value, int64_t> cost;
  llvm::DenseSet<Operation *> inside(ops.begin(), ops.end());
  for (Operation *op : ops) {
    if (op->getNumResults() != 1)
      continue;
    Value value = op->getResult(0);
    if (nest.bufferOf(value))
      continue;
    if (isa<ReduceOp, ContractOp, CumsumOp, PropagateOp, SolveOp, ConcatOp>(op)) {
      stored.insert(value);
      continue;
    }
    int64_t work = 0;
    for (Value operand : op->getOperands())
      work += stored.contains(operand) ? 0 : cost.lookup(operand);
    auto map = dyn_cast<MapOp>(op);
    work += map ? costOf(map) : 0;
    cost[value] = work;
    // Truth values are cheap to compute again.
    if (!map || getElementTypeOrSelf(value.getType()).isInteger(1) || work < 1)
      continue;
    int64_t uses = 0;
    bool contracted = false, again = false;
    std::function<void(Value)> count = [&](Value v) {
      for (Operation *user : v.getUsers()) {
        if (!inside.contains(user))
          continue;
        if (isa<ViewOp>(user)) {
          count(user->getResult(0));
          continue;
        }
        ++uses;
        // A solve reads its matrix once for each index of the source.
        if (auto solve = dyn_cast<SolveOp>(user); solve && solve.getMatrix() == v)
          contracted = again = true;
        // A contraction reads an operand once for each index that the operand lacks.
        contracted |= isa<ContractOp>(user);
        if (isa<ContractOp>(user))
          for (Value operand : user->getOperands())
            for (StringAttr axis : axesOf(operand.getType()))
              again |= !llvm::is_contained(axesOf(v.getType()), axis);
      }
    };
    count(value);
    for (const Target &t : targets)
      uses += t.value == value;
    for (const State &s : states)
      uses += s.next == value;
    if ((contracted && (work >= 2 || again)) || (uses >= 2 && work >= 6))
      stored.insert(value);
  }
}

void Program::fuseSums(ArrayRef<Operation *> ops) {
  llvm::DenseSet<Operation *> inside(ops.begin(), ops.end());
  llvm::DenseSet<Value> taken;
  auto isResult = [&](Value value) {
    return llvm::any_of(targets, [&](const Target &t) { return t.value == value; }) ||
           llvm::any_of(states, [&](const State &s) { return s.next == value; });
  };
  // The last sum has what others made at hand.
  for (Operation *op : llvm::reverse(ops)) {
    auto contract = dyn_cast<ContractOp>(op);
    if (!contract || nest.bufferOf(contract.getResult()) || isResult(contract.getResult()))
      continue;
    auto axes = axesOf(contract.getType());
    llvm::SmallDenseSet<StringAttr> set(axes.begin(), axes.end());
    // Horizontal sums end as vectors where the last axis is of one factor alone, else as single
    // numbers: what follows is better done in vectors.
    bool vectors = llvm::any_of(contract->getOperands(), [&](Value operand) {
      auto of = axesOf(operand.getType());
      return !of.empty() && set.contains(of.back());
    });
    vectors |= !axes.empty() && llvm::any_of(contract->getOperands(), [&](Value operand) {
      return !llvm::is_contained(axesOf(operand.getType()), axes.back());
    });
    Value value = contract.getResult();
    while (vectors && value.hasOneUse()) {
      Operation *user = *value.getUsers().begin();
      auto map = dyn_cast<MapOp>(user);
      if (!map || !inside.contains(user) || !elementTypeOf(map.getType()).isF32() ||
          !llvm::all_of(axesOf(map.getType()), [&](StringAttr a) { return set.contains(a); }))
        break;
      value = map.getResult();
      if (!stored.contains(value))
        continue;
      if (taken.insert(value).second) {
        stored.erase(contract.getResult());
        nest.fuse(value, contract);
      }
      break;
    }
  }
}

void Program::collectReads(Value value, Value own, bool moved, Store &store) {
  if (value != store.value && (stored.contains(value) || nest.bufferOf(value))) {
    store.reads.push_back(value);
    if (value == own && moved)
      store.pointwise = false;
    return;
  }
  if (nest.bufferOf(value)) {
    store.reads.push_back(value);
    return;
  }
  Operation *op = value.getDefiningOp();
  if (!op)
    return;
  bool moves = moved || !isa<MapOp>(op);
  for (Value operand : op->getOperands())
    collectReads(operand, own, moves, store);
}

//===----------------------------------------------------------------------===//
// The order
//===----------------------------------------------------------------------===//

bool Program::order(SmallVectorImpl<Store> &stores, SmallVectorImpl<unsigned> &sequence,
                    int &blocked) {
  unsigned count = stores.size();
  sequence.clear();
  SmallVector<bool> done(count, false);
  auto ready = [&](unsigned i) {
    for (unsigned j = 0; j < count; ++j) {
      if (j == i || done[j])
        continue;
      // Data: what it reads is written first (a copy reads the first store of its value).
      bool produces =
          !stores[j].copies && (llvm::is_contained(stores[i].reads, stores[j].value) ||
                                (stores[i].copies && stores[i].value == stores[j].value));
      // In place: others read the old state first.
      bool readsOld =
          stores[i].state >= 0 && llvm::is_contained(stores[j].reads, states[stores[i].state].old);
      if (produces || readsOld)
        return false;
    }
    return true;
  };
  while (sequence.size() < count) {
    bool progress = false;
    for (unsigned i = 0; i < count && !progress; ++i)
      if (!done[i] && ready(i)) {
        done[i] = progress = true;
        sequence.push_back(i);
      }
    if (progress)
      continue;
    for (unsigned i = 0; i < count; ++i)
      if (!done[i] && stores[i].state >= 0) {
        blocked = i;
        return false;
      }
    llvm_unreachable("values without states are in order already");
  }
  return true;
}

LogicalResult Program::emit(ArrayRef<Operation *> ops, const Env &env, const IndexRanges &ranges) {
  for (const Target &t : targets)
    if (!nest.bufferOf(t.value))
      stored.insert(t.value);
  for (const State &s : states)
    if (!nest.bufferOf(s.next))
      stored.insert(s.next);
  chooseStored(ops);
  fuseSums(ops);

  SmallVector<Store> stores;
  llvm::DenseSet<Value> placed;
  auto place = [&](Value value, Buffer buffer, int state) {
    bool bound = nest.bufferOf(value) != nullptr;
    Store store{value, std::move(buffer),
                state, /*copies=*/bound || !placed.insert(value).second,
                {},    true};
    stores.push_back(std::move(store));
  };
  for (auto [i, s] : llvm::enumerate(states))
    if (s.next != s.old)
      place(s.next, s.buffer, i);
  for (const Target &t : targets)
    place(t.value, t.buffer, -1);
  // Other stored values only if something placed needs them.
  llvm::DenseSet<Value> needed;
  std::function<void(Value)> need = [&](Value value) {
    if (nest.bufferOf(value) || !needed.insert(value).second)
      return;
    if (Operation *op = value.getDefiningOp())
      for (Value operand : op->getOperands())
        need(operand);
  };
  for (const Store &store : SmallVector<Store>(stores))
    need(store.value);
  for (Operation *op : ops)
    for (Value value : op->getResults())
      if (stored.contains(value) && needed.contains(value) && !placed.contains(value))
        place(value, allocate(value, env, ranges), -1);

  for (Store &store : stores) {
    Value own = store.state >= 0 ? states[store.state].old : Value();
    if (store.copies)
      store.reads.push_back(store.value);
    else
      collectReads(store.value, own, false, store);
  }
  SmallVector<std::pair<Value, Buffer>> copiesBack;
  auto buildAside = [&](Store &store) {
    Buffer aside = allocate(store.value, env, ranges);
    copiesBack.push_back({store.value, store.buffer});
    store.buffer = aside;
    store.state = -1;
  };
  for (Store &store : stores)
    if (store.state >= 0 && !store.pointwise)
      buildAside(store);
  SmallVector<unsigned> sequence;
  int blocked = -1;
  while (!order(stores, sequence, blocked))
    buildAside(stores[blocked]);

  llvm::DenseMap<Value, Buffer> asides;
  for (unsigned i : sequence) {
    Store &store = stores[i];
    if (failed(nest.emitInto(store.value, store.buffer, env, ranges)))
      return failure();
    if (!store.copies)
      nest.bind(store.value, store.buffer);
    else
      asides[store.value] = store.buffer;
  }
  for (auto &[value, buffer] : copiesBack) {
    // A state that became another state's old value was copied aside under that value's name.
    if (auto it = asides.find(value); it != asides.end())
      nest.bind(value, it->second);
    if (failed(nest.emitInto(value, buffer, env, ranges)))
      return failure();
  }
  return success();
}

//===- Estimate.cpp - How long an emitted kernel computes -----------------===//
//
// A loop is looked at once, in its middle iteration, and counts as often as it runs: triangles come
// out at their mean. What only depends on values from outside a loop is taken for hoisted, address
// arithmetic for free. An iteration takes as long as the resource that it needs most, or as the
// longest chain from what the iteration before hands on to what it hands on itself.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Estimate.h"

#include "codegen/cpu/Tiles.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <optional>

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

namespace {

/// What of a launch a pointer leads to: runtime/abi.h.
enum class Place { Call, Batch, RowBegin, Position, SequenceOfRow, Capacity, Elsewhere };

/// A number of the launch, or an address in its description.
struct Fact {
  std::optional<Place> place; ///< an address when there is one
  int64_t number = 0;         ///< else the number; the distance in bytes of an address
};

/// What one run of some code asks of a core.
struct Demand {
  double products = 0, others = 0, loads = 0, stores = 0, issued = 0, tiles = 0;
  Cycles cycles() const {
    constexpr double pipes = 2, loadPorts = 2, issueWidth = 6;
    double rest = std::max({loads / loadPorts, stores, issued / issueWidth, tiles});
    return {std::max((products + others) / pipes, rest),
            std::max(std::max(products, others) / pipes, rest)};
  }
};

class Estimator {
public:
  Estimator(const Isa &level, LaunchSize size) : level(level), size(size) {}

  void know(Value value, Fact fact) { facts[value] = fact; }
  Cycles cyclesOf(Block &block, Operation *loop);

private:
  std::optional<int64_t> number(Value value) const {
    auto it = facts.find(value);
    return it == facts.end() || it->second.place ? std::nullopt : std::optional(it->second.number);
  }
  void derive(Operation &op);
  void deriveLoad(LLVM::LoadOp load);
  Cycles cyclesOf(scf::ForOp loop);
  void count(Operation &op, Demand &demand) const;
  double latencyOf(Operation &op) const;
  double chainOf(scf::ForOp loop) const;
  /// Vector registers that a value takes.
  double registersOf(Type type) const {
    auto vector = dyn_cast<VectorType>(type);
    if (!vector)
      return 1;
    Type element = vector.getElementType();
    int64_t bits = element.isIntOrFloat() ? element.getIntOrFloatBitWidth() : 64;
    return std::max(1.0, std::ceil(double(vector.getNumElements() * bits) / level.registerBits));
  }

  const Isa &level;
  LaunchSize size;
  llvm::DenseMap<Value, Fact> facts;
};

} // namespace

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

void Estimator::deriveLoad(LLVM::LoadOp load) {
  auto it = facts.find(load.getAddr());
  if (it == facts.end() || !it->second.place)
    return;
  int64_t at = it->second.number;
  auto address = [&](Place place) { know(load, Fact{place, 0}); };
  switch (*it->second.place) {
  case Place::Call:
    return address(at == 8 ? Place::Batch : Place::Elsewhere);
  case Place::Batch:
    if (at == 0 || at == 8)
      return know(load, Fact{{}, at == 0 ? size.rows : 1});
    return address(at == 16   ? Place::RowBegin
                   : at == 24 ? Place::Position
                   : at == 32 ? Place::SequenceOfRow
                   : at == 56 ? Place::Capacity
                              : Place::Elsewhere);
  case Place::RowBegin:
    return know(load, Fact{{}, at == 0 ? 0 : size.rows});
  case Place::Position:
    return know(load, Fact{{}, size.position});
  case Place::SequenceOfRow:
    return know(load, Fact{{}, 0});
  case Place::Capacity:
    return know(load, Fact{{}, size.position + size.rows});
  case Place::Elsewhere:
    return;
  }
}

void Estimator::derive(Operation &op) {
  if (auto load = dyn_cast<LLVM::LoadOp>(op))
    return deriveLoad(load);
  if (auto element = dyn_cast<LLVM::GEPOp>(op)) {
    auto base = facts.find(element.getBase());
    if (base == facts.end() || !base->second.place || element.getIndices().size() != 1)
      return;
    auto index = *element.getIndices().begin();
    std::optional<int64_t> steps;
    if (auto constant = dyn_cast<IntegerAttr>(index))
      steps = constant.getInt();
    else
      steps = number(cast<Value>(index));
    Type type = element.getElemType();
    int64_t bytes = type.isIntOrFloat() ? type.getIntOrFloatBitWidth() / 8 : 8;
    // An index that is not known is the first: only rows and sequences are indices here.
    know(element, Fact{base->second.place, base->second.number + steps.value_or(0) * bytes});
    return;
  }
  if (op.getNumResults() != 1)
    return;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (auto integer = dyn_cast<IntegerAttr>(constant.getValue()))
      know(constant, Fact{{}, integer.getInt()});
    return;
  }
  SmallVector<int64_t, 3> x;
  for (Value operand : op.getOperands()) {
    std::optional<int64_t> known = number(operand);
    if (!known)
      return;
    x.push_back(*known);
  }
  std::optional<int64_t> result =
      llvm::TypeSwitch<Operation *, std::optional<int64_t>>(&op)
          .Case<arith::AddIOp>([&](auto) { return x[0] + x[1]; })
          .Case<arith::SubIOp>([&](auto) { return x[0] - x[1]; })
          .Case<arith::MulIOp>([&](auto) { return x[0] * x[1]; })
          .Case<arith::AndIOp>([&](auto) { return x[0] & x[1]; })
          .Case<arith::OrIOp>([&](auto) { return x[0] | x[1]; })
          .Case<arith::MinSIOp, arith::MinUIOp>([&](auto) { return std::min(x[0], x[1]); })
          .Case<arith::MaxSIOp, arith::MaxUIOp>([&](auto) { return std::max(x[0], x[1]); })
          .Case<arith::SelectOp>([&](auto) { return x[0] ? x[1] : x[2]; })
          .Case<arith::ExtSIOp, arith::ExtUIOp, arith::TruncIOp, arith::IndexCastOp>(
              [&](auto) { return x[0]; })
          .Case<arith::DivUIOp, arith::DivSIOp>(
              [&](auto) { return x[1] ? std::optional(x[0] / x[1]) : std::nullopt; })
          .Case<arith::CeilDivUIOp, arith::CeilDivSIOp>(
              [&](auto) { return x[1] ? std::optional((x[0] + x[1] - 1) / x[1]) : std::nullopt; })
          .Case<arith::RemUIOp, arith::RemSIOp>(
              [&](auto) { return x[1] ? std::optional(x[0] % x[1]) : std::nullopt; })
          .Case<arith::CmpIOp>([&](arith::CmpIOp compare) -> std::optional<int64_t> {
            return arith::applyCmpPredicate(compare.getPredicate(), APInt(64, x[0], true),
                                            APInt(64, x[1], true));
          })
          .Default([](Operation *) { return std::nullopt; });
  if (result)
    know(op.getResult(0), Fact{{}, *result});
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

static bool isVector(Value value) { return isa<VectorType>(value.getType()); }

/// Whether an op needs one of the pipes that multiply.
static bool multiplies(Operation &op) {
  if (auto call = dyn_cast<LLVM::CallIntrinsicOp>(op))
    return !call.getIntrin().contains("perm") && !call.getIntrin().contains(".add.");
  return isa<arith::MulFOp, arith::DivFOp, arith::MulIOp, math::FmaOp, math::SqrtOp, vector::FMAOp>(
      op);
}

void Estimator::count(Operation &op, Demand &demand) const {
  auto work = [&](double arithmetic, double loads, double stores) {
    (multiplies(op) ? demand.products : demand.others) += arithmetic;
    demand.loads += loads;
    demand.stores += stores;
    demand.issued += arithmetic + stores;
  };
  if (isa<arith::ConstantOp, arith::BitcastOp, vector::BitCastOp, LLVM::GEPOp, scf::YieldOp>(op))
    return;
  if (TileWork tile = tileWorkOf(&op)) {
    demand.tiles += double(tile.cycles);
    return work(0, double(tile.loads), double(tile.stores));
  }
  if (auto load = dyn_cast<LLVM::LoadOp>(op))
    return work(0, registersOf(load.getType()), 0);
  if (auto load = dyn_cast<LLVM::MaskedLoadOp>(op))
    return work(0, registersOf(load.getType()), 0);
  if (auto store = dyn_cast<LLVM::StoreOp>(op))
    return work(0, 0, registersOf(store.getValue().getType()));
  if (isa<LLVM::MaskedStoreOp>(op))
    return work(0, 0, registersOf(op.getOperand(0).getType()));
  if (isa<LLVM::masked_gather>(op))
    return work(double(level.lanes), double(level.lanes), 0);
  if (isa<LLVM::masked_scatter>(op))
    return work(double(level.lanes), 0, double(level.lanes));
  if (isa<vector::BroadcastOp>(op))
    // From memory a broadcast is a load, which has been counted.
    return work(op.getOperand(0).getDefiningOp<LLVM::LoadOp>() ? 0 : 1, 0, 0);
  if (isa<vector::ReductionOp>(op))
    return work(2 * std::log2(double(level.lanes)), 0, 0);
  if (op.getNumResults() != 1)
    return;
  Value result = op.getResult(0);
  double registers = registersOf(result.getType());
  if (isa<arith::DivFOp, math::SqrtOp>(op))
    return work(registers * (isVector(result) ? 0.8 * double(level.lanes) : 4), 0, 0);
  if (isVector(result) || isa<FloatType>(result.getType()))
    return work(registers, 0, 0);
  // Scalar integers: addresses and bounds, most of them folded into what uses them.
  demand.issued += 0.25;
}

double Estimator::latencyOf(Operation &op) const {
  if (isa<arith::BitcastOp, vector::BitCastOp, arith::ConstantOp>(op))
    return 0;
  if (isa<LLVM::LoadOp, LLVM::MaskedLoadOp>(op))
    return 5;
  if (isa<arith::DivFOp, math::SqrtOp>(op))
    return 13;
  if (isa<vector::ReductionOp>(op))
    return 4 * std::log2(double(level.lanes));
  Type element = getElementTypeOrSelf(op.getResult(0).getType());
  return isa<FloatType>(element) && !isa<arith::SelectOp>(op) ? 4 : 1;
}

double Estimator::chainOf(scf::ForOp loop) const {
  llvm::DenseMap<Value, double> arrival;
  for (Value carried : loop.getRegionIterArgs())
    arrival[carried] = 0;
  double longest = 0;
  for (Operation &op : *loop.getBody()) {
    std::optional<double> begin;
    for (Value operand : op.getOperands())
      if (auto it = arrival.find(operand); it != arrival.end())
        begin = std::max(begin.value_or(0), it->second);
    if (!begin)
      continue;
    if (isa<scf::YieldOp>(op))
      longest = *begin;
    else
      for (Value result : op.getResults())
        // What a nested loop or branch takes is counted there.
        arrival[result] = *begin + (op.getNumRegions() ? 0 : latencyOf(op));
  }
  return longest;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

Cycles Estimator::cyclesOf(scf::ForOp loop) {
  std::optional<int64_t> lo = number(loop.getLowerBound()), hi = number(loop.getUpperBound()),
                         step = number(loop.getStep());
  int64_t trips = 1;
  if (lo && hi && step && *step > 0)
    trips = *hi > *lo ? (*hi - *lo + *step - 1) / *step : 0;
  if (trips == 0)
    return {};
  if (lo && step)
    know(loop.getInductionVar(), Fact{{}, *lo + (trips - 1) / 2 * *step});
  constexpr double perTrip = 1;
  Cycles body = cyclesOf(*loop.getBody(), loop);
  double chain = chainOf(loop);
  return Cycles{std::max(body.shared + perTrip, chain), std::max(body.beside + perTrip, chain)} *
         double(trips);
}

Cycles Estimator::cyclesOf(Block &block, Operation *loop) {
  Demand demand;
  Cycles nested;
  llvm::DenseSet<Value> changing;
  if (loop)
    for (Value argument : block.getArguments())
      changing.insert(argument);
  for (Operation &op : block) {
    derive(op);
    bool moves = llvm::any_of(op.getOperands(), [&](Value x) { return changing.contains(x); });
    bool memory = isa<LLVM::LoadOp, LLVM::StoreOp, LLVM::MaskedLoadOp, LLVM::MaskedStoreOp,
                      LLVM::masked_gather, LLVM::masked_scatter>(op) ||
                  tileWorkOf(&op);
    if (moves || memory || op.getNumRegions())
      for (Value result : op.getResults())
        changing.insert(result);
    if (auto inner = dyn_cast<scf::ForOp>(op)) {
      nested += cyclesOf(inner);
    } else if (auto branch = dyn_cast<scf::IfOp>(op)) {
      std::optional<int64_t> condition = number(branch.getCondition());
      double weight = condition ? double(*condition != 0) : 0.5;
      if (weight > 0)
        nested += cyclesOf(*branch.thenBlock(), nullptr) * weight;
      if (weight < 1 && branch.elseBlock())
        nested += cyclesOf(*branch.elseBlock(), nullptr) * (1 - weight);
    } else if (moves || memory || !loop) {
      count(op, demand);
    }
  }
  nested += demand.cycles();
  return nested;
}

Cycles cpu::cyclesOf(func::FuncOp emitted, const Isa &isa, const KernelRecord &record,
                     LaunchSize size) {
  Estimator estimator(isa, size);
  Block &body = emitted.getBody().front();
  int64_t count = record.per == KernelRecord::Per::Rows ? size.rows : 1;
  int64_t items = (count + record.unit - 1) / record.unit * record.factor;
  estimator.know(body.getArgument(0), Fact{Place::Call, 0});
  estimator.know(body.getArgument(1), Fact{{}, 0});
  estimator.know(body.getArgument(2), Fact{{}, items});
  return estimator.cyclesOf(body, nullptr);
}

//===- Nest.cpp - Values at an index, loads and stores --------------------===//
//
// The evaluation half of Nest.h: addresses as affine expressions, what they do along the lanes, and
// the computation of a value at an index. The loops are in NestLoops.cpp.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Nest.h"

#include "dialect/Axes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

bool Nest::KeyLess::operator()(const Key &x, const Key &y) const {
  if (x.first != y.first)
    return x.first.getAsOpaquePointer() < y.first.getAsOpaquePointer();
  return std::lexicographical_compare(
      x.second.begin(), x.second.end(), y.second.begin(), y.second.end(),
      [](AffineExpr p, AffineExpr q) { return p.getAsOpaquePointer() < q.getAsOpaquePointer(); });
}

Nest::Nest(OpBuilder &builder, Location loc, const Isa &isa)
    : b(builder), loc(loc), target(isa), vm(builder, loc) {}

Value Nest::i64(int64_t value) {
  return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(value));
}

Value Nest::addressOf(Value base, Value elementOffset, Type element) {
  return LLVM::GEPOp::create(b, loc, base.getType(), element, base,
                             ArrayRef<LLVM::GEPArg>{elementOffset});
}

Value Nest::loadAt(Type type, Value base, int64_t byteOffset) {
  Value address = LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base,
                                      ArrayRef<LLVM::GEPArg>{int32_t(byteOffset)});
  return LLVM::LoadOp::create(b, loc, type, address);
}

IndexRange Nest::fullRange(int64_t extent) { return IndexRange{i64(0), i64(extent), extent}; }

Buffer Nest::rowMajor(Value base, ArrayRef<StringAttr> axes, ArrayRef<int64_t> extents,
                      Type element) {
  AffineExpr offset = b.getAffineConstantExpr(0);
  int64_t stride = 1;
  for (int64_t i = int64_t(axes.size()) - 1; i >= 0; --i) {
    offset = offset + b.getAffineDimExpr(i) * stride;
    // The leading extent may be the unknown number of rows; no stride needs it.
    stride *= i ? extents[i] : 1;
  }
  // Truth values are 0 and 1 in memory.
  return Buffer{base, SmallVector<StringAttr>(axes), AffineMap::get(axes.size(), 0, offset),
                element.isInteger(1) ? b.getF32Type() : element};
}

const Buffer *Nest::bufferOf(Value value) const {
  auto it = buffers.find(value);
  return it == buffers.end() ? nullptr : &it->second;
}

void Nest::forget() {
  for (Memo &memo : memos)
    memo.clear();
}

void Nest::know(Value value, const Env &env, Value computed) {
  Key key{value, {}};
  for (StringAttr axis : axesOf(value.getType()))
    key.second.push_back(env.lookup(axis));
  memos.back()[key] = computed;
}

AffineExpr Nest::openDim(Value base, int64_t extent, bool lanes) {
  dims.push_back(Dim{base, extent, lanes});
  return b.getAffineDimExpr(dims.size() - 1);
}

//===----------------------------------------------------------------------===//
// Index expressions
//===----------------------------------------------------------------------===//

/// The largest value of a non-negative expression, where the dims' extents tell.
std::optional<int64_t> Nest::largest(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue() < 0 ? std::nullopt : std::optional(constant.getValue());
  if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
    int64_t extent = dims[dim.getPosition()].extent;
    return extent < 0 ? std::nullopt : std::optional(extent - 1);
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return std::nullopt;
  auto lhs = largest(binary.getLHS()), rhs = largest(binary.getRHS());
  if (expr.getKind() == AffineExprKind::Mod && rhs)
    return lhs ? std::min(*lhs, *rhs - 1) : *rhs - 1;
  if (!lhs || !rhs)
    return std::nullopt;
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return *lhs + *rhs;
  case AffineExprKind::Mul:
    return *lhs * *rhs;
  case AffineExprKind::FloorDiv:
    return *rhs > 0 ? std::optional(*lhs / *rhs) : std::nullopt;
  default:
    return std::nullopt;
  }
}

AffineExpr Nest::simplify(AffineExpr expr) {
  expr = simplifyAffineExpr(expr, dims.size(), 0);
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return expr;
  AffineExpr lhs = simplify(binary.getLHS()), rhs = simplify(binary.getRHS());
  auto divisor = dyn_cast<AffineConstantExpr>(rhs);
  if (divisor && divisor.getValue() > 0) {
    auto bound = largest(lhs);
    bool small = bound && *bound < divisor.getValue();
    if (expr.getKind() == AffineExprKind::FloorDiv && small)
      return b.getAffineConstantExpr(0);
    if (expr.getKind() == AffineExprKind::Mod && small)
      return lhs;
  }
  return simplifyAffineExpr(getAffineBinaryOpExpr(expr.getKind(), lhs, rhs), dims.size(), 0);
}

AffineExpr Nest::offsetOf(const Buffer &buffer, const Env &env) {
  SmallVector<AffineExpr> indices;
  for (StringAttr axis : buffer.axes) {
    AffineExpr index = env.lookup(axis);
    assert(index && "every axis of a buffer has an index where it is read");
    indices.push_back(index);
  }
  return simplify(buffer.layout.getResult(0).replaceDims(indices));
}

/// `expr` where dim `moving` is `index` and all others are 0.
static int64_t valueOf(AffineExpr expr, unsigned moving, int64_t index) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return dim.getPosition() == moving ? index : 0;
  auto binary = cast<AffineBinaryOpExpr>(expr);
  int64_t lhs = valueOf(binary.getLHS(), moving, index),
          rhs = valueOf(binary.getRHS(), moving, index);
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return lhs + rhs;
  case AffineExprKind::Mul:
    return lhs * rhs;
  case AffineExprKind::FloorDiv:
    return llvm::divideFloorSigned(lhs, rhs);
  case AffineExprKind::Mod:
    return llvm::mod(lhs, rhs);
  default:
    llvm_unreachable("no view makes a ceildiv or a symbol");
  }
}

/// After this many indices the steps of `expr` repeat: divisions and remainders by d do so after d
/// indices, nested ones after the product.
static int64_t periodOf(AffineExpr expr) {
  int64_t period = 1;
  constexpr int64_t most = int64_t(1) << 20;
  expr.walk([&](AffineExpr sub) {
    auto binary = dyn_cast<AffineBinaryOpExpr>(sub);
    auto divisor = binary ? dyn_cast<AffineConstantExpr>(binary.getRHS()) : AffineConstantExpr();
    if (divisor && divisor.getValue() > 0 &&
        (sub.getKind() == AffineExprKind::FloorDiv || sub.getKind() == AffineExprKind::Mod))
      period = std::min(most, period * divisor.getValue());
  });
  return period;
}

std::optional<int64_t> Nest::laneStride(AffineExpr expr) {
  // Dims inside one division or remainder that also holds the lanes would need their alignment:
  // such an index is gathered.
  bool divides = false, mixed = false;
  SmallVector<unsigned> moving;
  for (auto [i, dim] : llvm::enumerate(dims))
    if (dim.lanes && expr.isFunctionOfDim(i))
      moving.push_back(i);
  if (moving.empty())
    return 0;
  expr.walk([&](AffineExpr sub) {
    if (sub.getKind() != AffineExprKind::FloorDiv && sub.getKind() != AffineExprKind::Mod)
      return;
    bool holds = llvm::any_of(moving, [&](unsigned i) { return sub.isFunctionOfDim(i); });
    if (!holds)
      return;
    divides = true;
    for (unsigned i = 0; i < dims.size(); ++i)
      mixed |= !llvm::is_contained(moving, i) && sub.isFunctionOfDim(i);
  });
  if (mixed || moving.size() > 1)
    return std::nullopt;
  int64_t extent = dims[moving[0]].extent;
  if (divides && extent < 0)
    return std::nullopt;
  // Every block of lanes is tried (a block starts at a multiple of W), up to where divisions
  // repeat; without divisions one is enough.
  auto valueAt = [&](int64_t i) { return valueOf(expr, moving[0], i); };
  int64_t lanes = target.lanes,
          limit = divides ? std::min(extent, std::lcm(periodOf(expr), lanes)) : lanes;
  std::optional<int64_t> stride;
  for (int64_t start = 0; start < limit; start += lanes)
    for (int64_t i = start + 1, previous = valueAt(start); i < std::min(start + lanes, limit);
         ++i) {
      int64_t here = valueAt(i);
      if (stride.value_or(here - previous) != here - previous)
        return std::nullopt;
      stride = here - previous;
      previous = here;
    }
  return stride.value_or(0);
}

Value Nest::combine(AffineExprKind kind, Value lhs, Value rhs) {
  switch (kind) {
  case AffineExprKind::Add:
    return arith::AddIOp::create(b, loc, lhs, rhs);
  case AffineExprKind::Mul:
    return arith::MulIOp::create(b, loc, lhs, rhs);
  // Indices are never negative, so the unsigned forms are right and cheaper.
  case AffineExprKind::FloorDiv:
    return arith::DivUIOp::create(b, loc, lhs, rhs);
  case AffineExprKind::Mod:
    return arith::RemUIOp::create(b, loc, lhs, rhs);
  default:
    llvm_unreachable("no view makes a ceildiv or a symbol");
  }
}

Value Nest::scalarOf(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return i64(constant.getValue());
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return dims[dim.getPosition()].base;
  auto binary = cast<AffineBinaryOpExpr>(expr);
  return combine(expr.getKind(), scalarOf(binary.getLHS()), scalarOf(binary.getRHS()));
}

Value Nest::laneNumbers() {
  SmallVector<int64_t> numbers(target.lanes);
  for (int64_t i = 0; i < target.lanes; ++i)
    numbers[i] = i;
  return arith::ConstantOp::create(
      b, loc,
      DenseElementsAttr::get(VectorType::get(target.lanes, b.getI64Type()), ArrayRef(numbers)));
}

Value Nest::vectorOf(AffineExpr expr) {
  auto type = VectorType::get(target.lanes, b.getI64Type());
  auto splat = [&](Value v) -> Value { return vector::BroadcastOp::create(b, loc, type, v); };
  if (isa<AffineConstantExpr>(expr))
    return splat(scalarOf(expr));
  if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
    Value base = splat(dims[dim.getPosition()].base);
    return dims[dim.getPosition()].lanes ? arith::AddIOp::create(b, loc, base, laneNumbers())
                                         : base;
  }
  auto binary = cast<AffineBinaryOpExpr>(expr);
  return combine(expr.getKind(), vectorOf(binary.getLHS()), vectorOf(binary.getRHS()));
}

Value Nest::toReal(AffineExpr expr) {
  expr = simplify(expr);
  if (laneStride(expr) == 0)
    return arith::SIToFPOp::create(b, loc, b.getF32Type(), scalarOf(expr));
  // 32 bits are enough for an index inside a tensor and convert in one instruction.
  Value narrow = arith::TruncIOp::create(b, loc, VectorType::get(target.lanes, b.getI32Type()),
                                         vectorOf(expr));
  return arith::SIToFPOp::create(b, loc, VectorType::get(target.lanes, b.getF32Type()), narrow);
}

Value Nest::broadcast(Value scalar) {
  if (isa<VectorType>(scalar.getType()))
    return scalar;
  return vector::BroadcastOp::create(b, loc, VectorType::get(target.lanes, scalar.getType()),
                                     scalar);
}

Value Nest::maskBelow(Value base, Value limit) {
  Value left =
      arith::TruncIOp::create(b, loc, b.getI32Type(), arith::SubIOp::create(b, loc, limit, base));
  SmallVector<int32_t> numbers(target.lanes);
  for (int64_t i = 0; i < target.lanes; ++i)
    numbers[i] = int32_t(i);
  auto type = VectorType::get(target.lanes, b.getI32Type());
  Value lane = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, ArrayRef(numbers)));
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, lane,
                               vector::BroadcastOp::create(b, loc, type, left));
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// What loads and stores move: bf16 as its bits.
static Type inMemory(Type element) {
  return element.isBF16() ? IntegerType::get(element.getContext(), 16) : element;
}

Type Nest::likeShaped(Value shape, Type element) {
  auto vector = dyn_cast<VectorType>(shape.getType());
  return vector ? VectorType::get(vector.getShape(), element) : element;
}

Value Nest::integerLike(Value shape, int32_t value) {
  Type type = likeShaped(shape, b.getI32Type());
  TypedAttr number = b.getI32IntegerAttr(value);
  if (auto vector = dyn_cast<VectorType>(type))
    number = DenseElementsAttr::get(vector, b.getI32IntegerAttr(value));
  return arith::ConstantOp::create(b, loc, number);
}

Value Nest::widened(Value bits) {
  Value wide = arith::ExtUIOp::create(b, loc, likeShaped(bits, b.getI32Type()), bits);
  return arith::BitcastOp::create(b, loc, likeShaped(bits, b.getF32Type()),
                                  arith::ShLIOp::create(b, loc, wide, integerLike(bits, 16)));
}

Value Nest::narrowed(Value number) {
  auto shaped = [&](Type element) { return likeShaped(number, element); };
  if (target.dotPairs) {
    Value rounded = arith::TruncFOp::create(b, loc, shaped(b.getBF16Type()), number);
    return arith::BitcastOp::create(b, loc, shaped(b.getI16Type()), rounded);
  }
  auto constant = [&](int32_t value) { return integerLike(number, value); };
  Value bits = arith::BitcastOp::create(b, loc, shaped(b.getI32Type()), number);
  auto shifted = [&](Value x) -> Value { return arith::ShRUIOp::create(b, loc, x, constant(16)); };
  Value odd = arith::AndIOp::create(b, loc, shifted(bits), constant(1));
  Value half = arith::AddIOp::create(b, loc, odd, constant(0x7fff));
  Value rounded = shifted(arith::AddIOp::create(b, loc, bits, half));
  // Rounding up must not make an infinity of what is no number.
  Value quiet = arith::OrIOp::create(b, loc, shifted(bits), constant(0x40));
  Value none = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, number, number);
  return arith::TruncIOp::create(b, loc, shaped(b.getI16Type()),
                                 arith::SelectOp::create(b, loc, none, quiet, rounded));
}

Value Nest::loadOfGroup(const Buffer &buffer, const Env &env) {
  Buffer bytes = buffer, scales = buffer, shifts = buffer;
  bytes.groups = scales.groups = std::nullopt;
  scales.layout = buffer.groups->scale;
  scales.element = b.getF16Type();
  shifts.layout = buffer.groups->shift;
  Value stored = load(bytes, env), scale = load(scales, env);
  auto vector = dyn_cast<VectorType>(stored.getType());
  auto shaped = [&](Type element) { return likeShaped(stored, element); };
  auto constant = [&](int32_t value) { return integerLike(stored, value); };
  Value wide = arith::ExtUIOp::create(b, loc, shaped(b.getI32Type()), stored);
  if (buffer.groups->bits == 4) {
    AffineExpr shift = offsetOf(shifts, env);
    Value by = vector ? vectorOf(shift) : scalarOf(shift);
    by = arith::TruncIOp::create(b, loc, shaped(b.getI32Type()), by);
    wide = arith::AndIOp::create(b, loc, arith::ShRUIOp::create(b, loc, wide, by), constant(15));
  }
  Value integer = arith::SubIOp::create(b, loc, wide, constant(buffer.groups->bits == 8 ? 128 : 8));
  Type real = shaped(b.getF32Type());
  Value number = arith::SIToFPOp::create(b, loc, real, integer);
  Value factor = loadAt(b.getF32Type(), buffer.base, 0);
  if (isa<VectorType>(scale.getType()))
    factor = vm.mul(arith::ExtFOp::create(b, loc, real, scale), broadcast(factor));
  else
    factor = vm.mul(arith::ExtFOp::create(b, loc, b.getF32Type(), scale), factor);
  return vm.mul(number, vector ? broadcast(factor) : factor);
}

Value Nest::maskOf(const Buffer &buffer, const Env &env) {
  if (!mask || !maskedMayCompute || !buffer.padded)
    return mask;
  for (StringAttr axis : ArrayRef(buffer.axes).drop_back())
    if (laneStride(env.lookup(axis)) != 0)
      return mask;
  auto last = dyn_cast<AffineDimExpr>(env.lookup(buffer.axes.back()));
  return last && dims[last.getPosition()].lanes ? Value() : mask;
}

Value Nest::load(const Buffer &buffer, const Env &env) {
  if (buffer.groups)
    return loadOfGroup(buffer, env);
  if (buffer.element.isBF16()) {
    Buffer bits = buffer;
    bits.element = inMemory(buffer.element);
    return widened(load(bits, env));
  }
  AffineExpr offset = offsetOf(buffer, env);
  std::optional<int64_t> stride = laneStride(offset);
  unsigned align = buffer.element.getIntOrFloatBitWidth() / 8;
  if (stride == 0)
    return LLVM::LoadOp::create(b, loc, buffer.element,
                                addressOf(buffer.base, scalarOf(offset), buffer.element), align);
  auto type = VectorType::get(target.lanes, buffer.element);
  if (stride == 1) {
    Value address = addressOf(buffer.base, scalarOf(offset), buffer.element);
    Value active = maskOf(buffer, env);
    if (!active)
      return LLVM::LoadOp::create(b, loc, type, address, align);
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
    return LLVM::MaskedLoadOp::create(b, loc, type, address, active, zero, align);
  }
  auto pointers = VectorType::get(target.lanes, buffer.base.getType());
  Value addresses = LLVM::GEPOp::create(b, loc, pointers, buffer.element, buffer.base,
                                        ArrayRef<LLVM::GEPArg>{vectorOf(offset)});
  Value active = mask;
  if (!active)
    active = arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(VectorType::get(target.lanes, b.getI1Type()), true));
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  return LLVM::masked_gather::create(b, loc, type, addresses, active, ValueRange{zero},
                                     b.getI32IntegerAttr(align));
}

void Nest::prefetch(const Buffer &buffer, const Env &env) {
  Value address = addressOf(buffer.base, scalarOf(offsetOf(buffer, env)), buffer.element);
  LLVM::Prefetch::create(b, loc, address, /*rw=*/0, /*hint=*/3, /*cache=*/1);
}

Value Nest::loadValue(Value value, const Buffer &buffer, const Env &env) {
  Value loaded = load(buffer, env);
  if (!getElementTypeOrSelf(value.getType()).isInteger(1))
    return loaded;
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(loaded.getType()));
  return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, loaded, zero);
}

void Nest::store(Value value, const Buffer &buffer, const Env &env) {
  AffineExpr offset = offsetOf(buffer, env);
  std::optional<int64_t> stride = laneStride(offset);
  unsigned align = buffer.element.getIntOrFloatBitWidth() / 8;
  if (getElementTypeOrSelf(value.getType()).isInteger(1) && !buffer.element.isInteger(1))
    value = vm.map(MapKind::Convert, value);
  if (buffer.element.isBF16()) {
    Buffer bits = buffer;
    bits.element = inMemory(buffer.element);
    return store(narrowed(stride == 0 ? value : broadcast(value)), bits, env);
  }
  if (stride == 0) {
    LLVM::StoreOp::create(b, loc, value, addressOf(buffer.base, scalarOf(offset), buffer.element),
                          align);
    return;
  }
  value = broadcast(value);
  if (stride == 1) {
    Value address = addressOf(buffer.base, scalarOf(offset), buffer.element);
    if (Value active = maskOf(buffer, env))
      LLVM::MaskedStoreOp::create(b, loc, value, address, active, align);
    else
      LLVM::StoreOp::create(b, loc, value, address, align);
    return;
  }
  auto pointers = VectorType::get(target.lanes, buffer.base.getType());
  Value addresses = LLVM::GEPOp::create(b, loc, pointers, buffer.element, buffer.base,
                                        ArrayRef<LLVM::GEPArg>{vectorOf(offset)});
  Value active = mask;
  if (!active)
    active = arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(VectorType::get(target.lanes, b.getI1Type()), true));
  LLVM::masked_scatter::create(b, loc, value, addresses, active, b.getI32IntegerAttr(align));
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

FailureOr<Env> Nest::throughView(ViewOp view, const Env &env) {
  Env inner;
  SmallVector<AffineExpr> results;
  for (StringAttr axis : axesOf(view.getType())) {
    if (axis.getValue() == "t") {
      inner.set(axis, env.lookup(axis));
      continue;
    }
    results.push_back(env.lookup(axis));
  }
  unsigned next = 0;
  for (StringAttr axis : axesOf(view.getSource().getType()))
    if (axis.getValue() != "t")
      inner.set(axis, simplify(view.getMap().getResult(next++).replaceDims(results)));
  return inner;
}

Env Nest::throughSlice(const Slice &slice, const Env &env) {
  Env inner = env;
  AffineExpr time = slice.time;
  if (slice.axis) {
    AffineExpr index = env.lookup(slice.axis);
    time = index ? time + index : AffineExpr();
  }
  inner.set(b.getStringAttr(timeAxis), time);
  return inner;
}

FailureOr<Value> Nest::evaluate(Value value, const Env &env) {
  Key key{value, {}};
  for (StringAttr axis : axesOf(value.getType())) {
    AffineExpr index = env.lookup(axis);
    if (!index && !positions.contains(value) && !scalars.contains(value))
      return emitError(value.getLoc(), "no index for axis '")
             << axis.getValue() << "' where the value is read";
    key.second.push_back(index ? index : b.getAffineConstantExpr(0));
  }
  for (Memo &memo : llvm::reverse(memos))
    if (auto it = memo.find(key); it != memo.end())
      return it->second;
  FailureOr<Value> result = compute(value, env);
  if (succeeded(result))
    memos.back()[key] = *result;
  return result;
}

FailureOr<Value> Nest::compute(Value value, const Env &env) {
  if (auto it = scalars.find(value); it != scalars.end())
    return it->second;
  if (auto it = positions.find(value); it != positions.end()) {
    Value offset = arith::SIToFPOp::create(b, loc, b.getF32Type(), it->second);
    auto axes = axesOf(value.getType());
    if (axes.empty())
      return offset;
    Value index = toReal(env.lookup(axes.front()));
    if (isa<VectorType>(index.getType()))
      offset = broadcast(offset);
    return vm.add(offset, index);
  }
  if (const Buffer *buffer = bufferOf(value))
    return loadValue(value, *buffer, env);
  if (auto it = slices.find(value); it != slices.end())
    return evaluate(it->second.source, throughSlice(it->second, env));
  Operation *op = value.getDefiningOp();
  if (!op)
    return emitError(value.getLoc(), "a block argument without a buffer is read");
  if (auto constant = dyn_cast<ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense || !dense.isSplat())
      return op->emitOpError("expects a scalar or splat inside a kernel, got ")
             << constant.getValue();
    if (dense.getElementType().isF32())
      return Value(arith::ConstantOp::create(
          b, loc, b.getF32FloatAttr(dense.getSplatValue<APFloat>().convertToFloat())));
    return Value(
        arith::ConstantOp::create(b, loc, cast<TypedAttr>(dense.getSplatValue<Attribute>())));
  }
  if (isa<IndexOp>(op))
    return toReal(env.lookup(axesOf(value.getType()).front()));
  if (auto view = dyn_cast<ViewOp>(op)) {
    FailureOr<Env> inner = throughView(view, env);
    return failed(inner) ? FailureOr<Value>(failure()) : evaluate(view.getSource(), *inner);
  }
  if (isa<ContractOp, ReduceOp>(op))
    return computeUnrolled(op, env);
  if (auto map = dyn_cast<MapOp>(op)) {
    if (map.getKind() == MapKind::Add || map.getKind() == MapKind::Sub) {
      FailureOr<Value> fused = computeFused(map, env);
      if (failed(fused) || *fused)
        return fused;
    }
    if (map.getKind() == MapKind::Exp) {
      FailureOr<Value> fused = computeExpOfProduct(map, env);
      if (failed(fused) || *fused)
        return fused;
    }
    SmallVector<Value> operands;
    bool vector = false;
    for (Value input : map.getInputs()) {
      FailureOr<Value> v = evaluate(input, env);
      if (failed(v))
        return v;
      operands.push_back(*v);
      vector |= isa<VectorType>(v->getType());
    }
    if (vector)
      for (Value &v : operands)
        // A constant exponent or condition stays recognisable as a splat constant.
        v = isa<VectorType>(v.getType()) ? v
            : v.getDefiningOp<arith::ConstantOp>() && v.getType().isF32()
                ? vm.splat(cast<FloatAttr>(v.getDefiningOp<arith::ConstantOp>().getValue())
                               .getValueAsDouble(),
                           *llvm::find_if(operands,
                                          [](Value o) { return isa<VectorType>(o.getType()); }))
                : broadcast(v);
    return vm.map(map.getKind(), operands);
  }
  auto indexed = [&](Value table, Value ids, StringRef axis) -> FailureOr<Value> {
    FailureOr<Value> id = evaluate(ids, env);
    if (failed(id))
      return id;
    Env inner = env;
    inner.set(b.getStringAttr(axis), openDim(*id));
    // The id's dim is new each time, so the value is not looked up again: it is loaded here once.
    return evaluate(table, inner);
  };
  if (auto gather = dyn_cast<GatherOp>(op)) {
    if (elementTypeOf(gather.getIds().getType()).isF32())
      return computeLookup(gather, env);
    return indexed(gather.getTable(), gather.getIds(), gather.getAxis());
  }
  if (auto pick = dyn_cast<PickOp>(op))
    return indexed(pick.getSource(), pick.getIds(), pick.getAxis());
  return op->emitOpError("has no buffer and cannot be computed in place");
}

MapOp Nest::ownProduct(Value value, const Env &env) {
  auto mul = value.getDefiningOp<MapOp>();
  if (!mul || mul.getKind() != MapKind::Mul || !value.hasOneUse() || bufferOf(value) ||
      !elementTypeOf(value.getType()).isF32())
    return MapOp();
  Key key{value, {}};
  for (StringAttr axis : axesOf(value.getType()))
    key.second.push_back(env.lookup(axis));
  for (const Memo &memo : memos)
    if (memo.contains(key))
      return MapOp();
  return mul;
}

FailureOr<Value> Nest::computeExpOfProduct(MapOp map, const Env &env) {
  MapOp mul = ownProduct(map.getInputs()[0], env);
  if (!mul)
    return Value();
  // The factor with fewer axes is the same in more products.
  Value x = mul.getInputs()[0], y = mul.getInputs()[1];
  if (axesOf(y.getType()).size() < axesOf(x.getType()).size())
    std::swap(x, y);
  FailureOr<Value> first = evaluate(x, env), second = evaluate(y, env);
  if (failed(first) || failed(second))
    return failure();
  if (isa<VectorType>(first->getType()) || isa<VectorType>(second->getType())) {
    first = broadcast(*first);
    second = broadcast(*second);
  }
  return vm.expOfProduct(*first, *second);
}

FailureOr<Value> Nest::computeFused(MapOp map, const Env &env) {
  bool subtracts = map.getKind() == MapKind::Sub;
  MapOp right = ownProduct(map.getInputs()[1], env),
        left = right ? MapOp() : ownProduct(map.getInputs()[0], env);
  if (!left && !right)
    return Value();
  MapOp mul = left ? left : right;
  FailureOr<Value> x = evaluate(mul.getInputs()[0], env), y = evaluate(mul.getInputs()[1], env),
                   z = evaluate(map.getInputs()[left ? 1 : 0], env);
  if (failed(x) || failed(y) || failed(z))
    return failure();
  if (isa<VectorType>(x->getType()) || isa<VectorType>(y->getType()) ||
      isa<VectorType>(z->getType()))
    for (FailureOr<Value> *v : {&x, &y, &z})
      *v = broadcast(**v);
  if (subtracts && right)
    x = vm.neg(*x);
  if (subtracts && left)
    z = vm.neg(*z);
  return vm.fma(*x, *y, *z);
}

FailureOr<Value> Nest::computeLookup(GatherOp gather, const Env &env) {
  FailureOr<Value> id = evaluate(gather.getIds(), env);
  if (failed(id))
    return id;
  int64_t extent = extentOf(gather.getTable().getType(), gather.getAxis());
  // A number that is no index (also not a number) reads element 0, and its result is not taken.
  auto lookUp = [&](Value x) -> FailureOr<Value> {
    auto number = [&](double value) {
      return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(float(value)));
    };
    Value low = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGE, x, number(0));
    Value high =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLE, x, number(double(extent - 1)));
    Value inside = arith::AndIOp::create(b, loc, low, high);
    Value safe = arith::SelectOp::create(b, loc, inside, x, number(0));
    Value index = arith::FPToSIOp::create(b, loc, b.getI64Type(), safe);
    Value whole = arith::SIToFPOp::create(b, loc, b.getF32Type(), index);
    inside = arith::AndIOp::create(
        b, loc, inside, arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, whole, x));
    Env inner = env;
    inner.set(b.getStringAttr(gather.getAxis()), openDim(index, extent));
    FailureOr<Value> element = evaluate(gather.getTable(), inner);
    if (failed(element))
      return element;
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(element->getType()));
    return Value(arith::SelectOp::create(b, loc, inside, *element, zero));
  };
  if (!isa<VectorType>(id->getType()))
    return lookUp(*id);
  // The lanes run along an axis of the ids, so the table has one element for each.
  Value result = broadcast(Value(arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0))));
  for (int64_t lane = 0; lane < target.lanes; ++lane) {
    FailureOr<Value> element = lookUp(vector::ExtractOp::create(b, loc, *id, lane));
    if (failed(element))
      return element;
    result = vector::InsertOp::create(b, loc, *element, result, lane);
  }
  return result;
}

void Nest::collectLoads(Value value, const Env &env, SmallVectorImpl<AffineExpr> &loads) {
  if (const Buffer *buffer = bufferOf(value)) {
    loads.push_back(offsetOf(*buffer, env));
    return;
  }
  if (auto it = slices.find(value); it != slices.end())
    return collectLoads(it->second.source, throughSlice(it->second, env), loads);
  Operation *op = value.getDefiningOp();
  if (!op || positions.contains(value) || scalars.contains(value))
    return;
  if (auto view = dyn_cast<ViewOp>(op)) {
    if (FailureOr<Env> inner = throughView(view, env); succeeded(inner))
      collectLoads(view.getSource(), *inner, loads);
    return;
  }
  if (auto gather = dyn_cast<GatherOp>(op)) {
    Env inner = env;
    inner.set(b.getStringAttr(gather.getAxis()), b.getAffineConstantExpr(0));
    return collectLoads(gather.getTable(), inner, loads);
  }
  if (auto pick = dyn_cast<PickOp>(op)) {
    Env inner = env;
    inner.set(b.getStringAttr(pick.getAxis()), b.getAffineConstantExpr(0));
    return collectLoads(pick.getSource(), inner, loads);
  }
  for (Value operand : op->getOperands())
    collectLoads(operand, env, loads);
}

LogicalResult Nest::hoist(Value value, const Env &env) {
  bool ready = llvm::all_of(axesOf(value.getType()),
                            [&](StringAttr axis) { return bool(env.lookup(axis)); });
  if (ready)
    return success(succeeded(evaluate(value, env)));
  Operation *op = value.getDefiningOp();
  if (auto it = slices.find(value); it != slices.end() && !bufferOf(value))
    return hoist(it->second.source, throughSlice(it->second, env));
  if (!op || bufferOf(value))
    return success();
  if (auto view = dyn_cast<ViewOp>(op)) {
    // Below a view an axis is ready where its expression is; a missing dim makes it unready.
    Env inner;
    SmallVector<AffineExpr> results;
    for (StringAttr axis : axesOf(view.getType()))
      if (axis.getValue() != "t")
        results.push_back(env.lookup(axis));
    unsigned next = 0;
    for (StringAttr axis : axesOf(view.getSource().getType())) {
      if (axis.getValue() == "t") {
        if (AffineExpr index = env.lookup(axis))
          inner.set(axis, index);
        continue;
      }
      AffineExpr expr = view.getMap().getResult(next++);
      bool known = true;
      for (unsigned i = 0; i < results.size(); ++i)
        known &= results[i] || !expr.isFunctionOfDim(i);
      if (!known)
        continue;
      SmallVector<AffineExpr> replacements;
      for (AffineExpr result : results)
        replacements.push_back(result ? result : b.getAffineConstantExpr(0));
      inner.set(axis, simplify(expr.replaceDims(replacements)));
    }
    return hoist(view.getSource(), inner);
  }
  if (!isa<MapOp>(op))
    return success();
  for (Value operand : op->getOperands())
    if (failed(hoist(operand, env)))
      return failure();
  return success();
}

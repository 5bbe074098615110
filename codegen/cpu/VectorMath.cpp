//===- VectorMath.cpp - Elementary functions on vectors of f32 ------------===//
//
// Each function reduces its argument to a small interval, evaluates a least-squares polynomial
// fitted for relative error there and scales back. Selects replace branches; NaN stays NaN.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

/// The type of `like` with element type `element`.
static Type shapedLike(Value like, Type element) {
  if (auto vector = dyn_cast<VectorType>(like.getType()))
    return VectorType::get(vector.getShape(), element);
  return element;
}

Value VectorMath::splat(double value, Value like) {
  Type type = shapedLike(like, b.getF32Type());
  TypedAttr attr = b.getF32FloatAttr(static_cast<float>(value));
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, cast<Attribute>(attr));
  return arith::ConstantOp::create(b, loc, attr);
}

Value VectorMath::splatInt(int64_t value, Value like) {
  TypedAttr attr = b.getI32IntegerAttr(static_cast<int32_t>(value));
  if (auto vector = dyn_cast<VectorType>(shapedLike(like, b.getI32Type())))
    attr = DenseElementsAttr::get(vector, cast<Attribute>(attr));
  return arith::ConstantOp::create(b, loc, attr);
}

Value VectorMath::add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
Value VectorMath::sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
Value VectorMath::mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
Value VectorMath::div(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
Value VectorMath::fma(Value x, Value y, Value z) { return math::FmaOp::create(b, loc, x, y, z); }
Value VectorMath::neg(Value x) { return arith::NegFOp::create(b, loc, x); }
Value VectorMath::abs(Value x) { return math::AbsFOp::create(b, loc, x); }
Value VectorMath::floor(Value x) { return math::FloorOp::create(b, loc, x); }
Value VectorMath::sqrt(Value x) { return math::SqrtOp::create(b, loc, x); }

Value VectorMath::compare(int predicate, Value x, Value y) {
  return arith::CmpFOp::create(b, loc, static_cast<arith::CmpFPredicate>(predicate), x, y);
}
Value VectorMath::select(Value condition, Value x, Value y) {
  return arith::SelectOp::create(b, loc, condition, x, y);
}
// A compare and a select keep a NaN of the second operand, as one machine min or max does.
Value VectorMath::min(Value x, Value y) {
  return select(compare(int(arith::CmpFPredicate::OLT), x, y), x, y);
}
Value VectorMath::max(Value x, Value y) {
  return select(compare(int(arith::CmpFPredicate::OGT), x, y), x, y);
}
Value VectorMath::sign(Value x) {
  Value zero = splat(0, x);
  Value positive = select(compare(int(arith::CmpFPredicate::OGT), x, zero), splat(1, x), zero);
  return select(compare(int(arith::CmpFPredicate::OLT), x, zero), splat(-1, x), positive);
}

Value VectorMath::asInt(Value x) {
  return arith::BitcastOp::create(b, loc, shapedLike(x, b.getI32Type()), x);
}
Value VectorMath::asFloat(Value bits) {
  return arith::BitcastOp::create(b, loc, shapedLike(bits, b.getF32Type()), bits);
}

// Two vectors of which d lanes in each 2d are still to be added become one: half the additions of
// each vector by itself, and a quarter of the shuffles.
Value VectorMath::sumsOf(ArrayRef<Value> vectors) {
  int64_t lanes = cast<VectorType>(vectors.front().getType()).getNumElements();
  assert(int64_t(vectors.size()) <= lanes && "one lane for each");
  SmallVector<Value> rest(vectors);
  rest.resize(llvm::PowerOf2Ceil(vectors.size()), splat(0, vectors.front()));
  int64_t width = lanes / int64_t(rest.size());
  auto shuffle = [&](Value x, Value y, llvm::function_ref<int64_t(int64_t)> source) -> Value {
    SmallVector<int64_t> mask;
    for (int64_t lane = 0; lane < lanes; ++lane)
      mask.push_back(source(lane));
    return vector::ShuffleOp::create(b, loc, x, y, mask);
  };
  int64_t d = lanes / 2;
  for (; rest.size() > 1; d /= 2) {
    size_t half = rest.size() / 2;
    for (size_t i = 0; i < half; ++i) {
      Value x = rest[i], y = rest[i + half];
      Value kept = shuffle(x, y, [&](int64_t lane) { return lane & d ? lanes + lane : lane; });
      Value moved =
          shuffle(x, y, [&](int64_t lane) { return lane & d ? lanes + lane - d : lane + d; });
      rest[i] = add(kept, moved);
    }
    rest.resize(half);
  }
  Value sums = rest[0];
  for (; d >= 1; d /= 2)
    sums = add(sums, shuffle(sums, sums, [&](int64_t lane) { return lane ^ d; }));
  return width == 1
             ? sums
             : shuffle(sums, sums, [&](int64_t lane) { return std::min(lane * width, lanes - 1); });
}

Value VectorMath::polynomial(Value x, ArrayRef<double> coefficients) {
  Value sum = splat(coefficients.back(), x);
  for (double c : llvm::reverse(coefficients.drop_back()))
    sum = fma(sum, x, splat(c, x));
  return sum;
}

/// One of AVX-512's instructions on 16 lanes, as a call with its mask and rounding.
static Value avx512(OpBuilder &b, Location loc, StringRef name, ArrayRef<Value> operands) {
  return LLVM::CallIntrinsicOp::create(b, loc, operands.front().getType(),
                                       b.getStringAttr("llvm.x86.avx512.mask." + name), operands)
      .getResults();
}

/// With x log2 e at hand, a product of two numbers is an exponent of 2: m + j/32 + r, both parts
/// rounded down. One instruction finds r (and 0 of an infinity), the lowest bits of the exponent
/// plus a large number are j, 2^(j/32) comes from a table of twice as many lanes, and another
/// instruction scales by 2^m, which it takes from the whole exponent. Beyond 2^17, where those bits
/// are none of j, the result is 0 or inf whatever they are.
Value VectorMath::expOfProduct(Value x, Value y) {
  auto vector = dyn_cast<VectorType>(y.getType());
  if (!vector || vector.getNumElements() != 16)
    return exp(mul(x, y));
  auto i32 = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
  };
  auto call = [&](StringRef name, ArrayRef<Value> operands) -> Value {
    return LLVM::CallIntrinsicOp::create(b, loc, vector, b.getStringAttr("llvm.x86.avx512." + name),
                                         operands)
        .getResult(0);
  };
  Value all = arith::ConstantOp::create(b, loc, b.getI16IntegerAttr(-1));
  constexpr int32_t restOfParts = 0x59 /*of 2^-5, rounded down, quietly*/, down = 9 /*quietly*/,
                    current = 4 /*rounding mode*/;
  // The least relative error of 1 + r q(r), times a factor that the table has, in [0,
  // 1/32]: 5.3e-8.
  constexpr double factor = 1.00000005293, q0 = 0.693116526039, q1 = 0.242840608960;
  SmallVector<float> powers[2];
  for (int j = 0; j < 32; ++j)
    powers[j / 16].push_back(float(factor * std::exp2(j / 32.0)));
  auto table = [&](int half) -> Value {
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(vector, ArrayRef(powers[half])));
  };
  Value power = mul(mul(x, splat(1.44269504088896341, x)), y);
  Value r = avx512(b, loc, "reduce.ps.512", {power, i32(restOfParts), power, all, i32(current)});
  // 1.5 2^18: numbers near it are multiples of 1/32.
  Value bits = call("add.ps.512", {power, splat(393216, y), i32(down)});
  bits = arith::BitcastOp::create(b, loc, shapedLike(y, b.getI32Type()), bits);
  Value part = call("vpermi2var.ps.512", {table(0), bits, table(1)});
  Value p = fma(mul(part, r), polynomial(r, {q0, q1}), part);
  return avx512(b, loc, "scalef.ps.512", {p, power, power, all, i32(current)});
}

/// 2^n p(r) with three instructions of AVX-512: rounding, a range and scaling by 2^n of any
/// size. Of two numbers `range` takes the one nearer to 0, and any number before a NaN: where n is
/// so large that r has no digits left, r is bounded and 2^n alone decides, 0 or inf.
Value VectorMath::exp512(Value x) {
  auto intrinsic = [&](StringRef name, ArrayRef<Value> operands) {
    return avx512(b, loc, name, operands);
  };
  auto i32 = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
  };
  Value all = arith::ConstantOp::create(b, loc, b.getI16IntegerAttr(-1));
  constexpr int32_t toNearest = 8 /*quietly*/, nearerToZero = 2, current = 4 /*rounding mode*/;
  Value n = intrinsic("rndscale.ps.512", {mul(x, splat(1.44269504088896341, x)), i32(toNearest), x,
                                          all, i32(current)});
  // x log2 e - n in two parts: the first product is exact inside the multiply-add.
  Value r = fma(x, splat(1.44269502162933349609375, x), neg(n));
  r = fma(x, splat(1.925962991126617645e-8, x), r);
  r = intrinsic("range.ps.512", {r, splat(0.501, x), i32(nearerToZero), x, all, i32(current)});
  Value p = polynomial(r, {1.0, 6.931472029e-01, 2.402264791e-01, 5.550332470e-02, 9.618437358e-03,
                           1.339887466e-03, 1.535336231e-04});
  return intrinsic("scalef.ps.512", {p, n, x, all, i32(current)});
}

Value VectorMath::exp(Value x) {
  // 16 lanes are AVX-512's.
  if (auto vector = dyn_cast<VectorType>(x.getType()); vector && vector.getNumElements() == 16)
    return exp512(x);
  // Outside [-104, 89] the result is 0 or inf already; the bounds keep 2^n representable in two
  // factors.
  Value bounded = max(splat(-104, x), min(splat(89, x), x));
  Value n = math::RoundEvenOp::create(b, loc, mul(bounded, splat(1.44269504088896341, x)));
  // ln 2 in two parts: n times the first is exact.
  Value r = fma(n, splat(-0.693359375, x), bounded);
  r = fma(n, splat(2.12194440054690583e-4, x), r);
  Value p = polynomial(
      r, {4.999999341e-01, 1.666652010e-01, 4.166839420e-02, 8.368780737e-03, 1.381446811e-03});
  Value e = add(fma(p, mul(r, r), r), splat(1, x));
  Value k = arith::FPToSIOp::create(b, loc, shapedLike(x, b.getI32Type()), n);
  Value half = arith::ShRSIOp::create(b, loc, k, splatInt(1, x));
  auto powerOfTwo = [&](Value m) {
    Value biased = arith::AddIOp::create(b, loc, m, splatInt(127, x));
    return asFloat(arith::ShLIOp::create(b, loc, biased, splatInt(23, x)));
  };
  Value rest = arith::SubIOp::create(b, loc, k, half);
  Value result = mul(mul(e, powerOfTwo(half)), powerOfTwo(rest));
  return select(compare(int(arith::CmpFPredicate::UNO), x, x), x, result);
}

Value VectorMath::log(Value x) {
  // Denormals are scaled into the normal range first.
  Value tiny = compare(int(arith::CmpFPredicate::OLT), x, splat(1.17549435e-38, x));
  Value scaled = select(tiny, mul(x, splat(8388608.0, x)), x);
  Value bits = asInt(scaled);
  // Subtracting sqrt(1/2)'s bits puts the mantissa in [sqrt(1/2), sqrt(2)).
  Value shifted = arith::SubIOp::create(b, loc, bits, splatInt(0x3f3504f3, x));
  Value exponent = arith::ShRSIOp::create(b, loc, shifted, splatInt(23, x));
  Value mantissaBits =
      arith::SubIOp::create(b, loc, bits, arith::ShLIOp::create(b, loc, exponent, splatInt(23, x)));
  Value f = sub(asFloat(mantissaBits), splat(1, x));
  Value n = arith::SIToFPOp::create(b, loc, shapedLike(x, b.getF32Type()), exponent);
  n = sub(n, select(tiny, splat(23, x), splat(0, x)));
  Value p = polynomial(f, {3.333331260e-01, -2.500000961e-01, 2.000211876e-01, -1.666799547e-01,
                           1.421955027e-01, -1.240559420e-01, 1.188818170e-01, -1.167562834e-01,
                           6.746570872e-02});
  Value ff = mul(f, f);
  Value y = mul(mul(ff, f), p);
  y = fma(n, splat(-2.12194440e-4, x), y);
  y = fma(ff, splat(-0.5, x), y);
  y = add(y, f);
  y = fma(n, splat(0.693359375, x), y);
  constexpr double inf = std::numeric_limits<double>::infinity();
  y = select(compare(int(arith::CmpFPredicate::OEQ), x, splat(0, x)), splat(-inf, x), y);
  y = select(compare(int(arith::CmpFPredicate::OEQ), x, splat(inf, x)), splat(inf, x), y);
  Value bad = compare(int(arith::CmpFPredicate::ULT), x, splat(0, x));
  return select(bad, splat(std::numeric_limits<double>::quiet_NaN(), x), y);
}

Value VectorMath::log1p(Value x) {
  // log(1 + x) = 2 artanh(s) with s = x / (2 + x) <= 1/3, where artanh(s) = s + s^3 p(s^2).
  Value s = div(x, add(splat(2, x), x));
  Value z = mul(s, s), twice = add(s, s);
  Value p = polynomial(
      z, {3.333333433e-01, 1.999985278e-01, 1.429617852e-01, 1.085328758e-01, 1.161216497e-01});
  return fma(mul(twice, z), p, twice);
}

Value VectorMath::sinusoid(Value x, int64_t quadrant) {
  Value n = math::RoundEvenOp::create(b, loc, mul(x, splat(0.636619772367581343, x)));
  // pi/2 in three parts of falling size: exact products by fma for |n| < 2^24.
  Value r = fma(n, splat(-1.57079625129699707031, x), x);
  r = fma(n, splat(-7.54978941586159635335e-8, x), r);
  r = fma(n, splat(-5.39030285815811905290e-15, x), r);
  Value s = mul(r, r);
  Value sine =
      fma(mul(r, s), polynomial(s, {-1.666665459e-01, 8.332155037e-03, -1.951408325e-04}), r);
  Value cosine = fma(mul(s, s), polynomial(s, {4.166664627e-02, -1.388733705e-03, 2.443484319e-05}),
                     fma(s, splat(-0.5, x), splat(1, x)));
  Value q = arith::FPToSIOp::create(b, loc, shapedLike(x, b.getI32Type()), n);
  q = arith::AddIOp::create(b, loc, q, splatInt(quadrant, x));
  auto bit = [&](int64_t mask) -> Value {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne,
                                 arith::AndIOp::create(b, loc, q, splatInt(mask, x)),
                                 splatInt(0, x));
  };
  Value y = select(bit(1), cosine, sine);
  return select(bit(2), neg(y), y);
}
Value VectorMath::sin(Value x) { return sinusoid(x, 0); }
Value VectorMath::cos(Value x) { return sinusoid(x, 1); }

Value VectorMath::tanh(Value x) {
  Value s = mul(x, x);
  Value small = fma(mul(x, s),
                    polynomial(s, {-3.333328392e-01, 1.333149123e-01, -5.374349377e-02,
                                   2.065057463e-02, -5.717032098e-03}),
                    x);
  Value e = exp(mul(abs(x), splat(-2, x)));
  Value large = div(sub(splat(1, x), e), add(splat(1, x), e));
  large = math::CopySignOp::create(b, loc, large, x);
  return select(compare(int(arith::CmpFPredicate::OLT), abs(x), splat(0.625, x)), small, large);
}

Value VectorMath::erf(Value x) {
  Value a = abs(x);
  Value s = mul(x, x);
  Value small =
      mul(x, polynomial(s, {1.128379166e+00, -3.761262714e-01, 1.128360017e-01, -2.685444448e-02,
                            5.189535138e-03, -8.020839609e-04, 7.889114241e-05}));
  // -log erfc on [0.9, 4]; beyond 4, erf is 1 in f32.
  Value bounded = min(splat(4, x), a);
  Value large = sub(splat(1, x),
                    exp(neg(polynomial(bounded, {-1.705523861e-04, 1.129495161e+00, 6.333866426e-01,
                                                 1.082366239e-01, -2.509149994e-02, 4.160528267e-03,
                                                 -4.323032835e-04, 2.090958099e-05}))));
  large = math::CopySignOp::create(b, loc, large, x);
  return select(compare(int(arith::CmpFPredicate::OLT), a, splat(1, x)), small, large);
}

Value VectorMath::sigmoid(Value x) { return div(splat(1, x), add(splat(1, x), exp(neg(x)))); }

Value VectorMath::softplus(Value x) { return add(max(x, splat(0, x)), log1p(exp(neg(abs(x))))); }

Value VectorMath::pow(Value x, Value y) {
  // Small whole exponents are products, exact in sign and cheaper.
  DenseElementsAttr dense;
  FloatAttr scalar;
  std::optional<double> exponent;
  if (auto constant = y.getDefiningOp<arith::ConstantOp>()) {
    if ((scalar = dyn_cast<FloatAttr>(constant.getValue())))
      exponent = scalar.getValueAsDouble();
    else if ((dense = dyn_cast<DenseElementsAttr>(constant.getValue())) && dense.isSplat())
      exponent = dense.getSplatValue<APFloat>().convertToFloat();
  }
  if (exponent && *exponent == 0.5)
    return sqrt(x);
  if (exponent && *exponent == -0.5)
    return div(splat(1, x), sqrt(x));
  if (exponent && std::abs(*exponent) <= 16 && *exponent == std::floor(*exponent)) {
    Value result = splat(1, x), power = x;
    bool first = true;
    for (int n = int(std::abs(*exponent)); n; n >>= 1, power = n ? mul(power, power) : power)
      if (n & 1) {
        result = first ? power : mul(result, power);
        first = false;
      }
    return *exponent < 0 ? div(splat(1, x), result) : result;
  }
  Value magnitude = exp(mul(y, log(abs(x))));
  Value whole = compare(int(arith::CmpFPredicate::OEQ), floor(y), y);
  Value half = mul(y, splat(0.5, y));
  Value odd = compare(int(arith::CmpFPredicate::ONE), floor(half), half);
  Value nan = splat(std::numeric_limits<double>::quiet_NaN(), x);
  Value negative = select(whole, select(odd, neg(magnitude), magnitude), nan);
  Value result =
      select(compare(int(arith::CmpFPredicate::OLT), x, splat(0, x)), negative, magnitude);
  return select(compare(int(arith::CmpFPredicate::OEQ), y, splat(0, y)), splat(1, x), result);
}

Value VectorMath::map(MapKind kind, ValueRange v) {
  auto isBool = [](Value x) { return getElementTypeOrSelf(x.getType()).isInteger(1); };
  switch (kind) {
  case MapKind::Add:
    return add(v[0], v[1]);
  case MapKind::Sub:
    return sub(v[0], v[1]);
  case MapKind::Mul:
    return mul(v[0], v[1]);
  case MapKind::Div:
    return div(v[0], v[1]);
  case MapKind::Min:
    return min(v[0], v[1]);
  case MapKind::Max:
    return max(v[0], v[1]);
  case MapKind::Pow:
    return pow(v[0], v[1]);
  case MapKind::Mod:
    return fma(neg(floor(div(v[0], v[1]))), v[1], v[0]);
  case MapKind::Neg:
    return neg(v[0]);
  case MapKind::Abs:
    return abs(v[0]);
  case MapKind::Exp:
    return exp(v[0]);
  case MapKind::Log:
    return log(v[0]);
  case MapKind::Sqrt:
    return sqrt(v[0]);
  case MapKind::Rsqrt:
    return div(splat(1, v[0]), sqrt(v[0]));
  case MapKind::Sin:
    return sin(v[0]);
  case MapKind::Cos:
    return cos(v[0]);
  case MapKind::Tanh:
    return tanh(v[0]);
  case MapKind::Erf:
    return erf(v[0]);
  case MapKind::Sigmoid:
    return sigmoid(v[0]);
  case MapKind::Softplus:
    return softplus(v[0]);
  case MapKind::Floor:
    return floor(v[0]);
  case MapKind::Sign:
    return sign(v[0]);
  case MapKind::Lt:
    return compare(int(arith::CmpFPredicate::OLT), v[0], v[1]);
  case MapKind::Le:
    return compare(int(arith::CmpFPredicate::OLE), v[0], v[1]);
  case MapKind::Eq:
    if (isBool(v[0]))
      return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, v[0], v[1]);
    return compare(int(arith::CmpFPredicate::OEQ), v[0], v[1]);
  case MapKind::Ne:
    if (isBool(v[0]))
      return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, v[0], v[1]);
    return compare(int(arith::CmpFPredicate::UNE), v[0], v[1]);
  case MapKind::And:
    return arith::AndIOp::create(b, loc, v[0], v[1]);
  case MapKind::Or:
    return arith::OrIOp::create(b, loc, v[0], v[1]);
  case MapKind::Not: {
    Type type = v[0].getType();
    TypedAttr one = b.getBoolAttr(true);
    if (auto vector = dyn_cast<VectorType>(type))
      one = DenseElementsAttr::get(vector, true);
    return arith::XOrIOp::create(b, loc, v[0], arith::ConstantOp::create(b, loc, one));
  }
  case MapKind::Select:
    return select(v[0], v[1], v[2]);
  case MapKind::Convert:
    if (isBool(v[0]))
      return arith::UIToFPOp::create(b, loc, shapedLike(v[0], b.getF32Type()), v[0]);
    if (isa<IntegerType>(getElementTypeOrSelf(v[0].getType())))
      return arith::SIToFPOp::create(b, loc, shapedLike(v[0], b.getF32Type()), v[0]);
    return v[0];
  }
  llvm_unreachable("unknown map kind");
}

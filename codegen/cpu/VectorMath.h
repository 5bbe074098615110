//===- VectorMath.h - Elementary functions on vectors of f32 --------------===//
//
// LLVM turns math.exp and its kin into scalar library calls at the widths used here, so each
// function is a short polynomial of arith and math.fma ops. They work on f32 and on vector<Nxf32>
// alike.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"
#include "mlir/IR/Builders.h"

namespace rondo::cpu {

/// Builds arithmetic on values of one shape: f32, or a vector of it.
class VectorMath {
public:
  VectorMath(mlir::OpBuilder &builder, mlir::Location loc) : b(builder), loc(loc) {}

  /// `value` in the shape of `like`.
  mlir::Value splat(double value, mlir::Value like);

  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);
  mlir::Value min(mlir::Value x, mlir::Value y);
  mlir::Value max(mlir::Value x, mlir::Value y);
  mlir::Value neg(mlir::Value x);
  mlir::Value abs(mlir::Value x);
  mlir::Value floor(mlir::Value x);
  mlir::Value sqrt(mlir::Value x);
  mlir::Value sign(mlir::Value x);

  // Largest errors against f64 over the stated range, measured by test/codegen/vector-math.test:
  // ulp unless said.
  mlir::Value exp(mlir::Value x); ///< 2 ulp; 0 below -104, inf above 88.73
  /// exp(x y): 2 ulp and what x y loses by two roundings. Of exponentials of many products with one
  /// x, the part of x alone is computed once.
  mlir::Value expOfProduct(mlir::Value x, mlir::Value y);
  mlir::Value log(mlir::Value x);                ///< 2 ulp; -inf at 0, NaN below
  mlir::Value log1p(mlir::Value x);              ///< 2 ulp for x in [0, 1]
  mlir::Value sin(mlir::Value x);                ///< 1e-7 absolute for |x| < 1e6
  mlir::Value cos(mlir::Value x);                ///< as sin
  mlir::Value tanh(mlir::Value x);               ///< 4 ulp
  mlir::Value erf(mlir::Value x);                ///< 4 ulp
  mlir::Value sigmoid(mlir::Value x);            ///< 4 ulp
  mlir::Value softplus(mlir::Value x);           ///< 4 ulp
  mlir::Value pow(mlir::Value x, mlir::Value y); ///< exp(y log x); negative x with integral y only

  /// Lane i: the sum of the lanes of vectors[i]; lanes past them hold anything. At most as many
  /// vectors as lanes, which are a power of two.
  mlir::Value sumsOf(llvm::ArrayRef<mlir::Value> vectors);

  /// `kind` applied to operands already brought to one shape.
  mlir::Value map(MapKind kind, mlir::ValueRange operands);

private:
  mlir::Value exp512(mlir::Value x);
  mlir::Value polynomial(mlir::Value x, llvm::ArrayRef<double> coefficients);
  mlir::Value asInt(mlir::Value x);
  mlir::Value asFloat(mlir::Value bits);
  mlir::Value splatInt(int64_t value, mlir::Value like);
  mlir::Value compare(int predicate, mlir::Value x, mlir::Value y);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);
  /// sin(x) for quadrant offset 0, cos(x) for 1.
  mlir::Value sinusoid(mlir::Value x, int64_t quadrant);

  mlir::OpBuilder &b;
  mlir::Location loc;
};

} // namespace rondo::cpu

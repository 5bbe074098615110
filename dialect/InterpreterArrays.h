//===- InterpreterArrays.h - Array ops by named axes -----------*- C++ -*-===//
//
// The interpreter's array functions: each is the equation of its op, element by element, in `Real`:
// double or long double.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Interpreter.h"

namespace rondo::interpreter {

using Axes = std::vector<llvm::StringRef>;

/// Numbers in row-major order, as `Array` is.
template <typename Real> struct Numbers {
  std::vector<int64_t> shape;
  std::vector<Real> data;
};

template <typename To, typename From> Numbers<To> convertTo(const From &from) {
  return {from.shape, {from.data.begin(), from.data.end()}};
}

/// An array whose axes have names.
template <typename Real> struct Named {
  Axes axes;
  Numbers<Real> array;
  std::string parameter = {}; ///< the path of the one that this is; empty: a computed value

  int64_t extent(llvm::StringRef axis) const; ///< 1 where it lacks the axis
  bool has(llvm::StringRef axis) const { return llvm::is_contained(axes, axis); }
};

/// An array of zeros over `axes`, with the extents that `like` gives them.
template <typename Real>
Named<Real> zerosOver(const Axes &axes, llvm::ArrayRef<const Named<Real> *> like);

/// Calls body(offset in the result, offsets in the operands) for every index of `result`; an
/// operand without an axis stays where it is along it.
template <typename Real>
void forEachIndex(const Named<Real> &result, llvm::ArrayRef<const Named<Real> *> operands,
                  llvm::function_ref<void(int64_t, llvm::ArrayRef<int64_t>)> body);

template <typename Real> Real rounded(Real x, bool f32) { return f32 ? Real(float(x)) : x; }

/// `element`: of the result, what `convert` converts to.
template <typename Real>
Named<Real> map(MapKind kind, llvm::ArrayRef<const Named<Real> *> operands, const Axes &resultAxes,
                mlir::Type element);
template <typename Real>
Named<Real> reduce(ReduceKind kind, const Named<Real> &source, const Axes &resultAxes, bool f32);
template <typename Real>
Named<Real> contract(const Named<Real> &lhs, const Named<Real> &rhs, const Axes &resultAxes,
                     bool f32);
/// `type`: the result's; an extent that it does not know is the source's.
template <typename Real>
llvm::Expected<Named<Real>> view(const Named<Real> &source, mlir::AffineMap map, mlir::Type type);
template <typename Real>
Named<Real> cumsum(const Named<Real> &source, llvm::StringRef axis, bool f32);
template <typename Real>
Named<Real> roundGroups(const Named<Real> &source, llvm::StringRef axis, int64_t group, bool f32);
/// `row` and `column`: of matrices of factors, else empty.
template <typename Real>
Named<Real> propagate(const Named<Real> &factors, const Named<Real> &source, llvm::StringRef axis,
                      llvm::StringRef row, llvm::StringRef column, const Axes &resultAxes,
                      bool f32);
template <typename Real>
Named<Real> solve(const Named<Real> &matrix, const Named<Real> &source, llvm::StringRef rows,
                  llvm::StringRef columns, const Axes &resultAxes, bool f32);
template <typename Real>
Named<Real> concat(llvm::ArrayRef<const Named<Real> *> sources, llvm::StringRef axis,
                   const Axes &resultAxes);
/// result[.., i ..] = table[.., ids[..] along axis, ..]; what is no index gives an error, or 0
template <typename Real>
llvm::Expected<Named<Real>> take(const Named<Real> &table, const Named<Real> &ids,
                                 llvm::StringRef axis, const Axes &resultAxes, bool zeroOutside);

/// Rows [first, first + count) of the leading axis, which is kept, dropped (count must be 1) or
/// renamed.
template <typename Real> Named<Real> rows(const Named<Real> &source, int64_t first, int64_t count);
template <typename Real> Named<Real> dropLeading(Named<Real> source);
template <typename Real> Named<Real> withLeading(Named<Real> source, llvm::StringRef axis);
template <typename Real> void appendRows(Numbers<Real> &to, const Numbers<Real> &rows);

} // namespace rondo::interpreter

//===- InterpreterArrays.h - Array ops by named axes -----------*- C++ -*-===//
//
// The interpreter's array functions: each is the equation of its op, element by element.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Interpreter.h"

namespace rondo::interpreter {

using Axes = std::vector<llvm::StringRef>;

/// An array whose axes have names.
struct Named {
  Axes axes;
  Array array;

  int64_t extent(llvm::StringRef axis) const; ///< 1 where it lacks the axis
  bool has(llvm::StringRef axis) const { return llvm::is_contained(axes, axis); }
};

/// An array of zeros over `axes`, with the extents that `like` gives them.
Named zerosOver(const Axes &axes, llvm::ArrayRef<const Named *> like);

/// Calls body(offset in the result, offsets in the operands) for every index of `result`; an
/// operand without an axis stays where it is along it.
void forEachIndex(const Named &result, llvm::ArrayRef<const Named *> operands,
                  llvm::function_ref<void(int64_t, llvm::ArrayRef<int64_t>)> body);

inline double rounded(double x, bool f32) { return f32 ? double(float(x)) : x; }

/// `element`: of the result, what `convert` converts to.
Named map(MapKind kind, llvm::ArrayRef<const Named *> operands, const Axes &resultAxes,
          mlir::Type element);
Named reduce(ReduceKind kind, const Named &source, const Axes &resultAxes, bool f32);
Named contract(const Named &lhs, const Named &rhs, const Axes &resultAxes, bool f32);
/// `type`: the result's; an extent that it does not know is the source's.
llvm::Expected<Named> view(const Named &source, mlir::AffineMap map, mlir::Type type);
Named cumsum(const Named &source, llvm::StringRef axis, bool f32);
Named concat(llvm::ArrayRef<const Named *> sources, llvm::StringRef axis, const Axes &resultAxes);
/// result[.., i ..] = table[.., ids[..] along axis, ..]
llvm::Expected<Named> take(const Named &table, const Named &ids, llvm::StringRef axis,
                           const Axes &resultAxes);

/// Rows [first, first + count) of the leading axis, which is kept, dropped (count must be 1) or
/// renamed.
Named rows(const Named &source, int64_t first, int64_t count);
Named dropLeading(Named source);
Named withLeading(Named source, llvm::StringRef axis);
void appendRows(Array &to, const Array &rows);

} // namespace rondo::interpreter

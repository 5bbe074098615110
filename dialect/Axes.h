//===- Axes.h - Types by the names of their axes ---------------*- C++ -*-===//
//
// A value's type is tensor<DIMSxELT, #rondo.axes<[names]>>: these functions read and make such
// types, so that no other code counts dimensions. `t` is time (dynamic, first, only on per-token
// values), `c` by convention the tokens of a block. Extents count elements.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinTypes.h"

#include <optional>

namespace rondo {

/// The reserved axis of time and the axis of a block's tokens.
inline constexpr llvm::StringLiteral timeAxis = "t";
inline constexpr llvm::StringLiteral blockAxis = "c";
/// The tokens that others read: the keys of an attend, the source tokens inside a block.
inline constexpr llvm::StringLiteral keyAxis = "s";

/// Whether a type may be a value's: ranked, named axes unless of rank 0, elements f32, i64 or i1.
bool isValueType(mlir::Type type);

/// The names of the axes in storage order; empty for rank 0.
llvm::ArrayRef<mlir::StringAttr> axesOf(mlir::Type type);

/// The place of an axis among the dimensions, or nothing.
std::optional<unsigned> axisIndex(mlir::Type type, llvm::StringRef name);
bool hasAxis(mlir::Type type, llvm::StringRef name);

/// Whether the value has the time axis.
bool isPerToken(mlir::Type type);

/// The extent of an axis: ShapedType::kDynamic for `t`, 1 where the type lacks the axis.
int64_t extentOf(mlir::Type type, llvm::StringRef name);

/// The product of all extents but `t`'s.
int64_t elementsPerToken(mlir::Type type);

mlir::Type elementTypeOf(mlir::Type type);

/// tensor<extents x element, axes names>; rank 0 without names. Names and extents have equal
/// lengths.
mlir::RankedTensorType namedType(mlir::MLIRContext *context, llvm::ArrayRef<mlir::StringAttr> names,
                                 llvm::ArrayRef<int64_t> extents, mlir::Type element);
mlir::RankedTensorType namedType(mlir::MLIRContext *context, llvm::ArrayRef<llvm::StringRef> names,
                                 llvm::ArrayRef<int64_t> extents, mlir::Type element);

/// All axes of the types, `t` in front, then in the order in which they are first seen.
mlir::RankedTensorType unionType(mlir::TypeRange types, mlir::Type element);

mlir::RankedTensorType withoutAxis(mlir::Type type, llvm::StringRef name);
mlir::RankedTensorType withoutTime(mlir::Type type);

/// The axis in front of the others; the type must not have it yet.
mlir::RankedTensorType withLeadingAxis(mlir::Type type, llvm::StringRef name, int64_t extent);
mlir::RankedTensorType withTime(mlir::Type type);

mlir::RankedTensorType withElementType(mlir::Type type, mlir::Type element);

} // namespace rondo

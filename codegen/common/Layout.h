//===- Layout.h - How a weight lies in a package ---------------*- C++ -*-===//
//
//   rows       row-major in the order of the axes
//   panels32   of [n, k]: [ceil(n / 32)][k][32], n zero-padded, so that a product reads 32 outputs' weights of one k as consecutive vectors,
//              whatever the vector length, for one row as for many
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinTypes.h"
#include <vector>

namespace rondo {

/// Whether `layout` is one that tensors of `type` can have.
bool isLayoutOf(llvm::StringRef layout, mlir::RankedTensorType type);

/// f32 elements of a tensor stored so, padding included.
int64_t packedElements(llvm::StringRef layout, mlir::RankedTensorType type);

/// `rows` (row-major) brought into a layout that isLayoutOf accepts.
std::vector<float> pack(llvm::StringRef layout, mlir::RankedTensorType type, std::vector<float> rows);

} // namespace rondo

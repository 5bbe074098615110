//===- Products.h - Which contractions are products with a matrix -*- C++ -*-===//

#pragma once

#include "dialect/Rondo.h"

namespace rondo {

/// The side of `contract` that is a plain matrix [n, k] of parameters, when the op is rows times
/// that matrix and large enough for a kernel of its own; else null.
mlir::Value productWeight(ContractOp contract);

} // namespace rondo

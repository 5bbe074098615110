//===- Derived.h - Weights computed from parameters ------------*- C++ -*-===//

#pragma once

#include "codegen/common/Plan.h"
#include <functional>

namespace rondo {

using ParameterReader = llvm::function_ref<mlir::FailureOr<std::vector<float>>(ParamOp)>;

/// The values of a plan's constant that is no parameter, row-major: its expression is computed by
/// the reference interpreter in f64 and rounded once to f32.
mlir::FailureOr<std::vector<float>> evaluateDerived(const Plan &plan, int64_t constant,
                                                    ParameterReader parameter);

} // namespace rondo

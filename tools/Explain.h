//===- Explain.h - What was derived, in words ------------------*- C++ -*-===//

#pragma once

#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace rondo {

/// The text of --explain, of a module at block level: for every entry its recurrences with their
/// transition class and form, its reads of other tokens with their block map, then what was not
/// done (`remarks`).
std::string explain(mlir::ModuleOp block, const std::vector<std::string> &remarks);

/// What follows for a module at kernel level: for every entry its kernels, with what each computes
/// for a token, and reads of weights (codegen/common/Work.h).
std::string explainKernels(mlir::ModuleOp kernels);

/// The same as `explain` for programs (--explain --json): {"entries": [{"entry": NAME, "parts": [...]}],
/// "remarks": [...]}. A part has `kind`, `name`, `place` (FILE:LINE:COLUMN in the spec) and
/// `times`; a recurrence `states` with their `axes` and `floats`, `transition`, `form`, `chunk`,
/// `why` and `cost`.
std::string explainJson(mlir::ModuleOp block, const std::vector<std::string> &remarks);

} // namespace rondo

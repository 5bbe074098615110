//===- Rondo.h - The rondo dialect -----------------------------*- C++ -*-===//
//
// Everything a pass needs to know of the dialect: ops, attributes, and (Axes.h) types by the names
// of their axes.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialect/Axes.h"

#include "dialect/RondoDialect.h.inc"
#include "dialect/RondoEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/RondoAttributes.h.inc"

namespace rondo {
class YieldOp;
}

#define GET_OP_CLASSES
#include "dialect/RondoOps.h.inc"

namespace rondo {

/// The name of a recurrence's state. A recurrence that is named after its first state, "mixer.S",
/// has its states beside it: "mixer.S", "mixer.z". Otherwise they are inside it: "r.S", "r.z".
std::string recurrenceStateName(llvm::StringRef recurrence, mlir::ArrayAttr states, unsigned index);

/// The types of the arguments of a recurrence's body: inputs, states, and once more the states when
/// `every` groups them. A per-token input comes without `t` (chunk = 0, one token) or with the
/// block axis `c` of `chunk` tokens in its place.
llvm::SmallVector<mlir::Type> recurrenceArguments(mlir::TypeRange inputs, mlir::TypeRange states,
                                                  bool grouped, int64_t chunk);

/// The types of the arguments of the body of an `over`: positions of t and s, queries and keys
/// without `t`, shared values. `tiled`: of an `attend`, whose body runs on tiles: the position of t
/// and the queries keep `t`, the position of s and the keys have `s` (of unknown extent) in its
/// place.
llvm::SmallVector<mlir::Type> pairArguments(mlir::MLIRContext *context, mlir::TypeRange queries,
                                            mlir::TypeRange keys, mlir::TypeRange shared,
                                            bool tiled);

/// The types of the arguments of the body of a `route`: inputs without `t` and the ids' axes, then
/// tables without `axis`.
llvm::SmallVector<mlir::Type> routeArguments(mlir::Type ids, llvm::StringRef axis,
                                             mlir::TypeRange inputs, mlir::TypeRange tables);

/// The axis that the path of a stacked parameter names: "e" of "experts.{e}.w1.weight"; empty:
/// the path is one tensor's.
llvm::StringRef stackedAxis(llvm::StringRef path);
/// The path of the `index`-th tensor of a stacked parameter.
std::string pathOfSlice(llvm::StringRef path, int64_t index);

/// How paths of a module's parameters begin, and how names of a checkpoint's tensors may instead:
/// the pairs of `rondo.renamed`.
std::vector<std::pair<std::string, std::string>> renamesOf(mlir::ModuleOp module);

} // namespace rondo

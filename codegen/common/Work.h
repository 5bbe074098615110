//===- Work.h - What a kernel computes and reads ---------------*- C++ -*-===//
//
// Counted from the ops of an outlined kernel, before it has a schedule: the least that any schedule
// does. `rondo bench --kernels` holds measured times against it, `--explain` prints it.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace rondo {

struct KernelWork {
  /// Arithmetic for one row: a multiply-add is two, any function of one element is one.
  double flopsPerRow = 0;
  /// The same for one token looked at by one other (attend).
  double flopsPerPair = 0;
  /// Of per-token operands and results, and of the rows of tables that are looked up.
  int64_t bytesPerRow = 0;
  /// Of weights that are read whole, however many rows there are.
  int64_t bytesOnce = 0;
};

/// `kernel` carries `rondo.kernel`. States are not counted: a launch's operands say which.
KernelWork workOf(mlir::func::FuncOp kernel);

} // namespace rondo

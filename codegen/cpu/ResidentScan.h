//===- ResidentScan.h - Token loops whose states stay in registers --------===//
//
// Where a recurrence exchanges nothing along some axis (channels) and a lane of it has few numbers
// of state, a vector of that axis can walk the whole piece on its own: its states are loaded once,
// carried from token to token in registers, and stored at the end. Where a lane has more of them
// than registers, and what is read of them are sums along an axis that exchanges nothing otherwise,
// it walks once for each part of that axis and adds up what they come to.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/KernelFrame.h"
#include <optional>

namespace rondo::cpu {

/// How the axes of a token body are run when its states stay in registers.
struct Residency {
  mlir::StringAttr lanes;                    ///< in vectors
  llvm::SmallVector<mlir::StringAttr> outer; ///< loops around; all other axes are unrolled
  int64_t registers = 0;                     ///< vectors of state that a walk has
  mlir::StringAttr parted;                   ///< taken in parts; null: everything at once
  int64_t partSize = 0;                      ///< indices of it in a part
};

/// Nothing where the states are too many and have no axis to part, or no axis of at least half a
/// vector is free.
std::optional<Residency> planResidency(ScanOp scan, const Isa &target);

/// Where an output of a scan goes: result `place` of the kernel is `value`, the output itself or
/// elementwise in it.
struct Ending {
  unsigned place;
  mlir::Value value;
};

/// The token body at rows [first, last) of one sequence, over `ranges`; states are read from and
/// written to `stateBuffers`, outputs end as `endings` say.
mlir::LogicalResult emitResident(KernelFrame &frame, ScanOp scan, const Residency &residency,
                                 const IndexRanges &ranges, mlir::ArrayRef<Buffer> stateBuffers,
                                 mlir::ArrayRef<Ending> endings, mlir::Value first,
                                 mlir::Value last);

} // namespace rondo::cpu

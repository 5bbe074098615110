//===- LeadAxes.h - One token's ops, run on many tokens --------*- C++ -*-===//
//
// Bodies of recurrences and of `over` are written for one token (or one pair): their values have no
// axis for it. The same op computes many tokens at once when its operands carry a further axis in
// front:
//
//   `t`   all tokens (outside of the body), or a block of queries inside an attend
//   `c`   the tokens of a block, inside a scan's block region
//   `s`   the source tokens: keys of an attend, earlier tokens of a scan's block
//
// Since every op broadcasts by name, only types change, and the index maps of views, which say
// nothing about `t` but do list `c` and `s`. These are the lead axes; they stand in front in the
// order t, c, s.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

namespace rondo {

/// `type` with `axis` of `extent` in front (behind other lead axes that come before it in the order
/// t, c, s).
mlir::RankedTensorType withLeadAxis(mlir::Type type, llvm::StringRef axis, int64_t extent);

bool isLeadAxis(llvm::StringRef axis);

/// Whether cloneOverLeadAxes knows how to run this op on many tokens.
bool canRunOnManyTokens(mlir::Operation *op);

/// Clones an array op (map, reduce, contract, view, constant, index, gather, pick, concat) on
/// mapped operands which may carry further lead axes, and maps its result. Fails, with the reason
/// in `why`, for an op that mixes tokens or holds a region and for a `concat` whose sources would
/// differ in their lead axes.
mlir::LogicalResult cloneOverLeadAxes(mlir::OpBuilder &builder, mlir::Operation *op,
                                      mlir::IRMapping &mapping, std::string &why);

/// Makes the map of a view whose operand and result gained `added` axes in front index those by
/// themselves.
void indexFrontByItself(ViewOp view, unsigned added);

} // namespace rondo

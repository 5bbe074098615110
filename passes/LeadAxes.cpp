//===- LeadAxes.cpp - One token's ops, run on many tokens -----------------===//

#include "passes/LeadAxes.h"

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/AffineMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

using namespace mlir;

namespace rondo {

static constexpr llvm::StringLiteral leadAxes[] = {"t", "c", "s"};

bool isLeadAxis(StringRef axis) { return llvm::is_contained(leadAxes, axis); }

/// Position of a lead axis in the order t, c, s; other axes come after all of them.
static size_t leadOrder(StringRef axis) {
  return std::distance(std::begin(leadAxes), llvm::find(leadAxes, axis));
}

RankedTensorType withLeadAxis(Type type, StringRef axis, int64_t extent) {
  auto tensor = cast<RankedTensorType>(type);
  if (hasAxis(type, axis))
    return tensor;
  SmallVector<StringAttr> axes(axesOf(type));
  SmallVector<int64_t> extents(tensor.getShape());
  size_t at = 0;
  while (at < axes.size() && leadOrder(axes[at]) < leadOrder(axis))
    ++at;
  axes.insert(axes.begin() + at, StringAttr::get(type.getContext(), axis));
  extents.insert(extents.begin() + at, extent);
  return namedType(type.getContext(), axes, extents, tensor.getElementType());
}

bool canRunOnManyTokens(Operation *op) {
  return isa<MapOp, ReduceOp, ContractOp, ViewOp, ConstantOp, IndexOp, GatherOp, PickOp, ConcatOp,
             RoundOp, PropagateOp, SolveOp>(op);
}

LogicalResult cloneOverLeadAxes(OpBuilder &builder, Operation *op, IRMapping &mapping,
                                std::string &why) {
  if (!canRunOnManyTokens(op)) {
    why = "'" + op->getName().getStringRef().str() + "' reaches other tokens or holds a region";
    return failure(); // the caller reports `why`
  }
  // Lead axes that an operand gained.
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  SmallVector<std::pair<StringRef, int64_t>> gained;
  for (Value operand : op->getOperands()) {
    Value mapped = mapping.lookupOrDefault(operand);
    for (StringAttr name : axesOf(mapped.getType()))
      if (StringRef axis = name.getValue();
          isLeadAxis(axis) && !hasAxis(operand.getType(), axis) &&
          !llvm::is_contained(llvm::make_first_range(gained), axis))
        gained.push_back({axis, extentOf(mapped.getType(), axis)});
  }
  for (auto [axis, extent] : gained)
    type = withLeadAxis(type, axis, extent);

  if (auto concat = dyn_cast<ConcatOp>(op))
    for (Value source : concat.getSources())
      for (auto [axis, extent] : gained)
        if (!hasAxis(mapping.lookupOrDefault(source).getType(), axis)) {
          why = "a concatenation joins values that vary along '" + axis.str() +
                "' with one that does not";
          return failure(); // the caller reports `why`
        }

  Operation *clone = builder.clone(*op, mapping);
  clone->getResult(0).setType(type);
  if (auto view = dyn_cast<ViewOp>(clone)) {
    // Views do not index `t`; the other lead axes are indexed by themselves.
    indexFrontByItself(view, llvm::count_if(gained, [](auto &g) { return g.first != "t"; }));
  }
  return success();
}

void indexFrontByItself(ViewOp view, unsigned added) {
  AffineMap map = view.getMap();
  SmallVector<AffineExpr> exprs;
  for (unsigned i = 0; i < added; ++i)
    exprs.push_back(getAffineDimExpr(i, view.getContext()));
  llvm::append_range(exprs, map.shiftDims(added).getResults());
  view.setMap(AffineMap::get(map.getNumDims() + added, 0, exprs, view.getContext()));
}

} // namespace rondo

//===- Work.cpp - What a kernel computes and reads ------------------------===//

#include "codegen/common/Work.h"

#include "codegen/common/Plan.h"
#include "dialect/Axes.h"
#include "dialect/Rondo.h"
#include "runtime/weight_layout.h"

using namespace mlir;
using namespace rondo;

/// Elements of a value for one token (and one token looked at): axes of unknown extent count once.
static double elementsOf(Type type) {
  double count = 1;
  for (int64_t extent : cast<RankedTensorType>(type).getShape())
    count *= ShapedType::isDynamic(extent) ? 1 : double(extent);
  return count;
}

static double flopsOf(Operation &op) {
  if (auto contract = dyn_cast<ContractOp>(op)) {
    double count = 2 * elementsOf(contract.getType());
    for (Attribute axis : contract.getAxes())
      count *= double(extentOf(contract.getLhs().getType(), cast<StringAttr>(axis).getValue()));
    return count;
  }
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return elementsOf(reduce.getSource().getType());
  if (auto propagate = dyn_cast<PropagateOp>(op))
    return 2 * elementsOf(propagate.getFactors().getType());
  if (auto solve = dyn_cast<SolveOp>(op))
    return elementsOf(solve.getType()) * double(extentOf(solve.getType(), solve.getRows()));
  if (isa<MapOp, CumsumOp, RoundOp>(op))
    return elementsOf(op.getResult(0).getType());
  return 0;
}

static double flopsOf(Block &block) {
  double count = 0;
  for (Operation &op : block)
    count += flopsOf(op);
  return count;
}

/// A softmax or sum over tiles: beside the body, each pair's score is compared, exponentiated and
/// summed, and its value is multiplied and added.
static double flopsPerPair(AttendOp attend) {
  Block &body = *attend.getBlock();
  auto yield = cast<YieldOp>(body.getTerminator());
  ValueRange outputs = yield.getOutputs();
  bool softmax = attend.getKind() == OverKind::Softmax;
  double score = softmax ? elementsOf(outputs[1].getType()) : 0;
  double value = elementsOf(attend.getType());
  return flopsOf(body) + 4 * score + (softmax ? 2 : 1) * value;
}

/// Bytes of a value without `t` in the layout that its kernel reads.
static int64_t storedBytes(BlockArgument argument) {
  auto kernel = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  auto layout = kernel.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "rondo.layout");
  auto type = cast<RankedTensorType>(argument.getType());
  std::vector<int64_t> shape = type.getShape().vec();
  std::optional<uint64_t> bytes;
  if (layout)
    bytes = packedBytes(storedType(layout.getValue().str()), shape, layout.getValue().str());
  return bytes ? int64_t(*bytes) : bytesPerToken(type);
}

KernelWork rondo::workOf(func::FuncOp kernel) {
  KernelWork work;
  Block &body = kernel.getBody().front();
  for (Operation &op : body) {
    if (auto scan = dyn_cast<ScanOp>(op)) {
      bool blocks = !scan.getBlock().empty();
      Region &region = blocks ? scan.getBlock() : scan.getToken();
      work.flopsPerRow += flopsOf(region.front()) / double(blocks ? scan.getChunk() : 1);
    } else if (auto attend = dyn_cast<AttendOp>(op)) {
      work.flopsPerPair += flopsPerPair(attend);
    } else if (op.getNumResults() && isPerToken(op.getResult(0).getType())) {
      work.flopsPerRow += flopsOf(op);
    }
  }
  for (BlockArgument argument : body.getArguments()) {
    int64_t bytes = bytesPerToken(argument.getType());
    auto isLookedUp = [&](Operation *user) {
      auto gather = dyn_cast<GatherOp>(user);
      return gather && gather.getTable() == argument;
    };
    if (isPerToken(argument.getType()))
      work.bytesPerRow += bytes;
    else if (!argument.use_empty() && llvm::all_of(argument.getUsers(), isLookedUp))
      for (Operation *user : argument.getUsers())
        work.bytesPerRow += bytesPerToken(user->getResult(0).getType());
    else
      work.bytesOnce += storedBytes(argument);
  }
  for (Type type : kernel.getResultTypes())
    work.bytesPerRow += bytesPerToken(type);
  return work;
}

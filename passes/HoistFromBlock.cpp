//===- HoistFromBlock.cpp - Parameter-only work leaves a scan's block -----===//
//
// Block level to block level.
//
//   scan (%a) block(%u, %S) { %p = propagate %a, [c == s]; %y = p . u + ... }
//     ->  %p = propagate %a, [c == s]        (once, when the package is written)
//         scan (%p) block(%u, %S) { %y = p . u + ... }
//
// Sound because what reads neither a token nor a state is the same in every block. Where a decay is
// constant in time, so are the products of decays between two tokens of a block; where the reads
// and keys are as well, what remains is a convolution with a stored kernel, and the state carried
// from block to block.
//
//===----------------------------------------------------------------------===//

#include "passes/FreeWork.h"
#include "passes/LeadAxes.h"
#include "passes/Passes.h"

namespace rondo {
#define GEN_PASS_DEF_HOISTFROMBLOCKPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

/// A larger table is computed again in every block rather than read from memory.
constexpr int64_t mostElements = int64_t(1) << 18;
/// The block axis outside of the scan, which has that name for itself.
constexpr llvm::StringLiteral outsideAxis = "c_block";

Value renamed(OpBuilder &builder, Value value, StringRef from, StringRef to) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!hasAxis(type, from))
    return value;
  SmallVector<StringAttr> names(axesOf(type));
  for (StringAttr &name : names)
    if (name == from)
      name = builder.getStringAttr(to);
  auto result = namedType(builder.getContext(), names, type.getShape(), type.getElementType());
  return ViewOp::create(builder, value.getLoc(), result, value,
                        AffineMapAttr::get(builder.getMultiDimIdentityMap(type.getRank())));
}

enum Dependence : unsigned { onToken = 1, onParameter = 2 };

/// What of a block can be computed before any token is seen, and is worth keeping. Tables of
/// constants alone are not: they are as cheap to make as to read.
FreeWork invariantWork(ScanOp scan) {
  Block &block = scan.getBlock().front();
  DependenceMap masks = dependences(block, [&](BlockArgument argument) -> unsigned {
    unsigned place = argument.getArgNumber();
    bool varies = place >= scan.getInputs().size() || isPerToken(scan.getInputs()[place].getType());
    return varies ? onToken : onParameter;
  });
  auto isFree = [&](Operation *op) {
    return op->getNumResults() == 1 && !(masks.lookup(op->getResult(0)) & onToken) &&
           canRunOnManyTokens(op);
  };
  auto isWorth = [&](Operation *op) {
    return isArithmetic(op) && (masks.lookup(op->getResult(0)) & onParameter) &&
           elementsPerToken(op->getResult(0).getType()) <= mostElements;
  };
  return findFreeWork(block, isFree, isWorth);
}

struct HoistFromBlock : rondo::impl::HoistFromBlockPassBase<HoistFromBlock> {
  using HoistFromBlockPassBase::HoistFromBlockPassBase;

  void runOnOperation() override {
    SmallVector<ScanOp> scans;
    getOperation()->walk([&](ScanOp scan) {
      if (!scan.getBlock().empty())
        scans.push_back(scan);
    });
    for (ScanOp scan : scans)
      hoist(scan);
  }

  void hoist(ScanOp scan) {
    FreeWork work = invariantWork(scan);
    if (work.results.empty())
      return;
    Block &block = scan.getBlock().front(), &token = scan.getToken().front();
    OpBuilder outside(scan), inside = OpBuilder::atBlockBegin(&block);
    IRMapping mapping;
    for (auto [argument, input] : llvm::zip(block.getArguments(), scan.getInputs()))
      mapping.map(argument, input);
    for (Operation *op : work.ops)
      outside.clone(*op, mapping);
    SmallVector<Value> inputs(scan.getInputs());
    for (Value result : work.results) {
      Value kept = renamed(outside, mapping.lookup(result), blockAxis, outsideAxis);
      unsigned at = inputs.size();
      inputs.push_back(kept);
      token.insertArgument(at, kept.getType(), result.getLoc());
      Value argument = block.insertArgument(at, kept.getType(), result.getLoc());
      result.replaceAllUsesWith(renamed(inside, argument, outsideAxis, blockAxis));
      ++numHoisted;
    }
    scan.getInputsMutable().assign(inputs);
    for (Operation *op : llvm::reverse(work.ops.getArrayRef()))
      if (op->use_empty())
        op->erase();
  }
};

} // namespace

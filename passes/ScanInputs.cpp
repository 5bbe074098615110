//===- ScanInputs.cpp - A scan's bodies read what they are given ----------===//

#include "passes/ScanInputs.h"

using namespace mlir;

namespace rondo {

static void eraseDead(Block &block) {
  SmallVector<Operation *> ops(
      llvm::map_range(block.without_terminator(), [](Operation &op) { return &op; }));
  for (Operation *op : llvm::reverse(ops))
    if (op->use_empty())
      op->erase();
}

void pruneScan(ScanOp scan) {
  for (Region *region : {&scan.getToken(), &scan.getBlock()})
    for (Block &block : *region)
      eraseDead(block);
  SmallVector<Value> inputs(scan.getInputs());
  for (unsigned i = inputs.size(); i-- > 0;) {
    bool isRead = !scan.getToken().getArgument(i).use_empty() ||
                  (!scan.getBlock().empty() && !scan.getBlock().getArgument(i).use_empty());
    if (isRead)
      continue;
    scan.getToken().eraseArgument(i);
    if (!scan.getBlock().empty())
      scan.getBlock().eraseArgument(i);
    inputs.erase(inputs.begin() + i);
  }
  scan.getInputsMutable().assign(inputs);
}

void makeSequential(ScanOp scan) {
  scan.getBlock().getBlocks().clear();
  scan.setChunk(1);
  scan.setForm("sequential");
  pruneScan(scan);
}

} // namespace rondo

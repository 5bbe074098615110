//===- SinkIntoScan.cpp - Rows that only a scan reads are made in it ------===//
//
// Block level to block level.
//
//   %u = map mul(%beta, %k);  scan (%k, %u) block(%kc, %uc, %S) { ... }
//     ->  scan (%k, %beta) block(%kc, %betac, %S) { %uc = map mul(%betac, %kc); ... }
//
// Sound because the op is elementwise in the tokens: a body's copy of it sees the same numbers at
// the tokens that the body sees. It pays where the op's operands are rows that the scan reads
// anyway, or far shorter ones: rows as long as the result are neither written nor read again. The
// opposite of what hoisting did before the form was known, when the algebra wanted leaves.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"

#include "dialect/Axes.h"
#include "dialect/Rondo.h"

namespace rondo {
#define GEN_PASS_DEF_SINKINTOSCANPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

/// Whether sinking `map`, an input of `scan`, leaves at least half of its rows unread.
bool pays(MapOp map, ScanOp scan) {
  if (!llvm::is_contained({MapKind::Add, MapKind::Sub, MapKind::Mul, MapKind::Neg},
                          map.getKind()) ||
      !map->hasOneUse() || !isPerToken(map.getType()))
    return false;
  int64_t read = 0;
  for (Value operand : map.getInputs())
    if (!llvm::is_contained(scan.getInputs(), operand))
      read += elementsPerToken(operand.getType());
  return 2 * read <= elementsPerToken(map.getType());
}

/// The type of `type`'s rows in a body: of one token, or of a block's, whose axis `chunk` is null
/// for the former.
RankedTensorType rowsOf(RankedTensorType type, std::optional<int64_t> chunk) {
  if (!isPerToken(type))
    return type;
  SmallVector<StringAttr> names(axesOf(type));
  SmallVector<int64_t> extents(type.getShape());
  for (auto [i, name] : llvm::enumerate(names))
    if (name.getValue() == timeAxis) {
      if (!chunk)
        return withoutTime(type);
      names[i] = StringAttr::get(type.getContext(), blockAxis);
      extents[i] = *chunk;
      break;
    }
  return namedType(type.getContext(), names, extents, type.getElementType());
}

struct SinkIntoScan : rondo::impl::SinkIntoScanPassBase<SinkIntoScan> {
  using SinkIntoScanPassBase::SinkIntoScanPassBase;

  void runOnOperation() override {
    SmallVector<ScanOp> scans;
    // Token loops alone take such ops when kernels are formed.
    getOperation()->walk([&](ScanOp scan) {
      if (!scan.getBlock().empty())
        scans.push_back(scan);
    });
    for (ScanOp scan : scans)
      for (unsigned i = 0; i < scan.getInputs().size();)
        if (auto map = scan.getInputs()[i].getDefiningOp<MapOp>(); map && pays(map, scan))
          sink(map, scan, i);
        else
          ++i;
  }

  void sink(MapOp map, ScanOp scan, unsigned place) {
    SmallVector<Value> inputs(scan.getInputs());
    size_t known = inputs.size();
    SmallVector<unsigned> sources;
    for (Value operand : map.getInputs()) {
      if (!llvm::is_contained(inputs, operand))
        inputs.push_back(operand);
      sources.push_back(unsigned(llvm::find(inputs, operand) - inputs.begin()));
    }
    for (Region *region : {&scan.getToken(), &scan.getBlock()}) {
      Block &body = region->front();
      std::optional<int64_t> chunk;
      if (region == &scan.getBlock())
        chunk = int64_t(scan.getChunk());
      for (size_t i = known; i < inputs.size(); ++i)
        body.insertArgument(unsigned(i), rowsOf(cast<RankedTensorType>(inputs[i].getType()), chunk),
                            map.getLoc());
      SmallVector<Value> operands;
      for (unsigned source : sources)
        operands.push_back(body.getArgument(source));
      OpBuilder builder = OpBuilder::atBlockBegin(&body);
      BlockArgument old = body.getArgument(place);
      Value made = MapOp::create(builder, map.getLoc(), cast<RankedTensorType>(old.getType()),
                                 map.getKind(), operands);
      old.replaceAllUsesWith(made);
      body.eraseArgument(place);
    }
    inputs.erase(inputs.begin() + place);
    scan.getInputsMutable().assign(inputs);
    map.erase();
    ++numSunk;
  }
};

} // namespace

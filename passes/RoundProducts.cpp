//===- RoundProducts.cpp - Rows of products in 8 bits, by groups ----------===//
//
// Token level to token level.
//
//   contract %rows, %matrix over [k]  ->  %r = round %rows along k by 32
//                                         contract %r, %matrix over [k]
//
// The one pass that changes what a program means, and only where it was asked to: matrices whose
// numbers are stored as integers are multiplied with rows of integers. The op says so at every
// later level, so that the interpreter rounds as the kernels do, and products of the same rows
// share one rounding. What a matrix' own numbers are rounded to is not said here: parameters are
// what a package holds.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"

#include "mlir/IR/Builders.h"
#include "passes/Products.h"

namespace rondo {
#define GEN_PASS_DEF_ROUNDPRODUCTSPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

struct RoundProducts : rondo::impl::RoundProductsPassBase<RoundProducts> {
  using RoundProductsPassBase::RoundProductsPassBase;

  void runOnOperation() override {
    llvm::DenseMap<std::pair<Value, Attribute>, Value> known;
    getOperation()->walk([&](ContractOp contract) {
      Value weight = productWeight(contract);
      if (!weight)
        return;
      // Bodies of recurrences and the like are another kernel's; their products are no streams of
      // a matrix.
      if (!isa<FunctionOpInterface>(contract->getParentOp())) {
        contract.emitRemark("this product is inside a body: its matrix stays f32");
        return;
      }
      OpOperand &rows = contract->getOpOperand(contract.getLhs() == weight ? 1 : 0);
      if (rows.get().getDefiningOp<RoundOp>())
        return;
      auto axis = cast<StringAttr>(contract.getAxes()[0]);
      Value &rounded = known[{rows.get(), axis}];
      if (!rounded) {
        OpBuilder builder(contract);
        rounded = RoundOp::create(builder, contract.getLoc(), rows.get().getType(), rows.get(),
                                  axis, builder.getI64IntegerAttr(group));
      }
      rows.set(rounded);
      ++numRounded;
    });
  }
};

} // namespace

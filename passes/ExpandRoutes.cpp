//===- ExpandRoutes.cpp - A route becomes ops on all tokens and choices ---===//
//
// Token level to token level.
//
//   rondo.route %ids along e tables(%w) body { contract %w_e, %x_t over [d] }
//     ->  %chosen = gather %w[%ids] along e      [t, j, o, d]
//         contract %chosen, %x over [d]          [t, j, o]
//
// The body's ops are cloned on values of all tokens and choices: every op broadcasts by name, so
// only types change, and the index maps of views. An op that reads nothing of the expert stays one
// of the token. Sound because the body holds array ops alone, and a gather reads zeros where an id
// is no index, as the route does. What is gathered is not put in memory: a contraction with it is a
// grouped product (FormKernels).
//
//===----------------------------------------------------------------------===//

#include "passes/LeadAxes.h"
#include "passes/Passes.h"

#include "dialect/Rondo.h"
#include "mlir/IR/IRMapping.h"

namespace rondo {
#define GEN_PASS_DEF_EXPANDROUTESPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {
class Expansion {
public:
  Expansion(RouteOp op) : op(op), builder(op) {}

  LogicalResult run() {
    RankedTensorType ids = op.getIds().getType();
    unsigned argument = 0;
    for (Value input : op.getInputs())
      mapping.map(op.getBlock()->getArgument(argument++), inFront(input));
    for (Value table : op.getTables()) {
      auto rest = withoutAxis(table.getType(), op.getAxis());
      auto type = unionType({ids, rest}, elementTypeOf(table.getType()));
      mapping.map(op.getBlock()->getArgument(argument++),
                  GatherOp::create(builder, op.getLoc(), type, table, op.getIds(), op.getAxis()));
    }
    for (Operation &inner : op.getBlock()->without_terminator())
      if (failed(clone(inner)))
        return failure();
    Value yielded = mapping.lookup(op.getYield().getOutputs()[0]);
    op.replaceAllUsesWith(everywhere(yielded));
    op.erase();
    return success();
  }

private:
  bool isFront(StringAttr axis) { return hasAxis(op.getIds().getType(), axis); }

  /// `type` behind the axes of the ids that `values` have.
  RankedTensorType behindFront(ValueRange values, Type type) {
    SmallVector<StringAttr> names;
    SmallVector<int64_t> extents;
    for (StringAttr axis : axesOf(op.getIds().getType()))
      if (llvm::any_of(values, [&](Value v) { return hasAxis(v.getType(), axis); })) {
        names.push_back(axis);
        extents.push_back(extentOf(op.getIds().getType(), axis));
      }
    llvm::append_range(names, axesOf(type));
    llvm::append_range(extents, cast<RankedTensorType>(type).getShape());
    return namedType(op.getContext(), ArrayRef<StringAttr>(names), extents, elementTypeOf(type));
  }

  /// `value` with its axes in the order of the ids' first.
  Value inFront(Value value) {
    RankedTensorType rest = withoutTime(value.getType());
    for (StringAttr axis : axesOf(op.getIds().getType()))
      rest = withoutAxis(rest, axis);
    RankedTensorType type = behindFront(value, rest);
    if (type == value.getType())
      return value;
    SmallVector<AffineExpr> sources;
    auto to = axesOf(withoutTime(type));
    for (StringAttr axis : axesOf(withoutTime(value.getType())))
      sources.push_back(builder.getAffineDimExpr(llvm::find(to, axis) - to.begin()));
    return ViewOp::create(builder, op.getLoc(), type, value,
                          AffineMap::get(to.size(), 0, sources, op.getContext()));
  }

  /// `value` with all axes of the ids.
  Value everywhere(Value value) {
    RankedTensorType type = op.getType();
    if (value.getType() == type)
      return value;
    Value ids = op.getIds();
    Value never = MapOp::create(builder, op.getLoc(), MapKind::Lt, ValueRange{ids, ids});
    auto select =
        MapOp::create(builder, op.getLoc(), MapKind::Select, ValueRange{never, value, value});
    select->getResult(0).setType(type);
    return select;
  }

  LogicalResult clone(Operation &inner) {
    SmallVector<Value> operands;
    for (Value operand : inner.getOperands())
      operands.push_back(mapping.lookup(operand));
    if (auto gather = dyn_cast<GatherOp>(inner);
        gather && operands[0] != gather.getTable() && isPerToken(operands[0].getType()))
      return inner.emitOpError("cannot run on all choices of a route: its table is a token's");
    auto type = behindFront(operands, inner.getResult(0).getType());
    if (isa<ConcatOp>(inner))
      for (Value operand : operands)
        if (behindFront(operand, inner.getResult(0).getType()).getRank() != type.getRank())
          return inner.emitOpError(
              "cannot run on all choices of a route: it joins values that vary "
              "from choice to choice with one that does not");
    Operation *copy = builder.clone(inner, mapping);
    copy->getResult(0).setType(type);
    if (auto view = dyn_cast<ViewOp>(copy)) {
      // Views do not index `t`; the choices are indexed by themselves.
      unsigned added = 0;
      for (StringAttr axis : axesOf(withoutTime(view.getSource().getType())))
        added += isFront(axis);
      indexFrontByItself(view, added);
    }
    return success();
  }

  RouteOp op;
  OpBuilder builder;
  IRMapping mapping;
};

struct ExpandRoutes : rondo::impl::ExpandRoutesPassBase<ExpandRoutes> {
  using ExpandRoutesPassBase::ExpandRoutesPassBase;

  void runOnOperation() override {
    SmallVector<RouteOp> routes;
    getOperation()->walk([&](RouteOp op) { routes.push_back(op); });
    for (RouteOp op : routes) {
      int64_t experts = extentOf(op.getTables()[0].getType(), op.getAxis());
      int64_t choices = elementsPerToken(op.getIds().getType()), bytes = 0;
      for (Type table : op.getTables().getTypes())
        bytes += cast<RankedTensorType>(table).getNumElements() / experts * 4;
      op.emitRemark() << "a token reads " << choices << " of " << experts << " along '"
                      << op.getAxis() << "': " << bytes * choices << " of " << bytes * experts
                      << " bytes";
      if (failed(Expansion(op).run()))
        return signalPassFailure();
      numExpanded += 1;
    }
  }
};
} // namespace

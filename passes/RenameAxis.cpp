//===- RenameAxis.cpp - Makes room for a lead axis ------------------------===//

#include "passes/RenameAxis.h"

using namespace mlir;

namespace rondo {

static Type renamed(Type type, StringRef from, StringRef to) {
  if (!isa<RankedTensorType>(type) || !hasAxis(type, from))
    return type;
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<StringAttr> names;
  for (StringAttr name : axesOf(type))
    names.push_back(name == from ? StringAttr::get(type.getContext(), to) : name);
  return namedType(type.getContext(), names, tensor.getShape(), tensor.getElementType());
}

static Value viewAs(OpBuilder &builder, Value value, Type type) {
  auto tensor = cast<RankedTensorType>(type);
  unsigned dims = tensor.getRank() - isPerToken(type);
  return ViewOp::create(builder, value.getLoc(), tensor, value,
                        AffineMapAttr::get(builder.getMultiDimIdentityMap(dims)));
}

static bool usesAxis(Operation *op, StringRef axis) {
  auto has = [&](Value value) { return hasAxis(value.getType(), axis); };
  bool found = llvm::any_of(op->getOperands(), has) || llvm::any_of(op->getResults(), has);
  op->walk([&](Operation *inner) { found |= llvm::any_of(inner->getResults(), has); });
  return found;
}

/// The attributes that name axes.
static void renameAttributes(Operation *op, StringAttr from, StringAttr to) {
  if (auto axis = op->getAttrOfType<StringAttr>("axis"); axis == from)
    op->setAttr("axis", to);
  auto axes = op->getAttrOfType<ArrayAttr>("axes");
  if (!axes)
    return;
  SmallVector<Attribute> names(axes.begin(), axes.end());
  llvm::replace(names, Attribute(from), Attribute(to));
  op->setAttr("axes", ArrayAttr::get(op->getContext(), names));
}

void renameAxis(Operation *op, StringRef axis) {
  if (!usesAxis(op, axis))
    return;
  std::string to = axis.str() + "0";
  for (int n = 1; usesAxis(op, to); ++n)
    to = axis.str() + std::to_string(n);
  OpBuilder builder(op);
  for (OpOperand &operand : op->getOpOperands())
    if (Type type = renamed(operand.get().getType(), axis, to); type != operand.get().getType())
      operand.set(viewAs(builder, operand.get(), type));
  for (Region &region : op->getRegions()) {
    for (Block &block : region)
      for (BlockArgument argument : block.getArguments())
        argument.setType(renamed(argument.getType(), axis, to));
    region.walk([&](Operation *inner) {
      for (Value result : inner->getResults())
        result.setType(renamed(result.getType(), axis, to));
      renameAttributes(inner, builder.getStringAttr(axis), builder.getStringAttr(to));
    });
  }
  builder.setInsertionPointAfter(op);
  for (Value result : op->getResults()) {
    Type before = result.getType(), after = renamed(before, axis, to);
    if (after == before)
      continue;
    result.setType(after);
    Value view = viewAs(builder, result, before);
    result.replaceAllUsesExcept(view, view.getDefiningOp());
  }
}

} // namespace rondo

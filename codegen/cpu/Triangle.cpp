//===- Triangle.cpp - Which half of a value over two axes is zero ---------===//

#include "codegen/cpu/Triangle.h"

#include "dialect/Axes.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

/// `column < row` or `column <= row`, of the indices along two axes.
static std::optional<Triangle> triangleOfMask(Value condition) {
  auto compare = condition.getDefiningOp<MapOp>();
  if (!compare || (compare.getKind() != MapKind::Lt && compare.getKind() != MapKind::Le))
    return std::nullopt;
  auto column = compare.getInputs()[0].getDefiningOp<IndexOp>(),
       row = compare.getInputs()[1].getDefiningOp<IndexOp>();
  if (!column || !row)
    return std::nullopt;
  return Triangle{axesOf(row.getType()).front(), axesOf(column.getType()).front(),
                  compare.getKind() == MapKind::Lt};
}

std::optional<Triangle> cpu::triangleOf(Value value) {
  auto map = value.getDefiningOp<MapOp>();
  if (!map)
    return std::nullopt;
  if (map.getKind() == MapKind::Select)
    return matchPattern(map.getInputs()[2], m_AnyZeroFloat()) ? triangleOfMask(map.getInputs()[0])
                                                              : std::nullopt;
  if (map.getKind() != MapKind::Mul && map.getKind() != MapKind::Neg)
    return std::nullopt;
  for (Value input : map.getInputs())
    if (std::optional<Triangle> triangle = triangleOf(input))
      return triangle;
  return std::nullopt;
}

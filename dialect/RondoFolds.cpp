//===- RondoFolds.cpp - What an op is without its operands' meaning -------===//

#include "dialect/Rondo.h"

using namespace mlir;
using namespace rondo;

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

OpFoldResult MapOp::fold(FoldAdaptor) { return {}; }

OpFoldResult ViewOp::fold(FoldAdaptor) {
  bool same = getSource().getType() == getType() && getMap().isIdentity();
  return same ? OpFoldResult(getSource()) : OpFoldResult();
}

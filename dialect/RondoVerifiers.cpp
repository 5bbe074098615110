//===- RondoVerifiers.cpp - The constraints of the ops --------------------===//

#include "dialect/Rondo.h"

using namespace mlir;
using namespace rondo;
LogicalResult ParamOp::verify() { return success(); }
LogicalResult ConstantOp::verify() { return success(); }
LogicalResult IndexOp::verify() { return success(); }
LogicalResult PositionOp::verify() { return success(); }
LogicalResult MapOp::verify() { return success(); }
LogicalResult ReduceOp::verify() { return success(); }
LogicalResult ContractOp::verify() { return success(); }
LogicalResult ViewOp::verify() { return success(); }
LogicalResult ConcatOp::verify() { return success(); }
LogicalResult GatherOp::verify() { return success(); }
LogicalResult PickOp::verify() { return success(); }
LogicalResult CumsumOp::verify() { return success(); }
LogicalResult ShiftOp::verify() { return success(); }
LogicalResult LastOp::verify() { return success(); }
LogicalResult RecurOp::verify() { return success(); }
LogicalResult OverOp::verify() { return success(); }
LogicalResult ScanOp::verify() { return success(); }
LogicalResult AttendOp::verify() { return success(); }

static LogicalResult verifyUse(Operation *op, FlatSymbolRefAttr symbol, SymbolTableCollection &symbols) {
  auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(op, symbol);
  if (!callee)
    return op->emitOpError("expects a func.func, got '") << symbol.getValue() << "', which is none";
  auto type = FunctionType::get(op->getContext(), op->getOperandTypes(), op->getResultTypes());
  if (callee.getFunctionType() != type)
    return op->emitOpError("expects the type of '") << symbol.getValue() << "', " << callee.getFunctionType() << ", got " << type;
  return success();
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) { return verifyUse(*this, getCalleeAttr(), symbols); }
LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) { return verifyUse(*this, getKernelAttr(), symbols); }

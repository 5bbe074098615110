//===- RondoVerifiers.cpp - The constraints of the ops --------------------===//
//
// One verifier an op; each check names its constraint (C1, C2, ...) from the op's description and
// says what was expected and what was found.
//
//===----------------------------------------------------------------------===//

#include "dialect/IndexRange.h"
#include "dialect/PairBody.h"
#include "dialect/Rondo.h"

using namespace mlir;
using namespace rondo;

//===----------------------------------------------------------------------===//
// Checks that several ops share; each returns what emitOpError returned
//===----------------------------------------------------------------------===//

static LogicalResult expectElement(Operation *op, StringRef what, Type type, bool allowed,
                                   StringRef expected) {
  if (allowed)
    return success();
  return op->emitOpError("expects ") << what << " with " << expected << " elements, got " << type;
}

static LogicalResult expectF32(Operation *op, StringRef what, Type type) {
  return expectElement(op, what, type, elementTypeOf(type).isF32(), "f32");
}

static LogicalResult expectTime(Operation *op, StringRef what, Type type) {
  if (isPerToken(type))
    return success();
  return op->emitOpError("expects ") << what << " with the time axis 't' in front, got " << type;
}

static LogicalResult expectNoTime(Operation *op, StringRef what, Type type) {
  if (!isPerToken(type))
    return success();
  return op->emitOpError("expects ") << what << " without the time axis 't', got " << type;
}

static LogicalResult expectName(Operation *op, StringRef what, StringRef name) {
  if (!name.empty())
    return success();
  return op->emitOpError("expects a ") << what << ", got an empty one";
}

static LogicalResult expectType(Operation *op, const Twine &what, Type expected, Type found) {
  if (expected == found)
    return success();
  return op->emitOpError("expects ") << what << " of type " << expected << ", got " << found;
}

static LogicalResult expectAxis(Operation *op, StringRef what, Type type, StringRef axis) {
  if (axis == timeAxis)
    return op->emitOpError("expects an axis other than the time axis 't'");
  if (!hasAxis(type, axis))
    return op->emitOpError("expects an axis of the ")
           << what << ", got '" << axis << "' for " << type;
  return success();
}

/// The axes of `part` are among those of `whole`, with equal extents.
static LogicalResult expectAxesAmong(Operation *op, const Twine &what, Type part,
                                     StringRef wholeName, Type whole) {
  for (auto [axis, extent] :
       llvm::zip_equal(axesOf(part), cast<RankedTensorType>(part).getShape())) {
    if (!hasAxis(whole, axis))
      return op->emitOpError("expects the axes of ")
             << what << " among those of " << wholeName << ", got axis '" << axis.getValue()
             << "' of " << part << ", which " << whole << " lacks";
    if (extentOf(whole, axis) != extent)
      return op->emitOpError("expects equal extents of axis '")
             << axis.getValue() << "', got " << extent << " in " << part << " and "
             << extentOf(whole, axis) << " in " << whole;
  }
  return success();
}

/// A list of different axes, none of them time, all of them axes of `type`.
static LogicalResult expectAxisList(Operation *op, StringRef what, ArrayAttr axes, Type type) {
  if (axes.empty())
    return op->emitOpError("expects at least one axis, got none");
  for (auto [i, axis] : llvm::enumerate(axes.getAsRange<StringAttr>())) {
    if (llvm::is_contained(axes.getValue().take_front(i), axis))
      return op->emitOpError("expects different axes, got '") << axis.getValue() << "' twice";
    if (failed(expectAxis(op, what, type, axis)))
      return failure();
  }
  return success();
}

/// Only ops whose result for a token depends on that token alone, and no parameters.
static LogicalResult expectArrayOps(Operation *op, Region &body) {
  for (Operation &inner : body.getOps())
    if (!isa<ConstantOp, IndexOp, MapOp, ReduceOp, ContractOp, ViewOp, ConcatOp, GatherOp, PickOp,
             CumsumOp, RoundOp, PropagateOp, SolveOp, YieldOp>(inner)) {
      auto error = op->emitOpError("expects array ops, constants and indices in its body, got '")
                   << inner.getName() << "'";
      error.attachNote(inner.getLoc()) << "pass the value in as an operand";
      return error;
    }
  return success();
}

static LogicalResult expectArguments(Operation *op, StringRef what, Block &block,
                                     ArrayRef<Type> types) {
  if (block.getNumArguments() != types.size())
    return op->emitOpError("expects ")
           << types.size() << " arguments of " << what << ", got " << block.getNumArguments();
  for (auto [i, argument, type] : llvm::enumerate(block.getArgumentTypes(), types))
    if (failed(expectType(op, "argument " + Twine(i) + " of " + what, type, argument)))
      return failure();
  return success();
}

static LogicalResult expectYielded(Operation *op, StringRef what, TypeRange expected,
                                   TypeRange found) {
  if (expected.size() != found.size())
    return op->emitOpError("expects ")
           << expected.size() << " " << what << "s yielded, got " << found.size();
  for (auto [i, want, got] : llvm::enumerate(expected, found))
    if (failed(expectType(op, "yielded " + what + " " + Twine(i), want, got)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

LogicalResult ParamOp::verify() {
  // C1
  if (failed(expectName(*this, "path", getPath())))
    return failure();
  // C2
  if (failed(expectF32(*this, "a parameter", getType())) ||
      failed(expectNoTime(*this, "a parameter", getType())))
    return failure();
  // C3
  StringRef path = getPath();
  if (!path.contains('{') && !path.contains('}'))
    return success();
  StringRef axis = stackedAxis(path);
  if (axis.empty() || path.count('{') != 1 || path.count('}') != 1 || getType().getRank() == 0 ||
      axesOf(getType())[0].getValue() != axis)
    return emitOpError("expects the path of a stacked parameter to name its first axis in braces, "
                       "got '")
           << path << "' for " << getType();
  return success();
}

LogicalResult ConstantOp::verify() {
  // C1
  if (!isa<DenseElementsAttr>(getValue()))
    return emitOpError("expects a dense value, got ") << getValue();
  return success();
}

LogicalResult IndexOp::verify() {
  // C1
  if (failed(expectF32(*this, "a result", getType())))
    return failure();
  if (getType().getRank() != 1)
    return emitOpError("expects a result with one axis, got ") << getType();
  // C2
  return expectNoTime(*this, "a result", getType());
}

LogicalResult PositionOp::verify() {
  // C1
  if (failed(expectF32(*this, "a result", getType())))
    return failure();
  if (getType().getRank() != 1 || !isPerToken(getType()))
    return emitOpError("expects a result with the axis 't' alone, got ") << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Array ops
//===----------------------------------------------------------------------===//

static unsigned arityOf(MapKind kind) {
  if (kind == MapKind::Select)
    return 3;
  bool two = kind <= MapKind::Mod || (kind >= MapKind::Lt && kind <= MapKind::Or);
  return two ? 2 : 1;
}

/// C2 of map: the element types of inputs and result.
static LogicalResult verifyMapElements(MapOp op) {
  MapKind kind = op.getKind();
  Type result = elementTypeOf(op.getType());
  SmallVector<Type> in;
  for (Type type : op.getInputs().getTypes())
    in.push_back(elementTypeOf(type));
  auto expectInput = [&](unsigned i, bool allowed, StringRef expected) {
    return expectElement(op, ("input " + Twine(i)).str(), op.getInputs()[i].getType(), allowed,
                         expected);
  };
  auto expectResult = [&](Type type) {
    std::string text;
    llvm::raw_string_ostream(text) << type;
    return expectElement(op, "a result", op.getType(), result == type, text);
  };
  Type truth = IntegerType::get(op.getContext(), 1);
  switch (kind) {
  case MapKind::Convert:
    return success();
  case MapKind::Select:
    if (failed(expectInput(0, in[0] == truth, "i1")) ||
        failed(expectInput(2, in[2] == in[1], "the other alternative's")))
      return failure();
    return expectResult(in[1]);
  case MapKind::And:
  case MapKind::Or:
  case MapKind::Not:
    for (unsigned i = 0; i < in.size(); ++i)
      if (failed(expectInput(i, in[i] == truth, "i1")))
        return failure();
    return expectResult(truth);
  default:
    break;
  }
  bool realOnly = kind >= MapKind::Exp && kind <= MapKind::Floor;
  if (failed(expectInput(0, in[0].isF32() || (!realOnly && in[0].isInteger(64)),
                         realOnly ? "f32" : "f32 or i64")))
    return failure();
  if (in.size() == 2 && failed(expectInput(1, in[1] == in[0], "the other input's")))
    return failure();
  bool comparison = kind >= MapKind::Lt && kind <= MapKind::Ne;
  return expectResult(comparison ? truth : in[0]);
}

LogicalResult MapOp::verify() {
  // C1
  if (unsigned arity = arityOf(getKind()); getInputs().size() != arity)
    return emitOpError("expects ") << arity << " inputs of '" << stringifyMapKind(getKind())
                                   << "', got " << getInputs().size();
  // C2
  if (failed(verifyMapElements(*this)))
    return failure();
  // C3
  for (auto [i, type] : llvm::enumerate(getInputs().getTypes()))
    if (failed(expectAxesAmong(*this, "input " + Twine(i), type, "the result", getType())))
      return failure();
  return success();
}

LogicalResult ReduceOp::verify() {
  // C1, C2
  if (failed(expectAxisList(*this, "source", getAxes(), getSource().getType())))
    return failure();
  // C3
  if (failed(expectF32(*this, "a source", getSource().getType())))
    return failure();
  RankedTensorType type = getSource().getType();
  for (auto axis : getAxes().getAsRange<StringAttr>())
    type = withoutAxis(type, axis);
  return expectType(*this, "a result", type, getType());
}

LogicalResult ContractOp::verify() {
  Type lhs = getLhs().getType(), rhs = getRhs().getType();
  // C1, C2
  if (failed(expectAxisList(*this, "left side", getAxes(), lhs)) ||
      failed(expectAxisList(*this, "right side", getAxes(), rhs)))
    return failure();
  // C3
  for (StringAttr axis : axesOf(lhs))
    if (hasAxis(rhs, axis) && extentOf(lhs, axis) != extentOf(rhs, axis))
      return emitOpError("expects equal extents of axis '")
             << axis.getValue() << "', got " << extentOf(lhs, axis) << " and "
             << extentOf(rhs, axis);
  // C4
  if (failed(expectF32(*this, "a left side", lhs)) ||
      failed(expectF32(*this, "a right side", rhs)) ||
      failed(expectF32(*this, "a result", getType())))
    return failure();
  RankedTensorType free = unionType({lhs, rhs}, elementTypeOf(lhs));
  for (auto axis : getAxes().getAsRange<StringAttr>())
    free = withoutAxis(free, axis);
  if (free.getRank() != getType().getRank())
    return emitOpError("expects a result with the axes of ")
           << free << " in any order, got " << getType();
  return expectAxesAmong(*this, "the sides that are not summed", free, "the result", getType());
}

/// Whether an axis `s` of unknown extent is in both or neither and maps to itself.
static bool keepsKeyAxis(RankedTensorType source, RankedTensorType result, AffineMap map) {
  auto from = axisIndex(source, keyAxis), to = axisIndex(result, keyAxis);
  bool unknown = ShapedType::isDynamic(extentOf(source, keyAxis));
  if (unknown != ShapedType::isDynamic(extentOf(result, keyAxis)))
    return false;
  return !unknown || map.getResult(*from) == getAffineDimExpr(*to, map.getContext());
}

/// A shape to check indices by, where an unknown extent, mapped to itself, holds any index.
static SmallVector<int64_t> withoutUnknown(ArrayRef<int64_t> shape) {
  return llvm::map_to_vector(
      shape, [](int64_t extent) { return ShapedType::isDynamic(extent) ? 1 : extent; });
}

LogicalResult ViewOp::verify() {
  RankedTensorType source = withoutTime(getSource().getType()), result = withoutTime(getType());
  AffineMap map = getMap();
  // C1
  if (map.getNumSymbols() != 0)
    return emitOpError("expects a map without symbols, got ") << map.getNumSymbols();
  if (map.getNumDims() != result.getRank())
    return emitOpError("expects a map from ")
           << result.getRank() << " axes of the result, got " << map.getNumDims();
  if (map.getNumResults() != source.getRank())
    return emitOpError("expects a map to ")
           << source.getRank() << " axes of the source, got " << map.getNumResults();
  // C2
  if (isPerToken(getSource().getType()) != isPerToken(getType()))
    return emitOpError("expects the time axis 't' on both source and result or on neither, got ")
           << getSource().getType() << " and " << getType();
  if (source.getElementType() != result.getElementType())
    return emitOpError("expects a result of the source's elements, got ")
           << result.getElementType() << " of " << source.getElementType();
  // C4
  if (!keepsKeyAxis(source, result, map))
    return emitOpError("expects the axis 's' of unknown extent kept as it is, got ")
           << AffineMapAttr::get(map) << " from " << result << " to " << source;
  // C3
  if (!mapsInside(map, withoutUnknown(result.getShape()), withoutUnknown(source.getShape())))
    return emitOpError("expects every index of ")
           << result << " to map inside " << source << ", got " << AffineMapAttr::get(map);
  return success();
}

LogicalResult ConcatOp::verify() {
  // C1
  if (getSources().empty())
    return emitOpError("expects at least one source, got none");
  int64_t sum = 0;
  for (Value source : getSources()) {
    // C2
    if (failed(expectAxis(*this, "source", source.getType(), getAxis())))
      return failure();
    if (llvm::AddOverflow(sum, extentOf(source.getType(), getAxis()), sum))
      return emitOpError("expects a sum of extents that fits 64 bits");
  }
  // C3
  for (Type source : getSources().getTypes()) {
    auto type = cast<RankedTensorType>(source);
    SmallVector<int64_t> shape(type.getShape());
    shape[*axisIndex(type, getAxis())] = sum;
    auto expected = RankedTensorType::get(shape, type.getElementType(), type.getEncoding());
    if (failed(expectType(*this, "a result", expected, getType())))
      return failure();
  }
  return success();
}

LogicalResult GatherOp::verify() {
  RankedTensorType table = getTable().getType(), ids = getIds().getType();
  // C1
  if (failed(expectAxis(*this, "table", table, getAxis())) ||
      failed(expectNoTime(*this, "a table", table)))
    return failure();
  // C2
  Type element = ids.getElementType();
  if (failed(
          expectElement(*this, "ids", ids, element.isInteger(64) || element.isF32(), "i64 or f32")))
    return failure();
  for (StringAttr axis : axesOf(ids))
    if (hasAxis(table, axis))
      return emitOpError("expects ids and table without a common axis, got '")
             << axis.getValue() << "' in both";
  // C3
  auto expected = unionType({ids, withoutAxis(table, getAxis())}, table.getElementType());
  return expectType(*this, "a result", expected, getType());
}

LogicalResult PickOp::verify() {
  RankedTensorType source = getSource().getType(), ids = getIds().getType();
  // C1
  if (failed(expectAxis(*this, "source", source, getAxis())))
    return failure();
  // C2
  if (failed(expectElement(*this, "ids", ids, ids.getElementType().isInteger(64), "i64")))
    return failure();
  RankedTensorType expected = withoutAxis(source, getAxis());
  if (failed(expectAxesAmong(*this, "the ids", ids, "the result", expected)))
    return failure();
  // C3
  return expectType(*this, "a result", expected, getType());
}

LogicalResult CumsumOp::verify() {
  // C1
  if (failed(expectAxis(*this, "source", getSource().getType(), getAxis())))
    return failure();
  // C2
  return expectF32(*this, "a source", getSource().getType());
}

LogicalResult RoundOp::verify() {
  // C1
  if (failed(expectAxis(*this, "source", getSource().getType(), getAxis())))
    return failure();
  // C2
  if (failed(expectF32(*this, "a source", getSource().getType())))
    return failure();
  // C3
  if (int64_t(getGroup()) < 1)
    return emitOpError("expects groups of at least 1, got ") << int64_t(getGroup());
  return success();
}

LogicalResult PropagateOp::verify() {
  // C2
  RankedTensorType factors = getFactors().getType(), source = getSource().getType();
  if (failed(expectF32(*this, "factors", factors)) || failed(expectF32(*this, "a source", source)))
    return failure();
  auto type = unionType({factors, source}, source.getElementType());
  if (failed(expectAxesAmong(*this, "the source", source, "both", type)) ||
      failed(expectAxesAmong(*this, "the factors", factors, "both", type)))
    return failure();
  // C3
  if (auto mixing = getMixing()) {
    if (mixing->size() != 2)
      return emitOpError("expects two mixing axes, got ") << mixing->size();
    StringRef row = cast<StringAttr>((*mixing)[0]).getValue(),
              column = cast<StringAttr>((*mixing)[1]).getValue();
    if (failed(expectAxisList(*this, "factors", *mixing, factors)))
      return failure();
    if (row == getAxis() || column == getAxis())
      return emitOpError("expects mixing axes other than '") << getAxis() << "'";
    if (!hasAxis(source, row) || hasAxis(source, column))
      return emitOpError("expects a source with the axis '")
             << row << "' and without '" << column << "', got " << source;
    if (extentOf(factors, row) != extentOf(factors, column))
      return emitOpError("expects square matrices of factors, got ")
             << extentOf(factors, row) << " and " << extentOf(factors, column);
    type = withoutAxis(type, column);
  }
  // C1
  if (failed(expectAxis(*this, "result", type, getAxis())))
    return failure();
  if (failed(expectAxesAmong(*this, "the operands", type, "the result", getType())) ||
      failed(expectAxesAmong(*this, "the result", getType(), "the operands", type)))
    return failure();
  return expectF32(*this, "a result", getType());
}

LogicalResult SolveOp::verify() {
  // C3
  RankedTensorType matrix = getMatrix().getType(), source = getSource().getType();
  if (failed(expectF32(*this, "a matrix", matrix)) || failed(expectF32(*this, "a source", source)))
    return failure();
  auto type = unionType({matrix, source}, source.getElementType());
  if (failed(expectAxesAmong(*this, "the source", source, "both", type)) ||
      failed(expectAxesAmong(*this, "the matrix", matrix, "both", type)))
    return failure();
  // C1
  if (failed(expectAxis(*this, "matrix", matrix, getRows())) ||
      failed(expectAxis(*this, "source", source, getRows())))
    return failure();
  // C2
  if (failed(expectAxis(*this, "matrix", matrix, getColumns())))
    return failure();
  if (getRows() == getColumns() || hasAxis(source, getColumns()))
    return emitOpError("expects columns that are no axis of the source, got '")
           << getColumns() << "'";
  if (extentOf(matrix, getRows()) != extentOf(matrix, getColumns()))
    return emitOpError("expects a square matrix, got ")
           << extentOf(matrix, getRows()) << " and " << extentOf(matrix, getColumns());
  type = withoutAxis(type, getColumns());
  if (failed(expectAxesAmong(*this, "the operands", type, "the result", getType())) ||
      failed(expectAxesAmong(*this, "the result", getType(), "the operands", type)))
    return failure();
  return expectF32(*this, "a result", getType());
}

//===----------------------------------------------------------------------===//
// Ops that reach other tokens
//===----------------------------------------------------------------------===//

LogicalResult ShiftOp::verify() {
  // C1
  if (int64_t distance = getDistance(); distance < 1)
    return emitOpError("expects a distance of at least 1 token, got ") << distance;
  // C2
  if (failed(expectTime(*this, "a source", getSource().getType())))
    return failure();
  // C3
  return expectName(*this, "name", getName());
}

LogicalResult LastOp::verify() {
  // C1
  return expectTime(*this, "a source", getSource().getType());
}

/// C1, C2 and C5 of recur and scan.
template <typename Recurrence> static LogicalResult verifyStates(Recurrence op) {
  // C1
  if (failed(expectName(op, "name", op.getName())))
    return failure();
  ArrayAttr states = op.getStates();
  if (states.size() != op.getInits().size())
    return op.emitOpError("expects a name for each state, got ")
           << states.size() << " names for " << op.getInits().size() << " states";
  for (auto [i, state] : llvm::enumerate(states.template getAsRange<StringAttr>())) {
    if (failed(expectName(op, "state name", state)))
      return failure();
    if (llvm::is_contained(states.getValue().take_front(i), state))
      return op.emitOpError("expects different states, got '") << state.getValue() << "' twice";
  }
  // C2
  for (Type type : op.getInits().getTypes())
    if (failed(expectF32(op, "a state", type)) || failed(expectNoTime(op, "a state", type)))
      return failure();
  // C5
  if (auto every = op.getEvery(); every && int64_t(*every) < 1)
    return op.emitOpError("expects groups of at least 1 token, got ") << int64_t(*every);
  return success();
}

/// C3, C4 and C6 of recur and scan, for one body; `chunk` is 0 for the body of one token.
template <typename Recurrence>
static LogicalResult verifyRecurrenceBody(Recurrence op, StringRef what, Region &body,
                                          int64_t chunk) {
  // C3
  auto arguments = recurrenceArguments(op.getInputs().getTypes(), op.getInits().getTypes(),
                                       op.getEvery().has_value(), chunk);
  if (failed(expectArguments(op, what, body.front(), arguments)))
    return failure();
  // C4
  auto yield = dyn_cast_if_present<YieldOp>(body.front().empty() ? nullptr : &body.front().back());
  if (!yield)
    return op.emitOpError("expects ") << what << " to end in 'rondo.yield'";
  if (failed(expectYielded(op, "state", op.getInits().getTypes(), yield.getStates().getTypes())))
    return failure();
  SmallVector<Type> outputs;
  for (Type type : op.getOutputs().getTypes()) {
    if (failed(expectTime(op, "an output", type)))
      return failure();
    RankedTensorType slice = withoutTime(type);
    outputs.push_back(chunk == 0 ? slice : withLeadingAxis(slice, blockAxis, chunk));
  }
  if (failed(expectYielded(op, "output", outputs, yield.getOutputs().getTypes())))
    return failure();
  // C6
  return expectArrayOps(op, body);
}

LogicalResult RecurOp::verify() { return verifyStates(*this); }

LogicalResult RecurOp::verifyRegions() {
  return verifyRecurrenceBody(*this, "the body", getBody(), 0);
}

LogicalResult ScanOp::verify() {
  if (failed(verifyStates(*this)))
    return failure();
  // C7
  int64_t chunk = getChunk();
  if (chunk < 1)
    return emitOpError("expects a chunk of at least 1 token, got ") << chunk;
  if (getBlock().empty())
    return success();
  // C8
  if (auto every = getEvery(); every && int64_t(*every) % chunk != 0)
    return emitOpError("expects groups that are a multiple of the chunk, got groups of ")
           << int64_t(*every) << " tokens and a chunk of " << chunk;
  // C9
  for (Type type : getOperandTypes())
    if (hasAxis(type, blockAxis))
      return emitOpError("expects operands without the block axis 'c', got ") << type;
  return success();
}

LogicalResult ScanOp::verifyRegions() {
  if (failed(verifyRecurrenceBody(*this, "the token body", getToken(), 0)))
    return failure();
  if (getBlock().empty())
    return success();
  return verifyRecurrenceBody(*this, "the block body", getBlock(), getChunk());
}

/// C1 and C2 of over and attend.
template <typename Pairs> static LogicalResult verifyPairOperands(Pairs op) {
  // C1
  if (failed(expectName(op, "name", op.getName())))
    return failure();
  // C2
  for (Type type : op.getQueries().getTypes())
    if (failed(expectTime(op, "a query", type)))
      return failure();
  for (Type type : op.getKeys().getTypes())
    if (failed(expectTime(op, "a key", type)))
      return failure();
  for (Type type : op.getShared().getTypes())
    if (failed(expectNoTime(op, "a shared value", type)))
      return failure();
  return success();
}

/// C3 to C6 of over and attend; `tiled` of attend, whose body has the tokens' axes.
template <typename Pairs> static LogicalResult verifyPairBody(Pairs op, bool tiled) {
  // C3
  auto arguments = pairArguments(op.getContext(), op.getQueries().getTypes(),
                                 op.getKeys().getTypes(), op.getShared().getTypes(), tiled);
  if (failed(expectArguments(op, "the body", *op.getBlock(), arguments)))
    return failure();
  // C4
  auto yield =
      dyn_cast_if_present<YieldOp>(op.getBlock()->empty() ? nullptr : &op.getBlock()->back());
  if (!yield)
    return op.emitOpError("expects the body to end in 'rondo.yield'");
  bool hasSink = op.getKind() == OverKind::Softmax && yield.getOutputs().size() == 4;
  if (!yield.getStates().empty() || (yield.getOutputs().size() != 3 && !hasSink))
    return op.emitOpError("expects no states and the outputs predicate, score and value (and of a "
                          "softmax perhaps a sink), got ")
           << yield.getStates().size() << " states and " << yield.getOutputs().size() << " outputs";
  TypeRange types = yield.getOutputs().getTypes();
  if (failed(
          expectElement(op, "a predicate", types[0], elementTypeOf(types[0]).isInteger(1), "i1")) ||
      failed(expectF32(op, "a score", types[1])) || failed(expectF32(op, "a value", types[2])))
    return failure();
  if (hasSink && failed(expectF32(op, "a sink", types[3])))
    return failure();
  if (hasSink && readsKey(yield.getOutputs()[3], op.getQueries().size(), op.getKeys().size()))
    return op.emitOpError("expects a sink that depends on no key and not on the key's position");
  // C5
  if (failed(expectTime(op, "a result", op.getType())) ||
      failed(expectF32(op, "a result", op.getType())))
    return failure();
  StringRef names[] = {"the predicate", "the score", "the value", "the sink"};
  for (auto [name, type] : llvm::zip(names, types)) {
    RankedTensorType slice =
        tiled ? withoutAxis(withoutTime(type), keyAxis) : cast<RankedTensorType>(type);
    if (failed(expectAxesAmong(op, name, slice, "the result", withoutTime(op.getType()))))
      return failure();
  }
  // C6
  return expectArrayOps(op, op.getBody());
}

LogicalResult OverOp::verify() { return verifyPairOperands(*this); }

LogicalResult OverOp::verifyRegions() { return verifyPairBody(*this, /*tiled=*/false); }

LogicalResult AttendOp::verify() {
  // C7
  if (int64_t window = getWindow(); window < 0)
    return emitOpError("expects a window of at least 0 tokens, got ") << window;
  // C8
  for (Type type : getOperandTypes())
    if (hasAxis(type, keyAxis))
      return emitOpError("expects operands without the axis 's' of their tokens, got ") << type;
  return verifyPairOperands(*this);
}

LogicalResult AttendOp::verifyRegions() { return verifyPairBody(*this, /*tiled=*/true); }

LogicalResult RouteOp::verify() {
  RankedTensorType ids = getIds().getType();
  // C1
  if (failed(expectF32(*this, "ids", ids)) || failed(expectTime(*this, "ids", ids)))
    return failure();
  if (hasAxis(ids, getAxis()))
    return emitOpError("expects ids without the axis '") << getAxis() << "', got " << ids;
  // C2
  if (getTables().empty())
    return emitOpError("expects at least one table, got none");
  for (Type table : getTables().getTypes()) {
    if (failed(expectAxis(*this, "table", table, getAxis())) ||
        failed(expectNoTime(*this, "a table", table)))
      return failure();
    int64_t extent = extentOf(table, getAxis()),
            first = extentOf(getTables()[0].getType(), getAxis());
    if (extent != first)
      return emitOpError("expects tables of one extent along '")
             << getAxis() << "', got " << first << " and " << extent;
    for (StringAttr axis : axesOf(ids))
      if (hasAxis(table, axis))
        return emitOpError("expects ids and tables without a common axis, got '")
               << axis.getValue() << "' in both";
  }
  // C3
  for (Type input : getInputs().getTypes()) {
    if (hasAxis(input, getAxis()))
      return emitOpError("expects inputs without the axis '") << getAxis() << "', got " << input;
    for (StringAttr axis : axesOf(ids))
      if (hasAxis(input, axis) && extentOf(input, axis) != extentOf(ids, axis))
        return emitOpError("expects equal extents of axis '")
               << axis.getValue() << "', got " << extentOf(input, axis) << " in " << input
               << " and " << extentOf(ids, axis) << " in " << ids;
  }
  return success();
}

LogicalResult RouteOp::verifyRegions() {
  // C4
  auto arguments =
      routeArguments(getIds().getType(), getAxis(), getInputs().getTypes(), getTables().getTypes());
  if (failed(expectArguments(*this, "the body", *getBlock(), arguments)))
    return failure();
  auto yield = dyn_cast_if_present<YieldOp>(getBlock()->empty() ? nullptr : &getBlock()->back());
  if (!yield)
    return emitOpError("expects the body to end in 'rondo.yield'");
  if (!yield.getStates().empty() || yield.getOutputs().size() != 1)
    return emitOpError("expects no states and one value, got ")
           << yield.getStates().size() << " states and " << yield.getOutputs().size() << " values";
  Type value = yield.getOutputs()[0].getType();
  if (failed(expectF32(*this, "a value", value)))
    return failure();
  // C5
  auto expected = unionType({getIds().getType(), value}, elementTypeOf(value));
  if (failed(expectType(*this, "a result", expected, getType())))
    return failure();
  // C6
  return expectArrayOps(*this, getBody());
}

//===----------------------------------------------------------------------===//
// Uses of functions
//===----------------------------------------------------------------------===//

/// C1 of call and launch.
static FailureOr<func::FuncOp> verifyUse(Operation *op, FlatSymbolRefAttr symbol,
                                         SymbolTableCollection &symbols) {
  auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(op, symbol);
  if (!callee)
    return op->emitOpError("expects the name of a func.func, got '") << symbol.getValue() << "'";
  auto type = FunctionType::get(op->getContext(), op->getOperandTypes(), op->getResultTypes());
  if (callee.getFunctionType() != type)
    return op->emitOpError("expects the type of '")
           << symbol.getValue() << "', " << callee.getFunctionType() << ", got " << type;
  return callee;
}

LogicalResult CallOp::verify() {
  // C2
  return expectName(*this, "scope", getScope());
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyUse(*this, getCalleeAttr(), symbols);
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto callee = verifyUse(*this, getKernelAttr(), symbols);
  if (failed(callee))
    return failure();
  // C2
  if (!(*callee)->hasAttr("rondo.kernel"))
    return emitOpError("expects a function with 'rondo.kernel', got '")
           << getKernel() << "' without it";
  return success();
}

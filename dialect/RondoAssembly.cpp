//===- RondoAssembly.cpp - How ops with bodies are written ----------------===//
//
//   %y = rondo.recur "S" inputs(%x : T) states("S" = %zero : T) every 16 -> (T) body(%x_t, %S,
//   %S_start) {...} %y = rondo.scan  "S" inputs(%x : T) states("S" = %zero : T) chunk 16 form
//   "chunked" transition "scalar" -> (T)
//          token(%x_t, %S) {...} block(%x_c, %S) {...}
//   %y = rondo.over   softmax "attn" queries(%q : T) keys(%k, %v : T, T) shared(%w : T) -> T
//   body(%t, %s, %q_t, %k_s, %v_s, %w_) {...} %y = rondo.attend softmax "attn" causal window 64
//   queries(%q : T) keys(%k : T) -> T body(...) {...} %y = rondo.route %ids : T along e inputs(%x :
//   T) tables(%w : T) -> T body(%x_t, %w_e) {...}
//
// The types of a body's arguments follow from the operands' and are not written: a per-token
// operand loses `t` (in `block` it becomes `c`).
//
//===----------------------------------------------------------------------===//

#include "dialect/Rondo.h"

using namespace mlir;
using namespace rondo;

namespace {

struct Operands {
  SmallVector<OpAsmParser::UnresolvedOperand> values;
  SmallVector<Type> types;

  ParseResult resolve(OpAsmParser &parser, SMLoc loc, OperationState &result) const {
    for (Type type : types)
      if (!isValueType(type))
        return parser.emitError(loc) << "expects tensors with named axes, got " << type;
    return parser.resolveOperands(values, types, loc, result.operands);
  }
};

} // namespace

/// `keyword(%a, %b : A, B)`; absent means empty.
static ParseResult parseGroup(OpAsmParser &parser, StringRef keyword, Operands &group,
                              OperationState &result) {
  if (failed(parser.parseOptionalKeyword(keyword)))
    return success();
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLParen())
    return failure();
  if (succeeded(parser.parseOptionalRParen()))
    return success();
  if (parser.parseOperandList(group.values) || parser.parseColonTypeList(group.types) ||
      parser.parseRParen())
    return failure();
  return group.resolve(parser, loc, result);
}

static void printGroup(OpAsmPrinter &printer, StringRef keyword, OperandRange values) {
  if (values.empty())
    return;
  printer << ' ' << keyword << '(' << values << " : ";
  llvm::interleaveComma(values.getTypes(), printer);
  printer << ')';
}

/// `keyword(%names...) { region }`, with the given types for the names.
static ParseResult parseBody(OpAsmParser &parser, ArrayRef<Type> types, Region &region) {
  SmallVector<OpAsmParser::Argument> arguments;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseArgumentList(arguments, OpAsmParser::Delimiter::Paren))
    return failure();
  if (arguments.size() != types.size())
    return parser.emitError(loc) << "expects " << types.size() << " names of body arguments, got "
                                 << arguments.size();
  for (auto [argument, type] : llvm::zip_equal(arguments, types))
    argument.type = type;
  return parser.parseRegion(region, arguments, /*enableNameShadowing=*/true);
}

static void printBody(OpAsmPrinter &printer, StringRef keyword, Region &region) {
  printer << ' ' << keyword << '(';
  llvm::interleaveComma(region.getArguments(), printer,
                        [&](Value value) { printer.printOperand(value); });
  printer << ") ";
  printer.printRegion(region, /*printEntryBlockArgs=*/false);
}

static ParseResult parseTextAttribute(OpAsmParser &parser, StringRef name, OperationState &result) {
  StringAttr value;
  return parser.parseAttribute(value, parser.getBuilder().getType<NoneType>(), name,
                               result.attributes);
}

static ParseResult parseCount(OpAsmParser &parser, StringRef name, OperationState &result) {
  int64_t value;
  if (parser.parseInteger(value))
    return failure();
  result.addAttribute(name, parser.getBuilder().getI64IntegerAttr(value));
  return success();
}

static void addSegments(OpAsmParser &parser, OperationState &result, ArrayRef<int32_t> sizes) {
  result.addAttribute("operandSegmentSizes", parser.getBuilder().getDenseI32ArrayAttr(sizes));
}

//===----------------------------------------------------------------------===//
// recur and scan
//===----------------------------------------------------------------------===//

/// `"name" inputs(...) states("S" = %init, ... : types)`; adds name, states, segments and operands.
static ParseResult parseRecurrence(OpAsmParser &parser, OperationState &result, Operands &inputs,
                                   Operands &inits) {
  if (parseTextAttribute(parser, "name", result) || parseGroup(parser, "inputs", inputs, result))
    return failure();
  SmallVector<Attribute> states;
  SMLoc loc;
  if (succeeded(parser.parseOptionalKeyword("states"))) {
    loc = parser.getCurrentLocation();
    auto parseState = [&]() -> ParseResult {
      std::string name;
      if (parser.parseString(&name) || parser.parseEqual() ||
          parser.parseOperand(inits.values.emplace_back()))
        return failure();
      states.push_back(parser.getBuilder().getStringAttr(name));
      return success();
    };
    if (parser.parseLParen() || parser.parseCommaSeparatedList(parseState) ||
        parser.parseColonTypeList(inits.types) || parser.parseRParen() ||
        inits.resolve(parser, loc, result))
      return failure();
  }
  result.addAttribute("states", parser.getBuilder().getArrayAttr(states));
  addSegments(parser, result, {int32_t(inputs.values.size()), int32_t(inits.values.size())});
  return success();
}

static void printStates(OpAsmPrinter &printer, ArrayAttr names, OperandRange inits) {
  if (inits.empty())
    return;
  printer << " states(";
  llvm::interleaveComma(llvm::zip(names, inits), printer, [&](auto state) {
    printer << std::get<0>(state) << " = " << std::get<1>(state);
  });
  printer << " : ";
  llvm::interleaveComma(inits.getTypes(), printer);
  printer << ')';
}

static ParseResult parseResults(OpAsmParser &parser, OperationState &result) {
  return failure(parser.parseArrowTypeList(result.types) ||
                 parser.parseOptionalAttrDictWithKeyword(result.attributes));
}

static void printResults(OpAsmPrinter &printer, Operation *op, ArrayRef<StringRef> elided) {
  printer << " -> (";
  llvm::interleaveComma(op->getResultTypes(), printer);
  printer << ')';
  printer.printOptionalAttrDictWithKeyword(op->getAttrs(), elided);
}

ParseResult RecurOp::parse(OpAsmParser &parser, OperationState &result) {
  Operands inputs, inits;
  if (parseRecurrence(parser, result, inputs, inits))
    return failure();
  bool grouped = succeeded(parser.parseOptionalKeyword("every"));
  if (grouped && parseCount(parser, "every", result))
    return failure();
  if (parseResults(parser, result) || parser.parseKeyword("body"))
    return failure();
  return parseBody(parser, recurrenceArguments(inputs.types, inits.types, grouped, /*chunk=*/0),
                   *result.addRegion());
}

void RecurOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getNameAttr();
  printGroup(printer, "inputs", getInputs());
  printStates(printer, getStates(), getInits());
  if (auto every = getEvery())
    printer << " every " << *every;
  printResults(printer, *this, {"name", "states", "every", "operandSegmentSizes"});
  printBody(printer, "body", getBody());
}

ParseResult ScanOp::parse(OpAsmParser &parser, OperationState &result) {
  Operands inputs, inits;
  if (parseRecurrence(parser, result, inputs, inits))
    return failure();
  bool grouped = succeeded(parser.parseOptionalKeyword("every"));
  if (grouped && parseCount(parser, "every", result))
    return failure();
  if (parser.parseKeyword("chunk") || parseCount(parser, "chunk", result) ||
      parser.parseKeyword("form") || parseTextAttribute(parser, "form", result) ||
      parser.parseKeyword("transition") || parseTextAttribute(parser, "transition", result) ||
      parseResults(parser, result) || parser.parseKeyword("token"))
    return failure();
  int64_t chunk = cast<IntegerAttr>(result.attributes.get("chunk")).getInt();
  Region *token = result.addRegion(), *block = result.addRegion();
  if (parseBody(parser, recurrenceArguments(inputs.types, inits.types, grouped, 0), *token))
    return failure();
  if (failed(parser.parseOptionalKeyword("block")))
    return success();
  if (chunk < 1)
    return parser.emitError(parser.getCurrentLocation())
           << "expects a chunk of at least 1 token, got " << chunk;
  for (Type type : inputs.types)
    if (hasAxis(type, blockAxis))
      return parser.emitError(parser.getCurrentLocation())
             << "expects operands without the block axis 'c', got " << type;
  return parseBody(parser, recurrenceArguments(inputs.types, inits.types, grouped, chunk), *block);
}

void ScanOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getNameAttr();
  printGroup(printer, "inputs", getInputs());
  printStates(printer, getStates(), getInits());
  if (auto every = getEvery())
    printer << " every " << *every;
  printer << " chunk " << getChunk() << " form " << getFormAttr() << " transition "
          << getTransitionAttr();
  printResults(printer, *this,
               {"name", "states", "every", "chunk", "form", "transition", "operandSegmentSizes"});
  printBody(printer, "token", getToken());
  if (!getBlock().empty())
    printBody(printer, "block", getBlock());
}

//===----------------------------------------------------------------------===//
// over and attend
//===----------------------------------------------------------------------===//

static ParseResult parseKindAndName(OpAsmParser &parser, OperationState &result) {
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  auto kind = symbolizeOverKind(keyword);
  if (!kind)
    return parser.emitError(loc) << "expects 'softmax' or 'sum', got '" << keyword << "'";
  result.addAttribute("kind", OverKindAttr::get(parser.getContext(), *kind));
  return parseTextAttribute(parser, "name", result);
}

static ParseResult parsePairs(OpAsmParser &parser, OperationState &result, bool tiled) {
  Operands queries, keys, shared;
  Type type;
  if (parseGroup(parser, "queries", queries, result) || parseGroup(parser, "keys", keys, result) ||
      parseGroup(parser, "shared", shared, result) || parser.parseArrow() ||
      parser.parseType(type) || parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.parseKeyword("body"))
    return failure();
  result.addTypes(type);
  addSegments(
      parser, result,
      {int32_t(queries.values.size()), int32_t(keys.values.size()), int32_t(shared.values.size())});
  for (Type key : keys.types)
    if (tiled && hasAxis(key, keyAxis))
      return parser.emitError(parser.getCurrentLocation())
             << "expects keys without the axis 's' of their tokens, got " << key;
  auto types = pairArguments(parser.getContext(), queries.types, keys.types, shared.types, tiled);
  return parseBody(parser, types, *result.addRegion());
}

template <typename PairOp>
static void printPairs(OpAsmPrinter &printer, PairOp op, ArrayRef<StringRef> elided) {
  printGroup(printer, "queries", op.getQueries());
  printGroup(printer, "keys", op.getKeys());
  printGroup(printer, "shared", op.getShared());
  printer << " -> " << op.getType();
  printer.printOptionalAttrDictWithKeyword(op->getAttrs(), elided);
  printBody(printer, "body", op.getBody());
}

ParseResult OverOp::parse(OpAsmParser &parser, OperationState &result) {
  return failure(parseKindAndName(parser, result) || parsePairs(parser, result, /*tiled=*/false));
}

void OverOp::print(OpAsmPrinter &printer) {
  printer << ' ' << stringifyOverKind(getKind()) << ' ' << getNameAttr();
  printPairs(printer, *this, {"kind", "name", "operandSegmentSizes"});
}

ParseResult AttendOp::parse(OpAsmParser &parser, OperationState &result) {
  if (parseKindAndName(parser, result))
    return failure();
  bool causal = succeeded(parser.parseOptionalKeyword("causal"));
  result.addAttribute("causal", parser.getBuilder().getBoolAttr(causal));
  if (succeeded(parser.parseOptionalKeyword("window"))) {
    if (parseCount(parser, "window", result))
      return failure();
  } else {
    result.addAttribute("window", parser.getBuilder().getI64IntegerAttr(0));
  }
  return parsePairs(parser, result, /*tiled=*/true);
}

void AttendOp::print(OpAsmPrinter &printer) {
  printer << ' ' << stringifyOverKind(getKind()) << ' ' << getNameAttr();
  if (getCausal())
    printer << " causal";
  if (getWindow() != 0)
    printer << " window " << getWindow();
  printPairs(printer, *this, {"kind", "name", "causal", "window", "operandSegmentSizes"});
}

//===----------------------------------------------------------------------===//
// route
//===----------------------------------------------------------------------===//

ParseResult RouteOp::parse(OpAsmParser &parser, OperationState &result) {
  Operands ids, inputs, tables;
  SMLoc loc = parser.getCurrentLocation();
  ids.values.emplace_back();
  ids.types.emplace_back();
  StringRef axis;
  if (parser.parseOperand(ids.values[0]) || parser.parseColonType(ids.types[0]) ||
      ids.resolve(parser, loc, result) || parser.parseKeyword("along") ||
      parser.parseKeyword(&axis))
    return failure();
  result.addAttribute("axis", parser.getBuilder().getStringAttr(axis));
  Type type;
  if (parseGroup(parser, "inputs", inputs, result) ||
      parseGroup(parser, "tables", tables, result) || parser.parseArrow() ||
      parser.parseType(type) || parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.parseKeyword("body"))
    return failure();
  result.addTypes(type);
  addSegments(parser, result, {1, int32_t(inputs.values.size()), int32_t(tables.values.size())});
  return parseBody(parser, routeArguments(ids.types[0], axis, inputs.types, tables.types),
                   *result.addRegion());
}

void RouteOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getIds() << " : " << getIds().getType() << " along " << getAxis();
  printGroup(printer, "inputs", getInputs());
  printGroup(printer, "tables", getTables());
  printer << " -> " << getType();
  printer.printOptionalAttrDictWithKeyword(getOperation()->getAttrs(),
                                           {"axis", "operandSegmentSizes"});
  printBody(printer, "body", getBody());
}

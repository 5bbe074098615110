//===- RondoOps.cpp - Builders and accessors ------------------------------===//
//
// What a builder infers: the result's axes, by name. Assembly is in RondoAssembly.cpp, constraints
// in RondoVerifiers.cpp.
//
//===----------------------------------------------------------------------===//

#include "dialect/PairBody.h"
#include "dialect/Rondo.h"

using namespace mlir;
using namespace rondo;

//===----------------------------------------------------------------------===//
// Pieces of declarative assembly: `over [k, v]`, `along k`
//===----------------------------------------------------------------------===//

static ParseResult parseAxisName(OpAsmParser &parser, StringAttr &axis) {
  std::string name;
  if (parser.parseKeywordOrString(&name))
    return failure();
  axis = parser.getBuilder().getStringAttr(name);
  return success();
}

static void printAxisName(OpAsmPrinter &printer, Operation *, StringAttr axis) {
  printer.printKeywordOrString(axis.getValue());
}

static ParseResult parseAxisList(OpAsmParser &parser, ArrayAttr &axes) {
  SmallVector<Attribute> names;
  auto parseOne = [&]() -> ParseResult {
    StringAttr name;
    if (parseAxisName(parser, name))
      return failure();
    names.push_back(name);
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseOne))
    return failure();
  axes = parser.getBuilder().getArrayAttr(names);
  return success();
}

static void printAxisList(OpAsmPrinter &printer, Operation *op, ArrayAttr axes) {
  printer << '[';
  llvm::interleaveComma(axes.getAsRange<StringAttr>(), printer,
                        [&](StringAttr axis) { printAxisName(printer, op, axis); });
  printer << ']';
}

#define GET_OP_CLASSES
#include "dialect/RondoOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Builders
//===----------------------------------------------------------------------===//

static Type mapElementType(OpBuilder &builder, MapKind kind, ValueRange inputs) {
  switch (kind) {
  case MapKind::Lt:
  case MapKind::Le:
  case MapKind::Eq:
  case MapKind::Ne:
  case MapKind::And:
  case MapKind::Or:
  case MapKind::Not:
    return builder.getI1Type();
  case MapKind::Convert:
    return builder.getF32Type();
  case MapKind::Select:
    return elementTypeOf(inputs[1].getType());
  default:
    return elementTypeOf(inputs[0].getType());
  }
}

void MapOp::build(OpBuilder &builder, OperationState &state, MapKind kind, ValueRange inputs) {
  build(builder, state, unionType(inputs.getTypes(), mapElementType(builder, kind, inputs)), kind,
        inputs);
}

static RankedTensorType withoutAxes(RankedTensorType type, ArrayRef<StringRef> axes) {
  for (StringRef axis : axes)
    type = withoutAxis(type, axis);
  return type;
}

void ReduceOp::build(OpBuilder &builder, OperationState &state, ReduceKind kind, Value source,
                     ArrayRef<StringRef> axes) {
  auto type = withoutAxes(cast<RankedTensorType>(source.getType()), axes);
  build(builder, state, type, kind, source, builder.getStrArrayAttr(axes));
}

void ContractOp::build(OpBuilder &builder, OperationState &state, Value lhs, Value rhs,
                       ArrayRef<StringRef> axes) {
  auto type = unionType({lhs.getType(), rhs.getType()}, elementTypeOf(lhs.getType()));
  build(builder, state, withoutAxes(type, axes), lhs, rhs, builder.getStrArrayAttr(axes));
}

//===----------------------------------------------------------------------===//
// Accessors
//===----------------------------------------------------------------------===//

YieldOp RecurOp::getYield() { return cast<YieldOp>(getBlock()->getTerminator()); }
YieldOp OverOp::getYield() { return cast<YieldOp>(getBlock()->getTerminator()); }
YieldOp AttendOp::getYield() { return cast<YieldOp>(getBlock()->getTerminator()); }
YieldOp RouteOp::getYield() { return cast<YieldOp>(getBlock()->getTerminator()); }
YieldOp ScanOp::getTokenYield() { return cast<YieldOp>(getToken().front().getTerminator()); }
YieldOp ScanOp::getBlockYield() { return cast<YieldOp>(getBlock().front().getTerminator()); }

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

std::string rondo::recurrenceStateName(StringRef recurrence, ArrayAttr states, unsigned index) {
  StringRef first = cast<StringAttr>(states[0]).getValue();
  StringRef state = cast<StringAttr>(states[index]).getValue();
  StringRef prefix = recurrence;
  if (prefix.consume_back(first) && (prefix.empty() || prefix.ends_with(".")))
    return (prefix + state).str();
  return (recurrence + "." + state).str();
}

SmallVector<Type> rondo::recurrenceArguments(TypeRange inputs, TypeRange states, bool grouped,
                                             int64_t chunk) {
  SmallVector<Type> types;
  for (Type input : inputs) {
    if (!isPerToken(input))
      types.push_back(input);
    else if (chunk == 0)
      types.push_back(withoutTime(input));
    else
      types.push_back(withLeadingAxis(withoutTime(input), blockAxis, chunk));
  }
  llvm::append_range(types, states);
  if (grouped)
    llvm::append_range(types, states);
  return types;
}

bool rondo::readsKey(Value value, unsigned queries, unsigned keys) {
  SmallVector<Value> worklist{value};
  llvm::DenseSet<Value> seen;
  while (!worklist.empty()) {
    Value next = worklist.pop_back_val();
    if (!seen.insert(next).second)
      continue;
    if (auto argument = dyn_cast<BlockArgument>(next)) {
      unsigned i = argument.getArgNumber();
      if (i == 1 || (i >= 2 + queries && i < 2 + queries + keys))
        return true;
    } else {
      llvm::append_range(worklist, next.getDefiningOp()->getOperands());
    }
  }
  return false;
}

SmallVector<Type> rondo::pairArguments(MLIRContext *context, TypeRange queries, TypeRange keys,
                                       TypeRange shared, bool tiled) {
  Type position = RankedTensorType::get({}, Float32Type::get(context));
  auto keyOf = [](Type type) {
    return withLeadingAxis(withoutTime(type), keyAxis, ShapedType::kDynamic);
  };
  SmallVector<Type> types;
  types.push_back(tiled ? withTime(position) : position);
  types.push_back(tiled ? keyOf(position) : position);
  for (Type type : queries)
    types.push_back(tiled ? type : Type(withoutTime(type)));
  for (Type type : keys)
    types.push_back(tiled ? Type(keyOf(type)) : Type(withoutTime(type)));
  llvm::append_range(types, shared);
  return types;
}

SmallVector<Type> rondo::routeArguments(Type ids, StringRef axis, TypeRange inputs,
                                        TypeRange tables) {
  SmallVector<Type> types;
  for (Type input : inputs) {
    RankedTensorType type = withoutTime(input);
    for (StringAttr chosen : axesOf(ids))
      type = withoutAxis(type, chosen);
    types.push_back(type);
  }
  for (Type table : tables)
    types.push_back(withoutAxis(table, axis));
  return types;
}

//===----------------------------------------------------------------------===//
// Stacked parameters
//===----------------------------------------------------------------------===//

StringRef rondo::stackedAxis(StringRef path) {
  return path.contains('{') ? path.split('{').second.split('}').first : StringRef();
}

std::vector<std::pair<std::string, std::string>> rondo::renamesOf(ModuleOp module) {
  std::vector<std::pair<std::string, std::string>> renames;
  if (auto names = module->getAttrOfType<ArrayAttr>("rondo.renamed"))
    for (size_t i = 0; i + 1 < names.size(); i += 2) {
      auto from = dyn_cast<StringAttr>(names[i]), to = dyn_cast<StringAttr>(names[i + 1]);
      if (from && to)
        renames.push_back({from.str(), to.str()});
    }
  return renames;
}

std::string rondo::pathOfSlice(StringRef path, int64_t index) {
  auto [before, rest] = path.split('{');
  return (before + Twine(index) + rest.split('}').second).str();
}

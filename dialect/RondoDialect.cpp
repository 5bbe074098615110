//===- RondoDialect.cpp - Registration, attributes, constants -------------===//

#include "dialect/Rondo.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace rondo;

#include "dialect/RondoDialect.cpp.inc"
#include "dialect/RondoEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/RondoAttributes.cpp.inc"

void RondoDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/RondoAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/RondoOps.cpp.inc"
      >();
}

Operation *RondoDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type,
                                             Location loc) {
  auto elements = dyn_cast<ElementsAttr>(value);
  if (!elements || elements.getType() != type)
    return nullptr;
  return ConstantOp::create(builder, loc, type, elements);
}

//===----------------------------------------------------------------------===//
// AxesAttr: #rondo.axes<[t, h, p]>
//===----------------------------------------------------------------------===//

Attribute AxesAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  SmallVector<StringAttr> names;
  auto parseName = [&]() -> ParseResult {
    std::string name;
    if (parser.parseKeywordOrString(&name))
      return failure();
    names.push_back(parser.getBuilder().getStringAttr(name));
    return success();
  };
  if (parser.parseLess() ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseName) ||
      parser.parseGreater())
    return {};
  return parser.getChecked<AxesAttr>(loc, parser.getContext(), names);
}

void AxesAttr::print(AsmPrinter &printer) const {
  printer << "<[";
  llvm::interleaveComma(getNames(), printer,
                        [&](StringAttr name) { printer.printKeywordOrString(name.getValue()); });
  printer << "]>";
}

LogicalResult AxesAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               ArrayRef<StringAttr> names) {
  if (names.empty())
    return emitError() << "expects at least one axis: a rank-0 tensor needs no encoding";
  for (auto [i, name] : llvm::enumerate(names)) {
    if (name.empty())
      return emitError() << "expects a name for every axis, got an empty one";
    if (llvm::is_contained(names.take_front(i), name))
      return emitError() << "expects different axes, got '" << name.getValue() << "' twice";
    if (i > 0 && name.getValue() == timeAxis)
      return emitError() << "expects the time axis 't' in front, got it at place " << i;
  }
  return success();
}

LogicalResult AxesAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                                       function_ref<InFlightDiagnostic()> emitError) const {
  if (shape.size() != getNames().size())
    return emitError() << "expects one axis a dimension, got " << getNames().size()
                       << " axes for rank " << shape.size();
  for (auto [name, extent] : llvm::zip_equal(getNames(), shape)) {
    bool dynamic = ShapedType::isDynamic(extent);
    if (dynamic && name.getValue() != timeAxis && name.getValue() != keyAxis)
      return emitError()
             << "expects a dynamic extent only on the axes of tokens, 't' and 's', got axis '"
             << name.getValue() << "' with a dynamic extent";
    if (!dynamic && extent < 1)
      return emitError() << "expects extents of at least 1, got " << extent << " on axis '"
                         << name.getValue() << "'";
  }
  return success();
}

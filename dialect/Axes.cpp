//===- Axes.cpp - Types by the names of their axes ------------------------===//

#include "dialect/Axes.h"

#include "dialect/Rondo.h"

using namespace mlir;

namespace rondo {

bool isValueType(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return false;
  Type element = tensor.getElementType();
  if (!element.isF32() && !element.isInteger(64) && !element.isInteger(1))
    return false;
  return tensor.getRank() == 0 ? !tensor.getEncoding()
                               : isa_and_present<AxesAttr>(tensor.getEncoding());
}

ArrayRef<StringAttr> axesOf(Type type) {
  auto axes = dyn_cast_if_present<AxesAttr>(cast<RankedTensorType>(type).getEncoding());
  return axes ? axes.getNames() : ArrayRef<StringAttr>();
}

std::optional<unsigned> axisIndex(Type type, StringRef name) {
  for (auto [i, axis] : llvm::enumerate(axesOf(type)))
    if (axis.getValue() == name)
      return i;
  return std::nullopt;
}

bool hasAxis(Type type, StringRef name) { return axisIndex(type, name).has_value(); }

bool isPerToken(Type type) {
  ArrayRef<StringAttr> axes = axesOf(type);
  return !axes.empty() && axes.front().getValue() == timeAxis;
}

int64_t extentOf(Type type, StringRef name) {
  auto index = axisIndex(type, name);
  return index ? cast<RankedTensorType>(type).getDimSize(*index) : 1;
}

int64_t elementsPerToken(Type type) { return withoutTime(type).getNumElements(); }

Type elementTypeOf(Type type) { return cast<RankedTensorType>(type).getElementType(); }

RankedTensorType namedType(MLIRContext *context, ArrayRef<StringAttr> names,
                           ArrayRef<int64_t> extents, Type element) {
  assert(names.size() == extents.size() && "one name an extent");
  return RankedTensorType::get(extents, element,
                               names.empty() ? AxesAttr() : AxesAttr::get(context, names));
}

RankedTensorType namedType(MLIRContext *context, ArrayRef<StringRef> names,
                           ArrayRef<int64_t> extents, Type element) {
  SmallVector<StringAttr> attributes;
  for (StringRef name : names)
    attributes.push_back(StringAttr::get(context, name));
  return namedType(context, ArrayRef<StringAttr>(attributes), extents, element);
}

RankedTensorType unionType(TypeRange types, Type element) {
  SmallVector<StringAttr> names;
  SmallVector<int64_t> extents;
  for (Type type : types)
    for (auto [name, extent] :
         llvm::zip_equal(axesOf(type), cast<RankedTensorType>(type).getShape())) {
      if (llvm::is_contained(names, name))
        continue;
      bool front = name.getValue() == timeAxis;
      names.insert(front ? names.begin() : names.end(), name);
      extents.insert(front ? extents.begin() : extents.end(), extent);
    }
  return namedType(element.getContext(), ArrayRef<StringAttr>(names), extents, element);
}

RankedTensorType withoutAxis(Type type, StringRef name) {
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<StringAttr> names;
  SmallVector<int64_t> extents;
  for (auto [axis, extent] : llvm::zip_equal(axesOf(type), tensor.getShape()))
    if (axis.getValue() != name) {
      names.push_back(axis);
      extents.push_back(extent);
    }
  return namedType(type.getContext(), ArrayRef<StringAttr>(names), extents,
                   tensor.getElementType());
}

RankedTensorType withoutTime(Type type) { return withoutAxis(type, timeAxis); }

RankedTensorType withLeadingAxis(Type type, StringRef name, int64_t extent) {
  assert(!hasAxis(type, name) && "the type has this axis");
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<StringAttr> names = {StringAttr::get(type.getContext(), name)};
  SmallVector<int64_t> extents = {extent};
  llvm::append_range(names, axesOf(type));
  llvm::append_range(extents, tensor.getShape());
  return namedType(type.getContext(), ArrayRef<StringAttr>(names), extents,
                   tensor.getElementType());
}

RankedTensorType withTime(Type type) {
  return withLeadingAxis(type, timeAxis, ShapedType::kDynamic);
}

RankedTensorType withElementType(Type type, Type element) {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape(), element, tensor.getEncoding());
}

} // namespace rondo

//===- Layout.cpp - How a weight lies in a package ------------------------===//

#include "codegen/common/Layout.h"

using namespace rondo;

static constexpr int64_t panelWidth = 32;

static int64_t panelsOf(int64_t outputs) { return (outputs + panelWidth - 1) / panelWidth; }

bool rondo::isLayoutOf(llvm::StringRef layout, mlir::RankedTensorType type) {
  return layout == "rows" || (layout == "panels32" && type.getRank() == 2);
}

int64_t rondo::packedElements(llvm::StringRef layout, mlir::RankedTensorType type) {
  if (layout == "rows")
    return type.getNumElements();
  return panelsOf(type.getDimSize(0)) * type.getDimSize(1) * panelWidth;
}

std::vector<float> rondo::pack(llvm::StringRef layout, mlir::RankedTensorType type, std::vector<float> rows) {
  if (layout == "rows")
    return rows;
  int64_t outputs = type.getDimSize(0), depth = type.getDimSize(1);
  std::vector<float> panels(packedElements(layout, type));
  // Down the rows of one panel at a time: reads are sequential, and the panel written stays in the cache.
  for (int64_t n = 0; n < outputs; ++n) {
    const float *source = rows.data() + n * depth;
    float *target = panels.data() + n / panelWidth * depth * panelWidth + n % panelWidth;
    for (int64_t k = 0; k < depth; ++k)
      target[k * panelWidth] = source[k];
  }
  return panels;
}

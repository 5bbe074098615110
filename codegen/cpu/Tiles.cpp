//===- Tiles.cpp - Products of whole matrices in tile registers -----------===//
//
// Each method is one instruction, by LLVM's intrinsics whose tile numbers are immediates.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Tiles.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::cpu;

static constexpr StringRef prefix = "llvm.x86.";

Tiles::Tiles(KernelFrame &frame, ArrayRef<Shape> shapes)
    : nest(frame.nest), loc(frame.kernel.getLoc()) {
  // Palette 1; from byte 16 on the bytes of a row, 16 bits each, from byte 48 on the rows.
  std::array<uint64_t, 8> words{1};
  for (auto [i, shape] : llvm::enumerate(shapes)) {
    words[2 + i / 4] |= uint64_t(shape.bytes) << (16 * (i % 4));
    words[6] |= uint64_t(shape.rows) << (8 * i);
  }
  OpBuilder &b = nest.builder();
  Value memory = frame.onStack(b.getI64Type(), int64_t(words.size()));
  for (auto [i, word] : llvm::enumerate(words))
    LLVM::StoreOp::create(b, loc, nest.i64(int64_t(word)),
                          nest.addressOf(memory, nest.i64(int64_t(i)), b.getI64Type()));
  call("ldtilecfg", {}, memory);
}

void Tiles::call(StringRef instruction, ArrayRef<int64_t> tiles, ValueRange others) {
  OpBuilder &b = nest.builder();
  SmallVector<Value> operands;
  for (int64_t tile : tiles)
    operands.push_back(LLVM::ConstantOp::create(b, loc, b.getI8Type(), b.getI8IntegerAttr(tile)));
  operands.append(others.begin(), others.end());
  LLVM::CallIntrinsicOp::create(b, loc, b.getStringAttr(prefix + instruction), operands);
}

void Tiles::release() { call("tilerelease", {}); }
void Tiles::zero(int64_t tile) { call("tilezero", tile); }
void Tiles::load(int64_t tile, Value address, int64_t stride) {
  call("tileloadd64", tile, {address, nest.i64(stride)});
}
void Tiles::store(int64_t tile, Value address, int64_t stride) {
  call("tilestored64", tile, {address, nest.i64(stride)});
}
void Tiles::dotPairs(int64_t sums, int64_t rows, int64_t panel) {
  call("tdpbf16ps", {sums, rows, panel});
}
void Tiles::dotBytes(int64_t sums, int64_t rows, int64_t panel) {
  call("tdpbsud", {sums, rows, panel});
}

TileWork cpu::tileWorkOf(Operation *op) {
  auto call = dyn_cast<LLVM::CallIntrinsicOp>(op);
  StringRef name = call ? call.getIntrin() : StringRef();
  if (!name.consume_front(prefix))
    return {};
  if (name.starts_with("tdp"))
    return {.cycles = Tiles::rows};
  if (name.starts_with("tileload"))
    return {.loads = Tiles::rows};
  if (name.starts_with("tilestore"))
    return {.stores = Tiles::rows};
  return {};
}

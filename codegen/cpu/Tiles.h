//===- Tiles.h - Products of whole matrices in tile registers -------------===//
//
// The unit that a level with `tiles` has (Intel AMX; Intel 64 and IA-32 Architectures Software
// Developer's Manual, volume 1, chapter 18): eight registers of up to 16 rows of 64 bytes, and
// instructions that add a product of two of them to a third. Which register is which is decided
// here and not by LLVM: a product's loop takes all eight of them, in one order.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/KernelFrame.h"

namespace rondo::cpu {

class Tiles {
public:
  static constexpr int64_t rows = 16, bytes = 64;
  /// f32 or i32 numbers in a row.
  static constexpr int64_t columns = bytes / 4;

  struct Shape {
    int64_t rows, bytes;
  };
  /// Emits the set-up of registers 0, 1, ... for the thread that the function runs on. Before the
  /// function returns, `release` must be called.
  Tiles(KernelFrame &frame, mlir::ArrayRef<Shape> shapes);
  void release();

  void zero(int64_t tile);
  /// Rows that lie `stride` bytes apart.
  void load(int64_t tile, mlir::Value address, int64_t stride);
  void store(int64_t tile, mlir::Value address, int64_t stride);
  /// sums[m, n] += the sum over k of rows[m, k] panel[k, n], where a 32-bit word of `panel` holds
  /// two bf16 neighbours along k, or four bytes. Pairs of bf16: products with even and with odd k
  /// are summed in f32 of their own, those of one instruction first.
  void dotPairs(int64_t sums, int64_t rows, int64_t panel);
  /// `rows` are signed bytes, those of `panel` are not.
  void dotBytes(int64_t sums, int64_t rows, int64_t panel);

private:
  void call(llvm::StringRef instruction, mlir::ArrayRef<int64_t> tiles,
            mlir::ValueRange others = {});

  Nest &nest;
  mlir::Location loc;
};

/// What one of the instructions above asks of a core: cycles of the unit (a product takes one for
/// each row), and lines that are read and written. Nothing of other ops.
struct TileWork {
  int64_t cycles = 0, loads = 0, stores = 0;
  explicit operator bool() const { return cycles || loads || stores; }
};
TileWork tileWorkOf(mlir::Operation *op);

} // namespace rondo::cpu

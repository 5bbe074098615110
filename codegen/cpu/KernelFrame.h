//===- KernelFrame.h - What all kernels of the CPU start with -------------===//

#pragma once

#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Program.h"

namespace rondo::cpu {

/// One entry of a kernel's `rondo.state_info`.
struct StateInfo {
  enum class Kind { Fixed, Tail, Cache } kind;
  mlir::RankedTensorType type; ///< of one token's value (Tail, Cache) or the state, without t
  int64_t tokens = 0;          ///< Tail: rows kept. Cache: the window, 0 = all
  llvm::SmallVector<int64_t>
      order;           ///< Fixed: the axes from the outermost in memory on; empty: as in the type
  int64_t source = -1; ///< Tail, Cache: the kernel operand whose rows it keeps
};

/// The function being emitted: its arguments, the batch, its operands' addresses.
class KernelFrame {
public:
  KernelFrame(mlir::func::FuncOp kernel, const Isa &isa, mlir::OpBuilder &builder,
              mlir::func::FuncOp function);

  mlir::Value begin() { return function.getArgument(1); }
  mlir::Value end() { return function.getArgument(2); }

  mlir::Value input(unsigned i) { return operandBases[i]; }
  mlir::Value output(unsigned i) { return operandBases[inputs + states.size() + i]; }
  /// The state's byte offset in the sequence's block, or the cache's index (i64).
  mlir::Value state(unsigned i) { return stateOffsets[i]; }
  llvm::ArrayRef<StateInfo> stateInfos() const { return states; }
  llvm::StringRef stateName(unsigned i) const { return names[i]; }

  /// The layout that argument `i` has in the package: "rows" unless the kernel says another.
  llvm::StringRef inputLayout(unsigned i);

  // Fields of rondo_batch.
  mlir::Value rows();
  mlir::Value firstRow(mlir::Value sequence); ///< row_begin[sequence]
  mlir::Value endRow(mlir::Value sequence);   ///< row_begin[sequence + 1]
  mlir::Value position(mlir::Value sequence); ///< tokens before this piece
  mlir::Value sequenceOfRow(mlir::Value row);
  mlir::Value stateBlock(mlir::Value sequence); ///< address
  mlir::Value cacheBase(mlir::Value sequence, mlir::Value cache);
  mlir::Value cacheCapacity(mlir::Value sequence, mlir::Value cache);

  /// Binds the kernel's arguments to their buffers.
  void bindArguments();
  /// Binds positions read in the kernel, for the rows of `sequence`.
  void bindPositions(mlir::Value sequence);

  /// The buffer of a kernel operand: packed as its argument says, rows of per-token values one
  /// after the other.
  Buffer inputBuffer(unsigned i);
  Buffer outputBuffer(unsigned i);
  /// `buffer` with its leading axis t (or c) fixed at row `row`: the axes that remain.
  Buffer atRow(const Buffer &buffer, mlir::RankedTensorType type, mlir::Value row);
  /// `buffer` from row `row` on, its leading axis renamed `axis`.
  Buffer fromRow(const Buffer &buffer, mlir::RankedTensorType type, mlir::Value row,
                 mlir::StringAttr axis);

  /// Memory of the function's own for `count` values.
  mlir::Value onStack(mlir::Type type, int64_t count);

  Nest nest;
  mlir::func::FuncOp kernel;
  Scratch scratch;

private:
  Buffer bufferFor(mlir::Value base, mlir::RankedTensorType type, llvm::StringRef layout);
  mlir::Value batchField(mlir::Type type, int64_t byteOffset);

  mlir::func::FuncOp function;
  mlir::Value batch;
  unsigned inputs;
  llvm::SmallVector<StateInfo> states;
  llvm::SmallVector<llvm::StringRef> names;
  llvm::SmallVector<mlir::Value> operandBases, stateOffsets;
  mlir::Type pointer;
};

/// How the work of a sequence is shared out: blocks of one axis that no two blocks exchange values
/// along.
struct Sharing {
  mlir::StringAttr axis; ///< null: one item a sequence
  int64_t extent = 1, block = 1;
  int64_t blocks() const { return (extent + block - 1) / block; }
};

/// Whether computing `bodies` never mixes indices of `axis`: no reduction over it, no view that
/// moves it, no running sum along it.
bool isParallel(mlir::StringAttr axis, llvm::ArrayRef<mlir::Block *> bodies);
/// Whether `op` mixes indices of `axis` in that way.
bool exchangesAlong(mlir::StringAttr axis, mlir::Operation *op);

// The kinds of kernel. Each emits the body of `frame`'s function and fills the grid of the record.
mlir::LogicalResult emitRows(KernelFrame &frame, KernelRecord &record);
mlir::LogicalResult emitProduct(KernelFrame &frame, KernelRecord &record);
mlir::LogicalResult emitGroup(KernelFrame &frame, KernelRecord &record);
mlir::LogicalResult emitScan(KernelFrame &frame, ScanOp scan, KernelRecord &record);
mlir::LogicalResult emitAttend(KernelFrame &frame, AttendOp attend, KernelRecord &record);

/// The products of a kernel: contractions of the same rows with matrices of one layout, and what
/// ends them number by number. Work items
/// are the panels of 32 columns of the first result, then those of the next one; those with as many
/// columns share their code. A block-diagonal matrix has panels of each block. Where rows are
/// prepared, by blocks, a result's items are its panels for the first block, then for the next one:
/// whoever prepares a block multiplies it with many panels, whatever the number of threads, and
/// goes through a matrix that stays in cache.
class ProductPanels {
public:
  static constexpr int64_t width = 32;

  static mlir::FailureOr<ProductPanels> of(KernelFrame &frame);

  int64_t count() const { return total; }
  /// One of them, which stands for all that they have in common.
  ContractOp contract() const { return groups.front().contract; }
  /// The matrix of `contract()` as an argument; null: it is none.
  mlir::Value weight() const { return groups.front().weight; }
  bool several() const { return total > groups.front().ofEach(); }
  /// Where all matrices are.
  llvm::SmallVector<mlir::Value> matrices() const;

  /// A panel where code is emitted for it.
  struct Panel {
    ContractOp contract;
    mlir::Value ended;        ///< what is stored: the contraction, or elementwise in it
    mlir::Value weight;       ///< the argument that stands for its matrix; null: it is none
    unsigned result;          ///< the result that stands for its own
    mlir::Value base, output; ///< where the matrix and the result are
    mlir::Value number;       ///< the matrix' place among all
    mlir::Value item;         ///< the panel's number in both
    int64_t columns;
    mlir::Value block; ///< of a block-diagonal matrix; null: it is none
  };
  using Body = llvm::function_ref<mlir::LogicalResult(const Panel &, IndexRange rows)>;
  /// Loops over the frame's work items, all rows at once.
  mlir::LogicalResult forEach(Body body);
  /// Loops over them by blocks of `blockRows` rows, and says so in `record`. `prepare` is emitted
  /// for the rows of a block, before the first of its panels that follow each other.
  mlir::LogicalResult forEachBlock(KernelRecord &record, int64_t blockRows,
                                   llvm::function_ref<mlir::LogicalResult(IndexRange)> prepare,
                                   Body body);

private:
  explicit ProductPanels(KernelFrame &frame) : frame(frame) {}

  /// Results with as many columns.
  struct Same {
    ContractOp contract;
    mlir::Value ended, weight;
    int64_t columns, panels, first; ///< panels of each block; the first one of all
    int64_t blocks;                 ///< of a block-diagonal matrix; 1: it is none
    int64_t before;                 ///< products before these
    llvm::SmallVector<unsigned> results;
    llvm::SmallVector<mlir::Value> bases;
    int64_t ofEach() const { return panels * blocks; }
  };
  /// The product that `number` counts among those with as many columns.
  Panel chosen(const Same &same, mlir::Value number);
  mlir::LogicalResult panelsOf(Panel panel, mlir::Value begin, mlir::Value end, IndexRange rows,
                               Body body);

  KernelFrame &frame;
  llvm::SmallVector<Same> groups;
  int64_t total = 0;
};

/// A part of a product that is summed in registers: `count` rows from `row` on, and vectors of the
/// columns of one panel, from `column` of it on.
struct PanelTile {
  mlir::Value row;
  int64_t count;
  mlir::Value panel;
  int64_t column;
};
/// Writes what the tile's sums end as, row by row, to the result [rows, columns] of `own`; columns
/// beyond are left out.
mlir::LogicalResult storePanelTile(Nest &nest, mlir::ValueRange sums, const PanelTile &tile,
                                   const ProductPanels::Panel &own);

/// Products of rows with matrices whose layout is not of f32, for the work items of the frame:
/// `record` comes with one a panel.
mlir::LogicalResult emitPackedProduct(KernelFrame &frame, ProductPanels &products,
                                      KernelRecord &record);

/// The same where the matrices are of integers with `bits` (runtime/weight_groups.h) and the rows
/// are rounded.
mlir::LogicalResult emitGroupsProduct(KernelFrame &frame, ProductPanels &products, int bits,
                                      KernelRecord &record);

} // namespace rondo::cpu

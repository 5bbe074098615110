//===- Program.h - Which values of a body get memory, and in what order ---===//
//
// Turns a straight list of rondo ops into calls of Nest::emitInto. Decides which values are stored
// (results that are asked for, reductions, and values that would be computed again and again), puts
// the others where they are used, and orders the stores so that a state is overwritten in place
// only after its last read; where no order does that, the new state is built aside and copied.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/Nest.h"

namespace rondo::cpu {

using IndexRanges = llvm::DenseMap<mlir::StringAttr, IndexRange>;

/// How much work computing an element takes, in additions; transcendental functions are dear.
int64_t costOf(MapOp op);

/// Hands out parts of a worker's scratch memory.
class Scratch {
public:
  explicit Scratch(mlir::Value base) : base(base) {}
  mlir::Value allocate(Nest &nest, int64_t bytes);
  /// Everything handed out since is free again; the largest extent ever used is kept.
  void release(int64_t mark) { used = mark; }
  int64_t mark() const { return used; }
  int64_t largest() const { return most; }

private:
  mlir::Value base;
  int64_t used = 0, most = 0;
};

class Program {
public:
  /// Axes that scratch layouts put first (the one that work items share out) and last (the one that
  /// is to run in lanes); may be null.
  Program(Nest &nest, Scratch &scratch, mlir::StringAttr outer = {}, mlir::StringAttr inner = {})
      : nest(nest), scratch(scratch), outer(outer), inner(inner) {}

  /// `value` must end in `buffer`.
  void addTarget(mlir::Value value, Buffer buffer) {
    targets.push_back({value, std::move(buffer)});
  }
  /// `next` replaces the state `old`, which is bound to `buffer`.
  void addState(mlir::Value old, mlir::Value next, Buffer buffer) {
    states.push_back({old, next, std::move(buffer)});
  }

  /// Emits what targets and states need of `ops`, at the fixed indices of `env`, over `ranges` or
  /// whole axes.
  mlir::LogicalResult emit(mlir::ArrayRef<mlir::Operation *> ops, const Env &env,
                           const IndexRanges &ranges);

  /// A buffer in scratch for all axes of `value` that `env` does not fix.
  Buffer allocate(mlir::Value value, const Env &env, const IndexRanges &ranges);

private:
  struct Target {
    mlir::Value value;
    Buffer buffer;
  };
  struct State {
    mlir::Value old, next;
    Buffer buffer;
  };
  /// One store: `value` into `buffer`.
  struct Store {
    mlir::Value value;
    Buffer buffer;
    int state = -1;                       ///< the state it replaces
    bool copies = false;                  ///< the value is stored elsewhere too
    llvm::SmallVector<mlir::Value> reads; ///< stored or bound values that computing it reads
    bool pointwise = true;                ///< reads of its own old state are at the index written
  };
  void chooseStored(mlir::ArrayRef<mlir::Operation *> ops);
  /// Sums that one stored elementwise value alone reads, index by index, end in it.
  void fuseSums(mlir::ArrayRef<mlir::Operation *> ops);
  void collectReads(mlir::Value value, mlir::Value own, bool moved, Store &store);
  bool order(llvm::SmallVectorImpl<Store> &stores, llvm::SmallVectorImpl<unsigned> &sequence,
             int &blocked);

  Nest &nest;
  Scratch &scratch;
  mlir::StringAttr outer, inner;
  llvm::SmallVector<Target> targets;
  llvm::SmallVector<State> states;
  llvm::DenseSet<mlir::Value> stored;
};

} // namespace rondo::cpu

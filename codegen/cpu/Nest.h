//===- Nest.h - Loop nests over named axes --------------------------------===//
//
// Emits the loops that compute a value of the rondo dialect into memory: scf loops over axes, the
// innermost one in vectors, operands read straight from their buffers.
//
// The index of every axis is an affine expression in the nest's *dims*, the loop variables that are
// open where code is emitted. One dim may run in lanes: a vector of consecutive values. Going
// through a `rondo.view` composes its map with the expressions, and a load asks what its address
// does along the lanes: the same (a broadcast), consecutive (a vector load) or anything else (a
// gather). So splitting, merging, renaming, slicing and repeating cost nothing where they keep
// lanes consecutive, and packed weights are just another layout.
//
// A value is computed where it is used unless it was bound to a buffer first (Program.h decides
// which are). Values already computed in an open loop are not computed again: sharing between the
// tiles of a register block comes from there.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/cpu/Isa.h"
#include "codegen/cpu/VectorMath.h"
#include "dialect/Rondo.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/AffineMap.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include <functional>
#include <map>
#include <optional>

namespace rondo::cpu {

/// The index of each axis of a value, in the nest's dims.
class Env {
public:
  mlir::AffineExpr lookup(mlir::StringAttr axis) const {
    auto it = exprs.find(axis);
    return it == exprs.end() ? mlir::AffineExpr() : it->second;
  }
  bool contains(mlir::StringAttr axis) const { return exprs.contains(axis); }
  void set(mlir::StringAttr axis, mlir::AffineExpr expr) { exprs[axis] = expr; }

private:
  llvm::SmallDenseMap<mlir::StringAttr, mlir::AffineExpr, 4> exprs;
};

/// Where a tensor's elements are: element offset = layout(index along each axis), from `base`.
struct Buffer {
  mlir::Value base; ///< !llvm.ptr
  llvm::SmallVector<mlir::StringAttr> axes;
  mlir::AffineMap layout; ///< dims in the order of `axes`, one result
  mlir::Type element;
  /// Integers of groups that share a scale (runtime/weight_groups.h): their scale's place in f16
  /// numbers, and by how many bits a byte is shifted.
  struct Groups {
    int bits;
    mlir::AffineMap scale, shift;
  };
  std::optional<Groups> groups = {};
  /// There is memory for whole vectors along the last axis; what lies past its extent is anything.
  bool padded = false;
};

/// The indices [lo, hi) of one axis; lo is a multiple of the vector length.
struct IndexRange {
  mlir::Value lo, hi;            ///< i64
  std::optional<int64_t> extent; ///< hi - lo, where it is a constant
  /// The address of i32 numbers: i in [lo, hi) stands for the index list[i]. Null: for i.
  mlir::Value list = {};
};

class Nest {
public:
  Nest(mlir::OpBuilder &builder, mlir::Location loc, const Isa &isa);

  // Scalars.
  mlir::Value i64(int64_t value);
  /// `base` + `distance`.
  mlir::Value after(mlir::Value base, int64_t distance);
  mlir::Value addressOf(mlir::Value base, mlir::Value elementOffset, mlir::Type element);
  mlir::Value loadAt(mlir::Type type, mlir::Value base, int64_t byteOffset);
  IndexRange fullRange(int64_t extent);

  // Buffers.
  /// Row-major over `axes` with the given extents.
  Buffer rowMajor(mlir::Value base, mlir::ArrayRef<mlir::StringAttr> axes,
                  mlir::ArrayRef<int64_t> extents, mlir::Type element);
  void bind(mlir::Value value, Buffer buffer) {
    buffers[value] = std::move(buffer);
    forget();
  }
  void unbind(mlir::Value value) {
    buffers.erase(value);
    forget();
  }
  const Buffer *bufferOf(mlir::Value value) const;
  /// `value` is `offset` + the index along its one axis (positions of a block of tokens), or just
  /// `offset`.
  void bindPosition(mlir::Value value, mlir::Value offset) { positions[value] = offset; }
  /// `value` is `source` at time `time` (+ the index along `axis`, if not null): a body's argument
  /// and the per-token value behind it.
  void bindSlice(mlir::Value value, mlir::Value source, mlir::AffineExpr time,
                 mlir::StringAttr axis) {
    slices[value] = Slice{source, time, axis};
  }
  /// A value without axes that is already computed.
  void bindScalar(mlir::Value value, mlir::Value scalar) { scalars[value] = scalar; }
  /// `value`, elementwise in the result of `reduction`, is computed where that ends, tile by tile
  /// in registers; `reduction` itself has no memory.
  void fuse(mlir::Value value, mlir::Operation *reduction) { fused[value] = reduction; }
  /// `value` at `env` is `computed`, in the code that is emitted up to the end of the open loop.
  void know(mlir::Value value, const Env &env, mlir::Value computed);
  /// Where `reduction` is computed into memory, `value` is stored, which is elementwise in it: its
  /// axes are those of `reduction`, perhaps under other names.
  void endWith(mlir::Operation *reduction, mlir::Value value) { endings[reduction] = value; }
  /// Stores `value`, which is what `reduction` computes or is fused with it, where its sum at `env`
  /// is `sum`.
  mlir::LogicalResult finish(mlir::Value sum, mlir::Operation *reduction, mlir::Value value,
                             const Buffer &target, const Env &env);
  /// What `body` reads and writes in lanes, it does in these alone (null: in all).
  void withLanes(mlir::Value lanes, llvm::function_ref<void()> body);
  /// Of `axis`, unrolled sums have the terms [lo, hi) alone from here on; a null axis: all.
  void sumOnly(mlir::StringAttr axis, int64_t lo, int64_t hi) {
    part = {axis, lo, hi};
    forget();
  }
  /// Work of no value that is done in shares beside sums: `ask(count)` where about `every` vectors
  /// of multiply-adds, or fewer, come next.
  struct Beside {
    int64_t every = 0;
    std::function<void(int64_t count)> ask;
  };
  void besides(Beside work) { beside = std::move(work); }
  /// Drops every computed value: memory that they were read from has changed.
  void forget();

  // Dims.
  /// A new dim whose value is `base` in the code emitted from here on.
  mlir::AffineExpr openDim(mlir::Value base, int64_t extent = -1, bool lanes = false);

  // Loops. The bodies see the loop variable's first value of each step.
  mlir::SmallVector<mlir::Value>
  forLoop(mlir::Value lo, mlir::Value hi, int64_t step, mlir::ValueRange init,
          llvm::function_ref<mlir::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)> body);
  void forLoop(mlir::Value lo, mlir::Value hi, int64_t step,
               llvm::function_ref<void(mlir::Value)> body);
  /// The index that `i` of `range` stands for.
  mlir::Value indexAt(const IndexRange &range, mlir::Value i);
  /// The indices of an axis of `value`: those of `ranges`, else all.
  IndexRange rangeOf(mlir::StringAttr axis, mlir::Value value,
                     const llvm::DenseMap<mlir::StringAttr, IndexRange> &ranges);
  /// One of them after the other, set in `env`.
  mlir::LogicalResult overAxis(mlir::StringAttr axis, mlir::Value value, const Env &env,
                               const llvm::DenseMap<mlir::StringAttr, IndexRange> &ranges,
                               llvm::function_ref<mlir::LogicalResult(const Env &)> body);
  void ifThen(mlir::Value condition, llvm::function_ref<void()> body);
  /// Tiles of `maxCount` indices; the ragged rest in smaller ones.
  using TileBody = llvm::function_ref<mlir::LogicalResult(mlir::Value base, int64_t count)>;
  mlir::LogicalResult overTiles(const IndexRange &range, int64_t maxCount, TileBody body);
  /// True for lanes [base, limit).
  mlir::Value maskBelow(mlir::Value base, mlir::Value limit);
  /// The innermost work: `count` consecutive vectors from lane `base` on, masked in the ragged
  /// rest.
  using LanesBody =
      llvm::function_ref<mlir::LogicalResult(mlir::Value base, int64_t count, bool masked)>;
  mlir::LogicalResult overLanes(const IndexRange &range, int64_t maxCount, LanesBody body);

  /// Computes `value` at every index of `ranges` (its axes that `env` does not fix) into `target`.
  mlir::LogicalResult emitInto(mlir::Value value, const Buffer &target, const Env &env,
                               const llvm::DenseMap<mlir::StringAttr, IndexRange> &ranges);

  /// The value at `env`: a scalar, or a vector where an index moves with the lanes.
  mlir::FailureOr<mlir::Value> evaluate(mlir::Value value, const Env &env);
  mlir::Value load(const Buffer &buffer, const Env &env);
  /// Asks for the memory where a load or store at `env` begins.
  void prefetch(const Buffer &buffer, const Env &env);
  /// The same as a value of `value`'s kind: a truth value is compared with 0.
  mlir::Value loadValue(mlir::Value value, const Buffer &buffer, const Env &env);
  void store(mlir::Value value, const Buffer &buffer, const Env &env);
  /// A scalar in every lane; a vector as it is.
  mlir::Value broadcast(mlir::Value scalar);

  mlir::OpBuilder &builder() { return b; }
  VectorMath &math() { return vm; }
  const Isa &isa() const { return target; }

private:
  struct Dim {
    mlir::Value base;
    int64_t extent; ///< -1 where not known
    bool lanes;     ///< stands for base, base + 1, ... base + W - 1
  };
  struct Slice {
    mlir::Value source;
    mlir::AffineExpr time;
    mlir::StringAttr axis;
  };
  Env throughSlice(const Slice &slice, const Env &env);

  mlir::LogicalResult emitMapInto(mlir::Value, const Buffer &, const Env &,
                                  const llvm::DenseMap<mlir::StringAttr, IndexRange> &);
  /// `value` is what `op` computes, or elementwise in it.
  mlir::LogicalResult emitReductionInto(mlir::Operation *op, mlir::Value value, const Buffer &,
                                        const Env &,
                                        const llvm::DenseMap<mlir::StringAttr, IndexRange> &);
  /// Whether the sums of neighbours along `axis` are neighbours in `buffer`.
  bool endsAlong(mlir::StringAttr axis, mlir::Value value, const Buffer &buffer, const Env &env);
  /// A running sum or a linear recurrence along an axis.
  mlir::LogicalResult emitRunningInto(mlir::Value, const Buffer &, const Env &,
                                      const llvm::DenseMap<mlir::StringAttr, IndexRange> &);
  /// A triangular system, row by row.
  mlir::LogicalResult emitSolveInto(SolveOp, const Buffer &, const Env &,
                                    const llvm::DenseMap<mlir::StringAttr, IndexRange> &);
  mlir::LogicalResult emitConcatInto(ConcatOp, const Buffer &, const Env &,
                                     const llvm::DenseMap<mlir::StringAttr, IndexRange> &);

  mlir::FailureOr<mlir::Value> compute(mlir::Value value, const Env &env);
  /// A sum of products as one multiply-add each, where the product has no other use; nothing where
  /// `map` is no such sum.
  mlir::FailureOr<mlir::Value> computeFused(MapOp map, const Env &env);
  /// An exponential of a product that is read here alone; nothing where `map` is none.
  mlir::FailureOr<mlir::Value> computeExpOfProduct(MapOp map, const Env &env);
  /// `value` as a product that is read here alone and is not at hand yet; null where it is none.
  MapOp ownProduct(mlir::Value value, const Env &env);
  /// A reduction or contraction without memory of its own, unrolled.
  mlir::FailureOr<mlir::Value> computeUnrolled(mlir::Operation *op, const Env &env);
  /// An element at a computed number, 0 where that is no index.
  mlir::FailureOr<mlir::Value> computeLookup(GatherOp gather, const Env &env);
  /// Computes what does not depend on dims opened later, so that inner loops do not.
  mlir::LogicalResult hoist(mlir::Value value, const Env &env);
  mlir::FailureOr<Env> throughView(ViewOp view, const Env &env);

  mlir::AffineExpr offsetOf(const Buffer &buffer, const Env &env);
  /// The mask of a load or store at `env`; null where the buffer has memory for all lanes.
  mlir::Value maskOf(const Buffer &buffer, const Env &env);
  /// What one lane adds to `expr`: 0, 1, another constant, or nothing constant.
  std::optional<int64_t> laneStride(mlir::AffineExpr expr);
  mlir::Value combine(mlir::AffineExprKind kind, mlir::Value lhs, mlir::Value rhs);
  mlir::Value scalarOf(mlir::AffineExpr expr);
  mlir::Value vectorOf(mlir::AffineExpr expr);
  mlir::Value laneNumbers();
  mlir::Value toReal(mlir::AffineExpr expr);
  /// `element`, in as many lanes as `shape` has (a number: one), and that i32 constant.
  mlir::Type likeShaped(mlir::Value shape, mlir::Type element);
  mlir::Value integerLike(mlir::Value shape, int32_t value);
  /// bf16 numbers, which are stored as their 16 bits, as f32, and back: to nearest, ties to even.
  mlir::Value widened(mlir::Value bits);
  mlir::Value narrowed(mlir::Value number);
  mlir::Value loadOfGroup(const Buffer &buffer, const Env &env);
  /// Drops divisions and remainders that the dims' extents make trivial.
  mlir::AffineExpr simplify(mlir::AffineExpr expr);
  std::optional<int64_t> largest(mlir::AffineExpr expr);

  /// The addresses, as affine expressions, of all loads that computing `value` makes.
  void collectLoads(mlir::Value value, const Env &env,
                    llvm::SmallVectorImpl<mlir::AffineExpr> &loads);
  /// Cheapest axis to run in lanes, of those given.
  mlir::StringAttr chooseLanes(mlir::ArrayRef<mlir::StringAttr> candidates,
                               mlir::Operation *reduction, mlir::Value value, const Buffer &target,
                               const Env &env,
                               const llvm::DenseMap<mlir::StringAttr, IndexRange> &ranges);

  class Scope;
  using Key = std::pair<mlir::Value, llvm::SmallVector<mlir::AffineExpr, 4>>;
  struct KeyLess {
    bool operator()(const Key &x, const Key &y) const;
  };
  using Memo = std::map<Key, mlir::Value, KeyLess>;

  mlir::OpBuilder &b;
  mlir::Location loc;
  const Isa &target;
  VectorMath vm;
  llvm::DenseMap<mlir::Value, Buffer> buffers;
  llvm::DenseMap<mlir::Value, mlir::Value> positions, scalars;
  llvm::DenseMap<mlir::Value, Slice> slices;
  llvm::DenseMap<mlir::Value, mlir::Operation *> fused;
  llvm::DenseMap<mlir::Operation *, mlir::Value> endings;
  llvm::SmallVector<Dim> dims;
  mlir::Value mask; ///< vector<Wxi1> in the ragged rest, else null
  struct Part {
    mlir::StringAttr axis;
    int64_t lo = 0, hi = 0;
  };
  Part part; ///< see sumOnly
  /// Lanes that the mask leaves out may be computed: they reach no other lane.
  bool maskedMayCompute = false;
  Beside beside;
  llvm::SmallVector<Memo> memos{1};
};

} // namespace rondo::cpu

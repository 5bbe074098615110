//===- BlockEmitter.h - The block body of a chunked recurrence -*- C++ -*-===//
//
// Writes, for a transition class with a block form, the ops of a scan's `block` region: what C
// tokens together do to the states, and their outputs. The mathematics is that of
// passes/algebra/Transition.h; with S0 the entering state, `c` the block's tokens, `s` the same
// tokens as sources,
//
//   P[c, s] = product of the decays of the tokens after s, up to c    (up to c - 1 for a read
//   before
//                                                                      the update)
//   read[c] = sum[k](x P[c] S0) + sum[s](sum[k](x[c] P[c, s] key[s]) value[s])   over s <= c (s <
//   c) S       = P[last] S0 + sum[c](P[last, c] key value)
//
// with P[c] the product up to c (BlockDecays.cpp). A decay is multiplied up, never divided and
// never taken as a difference of logarithms: it may be zero or negative, and after a token that
// forgets nearly everything the small decays that follow have all their digits.
//
// Where values depend on the group's own reads y (the delta rule), those are solved for first:
// y = right side + M y, with M strictly lower triangular (BlockSolve.cpp).
//
// Which factor a decay is multiplied into follows from the axes it has; nothing else distinguishes
// a decay per head, per key channel and per value channel. With several states in a group P is a
// matrix over them, and each state's updates reach all states that its column leads to.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "passes/ReadRecurrence.h"
#include <map>

namespace rondo {

class BlockEmitter {
public:
  /// Emits at the builder's place; `arguments` maps the token body's arguments to the block body's.
  BlockEmitter(mlir::OpBuilder &builder, mlir::Location loc, RecurrenceReader &reader,
               const algebra::TransitionClass &transition, mlir::IRMapping arguments,
               llvm::ArrayRef<mlir::Value> entering, int64_t chunk);

  /// An expression of the body for all tokens of the block. A failure is reported at the op that
  /// cannot run on blocks.
  mlir::FailureOr<mlir::Value> emit(algebra::Expr e);
  /// A state after the block.
  mlir::FailureOr<mlir::Value> emitLeaving(int state);
  /// The value with exactly the axes of `type`, in its order; missing ones are broadcast.
  mlir::Value conform(mlir::Value value, mlir::RankedTensorType type);

private:
  /// A factor that may be known: 0, or 1 (no value).
  struct Factor {
    bool isZero = false;
    mlir::Value value;
  };
  /// A group's decays for the block.
  struct Decays {
    bool made = false, isMatrix = false;
    llvm::SmallVector<llvm::SmallVector<Factor>> entries; // of one token
    llvm::SmallVector<llvm::SmallVector<bool>> reaches;   // whether P[i][j] is not 0
    llvm::SmallVector<mlir::Value> products;              // P[i][j] over `c` and `s`; null: 1 or 0
  };
  /// An update of a group: key and value as one product, and the states (by place) it is added to.
  struct Source {
    algebra::Expr product;
    llvm::SmallVector<int> columns;
  };
  struct Affine;

  mlir::Value map(MapKind kind, mlir::ValueRange inputs);
  mlir::Value constant(double value);
  /// `total` may be null.
  mlir::Value add(mlir::Value total, mlir::Value term);

  mlir::FailureOr<mlir::Value> valueInBlock(mlir::Value tokenValue);
  mlir::FailureOr<mlir::Value> emitNode(algebra::Expr e);
  mlir::FailureOr<mlir::Value> emitProduct(llvm::ArrayRef<algebra::Expr> factors);
  mlir::FailureOr<mlir::Value> emitSum(const algebra::Node &node);
  mlir::FailureOr<mlir::Value> emitTerms(algebra::Expr e);

  // Reads.
  mlir::FailureOr<mlir::Value> emitRead(algebra::Expr atom);
  llvm::SmallVector<Source> sourcesOf(int group);
  std::pair<algebra::Expr, algebra::Expr> split(algebra::Expr product, algebra::AxisSet axes);
  mlir::FailureOr<mlir::Value> answerOfEntering(const algebra::ReadParts &read);
  mlir::FailureOr<mlir::Value> weightsOf(const algebra::ReadParts &read, algebra::Expr key,
                                         const Factor &between);

  /// A state after the block, from the entering one and the block's updates.
  mlir::FailureOr<mlir::Value> afterBlock(int state);
  /// An expression for the block's last token, where states are those after the block.
  mlir::FailureOr<mlir::Value> emitForLast(algebra::Expr e);

  // Decays (BlockDecays.cpp).
  int rowOf(int state);
  mlir::LogicalResult makeDecays(int group);
  mlir::Value entryOf(mlir::Value product, const std::vector<std::vector<algebra::Expr>> &matrix,
                      const Decays &of, size_t row, size_t column);
  /// P[c, s] from updates of the states at `columns` to the state at `row`.
  Factor betweenTokens(int group, int row, llvm::ArrayRef<int> columns, bool strict);
  Factor sinceEntering(int group, int row, int column, bool strict);
  /// P[last, s], over `c` for each token as a source.
  Factor untilLeaving(int group, int row, llvm::ArrayRef<int> columns);
  Factor ofWholeBlock(int group, int row, int column);
  mlir::Value delayed(mlir::Value value);

  // Own reads (BlockSolve.cpp).
  mlir::LogicalResult solveOwnReads(int group);
  Affine affineOf(const algebra::StateGroup &group, algebra::Expr e);
  mlir::LogicalResult addRead(const algebra::StateGroup &group, algebra::Expr atom,
                              algebra::Expr scale, mlir::Value &right,
                              mlir::MutableArrayRef<mlir::Value> row);
  void solveTogether(const algebra::StateGroup &group, llvm::ArrayRef<mlir::Value> right,
                     mlir::MutableArrayRef<llvm::SmallVector<mlir::Value>> matrix);
  /// (I - matrix)^-1 source, of a strictly lower triangular matrix over `rows` and `columns`.
  mlir::Value solve(mlir::Value matrix, mlir::Value source, llvm::StringRef rows,
                    llvm::StringRef columns);

  // Values over tokens and their sources.
  mlir::Value mask(bool strict);
  /// 0, 1, ... along an axis; `extent` 0: the block's.
  mlir::Value index(llvm::StringRef axis, int64_t extent = 0);
  mlir::Value sameIndex(mlir::Value a, mlir::Value b);
  /// The same value, with heads outside, then the pair of tokens, then keys or values: the order in
  /// which a kernel that works on some heads finds whole vectors. For the result of an op that may
  /// have its axes in any order.
  mlir::Value arranged(mlir::Value value, int group);
  /// The value's indices by axis name; those not given are kept.
  mlir::Value reindexed(mlir::Value value, mlir::RankedTensorType type,
                        llvm::function_ref<mlir::AffineExpr(llvm::StringRef)> indexOf);
  mlir::Value atIndex(mlir::Value value, llvm::StringRef axis, int64_t at);
  mlir::Value renamed(mlir::Value value, llvm::StringRef from, llvm::StringRef to);
  /// Values as the entries of a matrix along two further axes; `columns` may be empty.
  mlir::Value stacked(llvm::ArrayRef<llvm::SmallVector<mlir::Value>> entries, llvm::StringRef rows,
                      llvm::StringRef columns);
  /// sum[over](a b); an axis that only one side has is summed there first, one that neither has
  /// counts its extent.
  mlir::Value sumOfProducts(mlir::Value a, mlir::Value b, llvm::ArrayRef<llvm::StringRef> over);
  /// The value at the source tokens: `c` renamed to `s`.
  mlir::Value atSources(mlir::Value value);
  mlir::RankedTensorType withTokens(mlir::Value value);
  bool sharesAxis(mlir::Value value, algebra::AxisSet axes);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  RecurrenceReader &reader;
  algebra::Pool &pool;
  const algebra::TransitionClass &transition;
  mlir::IRMapping mapping;
  llvm::SmallVector<mlir::Value> entering;
  int64_t chunk;
  mlir::DenseMap<unsigned, mlir::Value> known;
  mlir::Value masks[2];
  llvm::SmallVector<mlir::Value> left; // by state, after the block
  llvm::SmallVector<Decays> decays;
  llvm::SmallVector<int> sameDecays; // the first group with the same decays
  llvm::SmallVector<bool> solved;
  std::map<std::tuple<int, int, std::vector<int>, bool>, Factor> knownBetween;
  std::map<std::tuple<int, int, int, bool>, Factor> knownSince;
  std::map<std::tuple<algebra::Expr, algebra::Expr, algebra::AxisSet>, mlir::Value> knownScores;
  std::map<std::tuple<algebra::Expr, algebra::Expr, algebra::AxisSet, void *, bool>, mlir::Value>
      knownWeights;
};

} // namespace rondo

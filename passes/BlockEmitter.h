//===- BlockEmitter.h - The block body of a chunked recurrence -*- C++ -*-===//
//
// Writes, for a transition class with a block form, the ops of a scan's `block` region: what C
// tokens together do to the states, and their outputs. The mathematics is that of
// passes/algebra/Transition.h; with S0 the entering state, `c` the block's tokens, `s` the same
// tokens as sources,
//
//   D[c, s] = sum of log decays of the tokens after s, up to c    (up to c - 1 for a read before
//                                                                  the update)
//   E[c, s] = exp(D[c, s]) for s <= c (s < c), else 0
//   read[c] = sum[k](x exp(G) S0) + sum[s]((sum[k](x[c] key[s]) E[c, s]) value[s])
//   S       = exp(sum of logs) S0 + sum[c](key exp(D[last, c]) value)
//
// with G[c] the sum up to c. D is summed over just the tokens between, never taken as a difference
// of two G: after a token that forgets nearly everything, the difference of two large sums would have
// no digits left for the small decays that follow. So no exponent is positive that the token loop
// would not multiply up itself, and none is less exact.
//
// Where values depend on the state's own reads y (the delta rule), those are solved for first:
// y = right side + M y, with M strictly lower triangular.
//
// Which factor an exponential is multiplied into follows from the axes it has; nothing else
// distinguishes a decay per head, per key channel and per value channel.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "passes/ReadRecurrence.h"

namespace rondo {

class BlockEmitter {
public:
  /// Emits at the builder's place; `arguments` maps the token body's arguments to the block body's.
  /// `logs` holds each state's log decay with `c`, null where it is not made outside of the scan.
  BlockEmitter(mlir::OpBuilder &builder, mlir::Location loc, RecurrenceReader &reader,
               const algebra::TransitionClass &transition, mlir::IRMapping arguments,
               llvm::ArrayRef<mlir::Value> entering, llvm::ArrayRef<mlir::Value> logs,
               int64_t chunk);

  /// An expression of the body for all tokens of the block. A failure is reported at the op that
  /// cannot run on blocks.
  mlir::FailureOr<mlir::Value> emit(algebra::Expr e);
  /// A state after the block.
  mlir::FailureOr<mlir::Value> emitLeaving(int state);
  /// The value with exactly the axes of `type`, in its order; missing ones are broadcast.
  mlir::Value conform(mlir::Value value, mlir::RankedTensorType type);

private:
  struct Decay {
    mlir::Value log;     // null: no decay
    mlir::Value running; // G
    mlir::Value before;  // G before the token
    mlir::Value total;   // G of the last token
  };
  mlir::Value map(MapKind kind, mlir::ValueRange inputs);
  mlir::Value constant(double value);
  mlir::FailureOr<mlir::Value> valueInBlock(mlir::Value tokenValue);
  mlir::FailureOr<mlir::Value> emitNode(algebra::Expr e);
  mlir::FailureOr<mlir::Value> emitProduct(llvm::ArrayRef<algebra::Expr> factors);
  mlir::FailureOr<mlir::Value> emitTerms(algebra::Expr e);
  mlir::FailureOr<mlir::Value> emitRead(const algebra::ReadParts &read);
  /// What the entering state answers to a read.
  mlir::FailureOr<mlir::Value> answerOfEntering(const algebra::ReadParts &read);
  /// The masked, decayed scores of a read against an update's keys: over `c` and `s`.
  mlir::FailureOr<mlir::Value> weightsOf(const algebra::ReadParts &read,
                                         const algebra::Update &update);
  /// Makes the state's own reads known.
  mlir::LogicalResult solveOwnReads(int state);
  /// (I - m)^-1 for a strictly lower triangular m over `c` and `s`.
  mlir::Value inverse(mlir::Value m);
  mlir::FailureOr<const Decay *> decayOf(int state);
  /// exp(D), finite where `s` is not before `c`.
  mlir::Value decayBetween(const Decay &decay, bool strict, const algebra::StateClass &state);
  mlir::Value mask(bool strict);
  mlir::Value index(llvm::StringRef axis);
  mlir::Value cumsum(mlir::Value value);
  /// The log decays one token later along `c` (the last one first; masked by its users).
  mlir::Value delayed(mlir::Value log);
  /// The same value, with heads outside, then the pair of tokens, then keys or values: the order in
  /// which a kernel that works on some heads finds whole vectors. For the result of a map or a
  /// contraction, which may stand in any order.
  mlir::Value arranged(mlir::Value value, const algebra::StateClass &state);
  /// D: the logs between `s` and `c`, 0 where there are none.
  mlir::Value logBetween(const Decay &decay, bool strict, const algebra::StateClass &state);
  /// The value's indices by axis name; those not given are kept.
  mlir::Value reindexed(mlir::Value value, mlir::RankedTensorType type,
                        llvm::function_ref<mlir::AffineExpr(llvm::StringRef)> indexOf);
  /// sum[over](a b); an axis that only one side has is summed there first, one that neither has
  /// counts its extent.
  mlir::Value sumOfProducts(mlir::Value a, mlir::Value b, llvm::ArrayRef<llvm::StringRef> over);
  /// The value at the source tokens: `c` renamed to `s`.
  mlir::Value atSources(mlir::Value value);
  bool sharesAxis(mlir::Value value, algebra::AxisSet axes);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  RecurrenceReader &reader;
  const algebra::TransitionClass &transition;
  mlir::IRMapping mapping;
  llvm::SmallVector<mlir::Value> entering, logs;
  int64_t chunk;
  mlir::DenseMap<unsigned, mlir::Value> known;
  llvm::SmallVector<std::optional<Decay>> decays;
  mlir::Value masks[2];
  llvm::SmallVector<bool> solved;
  mlir::DenseMap<std::pair<mlir::Value, unsigned>, mlir::Value> between, logsBetween;
};

} // namespace rondo

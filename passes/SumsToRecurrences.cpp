//===- SumsToRecurrences.cpp - A sum over earlier tokens as a recurrence --===//
//
// Token level (`rondo.over sum`) to token level (`rondo.recur`).
//
//   sum over s <= t of (phi(q) . phi(key)@s) val@s   ->   S = S + phi(key) val; phi(q) . S
//
// A value that is a sum of products, each of a factor of t alone and a factor of s alone, needs no
// look at earlier tokens: the factors of s add up in a state of fixed size. Sound because sums may
// be exchanged; the result differs by rounding alone. Contractions of mixed factors are opened, so
// that powers of a dot product (Taylor features) are separable too, each with a state of its own.
//
//===----------------------------------------------------------------------===//

#include "passes/AxisViews.h"
#include "passes/FreeWork.h"
#include "passes/Passes.h"

#include "dialect/Rondo.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

#include <map>

namespace rondo {
#define GEN_PASS_DEF_SUMSTORECURRENCESPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

/// How far back a token is assumed to look on average where the sum is kept.
constexpr double averageLookback = 1024;
constexpr size_t mostTerms = 16;

enum Side : unsigned { onT = 1, onS = 2, mixed = onT | onS };

/// A product of factors, each of one side, summed over axes of theirs.
struct Term {
  SmallVector<Value> ofT, ofS; // what depends on neither is in ofT
  SmallVector<StringAttr> summed;
  bool negative = false;
};

bool carries(ArrayRef<Value> factors, StringAttr axis) {
  return llvm::any_of(factors, [&](Value v) { return hasAxis(v.getType(), axis); });
}
bool carries(const Term &term, StringAttr axis) {
  return carries(term.ofT, axis) || carries(term.ofS, axis);
}

/// Opens the value of an over into terms. New ops go into its body.
class Opener {
public:
  explicit Opener(OverOp op) : op(op), builder(op.getContext()) {
    unsigned queries = op.getQueries().size(), keys = op.getKeys().size();
    masks = dependences(*op.getBlock(), [&](BlockArgument argument) -> unsigned {
      unsigned i = argument.getArgNumber();
      if (i < 2)
        return i == 0 ? onT : onS;
      return i < 2 + queries ? onT : i < 2 + queries + keys ? onS : 0;
    });
  }

  unsigned sideOf(Value value) const { return masks.lookup(value); }

  /// False, with the reason in `why`, when the value is no sum of such products.
  bool open(Value value, std::vector<Term> &terms, std::string &why) {
    unsigned side = sideOf(value);
    if (side != mixed) {
      Term term;
      (side == onS ? term.ofS : term.ofT).push_back(value);
      terms.push_back(std::move(term));
      return true;
    }
    Operation *def = value.getDefiningOp();
    if (auto contract = dyn_cast<ContractOp>(def))
      return openProduct(contract.getLhs(), contract.getRhs(), contract.getAxes(), terms, why);
    if (auto reduce = dyn_cast<ReduceOp>(def); reduce && reduce.getKind() == ReduceKind::Sum) {
      std::vector<Term> inner;
      return open(reduce.getSource(), inner, why) && sumOver(reduce.getAxes(), inner, terms, why);
    }
    if (auto map = dyn_cast<MapOp>(def))
      return openMap(map, terms, why);
    why = ("'" + def->getName().getStringRef() + "' mixes t and s").str();
    return false;
  }

private:
  bool openMap(MapOp map, std::vector<Term> &terms, std::string &why) {
    ValueRange in = map.getInputs();
    switch (map.getKind()) {
    case MapKind::Add:
    case MapKind::Sub: {
      std::vector<Term> second;
      if (!open(in[0], terms, why) || !open(in[1], second, why))
        return false;
      for (Term &term : second)
        term.negative ^= map.getKind() == MapKind::Sub;
      llvm::append_range(terms, second);
      break;
    }
    case MapKind::Neg:
      if (!open(in[0], terms, why))
        return false;
      for (Term &term : terms)
        term.negative ^= true;
      break;
    case MapKind::Mul:
      return openProduct(in[0], in[1], builder.getArrayAttr({}), terms, why);
    case MapKind::Pow:
      if (isTwo(in[1]))
        return openProduct(in[0], in[0], builder.getArrayAttr({}), terms, why);
      [[fallthrough]];
    case MapKind::Div:
      if (map.getKind() == MapKind::Div && sideOf(in[1]) != mixed)
        return openProduct(in[0], reciprocal(in[1]), builder.getArrayAttr({}), terms, why);
      [[fallthrough]];
    default:
      why = ("'" + stringifyMapKind(map.getKind()) + "' of a value that depends on t and s").str();
      return false;
    }
    return isShort(terms, why);
  }

  static bool isShort(const std::vector<Term> &terms, std::string &why) {
    if (terms.size() > mostTerms)
      why = "it opens into more than " + std::to_string(mostTerms) + " products";
    return terms.size() <= mostTerms;
  }

  static bool isTwo(Value value) {
    auto constant = value.getDefiningOp<ConstantOp>();
    auto elements = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
    return elements && elements.isSplat() && elements.getElementType().isF32() &&
           elements.getSplatValue<APFloat>().convertToDouble() == 2;
  }

  Value reciprocal(Value value) {
    builder.setInsertionPointAfterValue(value);
    if (value.getParentBlock() == op.getBlock() && isa<BlockArgument>(value))
      builder.setInsertionPointToStart(op.getBlock());
    auto type = RankedTensorType::get({}, builder.getF32Type());
    Value one = ConstantOp::create(builder, op.getLoc(), type, DenseElementsAttr::get(type, 1.0f));
    Value result = MapOp::create(builder, op.getLoc(), MapKind::Div, ValueRange{one, value});
    masks[result] = masks.lookup(value);
    return result;
  }

  bool openProduct(Value a, Value b, ArrayAttr axes, std::vector<Term> &terms, std::string &why) {
    std::vector<Term> left, right, products;
    if (!open(a, left, why) || !open(b, right, why))
      return false;
    for (const Term &l : left)
      for (const Term &r : right)
        products.push_back(multiply(l, r));
    return sumOver(axes, products, terms, why) && isShort(terms, why);
  }

  /// Two sums over one name are two sums: that of the second gets a name of its own.
  Term multiply(Term a, Term b) {
    for (StringAttr &axis : b.summed)
      if (carries(a, axis))
        rename(b, axis);
    for (StringAttr &axis : a.summed)
      if (carries(b, axis))
        rename(a, axis);
    a.ofT.append(b.ofT);
    a.ofS.append(b.ofS);
    a.summed.append(b.summed);
    a.negative ^= b.negative;
    return a;
  }

  void rename(Term &term, StringAttr &axis) {
    auto fresh = builder.getStringAttr(axis.getValue() + "_" + Twine(++renamed));
    for (SmallVector<Value> *factors : {&term.ofT, &term.ofS})
      for (Value &factor : *factors) {
        if (!hasAxis(factor.getType(), axis))
          continue;
        auto type = cast<RankedTensorType>(factor.getType());
        SmallVector<StringAttr> names(axesOf(type));
        *llvm::find(names, axis) = fresh;
        builder.setInsertionPoint(op.getYield());
        Value view = ViewOp::create(
            builder, op.getLoc(),
            namedType(op.getContext(), names, type.getShape(), type.getElementType()), factor,
            AffineMapAttr::get(builder.getMultiDimIdentityMap(type.getRank())));
        masks[view] = masks.lookup(factor);
        factor = view;
      }
    axis = fresh;
  }

  bool sumOver(ArrayAttr axes, std::vector<Term> &from, std::vector<Term> &terms,
               std::string &why) {
    for (Term &term : from) {
      for (auto axis : axes.getAsRange<StringAttr>()) {
        if (!carries(term, axis)) {
          why = "a product lacks the axis '" + axis.str() + "' that it is summed over";
          return false;
        }
        term.summed.push_back(axis);
      }
      terms.push_back(std::move(term));
    }
    return true;
  }

  OverOp op;
  OpBuilder builder;
  DependenceMap masks;
  unsigned renamed = 0;
};

/// Whether all tokens up to this one are seen, and no other.
bool isCausal(OverOp op) {
  auto predicate = op.getYield().getOutputs()[0].getDefiningOp<MapOp>();
  if (!predicate || predicate.getKind() != MapKind::Le)
    return false;
  return predicate.getInputs()[0] == op.getBlock()->getArgument(1) &&
         predicate.getInputs()[1] == op.getBlock()->getArgument(0);
}

/// The axes of a term's state: those of its factors of s, without sums that only these carry.
SmallVector<StringAttr> stateAxes(const Term &term) {
  llvm::SetVector<StringAttr> axes;
  for (Value factor : term.ofS)
    for (StringAttr axis : axesOf(factor.getType()))
      if (!llvm::is_contained(term.summed, axis) || carries(term.ofT, axis))
        axes.insert(axis);
  return axes.takeVector();
}

double stateSize(const Term &term) {
  double size = 1;
  for (StringAttr axis : stateAxes(term))
    for (Value factor : term.ofS)
      if (hasAxis(factor.getType(), axis)) {
        size *= static_cast<double>(extentOf(factor.getType(), axis));
        break;
      }
  return size;
}

/// Floating-point operations for one pair of tokens.
double pairFlops(OverOp op, const Opener &opener) {
  double flops = 0;
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (opener.sideOf(inner.getResult(0)) != mixed)
      continue;
    double size = static_cast<double>(elementsPerToken(inner.getResult(0).getType()));
    if (auto contract = dyn_cast<ContractOp>(inner))
      for (auto axis : contract.getAxes().getAsRange<StringAttr>())
        size *= 2.0 * static_cast<double>(extentOf(contract.getLhs().getType(), axis));
    flops += size;
  }
  return flops + static_cast<double>(elementsPerToken(op.getResult().getType()));
}

/// Whether a value of the body depends on where its token stands.
bool readsPosition(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getArgNumber() < 2;
  return llvm::any_of(value.getDefiningOp()->getOperands(), readsPosition);
}

/// Writes the recurrence.
class Rewriter {
public:
  Rewriter(OverOp op, ArrayRef<Term> terms) : op(op), terms(terms), builder(op) {}

  void run() {
    makeRecur();
    builder.setInsertionPointToEnd(body);
    SmallVector<Value> next;
    Value total;
    for (auto [i, term] : llvm::enumerate(terms)) {
      Value state = body->getArgument(recur.getInputs().size() + i);
      Value grown = MapOp::create(builder, loc(), cast<RankedTensorType>(state.getType()),
                                  MapKind::Add, ValueRange{state, update(term)});
      next.push_back(grown);
      Value read = answer(term, grown);
      if (total)
        total = map(term.negative ? MapKind::Sub : MapKind::Add, {total, read});
      else
        total = term.negative ? map(MapKind::Neg, {read}) : read;
    }
    Value result = conform(builder, loc(), total, withoutTime(op.getResult().getType()));
    YieldOp::create(builder, loc(), next, ValueRange{result});
    op.getResult().replaceAllUsesWith(recur.getResult(0));
    op.erase();
  }

private:
  Location loc() { return op.getLoc(); }
  Value map(MapKind kind, ValueRange in) { return MapOp::create(builder, loc(), kind, in); }

  void makeRecur() {
    Block &old = *op.getBlock();
    SmallVector<Value> inputs(op.getQueries());
    llvm::append_range(inputs, op.getKeys());
    llvm::append_range(inputs, op.getShared());
    auto position = RankedTensorType::get({}, builder.getF32Type());
    bool asksPosition = llvm::any_of(terms, [&](const Term &term) {
      return llvm::any_of(term.ofT, readsPosition) || llvm::any_of(term.ofS, readsPosition);
    });
    if (asksPosition)
      inputs.push_back(PositionOp::create(builder, loc(), withTime(position)));
    SmallVector<Value> inits;
    SmallVector<Attribute> names;
    for (auto [i, term] : llvm::enumerate(terms)) {
      SmallVector<StringAttr> axes = stateAxes(term);
      SmallVector<int64_t> extents;
      for (StringAttr axis : axes)
        for (Value factor : term.ofS)
          if (hasAxis(factor.getType(), axis)) {
            extents.push_back(extentOf(factor.getType(), axis));
            break;
          }
      auto type = namedType(builder.getContext(), axes, extents, builder.getF32Type());
      inits.push_back(ConstantOp::create(builder, loc(), type, DenseElementsAttr::get(type, 0.0f)));
      names.push_back(builder.getStringAttr(i ? "sum" + std::to_string(i + 1) : "sum"));
    }
    recur = RecurOp::create(builder, loc(), TypeRange{op.getResult().getType()}, op.getNameAttr(),
                            builder.getArrayAttr(names), inputs, inits, IntegerAttr());
    body = &recur.getBody().emplaceBlock();
    for (Value input : inputs)
      body->addArgument(isPerToken(input.getType()) ? withoutTime(input.getType())
                                                    : input.getType(),
                        input.getLoc());
    for (Value init : inits)
      body->addArgument(init.getType(), loc());
    for (unsigned i = 2; i < old.getNumArguments(); ++i)
      mapping.map(old.getArgument(i), body->getArgument(i - 2));
    for (unsigned i = 0; i < 2; ++i)
      if (asksPosition)
        mapping.map(old.getArgument(i), body->getArgument(inputs.size() - 1));
  }

  Value copy(Value value) {
    if (Value done = mapping.lookupOrNull(value))
      return done;
    for (Value operand : value.getDefiningOp()->getOperands())
      copy(operand);
    builder.clone(*value.getDefiningOp(), mapping);
    return mapping.lookup(value);
  }

  Value product(ArrayRef<Value> factors) {
    Value result;
    for (Value factor : factors)
      result = result ? map(MapKind::Mul, {result, copy(factor)}) : copy(factor);
    return result;
  }

  /// `value` summed over the term's axes that `others` do not carry.
  Value summed(Value value, const Term &term, ArrayRef<Value> others) {
    SmallVector<StringRef> axes;
    for (StringAttr axis : term.summed)
      if (hasAxis(value.getType(), axis) && !carries(others, axis))
        axes.push_back(axis.getValue());
    return axes.empty()
               ? value
               : ReduceOp::create(builder, loc(), ReduceKind::Sum, value, axes).getResult();
  }

  Value update(const Term &term) {
    if (term.ofS.empty()) {
      auto type = RankedTensorType::get({}, builder.getF32Type());
      return ConstantOp::create(builder, loc(), type, DenseElementsAttr::get(type, 1.0f));
    }
    return summed(product(term.ofS), term, term.ofT);
  }

  Value answer(const Term &term, Value state) {
    if (term.ofT.empty())
      return state;
    Value vector = summed(product(term.ofT), term, term.ofS);
    SmallVector<StringRef> axes;
    for (StringAttr axis : term.summed)
      if (hasAxis(vector.getType(), axis) && hasAxis(state.getType(), axis))
        axes.push_back(axis.getValue());
    return axes.empty() ? map(MapKind::Mul, {vector, state})
                        : ContractOp::create(builder, loc(), vector, state, axes).getResult();
  }

  OverOp op;
  ArrayRef<Term> terms;
  OpBuilder builder;
  RecurOp recur;
  Block *body = nullptr;
  IRMapping mapping;
};

struct SumsToRecurrences : rondo::impl::SumsToRecurrencesPassBase<SumsToRecurrences> {
  using SumsToRecurrencesPassBase::SumsToRecurrencesPassBase;

  void runOnOperation() override {
    SmallVector<OverOp> sums;
    getOperation()->walk([&](OverOp op) {
      if (op.getKind() == OverKind::Sum)
        sums.push_back(op);
    });
    if (failed(readRequests(sums)))
      return signalPassFailure();
    for (OverOp op : sums)
      rewrite(op);
  }

  static bool isNamed(OverOp op, StringRef name) {
    return op.getName() == name || op.getName().ends_with(("." + name).str());
  }

  /// NAME=sum or NAME=recurrence; other forms are those of recurrences.
  LogicalResult readRequests(ArrayRef<OverOp> sums) {
    for (StringRef text : forms) {
      auto [name, form] = text.split('=');
      if (form != "sum" && form != "recurrence")
        continue;
      if (name != "*" && llvm::none_of(sums, [&](OverOp op) { return isNamed(op, name); })) {
        SmallVector<StringRef> known;
        for (OverOp op : sums)
          known.push_back(op.getName());
        return getOperation()->emitError()
               << "found a form for '" << name << "'; expected one of the sums over tokens: "
               << (known.empty() ? "there are none" : llvm::join(known, ", "));
      }
      requests[name.str()] = form == "recurrence";
    }
    return success();
  }

  std::optional<bool> requestFor(OverOp op) {
    for (auto &[name, recurrence] : requests)
      if (isNamed(op, name))
        return recurrence;
    auto any = requests.find("*");
    return any != requests.end() ? std::optional(any->second) : std::nullopt;
  }

  void keep(OverOp op, const Twine &why) {
    ++numKept;
    op.emitRemark() << "'" << op.getName() << "': a sum over tokens: " << why;
  }

  void rewrite(OverOp op) {
    std::optional<bool> request = requestFor(op);
    if (request == false)
      return keep(op, "as asked for");
    if (!isCausal(op))
      return keep(op, "a recurrence forgets nothing, so it answers `where s <= t` alone");
    Opener opener(op);
    std::vector<Term> terms;
    std::string why;
    double asSum = averageLookback * pairFlops(op, opener);
    if (!opener.open(op.getYield().getOutputs()[2], terms, why))
      return keep(op, "not a sum of products of a part of t and a part of s: " + why);
    double numbers = 0;
    for (const Term &term : terms)
      numbers += stateSize(term);
    double asRecurrence = 4 * numbers;
    auto text = [](double flops) { return std::to_string(static_cast<int64_t>(flops)); };
    if (!request && asRecurrence > asSum)
      return keep(op, "as a recurrence it would take " + text(asRecurrence) + " FLOPs a token, " +
                          text(asSum) + " looking back " + text(averageLookback) + " tokens");
    ++numRewritten;
    op.emitRemark() << "'" << op.getName() << "': a sum over tokens, answered by a recurrence with "
                    << terms.size() << (terms.size() == 1 ? " state" : " states") << " of "
                    << text(numbers) << " numbers: " << text(asRecurrence) << " FLOPs a token, "
                    << text(asSum) << " looking back " << text(averageLookback) << " tokens";
    Rewriter(op, terms).run();
  }

  std::map<std::string, bool> requests;
};

} // namespace

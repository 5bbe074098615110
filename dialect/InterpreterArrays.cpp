//===- InterpreterArrays.cpp - Array ops by named axes --------------------===//
//
// The equations of the array ops, element by element. See InterpreterArrays.h.
//
//===----------------------------------------------------------------------===//

#include "dialect/InterpreterArrays.h"

#include "mlir/IR/AffineExpr.h"
#include <cmath>
#include <limits>

using namespace mlir;

namespace rondo::interpreter {

template <typename Real> int64_t Named<Real>::extent(StringRef axis) const {
  for (auto [name, extent] : llvm::zip(axes, array.shape))
    if (name == axis)
      return extent;
  return 1;
}

template <typename Real>
Named<Real> zerosOver(const Axes &axes, ArrayRef<const Named<Real> *> like) {
  Named<Real> result{axes, {}};
  int64_t count = 1;
  for (StringRef axis : axes) {
    int64_t extent = 1;
    for (const Named<Real> *operand : like)
      if (operand->has(axis))
        extent = operand->extent(axis);
    result.array.shape.push_back(extent);
    count *= extent;
  }
  result.array.data.assign(count, Real(0));
  return result;
}

template <typename Real>
void forEachIndex(const Named<Real> &result, ArrayRef<const Named<Real> *> operands,
                  function_ref<void(int64_t, ArrayRef<int64_t>)> body) {
  size_t rank = result.axes.size();
  // strides[operand][axis of the result]
  SmallVector<SmallVector<int64_t>> strides;
  for (const Named<Real> *operand : operands) {
    SmallVector<int64_t> own(rank, 0);
    int64_t stride = 1;
    for (size_t i = operand->axes.size(); i-- > 0; stride *= operand->array.shape[i])
      for (size_t axis = 0; axis < rank; ++axis)
        if (result.axes[axis] == operand->axes[i])
          own[axis] = stride;
    strides.push_back(own);
  }
  SmallVector<int64_t> index(rank, 0), offsets(operands.size(), 0);
  int64_t total = result.array.data.size();
  for (int64_t at = 0; at < total; ++at) {
    body(at, offsets);
    for (size_t axis = rank; axis-- > 0;) {
      bool wraps = ++index[axis] == result.array.shape[axis];
      for (size_t o = 0; o < operands.size(); ++o)
        offsets[o] += wraps ? -strides[o][axis] * (result.array.shape[axis] - 1) : strides[o][axis];
      if (!wraps)
        break;
      index[axis] = 0;
    }
  }
}

template <typename Real> static Real applyReal(MapKind kind, ArrayRef<Real> x) {
  switch (kind) {
  case MapKind::Add:
    return x[0] + x[1];
  case MapKind::Sub:
    return x[0] - x[1];
  case MapKind::Mul:
    return x[0] * x[1];
  case MapKind::Div:
    return x[0] / x[1];
  case MapKind::Min:
    return std::isnan(x[0]) || std::isnan(x[1]) ? Real(NAN) : std::min(x[0], x[1]);
  case MapKind::Max:
    return std::isnan(x[0]) || std::isnan(x[1]) ? Real(NAN) : std::max(x[0], x[1]);
  case MapKind::Pow:
    return std::pow(x[0], x[1]);
  case MapKind::Mod:
    return x[0] - x[1] * std::floor(x[0] / x[1]);
  case MapKind::Neg:
    return -x[0];
  case MapKind::Abs:
    return std::fabs(x[0]);
  case MapKind::Exp:
    return std::exp(x[0]);
  case MapKind::Log:
    return std::log(x[0]);
  case MapKind::Sqrt:
    return std::sqrt(x[0]);
  case MapKind::Rsqrt:
    return 1 / std::sqrt(x[0]);
  case MapKind::Sin:
    return std::sin(x[0]);
  case MapKind::Cos:
    return std::cos(x[0]);
  case MapKind::Tanh:
    return std::tanh(x[0]);
  case MapKind::Erf:
    return std::erf(x[0]);
  case MapKind::Sigmoid:
    return x[0] >= 0 ? 1 / (1 + std::exp(-x[0])) : std::exp(x[0]) / (1 + std::exp(x[0]));
  case MapKind::Softplus:
    return std::max(x[0], Real(0)) + std::log1p(std::exp(-std::fabs(x[0])));
  case MapKind::Floor:
    return std::floor(x[0]);
  case MapKind::Sign:
    return x[0] > 0 ? 1 : x[0] < 0 ? -1 : x[0];
  default:
    llvm_unreachable("a kind on truths");
  }
}

template <typename Real> static Real applyTruth(MapKind kind, ArrayRef<Real> x) {
  switch (kind) {
  case MapKind::Lt:
    return x[0] < x[1];
  case MapKind::Le:
    return x[0] <= x[1];
  case MapKind::Eq:
    return x[0] == x[1];
  case MapKind::Ne:
    return x[0] != x[1];
  case MapKind::And:
    return x[0] != 0 && x[1] != 0;
  case MapKind::Or:
    return x[0] != 0 || x[1] != 0;
  case MapKind::Not:
    return x[0] == 0;
  case MapKind::Select:
    return x[0] != 0 ? x[1] : x[2];
  default:
    llvm_unreachable("a kind on reals");
  }
}

/// `convert` to a real, a whole number (towards zero) or a truth.
template <typename Real> static Real convert(Real x, Type element) {
  if (element.isInteger(1))
    return x != 0;
  return element.isF32() ? x : std::trunc(x);
}

template <typename Real>
Named<Real> map(MapKind kind, ArrayRef<const Named<Real> *> operands, const Axes &resultAxes,
                Type element) {
  Named<Real> result = zerosOver(resultAxes, operands);
  SmallVector<Real, 3> x(operands.size());
  bool whole = element.isInteger(64) && kind == MapKind::Div;
  forEachIndex<Real>(result, operands, [&](int64_t at, ArrayRef<int64_t> offsets) {
    for (size_t i = 0; i < operands.size(); ++i)
      x[i] = operands[i]->array.data[offsets[i]];
    if (kind == MapKind::Convert)
      result.array.data[at] = convert(x[0], element);
    else if (kind >= MapKind::Lt)
      result.array.data[at] = applyTruth<Real>(kind, x);
    else
      result.array.data[at] =
          whole ? std::floor(applyReal<Real>(kind, x)) : applyReal<Real>(kind, x);
  });
  return result;
}

/// The axes of `operands` that `result` lacks: those summed over.
template <typename Real>
static Axes missing(ArrayRef<const Named<Real> *> operands, const Axes &result) {
  Axes axes;
  for (const Named<Real> *operand : operands)
    for (StringRef axis : operand->axes)
      if (!llvm::is_contained(result, axis) && !llvm::is_contained(axes, axis))
        axes.push_back(axis);
  return axes;
}

template <typename Real>
Named<Real> reduce(ReduceKind kind, const Named<Real> &source, const Axes &resultAxes, bool f32) {
  Named<Real> result = zerosOver<Real>(resultAxes, {&source});
  Real inf = std::numeric_limits<Real>::infinity();
  std::fill(result.array.data.begin(), result.array.data.end(),
            kind == ReduceKind::Sum   ? Real(0)
            : kind == ReduceKind::Max ? -inf
                                      : inf);
  // Every source element goes to its place in the result, in index order.
  forEachIndex<Real>(source, {&result}, [&](int64_t at, ArrayRef<int64_t> offsets) {
    Real &sum = result.array.data[offsets[0]], x = source.array.data[at];
    sum = kind == ReduceKind::Sum
              ? rounded(sum + x, f32)
              : applyReal<Real>(kind == ReduceKind::Max ? MapKind::Max : MapKind::Min, {sum, x});
  });
  return result;
}

template <typename Real>
Named<Real> contract(const Named<Real> &lhs, const Named<Real> &rhs, const Axes &resultAxes,
                     bool f32) {
  Named<Real> result = zerosOver<Real>(resultAxes, {&lhs, &rhs});
  Named<Real> inner = zerosOver<Real>(missing<Real>({&lhs, &rhs}, resultAxes), {&lhs, &rhs});
  // Offsets of the summed indices are the same for every result element.
  std::vector<std::pair<int64_t, int64_t>> terms;
  forEachIndex<Real>(inner, {&lhs, &rhs}, [&](int64_t, ArrayRef<int64_t> offsets) {
    terms.push_back({offsets[0], offsets[1]});
  });
  const Real *x = lhs.array.data.data(), *y = rhs.array.data.data();
  forEachIndex<Real>(result, {&lhs, &rhs}, [&](int64_t at, ArrayRef<int64_t> offsets) {
    Real sum = 0;
    for (auto [i, j] : terms)
      sum = rounded(sum + x[offsets[0] + i] * y[offsets[1] + j], f32);
    result.array.data[at] = sum;
  });
  return result;
}

static int64_t evaluateExpr(AffineExpr expr, ArrayRef<int64_t> dims) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return dims[dim.getPosition()];
  auto binary = cast<AffineBinaryOpExpr>(expr);
  int64_t lhs = evaluateExpr(binary.getLHS(), dims), rhs = evaluateExpr(binary.getRHS(), dims);
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return lhs + rhs;
  case AffineExprKind::Mul:
    return lhs * rhs;
  case AffineExprKind::FloorDiv:
    return rhs > 0 ? (lhs >= 0 ? lhs / rhs : -((-lhs + rhs - 1) / rhs)) : 0;
  case AffineExprKind::Mod:
    return rhs > 0 ? ((lhs % rhs) + rhs) % rhs : 0;
  case AffineExprKind::CeilDiv:
    return rhs > 0 ? (lhs + rhs - 1) / rhs : 0;
  default:
    return 0;
  }
}

template <typename Real>
llvm::Expected<Named<Real>> view(const Named<Real> &source, AffineMap map, Type type) {
  Named<Real> result;
  for (auto [axis, extent] :
       llvm::zip_equal(axesOf(type), cast<RankedTensorType>(type).getShape())) {
    result.axes.push_back(axis.getValue());
    result.array.shape.push_back(ShapedType::isDynamic(extent) ? source.extent(axis) : extent);
  }
  size_t time = isPerToken(type); // 1: in front of the axes that the map speaks of
  int64_t count = llvm::product_of(result.array.shape);
  std::vector<int64_t> index(result.axes.size(), 0);
  for (int64_t at = 0; at < count; ++at) {
    int64_t left = at;
    for (size_t i = index.size(); i-- > 0; left /= result.array.shape[i])
      index[i] = left % result.array.shape[i];
    int64_t offset = time ? index[0] : 0;
    for (auto [i, expr] : llvm::enumerate(map.getResults())) {
      int64_t here = evaluateExpr(expr, ArrayRef(index).drop_front(time));
      int64_t extent = source.array.shape[i + time];
      if (here < 0 || here >= extent)
        return llvm::createStringError("reads index " + Twine(here) + " of an axis of extent " +
                                       Twine(extent));
      offset = offset * extent + here;
    }
    result.array.data.push_back(source.array.data[offset]);
  }
  return result;
}

template <typename Real> Named<Real> cumsum(const Named<Real> &source, StringRef axis, bool f32) {
  Named<Real> result = source;
  int64_t stride = 1;
  for (size_t i = source.axes.size(); i-- > 0 && source.axes[i] != axis;)
    stride *= source.array.shape[i];
  int64_t extent = source.extent(axis);
  for (int64_t at = 0, count = result.array.data.size(); at < count; ++at)
    if ((at / stride) % extent)
      result.array.data[at] = rounded(result.array.data[at - stride] + result.array.data[at], f32);
  return result;
}

template <typename Real>
Named<Real> roundGroups(const Named<Real> &source, StringRef axis, int64_t group, bool f32) {
  Named<Real> result = source;
  int64_t stride = 1;
  for (size_t i = source.axes.size(); i-- > 0 && source.axes[i] != axis;)
    stride *= source.array.shape[i];
  int64_t extent = source.extent(axis);
  for (int64_t at = 0, count = result.array.data.size(); at < count; ++at) {
    int64_t n = at / stride % extent;
    if (n % group)
      continue;
    int64_t end = std::min(n + group, extent) - n;
    float largest = 0;
    bool finite = true;
    for (int64_t i = 0; i < end; ++i) {
      float number = float(source.array.data[at + i * stride]);
      finite &= bool(std::isfinite(number));
      largest = std::max(largest, std::fabs(number));
    }
    float inverse = largest < 0x1p-100f ? 0 : 127 / largest, scale = largest / 127;
    for (int64_t i = 0; i < end; ++i) {
      Real &number = result.array.data[at + i * stride];
      float q = std::nearbyint(float(number) * inverse);
      number = finite ? rounded(Real(q) * Real(scale), f32) : Real(NAN);
    }
  }
  return result;
}

/// Elements between neighbours along an axis.
template <typename Real> static int64_t strideOf(const Named<Real> &of, StringRef axis) {
  int64_t stride = 1;
  for (size_t i = of.axes.size(); i-- > 0 && of.axes[i] != axis;)
    stride *= of.array.shape[i];
  return stride;
}

template <typename Real>
Named<Real> propagate(const Named<Real> &factors, const Named<Real> &source, StringRef axis,
                      StringRef row, StringRef column, const Axes &resultAxes, bool f32) {
  Named<Real> result = zerosOver<Real>(resultAxes, {&factors, &source});
  int64_t stride = strideOf(result, axis), extent = result.extent(axis);
  int64_t rows = column.empty() ? 1 : factors.extent(column), rowStride = strideOf(result, row),
          columnStride = strideOf(factors, column);
  std::vector<std::pair<int64_t, int64_t>> offsets;
  forEachIndex<Real>(result, {&factors, &source}, [&](int64_t, ArrayRef<int64_t> at) {
    offsets.push_back({at[0], at[1]});
  });
  // A step along the axis reads all rows of the step before it.
  for (int64_t n = 0; n < extent; ++n)
    for (int64_t at = 0, count = offsets.size(); at < count; ++at) {
      if ((at / stride) % extent != n)
        continue;
      auto [factor, term] = offsets[at];
      Real sum = source.array.data[term];
      int64_t first = column.empty() ? at : at - (at / rowStride) % rows * rowStride;
      for (int64_t j = 0; n && j < rows; ++j)
        sum = rounded(sum + factors.array.data[factor + j * columnStride] *
                                result.array.data[first + j * rowStride - stride],
                      f32);
      result.array.data[at] = sum;
    }
  return result;
}

template <typename Real>
Named<Real> solve(const Named<Real> &matrix, const Named<Real> &source, StringRef rows,
                  StringRef columns, const Axes &resultAxes, bool f32) {
  Named<Real> result = zerosOver<Real>(resultAxes, {&matrix, &source});
  int64_t stride = strideOf(result, rows), extent = result.extent(rows),
          columnStride = strideOf(matrix, columns);
  std::vector<std::pair<int64_t, int64_t>> offsets;
  forEachIndex<Real>(result, {&matrix, &source}, [&](int64_t, ArrayRef<int64_t> at) {
    offsets.push_back({at[0], at[1]});
  });
  for (int64_t r = 0; r < extent; ++r)
    for (int64_t at = 0, count = offsets.size(); at < count; ++at) {
      if ((at / stride) % extent != r)
        continue;
      auto [factor, term] = offsets[at];
      Real sum = source.array.data[term];
      for (int64_t s = 0; s < r; ++s)
        sum = rounded(sum + matrix.array.data[factor + s * columnStride] *
                                result.array.data[at - (r - s) * stride],
                      f32);
      result.array.data[at] = sum;
    }
  return result;
}

template <typename Real>
Named<Real> concat(ArrayRef<const Named<Real> *> sources, StringRef axis, const Axes &resultAxes) {
  Named<Real> result = zerosOver(resultAxes, sources);
  size_t position = llvm::find(resultAxes, axis) - resultAxes.begin();
  int64_t total = 0, count = 1;
  for (const Named<Real> *source : sources)
    total += source->extent(axis);
  result.array.shape[position] = total;
  for (int64_t extent : result.array.shape)
    count *= extent;
  result.array.data.assign(count, Real(0));
  int64_t inner = 1;
  for (size_t i = position + 1; i < resultAxes.size(); ++i)
    inner *= result.array.shape[i];
  int64_t start = 0;
  for (const Named<Real> *source : sources) {
    // A part of the result with this source's extent, whose elements are copied to their place.
    Named<Real> part = zerosOver(resultAxes, sources);
    int64_t extent = source->extent(axis), partCount = 1;
    part.array.shape[position] = extent;
    for (int64_t e : part.array.shape)
      partCount *= e;
    part.array.data.assign(partCount, Real(0));
    forEachIndex<Real>(part, {source}, [&](int64_t at, ArrayRef<int64_t> offsets) {
      int64_t outer = at / (inner * extent), along = at / inner % extent;
      result.array.data[(outer * total + start + along) * inner + at % inner] =
          source->array.data[offsets[0]];
    });
    start += extent;
  }
  return result;
}

template <typename Real>
llvm::Expected<Named<Real>> take(const Named<Real> &table, const Named<Real> &ids, StringRef axis,
                                 const Axes &resultAxes, bool zeroOutside) {
  Named<Real> result = zerosOver<Real>(resultAxes, {&table, &ids});
  int64_t stride = 1, extent = table.extent(axis);
  for (size_t i = table.axes.size(); i-- > 0 && table.axes[i] != axis;)
    stride *= table.array.shape[i];
  std::optional<Real> bad;
  forEachIndex<Real>(result, {&table, &ids}, [&](int64_t at, ArrayRef<int64_t> offsets) {
    Real id = ids.array.data[offsets[1]];
    if (!(id >= 0 && id < Real(extent)) || id != std::floor(id)) {
      if (!zeroOutside)
        bad = id;
      return;
    }
    result.array.data[at] = table.array.data[offsets[0] + int64_t(id) * stride];
  });
  if (bad)
    return llvm::createStringError("index %.17g is outside [0, %lld)", double(*bad),
                                   (long long)extent);
  return result;
}

template <typename Real> Named<Real> rows(const Named<Real> &source, int64_t first, int64_t count) {
  int64_t size = source.array.shape[0] ? source.array.data.size() / source.array.shape[0] : 0;
  Named<Real> result{source.axes, {source.array.shape, {}}};
  result.array.shape[0] = count;
  result.array.data.assign(source.array.data.begin() + first * size,
                           source.array.data.begin() + (first + count) * size);
  return result;
}

template <typename Real> Named<Real> dropLeading(Named<Real> source) {
  source.axes.erase(source.axes.begin());
  source.array.shape.erase(source.array.shape.begin());
  return source;
}

template <typename Real> Named<Real> withLeading(Named<Real> source, StringRef axis) {
  source.axes[0] = axis;
  return source;
}

template <typename Real> void appendRows(Numbers<Real> &to, const Numbers<Real> &rows) {
  to.shape[0] += rows.shape[0];
  to.data.insert(to.data.end(), rows.data.begin(), rows.data.end());
}

#define RONDO_INSTANTIATE(Real)                                                                    \
  template struct Named<Real>;                                                                     \
  template Named<Real> zerosOver(const Axes &, ArrayRef<const Named<Real> *>);                     \
  template void forEachIndex(const Named<Real> &, ArrayRef<const Named<Real> *>,                   \
                             function_ref<void(int64_t, ArrayRef<int64_t>)>);                      \
  template Named<Real> map(MapKind, ArrayRef<const Named<Real> *>, const Axes &, Type);            \
  template Named<Real> reduce(ReduceKind, const Named<Real> &, const Axes &, bool);                \
  template Named<Real> contract(const Named<Real> &, const Named<Real> &, const Axes &, bool);     \
  template llvm::Expected<Named<Real>> view(const Named<Real> &, AffineMap, Type);                 \
  template Named<Real> cumsum(const Named<Real> &, StringRef, bool);                               \
  template Named<Real> roundGroups(const Named<Real> &, StringRef, int64_t, bool);                 \
  template Named<Real> propagate(const Named<Real> &, const Named<Real> &, StringRef, StringRef,   \
                                 StringRef, const Axes &, bool);                                   \
  template Named<Real> solve(const Named<Real> &, const Named<Real> &, StringRef, StringRef,       \
                             const Axes &, bool);                                                  \
  template Named<Real> concat(ArrayRef<const Named<Real> *>, StringRef, const Axes &);             \
  template llvm::Expected<Named<Real>> take(const Named<Real> &, const Named<Real> &, StringRef,   \
                                            const Axes &, bool);                                   \
  template Named<Real> rows(const Named<Real> &, int64_t, int64_t);                                \
  template Named<Real> dropLeading(Named<Real>);                                                   \
  template Named<Real> withLeading(Named<Real>, StringRef);                                        \
  template void appendRows(Numbers<Real> &, const Numbers<Real> &);

RONDO_INSTANTIATE(double)
RONDO_INSTANTIATE(long double)

} // namespace rondo::interpreter

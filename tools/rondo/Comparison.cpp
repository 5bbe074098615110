// Comparison.cpp - How far apart two ways of computing the same thing are.

#include "tools/rondo/Comparison.h"

#include "tools/rondo/Console.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>

namespace rondo::cli {

Result<Numbers> numbersOf(const TensorView &tensor) {
  RONDO_TAKE(std::vector<double> values, toF64(tensor));
  return Numbers{tensor.name, tensor.shape, std::move(values)};
}

Result<Numbers> numbersOf(const Tensor &tensor) { return numbersOf(tensor.view()); }

/// "[3, 17]" of element `index` of a tensor.
static std::string placeOf(const std::vector<int64_t> &shape, size_t index) {
  std::vector<int64_t> place(shape.size());
  for (size_t axis = shape.size(); axis-- > 0;) {
    place[axis] = static_cast<int64_t>(index) % shape[axis];
    index /= static_cast<size_t>(shape[axis]);
  }
  return printShape(place);
}

Comparison failure(std::string what, std::string why) {
  Comparison result;
  result.what = std::move(what);
  result.verdict = Verdict::Failed;
  result.note = std::move(why);
  return result;
}

Comparison notApplicable(std::string what, std::string why) {
  Comparison result = failure(std::move(what), std::move(why));
  result.verdict = Verdict::NotApplicable;
  return result;
}

Comparison compare(std::string what, const std::vector<Numbers> &expected,
                   const std::vector<Numbers> &found, const Bound &bound) {
  Comparison result;
  result.what = what;
  result.bound = bound;
  auto fail = [&](std::string why) {
    if (result.verdict != Verdict::Failed)
      result.note = std::move(why);
    result.verdict = Verdict::Failed;
  };
  if (expected.empty())
    fail("there is nothing to compare");
  for (const Numbers &wanted : expected) {
    auto other = std::find_if(found.begin(), found.end(),
                              [&](const Numbers &n) { return n.name == wanted.name; });
    if (other == found.end()) {
      fail(fmt::format("{} is missing", wanted.name));
      continue;
    }
    if (other->shape != wanted.shape) {
      fail(fmt::format("{}: found {}, expected {}", wanted.name, printShape(other->shape),
                       printShape(wanted.shape)));
      continue;
    }
    double largest = 0, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < wanted.values.size(); ++i) {
      double a = wanted.values[i], b = other->values[i];
      if (!std::isfinite(a) || !std::isfinite(b)) {
        fail(fmt::format("{}{} is {}, expected {}: not finite (with --inputs one gives inputs of "
                         "the right range)",
                         wanted.name, placeOf(wanted.shape, i), b, a));
        break;
      }
      largest = std::max(largest, std::abs(a));
      if (std::abs(a - b) > worst)
        worst = std::abs(a - b), at = i;
    }
    double relative = worst == 0 ? 0 : largest == 0 ? HUGE_VAL : worst / largest;
    result.maxAbs = std::max(result.maxAbs, worst);
    if (relative > result.maxRel) {
      result.maxRel = relative;
      if (result.verdict == Verdict::Passed)
        result.note = fmt::format("{}{}", wanted.name, placeOf(wanted.shape, at));
    }
    if (!(relative <= bound.relative))
      fail(fmt::format("{}{}: found {:.9g}, expected {:.9g}", wanted.name,
                       placeOf(wanted.shape, at), other->values[at], wanted.values[at]));
  }
  if (double middle; result.verdict == Verdict::Passed && bound.middle > 0 &&
                     (middle = middleRowDifference(expected, found)) > bound.middle)
    fail(fmt::format("half of the rows are apart by {:.2g} or more, expected at most {:.2g}",
                     middle, bound.middle));
  return result;
}

static bool isState(const Numbers &tensor) { return tensor.name.starts_with("state."); }

/// The difference of each row, divided by the largest magnitude in the expected row. None where the
/// tensors are not the same ones.
static std::optional<std::vector<double>> rowDifferences(const Numbers &wanted,
                                                         const std::vector<Numbers> &found) {
  auto other = std::find_if(found.begin(), found.end(),
                            [&](const Numbers &n) { return n.name == wanted.name; });
  if (other == found.end() || other->shape != wanted.shape)
    return std::nullopt;
  bool whole = isState(wanted) || wanted.shape.empty() || wanted.shape[0] < 1;
  std::vector<double> rows(whole ? 1 : static_cast<size_t>(wanted.shape[0]));
  for (size_t row = 0, each = wanted.values.size() / rows.size(); row < rows.size(); ++row) {
    double largest = 0, worst = 0;
    for (size_t i = row * each; i < (row + 1) * each; ++i) {
      largest = std::max(largest, std::abs(wanted.values[i]));
      double off = std::abs(wanted.values[i] - other->values[i]);
      if (!(off <= worst))
        worst = std::isfinite(off) ? off : HUGE_VAL;
    }
    rows[row] = worst == 0 ? 0 : largest == 0 ? HUGE_VAL : worst / largest;
  }
  return rows;
}

double largestRowDifference(const std::vector<Numbers> &expected,
                            const std::vector<Numbers> &found) {
  double most = 0;
  for (const Numbers &wanted : expected) {
    std::optional<std::vector<double>> rows = rowDifferences(wanted, found);
    if (!rows)
      return HUGE_VAL;
    most = std::max(most, *std::max_element(rows->begin(), rows->end()));
  }
  return most;
}

double middleRowDifference(const std::vector<Numbers> &expected,
                           const std::vector<Numbers> &found) {
  std::vector<double> all;
  for (const Numbers &wanted : expected)
    if (!isState(wanted)) {
      std::optional<std::vector<double>> rows = rowDifferences(wanted, found);
      if (!rows)
        return HUGE_VAL;
      all.insert(all.end(), rows->begin(), rows->end());
    }
  if (all.empty())
    return 0;
  auto middle = all.begin() + static_cast<ptrdiff_t>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  return *middle;
}

static std::string printVerdict(Verdict verdict) {
  return verdict == Verdict::Passed ? "pass" : verdict == Verdict::Failed ? "FAIL" : "n/a";
}

std::string printComparisons(const std::vector<Comparison> &all) {
  std::vector<std::vector<std::string>> rows;
  for (const Comparison &c : all) {
    bool compared = !c.bound.reason.empty();
    rows.push_back({c.what, compared ? fmt::format("{:.2g}", c.maxAbs) : "",
                    compared ? fmt::format("{:.2g}", c.maxRel) : "",
                    compared ? fmt::format("{:.2g}", c.bound.relative) : "",
                    printVerdict(c.verdict), c.note, c.bound.reason});
  }
  return markdownTable(
      {"comparison", "max abs", "max rel", "bound", "result", "worst at", "why this bound"},
      {false, true, true, true, false, false, false}, rows);
}

nlohmann::ordered_json describe(const std::vector<Comparison> &all) {
  auto rows = nlohmann::ordered_json::array();
  for (const Comparison &c : all)
    rows.push_back({{"comparison", c.what},
                    {"result", c.verdict == Verdict::Passed   ? "pass"
                               : c.verdict == Verdict::Failed ? "fail"
                                                              : "not applicable"},
                    {"max_abs", c.maxAbs},
                    {"max_rel", c.maxRel},
                    {"bound", c.bound.relative},
                    {"reason", c.bound.reason},
                    {"note", c.note}});
  return rows;
}

} // namespace rondo::cli

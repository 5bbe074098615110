// Comparison.h - What two ways of computing the same thing made, and how far apart they are.

#ifndef RONDO_TOOLS_RONDO_COMPARISON_H
#define RONDO_TOOLS_RONDO_COMPARISON_H

#include "runtime/tensor.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rondo::cli {

/// Outputs and states, as doubles.
struct Numbers {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<double> values;
};
Result<Numbers> numbersOf(const Tensor &tensor);
Result<Numbers> numbersOf(const TensorView &tensor);

/// How far apart two forms may be: the largest difference of a tensor, divided by the largest
/// magnitude in the expected one.
struct Bound {
  double relative = 0; ///< 0: every bit equal
  std::string reason;
  /// Where single rows may be far apart (a number that is rounded the other way, a token that takes
  /// another expert): the most that the middle one of the outputs' rows may be. 0: not looked at.
  double middle = 0;
};

enum class Verdict { Passed, Failed, NotApplicable };

/// One line of the table.
struct Comparison {
  std::string what;
  double maxAbs = 0, maxRel = 0; ///< over all tensors; maxRel as in Bound
  Bound bound;
  Verdict verdict = Verdict::Passed;
  std::string note; ///< the worst tensor and place; why nothing was compared
};

/// Compares tensors of the same names, shape by shape. A tensor that is missing, of another shape,
/// or not finite fails.
Comparison compare(std::string what, const std::vector<Numbers> &expected,
                   const std::vector<Numbers> &found, const Bound &bound);
/// The largest difference of a row, divided by the largest magnitude in the expected row: outputs
/// have a row for each token, a state is one row. Infinite where the tensors are not the same ones.
/// It is no less than the relative difference of any part of them that is whole rows.
double largestRowDifference(const std::vector<Numbers> &expected,
                            const std::vector<Numbers> &found);
/// The median of those differences over the rows of outputs; 0 where there are none.
double middleRowDifference(const std::vector<Numbers> &expected, const std::vector<Numbers> &found);
Comparison failure(std::string what, std::string why);
Comparison notApplicable(std::string what, std::string why);

std::string printComparisons(const std::vector<Comparison> &all);
nlohmann::ordered_json describe(const std::vector<Comparison> &all);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_COMPARISON_H

//===- Initialise.h - Parameters without a checkpoint ----------*- C++ -*-===//
//
// `init` of a parameter, as in `param w[out in] init normal(0.02)`: a number, zeros, ones,
// constant(c), uniform(a) (from -a to a), uniform(a, b), normal(sigma); without it normal(0.02).
// The numbers depend on the seed and the parameter's path alone, so that a model keeps them when
// another parameter is added.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "llvm/ADT/StringRef.h"
#include <optional>
#include <string>
#include <vector>

namespace rondo {

/// An `init`, understood.
struct Initialiser {
  enum class Kind { Constant, Uniform, Normal } kind;
  double a = 0, b = 0; ///< the constant; the bounds; 0 and sigma

  /// Nothing, with `why`, where the text is none of the forms.
  static std::optional<Initialiser> parse(llvm::StringRef text, std::string &why);

  std::vector<float> fill(llvm::StringRef path, uint64_t seed, int64_t elements) const;
};

} // namespace rondo

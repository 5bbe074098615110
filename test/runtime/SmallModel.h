// SmallModel.h - The package around kernels.c, and what it must compute, written plainly.

#ifndef RONDO_TEST_RUNTIME_SMALLMODEL_H
#define RONDO_TEST_RUNTIME_SMALLMODEL_H

#include "runtime/package.h"

#include <vector>

namespace rondo::test {

inline constexpr int64_t width = 4, vocabulary = 16, pieceRows = 8;

/// The manifest: entries forward (all rows), prefill and step (twice the last row), whole (forward
/// that refuses splits).
package::PackageT smallManifest();
/// The values of its table and of the initial state.
std::vector<float> smallTable();
std::vector<float> smallInitial();
/// Writes the package; `change` edits the manifest first.
Status writeSmall(const std::string &path,
                  const std::function<void(package::PackageT &)> &change = {});
/// Rows of `forward` for one sequence from its start.
std::vector<float> expectForward(const std::vector<int64_t> &tokens);

} // namespace rondo::test

#endif // RONDO_TEST_RUNTIME_SMALLMODEL_H

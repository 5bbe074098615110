//===- Arena.cpp - Places for values whose lives are known ----------------===//

#include "codegen/common/Plan.h"

using namespace rondo;

static int64_t roundUp(int64_t bytes) { return (bytes + 63) / 64 * 64; }

ArenaPlan rondo::planArena(llvm::ArrayRef<Lifetime> lifetimes) {
  std::vector<size_t> order(lifetimes.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  llvm::sort(order, [&](size_t a, size_t b) {
    return std::pair(lifetimes[b].bytes, a) < std::pair(lifetimes[a].bytes, b);
  });

  ArenaPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  std::vector<size_t> placed; // by offset
  for (size_t candidate : order) {
    const Lifetime &life = lifetimes[candidate];
    int64_t size = roundUp(life.bytes), end = 0, best = -1, bestGap = 0;
    for (size_t other : placed) {
      const Lifetime &neighbour = lifetimes[other];
      if (neighbour.last < life.first || life.last < neighbour.first)
        continue;
      int64_t gap = plan.offsets[other] - end;
      if (gap >= size && (best < 0 || gap < bestGap)) {
        best = end;
        bestGap = gap;
      }
      end = std::max(end, plan.offsets[other] + roundUp(neighbour.bytes));
    }
    int64_t offset = plan.offsets[candidate] = best < 0 ? end : best;
    plan.bytes = std::max(plan.bytes, offset + size);
    auto place =
        llvm::partition_point(placed, [&](size_t other) { return plan.offsets[other] <= offset; });
    placed.insert(place, candidate);
  }
  return plan;
}

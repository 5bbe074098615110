// KernelTimes.h - `rondo bench --kernels`: where the time of an entry goes, kernel by kernel, and
// how far each is from what the machine can do.

#ifndef RONDO_TOOLS_RONDO_KERNELTIMES_H
#define RONDO_TOOLS_RONDO_KERNELTIMES_H

#include "tools/rondo/Session.h"

#include "runtime/machine.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rondo::cli {

/// One kernel, or one of the executor's own steps (append, tail, last), summed over its launches.
struct KernelTime {
  std::string name, kind, place; ///< place: the spec line it comes from
  int64_t launches = 0;
  double seconds = 0;
  double flops = 0; ///< at least: what its ops compute, whatever the schedule
  double bytes = 0; ///< at least: weights, states, operands and results
  /// The least time in which the machine computes and reads as much.
  double limit = 0;
  /// What was to be expected of its loops and this machine; 0: the package holds no estimate.
  double predicted = 0;
};

/// `times`: of the steps of `entry`, run at level `isa`. The dearest kernel first.
std::vector<KernelTime> kernelTimes(const package::Package &manifest, const package::Entry &entry,
                                    const std::vector<Executor::StepTime> &times,
                                    const MachineDescription &machine, std::string_view isa);

void printKernelTimes(const std::string &test, const std::vector<KernelTime> &kernels);
nlohmann::ordered_json describeKernelTimes(const std::vector<KernelTime> &kernels);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_KERNELTIMES_H

// KernelTimes.cpp - Where the time of an entry goes, kernel by kernel.

#include "tools/rondo/KernelTimes.h"

#include "runtime/cpu.h"
#include "tools/rondo/Console.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>

namespace rondo::cli {

/// Bytes a second at which the machine reads what is `bytes` large: the measured size that is not
/// smaller, else the largest.
static double readSpeed(const MachineDescription &machine, double bytes) {
  double speed = 0;
  for (const ReadSpeed &read : machine.reads) {
    speed = read.bytesPerSecond;
    if (static_cast<double>(read.bytes) >= bytes)
      break;
  }
  return speed;
}

/// All weights of an entry's steps, each once: what lies between two uses of one of them.
static double weightBytes(const package::Package &manifest, const package::Entry &entry) {
  std::set<int64_t> seen;
  double bytes = 0;
  for (const package::Step *step : *entry.steps())
    for (const package::Operand *operand : *step->operands())
      if (operand->kind() == package::OperandKind::Weight && seen.insert(operand->index()).second)
        bytes += static_cast<double>(
            manifest.weights()->Get(static_cast<unsigned>(operand->index()))->bytes());
  return bytes;
}

/// States that a step's run reads and writes; of a cache, what each token reads of it.
static double stateBytes(const package::Package &manifest, const package::Step &step,
                         const Executor::StepTime &time) {
  double bytes = 0;
  for (const package::Operand *operand : *step.operands()) {
    if (operand->kind() != package::OperandKind::State)
      continue;
    const package::State &state = *manifest.states()->Get(static_cast<unsigned>(operand->index()));
    if (state.kind() == package::StateKind::Fixed)
      bytes += 2.0 * static_cast<double>(state.bytes()) * static_cast<double>(time.sequences);
    else if (state.kind() == package::StateKind::Cache && time.rows > 0)
      // Once for all tokens of a piece, whose keys lie before its middle on average.
      bytes += static_cast<double>(state.bytes()) * time.pairs / static_cast<double>(time.rows) *
               static_cast<double>(time.runs);
  }
  return bytes;
}

/// Whether a launch multiplies pairs of bf16: its kernel was made for a level that does, and reads
/// weights of bf16.
static bool multipliesPairs(const package::Package &manifest, const package::Step &step,
                            std::string_view isa) {
  const package::Kernel &kernel = *manifest.kernels()->Get(static_cast<unsigned>(step.kernel()));
  auto ofLevel = [&](const package::Variant *variant) {
    return roundsFactors(isa) && variant->isa()->string_view() == isa;
  };
  auto ofPairs = [&](const package::Operand *operand) {
    return operand->kind() == package::OperandKind::Weight &&
           manifest.weights()->Get(static_cast<unsigned>(operand->index()))->dtype() ==
               package::DType::BF16;
  };
  return std::any_of(kernel.variants()->begin(), kernel.variants()->end(), ofLevel) &&
         std::any_of(step.operands()->begin(), step.operands()->end(), ofPairs);
}

std::vector<KernelTime> kernelTimes(const package::Package &manifest, const package::Entry &entry,
                                    const std::vector<Executor::StepTime> &times,
                                    const MachineDescription &machine, std::string_view isa) {
  std::map<std::string, KernelTime> byName;
  double weightSpeed = readSpeed(machine, weightBytes(manifest, entry));
  for (size_t i = 0; i < times.size(); ++i) {
    const package::Step &step = *entry.steps()->Get(static_cast<unsigned>(i));
    const Executor::StepTime &time = times[i];
    auto rows = static_cast<double>(time.rows), runs = static_cast<double>(time.runs);
    if (step.kind() != package::StepKind::Launch) {
      const char *name = step.kind() == package::StepKind::Append ? "append"
                         : step.kind() == package::StepKind::Tail ? "tail"
                                                                  : "last";
      KernelTime &sum = byName[name];
      sum.name = sum.kind = name;
      sum.launches += time.runs;
      sum.seconds += time.seconds;
      continue;
    }
    const package::Kernel &kernel = *manifest.kernels()->Get(static_cast<unsigned>(step.kernel()));
    KernelTime &sum = byName[kernel.name()->str()];
    sum.name = kernel.name()->str();
    sum.kind = kernel.kind()->str();
    if (kernel.location())
      sum.place = kernel.location()->str();
    sum.launches += time.runs;
    sum.seconds += time.seconds;
    double flops = kernel.flops_per_row() * rows + kernel.flops_per_pair() * time.pairs;
    double weights = static_cast<double>(kernel.bytes_once()) * runs;
    double others =
        static_cast<double>(kernel.bytes_per_row()) * rows + stateBytes(manifest, step, time);
    sum.flops += flops;
    sum.bytes += weights + others;
    double reading = weightSpeed > 0 ? weights / weightSpeed : 0;
    if (double speed = readSpeed(machine, others / std::max(1.0, runs)); speed > 0)
      reading += others / speed;
    double peak = multipliesPairs(manifest, step, isa) ? machine.bf16Peak : machine.f32Peak;
    sum.limit += std::max(peak > 0 ? flops / peak : 0, reading);
  }
  std::vector<KernelTime> kernels;
  for (auto &[name, kernel] : byName)
    kernels.push_back(std::move(kernel));
  std::sort(kernels.begin(), kernels.end(),
            [](const KernelTime &a, const KernelTime &b) { return a.seconds > b.seconds; });
  return kernels;
}

void printKernelTimes(const std::string &test, const std::vector<KernelTime> &kernels) {
  double all = 0, limit = 0;
  for (const KernelTime &kernel : kernels) {
    all += kernel.seconds;
    limit += kernel.limit;
  }
  auto percent = [](double part, double whole) {
    return whole > 0 ? fmt::format("{:.1f} %", 100 * part / whole) : std::string();
  };
  auto speed = [](double amount, double seconds) {
    return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds / 1e9)
                                     : std::string();
  };
  std::vector<std::vector<std::string>> rows;
  for (const KernelTime &kernel : kernels)
    rows.push_back({kernel.name, kernel.kind, kernel.place, std::to_string(kernel.launches),
                    fmt::format("{:.2f}", kernel.seconds * 1e3), percent(kernel.seconds, all),
                    speed(kernel.flops, kernel.seconds), speed(kernel.bytes, kernel.seconds),
                    kernel.limit > 0 ? percent(kernel.limit, kernel.seconds) : ""});
  rows.push_back(
      {"all", "", "", "", fmt::format("{:.2f}", all * 1e3), "", "", "", percent(limit, all)});
  fmt::print("\n{} by kernel\n\n{}", test,
             markdownTable({"kernel", "kind", "from", "launches", "ms", "of time", "GFLOP/s",
                            "GB/s", "of limit"},
                           {false, false, false, true, true, true, true, true, true}, rows));
}

nlohmann::ordered_json describeKernelTimes(const std::vector<KernelTime> &kernels) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const KernelTime &kernel : kernels)
    rows.push_back({{"kernel", kernel.name},
                    {"kind", kernel.kind},
                    {"from", kernel.place},
                    {"launches", kernel.launches},
                    {"seconds", kernel.seconds},
                    {"flops", kernel.flops},
                    {"bytes", kernel.bytes},
                    {"limit_seconds", kernel.limit}});
  return rows;
}

} // namespace rondo::cli

// KernelTimes.cpp - Where the time of an entry goes, kernel by kernel.

#include "tools/rondo/KernelTimes.h"

#include "runtime/cpu.h"
#include "tools/rondo/Console.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <optional>
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

/// All weights and fixed states of an entry's steps, each once: what lies between two uses of one
/// of them.
static double residentBytes(const package::Package &manifest, const package::Entry &entry) {
  std::set<std::pair<package::OperandKind, int64_t>> seen;
  double bytes = 0;
  for (const package::Step *step : *entry.steps())
    for (const package::Operand *operand : *step->operands()) {
      auto index = static_cast<unsigned>(operand->index());
      bool weight = operand->kind() == package::OperandKind::Weight;
      if ((!weight && operand->kind() != package::OperandKind::State) ||
          !seen.insert({operand->kind(), operand->index()}).second)
        continue;
      if (weight)
        bytes += static_cast<double>(manifest.weights()->Get(index)->bytes());
      else if (const package::State &state = *manifest.states()->Get(index);
               state.kind() == package::StateKind::Fixed)
        bytes += static_cast<double>(state.bytes());
    }
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

/// The variant of a kernel that runs: the level's own, or else the best below it, as
/// runtime/program.cpp takes it. Null where there is none.
static const package::Variant *variantFor(const package::Kernel &kernel, std::string_view isa) {
  const std::vector<std::string> &levels = isaNames();
  for (auto level = std::find(levels.begin(), levels.end(), isa); level != levels.end(); ++level)
    for (const package::Variant *variant : *kernel.variants())
      if (variant->isa()->string_view() == *level)
        return variant;
  return nullptr;
}

/// The peak of what a launch multiplies with: pairs of bf16 and quads of integers where its kernel
/// was made for a level that takes them, and reads such weights.
static double peakOf(const package::Package &manifest, const package::Step &step,
                     const MachineDescription &machine, std::string_view isa) {
  const package::Kernel &kernel = *manifest.kernels()->Get(static_cast<unsigned>(step.kernel()));
  auto reads = [&](std::initializer_list<package::DType> types) {
    return std::any_of(step.operands()->begin(), step.operands()->end(),
                       [&](const package::Operand *operand) {
                         if (operand->kind() != package::OperandKind::Weight)
                           return false;
                         auto index = static_cast<unsigned>(operand->index());
                         package::DType type = manifest.weights()->Get(index)->dtype();
                         return std::find(types.begin(), types.end(), type) != types.end();
                       });
  };
  if (const package::Variant *variant = variantFor(kernel, isa);
      variant && roundsFactors(variant->isa()->string_view())) {
    if (reads({package::DType::BF16}))
      return machine.bf16Peak;
    if (reads({package::DType::I8, package::DType::U8}))
      return machine.int8Peak;
  }
  return machine.f32Peak;
}

/// The cycles of a launch over one sequence, between the sizes that the package has estimates for:
/// a power of the rows from one to the next. Nothing where there are none.
static std::optional<double> cyclesFor(const package::Variant &variant, double besides, double rows,
                                       double pairs) {
  if (!variant.estimates() || variant.estimates()->size() == 0)
    return std::nullopt;
  auto cyclesOf = [&](const package::Estimate &estimate) {
    return estimate.cycles() * (1 - besides) + estimate.cycles_beside() * besides;
  };
  const package::Estimate *below = nullptr, *above = nullptr, *deep = nullptr, *shallow = nullptr;
  for (const package::Estimate *estimate : *variant.estimates()) {
    auto size = static_cast<double>(estimate->rows());
    if (estimate->position() > 0) {
      deep = !deep || size <= rows ? estimate : deep;
    } else if (!above || static_cast<double>(above->rows()) < rows) {
      below = above;
      above = estimate;
    }
  }
  if (!above)
    return std::nullopt;
  double cycles = cyclesOf(*above), size = static_cast<double>(above->rows());
  double power = 1;
  if (below && cyclesOf(*below) > 0 && cycles > 0)
    power =
        std::log(cycles / cyclesOf(*below)) / std::log(size / static_cast<double>(below->rows()));
  cycles *= std::pow(rows / size, power);
  // Tokens looked at beyond those of the piece itself.
  double earlier = pairs - rows * (rows + 1) / 2;
  for (const package::Estimate *estimate : *variant.estimates())
    if (deep && estimate->position() == 0 && estimate->rows() == deep->rows())
      shallow = estimate;
  if (shallow && earlier > 0)
    cycles += std::max(0.0, cyclesOf(*deep) - cyclesOf(*shallow)) /
              static_cast<double>(deep->position() * deep->rows()) * earlier;
  return cycles;
}

/// Seconds that all runs of a step compute; nothing where there is no estimate for `isa`.
static std::optional<double> computing(const package::Kernel &kernel,
                                       const Executor::StepTime &time,
                                       const MachineDescription &machine, std::string_view isa) {
  const package::Variant *variant = variantFor(kernel, isa);
  double speed = cyclesPerSecond(machine);
  if (!variant || speed <= 0 || time.runs <= 0 || time.rows <= 0)
    return std::nullopt;
  auto runs = static_cast<double>(time.runs);
  double sequences = std::max(1.0, static_cast<double>(time.sequences) / runs);
  double rows = static_cast<double>(time.rows) / runs;
  bool bySequence = kernel.per() == package::Per::Sequences;
  double parts = bySequence ? sequences : 1;
  std::optional<double> cycles =
      cyclesFor(*variant, machine.besides, rows / parts, time.pairs / runs / parts);
  if (!cycles)
    return std::nullopt;
  double count = kernel.per() == package::Per::Rows ? rows : bySequence ? sequences : 1;
  double items =
      std::ceil(count / static_cast<double>(kernel.unit())) * static_cast<double>(kernel.factor());
  // Threads that get work, and the one that gets most of it.
  double threads = std::clamp(std::floor(items / static_cast<double>(kernel.grain())), 1.0,
                              static_cast<double>(machine.threads));
  double share = std::ceil(items / threads) / std::max(1.0, items);
  return *cycles * parts * share * runs / speed;
}

std::vector<KernelTime> kernelTimes(const package::Package &manifest, const package::Entry &entry,
                                    const std::vector<Executor::StepTime> &times,
                                    const MachineDescription &machine, std::string_view isa) {
  std::map<std::string, KernelTime> byName;
  double weightSpeed = readSpeed(machine, residentBytes(manifest, entry));
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
    // Between two uses of a state, as of a weight, lie all the others.
    double states = stateBytes(manifest, step, time);
    double others = static_cast<double>(kernel.bytes_per_row()) * rows;
    sum.flops += flops;
    sum.bytes += weights + states + others;
    double reading = weightSpeed > 0 ? (weights + states) / weightSpeed : 0;
    // Nobody waits for lines that are written back, which take of the memory's time all the same.
    double waited = weightSpeed > 0 ? (weights + states * 3 / 4) / weightSpeed : 0;
    if (double speed = readSpeed(machine, others / std::max(1.0, runs)); speed > 0) {
      reading += others / speed;
      waited += others / speed;
    }
    // What goes row by row waits for its weights at every row where they do not stay in the first
    // cache; a scan's work items have a part of them each.
    double again = 0, own = weights / std::max(1.0, runs);
    if (kernel.per() == package::Per::Sequences)
      own /= std::max(1.0, static_cast<double>(kernel.factor()));
    double againSpeed = readSpeed(machine, own * static_cast<double>(machine.threads));
    if ((sum.kind == "scan" || sum.kind == "rows") &&
        own > static_cast<double>(machine.firstCache) && againSpeed > 0)
      again = weights / runs * (rows - runs) / againSpeed;
    double peak = peakOf(manifest, step, machine, isa);
    sum.limit += std::max(peak > 0 ? flops / peak : 0, reading);
    if (std::optional<double> cycles = computing(kernel, time, machine, isa))
      sum.predicted += std::max(*cycles, waited) + again + machine.launch * runs;
  }
  std::vector<KernelTime> kernels;
  for (auto &[name, kernel] : byName)
    kernels.push_back(std::move(kernel));
  std::sort(kernels.begin(), kernels.end(),
            [](const KernelTime &a, const KernelTime &b) { return a.seconds > b.seconds; });
  return kernels;
}

void printKernelTimes(const std::string &test, const std::vector<KernelTime> &kernels) {
  double all = 0, limit = 0, predicted = 0;
  for (const KernelTime &kernel : kernels) {
    all += kernel.seconds;
    limit += kernel.limit;
    predicted += kernel.predicted;
  }
  auto percent = [](double part, double whole) {
    return whole > 0 ? fmt::format("{:.1f} %", 100 * part / whole) : std::string();
  };
  auto speed = [](double amount, double seconds) {
    return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds / 1e9)
                                     : std::string();
  };
  auto milliseconds = [](double seconds) {
    return seconds > 0 ? fmt::format("{:.2f}", seconds * 1e3) : std::string();
  };
  std::vector<std::vector<std::string>> rows;
  for (const KernelTime &kernel : kernels)
    rows.push_back({kernel.name, kernel.kind, kernel.place, std::to_string(kernel.launches),
                    fmt::format("{:.2f}", kernel.seconds * 1e3), percent(kernel.seconds, all),
                    speed(kernel.flops, kernel.seconds), speed(kernel.bytes, kernel.seconds),
                    kernel.limit > 0 ? percent(kernel.limit, kernel.seconds) : "",
                    milliseconds(kernel.predicted)});
  rows.push_back({"all", "", "", "", fmt::format("{:.2f}", all * 1e3), "", "", "",
                  percent(limit, all), milliseconds(predicted)});
  fmt::print("\n{} by kernel\n\n{}", test,
             markdownTable({"kernel", "kind", "from", "launches", "ms", "of time", "GFLOP/s",
                            "GB/s", "of limit", "predicted ms"},
                           {false, false, false, true, true, true, true, true, true, true}, rows));
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
                    {"limit_seconds", kernel.limit},
                    {"predicted_seconds", kernel.predicted}});
  return rows;
}

} // namespace rondo::cli

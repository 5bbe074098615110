// Machine.cpp - `rondo machine`: what this machine can do at most, the limits that other figures
// are shares of.

#include "tools/rondo/Command.h"
#include "tools/rondo/Console.h"

#include "runtime/machine.h"

#include <fmt/format.h>
#include <memory>

namespace rondo::cli {

namespace {

struct MachineCommandOptions {
  int threads = 0;
  bool json = false, again = false;
};

nlohmann::ordered_json describe(const MachineDescription &machine) {
  nlohmann::ordered_json reads = nlohmann::ordered_json::array();
  for (const ReadSpeed &read : machine.reads)
    reads.push_back({{"bytes", read.bytes}, {"bytes_per_second", read.bytesPerSecond}});
  return {{"processor", machine.processor},
          {"isa", machine.isa},
          {"threads", machine.threads},
          {"caches", {machine.firstCache, machine.secondCache, machine.lastCache}},
          {"f32_operations_per_second", machine.f32Peak},
          {"bf16_operations_per_second", machine.bf16Peak},
          {"int8_operations_per_second", machine.int8Peak},
          {"additions_beside", machine.besides},
          {"reads", reads}};
}

void print(const MachineDescription &machine) {
  fmt::print("{}, {}, {} thread{}\n\n", machine.processor, machine.isa, machine.threads,
             machine.threads == 1 ? "" : "s");
  std::vector<std::vector<std::string>> rows;
  auto peak = [&](const char *what, double operations) {
    rows.push_back({what, operations > 0 ? fmt::format("{:.0f} G operations/s", operations / 1e9)
                                         : std::string("no instruction for it")});
  };
  peak("f32 multiply-add", machine.f32Peak);
  peak("bf16 products of pairs", machine.bf16Peak);
  peak("int8 products of quads", machine.int8Peak);
  rows.push_back(
      {"additions free beside multiply-adds", fmt::format("{:.0f} %", 100 * machine.besides)});
  for (const ReadSpeed &read : machine.reads)
    rows.push_back({fmt::format("read {}", printBytes(read.bytes)),
                    fmt::format("{:.1f} GB/s", read.bytesPerSecond / 1e9)});
  fmt::print("{}", markdownTable({"limit", "measured"}, {false, true}, rows));
}

Result<int> describeThis(const MachineCommandOptions &options) {
  ThreadPool pool(options.threads);
  Progress progress("machine");
  progress.show("measuring");
  MachineDescription machine = describeMachine(pool, machineCacheFolder(), options.again);
  progress.clear();
  if (options.json)
    printJson(describe(machine));
  else
    print(machine);
  return Success;
}

} // namespace

Command addMachine(CLI::App &app) {
  auto options = std::make_shared<MachineCommandOptions>();
  CLI::App *command = app.add_subcommand(
      "machine", "What this machine can do at most: arithmetic, and reading from each cache");
  command->add_option("-t,--threads", options->threads, "Threads; one for each processor")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", options->json, "Print an object for programs");
  command->add_flag("--again", options->again, "Measure even when it is known from before");
  command->footer("Measured once and kept in $XDG_CACHE_HOME/rondo (or ~/.cache/rondo).\n"
                  "Examples:\n"
                  "  rondo machine\n"
                  "  rondo machine -t 1 --again --json");
  return {command, [options] { return describeThis(*options); }};
}

} // namespace rondo::cli

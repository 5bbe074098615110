// MemoryNeed.cpp - Sums what a manifest says of sizes.

#include "tools/rondo/MemoryNeed.h"

#include "runtime/executor.h"

#include <algorithm>

namespace rondo::cli {

/// Products and sums that stop at the largest number: a manifest may name any sizes.
static uint64_t times(uint64_t a, uint64_t b) { return checkedMul(a, b).value_or(UINT64_MAX); }
static uint64_t plus(uint64_t a, uint64_t b) { return checkedAdd(a, b).value_or(UINT64_MAX); }

uint64_t MemoryNeed::sum() const {
  return plus(plus(plus(program, package), plus(arena, scratch)), plus(states, text));
}

MemoryNeed memoryNeed(const Package &package, int64_t tokens, int64_t sequences, int threads) {
  // A run of the smallest package holds 8 MiB, half of it shared libraries.
  constexpr uint64_t program = 12 << 20, stack = 64 << 10;
  // Parsed, a tokenizer of 330,000 tokens holds 17 times the bytes of its file. A token of a prompt
  // is a few bytes of text and two ids.
  constexpr uint64_t ofTokenizer = 24, ofToken = 32;
  const package::Package &manifest = package.manifest();
  bool whole = false, hasDecoding = package.findEntry("prefill") && package.findEntry("step");
  MemoryNeed need;
  auto workers = static_cast<uint64_t>(threads), batch = static_cast<uint64_t>(sequences);
  uint64_t outputs = 0, kernels = 0, all = times(static_cast<uint64_t>(tokens), batch);
  for (const package::Entry *entry : *manifest.entries()) {
    std::string_view name = entry->name()->string_view();
    if (hasDecoding && name != "prefill" && name != "step")
      continue;
    // Of a sequence in one piece, what a longer one takes in proportion.
    auto arena = static_cast<uint64_t>(entry->arena()),
         room = static_cast<uint64_t>(entry->max_rows());
    whole |= entry->whole_sequence();
    if (entry->whole_sequence())
      arena = times(arena, (static_cast<uint64_t>(tokens) + room - 1) / room);
    need.arena = std::max(need.arena, arena);
    uint64_t row = 0;
    for (const package::Value *value : *entry->outputs())
      row += static_cast<uint64_t>(rowBytes(*value));
    auto rows =
        static_cast<uint64_t>(entry->outputs_in_last_space() ? sequences : tokens * sequences);
    outputs = std::max(outputs, 2 * rows * row);
  }
  for (const package::Kernel *kernel : *manifest.kernels())
    kernels = std::max(kernels, static_cast<uint64_t>(kernel->scratch()) + 64);
  need.program = program + workers * stack;
  need.package = package.fileBytes();
  need.scratch = times(kernels, workers);
  need.states = times(stateBytes(manifest, tokens, whole), batch);
  uint64_t tokenizer = manifest.tokenizer() ? times(ofTokenizer, manifest.tokenizer()->size()) : 0;
  need.text = plus(plus(tokenizer, times(ofToken, all)), outputs);
  return need;
}

} // namespace rondo::cli

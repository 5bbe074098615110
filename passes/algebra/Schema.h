//===- Schema.h - Which block form, and what it costs ----------*- C++ -*-===//
//
// From a transition class to a form: `chunk` (blocks of C tokens) or `sequential` (the token loop),
// with the reason and an estimate.
//
// The estimate counts, per token and for all heads, floating-point operations of matrix products,
// passes over the states, decays of pairs of tokens and bytes of state traffic, and
// weighs them by a small table of a machine's rates, rounded from prompt throughput of generated
// programs on one AVX-512 core and its AVX2 programs (specs of eight heads of 32 to 128 keys and as
// many values, `rondo bench -p 2048 -t 1`, with `rondoc --form S=chunk:8` and others). Where they
// cross: with a decay per head, states of 32 x 32 take the same time in blocks, those of 128 x 128
// half of it; with a decay per channel, whose pairs of tokens cost for each channel, they cross at
// 64 x 64; with the delta rule, which costs a triangular system as well, below 64 x 64. Blocks of 8
// tokens are as fast as or faster than longer ones: scores and pairs grow with the block.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/algebra/Transition.h"

#include <optional>

namespace rondo::algebra {

/// What a target does in a cycle.
struct Machine {
  const char *name;
  int chunk;           // tokens of a block when nothing else is asked for
  double productFlops; // per cycle, inside a matrix product of block size
  double lanes;        // f32 lanes of a vector
  double tokenCycles;  // per vector of state and pass over it, for one token of the token loop
  double pairCycles;   // per decay between two tokens of a block: product, weight, mask
  double solveCycles;  // per token and row of a block's triangular system, for one head
  double headCycles;   // per token, head and read of a block: small matrix products fill no vectors
};

/// The machine of a target name (x86-64-v3, x86-64-v4); nothing for another.
std::optional<Machine> machineOf(const std::string &target);

enum class Form { Sequential, Chunk };

struct Cost {
  double flops = 0;  // per token
  double pairs = 0;  // decays between two tokens, per token
  double bytes = 0;  // of state, read and written, per token
  double cycles = 0; // per token, estimated
};

struct FormChoice {
  Form form = Form::Sequential;
  int64_t chunk = 1;
  std::string why; // one sentence
  Cost cost;       // of this form
  Cost other;      // of the form not chosen; zero when there is none
};

/// What is asked for instead of the cost model's choice.
struct FormRequest {
  std::optional<Form> form;
  int64_t chunk = 0; // 0: the machine's
  /// Blocks only where every decay is constant in time: what tokens of a block leave each other is
  /// then a stored kernel, and where the reads and keys are constant too, the block a convolution.
  bool convolution = false;
  std::string why = "as asked for"; // one sentence
};

Cost sequentialCost(const Body &body, const TransitionClass &transition, const Machine &machine);
Cost chunkCost(const Body &body, const TransitionClass &transition, int64_t chunk,
               const Machine &machine);

/// A request for a form that does not exist is answered with the reason in `why`.
FormChoice chooseForm(const Body &body, const TransitionClass &transition, const Machine &machine,
                      const FormRequest &request);

} // namespace rondo::algebra

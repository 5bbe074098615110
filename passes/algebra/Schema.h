//===- Schema.h - Which block form, and what it costs ----------*- C++ -*-===//
//
// From a transition class to a form: `chunk` (blocks of C tokens) or `sequential` (the token loop),
// with the reason and an estimate.
//
// The estimate counts, per token and for all heads, floating-point operations of matrix products,
// lanes of other arithmetic, exponentials and bytes of state traffic, and weighs them by a small
// table of a machine's rates. The rates are rounded from measurements of generated kernels on one
// AVX-512 core; what matters is where they cross: a state of 16 x 16 is as fast in blocks as token
// by token, a wider one faster in blocks.
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
  double tokenCycles;  // per vector of state, for one token of the token loop
  double expCycles;    // per vector of exponentials
};

/// The machine of a target name (x86-64-v3, x86-64-v4); nothing for another.
std::optional<Machine> machineOf(const std::string &target);

enum class Form { Sequential, Chunk };

struct Cost {
  double flops = 0;  // per token
  double exps = 0;   // per token
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
};

Cost sequentialCost(const Body &body, const TransitionClass &transition, const Machine &machine);
Cost chunkCost(const Body &body, const TransitionClass &transition, int64_t chunk,
               const Machine &machine);

/// A request for a form that does not exist is answered with the reason in `why`.
FormChoice chooseForm(const Body &body, const TransitionClass &transition, const Machine &machine,
                      const FormRequest &request);

} // namespace rondo::algebra

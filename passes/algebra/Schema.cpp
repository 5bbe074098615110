//===- Schema.cpp - Which block form, and what it costs -------------------===//

#include "passes/algebra/Schema.h"

#include <algorithm>
#include <set>

namespace rondo::algebra {

static constexpr Machine machines[] = {
    {"x86-64-v3", 8, 20, 8, 3, 1.3, 16, 30},
    {"x86-64-v4", 8, 36, 16, 3, 0.5, 8, 30},
};

std::optional<Machine> machineOf(const std::string &target) {
  for (const Machine &machine : machines)
    if (target == machine.name)
      return machine;
  return std::nullopt;
}

Cost sequentialCost(const Body &body, const TransitionClass &transition, const Machine &machine) {
  Cost cost;
  double vectors = 0;
  for (const StateClass &state : transition.states) {
    double size = body.pool.size(state.axes);
    double rank = static_cast<double>(state.updates.size());
    cost.flops += size * (1 + 2 * rank);
    cost.bytes += 8 * size;
    vectors += size / machine.lanes;
  }
  for (const Read &read : transition.reads)
    cost.flops += 2 * body.pool.size(transition.states[read.state].axes);
  // Each read that the updates wait for is one more pass, which writes nothing.
  for (const StateGroup &group : transition.groups)
    for (Expr unknown : group.unknowns)
      for (int i : group.states)
        if (body.pool[unknown].states & stateBit(i))
          vectors += 0.5 * body.pool.size(transition.states[i].axes) / machine.lanes;
  // A first state is read through caches for each token, as a state is.
  cost.flops += 2 * body.groupProducts;
  vectors += body.groupProducts / machine.lanes;
  cost.cycles = vectors * machine.tokenCycles;
  return cost;
}

/// What is multiplied up between the tokens of a block: for each pair and index of a group's
/// decays.
static double pairsOf(const Body &body, const StateGroup &group, double tokens) {
  AxisSet axes = 0;
  bool decays = false;
  for (const std::vector<Expr> &row : group.matrix)
    for (Expr entry : row)
      axes |= body.pool[entry].axes;
  for (size_t i = 0; i < group.matrix.size(); ++i)
    decays |= group.isMatrix || !body.pool.isConstant(group.matrix[i][i], 1);
  double size = group.isMatrix ? static_cast<double>(group.states.size()) : 1;
  return decays ? tokens * body.pool.size(axes) * size * size * size : 0;
}

Cost chunkCost(const Body &body, const TransitionClass &transition, int64_t chunk,
               const Machine &machine) {
  const Pool &pool = body.pool;
  Cost cost;
  double tokens = static_cast<double>(chunk), pairs = 0, rows = 0;
  double products = 2 * body.groupProducts;
  // Scores and decays between tokens that several states share are computed once.
  std::set<std::pair<Expr, Expr>> scores;
  std::set<std::vector<std::vector<Expr>>> decays;
  for (const StateGroup &group : transition.groups) {
    if (decays.insert(group.matrix).second)
      pairs += pairsOf(body, group, tokens);
    // The triangular system: half the products of a matrix with the right side.
    AxisSet axes = 0, head = 0;
    for (Expr unknown : group.unknowns)
      axes |= pool[unknown].axes;
    for (int i : group.states)
      head |= transition.states[i].head;
    double rank = static_cast<double>(group.unknowns.size());
    products += tokens * rank * rank * pool.size(axes);
    rows += tokens * rank * rank * pool.size(axes & head);
  }
  for (const StateClass &state : transition.states) {
    cost.bytes += 8 * pool.size(state.axes) / tokens;
    for (const Update &update : state.updates)
      products += 2 * pool.size(pool[update.key].axes | pool[update.value].axes | state.axes);
  }
  for (const Read &read : transition.reads) {
    const StateClass &state = transition.states[read.state];
    cost.cycles += machine.headCycles * pool.size(state.head);
    products += 2 * pool.size(state.axes);
    for (const Update &update : state.updates) {
      AxisSet key = (pool[update.key].axes & (read.over | ~state.key)) | pool[read.vector].axes;
      if (read.over && scores.insert({read.vector, update.key}).second)
        products += 2 * tokens * pool.size(key);
      AxisSet value = (pool[update.value].axes | pool[update.key].axes | key) & ~read.over;
      products += 2 * tokens * pool.size(value);
    }
  }
  cost.flops = products;
  cost.pairs = pairs;
  cost.cycles +=
      products / machine.productFlops + pairs * machine.pairCycles + rows * machine.solveCycles;
  return cost;
}

/// The most tokens, up to `wanted`, that blocks of a group can have; they must divide it.
static int64_t chunkWithin(int64_t group, int64_t wanted) {
  int64_t chunk = std::min(wanted, group);
  while (group % chunk)
    --chunk;
  return chunk;
}

FormChoice chooseForm(const Body &body, const TransitionClass &transition, const Machine &machine,
                      const FormRequest &request) {
  FormChoice choice;
  Cost sequential = sequentialCost(body, transition, machine);
  int64_t chunk = request.chunk ? request.chunk : machine.chunk;
  std::string refusal = transition.refusal;
  choice.cost = sequential;
  if (body.group && !request.chunk)
    chunk = chunkWithin(body.group, chunk);
  else if (body.group && refusal.empty() && body.group % chunk)
    refusal = "blocks of " + std::to_string(chunk) + " tokens do not divide its groups of " +
              std::to_string(body.group);
  for (const StateClass &state : transition.states)
    if (request.convolution && refusal.empty() && state.decay.kind != DecayKind::None &&
        !state.decay.isConstant)
      refusal = "no convolution: the decay of '" + state.name + "' changes with time";
  if (!refusal.empty()) {
    choice.why = refusal;
    return choice;
  }
  Cost inBlocks = chunkCost(body, transition, chunk, machine);
  bool wanted = request.form ? *request.form == Form::Chunk : inBlocks.cycles < sequential.cycles;
  choice.other = wanted ? sequential : inBlocks;
  choice.why = request.form ? request.why
               : wanted     ? "blocks are estimated to be faster than the token loop"
                            : "the token loop is estimated to be faster than blocks";
  if (wanted) {
    choice.form = Form::Chunk;
    choice.chunk = chunk;
    choice.cost = inBlocks;
  }
  return choice;
}

} // namespace rondo::algebra

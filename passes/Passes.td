//===- Passes.td - Transformations of the rondo dialect ----*- tablegen -*-===//
//
// One entry a pass. MapBlocksPass <-> -rondo-map-blocks <-> passes/MapBlocks.cpp <-> test/passes/map-blocks.mlir
//
//===----------------------------------------------------------------------===//

#ifndef RONDO_PASSES_TD
#define RONDO_PASSES_TD

include "mlir/Pass/PassBase.td"

def ChunkRecurrencesPass : Pass<"rondo-chunk-recurrences"> {
  let summary = "give each recurrence its form: blocks of tokens, or the token loop";
  let description = [{
    Each `rondo.recur` becomes a `rondo.scan`. Its body is read into the algebra, which classifies it and picks a form by cost; where that is `chunk`, the block body is
    derived from the class.

    - Before: token-level recurrences whose state-free work was hoisted (`rondo-hoist-from-recur`).
    - After: no `rondo.recur`; each scan carries its transition class, its form, and (`rondo.why`, `rondo.cost`) why and at what estimate, per token.
    - Does not apply: a recurrence without a block form stays token by token, with a remark that names the term which prevents it; so does every recurrence of a function
      marked `rondo.sequential`.

    Options: `target` sets the block's size and the cost model's rates; `forms` overrides the choice for recurrences by name (`S=chunk:64`, `mixer.S=sequential`) or all others (`*=sequential`); `tried` says how many cycles a
    token the code of a form takes (`S=chunk:16@812`): the fastest of a recurrence's comes before the estimate of its class.
    Exactness: up to rounding; no exponent is positive that the token loop would not multiply up itself. Example: test/passes/chunk-recurrences.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let options = [
    Option<"target", "target", "std::string", /*default=*/"\"x86-64-v4\"", "x86-64-v3 or x86-64-v4">,
    ListOption<"forms", "forms", "std::string", "NAME=chunk, NAME=chunk:C, NAME=conv, NAME=conv:C or NAME=sequential">,
    ListOption<"tried", "tried", "std::string", "NAME=FORM@CYCLES: the code of a form takes so many a token">
  ];
  let statistics = [
    Statistic<"numChunked", "num-chunked", "recurrences in blocks">,
    Statistic<"numRefused", "num-refused", "recurrences left token by token">
  ];
}

def DeriveEntriesPass : Pass<"rondo-derive-entries", "::mlir::ModuleOp"> {
  let summary = "derive prefill, step and score from forward";
  let description = [{
    From the entry `forward` (all tokens in, all outputs out):

    - `prefill`: the logits of each sequence's last token. `rondo.last` goes before the row-wise ops that follow the last op that mixes tokens, so that the head runs on one row a sequence.
    - `step`: as prefill, for one or few tokens a sequence: its functions are marked `rondo.sequential` and their recurrences go token by token (a scan loses its block body).
    - `score`: a further input `targets`; `logprobs`, the log-likelihood of each row's target.

    - Before: one function with `rondo.entry = "forward"`.
    - After: one function an entry; functions without a recurrence are shared by all of them.
    - Does not apply: prefill and score need a model (integer tokens in, one output with one axis beside `t`); `step` needs causality: a bidirectional attend leaves it out, remarked.

    Options: `entries` names those wanted; without it all that apply. Exactness: bitwise for prefill and step in token order; score's log-softmax subtracts the maximum.
    Example: test/passes/derive-entries.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let options = [
    ListOption<"entries", "entries", "std::string", "entries to derive beside forward: prefill, step, score (default: all that apply)">
  ];
  let statistics = [
    Statistic<"numDerived", "num-derived", "entries derived">,
    Statistic<"numRefused", "num-refused", "entries that do not apply">
  ];
}

def ExpandRoutesPass : Pass<"rondo-expand-routes"> {
  let summary = "run a route's body on all tokens and choices at once";
  let description = [{
    A `rondo.route` becomes its body's ops on values with the axes of the ids, and a gather for each of its tables. A contraction with what is gathered is a grouped product later:
    nothing is gathered into memory, and only the chosen slices are read.

    - Before: token-level IR.
    - After: no `rondo.route`.
    - Does not apply: a body that looks up in a table of the token's, or that joins values of which only some vary from choice to choice, is an error.

    Exactness: bitwise. Remarks: what a token reads of the tables. Example: test/passes/expand-routes.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let statistics = [
    Statistic<"numExpanded", "num-expanded", "routes that became array ops">
  ];
}

def FormKernelsPass : Pass<"rondo-form-kernels", "::mlir::ModuleOp"> {
  let summary = "outline block-level ops into kernels and launch them";
  let description = [{
    Each function becomes a list of launches. A scan, an attend and all products of the same rows with parameter matrices are kernels of their own; all other per-token ops between them that can run together
    are one kernel over rows. Views, constants, positions and values without `t` are copied into the kernels that read them.

    - Before: block-level IR: no `recur`, no `over`.
    - After: functions hold `rondo.launch`, `rondo.call`, `rondo.last` and what has no time axis; kernels are private functions with `rondo.kernel` (rows, product, scan, attend), the layout of packed
      parameters (`rondo.layout`) and their states (`rondo.states`, `rondo.state_info`). Equal kernels are one function.
    - Does not apply: to functions that are kernels already.

    Shifts of one value share one tail, named after the longest. Exactness: bitwise. Example: test/passes/form-kernels.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let options = [
    Option<"weights", "weights", "std::string", /*default=*/"\"panels32\"", "the layout of the matrices of products, one of runtime/weight_layout.h">,
    Option<"integers", "integers", "std::string", /*default=*/"\"bytes32\"", "the layout of those that rounded rows are multiplied with">,
    Option<"chosen", "chosen", "std::string", /*default=*/"\"panels32\"", "the layout of those that tokens choose">
  ];
  let statistics = [
    Statistic<"numKernels", "num-kernels", "different kernels">,
    Statistic<"numLaunches", "num-launches", "launches of them">
  ];
}

def HoistFromBlockPass : Pass<"rondo-hoist-from-block"> {
  let summary = "parameter-only work leaves a scan's block";
  let description = [{
    What a block body computes from parameters and constants alone is the same in every block: it moves before the scan and reaches it as an input without `t`, from where
    `rondo-lift-parameters` takes it into the package. A recurrence that is constant in time becomes a convolution in each block, and the state between blocks.

    - Before: block-level scans.
    - After: no arithmetic of a block body, up to results of 2^18 elements, is independent of tokens and states.
    - Does not apply: a larger result, which is computed again where it is read; scans without a block.

    Exactness: bitwise. Example: test/passes/hoist-from-block.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let statistics = [
    Statistic<"numHoisted", "num-hoisted", "values that left a block">
  ];
}

def HoistFromRecurPass : Pass<"rondo-hoist-from-recur"> {
  let summary = "move state-free work out of recurrences";
  let description = [{
    What a recurrence's body computes without its states is the same for every token order, so it belongs outside, where it is computed for all tokens at once; what stays inside
    is what the algebra must understand.

    - Before: any token-level IR.
    - After: no op of a `rondo.recur` body that depends on no state computes arithmetic, unless its result would be larger than what it is computed from (outer products stay: as
      per-token values they would have the size of the state). Inputs that the body no longer reads are gone.
    - Does not apply: to views (they cost nothing inside) and to an op with an operand that stays.

    Exactness: bitwise (the same ops on the same values). Example: test/passes/hoist-from-recur.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let statistics = [
    Statistic<"numHoisted", "num-hoisted", "ops moved out of recurrences">,
    Statistic<"numKept", "num-kept", "state-free ops left inside because their result is larger than their operands">
  ];
}

def LiftParametersPass : Pass<"rondo-lift-parameters", "::mlir::ModuleOp"> {
  let summary = "compute parameter-only expressions once, when the package is written";
  let description = [{
    An expression of parameters and constants alone has one value for the whole life of a package. Inside a layer's function it becomes an argument that the callers compute; in the
    entry it is a chain of ops whose last one carries `rondo.derived = "name"`: the package's writer evaluates it with the reference interpreter and stores the result as a weight.

    - Before: token-level IR, one entry function that no function calls.
    - After: functions other than the entry do no arithmetic on values without `t` alone; in the entry such arithmetic ends in ops marked `rondo.derived` with distinct names. Function
      arguments that nothing reads are gone.
    - Does not apply: to views whose consumers read them in order (they index through them; a view whose last axis strides is copied), and to bodies of `recur` and `over` (run `rondo-hoist-from-recur` and `rondo-map-blocks` before).

    Exactness: the derived weights are rounded once to their storage type. Example: test/passes/lift-parameters.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let statistics = [
    Statistic<"numLifted", "num-lifted", "ops moved from functions to their callers">,
    Statistic<"numDerived", "num-derived", "values marked as derived weights">
  ];
}

def MapBlocksPass : Pass<"rondo-map-blocks"> {
  let summary = "resolve the predicate of each `over` into a block map";
  let description = [{
    A `rondo.over` becomes a `rondo.attend`: the conjuncts of its predicate that compare the two positions become `causal` and `window`, the rest stays as the residual, and the body is
    rewritten from one pair of tokens to a block of queries (axis `t`) against a block of keys (axis `s`). Work that depends on one side only moves out of the body, so
    that it is done once a token and the cache holds its result. A parameter that is read at a computed number (a filter at the lag `t - s`) is a gather, and the extent of its axis
    bounds the distance: the cache keeps as many tokens as the filter has lags.

    - Before: token-level IR.
    - After: no `rondo.over`; every attend's body broadcasts over `t` and `s` by name.
    - Does not apply: key-side work whose result is larger than the keys it replaces stays inside (a compressed cache stays compressed); remarked. A body with an op that
      cannot run on blocks is an error.

    Exactness: bitwise for finite values (what a filter's end leaves out was multiplied by 0). Remarks: the map of each over. Example: test/passes/map-blocks.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let statistics = [
    Statistic<"numMapped", "num-mapped", "overs that became attends">,
    Statistic<"numResidual", "num-residual", "attends whose predicate is not all in the block map">
  ];
}

def RoundProductsPass : Pass<"rondo-round-products"> {
  let summary = "round rows of products to 8 bits, by groups";
  let description = [{
    Rows that are multiplied with a matrix of parameters go through `rondo.round`, for packages whose matrices are stored as integers.

    - Before: any level at which products are not outlined yet.
    - After: the rows of every product with a matrix (`passes/Products.h`) are a `rondo.round`; products of the same rows share it.
    - Does not apply: products inside the body of a recurrence, attend or over stay f32, remarked.

    Exactness: none; this is the rounding that was asked for. Example: test/passes/round-products.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let options = [
    Option<"group", "group", "int64_t", /*default=*/"32", "numbers that share a scale">
  ];
  let statistics = [
    Statistic<"numRounded", "num-rounded", "products whose rows are rounded">
  ];
}

def SinkIntoScanPass : Pass<"rondo-sink-into-scan"> {
  let summary = "rows that only a scan reads are made in it";
  let description = [{
    An addition, multiplication or negation that only a scan in blocks reads moves into its bodies where its operands are rows that the scan reads anyway, or shorter ones: rows
    as long as the result are neither written nor read again.

    - Before: block-level scans with their forms.
    - After: no such op stands in front of a scan in blocks.
    - Does not apply: several readers; operands, beside those the scan reads, of more than half of the result's numbers; token loops, which take such ops when kernels are formed.

    Exactness: bitwise. Example: test/passes/sink-into-scan.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let statistics = [
    Statistic<"numSunk", "num-sunk", "ops that moved into a scan">
  ];
}

def SplitRecurrencesPass : Pass<"rondo-split-recurrences"> {
  let summary = "recurrences of their own for states that others only read";
  let description = [{
    A state that is no affine function of itself (a running maximum, a learned clock) would make every state of its recurrence run token by token. Where the others only read it, it becomes a recurrence of its own, whose values they get as inputs: those that they use, not whole states where a contraction is what is used.

    - Before: token-level IR.
    - After: the states of such a recurrence are in several, in order; names of states, and groups (`every`), are what they were.
    - Does not apply: where the whole has a block form, or no part would have one; where more than a quarter as many numbers would be handed over a token as the states in blocks have. Remarked.

    Exactness: bitwise. Example: test/passes/split-recurrences.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let statistics = [
    Statistic<"numRefused", "num-refused", "recurrences whose parts would hand over too much">,
    Statistic<"numSplit", "num-split", "recurrences that became several">
  ];
}

def StabiliseExponentialsPass : Pass<"rondo-stabilise-exponentials"> {
  let summary = "keep exponential gates finite by a running maximum";
  let description = [{
    States that gain `exp(e) * update`, with `e` unbounded, are scaled by `exp(-m)`, where the running maximum `m` is one more state, and the factor is carried through what
    reads them: ratios cancel it, `max(abs(z), 1)` becomes a maximum at the larger scale, anything else gets it back (`algebra/Stabilise.h`).

    - Before: token-level IR, before `rondo-hoist-from-recur`, which then moves the new exponents' work out.
    - After: such a recurrence has the states `NAME.m` behind its own (NAME: the first state that each scales), and `rondo.scales` says for each state which of them it is
      scaled by ("" for none). A maximum starts at -1e30 where the states that it scales start at zero, else at 0.
    - Does not apply: where `e` is bounded by structure; where every result needs the factor back; where the exponentials vary over axes that reads contract; to recurrences with `every`.
      Each is remarked where an unbounded exponential stays.

    Exactness: up to rounding. Example: test/passes/stabilise-exponentials.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let statistics = [
    Statistic<"numStabilised", "num-stabilised", "recurrences with a running maximum">,
    Statistic<"numRefused", "num-refused", "recurrences with an unbounded exponential that stays">
  ];
}

def SumsToRecurrencesPass : Pass<"rondo-sums-to-recurrences"> {
  let summary = "answer a sum over earlier tokens by a recurrence where that is cheaper";
  let description = [{
    `sum over s where s <= t` of products of a part of t and a part of s needs no cache of earlier tokens: the parts of s add up in a state. Products of sums are multiplied
    out, so powers of a dot product have a state each.

    - Before: token-level IR; predicates canonical (`le(s, t)`).
    - After: such a sum is a `rondo.recur` of its name with the states `sum`, `sum2`, ...; its decode state is theirs in place of `key0`, `key1`, ....
    - Does not apply: softmax; another predicate than `s <= t`; a value that does not separate; a state so large that looking back is estimated cheaper. Each is remarked.

    Options: `forms` overrides the choice by name: `NAME=sum`, `NAME=recurrence`, `*=...` for all others.
    Exactness: up to rounding (sums are exchanged). Example: test/passes/sums-to-recurrences.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let options = [
    ListOption<"forms", "forms", "std::string", "NAME=sum or NAME=recurrence; others are ignored">
  ];
  let statistics = [
    Statistic<"numRewritten", "num-rewritten", "sums answered by a recurrence">,
    Statistic<"numKept", "num-kept", "sums kept">
  ];
}

#endif // RONDO_PASSES_TD

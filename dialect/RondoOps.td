//===- RondoOps.td - Sequence ops --------------------------*- tablegen -*-===//
//
// The ops of the token level and the block level. RATIONALE.md says why these and no others.
//
//===----------------------------------------------------------------------===//

#ifndef RONDO_DIALECT_OPS_TD
#define RONDO_DIALECT_OPS_TD

include "dialect/RondoBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

def Rondo_ParamOp : Rondo_Op<"param", [Pure]> {
  let summary = "a trained tensor, by its checkpoint name";
  let arguments = (ins StrAttr:$path, OptionalAttr<StrAttr>:$init);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$path (`init` $init^)? attr-dict `:` type($result)";
}

def Rondo_ConstantOp : Rondo_Op<"constant", [Pure, ConstantLike, AllTypesMatch<["value", "result"]>]> {
  let summary = "a compile-time scalar or tensor";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$value attr-dict";
  let hasFolder = 1;
}

def Rondo_IndexOp : Rondo_Op<"index", [Pure]> {
  let summary = "the index along an axis, as a real number";
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Rondo_PositionOp : Rondo_Op<"position", [Pure]> {
  let summary = "each token's position in its sequence, as a real number";
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

//===----------------------------------------------------------------------===//
// Array ops
//===----------------------------------------------------------------------===//

def Rondo_MapOp : Rondo_Op<"map", [Pure]> {
  let summary = "an elementwise function, broadcast by axis name";
  let arguments = (ins Rondo_MapKind:$kind, Variadic<Rondo_Value>:$inputs);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$kind `(` $inputs `)` attr-dict `:` functional-type($inputs, $result)";
  let builders = [
    // The result's axes are the union of the operands' (first seen first, `t` in front).
    OpBuilder<(ins "MapKind":$kind, "mlir::ValueRange":$inputs)>
  ];
  let hasFolder = 1;
}

def Rondo_ReduceOp : Rondo_Op<"reduce", [Pure]> {
  let summary = "a reduction over named axes";
  let arguments = (ins Rondo_ReduceKind:$kind, Rondo_Value:$source, StrArrayAttr:$axes);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$kind $source `over` custom<AxisList>($axes) attr-dict `:` type($source) `->` type($result)";
  let builders = [OpBuilder<(ins "ReduceKind":$kind, "mlir::Value":$source, "mlir::ArrayRef<llvm::StringRef>":$axes)>];
}

def Rondo_ContractOp : Rondo_Op<"contract", [Pure]> {
  let summary = "the sum of products over named axes";
  let arguments = (ins Rondo_Value:$lhs, Rondo_Value:$rhs, StrArrayAttr:$axes);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$lhs `,` $rhs `over` custom<AxisList>($axes) attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)";
  let builders = [
    OpBuilder<(ins "mlir::Value":$lhs, "mlir::Value":$rhs, "mlir::ArrayRef<llvm::StringRef>":$axes)>
  ];
}

def Rondo_ViewOp : Rondo_Op<"view", [Pure]> {
  let summary = "another indexing of a value: split, merge, rename, slice, repeat";
  let description = [{
    Equation: `result[t, i...] = source[t, map(i...)]`; the map goes from the result's axes without `t` to the source's axes without `t`.

    | written in a spec | map                                   |
    | ----------------- | ------------------------------------- |
    | `x[d -> h k]`     | `(h, k) -> (h * K + k)`               |
    | `x[h k -> d]`     | `(d) -> (d floordiv K, d mod K)`      |
    | `x[k -> j]`       | `(j) -> (j)`                          |
    | `x[k = 2..6]`     | `(k) -> (k + 2)`                      |
    | `x[g -> h]`       | `(h) -> (h floordiv (H / G))`         |
  }];
  let arguments = (ins Rondo_Value:$source, AffineMapAttr:$map);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source `by` $map attr-dict `:` type($source) `->` type($result)";
  let hasFolder = 1;
}

def Rondo_ConcatOp : Rondo_Op<"concat", [Pure]> {
  let summary = "values one after the other along an axis";
  let arguments = (ins Variadic<Rondo_Value>:$sources, StrAttr:$axis);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$sources `along` custom<AxisName>($axis) attr-dict `:` functional-type($sources, $result)";
}

def Rondo_GatherOp : Rondo_Op<"gather", [Pure]> {
  let summary = "rows of a table by integer index";
  let description = [{
    Equation: `result[t, r...] = table[ids[t], r...]`, the table indexed along `axis`.
  }];
  let arguments = (ins Rondo_Value:$table, Rondo_Value:$ids, StrAttr:$axis);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$table `[` $ids `]` `along` custom<AxisName>($axis) attr-dict `:` type($table) `,` type($ids) `->` type($result)";
}

def Rondo_PickOp : Rondo_Op<"pick", [Pure]> {
  let summary = "one element of each token's vector by integer index";
  let description = [{
    Equation: `result[t, r...] = source[t, ids[t], r...]`, the source indexed along `axis`.
  }];
  let arguments = (ins Rondo_Value:$source, Rondo_Value:$ids, StrAttr:$axis);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source `[` $ids `]` `along` custom<AxisName>($axis) attr-dict `:` type($source) `,` type($ids) `->` type($result)";
}

def Rondo_CumsumOp : Rondo_Op<"cumsum", [Pure, SameOperandsAndResultType]> {
  let summary = "running sums along a block axis (inclusive)";
  let arguments = (ins Rondo_Value:$source, StrAttr:$axis);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source `along` custom<AxisName>($axis) attr-dict `:` type($source)";
}

//===----------------------------------------------------------------------===//
// Ops that reach other tokens
//===----------------------------------------------------------------------===//

def Rondo_ShiftOp : Rondo_Op<"shift", [Pure, SameOperandsAndResultType]> {
  let summary = "the value `distance` tokens earlier";
  let description = [{
    Equation: `result[t] = source[t - distance]`, and 0 before the first token. Decode state `name`: the last `distance` tokens of `source`.
  }];
  let arguments = (ins Rondo_Value:$source, I64Attr:$distance, StrAttr:$name);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source `by` $distance $name attr-dict `:` type($source)";
}

def Rondo_LastOp : Rondo_Op<"last", [Pure, SameOperandsAndResultType]> {
  let summary = "the last token of each sequence";
  let arguments = (ins Rondo_Value:$source);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source attr-dict `:` type($source)";
}

def Rondo_RecurOp : Rondo_Op<"recur", [Pure, IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments]> {
  let summary = "a recurrence: what one token does to the states";
  let description = [{
    For each token in order: the body's arguments are `inputs` (a per-token input's slice of this token, without `t`; an input without `t` as it is), then the states
    before the token, then, with `every`, the states at the start of the token's group of `every` tokens. It yields the new states and the outputs. Results: the outputs, with `t`.
    The states of the first token are `inits` or those carried in from an earlier piece. Groups count from the sequence's first token.

    ```mlir
    %y = rondo.recur "mixer.S" (%x, %b : tensor<?x4xf32, #rondo.axes<[t, p]>>, ...) from (%zero : tensor<4x8xf32, ...>) states ["S"] -> (tensor<?x4xf32, ...>) {
    ^bb0(%x_t: ..., %b_t: ..., %S: ...):
      ...
      rondo.yield (%S_new : ...) (%y_t : ...)
    }
    ```
  }];
  let arguments = (ins StrAttr:$name, StrArrayAttr:$states, Variadic<Rondo_Value>:$inputs, Variadic<Rondo_Value>:$inits, OptionalAttr<I64Attr>:$every);
  let results = (outs Variadic<Rondo_Value>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let extraClassDeclaration = [{
    mlir::Block *getBlock() { return &getBody().front(); }
    mlir::ValueRange getInputArgs() { return getBlock()->getArguments().take_front(getInputs().size()); }
    mlir::ValueRange getStateArgs() { return getBlock()->getArguments().slice(getInputs().size(), getInits().size()); }
    ::rondo::YieldOp getYield();
  }];
  let hasCustomAssemblyFormat = 1;
}

def Rondo_OverOp : Rondo_Op<"over", [Pure, IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments]> {
  let summary = "a weighted sum over tokens s of the sequence, seen from token t";
  let description = [{
    Softmax: `result[t] = sum_s w[t, s] value[t, s]`, `w = softmax over the s that satisfy the predicate of score[t, s]`. Sum: `result[t] = sum_s value[t, s]` over those s (the
    score is then unused and is the constant 0). A token with no s yields 0.
    Body arguments: position of t, position of s (both `tensor<f32>`), the slices at t of `queries`, the slices at s of `keys`, `shared` (values without `t`) as they are.
    It yields `predicate` (i1), `score`, `value`: all without `t`; the predicate and score's axes are among the result's.
    Decode state `name`: the `keys` of the tokens that a later token can still reach.
  }];
  let arguments = (ins StrAttr:$name, Rondo_OverKind:$kind, Variadic<Rondo_Value>:$queries, Variadic<Rondo_Value>:$keys, Variadic<Rondo_Value>:$shared);
  let results = (outs Rondo_Value:$result);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{ mlir::Block *getBlock() { return &getBody().front(); } ::rondo::YieldOp getYield(); }];
}

def Rondo_YieldOp : Rondo_Op<"yield", [Pure, Terminator, ReturnLike, AttrSizedOperandSegments]> {
  let summary = "what a body computes: new states, then outputs";
  let description = [{
    In `recur` and `scan`: the new states, then the outputs. In `over` and `attend`: no states; the outputs are predicate, score, value.
  }];
  let arguments = (ins Variadic<Rondo_Value>:$states, Variadic<Rondo_Value>:$outputs);
  let assemblyFormat = "`(` ($states^ `:` type($states))? `)` `(` ($outputs^ `:` type($outputs))? `)` attr-dict";
  let hasVerifier = 0;
}

def Rondo_CallOp : Rondo_Op<"call", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "one use of a layer's function, at a scope";
  let description = [{
    Calls a `func.func`; the states named inside it are `scope` + "." + their name. Parameters are operands, so that equal layers are one function.
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<Rondo_Value>:$inputs, StrAttr:$scope);
  let results = (outs Variadic<Rondo_Value>:$outputs);
  let assemblyFormat = "$callee `(` $inputs `)` `at` $scope attr-dict `:` functional-type($inputs, $outputs)";
  let hasVerifier = 0;
}

//===----------------------------------------------------------------------===//
// Block level
//===----------------------------------------------------------------------===//

def Rondo_ScanOp : Rondo_Op<"scan", [Pure, IsolatedFromAbove, AttrSizedOperandSegments]> {
  let summary = "a recurrence with its chosen form";
  let description = [{
    As `recur`, with the form fixed. `token` is the recurrence's body. `block`, when not empty, advances the states by `chunk` tokens at once: its arguments are as the token
    body's but a per-token input carries the block axis `c` (extent `chunk`) in front; it yields the states after the block and outputs with `c` in front. Whole blocks take `block`, the
    ragged rest takes `token`; both mean the same up to rounding. `class` prints the transition class, `form` the form chosen.
  }];
  let arguments = (ins StrAttr:$name, StrArrayAttr:$states, Variadic<Rondo_Value>:$inputs, Variadic<Rondo_Value>:$inits,
                       I64Attr:$chunk, StrAttr:$form, StrAttr:$transition, OptionalAttr<I64Attr>:$every);
  let results = (outs Variadic<Rondo_Value>:$outputs);
  let regions = (region SizedRegion<1>:$token, AnyRegion:$block);
  let extraClassDeclaration = [{
    ::rondo::YieldOp getTokenYield();
    /// Only where `block` is not empty.
    ::rondo::YieldOp getBlockYield();
  }];
  let hasCustomAssemblyFormat = 1;
}

def Rondo_AttendOp : Rondo_Op<"attend", [Pure, IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments]> {
  let summary = "an `over` whose block map is known";
  let description = [{
    As `over`, where the predicate is `(s <= t if causal) and (t - s < window if window > 0) and residual`. The body's predicate result is the residual, true where the map says all. A bidirectional one (not causal) needs
    the whole sequence in one piece.
    The body runs on tiles: the position of t and the queries have the axis `t` (the tile's queries), the position of s and the keys the axis `s` (the tile's keys). Its results may have both.
  }];
  let arguments = (ins StrAttr:$name, Rondo_OverKind:$kind, Variadic<Rondo_Value>:$queries, Variadic<Rondo_Value>:$keys, Variadic<Rondo_Value>:$shared,
                       BoolAttr:$causal, I64Attr:$window);
  let results = (outs Rondo_Value:$result);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{ mlir::Block *getBlock() { return &getBody().front(); } ::rondo::YieldOp getYield(); }];
}

//===----------------------------------------------------------------------===//
// Kernel level
//===----------------------------------------------------------------------===//

def Rondo_LaunchOp : Rondo_Op<"launch", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "one use of an outlined kernel";
  let description = [{
    Runs a `func.func` that carries `rondo.kernel`; states named inside it are relative to the function that holds the launch.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Rondo_Value>:$inputs);
  let results = (outs Variadic<Rondo_Value>:$outputs);
  let assemblyFormat = "$kernel `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs)";
  let hasVerifier = 0;
}

#endif // RONDO_DIALECT_OPS_TD

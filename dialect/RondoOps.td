//===- RondoOps.td - Sequence ops --------------------------*- tablegen -*-===//
//
// The ops of the token level and the block level. RATIONALE.md says why these and no others. Each description gives the equation, the types, the
// constraints by id (RondoVerifiers.cpp checks them, test/dialect/errors-*.mlir names them), the gradient rule and an example, which
// test/dialect/op-examples.test runs.
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
  let description = [{
    Equation: `result = parameters[path]`. `init` says how training starts it.

    | value  | type               | meaning                         |
    | ------ | ------------------ | ------------------------------- |
    | result | f32, without `t`   | stored in the order of its axes |

    - **C1** `path` is not empty.
    - **C2** the result has f32 elements and no time axis.
    - **C3** a path with `{e}` in it stands for as many tensors as the axis `e` is long, stacked along it: `e` is the first axis, and it is the only one that the path names.

    Gradient: the cotangent is the parameter's gradient; the cotangents of all uses of a path are added (tied parameters).

    ```mlir
    func.func @param() -> tensor<8x4xf32, #rondo.axes<[v, d]>> {
      %w = rondo.param "embed.weight" init "normal(0.02)" : tensor<8x4xf32, #rondo.axes<[v, d]>>
      return %w : tensor<8x4xf32, #rondo.axes<[v, d]>>
    }
    ```
  }];
  let arguments = (ins StrAttr:$path, OptionalAttr<StrAttr>:$init);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$path (`init` $init^)? attr-dict `:` type($result)";
}

def Rondo_ConstantOp : Rondo_Op<"constant", [Pure, ConstantLike, AllTypesMatch<["value", "result"]>]> {
  let summary = "a compile-time scalar or tensor";
  let description = [{
    Equation: `result = value`.

    | value  | type                  | meaning               |
    | ------ | --------------------- | --------------------- |
    | result | the value's, no `t`   | the same on all tokens |

    - **C1** `value` is dense: its elements are held in the module.

    Gradient: none.

    ```mlir
    func.func @constant() -> tensor<f32> {
      %half = rondo.constant dense<0.5> : tensor<f32>
      return %half : tensor<f32>
    }
    ```
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$value attr-dict";
  let hasFolder = 1;
}

def Rondo_IndexOp : Rondo_Op<"index", [Pure]> {
  let summary = "the index along an axis, as a real number";
  let description = [{
    Equation: `result[i] = i`.

    | value  | type                        | meaning    |
    | ------ | --------------------------- | ---------- |
    | result | f32, one axis, not `t`      | 0, 1, 2, … |

    - **C1** the result has f32 elements and exactly one axis.
    - **C2** the axis is not `t` (`position` numbers tokens).

    Gradient: none.

    ```mlir
    func.func @index() -> tensor<4xf32, #rondo.axes<[d]>> {
      %i = rondo.index : tensor<4xf32, #rondo.axes<[d]>>
      return %i : tensor<4xf32, #rondo.axes<[d]>>
    }
    ```
  }];
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Rondo_PositionOp : Rondo_Op<"position", [Pure]> {
  let summary = "each token's position in its sequence, as a real number";
  let description = [{
    Equation: `result[t] = t`, counted from the sequence's first token, whatever pieces the sequence arrives in.

    | value  | type            | meaning               |
    | ------ | --------------- | --------------------- |
    | result | f32, axis `t`   | exact up to 2^24      |

    - **C1** the result has f32 elements and the axis `t` alone.

    Gradient: none. Decode state: the number of tokens so far, which every sequence has.

    ```mlir
    func.func @position() -> tensor<?xf32, #rondo.axes<[t]>> {
      %t = rondo.position : tensor<?xf32, #rondo.axes<[t]>>
      return %t : tensor<?xf32, #rondo.axes<[t]>>
    }
    ```
  }];
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

//===----------------------------------------------------------------------===//
// Array ops
//===----------------------------------------------------------------------===//

def Rondo_MapOp : Rondo_Op<"map", [Pure]> {
  let summary = "an elementwise function, broadcast by axis name";
  let description = [{
    Equation: `result[i...] = kind(inputs[i...]...)`; an input lacking one of the result's axes is the same along it.

    | kind                                                                                             | inputs         | result    |
    | ------------------------------------------------------------------------------------------------ | -------------- | --------- |
    | add sub mul div min max pow mod                                                                  | 2 of f32 or i64 | as inputs |
    | neg abs sign                                                                                     | 1 of f32 or i64 | as input  |
    | exp log sqrt rsqrt sin cos tanh erf sigmoid softplus floor                                       | 1 of f32       | f32       |
    | lt le eq ne                                                                                      | 2 of f32 or i64 | i1        |
    | and or / not                                                                                     | 2 / 1 of i1    | i1        |
    | select                                                                                           | i1, 2 of a type | that type |
    | convert                                                                                          | 1 of any       | any       |

    `mod` has the sign of the divisor (`a - b floor(a / b)`); integer `div` rounds down; min and max beside a NaN are either; `sign(0) = 0`;
    `convert` to i64 rounds towards zero, to i1 is `x != 0`; `softplus(x) = log(1 + exp(x))` and `sigmoid` do not overflow.

    - **C1** the number of inputs is the kind's.
    - **C2** element types are as in the table.
    - **C3** every input's axes are among the result's, with equal extents.

    Gradient: the cotangent times the kind's partial derivative, summed over the axes that the input lacks; zero for kinds with i1 or i64 results, for sign, floor
    and the condition of select; min and max give a tie to the first.

    ```mlir
    func.func @map(%x: tensor<?x2x4xf32, #rondo.axes<[t, h, p]>>, %dt: tensor<?x2xf32, #rondo.axes<[t, h]>>) -> tensor<?x2x4xf32, #rondo.axes<[t, h, p]>> {
      %y = rondo.map mul(%x, %dt) : (tensor<?x2x4xf32, #rondo.axes<[t, h, p]>>, tensor<?x2xf32, #rondo.axes<[t, h]>>) -> tensor<?x2x4xf32, #rondo.axes<[t, h, p]>>
      return %y : tensor<?x2x4xf32, #rondo.axes<[t, h, p]>>
    }
    ```
  }];
  let arguments = (ins Rondo_MapKind:$kind, Variadic<Rondo_Value>:$inputs);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$kind `(` $inputs `)` attr-dict `:` functional-type($inputs, $result)";
  let builders = [
    // The result's axes are the union of the operands' (first seen first, `t` in front); `convert` goes to f32.
    OpBuilder<(ins "MapKind":$kind, "mlir::ValueRange":$inputs)>
  ];
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Rondo_ReduceOp : Rondo_Op<"reduce", [Pure]> {
  let summary = "a reduction over named axes";
  let description = [{
    Equation: `result[i...] = kind over k... of source[i..., k...]`.

    | value  | type                            | meaning                                      |
    | ------ | ------------------------------- | -------------------------------------------- |
    | source | f32                             |                                              |
    | result | `source`'s without `axes`       | over no elements: sum 0, max -inf, min +inf  |

    - **C1** `axes` is not empty, names no axis twice, and all are the source's.
    - **C2** `t` is not among them (other tokens are reached by `recur` and `over` alone).
    - **C3** elements are f32 and the result's type is the source's without the axes.

    Gradient: sum: the cotangent repeated along the axes; max and min: to the first element that attains it.

    ```mlir
    func.func @reduce(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?xf32, #rondo.axes<[t]>> {
      %y = rondo.reduce sum %x over [d] : tensor<?x4xf32, #rondo.axes<[t, d]>> -> tensor<?xf32, #rondo.axes<[t]>>
      return %y : tensor<?xf32, #rondo.axes<[t]>>
    }
    ```
  }];
  let arguments = (ins Rondo_ReduceKind:$kind, Rondo_Value:$source, StrArrayAttr:$axes);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$kind $source `over` custom<AxisList>($axes) attr-dict `:` type($source) `->` type($result)";
  let builders = [OpBuilder<(ins "ReduceKind":$kind, "mlir::Value":$source, "mlir::ArrayRef<llvm::StringRef>":$axes)>];
}

def Rondo_ContractOp : Rondo_Op<"contract", [Pure]> {
  let summary = "the sum of products over named axes";
  let description = [{
    Equation: `result[i...] = sum over k... of lhs[i..., k...] rhs[i..., k...]`; an axis of both that is not summed is a batch axis, an axis of one side is
    a row or column axis. Linear layers, scores and reads of a state are all this op.

    | value    | type                                                         | meaning |
    | -------- | ------------------------------------------------------------ | ------- |
    | lhs, rhs | f32                                                          |         |
    | result   | f32, the axes of both without `axes`, in any order           |         |

    - **C1** `axes` is not empty, names no axis twice, and all are axes of both sides.
    - **C2** `t` is not among them.
    - **C3** axes of both sides have equal extents.
    - **C4** elements are f32 and the result's axes are those of both without `axes`, with their extents.

    Gradient: `lhs' = contract(cotangent, rhs)` over the axes that `rhs` and not `lhs` has, and the other way round.

    ```mlir
    func.func @contract(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>, %w: tensor<8x4xf32, #rondo.axes<[o, d]>>) -> tensor<?x8xf32, #rondo.axes<[t, o]>> {
      %y = rondo.contract %x, %w over [d] : tensor<?x4xf32, #rondo.axes<[t, d]>>, tensor<8x4xf32, #rondo.axes<[o, d]>> -> tensor<?x8xf32, #rondo.axes<[t, o]>>
      return %y : tensor<?x8xf32, #rondo.axes<[t, o]>>
    }
    ```
  }];
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

    - **C1** the map has a dimension for each axis of the result but `t`, a result for each axis of the source but `t`, and no symbols.
    - **C2** source and result have the same element type, and both or neither have `t`.
    - **C3** every index of the result maps to an index inside the source.
    - **C4** an axis `s` of unknown extent (in the body of `attend`) is kept as it is.

    Gradient: each element of the source gets the sum of the cotangents of the elements that show it.

    ```mlir
    func.func @view(%x: tensor<?x8xf32, #rondo.axes<[t, d]>>) -> tensor<?x2x4xf32, #rondo.axes<[t, h, k]>> {
      %y = rondo.view %x by affine_map<(h, k) -> (h * 4 + k)> : tensor<?x8xf32, #rondo.axes<[t, d]>> -> tensor<?x2x4xf32, #rondo.axes<[t, h, k]>>
      return %y : tensor<?x2x4xf32, #rondo.axes<[t, h, k]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$source, AffineMapAttr:$map);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source `by` $map attr-dict `:` type($source) `->` type($result)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Rondo_ConcatOp : Rondo_Op<"concat", [Pure]> {
  let summary = "values one after the other along an axis";
  let description = [{
    Equation: `result[i..., e_n + j] = sources[n][i..., j]`, `e_n` the sum of the extents of the sources before the n-th along `axis`.

    | value   | type                                     | meaning |
    | ------- | ---------------------------------------- | ------- |
    | sources | equal but for the extent of `axis`       |         |
    | result  | the same with the sum of the extents     |         |

    - **C1** there is at least one source.
    - **C2** `axis` is an axis of every source and not `t`.
    - **C3** but for the extent of `axis` the types of sources and result are equal, and the result's extent is the sum.

    Gradient: each source gets its slice of the cotangent.

    ```mlir
    func.func @concat(%a: tensor<?x4xf32, #rondo.axes<[t, d]>>, %b: tensor<?x2xf32, #rondo.axes<[t, d]>>) -> tensor<?x6xf32, #rondo.axes<[t, d]>> {
      %y = rondo.concat %a, %b along d : (tensor<?x4xf32, #rondo.axes<[t, d]>>, tensor<?x2xf32, #rondo.axes<[t, d]>>) -> tensor<?x6xf32, #rondo.axes<[t, d]>>
      return %y : tensor<?x6xf32, #rondo.axes<[t, d]>>
    }
    ```
  }];
  let arguments = (ins Variadic<Rondo_Value>:$sources, StrAttr:$axis);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$sources `along` custom<AxisName>($axis) attr-dict `:` functional-type($sources, $result)";
  let hasFolder = 1;
}

def Rondo_GatherOp : Rondo_Op<"gather", [Pure]> {
  let summary = "rows of a table by integer index";
  let description = [{
    Equation: `result[t, r...] = table[ids[t], r...]`, the table indexed along `axis`. An embedding is this op. An id outside the table is an error of the input:
    the interpreter and the runtime refuse it and say which. Real ids are computed numbers, such as the distance of two tokens: one that is no index of the axis gives 0, so that
    a filter over n lags is 0 beyond them.

    | value  | type                                             | meaning |
    | ------ | ------------------------------------------------ | ------- |
    | table  | without `t`                                      |         |
    | ids    | i64 or f32                                       |         |
    | result | the ids' axes, then the table's without `axis`   |         |

    - **C1** `axis` is an axis of the table, and the table has no `t`.
    - **C2** ids have i64 or f32 elements and share no axis with the table.
    - **C3** the result has the table's element type, the ids' axes, then the table's other axes.

    Gradient: row `ids[t]` of the table gets the cotangent of `t`; rows asked for several times add up. Ids have none.

    ```mlir
    func.func @gather(%table: tensor<8x4xf32, #rondo.axes<[v, d]>>, %ids: tensor<?xi64, #rondo.axes<[t]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>> {
      %x = rondo.gather %table[%ids] along v : tensor<8x4xf32, #rondo.axes<[v, d]>>, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?x4xf32, #rondo.axes<[t, d]>>
      return %x : tensor<?x4xf32, #rondo.axes<[t, d]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$table, Rondo_Value:$ids, StrAttr:$axis);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$table `[` $ids `]` `along` custom<AxisName>($axis) attr-dict `:` type($table) `,` type($ids) `->` type($result)";
}

def Rondo_PickOp : Rondo_Op<"pick", [Pure]> {
  let summary = "one element of each token's vector by integer index";
  let description = [{
    Equation: `result[i...] = source[i..., ids[i...]]`, the source indexed along `axis`. The log-likelihood of a target is picked out of the logits so.

    | value  | type                                | meaning |
    | ------ | ----------------------------------- | ------- |
    | source | any                                 |         |
    | ids    | i64, some of the result's axes      |         |
    | result | `source`'s without `axis`           |         |

    - **C1** `axis` is an axis of the source and not `t`.
    - **C2** ids have i64 elements, and their axes are among the result's, with equal extents.
    - **C3** the result's type is the source's without `axis`.

    Gradient: the picked element gets the cotangent, the others zero.

    ```mlir
    func.func @pick(%logp: tensor<?x8xf32, #rondo.axes<[t, v]>>, %target: tensor<?xi64, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> {
      %y = rondo.pick %logp[%target] along v : tensor<?x8xf32, #rondo.axes<[t, v]>>, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?xf32, #rondo.axes<[t]>>
      return %y : tensor<?xf32, #rondo.axes<[t]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$source, Rondo_Value:$ids, StrAttr:$axis);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source `[` $ids `]` `along` custom<AxisName>($axis) attr-dict `:` type($source) `,` type($ids) `->` type($result)";
}

def Rondo_CumsumOp : Rondo_Op<"cumsum", [Pure, SameOperandsAndResultType]> {
  let summary = "running sums along an axis (inclusive)";
  let description = [{
    Equation: `result[i..., n] = sum over m <= n of source[i..., m]`. Cumulated log decays of a block are this op along `c`.

    | value  | type        | meaning |
    | ------ | ----------- | ------- |
    | source | f32         |         |
    | result | `source`'s  |         |

    - **C1** `axis` is an axis of the source and not `t`.
    - **C2** elements are f32.

    Gradient: the cumulative sum of the cotangent from the end.

    ```mlir
    func.func @cumsum(%g: tensor<16x2xf32, #rondo.axes<[c, h]>>) -> tensor<16x2xf32, #rondo.axes<[c, h]>> {
      %y = rondo.cumsum %g along c : tensor<16x2xf32, #rondo.axes<[c, h]>>
      return %y : tensor<16x2xf32, #rondo.axes<[c, h]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$source, StrAttr:$axis);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source `along` custom<AxisName>($axis) attr-dict `:` type($source)";
}

def Rondo_RoundOp : Rondo_Op<"round", [Pure, SameOperandsAndResultType]> {
  let summary = "the nearest multiples of a scale that groups of numbers share";
  let description = [{
    Equation: for each group `G` of `group` consecutive indices `n` of `axis` (the last one may be shorter), `a = max over G of |source[i..., n]|`,
    `result[i..., n] = q[n] (a / 127)`, where `q[n]` is the integer nearest to `source[i..., n] (127 / a)`, even where two are, and 0 where `a < 2^-100`. So a number is kept as
    8 bits beside its group's scale. The source, `a`, both quotients and the product that is rounded are f32 whatever the interpreter computes in: a kernel that does the same on the same f32
    numbers has the same integers. A group with a NaN or an infinity has no number.

    | value  | type        | meaning |
    | ------ | ----------- | ------- |
    | source | f32         |         |
    | result | `source`'s  |         |

    - **C1** `axis` is an axis of the source and not `t`.
    - **C2** elements are f32.
    - **C3** `group` is at least 1.

    Gradient: the cotangent as it is (straight through).

    ```mlir
    func.func @round(%x: tensor<?x64xf32, #rondo.axes<[t, d]>>) -> tensor<?x64xf32, #rondo.axes<[t, d]>> {
      %y = rondo.round %x along d by 32 : tensor<?x64xf32, #rondo.axes<[t, d]>>
      return %y : tensor<?x64xf32, #rondo.axes<[t, d]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$source, StrAttr:$axis, I64Attr:$group);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source `along` custom<AxisName>($axis) `by` $group attr-dict `:` type($source)";
}

def Rondo_PropagateOp : Rondo_Op<"propagate", [Pure]> {
  let summary = "a linear recurrence along an axis, from zero";
  let description = [{
    Equation: `result[i..., n] = factors[i..., n] result[i..., n - 1] + source[i..., n]`, with `result[i..., -1] = 0`. With `mixing [i, j]` the factors are
    matrices: `result[i, n] = sum over j of factors[i, j, n] result[j, n - 1] + source[i, n]`. Axes that factors or source lack are broadcast. What remains of
    one token of a block at another is this op along `c` on `source[c, s] = (c == s)`: products of the decays between, made without a division or a logarithm,
    so that a decay may be zero or negative.

    | value   | type                                                          | meaning |
    | ------- | ------------------------------------------------------------- | ------- |
    | factors | f32                                                           |         |
    | source  | f32                                                           |         |
    | result  | f32, the axes of both without `j`, in any order               |         |

    - **C1** `axis` is an axis of the result and not `t`.
    - **C2** elements are f32, axes of both operands have equal extents, and the result's axes are those of both without `j`.
    - **C3** `mixing` names two axes of the factors with equal extents, neither of them `axis`; the source has the first and not the second.

    Gradient: of the source, the same from the end with factors one step later and transposed; of the factors, that times `result[n - 1]`.

    ```mlir
    func.func @propagate(%a: tensor<16x2xf32, #rondo.axes<[c, h]>>, %x: tensor<16xf32, #rondo.axes<[c]>>) -> tensor<16x2xf32, #rondo.axes<[c, h]>> {
      %y = rondo.propagate %a, %x along c : tensor<16x2xf32, #rondo.axes<[c, h]>>, tensor<16xf32, #rondo.axes<[c]>> -> tensor<16x2xf32, #rondo.axes<[c, h]>>
      return %y : tensor<16x2xf32, #rondo.axes<[c, h]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$factors, Rondo_Value:$source, StrAttr:$axis, OptionalAttr<StrArrayAttr>:$mixing);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$factors `,` $source `along` custom<AxisName>($axis) (`mixing` custom<AxisList>($mixing)^)? attr-dict `:` type($factors) `,` type($source) `->` type($result)";
}

def Rondo_SolveOp : Rondo_Op<"solve", [Pure]> {
  let summary = "a triangular system with ones on its diagonal, from the first row on";
  let description = [{
    Equation: `result[i..., r] = source[i..., r] + sum over s < r of matrix[i..., r, s] result[i..., s]`, with `r` along `rows` and `s` along `columns`: the
    inverse of `1 - matrix`, of which what is above and on the diagonal is not read, times the source. Axes that matrix or source lack are broadcast. What the
    tokens of a block read of each other's updates is this op: one row after the other needs half the products of an inverse, and none of its digits are lost.

    | value  | type                                                        | meaning |
    | ------ | ----------------------------------------------------------- | ------- |
    | matrix | f32                                                         |         |
    | source | f32                                                         |         |
    | result | f32, the axes of both without `columns`, in any order       |         |

    - **C1** `rows` is an axis of the matrix and of the source, and not `t`.
    - **C2** `columns` is an axis of the matrix, as long as `rows`, and not one of the source.
    - **C3** elements are f32, axes of both operands have equal extents, and the result's axes are those of both without `columns`.

    Gradient: of the source, the system of the transposed matrix, from the last row on; of the matrix, that times the result, below the diagonal.

    ```mlir
    func.func @solve(%m: tensor<16x16xf32, #rondo.axes<[c, s]>>, %x: tensor<16x4xf32, #rondo.axes<[c, v]>>) -> tensor<16x4xf32, #rondo.axes<[c, v]>> {
      %y = rondo.solve %m, %x along c from s : tensor<16x16xf32, #rondo.axes<[c, s]>>, tensor<16x4xf32, #rondo.axes<[c, v]>> -> tensor<16x4xf32, #rondo.axes<[c, v]>>
      return %y : tensor<16x4xf32, #rondo.axes<[c, v]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$matrix, Rondo_Value:$source, StrAttr:$rows, StrAttr:$columns);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$matrix `,` $source `along` custom<AxisName>($rows) `from` custom<AxisName>($columns) attr-dict `:` type($matrix) `,` type($source) `->` type($result)";
}

//===----------------------------------------------------------------------===//
// Ops that reach other tokens
//===----------------------------------------------------------------------===//

def Rondo_ShiftOp : Rondo_Op<"shift", [Pure, SameOperandsAndResultType]> {
  let summary = "the value `distance` tokens earlier";
  let description = [{
    Equation: `result[t] = source[t - distance]`, and 0 before the sequence's first token.

    | value  | type       | meaning                        |
    | ------ | ---------- | ------------------------------ |
    | source | has `t`    |                                |
    | result | `source`'s | the same value, tokens earlier |

    - **C1** `distance` is at least 1.
    - **C2** `source` has the time axis.
    - **C3** `name` is not empty.

    Gradient: the cotangent moved `distance` tokens back in time and cut at the end.
    Decode state `name`: the last `distance` tokens of `source`, the oldest first.

    ```mlir
    func.func @shift(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>> {
      %y = rondo.shift %x by 1 "conv.x@-1" : tensor<?x4xf32, #rondo.axes<[t, d]>>
      return %y : tensor<?x4xf32, #rondo.axes<[t, d]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$source, I64Attr:$distance, StrAttr:$name);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source `by` $distance $name attr-dict `:` type($source)";
}

def Rondo_LastOp : Rondo_Op<"last", [Pure, SameOperandsAndResultType]> {
  let summary = "the last token of each sequence";
  let description = [{
    Equation: `result[b] = source[last row of sequence b]`: from here on a value has one row a sequence. A sequence without tokens gives zeros.

    | value  | type       | meaning              |
    | ------ | ---------- | -------------------- |
    | source | has `t`    | a row for each token |
    | result | `source`'s | a row for each sequence |

    - **C1** `source` has the time axis.

    Gradient: the cotangent at the last tokens, zero elsewhere.

    ```mlir
    func.func @last(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>> {
      %y = rondo.last %x : tensor<?x4xf32, #rondo.axes<[t, d]>>
      return %y : tensor<?x4xf32, #rondo.axes<[t, d]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$source);
  let results = (outs Rondo_Value:$result);
  let assemblyFormat = "$source attr-dict `:` type($source)";
}

def Rondo_RecurOp : Rondo_Op<"recur", [Pure, IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments]> {
  let summary = "a recurrence: what one token does to the states";
  let description = [{
    Equation: `(S_t, y_t) = body(x_t, S_{t-1})`, `S_{-1} = inits`.
    For each token in order: the body's arguments are `inputs` (a per-token input's slice of this token, without `t`; an input without `t` as it is), then the states
    before the token, then, with `every`, the states at the start of the token's group of `every` tokens. It yields the new states and the outputs.
    The states of the first token are `inits` or those carried in from an earlier piece. Groups count from the sequence's first token.

    | value   | type                            | meaning                              |
    | ------- | ------------------------------- | ------------------------------------ |
    | inputs  | any                             | one token's slice reaches the body   |
    | inits   | f32, without `t`                | one for each name in `states`        |
    | outputs | with `t`                        | what the body yields, for all tokens |

    - **C1** `name` is not empty, and `states` gives each init a name of its own.
    - **C2** inits have f32 elements and no time axis.
    - **C3** the body's arguments have the types that follow from the operands.
    - **C4** the body yields the states with the inits' types, then the outputs with the results' types without `t`.
    - **C5** `every`, if given, is at least 1.
    - **C6** the body holds array ops, constants and indices only: nothing in it reaches another token or a parameter.

    Gradient: a recurrence in reverse time over the cotangents of the states; see design/recurrences.md. Decode states: the k-th is `name`.`states[k]`, or `states[k]` beside it where `name` ends in the first state's name; with `every`
    also `name`.`states[k]`.start.

    ```mlir
    func.func @recur(%x: tensor<?x4xf32, #rondo.axes<[t, p]>>, %decay: tensor<4xf32, #rondo.axes<[p]>>) -> tensor<?x4xf32, #rondo.axes<[t, p]>> {
      %zero = rondo.constant dense<0.0> : tensor<4xf32, #rondo.axes<[p]>>
      %y = rondo.recur "ema" inputs(%x, %decay : tensor<?x4xf32, #rondo.axes<[t, p]>>, tensor<4xf32, #rondo.axes<[p]>>)
          states("S" = %zero : tensor<4xf32, #rondo.axes<[p]>>) -> (tensor<?x4xf32, #rondo.axes<[t, p]>>) body(%x_t, %a, %S) {
        %kept = rondo.map mul(%a, %S) : (tensor<4xf32, #rondo.axes<[p]>>, tensor<4xf32, #rondo.axes<[p]>>) -> tensor<4xf32, #rondo.axes<[p]>>
        %new = rondo.map add(%kept, %x_t) : (tensor<4xf32, #rondo.axes<[p]>>, tensor<4xf32, #rondo.axes<[p]>>) -> tensor<4xf32, #rondo.axes<[p]>>
        rondo.yield (%new : tensor<4xf32, #rondo.axes<[p]>>) (%new : tensor<4xf32, #rondo.axes<[p]>>)
      }
      return %y : tensor<?x4xf32, #rondo.axes<[t, p]>>
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
  let hasRegionVerifier = 1;
  let hasCustomAssemblyFormat = 1;
}

def Rondo_OverOp : Rondo_Op<"over", [Pure, IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments]> {
  let summary = "a weighted sum over tokens s of the sequence, seen from token t";
  let description = [{
    Equation: softmax: `result[t] = sum_s w[t, s] value[t, s]`, `w = softmax over the s that satisfy the predicate of score[t, s]`. Sum: `result[t] = sum_s value[t, s]` over those s (the
    score is then unused and is the constant 0). A token with no s yields 0. A softmax with a sink has one more score, the sink, whose value is 0: it takes its share of the weights.
    Body arguments: position of t, position of s (both `tensor<f32>`), the slices at t of `queries`, the slices at s of `keys`, `shared` (values without `t`) as they are.
    It yields no states and the outputs predicate, score, value and, with a sink, that: one number for all s. The sequence includes the tokens that earlier pieces brought.

    | value              | type                                            | meaning                            |
    | ------------------ | ----------------------------------------------- | ---------------------------------- |
    | queries, keys      | with `t`                                        | read at t, read at s               |
    | shared             | without `t`                                     | the same for all pairs             |
    | predicate, score, value, sink | i1, f32, f32, f32, without `t`        | broadcast to the result by name    |
    | result             | f32, with `t`                                   |                                    |

    - **C1** `name` is not empty.
    - **C2** queries and keys have the time axis, shared values do not.
    - **C3** the body's arguments have the types that follow from the operands.
    - **C4** the body yields no states and a predicate (i1), a score (f32), a value (f32) and, in a softmax, perhaps a sink (f32) that depends on no key.
    - **C5** the result has f32 elements and the time axis, and the axes of predicate, score, value and sink are among its other axes, with equal extents.
    - **C6** the body holds array ops, constants and indices only.

    Paper: Vaswani et al. 2017 (softmax, `s <= t`); Katharopoulos et al. 2020 (sum).
    Gradient: of the softmax-weighted sum, pair by pair, with the weights computed again from the kept maximum and sum.
    Decode state `name`.key`K`: operand K of `keys` for the tokens that a later token can still reach.

    ```mlir
    func.func @over(%q: tensor<?x4xf32, #rondo.axes<[t, k]>>, %v: tensor<?x4xf32, #rondo.axes<[t, k]>>) -> tensor<?x4xf32, #rondo.axes<[t, k]>> {
      %y = rondo.over softmax "attn" queries(%q : tensor<?x4xf32, #rondo.axes<[t, k]>>) keys(%v : tensor<?x4xf32, #rondo.axes<[t, k]>>)
          -> tensor<?x4xf32, #rondo.axes<[t, k]>> body(%t, %s, %q_t, %v_s) {
        %seen = rondo.map le(%s, %t) : (tensor<f32>, tensor<f32>) -> tensor<i1>
        %score = rondo.contract %q_t, %v_s over [k] : tensor<4xf32, #rondo.axes<[k]>>, tensor<4xf32, #rondo.axes<[k]>> -> tensor<f32>
        rondo.yield () (%seen, %score, %v_s : tensor<i1>, tensor<f32>, tensor<4xf32, #rondo.axes<[k]>>)
      }
      return %y : tensor<?x4xf32, #rondo.axes<[t, k]>>
    }
    ```
  }];
  let arguments = (ins StrAttr:$name, Rondo_OverKind:$kind, Variadic<Rondo_Value>:$queries, Variadic<Rondo_Value>:$keys, Variadic<Rondo_Value>:$shared);
  let results = (outs Rondo_Value:$result);
  let regions = (region SizedRegion<1>:$body);
  let hasRegionVerifier = 1;
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{ mlir::Block *getBlock() { return &getBody().front(); } ::rondo::YieldOp getYield(); }];
}

def Rondo_RouteOp : Rondo_Op<"route", [Pure, IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments]> {
  let summary = "a body that runs with chosen slices of its tables: experts";
  let description = [{
    Equation: `result[t, j...] = body(inputs[t, j...], tables[ids[t, j...]])`, the tables sliced along `axis`. The axes of the ids but `t` number what a token has chosen (first,
    second, ...). Body arguments: the inputs without `t` and the ids' axes, then the tables without `axis`. An id that is no index of the axis reads zeros, as in `gather`. What the
    chosen give is combined by other ops, such as a `contract` with their weights over `j`.

    | value  | type                                                       | meaning                            |
    | ------ | ---------------------------------------------------------- | ---------------------------------- |
    | ids    | f32, with `t`                                              | which slice, for each choice       |
    | inputs | any                                                        | a token's, a choice's or everyone's |
    | tables | without `t`, with `axis`                                   | parameters of all experts          |
    | result | f32, the ids' axes, then those of what the body yields     |                                    |

    - **C1** ids have f32 elements and the time axis, and not `axis`.
    - **C2** tables have `axis`, all with one extent, and neither `t` nor another axis of the ids; there is at least one table.
    - **C3** an axis that an input has in common with the ids has one extent in both, and no input has `axis`.
    - **C4** the body's arguments have the types that follow from the operands, and it yields no states and one value (f32).
    - **C5** the result's axes are the ids', then those of the value.
    - **C6** the body holds array ops, constants and indices only.

    Paper: Shazeer et al. 2017. Gradient: that of the body for the chosen slices, added up in the tables; ids have none.

    ```mlir
    func.func @route(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>, %ids: tensor<?x2xf32, #rondo.axes<[t, j]>>, %w: tensor<8x3x4xf32, #rondo.axes<[e, o, d]>>) -> tensor<?x2x3xf32, #rondo.axes<[t, j, o]>> {
      %y = rondo.route %ids : tensor<?x2xf32, #rondo.axes<[t, j]>> along e inputs(%x : tensor<?x4xf32, #rondo.axes<[t, d]>>) tables(%w : tensor<8x3x4xf32, #rondo.axes<[e, o, d]>>)
          -> tensor<?x2x3xf32, #rondo.axes<[t, j, o]>> body(%x_t, %w_e) {
        %out = rondo.contract %w_e, %x_t over [d] : tensor<3x4xf32, #rondo.axes<[o, d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<3xf32, #rondo.axes<[o]>>
        rondo.yield () (%out : tensor<3xf32, #rondo.axes<[o]>>)
      }
      return %y : tensor<?x2x3xf32, #rondo.axes<[t, j, o]>>
    }
    ```
  }];
  let arguments = (ins Rondo_Value:$ids, StrAttr:$axis, Variadic<Rondo_Value>:$inputs, Variadic<Rondo_Value>:$tables);
  let results = (outs Rondo_Value:$result);
  let regions = (region SizedRegion<1>:$body);
  let hasRegionVerifier = 1;
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{ mlir::Block *getBlock() { return &getBody().front(); } ::rondo::YieldOp getYield(); }];
}

def Rondo_YieldOp : Rondo_Op<"yield", [Pure, Terminator, ReturnLike, AttrSizedOperandSegments,
                                       ParentOneOf<["RecurOp", "OverOp", "RouteOp", "ScanOp", "AttendOp"]>]> {
  let summary = "what a body computes: new states, then outputs";
  let description = [{
    In `recur` and `scan`: the new states, then the outputs. In `over` and `attend`: no states; the outputs are predicate, score, value and perhaps a sink. In `route`: no states, one value. The op around it checks the types
    (its C4). The examples of those ops show it.
  }];
  let arguments = (ins Variadic<Rondo_Value>:$states, Variadic<Rondo_Value>:$outputs);
  let assemblyFormat = "`(` ($states^ `:` type($states))? `)` `(` ($outputs^ `:` type($outputs))? `)` attr-dict";
  let hasVerifier = 0;
}

def Rondo_CallOp : Rondo_Op<"call", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "one use of a layer's function, at a scope";
  let description = [{
    Equation: `outputs = callee(inputs)`; the states named inside it are `scope` + "." + their name. Parameters are operands, so that equal layers are one function.

    - **C1** `callee` is a `func.func` with these operand and result types.
    - **C2** `scope` is not empty.

    Gradient: a call of the callee's gradient function. Not free of side effects: the callee advances the states of its scope.

    ```mlir
    func.func private @layer(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>> {
      return %x : tensor<?x4xf32, #rondo.axes<[t, d]>>
    }
    func.func @call(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>> {
      %y = rondo.call @layer(%x) at "backbone.layers.0" : (tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>>
      return %y : tensor<?x4xf32, #rondo.axes<[t, d]>>
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<Rondo_Value>:$inputs, StrAttr:$scope);
  let results = (outs Variadic<Rondo_Value>:$outputs);
  let assemblyFormat = "$callee `(` $inputs `)` `at` $scope attr-dict `:` functional-type($inputs, $outputs)";
}

//===----------------------------------------------------------------------===//
// Block level
//===----------------------------------------------------------------------===//

def Rondo_ScanOp : Rondo_Op<"scan", [Pure, IsolatedFromAbove, AttrSizedOperandSegments]> {
  let summary = "a recurrence with its chosen form";
  let description = [{
    Equation: `recur`'s, with the form fixed. `token` is the recurrence's body. `block`, when not empty, advances the states by `chunk` tokens at once: its arguments are as the token
    body's but a per-token input carries the block axis `c` (extent `chunk`) in front; it yields the states after the block and outputs with `c` in front. Whole blocks take `block`, the
    ragged rest takes `token`; both mean the same up to rounding. `transition` prints the transition class, `form` the form chosen.

    | value   | type               | meaning                                   |
    | ------- | ------------------ | ----------------------------------------- |
    | inputs  | any                | one token's or one block's slice          |
    | inits   | f32, without `t`   | one for each name in `states`             |
    | outputs | with `t`           | what the bodies yield, for all tokens     |

    - **C1** to **C6** as those of `recur`, for both bodies (in `block`, per-token inputs and outputs with `c`).
    - **C7** `chunk` is at least 1.
    - **C8** with `every`, a block divides a group (`every` is a multiple of `chunk`).
    - **C9** with a block, no operand has an axis `c` of its own.

    Paper: Dao and Gu 2024 (chunks of a scalar decay), Yang et al. 2024 (decays per channel). Gradient: as `recur`'s, block by block in reverse. Decode state: `recur`'s.

    ```mlir
    func.func @scan(%x: tensor<?x4xf32, #rondo.axes<[t, p]>>) -> tensor<?x4xf32, #rondo.axes<[t, p]>> {
      %zero = rondo.constant dense<0.0> : tensor<4xf32, #rondo.axes<[p]>>
      %y = rondo.scan "total" inputs(%x : tensor<?x4xf32, #rondo.axes<[t, p]>>) states("S" = %zero : tensor<4xf32, #rondo.axes<[p]>>)
          chunk 2 form "chunked" transition "no decay" -> (tensor<?x4xf32, #rondo.axes<[t, p]>>) token(%x_t, %S) {
        %new = rondo.map add(%S, %x_t) : (tensor<4xf32, #rondo.axes<[p]>>, tensor<4xf32, #rondo.axes<[p]>>) -> tensor<4xf32, #rondo.axes<[p]>>
        rondo.yield (%new : tensor<4xf32, #rondo.axes<[p]>>) (%new : tensor<4xf32, #rondo.axes<[p]>>)
      } block(%x_c, %S) {
        %sums = rondo.cumsum %x_c along c : tensor<2x4xf32, #rondo.axes<[c, p]>>
        %all = rondo.map add(%sums, %S) : (tensor<2x4xf32, #rondo.axes<[c, p]>>, tensor<4xf32, #rondo.axes<[p]>>) -> tensor<2x4xf32, #rondo.axes<[c, p]>>
        %new = rondo.view %all by affine_map<(p) -> (1, p)> : tensor<2x4xf32, #rondo.axes<[c, p]>> -> tensor<4xf32, #rondo.axes<[p]>>
        rondo.yield (%new : tensor<4xf32, #rondo.axes<[p]>>) (%all : tensor<2x4xf32, #rondo.axes<[c, p]>>)
      }
      return %y : tensor<?x4xf32, #rondo.axes<[t, p]>>
    }
    ```
  }];
  let arguments = (ins StrAttr:$name, StrArrayAttr:$states, Variadic<Rondo_Value>:$inputs, Variadic<Rondo_Value>:$inits,
                       I64Attr:$chunk, StrAttr:$form, StrAttr:$transition, OptionalAttr<I64Attr>:$every);
  let results = (outs Variadic<Rondo_Value>:$outputs);
  let regions = (region SizedRegion<1>:$token, MaxSizedRegion<1>:$block);
  let extraClassDeclaration = [{
    ::rondo::YieldOp getTokenYield();
    /// Only where `block` is not empty.
    ::rondo::YieldOp getBlockYield();
  }];
  let hasRegionVerifier = 1;
  let hasCustomAssemblyFormat = 1;
}

def Rondo_AttendOp : Rondo_Op<"attend", [Pure, IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments]> {
  let summary = "an `over` whose block map is known";
  let description = [{
    Equation: `over`'s, where the predicate is `(s <= t if causal) and (t - s < window if window > 0) and residual`. The body's predicate result is the residual, true where
    the map says all. A bidirectional one (not causal) needs the whole sequence in one piece.
    The body runs on tiles: the position of t and the queries have the axis `t` (the tile's queries), the position of s and the keys the axis `s` (the tile's keys), both of
    unknown extent. What it yields may have both, either or none.

    Types: `over`'s, in the body with `t` and `s`.

    - **C1** to **C6** as those of `over`.
    - **C7** `window` is at least 0 (0: all tokens).
    - **C8** no operand has an axis `s` of its own.

    Gradient: as `over`'s, over the tiles of the block map alone. Decode state: `over`'s, of the last `window - 1` tokens only when there is a window and it is causal.

    ```mlir
    func.func @attend(%q: tensor<?x4xf32, #rondo.axes<[t, k]>>, %v: tensor<?x4xf32, #rondo.axes<[t, k]>>) -> tensor<?x4xf32, #rondo.axes<[t, k]>> {
      %y = rondo.attend softmax "attn" causal window 64 queries(%q : tensor<?x4xf32, #rondo.axes<[t, k]>>) keys(%v : tensor<?x4xf32, #rondo.axes<[t, k]>>)
          -> tensor<?x4xf32, #rondo.axes<[t, k]>> body(%t, %s, %q_t, %v_s) {
        %all = rondo.constant dense<true> : tensor<i1>
        %score = rondo.contract %q_t, %v_s over [k] : tensor<?x4xf32, #rondo.axes<[t, k]>>, tensor<?x4xf32, #rondo.axes<[s, k]>> -> tensor<?x?xf32, #rondo.axes<[t, s]>>
        rondo.yield () (%all, %score, %v_s : tensor<i1>, tensor<?x?xf32, #rondo.axes<[t, s]>>, tensor<?x4xf32, #rondo.axes<[s, k]>>)
      }
      return %y : tensor<?x4xf32, #rondo.axes<[t, k]>>
    }
    ```
  }];
  let arguments = (ins StrAttr:$name, Rondo_OverKind:$kind, Variadic<Rondo_Value>:$queries, Variadic<Rondo_Value>:$keys, Variadic<Rondo_Value>:$shared,
                       BoolAttr:$causal, I64Attr:$window);
  let results = (outs Rondo_Value:$result);
  let regions = (region SizedRegion<1>:$body);
  let hasRegionVerifier = 1;
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{ mlir::Block *getBlock() { return &getBody().front(); } ::rondo::YieldOp getYield(); }];
}

//===----------------------------------------------------------------------===//
// Kernel level
//===----------------------------------------------------------------------===//

def Rondo_LaunchOp : Rondo_Op<"launch", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "one use of an outlined kernel";
  let description = [{
    Equation: `outputs = kernel(inputs)`. The callee carries `rondo.kernel`; states named inside it are relative to the function that holds the launch.

    - **C1** `kernel` is a `func.func` with these operand and result types.
    - **C2** it carries `rondo.kernel`.

    Gradient: taken before kernels are formed. Not free of side effects: a kernel advances its states.

    ```mlir
    func.func private @rows(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>> attributes {rondo.kernel = "rows"} {
      return %x : tensor<?x4xf32, #rondo.axes<[t, d]>>
    }
    func.func @launch(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>> {
      %y = rondo.launch @rows(%x) : (tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>>
      return %y : tensor<?x4xf32, #rondo.axes<[t, d]>>
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Rondo_Value>:$inputs);
  let results = (outs Variadic<Rondo_Value>:$outputs);
  let assemblyFormat = "$kernel `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs)";
  let hasVerifier = 0;
}

#endif // RONDO_DIALECT_OPS_TD

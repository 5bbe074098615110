// RUN: %python %S/Inputs/tensors.py write %t.in 'q=F32:[[[0],[0],[0.693147180559945]]]' 'v=F32:[[[1],[3],[8]]]'
// RUN: rondo-interp %s --entry over --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s
// RUN: rondo-interp %s --entry attend --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s

// A softmax over the tokens of a window of two: weights exp(q * v), and a token's keys stay for later pieces. By hand: token 0 sees 1; token 1 the mean of 1 and
// 3; token 2 (q = ln 2) sees 3 and 8 with weights 8 and 256.

// CHECK: result0 F64 [1, 3, 1] 1 2 7.84848485
// CHECK: state.attn.key0 F64 [1, 3, 1] 1 3 8

// The third token alone, in a second piece, is the same.
// RUN: %python %S/Inputs/tensors.py write %t.in 'q=F32:[[[0.693147180559945]]]' 'v=F32:[[[8]]]' 'state.attn.key0=F32:[[[1],[3]]]' 'state.position=I64:[2]'
// RUN: rondo-interp %s --entry over --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefix=NEXT
// RUN: rondo-interp %s --entry attend --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefix=NEXT
// NEXT: result0 F64 [1, 1, 1] 7.84848485
// NEXT: state.attn.key0 F64 [1, 3, 1] 1 3 8
// NEXT: state.position I64 [1] 3

// Sequences with caches of different lengths, each under its own number.
// RUN: %python %S/Inputs/tensors.py write %t.in 'q=F32:[[0.693147180559945],[0]]' 'v=F32:[[8],[5]]' 'lengths=I64:[1,1]' 'state.attn.key0[0]=F32:[[1],[3]]' 'state.attn.key0[1]=F32:[[7]]' 'state.position=I64:[2,1]'
// RUN: rondo-interp %s --entry over --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefix=EACH
// EACH: result0 F64 [2, 1] 7.84848485 6
// EACH: state.attn.key0[0] F64 [3, 1] 1 3 8
// EACH: state.attn.key0[1] F64 [2, 1] 7 5
// RUN: %python %S/Inputs/tensors.py write %t.in 'q=F32:[[[0]]]' 'v=F32:[[[8]]]' 'state.attn.key0[1]=F32:[[7]]' 'state.position=I64:[1]'
// RUN: not rondo-interp %s --entry over --inputs %t.in --outputs %t.out 2>&1 | FileCheck %s --check-prefix=NUMBER
// NUMBER: state.attn.key0[1]: expected the number of one of 1 sequences in brackets

// A piece without its keys is refused.
// RUN: %python %S/Inputs/tensors.py write %t.in 'q=F32:[[[0]]]' 'v=F32:[[[8]]]' 'state.position=I64:[2]'
// RUN: not rondo-interp %s --entry over --inputs %t.in --outputs %t.out 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: interpret-over.mlir:[[#@LINE+9]]:8: rondo.over: no state 'attn.key0' at position 2

#tv = #rondo.axes<[t, v]>
#v = #rondo.axes<[v]>
!tv = tensor<?x1xf32, #tv>
!v = tensor<1xf32, #v>
!s = tensor<f32>

func.func @over(%q: !tv {rondo.name = "q"}, %v: !tv {rondo.name = "v"}) -> !tv {
  %y = rondo.over softmax "attn" queries(%q : !tv) keys(%v : !tv) -> !tv body(%t, %s, %q_t, %v_s) {
    %two = rondo.constant dense<2.0> : !s
    %seen = rondo.map le(%s, %t) : (!s, !s) -> tensor<i1>
    %distance = rondo.map sub(%t, %s) : (!s, !s) -> !s
    %near = rondo.map lt(%distance, %two) : (!s, !s) -> tensor<i1>
    %all = rondo.map and(%seen, %near) : (tensor<i1>, tensor<i1>) -> tensor<i1>
    %score = rondo.contract %q_t, %v_s over [v] : !v, !v -> !s
    rondo.yield () (%all, %score, %v_s : tensor<i1>, !s, !v)
  }
  return %y : !tv
}

func.func @attend(%q: !tv {rondo.name = "q"}, %v: !tv {rondo.name = "v"}) -> !tv {
  %y = rondo.attend softmax "attn" causal window 2 queries(%q : !tv) keys(%v : !tv) -> !tv body(%t, %s, %q_t, %v_s) {
    %all = rondo.constant dense<true> : tensor<i1>
    %score = rondo.contract %q_t, %v_s over [v] : !tv, tensor<?x1xf32, #rondo.axes<[s, v]>> -> tensor<?x?xf32, #rondo.axes<[t, s]>>
    rondo.yield () (%all, %score, %v_s : tensor<i1>, tensor<?x?xf32, #rondo.axes<[t, s]>>, tensor<?x1xf32, #rondo.axes<[s, v]>>)
  }
  return %y : !tv
}

// With a sink of 0, token 0 gives its own value 1 one of two equal shares; token 1 means over 1, 3 and the sink's 0; token 2 sees 3 and 8 with the
// weights 8 and 256 of 265.
// RUN: %python %S/Inputs/tensors.py write %t.in 'q=F32:[[[0],[0],[0.693147180559945]]]' 'v=F32:[[[1],[3],[8]]]' 'sink=F32:[0]'
// RUN: rondo-interp %s --entry sunk --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefix=SINK
// RUN: rondo-interp %s --entry sunk_tiles --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefix=SINK
// SINK: result0 F64 [1, 3, 1] 0.5 1.33333333 7.8188679{{[0-9]}}

func.func @sunk(%q: !tv {rondo.name = "q"}, %v: !tv {rondo.name = "v"}, %sink: !v {rondo.name = "sink"}) -> !tv {
  %y = rondo.over softmax "attn" queries(%q : !tv) keys(%v : !tv) shared(%sink : !v) -> !tv body(%t, %s, %q_t, %v_s, %w) {
    %two = rondo.constant dense<2.0> : !s
    %seen = rondo.map le(%s, %t) : (!s, !s) -> tensor<i1>
    %distance = rondo.map sub(%t, %s) : (!s, !s) -> !s
    %near = rondo.map lt(%distance, %two) : (!s, !s) -> tensor<i1>
    %all = rondo.map and(%seen, %near) : (tensor<i1>, tensor<i1>) -> tensor<i1>
    %score = rondo.contract %q_t, %v_s over [v] : !v, !v -> !s
    rondo.yield () (%all, %score, %v_s, %w : tensor<i1>, !s, !v, !v)
  }
  return %y : !tv
}

func.func @sunk_tiles(%q: !tv {rondo.name = "q"}, %v: !tv {rondo.name = "v"}, %sink: !v {rondo.name = "sink"}) -> !tv {
  %y = rondo.attend softmax "attn" causal window 2 queries(%q : !tv) keys(%v : !tv) shared(%sink : !v) -> !tv body(%t, %s, %q_t, %v_s, %w) {
    %all = rondo.constant dense<true> : tensor<i1>
    %score = rondo.contract %q_t, %v_s over [v] : !tv, tensor<?x1xf32, #rondo.axes<[s, v]>> -> tensor<?x?xf32, #rondo.axes<[t, s]>>
    rondo.yield () (%all, %score, %v_s, %w : tensor<i1>, tensor<?x?xf32, #rondo.axes<[t, s]>>, tensor<?x1xf32, #rondo.axes<[s, v]>>, !v)
  }
  return %y : !tv
}

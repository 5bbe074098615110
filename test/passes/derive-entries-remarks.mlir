// RUN: rondo-opt %s -rondo-derive-entries -split-input-file -verify-diagnostics | FileCheck %s

// An entry that does not apply is left out, and says why.

!x = tensor<?x4xf32, #rondo.axes<[t, d]>>

// CHECK-LABEL: @forward
// CHECK: @step
// expected-remark@+2 {{no entry 'prefill': it needs integer tokens in and one output with one axis beside 't'}}
// expected-remark@+1 {{no entry 'score': it needs integer tokens in and one output with one axis beside 't'}}
func.func @forward(%x: !x {rondo.name = "x"}) -> (!x {rondo.name = "y"}) attributes {rondo.entry = "forward"} {
  %y = rondo.map exp(%x) : (!x) -> !x
  return %y : !x
}

// -----

!ids = tensor<?xi64, #rondo.axes<[t]>>
!x = tensor<?x4xf32, #rondo.axes<[t, d]>>
!x1 = tensor<4xf32, #rondo.axes<[d]>>
!e = tensor<16x4xf32, #rondo.axes<[v, d]>>

// CHECK-LABEL: @forward
// CHECK-NOT: @step
// expected-remark@+1 {{no entry 'step': 'all' reads later tokens}}
func.func @forward(%ids: !ids {rondo.name = "tokens"}) -> (!x {rondo.name = "logits"}) attributes {rondo.entry = "forward"} {
  %e = rondo.param "embeddings" : !e
  %x = rondo.gather %e[%ids] along v : !e, !ids -> !x
  %y = rondo.attend sum "all" keys(%x : !x) -> !x body(%t, %s, %x_s) {
    %zero = rondo.constant dense<0.0> : tensor<f32>
    %p = rondo.constant dense<true> : tensor<i1>
    rondo.yield () (%p, %zero, %x_s : tensor<i1>, tensor<f32>, tensor<?x4xf32, #rondo.axes<[s, d]>>)
  }
  return %y : !x
}

// RUN: rondo-opt %s -rondo-block-pipeline=forms=S=chunk | FileCheck %s

// From the token level to all entries: the decay becomes a derived weight, forward goes in blocks, step token by token without the block's leftovers.

!ids = tensor<?xi64, #rondo.axes<[t]>>
!k = tensor<?x64xf32, #rondo.axes<[t, k]>>
!v = tensor<?x64xf32, #rondo.axes<[t, v]>>
!ev = tensor<32x64xf32, #rondo.axes<[w, v]>>
!ek = tensor<32x64xf32, #rondo.axes<[w, k]>>
!S = tensor<64x64xf32, #rondo.axes<[k, v]>>
!k1 = tensor<64xf32, #rondo.axes<[k]>>
!v1 = tensor<64xf32, #rondo.axes<[v]>>

// CHECK-LABEL: func.func private @layer(
// CHECK: rondo.scan "S" {{.*}} chunk 8 form "chunk" transition "S[k v]: decay per key channel [k], constant in time, rank 1, read over [k] after, that is static diagonal decay"
// CHECK: block(
// CHECK-LABEL: func.func private @layer_step(
// CHECK: rondo.scan "S" {{.*}} chunk 1 form "sequential"
// CHECK-NOT: block(
func.func private @layer(%key: !k, %val: !v, %a: !k1) -> !v {
  %zero = rondo.constant dense<0.0> : !S
  %y = rondo.recur "S" inputs(%key, %val, %a : !k, !v, !k1) states("S" = %zero : !S) -> (!v) body(%k_t, %v_t, %a_, %S) {
    %decay = rondo.map sigmoid(%a_) : (!k1) -> !k1
    %kept = rondo.map mul(%decay, %S) : (!k1, !S) -> !S
    %u = rondo.map mul(%k_t, %v_t) : (!k1, !v1) -> !S
    %new = rondo.map add(%kept, %u) : (!S, !S) -> !S
    %r = rondo.contract %new, %k_t over [k] : !S, !k1 -> !v1
    rondo.yield (%new : !S) (%r : !v1)
  }
  return %y : !v
}

// CHECK-LABEL: func.func @forward
// CHECK: rondo.map sigmoid(%{{.*}}) {rondo.derived = "decay.derived"}
// CHECK-LABEL: func.func @prefill
// CHECK: {rondo.derived = "decay.derived"}
// CHECK: rondo.last
// CHECK-LABEL: func.func @step
// CHECK-LABEL: func.func @score
func.func @forward(%ids: !ids {rondo.name = "tokens"}) -> (tensor<?x32xf32, #rondo.axes<[t, w]>> {rondo.name = "logits"}) attributes {rondo.entry = "forward"} {
  %ev = rondo.param "values" : !ev
  %ek = rondo.param "keys" : !ek
  %a = rondo.param "decay" : !k1
  %key = rondo.gather %ek[%ids] along w : !ek, !ids -> !k
  %val = rondo.gather %ev[%ids] along w : !ev, !ids -> !v
  %y = rondo.call @layer(%key, %val, %a) at "layer" : (!k, !v, !k1) -> !v
  %l = rondo.contract %y, %ev over [v] : !v, !ev -> tensor<?x32xf32, #rondo.axes<[t, w]>>
  return %l : tensor<?x32xf32, #rondo.axes<[t, w]>>
}

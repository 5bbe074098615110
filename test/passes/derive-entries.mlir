// RUN: rondo-opt %s -rondo-derive-entries | FileCheck %s
// RUN: rondo-opt %s -rondo-derive-entries=entries=score | FileCheck %s --check-prefix=SCORE

// prefill keeps each sequence's last row from behind the last op that mixes tokens, step runs its recurrences token by token, score compares with targets.

!ids = tensor<?xi64, #rondo.axes<[t]>>
!x = tensor<?x4xf32, #rondo.axes<[t, d]>>
!l = tensor<?x16xf32, #rondo.axes<[t, v]>>
!e = tensor<16x4xf32, #rondo.axes<[v, d]>>
!S = tensor<4xf32, #rondo.axes<[d]>>

// CHECK: func.func private @mlp(
func.func private @mlp(%x: !x) -> !x {
  %0 = rondo.map tanh(%x) : (!x) -> !x
  return %0 : !x
}

// CHECK: func.func private @mixer(
// CHECK: func.func private @mixer_step({{.*}} attributes {rondo.sequential}
func.func private @mixer(%x: !x) -> !x {
  %zero = rondo.constant dense<0.0> : !S
  %y = rondo.recur "S" inputs(%x : !x) states("S" = %zero : !S) -> (!x) body(%x_t, %S) {
    %n = rondo.map add(%S, %x_t) : (!S, !S) -> !S
    rondo.yield (%n : !S) (%n : !S)
  }
  return %y : !x
}

// CHECK-LABEL: func.func @forward
// CHECK-NOT: rondo.last
func.func @forward(%ids: !ids {rondo.name = "tokens"}) -> (!l {rondo.name = "logits"}) attributes {rondo.entry = "forward"} {
  %e = rondo.param "embeddings" : !e
  %x = rondo.gather %e[%ids] along v : !e, !ids -> !x
  %m = rondo.call @mixer(%x) at "layers.0" : (!x) -> !x
  %r = rondo.map add(%x, %m) : (!x, !x) -> !x
  %f = rondo.call @mlp(%r) at "layers.0" : (!x) -> !x
  %l = rondo.contract %f, %e over [d] : !x, !e -> !l
  return %l : !l
}

// CHECK-LABEL: func.func @prefill
// CHECK-SAME: rondo.entry = "prefill"
// CHECK: %[[X:.*]] = rondo.gather
// CHECK: %[[XL:.*]] = rondo.last %[[X]]
// CHECK: %[[M:.*]] = rondo.call @mixer(%[[X]])
// CHECK: %[[ML:.*]] = rondo.last %[[M]]
// CHECK: %[[R:.*]] = rondo.map add(%[[XL]], %[[ML]])
// CHECK: %[[F:.*]] = rondo.call @mlp(%[[R]])
// CHECK-NOT: rondo.last
// CHECK: return

// CHECK-LABEL: func.func @step
// CHECK-SAME: rondo.entry = "step", rondo.sequential
// CHECK: rondo.call @mixer_step(
// CHECK: rondo.call @mlp(

// CHECK-LABEL: func.func @score
// CHECK-SAME: (%{{.*}}: {{.*}} {rondo.name = "tokens"}, %[[TARGETS:.*]]: tensor<?xi64, #rondo.axes<[t]>> {rondo.name = "targets"}) -> (tensor<?xf32, #rondo.axes<[t]>> {rondo.name = "logprobs"})
// CHECK: %[[L:.*]] = rondo.contract
// CHECK: %[[MAX:.*]] = rondo.reduce max %[[L]] over [v]
// CHECK: %[[D:.*]] = rondo.map sub(%[[L]], %[[MAX]])
// CHECK: rondo.map exp(%[[D]])
// CHECK: rondo.pick %[[D]][%[[TARGETS]]] along v
// CHECK: return %{{.*}} : tensor<?xf32, #rondo.axes<[t]>>

// SCORE-NOT: @prefill
// SCORE: @score

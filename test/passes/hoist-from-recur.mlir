// RUN: rondo-opt %s -rondo-hoist-from-recur | FileCheck %s

// What a recurrence's body computes without its states moves out and is computed for all tokens; outer products and what reads a state stay.

!dt = tensor<?x2xf32, #rondo.axes<[t, h]>>
!x = tensor<?x2x4xf32, #rondo.axes<[t, h, p]>>
!b = tensor<?x8xf32, #rondo.axes<[t, n]>>
!y = tensor<?x2x4xf32, #rondo.axes<[t, h, p]>>
!A = tensor<2xf32, #rondo.axes<[h]>>
!S = tensor<2x4x8xf32, #rondo.axes<[h, p, n]>>
!h = tensor<2xf32, #rondo.axes<[h]>>
!hp = tensor<2x4xf32, #rondo.axes<[h, p]>>
!n = tensor<8xf32, #rondo.axes<[n]>>

// CHECK-LABEL: @decay_and_scaled_input_move_out
// CHECK-SAME: (%[[DT:.*]]: {{.*}}, %[[X:.*]]: {{.*}}, %[[B:.*]]: {{.*}}, %[[A:.*]]: {{.*}}, %[[ZERO:.*]]:
func.func @decay_and_scaled_input_move_out(%dt: !dt, %x: !x, %b: !b, %A: !A, %zero: !S) -> !y {
  // CHECK: %[[E:.*]] = rondo.map exp(%[[A]]) : {{.*}} -> tensor<2xf32
  // CHECK: %[[M:.*]] = rondo.map mul(%[[DT]], %[[E]]) : {{.*}} -> tensor<?x2xf32
  // CHECK: %[[D:.*]] = rondo.map exp(%[[M]])
  // CHECK: %[[DX:.*]] = rondo.map mul(%[[DT]], %[[X]]) : {{.*}} -> tensor<?x2x4xf32
  // CHECK: rondo.recur "S" inputs(%[[B]], %[[D]], %[[DX]] : {{.*}}) states("S" = %[[ZERO]]
  // CHECK-SAME: body(%[[BT:.*]], %[[DT1:.*]], %[[DXT:.*]], %[[S:.*]]) {
  // CHECK-NEXT: rondo.map mul(%[[DT1]], %[[S]])
  // CHECK-NEXT: rondo.map mul(%[[DXT]], %[[BT]])
  // CHECK-NEXT: rondo.map add
  // CHECK-NEXT: rondo.contract
  // CHECK-NEXT: rondo.yield
  %y = rondo.recur "S" inputs(%dt, %x, %b, %A : !dt, !x, !b, !A) states("S" = %zero : !S) -> (!y) body(%dt_t, %x_t, %b_t, %A_t, %S) {
    %e = rondo.map exp(%A_t) : (!A) -> !A
    %m = rondo.map mul(%dt_t, %e) : (!h, !A) -> !h
    %d = rondo.map exp(%m) : (!h) -> !h
    %kept = rondo.map mul(%d, %S) : (!h, !S) -> !S
    %dx = rondo.map mul(%dt_t, %x_t) : (!h, !hp) -> !hp
    %u = rondo.map mul(%dx, %b_t) : (!hp, !n) -> !S
    %new = rondo.map add(%kept, %u) : (!S, !S) -> !S
    %r = rondo.contract %new, %b_t over [n] : !S, !n -> !hp
    rondo.yield (%new : !S) (%r : !hp)
  }
  return %y : !y
}

// CHECK-LABEL: @work_on_the_state_stays
func.func @work_on_the_state_stays(%x: !x, %zero: !S) -> !y {
  // CHECK-NEXT: rondo.recur "S" inputs(%{{.*}} : {{.*}}) states(
  // CHECK-NEXT: rondo.map tanh
  %y = rondo.recur "S" inputs(%x : !x) states("S" = %zero : !S) -> (!y) body(%x_t, %S) {
    %f = rondo.map tanh(%S) : (!S) -> !S
    %new = rondo.map add(%f, %x_t) : (!S, !hp) -> !S
    %r = rondo.reduce sum %new over [n] : !S -> !hp
    rondo.yield (%new : !S) (%r : !hp)
  }
  return %y : !y
}

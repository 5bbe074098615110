// RUN: rondo-opt %s -rondo-split-recurrences -split-input-file 2>/dev/null | FileCheck %s
// RUN: rondo-opt %s -rondo-split-recurrences -split-input-file -verify-diagnostics -o /dev/null

// A state that the others only read gets a recurrence of its own when that gives the others a block form; what they use of it are inputs then.

!g = tensor<?x2xf32, #rondo.axes<[t, h]>>
!k = tensor<?x2x8xf32, #rondo.axes<[t, h, k]>>
!v = tensor<?x2x4xf32, #rondo.axes<[t, h, v]>>
!h = tensor<2xf32, #rondo.axes<[h]>>
!hk = tensor<2x8xf32, #rondo.axes<[h, k]>>
!hv = tensor<2x4xf32, #rondo.axes<[h, v]>>
!S = tensor<2x8x4xf32, #rondo.axes<[h, k, v]>>

// CHECK-LABEL: @a_maximum_that_only_keys_read
func.func @a_maximum_that_only_keys_read(%step: !g, %key: !k, %val: !v) -> !v {
  %start = rondo.constant dense<0.0> : !h
  %zero = rondo.constant dense<0.0> : !S
  // The maximum after the token goes over, two numbers; its sine is taken where the key is made.
  // CHECK: %[[MOST:.*]] = rondo.recur "a" inputs(%{{.*}} : {{.*}}) states("a" = {{.*}}) -> (tensor<?x2xf32
  // CHECK-NEXT: %[[NEW:.*]] = rondo.map max
  // CHECK-NEXT: rondo.yield(%[[NEW]] : {{.*}}) (%[[NEW]]
  // CHECK: rondo.recur "S" inputs(%{{.*}}, %{{.*}}, %[[MOST]] : {{.*}}) states("S" =
  // CHECK: rondo.map sin
  // expected-remark@+1 {{'a': 'a'; then 'S' in recurrences of their own, with 2 numbers a token between them}}
  %y = rondo.recur "a" inputs(%step, %key, %val : !g, !k, !v) states("a" = %start, "S" = %zero : !h, !S) -> (!v) body(%step_t, %k_t, %v_t, %a, %S) {
    %a1 = rondo.map max(%a, %step_t) : (!h, !h) -> !h
    %sin = rondo.map sin(%a1) : (!h) -> !h
    %turned = rondo.map mul(%sin, %k_t) : (!h, !hk) -> !hk
    %u = rondo.map mul(%turned, %v_t) : (!hk, !hv) -> !S
    %S1 = rondo.map add(%S, %u) : (!S, !S) -> !S
    %r = rondo.contract %S1, %turned over [k] : !S, !hk -> !hv
    rondo.yield (%a1, %S1 : !h, !S) (%r : !hv)
  }
  return %y : !v
}

// -----

!k = tensor<?x2x8xf32, #rondo.axes<[t, h, k]>>
!v = tensor<?x2x4xf32, #rondo.axes<[t, h, v]>>
!hk = tensor<2x8xf32, #rondo.axes<[h, k]>>
!hv = tensor<2x4xf32, #rondo.axes<[h, v]>>
!S = tensor<2x8x4xf32, #rondo.axes<[h, k, v]>>

// A contraction goes over, not the state; both parts keep their groups.
// CHECK-LABEL: @a_read_goes_over
func.func @a_read_goes_over(%key: !k, %val: !v) -> !v {
  %zero = rondo.constant dense<0.0> : !S
  // CHECK: %[[READ:.*]] = rondo.recur "F" inputs({{.*}}) states("F" = {{.*}}) every 4 -> (tensor<?x2x4xf32
  // CHECK: rondo.map tanh
  // CHECK: %[[R:.*]] = rondo.contract
  // CHECK-NEXT: rondo.yield(%{{.*}} : {{.*}}) (%[[R]]
  // CHECK: rondo.recur "S" inputs(%{{.*}}, %[[READ]] : {{.*}}) states("S" = {{.*}}) every 4
  // expected-remark@+1 {{'F': 'F'; then 'S' in recurrences of their own, with 8 numbers a token between them}}
  %y = rondo.recur "F" inputs(%key, %val : !k, !v) states("F" = %zero, "S" = %zero : !S, !S) every 4 -> (!v) body(%k_t, %v_t, %F, %S, %F_start, %S_start) {
    %f = rondo.map tanh(%F) : (!S) -> !S
    %u = rondo.map mul(%k_t, %v_t) : (!hk, !hv) -> !S
    %F1 = rondo.map add(%f, %u) : (!S, !S) -> !S
    %r = rondo.contract %F1, %k_t over [k] : !S, !hk -> !hv
    %w = rondo.map mul(%k_t, %r) : (!hk, !hv) -> !S
    %S1 = rondo.map add(%S, %w) : (!S, !S) -> !S
    %o = rondo.contract %S1, %k_t over [k] : !S, !hk -> !hv
    rondo.yield (%F1, %S1 : !S, !S) (%o : !hv)
  }
  return %y : !v
}

// -----

!k = tensor<?x8xf32, #rondo.axes<[t, k]>>
!v = tensor<?x4xf32, #rondo.axes<[t, v]>>
!k1 = tensor<8xf32, #rondo.axes<[k]>>
!v1 = tensor<4xf32, #rondo.axes<[v]>>
!S = tensor<8x4xf32, #rondo.axes<[k, v]>>

// Handing a whole state over for every token costs what the token loop costs.
// CHECK-LABEL: @a_whole_state_stays
func.func @a_whole_state_stays(%key: !k, %val: !v) -> !v {
  %zero = rondo.constant dense<0.0> : !S
  // CHECK: rondo.recur "M" {{.*}}"M" = {{.*}}"S" =
  // CHECK-NOT: rondo.recur
  // expected-remark@+1 {{'M' stays one recurrence: 32 numbers a token would go between its parts, and the states that would run in blocks have 32}}
  %y = rondo.recur "M" inputs(%key, %val : !k, !v) states("M" = %zero, "S" = %zero : !S, !S) -> (!v) body(%k_t, %v_t, %M, %S) {
    %f = rondo.map tanh(%M) : (!S) -> !S
    %u = rondo.map mul(%k_t, %v_t) : (!k1, !v1) -> !S
    %M1 = rondo.map add(%f, %u) : (!S, !S) -> !S
    %S1 = rondo.map add(%S, %M1) : (!S, !S) -> !S
    %o = rondo.contract %S1, %k_t over [k] : !S, !k1 -> !v1
    rondo.yield (%M1, %S1 : !S, !S) (%o : !v1)
  }
  return %y : !v
}

// -----

!k = tensor<?x8xf32, #rondo.axes<[t, k]>>
!v = tensor<?x4xf32, #rondo.axes<[t, v]>>
!k1 = tensor<8xf32, #rondo.axes<[k]>>
!v1 = tensor<4xf32, #rondo.axes<[v]>>
!S = tensor<8x4xf32, #rondo.axes<[k, v]>>

// What has a block form as it is stays together.
// CHECK-LABEL: @together
func.func @together(%key: !k, %val: !v) -> !v {
  %zero = rondo.constant dense<0.0> : !S
  %none = rondo.constant dense<0.0> : !k1
  // CHECK: rondo.recur "S" {{.*}}"S" = {{.*}}"n" =
  %y = rondo.recur "S" inputs(%key, %val : !k, !v) states("S" = %zero, "n" = %none : !S, !k1) -> (!v) body(%k_t, %v_t, %S, %n) {
    %u = rondo.map mul(%k_t, %v_t) : (!k1, !v1) -> !S
    %S1 = rondo.map add(%S, %u) : (!S, !S) -> !S
    %n1 = rondo.map add(%n, %k_t) : (!k1, !k1) -> !k1
    %a = rondo.contract %S1, %k_t over [k] : !S, !k1 -> !v1
    %b = rondo.contract %n1, %k_t over [k] : !k1, !k1 -> tensor<f32>
    %o = rondo.map div(%a, %b) : (!v1, tensor<f32>) -> !v1
    rondo.yield (%S1, %n1 : !S, !k1) (%o : !v1)
  }
  return %y : !v
}

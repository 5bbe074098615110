// RUN: rondo-opt %s -rondo-stabilise-exponentials -split-input-file 2>/dev/null | FileCheck %s
// RUN: rondo-opt %s -rondo-stabilise-exponentials -split-input-file -verify-diagnostics -o /dev/null

// States that gain an unbounded exponential are scaled by a running maximum, and ratios of them lose the scale; where nothing is gained the body stays.

!g = tensor<?x2xf32, #rondo.axes<[t, h]>>
!x = tensor<?x2x4xf32, #rondo.axes<[t, h, v]>>
!h = tensor<2xf32, #rondo.axes<[h]>>
!hv = tensor<2x4xf32, #rondo.axes<[h, v]>>

// CHECK-LABEL: @a_ratio_of_two_states
func.func @a_ratio_of_two_states(%f: !g, %i: !g, %x: !x) -> !x {
  %zero = rondo.constant dense<0.0> : !hv
  %none = rondo.constant dense<0.0> : !h
  // The maximum starts where nothing was gained yet.
  // CHECK: %[[EMPTY:.*]] = rondo.constant dense<-1.000000e+30> : tensor<2xf32
  // CHECK: rondo.recur "S" {{.*}}"S.m" = %[[EMPTY]]{{.*}}rondo.scales = ["S.m", "S.m", ""]
  // CHECK-SAME: body(%[[F:.*]], %[[I:.*]], %[[X:.*]], %[[S:.*]], %[[N:.*]], %[[M:.*]]) {
  // m' = max(log f + m, i), and no exponent that is not a difference from it
  // CHECK: rondo.map softplus
  // CHECK: %[[LATER:.*]] = rondo.map sub(%[[M]],
  // CHECK: %[[NEXT:.*]] = rondo.map max(%{{.*}}, %{{.*}})
  // CHECK: %[[FALLS:.*]] = rondo.map sub(%[[M]], %[[NEXT]])
  // CHECK: rondo.map exp
  // CHECK-NOT: rondo.map exp(%[[I]])
  // The result is the ratio of the scaled states alone.
  // CHECK: %[[Y:.*]] = rondo.map div(%[[S1:.*]], %[[N1:.*]]) : (tensor<2x4xf32{{.*}}, tensor<2xf32
  // CHECK-NEXT: rondo.yield(%[[S1]], %[[N1]], %[[NEXT]] : {{.*}}) (%[[Y]]
  // expected-remark@+1 {{'S': exponentials stay finite: running maxima scale 'S', 'n' by 'S.m'}}
  %y = rondo.recur "S" inputs(%f, %i, %x : !g, !g, !x) states("S" = %zero, "n" = %none : !hv, !h) -> (!x) body(%f_t, %i_t, %x_t, %S, %n) {
    %decay = rondo.map sigmoid(%f_t) : (!h) -> !h
    %gain = rondo.map exp(%i_t) : (!h) -> !h
    %S0 = rondo.map mul(%decay, %S) : (!h, !hv) -> !hv
    %u = rondo.map mul(%gain, %x_t) : (!h, !hv) -> !hv
    %S1 = rondo.map add(%S0, %u) : (!hv, !hv) -> !hv
    %n0 = rondo.map mul(%decay, %n) : (!h, !h) -> !h
    %n1 = rondo.map add(%n0, %gain) : (!h, !h) -> !h
    %r = rondo.map div(%S1, %n1) : (!hv, !h) -> !hv
    rondo.yield (%S1, %n1 : !hv, !h) (%r : !hv)
  }
  return %y : !x
}

// -----

!g = tensor<?x2xf32, #rondo.axes<[t, h]>>
!h = tensor<2xf32, #rondo.axes<[h]>>

// A bounded exponent needs no maximum.
// CHECK-LABEL: @a_bounded_gate
func.func @a_bounded_gate(%i: !g) -> !g {
  %zero = rondo.constant dense<0.0> : !h
  %four = rondo.constant dense<4.0> : tensor<f32>
  // CHECK-NOT: S.m
  %y = rondo.recur "S" inputs(%i, %four : !g, tensor<f32>) states("S" = %zero, "n" = %zero : !h, !h) -> (!g) body(%i_t, %most, %S, %n) {
    %e = rondo.map min(%i_t, %most) : (!h, tensor<f32>) -> !h
    %gain = rondo.map exp(%e) : (!h) -> !h
    %u = rondo.map mul(%gain, %i_t) : (!h, !h) -> !h
    %S1 = rondo.map add(%S, %u) : (!h, !h) -> !h
    %n1 = rondo.map add(%n, %gain) : (!h, !h) -> !h
    %r = rondo.map div(%S1, %n1) : (!h, !h) -> !h
    rondo.yield (%S1, %n1 : !h, !h) (%r : !h)
  }
  return %y : !g
}

// -----

!g = tensor<?x2xf32, #rondo.axes<[t, h]>>
!h = tensor<2xf32, #rondo.axes<[h]>>

// Without a ratio the result itself is as large as its exponentials.
// CHECK-LABEL: @no_ratio
func.func @no_ratio(%i: !g) -> !g {
  %zero = rondo.constant dense<0.0> : !h
  // CHECK-NOT: S.m
  // expected-remark@+1 {{'S': an exponential stays as it is written: no result divides it out again, so that it is as large as its exponentials}}
  %y = rondo.recur "S" inputs(%i : !g) states("S" = %zero : !h) -> (!g) body(%i_t, %S) {
    %gain = rondo.map exp(%i_t) : (!h) -> !h
    %S1 = rondo.map add(%S, %gain) : (!h, !h) -> !h
    rondo.yield (%S1 : !h) (%S1 : !h)
  }
  return %y : !g
}

// -----

!k = tensor<?x2x4xf32, #rondo.axes<[t, h, k]>>
!g = tensor<?x2xf32, #rondo.axes<[t, h]>>
!hk = tensor<2x4xf32, #rondo.axes<[h, k]>>
!h = tensor<2xf32, #rondo.axes<[h]>>

// One factor for all keys of a read is what can be taken out of it.
// CHECK-LABEL: @an_exponential_for_each_key
func.func @an_exponential_for_each_key(%key: !k) -> !g {
  %zero = rondo.constant dense<0.0> : !hk
  // CHECK-NOT: S.m
  // expected-remark@+1 {{'S': an exponential stays as it is written: the exponentials of 'S' and its decay vary over [h k], and it is read over [k]}}
  %y = rondo.recur "S" inputs(%key : !k) states("S" = %zero : !hk) -> (!g) body(%k_t, %S) {
    %gain = rondo.map exp(%k_t) : (!hk) -> !hk
    %S1 = rondo.map add(%S, %gain) : (!hk, !hk) -> !hk
    %r = rondo.contract %S1, %k_t over [k] : !hk, !hk -> !h
    rondo.yield (%S1 : !hk) (%r : !h)
  }
  return %y : !g
}

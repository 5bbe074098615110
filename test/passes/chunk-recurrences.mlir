// RUN: rondo-opt %s -rondo-chunk-recurrences=forms=S=chunk:4 | FileCheck %s
// RUN: rondo-opt %s "-rondo-chunk-recurrences=forms=*=chunk:4" | FileCheck %s

// A decay and an outer product, read by a contraction, become a block: one product with the entering state, one with masked scores, one into the leaving state.
// Equality with the token loop is held for many recurrences by ChunkFormsTest.cpp.

!g = tensor<?x2xf32, #rondo.axes<[t, h]>>
!k = tensor<?x2x8xf32, #rondo.axes<[t, h, k]>>
!v = tensor<?x2x4xf32, #rondo.axes<[t, h, v]>>
!S = tensor<2x8x4xf32, #rondo.axes<[h, k, v]>>
!h = tensor<2xf32, #rondo.axes<[h]>>
!hk = tensor<2x8xf32, #rondo.axes<[h, k]>>
!hv = tensor<2x4xf32, #rondo.axes<[h, v]>>

// CHECK-LABEL: @decay_per_head
// CHECK-SAME: (%[[G:.*]]: {{.*}}, %[[K:.*]]: {{.*}}, %[[V:.*]]: {{.*}}, %[[Q:.*]]: {{.*}}, %[[ZERO:.*]]:
func.func @decay_per_head(%g: !g, %key: !k, %val: !v, %query: !k, %zero: !S) -> !v {
  // CHECK: %[[A:.*]] = rondo.map exp(%[[G]])
  // CHECK: rondo.scan "S" inputs(%[[A]], %[[K]], %[[V]], %[[Q]] :
  // CHECK-SAME: chunk 4 form "chunk" transition "S[h k v]: decay per head [h], rank 1, read over [k] after, that is scalar decay"
  // CHECK-SAME: token(%[[A1:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %[[S1:.*]]) {
  // CHECK-NEXT: rondo.map mul(%[[A1]], %[[S1]])
  // CHECK: } block(%[[AC:.*]], %[[KC:.*]], %[[VC:.*]], %[[QC:.*]], %[[S0:.*]]) {
  // Each pair's decay is multiplied up from 1 at the source token; no logarithm, no exponential.
  // CHECK: %[[SAME:.*]] = rondo.map eq({{.*}} -> tensor<4x4xi1, #rondo.axes<[c, s]>>
  // CHECK: %[[ONE:.*]] = rondo.map select(%[[SAME]],
  // CHECK: %[[P:.*]] = rondo.propagate %[[AC]], %[[ONE]] along c : {{.*}} -> tensor<2x4x4xf32, #rondo.axes<[h, c, s]>>
  // CHECK-NOT: rondo.map exp
  // CHECK: rondo.contract %[[QC]], %[[S0]] over [k]
  // CHECK: %[[KS:.*]] = rondo.view %[[KC]] {{.*}} -> tensor<4x2x8xf32, #rondo.axes<[s, h, k]>>
  // CHECK: %[[QK:.*]] = rondo.contract %[[QC]], %[[KS]] over [k]
  // CHECK: rondo.map mul(%[[QK]], %[[P]])
  // CHECK: rondo.map select(
  // CHECK: rondo.contract %{{.*}}, %{{.*}} over [s]
  // CHECK: rondo.contract %{{.*}}, %{{.*}} over [c] : {{.*}} -> tensor<2x8x4xf32, #rondo.axes<[h, k, v]>>
  // CHECK: rondo.yield(%{{.*}} : tensor<2x8x4xf32, #rondo.axes<[h, k, v]>>) (%{{.*}} : tensor<4x2x4xf32, #rondo.axes<[c, h, v]>>)
  %a = rondo.map exp(%g) : (!g) -> !g
  %y = rondo.recur "S" inputs(%a, %key, %val, %query : !g, !k, !v, !k) states("S" = %zero : !S) -> (!v) body(%a_t, %k_t, %v_t, %q_t, %S) {
    %kept = rondo.map mul(%a_t, %S) : (!h, !S) -> !S
    %u = rondo.map mul(%k_t, %v_t) : (!hk, !hv) -> !S
    %new = rondo.map add(%kept, %u) : (!S, !S) -> !S
    %r = rondo.contract %new, %q_t over [k] : !S, !hk -> !hv
    rondo.yield (%new : !S) (%r : !hv)
  }
  return %y : !v
}

// In a function of a step the token loop stays.
// CHECK-LABEL: @sequential_functions_keep_the_token_loop
func.func @sequential_functions_keep_the_token_loop(%key: !k, %val: !v, %zero: !S) -> !v attributes {rondo.sequential} {
  // CHECK: rondo.scan "S" {{.*}} chunk 1 form "sequential"
  // CHECK-NOT: block(
  %y = rondo.recur "S" inputs(%key, %val : !k, !v) states("S" = %zero : !S) -> (!v) body(%k_t, %v_t, %S) {
    %u = rondo.map mul(%k_t, %v_t) : (!hk, !hv) -> !S
    %new = rondo.map add(%S, %u) : (!S, !S) -> !S
    %r = rondo.contract %new, %k_t over [k] : !S, !hk -> !hv
    rondo.yield (%new : !S) (%r : !hv)
  }
  return %y : !v
}

// What divides by a number divides by that number in blocks too, not by way of a rounded reciprocal.
// CHECK-LABEL: @divided_by_a_number
func.func @divided_by_a_number(%g: !g, %key: !k, %val: !v, %query: !k, %zero: !S) -> !v {
  // CHECK: } block(
  // CHECK: %[[ONE:.*]] = rondo.constant dense<1.000000e+00> : tensor<f32>
  // CHECK: %[[TEN:.*]] = rondo.constant dense<1.000000e+01> : tensor<f32>
  // CHECK: rondo.map div(%[[ONE]], %[[TEN]])
  // CHECK: rondo.yield
  %y = rondo.recur "S" inputs(%key, %val, %query : !k, !v, !k) states("S" = %zero : !S) -> (!v) body(%k_t, %v_t, %q_t, %S) {
    %u = rondo.map mul(%k_t, %v_t) : (!hk, !hv) -> !S
    %new = rondo.map add(%S, %u) : (!S, !S) -> !S
    %r = rondo.contract %new, %q_t over [k] : !S, !hk -> !hv
    %ten = rondo.constant dense<10.0> : tensor<f32>
    %scaled = rondo.map div(%r, %ten) : (!hv, tensor<f32>) -> !hv
    rondo.yield (%new : !S) (%scaled : !hv)
  }
  return %y : !v
}

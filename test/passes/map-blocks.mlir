// RUN: rondo-opt %s -rondo-map-blocks | FileCheck %s

// The predicate's bounds of t - s become causal and window, the rest stays; work of one side leaves the body; the body broadcasts over t and s.

!q = tensor<?x4x8xf32, #rondo.axes<[t, h, k]>>
!k = tensor<?x2x8xf32, #rondo.axes<[t, g, k]>>
!v = tensor<?x2x8xf32, #rondo.axes<[t, g, v]>>
!y = tensor<?x4x8xf32, #rondo.axes<[t, h, v]>>
!d = tensor<?xf32, #rondo.axes<[t]>>
!q1 = tensor<4x8xf32, #rondo.axes<[h, k]>>
!k1 = tensor<2x8xf32, #rondo.axes<[g, k]>>
!v1 = tensor<2x8xf32, #rondo.axes<[g, v]>>
!kh = tensor<4x8xf32, #rondo.axes<[h, k]>>
!vh = tensor<4x8xf32, #rondo.axes<[h, v]>>
!s1 = tensor<4xf32, #rondo.axes<[h]>>
!pos = tensor<f32>
!truth = tensor<i1>

// CHECK: #[[GROUPS:.*]] = affine_map<(d0, d1, d2) -> (d0, d1 floordiv 2, d2)>
// CHECK-LABEL: @causal_window_with_groups
// CHECK-SAME: (%[[Q:.*]]: {{.*}}, %[[K:.*]]: {{.*}}, %[[V:.*]]: {{.*}})
func.func @causal_window_with_groups(%q: !q, %k: !k, %v: !v) -> !y {
  // The scaled query is computed once a token; the repeated key is not, since that would grow the cache (a view costs nothing inside).
  // CHECK: %[[SCALED:.*]] = rondo.map mul(%[[Q]], %{{.*}}) : {{.*}} -> tensor<?x4x8xf32, #rondo.axes<[t, h, k]>>
  // CHECK: rondo.attend softmax "attn" causal window 16 queries(%[[SCALED]] : {{.*}}) keys(%[[K]], %[[V]] :
  // CHECK-SAME: body(%{{.*}}, %{{.*}}, %[[QT:.*]], %[[KS:.*]], %[[VS:.*]]) {
  // CHECK: rondo.view %[[KS]] by #[[GROUPS]] : {{.*}} -> tensor<?x4x8xf32, #rondo.axes<[s, h, k]>>
  // CHECK: rondo.contract %[[QT]], %{{.*}} over [k] : {{.*}} -> tensor<?x?x4xf32, #rondo.axes<[t, s, h]>>
  // CHECK: rondo.constant dense<true> : tensor<i1>
  // CHECK-NOT: rondo.over
  %y = rondo.over softmax "attn" queries(%q : !q) keys(%k, %v : !k, !v) -> !y body(%t, %s, %q_t, %k_s, %v_s) {
    %c = rondo.constant dense<0.5> : !pos
    %w = rondo.constant dense<16.0> : !pos
    %scaled = rondo.map mul(%q_t, %c) : (!q1, !pos) -> !q1
    %kk = rondo.view %k_s by affine_map<(h, k) -> (h floordiv 2, k)> : !k1 -> !kh
    %vv = rondo.view %v_s by affine_map<(h, v) -> (h floordiv 2, v)> : !v1 -> !vh
    %score = rondo.contract %scaled, %kk over [k] : !q1, !kh -> !s1
    %causal = rondo.map le(%s, %t) : (!pos, !pos) -> !truth
    %distance = rondo.map sub(%t, %s) : (!pos, !pos) -> !pos
    %near = rondo.map lt(%distance, %w) : (!pos, !pos) -> !truth
    %p = rondo.map and(%causal, %near) : (!truth, !truth) -> !truth
    rondo.yield () (%p, %score, %vv : !truth, !s1, !vh)
  }
  return %y : !y
}

// CHECK-LABEL: @documents_stay_as_residual
func.func @documents_stay_as_residual(%q: !d, %doc: !d) -> !d {
  // CHECK: rondo.attend sum "docs" causal queries(
  // CHECK: %[[SAME:.*]] = rondo.map eq(%{{.*}}, %{{.*}}) : {{.*}} -> tensor<?x?xi1, #rondo.axes<[t, s]>>
  // CHECK: rondo.yield() (%[[SAME]],
  %y = rondo.over sum "docs" queries(%q, %doc : !d, !d) keys(%q, %doc : !d, !d) -> !d body(%t, %s, %q_t, %doc_t, %q_s, %doc_s) {
    %zero = rondo.constant dense<0.0> : !pos
    %causal = rondo.map le(%s, %t) : (!pos, !pos) -> !truth
    %same = rondo.map eq(%doc_t, %doc_s) : (!pos, !pos) -> !truth
    %p = rondo.map and(%same, %causal) : (!truth, !truth) -> !truth
    %v = rondo.map mul(%q_t, %q_s) : (!pos, !pos) -> !pos
    rondo.yield () (%p, %zero, %v : !truth, !pos, !pos)
  }
  return %y : !d
}

// CHECK-LABEL: @strictly_earlier_tokens_keep_their_predicate
func.func @strictly_earlier_tokens_keep_their_predicate(%x: !d) -> !d {
  // CHECK: rondo.attend sum "before" causal keys(
  // CHECK: rondo.map lt(
  %y = rondo.over sum "before" queries(%x : !d) keys(%x : !d) -> !d body(%t, %s, %x_t, %x_s) {
    %zero = rondo.constant dense<0.0> : !pos
    %p = rondo.map lt(%s, %t) : (!pos, !pos) -> !truth
    rondo.yield () (%p, %zero, %x_s : !truth, !pos, !pos)
  }
  return %y : !d
}

// CHECK-LABEL: @no_predicate_is_bidirectional
func.func @no_predicate_is_bidirectional(%x: !d) -> !d {
  // CHECK: rondo.attend sum "all" keys(
  %y = rondo.over sum "all" queries(%x : !d) keys(%x : !d) -> !d body(%t, %s, %x_t, %x_s) {
    %zero = rondo.constant dense<0.0> : !pos
    %p = rondo.constant dense<true> : !truth
    rondo.yield () (%p, %zero, %x_s : !truth, !pos, !pos)
  }
  return %y : !d
}

// CHECK-LABEL: @key_side_work_is_cached
func.func @key_side_work_is_cached(%x: !d) -> !d {
  // CHECK: %[[P:.*]] = rondo.position
  // CHECK: %[[KEY:.*]] = rondo.map add(%{{.*}}, %[[P]])
  // CHECK: %[[E:.*]] = rondo.map exp(%[[KEY]])
  // CHECK: rondo.attend sum "all" keys(%[[E]] :
  %y = rondo.over sum "all" queries(%x : !d) keys(%x : !d) -> !d body(%t, %s, %x_t, %x_s) {
    %zero = rondo.constant dense<0.0> : !pos
    %p = rondo.constant dense<true> : !truth
    %a = rondo.map add(%x_s, %s) : (!pos, !pos) -> !pos
    %e = rondo.map exp(%a) : (!pos) -> !pos
    rondo.yield () (%p, %zero, %e : !truth, !pos, !pos)
  }
  return %y : !d
}

// CHECK-LABEL: @axis_named_like_the_key_block_is_renamed
func.func @axis_named_like_the_key_block_is_renamed(%x: tensor<?x2xf32, #rondo.axes<[t, s]>>) -> tensor<?x2xf32, #rondo.axes<[t, s]>> {
  // CHECK: %[[E:.*]] = rondo.map exp({{.*}} -> tensor<?x2xf32, #rondo.axes<[t, s0]>>
  // CHECK: rondo.attend sum "all" keys(%[[E]] : {{.*}}) -> tensor<?x2xf32, #rondo.axes<[t, s0]>>
  // CHECK: rondo.view %{{.*}} -> tensor<?x2xf32, #rondo.axes<[t, s]>>
  %y = rondo.over sum "all" keys(%x : tensor<?x2xf32, #rondo.axes<[t, s]>>) -> tensor<?x2xf32, #rondo.axes<[t, s]>> body(%t, %s, %x_s) {
    %zero = rondo.constant dense<0.0> : !pos
    %p = rondo.constant dense<true> : !truth
    %e = rondo.map exp(%x_s) : (tensor<2xf32, #rondo.axes<[s]>>) -> tensor<2xf32, #rondo.axes<[s]>>
    rondo.yield () (%p, %zero, %e : !truth, !pos, tensor<2xf32, #rondo.axes<[s]>>)
  }
  return %y : tensor<?x2xf32, #rondo.axes<[t, s]>>
}

// CHECK-LABEL: @a_filter_of_the_lag_bounds_the_window
func.func @a_filter_of_the_lag_bounds_the_window(%x: tensor<?x2xf32, #rondo.axes<[t, d]>>, %filter: tensor<5x2xf32, #rondo.axes<[l, d]>>) -> tensor<?x2xf32, #rondo.axes<[t, d]>> {
  // No predicate asks for it: beyond the table's five lags, and before the token, the factor is 0.
  // CHECK: rondo.attend sum "conv" causal window 5 keys(
  // CHECK: %[[LAG:.*]] = rondo.map sub(
  // CHECK: rondo.gather %{{.*}}[%[[LAG]]] along l : {{.*}} -> tensor<?x?x2xf32, #rondo.axes<[t, s, d]>>
  // CHECK-NOT: rondo.contract
  %y = rondo.over sum "conv" keys(%x : tensor<?x2xf32, #rondo.axes<[t, d]>>) shared(%filter : tensor<5x2xf32, #rondo.axes<[l, d]>>) -> tensor<?x2xf32, #rondo.axes<[t, d]>> body(%t, %s, %x_s, %f) {
    %zero = rondo.constant dense<0.0> : !pos
    %one = rondo.constant dense<1.0> : !pos
    %p = rondo.constant dense<true> : !truth
    %lag = rondo.map sub(%t, %s) : (!pos, !pos) -> !pos
    %l = rondo.index : tensor<5xf32, #rondo.axes<[l]>>
    %at = rondo.map eq(%l, %lag) : (tensor<5xf32, #rondo.axes<[l]>>, !pos) -> tensor<5xi1, #rondo.axes<[l]>>
    %hot = rondo.map select(%at, %one, %zero) : (tensor<5xi1, #rondo.axes<[l]>>, !pos, !pos) -> tensor<5xf32, #rondo.axes<[l]>>
    %w = rondo.contract %hot, %f over [l] : tensor<5xf32, #rondo.axes<[l]>>, tensor<5x2xf32, #rondo.axes<[l, d]>> -> tensor<2xf32, #rondo.axes<[d]>>
    %v = rondo.map mul(%w, %x_s) : (tensor<2xf32, #rondo.axes<[d]>>, tensor<2xf32, #rondo.axes<[d]>>) -> tensor<2xf32, #rondo.axes<[d]>>
    rondo.yield () (%p, %zero, %v : !truth, !pos, tensor<2xf32, #rondo.axes<[d]>>)
  }
  return %y : tensor<?x2xf32, #rondo.axes<[t, d]>>
}

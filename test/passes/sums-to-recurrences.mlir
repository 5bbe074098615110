// RUN: rondo-opt %s -rondo-sums-to-recurrences -split-input-file 2>/dev/null | FileCheck %s
// RUN: rondo-opt %s '-rondo-sums-to-recurrences=forms=*=sum' -split-input-file 2>/dev/null | FileCheck %s --check-prefix=ASKED

// A sum over earlier tokens of products of a part of t and a part of s is a recurrence: the parts of s add up.

!qk = tensor<?x4xf32, #rondo.axes<[t, k]>>
!qv = tensor<?x3xf32, #rondo.axes<[t, v]>>
!k = tensor<4xf32, #rondo.axes<[k]>>
!v = tensor<3xf32, #rondo.axes<[v]>>
!kv = tensor<4x3xf32, #rondo.axes<[k, v]>>

// CHECK-LABEL: @linear_attention
// CHECK: rondo.recur "attn" inputs(%arg0, %arg1, %arg2 {{.*}}states("sum" = %{{.*}} : tensor<4x3xf32, #rondo.axes<[k, v]>>){{.*}}body(%[[Q:.*]], %[[K:.*]], %[[V:.*]], %[[S:.*]]) {
// CHECK: %[[KV:.*]] = rondo.map mul(%[[K]], %[[V]])
// CHECK: %[[NEW:.*]] = rondo.map add(%[[S]], %[[KV]])
// CHECK: %[[Y:.*]] = rondo.contract %[[Q]], %[[NEW]] over [k]
// CHECK: rondo.yield(%[[NEW]] : {{.*}}) (%[[Y]] :
// ASKED-LABEL: @linear_attention
// ASKED: rondo.over sum "attn"
func.func @linear_attention(%q: !qk, %key: !qk, %val: !qv) -> !qv {
  %y = rondo.over sum "attn" queries(%q : !qk) keys(%key, %val : !qk, !qv) -> !qv body(%t, %s, %q_t, %k_s, %v_s) {
    %seen = rondo.map le(%s, %t) : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %zero = rondo.constant dense<0.0> : tensor<f32>
    %w = rondo.contract %q_t, %k_s over [k] : !k, !k -> tensor<f32>
    %p = rondo.map mul(%w, %v_s) : (tensor<f32>, !v) -> !v
    rondo.yield () (%seen, %zero, %p : tensor<i1>, tensor<f32>, !v)
  }
  return %y : !qv
}

// -----

// A square of a dot product is a sum over two names.

!qk = tensor<?x4xf32, #rondo.axes<[t, k]>>
!t = tensor<?xf32, #rondo.axes<[t]>>
!k = tensor<4xf32, #rondo.axes<[k]>>

// CHECK-LABEL: @squared_kernel
// CHECK: rondo.recur "attn"{{.*}}states("sum" = %{{.*}} : tensor<4x4xf32, #rondo.axes<[k, k_1]>>)
// CHECK: rondo.contract %{{.*}}, %{{.*}} over [k, k_1]
func.func @squared_kernel(%q: !qk, %key: !qk) -> !t {
  %y = rondo.over sum "attn" queries(%q : !qk) keys(%key : !qk) -> !t body(%t, %s, %q_t, %k_s) {
    %seen = rondo.map le(%s, %t) : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %zero = rondo.constant dense<0.0> : tensor<f32>
    %two = rondo.constant dense<2.0> : tensor<f32>
    %w = rondo.contract %q_t, %k_s over [k] : !k, !k -> tensor<f32>
    %p = rondo.map pow(%w, %two) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    rondo.yield () (%seen, %zero, %p : tensor<i1>, tensor<f32>, tensor<f32>)
  }
  return %y : !t
}

// -----

// A part of t alone over a sum of s, positions among them; what is subtracted stays so.

!t = tensor<?xf32, #rondo.axes<[t]>>

// CHECK-LABEL: @mean_distance
// CHECK: %[[POSITION:.*]] = rondo.position
// CHECK: rondo.recur "far" inputs(%arg0, %[[POSITION]] {{.*}}states("sum" = {{.*}}, "sum2" =
// CHECK: rondo.map sub(
func.func @mean_distance(%x: !t) -> !t {
  %y = rondo.over sum "far" queries() keys(%x : !t) -> !t body(%t, %s, %x_s) {
    %seen = rondo.map le(%s, %t) : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %zero = rondo.constant dense<0.0> : tensor<f32>
    %d = rondo.map sub(%t, %s) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    %p = rondo.map mul(%d, %x_s) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    rondo.yield () (%seen, %zero, %p : tensor<i1>, tensor<f32>, tensor<f32>)
  }
  return %y : !t
}

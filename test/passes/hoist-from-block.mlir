// RUN: rondo-opt %s -rondo-chunk-recurrences=forms=S=conv:4 -rondo-hoist-from-block -split-input-file | FileCheck %s

// What a block computes from parameters alone is computed before the scan, once: here the kernel of a convolution.

!u = tensor<?x2xf32, #rondo.axes<[t, d]>>
!dn = tensor<2x3xf32, #rondo.axes<[d, n]>>
!d = tensor<2xf32, #rondo.axes<[d]>>

// CHECK-LABEL: @a_static_recurrence_is_a_convolution
// CHECK: rondo.propagate %{{.*}}, %{{.*}} along c
// CHECK: %[[WEIGHTS:.*]] = rondo.view %{{.*}} -> tensor<{{.*}}#rondo.axes<[d, c_block, s]>>
// CHECK: rondo.scan "S" inputs({{.*}}%[[WEIGHTS]]
// CHECK: block(
// CHECK-NOT: rondo.propagate
// CHECK: rondo.contract %{{.*}}, %{{.*}} over [s]
// CHECK: return
func.func @a_static_recurrence_is_a_convolution(%u: !u, %a: !dn, %b: !dn, %c: !dn, %zero: !dn) -> !u {
  %y = rondo.recur "S" inputs(%u, %a, %b, %c : !u, !dn, !dn, !dn) states("S" = %zero : !dn) -> (!u) body(%u_t, %a_, %b_, %c_, %S) {
    %kept = rondo.map mul(%a_, %S) : (!dn, !dn) -> !dn
    %in = rondo.map mul(%b_, %u_t) : (!dn, !d) -> !dn
    %new = rondo.map add(%kept, %in) : (!dn, !dn) -> !dn
    %out = rondo.contract %new, %c_ over [n] : !dn, !dn -> !d
    rondo.yield (%new : !dn) (%out : !d)
  }
  return %y : !u
}

// -----

// A decay that changes with the token stays inside, and is no convolution.

!u = tensor<?x2xf32, #rondo.axes<[t, d]>>
!d = tensor<2xf32, #rondo.axes<[d]>>

// CHECK-LABEL: @a_moving_decay_stays
// CHECK: rondo.scan "S" inputs(%arg0, %arg1 : {{.*}}chunk 1 form "sequential"
func.func @a_moving_decay_stays(%u: !u, %a: !u, %zero: !d) -> !u {
  %y = rondo.recur "S" inputs(%u, %a : !u, !u) states("S" = %zero : !d) -> (!u) body(%u_t, %a_t, %S) {
    %kept = rondo.map mul(%a_t, %S) : (!d, !d) -> !d
    %new = rondo.map add(%kept, %u_t) : (!d, !d) -> !d
    rondo.yield (%new : !d) (%new : !d)
  }
  return %y : !u
}

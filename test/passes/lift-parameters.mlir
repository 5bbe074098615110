// RUN: rondo-opt %s -cse -rondo-lift-parameters | FileCheck %s

// Arithmetic on parameters alone moves from functions to their callers and ends in the entry as derived weights; views and what depends on a token stay.

!x = tensor<?x4xf32, #rondo.axes<[t, d]>>
!w = tensor<4xf32, #rondo.axes<[d]>>
!w2 = tensor<2x2xf32, #rondo.axes<[a, b]>>
!w4 = tensor<4x3xf32, #rondo.axes<[d, tap]>>

// CHECK-LABEL: func.func private @layer
// CHECK-SAME: (%[[X:.*]]: {{.*}}, %[[D:.*]]: tensor<4xf32, #rondo.axes<[d]>>)
// CHECK-NOT: rondo.constant
// CHECK: rondo.map mul(%[[X]], %[[D]])
func.func private @layer(%x: !x, %w: !w) -> !x {
  %one = rondo.constant dense<1.0> : tensor<f32>
  %scale = rondo.map add(%w, %one) : (!w, tensor<f32>) -> !w
  %y = rondo.map mul(%x, %scale) : (!x, !w) -> !x
  return %y : !x
}

// Views of parameters stay with their consumer.
// CHECK-LABEL: func.func private @view
// CHECK-SAME: (%[[X:.*]]: {{.*}}, %[[P:.*]]: tensor<2x2xf32, #rondo.axes<[a, b]>>)
// CHECK: %[[V:.*]] = rondo.view %[[P]]
// CHECK: rondo.map add(%[[X]], %[[V]])
func.func private @view(%x: !x, %p: !w2) -> !x {
  %v = rondo.view %p by affine_map<(d) -> (d floordiv 2, d mod 2)> : !w2 -> !w
  %y = rondo.map add(%x, %v) : (!x, !w) -> !x
  return %y : !x
}

// A view whose neighbours along its last axis are no neighbours in the parameter is stored in its own order.
// CHECK-LABEL: func.func private @column
// CHECK-SAME: (%[[X:.*]]: {{.*}}, %[[C:.*]]: tensor<4xf32, #rondo.axes<[d]>>)
// CHECK: rondo.map add(%[[X]], %[[C]])
func.func private @column(%x: !x, %p: !w4) -> !x {
  %v = rondo.view %p by affine_map<(d) -> (d, 1)> : !w4 -> !w
  %y = rondo.map add(%x, %v) : (!x, !w) -> !x
  return %y : !x
}

// CHECK-LABEL: func.func @forward
// CHECK: %[[P0:.*]] = rondo.param "layers.0.norm"
// CHECK: %[[D0:.*]] = rondo.map add(%[[P0]], %{{.*}}) {rondo.derived = "layers.0.norm.derived"}
// CHECK: rondo.call @layer(%{{.*}}, %[[D0]]) at "layers.0"
// CHECK: %[[D1:.*]] = rondo.map add(%{{.*}}, %{{.*}}) {rondo.derived = "layers.1.norm.derived"}
// CHECK: rondo.call @layer(%{{.*}}, %[[D1]]) at "layers.1"
// CHECK: rondo.call @view(%{{.*}}, %{{.*}}) at "tail"
// CHECK: %[[C:.*]] = rondo.view %{{.*}} by #{{.*}} {rondo.derived = "taps.derived"}
// CHECK: rondo.call @column(%{{.*}}, %[[C]]) at "conv"
func.func @forward(%x: !x {rondo.name = "x"}) -> (!x {rondo.name = "y"}) attributes {rondo.entry = "forward"} {
  %p0 = rondo.param "layers.0.norm" : !w
  %p1 = rondo.param "layers.1.norm" : !w
  %p2 = rondo.param "tail" : !w2
  %0 = rondo.call @layer(%x, %p0) at "layers.0" : (!x, !w) -> !x
  %1 = rondo.call @layer(%0, %p1) at "layers.1" : (!x, !w) -> !x
  %2 = rondo.call @view(%1, %p2) at "tail" : (!x, !w2) -> !x
  %taps = rondo.param "taps" : !w4
  %3 = rondo.call @column(%2, %taps) at "conv" : (!x, !w4) -> !x
  return %3 : !x
}

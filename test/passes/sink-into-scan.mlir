// RUN: rondo-opt %s -rondo-sink-into-scan | FileCheck %s

// A product of rows that the scan reads with one number a token moves into both bodies; one of rows that it does not read stays.

#td = #rondo.axes<[t, d]>
#d = #rondo.axes<[d]>
#cd = #rondo.axes<[c, d]>

// CHECK-LABEL: @products
// CHECK: %[[Z:.*]] = rondo.map mul(%arg2, %arg1)
// CHECK-NOT: rondo.map
// CHECK: rondo.scan "S" inputs(%arg0, %[[Z]], %arg1 :
// CHECK-SAME: token(%[[X:.*]], %{{.*}}, %[[B:.*]], %{{.*}}) {
// CHECK: rondo.map mul(%[[B]], %[[X]]) : (tensor<f32>, tensor<8xf32
// CHECK: block(%[[XC:.*]], %{{.*}}, %[[BC:.*]], %{{.*}}) {
// CHECK: rondo.map mul(%[[BC]], %[[XC]]) : (tensor<4xf32{{.*}}, tensor<4x8xf32
func.func @products(%x: tensor<?x8xf32, #td>, %b: tensor<?xf32, #rondo.axes<[t]>>, %z: tensor<?x8xf32, #td>) -> tensor<?x8xf32, #td> {
  %zero = rondo.constant dense<0.0> : tensor<8xf32, #d>
  %bx = rondo.map mul(%b, %x) : (tensor<?xf32, #rondo.axes<[t]>>, tensor<?x8xf32, #td>) -> tensor<?x8xf32, #td>
  %bz = rondo.map mul(%z, %b) : (tensor<?x8xf32, #td>, tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?x8xf32, #td>
  %y = rondo.scan "S" inputs(%x, %bx, %bz : tensor<?x8xf32, #td>, tensor<?x8xf32, #td>, tensor<?x8xf32, #td>) states("S" = %zero : tensor<8xf32, #d>) chunk 4 form "chunk" transition "none" -> (tensor<?x8xf32, #td>) token(%xt, %bxt, %bzt, %S) {
    %0 = rondo.map add(%S, %bxt) : (tensor<8xf32, #d>, tensor<8xf32, #d>) -> tensor<8xf32, #d>
    %1 = rondo.map mul(%0, %xt) : (tensor<8xf32, #d>, tensor<8xf32, #d>) -> tensor<8xf32, #d>
    %2 = rondo.map add(%1, %bzt) : (tensor<8xf32, #d>, tensor<8xf32, #d>) -> tensor<8xf32, #d>
    rondo.yield (%0 : tensor<8xf32, #d>) (%2 : tensor<8xf32, #d>)
  } block(%xc, %bxc, %bzc, %S) {
    %0 = rondo.cumsum %bxc along c : tensor<4x8xf32, #cd>
    %1 = rondo.map add(%0, %S) : (tensor<4x8xf32, #cd>, tensor<8xf32, #d>) -> tensor<4x8xf32, #cd>
    %2 = rondo.map mul(%1, %xc) : (tensor<4x8xf32, #cd>, tensor<4x8xf32, #cd>) -> tensor<4x8xf32, #cd>
    %3 = rondo.map add(%2, %bzc) : (tensor<4x8xf32, #cd>, tensor<4x8xf32, #cd>) -> tensor<4x8xf32, #cd>
    %4 = rondo.view %1 by affine_map<(d) -> (3, d)> : tensor<4x8xf32, #cd> -> tensor<8xf32, #d>
    rondo.yield (%4 : tensor<8xf32, #d>) (%3 : tensor<4x8xf32, #cd>)
  }
  return %y : tensor<?x8xf32, #td>
}

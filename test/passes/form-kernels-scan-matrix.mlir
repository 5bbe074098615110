// RUN: rondo-opt %s -rondo-form-kernels | FileCheck %s

#td = #rondo.axes<[t, d]>
#tn = #rondo.axes<[t, n]>
#dn = #rondo.axes<[d, n]>

// Reads sum over n, so that the state has d innermost in memory, and the matrix that meets it at every token has too; a vector has no other order.
// CHECK-LABEL: func.func @diagonal
// CHECK: func.func private @diagonal_scan(%arg0: tensor<?x32xf32, {{[^)]*}}, %arg2: tensor<32x4xf32, #rondo.axes<[d, n]>> {rondo.layout = "panels32"}, %arg3: tensor<32xf32, #rondo.axes<[d]>>)
// CHECK-SAME: order = array<i64: 1, 0>
func.func @diagonal(%x: tensor<?x32xf32, #td>, %c: tensor<?x4xf32, #tn>, %a: tensor<32x4xf32, #dn>, %w: tensor<32xf32, #rondo.axes<[d]>>) -> tensor<?x32xf32, #td> {
  %zero = rondo.constant dense<0.0> : tensor<32x4xf32, #dn>
  %y = rondo.scan "S" inputs(%x, %c, %a, %w : tensor<?x32xf32, #td>, tensor<?x4xf32, #tn>, tensor<32x4xf32, #dn>, tensor<32xf32, #rondo.axes<[d]>>) states("S" = %zero : tensor<32x4xf32, #dn>) chunk 1 form "sequential" transition "none" -> (tensor<?x32xf32, #td>) token(%xt, %ct, %at, %wt, %S) {
    %0 = rondo.map mul(%at, %S) : (tensor<32x4xf32, #dn>, tensor<32x4xf32, #dn>) -> tensor<32x4xf32, #dn>
    %1 = rondo.map mul(%wt, %xt) : (tensor<32xf32, #rondo.axes<[d]>>, tensor<32xf32, #rondo.axes<[d]>>) -> tensor<32xf32, #rondo.axes<[d]>>
    %2 = rondo.map add(%0, %1) : (tensor<32x4xf32, #dn>, tensor<32xf32, #rondo.axes<[d]>>) -> tensor<32x4xf32, #dn>
    %3 = rondo.contract %2, %ct over [n] : tensor<32x4xf32, #dn>, tensor<4xf32, #rondo.axes<[n]>> -> tensor<32xf32, #rondo.axes<[d]>>
    rondo.yield (%2 : tensor<32x4xf32, #dn>) (%3 : tensor<32xf32, #rondo.axes<[d]>>)
  }
  return %y : tensor<?x32xf32, #td>
}

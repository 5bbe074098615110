// RUN: rondo-opt %s -rondo-form-kernels | FileCheck %s

#tn = #rondo.axes<[t, n]>
#n = #rondo.axes<[n]>
#td = #rondo.axes<[t, d]>
#nd = #rondo.axes<[n, d]>

// A bias and a residual end a product where its sums are; rows of another product, and what a second reader takes, do not.
// CHECK-LABEL: func.func @residual
// CHECK: %[[V:.*]] = rondo.launch @residual_rows(%arg0)
// CHECK: %[[Y:.*]] = rondo.launch @residual_product(%arg0, %arg1, %arg3, %arg4)
// CHECK: %[[P:.*]]:2 = rondo.launch @residual_product{{.*}}(%[[V]], %arg1, %arg2)
// CHECK: %[[Z:.*]] = rondo.launch @residual_rows{{.*}}(%[[P]]#0, %[[P]]#1)
// CHECK: return %[[Y]], %[[Z]]
// CHECK: func.func private @residual_product(
// CHECK: %[[C:.*]] = rondo.contract
// CHECK: %[[B:.*]] = rondo.map add(%[[C]], %arg2)
// CHECK: %[[R:.*]] = rondo.map add(%arg3, %[[B]])
// CHECK: return %[[R]]
func.func @residual(%x: tensor<?x64xf32, #td>, %w: tensor<32x64xf32, #nd>, %w2: tensor<32x64xf32, #nd>, %bias: tensor<32xf32, #n>, %h: tensor<?x32xf32, #tn>) -> (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) {
  %p = rondo.contract %x, %w over [d] : tensor<?x64xf32, #td>, tensor<32x64xf32, #nd> -> tensor<?x32xf32, #tn>
  %b = rondo.map add(%p, %bias) : (tensor<?x32xf32, #tn>, tensor<32xf32, #n>) -> tensor<?x32xf32, #tn>
  %y = rondo.map add(%h, %b) : (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  %v = rondo.map neg(%x) : (tensor<?x64xf32, #td>) -> tensor<?x64xf32, #td>
  %q = rondo.contract %v, %w over [d] : tensor<?x64xf32, #td>, tensor<32x64xf32, #nd> -> tensor<?x32xf32, #tn>
  %r = rondo.contract %v, %w2 over [d] : tensor<?x64xf32, #td>, tensor<32x64xf32, #nd> -> tensor<?x32xf32, #tn>
  %s = rondo.map mul(%q, %r) : (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  %z = rondo.map add(%s, %q) : (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  return %y, %z : tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>
}

// RUN: rondo-opt %s -rondo-form-kernels | FileCheck %s

// A convolution's rows are in memory for the tokens that look back at them, and are read there for their own token too: what is made of them with one multiplication is made where it is read.

#td = #rondo.axes<[t, d]>
#tn = #rondo.axes<[t, n]>
#n = #rondo.axes<[n]>

// CHECK-LABEL: func.func @convolved
// CHECK: %[[X:.*]] = rondo.launch @convolved_rows(%arg0)
// CHECK: %[[Y:.*]] = rondo.launch @convolved_rows_0(%[[X]], %arg2, %arg1)
// CHECK: return %[[Y]]
// CHECK: func.func private @convolved_rows(
// CHECK-NOT: rondo.map
// CHECK: func.func private @convolved_rows_0
// CHECK: rondo.shift
// CHECK-COUNT-2: rondo.map mul
// CHECK: rondo.map add
func.func @convolved(%wide: tensor<?x64xf32, #td>, %near: tensor<32xf32, #n>, %far: tensor<32xf32, #n>) -> tensor<?x32xf32, #tn> {
  %x = rondo.view %wide by affine_map<(d) -> (d + 32)> : tensor<?x64xf32, #td> -> tensor<?x32xf32, #tn>
  %now = rondo.map mul(%near, %x) : (tensor<32xf32, #n>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  %before = rondo.shift %x by 1 "x" : tensor<?x32xf32, #tn>
  %then = rondo.map mul(%far, %before) : (tensor<32xf32, #n>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  %y = rondo.map add(%now, %then) : (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  return %y : tensor<?x32xf32, #tn>
}

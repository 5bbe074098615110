// RUN: rondo-opt %s -rondo-form-kernels | FileCheck %s

#tn = #rondo.axes<[t, n]>
#n = #rondo.axes<[n]>

// What ends a token loop number by number, with a weight and rows that it reads anyway, is done in it; rows that it does not read stay outside.
// CHECK-LABEL: func.func @ended
// CHECK: %[[E:.*]] = rondo.launch @ended_scan(%arg0, %arg2)
// CHECK: %[[F:.*]] = rondo.launch @ended_scan{{.*}}(%arg0)
// CHECK: %[[G:.*]] = rondo.launch @ended_rows(%[[F]], %arg1)
// CHECK: return %[[E]], %[[G]]
// CHECK: func.func private @ended_scan
// CHECK: rondo.scan
// CHECK: %[[M:.*]] = rondo.map mul
// CHECK: %[[S:.*]] = rondo.map add({{.*}}, %[[M]])
// CHECK: return %[[S]]
func.func @ended(%x: tensor<?x32xf32, #tn>, %z: tensor<?x32xf32, #tn>, %w: tensor<32xf32, #n>) -> (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) {
  %zero = rondo.constant dense<0.0> : tensor<32xf32, #n>
  %s = rondo.scan "S" inputs(%x : tensor<?x32xf32, #tn>) states("S" = %zero : tensor<32xf32, #n>) chunk 1 form "sequential" transition "none" -> (tensor<?x32xf32, #tn>) token(%xt, %S) {
    %0 = rondo.map add(%S, %xt) : (tensor<32xf32, #n>, tensor<32xf32, #n>) -> tensor<32xf32, #n>
    rondo.yield (%0 : tensor<32xf32, #n>) (%0 : tensor<32xf32, #n>)
  }
  %wx = rondo.map mul(%w, %x) : (tensor<32xf32, #n>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  %y = rondo.map add(%s, %wx) : (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  %r = rondo.scan "R" inputs(%x : tensor<?x32xf32, #tn>) states("R" = %zero : tensor<32xf32, #n>) chunk 1 form "sequential" transition "none" -> (tensor<?x32xf32, #tn>) token(%xt, %R) {
    %0 = rondo.map sub(%R, %xt) : (tensor<32xf32, #n>, tensor<32xf32, #n>) -> tensor<32xf32, #n>
    rondo.yield (%0 : tensor<32xf32, #n>) (%0 : tensor<32xf32, #n>)
  }
  %u = rondo.map mul(%r, %z) : (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  return %y, %u : tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>
}

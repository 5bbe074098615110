// RUN: rondo-opt %s -rondo-form-kernels | FileCheck %s
// RUN: rondo-opt %s -rondo-form-kernels="weights=pairs32" | FileCheck %s --check-prefix=PAIRS
// RUN: rondo-opt %s -rondo-form-kernels="integers=nibbles32" | FileCheck %s --check-prefix=INTEGERS

// A layer becomes launches: the products of the same rows with their packed weights, then one kernel for the row-wise rest, then the scan; equal kernels are one.

#td = #rondo.axes<[t, d]>
#tn = #rondo.axes<[t, n]>
#d = #rondo.axes<[d]>
#n = #rondo.axes<[n]>
#nd = #rondo.axes<[n, d]>

// CHECK-LABEL: func.func @layer
// CHECK: %[[P:.*]]:2 = rondo.launch @layer_product(%arg0, %arg1, %arg2)
// CHECK: %[[R:.*]] = rondo.launch @layer_rows(%[[P]]#0, %[[P]]#1)
// CHECK: %[[S:.*]] = rondo.launch @layer_scan(%[[R]])
// CHECK: %[[Y:.*]] = rondo.launch @layer_rows{{.*}}(%[[R]], %[[S]])
// CHECK: return %[[Y]]
func.func @layer(%x: tensor<?x64xf32, #td>, %w: tensor<32x64xf32, #nd>, %w2: tensor<32x64xf32, #nd>) -> tensor<?x32xf32, #tn> {
  %p = rondo.contract %x, %w over [d] : tensor<?x64xf32, #td>, tensor<32x64xf32, #nd> -> tensor<?x32xf32, #tn>
  %q = rondo.contract %x, %w2 over [d] : tensor<?x64xf32, #td>, tensor<32x64xf32, #nd> -> tensor<?x32xf32, #tn>
  %r = rondo.map mul(%p, %q) : (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  %zero = rondo.constant dense<0.0> : tensor<32xf32, #n>
  %s = rondo.scan "S" inputs(%r : tensor<?x32xf32, #tn>) states("S" = %zero : tensor<32xf32, #n>) chunk 1 form "sequential" transition "none" -> (tensor<?x32xf32, #tn>) token(%rt, %S) {
    %0 = rondo.map add(%S, %rt) : (tensor<32xf32, #n>, tensor<32xf32, #n>) -> tensor<32xf32, #n>
    rondo.yield (%0 : tensor<32xf32, #n>) (%0 : tensor<32xf32, #n>)
  }
  %1 = rondo.shift %r by 1 "a" : tensor<?x32xf32, #tn>
  %2 = rondo.shift %r by 3 "b" : tensor<?x32xf32, #tn>
  %3 = rondo.map add(%1, %2) : (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  %y = rondo.map add(%s, %3) : (tensor<?x32xf32, #tn>, tensor<?x32xf32, #tn>) -> tensor<?x32xf32, #tn>
  return %y : tensor<?x32xf32, #tn>
}

// A call is a boundary, and what it reads is in memory: a view in front of it is computed.
// CHECK-LABEL: func.func @calls
// CHECK: %[[V:.*]] = rondo.launch @calls_rows(%arg0)
// CHECK: rondo.call @layer(%[[V]], %arg1, %arg2) at "layers.0"
func.func @calls(%x: tensor<?x128xf32, #td>, %w: tensor<32x64xf32, #nd>, %w2: tensor<32x64xf32, #nd>) -> tensor<?x32xf32, #tn> {
  %half = rondo.view %x by affine_map<(d) -> (d + 64)> : tensor<?x128xf32, #td> -> tensor<?x64xf32, #td>
  %y = rondo.call @layer(%half, %w, %w2) at "layers.0" : (tensor<?x64xf32, #td>, tensor<32x64xf32, #nd>, tensor<32x64xf32, #nd>) -> tensor<?x32xf32, #tn>
  return %y : tensor<?x32xf32, #tn>
}

// PAIRS: func.func private @layer_product({{.*}}, {{.*}} {rondo.layout = "pairs32"}, {{.*}} {rondo.layout = "pairs32"})
// CHECK-DAG: func.func private @layer_product({{.*}}, {{.*}} {rondo.layout = "panels32"}, {{.*}} {rondo.layout = "panels32"}) {{.*}} attributes {rondo.kernel = "product"}
// CHECK-DAG: func.func private @layer_scan({{.*}} attributes {rondo.kernel = "scan", rondo.state_info = [{{.*}}kind = "fixed"{{.*}}], rondo.states = ["S"]}
// The shifts share the longer tail.
// CHECK-DAG: rondo.state_info = [{init = -1 : i64, kind = "tail", source = {{[01]}} : i64, tokens = 3 : i64, type = tensor<32xf32, {{.*}}>}], rondo.states = ["b"]

// A rounding of rows goes into the product that reads it, and that product's matrix alone is of integers: the same rows as they are meet a kernel of their own.
// INTEGERS: func.func private @rounded_product({{.*}} {rondo.layout = "nibbles32"})
// INTEGERS: rondo.round
// INTEGERS: func.func private @rounded_product{{_[0-9]+}}({{.*}} {rondo.layout = "panels32"})
// INTEGERS-NOT: rondo.round
// INTEGERS: return
func.func @rounded(%x: tensor<?x64xf32, #rondo.axes<[t, d]>>) -> (tensor<?x16xf32, #rondo.axes<[t, n]>>, tensor<?x16xf32, #rondo.axes<[t, n]>>) {
  %w = rondo.param "rounded.w" : tensor<16x64xf32, #rondo.axes<[n, d]>>
  %r = rondo.round %x along d by 32 : tensor<?x64xf32, #rondo.axes<[t, d]>>
  %0 = rondo.contract %r, %w over [d] : tensor<?x64xf32, #rondo.axes<[t, d]>>, tensor<16x64xf32, #rondo.axes<[n, d]>> -> tensor<?x16xf32, #rondo.axes<[t, n]>>
  %1 = rondo.contract %x, %w over [d] : tensor<?x64xf32, #rondo.axes<[t, d]>>, tensor<16x64xf32, #rondo.axes<[n, d]>> -> tensor<?x16xf32, #rondo.axes<[t, n]>>
  return %0, %1 : tensor<?x16xf32, #rondo.axes<[t, n]>>, tensor<?x16xf32, #rondo.axes<[t, n]>>
}

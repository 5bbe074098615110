// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[[[16777216,1,1]]]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f32 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefixes=BOTH,F32
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefixes=BOTH,F64

// In f32 sums are added in f32 in index order: 2^24 + 1 + 1 stays 2^24. Integers are not rounded: 2^24 + 1 survives as an id.

// F32: dot F32 [1, 1] 16777216
// F64: dot F64 [1, 1] 16777218
// BOTH: id I64 [1] 16777217
// F32: sum F32 [1, 1] 16777216
// F64: sum F64 [1, 1] 16777218

func.func @forward(%x: tensor<?x3xf32, #rondo.axes<[t, d]>> {rondo.name = "x"})
    -> (tensor<?xf32, #rondo.axes<[t]>> {rondo.name = "sum"}, tensor<?xf32, #rondo.axes<[t]>> {rondo.name = "dot"}, tensor<1xi64, #rondo.axes<[d]>> {rondo.name = "id"}) {
  %0 = rondo.reduce sum %x over [d] : tensor<?x3xf32, #rondo.axes<[t, d]>> -> tensor<?xf32, #rondo.axes<[t]>>
  %ones = rondo.constant dense<1.0> : tensor<3xf32, #rondo.axes<[d]>>
  %1 = rondo.contract %x, %ones over [d] : tensor<?x3xf32, #rondo.axes<[t, d]>>, tensor<3xf32, #rondo.axes<[d]>> -> tensor<?xf32, #rondo.axes<[t]>>
  %2 = rondo.constant dense<16777217> : tensor<1xi64, #rondo.axes<[d]>>
  return %0, %1, %2 : tensor<?xf32, #rondo.axes<[t]>>, tensor<?xf32, #rondo.axes<[t]>>, tensor<1xi64, #rondo.axes<[d]>>
}

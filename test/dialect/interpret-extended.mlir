// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F64:[[[9007199254740992,1,1,-9007199254740992]]]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefixes=F64
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --extended && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefixes=EXTENDED

// In extended precision nothing is rounded to f64 on the way: 2^53 + 1 + 1 - 2^53 is 2, and exp(1000) is a number.

// F64: ratio F64 [1] nan
// F64: sum F64 [1, 1] 0
// EXTENDED: ratio F64 [1] 1
// EXTENDED: sum F64 [1, 1] 2

func.func @forward(%x: tensor<?x4xf32, #rondo.axes<[t, d]>> {rondo.name = "x"})
    -> (tensor<?xf32, #rondo.axes<[t]>> {rondo.name = "sum"}, tensor<1xf32, #rondo.axes<[d]>> {rondo.name = "ratio"}) {
  %0 = rondo.reduce sum %x over [d] : tensor<?x4xf32, #rondo.axes<[t, d]>> -> tensor<?xf32, #rondo.axes<[t]>>
  %1 = rondo.constant dense<1000.0> : tensor<1xf32, #rondo.axes<[d]>>
  %2 = rondo.map exp(%1) : (tensor<1xf32, #rondo.axes<[d]>>) -> tensor<1xf32, #rondo.axes<[d]>>
  %3 = rondo.map div(%2, %2) : (tensor<1xf32, #rondo.axes<[d]>>, tensor<1xf32, #rondo.axes<[d]>>) -> tensor<1xf32, #rondo.axes<[d]>>
  return %0, %3 : tensor<?xf32, #rondo.axes<[t]>>, tensor<1xf32, #rondo.axes<[d]>>
}

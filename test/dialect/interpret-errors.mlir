// RUN: %python %S/Inputs/tensors.py write %t.in 'ids=I64:[[2,3]]' 'x=F32:[[1,2]]'
// RUN: rm -f %t.out

// Wrong input is refused with place, expected and found; nothing is written.

// RUN: not rondo-interp %s --inputs %t.in --outputs %t.out --entry gather 2>&1 | FileCheck %s --check-prefix=GATHER
// GATHER: interpret-errors.mlir:[[#@LINE+40]]:8: rondo.gather: index 3 is outside [0, 3)
// RUN: not rondo-interp %s --inputs %t.in --outputs %t.out --entry parameter 2>&1 | FileCheck %s --check-prefix=PARAM
// PARAM: rondo.param: no parameter 'w'
// RUN: not rondo-interp %s --inputs %t.in --outputs %t.out --entry nothing 2>&1 | FileCheck %s --check-prefix=ENTRY
// ENTRY: interpret-errors.mlir: expected an entry 'nothing', found gather, parameter, sum, foreign, external, endless

// RUN: %python %S/Inputs/tensors.py write %t.w 'w=F32:[1,2,3]'
// RUN: not rondo-interp %s --inputs %t.in --outputs %t.out --entry parameter --params %t.w 2>&1 | FileCheck %s --check-prefix=SHAPE
// SHAPE: rondo.param: parameter 'w': expected shape [2], found [3]

// RUN: %python %S/Inputs/tensors.py write %t.bad 'x=F32:[[[1,2]]]'
// RUN: not rondo-interp %s --inputs %t.bad --outputs %t.out --entry sum 2>&1 | FileCheck %s --check-prefix=RANK
// RANK: x: expected shape [1, 1], found [1, 1, 2]
// RUN: %python %S/Inputs/tensors.py write %t.bad 'y=F32:[[1]]' 'lengths=I64:[1]'
// RUN: not rondo-interp %s --inputs %t.bad --outputs %t.out --entry sum 2>&1 | FileCheck %s --check-prefix=NAME
// NAME: expected a tensor 'x', found none
// RUN: %python %S/Inputs/tensors.py write %t.bad 'x=F32:[1]' 'lengths=I64:[-1]'
// RUN: not rondo-interp %s --inputs %t.bad --outputs %t.out --entry sum 2>&1 | FileCheck %s --check-prefix=LENGTH
// LENGTH: lengths: expected numbers of tokens, found -1
// RUN: %python %S/Inputs/tensors.py write %t.bad 'x=F32:[[1]]' 'state.sum.S=F32:[[1,2]]'
// RUN: not rondo-interp %s --inputs %t.bad --outputs %t.out --entry sum 2>&1 | FileCheck %s --check-prefix=STATE
// STATE: rondo.recur: state 'sum.S': expected shape [], found [2]

// RUN: not rondo-interp %s --inputs %t.in --outputs %t.out --entry foreign 2>&1 | FileCheck %s --check-prefix=FOREIGN
// FOREIGN: func.call: has no meaning here
// RUN: not rondo-interp %s --inputs %t.in --outputs %t.out --entry endless 2>&1 | FileCheck %s --check-prefix=ENDLESS
// ENDLESS: rondo.call: calls of 'endless' do not end
// RUN: not rondo-interp %s --inputs %t.in --outputs %t.out --entry external 2>&1 | FileCheck %s --check-prefix=EXTERNAL
// EXTERNAL: rondo.call: function 'nobody' has no body
// RUN: not rondo-interp %t.none --inputs %t.in --outputs %t.out 2>&1 | FileCheck %s --check-prefix=FILE
// FILE: is no valid module
// RUN: not rondo-interp %S/Inputs/broken.mlir --inputs %t.in --outputs %t.out 2>&1 | FileCheck %s --check-prefix=BROKEN
// BROKEN: Inputs/broken.mlir:2:3: error: custom op 'rondo.nothing' is unknown
// BROKEN-NEXT: rondo.nothing
// BROKEN: is no valid module
// RUN: not ls %t.out

!t = tensor<?xf32, #rondo.axes<[t]>>
func.func @gather(%ids: tensor<?xi64, #rondo.axes<[t]>> {rondo.name = "ids"}) -> !t {
  %table = rondo.constant dense<1.0> : tensor<3xf32, #rondo.axes<[v]>>
  %0 = rondo.gather %table[%ids] along v : tensor<3xf32, #rondo.axes<[v]>>, tensor<?xi64, #rondo.axes<[t]>> -> !t
  return %0 : !t
}
func.func @parameter(%x: !t {rondo.name = "x"}) -> tensor<2xf32, #rondo.axes<[d]>> {
  %0 = rondo.param "w" : tensor<2xf32, #rondo.axes<[d]>>
  return %0 : tensor<2xf32, #rondo.axes<[d]>>
}
func.func @sum(%x: !t {rondo.name = "x"}) -> !t {
  %zero = rondo.constant dense<0.0> : tensor<f32>
  %y = rondo.recur "sum" inputs(%x : !t) states("S" = %zero : tensor<f32>) -> (!t) body(%x_t, %S) {
    rondo.yield (%x_t : tensor<f32>) (%S : tensor<f32>)
  }
  return %y : !t
}
func.func @foreign(%x: !t {rondo.name = "x"}) -> !t {
  %0 = func.call @sum(%x) : (!t) -> !t
  return %0 : !t
}
func.func private @nobody(%x: !t) -> !t
func.func @external(%x: !t {rondo.name = "x"}) -> !t {
  %0 = rondo.call @nobody(%x) at "a" : (!t) -> !t
  return %0 : !t
}
func.func @endless(%x: !t {rondo.name = "x"}) -> !t {
  %0 = rondo.call @endless(%x) at "a" : (!t) -> !t
  return %0 : !t
}

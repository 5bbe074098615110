// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[[1,2,3,4,5]]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s

// With `every 2` a body sees the state at the start of its group of two tokens; groups count from the sequence's first token, also in a later piece.

// CHECK: result0 F64 [1, 5] 0 0 3 3 10
// CHECK: state.sum.S F64 [1] 15
// CHECK: state.sum.S.start F64 [1] 10

// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[[6,7]]' 'state.sum.S=F64:[15]' 'state.sum.S.start=F64:[10]' 'state.position=I64:[5]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefix=NEXT
// NEXT: result0 F64 [1, 2] 10 21

func.func @forward(%x: tensor<?xf32, #rondo.axes<[t]>> {rondo.name = "x"}) -> tensor<?xf32, #rondo.axes<[t]>> {
  %zero = rondo.constant dense<0.0> : tensor<f32>
  %y = rondo.recur "sum" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero : tensor<f32>) every 2
      -> (tensor<?xf32, #rondo.axes<[t]>>) body(%x_t, %S, %start) {
    %new = rondo.map add(%S, %x_t) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    rondo.yield (%new : tensor<f32>) (%start : tensor<f32>)
  }
  return %y : tensor<?xf32, #rondo.axes<[t]>>
}

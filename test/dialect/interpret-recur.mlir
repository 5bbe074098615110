// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[[[1,10],[2,20],[3,30]],[[4,40],[5,50],[6,60]]]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s

// A recurrence carries its state from token to token, separately in each sequence: S = S / 2 + x.

// CHECK: result0 F64 [2, 3, 2] 1 10 2.5 25 4.25 42.5 4 40 7 70 9.5 95
// CHECK: state.ema.S F64 [2, 2] 4.25 42.5 9.5 95
// CHECK: state.position I64 [2] 3 3

// A second piece continues where the first ended.
// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[[[1,1]],[[2,2]]]' 'state.ema.S=F64:[[4.25,42.5],[9.5,95]]' 'state.position=I64:[3,3]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefix=NEXT

// NEXT: result0 F64 [2, 1, 2] 3.125 22.25 6.75 49.5
// NEXT: state.position I64 [2] 4 4

func.func @forward(%x: tensor<?x2xf32, #rondo.axes<[t, p]>> {rondo.name = "x"}) -> tensor<?x2xf32, #rondo.axes<[t, p]>> {
  %zero = rondo.constant dense<0.0> : tensor<2xf32, #rondo.axes<[p]>>
  %y = rondo.recur "ema" inputs(%x : tensor<?x2xf32, #rondo.axes<[t, p]>>) states("S" = %zero : tensor<2xf32, #rondo.axes<[p]>>)
      -> (tensor<?x2xf32, #rondo.axes<[t, p]>>) body(%x_t, %S) {
    %half = rondo.constant dense<0.5> : tensor<f32>
    %0 = rondo.map mul(%S, %half) : (tensor<2xf32, #rondo.axes<[p]>>, tensor<f32>) -> tensor<2xf32, #rondo.axes<[p]>>
    %1 = rondo.map add(%0, %x_t) : (tensor<2xf32, #rondo.axes<[p]>>, tensor<2xf32, #rondo.axes<[p]>>) -> tensor<2xf32, #rondo.axes<[p]>>
    rondo.yield (%1 : tensor<2xf32, #rondo.axes<[p]>>) (%1 : tensor<2xf32, #rondo.axes<[p]>>)
  }
  return %y : tensor<?x2xf32, #rondo.axes<[t, p]>>
}

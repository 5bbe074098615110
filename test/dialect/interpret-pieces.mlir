// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[1,2,3,4,5,6,7]' 'lengths=I64:[5,0,2]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 --token-bodies && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefix=TOKEN

// Packed sequences of 5, 0 and 2 tokens through a layer used at two scopes: each use has states of its own; the block body serves whole blocks of two tokens (it
// adds 1000 here, to be seen) and the token body the rest, or all tokens with --token-bodies.

// CHECK: final F64 [3] 4035 0 3019
// CHECK: result0 F64 [7] 2001 3004 4010 5020 4035 2006 3019
// CHECK: state.a.shifted F64 [3, 1] 5 0 7
// CHECK: state.a.total.S F64 [3] 15 0 13
// CHECK: state.b.shifted F64 [3, 1] 15 0 1013
// CHECK: state.position I64 [3] 5 0 2
// TOKEN: result0 F64 [7] 1 4 10 20 35 6 19

func.func private @layer(%x: tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> {
  %zero = rondo.constant dense<0.0> : tensor<f32>
  %old = rondo.shift %x by 1 "shifted" : tensor<?xf32, #rondo.axes<[t]>>
  %y = rondo.scan "total" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero : tensor<f32>) chunk 2 form "chunked" transition "none"
      -> (tensor<?xf32, #rondo.axes<[t]>>) token(%x_t, %S) {
    %new = rondo.map add(%S, %x_t) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    rondo.yield (%new : tensor<f32>) (%new : tensor<f32>)
  } block(%x_c, %S) {
    %sums = rondo.cumsum %x_c along c : tensor<2xf32, #rondo.axes<[c]>>
    %all = rondo.map add(%sums, %S) : (tensor<2xf32, #rondo.axes<[c]>>, tensor<f32>) -> tensor<2xf32, #rondo.axes<[c]>>
    %new = rondo.view %all by affine_map<() -> (1)> : tensor<2xf32, #rondo.axes<[c]>> -> tensor<f32>
    %mark = rondo.constant dense<1000.0> : tensor<f32>
    %marked = rondo.map add(%all, %mark) : (tensor<2xf32, #rondo.axes<[c]>>, tensor<f32>) -> tensor<2xf32, #rondo.axes<[c]>>
    rondo.yield (%new : tensor<f32>) (%marked : tensor<2xf32, #rondo.axes<[c]>>)
  }
  return %y : tensor<?xf32, #rondo.axes<[t]>>
}

func.func @forward(%x: tensor<?xf32, #rondo.axes<[t]>> {rondo.name = "x"})
    -> (tensor<?xf32, #rondo.axes<[t]>>, tensor<?xf32, #rondo.axes<[t]>> {rondo.name = "final"}) {
  %0 = rondo.call @layer(%x) at "a" : (tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>>
  %1 = rondo.call @layer(%0) at "b" : (tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>>
  %2 = rondo.last %1 : tensor<?xf32, #rondo.axes<[t]>>
  return %1, %2 : tensor<?xf32, #rondo.axes<[t]>>, tensor<?xf32, #rondo.axes<[t]>>
}

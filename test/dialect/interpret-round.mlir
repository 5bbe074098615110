// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[[[127,1,2.5,-127,0],[254,3,-0.125,0.0625,8]]]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 --unrounded && %python %S/Inputs/tensors.py print %t.out | FileCheck %s --check-prefix=UNROUNDED

// Groups of two: steps of 1, 1 and 0 in the first row (2.5 is halfway: to the even 2; no step, no number), of 2, 1/1016 and 8/127 in the second (3 is halfway between 2 and 4: to the even multiple).
// CHECK: result0 F64 [1, 2, 5] 127 1 2 -127 0 254 4 -0.12{{5|49999[0-9]*|50000[0-9]*}} 0.06299{{[0-9]*}} {{8$|7.99999|8.00000}}
// UNROUNDED: result0 F64 [1, 2, 5] 127 1 2.5 -127 0 254 3 -0.125 0.0625 8

#td = #rondo.axes<[t, d]>

func.func @round(%x: tensor<?x5xf32, #td> {rondo.name = "x"}) -> tensor<?x5xf32, #td> attributes {rondo.entry = "forward"} {
  %y = rondo.round %x along d by 2 : tensor<?x5xf32, #td>
  return %y : tensor<?x5xf32, #td>
}

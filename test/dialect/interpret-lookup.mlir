// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[[0,2,1.5,-1,3,1]]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s

// Rows of a table at real numbers: 0 beyond its ends and between its rows, where an integer id would be an error.
// CHECK: result0 F64 [1, 6, 2] 10 11 30 31 0 0 0 0 0 0 20 21

#t = #rondo.axes<[t]>
#vk = #rondo.axes<[v, k]>
#tk = #rondo.axes<[t, k]>

func.func @lookup(%x: tensor<?xf32, #t> {rondo.name = "x"}) -> tensor<?x2xf32, #tk> attributes {rondo.entry = "forward"} {
  %table = rondo.constant dense<[[10.0, 11.0], [20.0, 21.0], [30.0, 31.0]]> : tensor<3x2xf32, #vk>
  %y = rondo.gather %table[%x] along v : tensor<3x2xf32, #vk>, tensor<?xf32, #t> -> tensor<?x2xf32, #tk>
  return %y : tensor<?x2xf32, #tk>
}

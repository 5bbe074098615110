// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[[[1,2,3],[-4,5.5,0]]]' 'ids=I64:[[2,0]]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s

// Each array op by hand, on the rows [1 2 3] and [-4 5.5 0].

#td = #rondo.axes<[t, d]>
#d = #rondo.axes<[d]>
#t = #rondo.axes<[t]>
!td = tensor<?x3xf32, #td>
!t = tensor<?xf32, #t>
!d = tensor<3xf32, #d>
!s = tensor<f32>

func.func @forward(%x: !td {rondo.name = "x"}, %ids: tensor<?xi64, #t> {rondo.name = "ids"}) -> (
    // CHECK-DAG: broadcast F64 [1, 2, 3, 2] 10 20 20 40 30 60 -40 -80 55 110 0 0
    tensor<?x3x2xf32, #rondo.axes<[t, d, h]>> {rondo.name = "broadcast"},
    // CHECK-DAG: sum F64 [1, 2] 6 1.5
    !t {rondo.name = "sum"},
    // CHECK-DAG: max F64 [1, 2] 3 5.5
    !t {rondo.name = "max"},
    // CHECK-DAG: min F64 [1, 2] 1 -4
    !t {rondo.name = "min"},
    // CHECK-DAG: dot F64 [1, 2] 8 5.5
    !t {rondo.name = "dot"},
    // CHECK-DAG: reversed F64 [1, 2, 2] 3 2 0 5.5
    tensor<?x2xf32, #rondo.axes<[t, k]>> {rondo.name = "reversed"},
    // CHECK-DAG: sums F64 [1, 2, 3] 1 3 6 -4 1.5 1.5
    !td {rondo.name = "sums"},
    // CHECK-DAG: carried F64 [1, 2, 3] 1 4 11 -4 -2.5 -5
    !td {rondo.name = "carried"},
    // CHECK-DAG: solved F64 [1, 2, 3] 1 4 26 -4 -2.5 -24.5
    !td {rondo.name = "solved"},
    // CHECK-DAG: exchanged F64 [1, 2, 2, 3] 1 12 24 10 21 42 -4 -34.5 51 -40 51 -34.5
    tensor<?x2x3xf32, #rondo.axes<[t, i, d]>> {rondo.name = "exchanged"},
    // CHECK-DAG: joined F64 [1, 2, 4] 1 2 3 6 -4 5.5 0 1.5
    tensor<?x4xf32, #td> {rondo.name = "joined"},
    // CHECK-DAG: row F64 [1, 2, 2] 20 21 0 1
    tensor<?x2xf32, #rondo.axes<[t, k]>> {rondo.name = "row"},
    // CHECK-DAG: picked F64 [1, 2] 3 -4
    !t {rondo.name = "picked"},
    // CHECK-DAG: position F64 [1, 2] 0 1
    !t {rondo.name = "position"},
    // CHECK-DAG: positive BOOL [1, 2, 3] 1 1 1 0 1 0
    tensor<?x3xi1, #td> {rondo.name = "positive"},
    // CHECK-DAG: whole I64 [1, 2, 3] 1 2 3 -4 5 0
    tensor<?x3xi64, #td> {rondo.name = "whole"},
    // CHECK-DAG: remainder F64 [1, 2, 3] 1 0 1 0 1.5 0
    !td {rondo.name = "remainder"},
    // CHECK-DAG: halves I64 [1, 2, 3] 0 1 1 -2 2 0
    tensor<?x3xi64, #td> {rondo.name = "halves"},
    // CHECK-DAG: earlier F64 [1, 2, 3] 0 0 0 1 2 3
    !td {rondo.name = "earlier"},
    // CHECK-DAG: last F64 [1, 3] -4 5.5 0
    !td {rondo.name = "last"}) {
  %tens = rondo.constant dense<[10.0, 20.0]> : tensor<2xf32, #rondo.axes<[h]>>
  %broadcast = rondo.map mul(%x, %tens) : (!td, tensor<2xf32, #rondo.axes<[h]>>) -> tensor<?x3x2xf32, #rondo.axes<[t, d, h]>>
  %sum = rondo.reduce sum %x over [d] : !td -> !t
  %max = rondo.reduce max %x over [d] : !td -> !t
  %min = rondo.reduce min %x over [d] : !td -> !t
  %i = rondo.index : !d
  %dot = rondo.contract %x, %i over [d] : !td, !d -> !t
  %reversed = rondo.view %x by affine_map<(k) -> (2 - k)> : !td -> tensor<?x2xf32, #rondo.axes<[t, k]>>
  %sums = rondo.cumsum %x along d : !td
  %double = rondo.constant dense<2.0> : tensor<f32>
  %carried = rondo.propagate %double, %x along d : tensor<f32>, !td -> !td
  %below = rondo.constant dense<[[9.0, 9.0, 9.0], [2.0, 9.0, 9.0], [3.0, 5.0, 9.0]]> : tensor<3x3xf32, #rondo.axes<[d, j]>>
  %solved = rondo.solve %below, %x along d from j : tensor<3x3xf32, #rondo.axes<[d, j]>>, !td -> !td
  %scales = rondo.constant dense<[1.0, 10.0]> : tensor<2xf32, #rondo.axes<[i]>>
  %swap = rondo.constant dense<[[0.0, 1.0], [1.0, 0.0]]> : tensor<2x2xf32, #rondo.axes<[i, j]>>
  %scaled = rondo.map mul(%x, %scales) : (!td, tensor<2xf32, #rondo.axes<[i]>>) -> tensor<?x3x2xf32, #rondo.axes<[t, d, i]>>
  %exchanged = rondo.propagate %swap, %scaled along d mixing [i, j] : tensor<2x2xf32, #rondo.axes<[i, j]>>, tensor<?x3x2xf32, #rondo.axes<[t, d, i]>> -> tensor<?x2x3xf32, #rondo.axes<[t, i, d]>>
  %one = rondo.view %sums by affine_map<(d) -> (d + 2)> : !td -> tensor<?x1xf32, #td>
  %joined = rondo.concat %x, %one along d : (!td, tensor<?x1xf32, #td>) -> tensor<?x4xf32, #td>
  %table = rondo.constant dense<[[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]]> : tensor<3x2xf32, #rondo.axes<[v, k]>>
  %row = rondo.gather %table[%ids] along v : tensor<3x2xf32, #rondo.axes<[v, k]>>, tensor<?xi64, #t> -> tensor<?x2xf32, #rondo.axes<[t, k]>>
  %picked = rondo.pick %x[%ids] along d : !td, tensor<?xi64, #t> -> !t
  %position = rondo.position : !t
  %zero = rondo.constant dense<0.0> : !s
  %positive = rondo.map lt(%zero, %x) : (!s, !td) -> tensor<?x3xi1, #td>
  %whole = rondo.map convert(%x) : (!td) -> tensor<?x3xi64, #td>
  %two = rondo.constant dense<2.0> : !s
  %remainder = rondo.map mod(%x, %two) : (!td, !s) -> !td
  %itwo = rondo.constant dense<2> : tensor<i64>
  %halves = rondo.map div(%whole, %itwo) : (tensor<?x3xi64, #td>, tensor<i64>) -> tensor<?x3xi64, #td>
  %earlier = rondo.shift %x by 1 "x" : !td
  %last = rondo.last %x : !td
  return %broadcast, %sum, %max, %min, %dot, %reversed, %sums, %carried, %solved, %exchanged, %joined, %row, %picked, %position, %positive, %whole, %remainder, %halves, %earlier, %last
      : tensor<?x3x2xf32, #rondo.axes<[t, d, h]>>, !t, !t, !t, !t, tensor<?x2xf32, #rondo.axes<[t, k]>>, !td, !td, !td, tensor<?x2x3xf32, #rondo.axes<[t, i, d]>>,
        tensor<?x4xf32, #td>, tensor<?x2xf32, #rondo.axes<[t, k]>>, !t, !t, tensor<?x3xi1, #td>, tensor<?x3xi64, #td>, !td, tensor<?x3xi64, #td>, !td, !td
}

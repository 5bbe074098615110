// RUN: %python %S/Inputs/tensors.py write %t.in 'ids=F32:[[[1,0],[2,7],[0,0.5]]]' 'x=F32:[[[1,2],[3,4],[5,6]]]' 'z=F32:[[[10,20],[30,40],[50,60]]]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s

// A choice runs the body with its slice of the tables (rows of w times the token, plus what the choice has of z); one that is no index has zeros for them.
// The second token chooses 2 and 7 of three: [3, 4] . [3, 4] + 30, and 40 alone.
// CHECK: result0 F64 [1, 3, 2] 21 21 55 40 55 60

#tj = #rondo.axes<[t, j]>
#td = #rondo.axes<[t, d]>
#ed = #rondo.axes<[e, d]>

func.func @route(%ids: tensor<?x2xf32, #tj> {rondo.name = "ids"}, %x: tensor<?x2xf32, #td> {rondo.name = "x"}, %z: tensor<?x2xf32, #tj> {rondo.name = "z"})
    -> tensor<?x2xf32, #tj> attributes {rondo.entry = "forward"} {
  %w = rondo.constant dense<[[1.0, 0.0], [3.0, 4.0], [3.0, 4.0]]> : tensor<3x2xf32, #ed>
  %y = rondo.route %ids : tensor<?x2xf32, #tj> along e inputs(%x, %z : tensor<?x2xf32, #td>, tensor<?x2xf32, #tj>) tables(%w : tensor<3x2xf32, #ed>)
      -> tensor<?x2xf32, #tj> body(%x_t, %z_tj, %w_e) {
    %p = rondo.contract %w_e, %x_t over [d] : tensor<2xf32, #rondo.axes<[d]>>, tensor<2xf32, #rondo.axes<[d]>> -> tensor<f32>
    %s = rondo.map add(%p, %z_tj) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    rondo.yield () (%s : tensor<f32>)
  }
  return %y : tensor<?x2xf32, #tj>
}

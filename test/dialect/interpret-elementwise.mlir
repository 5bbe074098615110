// RUN: %python %S/Inputs/tensors.py write %t.in 'x=F32:[[-200,-1,0,0.25,1,200]]'
// RUN: rondo-interp %s --inputs %t.in --outputs %t.out --f64 && %python %S/Inputs/tensors.py print %t.out | FileCheck %s

// Elementwise functions of -200, -1, 0, 1/4, 1 and 200, by a table of values; the ends do not overflow.

!x = tensor<?xf32, #rondo.axes<[t]>>
func.func @forward(%x: !x {rondo.name = "x"}) -> (
    // CHECK-DAG: sigmoid F64 [1, 6] 1.3838965{{[0-9]*}}e-87 0.268941421 0.5 0.562176501 0.731058579 1
    !x {rondo.name = "sigmoid"},
    // CHECK-DAG: softplus F64 [1, 6] 1.3838965{{[0-9]*}}e-87 0.313261688 0.693147181 0.82593942 1.31326169 200
    !x {rondo.name = "softplus"},
    // CHECK-DAG: tanh F64 [1, 6] -1 -0.761594156 0 0.244918662 0.761594156 1
    !x {rondo.name = "tanh"},
    // CHECK-DAG: erf F64 [1, 6] -1 -0.842700793 0 0.27632639 0.842700793 1
    !x {rondo.name = "erf"},
    // CHECK-DAG: exp F64 [1, 6] 1.3838965{{[0-9]*}}e-87 0.367879441 1 1.28402542 2.71828183 7.22597377e+86
    !x {rondo.name = "exp"},
    // CHECK-DAG: sin F64 [1, 6] 0.873297297 -0.841470985 0 0.247403959 0.841470985 -0.873297297
    !x {rondo.name = "sin"},
    // CHECK-DAG: cos F64 [1, 6] 0.487187675 0.540302306 1 0.968912422 0.540302306 0.487187675
    !x {rondo.name = "cos"},
    // CHECK-DAG: floor F64 [1, 6] -200 -1 0 0 1 200
    !x {rondo.name = "floor"},
    // CHECK-DAG: sign F64 [1, 6] -1 -1 0 1 1 1
    !x {rondo.name = "sign"},
    // CHECK-DAG: sqrt F64 [1, 6] 14.1421356 1 0 0.5 1 14.1421356
    !x {rondo.name = "sqrt"},
    // CHECK-DAG: rsqrt F64 [1, 6] 0.0707106781 1 inf 2 1 0.0707106781
    !x {rondo.name = "rsqrt"},
    // CHECK-DAG: log F64 [1, 6] 5.29831737 0 -inf -1.38629436 0 5.29831737
    !x {rondo.name = "log"},
    // CHECK-DAG: pow F64 [1, 6] 2828.42712 1 0 0.125 1 2828.42712
    !x {rondo.name = "pow"},
    // CHECK-DAG: select F64 [1, 6] 200 1 0 0.25 1 200
    !x {rondo.name = "select"}) {
  %sigmoid = rondo.map sigmoid(%x) : (!x) -> !x
  %softplus = rondo.map softplus(%x) : (!x) -> !x
  %tanh = rondo.map tanh(%x) : (!x) -> !x
  %erf = rondo.map erf(%x) : (!x) -> !x
  %exp = rondo.map exp(%x) : (!x) -> !x
  %sin = rondo.map sin(%x) : (!x) -> !x
  %cos = rondo.map cos(%x) : (!x) -> !x
  %floor = rondo.map floor(%x) : (!x) -> !x
  %sign = rondo.map sign(%x) : (!x) -> !x
  %abs = rondo.map abs(%x) : (!x) -> !x
  %sqrt = rondo.map sqrt(%abs) : (!x) -> !x
  %rsqrt = rondo.map rsqrt(%abs) : (!x) -> !x
  %log = rondo.map log(%abs) : (!x) -> !x
  %exponent = rondo.constant dense<1.5> : tensor<f32>
  %pow = rondo.map pow(%abs, %exponent) : (!x, tensor<f32>) -> !x
  %zero = rondo.constant dense<0.0> : tensor<f32>
  %negative = rondo.map lt(%x, %zero) : (!x, tensor<f32>) -> tensor<?xi1, #rondo.axes<[t]>>
  %minus = rondo.map neg(%x) : (!x) -> !x
  %select = rondo.map select(%negative, %minus, %x) : (tensor<?xi1, #rondo.axes<[t]>>, !x, !x) -> !x
  return %sigmoid, %softplus, %tanh, %erf, %exp, %sin, %cos, %floor, %sign, %sqrt, %rsqrt, %log, %pow, %select
      : !x, !x, !x, !x, !x, !x, !x, !x, !x, !x, !x, !x, !x, !x
}

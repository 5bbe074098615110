// RUN: rondo-opt %s -rondo-form-kernels -verify-diagnostics

// A recurrence without a form is no kernel yet.

func.func @recurrence_without_a_form(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>> {
  %zero = rondo.constant dense<0.0> : tensor<4xf32, #rondo.axes<[d]>>
  // expected-error@+1 {{expects block level: its form is not chosen yet}}
  %y = rondo.recur "r" inputs(%x : tensor<?x4xf32, #rondo.axes<[t, d]>>) states("S" = %zero : tensor<4xf32, #rondo.axes<[d]>>) -> (tensor<?x4xf32, #rondo.axes<[t, d]>>) body(%xt, %S) {
    %0 = rondo.map add(%S, %xt) : (tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>>) -> tensor<4xf32, #rondo.axes<[d]>>
    rondo.yield (%0 : tensor<4xf32, #rondo.axes<[d]>>) (%0 : tensor<4xf32, #rondo.axes<[d]>>)
  }
  return %y : tensor<?x4xf32, #rondo.axes<[t, d]>>
}

// RUN: rondo-opt %s -rondo-map-blocks -split-input-file -verify-diagnostics

// The axes t and s are the blocks' own.

!d = tensor<?x2xf32, #rondo.axes<[t, s]>>
!d1 = tensor<2xf32, #rondo.axes<[s]>>
!pos = tensor<f32>
!truth = tensor<i1>

func.func @axis_named_like_the_key_block(%x: !d) -> !d {
  %y = rondo.over sum "all" keys(%x : !d) -> !d body(%t, %s, %x_s) {
    %zero = rondo.constant dense<0.0> : !pos
    %p = rondo.constant dense<true> : !truth
    // expected-error@+1 {{has an axis 's' or 't', expected none inside an over: they name the blocks of keys and of queries}}
    %e = rondo.map exp(%x_s) : (!d1) -> !d1
    rondo.yield () (%p, %zero, %e : !truth, !pos, !d1)
  }
  return %y : !d
}

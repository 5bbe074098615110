// RUN: rondo-opt %s -rondo-chunk-recurrences -split-input-file -verify-diagnostics -o /dev/null

// Each recurrence's form is said, and where there is no block form, the term that prevents it.

!g = tensor<?x2x4xf32, #rondo.axes<[t, h, v]>>
!S = tensor<2x4xf32, #rondo.axes<[h, v]>>

func.func @the_state_in_a_function(%x: !g, %zero: !S) -> !g {
  // expected-remark@+1 {{'S': S[h v]: no memory of itself, rank 1, read whole; not affine; token by token: the term `tanh(S)` is not affine in the states}}
  %y = rondo.recur "S" inputs(%x : !g) states("S" = %zero : !S) -> (!g) body(%x_t, %S) {
    %f = rondo.map tanh(%S) : (!S) -> !S
    %new = rondo.map add(%f, %x_t) : (!S, !S) -> !S
    rondo.yield (%new : !S) (%new : !S)
  }
  return %y : !g
}

// -----

!g = tensor<?x2x4xf32, #rondo.axes<[t, h, v]>>
!S = tensor<2x4xf32, #rondo.axes<[h, v]>>

func.func @a_decay_for_each_channel(%x: !g, %zero: !S) -> !g {
  %a = rondo.map sigmoid(%x) : (!g) -> !g
  // expected-remark@+1 {{'S': S[h v]: decay per channel [h v], rank 1, read whole, that is diagonal decay; token by token: the token loop is estimated to be faster than blocks}}
  %y = rondo.recur "S" inputs(%a, %x : !g, !g) states("S" = %zero : !S) -> (!g) body(%a_t, %x_t, %S) {
    %kept = rondo.map mul(%a_t, %S) : (!S, !S) -> !S
    %new = rondo.map add(%kept, %x_t) : (!S, !S) -> !S
    rondo.yield (%new : !S) (%new : !S)
  }
  return %y : !g
}

// -----

!k = tensor<?x64xf32, #rondo.axes<[t, k]>>
!v = tensor<?x64xf32, #rondo.axes<[t, v]>>
!S = tensor<64x64xf32, #rondo.axes<[k, v]>>
!k1 = tensor<64xf32, #rondo.axes<[k]>>
!v1 = tensor<64xf32, #rondo.axes<[v]>>

func.func @a_wide_state_goes_in_blocks(%key: !k, %val: !v, %zero: !S) -> !v {
  // expected-remark@+1 {{'S': S[k v]: no decay, rank 1, read over [k] before, that is identity; in blocks of 8 tokens: blocks are estimated to be faster than the token loop}}
  %y = rondo.recur "S" inputs(%key, %val : !k, !v) states("S" = %zero : !S) -> (!v) body(%k_t, %v_t, %S) {
    %u = rondo.map mul(%k_t, %v_t) : (!k1, !v1) -> !S
    %new = rondo.map add(%S, %u) : (!S, !S) -> !S
    %r = rondo.contract %S, %k_t over [k] : !S, !k1 -> !v1
    rondo.yield (%new : !S) (%r : !v1)
  }
  return %y : !v
}

// RUN: rondo-opt %s "-rondo-chunk-recurrences=tried=S=sequential@900,S=chunk:4@120,S=chunk:8@120.5" | FileCheck %s
// RUN: rondo-opt %s "-rondo-chunk-recurrences=forms=S=sequential tried=S=chunk:4@120" | FileCheck %s --check-prefix=ASKED
// RUN: not rondo-opt %s "-rondo-chunk-recurrences=tried=S=chunk:4" 2>&1 | FileCheck %s --check-prefix=ERROR

// Of forms whose code was tried the fastest is taken, unless one is asked for.

!g = tensor<?x2xf32, #rondo.axes<[t, h]>>
!k = tensor<?x2x8xf32, #rondo.axes<[t, h, k]>>
!v = tensor<?x2x4xf32, #rondo.axes<[t, h, v]>>
!S = tensor<2x8x4xf32, #rondo.axes<[h, k, v]>>
!h = tensor<2xf32, #rondo.axes<[h]>>
!hk = tensor<2x8xf32, #rondo.axes<[h, k]>>
!hv = tensor<2x4xf32, #rondo.axes<[h, v]>>

// CHECK: rondo.scan "S"
// CHECK-SAME: chunk 4 form "chunk"
// CHECK: rondo.why = "the fastest by the code of each form (cycles a token: chunk:4 120, chunk:8 120, sequential 900)"
// ASKED: rondo.scan "S"
// ASKED-SAME: form "sequential"
// ASKED: rondo.why = "as asked for"
// ERROR: found the estimate 'S=chunk:4'; expected NAME=FORM@CYCLES
func.func @decay_per_head(%g: !g, %key: !k, %val: !v, %query: !k, %zero: !S) -> !v {
  %a = rondo.map exp(%g) : (!g) -> !g
  %y = rondo.recur "S" inputs(%a, %key, %val, %query : !g, !k, !v, !k) states("S" = %zero : !S) -> (!v) body(%a_t, %k_t, %v_t, %q_t, %S) {
    %kept = rondo.map mul(%a_t, %S) : (!h, !S) -> !S
    %u = rondo.map mul(%k_t, %v_t) : (!hk, !hv) -> !S
    %new = rondo.map add(%kept, %u) : (!S, !S) -> !S
    %r = rondo.contract %new, %q_t over [k] : !S, !hk -> !hv
    rondo.yield (%new : !S) (%r : !hv)
  }
  return %y : !v
}

// RUN: rondo-opt %s -rondo-map-blocks -split-input-file -verify-diagnostics | FileCheck %s

// The map of each over is remarked, and key-side work that would grow the cache stays inside.

!latent = tensor<?x4xf32, #rondo.axes<[t, r]>>
!w = tensor<16x4xf32, #rondo.axes<[v, r]>>
!y = tensor<?x16xf32, #rondo.axes<[t, v]>>
!latent1 = tensor<4xf32, #rondo.axes<[r]>>
!y1 = tensor<16xf32, #rondo.axes<[v]>>
!pos = tensor<f32>
!truth = tensor<i1>

// CHECK-LABEL: @compressed_cache_stays_compressed
func.func @compressed_cache_stays_compressed(%x: !latent, %w: !w) -> !y {
  // CHECK-NOT: rondo.contract
  // CHECK: rondo.attend
  // CHECK: rondo.contract
  // expected-remark@+2 {{key-side work of 'attn' stays inside: moving it out would grow the cache from 4 to 16 values a token}}
  // expected-remark@+1 {{'attn': causal, window 8}}
  %y = rondo.over sum "attn" keys(%x : !latent) shared(%w : !w) -> !y body(%t, %s, %x_s, %w_) {
    %zero = rondo.constant dense<0.0> : !pos
    %eight = rondo.constant dense<8.0> : !pos
    %first = rondo.map sub(%t, %eight) : (!pos, !pos) -> !pos
    %near = rondo.map lt(%first, %s) : (!pos, !pos) -> !truth
    %late = rondo.map lt(%t, %s) : (!pos, !pos) -> !truth
    %causal = rondo.map not(%late) : (!truth) -> !truth
    %p = rondo.map and(%causal, %near) : (!truth, !truth) -> !truth
    %v = rondo.contract %w_, %x_s over [r] : !w, !latent1 -> !y1
    rondo.yield () (%p, %zero, %v : !truth, !pos, !y1)
  }
  return %y : !y
}

// -----

!d = tensor<?xf32, #rondo.axes<[t]>>
!pos = tensor<f32>
!truth = tensor<i1>

// CHECK-LABEL: @other_predicates_are_residual
func.func @other_predicates_are_residual(%x: !d) -> !d {
  // expected-remark@+1 {{'stripes': bidirectional, with a residual predicate}}
  %y = rondo.over sum "stripes" keys(%x : !d) -> !d body(%t, %s, %x_s) {
    %zero = rondo.constant dense<0.0> : !pos
    %four = rondo.constant dense<4.0> : !pos
    %distance = rondo.map sub(%t, %s) : (!pos, !pos) -> !pos
    %stripe = rondo.map mod(%distance, %four) : (!pos, !pos) -> !pos
    %p = rondo.map eq(%stripe, %zero) : (!pos, !pos) -> !truth
    rondo.yield () (%p, %zero, %x_s : !truth, !pos, !pos)
  }
  return %y : !d
}

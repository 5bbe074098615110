// RUN: rondo-opt %s -canonicalize | FileCheck %s

// Folds and canonical forms: each with a case where it must not apply.

#d = #rondo.axes<[d]>
#h = #rondo.axes<[h]>
#hd = #rondo.axes<[h, d]>
#td = #rondo.axes<[t, d]>

// CHECK-LABEL: @neutral_elements_go
func.func @neutral_elements_go(%x: tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td> {
  // CHECK-NEXT: return %arg0
  %zero = rondo.constant dense<0.0> : tensor<f32>
  %one = rondo.constant dense<1.0> : tensor<f32>
  %0 = rondo.map add(%zero, %x) : (tensor<f32>, tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td>
  %1 = rondo.map mul(%0, %one) : (tensor<?x4xf32, #td>, tensor<f32>) -> tensor<?x4xf32, #td>
  %2 = rondo.map sub(%1, %zero) : (tensor<?x4xf32, #td>, tensor<f32>) -> tensor<?x4xf32, #td>
  %3 = rondo.map div(%2, %one) : (tensor<?x4xf32, #td>, tensor<f32>) -> tensor<?x4xf32, #td>
  %4 = rondo.map neg(%3) : (tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td>
  %5 = rondo.map neg(%4) : (tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td>
  %6 = rondo.map max(%5, %5) : (tensor<?x4xf32, #td>, tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td>
  %7 = rondo.map convert(%6) : (tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td>
  return %7 : tensor<?x4xf32, #td>
}

// CHECK-LABEL: @a_neutral_element_that_broadcasts_stays
func.func @a_neutral_element_that_broadcasts_stays(%x: tensor<4xf32, #d>) -> tensor<2x4xf32, #hd> {
  // CHECK: rondo.map mul
  %one = rondo.constant dense<1.0> : tensor<2xf32, #h>
  %0 = rondo.map mul(%x, %one) : (tensor<4xf32, #d>, tensor<2xf32, #h>) -> tensor<2x4xf32, #hd>
  return %0 : tensor<2x4xf32, #hd>
}

// CHECK-LABEL: @a_product_with_zero_stays
func.func @a_product_with_zero_stays(%x: tensor<4xf32, #d>) -> tensor<4xf32, #d> {
  // It is NaN where x is.
  // CHECK: rondo.map mul
  %zero = rondo.constant dense<0.0> : tensor<f32>
  %0 = rondo.map mul(%x, %zero) : (tensor<4xf32, #d>, tensor<f32>) -> tensor<4xf32, #d>
  return %0 : tensor<4xf32, #d>
}

// CHECK-LABEL: @truths
func.func @truths(%p: tensor<i1>, %a: tensor<f32>, %b: tensor<f32>) -> (tensor<i1>, tensor<f32>) {
  // CHECK-NEXT: return %arg0, %arg2
  %true = rondo.constant dense<true> : tensor<i1>
  %false = rondo.constant dense<false> : tensor<i1>
  %0 = rondo.map and(%true, %p) : (tensor<i1>, tensor<i1>) -> tensor<i1>
  %1 = rondo.map or(%0, %false) : (tensor<i1>, tensor<i1>) -> tensor<i1>
  %2 = rondo.map not(%1) : (tensor<i1>) -> tensor<i1>
  %3 = rondo.map not(%2) : (tensor<i1>) -> tensor<i1>
  %4 = rondo.map select(%false, %a, %b) : (tensor<i1>, tensor<f32>, tensor<f32>) -> tensor<f32>
  return %3, %4 : tensor<i1>, tensor<f32>
}

// CHECK-LABEL: @exact_constants_fold
func.func @exact_constants_fold() -> (tensor<f32>, tensor<i1>, tensor<2x2xf32, #hd>) {
  // CHECK-DAG: rondo.constant dense<2.500000e-01> : tensor<f32>
  // CHECK-DAG: rondo.constant dense<true> : tensor<i1>
  // CHECK-DAG: rondo.constant dense<{{\[\[}}3.000000e+00, 4.000000e+00], [6.000000e+00, 8.000000e+00]]>
  // CHECK-NOT: rondo.map
  %0 = rondo.constant dense<16.0> : tensor<f32>
  %1 = rondo.constant dense<1.0> : tensor<f32>
  %2 = rondo.map sqrt(%0) : (tensor<f32>) -> tensor<f32>
  %3 = rondo.map div(%1, %2) : (tensor<f32>, tensor<f32>) -> tensor<f32>
  %4 = rondo.map lt(%3, %1) : (tensor<f32>, tensor<f32>) -> tensor<i1>
  %5 = rondo.constant dense<[1.0, 2.0]> : tensor<2xf32, #h>
  %6 = rondo.constant dense<[3.0, 4.0]> : tensor<2xf32, #d>
  %7 = rondo.map mul(%5, %6) : (tensor<2xf32, #h>, tensor<2xf32, #d>) -> tensor<2x2xf32, #hd>
  return %3, %4, %7 : tensor<f32>, tensor<i1>, tensor<2x2xf32, #hd>
}

// CHECK-LABEL: @rounded_constants_stay
func.func @rounded_constants_stay() -> (tensor<f32>, tensor<f32>) {
  // A third is no f32: folded, the f64 meaning would change.
  // CHECK: rondo.map div
  // CHECK: rondo.map exp
  %0 = rondo.constant dense<3.0> : tensor<f32>
  %1 = rondo.constant dense<1.0> : tensor<f32>
  %2 = rondo.map div(%1, %0) : (tensor<f32>, tensor<f32>) -> tensor<f32>
  %3 = rondo.map exp(%1) : (tensor<f32>) -> tensor<f32>
  return %2, %3 : tensor<f32>, tensor<f32>
}

// CHECK-LABEL: @powers
func.func @powers(%x: tensor<4xf32, #d>) -> (tensor<4xf32, #d>, tensor<4xf32, #d>, tensor<4xf32, #d>, tensor<4xf32, #d>) {
  // CHECK-DAG: rondo.map mul(%arg0, %arg0)
  // CHECK-DAG: rondo.map sqrt(%arg0)
  // CHECK-DAG: rondo.map rsqrt(%arg0)
  // CHECK-DAG: rondo.map pow(%arg0
  %two = rondo.constant dense<2.0> : tensor<f32>
  %half = rondo.constant dense<0.5> : tensor<f32>
  %minus = rondo.constant dense<-0.5> : tensor<f32>
  %third = rondo.constant dense<0.3> : tensor<f32>
  %0 = rondo.map pow(%x, %two) : (tensor<4xf32, #d>, tensor<f32>) -> tensor<4xf32, #d>
  %1 = rondo.map pow(%x, %half) : (tensor<4xf32, #d>, tensor<f32>) -> tensor<4xf32, #d>
  %2 = rondo.map pow(%x, %minus) : (tensor<4xf32, #d>, tensor<f32>) -> tensor<4xf32, #d>
  %3 = rondo.map pow(%x, %third) : (tensor<4xf32, #d>, tensor<f32>) -> tensor<4xf32, #d>
  return %0, %1, %2, %3 : tensor<4xf32, #d>, tensor<4xf32, #d>, tensor<4xf32, #d>, tensor<4xf32, #d>
}

// CHECK-LABEL: @constants_go_to_the_right
func.func @constants_go_to_the_right(%x: tensor<4xf32, #d>) -> (tensor<4xf32, #d>, tensor<4xf32, #d>) {
  // CHECK: %[[C:.*]] = rondo.constant
  // CHECK: rondo.map mul(%arg0, %[[C]])
  // CHECK: rondo.map sub(%[[C]], %arg0)
  %two = rondo.constant dense<2.0> : tensor<f32>
  %0 = rondo.map mul(%two, %x) : (tensor<f32>, tensor<4xf32, #d>) -> tensor<4xf32, #d>
  %1 = rondo.map sub(%two, %x) : (tensor<f32>, tensor<4xf32, #d>) -> tensor<4xf32, #d>
  return %0, %1 : tensor<4xf32, #d>, tensor<4xf32, #d>
}

// CHECK-LABEL: @a_split_and_its_merge_cancel
func.func @a_split_and_its_merge_cancel(%x: tensor<?x8xf32, #td>) -> tensor<?x8xf32, #td> {
  // CHECK-NEXT: return %arg0
  %0 = rondo.view %x by affine_map<(h, k) -> (h * 4 + k)> : tensor<?x8xf32, #td> -> tensor<?x2x4xf32, #rondo.axes<[t, h, k]>>
  %1 = rondo.view %0 by affine_map<(d) -> (d floordiv 4, d mod 4)> : tensor<?x2x4xf32, #rondo.axes<[t, h, k]>> -> tensor<?x8xf32, #td>
  return %1 : tensor<?x8xf32, #td>
}

// CHECK-LABEL: @a_merge_and_its_split_cancel
func.func @a_merge_and_its_split_cancel(%x: tensor<2x4xf32, #hd>) -> tensor<2x4xf32, #hd> {
  // CHECK-NEXT: return %arg0
  %0 = rondo.view %x by affine_map<(k) -> (k floordiv 4, k mod 4)> : tensor<2x4xf32, #hd> -> tensor<8xf32, #rondo.axes<[k]>>
  %1 = rondo.view %0 by affine_map<(h, d) -> (h * 4 + d)> : tensor<8xf32, #rondo.axes<[k]>> -> tensor<2x4xf32, #hd>
  return %1 : tensor<2x4xf32, #hd>
}

// CHECK-LABEL: @slices_of_slices_are_one
func.func @slices_of_slices_are_one(%x: tensor<8xf32, #d>) -> tensor<2xf32, #d> {
  // CHECK-NEXT: rondo.view %arg0 by #{{.*}} : tensor<8xf32, #rondo.axes<[d]>> -> tensor<2xf32, #rondo.axes<[d]>>
  // CHECK-NEXT: return
  %0 = rondo.view %x by affine_map<(d) -> (d + 2)> : tensor<8xf32, #d> -> tensor<4xf32, #d>
  %1 = rondo.view %0 by affine_map<(d) -> (d + 1)> : tensor<4xf32, #d> -> tensor<2xf32, #d>
  return %1 : tensor<2xf32, #d>
}

// CHECK-LABEL: @a_rename_is_kept
func.func @a_rename_is_kept(%x: tensor<4xf32, #d>) -> tensor<4xf32, #h> {
  // CHECK: rondo.view
  %0 = rondo.view %x by affine_map<(h) -> (h)> : tensor<4xf32, #d> -> tensor<4xf32, #h>
  return %0 : tensor<4xf32, #h>
}

// CHECK-LABEL: @views_of_constants_are_constants
func.func @views_of_constants_are_constants() -> (tensor<2x4xf32, #hd>, tensor<2xf32, #h>) {
  // CHECK-DAG: rondo.constant dense<5.000000e-01> : tensor<2x4xf32
  // CHECK-DAG: rondo.constant dense<[3.000000e+00, 2.000000e+00]> : tensor<2xf32
  // CHECK-NOT: rondo.view
  %half = rondo.constant dense<0.5> : tensor<8xf32, #d>
  %0 = rondo.view %half by affine_map<(h, d) -> (h * 4 + d)> : tensor<8xf32, #d> -> tensor<2x4xf32, #hd>
  %list = rondo.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32, #d>
  %1 = rondo.view %list by affine_map<(h) -> (2 - h)> : tensor<3xf32, #d> -> tensor<2xf32, #h>
  return %0, %1 : tensor<2x4xf32, #hd>, tensor<2xf32, #h>
}

// CHECK-LABEL: @a_concat_of_one_goes
func.func @a_concat_of_one_goes(%x: tensor<4xf32, #d>) -> tensor<4xf32, #d> {
  // CHECK-NEXT: return %arg0
  %0 = rondo.concat %x along d : (tensor<4xf32, #d>) -> tensor<4xf32, #d>
  return %0 : tensor<4xf32, #d>
}

// CHECK-LABEL: @unused_recurrences_go
func.func @unused_recurrences_go(%x: tensor<?x4xf32, #td>, %zero: tensor<4xf32, #d>) -> tensor<?x4xf32, #td> {
  // CHECK-NEXT: return %arg0
  %0 = rondo.recur "r" inputs(%x : tensor<?x4xf32, #td>) states("S" = %zero : tensor<4xf32, #d>) -> (tensor<?x4xf32, #td>) body(%x_t, %S) {
    rondo.yield (%x_t : tensor<4xf32, #d>) (%S : tensor<4xf32, #d>)
  }
  return %x : tensor<?x4xf32, #td>
}

// CHECK-LABEL: @an_unused_call_stays
func.func @an_unused_call_stays(%x: tensor<?x4xf32, #td>, %zero: tensor<4xf32, #d>) -> tensor<?x4xf32, #td> {
  // Its states advance.
  // CHECK: rondo.call
  %0 = rondo.call @unused_recurrences_go(%x, %zero) at "layer" : (tensor<?x4xf32, #td>, tensor<4xf32, #d>) -> tensor<?x4xf32, #td>
  return %x : tensor<?x4xf32, #td>
}

// RUN: rondo-opt %s -rondo-round-products -verify-diagnostics | FileCheck %s

// Rows that are multiplied with a matrix of parameters are rounded by groups of 32, once for all matrices of the same rows.

// CHECK-LABEL: @products_share_one_rounding
func.func @products_share_one_rounding(%x: tensor<?x64xf32, #rondo.axes<[t, d]>>) -> (tensor<?x8xf32, #rondo.axes<[t, h]>>, tensor<?x8xf32, #rondo.axes<[t, h]>>) {
  %v = rondo.param "v" : tensor<8x64xf32, #rondo.axes<[h, d]>>
  %w = rondo.param "w" : tensor<8x64xf32, #rondo.axes<[h, d]>>
  // CHECK: %[[R:.*]] = rondo.round %{{.*}} along d by 32
  // CHECK-NOT: rondo.round
  // CHECK: rondo.contract %[[R]], %{{.*}} over [d]
  // CHECK: rondo.contract %{{.*}}, %[[R]] over [d]
  %0 = rondo.contract %x, %v over [d] : tensor<?x64xf32, #rondo.axes<[t, d]>>, tensor<8x64xf32, #rondo.axes<[h, d]>> -> tensor<?x8xf32, #rondo.axes<[t, h]>>
  %1 = rondo.contract %w, %x over [d] : tensor<8x64xf32, #rondo.axes<[h, d]>>, tensor<?x64xf32, #rondo.axes<[t, d]>> -> tensor<?x8xf32, #rondo.axes<[t, h]>>
  return %0, %1 : tensor<?x8xf32, #rondo.axes<[t, h]>>, tensor<?x8xf32, #rondo.axes<[t, h]>>
}

// A sum against a vector, and a product of two per-token values, stay as they are.
// CHECK-LABEL: @no_matrix_no_rounding
// CHECK-NOT: rondo.round
func.func @no_matrix_no_rounding(%x: tensor<?x512xf32, #rondo.axes<[t, d]>>, %y: tensor<?x512xf32, #rondo.axes<[t, d]>>) -> (tensor<?xf32, #rondo.axes<[t]>>, tensor<?xf32, #rondo.axes<[t]>>) {
  %w = rondo.param "w" : tensor<512xf32, #rondo.axes<[d]>>
  %0 = rondo.contract %x, %w over [d] : tensor<?x512xf32, #rondo.axes<[t, d]>>, tensor<512xf32, #rondo.axes<[d]>> -> tensor<?xf32, #rondo.axes<[t]>>
  %1 = rondo.contract %x, %y over [d] : tensor<?x512xf32, #rondo.axes<[t, d]>>, tensor<?x512xf32, #rondo.axes<[t, d]>> -> tensor<?xf32, #rondo.axes<[t]>>
  return %0, %1 : tensor<?xf32, #rondo.axes<[t]>>, tensor<?xf32, #rondo.axes<[t]>>
}

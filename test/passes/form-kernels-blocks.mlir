// RUN: rondo-opt %s -rondo-form-kernels="chosen=halves32" | FileCheck %s

#tbk = #rondo.axes<[t, b, k]>
#tbn = #rondo.axes<[t, b, n]>
#bnk = #rondo.axes<[b, n, k]>
#bkn = #rondo.axes<[b, k, n]>

// Block-diagonal matrices are products with panels of each block, or with rows of them where columns are neighbours; blocks of a few numbers are not.
// CHECK-LABEL: func.func @blocks
// CHECK-DAG: %[[R:.*]] = rondo.launch @blocks_rows(%arg3, %arg4)
// CHECK-DAG: %[[P:.*]] = rondo.launch @blocks_product(%arg1, %arg0)
// CHECK-DAG: %[[Q:.*]] = rondo.launch @blocks_product_0(%arg0, %arg2)
// CHECK: return %[[P]], %[[Q]], %[[R]]
// CHECK: func.func private @blocks_product(%arg0: tensor<4x32x24xf32, #rondo.axes<[b, n, k]>> {rondo.layout = "halves32"}, {{.*}})
// CHECK: func.func private @blocks_product_0({{.*}}%arg1: tensor<4x24x32xf32, #rondo.axes<[b, k, n]>>)
func.func @blocks(%x: tensor<?x4x24xf32, #tbk>, %w: tensor<4x32x24xf32, #bnk>, %v: tensor<4x24x32xf32, #bkn>, %y: tensor<?x8x4xf32, #tbk>, %small: tensor<8x4x4xf32, #bnk>) -> (tensor<?x4x32xf32, #tbn>, tensor<?x4x32xf32, #tbn>, tensor<?x8x4xf32, #tbn>) {
  %0 = rondo.contract %w, %x over [k] : tensor<4x32x24xf32, #bnk>, tensor<?x4x24xf32, #tbk> -> tensor<?x4x32xf32, #tbn>
  %1 = rondo.contract %x, %v over [k] : tensor<?x4x24xf32, #tbk>, tensor<4x24x32xf32, #bkn> -> tensor<?x4x32xf32, #tbn>
  %2 = rondo.contract %y, %small over [k] : tensor<?x8x4xf32, #tbk>, tensor<8x4x4xf32, #bnk> -> tensor<?x8x4xf32, #tbn>
  return %0, %1, %2 : tensor<?x4x32xf32, #tbn>, tensor<?x4x32xf32, #tbn>, tensor<?x8x4xf32, #tbn>
}

//===- KernelsTest.cpp - Emitted kernels against the interpreter ----------===//
//
// Each case is a kernel in text. It is emitted for every level that this machine has (tile
// registers are emulated where it has all but these), run on packed random sequences that go on
// from a random past, and compared with the reference interpreter in f64: outputs and the states it
// leaves.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Object.h"
#include "dialect/Interpreter.h"
#include "runtime/code.h"
#include "runtime/cpu.h"
#include "runtime/executor.h"
#include "test/amx/Emulator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace rondo;

namespace {

struct Case {
  const char *name;
  const char *kernel;        ///< the text of one func.func @k
  double bound;              ///< largest absolute difference; values are of order 1
  double low = -1, high = 1; ///< range of the random inputs
};

const char *aliases = R"(
#tj = #rondo.axes<[t, j]>
#tjd = #rondo.axes<[t, j, d]>
#tjn = #rondo.axes<[t, j, n]>
#tjnd = #rondo.axes<[t, j, n, d]>
#tjdn = #rondo.axes<[t, j, d, n]>
#end = #rondo.axes<[e, n, d]>
#edn = #rondo.axes<[e, d, n]>
#t = #rondo.axes<[t]>
#s = #rondo.axes<[s]>
#td = #rondo.axes<[t, d]>
#tn = #rondo.axes<[t, n]>
#th = #rondo.axes<[t, h]>
#d = #rondo.axes<[d]>
#n = #rondo.axes<[n]>
#h = #rondo.axes<[h]>
#g = #rondo.axes<[g]>
#nd = #rondo.axes<[n, d]>
#dn = #rondo.axes<[d, n]>
#hp = #rondo.axes<[h, p]>
#hpn = #rondo.axes<[h, p, n]>
#thp = #rondo.axes<[t, h, p]>
#thk = #rondo.axes<[t, h, k]>
#tgk = #rondo.axes<[t, g, k]>
#sgk = #rondo.axes<[s, g, k]>
#shk = #rondo.axes<[s, h, k]>
#ths = #rondo.axes<[t, h, s]>
#cn = #rondo.axes<[c, n]>
#cs = #rondo.axes<[c, s]>
)";

// The tolerance of a case follows from its arithmetic: elementwise functions 4 ulp of values below
// 4; sums of n terms of order 1: n/2 ulp.
const Case cases[] = {
    {"rms_norm_of_a_ragged_row", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %w: tensor<61xf32, #d>) -> tensor<?x61xf32, #td> attributes {rondo.kernel = "rows"} {
  %eps = rondo.constant dense<1.0e-5> : tensor<f32>
  %len = rondo.constant dense<61.0> : tensor<f32>
  %sq = rondo.map mul(%x, %x) : (tensor<?x61xf32, #td>, tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %s = rondo.reduce sum %sq over [d] : tensor<?x61xf32, #td> -> tensor<?xf32, #t>
  %m = rondo.map div(%s, %len) : (tensor<?xf32, #t>, tensor<f32>) -> tensor<?xf32, #t>
  %e = rondo.map add(%m, %eps) : (tensor<?xf32, #t>, tensor<f32>) -> tensor<?xf32, #t>
  %r = rondo.map rsqrt(%e) : (tensor<?xf32, #t>) -> tensor<?xf32, #t>
  %y = rondo.map mul(%x, %r) : (tensor<?x61xf32, #td>, tensor<?xf32, #t>) -> tensor<?x61xf32, #td>
  %z = rondo.map mul(%y, %w) : (tensor<?x61xf32, #td>, tensor<61xf32, #d>) -> tensor<?x61xf32, #td>
  return %z : tensor<?x61xf32, #td>
})",
     2e-6},
    {"product_with_packed_weights", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %w: tensor<70x61xf32, #nd> {rondo.layout = "panels32"}) -> tensor<?x70xf32, #tn> attributes {rondo.kernel = "product"} {
  %y = rondo.contract %x, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  return %y : tensor<?x70xf32, #tn>
})",
     8e-6},
    {"product_of_merged_heads", R"(
func.func private @k(%x: tensor<?x3x21xf32, #thp>, %w: tensor<64x63xf32, #nd> {rondo.layout = "panels32"}) -> tensor<?x64xf32, #tn> attributes {rondo.kernel = "product"} {
  %m = rondo.view %x by affine_map<(d) -> (d floordiv 21, d mod 21)> : tensor<?x3x21xf32, #thp> -> tensor<?x63xf32, #td>
  %y = rondo.contract %m, %w over [d] : tensor<?x63xf32, #td>, tensor<64x63xf32, #nd> -> tensor<?x64xf32, #tn>
  return %y : tensor<?x64xf32, #tn>
})",
     8e-6},
    // x y in [-3, 3]: two roundings of x y log2 e and one of the result, which is up to 20.
    {"exponentials_of_products", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %y: tensor<61x5xf32, #dn>) -> tensor<?x61x5xf32, #rondo.axes<[t, d, n]>> attributes {rondo.kernel = "rows"} {
  %p = rondo.map mul(%x, %y) : (tensor<?x61xf32, #td>, tensor<61x5xf32, #dn>) -> tensor<?x61x5xf32, #rondo.axes<[t, d, n]>>
  %e = rondo.map exp(%p) : (tensor<?x61x5xf32, #rondo.axes<[t, d, n]>>) -> tensor<?x61x5xf32, #rondo.axes<[t, d, n]>>
  return %e : tensor<?x61x5xf32, #rondo.axes<[t, d, n]>>
})",
     8e-6, -1.7, 1.7},
    // exp(-3000 x) is 0 and infinity as well; 1 / (1 + exp) is from 0 to 1, and steepest at 0.
    {"exponentials_of_large_products", R"(
func.func private @k(%x: tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td> attributes {rondo.kernel = "rows"} {
  %one = rondo.constant dense<1.0> : tensor<f32>
  %large = rondo.constant dense<-3000.0> : tensor<f32>
  %p = rondo.map mul(%x, %large) : (tensor<?x61xf32, #td>, tensor<f32>) -> tensor<?x61xf32, #td>
  %e = rondo.map exp(%p) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %f = rondo.map add(%e, %one) : (tensor<?x61xf32, #td>, tensor<f32>) -> tensor<?x61xf32, #td>
  %g = rondo.map div(%one, %f) : (tensor<f32>, tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  return %g : tensor<?x61xf32, #td>
})",
     1e-4},
    // Sums across lanes end eight at a time: 19 = 8 + 8 + 3 of them, and 13 where rows are short.
    {"products_of_rows_with_rows", R"(
func.func private @k(%x: tensor<?x3x21xf32, #thk>, %y: tensor<3x19x21xf32, #rondo.axes<[h, n, k]>>) -> tensor<?x3x19xf32, #rondo.axes<[t, h, n]>> attributes {rondo.kernel = "rows"} {
  %z = rondo.contract %x, %y over [k] : tensor<?x3x21xf32, #thk>, tensor<3x19x21xf32, #rondo.axes<[h, n, k]>> -> tensor<?x3x19xf32, #rondo.axes<[t, h, n]>>
  return %z : tensor<?x3x19xf32, #rondo.axes<[t, h, n]>>
})",
     4e-6},
    {"products_of_rows_that_are_read_again", R"(
func.func private @k(%x: tensor<?x3x21xf32, #thk>, %y: tensor<3x13x21xf32, #rondo.axes<[h, n, k]>>, %w: tensor<13x33xf32, #rondo.axes<[n, p]>>) -> tensor<?x3x33xf32, #thp> attributes {rondo.kernel = "rows"} {
  %z = rondo.contract %x, %y over [k] : tensor<?x3x21xf32, #thk>, tensor<3x13x21xf32, #rondo.axes<[h, n, k]>> -> tensor<?x3x13xf32, #rondo.axes<[t, h, n]>>
  %e = rondo.map exp(%z) : (tensor<?x3x13xf32, #rondo.axes<[t, h, n]>>) -> tensor<?x3x13xf32, #rondo.axes<[t, h, n]>>
  %s = rondo.reduce sum %e over [n] : tensor<?x3x13xf32, #rondo.axes<[t, h, n]>> -> tensor<?x3xf32, #th>
  %q = rondo.map div(%e, %s) : (tensor<?x3x13xf32, #rondo.axes<[t, h, n]>>, tensor<?x3xf32, #th>) -> tensor<?x3x13xf32, #rondo.axes<[t, h, n]>>
  %v = rondo.contract %q, %w over [n] : tensor<?x3x13xf32, #rondo.axes<[t, h, n]>>, tensor<13x33xf32, #rondo.axes<[n, p]>> -> tensor<?x3x33xf32, #thp>
  return %v : tensor<?x3x33xf32, #thp>
})",
     8e-6},
    {"product_of_chosen_matrices", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %ids: tensor<?x2xf32, #tj> {test.ids = 7}, %w: tensor<7x70x61xf32, #end> {rondo.layout = "panels32"}) -> tensor<?x2x70xf32, #tjn> attributes {rondo.kernel = "group"} {
  %g = rondo.gather %w[%ids] along e : tensor<7x70x61xf32, #end>, tensor<?x2xf32, #tj> -> tensor<?x2x70x61xf32, #tjnd>
  %y = rondo.contract %g, %x over [d] : tensor<?x2x70x61xf32, #tjnd>, tensor<?x61xf32, #td> -> tensor<?x2x70xf32, #tjn>
  return %y : tensor<?x2x70xf32, #tjn>
})",
     8e-6},
    {"product_of_chosen_matrices_in_bf16_with_rows_of_choices", R"(
func.func private @k(%x: tensor<?x3x61xf32, #tjd>, %ids: tensor<?x3xf32, #tj> {test.ids = 40}, %w: tensor<40x64x61xf32, #end> {rondo.layout = "halves32"}) -> tensor<?x3x64xf32, #tjn> attributes {rondo.kernel = "group"} {
  %g = rondo.gather %w[%ids] along e : tensor<40x64x61xf32, #end>, tensor<?x3xf32, #tj> -> tensor<?x3x64x61xf32, #tjnd>
  %y = rondo.contract %g, %x over [d] : tensor<?x3x64x61xf32, #tjnd>, tensor<?x3x61xf32, #tjd> -> tensor<?x3x64xf32, #tjn>
  return %y : tensor<?x3x64xf32, #tjn>
})",
     8e-6},
    {"product_of_one_chosen_matrix_along_what_is_summed", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %ids: tensor<?x1xf32, #tj> {test.ids = 3}, %w: tensor<3x61x70xf32, #edn>) -> tensor<?x1x70xf32, #tjn> attributes {rondo.kernel = "group"} {
  %g = rondo.gather %w[%ids] along e : tensor<3x61x70xf32, #edn>, tensor<?x1xf32, #tj> -> tensor<?x1x61x70xf32, #tjdn>
  %y = rondo.contract %g, %x over [d] : tensor<?x1x61x70xf32, #tjdn>, tensor<?x61xf32, #td> -> tensor<?x1x70xf32, #tjn>
  return %y : tensor<?x1x70xf32, #tjn>
})",
     8e-6},
    {"product_with_pairs_of_bf16", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %w: tensor<70x61xf32, #nd> {rondo.layout = "pairs32"}) -> tensor<?x70xf32, #tn> attributes {rondo.kernel = "product"} {
  %y = rondo.contract %x, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  return %y : tensor<?x70xf32, #tn>
})",
     8e-6},
    {"product_of_merged_heads_with_pairs", R"(
func.func private @k(%x: tensor<?x4x21xf32, #thp>, %w: tensor<64x84xf32, #nd> {rondo.layout = "pairs32"}) -> tensor<?x64xf32, #tn> attributes {rondo.kernel = "product"} {
  %m = rondo.view %x by affine_map<(d) -> (d floordiv 21, d mod 21)> : tensor<?x4x21xf32, #thp> -> tensor<?x84xf32, #td>
  %y = rondo.contract %w, %m over [d] : tensor<64x84xf32, #nd>, tensor<?x84xf32, #td> -> tensor<?x64xf32, #tn>
  return %y : tensor<?x64xf32, #tn>
})",
     8e-6},
    {"products_of_the_same_rows", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %u: tensor<70x61xf32, #nd> {rondo.layout = "panels32"}, %v: tensor<33x61xf32, #nd> {rondo.layout = "panels32"}, %w: tensor<70x61xf32, #nd> {rondo.layout = "panels32"}) -> (tensor<?x70xf32, #tn>, tensor<?x33xf32, #tn>, tensor<?x70xf32, #tn>) attributes {rondo.kernel = "product"} {
  %0 = rondo.contract %x, %u over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %1 = rondo.contract %x, %v over [d] : tensor<?x61xf32, #td>, tensor<33x61xf32, #nd> -> tensor<?x33xf32, #tn>
  %2 = rondo.contract %x, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  return %0, %1, %2 : tensor<?x70xf32, #tn>, tensor<?x33xf32, #tn>, tensor<?x70xf32, #tn>
})",
     8e-6},
    {"products_of_the_same_rows_with_pairs", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %u: tensor<70x61xf32, #nd> {rondo.layout = "pairs32"}, %v: tensor<33x61xf32, #nd> {rondo.layout = "pairs32"}, %w: tensor<70x61xf32, #nd> {rondo.layout = "pairs32"}) -> (tensor<?x70xf32, #tn>, tensor<?x33xf32, #tn>, tensor<?x70xf32, #tn>) attributes {rondo.kernel = "product"} {
  %0 = rondo.contract %x, %u over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %1 = rondo.contract %x, %v over [d] : tensor<?x61xf32, #td>, tensor<33x61xf32, #nd> -> tensor<?x33xf32, #tn>
  %2 = rondo.contract %x, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  return %0, %1, %2 : tensor<?x70xf32, #tn>, tensor<?x33xf32, #tn>, tensor<?x70xf32, #tn>
})",
     8e-6},
    {"products_of_the_same_rows_with_bytes", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %u: tensor<70x61xf32, #nd> {rondo.layout = "bytes32"}, %v: tensor<33x61xf32, #nd> {rondo.layout = "bytes32"}, %w: tensor<70x61xf32, #nd> {rondo.layout = "bytes32"}) -> (tensor<?x70xf32, #tn>, tensor<?x33xf32, #tn>, tensor<?x70xf32, #tn>) attributes {rondo.kernel = "product"} {
  %r = rondo.round %x along d by 32 : tensor<?x61xf32, #td>
  %0 = rondo.contract %r, %u over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %1 = rondo.contract %r, %v over [d] : tensor<?x61xf32, #td>, tensor<33x61xf32, #nd> -> tensor<?x33xf32, #tn>
  %2 = rondo.contract %r, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  return %0, %1, %2 : tensor<?x70xf32, #tn>, tensor<?x33xf32, #tn>, tensor<?x70xf32, #tn>
})",
     2e-6},
    {"products_of_the_same_rows_with_nibbles", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %u: tensor<70x61xf32, #nd> {rondo.layout = "nibbles32"}, %v: tensor<33x61xf32, #nd> {rondo.layout = "nibbles32"}, %w: tensor<70x61xf32, #nd> {rondo.layout = "nibbles32"}) -> (tensor<?x70xf32, #tn>, tensor<?x33xf32, #tn>, tensor<?x70xf32, #tn>) attributes {rondo.kernel = "product"} {
  %r = rondo.round %x along d by 32 : tensor<?x61xf32, #td>
  %0 = rondo.contract %r, %u over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %1 = rondo.contract %r, %v over [d] : tensor<?x61xf32, #td>, tensor<33x61xf32, #nd> -> tensor<?x33xf32, #tn>
  %2 = rondo.contract %r, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  return %0, %1, %2 : tensor<?x70xf32, #tn>, tensor<?x33xf32, #tn>, tensor<?x70xf32, #tn>
})",
     2e-6},
    {"product_that_ends_with_a_bias_and_rows", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %u: tensor<70x61xf32, #nd> {rondo.layout = "panels32"}, %w: tensor<70x61xf32, #nd> {rondo.layout = "panels32"}, %bias: tensor<70xf32, #n>, %h: tensor<?x70xf32, #tn>) -> (tensor<?x70xf32, #tn>, tensor<?x70xf32, #tn>) attributes {rondo.kernel = "product"} {
  %0 = rondo.contract %x, %u over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %1 = rondo.contract %x, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %2 = rondo.map sub(%bias, %1) : (tensor<70xf32, #n>, tensor<?x70xf32, #tn>) -> tensor<?x70xf32, #tn>
  %3 = rondo.map mul(%2, %h) : (tensor<?x70xf32, #tn>, tensor<?x70xf32, #tn>) -> tensor<?x70xf32, #tn>
  return %0, %3 : tensor<?x70xf32, #tn>, tensor<?x70xf32, #tn>
})",
     2e-5},
    {"product_with_pairs_that_ends_with_a_bias_and_rows", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %u: tensor<70x61xf32, #nd> {rondo.layout = "pairs32"}, %w: tensor<70x61xf32, #nd> {rondo.layout = "pairs32"}, %bias: tensor<70xf32, #n>, %h: tensor<?x70xf32, #tn>) -> (tensor<?x70xf32, #tn>, tensor<?x70xf32, #tn>) attributes {rondo.kernel = "product"} {
  %0 = rondo.contract %x, %u over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %1 = rondo.contract %x, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %2 = rondo.map sub(%bias, %1) : (tensor<70xf32, #n>, tensor<?x70xf32, #tn>) -> tensor<?x70xf32, #tn>
  %3 = rondo.map mul(%2, %h) : (tensor<?x70xf32, #tn>, tensor<?x70xf32, #tn>) -> tensor<?x70xf32, #tn>
  return %0, %3 : tensor<?x70xf32, #tn>, tensor<?x70xf32, #tn>
})",
     2e-5},
    {"product_of_nibbles_that_ends_with_a_bias_and_rows", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %u: tensor<70x61xf32, #nd> {rondo.layout = "nibbles32"}, %w: tensor<70x61xf32, #nd> {rondo.layout = "nibbles32"}, %bias: tensor<70xf32, #n>, %h: tensor<?x70xf32, #tn>) -> (tensor<?x70xf32, #tn>, tensor<?x70xf32, #tn>) attributes {rondo.kernel = "product"} {
  %r = rondo.round %x along d by 32 : tensor<?x61xf32, #td>
  %0 = rondo.contract %r, %u over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %1 = rondo.contract %r, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  %2 = rondo.map sub(%bias, %1) : (tensor<70xf32, #n>, tensor<?x70xf32, #tn>) -> tensor<?x70xf32, #tn>
  %3 = rondo.map mul(%2, %h) : (tensor<?x70xf32, #tn>, tensor<?x70xf32, #tn>) -> tensor<?x70xf32, #tn>
  return %0, %3 : tensor<?x70xf32, #tn>, tensor<?x70xf32, #tn>
})",
     4e-6},
    {"products_with_block_diagonal_matrices", R"(
func.func private @k(%x: tensor<?x3x21xf32, #rondo.axes<[t, b, k]>>, %u: tensor<3x37x21xf32, #rondo.axes<[b, n, k]>> {rondo.layout = "panels32"}, %v: tensor<3x37x21xf32, #rondo.axes<[b, n, k]>> {rondo.layout = "panels32"}, %h: tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>) -> (tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>, tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>) attributes {rondo.kernel = "product"} {
  %0 = rondo.contract %x, %u over [k] : tensor<?x3x21xf32, #rondo.axes<[t, b, k]>>, tensor<3x37x21xf32, #rondo.axes<[b, n, k]>> -> tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>
  %1 = rondo.contract %v, %x over [k] : tensor<3x37x21xf32, #rondo.axes<[b, n, k]>>, tensor<?x3x21xf32, #rondo.axes<[t, b, k]>> -> tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>
  %2 = rondo.map add(%1, %h) : (tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>, tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>) -> tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>
  return %0, %2 : tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>, tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>
})",
     1e-5},
    {"products_with_block_diagonal_matrices_in_bf16", R"(
func.func private @k(%x: tensor<?x3x21xf32, #rondo.axes<[t, b, k]>>, %u: tensor<3x64x21xf32, #rondo.axes<[b, n, k]>> {rondo.layout = "halves32"}, %v: tensor<3x64x21xf32, #rondo.axes<[b, n, k]>> {rondo.layout = "halves32"}) -> (tensor<?x3x64xf32, #rondo.axes<[t, b, n]>>, tensor<?x3x64xf32, #rondo.axes<[t, b, n]>>) attributes {rondo.kernel = "product"} {
  %0 = rondo.contract %x, %u over [k] : tensor<?x3x21xf32, #rondo.axes<[t, b, k]>>, tensor<3x64x21xf32, #rondo.axes<[b, n, k]>> -> tensor<?x3x64xf32, #rondo.axes<[t, b, n]>>
  %1 = rondo.contract %x, %v over [k] : tensor<?x3x21xf32, #rondo.axes<[t, b, k]>>, tensor<3x64x21xf32, #rondo.axes<[b, n, k]>> -> tensor<?x3x64xf32, #rondo.axes<[t, b, n]>>
  return %0, %1 : tensor<?x3x64xf32, #rondo.axes<[t, b, n]>>, tensor<?x3x64xf32, #rondo.axes<[t, b, n]>>
})",
     1e-5},
    {"product_with_blocks_that_lie_along_columns", R"(
func.func private @k(%x: tensor<?x3x21xf32, #rondo.axes<[t, b, k]>>, %u: tensor<3x21x37xf32, #rondo.axes<[b, k, n]>>) -> tensor<?x3x37xf32, #rondo.axes<[t, b, n]>> attributes {rondo.kernel = "product"} {
  %0 = rondo.contract %x, %u over [k] : tensor<?x3x21xf32, #rondo.axes<[t, b, k]>>, tensor<3x21x37xf32, #rondo.axes<[b, k, n]>> -> tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>
  return %0 : tensor<?x3x37xf32, #rondo.axes<[t, b, n]>>
})",
     1e-5},
    {"lookup_in_pairs_of_bf16", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %w: tensor<70x61xf32, #nd> {rondo.layout = "pairs32"}, %b: tensor<70xf32, #n>) -> tensor<?x61xf32, #td> attributes {rondo.kernel = "rows"} {
  %s = rondo.contract %w, %b over [n] : tensor<70x61xf32, #nd>, tensor<70xf32, #n> -> tensor<61xf32, #d>
  %y = rondo.map mul(%x, %s) : (tensor<?x61xf32, #td>, tensor<61xf32, #d>) -> tensor<?x61xf32, #td>
  return %y : tensor<?x61xf32, #td>
})",
     2e-5},
    {"product_of_bytes", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %w: tensor<70x61xf32, #nd> {rondo.layout = "bytes32"}) -> tensor<?x70xf32, #tn> attributes {rondo.kernel = "product"} {
  %r = rondo.round %x along d by 32 : tensor<?x61xf32, #td>
  %y = rondo.contract %r, %w over [d] : tensor<?x61xf32, #td>, tensor<70x61xf32, #nd> -> tensor<?x70xf32, #tn>
  return %y : tensor<?x70xf32, #tn>
})",
     2e-6},
    {"product_of_merged_heads_with_nibbles", R"(
func.func private @k(%x: tensor<?x4x21xf32, #thp>, %w: tensor<64x84xf32, #nd> {rondo.layout = "nibbles32"}) -> tensor<?x64xf32, #tn> attributes {rondo.kernel = "product"} {
  %m = rondo.view %x by affine_map<(d) -> (d floordiv 21, d mod 21)> : tensor<?x4x21xf32, #thp> -> tensor<?x84xf32, #td>
  %r = rondo.round %m along d by 32 : tensor<?x84xf32, #td>
  %y = rondo.contract %w, %r over [d] : tensor<64x84xf32, #nd>, tensor<?x84xf32, #td> -> tensor<?x64xf32, #tn>
  return %y : tensor<?x64xf32, #tn>
})",
     2e-6},
    {"lookup_in_bytes", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %w: tensor<70x61xf32, #nd> {rondo.layout = "bytes32"}, %b: tensor<70xf32, #n>) -> tensor<?x61xf32, #td> attributes {rondo.kernel = "rows"} {
  %s = rondo.contract %w, %b over [n] : tensor<70x61xf32, #nd>, tensor<70xf32, #n> -> tensor<61xf32, #d>
  %y = rondo.map mul(%x, %s) : (tensor<?x61xf32, #td>, tensor<61xf32, #d>) -> tensor<?x61xf32, #td>
  return %y : tensor<?x61xf32, #td>
})",
     2e-5},
    {"lookup_in_nibbles", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %w: tensor<70x61xf32, #nd> {rondo.layout = "nibbles32"}, %b: tensor<70xf32, #n>) -> tensor<?x61xf32, #td> attributes {rondo.kernel = "rows"} {
  %s = rondo.contract %w, %b over [n] : tensor<70x61xf32, #nd>, tensor<70xf32, #n> -> tensor<61xf32, #d>
  %y = rondo.map mul(%x, %s) : (tensor<?x61xf32, #td>, tensor<61xf32, #d>) -> tensor<?x61xf32, #td>
  return %y : tensor<?x61xf32, #td>
})",
     2e-5},
    {"views_split_slice_repeat_and_swap", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %y: tensor<?x3xf32, #rondo.axes<[t, g]>>) -> (tensor<?x6x5xf32, #thp>, tensor<?x6xf32, #th>, tensor<?x61xf32, #td>) attributes {rondo.kernel = "rows"} {
  %a = rondo.view %x by affine_map<(h, p) -> (h * 5 + p + 2)> : tensor<?x61xf32, #td> -> tensor<?x6x5xf32, #thp>
  %b = rondo.view %y by affine_map<(h) -> (h floordiv 2)> : tensor<?x3xf32, #rondo.axes<[t, g]>> -> tensor<?x6xf32, #th>
  %c = rondo.map mul(%a, %b) : (tensor<?x6x5xf32, #thp>, tensor<?x6xf32, #th>) -> tensor<?x6x5xf32, #thp>
  %e = rondo.view %x by affine_map<(d) -> ((d * 7) mod 61)> : tensor<?x61xf32, #td> -> tensor<?x61xf32, #td>
  return %c, %b, %e : tensor<?x6x5xf32, #thp>, tensor<?x6xf32, #th>, tensor<?x61xf32, #td>
})",
     1e-6},
    {"elementwise_functions", R"(
func.func private @k(%x: tensor<?x61xf32, #td>) -> (tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>) attributes {rondo.kernel = "rows"} {
  %a = rondo.map exp(%x) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %b = rondo.map tanh(%x) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %c = rondo.map erf(%x) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %d = rondo.map sigmoid(%x) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %e = rondo.map softplus(%x) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %f = rondo.map sin(%x) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %g = rondo.map cos(%x) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  return %a, %b, %c, %d, %e, %f, %g : tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>, tensor<?x61xf32, #td>
})",
     8e-6, -4, 4},
    {"log_of_positive_values", R"(
func.func private @k(%x: tensor<?x61xf32, #td>) -> (tensor<?x61xf32, #td>, tensor<?x61xf32, #td>) attributes {rondo.kernel = "rows"} {
  %a = rondo.map log(%x) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %p = rondo.constant dense<0.37> : tensor<f32>
  %b = rondo.map pow(%x, %p) : (tensor<?x61xf32, #td>, tensor<f32>) -> tensor<?x61xf32, #td>
  return %a, %b : tensor<?x61xf32, #td>, tensor<?x61xf32, #td>
})",
     4e-6, 0.001, 30},
    {"sine_of_large_angles", R"(
func.func private @k(%x: tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td> attributes {rondo.kernel = "rows"} {
  %f = rondo.map sin(%x) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  return %f : tensor<?x61xf32, #td>
})",
     2e-7, -100000, 100000},
    {"shifts_reach_into_the_tail", R"(
func.func private @k(%x: tensor<?x21xf32, #td>, %w: tensor<21x3xf32, #rondo.axes<[d, w]>>) -> tensor<?x21xf32, #td> attributes {rondo.kernel = "rows", rondo.states = ["s"],
    rondo.state_info = [{init = -1 : i64, kind = "tail", source = 0 : i64, tokens = 2 : i64, type = tensor<21xf32, #d>}]} {
  %1 = rondo.shift %x by 1 "s1" : tensor<?x21xf32, #td>
  %2 = rondo.shift %x by 2 "s" : tensor<?x21xf32, #td>
  %w0 = rondo.view %w by affine_map<(d) -> (d, 0)> : tensor<21x3xf32, #rondo.axes<[d, w]>> -> tensor<21xf32, #d>
  %w2 = rondo.view %w by affine_map<(d) -> (d, 2)> : tensor<21x3xf32, #rondo.axes<[d, w]>> -> tensor<21xf32, #d>
  %a = rondo.map mul(%1, %w0) : (tensor<?x21xf32, #td>, tensor<21xf32, #d>) -> tensor<?x21xf32, #td>
  %b = rondo.map mul(%2, %w2) : (tensor<?x21xf32, #td>, tensor<21xf32, #d>) -> tensor<?x21xf32, #td>
  %c = rondo.map add(%a, %b) : (tensor<?x21xf32, #td>, tensor<?x21xf32, #td>) -> tensor<?x21xf32, #td>
  return %c : tensor<?x21xf32, #td>
})",
     1e-6},
    {"positions_count_from_the_sequence", R"(
func.func private @k(%x: tensor<?x21xf32, #td>) -> tensor<?x21xf32, #td> attributes {rondo.kernel = "rows"} {
  %p = rondo.position : tensor<?xf32, #t>
  %i = rondo.index : tensor<21xf32, #d>
  %a = rondo.map add(%p, %i) : (tensor<?xf32, #t>, tensor<21xf32, #d>) -> tensor<?x21xf32, #td>
  %b = rondo.map mul(%a, %x) : (tensor<?x21xf32, #td>, tensor<?x21xf32, #td>) -> tensor<?x21xf32, #td>
  return %b : tensor<?x21xf32, #td>
})",
     2e-5},
    {"concat_and_running_sums", R"(
func.func private @k(%x: tensor<?x21xf32, #td>, %y: tensor<?x5xf32, #td>) -> tensor<?x26xf32, #td> attributes {rondo.kernel = "rows"} {
  %c = rondo.concat %x, %y along d : (tensor<?x21xf32, #td>, tensor<?x5xf32, #td>) -> tensor<?x26xf32, #td>
  %s = rondo.cumsum %c along d : tensor<?x26xf32, #td>
  return %s : tensor<?x26xf32, #td>
})",
     4e-6},
    {"linear_recurrence_along_an_axis", R"(
func.func private @k(%x: tensor<?x21xf32, #td>, %a: tensor<?xf32, #t>) -> tensor<?x21xf32, #td> attributes {rondo.kernel = "rows"} {
  %f = rondo.map tanh(%a) : (tensor<?xf32, #t>) -> tensor<?xf32, #t>
  %s = rondo.propagate %f, %x along d : tensor<?xf32, #t>, tensor<?x21xf32, #td> -> tensor<?x21xf32, #td>
  return %s : tensor<?x21xf32, #td>
})",
     4e-6},
    {"small_matrices_multiplied_along_an_axis", R"(
func.func private @k(%x: tensor<?x21xf32, #td>, %a: tensor<2x2x5xf32, #rondo.axes<[i, j, h]>>) -> tensor<?x2x21x5xf32, #rondo.axes<[t, i, d, h]>> attributes {rondo.kernel = "rows"} {
  %i = rondo.index : tensor<2xf32, #rondo.axes<[i]>>
  %b = rondo.map add(%x, %i) : (tensor<?x21xf32, #td>, tensor<2xf32, #rondo.axes<[i]>>) -> tensor<?x21x2xf32, #rondo.axes<[t, d, i]>>
  %half = rondo.constant dense<0.5> : tensor<f32>
  %f = rondo.map tanh(%a) : (tensor<2x2x5xf32, #rondo.axes<[i, j, h]>>) -> tensor<2x2x5xf32, #rondo.axes<[i, j, h]>>
  %g = rondo.map mul(%f, %half) : (tensor<2x2x5xf32, #rondo.axes<[i, j, h]>>, tensor<f32>) -> tensor<2x2x5xf32, #rondo.axes<[i, j, h]>>
  %s = rondo.propagate %g, %b along d mixing [i, j] : tensor<2x2x5xf32, #rondo.axes<[i, j, h]>>, tensor<?x21x2xf32, #rondo.axes<[t, d, i]>> -> tensor<?x2x21x5xf32, #rondo.axes<[t, i, d, h]>>
  return %s : tensor<?x2x21x5xf32, #rondo.axes<[t, i, d, h]>>
})",
     4e-6},
    {"a_triangular_system_in_registers", R"(
func.func private @k(%x: tensor<?x21x7xf32, #rondo.axes<[t, d, i]>>, %a: tensor<7x7x5xf32, #rondo.axes<[i, j, h]>>) -> tensor<?x7x21x5xf32, #rondo.axes<[t, i, d, h]>> attributes {rondo.kernel = "rows"} {
  %half = rondo.constant dense<0.25> : tensor<f32>
  %m = rondo.map mul(%a, %half) : (tensor<7x7x5xf32, #rondo.axes<[i, j, h]>>, tensor<f32>) -> tensor<7x7x5xf32, #rondo.axes<[i, j, h]>>
  %s = rondo.solve %m, %x along i from j : tensor<7x7x5xf32, #rondo.axes<[i, j, h]>>, tensor<?x21x7xf32, #rondo.axes<[t, d, i]>> -> tensor<?x7x21x5xf32, #rondo.axes<[t, i, d, h]>>
  return %s : tensor<?x7x21x5xf32, #rondo.axes<[t, i, d, h]>>
})",
     4e-6},
    {"a_triangular_system_in_memory", R"(
func.func private @k(%x: tensor<?x20x37xf32, #rondo.axes<[t, i, d]>>, %a: tensor<20x20xf32, #rondo.axes<[i, j]>>) -> tensor<?x20x37xf32, #rondo.axes<[t, i, d]>> attributes {rondo.kernel = "rows"} {
  %part = rondo.constant dense<0.125> : tensor<f32>
  %m = rondo.map mul(%a, %part) : (tensor<20x20xf32, #rondo.axes<[i, j]>>, tensor<f32>) -> tensor<20x20xf32, #rondo.axes<[i, j]>>
  %s = rondo.solve %m, %x along i from j : tensor<20x20xf32, #rondo.axes<[i, j]>>, tensor<?x20x37xf32, #rondo.axes<[t, i, d]>> -> tensor<?x20x37xf32, #rondo.axes<[t, i, d]>>
  return %s : tensor<?x20x37xf32, #rondo.axes<[t, i, d]>>
})",
     4e-6},
    {"a_triangular_system_of_numbers", R"(
func.func private @k(%x: tensor<?x21xf32, #td>, %a: tensor<21x21xf32, #rondo.axes<[d, j]>>) -> tensor<?x21xf32, #td> attributes {rondo.kernel = "rows"} {
  %part = rondo.constant dense<0.125> : tensor<f32>
  %m = rondo.map mul(%a, %part) : (tensor<21x21xf32, #rondo.axes<[d, j]>>, tensor<f32>) -> tensor<21x21xf32, #rondo.axes<[d, j]>>
  %s = rondo.solve %m, %x along d from j : tensor<21x21xf32, #rondo.axes<[d, j]>>, tensor<?x21xf32, #td> -> tensor<?x21xf32, #td>
  return %s : tensor<?x21xf32, #td>
})",
     4e-6},
    {"a_triangle_times_a_matrix", R"(
func.func private @k(%x: tensor<?x10x37xf32, #rondo.axes<[t, s, d]>>, %a: tensor<10x10xf32, #rondo.axes<[c, s]>>) -> tensor<?x10x37xf32, #rondo.axes<[t, c, d]>> attributes {rondo.kernel = "rows"} {
  %c = rondo.index : tensor<10xf32, #rondo.axes<[c]>>
  %s = rondo.index : tensor<10xf32, #rondo.axes<[s]>>
  %zero = rondo.constant dense<0.0> : tensor<f32>
  %before = rondo.map lt(%s, %c) : (tensor<10xf32, #rondo.axes<[s]>>, tensor<10xf32, #rondo.axes<[c]>>) -> tensor<10x10xi1, #rondo.axes<[c, s]>>
  %upto = rondo.map le(%s, %c) : (tensor<10xf32, #rondo.axes<[s]>>, tensor<10xf32, #rondo.axes<[c]>>) -> tensor<10x10xi1, #rondo.axes<[c, s]>>
  %m = rondo.map select(%before, %a, %zero) : (tensor<10x10xi1, #rondo.axes<[c, s]>>, tensor<10x10xf32, #rondo.axes<[c, s]>>, tensor<f32>) -> tensor<10x10xf32, #rondo.axes<[c, s]>>
  %n = rondo.map select(%upto, %a, %zero) : (tensor<10x10xi1, #rondo.axes<[c, s]>>, tensor<10x10xf32, #rondo.axes<[c, s]>>, tensor<f32>) -> tensor<10x10xf32, #rondo.axes<[c, s]>>
  %y = rondo.contract %m, %x over [s] : tensor<10x10xf32, #rondo.axes<[c, s]>>, tensor<?x10x37xf32, #rondo.axes<[t, s, d]>> -> tensor<?x10x37xf32, #rondo.axes<[t, c, d]>>
  %z = rondo.contract %n, %x over [s] : tensor<10x10xf32, #rondo.axes<[c, s]>>, tensor<?x10x37xf32, #rondo.axes<[t, s, d]>> -> tensor<?x10x37xf32, #rondo.axes<[t, c, d]>>
  %sum = rondo.map sub(%y, %z) : (tensor<?x10x37xf32, #rondo.axes<[t, c, d]>>, tensor<?x10x37xf32, #rondo.axes<[t, c, d]>>) -> tensor<?x10x37xf32, #rondo.axes<[t, c, d]>>
  return %sum : tensor<?x10x37xf32, #rondo.axes<[t, c, d]>>
})",
     4e-6},
    {"maximum_and_softmax", R"(
func.func private @k(%x: tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td> attributes {rondo.kernel = "rows"} {
  %m = rondo.reduce max %x over [d] : tensor<?x61xf32, #td> -> tensor<?xf32, #t>
  %a = rondo.map sub(%x, %m) : (tensor<?x61xf32, #td>, tensor<?xf32, #t>) -> tensor<?x61xf32, #td>
  %e = rondo.map exp(%a) : (tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %s = rondo.reduce sum %e over [d] : tensor<?x61xf32, #td> -> tensor<?xf32, #t>
  %y = rondo.map div(%e, %s) : (tensor<?x61xf32, #td>, tensor<?xf32, #t>) -> tensor<?x61xf32, #td>
  return %y : tensor<?x61xf32, #td>
})",
     1e-6, -5, 5},
    {"scan_with_a_decay_per_head", R"(
func.func private @k(%x: tensor<?x3x10xf32, #thp>, %b: tensor<?x21xf32, #tn>, %q: tensor<?x21xf32, #tn>, %a: tensor<?x3xf32, #th>) -> tensor<?x3x10xf32, #thp> attributes {rondo.kernel = "scan", rondo.states = ["r.S"],
    rondo.state_info = [{init = -1 : i64, kind = "fixed", source = -1 : i64, tokens = 0 : i64, type = tensor<3x10x21xf32, #hpn>}]} {
  %zero = rondo.constant dense<0.0> : tensor<3x10x21xf32, #hpn>
  %y = rondo.scan "r" inputs(%x, %b, %q, %a : tensor<?x3x10xf32, #thp>, tensor<?x21xf32, #tn>, tensor<?x21xf32, #tn>, tensor<?x3xf32, #th>) states("S" = %zero : tensor<3x10x21xf32, #hpn>) chunk 1 form "sequential" transition "none" -> (tensor<?x3x10xf32, #thp>) token(%xt, %bt, %qt, %at, %S) {
    %m = rondo.map neg(%at) : (tensor<3xf32, #h>) -> tensor<3xf32, #h>
    %e = rondo.map sigmoid(%m) : (tensor<3xf32, #h>) -> tensor<3xf32, #h>
    %0 = rondo.map mul(%e, %S) : (tensor<3xf32, #h>, tensor<3x10x21xf32, #hpn>) -> tensor<3x10x21xf32, #hpn>
    %1 = rondo.map mul(%xt, %bt) : (tensor<3x10xf32, #hp>, tensor<21xf32, #n>) -> tensor<3x10x21xf32, #hpn>
    %2 = rondo.map add(%0, %1) : (tensor<3x10x21xf32, #hpn>, tensor<3x10x21xf32, #hpn>) -> tensor<3x10x21xf32, #hpn>
    %3 = rondo.contract %2, %qt over [n] : tensor<3x10x21xf32, #hpn>, tensor<21xf32, #n> -> tensor<3x10xf32, #hp>
    rondo.yield (%2 : tensor<3x10x21xf32, #hpn>) (%3 : tensor<3x10xf32, #hp>)
  }
  return %y : tensor<?x3x10xf32, #thp>
})",
     1e-5},
    {"a_scan_that_ends_in_registers", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %b: tensor<?x5xf32, #tn>, %w: tensor<61xf32, #d>) -> tensor<?x61xf32, #td> attributes {rondo.kernel = "scan", rondo.states = ["r.S"],
    rondo.state_info = [{init = -1 : i64, kind = "fixed", source = -1 : i64, tokens = 0 : i64, type = tensor<61x5xf32, #rondo.axes<[d, n]>>}]} {
  %zero = rondo.constant dense<0.0> : tensor<61x5xf32, #rondo.axes<[d, n]>>
  %y = rondo.scan "r" inputs(%x, %b : tensor<?x61xf32, #td>, tensor<?x5xf32, #tn>) states("S" = %zero : tensor<61x5xf32, #rondo.axes<[d, n]>>) chunk 1 form "sequential" transition "none" -> (tensor<?x61xf32, #td>) token(%xt, %bt, %S) {
    %half = rondo.constant dense<0.5> : tensor<f32>
    %0 = rondo.map mul(%half, %S) : (tensor<f32>, tensor<61x5xf32, #rondo.axes<[d, n]>>) -> tensor<61x5xf32, #rondo.axes<[d, n]>>
    %1 = rondo.map mul(%xt, %bt) : (tensor<61xf32, #d>, tensor<5xf32, #n>) -> tensor<61x5xf32, #rondo.axes<[d, n]>>
    %2 = rondo.map add(%0, %1) : (tensor<61x5xf32, #rondo.axes<[d, n]>>, tensor<61x5xf32, #rondo.axes<[d, n]>>) -> tensor<61x5xf32, #rondo.axes<[d, n]>>
    %3 = rondo.contract %2, %bt over [n] : tensor<61x5xf32, #rondo.axes<[d, n]>>, tensor<5xf32, #n> -> tensor<61xf32, #d>
    rondo.yield (%2 : tensor<61x5xf32, #rondo.axes<[d, n]>>) (%3 : tensor<61xf32, #d>)
  }
  %wx = rondo.map mul(%w, %x) : (tensor<61xf32, #d>, tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  %sum = rondo.map add(%y, %wx) : (tensor<?x61xf32, #td>, tensor<?x61xf32, #td>) -> tensor<?x61xf32, #td>
  return %sum : tensor<?x61xf32, #td>
})",
     1e-5},
    {"a_scan_with_a_matrix_in_panels", R"(
func.func private @k(%x: tensor<?x61xf32, #td>, %b: tensor<?x5xf32, #tn>, %a: tensor<61x5xf32, #rondo.axes<[d, n]>> {rondo.layout = "panels32"}) -> tensor<?x61xf32, #td> attributes {rondo.kernel = "scan", rondo.states = ["r.S"],
    rondo.state_info = [{init = -1 : i64, kind = "fixed", order = array<i64: 1, 0>, source = -1 : i64, tokens = 0 : i64, type = tensor<61x5xf32, #rondo.axes<[d, n]>>}]} {
  %zero = rondo.constant dense<0.0> : tensor<61x5xf32, #rondo.axes<[d, n]>>
  %y = rondo.scan "r" inputs(%x, %b, %a : tensor<?x61xf32, #td>, tensor<?x5xf32, #tn>, tensor<61x5xf32, #rondo.axes<[d, n]>>) states("S" = %zero : tensor<61x5xf32, #rondo.axes<[d, n]>>) chunk 1 form "sequential" transition "none" -> (tensor<?x61xf32, #td>) token(%xt, %bt, %at, %S) {
    %0 = rondo.map mul(%at, %S) : (tensor<61x5xf32, #rondo.axes<[d, n]>>, tensor<61x5xf32, #rondo.axes<[d, n]>>) -> tensor<61x5xf32, #rondo.axes<[d, n]>>
    %1 = rondo.map mul(%xt, %bt) : (tensor<61xf32, #d>, tensor<5xf32, #n>) -> tensor<61x5xf32, #rondo.axes<[d, n]>>
    %2 = rondo.map add(%0, %1) : (tensor<61x5xf32, #rondo.axes<[d, n]>>, tensor<61x5xf32, #rondo.axes<[d, n]>>) -> tensor<61x5xf32, #rondo.axes<[d, n]>>
    %3 = rondo.contract %2, %bt over [n] : tensor<61x5xf32, #rondo.axes<[d, n]>>, tensor<5xf32, #n> -> tensor<61xf32, #d>
    rondo.yield (%2 : tensor<61x5xf32, #rondo.axes<[d, n]>>) (%3 : tensor<61xf32, #d>)
  }
  return %y : tensor<?x61xf32, #td>
})",
     1e-5},
    {"a_scan_that_ends_in_parts", R"(
func.func private @k(%x: tensor<?x3x10xf32, #thp>, %b: tensor<?x21xf32, #tn>, %w: tensor<3x10xf32, #hp>) -> tensor<?x3x10xf32, #thp> attributes {rondo.kernel = "scan", rondo.states = ["r.S"],
    rondo.state_info = [{init = -1 : i64, kind = "fixed", source = -1 : i64, tokens = 0 : i64, type = tensor<3x10x21xf32, #hpn>}]} {
  %zero = rondo.constant dense<0.0> : tensor<3x10x21xf32, #hpn>
  %y = rondo.scan "r" inputs(%x, %b : tensor<?x3x10xf32, #thp>, tensor<?x21xf32, #tn>) states("S" = %zero : tensor<3x10x21xf32, #hpn>) chunk 1 form "sequential" transition "none" -> (tensor<?x3x10xf32, #thp>) token(%xt, %bt, %S) {
    %half = rondo.constant dense<0.5> : tensor<f32>
    %0 = rondo.map mul(%half, %S) : (tensor<f32>, tensor<3x10x21xf32, #hpn>) -> tensor<3x10x21xf32, #hpn>
    %1 = rondo.map mul(%xt, %bt) : (tensor<3x10xf32, #hp>, tensor<21xf32, #n>) -> tensor<3x10x21xf32, #hpn>
    %2 = rondo.map add(%0, %1) : (tensor<3x10x21xf32, #hpn>, tensor<3x10x21xf32, #hpn>) -> tensor<3x10x21xf32, #hpn>
    %3 = rondo.contract %2, %bt over [n] : tensor<3x10x21xf32, #hpn>, tensor<21xf32, #n> -> tensor<3x10xf32, #hp>
    rondo.yield (%2 : tensor<3x10x21xf32, #hpn>) (%3 : tensor<3x10xf32, #hp>)
  }
  %wx = rondo.map mul(%w, %x) : (tensor<3x10xf32, #hp>, tensor<?x3x10xf32, #thp>) -> tensor<?x3x10xf32, #thp>
  %difference = rondo.map sub(%wx, %y) : (tensor<?x3x10xf32, #thp>, tensor<?x3x10xf32, #thp>) -> tensor<?x3x10xf32, #thp>
  return %difference : tensor<?x3x10xf32, #thp>
})",
     1e-5},
    {"a_scan_that_ends_in_memory", R"(
func.func private @k(%x: tensor<?x3x10xf32, #thp>, %b: tensor<?x21xf32, #tn>, %w: tensor<3x10xf32, #hp>) -> tensor<?x3x10xf32, #thp> attributes {rondo.kernel = "scan", rondo.states = ["r.S"],
    rondo.state_info = [{init = -1 : i64, kind = "fixed", order = array<i64: 0, 2, 1>, source = -1 : i64, tokens = 0 : i64, type = tensor<3x10x21xf32, #hpn>}]} {
  %zero = rondo.constant dense<0.0> : tensor<3x10x21xf32, #hpn>
  %y = rondo.scan "r" inputs(%x, %b : tensor<?x3x10xf32, #thp>, tensor<?x21xf32, #tn>) states("S" = %zero : tensor<3x10x21xf32, #hpn>) chunk 1 form "sequential" transition "none" -> (tensor<?x3x10xf32, #thp>) token(%xt, %bt, %S) {
    %half = rondo.constant dense<0.5> : tensor<f32>
    %0 = rondo.map mul(%half, %S) : (tensor<f32>, tensor<3x10x21xf32, #hpn>) -> tensor<3x10x21xf32, #hpn>
    %part = rondo.constant dense<0.0625> : tensor<f32>
    %read = rondo.contract %S, %bt over [n] : tensor<3x10x21xf32, #hpn>, tensor<21xf32, #n> -> tensor<3x10xf32, #hp>
    %new = rondo.map sub(%xt, %read) : (tensor<3x10xf32, #hp>, tensor<3x10xf32, #hp>) -> tensor<3x10xf32, #hp>
    %scaled = rondo.map mul(%part, %new) : (tensor<f32>, tensor<3x10xf32, #hp>) -> tensor<3x10xf32, #hp>
    %1 = rondo.map mul(%scaled, %bt) : (tensor<3x10xf32, #hp>, tensor<21xf32, #n>) -> tensor<3x10x21xf32, #hpn>
    %2 = rondo.map add(%0, %1) : (tensor<3x10x21xf32, #hpn>, tensor<3x10x21xf32, #hpn>) -> tensor<3x10x21xf32, #hpn>
    %3 = rondo.contract %2, %bt over [n] : tensor<3x10x21xf32, #hpn>, tensor<21xf32, #n> -> tensor<3x10xf32, #hp>
    rondo.yield (%2 : tensor<3x10x21xf32, #hpn>) (%3 : tensor<3x10xf32, #hp>)
  }
  %wx = rondo.map mul(%w, %x) : (tensor<3x10xf32, #hp>, tensor<?x3x10xf32, #thp>) -> tensor<?x3x10xf32, #thp>
  %difference = rondo.map sub(%wx, %y) : (tensor<?x3x10xf32, #thp>, tensor<?x3x10xf32, #thp>) -> tensor<?x3x10xf32, #thp>
  return %difference : tensor<?x3x10xf32, #thp>
})",
     1e-5},
    {"scan_with_a_state_stored_in_another_order", R"(
func.func private @k(%x: tensor<?x3x10xf32, #thp>, %b: tensor<?x21xf32, #tn>) -> tensor<?x3x10xf32, #thp> attributes {rondo.kernel = "scan", rondo.states = ["r.S"],
    rondo.state_info = [{init = -1 : i64, kind = "fixed", order = array<i64: 0, 2, 1>, source = -1 : i64, tokens = 0 : i64, type = tensor<3x10x21xf32, #hpn>}]} {
  %zero = rondo.constant dense<0.0> : tensor<3x10x21xf32, #hpn>
  %y = rondo.scan "r" inputs(%x, %b : tensor<?x3x10xf32, #thp>, tensor<?x21xf32, #tn>) states("S" = %zero : tensor<3x10x21xf32, #hpn>) chunk 1 form "sequential" transition "none" -> (tensor<?x3x10xf32, #thp>) token(%xt, %bt, %S) {
    %half = rondo.constant dense<0.5> : tensor<f32>
    %0 = rondo.map mul(%half, %S) : (tensor<f32>, tensor<3x10x21xf32, #hpn>) -> tensor<3x10x21xf32, #hpn>
    %1 = rondo.map mul(%xt, %bt) : (tensor<3x10xf32, #hp>, tensor<21xf32, #n>) -> tensor<3x10x21xf32, #hpn>
    %2 = rondo.map add(%0, %1) : (tensor<3x10x21xf32, #hpn>, tensor<3x10x21xf32, #hpn>) -> tensor<3x10x21xf32, #hpn>
    %3 = rondo.contract %2, %bt over [n] : tensor<3x10x21xf32, #hpn>, tensor<21xf32, #n> -> tensor<3x10xf32, #hp>
    rondo.yield (%2 : tensor<3x10x21xf32, #hpn>) (%3 : tensor<3x10xf32, #hp>)
  }
  return %y : tensor<?x3x10xf32, #thp>
})",
     1e-5},
    {"two_states_exchange_their_values", R"(
func.func private @k(%x: tensor<?x21xf32, #tn>) -> (tensor<?x21xf32, #tn>, tensor<?xf32, #t>) attributes {rondo.kernel = "scan", rondo.states = ["r.A", "r.B"],
    rondo.state_info = [{init = -1 : i64, kind = "fixed", source = -1 : i64, tokens = 0 : i64, type = tensor<21xf32, #n>}, {init = -1 : i64, kind = "fixed", source = -1 : i64, tokens = 0 : i64, type = tensor<21xf32, #n>}]} {
  %zero = rondo.constant dense<0.0> : tensor<21xf32, #n>
  %y, %z = rondo.scan "r" inputs(%x : tensor<?x21xf32, #tn>) states("A" = %zero, "B" = %zero : tensor<21xf32, #n>, tensor<21xf32, #n>) chunk 1 form "sequential" transition "none" -> (tensor<?x21xf32, #tn>, tensor<?xf32, #t>) token(%xt, %A, %B) {
    %half = rondo.constant dense<0.5> : tensor<f32>
    %0 = rondo.map mul(%B, %half) : (tensor<21xf32, #n>, tensor<f32>) -> tensor<21xf32, #n>
    %1 = rondo.map add(%0, %xt) : (tensor<21xf32, #n>, tensor<21xf32, #n>) -> tensor<21xf32, #n>
    %2 = rondo.view %A by affine_map<(n) -> ((n + 1) mod 21)> : tensor<21xf32, #n> -> tensor<21xf32, #n>
    %3 = rondo.map mul(%2, %half) : (tensor<21xf32, #n>, tensor<f32>) -> tensor<21xf32, #n>
    %4 = rondo.contract %A, %1 over [n] : tensor<21xf32, #n>, tensor<21xf32, #n> -> tensor<f32>
    rondo.yield (%1, %3 : tensor<21xf32, #n>, tensor<21xf32, #n>) (%B, %4 : tensor<21xf32, #n>, tensor<f32>)
  }
  return %y, %z : tensor<?x21xf32, #tn>, tensor<?xf32, #t>
})",
     4e-5},
    {"blocks_and_a_ragged_rest", R"(
func.func private @k(%x: tensor<?x21xf32, #tn>) -> tensor<?x21xf32, #tn> attributes {rondo.kernel = "scan", rondo.states = ["r.S"],
    rondo.state_info = [{init = -1 : i64, kind = "fixed", source = -1 : i64, tokens = 0 : i64, type = tensor<21xf32, #n>}]} {
  %zero = rondo.constant dense<0.0> : tensor<21xf32, #n>
  %y = rondo.scan "r" inputs(%x : tensor<?x21xf32, #tn>) states("S" = %zero : tensor<21xf32, #n>) chunk 4 form "chunked" transition "none" -> (tensor<?x21xf32, #tn>) token(%xt, %S) {
    %0 = rondo.map add(%S, %xt) : (tensor<21xf32, #n>, tensor<21xf32, #n>) -> tensor<21xf32, #n>
    rondo.yield (%0 : tensor<21xf32, #n>) (%0 : tensor<21xf32, #n>)
  } block(%xc, %S) {
    %i = rondo.index : tensor<4xf32, #rondo.axes<[c]>>
    %j = rondo.index : tensor<4xf32, #s>
    %m = rondo.map le(%j, %i) : (tensor<4xf32, #s>, tensor<4xf32, #rondo.axes<[c]>>) -> tensor<4x4xi1, #cs>
    %w = rondo.map convert(%m) : (tensor<4x4xi1, #cs>) -> tensor<4x4xf32, #cs>
    %xs = rondo.view %xc by affine_map<(s, n) -> (s, n)> : tensor<4x21xf32, #cn> -> tensor<4x21xf32, #rondo.axes<[s, n]>>
    %0 = rondo.contract %w, %xs over [s] : tensor<4x4xf32, #cs>, tensor<4x21xf32, #rondo.axes<[s, n]>> -> tensor<4x21xf32, #cn>
    %1 = rondo.map add(%0, %S) : (tensor<4x21xf32, #cn>, tensor<21xf32, #n>) -> tensor<4x21xf32, #cn>
    %2 = rondo.view %1 by affine_map<(n) -> (3, n)> : tensor<4x21xf32, #cn> -> tensor<21xf32, #n>
    rondo.yield (%2 : tensor<21xf32, #n>) (%1 : tensor<4x21xf32, #cn>)
  }
  return %y : tensor<?x21xf32, #tn>
})",
     2e-5},
    {"windowed_attention_with_grouped_heads", R"(
func.func private @k(%q: tensor<?x4x10xf32, #thk>, %k: tensor<?x2x10xf32, #tgk>, %v: tensor<?x2x10xf32, #tgk>) -> tensor<?x4x10xf32, #thk> attributes {rondo.kernel = "attend", rondo.states = ["a.key0", "a.key1"],
    rondo.state_info = [{init = -1 : i64, kind = "cache", source = 1 : i64, tokens = 9 : i64, type = tensor<2x10xf32, #rondo.axes<[g, k]>>}, {init = -1 : i64, kind = "cache", source = 2 : i64, tokens = 9 : i64, type = tensor<2x10xf32, #rondo.axes<[g, k]>>}]} {
  %y = rondo.attend softmax "a" causal window 9 queries(%q : tensor<?x4x10xf32, #thk>) keys(%k, %v : tensor<?x2x10xf32, #tgk>, tensor<?x2x10xf32, #tgk>) -> tensor<?x4x10xf32, #thk> body(%pt, %ps, %qt, %ks, %vs) {
    %all = rondo.constant dense<true> : tensor<i1>
    %kk = rondo.view %ks by affine_map<(s, h, k) -> (s, h floordiv 2, k)> : tensor<?x2x10xf32, #sgk> -> tensor<?x4x10xf32, #shk>
    %vv = rondo.view %vs by affine_map<(s, h, k) -> (s, h floordiv 2, k)> : tensor<?x2x10xf32, #sgk> -> tensor<?x4x10xf32, #shk>
    %d = rondo.contract %qt, %kk over [k] : tensor<?x4x10xf32, #thk>, tensor<?x4x10xf32, #shk> -> tensor<?x4x?xf32, #ths>
    %c = rondo.constant dense<1.3> : tensor<f32>
    %e = rondo.map mul(%d, %c) : (tensor<?x4x?xf32, #ths>, tensor<f32>) -> tensor<?x4x?xf32, #ths>
    rondo.yield () (%all, %e, %vv : tensor<i1>, tensor<?x4x?xf32, #ths>, tensor<?x4x10xf32, #shk>)
  }
  return %y : tensor<?x4x10xf32, #thk>
})",
     4e-6},
    {"sum_over_the_past_with_a_distance_weight", R"(
func.func private @k(%v: tensor<?x4x10xf32, #thk>) -> tensor<?x4x10xf32, #thk> attributes {rondo.kernel = "attend", rondo.states = ["a.key0"],
    rondo.state_info = [{init = -1 : i64, kind = "cache", source = 0 : i64, tokens = 0 : i64, type = tensor<4x10xf32, #rondo.axes<[h, k]>>}]} {
  %y = rondo.attend sum "a" causal keys(%v : tensor<?x4x10xf32, #thk>) -> tensor<?x4x10xf32, #thk> body(%pt, %ps, %vs) {
    %all = rondo.constant dense<true> : tensor<i1>
    %zero = rondo.constant dense<0.0> : tensor<f32>
    %rate = rondo.constant dense<0.25> : tensor<f32>
    %far = rondo.map sub(%ps, %pt) : (tensor<?xf32, #s>, tensor<?xf32, #t>) -> tensor<?x?xf32, #rondo.axes<[t, s]>>
    %scaled = rondo.map mul(%far, %rate) : (tensor<?x?xf32, #rondo.axes<[t, s]>>, tensor<f32>) -> tensor<?x?xf32, #rondo.axes<[t, s]>>
    %w = rondo.map exp(%scaled) : (tensor<?x?xf32, #rondo.axes<[t, s]>>) -> tensor<?x?xf32, #rondo.axes<[t, s]>>
    %p = rondo.map mul(%w, %vs) : (tensor<?x?xf32, #rondo.axes<[t, s]>>, tensor<?x4x10xf32, #shk>) -> tensor<?x?x4x10xf32, #rondo.axes<[t, s, h, k]>>
    rondo.yield () (%all, %zero, %p : tensor<i1>, tensor<f32>, tensor<?x?x4x10xf32, #rondo.axes<[t, s, h, k]>>)
  }
  return %y : tensor<?x4x10xf32, #thk>
})",
     8e-6},
};

/// Elements of a state [h, p, n] moved between the order of its axes and storage in the order h, n,
/// p.
std::vector<float> swapLastTwo(const std::vector<float> &from, ArrayRef<int64_t> shape,
                               bool toStorage) {
  std::vector<float> to(from.size());
  int64_t rows = shape[shape.size() - 2], columns = shape.back();
  for (int64_t begin = 0; begin < int64_t(from.size()); begin += rows * columns)
    for (int64_t p = 0; p < rows; ++p)
      for (int64_t n = 0; n < columns; ++n) {
        int64_t plain = begin + p * columns + n, stored = begin + n * rows + p;
        to[toStorage ? stored : plain] = from[toStorage ? plain : stored];
      }
  return to;
}

class Kernels : public ::testing::TestWithParam<Case> {
protected:
  static void SetUpTestSuite() { test::provideTileLevel(); }
  void SetUp() override {
    context.loadDialect<RondoDialect, func::FuncDialect, arith::ArithDialect, LLVM::LLVMDialect,
                        scf::SCFDialect, math::MathDialect, vector::VectorDialect>();
    module = parseSourceString<ModuleOp>(std::string(aliases) + GetParam().kernel, &context);
    ASSERT_TRUE(module);
    kernel = module->lookupSymbol<func::FuncOp>("k");
  }

  /// Ids from one below the first to one beyond the last: those of no matrix are among them.
  Array randomIds(Type type, int64_t rows, int64_t matrices) {
    Array array = random(type, rows);
    std::uniform_int_distribution<int64_t> uniform(-1, matrices);
    for (double &id : array.data)
      id = double(uniform(generator));
    return array;
  }

  Array random(Type type, int64_t rows) {
    Array array{std::vector<int64_t>(cast<RankedTensorType>(type).getShape()), {}};
    int64_t count = 1;
    for (int64_t &extent : array.shape)
      count *= extent = ShapedType::isDynamic(extent) ? rows : extent;
    std::uniform_real_distribution<double> uniform(GetParam().low, GetParam().high);
    for (int64_t i = 0; i < count; ++i)
      array.data.push_back(float(uniform(generator)));
    return array;
  }

  StringRef layoutOf(unsigned argument) {
    auto layout = kernel.getArgAttrOfType<StringAttr>(argument, "rondo.layout");
    return layout ? layout.getValue() : "rows";
  }

  static void roundToBfloat(Array &array) {
    for (double &x : array.data)
      x = bfloatToFloat(floatToBfloat(float(x)));
  }

  static void roundAsStored(Array &array, const std::string &layout) {
    std::vector<float> data(array.data.begin(), array.data.end());
    TensorView rows{"", DType::F32, array.shape, std::as_bytes(std::span(data)), {}};
    auto bytes = packWeight(rows, layout);
    ASSERT_TRUE(bool(bytes)) << bytes.error().message;
    auto back = unpackWeight("", storedType(layout), array.shape, layout, *bytes);
    ASSERT_TRUE(bool(back)) << back.error().message;
    array.data = *toF64(back->view());
  }

  /// The array as it lies in a package.
  static AlignedBytes packed(const Array &array, StringRef layout) {
    std::vector<float> data(array.data.begin(), array.data.end());
    auto bytes =
        packWeight({"", DType::F32, array.shape, std::as_bytes(std::span(data)), {}}, layout.str());
    EXPECT_TRUE(bool(bytes));
    AlignedBytes copy(bytes->size());
    std::memcpy(copy.data(), bytes->data(), bytes->size());
    return copy;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  func::FuncOp kernel;
  std::mt19937 generator{7};
};

AlignedBytes aligned(const std::vector<float> &values) {
  AlignedBytes bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), values.size() * sizeof(float));
  return bytes;
}

TEST_P(Kernels, EqualTheInterpreter) {
  std::vector<std::string> levels = supportedIsas();
  OwningOpRef<ModuleOp> target = ModuleOp::create(UnknownLoc::get(&context));
  std::map<std::string, cpu::KernelRecord> records;
  for (const cpu::Isa *isa : cpu::variantsOf(kernel, isaNames())) {
    FailureOr<cpu::KernelRecord> record = cpu::emitKernel(kernel, *isa, *target);
    ASSERT_TRUE(succeeded(record));
    records[isa->name.str()] = *record;
  }
  EXPECT_TRUE(records.contains("x86-64-v3") && records.contains("x86-64-v4"));
  auto reads = [&](StringRef layout) {
    for (unsigned i = 0; i < kernel.getNumArguments(); ++i)
      if (layoutOf(i) == layout)
        return true;
    return false;
  };
  bool isProduct = kernel->getAttrOfType<StringAttr>("rondo.kernel").getValue() == "product";
  bool pairs = reads("pairs32"), narrow = pairs || reads("bytes32") || reads("nibbles32");
  for (const char *level : {"x86-64-v4-bf16", "x86-64-v4-amx"})
    EXPECT_EQ(records.contains(level), narrow && isProduct) << level;
  ASSERT_TRUE(succeeded(cpu::lowerToLlvm(*target)));
  FailureOr<std::string> object = cpu::emitObject(*target);
  ASSERT_TRUE(succeeded(object));
  FailureOr<std::string> shared = cpu::linkShared(*object, target->getLoc());
  ASSERT_TRUE(succeeded(shared));
  auto code = KernelCode::load(std::as_bytes(std::span(shared->data(), shared->size())), "test");
  ASSERT_TRUE(bool(code)) << code.error().message;
  // LLVM handles signals of its own as soon as it writes files.
  test::provideTileLevel();

  auto states = kernel->getAttrOfType<ArrayAttr>("rondo.states");
  auto infos = kernel->getAttrOfType<ArrayAttr>("rondo.state_info");
  // A past of some tokens, then this piece; the last sequence starts empty.
  for (std::vector<std::vector<int64_t>> lengths : std::vector<std::vector<std::vector<int64_t>>>{
           {{0}, {1}}, {{3, 0}, {17, 9}}, {{70, 5, 0}, {1, 1, 1}}, {{8}, {40}}, {{0}, {150}}}) {
    // More rows than a product takes at once.
    if (lengths[1][0] > 128 && !isProduct)
      continue;
    std::vector<SequenceState> reference(lengths[0].size());
    std::vector<Array> arguments, results;
    auto noParameters = [](StringRef) -> const Array * { return nullptr; };
    auto makeArguments = [&](const std::vector<int64_t> &piece, bool keepParameters) {
      int64_t rows = 0;
      for (int64_t length : piece)
        rows += length;
      arguments.resize(kernel.getNumArguments());
      for (auto [argument, array] : llvm::zip(kernel.getArguments(), arguments))
        if (isPerToken(argument.getType()) || !keepParameters) {
          auto ids = kernel.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), "test.ids");
          array = ids ? randomIds(argument.getType(), rows, ids.getInt())
                      : random(argument.getType(), rows);
          // What is stored with fewer digits means its rounded numbers.
          std::string layout = layoutOf(argument.getArgNumber()).str();
          if (storedType(layout) != DType::F32)
            roundAsStored(array, layout);
        }
      return rows;
    };
    makeArguments(lengths[0], false);
    ASSERT_TRUE(bool(interpret(kernel, arguments, lengths[0], reference, noParameters)));
    std::vector<SequenceState> before = reference;
    int64_t rows = makeArguments(lengths[1], true);
    auto expected = interpret(kernel, arguments, lengths[1], reference, noParameters);
    ASSERT_TRUE(bool(expected)) << llvm::toString(expected.takeError());
    // Levels that multiply pairs of bf16 round the rows as well, not what the sums end with.
    std::vector<Array> roundedArguments = arguments;
    for (auto [argument, array] : llvm::zip(kernel.getArguments(), roundedArguments))
      if (isPerToken(argument.getType()) &&
          !llvm::all_of(argument.getUsers(), llvm::IsaPred<MapOp>))
        roundToBfloat(array);
    std::vector<SequenceState> again = before;
    auto expectedOfRounded = interpret(kernel, roundedArguments, lengths[1], again, noParameters);
    ASSERT_TRUE(bool(expectedOfRounded)) << llvm::toString(expectedOfRounded.takeError());

    for (const std::string &level : levels) {
      if (!records.contains(level))
        continue;
      const std::vector<Array> &wanted =
          pairs && cpu::isaNamed(level)->dotPairs ? *expectedOfRounded : *expected;
      const cpu::KernelRecord &record = records[level];
      std::string symbol = cpu::symbolOf(kernel, *cpu::isaNamed(level));
      size_t sequences = lengths[1].size();
      std::vector<AlignedBytes> memory, blocks, caches;
      std::vector<void *> operands;
      for (auto [i, array] : llvm::enumerate(arguments)) {
        memory.push_back(packed(array, layoutOf(unsigned(i))));
        operands.push_back(memory.back().data());
      }
      // One block a sequence; every state at a multiple of 64 bytes.
      std::vector<int64_t> offsets;
      int64_t blockBytes = 64, cacheCount = 0;
      for (size_t i = 0; states && i < states.size(); ++i) {
        auto info = cast<DictionaryAttr>(infos[i]);
        int64_t elements =
            cast<RankedTensorType>(info.getAs<TypeAttr>("type").getValue()).getNumElements();
        bool cache = info.getAs<StringAttr>("kind").getValue() == "cache",
             tail = info.getAs<StringAttr>("kind").getValue() == "tail";
        offsets.push_back(cache ? cacheCount++ : blockBytes);
        operands.push_back(reinterpret_cast<void *>(offsets.back()));
        if (!cache)
          blockBytes +=
              (elements * (tail ? info.getAs<IntegerAttr>("tokens").getInt() : 1) * 4 + 63) / 64 *
              64;
      }
      std::vector<char *> blockAddresses, cacheAddresses;
      std::vector<int64_t> capacities;
      for (size_t s = 0; s < sequences; ++s) {
        blocks.emplace_back(blockBytes);
        blockAddresses.push_back(reinterpret_cast<char *>(blocks.back().data()));
        for (size_t i = 0; states && i < states.size(); ++i) {
          std::string name = cast<StringAttr>(states[i]).getValue().str();
          bool cache =
              cast<DictionaryAttr>(infos[i]).getAs<StringAttr>("kind").getValue() == "cache";
          // A cache holds the piece's rows already.
          const auto &values = cache ? reference[s].values : before[s].values;
          auto it = values.find(name);
          std::vector<float> data;
          if (it != values.end())
            data.assign(it->second.data.begin(), it->second.data.end());
          if (cache) {
            data.resize(128 * data.size() / std::max<int64_t>(1, reference[s].position), 99.0f);
            caches.push_back(aligned(data));
            cacheAddresses.push_back(reinterpret_cast<char *>(caches.back().data()));
            capacities.push_back(128);
          } else if (!data.empty()) {
            if (cast<DictionaryAttr>(infos[i]).contains("order"))
              data = swapLastTwo(data, it->second.shape, true);
            std::memcpy(blocks[s].data() + offsets[i], data.data(), data.size() * 4);
          }
        }
      }
      std::vector<AlignedBytes> outputs;
      for (const Array &result : wanted) {
        outputs.push_back(aligned(std::vector<float>(result.data.size(), NAN)));
        operands.push_back(outputs.back().data());
      }
      std::vector<int64_t> rowBegin{0}, position;
      std::vector<int32_t> sequenceOfRow;
      for (size_t s = 0; s < sequences; ++s) {
        rowBegin.push_back(rowBegin.back() + lengths[1][s]);
        position.push_back(before[s].position);
        sequenceOfRow.insert(sequenceOfRow.end(), lengths[1][s], int32_t(s));
      }
      rondo_batch batch{rows,
                        int64_t(sequences),
                        rowBegin.data(),
                        position.data(),
                        sequenceOfRow.data(),
                        blockAddresses.data(),
                        cacheAddresses.data(),
                        capacities.data(),
                        cacheCount};
      rondo_call call{operands.data(), &batch};
      AlignedBytes scratch(record.scratchBytes + 64);
      int64_t count = record.per == cpu::KernelRecord::Per::Rows        ? rows
                      : record.per == cpu::KernelRecord::Per::Sequences ? int64_t(sequences)
                                                                        : 1;
      rondo_kernel function = code->find(symbol);
      ASSERT_TRUE(function) << symbol;
      // In two parts, as two threads take them.
      int64_t items = (count + record.unit - 1) / record.unit * record.factor;
      auto products = [] { return test::tileCounts().pairs + test::tileCounts().quads; };
      uint64_t earlier = products();
      function(&call, 0, items / 3, scratch.data());
      function(&call, items / 3, items, scratch.data());
      if (cpu::isaNamed(level)->tiles && rows >= 16 && !__builtin_cpu_supports("amx-tile"))
        EXPECT_GT(products(), earlier) << "no product of tiles";

      for (auto [o, result] : llvm::enumerate(wanted)) {
        auto *found = reinterpret_cast<const float *>(outputs[o].data());
        for (size_t i = 0; i < result.data.size(); ++i)
          ASSERT_NEAR(found[i], result.data[i],
                      GetParam().bound * std::max(1.0, std::fabs(result.data[i])))
              << level << ", result " << o << ", element " << i;
      }
      for (size_t i = 0; states && i < states.size(); ++i) {
        if (cast<DictionaryAttr>(infos[i]).getAs<StringAttr>("kind").getValue() != "fixed")
          continue;
        for (size_t s = 0; s < sequences; ++s) {
          const Array &left = reference[s].values[cast<StringAttr>(states[i]).getValue().str()];
          auto *stored = reinterpret_cast<const float *>(blocks[s].data() + offsets[i]);
          std::vector<float> found(stored, stored + left.data.size());
          if (cast<DictionaryAttr>(infos[i]).contains("order"))
            found = swapLastTwo(found, left.shape, false);
          for (size_t j = 0; j < left.data.size(); ++j)
            ASSERT_NEAR(found[j], left.data[j],
                        GetParam().bound * std::max(1.0, std::fabs(left.data[j])))
                << level << ", state " << i << ", element " << j;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codegen, Kernels, ::testing::ValuesIn(cases),
                         [](const ::testing::TestParamInfo<Case> &info) {
                           return std::string(info.param.name);
                         });

} // namespace

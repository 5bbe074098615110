// Cycles of emitted kernels, held to what can be counted by hand.

#include "codegen/cpu/Estimate.h"

#include "dialect/Rondo.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

using namespace mlir;
using namespace rondo;

namespace {

class Estimates : public ::testing::Test {
protected:
  /// The cycles of a launch of `rows` rows of a kernel written in the dialect.
  cpu::Cycles cyclesOf(const std::string &text, const cpu::Isa &isa, int64_t rows) {
    context.loadDialect<RondoDialect, func::FuncDialect, arith::ArithDialect, LLVM::LLVMDialect,
                        scf::SCFDialect, math::MathDialect, vector::VectorDialect>();
    module = parseSourceString<ModuleOp>(aliases + text, &context);
    EXPECT_TRUE(module);
    OwningOpRef<ModuleOp> target = ModuleOp::create(UnknownLoc::get(&context));
    auto kernel = *module->getOps<func::FuncOp>().begin();
    FailureOr<cpu::KernelRecord> record = cpu::emitKernel(kernel, isa, *target);
    EXPECT_TRUE(succeeded(record));
    auto emitted = cast<func::FuncOp>(target->getBody()->back());
    return cpu::cyclesOf(emitted, isa, *record, {rows, 0});
  }
  double cycles(const std::string &text, const cpu::Isa &isa, int64_t rows) {
    return cyclesOf(text, isa, rows).shared;
  }

  const std::string aliases = R"(
#td = #rondo.axes<["t", "d"]>
#tn = #rondo.axes<["t", "n"]>
#nd = #rondo.axes<["n", "d"]>
)";
  const std::string product = R"(
func.func private @k(%x: tensor<?x512xf32, #td>, %w: tensor<256x512xf32, #nd> {rondo.layout = "panels32"}) -> tensor<?x256xf32, #tn> attributes {rondo.kernel = "product"} {
  %y = rondo.contract %x, %w over [d] : tensor<?x512xf32, #td>, tensor<256x512xf32, #nd> -> tensor<?x256xf32, #tn>
  return %y : tensor<?x256xf32, #tn>
})";
  const std::string pairs = R"(
func.func private @k(%x: tensor<?x512xf32, #td>, %w: tensor<256x512xf32, #nd> {rondo.layout = "pairs32"}) -> tensor<?x256xf32, #tn> attributes {rondo.kernel = "product"} {
  %y = rondo.contract %x, %w over [d] : tensor<?x512xf32, #td>, tensor<256x512xf32, #nd> -> tensor<?x256xf32, #tn>
  return %y : tensor<?x256xf32, #tn>
})";
  const std::string doubled = R"(
func.func private @k(%x: tensor<?x512xf32, #td>) -> tensor<?x512xf32, #td> attributes {rondo.kernel = "rows"} {
  %y = rondo.map add(%x, %x) : (tensor<?x512xf32, #td>, tensor<?x512xf32, #td>) -> tensor<?x512xf32, #td>
  return %y : tensor<?x512xf32, #td>
})";
  const std::string exponential = R"(
func.func private @k(%x: tensor<?x512xf32, #td>) -> tensor<?x512xf32, #td> attributes {rondo.kernel = "rows"} {
  %e = rondo.map exp(%x) : (tensor<?x512xf32, #td>) -> tensor<?x512xf32, #td>
  %y = rondo.map add(%x, %e) : (tensor<?x512xf32, #td>, tensor<?x512xf32, #td>) -> tensor<?x512xf32, #td>
  return %y : tensor<?x512xf32, #td>
})";
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};

} // namespace

/// Two vector multiply-adds begin in each cycle, and a tile of a product wants nothing more.
TEST_F(Estimates, OfProductsAreTheirMultiplyAdds) {
  for (const cpu::Isa *isa : {&cpu::v3, &cpu::v4}) {
    double least = 96.0 * 512 * 256 / double(2 * isa->lanes);
    double all = cycles(product, *isa, 96);
    EXPECT_GE(all, least) << isa->name.str();
    EXPECT_LE(all, 1.35 * least) << isa->name.str();
    EXPECT_NEAR(cycles(product, *isa, 960) / all, 10, 0.01) << isa->name.str();
  }
}

/// An instruction multiplies two pairs in each lane: half as many, and the rounding of rows beside.
TEST_F(Estimates, OfPairsAreHalfOfThat) {
  double least = 96.0 * 512 * 256 / (2 * 2 * 16);
  double all = cycles(pairs, cpu::v4bf16, 96);
  EXPECT_GE(all, least);
  EXPECT_LE(all, 1.6 * least);
}

/// A product of tiles takes 16 rows by 16 columns by 16 pairs in 16 cycles; sums go through memory.
TEST_F(Estimates, OfTilesAreTheirProducts) {
  double least = 96.0 * 512 * 256 / (16 * 2 * 16);
  double all = cycles(pairs, cpu::v4amx, 96);
  EXPECT_GE(all, least);
  EXPECT_LE(all, 3 * least);
}

/// What multiplies nothing costs nothing beside what does: of a number and its exponential's sum.
TEST_F(Estimates, OfAdditionsBesideProducts) {
  cpu::Cycles sums = cyclesOf(doubled, cpu::v4, 100),
              products = cyclesOf(exponential, cpu::v4, 100);
  EXPECT_DOUBLE_EQ(sums.beside, sums.shared) << "no products to be beside";
  EXPECT_LT(products.beside, 0.95 * products.shared);
  EXPECT_GT(products.beside, 0.5 * products.shared);
}

/// One row reads each weight once; two sums wait for each other, four cycles for two loads.
TEST_F(Estimates, OfOneRowAreItsLoads) {
  double loads = 512.0 * 256 / (2 * 16);
  EXPECT_GE(cycles(product, cpu::v4, 1), loads);
  EXPECT_LE(cycles(product, cpu::v4, 1), 4.5 * loads);
}

TEST_F(Estimates, OfRowsGrowWithTheRows) {
  double one = cycles(doubled, cpu::v4, 1);
  EXPECT_GE(one, 512.0 / 16) << "a vector is stored in a cycle";
  EXPECT_LE(one, 4 * 512.0 / 16);
  EXPECT_NEAR(cycles(doubled, cpu::v4, 100), 100 * one, 0.05 * 100 * one);
  EXPECT_GT(cycles(doubled, cpu::v3, 1), 1.5 * one) << "vectors of half the size";
}

//===- ObjectTest.cpp - Kernel functions become a shared object that runs -===//

#include "codegen/cpu/Object.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "runtime/abi.h"
#include "gtest/gtest.h"
#include <cstdio>
#include <dlfcn.h>
#include <unistd.h>

using namespace mlir;
using namespace rondo;

namespace {
/// out[i] = fma(a[i], b[i], out[i]) in vectors of eight, and a plain loop that fills with zeros,
/// which LLVM would like to make a memset.
constexpr llvm::StringLiteral twoKernels = R"mlir(
func.func @accumulate_v3(%call: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr) attributes {rondo.isa = "x86-64-v3"} {
  %operands = llvm.load %call : !llvm.ptr -> !llvm.ptr
  %a = llvm.load %operands : !llvm.ptr -> !llvm.ptr
  %second = llvm.getelementptr %operands[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %b = llvm.load %second : !llvm.ptr -> !llvm.ptr
  %third = llvm.getelementptr %operands[16] : (!llvm.ptr) -> !llvm.ptr, i8
  %out = llvm.load %third : !llvm.ptr -> !llvm.ptr
  %step = arith.constant 8 : i64
  scf.for %i = %begin to %end step %step : i64 {
    %pa = llvm.getelementptr %a[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %pb = llvm.getelementptr %b[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %po = llvm.getelementptr %out[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %va = llvm.load %pa {alignment = 4} : !llvm.ptr -> vector<8xf32>
    %vb = llvm.load %pb {alignment = 4} : !llvm.ptr -> vector<8xf32>
    %vo = llvm.load %po {alignment = 4} : !llvm.ptr -> vector<8xf32>
    %r = math.fma %va, %vb, %vo : vector<8xf32>
    llvm.store %r, %po {alignment = 4} : vector<8xf32>, !llvm.ptr
  }
  return
}
func.func @zero_v4(%call: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr) attributes {rondo.isa = "x86-64-v4"} {
  %operands = llvm.load %call : !llvm.ptr -> !llvm.ptr
  %out = llvm.load %operands : !llvm.ptr -> !llvm.ptr
  %zero = arith.constant 0.0 : f32
  %step = arith.constant 1 : i64
  scf.for %i = %begin to %end step %step : i64 {
    %po = llvm.getelementptr %out[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    llvm.store %zero, %po : f32, !llvm.ptr
  }
  return
}
)mlir";

class Object : public testing::Test {
protected:
  Object() {
    context.loadDialect<func::FuncDialect, scf::SCFDialect, arith::ArithDialect, math::MathDialect,
                        vector::VectorDialect, LLVM::LLVMDialect>();
    context.getDiagEngine().registerHandler([&](Diagnostic &diagnostic) {
      errors += diagnostic.str() + "\n";
      return success();
    });
  }
  OwningOpRef<ModuleOp> lowered(StringRef text) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module) << errors;
    EXPECT_TRUE(succeeded(cpu::lowerToLlvm(*module))) << errors;
    return module;
  }
  MLIRContext context;
  std::string errors;
};

/// A shared object loaded from its bytes.
class Loaded {
public:
  explicit Loaded(const std::string &bytes)
      : path(testing::TempDir() + "rondo-object-" + std::to_string(getpid()) + ".so") {
    FILE *file = fopen(path.c_str(), "wb");
    fwrite(bytes.data(), 1, bytes.size(), file);
    fclose(file);
    handle = dlopen(path.c_str(), RTLD_NOW);
    EXPECT_TRUE(handle) << dlerror();
  }
  ~Loaded() {
    if (handle)
      dlclose(handle);
    remove(path.c_str());
  }
  rondo_kernel kernel(const char *name) {
    return reinterpret_cast<rondo_kernel>(dlsym(handle, name));
  }

private:
  std::string path;
  void *handle;
};
} // namespace

TEST_F(Object, RunsWhatWasEmitted) {
  OwningOpRef<ModuleOp> module = lowered(twoKernels);
  // One part and several parts are linked differently and must hold the same symbols.
  for (unsigned threads : {1u, 2u}) {
    FailureOr<std::string> object = cpu::emitObject(*module, {threads, ""});
    ASSERT_TRUE(succeeded(object)) << errors;
    FailureOr<std::string> shared = cpu::linkShared(*object, module->getLoc());
    ASSERT_TRUE(succeeded(shared)) << errors;
    Loaded loaded(*shared);
    rondo_kernel kernel = loaded.kernel("accumulate_v3");
    ASSERT_TRUE(kernel);
    EXPECT_TRUE(loaded.kernel("zero_v4"));
    if (!__builtin_cpu_supports("avx2"))
      GTEST_SKIP() << "this machine has no AVX2";
    alignas(64) float a[16], b[16], out[16];
    for (int i = 0; i < 16; ++i)
      a[i] = i, b[i] = 2, out[i] = 1;
    void *operands[] = {a, b, out};
    rondo_call call{operands, nullptr};
    kernel(&call, 0, 16, nullptr);
    for (int i = 0; i < 16; ++i)
      EXPECT_EQ(out[i], 2 * i + 1);
  }
}

TEST_F(Object, UsesEachFunctionsLevel) {
  OwningOpRef<ModuleOp> module = lowered(twoKernels);
  FailureOr<std::string> ir = cpu::emitLlvm(*module);
  ASSERT_TRUE(succeeded(ir)) << errors;
  EXPECT_NE(ir->find("\"target-cpu\"=\"x86-64-v3\""), std::string::npos);
  EXPECT_NE(ir->find("\"target-cpu\"=\"x86-64-v4\""), std::string::npos);
  FailureOr<std::string> assembly = cpu::emitAssembly(*module);
  ASSERT_TRUE(succeeded(assembly)) << errors;
  EXPECT_NE(assembly->find("vfmadd"), std::string::npos) << *assembly;
}

TEST_F(Object, LoopsDoNotBecomeLibraryCalls) {
  FailureOr<std::string> assembly = cpu::emitAssembly(*lowered(twoKernels));
  ASSERT_TRUE(succeeded(assembly)) << errors;
  EXPECT_EQ(assembly->find("memset"), std::string::npos) << *assembly;
}

TEST_F(Object, NamesTheFunctionThatALibraryWouldHaveToDefine) {
  OwningOpRef<ModuleOp> module = lowered(R"mlir(
    func.func @needs_exp(%call: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr) attributes {rondo.isa = "x86-64-v3"} {
      %x = llvm.load %scratch : !llvm.ptr -> f32
      %y = math.exp %x : f32
      llvm.store %y, %scratch : f32, !llvm.ptr
      return
    })mlir");
  EXPECT_TRUE(failed(cpu::emitObject(*module)));
  EXPECT_NE(errors.find("kernels must call nothing, but their code needs expf"), std::string::npos)
      << errors;
}

TEST_F(Object, RefusesAFunctionWithoutALevel) {
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>("func.func @k(%call: !llvm.ptr) { return }", &context);
  EXPECT_TRUE(failed(cpu::lowerToLlvm(*module)));
  EXPECT_NE(errors.find("kernel function 'k' has no `rondo.isa`"), std::string::npos) << errors;
}

TEST_F(Object, SaysWhatTheLinkerSaid) {
  EXPECT_TRUE(failed(cpu::linkShared("not an object", UnknownLoc::get(&context))));
  EXPECT_NE(errors.find("failed"), std::string::npos) << errors;
  errors.clear();
  EXPECT_TRUE(failed(cpu::linkShared("", UnknownLoc::get(&context), {0, "/nonexistent/linker"})));
  EXPECT_NE(errors.find("/nonexistent/linker"), std::string::npos) << errors;
}

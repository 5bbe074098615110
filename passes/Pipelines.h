//===- Pipelines.h - The recipes from stage to stage -----------*- C++ -*-===//
//
//   token  --buildBlockPipeline-->  block  --buildKernelPipeline-->  kernel
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

#include <string>

namespace rondo {

struct BlockPipelineOptions : mlir::PassPipelineOptions<BlockPipelineOptions> {
  Option<std::string> target{
      *this, "target",
      llvm::cl::desc("x86-64-v3 or x86-64-v4: sizes of blocks and the cost model's rates"),
      llvm::cl::init("x86-64-v4")};
  ListOption<std::string> forms{*this, "forms",
                                llvm::cl::desc("NAME=chunk, NAME=chunk:C or NAME=sequential")};
  ListOption<std::string> tried{
      *this, "tried", llvm::cl::desc("NAME=FORM@CYCLES: a form's code takes so many a token")};
  ListOption<std::string> entries{
      *this, "entries", llvm::cl::desc("entries beside forward (default: all that apply)")};
};

struct KernelPipelineOptions : mlir::PassPipelineOptions<KernelPipelineOptions> {
  Option<std::string> weights{*this, "weights",
                              llvm::cl::desc("the layout of the matrices of products"),
                              llvm::cl::init("panels32")};
  Option<std::string> integers{
      *this, "integers",
      llvm::cl::desc("the layout of those that rounded rows are multiplied with"),
      llvm::cl::init("bytes32")};
  Option<std::string> chosen{*this, "chosen",
                             llvm::cl::desc("the layout of those that tokens choose"),
                             llvm::cl::init("panels32")};
};

/// From what one token does to scans and attends over blocks, for every entry.
void buildBlockPipeline(mlir::OpPassManager &passes, const BlockPipelineOptions &options);

/// From block level to launches of outlined kernels.
void buildKernelPipeline(mlir::OpPassManager &passes, const KernelPipelineOptions &options);

/// `-rondo-block-pipeline` and `-rondo-kernel-pipeline` for rondo-opt.
void registerRondoPipelines();

} // namespace rondo

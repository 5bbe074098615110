//===- Manifest.h - What a package says of itself --------------*- C++ -*-===//
//
// From a plan to the tables of runtime/package.fbs.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/common/Plan.h"
#include "runtime/package_generated.h"

namespace rondo {

/// A kernel at one level of the instruction set.
struct EmittedVariant {
  std::string isa, symbol;
  std::vector<package::Estimate> estimates; ///< empty: nothing is known of its speed
};

/// What a target says of one of the plan's kernels.
struct EmittedKernel {
  std::string kind; ///< rows, product, scan, attend
  package::Per per = package::Per::Once;
  int64_t unit = 1, factor = 1, grain = 1, scratchBytes = 0;
  std::vector<EmittedVariant> variants;
};

/// What is neither planned nor emitted.
struct PackageNotes {
  std::string model, architecture;
  std::string tokenizer; ///< tokenizer.json's text, or empty
  std::vector<int32_t> eos;
  std::unique_ptr<package::ObjectiveT> objective; ///< null: text is made token by token
  std::unique_ptr<package::LimitT> limit;         ///< null: sequences have any length
  bool hasSteps = false;                          ///< the formulas round numbers of a token
  std::string meaning;                            ///< bytecode of the token-level module
  std::string explain;
  package::ProvenanceT provenance;
};

/// The manifest; kernels as in plan.kernels. Fails, reported, on a type that packages do not hold.
mlir::FailureOr<package::PackageT>
makeManifest(const Plan &plan, llvm::ArrayRef<EmittedKernel> kernels, PackageNotes notes);

} // namespace rondo

//===- Weights.h - Parameters bound to a checkpoint, and their values -*- C++ -*-===//

#pragma once

#include "codegen/common/Plan.h"
#include "runtime/stored.h"
#include <functional>
#include <map>

namespace rondo {

/// Where parameters come from: tensors of a checkpoint, or numbers drawn by each parameter's
/// `init`.
struct WeightOrigin {
  std::vector<TensorView> tensors;
  std::string checkpoint;       ///< the folder or file, for messages
  std::optional<uint64_t> seed; ///< set: no checkpoint, --random-init
  StorageRules rules{};         ///< of numbers of few bits
  Renames renames{};            ///< of the module that is bound
};

/// The parameters of a module with their values. Shapes count without axes of extent 1, which
/// published tensors have in places where a formula needs none.
class Weights {
public:
  /// Binds every rondo.param of `module`, the token level. All tensors that are missing, of another
  /// shape or of a type without real numbers are reported (file, tensor, found, expected in the
  /// spec's axes); tensors that nothing reads are a warning
  /// unless a pattern of the module's `rondo.ignored` names them.
  static mlir::FailureOr<Weights> bind(mlir::ModuleOp module, WeightOrigin origin);

  /// The values of one of a plan's constants, row-major. A derived one is computed by the reference
  /// interpreter in f64 and rounded once.
  mlir::FailureOr<std::vector<float>> value(const Plan &plan, int64_t constant) const;

  /// Paths of all parameters, in the order of the module, with their type.
  const std::vector<std::pair<std::string, mlir::RankedTensorType>> &parameters() const {
    return order;
  }
  int64_t parameterElements() const;

private:
  mlir::FailureOr<std::vector<float>> parameter(ParamOp param) const;

  WeightOrigin origin;
  std::map<std::string, size_t> byName; ///< in origin.tensors
  std::vector<std::pair<std::string, mlir::RankedTensorType>> order;
};

/// The tensors of a checkpoint that a parameter is made of, and the type of each.
std::pair<std::vector<std::string>, mlir::RankedTensorType> tensorsOf(llvm::StringRef path,
                                                                      mlir::RankedTensorType type);

/// Adds every parameter that no kernel reads as it is stored in the checkpoint to the plan's
/// weights, so that the package's meaning can be checked.
void keepParameters(mlir::ModuleOp kernelModule, Plan &plan);

} // namespace rondo

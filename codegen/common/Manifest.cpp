//===- Manifest.cpp - What a package says of itself -----------------------===//

#include "codegen/common/Manifest.h"

#include "codegen/common/Work.h"
#include "runtime/abi.h"
#include "runtime/package.h"

using namespace mlir;
using namespace rondo;

static package::DType dtypeOf(Type type) {
  // Truth values are stored as numbers.
  return elementTypeOf(type).isInteger(64) ? package::DType::I64 : package::DType::F32;
}

static std::vector<std::unique_ptr<package::AxisT>> axes(RankedTensorType type) {
  std::vector<std::unique_ptr<package::AxisT>> result;
  for (auto [axis, extent] : llvm::zip(axesOf(type), type.getShape())) {
    auto &entry = result.emplace_back(std::make_unique<package::AxisT>());
    entry->name = axis.str();
    entry->extent = ShapedType::isDynamic(extent) ? -1 : extent;
  }
  return result;
}

static std::unique_ptr<package::ValueT> value(const PlannedValue &planned) {
  auto result = std::make_unique<package::ValueT>();
  result->name = planned.name;
  result->dtype = dtypeOf(planned.type);
  result->axes = axes(planned.type);
  result->id_limit = planned.idLimit;
  return result;
}

static std::unique_ptr<package::StateT> state(const PlannedState &planned) {
  auto result = std::make_unique<package::StateT>();
  result->name = planned.name;
  result->order.assign(planned.order.begin(), planned.order.end());
  result->kind = planned.kind == PlannedState::Kind::Fixed  ? package::StateKind::Fixed
                 : planned.kind == PlannedState::Kind::Tail ? package::StateKind::Tail
                                                            : package::StateKind::Cache;
  result->dtype = dtypeOf(planned.type);
  result->axes = axes(planned.type);
  result->offset = planned.offset;
  result->bytes = planned.bytes;
  result->tokens = planned.tokens;
  result->init = int32_t(planned.init);
  result->scale = planned.scale;
  return result;
}

static std::unique_ptr<package::StepT> step(const PlannedStep &planned) {
  auto result = std::make_unique<package::StepT>();
  result->kind = planned.kind == PlannedStep::Kind::Launch   ? package::StepKind::Launch
                 : planned.kind == PlannedStep::Kind::Append ? package::StepKind::Append
                 : planned.kind == PlannedStep::Kind::Tail   ? package::StepKind::Tail
                                                             : package::StepKind::Last;
  result->kernel = int32_t(planned.kernel);
  for (const PlannedOperand &operand : planned.operands) {
    package::OperandKind kind =
        operand.kind == PlannedOperand::Kind::Arena    ? package::OperandKind::Arena
        : operand.kind == PlannedOperand::Kind::Weight ? package::OperandKind::Weight
        : operand.kind == PlannedOperand::Kind::State  ? package::OperandKind::State
        : operand.kind == PlannedOperand::Kind::Input  ? package::OperandKind::Input
                                                       : package::OperandKind::Output;
    result->operands.emplace_back(kind, operand.index);
  }
  result->space = planned.lastSpace ? package::Space::Last : package::Space::Tokens;
  result->row_bytes = planned.rowBytes;
  return result;
}

static std::unique_ptr<package::EntryT> entry(const PlannedEntry &planned) {
  auto result = std::make_unique<package::EntryT>();
  result->name = planned.name;
  for (const PlannedValue &input : planned.inputs)
    result->inputs.push_back(value(input));
  for (const PlannedValue &output : planned.outputs)
    result->outputs.push_back(value(output));
  result->outputs_in_last_space = planned.outputsInLastSpace;
  for (const PlannedStep &planned : planned.steps)
    result->steps.push_back(step(planned));
  result->arena = planned.arenaBytes;
  result->max_rows = planned.maxRows;
  result->whole_sequence = planned.wholeSequence;
  return result;
}

/// The place in the spec that a kernel comes from.
static std::string placeOf(Location location) {
  std::string place;
  location->walk([&](Location inner) {
    auto file = dyn_cast<FileLineColLoc>(inner);
    if (!file)
      return WalkResult::advance();
    place = file.getFilename().str() + ":" + std::to_string(file.getLine());
    return WalkResult::interrupt();
  });
  return place;
}

FailureOr<package::PackageT> rondo::makeManifest(const Plan &plan, ArrayRef<EmittedKernel> kernels,
                                                 PackageNotes notes) {
  package::PackageT result;
  result.model = std::move(notes.model);
  result.architecture = std::move(notes.architecture);
  result.abi = RONDO_ABI_VERSION;
  for (const PlannedState &planned : plan.states)
    result.states.push_back(state(planned));
  result.state_bytes = plan.stateBytes;
  result.caches = int32_t(plan.caches);

  // The writer gives weights their offsets.
  for (const PlannedWeight &planned : plan.weights) {
    const PlannedConstant &constant = plan.constants[planned.constant];
    if (!constant.type.getElementType().isF32())
      return constant.source->emitError("weight '")
             << constant.name << "' is " << constant.type << "; packages hold f32 weights";
    auto &weight = result.weights.emplace_back(std::make_unique<package::WeightT>());
    weight->name = constant.name;
    weight->derived = !isa<ParamOp>(constant.source);
    DType stored = storedType(planned.layout);
    weight->dtype = *packageDType(stored);
    weight->shape.assign(constant.type.getShape().begin(), constant.type.getShape().end());
    weight->layout = planned.layout;
    std::vector<int64_t> shape = weight->shape;
    if (!packedBytes(stored, shape, planned.layout))
      return constant.source->emitError("weight '") << constant.name << "' of " << constant.type
                                                    << " cannot have the layout " << planned.layout;
  }

  for (auto [function, emitted] : llvm::zip_equal(plan.kernels, kernels)) {
    auto &kernel = result.kernels.emplace_back(std::make_unique<package::KernelT>());
    func::FuncOp kernelFunction = function;
    kernel->name = kernelFunction.getName().str();
    kernel->kind = emitted.kind;
    for (const auto &[isa, symbol, estimates] : emitted.variants) {
      auto &variant = kernel->variants.emplace_back(std::make_unique<package::VariantT>());
      variant->isa = isa;
      variant->symbol = symbol;
      variant->estimates = estimates;
    }
    kernel->per = emitted.per;
    kernel->unit = emitted.unit;
    kernel->factor = emitted.factor;
    kernel->grain = emitted.grain;
    kernel->scratch = emitted.scratchBytes;
    kernel->location = placeOf(kernelFunction.getLoc());
    KernelWork work = workOf(kernelFunction);
    kernel->flops_per_row = work.flopsPerRow;
    kernel->flops_per_pair = work.flopsPerPair;
    kernel->bytes_per_row = work.bytesPerRow;
    kernel->bytes_once = work.bytesOnce;
  }
  for (const PlannedEntry &planned : plan.entries)
    result.entries.push_back(entry(planned));

  result.tokenizer = std::move(notes.tokenizer);
  result.eos = std::move(notes.eos);
  result.objective = std::move(notes.objective);
  result.limit = std::move(notes.limit);
  result.has_steps = notes.hasSteps;
  result.meaning.assign(notes.meaning.begin(), notes.meaning.end());
  result.explain = std::move(notes.explain);
  result.provenance = std::make_unique<package::ProvenanceT>(std::move(notes.provenance));
  return result;
}

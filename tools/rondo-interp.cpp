//===- rondo-interp.cpp - Evaluate a program by the meaning of its ops ----===//
//
// Reads a spec, a module, or the module that a package carries for verification, its parameters and
// inputs, runs the reference interpreter, and writes outputs and states. Everything read is checked
// against the types of the entry before it is used.
//
//===----------------------------------------------------------------------===//

#include "dialect/Interpreter.h"
#include "frontend/Frontend.h"
#include "runtime/package.h"
#include "runtime/safetensors.h"
#include "tools/InterpOptions.h"
#include "tools/OpenCheckpoint.h"
#include "tools/StorageRules.h"

#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>
#include <set>

using namespace mlir;
using namespace rondo;

namespace {

//===----------------------------------------------------------------------===//
// The program and its parameters
//===----------------------------------------------------------------------===//

struct Loaded {
  OwningOpRef<ModuleOp> module;
  std::optional<Package> package;
};

/// The module of a spec, with the sizes of the checkpoint's config.json where no other is given.
Result<OwningOpRef<ModuleOp>> loadSpec(MLIRContext &context, const InterpOptions &options) {
  SpecOptions spec = options.spec;
  DiagnosticSink sink;
  if (holdsSettings(options.checkpoint) && spec.configPath.empty()) {
    RONDO_TAKE(OpenedCheckpoint opened, openCheckpoint(options.checkpoint, spec.importDirs[0]));
    spec.configPath = options.checkpoint;
    spec.configText = std::move(opened.config);
  } else if (!options.checkpoint.empty() && spec.configPath.empty()) {
    spec.configPath = options.checkpoint + "/config.json";
  }
  if (spec.path.empty())
    spec.path = specForConfig(spec.importDirs[0], spec, sink);
  auto module = sink.failed() ? nullptr : buildTokenLevel(context, spec, sink);
  llvm::errs() << sink.text();
  if (!module)
    return rondo::Error{(spec.path.empty() ? options.checkpoint : spec.path) +
                        ": is no valid spec"};
  return module;
}

Result<Loaded> loadProgram(MLIRContext &context, const InterpOptions &options) {
  const std::string &path = options.spec.path;
  ParserConfig config(&context);
  Loaded program;
  if (path.empty() || StringRef(path).ends_with(".rondo")) {
    RONDO_TAKE(program.module, loadSpec(context, options));
    return program;
  }
  if (StringRef(path).ends_with(".rpk")) {
    RONDO_TAKE(program.package, Package::open(path));
    const auto *meaning = program.package->manifest().meaning();
    if (!meaning || meaning->size() == 0)
      return rondo::Error{path + ": holds no module to interpret: it was written without one"};
    StringRef bytes(reinterpret_cast<const char *>(meaning->data()), meaning->size());
    program.module = parseSourceString<ModuleOp>(bytes, config, path);
  } else {
    program.module = parseSourceFile<ModuleOp>(path, config);
  }
  if (!program.module)
    return rondo::Error{path + ": is no valid module"};
  return program;
}

Result<func::FuncOp> findEntry(ModuleOp module, const std::string &path, StringRef entry) {
  std::string found;
  for (auto function : module.getOps<func::FuncOp>()) {
    auto name = function->getAttrOfType<StringAttr>("rondo.entry");
    if (!function.isExternal() &&
        (function.getName() == entry || (name && name.getValue() == entry)))
      return function;
    if (!function.isPrivate())
      found += (found.empty() ? "" : ", ") + function.getName().str();
  }
  return rondo::Error{path + ": expected an entry '" + entry.str() + "', found " +
                      (found.empty() ? "none" : found)};
}

/// Parameters, read at first use.
class Parameters {
public:
  Status open(const std::string &path, const std::string &modelsDir,
              const std::optional<Package> &own, Renames names) {
    renames = std::move(names);
    package = own ? &*own : nullptr;
    if (StringRef(path).ends_with(".rpk")) {
      RONDO_TAKE(other, Package::open(path));
      package = &*other;
    } else if (!path.empty()) {
      RONDO_TAKE(OpenedCheckpoint opened, openCheckpoint(path, modelsDir));
      checkpoint = std::move(opened.checkpoint);
      SpecOptions config;
      config.configPath = opened.config.empty() ? path + "/config.json" : path;
      config.configText = std::move(opened.config);
      rules = storageRulesOf(config);
    }
    return {};
  }

  const Array *find(StringRef path) {
    auto [place, isNew] = arrays.try_emplace(path.str());
    if (isNew)
      place->second = read(path.str());
    return place->second ? &*place->second : nullptr;
  }

  /// The layout in which the package has a parameter; empty: it is not of a package.
  std::string layoutOf(StringRef path) const {
    auto index = !checkpoint && package ? package->findWeight(path.str()) : std::nullopt;
    return index ? package->manifest().weights()->Get(uint32_t(*index))->layout()->str() : "";
  }

private:
  std::optional<Array> read(const std::string &path) const {
    auto arrayOf = [](const TensorView &view) -> std::optional<Array> {
      auto numbers = toF64(view);
      return numbers ? std::optional(Array{view.shape, *std::move(numbers)}) : std::nullopt;
    };
    auto ofCheckpoint = [&](const std::string &name) -> std::optional<Array> {
      auto find = [&](const std::string &part) { return checkpoint->find(part); };
      auto stored = findStored(name, {}, find, rules, renames);
      if (!stored || !*stored) // a tensor that is there and has no meaning: said where it is read
        return std::nullopt;
      if ((*stored)->form == StoredTensor::Plain)
        return arrayOf(*(*stored)->values);
      auto numbers = toF32(**stored, rules);
      if (!numbers)
        return std::nullopt;
      return Array{(*stored)->shape, {numbers->begin(), numbers->end()}};
    };
    if (checkpoint) {
      if (stackedAxis(path).empty())
        return ofCheckpoint(path);
      // As many as there are; the program says how many there must be.
      std::optional<Array> all;
      for (int64_t i = 0; auto slice = ofCheckpoint(pathOfSlice(path, i)); ++i) {
        if (!all) {
          all = Array{slice->shape, {}};
          all->shape.insert(all->shape.begin(), 0);
        }
        all->shape[0] += 1;
        all->data.insert(all->data.end(), slice->data.begin(), slice->data.end());
      }
      return all;
    }
    auto index = !checkpoint && package ? package->findWeight(path) : std::nullopt;
    if (!index)
      return std::nullopt;
    auto tensor = unpackWeight(*package, *index);
    return tensor ? arrayOf(tensor->view()) : std::nullopt;
  }

  std::optional<Checkpoint> checkpoint;
  StorageRules rules; ///< of the checkpoint
  Renames renames;
  std::optional<Package> other; ///< that the parameters were asked of
  const Package *package = nullptr;
  std::map<std::string, std::optional<Array>> arrays;
};

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

/// One file of inputs: whole sequences of equal length, or packed ones.
struct Batch {
  bool packed = false; ///< values are [rows, axes...]
  bool inOne = false;  ///< values are [1, rows, axes...], cut by `cu_seqlens`
  std::vector<int64_t> lengths;
  std::vector<SequenceState> states;
  std::vector<Array> arguments;
};

Result<Array> numbersOf(const TensorView &view, Type element) {
  if (element.isF32()) {
    RONDO_TAKE(auto numbers, toF64(view));
    return Array{view.shape, std::move(numbers)};
  }
  RONDO_TAKE(auto ids, toI64(view));
  return Array{view.shape, std::vector<double>(ids.begin(), ids.end())};
}

std::string nameOf(func::FuncOp function, unsigned i, bool result) {
  auto name = result ? function.getResultAttrOfType<StringAttr>(i, "rondo.name")
                     : function.getArgAttrOfType<StringAttr>(i, "rondo.name");
  return name ? name.str() : (result ? "result" : "arg") + std::to_string(i);
}

Status readLengths(const TensorFile &file, func::FuncOp function, Batch &batch) {
  if (const TensorView *lengths = file.find("lengths")) {
    RONDO_TAKE(batch.lengths, toI64(*lengths));
    batch.packed = true;
    for (int64_t length : batch.lengths)
      if (length < 0 || length > int64_t(1) << 40)
        return rondo::Error{file.path() + ": lengths: expected numbers of tokens, found " +
                            std::to_string(length)};
    return {};
  }
  if (const TensorView *ends = file.find("cu_seqlens")) {
    RONDO_TAKE(std::vector<int64_t> cuts, toI64(*ends));
    batch.packed = batch.inOne = true;
    if (cuts.empty() || cuts.front() != 0)
      return rondo::Error{file.path() + ": cu_seqlens: expected 0 in front, found " +
                          (cuts.empty() ? "nothing" : std::to_string(cuts.front()))};
    for (size_t i = 1; i < cuts.size(); ++i) {
      if (cuts[i] < cuts[i - 1] || cuts[i] > int64_t(1) << 40)
        return rondo::Error{file.path() + ": cu_seqlens: expected numbers of tokens that do not " +
                            "go back, found " + std::to_string(cuts[i])};
      batch.lengths.push_back(cuts[i] - cuts[i - 1]);
    }
    return {};
  }
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    const TensorView *view = isPerToken(type) ? file.find(nameOf(function, i, false)) : nullptr;
    if (!view || view->shape.size() < 2)
      continue;
    if (view->shape[0] < 1)
      return rondo::Error{file.path() + ": " + view->name +
                          ": expected at least one sequence, found shape " +
                          printShape(view->shape)};
    batch.lengths.assign(view->shape[0], view->shape[1]);
    return {};
  }
  return rondo::Error{
      file.path() +
      ": expected an input [batch, tokens, ...], or `lengths` beside packed ones, found neither"};
}

/// Arguments in the order of the function, each [rows, axes...].
Status readArguments(const TensorFile &file, func::FuncOp function, Batch &batch) {
  int64_t rows = 0;
  for (int64_t length : batch.lengths)
    rows += length;
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    std::string name = nameOf(function, i, false);
    const TensorView *view = file.find(name);
    if (!view)
      return rondo::Error{file.path() + ": expected a tensor '" + name + "', found none"};
    auto tensor = cast<RankedTensorType>(type);
    std::vector<int64_t> shape(tensor.getShape()), expected = shape;
    if (isPerToken(type)) {
      shape[0] = expected[0] = rows;
      if (!batch.packed) {
        expected[0] = batch.lengths[0];
        expected.insert(expected.begin(), int64_t(batch.lengths.size()));
      } else if (batch.inOne) {
        expected.insert(expected.begin(), 1);
      }
    }
    if (view->shape != expected)
      return rondo::Error{file.path() + ": " + name + ": expected shape " + printShape(expected) +
                          ", found " + printShape(view->shape)};
    RONDO_TAKE(Array array, numbersOf(*view, tensor.getElementType()));
    array.shape = shape;
    batch.arguments.push_back(std::move(array));
  }
  return {};
}

/// A package may keep states scaled by others of its own, of which the spec does not know.
void unscaleStates(const Package &package, Batch &batch) {
  for (SequenceState &sequence : batch.states) {
    std::set<std::string> scales;
    for (const package::State *state : *package.manifest().states()) {
      const package::State *scale = scaleOf(package.manifest(), *state);
      if (!scale)
        continue;
      auto own = sequence.values.find(state->name()->str()),
           exponents = sequence.values.find(scale->name()->str());
      scales.insert(scale->name()->str());
      if (own != sequence.values.end() && exponents != sequence.values.end() &&
          int64_t(own->second.data.size()) * 4 == state->bytes() &&
          int64_t(exponents->second.data.size()) * 4 == scale->bytes())
        multiplyByScale(*state, *scale, own->second.data, exponents->second.data);
    }
    for (const std::string &name : scales)
      sequence.values.erase(name);
  }
}

/// A package keeps the earlier tokens of one value once, for the shift that reaches furthest; the
/// others are the end of it.
void fillShifts(ModuleOp module, Batch &batch) {
  module.walk([&](ShiftOp op) {
    ShiftOp furthest = op;
    for (Operation *user : op.getSource().getUsers())
      if (auto other = dyn_cast<ShiftOp>(user);
          other && other.getDistance() > furthest.getDistance())
        furthest = other;
    if (furthest == op)
      return;
    for (SequenceState &sequence : batch.states) {
      std::map<std::string, Array> found;
      for (const auto &[name, tail] : sequence.values) {
        StringRef prefix = name;
        int64_t rows = tail.shape.empty() ? 0 : tail.shape[0], kept = op.getDistance();
        if (!prefix.consume_back(furthest.getName()) ||
            !(prefix.empty() || prefix.ends_with(".")) || rows != int64_t(furthest.getDistance()))
          continue;
        Array end{tail.shape, {tail.data.end() - tail.data.size() / rows * kept, tail.data.end()}};
        end.shape[0] = kept;
        found[(prefix + op.getName()).str()] = std::move(end);
      }
      sequence.values.insert(found.begin(), found.end());
    }
  });
}

Status readStates(const TensorFile &file, Batch &batch) {
  size_t count = batch.lengths.size();
  batch.states.resize(count);
  for (const TensorView &view : file.tensors()) {
    StringRef name = view.name;
    if (!name.consume_front("state."))
      continue;
    // state.NAME[b], of one sequence, as they are written where their shapes differ.
    if (auto [base, rest] = name.split('['); rest.consume_back("]")) {
      size_t b = 0;
      if (rest.getAsInteger(10, b) || b >= count)
        return rondo::Error{file.path() + ": " + view.name + ": expected the number of one of " +
                            std::to_string(count) + " sequences in brackets"};
      RONDO_TAKE(std::vector<double> own, toF64(view));
      batch.states[b].values[base.str()] = {view.shape, std::move(own)};
      continue;
    }
    if (view.shape.empty() || view.shape[0] != int64_t(count))
      return rondo::Error{file.path() + ": " + view.name + ": expected " + std::to_string(count) +
                          " sequences in front, found shape " + printShape(view.shape)};
    RONDO_TAKE(std::vector<double> numbers, toF64(view));
    size_t size = numbers.size() / count;
    for (size_t b = 0; b < count; ++b) {
      std::vector<double> own(numbers.begin() + b * size, numbers.begin() + (b + 1) * size);
      if (name != "position") {
        batch.states[b].values[name.str()] = {{view.shape.begin() + 1, view.shape.end()},
                                              std::move(own)};
        continue;
      }
      if (size != 1 || !(own[0] >= 0 && own[0] <= double(int64_t(1) << 40)))
        return rondo::Error{file.path() +
                            ": state.position: expected one number of tokens a sequence"};
      batch.states[b].position = int64_t(own[0]);
    }
  }
  return {};
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

Result<Tensor> tensorOf(std::string name, std::vector<int64_t> shape,
                        const std::vector<double> &numbers, DType dtype) {
  RONDO_TAKE(Tensor tensor, makeTensor(std::move(name), dtype, std::move(shape)));
  switch (dtype) {
  case DType::I64:
    llvm::copy(numbers, tensor.as<int64_t>().begin());
    break;
  case DType::Bool:
    llvm::copy(numbers, tensor.as<uint8_t>().begin());
    break;
  case DType::F32:
    llvm::copy(numbers, tensor.as<float>().begin());
    break;
  default:
    llvm::copy(numbers, tensor.as<double>().begin());
  }
  return tensor;
}

/// Whether a value has a row a sequence: it follows from `rondo.last`. Each value is visited once:
/// the paths to it double with every residual sum.
bool followsLast(Value value) {
  SmallVector<Value> open{value};
  llvm::DenseSet<Value> seen;
  while (!open.empty()) {
    Value next = open.pop_back_val();
    Operation *op = next.getDefiningOp();
    if (!op || !seen.insert(next).second)
      continue;
    if (isa<LastOp>(op))
      return true;
    llvm::append_range(open, op->getOperands());
  }
  return false;
}

Status addOutputs(func::FuncOp function, const Batch &batch, const std::vector<Array> &results,
                  DType real, std::vector<Tensor> &tensors) {
  Operation *end = function.getBody().front().getTerminator();
  for (auto [i, array] : llvm::enumerate(results)) {
    Type type = function.getResultTypes()[i], element = elementTypeOf(type);
    std::vector<int64_t> shape = array.shape;
    if (isPerToken(type) && !followsLast(end->getOperand(i))) {
      if (!batch.packed) {
        shape[0] = batch.lengths[0];
        shape.insert(shape.begin(), int64_t(batch.lengths.size()));
      } else if (batch.inOne) {
        shape.insert(shape.begin(), 1);
      }
    }
    DType dtype = element.isF32() ? real : element.isInteger(1) ? DType::Bool : DType::I64;
    RONDO_TAKE(Tensor tensor, tensorOf(nameOf(function, i, true), shape, array.data, dtype));
    tensors.push_back(std::move(tensor));
  }
  return {};
}

/// States of all sequences under each name; where their shapes differ (caches of sequences of
/// different lengths), one tensor a sequence: state.NAME[b].
Status addStates(const Batch &batch, DType real, std::vector<Tensor> &tensors) {
  std::vector<double> positions;
  for (const SequenceState &state : batch.states)
    positions.push_back(double(state.position));
  RONDO_TAKE(Tensor position,
             tensorOf("state.position", {int64_t(positions.size())}, positions, DType::I64));
  tensors.push_back(std::move(position));
  if (batch.states.empty())
    return {};
  for (const auto &[name, first] : batch.states[0].values) {
    std::vector<double> all;
    bool equal = true;
    for (const SequenceState &state : batch.states) {
      const Array &own = state.values.at(name);
      equal &= own.shape == first.shape;
      all.insert(all.end(), own.data.begin(), own.data.end());
    }
    std::vector<int64_t> shape = first.shape;
    shape.insert(shape.begin(), int64_t(batch.states.size()));
    if (equal) {
      RONDO_TAKE(Tensor tensor, tensorOf("state." + name, shape, all, real));
      tensors.push_back(std::move(tensor));
      continue;
    }
    for (auto [b, state] : llvm::enumerate(batch.states)) {
      const Array &own = state.values.at(name);
      RONDO_TAKE(Tensor tensor, tensorOf("state." + name + "[" + std::to_string(b) + "]", own.shape,
                                         own.data, real));
      tensors.push_back(std::move(tensor));
    }
  }
  return {};
}

Status run(MLIRContext &context, const InterpOptions &options) {
  RONDO_TAKE(Loaded program, loadProgram(context, options));
  const std::string &name = options.spec.path.empty() ? options.checkpoint : options.spec.path;
  RONDO_TAKE(func::FuncOp function, findEntry(*program.module, name, options.entry));
  Parameters parameters;
  const std::string &weights = options.parameters.empty() ? options.checkpoint : options.parameters;
  RONDO_CHECK(parameters.open(weights, options.spec.importDirs.front(), program.package,
                              renamesOf(*program.module)));
  RONDO_TAKE(TensorFile file, TensorFile::open(options.inputs));
  Batch batch;
  RONDO_CHECK(readLengths(file, function, batch));
  RONDO_CHECK(readArguments(file, function, batch));
  RONDO_CHECK(readStates(file, batch));
  if (program.package) {
    unscaleStates(*program.package, batch);
    fillShifts(*program.module, batch);
  }
  if (options.unrounded)
    program.module->walk([](RoundOp op) { op.replaceAllUsesWith(op.getSource()); });
  InterpreterOptions how{
      /*f32=*/!options.f64, /*blockBodies=*/!options.tokenBodies, options.extended, {}};
  if (options.roundFactors)
    how.roundFactor = [&](StringRef path, ArrayRef<int64_t>, std::vector<double> &numbers) {
      if (storedType(parameters.layoutOf(path)) == DType::BF16)
        for (double &x : numbers)
          x = bfloatToFloat(floatToBfloat(float(x)));
    };
  auto find = [&](StringRef path) { return parameters.find(path); };
  auto results = interpret(function, batch.arguments, batch.lengths, batch.states, find, how);
  if (!results)
    return rondo::Error{llvm::toString(results.takeError())};
  std::vector<Tensor> tensors;
  DType real = options.f64 ? DType::F64 : DType::F32;
  RONDO_CHECK(addOutputs(function, batch, *results, real, tensors));
  RONDO_CHECK(addStates(batch, real, tensors));
  return writeTensors(options.outputs, std::span<const Tensor>(tensors));
}

} // namespace

int main(int argc, char **argv) {
  InterpCommand command = parseInterpCommand(argc, argv);
  if (!command.options)
    return command.exitCode;
  MLIRContext context;
  context.loadDialect<RondoDialect, func::FuncDialect>();
  llvm::SourceMgr sources;
  SourceMgrDiagnosticHandler printer(sources, &context);
  if (Status status = run(context, *command.options); !status) {
    llvm::errs() << "rondo-interp: " << status.error().message << "\n";
    return 1;
  }
  return 0;
}

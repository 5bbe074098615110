//===- Compilation.cpp - From a spec to what was asked for ----------------===//

#include "tools/Compilation.h"

#include "codegen/common/Manifest.h"
#include "codegen/common/Weights.h"
#include "codegen/cpu/Estimate.h"
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Object.h"
#include "frontend/Frontend.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"
#include "runtime/package.h"
#include "runtime/safetensors.h"
#include "runtime/sentencepiece.h"
#include "runtime/tokenizer.h"
#include "tools/DiagnosticPrinter.h"
#include "tools/Executable.h"
#include "tools/Explain.h"
#include "tools/FormTrials.h"
#include "tools/Header.h"
#include "tools/OpenCheckpoint.h"
#include "tools/PackedAhead.h"
#include "tools/StorageRules.h"

#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/DynamicLibrary.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/xxhash.h"
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <unistd.h>

using namespace mlir;
using namespace rondo;

const std::vector<std::string> &rondo::stageNames() {
  static const std::vector<std::string> names{"ast", "token",  "block",  "kernel", "vector", "llvm",
                                              "asm", "object", "header", "exe",    "package"};
  return names;
}

namespace {
/// A precision, and how the matrices of products lie in a package of it.
struct Precision {
  std::string name, weights, chosen, tables; ///< of products, of those chosen, of those looked up
  std::string integers = {}; ///< not empty: rows are rounded to 8 bits, and matrices lie so
};
} // namespace

// Products of chosen matrices have no form with integers: what is asked to be small is bf16 there.
// Tables of embeddings keep 8 bits where others have 4: they are read a row a token, and what a row
// loses, no sum evens out.
static const Precision precisions[] = {{"f32", "panels32", "panels32", "rows"},
                                       {"bf16", "pairs32", "halves32", "halves32"},
                                       {"w8", "panels32", "halves32", "bytes32", "bytes32"},
                                       {"w4", "panels32", "halves32", "bytes32", "nibbles32"}};

static const Precision &precisionNamed(const std::string &name) {
  return *llvm::find_if(precisions, [&](const Precision &p) { return p.name == name; });
}

const std::vector<std::string> &rondo::precisionNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> names;
    for (const Precision &precision : precisions)
      names.push_back(precision.name);
    return names;
  }();
  return names;
}

namespace {
class Compilation {
public:
  explicit Compilation(const CompileOptions &options)
      : options(options),
        printer(context, llvm::errs(), {options.remarks, options.remarksAreErrors}) {}

  int run();

private:
  // The stages. Each is false after an error, which was printed.
  bool load();
  bool emitAst();
  bool makeToken();
  bool makeBlock();
  void setLayouts(KernelPipelineOptions &pipeline) const;
  bool makeKernels();
  bool emitVectors();
  bool lower();
  bool makeObject();
  bool writeResult();

  struct Stage {
    std::string name, ending;
    OwningOpRef<ModuleOp> *result; ///< what --from and --override replace; null where they cannot
    bool (Compilation::*make)();
    std::function<FailureOr<std::string>()> text;
  };
  bool runStage(const Stage &stage, int &code);
  bool explainBlock();
  bool explainKernelLevel();
  bool timed(const std::string &name, llvm::function_ref<bool()> work);
  bool readCheckpoint();
  bool bindWeights();
  bool writePackageTo(const std::string &path);
  bool writeExecutable();
  bool parse(const std::string &path, OwningOpRef<ModuleOp> &module);
  bool runPlugins(const std::string &stage);
  bool runPasses(llvm::function_ref<void(OpPassManager &)> build);
  bool dump(const std::string &name, StringRef ending, StringRef text);
  bool emitText(StringRef text);
  bool emitFile(StringRef bytes, const std::string &ending);
  std::string outputPath(const std::string &ending) const;
  PackageNotes notes();
  bool error(const std::string &message) const;
  bool asked(const std::string &name) const { return options.emit == name; }
  bool needsWeights() const { return asked("package") || asked("exe"); }

  const CompileOptions &options;
  MLIRContext context;
  DiagnosticPrinter printer;

  OwningOpRef<ModuleOp> module;  ///< the model, at the level reached
  OwningOpRef<ModuleOp> meaning; ///< the token level
  OwningOpRef<ModuleOp> vectors; ///< the kernels, as functions of the target
  std::optional<Checkpoint> checkpoint;
  std::optional<Weights> weights;
  std::string explanation;
  Plan plan;
  std::vector<EmittedKernel> kernels;
  std::string object;
  unsigned dumped = 0;

  /// What a plugin exports as rondoPassesAfter: the passes (as text) that it adds after a stage,
  /// null for none.
  using PassesAfter = const char *(const char *stage);
  std::vector<std::pair<std::string, PassesAfter *>> plugins;
};
} // namespace

bool Compilation::error(const std::string &message) const {
  llvm::errs() << "rondoc: error: " << message << "\n";
  return false;
}

//===----------------------------------------------------------------------===//
// Text and files
//===----------------------------------------------------------------------===//

/// With the places in the spec, so that a dump that is compiled again still knows its lines.
static std::string textOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream, OpPrintingFlags().enableDebugInfo(true, /*prettyForm=*/false));
  return text + "\n";
}

bool Compilation::parse(const std::string &path, OwningOpRef<ModuleOp> &into) {
  if (!std::filesystem::is_regular_file(path))
    return error(path + ": no such file; expected the IR of a stage");
  into = parseSourceFile<ModuleOp>(path, &context);
  return bool(into); // the parser reports
}

bool Compilation::dump(const std::string &name, StringRef ending, StringRef text) {
  if (options.dumpTo.empty())
    return true;
  std::error_code failed;
  std::filesystem::create_directories(options.dumpTo, failed);
  if (failed)
    return error(options.dumpTo + ": cannot make the folder: " + failed.message());
  char number[8];
  snprintf(number, sizeof number, "%02u-", dumped++);
  Result<NewFile> file = NewFile::create(options.dumpTo + "/" + number + name + ending.str());
  if (!file)
    return error(file.error().message);
  Status written = file->write(std::string_view(text.data(), text.size()));
  if (written)
    written = file->commit();
  return written ? true : error(written.error().message);
}

std::string Compilation::outputPath(const std::string &ending) const {
  if (!options.output.empty())
    return options.output;
  return std::filesystem::path(options.spec.path).stem().string() + ending;
}

bool Compilation::emitFile(StringRef bytes, const std::string &ending) {
  Result<NewFile> file = NewFile::create(outputPath(ending));
  if (!file)
    return error(file.error().message);
  Status written = file->write(std::string_view(bytes.data(), bytes.size()));
  if (written)
    written = file->commit();
  return written ? true : error(written.error().message);
}

bool Compilation::emitText(StringRef text) {
  if (!options.output.empty() && options.output != "-")
    return emitFile(text, "");
  llvm::outs() << text;
  llvm::outs().flush();
  return true;
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

bool Compilation::readCheckpoint() {
  if (options.checkpoint.empty())
    return true;
  Result<OpenedCheckpoint> opened =
      openCheckpoint(options.checkpoint, options.spec.importDirs.front());
  if (!opened)
    return error(opened.error().message);
  checkpoint = std::move(opened->checkpoint);
  return true;
}

bool Compilation::load() {
  context.printOpOnDiagnostic(false);
  context.loadDialect<RondoDialect, func::FuncDialect, scf::SCFDialect, arith::ArithDialect,
                      math::MathDialect, vector::VectorDialect, ub::UBDialect, LLVM::LLVMDialect>();
  for (const std::string &path : options.passPlugins) {
    llvm::Expected<PassPlugin> plugin = PassPlugin::load(path);
    if (!plugin)
      return error(path + ": " + llvm::toString(plugin.takeError()));
    plugin->registerPassRegistryCallbacks();
    auto library = llvm::sys::DynamicLibrary::getPermanentLibrary(path.c_str());
    auto *joins = reinterpret_cast<PassesAfter *>(library.getAddressOfSymbol("rondoPassesAfter"));
    if (!joins)
      return error(path + ": has no function rondoPassesAfter; expected one that says after which "
                          "stage its passes run");
    plugins.push_back({path, joins});
  }
  return !needsWeights() || readCheckpoint();
}

bool Compilation::emitAst() {
  DiagnosticSink sink;
  std::optional<std::string> tree = dumpAst(options.spec, sink);
  llvm::errs() << sink.text();
  return tree && emitText(*tree);
}

bool Compilation::makeToken() {
  DiagnosticSink sink;
  module = buildTokenLevel(context, options.spec, sink);
  llvm::errs() << sink.text();
  if (!module)
    return false;
  if (precisionNamed(options.precision).integers.empty())
    return true;
  return runPasses([](OpPassManager &passes) { passes.addPass(createRoundProductsPass()); });
}

bool Compilation::runPasses(llvm::function_ref<void(OpPassManager &)> build) {
  PassManager passes(&context);
  build(passes);
  return succeeded(passes.run(*module)); // passes report
}

/// The passes of plugins that join after this stage of the model.
bool Compilation::runPlugins(const std::string &stage) {
  for (auto &[path, joins] : plugins) {
    const char *pipeline = joins(stage.c_str());
    if (!pipeline)
      continue;
    PassManager passes(&context);
    std::string wrong;
    llvm::raw_string_ostream stream(wrong);
    if (failed(parsePassPipeline(pipeline, passes, stream)))
      return error(path + ": expected passes to run after " + stage + ", found '" + pipeline +
                   "': " + wrong);
    if (failed(passes.run(*module)))
      return false; // passes report
  }
  return true;
}

bool Compilation::makeBlock() {
  BlockPipelineOptions pipeline;
  // One block form serves every level of a package; its size is the best level's.
  pipeline.target = cpu::isaNamed(options.isas.front())->root().name.str();
  for (auto &[name, form] : options.forms)
    pipeline.forms.push_back(name + "=" + form);
  pipeline.entries = options.entries;
  KernelPipelineOptions kernelLevel;
  setLayouts(kernelLevel);
  pipeline.tried = tryForms(*module, *cpu::isaNamed(options.isas.front()), pipeline, kernelLevel);
  return runPasses([&](OpPassManager &passes) { buildBlockPipeline(passes, pipeline); });
}

void Compilation::setLayouts(KernelPipelineOptions &pipeline) const {
  const Precision &precision = precisionNamed(options.precision);
  pipeline.weights = precision.weights;
  pipeline.chosen = precision.chosen;
  if (!precision.integers.empty())
    pipeline.integers = precision.integers;
}

bool Compilation::makeKernels() {
  KernelPipelineOptions pipeline;
  setLayouts(pipeline);
  return runPasses([&](OpPassManager &passes) { buildKernelPipeline(passes, pipeline); });
}

static package::Per perOf(cpu::KernelRecord::Per per) {
  return per == cpu::KernelRecord::Per::Once   ? package::Per::Once
         : per == cpu::KernelRecord::Per::Rows ? package::Per::Rows
                                               : package::Per::Sequences;
}

/// Of the kernel that was emitted last: sizes between which a launch's cycles are read off.
static std::vector<package::Estimate> estimatesOf(ModuleOp emitted, const cpu::Isa &isa,
                                                  const cpu::KernelRecord &record) {
  constexpr cpu::LaunchSize sizes[] = {{1, 0},    {8, 0},    {64, 0},   {512, 0},
                                       {4096, 0}, {1, 1024}, {64, 1024}};
  auto function = cast<func::FuncOp>(emitted.getBody()->back());
  std::vector<package::Estimate> estimates;
  for (cpu::LaunchSize size : sizes) {
    cpu::Cycles cycles = cpu::cyclesOf(function, isa, record, size);
    estimates.emplace_back(size.rows, size.position, cycles.shared, cycles.beside);
  }
  return estimates;
}

bool Compilation::emitVectors() {
  PlanOptions planning;
  planning.tables = precisionNamed(options.precision).tables;
  planning.entries = options.entries;
  FailureOr<Plan> planned = planModule(*module, planning);
  if (failed(planned))
    return false; // reported
  plan = std::move(*planned);
  vectors = ModuleOp::create(module->getLoc());
  kernels.assign(plan.kernels.size(), {});
  for (auto [function, emitted] : llvm::zip_equal(plan.kernels, kernels))
    for (const cpu::Isa *isa : cpu::variantsOf(function, options.isas)) {
      FailureOr<cpu::KernelRecord> record = cpu::emitKernel(function, *isa, *vectors);
      if (failed(record))
        return false; // reported
      emitted.kind = record->kind;
      emitted.per = perOf(record->per);
      emitted.unit = record->unit;
      emitted.factor = record->factor;
      emitted.grain = record->grain;
      emitted.scratchBytes = std::max(emitted.scratchBytes, record->scratchBytes);
      emitted.variants.push_back(
          {isa->name.str(), cpu::symbolOf(function, *isa), estimatesOf(*vectors, *isa, *record)});
    }
  return true;
}

bool Compilation::lower() { return succeeded(cpu::lowerToLlvm(*vectors)); }

bool Compilation::makeObject() {
  FailureOr<std::string> made = cpu::emitObject(*vectors);
  if (failed(made))
    return false; // reported
  object = std::move(*made);
  return true;
}

//===----------------------------------------------------------------------===//
// The package
//===----------------------------------------------------------------------===//

/// Ends of text as config.json tells: one id, or several.
static std::vector<int32_t> endsOfText(const Config &config) {
  std::vector<int32_t> ends;
  std::string why;
  ConstResult value = config.find("eos_token_id", why);
  if (!value)
    return ends;
  std::vector<ConstValue> items =
      value->kind == ConstValue::List ? value->items : std::vector{*value};
  for (const ConstValue &item : items)
    if (item.kind == ConstValue::Integer && item.integer >= 0 && item.integer <= INT32_MAX)
      ends.push_back(int32_t(item.integer));
  return ends;
}

/// The text of a tokenizer.json. What keeps the runtime from reading it is told now; the package
/// then speaks in ids.
static std::string readTokenizer(const std::string &path) {
  Result<std::string> text = readText(path);
  std::string problem = text ? std::string() : text.error().message;
  if (text)
    if (Result<Tokenizer> read = Tokenizer::fromJson(*text, path); !read)
      problem = read.error().message;
  if (!problem.empty())
    llvm::errs() << "rondoc: warning: " << problem << "; the package reads no text, ids alone\n";
  return text ? *text : std::string();
}

/// Where there is no tokenizer.json: a SentencePiece model under one of its published names, as the
/// tokenizer.json that says the same.
static std::string readPieces(const std::filesystem::path &folder) {
  for (const char *name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    std::string path = (folder / name).string();
    if (!std::filesystem::exists(path))
      continue;
    Result<std::string> model = readText(path), config = std::string();
    if (std::filesystem::exists(folder / "tokenizer_config.json"))
      config = readText((folder / "tokenizer_config.json").string());
    Result<std::string> json = model && config ? tokenizerJsonOf(*model, path, *config)
                               : model         ? Result<std::string>(config.error())
                                               : Result<std::string>(model.error());
    std::string problem = json ? std::string() : json.error().message;
    if (json)
      if (Result<Tokenizer> read = Tokenizer::fromJson(*json, path); !read)
        problem = read.error().message;
    if (problem.empty())
      return *json;
    llvm::errs() << "rondoc: warning: " << problem << "; the package reads no text, ids alone\n";
  }
  return "";
}

/// Whether a number depends on what tokens are, and not on weights and positions alone.
static bool isOfTokens(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return !isa<func::FuncOp>(argument.getOwner()->getParentOp()) || isPerToken(argument.getType());
  return llvm::any_of(value.getDefiningOp()->getOperands(), isOfTokens);
}

PackageNotes Compilation::notes() {
  PackageNotes notes;
  package::ProvenanceT &provenance = notes.provenance;
  provenance.producer = "rondo " RONDO_VERSION " (LLVM " LLVM_VERSION_STRING ")";
  provenance.spec = options.spec.path;
  provenance.precision = options.precision;
  provenance.command = options.command;
  if (Result<std::string> text = readText(options.spec.path))
    provenance.spec_text = *text;
  notes.model = std::filesystem::path(options.spec.path).stem().string();
  DiagnosticSink ignored;
  Program program(ignored);
  if (options.from.empty() && program.loadFiles(options.spec))
    if (const ast::Module *entry = program.entry(options.spec))
      notes.model = entry->name;
  if (!options.spec.configPath.empty())
    if (std::optional<std::string> text = configTextOf(options.spec, ignored)) {
      provenance.config = *text;
      if (std::optional<Config> config = Config::parse(*text, options.spec.configPath, ignored)) {
        notes.eos = endsOfText(*config);
        if (std::vector<std::string> classes = config->architectures(); !classes.empty())
          notes.architecture = classes.front();
      }
    }
  if (provenance.config.empty())
    for (auto &[name, value] : options.spec.sets)
      provenance.config += name + "=" + value + "\n";
  if (checkpoint) {
    for (const Checkpoint::Part &part : checkpoint->parts()) {
      uint64_t hash = 0; // over the tensors in the order of the data
      for (const TensorView &tensor : part.tensors)
        hash = llvm::xxh3_64bits(ArrayRef(reinterpret_cast<const uint8_t *>(tensor.bytes.data()),
                                          tensor.bytes.size())) ^
               (hash * 0x9e3779b97f4a7c15);
      provenance.checkpoint += llvm::formatv("{0} xxh3 {1:x16}\n", part.file, hash).str();
    }
    std::filesystem::path folder = options.checkpoint;
    if (!std::filesystem::is_directory(folder))
      folder = folder.parent_path();
    if (std::filesystem::exists(folder / "tokenizer.json"))
      notes.tokenizer = readTokenizer((folder / "tokenizer.json").string());
    else
      notes.tokenizer = readPieces(folder);
  } else if (options.randomSeed) {
    provenance.checkpoint = "random, seed " + std::to_string(*options.randomSeed);
  }
  if (options.from.empty() || options.from == "token") {
    llvm::raw_string_ostream bytecode(notes.meaning);
    if (failed(writeBytecodeToFile(*meaning, bytecode)))
      notes.meaning.clear();
  }
  meaning->walk([&](MapOp op) {
    bool inSteps = op.getKind() == MapKind::Floor || op.getKind() == MapKind::Sign;
    notes.hasSteps |= inSteps && isOfTokens(op.getInputs()[0]);
  });
  if (auto objective = (*meaning)->getAttrOfType<DictionaryAttr>("rondo.objective")) {
    notes.objective = std::make_unique<package::ObjectiveT>();
    notes.objective->name = objective.getAs<StringAttr>("name").str();
    notes.objective->mask = objective.getAs<IntegerAttr>("mask").getInt();
  }
  if (auto limit = (*meaning)->getAttrOfType<DictionaryAttr>("rondo.limit")) {
    notes.limit = std::make_unique<package::LimitT>();
    notes.limit->tokens = limit.getAs<IntegerAttr>("tokens").getInt();
    notes.limit->message = limit.getAs<StringAttr>("message").str();
  }
  notes.explain = explanation;
  return notes;
}

bool Compilation::bindWeights() {
  if (!checkpoint && !options.randomSeed) {
    bool any = false;
    meaning->walk([&](ParamOp) { any = true; });
    if (any)
      return error(
          "the parameters have no values; expected --checkpoint DIR, or --random-init SEED");
  }
  WeightOrigin origin;
  origin.checkpoint = options.checkpoint;
  origin.seed = options.randomSeed;
  if (checkpoint && !origin.seed)
    for (const Checkpoint::Part &part : checkpoint->parts())
      origin.tensors.insert(origin.tensors.end(), part.tensors.begin(), part.tensors.end());
  origin.rules = storageRulesOf(options.spec);
  FailureOr<Weights> bound = Weights::bind(*meaning, std::move(origin));
  if (failed(bound))
    return false; // reported
  weights = std::move(*bound);
  return true;
}

/// How much of a weight's numbers its layout loses: the root of the mean square, relative to
/// theirs.
static Result<float> errorOf(const TensorView &rows, std::string_view layout,
                             std::span<const std::byte> packed) {
  RONDO_TAKE(Tensor stored,
             unpackWeight(rows.name, storedType(layout), rows.shape, layout, packed));
  RONDO_TAKE(std::vector<float> kept, toF32(stored.view()));
  double lost = 0, all = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    float number;
    std::memcpy(&number, rows.bytes.data() + i * sizeof number, sizeof number);
    lost += (double(number) - kept[i]) * (double(number) - kept[i]);
    all += double(number) * number;
  }
  return all > 0 ? float(std::sqrt(lost / all)) : 0.0f;
}

bool Compilation::writePackageTo(const std::string &path) {
  keepParameters(*meaning, plan);
  FailureOr<package::PackageT> manifest = makeManifest(plan, kernels, notes());
  FailureOr<std::string> code = cpu::linkShared(object, module->getLoc());
  if (failed(manifest) || failed(code))
    return false; // reported
  std::atomic<bool> reported = false;
  std::mutex derived; // its expressions are copied into new IR
  auto packed = [&](size_t index) -> Result<std::vector<std::byte>> {
    const PlannedWeight &planned = plan.weights[index];
    const PlannedConstant &constant = plan.constants[planned.constant];
    std::unique_lock<std::mutex> alone(derived, std::defer_lock);
    if (!isa<ParamOp>(constant.source))
      alone.lock();
    FailureOr<std::vector<float>> values = weights->value(plan, planned.constant);
    alone = {};
    if (failed(values)) {
      reported = true;
      return Error{"weight '" + constant.name + "' has no values"};
    }
    TensorView rows{constant.name,
                    DType::F32,
                    constant.type.getShape().vec(),
                    std::as_bytes(std::span(*values)),
                    {}};
    RONDO_TAKE(std::vector<std::byte> bytes, packWeight(rows, planned.layout));
    if (auto &lost = manifest->weights[index]->error) {
      RONDO_TAKE(lost, errorOf(rows, planned.layout, bytes));
    }
    return bytes;
  };
  std::vector<size_t> all;
  std::vector<uint64_t> sizes;
  for (auto [i, weight] : llvm::enumerate(plan.weights)) {
    // Its numbers as read, and packed.
    uint64_t size = 2 * sizeof(float) * plan.constants[weight.constant].type.getNumElements();
    if (storedType(weight.layout) != DType::F32) {
      manifest->weights[i]->error = 0; // what is lost is said when it is packed
      size *= 2;                       // and unpacked again
    }
    all.push_back(i);
    sizes.push_back(size);
  }
  // Begun at the first weight: by then nothing reads the manifest until all are packed.
  std::optional<PackedAhead> ahead;
  Status written = writePackage(path, *manifest, std::as_bytes(std::span(*code)), [&](size_t) {
    if (!ahead)
      ahead.emplace(all, sizes, packed);
    return ahead->next();
  });
  return written || reported ? bool(written) : error(written.error().message);
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

/// Runs one stage, with progress on a terminal and its time where asked for.
bool Compilation::timed(const std::string &name, llvm::function_ref<bool()> work) {
  auto began = std::chrono::steady_clock::now();
  bool terminal = isatty(STDERR_FILENO);
  if (terminal)
    llvm::errs() << "\r\033[K" << name << " ...";
  bool good = work();
  if (terminal)
    llvm::errs() << "\r\033[K";
  if (options.times) {
    std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - began;
    llvm::errs() << llvm::formatv("{0,-8} {1,9:f1} ms\n", name, spent.count());
  }
  return good && !printer.errors();
}

/// One stage of IR: made, or read where --from or --override names it. False where nothing more is
/// to do; `code` then says why.
bool Compilation::explainBlock() {
  explanation = explain(*module, printer.remarks());
  if (options.explain)
    llvm::outs() << (options.json ? explainJson(*module, printer.remarks()) : explanation);
  return dump("explain", ".txt", explanation);
}

bool Compilation::explainKernelLevel() {
  std::string text = explainKernels(*module);
  explanation += text;
  if (options.explain && !options.json)
    llvm::outs() << text;
  return dump("explain-kernels", ".txt", text);
}

bool Compilation::runStage(const Stage &stage, int &code) {
  std::string file = options.from == stage.name ? options.spec.path : "";
  for (auto &[name, path] : options.overrides)
    if (name == stage.name)
      file = path;
  code = 1;
  if (!timed(stage.name, [&] {
        return file.empty() ? !stage.make || (this->*stage.make)() : parse(file, *stage.result);
      }))
    return false;
  if (stage.result == &module && !runPlugins(stage.name))
    return false;
  FailureOr<std::string> text = std::string();
  if (!options.dumpTo.empty() || asked(stage.name))
    text = stage.text();
  if (failed(text) || !dump(stage.name, stage.ending, *text) ||
      (stage.name == "block" && !explainBlock()) ||
      (stage.name == "kernel" && !explainKernelLevel()))
    return false; // reported
  if (!asked(stage.name))
    return true;
  code = emitText(*text) ? 0 : 1;
  return false;
}

bool Compilation::writeExecutable() {
  // The package is embedded from a file of its own, which goes away.
  SmallString<128> folder;
  if (std::error_code failed = llvm::sys::fs::createUniqueDirectory("rondo-exe", folder))
    return error("cannot make a temporary folder: " + failed.message());
  ExecutableParts parts{(folder + "/package.rpk").str(), object, {}};
  for (const EmittedKernel &kernel : kernels)
    for (const auto &[isa, symbol, estimates] : kernel.variants)
      parts.symbols.push_back(symbol);
  bool good = writePackageTo(parts.package);
  if (good)
    if (std::string problem = linkExecutable(parts, outputPath("")); !problem.empty())
      good = error(problem);
  llvm::sys::fs::remove_directories(folder);
  return good;
}

bool Compilation::writeResult() {
  if (asked("object"))
    return emitFile(object, ".o");
  if (asked("header"))
    return emitText(makeHeader(plan, notes()));
  if (asked("exe"))
    return writeExecutable();
  return writePackageTo(outputPath(".rpk"));
}

int Compilation::run() {
  if (!timed("read", [&] { return load(); }))
    return 1;
  if (asked("ast"))
    return emitAst() ? 0 : 1;

  auto ir = [](OwningOpRef<ModuleOp> &of) {
    return [&of]() -> FailureOr<std::string> { return textOf(*of); };
  };
  const Stage stages[] = {
      {"token", ".mlir", &module, &Compilation::makeToken, ir(module)},
      {"block", ".mlir", &module, &Compilation::makeBlock, ir(module)},
      {"kernel", ".mlir", &module, &Compilation::makeKernels, ir(module)},
      {"vector", ".mlir", &vectors, &Compilation::emitVectors, ir(vectors)},
      {"llvm", ".ll", nullptr, &Compilation::lower, [&] { return cpu::emitLlvm(*vectors); }},
      {"asm", ".s", nullptr, nullptr, [&] { return cpu::emitAssembly(*vectors); }},
  };
  bool started = options.from.empty();
  for (const Stage &stage : stages) {
    started |= options.from == stage.name;
    int code = 0;
    if (started && !runStage(stage, code))
      return code;
    if (started && !meaning) {
      meaning = module->clone();
      if (needsWeights() && !bindWeights())
        return 1;
    }
  }
  if ((!asked("header") && !timed("object", [&] { return makeObject(); })) ||
      !timed("write", [&] { return writeResult(); }))
    return 1;
  size_t unseen = options.remarks || options.explain ? 0 : printer.remarks().size();
  if (unseen && isatty(STDERR_FILENO))
    llvm::errs() << unseen << (unseen == 1 ? " remark" : " remarks")
                 << " on what was not derived; --remarks shows them\n";
  return 0;
}

int rondo::compile(const CompileOptions &options) { return Compilation(options).run(); }

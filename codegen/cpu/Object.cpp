//===- Object.cpp - From kernel functions to machine code -----------------===//
//
// Kernels call nothing, so that a package needs no library: functions are marked "no-builtins",
// which keeps LLVM from recognising memset and memcpy in their loops, and what is left undefined in
// the object is an error. Kernels choose their vectors themselves, so LLVM's vectorisers are off:
// they would only spend time on the scalar tails.
//
// Functions do not see each other, so a module is cut into as many LLVM modules as there are
// threads, each in a context of its own.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/Object.h"

#include "codegen/cpu/Isa.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassInstrumentation.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <algorithm>
#include <atomic>
#include <thread>

using namespace mlir;
using namespace rondo;

namespace {
constexpr llvm::StringLiteral targetTriple = "x86_64-unknown-linux-gnu";
constexpr llvm::StringLiteral isaAttr = "rondo.isa";

enum class Emission { Llvm, Assembly, Object };
} // namespace

static std::unique_ptr<llvm::TargetMachine> makeMachine(std::string &problem) {
  static const bool registered = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  (void)registered;
  llvm::Triple triple(targetTriple);
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, problem);
  if (!target)
    return nullptr;
  llvm::TargetOptions options;
  return std::unique_ptr<llvm::TargetMachine>(
      target->createTargetMachine(triple, "x86-64", "", options, llvm::Reloc::PIC_, std::nullopt,
                                  llvm::CodeGenOptLevel::Default));
}

//===----------------------------------------------------------------------===//
// To the LLVM dialect
//===----------------------------------------------------------------------===//

/// What LLVM is told of a kernel: its CPU, full-width vectors, and that it neither calls nor
/// throws.
static LogicalResult setFunctionAttributes(func::FuncOp function) {
  auto level = function->getAttrOfType<StringAttr>(isaAttr);
  const cpu::Isa *isa = level ? cpu::isaNamed(level.getValue()) : nullptr;
  if (!isa)
    return function.emitError("kernel function '")
           << function.getName() << "' has " << (level ? "an unknown `" : "no `") << isaAttr
           << "`; expected the CPU level it is emitted for";
  Builder b(function.getContext());
  auto pair = [&](StringRef key, StringRef value) { return b.getStrArrayAttr({key, value}); };
  SmallVector<Attribute> attributes{
      pair("target-cpu", isa->cpu), pair("prefer-vector-width", std::to_string(isa->registerBits)),
      pair("no-builtins", ""),      pair("no-trapping-math", "true"),
      b.getStringAttr("nounwind"),  b.getStringAttr("norecurse")};
  if (!isa->features.empty())
    attributes.push_back(pair("target-features", isa->features));
  function->setAttr("passthrough", b.getArrayAttr(attributes));
  function->removeAttr(isaAttr);
  return success();
}

LogicalResult cpu::lowerToLlvm(ModuleOp target) {
  std::string problem;
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(problem);
  if (!machine)
    return target.emitError("LLVM cannot emit code for ") << targetTriple << ": " << problem;
  for (func::FuncOp function : target.getOps<func::FuncOp>())
    if (failed(setFunctionAttributes(function)))
      return failure(); // reported
  Builder b(target.getContext());
  target->setAttr(LLVM::LLVMDialect::getTargetTripleAttrName(), b.getStringAttr(targetTriple));
  target->setAttr(LLVM::LLVMDialect::getDataLayoutAttrName(),
                  b.getStringAttr(machine->createDataLayout().getStringRepresentation()));

  // No pass here may stop the others from running on several functions at once, so all that can is
  // nested.
  PassManager passes(target.getContext());
  OpPassManager &perFunction = passes.nest<func::FuncOp>();
  perFunction.addPass(createCanonicalizerPass()); // folds the index arithmetic of emission
  perFunction.addPass(createCSEPass());
  perFunction.addPass(createLoopInvariantCodeMotionPass());
  perFunction.addPass(createSCFToControlFlowPass());
  perFunction.addPass(createConvertVectorToLLVMPass());
  perFunction.addPass(createConvertMathToLLVMPass());
  perFunction.addPass(createArithToLLVMConversionPass());
  perFunction.addPass(createUBToLLVMConversionPass());
  passes.addPass(createConvertFuncToLLVMPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  if (failed(passes.run(target)))
    return target.emitError("the kernels could not be lowered to the LLVM dialect");
  return success();
}

//===----------------------------------------------------------------------===//
// LLVM IR and machine code
//===----------------------------------------------------------------------===//

/// Whether a pass of LLVM's pipeline has anything to do on a function or loop of a kernel; those
/// that have not take half of the time of long ones. No idiom may become a call, what the next
/// round reads again is in registers already, and loops count in 64 bits from the start: simpler
/// ends of rounds are seen in innermost loops alone.
static bool isOfUse(StringRef pass, const llvm::Any &on) {
  if (pass == "IndVarSimplifyPass") {
    const auto *loop = llvm::any_cast<const llvm::Loop *>(&on);
    return !loop || (*loop)->isInnermost();
  }
  return pass != "LoopIdiomRecognizePass" && pass != "LoopLoadEliminationPass";
}

static void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = tuning.LoopInterleaving = tuning.SLPVectorization = false;
  // What is known of loops is made again after one is unrolled: to find out what of it stays true
  // takes longer.
  tuning.ForgetAllSCEVInLoopUnroll = true;
  llvm::PassInstrumentationCallbacks callbacks;
  callbacks.registerShouldRunOptionalPassCallback(isOfUse);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, tuning, std::nullopt, &callbacks);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

/// Optimises and emits one module; fills `problem` on failure.
static std::string emitModule(llvm::Module &module, Emission emission, std::string &problem) {
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(problem);
  if (!machine)
    return {};
  optimise(module, *machine);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (emission == Emission::Llvm) {
    module.print(stream, nullptr);
  } else {
    llvm::legacy::PassManager passes;
    auto kind = emission == Emission::Object ? llvm::CodeGenFileType::ObjectFile
                                             : llvm::CodeGenFileType::AssemblyFile;
    if (machine->addPassesToEmitFile(passes, stream, nullptr, kind)) {
      problem = "LLVM's target emits no file of this kind";
      return {};
    }
    passes.run(module);
  }
  return std::string(bytes.data(), bytes.size());
}

/// Emits the functions of `lowered` in `parts` modules, in parallel.
static FailureOr<std::vector<std::string>> emitParts(ModuleOp lowered, Emission emission,
                                                     unsigned parts) {
  registerBuiltinDialectTranslation(*lowered.getContext());
  registerLLVMDialectTranslation(*lowered.getContext());

  // The longest functions first, each to the part that has least.
  struct Piece {
    size_t length, place;
    LLVM::LLVMFuncOp function;
  };
  SmallVector<Piece> functions;
  for (auto function : lowered.getOps<LLVM::LLVMFuncOp>()) {
    size_t length = 0;
    function.walk([&](Operation *) { ++length; });
    functions.push_back({length, functions.size(), function});
  }
  parts = std::max<size_t>(1, std::min<size_t>(parts, functions.size()));
  if (parts > 1)
    llvm::sort(functions, [](const Piece &a, const Piece &b) {
      return std::pair(b.length, a.place) < std::pair(a.length, b.place);
    });
  SmallVector<OwningOpRef<ModuleOp>> modules;
  SmallVector<size_t> lengths(parts);
  for (unsigned i = 0; i < parts; ++i) {
    modules.push_back(ModuleOp::create(lowered.getLoc()));
    modules.back()->getOperation()->setAttrs(lowered->getAttrDictionary());
  }
  for (Piece &piece : functions) {
    unsigned least = std::min_element(lengths.begin(), lengths.end()) - lengths.begin();
    lengths[least] += piece.length;
    modules[least]->push_back(piece.function->clone());
  }

  std::vector<std::string> results(parts), problems(parts);
  auto work = [&](unsigned i) {
    llvm::LLVMContext context;
    std::unique_ptr<llvm::Module> module = translateModuleToLLVMIR(*modules[i], context, "kernels");
    if (module)
      results[i] = emitModule(*module, emission, problems[i]);
    else
      problems[i] = "the kernels could not be translated to LLVM IR";
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < parts; ++i)
    threads.emplace_back(work, i);
  work(0);
  for (std::thread &thread : threads)
    thread.join();
  for (const std::string &problem : problems)
    if (!problem.empty())
      return lowered.emitError(problem);
  return results;
}

static unsigned threadCount(const cpu::ObjectOptions &options) {
  return options.threads ? options.threads : std::max(1u, std::thread::hardware_concurrency());
}

FailureOr<std::string> cpu::emitLlvm(ModuleOp lowered) {
  FailureOr<std::vector<std::string>> parts = emitParts(lowered, Emission::Llvm, 1);
  if (failed(parts))
    return failure(); // reported
  return parts->front();
}

FailureOr<std::string> cpu::emitAssembly(ModuleOp lowered, const ObjectOptions &options) {
  FailureOr<std::vector<std::string>> parts = emitParts(lowered, Emission::Assembly, 1);
  if (failed(parts))
    return failure(); // reported
  return parts->front();
}

//===----------------------------------------------------------------------===//
// Linking
//===----------------------------------------------------------------------===//

/// Kernels call nothing: a symbol that another object would have to define is an error.
static LogicalResult checkNothingUndefined(StringRef object, Location location) {
  auto file =
      llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "kernels.o"));
  if (!file)
    return emitError(location) << "the kernels' object cannot be read back: "
                               << llvm::toString(file.takeError());
  SmallVector<std::string> missing;
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    if (!flags)
      return emitError(location) << "the kernels' object has a bad symbol: "
                                 << llvm::toString(flags.takeError());
    if (!(*flags & llvm::object::SymbolRef::SF_Undefined))
      continue;
    llvm::Expected<StringRef> name = symbol.getName();
    if (!name)
      return emitError(location) << "the kernels' object has a bad symbol: "
                                 << llvm::toString(name.takeError());
    // _GLOBAL_OFFSET_TABLE_ is the linker's own.
    if (!name->empty() && *name != "_GLOBAL_OFFSET_TABLE_")
      missing.push_back(name->str());
  }
  if (!missing.empty())
    return emitError(location) << "kernels must call nothing, but their code needs "
                               << llvm::join(missing, ", ");
  return success();
}

static FailureOr<std::string> findLinker(Location location, const cpu::ObjectOptions &options) {
  if (!options.linker.empty())
    return options.linker;
  if (llvm::sys::fs::can_execute(RONDO_LINKER))
    return std::string(RONDO_LINKER);
  for (StringRef name : {"ld.lld-22", "ld.lld"})
    if (llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName(name))
      return *found;
  return emitError(location) << "found no linker; expected " << RONDO_LINKER
                             << ", or ld.lld-22 or ld.lld on PATH";
}

/// Runs the linker on `objects` with `arguments`; the linked file's bytes.
static FailureOr<std::string> link(ArrayRef<std::string> objects, ArrayRef<StringRef> arguments,
                                   Location location, const cpu::ObjectOptions &options) {
  FailureOr<std::string> linker = findLinker(location, options);
  if (failed(linker))
    return failure(); // reported
  SmallString<128> folder;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("rondo-link", folder))
    return emitError(location) << "cannot make a temporary folder: " << error.message();
  struct Cleaner {
    SmallString<128> &folder;
    ~Cleaner() { llvm::sys::fs::remove_directories(folder); }
  } cleaner{folder};

  SmallVector<std::string> paths;
  for (auto [i, object] : llvm::enumerate(objects)) {
    paths.push_back((folder + "/part" + Twine(i) + ".o").str());
    llvm::Error error = llvm::writeToOutput(paths.back(), [&](llvm::raw_ostream &os) {
      os << object;
      return llvm::Error::success();
    });
    if (error)
      return emitError(location) << "cannot write " << paths.back() << ": "
                                 << llvm::toString(std::move(error));
  }
  std::string linked = (folder + "/linked").str(), log = (folder + "/log").str();
  SmallVector<StringRef> command{*linker, "-o", linked};
  command.append(arguments.begin(), arguments.end());
  command.append(paths.begin(), paths.end());
  std::optional<StringRef> redirects[] = {StringRef(), StringRef(log), StringRef(log)};
  std::string problem;
  int status = llvm::sys::ExecuteAndWait(*linker, command, std::nullopt, redirects, 0, 0, &problem);
  if (status != 0) {
    if (auto said = llvm::MemoryBuffer::getFile(log))
      problem += (*said)->getBuffer().trim();
    return emitError(location) << *linker << " failed: " << problem;
  }
  auto bytes =
      llvm::MemoryBuffer::getFile(linked, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!bytes)
    return emitError(location) << "cannot read " << linked << ": " << bytes.getError().message();
  return (*bytes)->getBuffer().str();
}

FailureOr<std::string> cpu::emitObject(ModuleOp lowered, const ObjectOptions &options) {
  FailureOr<std::vector<std::string>> parts =
      emitParts(lowered, Emission::Object, threadCount(options));
  if (failed(parts))
    return failure(); // reported
  for (const std::string &part : *parts)
    if (failed(checkNothingUndefined(part, lowered.getLoc())))
      return failure(); // reported
  if (parts->size() == 1)
    return std::move(parts->front());
  return link(*parts, {"-r"}, lowered.getLoc(), options);
}

FailureOr<std::string> cpu::linkShared(StringRef object, Location location,
                                       const ObjectOptions &options) {
  return link({object.str()},
              {"-shared", "--hash-style=gnu", "--strip-all", "--no-undefined", "-z", "noexecstack",
               "--build-id=none"},
              location, options);
}

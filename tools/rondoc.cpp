//===- rondoc.cpp - The compiler's command line ---------------------------===//

#include "runtime/cpu.h"
#include "runtime/stored.h"
#include "tools/Compilation.h"
#include "tools/ModelsFolder.h"
#include "tools/NearestSpec.h"
#include "tools/OpenCheckpoint.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

using namespace rondo;
namespace fs = std::filesystem;

static constexpr const char *examples = R"(
Examples:
  rondoc --checkpoint DIR -o m.rpk                              a published checkpoint as a package; the spec is the one that reads its class
  rondoc --checkpoint model.gguf --precision w8 -o m.rpk         a GGUF file, which holds its own sizes (names: models/gguf/)
  rondoc models/mamba2.rondo --random-init 1 -o m.rpk           untrained, with the spec's default sizes
  rondoc models/llama.rondo --set layers=2 --set d=64 --emit=token        what one token does
  rondoc spec.rondo --random-init 1 --explain --emit=block      what was derived, and the IR that says so
  rondoc --checkpoint DIR --form mixer.S=sequential -o m.rpk    another form of a recurrence
  rondoc --checkpoint DIR --emit=exe -o model                   one static executable: ./model run -p "Once"
  rondoc spec.rondo --dump-to DIR --random-init 1               every stage's text; edit one, then --override block:DIR/01-block.mlir
)";

static int usage(const std::string &message) {
  llvm::errs() << "rondoc: error: " << message << "; see rondoc --help\n";
  return 2;
}

namespace {
/// The flags as they are written.
struct Arguments {
  std::vector<std::string> sets, forms, overrides;
  std::string entries, target, werror;
};
} // namespace

/// Splits TEXT at the first separator; false where it or a side is missing.
static bool splitAt(const std::string &text, char separator,
                    std::vector<std::pair<std::string, std::string>> &into) {
  size_t at = text.find(separator);
  if (at == std::string::npos || at == 0 || at + 1 == text.size())
    return false;
  into.push_back({text.substr(0, at), text.substr(at + 1)});
  return true;
}

/// "a, b or c"
static std::string choiceOf(const std::vector<std::string> &names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

static int interpret(const Arguments &arguments, CompileOptions &options) {
  for (const std::string &set : arguments.sets) {
    size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0)
      return usage("--set " + set + ": expected name=value");
    options.spec.sets.push_back({set.substr(0, equals), set.substr(equals + 1)});
  }
  for (const std::string &form : arguments.forms)
    if (!splitAt(form, '=', options.forms))
      return usage("--form " + form +
                   ": expected RECURRENCE=FORM, such as mixer.S=chunk:64 or mixer.S=sequential");
  for (const std::string &text : arguments.overrides) {
    if (!splitAt(text, ':', options.overrides))
      return usage("--override " + text + ": expected STAGE:FILE");
    const std::string &stage = options.overrides.back().first;
    if (stage != "token" && stage != "block" && stage != "kernel" && stage != "vector")
      return usage("--override " + text + ": found stage '" + stage +
                   "', expected token, block, kernel or vector");
  }
  for (size_t begin = 0; begin < arguments.entries.size();) {
    size_t end = std::min(arguments.entries.find(',', begin), arguments.entries.size());
    std::string entry = arguments.entries.substr(begin, end - begin);
    if (entry != "forward" && entry != "prefill" && entry != "step" && entry != "score")
      return usage("--entry: found '" + entry +
                   "', expected some of forward, prefill, step, score");
    options.entries.push_back(entry);
    begin = end + 1;
  }
  if (!llvm::is_contained(precisionNames(), options.precision))
    return usage("--precision " + options.precision + ": not offered; expected " +
                 choiceOf(precisionNames()));
  if (!arguments.werror.empty() && arguments.werror != "remark")
    return usage("--Werror=" + arguments.werror + ": expected remark");
  options.remarksAreErrors = arguments.werror == "remark";
  if (arguments.target.empty())
    options.isas = isaNames();
  else if (llvm::is_contained(isaNames(), arguments.target))
    options.isas = {arguments.target};
  else if (arguments.target != "native")
    return usage("--target " + arguments.target + ": not offered; expected native, " +
                 choiceOf(isaNames()));
  else if (std::vector<std::string> levels = supportedIsas(); !levels.empty())
    options.isas = {levels.front()};
  else
    return usage(
        "--target native: this machine has neither AVX2 nor AVX-512; expected at least x86-64-v3");
  return 0;
}

static int readArguments(int argc, char **argv, CompileOptions &options) {
  CLI::App app("rondoc: compiles a spec of a sequence model.", "rondoc");
  app.footer(examples);
  Arguments arguments;
  uint64_t seed = 0;
  const std::vector<std::string> &stages = stageNames();
  app.add_option("SPEC", options.spec.path,
                 "the spec, a .rondo file; with --checkpoint alone it is chosen by the config's "
                 "architectures");
  app.add_option(
      "--checkpoint", options.checkpoint,
      "a folder with config.json and model.safetensors, or a .safetensors or .gguf file");
  app.add_option("--config", options.spec.configPath, "sizes and options from this config.json");
  app.add_option("--set", arguments.sets, "a size or option: name=value")->allow_extra_args(false);
  CLI::Option *random =
      app.add_option("--random-init", seed, "draw the parameters by their init, with this seed");
  app.add_option("--module", options.spec.module, "the module to compile by itself");
  app.add_option("--target", arguments.target,
                 "native, " + choiceOf(isaNames()) +
                     " (default: all levels, chosen when the package starts)");
  app.add_option("--precision", options.precision,
                 choiceOf(precisionNames()) +
                     ": what the weights of matrix products and tables of embeddings are stored in "
                     "(default: f32; w4: tables in 8 bits)");
  app.add_option("--entry", arguments.entries,
                 "some of forward,prefill,step,score (default: all that apply)");
  app.add_option("--form", arguments.forms,
                 "the form of a recurrence: NAME=chunk:64, NAME=conv:64 (blocks of a recurrence "
                 "constant in time) or NAME=sequential; of a sum over tokens: NAME=sum or "
                 "NAME=recurrence; *=sequential: of all others")
      ->allow_extra_args(false);
  app.add_option("--emit", options.emit, "what to write")->check(CLI::IsMember(stages));
  app.add_option("-o", options.output, "the file to write; - is stdout");
  CLI::Option *explain =
      app.add_flag("--explain", options.explain, "print what was derived, and why");
  app.add_flag("--json", options.json, "with --explain: print an object for programs")
      ->needs(explain);
  app.add_flag("--remarks", options.remarks,
               "print what was not derived, fused or vectorised, with its line");
  app.add_option("--Werror", arguments.werror, "remark: a remark is an error");
  app.add_option("--dump-to", options.dumpTo, "a folder for the text of every stage");
  app.add_option("--override", arguments.overrides, "STAGE:FILE, to take a stage's IR from a file")
      ->allow_extra_args(false);
  app.add_option("--from", options.from, "SPEC is the IR of this stage")
      ->check(CLI::IsMember({"token", "block", "kernel"}));
  app.add_option("--load-pass-plugin", options.passPlugins, "a shared object with passes")
      ->allow_extra_args(false);
  app.add_flag("--time", options.times, "print the time of each stage");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    return app.exit(e) ? 2 : -1;
  }
  if (*random)
    options.randomSeed = seed;
  if (options.spec.path.empty() && options.checkpoint.empty())
    return usage("expected a spec or --checkpoint DIR");
  for (int i = 0; i < argc; ++i)
    options.command += (i ? " " : "") + std::string(i ? argv[i] : "rondoc");
  options.spec.importDirs = {modelsFolder()};
  return interpret(arguments, options);
}

/// The shapes of the checkpoint's tensors, read when a size first asks for one. A checkpoint that
/// cannot be read has none: that is reported where its weights are wanted.
static decltype(SpecOptions::tensorShape) shapesOf(const std::string &path,
                                                   const std::string &modelsDir) {
  auto tensors = std::make_shared<std::optional<OpenedCheckpoint>>();
  return [path, modelsDir, tensors,
          tried = false](const std::string &name) mutable -> std::optional<std::vector<int64_t>> {
    if (!std::exchange(tried, true))
      if (auto opened = openCheckpoint(path, modelsDir); opened)
        *tensors = std::move(*opened);
    if (!*tensors)
      return std::nullopt;
    auto stored = findStored(
        name, {}, [&](const std::string &part) { return (*tensors)->checkpoint.find(part); }, {});
    return stored && *stored ? std::optional((*stored)->shape) : std::nullopt;
  };
}

// The tool is built like LLVM, without RTTI of its own.
int main(int argc, char **argv) {
  CompileOptions options;
  if (int code = readArguments(argc, argv, options))
    return code < 0 ? 0 : code;
  if (holdsSettings(options.checkpoint) && options.spec.configPath.empty()) {
    Result<OpenedCheckpoint> opened =
        openCheckpoint(options.checkpoint, options.spec.importDirs[0]);
    if (!opened) {
      llvm::errs() << "rondoc: error: " << opened.error().message << "\n";
      return 1;
    }
    if (options.spec.path.empty() && !opened->help.empty()) {
      llvm::errs() << "rondoc: error: " << opened->help << "\n";
      return 1;
    }
    options.spec.configPath = options.checkpoint;
    options.spec.configText = opened->config;
  } else if (!options.checkpoint.empty() && options.spec.configPath.empty()) {
    fs::path folder = options.checkpoint;
    std::error_code code;
    if (fs::is_regular_file(folder, code))
      folder = folder.parent_path();
    if (fs::exists(folder / "config.json", code) || options.spec.path.empty())
      options.spec.configPath = (folder / "config.json").string();
  }
  if (options.spec.path.empty()) {
    DiagnosticSink sink;
    options.spec.path = specForConfig(options.spec.importDirs[0], options.spec, sink);
    if (sink.failed()) {
      llvm::errs() << sink.text();
      if (!options.checkpoint.empty())
        llvm::errs() << describeUnread(options.spec.importDirs[0], options.spec,
                                       options.checkpoint);
      return 1;
    }
  }
  if (!options.checkpoint.empty())
    options.spec.tensorShape = shapesOf(options.checkpoint, options.spec.importDirs[0]);
  return compile(options);
}

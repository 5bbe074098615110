//===- rondoc.cpp - The compiler's command line -------------------------------------===//

#include "frontend/Frontend.h"
#include "tools/RondocOptions.h"

#include "mlir/IR/OperationSupport.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <CLI/CLI.hpp>

#include <filesystem>

using namespace rondo;
namespace fs = std::filesystem;

static constexpr const char *examples = R"(
Examples:
  rondoc models/mamba2.rondo --emit=token                       what one token does, with the spec's default sizes
  rondoc models/llama.rondo --set layers=2 --set d=64           other sizes
  rondoc --checkpoint DIR --emit=token                          the spec that reads the checkpoint's class, its config.json
  rondoc spec.rondo --module attention --emit=token             one module by itself
)";

// The folder of specs: beside the build or the installed program, or where RONDO_MODELS says.
static std::string modelsFolder(const char *program) {
  if (const char *given = std::getenv("RONDO_MODELS"))
    return given;
  std::error_code code;
  fs::path here = fs::canonical("/proc/self/exe", code).parent_path();
  for (fs::path dir = here; !code && dir.has_relative_path(); dir = dir.parent_path())
    for (const char *tail : {"models", "share/rondo/models"})
      if (fs::exists(dir / tail / "std.rondo", code))
        return (dir / tail).string();
  return "models";
}

// Writes beside the goal and renames, so that nothing partial is left behind.
static bool write(const std::string &path, const std::string &text) {
  if (path == "-") {
    llvm::outs() << text;
    return true;
  }
  std::string beside = path + ".partial";
  std::error_code code;
  {
    llvm::raw_fd_ostream os(beside, code);
    if (!code)
      os << text;
    os.flush();
    if (!code && os.has_error())
      code = os.error();
    os.clear_error();
  }
  if (!code)
    fs::rename(beside, path, code);
  if (!code)
    return true;
  std::error_code ignored;
  fs::remove(beside, ignored);
  llvm::errs() << "error: cannot write '" << path << "': " << code.message() << "\n";
  return false;
}

static bool readArguments(int argc, char **argv, RondocOptions &options, int &code) {
  CLI::App app("rondoc: compiles a spec of a sequence model.", "rondoc");
  app.footer(examples);
  std::vector<std::string> sets;
  app.add_option("SPEC", options.spec.path,
                 "the spec, a .rondo file; with --checkpoint alone it is chosen by the config's "
                 "architectures");
  app.add_option("--checkpoint", options.checkpoint,
                 "a folder with config.json and model.safetensors");
  app.add_option("--config", options.spec.configPath, "sizes and options from this config.json");
  app.add_option("--set", sets, "a size or option: name=value")->allow_extra_args(false);
  app.add_option("--module", options.spec.module, "the module to compile by itself");
  app.add_option("--emit", options.emit, "what to write: ast, token")
      ->check(CLI::IsMember({"ast", "token"}));
  app.add_option("-o", options.out, "the file to write; - is stdout");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    code = app.exit(e) ? 2 : 0;
    return false;
  }
  code = 2;
  for (const std::string &set : sets) {
    size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0) {
      llvm::errs() << "error: --set " << set << ": expected name=value\n";
      return false;
    }
    options.spec.sets.push_back({set.substr(0, equals), set.substr(equals + 1)});
  }
  if (options.spec.path.empty() && options.checkpoint.empty()) {
    llvm::errs() << "error: expected a spec or --checkpoint DIR; see rondoc --help\n";
    return false;
  }
  options.spec.importDirs = {modelsFolder(argv[0])};
  return true;
}

// The tool is built like LLVM, without RTTI of its own; a library's exception must not end in
// terminate.
int main(int argc, char **argv) {
  RondocOptions options;
  int code = 0;
  if (!readArguments(argc, argv, options, code))
    return code;
  DiagnosticSink sink;
  auto failed = [&] {
    llvm::errs() << sink.text();
    return 1;
  };
  if (!options.checkpoint.empty() && options.spec.configPath.empty())
    options.spec.configPath = (fs::path(options.checkpoint) / "config.json").string();
  if (options.spec.path.empty())
    options.spec.path = specForConfig(options.spec.importDirs[0], options.spec.configPath, sink);
  if (sink.failed())
    return failed();

  std::string text;
  if (options.emit == "ast") {
    auto tree = dumpAst(options.spec, sink);
    if (!tree)
      return failed();
    text = *tree;
  } else {
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    auto module = buildTokenLevel(context, options.spec, sink);
    if (!module)
      return failed();
    llvm::raw_string_ostream os(text);
    module->print(os, mlir::OpPrintingFlags().enableDebugInfo(true, false));
    os << "\n";
  }
  return write(options.out, text) ? 0 : 1;
}

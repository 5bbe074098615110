//===- InterpOptions.cpp - The command line of rondo-interp ---------------===//
//
// Apart from the tool's main file because CLI11 throws and MLIR is built without exceptions.
//
//===----------------------------------------------------------------------===//

#include "tools/InterpOptions.h"

#include "tools/ModelsFolder.h"

#include <CLI/CLI.hpp>

#include <iostream>

namespace rondo {

static const char *examples = R"(
Tensors in the inputs file, by name:
  INPUT            of the entry, [batch, tokens, axes...]; or [rows, axes...] beside `lengths` (i64, [batch]): packed sequences;
                   or [1, rows, axes...] beside `cu_seqlens` (i64, [batch + 1]), where each begins and the last ends
  state.NAME       a state carried in from an earlier piece, [batch, axes...]; state.position (i64, [batch]): the tokens so far;
                   state.NAME[b], [axes...]: of sequence b, where shapes differ (caches of sequences of different lengths)
The outputs file gets the entry's outputs and all states in the same form.

Examples:
  rondo-interp --checkpoint DIR --inputs tokens.safetensors --outputs logits.safetensors --f64
  rondo-interp spec.rondo --set d=64 --params weights.safetensors --inputs x.safetensors --outputs y.safetensors
  rondo-interp model.mlir --params checkpoint/ --inputs tokens.safetensors --outputs logits.safetensors --f64
  rondo-interp model.rpk --inputs tokens.safetensors --outputs logits.safetensors)";

InterpCommand parseInterpCommand(int argc, char **argv) {
  CLI::App app("Evaluates a program by the meaning of its ops: slow, and the reference of all "
               "compiled code.");
  app.footer(examples);
  InterpOptions options;
  bool f32 = false;
  app.add_option("program", options.spec.path,
                 "the program: .rondo, .mlir, .mlirbc or .rpk; with --checkpoint alone the spec is "
                 "chosen by the config's architectures");
  app.add_option("--config", options.spec.configPath, "sizes and options from this config.json");
  std::vector<std::string> sets;
  app.add_option("--set", sets, "a size or option: name=value")->allow_extra_args(false);
  app.add_option("--module", options.spec.module, "the module to run by itself");
  app.add_option("--checkpoint", options.checkpoint,
                 "a folder with config.json and model.safetensors: sizes and parameters");
  app.add_option("--inputs", options.inputs, "a safetensors file with the entry's inputs")
      ->required();
  app.add_option("--outputs", options.outputs, "the safetensors file to write")->required();
  app.add_option("--params", options.parameters,
                 "the parameters: a checkpoint's folder, a safetensors file or a package");
  app.add_option("--entry", options.entry, "the function to run, by its entry or its name")
      ->capture_default_str();
  auto *wide = app.add_flag("--f64", options.f64, "compute in f64");
  auto *wider = app.add_flag(
      "--extended", options.extended,
      "compute in the machine's extended precision (long double); results are written as f64");
  wider->excludes(wide);
  app.add_flag("--f32", f32, "round every result to f32 (the default)")
      ->excludes(wide)
      ->excludes(wider);
  app.add_flag("--token-bodies", options.tokenBodies,
               "run scans token by token, also where they have a block form");
  app.add_flag("--unrounded", options.unrounded,
               "leave rows as they are where a package rounds them to 8 bits by groups");
  app.add_flag("--round-factors", options.roundFactors,
               "round what is multiplied with a package's weights of bf16 to bf16, as levels with "
               "dot products of pairs do");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return {std::nullopt, app.exit(error) == 0 ? 0 : 2};
  }
  auto wrong = [](const std::string &message) {
    std::cerr << "rondo-interp: " << message << "; see rondo-interp --help\n";
    return InterpCommand{std::nullopt, 2};
  };
  for (const std::string &set : sets) {
    size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0)
      return wrong("--set " + set + ": expected name=value");
    options.spec.sets.push_back({set.substr(0, equals), set.substr(equals + 1)});
  }
  options.f64 |= options.extended;
  if (options.spec.path.empty() && options.checkpoint.empty())
    return wrong("expected a program or --checkpoint DIR");
  options.spec.importDirs = {modelsFolder()};
  return {options, 0};
}

} // namespace rondo

//===- InterpOptions.cpp - The command line of rondo-interp ---------------===//
//
// Apart from the tool's main file because CLI11 throws and MLIR is built without exceptions.
//
//===----------------------------------------------------------------------===//

#include "tools/InterpOptions.h"

#include <CLI/CLI.hpp>

namespace rondo {

static const char *examples = R"(
Tensors in the inputs file, by name:
  INPUT            of the entry, [batch, tokens, axes...]; or [rows, axes...] beside `lengths` (i64, [batch]): packed sequences;
                   or [1, rows, axes...] beside `cu_seqlens` (i64, [batch + 1]), where each begins and the last ends
  state.NAME       a state carried in from an earlier piece, [batch, axes...]; state.position (i64, [batch]): the tokens so far
The outputs file gets the entry's outputs and all states in the same form.

Examples:
  rondo-interp model.mlir --params checkpoint/ --inputs tokens.safetensors --outputs logits.safetensors --f64
  rondo-interp model.rpk --inputs tokens.safetensors --outputs logits.safetensors)";

InterpCommand parseInterpCommand(int argc, char **argv) {
  CLI::App app("Evaluates a program by the meaning of its ops: slow, and the reference of all "
               "compiled code.");
  app.footer(examples);
  InterpOptions options;
  bool f32 = false;
  app.add_option("program", options.program, "the program: .mlir, .mlirbc or .rpk")->required();
  app.add_option("--inputs", options.inputs, "a safetensors file with the entry's inputs")
      ->required();
  app.add_option("--outputs", options.outputs, "the safetensors file to write")->required();
  app.add_option("--params,--checkpoint", options.parameters,
                 "the parameters: a checkpoint's folder or a safetensors file");
  app.add_option("--entry", options.entry, "the function to run, by its entry or its name")
      ->capture_default_str();
  auto *wide = app.add_flag("--f64", options.f64, "compute in f64");
  app.add_flag("--f32", f32, "round every result to f32 (the default)")->excludes(wide);
  app.add_flag("--token-bodies", options.tokenBodies,
               "run scans token by token, also where they have a block form");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return {std::nullopt, app.exit(error) == 0 ? 0 : 2};
  }
  return {options, 0};
}

} // namespace rondo

// Reference.cpp - The reference interpreter, run as a program of its own on one sequence.

#include "tools/rondo/Reference.h"

#include "runtime/safetensors.h"

#include <fmt/format.h>

namespace rondo::cli {

namespace {

bool isState(std::string_view name) { return name.starts_with("state."); }

/// One piece: its inputs and the states of `before` (null: a fresh sequence) go into a file, what
/// comes out into another, which is returned.
Result<TensorFile> interpretPiece(const std::vector<std::string> &command,
                                  const std::string &inputs, const std::string &outputs,
                                  const Sequence &piece, const TensorFile *before) {
  std::vector<TensorView> views;
  for (const auto &[name, tensor] : piece.inputs) {
    views.push_back(tensor.view());
    views.back().name = name;
    views.back().shape.insert(views.back().shape.begin(), 1);
  }
  if (before)
    for (const TensorView &tensor : before->tensors())
      if (isState(tensor.name))
        views.push_back(tensor);
  RONDO_CHECK(writeTensors(inputs, views));
  std::vector<std::string> whole = command;
  whole.insert(whole.end(), {"--inputs", inputs, "--outputs", outputs});
  RONDO_CHECK(runProgram(whole));
  return TensorFile::open(outputs);
}

} // namespace

Result<std::vector<Numbers>> interpret(const ScratchFolder &scratch,
                                       const std::vector<std::string> &program,
                                       const Sequence &sequence, const std::vector<int64_t> &pieces,
                                       bool f64) {
  std::optional<std::string> interpreter = findProgram("rondo-interp");
  if (!interpreter)
    return Error{"not compared: rondo-interp not found beside this program or on PATH "
                 "(--no-reference leaves it out)"};
  std::vector<std::string> command{*interpreter};
  command.insert(command.end(), program.begin(), program.end());
  if (f64)
    command.push_back("--f64");
  std::vector<Numbers> outputs, states;
  std::optional<TensorFile> before;
  int64_t begin = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    RONDO_TAKE(Sequence piece, part(sequence, begin, pieces[i]));
    begin += pieces[i];
    // What the piece before wrote is read while this one's inputs are written.
    RONDO_TAKE(TensorFile made,
               interpretPiece(command, scratch.file("inputs.safetensors"),
                              scratch.file(fmt::format("outputs-{}.safetensors", i % 2)), piece,
                              before ? &*before : nullptr));
    states.clear();
    size_t output = 0;
    for (const TensorView &tensor : made.tensors()) {
      RONDO_TAKE(Numbers numbers, numbersOf(tensor));
      if (!numbers.shape.empty())
        numbers.shape.erase(numbers.shape.begin()); // one sequence
      if (isState(numbers.name)) {
        states.push_back(std::move(numbers));
      } else if (i == 0) {
        outputs.push_back(std::move(numbers));
      } else {
        Numbers &all = outputs[output++];
        all.shape[0] += numbers.shape[0];
        all.values.insert(all.values.end(), numbers.values.begin(), numbers.values.end());
      }
    }
    before = std::move(made);
  }
  outputs.insert(outputs.end(), states.begin(), states.end());
  return outputs;
}

} // namespace rondo::cli

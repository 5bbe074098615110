// VerifyForms.cpp - `rondo verify`: the forms of recurrences against each other.
//
// A spec is compiled in every form and its packages compared; the program that a package carries is
// derived into every form anew and interpreted in f64, where only an error of the derivation shows.

#include "tools/rondo/Command.h"
#include "tools/rondo/Verifier.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

namespace rondo::cli {

namespace {

/// The file name that compileSpec gives a package in `form`.
std::string packageOf(const std::string &form) {
  return form.empty() ? "spec.rpk" : "spec-" + form + ".rpk";
}

} // namespace

Result<std::string> compileSpec(const VerifyOptions &options, const ScratchFolder &scratch,
                                const std::string &form) {
  std::optional<std::string> program = findProgram("rondoc");
  if (!program)
    return Error{fmt::format("{}: to verify a spec, rondoc has to compile it; it was not found "
                             "beside this program or on PATH",
                             options.package)};
  std::string package = scratch.file(packageOf(form));
  std::vector<std::string> command{
      *program, options.package, "--random-init", std::to_string(options.seed), "-o", package};
  if (!options.config.empty())
    command.insert(command.end(), {"--config", options.config});
  if (!options.module.empty())
    command.insert(command.end(), {"--module", options.module});
  for (const std::string &size : options.sizes)
    command.insert(command.end(), {"--set", size});
  command.insert(command.end(), {"--precision", options.precision});
  if (!form.empty())
    command.insert(command.end(), {"--form", "*=" + form});
  RONDO_CHECK(runProgram(command));
  return package;
}

void Verifier::compareForms() {
  if (!options.package.ends_with(".rondo"))
    return;
  for (const std::string form : {"sequential", "chunk:16", "chunk:64"}) {
    std::string what = fmt::format("forward as the compiler chose = recurrences as {}", form);
    check(what, everything(whole), bound, [&]() -> Tensors {
      RONDO_TAKE(std::string path, compileSpec(options, scratch, form));
      RONDO_TAKE(Session other, Session::open(path, options.machine));
      RONDO_TAKE(const package::Entry *entry, other.entry("forward"));
      Forms otherForms(other);
      RONDO_TAKE(Outcome outcome, otherForms.run(*entry, sequence, {sequence.tokens}));
      return everything(outcome);
    });
  }
}

/// What the block level in `form` makes in f64 of the tokens that the interpreter computed, in two
/// pieces. No tensors: no recurrence has that form.
Verifier::Tensors Verifier::inBlocks(const std::string &rondoc, const std::string &form) {
  std::string block = scratch.file("block.mlir");
  RONDO_CHECK(runProgram({rondoc, scratch.file("token.mlirbc"), "--from", "token", "--form",
                          "*=" + form, "--emit", "block", "-o", block}));
  std::ifstream file(block);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (form != "sequential" && text.find("form \"chunk\"") == std::string::npos)
    return std::vector<Numbers>();
  int64_t first = referenceTokens / 5;
  RONDO_TAKE(Sequence tokens, part(sequence, 0, referenceTokens));
  RONDO_TAKE(std::vector<Numbers> found,
             cli::interpret(scratch, {block, "--params", session.path()}, tokens,
                            {first, referenceTokens - first}, true));
  return unscaled(session.manifest(), std::move(found));
}

void Verifier::compareBlockForms() {
  const auto *states = session.manifest().states();
  auto isRecurrent = [&](std::string_view name) {
    return std::any_of(states->begin(), states->end(), [&](const package::State *state) {
      return state->kind() == package::StateKind::Fixed && state->name()->string_view() == name;
    });
  };
  const std::string what = "token loop = recurrences as {}, in f64";
  std::vector<Numbers> expected;
  bool recurrent = false;
  for (const Numbers &numbers : exact) {
    bool state = numbers.name.starts_with("state.");
    recurrent |= state && isRecurrent(numbers.name.substr(6));
    if (!state || isRecurrent(numbers.name.substr(6)))
      expected.push_back(numbers);
  }
  const auto *meaning = session.manifest().meaning();
  std::optional<std::string> rondoc = findProgram("rondoc");
  std::ofstream file(scratch.file("token.mlirbc"), std::ios::binary);
  if (recurrent && meaning)
    file.write(reinterpret_cast<const char *>(meaning->data()),
               static_cast<std::streamsize>(meaning->size()));
  file.close();
  for (const std::string form : {"sequential", "chunk:16", "chunk:64"}) {
    std::string name = fmt::format(fmt::runtime(what), form);
    progress.show(name);
    if (!recurrent) {
      skip(name, exact.empty() ? "the interpreter computed nothing to compare with"
                               : "there is no recurrence");
      continue;
    }
    if (!rondoc || !file) {
      all.push_back(failure(name, rondoc
                                      ? "a file for it cannot be written"
                                      : "rondoc, which derives the form, was not found beside this "
                                        "program or on PATH (--no-reference leaves it out)"));
      continue;
    }
    Tensors made = inBlocks(*rondoc, form);
    if (!made)
      all.push_back(failure(name, made.error().message));
    else if (made->empty())
      skip(name, "no recurrence has this form");
    else
      all.push_back(compare(name, expected, *made, {1e-10, "f64 sums in another order"}));
  }
}

} // namespace rondo::cli

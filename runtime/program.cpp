// program.cpp - A package bound to this machine.

#include "runtime/cpu.h"
#include "runtime/executor.h"

#include <algorithm>

extern "C" const rondo_linked_kernel rondo_linked_kernels[] __attribute__((weak));

namespace rondo {

Result<std::shared_ptr<const Program>> Program::load(Package file, const std::string &isa) {
  std::shared_ptr<Program> program(new Program(std::move(file)));
  const package::Package &manifest = program->manifest();
  const std::string &name = program->package.path();

  std::vector<std::string> levels = supportedIsas();
  if (!isa.empty()) {
    if (std::find(levels.begin(), levels.end(), isa) == levels.end())
      return Error{
          "--isa: this machine does not have '" + isa + "'; it has " +
          (levels.empty() ? "no level that kernels are made for" : levels.front() + " and below")};
    levels.erase(levels.begin(), std::find(levels.begin(), levels.end(), isa));
  }
  // Each kernel is taken at the best level that it has a variant for; the program's is the best of
  // them.
  std::vector<const flatbuffers::String *> symbols;
  auto best = levels.end();
  for (const package::Kernel *kernel : *manifest.kernels()) {
    auto variantFor = [&](const std::string &level) {
      return std::find_if(
          kernel->variants()->begin(), kernel->variants()->end(),
          [&](const package::Variant *variant) { return variant->isa()->str() == level; });
    };
    auto level = std::find_if(levels.begin(), levels.end(), [&](const std::string &name) {
      return variantFor(name) != kernel->variants()->end();
    });
    if (level == levels.end())
      return Error{name + ": no kernels for this machine: expected variants of '" +
                   kernel->name()->str() + "' for " +
                   (levels.empty() ? std::string("a level it has (at least x86-64-v3)")
                                   : levels.front() + " or below")};
    symbols.push_back(variantFor(*level)->symbol());
    best = std::min(best, level);
  }
  if (best != levels.end())
    program->level = *best;
  if (!isa.empty() && program->level != isa)
    return Error{"--isa: " + name + " has no kernels for '" + isa + "', expected at most " +
                 (program->level.empty() ? "none: it has no kernels" : program->level)};

  if (rondo_linked_kernels) {
    program->code = KernelCode::linked(rondo_linked_kernels);
  } else {
    RONDO_TAKE(program->code, KernelCode::load(program->package.code(), name));
  }
  for (const flatbuffers::String *symbolName : symbols) {
    std::string symbol = symbolName->str();
    rondo_kernel function = program->code.find(symbol);
    if (!function)
      return Error{name + ": code section: expected kernel '" + symbol + "', which is not in it"};
    program->kernels.push_back(function);
  }
  return std::shared_ptr<const Program>(std::move(program));
}

} // namespace rondo

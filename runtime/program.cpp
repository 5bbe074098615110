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
    levels = {isa};
  }
  auto symbolFor = [](const package::Kernel &kernel,
                      const std::string &level) -> const flatbuffers::String * {
    for (const package::Variant *variant : *kernel.variants())
      if (variant->isa()->str() == level)
        return variant->symbol();
    return nullptr;
  };
  for (const std::string &level : levels) {
    bool all =
        std::all_of(manifest.kernels()->begin(), manifest.kernels()->end(),
                    [&](const package::Kernel *kernel) { return symbolFor(*kernel, level); });
    if (all) {
      program->level = level;
      break;
    }
  }
  if (program->level.empty())
    return Error{name + ": no kernels for this machine: expected variants for " +
                 (levels.empty() ? std::string("a level it has (at least x86-64-v3)")
                                 : levels.front() + " or below")};

  if (rondo_linked_kernels) {
    program->code = KernelCode::linked(rondo_linked_kernels);
  } else {
    RONDO_TAKE(program->code, KernelCode::load(program->package.code(), name));
  }
  for (const package::Kernel *kernel : *manifest.kernels()) {
    std::string symbol = symbolFor(*kernel, program->level)->str();
    rondo_kernel function = program->code.find(symbol);
    if (!function)
      return Error{name + ": code section: expected kernel '" + symbol + "', which is not in it"};
    program->kernels.push_back(function);
  }
  return std::shared_ptr<const Program>(std::move(program));
}

} // namespace rondo

//===- Names.h - Names that mean nothing ------------------------*- C++ -*-===//

#pragma once

#include "frontend/Program.h"

namespace rondo {

/// Reports every name of a value and every use of a module or function in `file` that means nothing
/// anywhere in its module: also in modules that nothing uses and in branches that are not taken,
/// which elaboration never sees. Where a name means something in its module, but not yet, is left
/// to elaboration.
void checkNames(const Program &program, const ast::File &file, DiagnosticSink &sink);

} // namespace rondo

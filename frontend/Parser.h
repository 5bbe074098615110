//===- Parser.h - Tokens to the tree ---------------------------*- C++ -*-===//
//
// Recursive descent over frontend/README.md's grammar. After an error it goes on at the next
// statement, or the next declaration, so that one run reports independent errors; what it returns
// is then incomplete, and the sink says so.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/Ast.h"

#include <memory>

namespace rondo {

std::unique_ptr<ast::File> parse(const SourceFile &source, DiagnosticSink &sink);

/// One compile-time expression by itself, as `--set` takes it; null after an error.
ast::ExprPtr parseExpression(const SourceFile &source, DiagnosticSink &sink);

} // namespace rondo

//===- Frontend.cpp - From a spec to the token level --------------------------------===//

#include "frontend/Frontend.h"
#include "frontend/IRGen.h"
#include "frontend/Names.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"

using namespace rondo;

mlir::OwningOpRef<mlir::ModuleOp> rondo::buildTokenLevel(mlir::MLIRContext &context,
                                                         const SpecOptions &options,
                                                         DiagnosticSink &sink) {
  context.loadDialect<RondoDialect, mlir::func::FuncDialect>();
  Program program(sink);
  bool good = program.load(options);
  if (good)
    for (const auto &file : program.allFiles())
      checkNames(program, *file, sink);
  const ast::Module *entry = good ? program.entry(options) : nullptr;
  if (!entry)
    return {};
  auto module = IRGen(context, program, *entry, sink).run();
  if (!module)
    return {};
  // The front end checks axes before it builds an op; what the verifier finds beyond that still
  // names its place in the spec.
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    std::string where;
    llvm::raw_string_ostream os(where);
    os << diagnostic.getLocation();
    sink.error({}, where + ": " + diagnostic.str());
    return mlir::success();
  });
  if (mlir::failed(mlir::verify(*module))) {
    if (!sink.failed())
      sink.error({}, options.path + ": the token level does not verify");
    return {};
  }
  return module;
}

std::optional<std::string> rondo::dumpAst(const SpecOptions &options, DiagnosticSink &sink) {
  Program program(sink);
  if (!program.loadFiles(options))
    return std::nullopt;
  return ast::print(program.root());
}

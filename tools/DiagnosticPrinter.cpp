//===- DiagnosticPrinter.cpp - What the compiler says, at the spec's lines -===//

#include "tools/DiagnosticPrinter.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace rondo;

/// The first place in a file: ops made from several carry all of theirs.
static FileLineColLoc fileOf(Location location) {
  FileLineColLoc found;
  location->walk([&](Location inner) {
    found = dyn_cast<FileLineColLoc>(inner);
    return found ? WalkResult::interrupt() : WalkResult::advance();
  });
  return found;
}

std::string rondo::placeOf(Location location) {
  FileLineColLoc file = fileOf(location);
  if (!file || !file.getLine())
    return {};
  return (file.getFilename().getValue() + ":" + Twine(file.getLine()) + ":" +
          Twine(file.getColumn()))
      .str();
}

DiagnosticPrinter::DiagnosticPrinter(MLIRContext &context, llvm::raw_ostream &stream,
                                     DiagnosticOptions options)
    : context(context), stream(stream), options(options) {
  handler = context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) {
    print(diagnostic);
    return success();
  });
}

DiagnosticPrinter::~DiagnosticPrinter() { context.getDiagEngine().eraseHandler(handler); }

llvm::StringRef DiagnosticPrinter::lineOf(llvm::StringRef path, unsigned line) {
  auto [it, inserted] = files.try_emplace(path);
  if (inserted)
    if (auto file = llvm::MemoryBuffer::getFile(path))
      it->second = std::move(*file);
  if (!it->second)
    return {};
  llvm::StringRef rest = it->second->getBuffer();
  for (unsigned i = 1; i < line; ++i)
    rest = rest.split('\n').second;
  return rest.split('\n').first.rtrim('\r');
}

void DiagnosticPrinter::printOne(Location location, llvm::StringRef severity,
                                 llvm::StringRef message) {
  std::string place = placeOf(location);
  stream << (place.empty() ? "rondoc" : place) << ": " << severity << ": " << message << "\n";
  FileLineColLoc file = fileOf(location);
  if (place.empty() || !file)
    return;
  llvm::StringRef line = lineOf(file.getFilename().getValue(), file.getLine());
  if (line.empty() || file.getColumn() > line.size() + 1)
    return;
  stream << "  " << line << "\n  ";
  // Tabs stay tabs, so that the caret stands under its character.
  for (char c : line.take_front(file.getColumn() ? file.getColumn() - 1 : 0))
    stream << (c == '\t' ? '\t' : ' ');
  stream << "^\n";
}

void DiagnosticPrinter::print(Diagnostic &diagnostic) {
  std::lock_guard lock(mutex);
  std::string message = diagnostic.str(), place = placeOf(diagnostic.getLocation());
  bool isRemark = diagnostic.getSeverity() == DiagnosticSeverity::Remark;
  bool isError = diagnostic.getSeverity() == DiagnosticSeverity::Error ||
                 (isRemark && options.remarksAreErrors);
  errorCount += isError;
  if (!seen.insert(place + ": " + std::to_string(int(diagnostic.getSeverity())) + message).second)
    return;
  if (isRemark)
    remarkTexts.push_back(place.empty() ? message : place + ": " + message);
  if (isRemark && !options.showRemarks && !options.remarksAreErrors)
    return;
  StringRef severity = isError                                                   ? "error"
                       : isRemark                                                ? "remark"
                       : diagnostic.getSeverity() == DiagnosticSeverity::Warning ? "warning"
                                                                                 : "note";
  printOne(diagnostic.getLocation(), severity,
           isRemark && isError ? message + " [--Werror=remark]" : message);
  for (Diagnostic &note : diagnostic.getNotes())
    printOne(note.getLocation(), "note", note.str());
}

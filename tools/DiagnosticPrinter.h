//===- DiagnosticPrinter.h - What the compiler says, at the spec's lines -*- C++ -*-===//
//
// MLIR's diagnostics in the form of the front end's: file:line:col, severity, message, the quoted
// line and a caret. One message at one place is printed once, although repeated layers and derived
// entries make a pass meet it many times.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace rondo {

struct DiagnosticOptions {
  bool showRemarks = false;
  bool remarksAreErrors = false; ///< --Werror=remark
};

class DiagnosticPrinter {
public:
  DiagnosticPrinter(mlir::MLIRContext &context, llvm::raw_ostream &stream,
                    DiagnosticOptions options);
  ~DiagnosticPrinter();

  unsigned errors() const { return errorCount; }
  /// Each remark once: `file:line:col: message`, in the order met.
  const std::vector<std::string> &remarks() const { return remarkTexts; }

private:
  void print(mlir::Diagnostic &diagnostic);
  void printOne(mlir::Location location, llvm::StringRef severity, llvm::StringRef message);
  llvm::StringRef lineOf(llvm::StringRef path, unsigned line);

  mlir::MLIRContext &context;
  llvm::raw_ostream &stream;
  DiagnosticOptions options;
  mlir::DiagnosticEngine::HandlerID handler;
  std::mutex mutex;
  unsigned errorCount = 0;
  std::vector<std::string> remarkTexts;
  std::set<std::string> seen;
  llvm::StringMap<std::unique_ptr<llvm::MemoryBuffer>> files;
};

/// `file:line:col` of the spec that a location leads to; empty where it leads to none.
std::string placeOf(mlir::Location location);

} // namespace rondo

//===- Header.cpp - A model's entries as a C header -----------------------===//

#include "tools/Header.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace rondo;

/// A name as C spells it.
static std::string identifier(StringRef name) {
  std::string text;
  for (char c : name)
    text += llvm::isAlnum(c) ? c : '_';
  return text.empty() || llvm::isDigit(text[0]) ? "m_" + text : text;
}

static bool isId(const PlannedValue &value) { return elementTypeOf(value.type).isInteger(64); }

/// "[rows, vocab = 256]"
static std::string shape(const PlannedValue &value, StringRef rows) {
  std::string text = "[" + rows.str();
  for (auto [axis, extent] : llvm::drop_begin(llvm::zip(axesOf(value.type), value.type.getShape())))
    text += ", " + axis.str() + " = " + std::to_string(extent);
  return text + "]";
}

static void printTensors(StringRef name, ArrayRef<PlannedValue> values, StringRef rows,
                         llvm::raw_ostream &os) {
  for (auto [i, value] : llvm::enumerate(values)) {
    os << "  const int64_t " << name << "_shape" << i << "[] = {" << rows;
    for (int64_t extent : value.type.getShape().drop_front())
      os << ", " << extent;
    os << "};\n";
  }
  os << "  const rondo_tensor " << name << "[] = {";
  for (auto [i, value] : llvm::enumerate(values))
    os << (i ? ", " : "") << "{\"" << value.name << "\", "
       << (isId(value) ? "RONDO_I64" : "RONDO_F32") << ", " << value.type.getRank() << ", " << name
       << "_shape" << i << ", (void *)" << identifier(value.name) << "}";
  os << "};\n";
}

static void printEntry(const std::string &model, const PlannedEntry &entry, llvm::raw_ostream &os) {
  StringRef outputRows = entry.outputsInLastSpace ? "sequences" : "rows";
  os << "\n/* Entry `" << entry.name
     << "`: `sequences` sequences, of which sequence i has lengths[i] tokens and goes on from "
        "states[i]; rows is their sum.\n";
  for (const PlannedValue &input : entry.inputs) {
    os << " *   " << identifier(input.name) << " " << shape(input, "rows");
    if (input.idLimit)
      os << ", each at least 0 and less than " << input.idLimit;
    os << "\n";
  }
  for (const PlannedValue &output : entry.outputs)
    os << " *   " << identifier(output.name) << " " << shape(output, outputRows) << ", written\n";
  os << " * Returns RONDO_OK, or RONDO_ERROR and rondo_last_error() says why. */\n";
  os << "static inline int " << model << "_" << identifier(entry.name)
     << "(rondo_model *model, rondo_state *const *states, const int64_t *lengths, size_t "
        "sequences, int64_t rows";
  for (const PlannedValue &input : entry.inputs)
    os << ", const " << (isId(input) ? "int64_t" : "float") << " *" << identifier(input.name);
  for (const PlannedValue &output : entry.outputs)
    os << ", float *" << identifier(output.name);
  os << ") {\n";
  printTensors("inputs", entry.inputs, "rows", os);
  printTensors("outputs", entry.outputs, entry.outputsInLastSpace ? "(int64_t)sequences" : "rows",
               os);
  os << "  (void)rows;\n  return rondo_run(model, \"" << entry.name
     << "\", states, lengths, sequences, inputs, " << entry.inputs.size() << ", outputs, "
     << entry.outputs.size() << ");\n}\n";
}

std::string rondo::makeHeader(const Plan &plan, const PackageNotes &notes) {
  std::string text;
  llvm::raw_string_ostream os(text);
  std::string model = identifier(notes.model),
              guard = "RONDO_MODEL_" + StringRef(model).upper() + "_H";
  os << "/* " << notes.model << ", made by " << notes.provenance.producer << " from "
     << notes.provenance.spec << ". Do not edit.\n"
     << " *\n * Open the package with rondo_open, make a state for each sequence with "
        "rondo_state_new, then call the entries below. */\n\n#ifndef "
     << guard << "\n#define " << guard
     << "\n\n#include \"runtime/rondo.h\"\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
  os << "/* What one sequence keeps between calls, in bytes, apart from caches. */\nenum { "
     << model << "_state_bytes = " << plan.stateBytes << " };\n";
  if (!plan.states.empty())
    os << "/* Its states, as rondo_state_save names them:\n";
  for (const PlannedState &state : plan.states) {
    os << " *   " << state.name << " [";
    if (state.kind != PlannedState::Kind::Fixed)
      os << (state.kind == PlannedState::Kind::Tail ? std::to_string(state.tokens) + " tokens"
             : state.tokens ? "up to " + std::to_string(state.tokens) + " tokens"
                            : "tokens");
    for (auto [i, axis] : llvm::enumerate(axesOf(state.type)))
      os << (i || state.kind != PlannedState::Kind::Fixed ? ", " : "") << axis.str() << " = "
         << state.type.getDimSize(i);
    os << "]\n";
  }
  if (!plan.states.empty())
    os << " */\n";
  for (const PlannedEntry &entry : plan.entries)
    printEntry(model, entry, os);
  os << "\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* " << guard << " */\n";
  return text;
}

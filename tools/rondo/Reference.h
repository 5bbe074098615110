// Reference.h - The reference interpreter, run as a program of its own on one sequence.

#ifndef RONDO_TOOLS_RONDO_REFERENCE_H
#define RONDO_TOOLS_RONDO_REFERENCE_H

#include "tools/rondo/Forms.h"
#include "tools/rondo/Sibling.h"

namespace rondo::cli {

/// What rondo-interp makes of a sequence in pieces of these sizes, each begun in the states that
/// the one before it left: outputs [rows, axes...], then the last states as `state.NAME`.
/// `program`: a package, or a stage's IR and where its parameters are (--params).
Result<std::vector<Numbers>> interpret(const ScratchFolder &scratch,
                                       const std::vector<std::string> &program,
                                       const Sequence &sequence, const std::vector<int64_t> &pieces,
                                       bool f64);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_REFERENCE_H

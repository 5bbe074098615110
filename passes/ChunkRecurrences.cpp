//===- ChunkRecurrences.cpp - From a token's recurrence to blocks ---------===//
//
// Token level (`rondo.recur`) to block level (`rondo.scan`).
//
//   recur { S = a S + k v; yield dot[k](S, q) }
//   -> scan chunk 16 token { the same } block { ((q k') P) v + ... }
//
// The algebra (passes/algebra/) says what kind of recurrence it is, which form it has and what that
// costs; BlockEmitter writes the block body. Sound because both bodies mean the same up to
// rounding: the token body stays and runs on the ragged rest, and tests compare the two in f64.
//
//===----------------------------------------------------------------------===//

#include "passes/BlockEmitter.h"
#include "passes/Nonlinearity.h"
#include "passes/Passes.h"
#include "passes/ReadRecurrence.h"
#include "passes/RenameAxis.h"
#include "passes/ScanInputs.h"
#include "passes/algebra/Schema.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

namespace rondo {
#define GEN_PASS_DEF_CHUNKRECURRENCESPASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

struct ChunkRecurrences : rondo::impl::ChunkRecurrencesPassBase<ChunkRecurrences> {
  using ChunkRecurrencesPassBase::ChunkRecurrencesPassBase;

  void runOnOperation() override {
    auto machine = algebra::machineOf(target);
    if (!machine) {
      getOperation()->emitError() << "found the target '" << target
                                  << "'; expected x86-64-v3 or x86-64-v4";
      return signalPassFailure();
    }
    if (failed(readRequests()))
      return signalPassFailure();
    SmallVector<RecurOp> recurs;
    getOperation()->walk([&](RecurOp op) { recurs.push_back(op); });
    if (failed(checkRequests(recurs)))
      return signalPassFailure();
    for (RecurOp op : recurs)
      rewrite(op, *machine);
  }

  LogicalResult readRequests() {
    for (StringRef text : forms)
      if (failed(readRequest(text, "as asked for", requests)))
        return failure();
    // NAME=FORM@CYCLES
    std::map<StringRef, SmallVector<std::pair<double, StringRef>>> byName;
    for (StringRef text : tried) {
      auto [form, count] = text.rsplit('@');
      double cycles;
      if (count.getAsDouble(cycles) || !(cycles > 0))
        return getOperation()->emitError()
               << "found the estimate '" << text << "'; expected NAME=FORM@CYCLES";
      byName[form.split('=').first].push_back({cycles, form.split('=').second});
    }
    for (auto &[name, estimates] : byName) {
      llvm::sort(estimates);
      std::string why = "the fastest by the code of each form (cycles a token: ";
      llvm::raw_string_ostream os(why);
      llvm::interleaveComma(estimates, os, [&](auto &estimate) {
        os << estimate.second << " " << llvm::formatv("{0:F0}", estimate.first);
      });
      os << ")";
      if (failed(readRequest((name + "=" + estimates.front().second).str(), why, fastest)))
        return failure();
    }
    return success();
  }

  /// NAME=chunk[:C], NAME=conv[:C] or NAME=sequential.
  LogicalResult readRequest(StringRef text, StringRef why,
                            std::map<std::string, algebra::FormRequest> &into) {
    auto [name, form] = text.split('=');
    // How a sum over tokens is answered was decided before.
    if (form == "sum" || form == "recurrence")
      return success();
    algebra::FormRequest request;
    request.why = why.str();
    auto [kind, count] = form.split(':');
    request.convolution = kind == "conv";
    if (kind == "chunk" || kind == "conv")
      request.form = algebra::Form::Chunk;
    else if (kind == "sequential" && count.empty())
      request.form = algebra::Form::Sequential;
    if (!request.form || (!count.empty() && (count.getAsInteger(10, request.chunk) ||
                                             request.chunk < 1 || request.chunk > 1024)))
      return getOperation()->emitError() << "found the form '" << text
                                         << "'; expected NAME=chunk, NAME=chunk:C (C from 1 to "
                                            "1024), NAME=conv, NAME=conv:C or NAME=sequential";
    into[name.str()] = request;
    return success();
  }

  /// By full name or by its last part.
  static bool isNamed(RecurOp op, StringRef name) {
    return op.getName() == name || op.getName().ends_with(("." + name).str());
  }

  /// Every form requested by name is one of some recurrence.
  LogicalResult checkRequests(ArrayRef<RecurOp> recurs) {
    for (auto &[name, request] : requests) {
      if (name == "*" || llvm::any_of(recurs, [&](RecurOp op) { return isNamed(op, name); }))
        continue;
      SmallVector<StringRef> known;
      for (RecurOp op : recurs)
        if (!llvm::is_contained(known, op.getName()))
          known.push_back(op.getName());
      return getOperation()->emitError()
             << "found a form for '" << name
             << "'; expected one of the recurrences: " << llvm::join(known, ", ");
    }
    return success();
  }

  algebra::FormRequest requestFor(RecurOp op) {
    if (op->getParentOp()->hasAttr("rondo.sequential")) {
      algebra::FormRequest request;
      request.form = algebra::Form::Sequential;
      return request;
    }
    // Its own name comes before `*`, all others.
    for (auto &[name, request] : requests)
      if (isNamed(op, name))
        return request;
    if (auto any = requests.find("*"); any != requests.end())
      return any->second;
    auto least = fastest.find(op.getName().str());
    return least != fastest.end() ? least->second : algebra::FormRequest();
  }

  /// A term in the algebra's normal form is not what the spec says: its line is.
  static void nameLine(RecurOp op, algebra::TransitionClass &transition) {
    auto isBlamed = [&](unsigned state) { return !transition.states[state].isAffine; };
    if (auto place = findNonlinear(op, isBlamed))
      transition.refusal += " (line " + std::to_string(place->getLine()) + ")";
  }

  void rewrite(RecurOp op, const algebra::Machine &machine) {
    renameAxis(op, blockAxis);
    renameAxis(op, keyAxis);
    RecurrenceReader reader(op);
    auto transition = algebra::classify(reader.body);
    if (!reader.fits())
      transition.refusal = "its body names more than 64 axes";
    else if (!transition.isAffine)
      nameLine(op, transition);
    auto choice = algebra::chooseForm(reader.body, transition, machine, requestFor(op));
    std::string printed = transition.print(reader.body.pool);

    ScanOp scan = makeScan(op, choice, printed);
    if (choice.form == algebra::Form::Chunk && failed(emitBlock(scan, reader, transition))) {
      // The op at fault has a remark of its own.
      makeSequential(scan);
      choice.form = algebra::Form::Sequential;
      choice.why = "an op of its body cannot run on blocks";
    }
    pruneScan(scan);
    report(scan, choice, printed);
  }

  static ScanOp makeScan(RecurOp op, const algebra::FormChoice &choice, StringRef printed) {
    OpBuilder builder(op);
    bool chunked = choice.form == algebra::Form::Chunk;
    auto scan = ScanOp::create(builder, op.getLoc(), op.getResultTypes(), op.getNameAttr(),
                               op.getStatesAttr(), op.getInputs(), op.getInits(),
                               builder.getI64IntegerAttr(choice.chunk),
                               builder.getStringAttr(chunked ? "chunk" : "sequential"),
                               builder.getStringAttr(printed), op.getEveryAttr());
    scan->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    scan.getToken().takeBody(op.getBody());
    op.replaceAllUsesWith(scan.getOperation());
    op.erase();
    return scan;
  }

  static LogicalResult emitBlock(ScanOp scan, RecurrenceReader &reader,
                                 const algebra::TransitionClass &transition) {
    Block &token = scan.getToken().front();
    OpBuilder builder(scan.getContext());
    Block *block = builder.createBlock(&scan.getBlock());
    IRMapping mapping;
    auto types = recurrenceArguments(scan.getInputs().getTypes(), scan.getInits().getTypes(),
                                     scan.getEvery().has_value(), scan.getChunk());
    for (auto [argument, type] : llvm::zip_equal(token.getArguments(), types))
      mapping.map(argument, block->addArgument(type, argument.getLoc()));
    SmallVector<Value> entering(
        block->getArguments().slice(scan.getInputs().size(), scan.getInits().size()));
    BlockEmitter emitter(builder, scan.getLoc(), reader, transition, mapping, entering,
                         scan.getChunk());
    SmallVector<Value> outputs, states;
    for (auto [e, result] : llvm::zip_equal(reader.body.outputs, scan.getOutputs())) {
      auto value = emitter.emit(e);
      if (failed(value))
        return failure(); // reported by emit
      outputs.push_back(emitter.conform(
          *value, withLeadingAxis(withoutTime(result.getType()), blockAxis, scan.getChunk())));
    }
    for (size_t i = 0; i < transition.states.size(); ++i) {
      auto value = emitter.emitLeaving(static_cast<int>(i));
      if (failed(value))
        return failure(); // reported by emit
      states.push_back(*value);
    }
    YieldOp::create(builder, scan.getLoc(), states, outputs);
    return success();
  }

  void report(ScanOp scan, const algebra::FormChoice &choice, StringRef printed) {
    bool chunked = choice.form == algebra::Form::Chunk;
    numChunked += chunked;
    numRefused += !chunked;
    OpBuilder builder(scan);
    auto number = [&](double value) { return builder.getF64FloatAttr(value); };
    scan->setAttr("rondo.why", builder.getStringAttr(choice.why));
    scan->setAttr("rondo.cost",
                  builder.getDictionaryAttr(
                      {builder.getNamedAttr("bytes", number(choice.cost.bytes)),
                       builder.getNamedAttr("cycles", number(choice.cost.cycles)),
                       builder.getNamedAttr("flops", number(choice.cost.flops)),
                       builder.getNamedAttr("other_cycles", number(choice.other.cycles)),
                       builder.getNamedAttr("pairs", number(choice.cost.pairs))}));
    if (scan->getParentOp()->hasAttr("rondo.sequential"))
      return; // said for the function that this one is a copy of
    auto remark = scan.emitRemark() << "'" << scan.getName() << "': " << printed << "; ";
    if (chunked)
      remark << "in blocks of " << choice.chunk << " tokens: " << choice.why;
    else
      remark << "token by token: " << choice.why;
  }

  std::map<std::string, algebra::FormRequest> requests; // asked for, by any name
  std::map<std::string, algebra::FormRequest> fastest;  // by full name
};

} // namespace

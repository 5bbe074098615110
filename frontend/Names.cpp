//===- Names.cpp - Names that mean nothing ------------------------------------------===//

#include "frontend/Names.h"

#include <algorithm>
#include <set>

using namespace rondo;
using namespace rondo::ast;

namespace {
class Names {
public:
  Names(const Program &program, const File &file, DiagnosticSink &sink)
      : program(program), source(file.source), sink(sink) {}

  void check(const Module &module) {
    bound = {"t", "inf", "pi"};
    uses.clear();
    for (const Formal &formal : module.formals) {
      bound.insert(formal.name);
      axes(formal.axes);
      expr(formal.otherwise.get());
    }
    axes(module.result);
    block(module.body);
    for (const Expr *use : uses)
      report(*use);
  }

private:
  void axes(const Axes &list) {
    for (const Axis &axis : list) {
      bound.insert(axis.name);
      expr(axis.extent.get());
    }
  }

  void target(const Target &t) {
    bound.insert(t.name);
    axes(t.axes);
  }

  void scope(const Scope &s) {
    for (const ScopePart &part : s.parts)
      expr(part.value.get());
  }

  void block(const Block &body) {
    for (const auto &s : body) {
      for (const ParamDecl &p : s->params) {
        bound.insert(p.name);
        axes(p.axes);
        if (p.hasScope)
          scope(p.scope);
        // `normal(0.02)` names no function; its arguments are values.
        if (p.init && p.init->kind == Expr::Call)
          for (const Argument &argument : p.init->arguments)
            expr(argument.value.get());
        else
          expr(p.init.get());
      }
      for (const Target &t : s->targets)
        target(t);
      if (s->kind == Stmt::Repeat)
        bound.insert(s->name);
      scope(s->scope);
      expr(s->value.get());
      for (const auto &value : s->values)
        expr(value.get());
      expr(s->message.get());
      block(s->body);
      block(s->otherwise);
    }
  }

  void expr(const Expr *e) {
    if (!e)
      return;
    if (e->kind == Expr::Name || e->kind == Expr::Call)
      uses.push_back(e);
    for (const auto &operand : e->operands)
      expr(operand.get());
    axes(e->axes);
    axes(e->result);
    scope(e->scope);
    for (const Argument &argument : e->arguments)
      expr(argument.value.get());
    for (const Change &c : e->changes) {
      axes(c.from);
      axes(c.to);
      expr(c.low.get());
      expr(c.high.get());
    }
    for (const State &state : e->states) {
      bound.insert(state.name);
      axes(state.axes);
      expr(state.init.get());
    }
    expr(e->every.get());
    bound.insert(e->variable);
    block(e->body);
    for (const Target &t : e->yieldTargets)
      target(t);
    for (const auto &value : e->yields)
      expr(value.get());
    expr(e->where.get());
    expr(e->score.get());
    expr(e->value.get());
  }

  void report(const Expr &use) {
    if (use.kind == Expr::Name) {
      if (bound.count(use.text) || program.setting(source, use.text))
        return;
      std::vector<std::string> names = program.settingNames(source);
      names.insert(names.end(), bound.begin(), bound.end());
      sink.error(use.place, "unknown name '" + use.text + "'" + didYouMean(use.text, names));
      return;
    }
    if (program.module(source, use.text))
      return;
    std::vector<std::string> names = program.moduleNames(source);
    if (use.hasScope) {
      sink.error(use.place, "unknown module '" + use.text + "'" + didYouMean(use.text, names));
      return;
    }
    std::vector<std::string> known = {"grad"};
    for (const FunctionName &function : functionNames())
      known.push_back(function.name);
    known.insert(known.end(), reductionNames().begin(), reductionNames().end());
    if (std::find(known.begin(), known.end(), use.text) != known.end())
      return;
    names.insert(names.end(), known.begin(), known.end());
    sink.error(use.place,
               "unknown module or function '" + use.text + "'" + didYouMean(use.text, names));
  }

  const Program &program;
  const SourceFile *source;
  DiagnosticSink &sink;
  std::set<std::string> bound;
  std::vector<const Expr *> uses;
};
} // namespace

void rondo::checkNames(const Program &program, const File &file, DiagnosticSink &sink) {
  Names names(program, file, sink);
  for (const auto &module : file.modules)
    names.check(*module);
}

//===- AstPrinter.cpp - The tree as text --------------------------------------------===//

#include "frontend/Ast.h"

#include <sstream>

using namespace rondo;
using namespace rondo::ast;

namespace {
std::string printScope(const Scope &scope);

class Printer {
public:
  std::string text() const { return out.str(); }

  void file(const File &file) {
    line() << "file " << file.source->path << "\n";
    ++depth;
    for (const Import &i : file.imports)
      line() << "import \"" << i.path << "\"" << at(i.place);
    for (const Setting &s : file.settings) {
      line() << (s.isSize ? "size " : "option ") << s.name;
      if (s.otherwise)
        out << " = " << print(*s.otherwise);
      for (size_t i = 0; i < s.keys.size(); ++i)
        out << (i ? ", " : " from ") << "\"" << s.keys[i] << "\"";
      for (size_t i = 0; i < s.extents.size(); ++i)
        out << (i || !s.keys.empty() ? ", " : " from ") << "shape \"" << s.extents[i].tensor
            << "\"[" << s.extents[i].axis << "]";
      if (s.ofNull)
        out << ", null = " << print(*s.ofNull);
      out << at(s.place);
    }
    for (const Ignored &i : file.ignored)
      line() << "ignore \"" << i.pattern << "\"" << at(i.place);
    for (const Rename &r : file.renames) {
      line() << "rename \"" << r.from << "\" as";
      for (const std::string &to : r.to)
        out << " \"" << to << "\"";
      out << at(r.place);
    }
    if (!file.configObject.empty())
      line() << "config \"" << file.configObject << "\"\n";
    for (const auto &m : file.modules)
      module(*m);
    for (const ExprPtr &e : file.objectives)
      line() << "objective " << print(*e) << at(e->place);
  }

private:
  std::ostream &line() { return out << std::string(2 * depth, ' '); }

  static std::string at(const Place &place) {
    return "  @" + std::to_string(place.line) + ":" + std::to_string(place.column) + "\n";
  }

  void module(const Module &m) {
    line() << (m.isModel ? "model " : "module ") << m.name << "(";
    for (size_t i = 0; i < m.formals.size(); ++i) {
      const Formal &f = m.formals[i];
      out << (i ? ", " : "") << f.name << (f.hasAxes ? print(f.axes) : "");
      if (f.otherwise)
        out << " = " << print(*f.otherwise);
    }
    out << ")" << (m.hasResult ? " -> " + print(m.result) : "");
    for (size_t i = 0; i < m.architectures.size(); ++i)
      out << (i ? ", " : " for ") << "\"" << m.architectures[i] << "\"";
    out << at(m.place);
    block(m.body);
  }

  void block(const Block &body) {
    ++depth;
    for (const auto &s : body)
      statement(*s);
    --depth;
  }

  void value(const Expr &e) {
    if (e.kind == Expr::Recur)
      return recur(e);
    if (e.kind == Expr::Over)
      return over(e);
    if (e.kind == Expr::Route) {
      out << "route " << e.variable << at(e.place);
      return block(e.body);
    }
    out << print(e) << at(e.place);
  }

  void recur(const Expr &e) {
    out << "recur";
    if (e.every)
      out << " every " << print(*e.every);
    out << at(e.place);
    ++depth;
    for (const State &s : e.states)
      line() << "state " << s.name << print(s.axes) << " = " << print(*s.init) << at(s.place);
    block(e.body);
    for (size_t i = 0; i < e.yields.size(); ++i) {
      const Target &t = e.yieldTargets[i];
      line() << "yield "
             << (t.name.empty() ? "" : t.name + (t.written ? print(t.axes) : "") + " = ")
             << print(*e.yields[i]) << at(e.yields[i]->place);
    }
    --depth;
  }

  void over(const Expr &e) {
    out << e.text << " over " << e.variable << at(e.place);
    ++depth;
    if (e.where)
      line() << "where " << print(*e.where) << at(e.where->place);
    block(e.body);
    if (e.score)
      line() << "score " << print(*e.score) << at(e.score->place);
    line() << "value " << print(*e.value) << at(e.value->place);
    if (e.sink)
      line() << "sink " << print(*e.sink) << at(e.sink->place);
    --depth;
  }

  void statement(const Stmt &s) {
    switch (s.kind) {
    case Stmt::Params:
      for (const ParamDecl &p : s.params)
        line() << "param " << p.name << print(p.axes)
               << (p.hasScope ? " as " + printScope(p.scope) : "")
               << (p.init ? " init " + print(*p.init) : "") << at(p.place);
      return;
    case Stmt::Let:
      line() << "let ";
      for (size_t i = 0; i < s.targets.size(); ++i)
        out << (i ? ", " : "") << s.targets[i].name
            << (s.targets[i].written ? print(s.targets[i].axes) : "");
      out << " = ";
      return value(*s.value);
    case Stmt::If:
      line() << "if " << print(*s.value) << at(s.place);
      block(s.body);
      if (!s.otherwise.empty()) {
        line() << "else\n";
        block(s.otherwise);
      }
      return;
    case Stmt::Repeat:
      line() << "repeat " << s.name << " < " << print(*s.value) << at(s.place);
      return block(s.body);
    case Stmt::Return:
      line() << "return ";
      for (size_t i = 0; i + 1 < s.values.size(); ++i)
        out << print(*s.values[i]) << ", ";
      return value(*s.values.back());
    case Stmt::Require:
      line() << "require " << print(*s.value) << at(s.place);
      return;
    case Stmt::Value:
      line() << "value ";
      return value(*s.value);
    }
  }

  std::ostringstream out;
  unsigned depth = 0;
};

std::string printScope(const Scope &scope) {
  std::string text = scope.absolute ? "." : "";
  for (size_t i = 0; i < scope.parts.size(); ++i)
    text += (i ? "." : "") +
            (scope.parts[i].value ? "{" + print(*scope.parts[i].value) + "}" : scope.parts[i].text);
  return text;
}

std::string bare(const Axes &axes) {
  std::string text = print(axes);
  return text.substr(1, text.size() - 2);
}
} // namespace

std::string ast::print(const File &file) {
  Printer printer;
  printer.file(file);
  return printer.text();
}

std::string ast::print(const Axes &axes) {
  std::string text = "[";
  for (size_t i = 0; i < axes.size(); ++i)
    text += (i ? " " : "") + (axes[i].name.empty() ? "1" : axes[i].name) +
            (axes[i].extent ? " = " + print(*axes[i].extent) : "");
  return text + "]";
}

std::string ast::print(const Expr &e) {
  std::ostringstream out;
  switch (e.kind) {
  case Expr::Integer:
    out << e.integer;
    break;
  case Expr::Real:
    out << e.real;
    break;
  case Expr::String:
    out << '"' << e.text << '"';
    break;
  case Expr::Boolean:
    out << (e.integer ? "true" : "false");
    break;
  case Expr::None:
    out << "none";
    break;
  case Expr::List:
    out << "[";
    for (size_t i = 0; i < e.operands.size(); ++i)
      out << (i ? ", " : "") << print(*e.operands[i]);
    out << "]";
    break;
  case Expr::Name:
    out << e.text;
    break;
  case Expr::Unary:
    out << "(" << e.text << (e.text == "not" ? " " : "") << print(*e.operands[0]) << ")";
    break;
  case Expr::Binary:
    out << "(" << print(*e.operands[0]) << " " << e.text << " " << print(*e.operands[1]) << ")";
    break;
  case Expr::Index:
    out << "index" << print(e.axes);
    break;
  case Expr::Call:
    out << e.text << (e.operands.empty() ? "" : "[" + print(*e.operands[0]) + "]")
        << (e.hasAxes ? print(e.axes) : "") << (e.hasScope ? " " + printScope(e.scope) : "") << "(";
    for (size_t i = 0; i < e.arguments.size(); ++i)
      out << (i ? ", " : "") << (e.arguments[i].name.empty() ? "" : e.arguments[i].name + " = ")
          << print(*e.arguments[i].value);
    out << ")" << (e.hasResult ? " -> " + print(e.result) : "");
    break;
  case Expr::Changed:
    out << print(*e.operands[0]) << "[";
    for (size_t i = 0; i < e.changes.size(); ++i) {
      const Change &c = e.changes[i];
      out << (i ? ", " : "");
      if (c.kind == Change::Reshape)
        out << bare(c.from) << " -> " << bare(c.to);
      else if (c.kind == Change::Check)
        out << bare(c.to);
      else
        out << (c.from.empty() ? "" : c.from[0].name + " = ") << print(*c.low)
            << (c.high ? ".." + print(*c.high) : "") << (c.to.empty() ? "" : " -> " + bare(c.to));
    }
    out << "]";
    break;
  case Expr::At:
    out << print(*e.operands[0]) << "@" << (e.text.empty() ? print(*e.operands[1]) : e.text);
    break;
  case Expr::Ascribe:
    out << print(*e.operands[0]) << " -> " << print(e.result);
    break;
  case Expr::Recur:
    out << "recur";
    break;
  case Expr::Over:
    out << e.text << " over " << e.variable;
    break;
  case Expr::Route:
    out << "route " << e.variable;
    break;
  }
  return out.str();
}

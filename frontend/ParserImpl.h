//===- ParserImpl.h - The parser's state, shared by its two halves ------*- C++ -*-===//
//
// Parser.cpp holds declarations and statements, ParserExpr.cpp expressions and axes.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/Lexer.h"
#include "frontend/Parser.h"

namespace rondo {

class Parser {
public:
  Parser(const SourceFile &source, DiagnosticSink &sink)
      : sink(sink), source(source), tokens(lex(source, sink)) {}

  std::unique_ptr<ast::File> file();
  ast::ExprPtr expression();
  const Token &peek(size_t ahead = 0) const {
    return tokens[std::min(at + ahead, tokens.size() - 1)];
  }

private:
  // Nesting beyond this is refused: a spec must not exhaust the stack.
  static constexpr unsigned deepest = 120;
  struct Nested {
    explicit Nested(Parser &p) : p(p) { ++p.depth; }
    ~Nested() { --p.depth; }
    Parser &p;
  };

  // Declarations and statements. A bool says whether parsing can go on at this level without
  // recovery.
  bool declaration(ast::File &file);
  bool setting(ast::File &file, bool isSize);
  bool module(ast::File &file, bool isModel);
  bool formals(std::vector<ast::Formal> &formals);
  bool block(ast::Block &body, const char *what);
  std::unique_ptr<ast::Stmt> statement();
  std::unique_ptr<ast::Stmt> params();
  std::unique_ptr<ast::Stmt> let();
  std::unique_ptr<ast::Stmt> condition();
  std::unique_ptr<ast::Stmt> repeat();
  bool looksLikeLet() const;
  bool target(ast::Target &target);
  void recoverStatement();
  void recoverDeclaration();

  // Expressions.
  ast::ExprPtr binary(int level);
  ast::ExprPtr unary();
  ast::ExprPtr power();
  ast::ExprPtr postfix();
  ast::ExprPtr primary();
  ast::ExprPtr named();
  ast::ExprPtr list();
  ast::ExprPtr recur();
  ast::ExprPtr over();
  ast::ExprPtr route();
  bool overBody(ast::Expr &over);
  bool arguments(std::vector<ast::Argument> &arguments);
  bool axes(ast::Axes &axes);         // `[` ... `]`
  bool axesUntilEnd(ast::Axes &axes); // ... up to `]`, `,` or `->`
  bool changes(std::vector<ast::Change> &changes);
  bool change(ast::Change &change);
  bool scope(ast::Scope &scope);
  bool useFollows(size_t ahead) const; // a scope and `(` on this line
  ast::ExprPtr make(ast::Expr::Kind kind) const {
    return std::make_unique<ast::Expr>(kind, peek().place);
  }

  // Tokens.
  Token take() {
    Token token = peek();
    if (at + 1 < tokens.size())
      ++at;
    return token;
  }
  bool accept(std::string_view punct) { return peek().is(punct) && (take(), true); }
  bool acceptName(std::string_view name) { return peek().isName(name) && (take(), true); }
  bool expect(std::string_view punct, const std::string &where);
  bool expectName(std::string &name, const std::string &what);
  bool fail(const std::string &message) { return fail(peek().place, message); }
  bool fail(Place place, const std::string &message) {
    sink.error(place, message);
    return false;
  }
  bool tooDeep();

  DiagnosticSink &sink;
  const SourceFile &source;
  std::vector<Token> tokens;
  size_t at = 0;
  unsigned depth = 0;
};

} // namespace rondo

//===- Parser.cpp - Declarations and statements -------------------------------------===//

#include "frontend/ParserImpl.h"

using namespace rondo;
using namespace rondo::ast;

bool Parser::expect(std::string_view punct, const std::string &where) {
  if (accept(punct))
    return true;
  return fail("expected '" + std::string(punct) + "' " + where + ", found " + peek().shown());
}

bool Parser::expectName(std::string &name, const std::string &what) {
  if (peek().kind != Token::Name)
    return fail("expected " + what + ", found " + peek().shown());
  name = take().text;
  return true;
}

bool Parser::tooDeep() {
  if (depth < deepest)
    return false;
  sink.error(peek().place, "nested more than " + std::to_string(deepest) + " deep");
  at = tokens.size() - 1; // whatever follows is inside it
  return true;
}

//===----------------------------------------------------------------------===//
// Declarations
//===----------------------------------------------------------------------===//

static const std::vector<std::string> declarationWords = {
    "import", "size", "option", "module", "model", "ignore", "rename", "config", "objective"};

static bool startsDeclaration(const Token &token) {
  for (const std::string &word : declarationWords)
    if (token.isName(word))
      return true;
  return false;
}

void Parser::recoverDeclaration() {
  unsigned braces = 0;
  while (peek().kind != Token::End) {
    if (peek().lineBefore && startsDeclaration(peek()) && (braces == 0 || peek().place.column == 1))
      return;
    if (peek().is("{"))
      ++braces;
    if (peek().is("}") && braces)
      --braces;
    take();
  }
}

std::unique_ptr<File> Parser::file() {
  auto file = std::make_unique<File>();
  file->source = &source;
  while (peek().kind != Token::End) {
    if (accept(";"))
      continue;
    size_t before = at;
    if (!declaration(*file)) {
      if (at == before)
        take();
      recoverDeclaration();
    }
  }
  return file;
}

bool Parser::declaration(File &file) {
  Token first = peek();
  if (acceptName("import")) {
    if (peek().kind != Token::String)
      return fail("expected a file name in quotes after 'import', found " + peek().shown());
    file.imports.push_back({first.place, take().text});
    return true;
  }
  if (acceptName("size"))
    return setting(file, true);
  if (acceptName("option"))
    return setting(file, false);
  if (acceptName("module"))
    return module(file, false);
  if (acceptName("model"))
    return module(file, true);
  if (acceptName("ignore")) {
    do {
      if (peek().kind != Token::String)
        return fail("expected a pattern of tensors' names in quotes after 'ignore', found " +
                    peek().shown());
      Place place = peek().place;
      file.ignored.push_back({place, take().text});
    } while (accept(","));
    return true;
  }
  if (acceptName("rename")) {
    Rename rename;
    rename.place = peek().place;
    auto name = [&](std::string &into, const char *what) {
      if (peek().kind != Token::String)
        return fail(std::string("expected ") + what + " in quotes, found " + peek().shown());
      into = take().text;
      return true;
    };
    if (!name(rename.from, "how tensors' names begin") ||
        !(acceptName("as") ||
          fail("expected 'as' and how names begin in checkpoints, found " + peek().shown())))
      return false;
    do
      if (!name(rename.to.emplace_back(), "how names begin in checkpoints"))
        return false;
    while (accept(","));
    file.renames.push_back(std::move(rename));
    return true;
  }
  if (acceptName("config")) {
    if (peek().kind != Token::String)
      return fail("expected an object of config.json in quotes after 'config', found " +
                  peek().shown());
    file.configObject = take().text;
    return true;
  }
  if (acceptName("objective")) {
    ExprPtr e = expression();
    if (!e)
      return false;
    file.objectives.push_back(std::move(e));
    return true;
  }
  std::string hint = first.kind == Token::Name ? didYouMean(first.text, declarationWords) : "";
  return fail("expected a declaration (import, size, option, module, model, ignore, rename, config "
              "or objective), found " +
              first.shown() + hint);
}

bool Parser::setting(File &file, bool isSize) {
  Setting setting;
  setting.place = peek().place;
  setting.isSize = isSize;
  if (!expectName(setting.name, isSize ? "the size's name" : "the option's name"))
    return false;
  if (accept("=") && !(setting.otherwise = expression()))
    return false;
  if (acceptName("from")) {
    do {
      if (!setting.keys.empty() && acceptName("null")) {
        if (!expect("=", "after 'null', before what a null in the config means") ||
            !(setting.ofNull = expression()))
          return false;
        continue;
      }
      bool isExtent = isSize && peek().isName("shape");
      Place place = peek().place;
      if (isExtent)
        take();
      if (peek().kind != Token::String)
        return fail(
            isExtent
                ? "expected a tensor's name in quotes after 'shape', found " + peek().shown()
                : "expected a key of config.json in quotes after 'from', found " + peek().shown());
      if (!isExtent) {
        setting.keys.push_back(take().text);
        continue;
      }
      TensorExtent extent{place, take().text, 0};
      if (!expect("[", "before the axis of '" + extent.tensor + "'"))
        return false;
      if (peek().kind != Token::Integer)
        return fail("expected the number of an axis, from 0, found " + peek().shown());
      extent.axis = take().integer;
      if (!expect("]", "after the axis"))
        return false;
      setting.extents.push_back(std::move(extent));
    } while (accept(","));
  }
  if (!peek().lineBefore && !peek().is(";"))
    return fail("expected the end of the line after this declaration, found " + peek().shown());
  file.settings.push_back(std::move(setting));
  return true;
}

bool Parser::formals(std::vector<Formal> &formals) {
  if (!expect("(", "before the inputs"))
    return false;
  while (!peek().is(")")) {
    Formal formal;
    formal.place = peek().place;
    if (!expectName(formal.name, "an input's name or ')'"))
      return false;
    if (peek().is("[")) {
      formal.hasAxes = true;
      if (!axes(formal.axes))
        return false;
    }
    if (accept("=") && !(formal.otherwise = expression()))
      return false;
    formals.push_back(std::move(formal));
    if (!accept(","))
      break;
  }
  return expect(")", "after the inputs");
}

bool Parser::module(File &file, bool isModel) {
  auto module = std::make_unique<Module>();
  module->isModel = isModel;
  module->place = peek().place;
  if (!expectName(module->name, isModel ? "the model's name" : "the module's name") ||
      !formals(module->formals))
    return false;
  if (accept("->")) {
    module->hasResult = true;
    if (!axes(module->result))
      return false;
  }
  if (isModel && acceptName("for")) {
    do {
      if (peek().kind != Token::String)
        return fail("expected a class name in quotes after 'for', found " + peek().shown());
      module->architectures.push_back(take().text);
    } while (accept(","));
  }
  bool good = block(module->body, isModel ? "the model's body" : "the module's body");
  // Kept even when its body is incomplete, so that uses of it are not reported as unknown.
  file.modules.push_back(std::move(module));
  return good;
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

void Parser::recoverStatement() {
  unsigned open = 0;
  while (peek().kind != Token::End) {
    const Token &token = peek();
    if (open == 0 && (token.is("}") || token.is(";") || token.lineBefore))
      return;
    if (token.lineBefore && token.place.column == 1 && startsDeclaration(token))
      return;
    if (token.is("{"))
      ++open;
    if (token.is("}") && open)
      --open;
    take();
  }
}

bool Parser::block(Block &body, const char *what) {
  Place opened = peek().place;
  if (!expect("{", std::string("before ") + what))
    return false;
  Nested nested(*this);
  if (tooDeep())
    return false;
  while (!accept("}")) {
    if (accept(";"))
      continue;
    bool outside = peek().lineBefore && peek().place.column == 1 && startsDeclaration(peek()) &&
                   peek(1).kind == Token::Name;
    if (peek().kind == Token::End || outside)
      return fail(opened, std::string("this '{' is never closed; expected '}' after ") + what);
    size_t before = at;
    if (auto s = statement()) {
      body.push_back(std::move(s));
      if (!peek().lineBefore && !peek().is(";") && !peek().is("}")) {
        fail("expected the end of the line or ';' after this statement, found " + peek().shown());
        recoverStatement();
      }
      continue;
    }
    if (at == before && !peek().is("}"))
      take();
    recoverStatement();
  }
  return true;
}

// `name`, `name[...]`, separated by commas, then `=`.
bool Parser::looksLikeLet() const {
  for (size_t i = at; i < tokens.size(); ++i) {
    if (tokens[i].kind != Token::Name)
      return false;
    ++i;
    if (tokens[i].is("[")) {
      unsigned open = 0;
      for (; i < tokens.size() && tokens[i].kind != Token::End; ++i) {
        if (tokens[i].is("["))
          ++open;
        if (tokens[i].is("]") && --open == 0)
          break;
        if (tokens[i].is("{") || tokens[i].is("}"))
          return false;
      }
      if (i >= tokens.size() - 1)
        return false;
      ++i;
    }
    if (tokens[i].is("="))
      return true;
    if (!tokens[i].is(","))
      return false;
  }
  return false;
}

std::unique_ptr<Stmt> Parser::statement() {
  const Token &first = peek();
  bool plain = !peek(1).is("=") && !peek(1).is(",") && !peek(1).is("[") && !peek(1).is("@");
  if (first.isName("param") && plain)
    return params();
  if (first.isName("if") && plain)
    return condition();
  if (first.isName("repeat") && plain)
    return repeat();
  if (first.isName("return") && !peek(1).is("=")) {
    auto s = std::make_unique<Stmt>(Stmt::Return, take().place);
    do {
      ExprPtr e = expression();
      if (!e)
        return nullptr;
      s->values.push_back(std::move(e));
    } while (accept(","));
    return s;
  }
  if (first.isName("require") && plain) {
    auto s = std::make_unique<Stmt>(Stmt::Require, take().place);
    if (!(s->value = expression()) || !expect(",", "and a message after what is required") ||
        !(s->message = expression()))
      return nullptr;
    return s;
  }
  if (looksLikeLet())
    return let();
  auto s = std::make_unique<Stmt>(Stmt::Value, first.place);
  if (!(s->value = expression()))
    return nullptr;
  return s;
}

std::unique_ptr<Stmt> Parser::params() {
  auto s = std::make_unique<Stmt>(Stmt::Params, take().place);
  do {
    ParamDecl param;
    param.place = peek().place;
    if (!expectName(param.name, "a parameter's name") || (peek().is("[") && !axes(param.axes)))
      return nullptr;
    if (acceptName("as")) {
      param.hasScope = true;
      if (!scope(param.scope))
        return nullptr;
    }
    if (acceptName("init") && !(param.init = expression()))
      return nullptr;
    s->params.push_back(std::move(param));
  } while (accept(","));
  return s;
}

bool Parser::target(Target &target) {
  target.place = peek().place;
  if (!expectName(target.name, "a name"))
    return false;
  if (peek().is("[")) {
    target.written = true;
    return axes(target.axes);
  }
  return true;
}

std::unique_ptr<Stmt> Parser::let() {
  auto s = std::make_unique<Stmt>(Stmt::Let, peek().place);
  do {
    Target t;
    if (!target(t))
      return nullptr;
    s->targets.push_back(std::move(t));
  } while (accept(","));
  if (!expect("=", "after the name") || !(s->value = expression()))
    return nullptr;
  return s;
}

std::unique_ptr<Stmt> Parser::condition() {
  auto s = std::make_unique<Stmt>(Stmt::If, take().place);
  Nested nested(*this);
  if (tooDeep() || !(s->value = expression()) || !block(s->body, "the body of 'if'"))
    return nullptr;
  if (!acceptName("else"))
    return s;
  if (peek().isName("if")) {
    auto inner = condition();
    if (!inner)
      return nullptr;
    s->otherwise.push_back(std::move(inner));
    return s;
  }
  return block(s->otherwise, "the body of 'else'") ? std::move(s) : nullptr;
}

std::unique_ptr<Stmt> Parser::repeat() {
  auto s = std::make_unique<Stmt>(Stmt::Repeat, take().place);
  if (!expectName(s->name, "the counter's name after 'repeat'") ||
      !expect("<", "after the counter, as in `repeat i < layers`") || !(s->value = expression()))
    return nullptr;
  if (acceptName("as")) {
    s->hasScope = true;
    if (!scope(s->scope))
      return nullptr;
  }
  return block(s->body, "the body of 'repeat'") ? std::move(s) : nullptr;
}

std::unique_ptr<File> rondo::parse(const SourceFile &source, DiagnosticSink &sink) {
  return Parser(source, sink).file();
}

ExprPtr rondo::parseExpression(const SourceFile &source, DiagnosticSink &sink) {
  Parser parser(source, sink);
  ExprPtr e = parser.expression();
  if (e && parser.peek().kind != Token::End) {
    sink.error(parser.peek().place,
               "expected the end of the value, found " + parser.peek().shown());
    return nullptr;
  }
  return e;
}

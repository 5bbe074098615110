//===- IRGenObjective.cpp - What the model was trained for -----------------------------===//
//
// `objective masked_diffusion(mask = 126336)` says how text is made with the model, so it goes with
// the module as an attribute, `rondo.objective`: its name, and its arguments as numbers. So does
// what the model requires of a sequence's length, `rondo.limit`. Objectives that say nothing about
// that (next_token, regression, an expression) are the training step's.
//
//===----------------------------------------------------------------------===//

#include "frontend/IRGen.h"

using namespace rondo;

/// `ignore "mtp.*", "model.layers.{layers}.*"`: tensors that a checkpoint has and the spec leaves
/// out on purpose; and `rename "model." as ""`: other names of those that it reads.
void IRGen::keepIgnored() {
  llvm::SmallVector<mlir::Attribute> patterns;
  mlir::Builder builder(&context);
  for (const auto &file : program.allFiles())
    for (const ast::Ignored &ignored : file->ignored) {
      std::string text;
      llvm::StringRef rest = ignored.pattern;
      while (rest.contains('{')) {
        auto [before, after] = rest.split('{');
        auto [name, tail] = after.split('}');
        const ast::Setting *setting = program.setting(file->source, name.str());
        if (!setting)
          error(ignored.place,
                "no size or option '" + name.str() + "' for this pattern of tensors' names");
        ConstResult value = setting ? program.valueOf(*setting, ignored.place) : std::nullopt;
        if (!value)
          return; // reported
        text += before.str() + value->plain();
        rest = tail;
      }
      text += rest;
      patterns.push_back(builder.getStringAttr(text));
    }
  if (!patterns.empty())
    module->getOperation()->setAttr("rondo.ignored", builder.getArrayAttr(patterns));
  llvm::SmallVector<mlir::Attribute> renames; // from, to, from, to
  for (const auto &file : program.allFiles())
    for (const ast::Rename &rename : file->renames)
      for (const std::string &to : rename.to)
        for (const std::string &each : {rename.from, to})
          renames.push_back(builder.getStringAttr(each));
  if (!renames.empty())
    module->getOperation()->setAttr("rondo.renamed", builder.getArrayAttr(renames));
}

void IRGen::buildObjective() {
  static const char *const diffusions[] = {"masked_diffusion", "score_entropy"};
  for (const ast::ExprPtr &objective : program.root().objectives) {
    if (objective->kind != ast::Expr::Call ||
        llvm::find(diffusions, objective->text) == std::end(diffusions))
      continue;
    if (module->getOperation()->hasAttr("rondo.objective")) {
      error(objective->place, "a second objective that says how text is made; expected one");
      return;
    }
    mlir::Builder builder(&context);
    llvm::SmallVector<mlir::NamedAttribute> known{
        builder.getNamedAttr("name", builder.getStringAttr(objective->text))};
    bool masked = false;
    for (const ast::Argument &argument : objective->arguments) {
      if (argument.name != "mask") {
        error(argument.place, "'" + objective->text + "' has no argument '" + argument.name +
                                  "'; expected mask = the id that stands for a hidden token");
        return;
      }
      ConstResult value = evalConst(*argument.value, "the mask");
      if (!value)
        return;
      if (value->kind != ConstValue::Integer || value->integer < 0 || value->integer > INT32_MAX) {
        error(argument.place, "the mask is " + value->shown() + "; expected a token's id");
        return;
      }
      known.push_back(builder.getNamedAttr("mask", builder.getI64IntegerAttr(value->integer)));
      masked = true;
    }
    if (!masked) {
      error(objective->place,
            "'" + objective->text + "' needs mask = the id that stands for a hidden token");
      return;
    }
    module->getOperation()->setAttr("rondo.objective", builder.getDictionaryAttr(known));
  }
}

/// `require t < n, "message"`: a position is known when a sequence is, so the runtime asks.
void IRGen::limitTokens(const ast::Stmt &s) {
  ConstResult most = evalConst(*s.value->operands[1], "the most tokens of a sequence");
  ConstResult message = evalConst(*s.message, "the message");
  if (!most || !message)
    return;
  if (most->kind != ConstValue::Integer || most->integer < 1) {
    error(s.value->operands[1]->place,
          "the most tokens of a sequence are " + most->shown() + "; expected an integer above 0");
    return;
  }
  auto known = module->getOperation()->getAttrOfType<mlir::DictionaryAttr>("rondo.limit");
  if (known && known.getAs<mlir::IntegerAttr>("tokens").getInt() <= most->integer)
    return;
  mlir::Builder builder(&context);
  module->getOperation()->setAttr(
      "rondo.limit",
      builder.getDictionaryAttr(
          {builder.getNamedAttr("tokens", builder.getI64IntegerAttr(most->integer)),
           builder.getNamedAttr("message", builder.getStringAttr(message->plain()))}));
}

//===- IRGenObjective.cpp - What the model was trained for -----------------------------===//
//
// `objective masked_diffusion(mask = 126336)` says how text is made with the model, so it goes with
// the module as an attribute, `rondo.objective`: its name, and its arguments as numbers. Objectives
// that say nothing about that (next_token, regression, an expression) are the training step's.
//
//===----------------------------------------------------------------------===//

#include "frontend/IRGen.h"

using namespace rondo;

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

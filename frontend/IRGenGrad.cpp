//===- IRGenGrad.cpp - grad[S](loss) ------------------------------------------------===//
//
// The loss becomes ops where it stands, and its derivative (dialect/Differentiate.h) more ops
// behind them: from here on it is a value like any other, and what of the loss nobody reads is
// dropped with all that is unused.
//
//===----------------------------------------------------------------------===//

#include "dialect/Differentiate.h"
#include "frontend/IRGen.h"

using namespace rondo;

static std::string shownPlace(mlir::Location location) {
  auto place = location->findInstanceOf<mlir::FileLineColLoc>();
  return place ? place.getFilename().str() + ":" + std::to_string(place.getLine()) + ":" +
                     std::to_string(place.getColumn())
               : "an unknown place";
}

Val IRGen::derivative(const ast::Expr &e) {
  using ast::Expr;
  if (e.operands.empty())
    return error(e.place, "'grad' needs what the derivative is taken with respect to, as in "
                          "grad[S](loss)");
  if (e.arguments.size() != 1 || !e.arguments[0].name.empty())
    return error(e.place, "'grad' takes 1 argument by position, the loss, found " +
                              std::to_string(e.arguments.size()));
  const Expr &named = *e.operands[0];
  std::string shownName = "'" + ast::print(named) + "'";
  if (named.kind != Expr::Name && named.kind != Expr::At)
    return error(named.place,
                 "a derivative is taken with respect to a value that has a name, as in "
                 "grad[S](loss) or grad[S@start](loss), found " +
                     shownName);
  Val with = eval(named);
  Val loss = eval(*e.arguments[0].value);
  if (with.kind == Val::Unknown || loss.kind == Val::Unknown)
    return Val();
  if (with.kind != Val::Tensor || !elementTypeOf(with.tensor.getType()).isF32())
    return error(named.place, "a derivative is taken with respect to numbers that change, found " +
                                  (with.kind == Val::Tensor ? "ids or truth values in " + shownName
                                                            : describe(with)));
  Place place = e.arguments[0].place;
  loss = asNumbers(loss, place, "'grad'");
  if (loss.kind != Val::Tensor)
    return Val();
  with = here(with);
  loss = here(loss);
  auto builder = at();
  auto gradients = differentiate(builder, loss.tensor, with.tensor,
                                 [&](mlir::Location where, const std::string &why) {
                                   error(place, why + " (" + shownPlace(where) + ")");
                                 });
  if (mlir::failed(gradients))
    return Val();
  mlir::Value gradient = gradients->front();
  if (gradient)
    return made(gradient);
  return error(place, dependsOn(loss.tensor, with.tensor)
                          ? "the loss depends on " + shownName +
                                " only through functions whose derivative is 0 (comparisons, "
                                "floor, sign)"
                          : "the loss does not depend on " + shownName + " as it is here");
}

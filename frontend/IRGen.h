//===- IRGen.h - Tree to the token level -----------------------*- C++ -*-===//
//
// Elaborates the entry of a Program: every module use is expanded in place, compile-time values are
// computed, every other value becomes an op whose type names its axes. What is wrong is reported in
// the user's axes before an op is built, and the value becomes "unknown", which nothing complains
// about again.
//
// A Frame is a block that is being filled: a function, or the body of a recur or over. Bodies are
// isolated, and so are functions: a value of an outer frame that is used in an inner one is handed
// in as an argument (Frame::capture). Every iteration of `repeat ... as scope` is a function;
// parameters are declared once, in the entry, and handed in like values, so that equal layers print
// equally and are merged.
//
// Axes: a module's own axis names are local. An Instance maps them to the names that values carry,
// so that two uses of a module never confuse theirs.
//
// Split over IRGen.cpp (entry, functions, statements), IRGenCall.cpp (module uses), IRGenExpr.cpp
// (names, arithmetic, reductions), IRGenAxes.cpp (axes), IRGenTime.cpp (shift, recur, over),
// IRGenRoute.cpp (topk, route), IRGenGrad.cpp (derivatives), IRGenObjective.cpp (what the model was
// trained for).
//
//===----------------------------------------------------------------------===//

#pragma once

#include "dialect/Rondo.h"
#include "frontend/Program.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <set>

namespace rondo {

/// An axis as values carry it.
struct NamedAxis {
  std::string name;
  int64_t extent = 0;
  bool operator==(const NamedAxis &other) const {
    return name == other.name && extent == other.extent;
  }
};
using NamedAxes = std::vector<NamedAxis>;

struct Frame;

/// What an expression is: a compile-time value, a tensor, several values, or unknown after an
/// error.
struct Val {
  enum Kind { Unknown, Const, Tensor, Tuple };
  Kind kind = Unknown;
  ConstValue constant;
  mlir::Value tensor;
  Frame *frame = nullptr; // the frame that holds `tensor`
  std::vector<Val> items;
  std::vector<std::string> order; // the order of axes in which the user wrote them, if they did

  static Val of(ConstValue value) {
    Val v;
    v.kind = Const;
    v.constant = std::move(value);
    return v;
  }
  static Val of(mlir::Value value, Frame *frame) {
    Val v;
    v.kind = Tensor;
    v.tensor = value;
    v.frame = frame;
    return v;
  }
};

struct Frame {
  enum Kind { Function, Recur, Over, Route };
  Frame(Kind kind, Frame *parent, mlir::Block *block) : kind(kind), parent(parent), block(block) {}

  Kind kind;
  Frame *parent;
  mlir::Block *block;
  std::string prefix; // Function: the scope that the names of its states are relative to
  std::set<std::string> stateNames; // Function: names in use

  // Values of the parent frame that are handed in, in the order of the arguments: per-token ones,
  // then the others. An over's are its queries and its shared values; those at the other position
  // are apart.
  llvm::SmallVector<mlir::Value> perToken, shared, keys;
  llvm::DenseMap<mlir::Value, mlir::Value> captured, capturedKeys;
  mlir::Value position; // Function: the position of the token, once it is used
  std::map<std::pair<void *, int64_t>, mlir::Value> shifts;

  // Route: the axis of the experts and the name of that of a token's choices (empty: one choice),
  // and 1 where an expert is the choice, in the parent frame. `shared` are the tables.
  NamedAxis experts;
  std::string choices;
  mlir::Value chosen;
  std::map<void *, mlir::Value> elements; // of the parent's values with the experts' axis

  /// The argument that stands for a value of the parent frame.
  mlir::Value capture(mlir::Value outer);
  /// Over: the argument that stands for a per-token value of the parent frame at the other
  /// position.
  mlir::Value captureKey(mlir::Value outer);
  Frame *function() { return kind == Function ? this : parent->function(); }
};

/// The axes that the surroundings want of an expression: of one value, or of several that it is to
/// be split into.
using Wanted = std::vector<NamedAxes>;

/// One use of a module.
struct Instance {
  const SourceFile *file = nullptr;
  const ast::Module *module = nullptr;
  const Instance *caller = nullptr;
  Place use;
  std::vector<std::string> path;         // its scope
  std::map<std::string, NamedAxis> axes; // local names
  std::set<std::string> taken;           // names that its own axes must not get
  std::string standIn, wanted; // its result's axis, where an argument has the name that is wanted

  struct Scope {
    Frame *frame;
    std::map<std::string, Val> names;
    std::map<std::string, NamedAxes> states; // of a recurrence's body: the states and their axes
    std::map<std::string, Val> starts;       // ... and, with `every`, those at the group's start
    std::string other;                       // of an over's body: the name of the other position
  };
  std::vector<Scope> scopes;
  bool returned = false;
  Val result;
  std::vector<std::string> resultNames;
  unsigned repeats = 0; // inside the body of a repeat
};

class IRGen {
public:
  IRGen(mlir::MLIRContext &context, Program &program, const ast::Module &entry,
        DiagnosticSink &sink);
  mlir::OwningOpRef<mlir::ModuleOp> run();

private:
  //--- IRGen.cpp
  void buildEntry();
  bool bindEntryInputs();
  void finishEntry(Instance &instance);
  void runBlock(const ast::Block &block);
  void run(const ast::Stmt &stmt);
  void runLet(const ast::Stmt &stmt);
  void nameValue(mlir::Value value, llvm::StringRef name);
  void runIf(const ast::Stmt &stmt);
  void runRepeat(const ast::Stmt &stmt);
  void runLayer(const ast::Stmt &stmt);
  void runReturn(const ast::Stmt &stmt);
  void declareParam(const ast::ParamDecl &param);
  void bind(const std::string &name, Val value, Place place);
  void bindTarget(const ast::Target &target, Val value, Place place, const ast::Expr *source);
  std::string functionName(const ast::Scope &scope);

  //--- IRGenCall.cpp
  Val call(const ast::Expr &e, const Wanted *wanted);
  Val callModule(const ast::Expr &e, const ast::Module &module, const Wanted *wanted);
  bool matchArguments(const ast::Expr &e, const ast::Module &module,
                      std::vector<const ast::Argument *> &given);
  bool bindFormalAxes(Instance &inner, const ast::Expr &e, const ast::Module &module,
                      const std::vector<Val> &values, std::set<std::string> &bound);
  bool bindResultAxes(Instance &inner, const ast::Expr &e, const ast::Module &module,
                      const Wanted *wanted, const std::set<std::string> &carried);
  bool scopePath(const ast::Scope &scope, std::vector<std::string> &path);

  //--- IRGenExpr.cpp
  Val eval(const ast::Expr &e, const Wanted *wanted = nullptr);
  Val evalName(const ast::Expr &e);
  bool isNumber(const ast::Expr &e) const;
  Val evalUnary(const ast::Expr &e, const Wanted *wanted);
  Val evalBinary(const ast::Expr &e, const Wanted *wanted = nullptr);
  Val binary(const std::string &op, Val a, Val b, const ast::Expr &e);
  Val evalPower(Val a, Val b, Place place);
  Val builtin(const ast::Expr &e, const Wanted *wanted);
  Val reduction(const ast::Expr &e, const Wanted *wanted);
  Val softmax(Val x, llvm::ArrayRef<llvm::StringRef> axes, Place place);
  ConstResult evalConst(const ast::Expr &e, const char *what);
  std::optional<int64_t> evalExtent(const ast::Expr &e, const std::string &what);
  Val map(MapKind kind, llvm::ArrayRef<Val> inputs, Place place);
  Val number(double value, Place place);
  Val truth(bool value, Place place);
  /// A tensor of numbers (or of truth values), or unknown after an error at `place`.
  Val asNumbers(Val v, Place place, const std::string &what);
  Val asTruth(Val v, Place place, const std::string &what);
  bool compatible(llvm::ArrayRef<Val> inputs, Place place, const std::string &what);

  //--- IRGenAxes.cpp
  std::string freshAxis(const Instance &instance, const std::string &name) const;
  /// The axis that a name means here; nothing where it means none.
  std::optional<NamedAxis> knownAxis(const std::string &name);
  std::optional<NamedAxis> resolveAxis(const ast::Axis &axis);
  bool resolveAxes(const ast::Axes &axes, NamedAxes &out);
  /// As resolveAxes, without messages; an extent that is written declares its axis.
  bool tryAxes(const ast::Axes &axes, NamedAxes &out);
  NamedAxis declareAxis(const std::string &name, int64_t extent);
  std::vector<std::string> axisNames() const;
  Val change(const ast::Expr &e);
  Val changed(Val v, const ast::Change &change, const ast::Expr &e);
  Val reshaped(Val v, const ast::Change &change);
  Val sliced(Val v, const ast::Change &change);
  bool isDistanceBack(const ast::Expr &e) const;
  Val picked(Val v, const ast::Change &change);
  Val pickedBy(Val v, const NamedAxis &axis, Val index, Place place);
  Val view(Val v, const NamedAxes &axes, llvm::ArrayRef<mlir::AffineExpr> sources, Place place);
  /// Axes added in front and put in the given order; the value's must be among them.
  Val broadcast(Val v, const NamedAxes &axes, Place place);
  /// The value with the given axes: as it is, or its one other axis split. Otherwise unknown, with
  /// a message that looks for the cause in `source`.
  Val conform(Val v, const NamedAxes &axes, Place place, const std::string &what,
              const ast::Expr *source, bool mayBroadcast);
  /// One value split along its one axis that is not in all parts.
  std::vector<Val> split(Val v, const Wanted &parts, Place place);
  void reportAxes(const NamedAxes &found, const NamedAxes &expected, Place place,
                  const std::string &what, const ast::Expr *source);
  const ast::Expr *sourceOfAxis(const ast::Expr &e, const std::string &axis);

  //--- IRGenTime.cpp
  Val evalAt(const ast::Expr &e);
  Val shifted(Val v, int64_t distance, const std::string &name, Place place);
  Val evalOutside(const ast::Expr &e, const std::string &what);
  Val evalRecur(const ast::Expr &e, bool asStatement);
  bool bindStates(const ast::Expr &e, Frame &body, std::vector<NamedAxes> &axes,
                  llvm::SmallVectorImpl<mlir::Value> &inits);
  Val evalOver(const ast::Expr &e, const Wanted *wanted);
  Val position(Place place);
  std::string stateName(const std::string &name);

  //--- IRGenRoute.cpp
  Val ranks(Val x, const NamedAxis &axis, Place place);
  Val topk(Val x, const NamedAxis &axis, const Val &count, Place place);
  Val argtop(const ast::Expr &e);
  Val choiceTable(Val x, const NamedAxis &axis, const NamedAxis &choices, Place place);
  Val choiceNumbers(Val table, const NamedAxis &axis, Place place);
  struct Choice {
    std::optional<NamedAxis> axis; // of the choices; nothing: one
    Val ids, table, weights;       // weights: of `top` alone
  };
  bool choose(const ast::Expr &e, const NamedAxis &experts, Choice &choice);
  Val evalRoute(const ast::Expr &e);
  bool isExpert(const std::string &text) const;

  //--- IRGenObjective.cpp
  void buildObjective();
  void keepIgnored();
  void limitTokens(const ast::Stmt &s);

  //--- IRGenGrad.cpp
  Val derivative(const ast::Expr &e);

  //--- Small things
  mlir::OpBuilder at() { return atEnd(frame->block); }
  // A block that is being filled has no parent yet, so the builder is given its context.
  mlir::OpBuilder atEnd(mlir::Block *block) {
    mlir::OpBuilder builder(&context);
    builder.setInsertionPointToEnd(block);
    return builder;
  }
  mlir::Location location(Place place) const;
  /// The value as it is seen in the current frame.
  mlir::Value use(const Val &v) { return useIn(v.tensor, v.frame, frame); }
  mlir::Value useIn(mlir::Value v, Frame *home, Frame *target);
  Val here(const Val &v) {
    Val local = v;
    local.tensor = use(v);
    local.frame = frame;
    return local;
  }
  Val made(mlir::Value v) { return Val::of(v, frame); }
  mlir::RankedTensorType typeOf(const NamedAxes &axes, bool perToken, mlir::Type element = {});
  static NamedAxes axesOf(const Val &v); // without t
  static bool perToken(const Val &v) { return isPerToken(v.tensor.getType()); }
  static std::string shown(const NamedAxes &axes);
  static std::string shown(const std::string &axis);
  static std::string describe(const Val &v);
  Val error(Place place, const std::string &message);
  Instance::Scope *scopeOf(const std::string &name);

  mlir::MLIRContext &context;
  Program &program;
  const ast::Module &entry;
  DiagnosticSink &sink;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp forward;
  Frame *root = nullptr;
  Frame *frame = nullptr;
  Instance *instance = nullptr;
  unsigned depth = 0;
  uint64_t steps = 0; // statements run: a bound on what a small spec may unfold to

  struct Param {
    mlir::Value value;
    Place place;
    NamedAxes axes;
  };
  std::map<std::string, Param> params;
  std::map<std::string, mlir::func::FuncOp> layers; // by their text
  std::set<std::string> symbols;
};

} // namespace rondo

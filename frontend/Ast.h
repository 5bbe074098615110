//===- Ast.h - What a spec says, as a tree ---------------------*- C++ -*-===//
//
// Plain C++, one struct a kind of node, each with its place. Nothing is resolved here: a name may
// be a value, an axis or a size; IRGen decides.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/Source.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rondo::ast {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using Block = std::vector<std::unique_ptr<Stmt>>;

/// `h`, `c = inner + 2*n` or the unit extent `1` in a list of axes.
struct Axis {
  Place place;
  std::string name; // empty for a unit extent
  ExprPtr extent;   // may be null
};
using Axes = std::vector<Axis>;

/// One item between the brackets behind a value.
struct Change {
  enum Kind {
    Reshape, // `d -> h k`, `g -> h`, `k -> j`
    Slice,   // `k = 0..16`
    Pick,    // `k = e`, and `[e]` of a value with one axis (from is empty)
    Check    // `[h k]`: says its axes
  };
  Kind kind = Check;
  Place place;
  Axes from, to;
  ExprPtr low, high; // Slice: low..high; Pick: low
};

/// A part of a scope: a name, a number, or the value of an expression, `layers.{i}`.
struct ScopePart {
  Place place;
  std::string text;
  ExprPtr value;
};
struct Scope {
  bool absolute = false; // begins with a point: counted from the model, not from the module
  std::vector<ScopePart> parts;
};

struct Argument {
  Place place;
  std::string name; // empty when given by position
  ExprPtr value;
};

/// `S[h p n] = e` in the head of a recurrence.
struct State {
  Place place;
  std::string name;
  Axes axes;
  ExprPtr init;
};

/// What a let or a yield assigns to: `y`, or `y[h p]`.
struct Target {
  Place place;
  std::string name;
  bool written = false; // has axes
  Axes axes;
};

struct Expr {
  enum Kind {
    Integer,
    Real,
    String,
    Boolean,
    None,
    List,
    Name,
    Unary,   // text: - not
    Binary,  // text: + - * / % ^ < <= > >= == != and or
    Call,    // text[axes] scope(args) -> [result]: a module or a function; grad[operands[0]](args)
    Changed, // operands[0][changes]
    At,      // operands[0]@operands[1], or operands[0]@start (text)
    Ascribe, // operands[0] -> [axes]
    Index,   // index[axis]
    Recur,
    Over,
    Route
  };
  Kind kind;
  Place place;
  std::string text;
  int64_t integer = 0;
  double real = 0;
  std::vector<ExprPtr> operands;

  // Call, Index, Ascribe
  bool hasAxes = false;
  Axes axes;
  bool hasScope = false;
  Scope scope;
  std::vector<Argument> arguments;
  bool hasResult = false;
  Axes result;

  // Changed
  std::vector<Change> changes;

  // Recur: states, every, body, yields. Over: text (softmax or sum), variable, where, body, score,
  // value, sink. Route: text as written.
  std::vector<State> states;
  ExprPtr every;
  Block body;
  std::vector<Target> yieldTargets;
  std::vector<ExprPtr> yields;
  std::string variable;
  ExprPtr where, score, value, sink;

  Expr(Kind kind, Place place) : kind(kind), place(place) {}
};

struct ParamDecl {
  Place place;
  std::string name;
  Axes axes;
  bool hasScope = false;
  Scope scope;  // its checkpoint name, where that is not its own: `as weights.0`
  ExprPtr init; // a call such as normal(0.02), or a number
};

struct Stmt {
  enum Kind {
    Params,  // params
    Let,     // targets = value
    If,      // value, body, otherwise
    Repeat,  // name < value as scope, body
    Return,  // values
    Require, // value, message
    Value    // an expression by itself: the module's result when last
  };
  Kind kind;
  Place place;
  std::vector<ParamDecl> params;
  std::vector<Target> targets;
  ExprPtr value;
  std::vector<ExprPtr> values;
  ExprPtr message;
  Block body, otherwise;
  std::string name;
  bool hasScope = false;
  Scope scope;

  Stmt(Kind kind, Place place) : kind(kind), place(place) {}
};

struct Formal {
  Place place;
  std::string name;
  bool hasAxes = false;
  Axes axes;
  ExprPtr otherwise; // default
};

struct Module {
  Place place;
  std::string name;
  bool isModel = false;
  std::vector<Formal> formals;
  bool hasResult = false;
  Axes result;
  std::vector<std::string> architectures; // of a model: `for "A", "B"`
  Block body;
};

/// `shape "blocks.0.w1"[1]`: the extent of a checkpoint's tensor along one of its axes, from 0.
struct TensorExtent {
  Place place;
  std::string tensor;
  int64_t axis = 0;
};

/// `size n = 128 from "state_size"`, or an option.
struct Setting {
  Place place;
  bool isSize = false;
  std::string name;
  ExprPtr otherwise; // the default; may be null
  ExprPtr ofNull;    // `null = e`: what a key whose value is null means; may be null
  std::vector<std::string> keys;
  std::vector<TensorExtent> extents; // of a size, after the keys
};

/// A pattern of tensors' names that a checkpoint may have and nothing reads: `*` is any letters, and
/// `{n}` the value of a size or an option.
struct Ignored {
  Place place;
  std::string pattern;
};

/// `rename "model." as "", "language_model."`: tensors whose names begin with the first may begin
/// with one of the others in a checkpoint.
struct Rename {
  Place place;
  std::string from;
  std::vector<std::string> to;
};

struct Import {
  Place place;
  std::string path;
};

struct File {
  const SourceFile *source = nullptr;
  std::vector<Import> imports;
  std::vector<Setting> settings;
  std::vector<std::unique_ptr<Module>> modules;
  std::vector<ExprPtr> objectives;
  std::vector<Ignored> ignored;
  std::vector<Rename> renames;
  std::string configObject; // `config "text_config"`: where keys are looked for first
};

/// The tree as indented text, one node a line: what `--emit=ast` shows.
std::string print(const File &file);

/// An expression as it would be written.
std::string print(const Expr &expr);
std::string print(const Axes &axes);

} // namespace rondo::ast

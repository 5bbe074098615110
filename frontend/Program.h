//===- Program.h - A spec with everything it imports -----------*- C++ -*-===//
//
// Loads a file and its imports, says which names each file sees, and gives sizes and options their
// values: from --set, else the first key that config.json holds (absent and null are the same),
// else the shape of a checkpoint's tensor, else the default. A number or truth value that stands in
// quotes in config.json is read as such, unless the default is a string. A file sees its own
// declarations and those of its imports; where an importer declares a setting that an import
// declares too, the importer's is used in both: that is how a spec adapts one that it imports.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/Ast.h"
#include "frontend/Config.h"

#include <functional>
#include <map>
#include <memory>
#include <set>

namespace rondo {

/// What to compile, as tools hand it down.
struct SpecOptions {
  std::string path;       // the spec
  std::string configPath; // config.json; none when empty
  std::string configText; // what it holds, where configPath is a file that holds more; else empty
  std::vector<std::pair<std::string, std::string>> sets; // --set name=value
  std::vector<std::string> importDirs; // searched after the importing file's own folder
  std::string module;                  // empty: the model, or else the last module
  /// The shape of a tensor of the checkpoint that the spec is compiled for; nothing where it has
  /// none of that name. Null: there is no checkpoint.
  std::function<std::optional<std::vector<int64_t>>(const std::string &)> tensorShape;
};

class Program {
public:
  /// The largest value of a size, and the most elements of a tensor.
  static constexpr int64_t maxSize = int64_t(1) << 31;
  static constexpr int64_t maxElements = int64_t(1) << 40;

  explicit Program(DiagnosticSink &sink) : sink(sink) {}

  /// Reads spec and config. False after an error in any of them.
  bool load(const SpecOptions &options);
  /// Reads the spec alone: what `--emit=ast` shows.
  bool loadFiles(const SpecOptions &options);

  const ast::File &root() const { return *files.front(); }
  /// The root and all that it imports.
  const std::vector<std::unique_ptr<ast::File>> &allFiles() const { return files; }
  /// The entry: --module, else the root's model, else its last module. Null, with an error, where
  /// there is none.
  const ast::Module *entry(const SpecOptions &options) const;

  /// What a file sees by a name.
  const ast::Module *module(const SourceFile *from, const std::string &name) const;
  const ast::Setting *setting(const SourceFile *from, const std::string &name) const;
  std::vector<std::string> moduleNames(const SourceFile *from) const;
  std::vector<std::string> settingNames(const SourceFile *from) const;
  const SourceFile *fileOf(const ast::Module *module) const { return module->place.file; }

  /// A setting's value, computed at first use; nothing after an error, which is reported once.
  ConstResult valueOf(const ast::Setting &setting, Place use);

private:
  const ast::File *loadFile(const std::string &path, Place from, const SpecOptions &options);
  void collect(const ast::File *file, std::set<const ast::File *> &visited,
               std::vector<const ast::File *> &order) const;
  bool readSets(const SpecOptions &options);
  bool weightsArePlain();
  ConstResult compute(const ast::Setting &setting);
  ConstResult checked(const ast::Setting &setting, const ConstValue &value, Place place,
                      const std::string &source);

  DiagnosticSink &sink;
  SourceFiles sources;
  std::vector<std::unique_ptr<ast::File>> files;
  std::map<const SourceFile *, std::vector<const ast::File *>>
      sees; // a file and its imports, nearest first
  std::optional<Config> config;
  decltype(SpecOptions::tensorShape) tensorShape;
  struct Set {
    Place place;
    ConstValue value;
    std::string text;
  };
  std::map<std::string, Set> sets;
  struct Value {
    bool busy = false;
    ConstResult value;
  };
  std::map<const ast::Setting *, Value> values;
};

/// The spec in `dir` whose model says `for "className"`; empty where none does. Files that do not
/// parse are passed over.
std::string specForArchitecture(const std::string &dir, const std::string &className);

/// All class names that the specs in `dir` read.
std::vector<std::string> knownArchitectures(const std::string &dir);

/// The config's text; nothing, with an error, where it cannot be read.
std::optional<std::string> configTextOf(const SpecOptions &options, DiagnosticSink &sink);

/// The spec in `modelsDir` for the config's `architectures`, with an error where there is none.
std::string specForConfig(const std::string &modelsDir, const SpecOptions &options,
                          DiagnosticSink &sink);

} // namespace rondo

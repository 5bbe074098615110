//===- Program.cpp - A spec with everything it imports ------------------------------===//

#include "frontend/Program.h"
#include "frontend/Parser.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

using namespace rondo;
namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

bool Program::loadFiles(const SpecOptions &options) {
  loadFile(options.path, {}, options);
  if (files.empty())
    return false;
  for (const auto &file : files) {
    std::set<const ast::File *> visited;
    std::vector<const ast::File *> &order = sees[file->source];
    collect(file.get(), visited, order);
    std::reverse(order.begin(), order.end());
  }
  // One name, one meaning in a file.
  for (const auto &file : files) {
    std::map<std::string, Place> seen;
    auto declare = [&](const std::string &name, Place place) {
      auto [it, fresh] = seen.insert({name, place});
      if (!fresh)
        sink.error(place,
                   "'" + name + "' is already declared on line " + std::to_string(it->second.line));
      if (name == "t")
        sink.error(place, "'t' is time and cannot be declared");
    };
    for (const ast::Setting &s : file->settings)
      declare(s.name, s.place);
    seen.clear();
    for (const auto &m : file->modules)
      declare(m->name, m->place);
  }
  return !sink.failed();
}

/// A config that says how its tensors were quantised means other numbers than those that they hold:
/// their scales stand beside them. A spec that reads none of it would be wrong in silence. What
/// binds tensors (runtime/stored.h) reads the methods below, each with its scales, and refuses what
/// does not fit.
bool Program::weightsArePlain() {
  std::string why, method, reason;
  if (!config || !tensorShape)
    return true;
  ConstResult whole = config->find("quantization_config", why);
  if (why.empty() && (!whole || whole->kind == ConstValue::None))
    return true;
  for (const auto &file : files)
    for (const ast::Setting &s : file->settings)
      for (const std::string &key : s.keys)
        if (key.rfind("quantization_config.", 0) == 0)
          return true;
  if (ConstResult found = config->find("quantization_config.quant_method", reason)) {
    method = found->plain();
    if (ConstResult format = config->find("quantization_config.format", reason))
      method += " " + format->plain();
    static const std::set<std::string> known = {"fp8",
                                                "fbgemm_fp8",
                                                "gptq",
                                                "awq",
                                                "compressed-tensors pack-quantized",
                                                "compressed-tensors float-quantized",
                                                "compressed-tensors int-quantized",
                                                "compressed-tensors naive-quantized"};
    if (known.count(method))
      return true;
    method = " (quant_method " + method + ")";
  }
  sink.error({}, config->path() +
                     ": \"quantization_config\" says that tensors hold quantised weights" + method +
                     ", which the spec does not read; expected weights as f32, bf16 or f16, or " +
                     "quant_method fp8, fbgemm_fp8, gptq, awq or compressed-tensors");
  return false;
}

bool Program::load(const SpecOptions &options) {
  tensorShape = options.tensorShape;
  bool good = loadFiles(options);
  if (!options.configPath.empty()) {
    if (std::optional<std::string> text = configTextOf(options, sink))
      config = Config::parse(std::move(*text), options.configPath, sink);
    good &= config.has_value();
  }
  if (files.empty())
    return false;
  good &= readSets(options) && weightsArePlain();
  if (good)
    for (const ast::Setting &s : root().settings)
      good &= valueOf(s, s.place).has_value();
  return good;
}

const ast::File *Program::loadFile(const std::string &path, Place from,
                                   const SpecOptions &options) {
  const SourceFile *source = sources.read(path, from, sink);
  if (!source)
    return nullptr;
  for (const auto &file : files)
    if (file->source == source)
      return file.get();
  files.push_back(parse(*source, sink));
  const ast::File *file = files.back().get();
  for (const ast::Import &import : file->imports) {
    std::string found;
    std::vector<std::string> dirs = {fs::path(path).parent_path().string()};
    dirs.insert(dirs.end(), options.importDirs.begin(), options.importDirs.end());
    std::error_code code;
    for (const std::string &dir : dirs) {
      fs::path candidate = fs::path(dir) / import.path;
      if (found.empty() && fs::is_regular_file(candidate, code))
        found = candidate.string();
    }
    if (found.empty()) {
      std::vector<std::string> near;
      for (const std::string &dir : dirs)
        for (auto it = fs::directory_iterator(dir.empty() ? "." : dir, code);
             !code && it != fs::directory_iterator(); it.increment(code))
          if (it->path().extension() == ".rondo")
            near.push_back(it->path().filename().string());
      sink.error(import.place, "import \"" + import.path +
                                   "\": no such file beside this one or in the models folder" +
                                   didYouMean(import.path, near));
      continue;
    }
    loadFile(found, import.place, options);
  }
  return file;
}

// Files after all that they import, so that in reverse an importer comes before what it imports by
// whatever way, and an earlier import before a later one.
void Program::collect(const ast::File *file, std::set<const ast::File *> &visited,
                      std::vector<const ast::File *> &order) const {
  if (!visited.insert(file).second)
    return;
  // An import that failed to load has no file; it was reported.
  for (auto import = file->imports.rbegin(); import != file->imports.rend(); ++import)
    for (const auto &other : files)
      if (fs::path(other->source->path).filename() == fs::path(import->path).filename())
        collect(other.get(), visited, order);
  order.push_back(file);
}

const ast::Module *Program::entry(const SpecOptions &options) const {
  const ast::Module *model = nullptr, *last = nullptr;
  std::vector<std::string> names;
  for (const auto &m : root().modules) {
    names.push_back(m->name);
    last = m.get();
    if (m->isModel)
      model = m.get();
    if (!options.module.empty() && m->name == options.module)
      return m.get();
  }
  if (!options.module.empty())
    sink.error({}, root().source->path + " has no module '" + options.module + "'" +
                       didYouMean(options.module, names));
  else if (!last)
    sink.error({}, root().source->path + ": expected a model or a module, found neither");
  else
    return model ? model : last;
  return nullptr;
}

template <typename Find>
static auto firstSeen(const std::vector<const ast::File *> &files, Find find)
    -> decltype(find(*files.front())) {
  for (const ast::File *file : files)
    if (auto found = find(*file))
      return found;
  return nullptr;
}

const ast::Module *Program::module(const SourceFile *from, const std::string &name) const {
  return firstSeen(sees.at(from), [&](const ast::File &file) -> const ast::Module * {
    for (const auto &m : file.modules)
      if (m->name == name)
        return m.get();
    return nullptr;
  });
}

const ast::Setting *Program::setting(const SourceFile *from, const std::string &name) const {
  auto find = [&](const ast::File &file) -> const ast::Setting * {
    for (const ast::Setting &s : file.settings)
      if (s.name == name)
        return &s;
    return nullptr;
  };
  if (!firstSeen(sees.at(from), find))
    return nullptr;
  return firstSeen(sees.at(files.front()->source), find);
}

std::vector<std::string> Program::moduleNames(const SourceFile *from) const {
  std::vector<std::string> names;
  for (const ast::File *file : sees.at(from))
    for (const auto &m : file->modules)
      names.push_back(m->name);
  return names;
}

std::vector<std::string> Program::settingNames(const SourceFile *from) const {
  std::vector<std::string> names;
  for (const ast::File *file : sees.at(from))
    for (const ast::Setting &s : file->settings)
      names.push_back(s.name);
  return names;
}

//===----------------------------------------------------------------------===//
// Values of sizes and options
//===----------------------------------------------------------------------===//

bool Program::readSets(const SpecOptions &options) {
  bool good = true;
  std::vector<std::string> names = settingNames(root().source);
  for (const auto &[name, text] : options.sets) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      sink.error({}, "--set " + name + "=" + text + ": the spec has no size or option '" + name +
                         "'" + didYouMean(name, names));
      good = false;
      continue;
    }
    const SourceFile *source = sources.add("--set " + name, text);
    unsigned before = sink.errors();
    ast::ExprPtr e = parseExpression(*source, sink);
    bool word = e && e->kind == ast::Expr::Name;
    ConstResult value;
    if (word)
      value = ConstValue::of(text); // a bare word is a string
    else if (e)
      value = evaluateConst(
          *e, [&](const ast::Expr &n) -> ConstResult { return ConstValue::of(n.text); }, sink);
    if (value)
      sets[name] = {e->place, *value, text};
    good &= sink.errors() == before;
  }
  return good;
}

ConstResult Program::checked(const ast::Setting &s, const ConstValue &value, Place place,
                             const std::string &source) {
  if (!s.isSize)
    return value;
  std::string expected =
      "; size '" + s.name + "' expects an integer from 1 to " + std::to_string(maxSize);
  int64_t integer = value.integer;
  if (value.kind == ConstValue::Real && std::floor(value.number) == value.number &&
      std::abs(value.number) < 9e15)
    integer = static_cast<int64_t>(value.number); // "hidden_size": 64.0
  else if (value.kind != ConstValue::Integer) {
    sink.error(place, source + value.shown() + expected);
    return std::nullopt;
  }
  if (integer < 1 || integer > maxSize) {
    sink.error(place, source + value.shown() + expected);
    return std::nullopt;
  }
  return ConstValue::of(integer);
}

/// Configs that are written with str() have "32" and "True". What an option whose default is a
/// string means by that, it says itself.
static ConstValue unquoted(const ast::Setting &s, const ConstValue &value) {
  if (value.kind != ConstValue::String ||
      (!s.isSize && s.otherwise && s.otherwise->kind == ast::Expr::String))
    return value;
  const std::string &text = value.text;
  if (text == "True" || text == "False")
    return ConstValue::of(text == "True");
  int64_t integer = 0;
  double real = 0;
  const char *first = text.data(), *last = first + text.size();
  if (auto [end, code] = std::from_chars(first, last, integer); code == std::errc() && end == last)
    return ConstValue::of(integer);
  if (auto [end, code] = std::from_chars(first, last, real);
      code == std::errc() && end == last && std::isfinite(real))
    return ConstValue::of(real);
  return value;
}

/// Whether a default is one written value. The published code has such a value where a key is
/// absent, and `None` where it is null; a default that is computed from others is what the code
/// computes for `None` too.
static bool isConstant(const ast::Expr &e) {
  using ast::Expr;
  return e.kind == Expr::Integer || e.kind == Expr::Real || e.kind == Expr::String ||
         e.kind == Expr::Boolean || (e.kind == Expr::Unary && isConstant(*e.operands[0]));
}

ConstResult Program::compute(const ast::Setting &s) {
  auto set = sets.find(s.name);
  if (set != sets.end())
    return checked(s, set->second.value, set->second.place, "found ");
  std::string nullKey;
  if (config)
    for (std::string key : s.keys) {
      std::string why;
      ConstResult found;
      if (!root().configObject.empty()) {
        std::string inner = root().configObject + "." + key;
        found = config->find(inner, why);
        if (found || !why.empty())
          key = inner;
      }
      if (!found && why.empty())
        found = config->find(key, why);
      std::string source = "\"" + key + "\" in " + config->path() + " is ";
      if (!why.empty()) {
        sink.error(s.place, source + why);
        return std::nullopt;
      }
      if (found && found->kind == ConstValue::None)
        nullKey = nullKey.empty() ? key : nullKey;
      else if (found)
        return checked(s, unquoted(s, *found), s.place, source);
    }
  if (tensorShape)
    for (const ast::TensorExtent &extent : s.extents) {
      auto shape = tensorShape(extent.tensor);
      if (!shape)
        continue;
      std::string tensor = "tensor '" + extent.tensor + "' of the checkpoint";
      if (extent.axis >= static_cast<int64_t>(shape->size())) {
        sink.error(extent.place, tensor + " has " + std::to_string(shape->size()) +
                                     " axes; there is none with the number " +
                                     std::to_string(extent.axis));
        return std::nullopt;
      }
      return checked(s, ConstValue::of((*shape)[static_cast<size_t>(extent.axis)]), extent.place,
                     "axis " + std::to_string(extent.axis) + " of " + tensor + " is ");
    }
  const ast::Expr *meant = s.otherwise.get();
  if (!nullKey.empty() && s.ofNull) {
    meant = s.ofNull.get();
  } else if (!nullKey.empty() && meant && isConstant(*meant)) {
    if (meant->kind == ast::Expr::Boolean)
      return ConstValue::of(false);
    sink.error(
        s.place,
        "\"" + nullKey + "\" in " + config->path() + " is null; " +
            (s.isSize ? "size '" : "option '") + s.name + "' has " + ast::print(*meant) +
            " only where the key is absent",
        {"what null means there is for the spec to say: from \"" + nullKey + "\", null = ..."});
    return std::nullopt;
  }
  if (!meant) {
    std::string keys;
    for (const std::string &key : s.keys)
      keys += (keys.empty() ? "" : " or ") + ("\"" + key + "\"");
    sink.error(s.place, std::string(s.isSize ? "size '" : "option '") + s.name +
                            "' has no value: give --set " + s.name + "=..." +
                            (keys.empty() ? "" : ", or " + keys + " in config.json"));
    return std::nullopt;
  }
  auto lookup = [&](const ast::Expr &name) -> ConstResult {
    if (name.text == "inf")
      return ConstValue::of(std::numeric_limits<double>::infinity());
    if (name.text == "pi")
      return ConstValue::of(3.14159265358979323846);
    if (const ast::Setting *other = setting(s.place.file, name.text))
      return valueOf(*other, name.place);
    sink.error(name.place, "unknown size or option '" + name.text + "'" +
                               didYouMean(name.text, settingNames(s.place.file)));
    return std::nullopt;
  };
  ConstResult value = evaluateConst(*meant, lookup, sink);
  return value ? checked(s, *value, meant->place, "found ") : std::nullopt;
}

ConstResult Program::valueOf(const ast::Setting &s, Place use) {
  auto [it, fresh] = values.insert({&s, {}});
  Value &held = it->second;
  if (fresh) {
    held.busy = true;
    ConstResult value = compute(s);
    held.value = std::move(value);
    held.busy = false;
  } else if (held.busy) {
    sink.error(use, "'" + s.name + "' is defined by itself");
    return std::nullopt;
  }
  return held.value;
}

//===----------------------------------------------------------------------===//
// Specs by the class that they read
//===----------------------------------------------------------------------===//

static std::vector<std::pair<std::string, std::string>> classesIn(const std::string &dir) {
  std::vector<std::pair<std::string, std::string>> classes; // name, file
  std::error_code code;
  std::vector<std::string> paths;
  for (auto it = fs::directory_iterator(dir, code); !code && it != fs::directory_iterator();
       it.increment(code))
    if (it->path().extension() == ".rondo")
      paths.push_back(it->path().string());
  std::sort(paths.begin(), paths.end());
  for (const std::string &path : paths) {
    DiagnosticSink quiet;
    SourceFiles sources;
    const SourceFile *source = sources.read(path, {}, quiet);
    if (!source)
      continue;
    auto file = parse(*source, quiet);
    for (const auto &m : file->modules)
      for (const std::string &name : m->architectures)
        classes.push_back({name, path});
  }
  return classes;
}

std::string rondo::specForArchitecture(const std::string &dir, const std::string &className) {
  for (const auto &[name, path] : classesIn(dir))
    if (name == className)
      return path;
  return "";
}

std::vector<std::string> rondo::knownArchitectures(const std::string &dir) {
  std::set<std::string> names;
  for (const auto &[name, path] : classesIn(dir))
    names.insert(name);
  return {names.begin(), names.end()};
}

std::optional<std::string> rondo::configTextOf(const SpecOptions &options, DiagnosticSink &sink) {
  if (!options.configText.empty())
    return options.configText;
  std::string why;
  std::optional<std::string> text = readWhole(options.configPath, Config::maxBytes, why);
  if (!text)
    sink.error({}, "cannot read the config '" + options.configPath + "': " + why);
  return text;
}

std::string rondo::specForConfig(const std::string &modelsDir, const SpecOptions &options,
                                 DiagnosticSink &sink) {
  const std::string &configPath = options.configPath;
  std::optional<std::string> text = configTextOf(options, sink);
  if (!text)
    return "";
  std::optional<Config> config = Config::parse(std::move(*text), configPath, sink);
  if (!config)
    return "";
  std::vector<std::string> names = config->architectures();
  for (const std::string &name : names) {
    std::string path = specForArchitecture(modelsDir, name);
    if (!path.empty())
      return path;
  }
  std::vector<std::string> known = knownArchitectures(modelsDir);
  std::string list;
  for (const std::string &name : known)
    list += (list.empty() ? "" : ", ") + name;
  if (names.empty())
    sink.error({},
               configPath +
                   ": expected a list \"architectures\" that names the model's class; found none",
               {"give the spec: rondoc SPEC --checkpoint DIR"});
  else
    sink.error({},
               configPath + ": no spec in " + modelsDir + " reads the class '" + names.front() +
                   "'" + didYouMean(names.front(), known),
               {"classes with a spec: " + list, "give another: rondoc SPEC --checkpoint DIR"});
  return "";
}

//===- PublishedNames.cpp - What another file format calls settings and tensors ------===//

#include "tools/PublishedNames.h"

#include "runtime/block_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <set>
#include <sstream>

using namespace rondo;
namespace fs = std::filesystem;

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

static std::string trimmed(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t\r"), end = text.find_last_not_of(" \t\r");
  return begin == std::string_view::npos ? "" : std::string(text.substr(begin, end + 1 - begin));
}

static std::vector<std::string> words(const std::string &text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string word; stream >> word;)
    result.push_back(word);
  return result;
}

/// The parts of `text` between separators that stand outside quotes.
static std::vector<std::string> partsOf(const std::string &text, char separator) {
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (char c : text) {
    quoted ^= c == '"';
    if (c == separator && !quoted)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  for (std::string &part : parts)
    part = trimmed(part);
  return parts;
}

/// What stands for {x} of a pattern in a name; nothing where the name is another.
static std::optional<std::map<std::string, std::string>> match(std::string_view pattern,
                                                               std::string_view name) {
  std::map<std::string, std::string> found;
  while (!pattern.empty()) {
    size_t close = pattern[0] == '{' ? pattern.find('}') : std::string_view::npos;
    if (close == std::string_view::npos) {
      if (name.empty() || name[0] != pattern[0])
        return std::nullopt;
      pattern.remove_prefix(1);
      name.remove_prefix(1);
      continue;
    }
    size_t end = std::min(name.find('.'), name.size());
    if (end == 0)
      return std::nullopt;
    found[std::string(pattern.substr(1, close - 1))] = std::string(name.substr(0, end));
    pattern.remove_prefix(close + 1);
    name.remove_prefix(end);
  }
  return name.empty() ? std::optional(found) : std::nullopt;
}

static std::string filled(std::string text, const std::map<std::string, std::string> &found) {
  for (const auto &[hole, letters] : found)
    for (size_t at; (at = text.find("{" + hole + "}")) != std::string::npos;)
      text.replace(at, hole.size() + 2, letters);
  return text;
}

static Error wrong(const TableLine &line, const std::string &what) {
  return Error{fmt::format("{}:{}: {}", line.file, line.number, what)};
}

/// The file's name of a tensor, and where it is in blocks ":CODE".
static std::pair<std::string, std::string> nameAndCode(const std::string &name) {
  for (const BlockCode &code : blockCodes())
    if (std::string suffix = nameOfBlocks("", code); name.ends_with(suffix))
      return {name.substr(0, name.size() - suffix.size()), suffix};
  return {name, ""};
}

static const TensorView *findIn(const GgufFile &file, const std::string &name) {
  for (const TensorView &view : file.tensors())
    if (nameAndCode(view.name).first == name)
      return &view;
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Reading tables
//===----------------------------------------------------------------------===//

/// Tables of a folder: path, and what their first statement is for.
static std::vector<std::pair<std::string, std::vector<std::string>>>
tablesIn(const std::string &folder) {
  std::vector<std::pair<std::string, std::vector<std::string>>> tables;
  std::error_code code;
  for (auto it = fs::directory_iterator(folder, code); !code && it != fs::directory_iterator();
       it.increment(code)) {
    if (it->path().extension() != ".names")
      continue;
    auto text = readText(it->path().string(), 1 << 20);
    if (!text)
      continue;
    std::istringstream stream(*text);
    for (std::string line; std::getline(stream, line);)
      if (std::vector<std::string> said = words(line.substr(0, line.find("//")));
          said.size() == 4 && said[0] == "gguf" && said[2] == "for")
        tables.push_back({it->path().filename().string(), {said[1], said[3]}});
  }
  std::sort(tables.begin(), tables.end());
  return tables;
}

std::vector<std::string> PublishedNames::known(const std::string &folder) {
  std::set<std::string> names;
  for (const auto &[file, said] : tablesIn(folder))
    names.insert(said[0]);
  return {names.begin(), names.end()};
}

Result<std::unique_ptr<PublishedNames>> PublishedNames::find(const std::string &folder,
                                                             const std::string &architecture) {
  std::unique_ptr<PublishedNames> names;
  for (const auto &[file, said] : tablesIn(folder)) {
    if (said[0] != architecture)
      continue;
    names = std::make_unique<PublishedNames>();
    names->architecture = architecture;
    names->published = said[1];
    RONDO_CHECK(names->read(folder, file, 0));
    break;
  }
  return names;
}

Status PublishedNames::read(const std::string &folder, const std::string &name, int depth) {
  constexpr int maxDepth = 8;
  TableLine line{folder + "/" + name};
  if (depth > maxDepth)
    return wrong(line, fmt::format("imported by itself or more than {} deep", maxDepth));
  RONDO_TAKE(std::string text, readText(line.file, 1 << 20));
  std::istringstream stream(text);
  std::vector<std::string> imports;
  for (std::string raw; std::getline(stream, raw);) {
    ++line.number;
    std::string said = trimmed(raw.substr(0, raw.find("//")));
    std::vector<std::string> each = words(said);
    if (each.empty() || each[0] == "gguf")
      continue;
    if (each[0] == "import" && each.size() == 2 && each[1].find('/') == std::string::npos)
      imports.push_back(each[1]);
    else if (each.size() > 2 && each[1] == "=")
      settings.push_back({line, each[0], partsOf(said.substr(said.find('=') + 1), '|')});
    else if (each.size() > 2 && each[1] == "<-")
      rules.push_back({line, each[0], each[2], {each.begin() + 3, each.end()}});
    else
      return wrong(line, "expected gguf ARCHITECTURE for CLASS, import FILE, KEY = VALUE or NAME "
                         "<- TENSOR");
  }
  for (const std::string &other : imports)
    RONDO_CHECK(read(folder, other, depth + 1));
  return {};
}

//===----------------------------------------------------------------------===//
// Settings
//===----------------------------------------------------------------------===//

std::string PublishedNames::settingName(const std::string &name) const {
  return name.starts_with("*.") ? architecture + name.substr(1) : name;
}

/// The value, null where there is none.
Result<Json> PublishedNames::valueOf(const GgufFile &file, const Setting &setting,
                                     std::string value) const {
  if (size_t at = value.rfind(" if "); at != std::string::npos) {
    if (!findIn(file, trimmed(value.substr(at + 4))))
      return Json();
    value = trimmed(value.substr(0, at));
  }
  auto inside = [&](const char *function) -> std::optional<std::vector<std::string>> {
    std::string begin = std::string(function) + "(";
    if (!value.starts_with(begin) || !value.ends_with(")"))
      return std::nullopt;
    return partsOf(value.substr(begin.size(), value.size() - begin.size() - 1), ',');
  };
  if (auto parts = inside("numbers"); parts && parts->size() == 1) {
    const TensorView *view = findIn(file, (*parts)[0]);
    if (!view)
      return Json();
    RONDO_TAKE(std::vector<float> numbers, toF32(*view));
    Json list = Json::array();
    for (float number : numbers)
      list.push_back(double(number));
    return list;
  }
  if (auto parts = inside("extent"); parts && parts->size() == 2) {
    const TensorView *view = findIn(file, (*parts)[0]);
    size_t axis = size_t((*parts)[1][0] - '0');
    if (!view)
      return Json();
    // The last axis of one in blocks counts blocks.
    size_t axes = view->shape.size() - (nameAndCode(view->name).second.empty() ? 0 : 2);
    if ((*parts)[1].size() != 1 || axis >= axes)
      return wrong(setting.line, fmt::format("{}: tensor '{}' is {}", value, (*parts)[0],
                                             printShape(view->shape)));
    return Json(view->shape[axis]);
  }
  if (Json json = Json::parse(value, nullptr, /*allow_exceptions=*/false); !json.is_discarded())
    return json;
  auto number = [&](const std::string &name) -> const Json * {
    auto found = file.settings().find(settingName(trimmed(name)));
    return found == file.settings().end() ? nullptr : &found->second;
  };
  auto inEveryLayer = [&](const std::string &name) -> Result<const Json *> {
    const Json *list = number(name);
    if (list && (!list->is_array() || list->empty() ||
                 !std::all_of(list->begin(), list->end(), [](const Json &json) {
                   return json.is_number_integer() && json.get<int64_t>() >= 0;
                 })))
      return wrong(setting.line, fmt::format("{}: {}: found {}, expected a number for every layer",
                                             file.path(), name, printJson(*list)));
    return list;
  };
  if (auto parts = inside("largest"); parts && parts->size() == 1) {
    RONDO_TAKE(const Json *list, inEveryLayer((*parts)[0]));
    return list ? *std::max_element(list->begin(), list->end()) : Json();
  }
  if (auto parts = inside("kinds"); parts && parts->size() == 3) {
    RONDO_TAKE(const Json *list, inEveryLayer((*parts)[0]));
    if (!list)
      return Json();
    Json kinds = Json::array();
    for (const Json &json : *list)
      kinds.push_back((*parts)[json.get<int64_t>() == 0 ? 1 : 2]);
    return kinds;
  }
  if (size_t at = value.find(" / "); at != std::string::npos) {
    const Json *above = number(value.substr(0, at)), *below = number(value.substr(at + 3));
    if (!above || !below)
      return Json();
    if (!above->is_number_unsigned() || !below->is_number_unsigned() ||
        below->get<uint64_t>() == 0 || above->get<uint64_t>() % below->get<uint64_t>())
      return wrong(setting.line,
                   fmt::format("{}: {}: found {} / {}, expected integers that divide", file.path(),
                               value, printJson(*above), printJson(*below)));
    return Json(above->get<uint64_t>() / below->get<uint64_t>());
  }
  const Json *found = number(value);
  return found ? *found : Json();
}

Result<Json> PublishedNames::config(const GgufFile &file) const {
  Json config = Json::object();
  constexpr size_t many = 512;
  for (const auto &[key, value] : file.settings())
    if ((!value.is_array() || value.size() <= many) && !key.starts_with("tokenizer.chat"))
      config[key] = value;
  if (!published.empty())
    config["architectures"] = Json::array({published});
  std::set<std::string> said;
  for (const Setting &setting : settings) {
    if (!said.insert(setting.key).second)
      continue;
    for (const std::string &value : setting.values) {
      RONDO_TAKE(Json json, valueOf(file, setting, value));
      if (json.is_null())
        continue;
      config[setting.key] = std::move(json);
      break;
    }
  }
  return config;
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

Result<int64_t> PublishedNames::positive(const GgufFile &file, const Rule &rule,
                                         const std::vector<std::string> &names) const {
  for (const std::string &name : names) {
    auto found = file.settings().find(settingName(name));
    if (found == file.settings().end())
      continue;
    const Json &value = found->second;
    if (!value.is_number_unsigned() || value.get<uint64_t>() == 0 ||
        value.get<uint64_t>() > INT32_MAX)
      return Error{fmt::format("{}: '{}' is {}, expected a positive integer", file.path(),
                               found->first, printJson(value))};
    return int64_t(value.get<uint64_t>());
  }
  return wrong(rule.line, fmt::format("{}: found no setting '{}'", file.path(),
                                      names.empty() ? "" : settingName(names[0])));
}

/// Rows [heads][half of a head][2] as [heads][2][half of a head].
static Result<Tensor> halved(const TensorView &view, int64_t heads) {
  int64_t rows = view.shape.empty() ? 0 : view.shape[0];
  if (rows == 0 || rows % (2 * heads))
    return Error{fmt::format("{}: tensor '{}' is {}, expected rows of {} heads of pairs", view.file,
                             view.name, printShape(view.shape), heads)};
  RONDO_TAKE(Tensor made, makeTensor(view.name, view.dtype, view.shape));
  int64_t half = rows / heads / 2;
  size_t bytes = view.bytes.size() / size_t(rows);
  for (int64_t row = 0; row < rows; ++row) {
    int64_t head = row / (2 * half), place = row % (2 * half);
    int64_t from = head * 2 * half + place % half * 2 + place / half;
    std::memcpy(made.bytes.data() + size_t(row) * bytes, view.bytes.data() + size_t(from) * bytes,
                bytes);
  }
  return made;
}

static Result<Tensor> mapped(const TensorView &view, float (*map)(float)) {
  RONDO_TAKE(std::vector<float> numbers, toF32(view));
  RONDO_TAKE(Tensor made, makeTensor(view.name, DType::F32, view.shape));
  std::transform(numbers.begin(), numbers.end(), made.as<float>().begin(), map);
  return made;
}

Result<TensorView> PublishedNames::changed(const GgufFile &file, const Rule &rule, TensorView view,
                                           std::vector<Tensor> &made) const {
  auto refused = [&](const std::string &what) {
    return wrong(rule.line, fmt::format("{}: tensor '{}' is {}{}", view.file, view.name,
                                        printShape(view.shape), what));
  };
  auto keep = [&](Tensor tensor) {
    made.push_back(std::move(tensor));
    std::string from = view.file;
    view = made.back().view();
    view.file = from;
  };
  bool blocks = !nameAndCode(view.name).second.empty();
  for (size_t i = 0; i < rule.changes.size(); ++i) {
    const std::string &change = rule.changes[i];
    auto named = [&] { return i + 1 < rule.changes.size() ? rule.changes[++i] : std::string(); };
    if (change == "pairs") {
      std::vector<std::string> names(rule.changes.begin() + int64_t(i) + 1, rule.changes.end());
      RONDO_TAKE(int64_t heads, positive(file, rule, names));
      RONDO_TAKE(Tensor tensor, halved(view, heads));
      keep(std::move(tensor));
      break; // the rest were its settings
    }
    if (change == "row") {
      std::string number = named();
      int64_t row = number.size() == 1 ? number[0] - '0' : -1;
      if (row < 0 || row > 9 || view.shape.size() < 2 || row >= view.shape[0])
        return refused("; expected a row " + number);
      size_t bytes = view.bytes.size() / size_t(view.shape[0]);
      view.bytes = view.bytes.subspan(size_t(row) * bytes, bytes);
      view.shape.erase(view.shape.begin());
    } else if (blocks) {
      return refused("; expected numbers that are not in blocks");
    } else if (change == "split") {
      RONDO_TAKE(int64_t part, positive(file, rule, {named()}));
      if (view.shape.empty() || view.shape.back() % part)
        return refused(fmt::format("; expected a last axis of parts of {}", part));
      view.shape.back() /= part;
      view.shape.push_back(part);
    } else if (change == "flat") {
      view.shape = {view.elements()};
    } else if (change == "log_negative") {
      RONDO_TAKE(Tensor tensor, mapped(view, [](float x) { return std::log(-x); }));
      keep(std::move(tensor));
    } else if (change == "less_one") {
      RONDO_TAKE(Tensor tensor, mapped(view, [](float x) { return x - 1; }));
      keep(std::move(tensor));
    } else {
      return wrong(rule.line, "unknown change '" + change +
                                  "'; expected pairs, row, split, flat, log_negative or less_one");
    }
  }
  return view;
}

Result<std::vector<TensorView>> PublishedNames::tensors(const GgufFile &file,
                                                        std::vector<Tensor> &made) const {
  std::vector<TensorView> result;
  std::set<std::string> taken;
  for (const TensorView &view : file.tensors()) {
    auto [name, code] = nameAndCode(view.name);
    bool known = false;
    std::set<std::string> targets; // of this tensor; what is said first counts
    for (const Rule &rule : rules) {
      auto found = match(rule.from, name);
      if (!found)
        continue;
      known = true;
      if (rule.to == "-") {
        if (targets.empty())
          break;
        continue;
      }
      std::string to = filled(rule.to, *found);
      if (!targets.insert(to).second)
        continue;
      RONDO_TAKE(TensorView part, changed(file, rule, view, made));
      part.name = to + code;
      if (!taken.insert(to).second)
        return wrong(rule.line, fmt::format("{}: two tensors are '{}'", file.path(), to));
      result.push_back(std::move(part));
    }
    if (!known)
      result.push_back(view);
  }
  return result;
}

//===- Config.cpp - A model's config.json -------------------------------------------===//

#include "frontend/Config.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>

using namespace rondo;
using nlohmann::json;

struct Config::Held {
  json root;
};

Config::Config() = default;
Config::~Config() = default;
Config::Config(Config &&) = default;
Config &Config::operator=(Config &&) = default;

// Bare Infinity, -Infinity and NaN outside strings become the objects that find() understands.
static std::string strict(const std::string &text) {
  std::string out;
  bool quoted = false;
  for (size_t i = 0; i < text.size();) {
    if (quoted && text[i] == '\\' && i + 1 < text.size()) {
      out.append(text, i, 2);
      i += 2;
      continue;
    }
    if (text[i] == '"')
      quoted = !quoted;
    bool replaced = false;
    for (const char *word : {"-Infinity", "Infinity", "NaN"}) {
      std::string_view w = word;
      if (quoted || text.compare(i, w.size(), w) != 0)
        continue;
      out += "{\"__float__\":\"" + std::string(w) + "\"}";
      i += w.size();
      replaced = true;
      break;
    }
    if (!replaced)
      out += text[i++];
  }
  return out;
}

// Depth of brackets outside strings: the JSON library recurses over them.
static bool tooDeep(const std::string &text) {
  bool quoted = false;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted && (text[i] == '{' || text[i] == '['))
      if (++depth > 200)
        return true;
    if (!quoted && i < text.size() && (text[i] == '}' || text[i] == ']'))
      --depth;
  }
  return false;
}

std::optional<Config> Config::parse(std::string text, const std::string &path,
                                    DiagnosticSink &sink) {
  if (tooDeep(text)) {
    sink.error({}, path + ": nested more than 200 deep");
    return std::nullopt;
  }
  text = strict(text);
  Config config;
  config.file = path;
  config.held = std::make_unique<Held>();
  try {
    config.held->root = json::parse(text);
  } catch (const json::parse_error &e) {
    size_t position = std::min<size_t>(e.byte ? e.byte - 1 : 0, text.size());
    auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(position), '\n');
    size_t start = position > 20 ? position - 20 : 0;
    std::string near = text.substr(start, 40);
    for (char &c : near)
      c = static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126 ? ' ' : c;
    sink.error({}, path + ":" + std::to_string(line) + ": not valid JSON near '" + near + "'");
    return std::nullopt;
  } catch (const json::exception &) {
    sink.error({}, path + ": a number in it is out of range");
    return std::nullopt;
  }
  if (!config.held->root.is_object()) {
    sink.error({},
               path + ": expected an object of settings, found " + config.held->root.type_name());
    return std::nullopt;
  }
  return config;
}

static ConstResult convert(const json &value, std::string &why) {
  if (value.is_null())
    return ConstValue();
  if (value.is_boolean())
    return ConstValue::of(value.get<bool>());
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    return ConstValue::of(static_cast<double>(value.get<uint64_t>()));
  if (value.is_number_integer())
    return ConstValue::of(value.get<int64_t>());
  if (value.is_number_float())
    return ConstValue::of(value.get<double>());
  if (value.is_string())
    return ConstValue::of(value.get<std::string>());
  if (value.is_array()) {
    ConstValue list;
    list.kind = ConstValue::List;
    for (const json &item : value) {
      ConstResult v = convert(item, why);
      if (!v)
        return std::nullopt;
      list.items.push_back(std::move(*v));
    }
    return list;
  }
  if (value.is_object() && value.contains("__float__") && value["__float__"].is_string()) {
    const std::string text = value["__float__"];
    constexpr double infinite = std::numeric_limits<double>::infinity();
    if (text == "Infinity" || text == "-Infinity")
      return ConstValue::of(text[0] == '-' ? -infinite : infinite);
    if (text == "NaN")
      return ConstValue::of(std::numeric_limits<double>::quiet_NaN());
  }
  why = "an object, which is no value; name a key inside it";
  return std::nullopt;
}

ConstResult Config::find(const std::string &key, std::string &why) const {
  const json *at = &held->root;
  if (!at->contains(key)) {
    size_t start = 0;
    while (start <= key.size()) {
      size_t end = std::min(key.find('.', start), key.size());
      auto found = at->is_object() ? at->find(key.substr(start, end - start)) : at->end();
      if (!at->is_object() || found == at->end())
        return std::nullopt;
      at = &*found;
      start = end + 1;
    }
  } else {
    at = &(*at)[key];
  }
  return convert(*at, why);
}

std::vector<std::string> Config::architectures() const {
  std::vector<std::string> names;
  auto found = held->root.find("architectures");
  if (found != held->root.end() && found->is_array())
    for (const auto &name : *found)
      if (name.is_string())
        names.push_back(name.get<std::string>());
  return names;
}

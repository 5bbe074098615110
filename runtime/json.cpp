// json.cpp - From text to a checked JSON value, and from a value to the message that says what is
// wrong with it.

#include "runtime/json.h"

#include <fmt/format.h>
#include <unordered_set>

namespace rondo {

Result<Json> parseJson(const std::string &place, std::string_view text, int maxDepth) {
  std::string problem;
  std::vector<std::unordered_set<std::string>> seen;
  auto watch = [&](int depth, Json::parse_event_t event, Json &value) {
    if (!problem.empty())
      return false;
    switch (event) {
    case Json::parse_event_t::object_start:
    case Json::parse_event_t::array_start:
      if (depth > maxDepth)
        problem = fmt::format("found nesting deeper than {} levels", maxDepth);
      if (event == Json::parse_event_t::object_start)
        seen.emplace_back();
      break;
    case Json::parse_event_t::object_end:
      seen.pop_back();
      break;
    case Json::parse_event_t::key:
      if (!seen.back().insert(value.get<std::string>()).second)
        problem = fmt::format("found '{}' twice", value.get<std::string>());
      break;
    default:
      break;
    }
    return problem.empty();
  };
  // The parser itself does not recurse: deep nesting cannot overflow the stack before `watch` sees
  // it.
  try {
    Json json = Json::parse(text.begin(), text.end(), watch);
    if (problem.empty())
      return json;
  } catch (const Json::exception &error) {
    auto *parse = dynamic_cast<const Json::parse_error *>(&error);
    if (problem.empty())
      problem = parse ? fmt::format("found no valid JSON at byte {}", parse->byte)
                      : std::string("found no valid JSON: a number does not fit");
  }
  return Error{fmt::format("{}: {}", place, problem)};
}

std::string printJson(const Json &json) {
  constexpr size_t most = 80;
  if (json.is_structured())
    return json.is_object() ? "an object" : fmt::format("an array of {}", json.size());
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= most)
    return text;
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return text.substr(0, end) + "...";
}

Error JsonPlace::error(const std::string &what) const {
  return Error{path.empty() ? fmt::format("{}: {}", file, what)
                            : fmt::format("{}: {}: {}", file, path, what)};
}

Error JsonPlace::unexpected(const std::string &expected) const {
  return error(fmt::format("found {}, expected {}", printJson(*value), expected));
}

JsonPlace JsonPlace::named(const std::string &key, const Json &value) const {
  return {file, path.empty() ? key : path + "." + key, value};
}

std::optional<JsonPlace> JsonPlace::member(const char *key) const {
  auto found = value->find(key);
  if (found == value->end() || found->is_null())
    return std::nullopt;
  return named(key, *found);
}

JsonPlace JsonPlace::element(size_t index) const {
  return {file, fmt::format("{}[{}]", path, index), (*value)[index]};
}

Status JsonPlace::isObject() const {
  if (!value->is_object())
    return unexpected("an object");
  return {};
}

Status JsonPlace::isArray() const {
  if (!value->is_array())
    return unexpected("an array");
  return {};
}

Result<std::string> JsonPlace::text() const {
  if (!value->is_string())
    return unexpected("a string");
  return value->get<std::string>();
}

Result<int32_t> JsonPlace::natural(int32_t limit) const {
  if (!value->is_number_unsigned() || value->get<uint64_t>() >= static_cast<uint64_t>(limit))
    return unexpected(fmt::format("an integer from 0 to {}", limit - 1));
  return static_cast<int32_t>(value->get<uint64_t>());
}

Result<bool> JsonPlace::truth() const {
  if (!value->is_boolean())
    return unexpected("true or false");
  return value->get<bool>();
}

Result<JsonPlace> JsonPlace::required(const char *key) const {
  RONDO_CHECK(isObject());
  if (auto found = member(key))
    return *found;
  return error(fmt::format("found no '{}', expected one", key));
}

Result<std::string> JsonPlace::requiredText(const char *key) const {
  RONDO_TAKE(JsonPlace found, required(key));
  return found.text();
}

Result<bool> JsonPlace::flag(const char *key, std::optional<bool> absent) const {
  RONDO_CHECK(isObject());
  if (absent && !member(key))
    return *absent;
  RONDO_TAKE(JsonPlace found, required(key));
  return found.truth();
}

} // namespace rondo

// json.h - Parses JSON from a file that nobody vouches for: names that come twice and deep nesting
// are errors, and nothing is thrown.

#ifndef RONDO_RUNTIME_JSON_H
#define RONDO_RUNTIME_JSON_H

#include "runtime/error.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace rondo {

using Json = nlohmann::json;

/// `place` begins every message: the file, and where in it the text stands.
Result<Json> parseJson(const std::string &place, std::string_view text, int maxDepth);

/// The value on one line, cut after some eighty bytes, for "found ...".
std::string printJson(const Json &json);

/// A value together with the way to it ("model.vocab"), so that what is wrong can say where. The
/// value outlives the object.
class JsonPlace {
public:
  JsonPlace(std::string file, std::string path, const Json &value)
      : file(std::move(file)), path(std::move(path)), value(&value) {}

  const Json &json() const { return *value; }
  /// "FILE: PATH: what".
  Error error(const std::string &what) const;
  /// "FILE: PATH: found VALUE, expected `expected`".
  Error unexpected(const std::string &expected) const;

  /// A member that is absent or null is none. This value must be an object.
  std::optional<JsonPlace> member(const char *key) const;
  JsonPlace element(size_t index) const;
  JsonPlace named(const std::string &key, const Json &value) const;

  Status isObject() const;
  Status isArray() const;
  Result<std::string> text() const;
  /// An integer in [0, limit).
  Result<int32_t> natural(int32_t limit) const;
  Result<bool> truth() const;

  /// A member that must be there; of flags also one that has a default.
  Result<JsonPlace> required(const char *key) const;
  Result<std::string> requiredText(const char *key) const;
  Result<bool> flag(const char *key, std::optional<bool> absent) const;

private:
  std::string file, path;
  const Json *value;
};

} // namespace rondo

#endif // RONDO_RUNTIME_JSON_H

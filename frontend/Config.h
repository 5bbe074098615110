//===- Config.h - A model's config.json ------------------------*- C++ -*-===//
//
// Reads what published config.json files hold, including what is not strict JSON: bare Infinity and
// NaN, and {"__float__": "Infinity"}.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/ConstValue.h"

#include <memory>

namespace rondo {

class Config {
public:
  Config();
  ~Config();
  Config(Config &&);
  Config &operator=(Config &&);

  /// The largest config that is read, in bytes.
  static constexpr size_t maxBytes = size_t(16) << 20;

  /// Reads JSON text; `path` is for messages. Nothing, with an error, where it is no object.
  static std::optional<Config> parse(std::string text, const std::string &path,
                                     DiagnosticSink &sink);

  /// The value at a key, `a.b` reaching into objects: `none` where it is null, nothing where it is
  /// absent. An object has no value: `why` says so.
  ConstResult find(const std::string &key, std::string &why) const;

  /// The strings of the top-level list `architectures`.
  std::vector<std::string> architectures() const;

  const std::string &path() const { return file; }

private:
  struct Held;
  std::unique_ptr<Held> held;
  std::string file;
};

} // namespace rondo

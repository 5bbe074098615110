//===- RondocOptions.h - What rondoc is asked to do ------------*- C++ -*-===//

#pragma once

#include "frontend/Program.h"

#include <string>

namespace rondo {

struct RondocOptions {
  SpecOptions spec;
  std::string checkpoint;     // a folder with config.json
  std::string emit = "token"; // ast, token
  std::string out = "-";      // a file, or - for stdout
};

} // namespace rondo

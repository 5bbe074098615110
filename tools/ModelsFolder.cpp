//===- ModelsFolder.cpp - Where the specs are -----------------------------===//

#include "tools/ModelsFolder.h"

#include <cstdlib>
#include <filesystem>

namespace fs = std::filesystem;

std::string rondo::modelsFolder() {
  if (const char *given = std::getenv("RONDO_MODELS"))
    return given;
  std::error_code code;
  fs::path here = fs::canonical("/proc/self/exe", code).parent_path();
  for (fs::path dir = here; !code && dir.has_relative_path(); dir = dir.parent_path())
    for (const char *tail : {"models", "share/rondo/models"})
      if (fs::exists(dir / tail / "std.rondo", code))
        return (dir / tail).string();
  return "models";
}

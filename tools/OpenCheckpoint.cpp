//===- OpenCheckpoint.cpp - Checkpoints of any format that is read --------------------===//

#include "tools/OpenCheckpoint.h"

#include "runtime/gguf.h"
#include "tools/PublishedNames.h"

using namespace rondo;

namespace {
/// What the views of a checkpoint's tensors are of.
struct Held {
  GgufFile file;
  std::vector<Tensor> made;
};
} // namespace

bool rondo::holdsSettings(const std::string &path) { return isGguf(path); }

Result<OpenedCheckpoint> rondo::openCheckpoint(const std::string &path,
                                               const std::string &modelsDir) {
  if (!isGguf(path)) {
    RONDO_TAKE(Checkpoint checkpoint, Checkpoint::open(path));
    return OpenedCheckpoint{std::move(checkpoint), {}, {}};
  }
  RONDO_TAKE(GgufFile file, GgufFile::open(path));
  auto held = std::make_shared<Held>(Held{std::move(file), {}});
  auto said = held->file.settings().find("general.architecture");
  std::string architecture = said != held->file.settings().end() && said->second.is_string()
                                 ? said->second.get<std::string>()
                                 : "";
  RONDO_TAKE(std::unique_ptr<PublishedNames> names,
             PublishedNames::find(modelsDir + "/gguf", architecture));
  std::string help;
  if (!names) {
    names = std::make_unique<PublishedNames>();
    std::string known;
    for (const std::string &name : PublishedNames::known(modelsDir + "/gguf"))
      known += (known.empty() ? "" : ", ") + name;
    help = path + ": general.architecture is '" + architecture + "'; expected one of " + known +
           " (" + modelsDir + "/gguf/*.names), or a spec that has this file's names";
  }
  RONDO_TAKE(Json config, names->config(held->file));
  RONDO_TAKE(std::vector<TensorView> tensors, names->tensors(held->file, held->made));
  return OpenedCheckpoint{Checkpoint::of(path, std::move(tensors), held),
                          config.dump(2, ' ', false, Json::error_handler_t::replace), help};
}

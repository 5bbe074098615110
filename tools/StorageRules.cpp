//===- StorageRules.cpp - What a config says of stored numbers ----------------------===//

#include "tools/StorageRules.h"

#include "frontend/Config.h"

using namespace rondo;

StorageRules rondo::storageRulesOf(const SpecOptions &options) {
  StorageRules rules;
  DiagnosticSink ignored; // who reads the config for its sizes reports what is wrong with it
  std::optional<Config> config;
  if (options.configPath.empty())
    return rules;
  if (std::optional<std::string> text = configTextOf(options, ignored))
    config = Config::parse(std::move(*text), options.configPath, ignored);
  if (!config)
    return rules;
  auto find = [&](const std::string &key) {
    std::string object;
    ConstResult found = config->find("quantization_config." + key, object);
    return found && found->kind != ConstValue::None ? found : std::nullopt;
  };
  rules.scaled = find("quant_method").has_value();
  if (ConstResult format = find("checkpoint_format"))
    rules.zerosLessOne = format->plain() != "gptq_v2";
  if (ConstResult blocks = find("weight_block_size"))
    for (const ConstValue &extent : blocks->items)
      rules.blockExtents.push_back(extent.kind == ConstValue::Integer ? extent.integer : 0);
  return rules;
}

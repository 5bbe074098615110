// Published specs: the class that chooses them, and what their settings change in the token level.

#include "dialect/Rondo.h"
#include "frontend/Frontend.h"

#include <gtest/gtest.h>

#include <fstream>

using namespace rondo;

namespace {
const std::string models = RONDO_SOURCE_DIR "/models";

struct Built {
  std::string text, errors;
  std::map<std::string, std::string> params; // path to shape
};

Built build(const std::string &spec, const std::string &config,
            std::vector<std::pair<std::string, std::string>> sets = {}) {
  SpecOptions options;
  options.path = models + "/" + spec;
  options.sets = std::move(sets);
  if (!config.empty()) {
    options.configPath = testing::TempDir() + "frontend_config.json";
    std::ofstream(options.configPath) << config;
  }
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  DiagnosticSink sink;
  auto module = buildTokenLevel(context, options, sink);
  Built built;
  built.errors = sink.text();
  if (!module)
    return built;
  llvm::raw_string_ostream os(built.text);
  module->print(os);
  module->walk([&](ParamOp param) {
    std::string shape;
    for (int64_t extent : llvm::cast<mlir::ShapedType>(param.getType()).getShape())
      shape += (shape.empty() ? "" : "x") + std::to_string(extent);
    built.params[param.getPath().str()] = shape;
  });
  return built;
}

size_t count(const std::string &text, const std::string &part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++n;
  return n;
}

const char *small =
    R"("hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "vocab_size": 64,
  "num_attention_heads": 4, "num_key_value_heads": 2)";
} // namespace

TEST(Specs, AreChosenByClass) {
  EXPECT_EQ(specForArchitecture(models, "Mamba2ForCausalLM"), models + "/mamba2.rondo");
  EXPECT_EQ(specForArchitecture(models, "MistralForCausalLM"), models + "/mistral.rondo");
  EXPECT_EQ(specForArchitecture(models, "Qwen3ForCausalLM"), models + "/qwen3.rondo");
  EXPECT_EQ(specForArchitecture(models, "Unheard"), "");
}

TEST(Specs, EqualLayersAreOneFunction) {
  Built b = build("mamba2.rondo", "",
                  {{"d", "32"}, {"h", "4"}, {"p", "16"}, {"n", "8"}, {"vocab", "64"}});
  ASSERT_EQ(b.errors, "");
  EXPECT_EQ(count(b.text, "func.func"), 2u);
  EXPECT_EQ(count(b.text, "rondo.call"), 24u);
}

TEST(Specs, ParameterShapesAreTheCheckpoints) {
  Built b = build("mamba2.rondo", "",
                  {{"d", "32"},
                   {"h", "4"},
                   {"p", "16"},
                   {"n", "8"},
                   {"g", "2"},
                   {"layers", "1"},
                   {"vocab", "64"},
                   {"tied", "false"}});
  ASSERT_EQ(b.errors, "");
  EXPECT_EQ(b.params["backbone.layers.0.mixer.conv1d.weight"], "96x1x4");
  EXPECT_EQ(b.params["backbone.layers.0.mixer.in_proj.weight"], "164x32");
  EXPECT_EQ(b.params["lm_head.weight"], "64x32");
  EXPECT_EQ(b.params.size(), 12u);
}

TEST(Specs, TiedEmbeddingsAreOneParameter) {
  std::string tied = "{" + std::string(small) + ", \"tie_word_embeddings\": true}";
  EXPECT_EQ(build("llama.rondo", tied).params.count("lm_head.weight"), 0u);
  EXPECT_EQ(build("llama.rondo", "{" + std::string(small) + "}").params.count("lm_head.weight"),
            1u);
}

TEST(Specs, TimeStepLimitClampsWhereItIsFinite) {
  std::vector<std::pair<std::string, std::string>> sizes = {
      {"d", "32"}, {"h", "4"}, {"p", "16"}, {"n", "8"}, {"layers", "1"}, {"vocab", "64"}};
  Built open = build("mamba2.rondo", R"({"time_step_limit": [0.0, Infinity]})", sizes);
  Built both = build("mamba2.rondo", R"({"time_step_limit": [0.01, 0.5]})", sizes);
  EXPECT_EQ(count(open.text, "map min"), 0u);
  EXPECT_EQ(count(both.text, "map min"), 1u);
  EXPECT_EQ(count(both.text, "map max"), 1u);
}

TEST(Specs, WindowsStandWhereTheConfigPutsThem) {
  std::string base = "{" + std::string(small);
  // Mistral: every layer. Llama: none, whatever the config says. Qwen2: from max_window_layers on,
  // or where layer_types says so, and only when asked for.
  EXPECT_EQ(count(build("mistral.rondo", base + ", \"sliding_window\": 8}").text, "map lt"), 1u);
  EXPECT_EQ(count(build("mistral.rondo", base + ", \"sliding_window\": null}").text, "map lt"), 0u);
  EXPECT_EQ(count(build("llama.rondo", base + ", \"sliding_window\": 8}").text, "map lt"), 0u);
  EXPECT_EQ(
      count(build("qwen2.rondo", base + ", \"sliding_window\": 8, \"use_sliding_window\": false}")
                .text,
            "map lt"),
      0u);
  Built mixed = build(
      "qwen2.rondo",
      base + ", \"sliding_window\": 8, \"use_sliding_window\": true, \"max_window_layers\": 2}");
  EXPECT_EQ(count(mixed.text, "map lt"), 1u);
  EXPECT_EQ(count(mixed.text, "func.func"), 3u);
  Built typed = build("qwen3.rondo", base + R"(, "sliding_window": 8, "use_sliding_window": true,
    "layer_types": ["full_attention", "sliding_attention", "full_attention", "full_attention"]})");
  EXPECT_EQ(count(typed.text, "call @model_layers_1("), 1u);
}

TEST(Specs, BiasesAndNormsFollowTheConfig) {
  std::string base = "{" + std::string(small);
  auto has = [](const Built &b, const std::string &tail) {
    return b.params.count("model.layers.0." + tail) == 1;
  };
  Built llama = build("llama.rondo", base + ", \"attention_bias\": true, \"mlp_bias\": true}");
  EXPECT_TRUE(has(llama, "self_attn.q_proj.bias") && has(llama, "self_attn.o_proj.bias") &&
              has(llama, "mlp.up_proj.bias"));
  Built qwen2 = build("qwen2.rondo", base + "}");
  EXPECT_TRUE(has(qwen2, "self_attn.k_proj.bias") && !has(qwen2, "self_attn.o_proj.bias"));
  Built qwen3 = build("qwen3.rondo", base + ", \"head_dim\": 8}");
  EXPECT_TRUE(has(qwen3, "self_attn.q_norm.weight") && !has(qwen3, "self_attn.k_proj.bias"));
}

TEST(Specs, RotaryKeysOldAndNewMeanTheSame) {
  std::string base = "{" + std::string(small);
  std::string now =
      R"(, "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0,
    "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}})";
  std::string then =
      R"(, "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
    "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}})";
  Built a = build("llama.rondo", base + now), b = build("llama.rondo", base + then);
  ASSERT_EQ(a.errors, "");
  EXPECT_EQ(a.text, b.text);
  EXPECT_NE(a.text, build("llama.rondo", base + "}").text);
  Built unknown = build("llama.rondo", base + R"(, "rope_parameters": {"rope_type": "spiral"}})");
  EXPECT_NE(unknown.errors.find("no rotary positions are called 'spiral'"), std::string::npos);
}

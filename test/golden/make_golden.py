#!/usr/bin/env python3
"""Writes the small checkpoints of this folder and what the published reference code computes from them.

    python3 -m venv v && v/bin/pip install torch transformers safetensors
    v/bin/python test/golden/make_golden.py [NAME...]

Needs torch and transformers (the folders here: torch 2.15.0, transformers 5.23.0); running the tests needs neither. Each folder gets

    config.json            as published, with the sizes and switches below
    model.safetensors      random weights under their published names (or shards with an index)
    expected.safetensors   input_ids_a [2, 19] -> logits_a, input_ids_b [1, 70] -> logits_b (f32), and after the prompts
                           gen0_prompt [1, 5], gen1_prompt [1, 23] the 16 most likely tokens each, gen0_tokens, gen1_tokens
    meta.json              reference class, what the folder covers, tolerance, the reference's own f32 error

The reference runs in f64: its code asks for float32 in places (norms, softmax, rotary tables), so those names are pointed at float64 first. Weights
are drawn so that every parameter moves the logits (checked by its gradient) and logits have a standard deviation near 1; a seed is
taken only when each greedy choice is clear (the two best logits at least 0.01 apart), so that f32 rounding cannot flip one.
"""

import json
import math
import os
import sys

import torch

FOLDER = os.path.dirname(os.path.abspath(__file__))
F32 = torch.float32
TOLERANCE = 5e-5  # f32 rounding of two layers stays below 1e-5 here (reference_f32_error says); a wrong epsilon shows as 4e-4

ROPE = {"rope_type": "default", "rope_theta": 10000.0}

# name: (class, what it covers, configuration, how it is stored)
CHECKPOINTS = {
    "mamba2_groups": ("Mamba2", "2 groups for 6 heads, tied, biases on the projections, state 10", dict(
        hidden_size=24, num_heads=6, head_dim=8, state_size=10, n_groups=2, conv_kernel=4, chunk_size=16, use_bias=True, tie_word_embeddings=True,
        num_hidden_layers=2, vocab_size=83, layer_norm_epsilon=1e-5), "f32"),
    "mamba2_odd": ("Mamba2", "3 heads of 14, 3 groups, kernel of 3 taps without bias, untied, other epsilon", dict(
        hidden_size=21, num_heads=3, head_dim=14, state_size=9, n_groups=3, conv_kernel=3, chunk_size=8, use_conv_bias=False, tie_word_embeddings=False,
        num_hidden_layers=3, vocab_size=97, layer_norm_epsilon=1e-6), "f32"),
    "mamba2_limit": ("Mamba2", "step sizes clamped to [0.02, 0.08], 1 group", dict(
        hidden_size=16, num_heads=4, head_dim=8, state_size=16, n_groups=1, chunk_size=8, time_step_limit=[0.02, 0.08], tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=64), "f32"),
    "mamba2_bf16": ("Mamba2", "weights stored as bf16", dict(
        hidden_size=32, num_heads=4, head_dim=16, state_size=16, n_groups=1, chunk_size=16, tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=96), "bf16"),
    "mamba_bias": ("Mamba", "biases on the projections, state 7, rank 5, untied", dict(
        hidden_size=28, intermediate_size=56, state_size=7, time_step_rank=5, conv_kernel=4, use_bias=True, tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=89), "f32"),
    "mamba_narrow": ("Mamba", "expansion of 3, kernel of 2 taps without bias, tied", dict(
        hidden_size=20, expand=3, intermediate_size=60, state_size=16, time_step_rank=2, conv_kernel=2, use_conv_bias=False, tie_word_embeddings=True,
        num_hidden_layers=3, vocab_size=71), "f32"),
    "falcon_mamba": ("FalconMamba", "norms on step, input and output vectors with their own epsilon, rank 3", dict(
        hidden_size=24, intermediate_size=48, state_size=9, time_step_rank=3, mixer_rms_eps=1e-5, tie_word_embeddings=True,
        num_hidden_layers=2, vocab_size=79), "f32"),
    "llama_gqa": ("Llama", "6 query heads on 2, head size 10 (not hidden/heads), biases, tied, 3 layers", dict(
        hidden_size=36, num_attention_heads=6, num_key_value_heads=2, head_dim=10, intermediate_size=44, attention_bias=True, mlp_bias=True,
        tie_word_embeddings=True, num_hidden_layers=3, vocab_size=101, rms_norm_eps=1e-5, rope_parameters=ROPE | {"rope_theta": 500.0}), "f32"),
    "llama_llama3_rope": ("Llama", "frequencies scaled by bands (llama3), 5 heads on 1", dict(
        hidden_size=40, num_attention_heads=5, num_key_value_heads=1, head_dim=16, intermediate_size=48, tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=64, max_position_embeddings=256, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "llama3", "rope_theta": 2000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 3.0,
                         "original_max_position_embeddings": 32}), "f32"),
    "llama_yarn": ("Llama", "frequencies interpolated (yarn), every head its own key", dict(
        hidden_size=32, num_attention_heads=4, num_key_value_heads=4, head_dim=12, intermediate_size=40, tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=64, max_position_embeddings=256, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "yarn", "rope_theta": 5000.0, "factor": 8.0, "original_max_position_embeddings": 32, "beta_fast": 3.0,
                         "beta_slow": 0.5}), "f32"),
    "llama_dynamic": ("Llama", "theta grows with the length (dynamic NTK) beyond 24 tokens, which both sequences and a continuation cross", dict(
        hidden_size=32, num_attention_heads=4, num_key_value_heads=2, head_dim=12, intermediate_size=40, tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=64, max_position_embeddings=24, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 100.0, "factor": 3.0}), "f32"),
    "phi3_longrope": ("Phi3", "a factor for each frequency (longrope), others beyond 16 tokens, 3/4 of a head turned", dict(
        hidden_size=32, num_attention_heads=2, num_key_value_heads=1, intermediate_size=40, tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=64, max_position_embeddings=96, original_max_position_embeddings=16, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "longrope", "rope_theta": 50.0, "partial_rotary_factor": 0.75, "short_factor": [1.0, 1.1, 1.3, 1.5, 1.6, 2.0],
                         "long_factor": [1.0, 1.7, 2.9, 4.0, 5.5, 7.0], "original_max_position_embeddings": 16}), "f32"),
    "gemma": ("Gemma", "norms whose weights add to 1, 4 heads of 10 on 1, tied", dict(
        hidden_size=28, num_attention_heads=4, num_key_value_heads=1, head_dim=10, intermediate_size=36,
        num_hidden_layers=2, vocab_size=83, rope_parameters=ROPE), "f32"),
    "olmo_clip": ("Olmo", "norms without parameters, q, k and v clipped, 4 heads on 2, biases of attention", dict(
        hidden_size=24, num_attention_heads=4, num_key_value_heads=2, intermediate_size=36, clip_qkv=0.7, attention_bias=True, tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=69, rope_parameters=ROPE), "f32"),
    "smollm3_windows": ("SmolLM3", "every other layer without positions, and those alone with a window of 9, tied", dict(
        hidden_size=24, num_attention_heads=3, num_key_value_heads=1, intermediate_size=36, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=9,
        tie_word_embeddings=True, num_hidden_layers=4, vocab_size=77, rope_parameters=ROPE | {"rope_theta": 3000.0}), "f32"),
    "gpt_neox_yarn": ("GPTNeoX", "half of a head turned by interpolated frequencies (yarn) with a factor, attention before the MLP, no biases of attention", dict(
        hidden_size=32, num_attention_heads=4, intermediate_size=44, use_parallel_residual=False, attention_bias=False, num_hidden_layers=2, vocab_size=73,
        max_position_embeddings=128, rope_parameters={"rope_type": "yarn", "rope_theta": 300.0, "factor": 4.0, "original_max_position_embeddings": 32,
                                                      "partial_rotary_factor": 0.5, "attention_factor": 1.2}), "f32"),
    "mixtral_window": ("Mixtral", "2 experts of 5 a token, a window of 7, head size 10, tied", dict(
        hidden_size=24, num_attention_heads=4, num_key_value_heads=1, head_dim=10, intermediate_size=20, num_local_experts=5, num_experts_per_tok=2, sliding_window=7,
        tie_word_embeddings=True, num_hidden_layers=2, vocab_size=61, rope_parameters=ROPE), "f32"),
    "qwen3_moe_sparse": ("Qwen3Moe", "experts in every other layer but one, shares not renormalised, biases", dict(
        hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=8, intermediate_size=28, moe_intermediate_size=12, num_experts=5, num_experts_per_tok=3,
        decoder_sparse_step=2, mlp_only_layers=[3], norm_topk_prob=False, attention_bias=True, num_hidden_layers=4, vocab_size=59, rope_parameters=ROPE), "f32"),
    "exaone_moe_groups": ("ExaoneMoe", "a window of 6 in three layers of four and no positions in the fourth; experts of 2 groups of 4, a dense layer first", dict(
        hidden_size=24, num_attention_heads=4, num_key_value_heads=2, intermediate_size=28, moe_intermediate_size=12, num_experts=8, num_experts_per_tok=3, n_group=4,
        topk_group=2, num_shared_experts=2, sliding_window=6, num_hidden_layers=4, vocab_size=67, rope_parameters=ROPE), "f32"),
    "apertus_xielu": ("Apertus", "xIELU with its own steepness in each layer, 5 heads on 1, frequencies by bands", dict(
        hidden_size=30, num_attention_heads=5, num_key_value_heads=1, head_dim=8, intermediate_size=36, num_hidden_layers=2, vocab_size=73, max_position_embeddings=256,
        rope_parameters={"rope_type": "llama3", "rope_theta": 3000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 3.0,
                         "original_max_position_embeddings": 32}), "f32"),
    "glm4_partial": ("Glm4", "norms on both sides of attention and MLP, a quarter of each head turns in neighbouring pairs, biases on q, k and v", dict(
        hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=36, attention_bias=True, num_hidden_layers=2, vocab_size=79,
        rope_parameters=ROPE | {"partial_rotary_factor": 0.25}), "f32"),
    "deepseek_v3_direct": ("DeepseekV3", "q without a low rank, no groups, two shared experts, positions in halves, biases, all layers with experts", dict(
        hidden_size=24, num_attention_heads=3, num_key_value_heads=3, q_lora_rank=None, kv_lora_rank=10, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=5,
        intermediate_size=20, moe_intermediate_size=10, n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=2, n_group=1, topk_group=1, norm_topk_prob=False,
        routed_scaling_factor=1.6, first_k_dense_replace=0, rope_interleave=False, attention_bias=True, num_hidden_layers=2, vocab_size=63, rope_parameters=ROPE), "f32"),
    "llama_sharded": ("Llama", "two shards and an index, linear rope scaling", dict(
        hidden_size=24, num_attention_heads=3, num_key_value_heads=3, head_dim=8, intermediate_size=40, tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=64, rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}), "shards"),
    "mistral_window": ("Mistral", "window of 7 tokens, 6 heads on 3, head size 14", dict(
        hidden_size=30, num_attention_heads=6, num_key_value_heads=3, head_dim=14, intermediate_size=44, sliding_window=7, tie_word_embeddings=False,
        num_hidden_layers=2, vocab_size=75, rms_norm_eps=1e-6, rope_parameters=ROPE), "f32"),
    "qwen2_bias": ("Qwen2", "biases on query, key and value, 3 heads on 1, tied", dict(
        hidden_size=36, num_attention_heads=3, num_key_value_heads=1, intermediate_size=50, tie_word_embeddings=True,
        num_hidden_layers=2, vocab_size=90, rms_norm_eps=1e-6, use_sliding_window=False, rope_parameters=ROPE | {"rope_theta": 1e6}), "f32"),
    "qwen3_norms": ("Qwen3", "norms on each query and key head, 5 heads, tied", dict(
        hidden_size=25, num_attention_heads=5, num_key_value_heads=5, head_dim=12, intermediate_size=38, tie_word_embeddings=True,
        num_hidden_layers=2, vocab_size=67, rms_norm_eps=1e-5, rope_parameters=ROPE | {"rope_theta": 1e5}), "f32"),
}

# Whose weights of norms are what they differ from 1 by.
FROM_ONE = {"gemma"}

# Rotations that depend on the length of the text so far: a token's are those of a text that ends with it, as when a text is continued with a cache.
STEPWISE = {"llama_dynamic", "phi3_longrope"}
EARLIER_LAYOUT = ("mamba2_odd", "llama_llama3_rope", "mistral_window")


def draw(model, generator):
    """Random weights that let every parameter matter."""
    def normal(shape, scale, mean=0.0):
        return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale + mean).to(F32)

    def uniform(shape, low, high):
        return (torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low).to(F32)

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            shape, leaf = parameter.shape, name.split(".")[-1]
            if leaf == "A_log":
                value = torch.log(uniform(shape, 0.5, 8.0))
            elif leaf == "dt_bias" or name.endswith("dt_proj.bias"):
                step = torch.exp(uniform(shape, math.log(0.01), math.log(0.3)).double())
                value = (step + torch.log(-torch.expm1(-step))).to(F32)  # softplus gives the step back
            elif leaf == "D":
                value = normal(shape, 0.5, 1.0)
            elif "norm" in name and leaf == "weight":
                value = normal(shape, 0.2, 0.0 if model.config.model_type in FROM_ONE else 1.0)
            elif leaf == "bias":
                value = normal(shape, 0.2)
            elif "conv1d" in name:
                value = normal(shape, 0.5)
            elif "embed" in name:
                # A tied table is the output matrix as well: logits near a standard deviation of 1 after the last norm.
                value = normal(shape, 1 / math.sqrt(shape[-1]) if model.config.tie_word_embeddings else 1.0)
            else:
                value = normal(shape, 1.3 / math.sqrt(shape[-1]))
            parameter.copy_(value)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.2)


# What memory calls the parts of an expert's first matrix, and files, by class.
EXPERTS = {"Mixtral": ("w1", "w3", "w2"), "Qwen3Moe": ("gate_proj", "up_proj", "down_proj"), "DeepseekV3": ("gate_proj", "up_proj", "down_proj"),
           "ExaoneMoe": ("gate_proj", "up_proj", "down_proj")}


# What files call tensors otherwise than memory, by class.
RENAMED = {"GPTNeoX": ("lm_head.", "embed_out."), "ExaoneMoe": (".gate.e_score_", ".e_score_")}


def on_disk(kind, stored):
    """Experts, one tensor each in files; and names as files have them."""
    if kind in RENAMED:
        stored = {key.replace(*RENAMED[kind]): value for key, value in stored.items()}
    if kind not in EXPERTS:
        return stored
    gate, up, down = EXPERTS[kind]
    made = {}
    for key, value in stored.items():
        scope = key.rsplit(".", 1)[0]
        if kind == "Mixtral":
            scope = scope.replace(".mlp.", ".block_sparse_moe.")
            key = key.replace(".mlp.", ".block_sparse_moe.")
        if key.endswith("experts.gate_up_proj"):
            for e, both in enumerate(value):
                made[f"{scope}.{e}.{gate}.weight"], made[f"{scope}.{e}.{up}.weight"] = both.chunk(2)
        elif key.endswith("experts.down_proj"):
            made |= {f"{scope}.{e}.{down}.weight": one for e, one in enumerate(value)}
        else:
            made[key] = value
    return made


def in_f64():
    """Reference code names float32 where it wants precision; here it gets float64."""
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = lambda self: self.to(torch.float64)


def logits_of(model, ids, stepwise=False):
    """Of a whole sequence at once; or token by token with the model's cache, where a rotation depends on how long the text is so far."""
    if not stepwise:
        return model(input_ids=ids, use_cache=False).logits
    cache, rows = None, []
    for t in range(ids.shape[1]):
        out = model(input_ids=ids[:, t:t + 1], use_cache=True, past_key_values=cache)
        cache = out.past_key_values
        rows.append(out.logits)
    return torch.cat(rows, dim=1)


def greedy(model, prompt, count, stepwise=False):
    """The most likely tokens one by one, each by a full pass, and the smallest lead over the runner-up."""
    ids, margin = prompt, math.inf
    for _ in range(count):
        best = logits_of(model, ids, stepwise)[0, -1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        ids = torch.cat([ids, best.indices[:1].view(1, 1)], dim=1)
    return ids[:, prompt.shape[1]:], margin


def make(name, seed):
    """Tensors of one checkpoint, its expectations and its meta data; None when a greedy choice is too close to call."""
    import transformers
    kind, covers, sizes, storage = CHECKPOINTS[name]
    config = getattr(transformers, kind + "Config")(**sizes, bos_token_id=None, eos_token_id=None, pad_token_id=None)
    config._attn_implementation = config._experts_implementation = "eager"
    generator = torch.Generator().manual_seed(seed)
    model = getattr(transformers, kind + "ForCausalLM")(config).to(F32).eval()
    draw(model, generator)
    if storage == "bf16":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(parameter.to(torch.bfloat16).to(F32))
    ids_a = torch.randint(config.vocab_size, (2, 19), generator=generator)
    ids_b = torch.randint(config.vocab_size, (1, 70), generator=generator)
    prompts = [torch.randint(config.vocab_size, (1, length), generator=generator) for length in (5, 23)]
    stored = {key: value.clone() for key, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        stored.pop("lm_head.weight", None)

    with torch.no_grad():
        rough = [logits_of(model, ids, name in STEPWISE) for ids in (ids_a, ids_b)]
    saved = torch.float32, torch.float, torch.Tensor.float
    try:
        in_f64()
        model = getattr(transformers, kind + "ForCausalLM")(config).double().eval()
        model.load_state_dict({key: value.double() for key, value in stored.items()}, strict=False)
        model.tie_weights()
        exact = [logits_of(model, ids, name in STEPWISE) for ids in (ids_a, ids_b)]
        assert exact[0].dtype == torch.float64
        sum(e.square().sum() for e in exact).backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 1e-6, f"{name}: {key} does not matter"
        with torch.no_grad():
            generated = [greedy(model, prompt, 16, name in STEPWISE) for prompt in prompts]
    finally:
        torch.float32, torch.float, torch.Tensor.float = saved

    margins = [round(margin, 4) for _, margin in generated]
    if min(margins) < 0.01:
        return None
    error = max(float((r.double() - e).abs().max()) for r, e in zip(rough, exact))
    spread = float(exact[1].detach().std())
    expected = {"input_ids_a": ids_a.int(), "input_ids_b": ids_b.int(), "logits_a": exact[0].detach().to(F32), "logits_b": exact[1].detach().to(F32)}
    for index, (prompt, (tokens, _)) in enumerate(zip(prompts, generated)):
        expected[f"gen{index}_prompt"], expected[f"gen{index}_tokens"] = prompt.int(), tokens.int()
    meta = {"reference": f"transformers {transformers.__version__}: {kind}ForCausalLM, in f64", "covers": covers, "seed": seed,
            "tolerance_max_abs": TOLERANCE, "reference_f32_error": float(f"{error:.2g}"), "logits_std": round(spread, 2),
            "smallest_top2_margin": min(margins)}
    assert error < TOLERANCE / 2, (name, error)
    return config, stored, expected, meta


def published(name, config):
    """config.json as a hub's checkpoints have it: most in the layout of transformers 5, some in that of version 4."""
    keys = json.loads(config.to_json_string(use_diff=False))
    for key in ("_name_or_path", "chunk_size_feed_forward", "id2label", "is_encoder_decoder", "label2id", "output_attentions", "output_hidden_states",
                "problem_type", "return_dict"):
        keys.pop(key, None)
    if name in EARLIER_LAYOUT:
        keys["torch_dtype"] = keys.pop("dtype")
        keys["transformers_version"] = "4.45.0"
        if "time_step_limit" in keys:
            keys["time_step_limit"] = [0.0, math.inf]  # written as the bare word Infinity, which JSON has not and published files have
        rope = keys.pop("rope_parameters", None)
        if rope:
            keys["rope_theta"] = rope.pop("rope_theta")
            keys["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    return keys


def write(name, config, stored, expected, meta):
    from safetensors.torch import save_file
    storage = CHECKPOINTS[name][3]
    folder = os.path.join(FOLDER, name)
    os.makedirs(folder, exist_ok=True)
    if storage == "bf16":
        stored = {key: value.to(torch.bfloat16) for key, value in stored.items()}
    stored = {key: value.contiguous() for key, value in on_disk(CHECKPOINTS[name][0], stored).items()}
    config.architectures = [CHECKPOINTS[name][0] + "ForCausalLM"]
    config.dtype = "bfloat16" if storage == "bf16" else "float32"
    with open(os.path.join(folder, "config.json"), "w") as file:
        file.write(json.dumps(published(name, config), indent=2, sort_keys=True) + "\n")
    if storage == "shards":
        keys = sorted(stored)
        half = len(keys) // 2
        files = {"model-00001-of-00002.safetensors": keys[:half], "model-00002-of-00002.safetensors": keys[half:]}
        for file_name, part in files.items():
            save_file({key: stored[key] for key in part}, os.path.join(folder, file_name), metadata={"format": "pt"})
        index = {"metadata": {"total_size": sum(v.numel() * v.element_size() for v in stored.values())},
                 "weight_map": {key: file_name for file_name, part in files.items() for key in part}}
        with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
            file.write(json.dumps(index, indent=2) + "\n")
    else:
        save_file(stored, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "meta.json"), "w") as file:
        file.write(json.dumps(meta, indent=2) + "\n")


def main():
    names = sys.argv[1:] or list(CHECKPOINTS)
    unknown = [name for name in names if name not in CHECKPOINTS]
    if unknown:
        sys.exit(f"make_golden: unknown {', '.join(unknown)}; expected of {', '.join(CHECKPOINTS)}")
    for name in names:
        made = next(made for seed in range(1, 200) if (made := make(name, seed)) is not None)
        write(name, *made)
        size = sum(os.path.getsize(os.path.join(FOLDER, name, file)) for file in os.listdir(os.path.join(FOLDER, name)))
        print(f"{name}: {size / 1000:.0f} kB, {made[3]}")


if __name__ == "__main__":
    main()

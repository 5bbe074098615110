#!/usr/bin/env python3
"""Compares specs with transformers on random tiny checkpoints of published classes, one row a class and switch.

    v/bin/python test/golden/sweep_classes.py --bin build/bin [PATTERN...]        patterns of CLASS or CLASS:SWITCH

Needs torch and transformers (run with torch 2.15.0, transformers 5.23.0), like make_golden.py; no test runs it. Beside the switches of its table every class is tried
with its config in the layout of transformers 4, with one key head, tied and untied. A row is right where no logit of 60 differs by 2e-4; logits have a standard deviation
near 1, tied ones near 4. The exit code is 1 where a row is not.
"""

import argparse
import array
import copy
import fnmatch
import json
import os
import subprocess
import sys
import tempfile

import torch
import transformers

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import tensors  # noqa: E402

TOKENS, TOLERANCE = 60, 2e-4


def rope(**more):
    return {"rope_parameters": {"rope_theta": 5000.0, "rope_type": "default", **more}}


SMALL = dict(vocab_size=97, hidden_size=64, intermediate_size=72, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, pad_token_id=None)
HEAD = {**SMALL, "head_dim": 16}
WINDOW = {**SMALL, "sliding_window": 8, "num_hidden_layers": 4}
MOE = dict(moe_intermediate_size=40, n_routed_experts=8, num_experts_per_tok=3, n_group=1, topk_group=1, n_shared_experts=1)
DELTA = dict(head_dim=16, linear_key_head_dim=12, linear_value_head_dim=10, linear_num_key_heads=2, linear_num_value_heads=4, linear_conv_kernel_dim=3,
             layer_types=["linear_attention", "full_attention", "linear_attention"])
YARN = rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
LLAMA3 = rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
ALPHA = rope(rope_type="dynamic", alpha=100.0, factor=1.0)
SCALES = dict(embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=0.3)
BIAS = {"bias": {"attention_bias": True}}
WIDE = {"wide": {"head_dim": 24}}
GROUPS = {"groups": {"n_group": 4, "topk_group": 2}}
GROWING = rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, llama_4_scaling_beta=0.3, mscale=1.0, mscale_all_dim=1.0, beta_fast=32.0, beta_slow=1.0)

# class: (configuration, switches)
CLASSES = {
    "Cohere": (SMALL, {**BIAS, "norms": {"use_qk_norm": True}, "scale": {"logit_scale": 0.3}, "yarn": YARN}),
    "Exaone4": (WINDOW, {**WIDE, "llama3": LLAMA3, "no window": {"sliding_window": None, "sliding_window_pattern": None, "layer_types": ["full_attention"] * 4},
                         "types": {"layer_types": ["full_attention", "sliding_attention"] * 2}}),
    "Glm": (HEAD, {**WIDE, "no bias": {"attention_bias": False}, "whole": rope(partial_rotary_factor=1.0)}),
    "Glm4": (HEAD, {**BIAS, "quarter": rope(partial_rotary_factor=0.25), "gelu": {"hidden_act": "gelu"}}),
    "SeedOss": (HEAD, {**WIDE, "no bias": {"attention_bias": False}, "biases": {"attention_out_bias": True, "mlp_bias": True}}),
    "HunYuanDenseV1": (HEAD, {**BIAS, **WIDE, "alpha": ALPHA, "yarn": YARN}),
    "HunYuanMoEV1": ({**HEAD, "num_experts": 6, "moe_topk": 2}, {**BIAS, "alpha": ALPHA}),
    "Ernie4_5": (HEAD, {**WIDE, "biases": {"use_bias": True}}),
    "Ernie4_5_Moe": ({**SMALL, "moe_intermediate_size": 40, "moe_num_experts": 8, "moe_k": 3, "moe_num_shared_experts": 1}, {
        "biases": {"use_bias": True}, "alone": {"moe_num_shared_experts": 0}, "interval": {"moe_layer_interval": 2},
        "end": {"moe_layer_end_index": 1, "moe_layer_start_index": 0}}),
    "Apertus": (SMALL, {**BIAS, **WIDE, "plain rope": rope(), "silu": {"hidden_act": "silu"}}),
    "Dots1": ({**SMALL, **MOE, "first_k_dense_replace": 1}, {
        **BIAS, "groups": {"n_group": 4, "topk_group": 2, "norm_topk_prob": True}, "window": {"sliding_window": 8, "max_window_layers": 1},
        "scale": {"routed_scaling_factor": 2.5}, "all": {"first_k_dense_replace": 0}}),
    "Glm4Moe": ({**HEAD, **MOE}, {**BIAS, **GROUPS, "norms": {"use_qk_norm": True}, "whole": rope(partial_rotary_factor=1.0), "shared": {"n_shared_experts": 2}}),
    "SolarOpen": ({**HEAD, **MOE}, BIAS),
    "MiniMaxM2": ({**HEAD, "num_local_experts": 6, "num_experts_per_tok": 2}, {**WIDE, "part": {"rotary_dim": 8}}),
    "FlexOlmo": ({**SMALL, "num_experts": 6, "num_experts_per_tok": 3}, {**BIAS, "renormalised": {"norm_topk_prob": True}}),
    "Cwm": ({**HEAD, "sliding_window": 8, "num_hidden_layers": 5}, {"mlp biases": {"mlp_bias": True}, "plain rope": rope()}),
    "Ministral3": ({**HEAD, **GROWING}, {"window": {"sliding_window": 8}}),
    "Nemotron": (SMALL, {**BIAS, **WIDE, "mlp biases": {"mlp_bias": True}, "quarter": rope(partial_rotary_factor=0.25), "silu": {"hidden_act": "silu"}}),
    "Jais2": (SMALL, {**WIDE, "no biases": {"attention_bias": False, "mlp_bias": False}, "llama3": LLAMA3}),
    "Helium": (HEAD, {**BIAS, "mlp biases": {"mlp_bias": True}}),
    "Youtu": ({**SMALL, "num_key_value_heads": 4, "q_lora_rank": 24, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "v_head_dim": 12, "qk_nope_head_dim": 10}, {
        **BIAS, "direct q": {"q_lora_rank": None}, "halves": {"rope_interleave": False}, "yarn": YARN}),
    "VaultGemma": ({**HEAD, "sliding_window": 8}, {**BIAS, "caps": {"attn_logit_softcapping": 3.0, "final_logit_softcapping": None}, "scale": {"query_pre_attn_scalar": 11}}),
    "HyperCLOVAX": (SMALL, {**BIAS, "scales": SCALES, "no post norms": {"use_post_norm": False}, "mlp biases": {"mlp_bias": True}}),
    "GraniteMoeShared": ({**SMALL, "num_local_experts": 5, "num_experts_per_tok": 2, "shared_intermediate_size": 20}, {
        **BIAS, "scales": SCALES, "alone": {"shared_intermediate_size": 0}}),
    "ExaoneMoe": ({**WINDOW, "moe_intermediate_size": 40, "num_experts": 8, "num_experts_per_tok": 3}, {
        **GROUPS, "shared": {"num_shared_experts": 2}, "types": {"mlp_layer_types": ["sparse", "dense"] * 2}}),
    "Qwen3_5Moe": ({**SMALL, **DELTA, "moe_intermediate_size": 40, "shared_expert_intermediate_size": 24, "num_experts": 6, "num_experts_per_tok": 2}, {
        **BIAS, "half": rope(partial_rotary_factor=0.5)}),
    "Glm4MoeLite": ({**SMALL, "num_key_value_heads": 4, "q_lora_rank": 24, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "v_head_dim": 12, "qk_nope_head_dim": 10,
                     "moe_intermediate_size": 40, "n_routed_experts": 8, "num_experts_per_tok": 3}, {**GROUPS, "direct q": {"q_lora_rank": None}}),
    "Phimoe": ({**SMALL, "num_local_experts": 6}, {"biases": {"attention_bias": True, "lm_head_bias": True}, "near": {"router_jitter_noise": 0.3}}),
    "GPTJ": (dict(vocab_size=97, n_embd=64, n_layer=3, n_head=4, rotary_dim=8, n_positions=256, bos_token_id=None, eos_token_id=None), {
        "whole": {"rotary_dim": 16}, "inner": {"n_inner": 72}}),
    "Bloom": (dict(vocab_size=97, hidden_size=64, n_layer=3, n_head=4), {
        "6 heads": {"n_head": 6, "hidden_size": 72}, "late": {"apply_residual_connection_post_layernorm": True}}),
    "Falcon": (dict(vocab_size=97, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, bos_token_id=None, eos_token_id=None, max_position_embeddings=256), {
        "groups": {"new_decoder_architecture": True, "num_kv_heads": 2}, "heads": {"multi_query": False},
        "one norm": {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1}, "in turn": {"parallel_attn": False, "bias": True},
        "biases": {"alibi": True, "num_attention_heads": 6, "hidden_size": 72}}),
}


def earlier(config):
    """The layout of transformers 4."""
    turned = config.pop("rope_parameters", None)
    if turned:
        config["rope_theta"] = turned.pop("rope_theta", 10000.0)
        if "partial_rotary_factor" in turned:
            config["partial_rotary_factor"] = turned.pop("partial_rotary_factor")
        kind = turned.pop("rope_type", "default")
        config["rope_scaling"] = None if kind == "default" else {**turned, "type": kind}
    config["torch_dtype"] = config.pop("dtype", "float32")


def draw(model, generator):
    with torch.no_grad():
        tables = list(model.named_parameters()) + [(n, b) for n, b in model.named_buffers() if "correction_bias" in n]
        for name, value in tables:
            random = torch.randn(value.shape, generator=generator)
            if value.ndim < 2 or "norm" in name:
                value.add_(0.2 * random)
            else:
                value.copy_(random * (0.5 if "embed" in name else 1.1 / value.shape[-1] ** 0.5))


def compare(binaries, kind, settings, as_earlier):
    kind = getattr(transformers, kind + "ForCausalLM")
    config = kind.config_class(**copy.deepcopy(settings))
    # Falcon's eager program adds its linear biases twice.
    config._attn_implementation = "sdpa" if getattr(config, "alibi", False) else "eager"
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(3)
    model = kind(config).float().eval()
    draw(model, generator)
    model.tie_weights()
    model.config.architectures = [kind.__name__]
    ids = torch.randint(0, config.vocab_size, (1, TOKENS), generator=generator)
    with torch.no_grad():
        wanted = model(ids, use_cache=False).logits
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        path = os.path.join(folder, "config.json")
        with open(path) as file:
            saved = json.load(file)
        if as_earlier:
            earlier(saved)
        with open(path, "w") as file:
            json.dump(saved, file)
        package, given, found = (os.path.join(folder, name) for name in ("m.rpk", "in.safetensors", "out.safetensors"))
        tensors.write(given, {"tokens": ("I64", [1, TOKENS], array.array("q", ids[0].tolist()))})
        for command in ([f"{binaries}/rondoc", "--checkpoint", folder, "--target", "native", "--entry", "forward", "-o", package],
                        [f"{binaries}/rondo", "eval", package, "--entry", "forward", "--inputs", given, "--outputs", found]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                return False, done.stderr.split("\n")[0]
        logits = torch.tensor(tensors.read(found)["logits"][2]).view(wanted.shape)
    error = float((logits - wanted).abs().max())
    return error < TOLERANCE, f"{error:.1e} of a standard deviation of {float(wanted.std()):.2g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default="build/bin", help="the folder of rondoc and rondo")
    parser.add_argument("patterns", nargs="*", default=["*"])
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    wrong = 0
    for kind, (settings, switches) in CLASSES.items():
        rows = {"base": {}, "earlier config": {}, "tied": {"tie_word_embeddings": True}, "untied": {"tie_word_embeddings": False}, **switches}
        if settings.get("num_key_value_heads") == 2:
            rows["one key head"] = {"num_key_value_heads": 1}
        for name, more in rows.items():
            if any(fnmatch.fnmatch(kind, p) or fnmatch.fnmatch(f"{kind}:{name}", p) for p in options.patterns):
                right, text = compare(options.bin, kind, {**settings, **more}, name == "earlier config")
                wrong += not right
                print(f"{kind:18} {name:16} {'equal' if right else 'WRONG':6} {text}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Gated recurrences of one number a channel, and the gated short convolution: RG-LRU, MLGRU, LFM2.

    python3 test/golden/mechanisms/make_gated.py        (numpy, torch, transformers, safetensors)
"""

import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""
for package in ("fla", "mamba_ssm", "causal_conv1d", "kernels"):
    sys.modules[package] = None  # the plain code, not a kernel of another package

import numpy as np
import torch
from transformers.models.lfm2.configuration_lfm2 import Lfm2Config
from transformers.models.lfm2.modeling_lfm2 import Lfm2ShortConv
from transformers.models.recurrent_gemma.configuration_recurrent_gemma import RecurrentGemmaConfig
from transformers.models.recurrent_gemma.modeling_recurrent_gemma import RecurrentGemmaRecurrentBlock

from golden import f32, write

TOKENS = 37


def weights_of(module, scale=0.5):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * scale)
    module.float().double()  # the numbers that the files hold
    return {name: value.numpy() for name, value in module.state_dict().items()}


def rglru():
    torch.manual_seed(3)
    config = RecurrentGemmaConfig(hidden_size=12, lru_width=16, num_attention_heads=4, conv1d_width=4, num_hidden_layers=3)
    block = RecurrentGemmaRecurrentBlock(config, 0).double()
    weights = weights_of(block)
    x = torch.randn(1, TOKENS, 12).float().double()
    with torch.no_grad():
        y, _ = block(x, torch.arange(TOKENS)[None], None, use_cache=False)
    write("rglru", {
        "spec": "models/rglru.rondo", "module": "recurrent_block", "set": {"d": 12, "w": 16, "h": 4},
        "title": "RG-LRU (Griffin)", "paper": "2402.19427", "class": "diagonal",
        "states": {"S": "decay per channel [h e], rank 1"},
        "oracle": "transformers:RecurrentGemmaRecurrentBlock in f64",
        "tolerance": 1e-6, "tolerance_f32": 2e-5,
        "why": "the published code keeps its state in f32 whatever the input; sqrt(1 - a^2) loses digits where a is near 1",
    }, {"x": x.numpy()}, {"y": y.numpy()}, weights)


def lfm2():
    torch.manual_seed(4)
    config = Lfm2Config(hidden_size=12, num_attention_heads=2, num_key_value_heads=2, num_hidden_layers=1, layer_types=["conv"], conv_L_cache=3, conv_bias=False)
    block = Lfm2ShortConv(config, 0).double()
    weights = weights_of(block)
    x = torch.randn(1, TOKENS, 12).float().double()
    with torch.no_grad():
        y = block(x)
    write("lfm2_conv", {
        "spec": "models/lfm2_conv.rondo", "module": "short_conv_mixer", "set": {"d": 12},
        "title": "LFM2 short convolution", "paper": "2511.23404", "class": "FIR (finite window), gated",
        "states": {},
        "oracle": "transformers:Lfm2ShortConv in f64",
        "tolerance": 1e-10, "tolerance_f32": 5e-6,
        "why": "f64 on both sides; f32 rounding of two products of 12 terms",
    }, {"x": x.numpy()}, {"y": y.numpy()}, weights)


def mlgru():
    """matmulfreellm's HGRNBitAttention, written again in numpy: its kernels need a GPU, its formulas are a few lines."""
    random = np.random.default_rng(24)
    d = 8
    weights, ties = {}, []
    for name in ("i_proj", "f_proj", "g_proj", "o_proj"):
        weights[f"{name}.weight"], weights[f"{name}.norm.weight"] = f32(random.normal(size=(d, d)) * 0.4), f32(random.normal(size=d) * 0.2 + 1)
    weights["g_norm.weight"] = f32(random.normal(size=d) * 0.2 + 1)
    x, bound = f32(random.normal(size=(1, TOKENS, d))), f32(random.uniform(0.1, 0.6, size=(1, TOKENS, d)))
    bound[:] = bound[:, :1]

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def rms(z, weight, eps):
        return z / np.sqrt(np.mean(z**2, axis=-1, keepdims=True) + eps) * weight

    def bitlinear(name, z):
        w = weights[f"{name}.weight"].astype(np.float64)
        n = rms(z, weights[f"{name}.norm.weight"].astype(np.float64), 1e-8)
        scale = 127 / np.maximum(np.abs(n).max(axis=-1, keepdims=True), 1e-5)
        size = max(np.abs(w).mean(), 1e-5)
        for value in (n * scale, w / size):
            ties.append(np.abs(value - np.floor(value) - 0.5).min())
        return (np.clip(np.round(n * scale), -128, 127) / scale) @ (np.clip(np.round(w / size), -1, 1) * size).T

    z, b = x.astype(np.float64), bound.astype(np.float64)
    f = b + (1 - b) * sigmoid(bitlinear("f_proj", z))
    i = bitlinear("i_proj", z)
    i = i * sigmoid(i) * (1 - f)
    state, h = np.zeros((1, d)), np.zeros_like(z)
    for t in range(TOKENS):
        state = f[:, t] * state + i[:, t]
        h[:, t] = state
    o = rms(bitlinear("g_proj", z), weights["g_norm.weight"].astype(np.float64), 1e-6) * h * sigmoid(h)
    y = bitlinear("o_proj", o)
    # A value that f32 rounds to another integer is no error of a formula: keep clear of ties.
    print(f"nearest to a tie: {min(ties):.2g}")
    if min(ties) < 1e-4:
        raise ValueError("a quantised value is too near a tie for f32; take another seed")
    write("mlgru", {
        "spec": "models/mlgru.rondo", "module": "mlgru", "set": {"d": d},
        "title": "MLGRU (MatMul-free)", "paper": "2406.02528", "class": "diagonal",
        "states": {"S": "decay per channel [d], rank 1"},
        "oracle": "numpy in f64: matmulfreellm's HGRNBitAttention and BitLinear, token by token",
        "tolerance": 1e-10, "tolerance_f32": 1e-5, "verify_inputs": True,
        "why": "f64 on both sides; f32 rounding over 37 tokens (no quantised value of these inputs lies within 1e-4 of a tie, hence the same inputs for `rondo verify`)",
    }, {"x": x, "bound": bound}, {"y": y, "state.S": state}, weights)


if __name__ == "__main__":
    rglru()
    lfm2()
    mlgru()

#!/usr/bin/env python3
"""Linear attentions with other features or fixed decays, and Longhorn: performer-pytorch and transformers in f64, else the papers' formulas in numpy.

    python3 test/golden/mechanisms/make_linear.py        (numpy, torch, transformers, performer-pytorch, einops, safetensors)
"""

import os
import sys
from unittest.mock import MagicMock

os.environ["CUDA_VISIBLE_DEVICES"] = ""
for package in ("fla", "mamba_ssm", "causal_conv1d", "kernels"):
    sys.modules[package] = None
for package in ("local_attention", "axial_positional_embedding", "performer_pytorch.reversible"):
    sys.modules[package] = MagicMock()  # parts of performer-pytorch that are not used here

import numpy as np
import torch
from performer_pytorch.performer_pytorch import causal_linear_attention_noncuda, gaussian_orthogonal_random_matrix, softmax_kernel
from transformers import MiniMaxConfig
from transformers.models.minimax.modeling_minimax import MiniMaxLightningAttention

from golden import f32, write

TOKENS = 37
WHY = {"tolerance": 1e-8, "tolerance_f32": 2e-5,
       "why": "both sides are f64, but the epsilons and scales of a spec are f32 numbers (3e-8 of 1e-6 in a norm); f32 rounding over 37 tokens"}


def numbers(random, *shape, scale=1.0, offset=0.0):
    """What the files hold, in f64."""
    return f32(random.standard_normal(shape) * scale + offset).astype(np.float64)


def matrix(random, *shape):
    return numbers(random, *shape, scale=1.3 / shape[-1] ** 0.5)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def unit_rms(x, eps):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps)


def performer(random):
    d, h, k, m = 16, 2, 4, 8
    torch.manual_seed(5)
    w = {f"to_{name}.weight": matrix(random, h * k, d) for name in "qkv"}
    w |= {"to_out.weight": matrix(random, d, h * k), "to_out.bias": numbers(random, d, scale=0.3)}
    w["fast_attention.projection_matrix"] = f32(gaussian_orthogonal_random_matrix(m, k).numpy()).astype(np.float64)
    x = numbers(random, 1, TOKENS, d)
    q, key, val = (torch.from_numpy((x @ w[f"to_{name}.weight"].T).reshape(1, TOKENS, h, k)).transpose(1, 2) for name in "qkv")
    given = {"projection_matrix": torch.from_numpy(w["fast_attention.projection_matrix"]), "eps": 0}
    o = causal_linear_attention_noncuda(softmax_kernel(q, is_query=True, **given), softmax_kernel(key, is_query=False, **given), val, eps=0)
    y = o.transpose(1, 2).reshape(1, TOKENS, h * k).numpy() @ w["to_out.weight"].T + w["to_out.bias"]
    write("performer", {
        "spec": "models/performer.rondo", "module": "performer", "set": {"d": d, "h": h, "k": k, "m": m},
        "title": "Performer (FAVOR+)", "paper": "2009.14794", "class": "identity on phi(k); a ratio",
        "states": {"S": "no decay, rank 1", "z": "no decay, rank 1"},
        "oracle": "performer-pytorch:softmax_kernel and causal_linear_attention_noncuda in f64, with eps = 0", **WHY,
    }, {"x": x}, {"y": y}, w)


def lightning(random):
    config = MiniMaxConfig(hidden_size=24, num_attention_heads=4, head_dim=6, num_hidden_layers=5, block_size=8, layer_types=["linear_attention"] * 5)
    module = MiniMaxLightningAttention(config, 2).double().eval()
    with torch.no_grad():
        # The published slopes, not their f32 rounding.
        module.slope_rate = torch.from_numpy(2.0 ** (-8 * np.arange(1, 5) / 4) * (1 - 2 / (5 - 1 + 1e-5) + 1e-5))[:, None, None]
        module.query_decay, module.key_decay, module.diagonal_decay = module.decay_factors(module.slope_rate)
        for parameter in module.parameters():
            value = matrix(random, *parameter.shape) if parameter.dim() > 1 else numbers(random, *parameter.shape, scale=0.3, offset=1)
            parameter.copy_(torch.from_numpy(value))
        x = numbers(random, 1, TOKENS, 24)
        y = module(torch.from_numpy(x), None, None)[0].numpy()
    write("lightning", {
        "spec": "models/lightning.rondo", "module": "lightning", "set": {"d": 24, "h": 4, "k": 6, "layers": 5, "layer": 2},
        "title": "Lightning attention (MiniMax-01)", "paper": "2501.08313", "class": "static scalar decay per head+layer",
        "states": {"S": "decay per head [h], constant in time, rank 1"},
        "oracle": "transformers:MiniMaxLightningAttention in f64, the third of five layers", **WHY,
        "tolerance": 1e-7, "why": "both sides are f64, but a layer's factor of the slopes is an f32 number of the spec; f32 rounding over 37 tokens",
    }, {"x": x}, {"y": y}, {name: value.detach().numpy() for name, value in module.named_parameters()})


def transnormer(random):
    d, h, layers = 16, 2, 6
    v = d // h
    w = {"qkvu_proj.weight": matrix(random, 4 * d, d), "out_proj.weight": matrix(random, d, d), "lrpe.theta": numbers(random, h, 1, v)}
    x = numbers(random, TOKENS, d)
    q, key, val, u = np.split(x @ w["qkvu_proj.weight"].T, 4, axis=-1)
    state, y = np.zeros((h, 2 * v, v)), []
    decay = np.exp(-(2.0 ** (-8 * np.arange(1, h + 1) / h)) * (1 - 0 / (layers - 1) + 1e-5))
    for t in range(TOKENS):
        angle = w["lrpe.theta"][:, 0] * t
        turned = [np.concatenate([np.cos(angle) * a, np.sin(angle) * a], -1) for a in (silu(q[t]).reshape(h, v), silu(key[t]).reshape(h, v))]
        state = decay[:, None, None] * state + turned[1][:, :, None] * val[t].reshape(h, 1, v)
        o = np.einsum("hkv,hk->hv", state, turned[0]).reshape(d)
        y.append((u[t] * unit_rms(o, 1e-6)) @ w["out_proj.weight"].T)
    write("transnormer", {
        "spec": "models/transnormer.rondo", "module": "transnormer", "set": {"d": d, "h": h, "layers": layers},
        "title": "TransNormerLLM, first layer (with LRPE)", "paper": "2307.14995", "class": "static scalar decay per head+layer",
        "states": {"S": "decay per head [h], constant in time, rank 1"},
        "oracle": "the paper's equations token by token, in numpy f64", **WHY,
    }, {"x": x[None]}, {"y": np.array(y)[None]}, w)


def longhorn(random):
    d, inner, n, r, width = 12, 24, 8, 3, 4
    w = {"in_proj.weight": matrix(random, 2 * inner, d), "conv1d.weight": numbers(random, inner, 1, width, scale=0.5), "conv1d.bias": numbers(random, inner, scale=0.5),
         "x_proj.weight": matrix(random, r + 2 * n, inner), "dt_head.weight": matrix(random, inner, r), "dt_head.bias": numbers(random, inner, scale=2),
         "D": numbers(random, inner), "out_proj.weight": matrix(random, d, inner)}
    u = numbers(random, TOKENS, d)
    x, z = np.split(u @ w["in_proj.weight"].T, 2, axis=-1)
    padded = np.concatenate([np.zeros((width - 1, inner)), x])
    x = silu(sum(w["conv1d.weight"][:, 0, j] * padded[j:j + TOKENS] for j in range(width)) + w["conv1d.bias"])
    low, k, q = np.split(x @ w["x_proj.weight"].T, [r, r + n], axis=-1)
    beta = sigmoid(low @ w["dt_head.weight"].T + w["dt_head.bias"])
    state, y = np.zeros((inner, n)), []
    for t in range(TOKENS):
        rate = (beta[t] / (1 + beta[t] * (k[t] ** 2).sum()))[:, None]
        state = (1 - rate * k[t] ** 2) * state + rate * k[t] * x[t][:, None]
        y.append(((state * q[t]).sum(-1) + w["D"] * x[t]) * silu(z[t]) @ w["out_proj.weight"].T)
    write("longhorn", {
        "spec": "models/longhorn.rondo", "module": "longhorn", "set": {"d": d, "n": n, "r": r},
        "title": "Longhorn", "paper": "2407.14207", "class": "diagonal (approximation of rank-1)",
        "states": {"S": "decay per key and value channel [inner n], rank 1"},
        "oracle": "the published step of Longhorn token by token, in numpy f64", **WHY,
    }, {"u": u[None]}, {"y": np.array(y)[None]}, w)


if __name__ == "__main__":
    for index, make in enumerate((performer, lightning, transnormer, longhorn)):
        make(np.random.default_rng(300 + index))

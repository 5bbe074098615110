#!/usr/bin/env python3
"""Layers of flash-linear-attention, from the package's own code in f64.

    python3 test/golden/mechanisms/make_fla.py [NAME...]       (numpy, torch, transformers, triton, einops, flash-linear-attention 0.6, safetensors)
"""

import sys

import fla_f64  # noqa: F401
import torch
import fla.layers as layers

from golden import write

TOKENS = 37
WHY = {"tolerance": 1e-8, "tolerance_f32": 2e-5,
       "why": "both sides are f64, but the epsilons and scales of a spec are f32 numbers (3e-8 of 1e-6 in a norm); f32 rounding over 37 tokens"}
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def layer(module, d, given=None, special=None):
    """A layer with random parameters: vectors near what they begin as, matrices that keep the size of what they multiply."""
    given = given or {}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if special and name in special:
                value = special[name](parameter)
            elif parameter.dim() >= 2:
                value = torch.randn(parameter.shape) * 1.3 / parameter.shape[-1] ** 0.5
            else:
                value = parameter + torch.randn(parameter.shape) * 0.4
            parameter.copy_(value.to(torch.half).double())  # numbers that the files hold
        x = torch.randn(1, TOKENS, d).to(torch.half).double()
        y = module.eval()(x, **given)
        y = y[0] if isinstance(y, tuple) else y
        return {"x": x.numpy()}, {"y": y.numpy()}, {name: value.numpy() for name, value in module.state_dict().items()}


@case
def retnet():
    inputs, expected, weights = layer(layers.MultiScaleRetention(hidden_size=24, num_heads=3, expand_v=2.0, layer_idx=0, norm_eps=1e-6), 24)
    write("retnet", {
        "spec": "models/retnet.rondo", "module": "retention", "set": {"d": 24, "h": 3},
        "title": "RetNet", "paper": "2307.08621", "class": "static scalar decay",
        "states": {"S": "decay per head [h], constant in time, rank 1"},
        "oracle": "flash-linear-attention:MultiScaleRetention in f64", **WHY,
    }, inputs, expected, weights)


@case
def gla():
    module = layers.GatedLinearAttention(hidden_size=24, num_heads=2, expand_k=0.5, layer_idx=0, norm_eps=1e-6)
    inputs, expected, weights = layer(module, 24, special={"gk_proj.1.bias": lambda p: torch.linspace(-40, 10, p.shape[0])})
    write("gla", {
        "spec": "models/gla.rondo", "module": "gla", "set": {"d": 24, "h": 2},
        "title": "Gated linear attention (GLA)", "paper": "2312.06635", "class": "diagonal decay",
        "states": {"S": "decay per key channel [h k], rank 1"},
        "oracle": "flash-linear-attention:GatedLinearAttention in f64", **WHY,
    }, inputs, expected, weights)


@case
def hgrn2():
    bound = torch.linspace(0.05, 0.95, 24).to(torch.half).double()
    inputs, expected, weights = layer(layers.HGRN2Attention(hidden_size=24, num_heads=3, expand_ratio=8, layer_idx=1), 24, {"lower_bound": bound})
    inputs["bound"] = bound.expand(1, TOKENS, 24).numpy()
    write("hgrn2", {
        "spec": "models/hgrn2.rondo", "module": "hgrn2", "set": {"d": 24, "k": 8},
        "title": "HGRN2", "paper": "2404.07904", "class": "diagonal decay, k = 1-f",
        "states": {"S": "decay per key channel [h k], rank 1"},
        "oracle": "flash-linear-attention:HGRN2Attention in f64, a later layer", **WHY,
    }, inputs, expected, weights)


@case
def delta_net():
    module = layers.DeltaNet(hidden_size=24, num_heads=2, allow_neg_eigval=True, use_gate=True, layer_idx=0, norm_eps=1e-6)
    inputs, expected, weights = layer(module, 24)
    write("delta_net", {
        "spec": "models/delta_net.rondo", "module": "delta_net", "set": {"d": 24, "h": 2, "negative": True, "gated": True},
        "title": "DeltaNet", "paper": "2406.06484", "class": "identity + rank-1",
        "states": {"S": "no decay, rank 1 that reads the state (delta rule)"},
        "oracle": "flash-linear-attention:DeltaNet in f64, eigenvalues in [-1, 1], gated", **WHY,
    }, inputs, expected, weights)


@case
def gated_delta_net():
    module = layers.GatedDeltaNet(hidden_size=24, head_dim=6, num_heads=2, num_v_heads=4, expand_v=1.5, layer_idx=0, norm_eps=1e-6)
    inputs, expected, weights = layer(module, 24, special={"A_log": lambda p: torch.linspace(-4, 1, p.shape[0])})
    write("gated_delta_net", {
        "spec": "models/gated_delta_net.rondo", "module": "gated_delta_net", "set": {"d": 24, "g": 2, "h": 4, "k": 6, "expand_v": 1.5},
        "title": "Gated DeltaNet", "paper": "2412.06464", "class": "scalar decay + rank-1",
        "states": {"S": "decay per head [h], rank 1 that reads the state (delta rule)"},
        "oracle": "flash-linear-attention:GatedDeltaNet in f64, two value heads a key head", **WHY,
    }, inputs, expected, weights)


def kimi(name, options, settings):
    module = layers.KimiDeltaAttention(hidden_size=24, head_dim=6, num_heads=2, layer_idx=0, norm_eps=1e-6, **options)
    inputs, expected, weights = layer(module, 24, special={"A_log": lambda p: torch.linspace(-4, 1, p.shape[0])})
    write(name, {
        "spec": "models/kda.rondo", "module": "kda", "set": {"d": 24, "g": 2, "k": 6, **settings},
        "title": "Kimi delta attention (KDA)" + (", decay with a lower bound" if "lower" in settings else ""), "paper": "2510.26692", "class": "diagonal decay + rank-1",
        "states": {"S": "decay per key channel [h k], rank 1 that reads the state (delta rule)"},
        "oracle": "flash-linear-attention:KimiDeltaAttention in f64", **WHY,
    }, inputs, expected, weights)


@case
def kda():
    kimi("kda", {"num_v_heads": 4}, {"h": 4})


@case
def kda_bounded():
    kimi("kda_bounded", {"lower_bound": -5.0, "safe_gate": True, "allow_neg_eigval": True}, {"h": 2, "lower": -5.0, "negative": True})


@case
def delta_product():
    module = layers.GatedDeltaProduct(hidden_size=20, head_dim=6, num_heads=2, expand_v=1.5, num_householder=2, layer_idx=0, norm_eps=1e-6)
    inputs, expected, weights = layer(module, 20, special={"A_log": lambda p: torch.linspace(-4, 1, p.shape[0])})
    write("delta_product", {
        "spec": "models/delta_product.rondo", "module": "delta_product", "set": {"d": 20, "h": 2, "k": 6, "n": 2, "expand_v": 1.5},
        "title": "Gated DeltaProduct", "paper": "2502.10297", "class": "scalar decay + product of n rank-1",
        "states": {"S": "decay per head [h], rank 3 that reads the state (delta rule)"},
        "oracle": "flash-linear-attention:GatedDeltaProduct in f64, two products a token, eigenvalues in [-1, 1]", **WHY,
    }, inputs, expected, weights)


@case
def linear_attention():
    module = layers.LinearAttention(mode="fused_recurrent", hidden_size=24, num_heads=4, num_kv_heads=2, feature_map="elu", do_feature_map_norm=True, layer_idx=0, norm_eps=1e-6)
    inputs, expected, weights = layer(module, 24)
    write("linear_attention", {
        "spec": "models/linear_attention.rondo", "module": "linear_attention", "set": {"d": 24, "h": 4, "g": 2, "features": "elu", "normalised": True},
        "title": "Linear attention with its normaliser", "paper": "2006.16236", "class": "none (identity); a ratio",
        "states": {"S": "no decay, rank 1", "z": "no decay, rank 1"},
        "oracle": "flash-linear-attention:LinearAttention in f64, two heads a key head", **WHY,
    }, inputs, expected, weights)


@case
def based():
    module = layers.BasedLinearAttention(hidden_size=24, feature_dim=4, num_key_value_heads=2, num_heads=2)
    module.forward = module.forward_reference
    inputs, expected, weights = layer(module, 24)
    write("based", {
        "spec": "models/based.rondo", "module": "based", "set": {"d": 24, "h": 2, "k": 4},
        "title": "Based (Taylor features)", "paper": "2402.18668", "class": "identity on phi(k); a ratio",
        "states": {"S": "no decay, rank 1", "z": "no decay, rank 1"},
        "oracle": "flash-linear-attention:BasedLinearAttention.forward_reference in f64", **WHY,
        "tolerance": 1e-7, "why": "both sides are f64, but the square roots of the features are f32 numbers of the spec; f32 rounding over 37 tokens",
    }, inputs, expected, weights)


if __name__ == "__main__":
    for index, (name, make) in enumerate(CASES.items()):
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            torch.manual_seed(100 + index)
            make()

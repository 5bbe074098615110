#!/usr/bin/env python3
"""Time mixing of RWKV-4 to 7 in f64: from transformers (4), the rwkv package (5, 7) and flash-linear-attention (6).

    python3 test/golden/mechanisms/make_rwkv.py        (numpy, torch, transformers, rwkv, triton, einops, flash-linear-attention 0.6, safetensors)
"""

import importlib
import os
import types

os.environ.update(RWKV_JIT_ON="0", RWKV_CUDA_ON="0")

import fla_f64  # noqa: F401
import torch
import torch.nn.functional as F
import fla.layers as layers
import rwkv.model
from transformers import RwkvConfig
from transformers.models.rwkv.modeling_rwkv import RwkvSelfAttention

from golden import write
from make_fla import TOKENS, WHY, layer

D = 16


def half(*shape, scale=1.0, offset=0.0):
    """Random numbers that the files hold exactly."""
    return (torch.randn(*shape) * scale + offset).to(torch.half).double()


def matrix(*shape):
    return half(*shape, scale=1.3 / shape[-1] ** 0.5)


def package(version_7):
    """The package defines either RWKV-7 or its forerunners."""
    os.environ["RWKV_V7_ON"] = version_7
    torch.jit.script = lambda function: function
    return importlib.reload(rwkv.model)


def numpy(tensors):
    return {name: value.numpy() for name, value in tensors.items()}


def rwkv4():
    special = {name: (lambda p: torch.rand(p.shape)) for name in ("time_mix_key", "time_mix_value", "time_mix_receptance")}
    special["time_decay"] = lambda p: torch.linspace(-5, 2, p.shape[0])
    special["time_first"] = lambda p: torch.randn(p.shape)
    inputs, expected, weights = layer(RwkvSelfAttention(RwkvConfig(hidden_size=D)), D, special=special)
    write("rwkv4", {
        "spec": "models/rwkv4.rondo", "module": "time_mix", "set": {"d": D},
        "title": "RWKV-4", "paper": "2305.13048", "class": "static diagonal, a ratio of two sums",
        "states": {name: "decay per channel [e], rank 1 that reads a.m" for name in "ab"},
        "oracle": "transformers:RwkvSelfAttention in f64", **WHY,
    }, inputs, expected, weights)


def rwkv5():
    K, H = 4, D // 4
    w = {f"time_mix_{c}": torch.rand(1, 1, D).to(torch.half).double() for c in "kvrg"}
    w |= {"time_decay": half(H, K, scale=1.5), "time_faaaa": half(H, K), "ln_x.weight": half(D, scale=0.3, offset=1), "ln_x.bias": half(D, scale=0.3)}
    w |= {f"{name}.weight": matrix(D, D) for name in ("receptance", "key", "value", "gate", "output")}
    x = half(TOKENS, D)
    # The package's function begins with the block's norm and ends with its residual; the module is what stands between. The norm's weight of a
    # vector that has mean 0 and variance 1 undoes nothing, so the mixing's input is the norm's output.
    x = F.layer_norm(x, (D,), eps=1e-5).float().to(torch.half).double()
    normed = {"layer_norm": lambda values, *_, **__: values}
    function = package("0").RWKV.att_seq_v5_2
    function = types.FunctionType(function.__code__, {**function.__globals__, "F": types.SimpleNamespace(**normed, silu=F.silu, group_norm=F.group_norm),
                                                      "matmul": lambda a, b, *_, **__: a @ b})
    mixes = [w[f"time_mix_{c}"].view(D) for c in "kvrg"]
    matrices = [w[f"{name}.weight"].T for name in ("key", "value", "receptance", "gate", "output")]
    out, _, state = function(None, x, torch.zeros(D), torch.zeros(H, K, K), None, None, w["ln_x.weight"], w["ln_x.bias"], *mixes,
                             torch.exp(-torch.exp(w["time_decay"]))[..., None], w["time_faaaa"][..., None], *matrices, *[None] * 20)
    write("rwkv5", {
        "spec": "models/rwkv5.rondo", "module": "time_mix", "set": {"d": D, "k": K},
        "title": "RWKV-5 (Eagle)", "paper": "2404.05892", "class": "static diagonal decay + bonus u",
        "states": {"S": "decay per key channel [h k], constant in time, rank 1"},
        "oracle": "rwkv:RWKV.att_seq_v5_2 in f64, without the block's norm and residual", **WHY,
    }, {"x": x[None].numpy()}, {"y": (out - x)[None].numpy()}, numpy(w))


def rwkv6():
    module = layers.RWKV6Attention(hidden_size=D, num_heads=2, proj_low_rank_dim=3, gate_low_rank_dim=5, layer_idx=0)
    special = {"w_proj.linear.lora.2.bias": lambda p: torch.linspace(-6, 2, p.shape[0]), "x_bias": lambda p: torch.rand(p.shape), "bonus": lambda p: torch.randn(p.shape)}
    inputs, expected, weights = layer(module, D, special=special)
    write("rwkv6", {
        "spec": "models/rwkv6.rondo", "module": "rwkv6", "set": {"d": D, "h": 2, "low": 3, "gate_low": 5},
        "title": "RWKV-6 (Finch)", "paper": "2404.05892", "class": "dynamic diagonal decay + bonus u",
        "states": {"S": "decay per key channel [h k], rank 1"},
        "oracle": "flash-linear-attention:RWKV6Attention in f64", **WHY,
    }, inputs, expected, weights)


def rwkv7(name, number):
    K, H, low = 4, D // 4, {"w": 3, "a": 2, "v": 5, "g": 6}
    w = {f"x_{c}": torch.rand(1, 1, D).to(torch.half).double() for c in "rwkvag"}
    for c in "wavg":
        w |= {f"{c}1": half(D, low[c], scale=0.5), f"{c}2": half(low[c], D, scale=0.7)}
        w |= {f"{c}0": half(1, 1, D, scale=2)} if c != "g" else {}
    w |= {"k_k": half(1, 1, D, offset=1, scale=0.3), "k_a": half(1, 1, D, offset=1, scale=0.5), "r_k": half(H, K), "ln_x.weight": half(D, scale=0.3, offset=1), "ln_x.bias": half(D, scale=0.3)}
    w |= {f"{name}.weight": matrix(D, D) for name in ("receptance", "key", "value", "output")}
    x, first = half(TOKENS, D), half(TOKENS, D)
    flat = [w[f].view(D) for f in ("x_r", "x_w", "x_k", "x_v", "x_a", "x_g")]
    loras = [w[n].view(D) if n.endswith("0") else w[n] for n in ("w0", "w1", "w2", "a0", "a1", "a2", "v0", "v1", "v2", "g1", "g2")]
    source = package("1").RWKV_x070_TMix_seq
    # The package writes exp(-1/2) as 0.606531.
    code = source.__code__.replace(co_consts=tuple(torch.exp(torch.tensor(-0.5)).item() * (1 if c > 0 else -1) if isinstance(c, float) and abs(abs(c) - 0.606531) < 1e-9 else c
                                                   for c in source.__code__.co_consts))
    out, _, state, values = types.FunctionType(code, source.__globals__)(
        number, H, K, x.clone(), torch.zeros(D), first, torch.zeros(H, K, K), *flat, *loras, w["k_k"].view(D), w["k_a"].view(D), w["r_k"].reshape(-1),
        *[w[f"{m}.weight"].T for m in ("receptance", "key", "value", "output")], w["ln_x.weight"], w["ln_x.bias"])
    inputs, expected = {"x": x[None].numpy()}, {"y": out[None].numpy()}
    if number:
        inputs["first"] = first.view(1, TOKENS, H, K).numpy()
    else:
        expected["val"] = values.view(1, TOKENS, H, K).numpy()
        w = {n: value for n, value in w.items() if n not in ("v0", "v1", "v2")}
    write(name, {
        "spec": "models/rwkv7.rondo", "module": "time_mix" if number else "first_time_mix", "set": {"d": D, "k": K, "decay_low": 3, "rate_low": 2, "value_low": 5, "gate_low": 6},
        "title": "RWKV-7 (Goose)" + ("" if number else ", the first layer"), "paper": "2503.14456", "class": "diagonal + rank-1 (generalised delta)",
        "states": {"S": "decay per key channel [h k], rank 2 that reads the state (delta rule)"},
        "oracle": "rwkv:RWKV_x070_TMix_seq in f64", **WHY,
    }, inputs, expected, numpy(w))


if __name__ == "__main__":
    for index, make in enumerate((rwkv4, rwkv5, rwkv6, lambda: rwkv7("rwkv7", 1), lambda: rwkv7("rwkv7_first", 0))):
        torch.manual_seed(200 + index)
        make()

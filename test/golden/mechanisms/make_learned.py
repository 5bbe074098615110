#!/usr/bin/env python3
"""Layers that learn at test time: TTT from the authors' code, Titans from titans-pytorch and from the paper's formulas, MIRAS from the paper's formulas.

    python3 test/golden/mechanisms/make_learned.py TTT.PY [NAME...]        (numpy, torch, transformers, titans-pytorch 0.5.5, safetensors)

TTT.PY is ttt.py of github.com/test-time-training/ttt-lm-pytorch. Where there is a formula only, torch takes its gradients here, token by token.
"""

import os
import sys
import types

os.environ["CUDA_VISIBLE_DEVICES"] = ""
for package in ("fla", "mamba_ssm", "causal_conv1d", "kernels"):
    sys.modules[package] = None  # the plain code, not a kernel of another package

import torch

from golden import f32, write

TOKENS = 37
torch.set_default_dtype(torch.float64)


def drawn(*shape, scale=1.0):
    """Numbers that the files hold exactly."""
    return (torch.randn(*shape) * scale).float().double()


# ---- TTT


def published_ttt():
    """The authors' module; what newer versions of transformers no longer have is only used on a GPU."""
    with open(sys.argv[1]) as file:
        text = file.read()
    module = types.ModuleType("ttt")
    module.__file__ = sys.argv[1]
    sys.modules["ttt"] = module
    lines = [line for line in text.splitlines() if "is_causal_conv1d_available" not in line or not line.startswith("from")]
    exec(compile("is_causal_conv1d_available = lambda: False\n" + "\n".join(lines).replace("from __future__ import annotations", ""), sys.argv[1], "exec"), module.__dict__)
    return module


def ttt(inner, **switches):
    torch.manual_seed(26)
    code = published_ttt()
    config = code.TTTConfig(hidden_size=12, num_attention_heads=2, mini_batch_size=4, ttt_layer_type=inner, conv_kernel=4, **switches)
    layer = {"linear": code.TTTLinear, "mlp": code.TTTMLP}[inner](config, 0).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(drawn(*parameter.shape, scale=0.5))
        x = drawn(1, TOKENS, 12)
        y = layer(x, position_ids=torch.arange(TOKENS)[None])
    states = {"linear": "Wb", "mlp": "UaWb"}[inner]
    name = f"ttt_{inner}" + ("_gated" if switches else "")
    write(name, {
        "spec": "models/ttt.rondo", "module": f"ttt_{inner}",
        "set": {"d": 12, "h": 2, "batch": 4, **({"share_qk": True, "gated": True} if switches else {})},
        "options": ["share_qk", "gated"],
        "title": f"TTT-{inner.capitalize() if inner == 'linear' else 'MLP'}" + (", Mamba backbone" if switches else ""), "paper": "2407.04620",
        "class": "non-linear across mini-batches, a sum inside",
        "states": {**{state: "matrix of decays" for state in states}, **{"d" + state.upper() if state in "UW" else "d" + state: "decay per head" for state in states}},
        "oracle": f"ttt-lm-pytorch:TTT{'Linear' if inner == 'linear' else 'MLP'} (dual form) in f64",
        "tolerance": 2e-7, "tolerance_f32": 5e-6,
        "why": "the published code turns positions with f32 cosines; f32 rounding over ten mini-batches, each of which divides by a norm",
    }, {"x": x.numpy()}, {"y": y.numpy()}, {key: value.numpy() for key, value in layer.state_dict().items()})


CASES = {
    "ttt_linear": lambda: ttt("linear"),
    "ttt_linear_gated": lambda: ttt("linear", use_gate=True, share_qk=True),
    "ttt_mlp": lambda: ttt("mlp"),
}

if __name__ == "__main__":
    for name in sys.argv[2:] or CASES:
        CASES[name]()

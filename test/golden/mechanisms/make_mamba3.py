#!/usr/bin/env python3
"""Mamba-3's layer in f64: the reference steps of the published repository's own tests, in a layer that projects and splits as its module does.

    python3 test/golden/mechanisms/make_mamba3.py CHECKOUT        (of github.com/state-spaces/mamba; numpy, torch, einops, safetensors)
"""

import math
import os
import re
import sys
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat

from golden import write

torch.float32 = torch.float64  # the references ask for f32 by this name
torch.set_default_dtype(torch.float64)
TOKENS = 37


def reference(file, name):
    """One function of a file that cannot be imported without a GPU."""
    with open(os.path.join(sys.argv[1], file)) as text:
        lines = text.read().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"def {name}("))
    end = next((i for i in range(start + 1, len(lines)) if re.match(r"(def|class|@|#)", lines[i])), len(lines))
    scope = {"torch": torch, "F": F, "math": math, "rearrange": rearrange, "repeat": repeat, "Optional": Optional, "Tuple": Tuple}
    exec("\n".join(lines[start:end]), scope)
    return scope[name]


def heavy_tail(x):
    return torch.where(x >= 0, 1 + x, 1 / (1 - x))


def rms(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def half(*shape, scale=1.0, offset=0.0):
    return (torch.randn(*shape) * scale + offset).to(torch.half).double()


def case(name, rank, groups, fraction, step):
    d, p, n = 8, 4, 8
    h, a = 2 * d // p, int(n * fraction) // 2
    parts = [h * p, h * p, n * groups * rank, n * groups * rank, h, h, h, a]
    w = {"in_proj.weight": half(sum(parts), d, scale=1.0 / d**0.5), "out_proj.weight": half(d, h * p, scale=1.0 / (h * p) ** 0.5),
         "dt_bias": torch.linspace(-3, 1, h).to(torch.half).double(), "D": half(h), "B_norm.weight": half(n, scale=0.3, offset=1), "C_norm.weight": half(n, scale=0.3, offset=1),
         "B_bias": half(h, rank, n, scale=0.5, offset=1), "C_bias": half(h, rank, n, scale=0.5, offset=1)}
    if rank > 1:
        w |= {f"mimo_{c}": half(h, rank, p, scale=0.5, offset=1) for c in "xzo"}
    u = half(1, TOKENS, d)
    z, x, B, C, dd_dt, dd_A, trap, angles = torch.split(u @ w["in_proj.weight"].T, parts, -1)
    z, x = (rearrange(s, "b l (h p) -> b l h p", p=p) for s in (z, x))
    B, C = (rms(rearrange(s, "b l (r g n) -> b l r g n", r=rank, g=groups), w[norm]) for s, norm in ((B, "B_norm.weight"), (C, "C_norm.weight")))
    dt = F.softplus(dd_dt + w["dt_bias"])
    adt = torch.clamp(-heavy_tail(dd_A), max=-1e-4) * dt
    dt, adt, trap = (s.transpose(1, 2) for s in (dt, adt, trap))
    angles = angles.unsqueeze(-2).expand(-1, -1, h, -1)
    if rank > 1:
        y, _ = step(C, B, x, adt, dt, trap, w["C_bias"], w["B_bias"], angles, w["mimo_x"], w["mimo_o"], w["D"], z, w["mimo_z"])
    else:
        y, _ = step(C.squeeze(2), B.squeeze(2), x, adt, dt, trap, w["C_bias"].squeeze(1), w["B_bias"].squeeze(1), angles, w["D"], z)
    y = rearrange(y, "b l h p -> b l (h p)") @ w["out_proj.weight"].T
    write(name, {
        "spec": "models/mamba3.rondo", "module": "mamba3", "set": {"d": d, "p": p, "n": n, "g": groups, "r": rank, "rope_fraction": fraction},
        "title": f"Mamba-3 ({'MIMO' if rank > 1 else 'SISO'})", "paper": "2603.15569", "class": "scalar decay + data-dep. rotation + 2-tap (trapezoid)",
        "states": {"angle": "no decay, rank 1", "S": "decay per head [h], rank 2"},
        "oracle": f"state-spaces/mamba:{step.__name__} in f64", "tolerance": 1e-7, "tolerance_f32": 2e-5,
        "why": "both sides are f64, but pi and the epsilons are f32 numbers of the spec; f32 rounding over 37 tokens",
    }, {"u": u.numpy()}, {"y": y.numpy()}, {key: value.numpy() for key, value in w.items()})


if __name__ == "__main__":
    torch.manual_seed(500)
    case("mamba3", 1, 1, 0.5, reference("tests/ops/triton/test_mamba3_siso.py", "mamba3_siso_step_ref"))
    torch.manual_seed(501)
    case("mamba3_mimo", 2, 2, 1.0, reference("tests/ops/tilelang/test_mamba3_mimo.py", "mamba3_MIMO_step_ref"))

#!/usr/bin/env python3
"""Layers whose depth is a number of applications of one block: the formulas of their papers in numpy, f64, token by token.

    python3 make_depth.py        (numpy, safetensors)
"""

import numpy as np

from golden import f32, write

TOKENS, D, F = 23, 10, 24


def drawn(random, shapes):
    return {name: f32(random.standard_normal(shape) * scale) for name, (shape, scale) in shapes.items()}


def adaptive_depth():
    random = np.random.default_rng(31)
    weights = drawn(random, {
        "block.norm.weight": ((D,), 1), "block.norm.bias": ((D,), 0.3), "block.up.weight": ((F, D), 0.5), "block.down.weight": ((D, F), 0.5),
        "halt.weight": ((1, D), 0.5), "halt.bias": ((1,), 0.1),
    })
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = f32(random.standard_normal((2, TOKENS, D)))
    y, used = np.zeros(x.shape), set()
    most, threshold = 6, 0.9
    for b in range(2):
        for t in range(TOKENS):
            s, total, halting = x[b, t].astype(np.float64), np.zeros(D), 0.0
            for n in range(1, most + 1):
                centred = s - s.mean()
                normed = centred / np.sqrt((centred**2).mean() + 1e-5) * w["block.norm.weight"] + w["block.norm.bias"]
                s = s + w["block.down.weight"] @ np.maximum(w["block.up.weight"] @ normed, 0)
                p = 1 / (1 + np.exp(-(w["halt.weight"][0] @ s + w["halt.bias"][0])))
                if n == most or halting + p >= threshold:
                    total += (1 - halting) * s
                    used.add(n)
                    break
                total += p * s
                halting += p
            y[b, t] = total
    assert len(used) >= 3, used  # tokens that halt at different depths
    write("adaptive_depth", {
        "spec": "models/adaptive_depth.rondo", "module": "adaptive_depth", "set": {"d": D, "f": F, "most": most, "threshold": threshold},
        "title": "Adaptive depth (a learned halting unit)", "paper": "1603.08983", "class": "no state: one block, as often as a token needs", "states": {},
        "oracle": "the paper's equations 6 to 9 in numpy, f64, a loop that ends when a token halts", "tolerance": 1e-10, "tolerance_f32": 5e-6,
        "why": "f64 on both sides; f32 rounding through six applications of a block",
    }, {"x": x}, {"y": y}, weights)


def ode_block():
    random = np.random.default_rng(32)
    weights = drawn(random, {"f.time_weight": ((F,), 1), "f.up.weight": ((F, D), 0.4), "f.down.weight": ((D, F), 0.4)})
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = f32(random.standard_normal((1, TOKENS, D)))

    def field(state, time):
        return np.tanh(state @ w["f.up.weight"].T + time * w["f.time_weight"]) @ w["f.down.weight"].T

    y, steps = x.astype(np.float64), 5
    for i in range(steps):
        k1 = field(y, i / steps)
        k2 = field(y + k1 / steps / 2, (i + 0.5) / steps)
        k3 = field(y + k2 / steps / 2, (i + 0.5) / steps)
        k4 = field(y + k3 / steps, (i + 1) / steps)
        y = y + (k1 + 2 * k2 + 2 * k3 + k4) / (6 * steps)
    write("ode_block", {
        "spec": "models/ode_block.rondo", "module": "ode_block", "set": {"d": D, "f": F, "steps": steps},
        "title": "ODE block (n steps of a solver)", "paper": "1806.07366", "class": "no state: one field, n times four", "states": {},
        "oracle": "the classical Runge-Kutta method in numpy, f64", "tolerance": 1e-6, "tolerance_f32": 2e-6,
        "why": "times and step sizes are f32 constants of the IR; f32 rounding of twenty products of 10 and 24 terms",
    }, {"x": x}, {"y": y}, weights)


if __name__ == "__main__":
    adaptive_depth()
    ode_block()

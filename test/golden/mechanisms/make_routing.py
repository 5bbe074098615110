#!/usr/bin/env python3
"""Kinds of routing: the algorithms of their papers in numpy, f64, with loops over tokens and experts and lists of who goes where.

    python3 make_routing.py        (numpy, safetensors)
"""

import math

import numpy as np

from golden import f32, write

BATCH, TOKENS, D, F = 2, 29, 8, 12
ERF = np.vectorize(math.erf)


def drawn(random, shapes):
    return {name: f32(random.standard_normal(shape) * scale) for name, (shape, scale) in shapes.items()}


def wide(weights):
    return {name: value.astype(np.float64) for name, value in weights.items()}


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu(x):
    return x * (1 + ERF(x / math.sqrt(2))) / 2


def rms(x, weight, eps=1e-5):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def experts(count):
    return {f"experts.{e}.{name}.weight": (shape, 0.4) for e in range(count) for name, shape in (("wi", (F, D)), ("wo", (D, F)))}


def switch_layer():
    random = np.random.default_rng(41)
    count, capacity, alpha = 4, 6, 0.02
    weights = drawn(random, {"router.weight": ((count, D), 0.7), **experts(count)})
    w = wide(weights)
    x = f32(random.standard_normal((BATCH, TOKENS, D)))
    y, loss, dropped = np.zeros(x.shape), np.zeros((BATCH, TOKENS)), 0
    for b in range(BATCH):
        queues, seen = [[] for _ in range(count)], []
        for t in range(TOKENS):
            token = x[b, t].astype(np.float64)
            shares = softmax(w["router.weight"] @ token)
            seen.append(shares)
            e = int(np.argmax(shares))
            queues[e].append(t)
            if len(queues[e]) <= capacity:
                y[b, t] = shares[e] * (w[f"experts.{e}.wo.weight"] @ np.maximum(w[f"experts.{e}.wi.weight"] @ token, 0))
            else:
                dropped += 1
            fractions = np.array([len(queue) for queue in queues]) / len(seen)
            loss[b, t] = alpha * count * np.dot(fractions, np.mean(seen, axis=0))
    assert dropped >= 3, dropped
    write("switch_layer", {
        "spec": "models/switch_layer.rondo", "module": "switch_layer", "set": {"d": D, "f": F, "experts": count, "capacity": capacity, "alpha": alpha},
        "title": "Switch layer (one expert, capacity, balancing loss)", "paper": "2101.03961", "class": "counts: sums over tokens",
        "states": {"taken": "no decay", "likely": "no decay", "read": "no decay"},
        "oracle": "the paper's equations 2 to 6 in numpy, f64, queues of tokens", "tolerance": 1e-6, "tolerance_f32": 5e-6,
        "why": "alpha is an f32 constant of the IR; f32 rounding of products of 8 and 12 terms",
    }, {"x": x}, {"y": y, "loss": loss}, weights)


def expert_choice():
    random = np.random.default_rng(42)
    count, capacity = 4, 9
    weights = drawn(random, {"router.weight": ((count, D), 0.7), **experts(count)})
    w = wide(weights)
    x = f32(random.standard_normal((BATCH, TOKENS, D)))
    y, visits = np.zeros(x.shape), set()
    for b in range(BATCH):
        tokens = x[b].astype(np.float64)
        scores = softmax(tokens @ w["router.weight"].T)
        visited = np.zeros(TOKENS, int)
        for e in range(count):
            for t in np.argsort(-scores[:, e], kind="stable")[:capacity]:
                y[b, t] += scores[t, e] * (w[f"experts.{e}.wo.weight"] @ gelu(w[f"experts.{e}.wi.weight"] @ tokens[t]))
                visited[t] += 1
        visits |= set(visited.tolist())
    assert {0, 1, 2} <= visits, visits  # tokens that no, one and several experts choose
    write("expert_choice", {
        "spec": "models/expert_choice.rondo", "module": "expert_choice", "set": {"d": D, "f": F, "experts": count, "capacity": capacity},
        "title": "Expert choice", "paper": "2202.09368", "class": "no state: experts choose among all tokens", "states": {},
        "oracle": "the paper's equations 1 to 3 in numpy, f64, a sort for each expert", "tolerance": 1e-7, "tolerance_f32": 5e-6,
        "why": "the root in gelu is an f32 constant of the IR; f32 rounding of products of 8 and 12 terms", "whole": True,
    }, {"x": x}, {"y": y}, weights)


HEADS, K = 2, 4


def block_shapes(prefix):
    return {
        f"{prefix}norm1.weight": ((D,), 1), f"{prefix}wq.weight": ((HEADS * K, D), 0.5), f"{prefix}wk.weight": ((HEADS * K, D), 0.5), f"{prefix}wv.weight": ((HEADS * K, D), 0.5),
        f"{prefix}wo.weight": ((D, HEADS * K), 0.5), f"{prefix}norm2.weight": ((D,), 1), f"{prefix}up.weight": ((F, D), 0.5), f"{prefix}down.weight": ((D, F), 0.5),
    }


def block(w, prefix, x):
    """A block of the tokens of x alone, in their order."""
    u = rms(x, w[prefix + "norm1.weight"])
    q, k, v = ((u @ w[f"{prefix}{name}.weight"].T).reshape(-1, HEADS, K) for name in ("wq", "wk", "wv"))
    y = np.zeros((len(x), HEADS * K))
    for t in range(len(x)):
        for h in range(HEADS):
            y[t, h * K:(h + 1) * K] = softmax(k[:t + 1, h] @ q[t, h] / math.sqrt(K)) @ v[:t + 1, h]
    x = x + y @ w[prefix + "wo.weight"].T
    return x + gelu(rms(x, w[prefix + "norm2.weight"]) @ w[prefix + "up.weight"].T) @ w[prefix + "down.weight"].T


def mixture_of_depths(name, kept):
    random = np.random.default_rng(43)
    shapes = {"router.weight": ((1, D), 0.5), **block_shapes("block.")}
    if kept is None:
        shapes |= {"predictor.in.weight": ((D // 2, D), 0.7), "predictor.in.bias": ((D // 2,), 0.3), "predictor.out.weight": ((1, D // 2), 0.9), "predictor.out.bias": ((1,), 0.1)}
    weights = drawn(random, shapes)
    w = wide(weights)
    x = f32(random.standard_normal((BATCH, TOKENS, D)))
    y = np.zeros(x.shape)
    for b in range(BATCH):
        tokens = x[b].astype(np.float64)
        r = tokens @ w["router.weight"][0]
        if kept is None:
            z = tokens @ w["predictor.in.weight"].T + w["predictor.in.bias"]
            surely = (z / (1 + np.exp(-z))) @ w["predictor.out.weight"][0] + w["predictor.out.bias"][0]
            inside = np.flatnonzero(surely > 0)
        else:
            inside = np.sort(np.argsort(-r, kind="stable")[:kept])
        assert 3 <= len(inside) <= TOKENS - 3, len(inside)
        y[b] = tokens
        y[b, inside] += r[inside, None] * (block(w, "block.", tokens[inside]) - tokens[inside])
    how = "the tokens with the largest weights" if kept else "each token by its predictor"
    write(name, {
        "spec": "models/mixture_of_depths.rondo", "module": "mixture_of_depths", "set": {"d": D, "h": HEADS, "f": F, **({"kept": kept} if kept else {})},
        "title": f"Mixture of depths ({how})", "paper": "2404.02258", "class": "no state: a block for some of the tokens", "states": {},
        "oracle": "the paper's equation 1 in numpy, f64, the block on the list of chosen tokens", "tolerance": 1e-6, "tolerance_f32": 5e-6,
        "why": "eps is an f32 constant of the IR; f32 rounding of products of 8 and 12 terms", **({"options": ["kept"], "whole": True} if kept else {}),
    }, {"x": x}, {"y": y}, weights)


def early_exit():
    random = np.random.default_rng(44)
    layers, vocab, threshold = 3, 7, 0.5
    shapes = {"head.weight": ((vocab, D), 0.5)}
    for i in range(layers):
        shapes |= block_shapes(f"layers.{i}.")
    weights = drawn(random, shapes)
    w = wide(weights)
    x = f32(random.standard_normal((BATCH, TOKENS, D)))
    y, depth = np.zeros(x.shape), np.zeros((BATCH, TOKENS))
    for b in range(BATCH):
        state = x[b].astype(np.float64)
        left = np.zeros(TOKENS, bool)
        for i in range(layers):
            # Every token gives keys and values, those that left from the state they left with.
            after = block(w, f"layers.{i}.", state)
            for t in np.flatnonzero(~left):
                state[t] = after[t]
                depth[b, t] = i + 1
                left[t] = softmax(w["head.weight"] @ state[t]).max() >= threshold
        y[b] = state
    assert len(set(depth.ravel().tolist())) >= 3
    write("early_exit", {
        "spec": "models/early_exit.rondo", "module": "early_exit", "set": {"d": D, "h": HEADS, "f": F, "layers": layers, "vocab": vocab, "threshold": threshold},
        "title": "Early exit (when the head is sure)", "paper": "2207.07061", "class": "no state: as many layers as a token needs", "states": {},
        "oracle": "the paper's section 3.5 in numpy, f64, a list of tokens that have left", "tolerance": 1e-6, "tolerance_f32": 1e-5,
        "why": "eps is an f32 constant of the IR; f32 rounding through three layers",
    }, {"x": x}, {"x": y, "depth": depth}, weights)


if __name__ == "__main__":
    switch_layer()
    expert_choice()
    mixture_of_depths("mixture_of_depths", None)
    mixture_of_depths("mixture_of_depths_kept", 11)
    early_exit()

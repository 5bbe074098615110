#!/usr/bin/env python3
"""Memories of several levels, scales or with a covariance, update rules to choose from, a spiking layer and a window.

    python3 test/golden/mechanisms/make_memories.py        (numpy, safetensors; torch for the two-layer memory, and flash-linear-attention for log-linear attention)
"""

import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np

from golden import f32, write

TOKENS = 37
H, K, V = 2, 4, 3


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softplus(z):
    return np.log1p(np.exp(z))


def drawn(seed, **axes):
    """Inputs as the files hold them, and in f64."""
    random = np.random.default_rng(seed)
    inputs = {name: f32(random.normal(size=(1, TOKENS, *shape))) for name, shape in axes.items()}
    return inputs, {name: value[0].astype(np.float64) for name, value in inputs.items()}


def log_linear_attention():
    import torch
    from fla.ops.log_linear_attn.naive import naive_log_linear_attn
    levels = 8
    inputs, _ = drawn(29, q=(H, K), key=(H, K), val=(H, V), log_decay=(H,), weight=(H, levels))
    inputs["log_decay"] = f32(-np.abs(inputs["log_decay"]) / 4)
    inputs["weight"] = f32(softplus(inputs["weight"].astype(np.float64)))
    torch.set_default_dtype(torch.float64)
    given = {name: torch.from_numpy(value.astype(np.float64)) for name, value in inputs.items()}
    made = naive_log_linear_attn(given["q"], given["key"], given["val"], given["log_decay"], given["weight"][..., :7], 1.0)
    y = (made[0] if isinstance(made, tuple) else made).double().numpy()
    write("log_linear_attention", {
        "spec": "models/log_linear_attention.rondo", "set": {"h": H, "k": K, "v": V, "l": levels}, "options": ["l"],
        "title": "Log-linear attention", "paper": "2506.04761", "class": "scalar decay, log T states, Fenwick merge",
        "states": {"S": "decay per key channel [h l], rank 2 that reads the state (delta rule)"},
        "oracle": "fla.ops.log_linear_attn.naive:naive_log_linear_attn in f64, quadratic",
        "tolerance": 1e-9, "tolerance_f32": 1e-5,
        "why": "f64 on both sides; f32 rounding of a sum over 37 tokens",
    }, inputs, {"y": y})


def kalman_memory():
    """The textbook's predict and correct steps of a filter for each head, whose unknown is the matrix S with one covariance for all columns."""
    k, v = 6, 8  # wide enough that the memory is a recurrence apart from its covariance
    inputs, x = drawn(30, q=(H, k), key=(H, k), val=(H, v), keep=(H,), drift=(H,), noise=(H,))
    y, states = np.zeros((1, TOKENS, H, v)), {"state.P": np.zeros((1, H, k, k)), "state.S": np.zeros((1, H, k, v))}
    for head in range(H):
        mean, covariance = np.zeros((k, v)), np.eye(k)
        for t in range(TOKENS):
            a = sigmoid(x["keep"][t, head])
            mean, covariance = a * mean, a * covariance * a + softplus(x["drift"][t, head]) * np.eye(k)
            row = x["key"][t, head][None]  # the observation's matrix
            innovation = x["val"][t, head][None] - row @ mean
            gain = covariance @ row.T @ np.linalg.inv(row @ covariance @ row.T + softplus(x["noise"][t, head]))
            mean, covariance = mean + gain @ innovation, (np.eye(k) - gain @ row) @ covariance
            y[0, t, head] = x["q"][t, head] @ mean
        states["state.P"][0, head], states["state.S"][0, head] = covariance, mean
    write("kalman_memory", {
        "spec": "models/kalman_memory.rondo", "set": {"h": H, "k": k, "v": v},
        "title": "Kalman memory", "paper": "Kalman 1960", "class": "memory: scalar decay + rank-1 by the gain; covariance: nonlinear (Riccati)",
        "states": {"P": "decay per head [h], rank 1", "S": "scalar decay + rank-1"},
        "refused": ["not affine", "gain = along / ("],
        "oracle": "numpy in f64: predict and correct steps with matrices",
        "tolerance": 1e-9, "tolerance_f32": 1e-5,
        "why": "f64 on both sides; f32 rounding of a filter over 37 tokens",
    }, inputs, {"y": y, **states})


def two_time_scales():
    """Both memories written out as sums over the tokens before, with the weights that the two decays make."""
    inputs, x = drawn(31, q=(H, K), key=(H, K), val=(H, V), fast_gate=(H,), slow_gate=(H,), trust=(H,))
    period, y = 8, np.zeros((1, TOKENS, H, V))
    for head in range(H):
        keep, rate = sigmoid(x["fast_gate"][:, head]), sigmoid(x["slow_gate"][:, head]) / period
        for t in range(TOKENS):
            for s in range(t + 1):
                fast = np.prod(keep[s + 1:t + 1])
                # Consolidated at a token r in s+1..t from what the fast memory held before it, then kept by the slow one.
                slow = sum(np.prod(keep[s + 1:r]) * rate[r] * np.prod(1 - rate[r + 1:t + 1]) for r in range(s + 1, t + 1))
                answer = x["q"][t, head] @ x["key"][s, head]
                y[0, t, head] += (fast + sigmoid(x["trust"][t, head]) * slow) * answer * x["val"][s, head]
    write("two_time_scales", {
        "spec": "models/two_time_scales.rondo", "set": {"h": H, "k": K, "v": V, "period": period},
        "title": "Two time scales", "paper": "McClelland et al. 1995", "class": "scalar decays of two states, the second fed by the first (2x2 triangular)",
        "states": {"fast": "decay per head [h], rank 1", "slow": "matrix of decays [h], rank 0"},
        "oracle": "numpy in f64: the sum over earlier tokens with both decays' products",
        "tolerance": 1e-9, "tolerance_f32": 1e-5,
        "why": "f64 on both sides; f32 rounding of a sum over 37 tokens",
    }, inputs, {"y": y})


def update_rule(rule, title, kind, states, **more):
    """The rule's own update, token by token; of the two-layer memory the gradients by torch's autograd."""
    inputs, x = drawn(35, q=(H, K), key=(H, K), val=(H, V), rate=(H,), keep=(H,))
    inputs["key"] = f32(inputs["key"] * 0.5)
    x["key"] = inputs["key"][0].astype(np.float64)
    y, weights = np.zeros((1, TOKENS, H, V)), None
    if rule == "mlp":
        import torch
        random = np.random.default_rng(36)
        weights = {"W1": f32(random.normal(size=(H, K, 5)) * 0.6), "W2": f32(random.normal(size=(H, 5, V)) * 0.6)}
    for head in range(H):
        S, M = np.zeros((K, V)), np.zeros((K, V))
        if weights:
            A, B = (torch.from_numpy(weights[name][head].astype(np.float64)).requires_grad_() for name in ("W1", "W2"))
            memory = lambda z: torch.nn.functional.gelu(torch.from_numpy(z) @ A) @ B
        for t in range(TOKENS):
            key, val, eta, mu = x["key"][t, head], x["val"][t, head], sigmoid(x["rate"][t, head]), sigmoid(x["keep"][t, head])
            if rule == "sgd":
                S = S - eta * np.outer(key, S.T @ key - val)
            elif rule == "momentum":
                M = mu * M - eta * np.outer(key, S.T @ key - val)
                S = S + M
            elif rule == "delta":
                S = mu * S
                S = S + eta * np.outer(key, val - key @ S)
            else:
                loss = ((memory(key) - torch.from_numpy(val)) ** 2).sum() / 2
                gradients = torch.autograd.grad(loss, [A, B])
                A, B = ((mu * value - eta * gradient).detach().requires_grad_() for value, gradient in zip((A, B), gradients))
            y[0, t, head] = memory(x["q"][t, head]).detach().numpy() if weights else x["q"][t, head] @ S
    sizes = {"h": H, "k": K, "v": V, "rule": rule} | ({"m": 5} if weights else {})
    write(f"update_{rule}", {
        "spec": "models/update_rules.rondo", "set": sizes, "title": title, "paper": "2504.13173", "class": kind, "states": states, **more,
        "oracle": "torch's autograd in f64, token by token" if weights else "numpy in f64, token by token",
        "tolerance": 1e-7 if weights else 1e-9, "tolerance_f32": 2e-5 if weights else 1e-5,
        "why": ("f64 on both sides, but for gelu's constant, which a program holds in f32; " if weights else "f64 on both sides; ") + "f32 rounding of 37 updates",
    }, inputs, {"y": y}, weights)


def update_rules():
    update_rule("sgd", "Memory by gradient descent", "identity + rank-1", {"S": "no decay, rank 1 that reads the state (delta rule)"})
    update_rule("momentum", "Memory by gradient descent with momentum", "identity + rank-1 over two states (2x2)",
                {"S": "matrix of decays [h], rank 1 that reads the state (delta rule)", "M": "decay per head [h], rank 1 that reads S"})
    update_rule("delta", "Memory by the delta rule with decay", "scalar decay + rank-1", {"S": "decay per head [h], rank 1 that reads the state (delta rule)"})
    update_rule("mlp", "TTT-MLP, token by token", "nonlinear in the state (gradient of two layers)",
                {"A": "decay per head [h], rank 0", "B": "decay per head [h], rank 0"}, refused=["not affine", "loss = sum[v]("])


def hiss():
    """Chunk by chunk, as in the paper's figure: the fast model on each chunk alone, the slow one on the sequence of their last outputs."""
    random = np.random.default_rng(32)
    d, n, chunk = 6, 4, 10
    weights = {}
    for name in ("in_proj", "mid_proj", "out_proj"):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = f32(random.normal(size=(d, d)) * 0.4), f32(random.normal(size=d) * 0.3)
    for name in ("low", "high"):
        weights.update({f"{name}.{part}": f32(random.normal(size=(d, n) if part in ("A_log", "B", "C") else d)) for part in ("A_log", "B", "C", "D")})
        weights[f"{name}.log_dt"] = f32(np.log(random.uniform(0.05, 0.5, d)))
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = f32(random.normal(size=(1, TOKENS, d)))

    def project(name, value):
        return value @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def model(name, sequence):
        """A state-space model over a whole sequence, as a convolution."""
        dt = np.exp(w[f"{name}.log_dt"])[:, None]
        poles, made = -np.exp(w[f"{name}.A_log"]) * dt, np.zeros_like(sequence)
        for t in range(len(sequence)):
            for s in range(t + 1):
                made[t] += (w[f"{name}.C"] * np.exp(poles * (t - s)) * dt * w[f"{name}.B"]).sum(-1) * sequence[s]
        return made + w[f"{name}.D"] * sequence

    u = project("in_proj", x[0].astype(np.float64))
    fast = np.concatenate([model("low", u[begin:begin + chunk]) for begin in range(0, TOKENS, chunk)])
    mid = project("mid_proj", fast)
    summaries = mid[chunk - 1::chunk]
    taken = model("high", summaries)
    y = np.zeros((1, TOKENS, d))
    direct = w["high.D"]
    for t in range(TOKENS):
        seen = (t + 1) // chunk  # chunks that have ended
        held = taken[seen - 1] - direct * summaries[seen - 1] if seen else np.zeros(d)
        y[0, t] = project("out_proj", held + direct * mid[t])
    write("hiss", {
        "spec": "models/hiss.rondo", "module": "hiss", "set": {"d": d, "n": n, "chunk": chunk},
        "title": "HiSS (multi-scale)", "paper": "2402.10211", "class": "diagonal, reset at every chunk; above it diagonal, one step a chunk",
        "states": {"S": "decay per key channel [d n], rank 1"},
        "oracle": "numpy in f64: a convolution of each chunk, and one of the chunks' last outputs",
        "tolerance": 1e-9, "tolerance_f32": 1e-5,
        "why": "f64 on both sides; f32 rounding of a sum over 37 tokens",
    }, {"x": x}, {"y": y}, weights)


def lif():
    random = np.random.default_rng(33)
    d = 6
    weights = {"leak": f32(random.normal(size=d) + 1), "threshold": f32(random.uniform(0.6, 1.4, d)),
               "in_proj.weight": f32(random.normal(size=(d, d)) * 0.5), "in_proj.bias": f32(random.uniform(0, 0.4, d))}
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = f32(random.normal(size=(1, TOKENS, d)))
    spikes, potential, margin = np.zeros((1, TOKENS, d)), np.zeros((1, TOKENS, d)), np.inf
    for neuron in range(d):
        voltage = 0.0
        for t in range(TOKENS):
            voltage = voltage * sigmoid(w["leak"][neuron]) + w["in_proj.weight"][neuron] @ x[0, t] + w["in_proj.bias"][neuron]
            margin = min(margin, abs(voltage - w["threshold"][neuron]))
            if voltage >= w["threshold"][neuron]:
                spikes[0, t, neuron] = 1
                voltage -= w["threshold"][neuron]
            potential[0, t, neuron] = voltage
    print(f"spikes: {int(spikes.sum())} of {spikes.size}, nearest to the threshold: {margin:.2g}")
    if margin < 1e-4 or not 0.1 < spikes.mean() < 0.9:
        raise ValueError("spikes too rare, too many or too near the threshold for f32; take another seed")
    write("lif", {
        "spec": "models/lif.rondo", "module": "lif", "set": {"d": d},
        "title": "LIF spiking", "paper": "1901.09948", "class": "nonlinear (threshold and reset)",
        "states": {"V": "decay per channel [d], constant in time, rank 1"},
        "refused": ["not affine", "spike = where(V >= threshold"],
        "oracle": "numpy in f64: neuron by neuron",
        "tolerance": 1e-10, "tolerance_f32": 1e-5, "verify_inputs": True,
        "why": "f64 on both sides; f32 rounding of 37 steps (no potential of these inputs is within 1e-4 of its threshold, hence the same inputs for `rondo verify`)",
    }, {"x": x}, {"spikes": spikes, "potential": potential}, weights)


def window_memory():
    inputs, x = drawn(34, q=(H, K), key=(H, K), val=(H, V))
    window, y = 7, np.zeros((1, TOKENS, H, V))
    for head in range(H):
        for t in range(TOKENS):
            begin = max(0, t - window + 1)
            scores = np.exp(x["key"][begin:t + 1, head] @ x["q"][t, head] / np.sqrt(K))
            y[0, t, head] = scores @ x["val"][begin:t + 1, head] / scores.sum()
    write("window_memory", {
        "spec": "models/window_memory.rondo", "set": {"h": H, "k": K, "v": V, "window": window},
        "title": "Attention over a window", "paper": "2004.05150", "class": "no finite state (KV cache of the window)",
        "states": {},
        "oracle": "numpy in f64: softmax over the last 7 tokens",
        "tolerance": 1e-9, "tolerance_f32": 1e-5,
        "why": "f64 on both sides; f32 rounding of a softmax over 7 tokens",
    }, inputs, {"y": y})


def attention_sinks():
    inputs, x = drawn(35, q=(H, K), key=(H, K), val=(H, V))
    window, y = 7, np.zeros((1, TOKENS, H, V))
    sinks = f32([1.5, -20.0])
    for head in range(H):
        for t in range(TOKENS):
            begin = max(0, t - window + 1)
            scores = np.exp(x["key"][begin:t + 1, head] @ x["q"][t, head] / np.sqrt(K))
            y[0, t, head] = scores @ x["val"][begin:t + 1, head] / (scores.sum() + np.exp(np.float64(sinks[head])))
    write("attention_sinks", {
        "spec": "models/attention_sinks.rondo", "set": {"h": H, "k": K, "v": V, "window": window},
        "title": "Attention with sinks", "paper": "2309.17453", "class": "no finite state (KV cache of the window)",
        "states": {},
        "oracle": "numpy in f64: softmax over the last 7 tokens and one more score, a number of the head's own, whose value is 0",
        "tolerance": 1e-9, "tolerance_f32": 1e-5,
        "why": "f64 on both sides; f32 rounding of a softmax over 8 numbers",
    }, inputs, {"y": y}, {"sinks": sinks})


if __name__ == "__main__":
    for make in (log_linear_attention, kalman_memory, two_time_scales, update_rules, hiss, lif, window_memory, attention_sinks):
        if len(sys.argv) < 2 or make.__name__ in sys.argv[1:]:
            make()

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


def ttt(inner, batch=4, d=12, refused=None, **switches):
    torch.manual_seed(26)
    code = published_ttt()
    config = code.TTTConfig(hidden_size=d, num_attention_heads=2, mini_batch_size=batch, ttt_layer_type=inner, conv_kernel=4, **switches)
    layer = {"linear": code.TTTLinear, "mlp": code.TTTMLP}[inner](config, 0).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(drawn(*parameter.shape, scale=0.5))
        x = drawn(1, TOKENS, d)
        y = layer(x, position_ids=torch.arange(TOKENS)[None])
    states = {"linear": "Wb", "mlp": "UaWb"}[inner]
    name = f"ttt_{inner}" + ("_gated" if switches else "_token" if batch == 1 else "")
    write(name, {
        "spec": "models/ttt.rondo", "module": f"ttt_{inner}",
        "set": {"d": d, "h": 2, "batch": batch, **({"share_qk": True, "gated": True} if switches else {})},
        "options": ["share_qk", "gated"] + (["batch"] if batch == 1 else []),
        "title": f"TTT-{inner.capitalize() if inner == 'linear' else 'MLP'}" + (", Mamba backbone" if switches else ", each token by itself" if batch == 1 else ""), "paper": "2407.04620",
        "class": "non-linear" if batch == 1 else "non-linear across mini-batches, a sum inside", **({"refused": refused} if refused else {}),
        "states": {**{state: "matrix of decays" if batch == 1 else "no memory of itself" for state in states}, **{"d" + state: "decay per head" for state in states}},
        "oracle": f"ttt-lm-pytorch:TTT{'Linear' if inner == 'linear' else 'MLP'} (dual form) in f64",
        "tolerance": 2e-7, "tolerance_f32": 5e-6,
        "why": "the published code turns positions with f32 cosines; f32 rounding over ten mini-batches, each of which divides by a norm",
    }, {"x": x.numpy()}, {"y": y.numpy()}, {key: value.numpy() for key, value in layer.state_dict().items()})


# ---- Titans and MIRAS: the papers' formulas, one token after the other, one head at a time

H, K, V, M, BATCH = 2, 4, 3, 6, 8
FORMULA = {"tolerance": 1e-12, "tolerance_f32": 1e-5, "verify_inputs": True, "why": "f64 on both sides; f32 rounding over 37 tokens"}
DEEP = {"why": "f64 on both sides, with the spec's constants (the f32 nearest to the root of 2 and to its epsilons); f32 rounding over 37 tokens"}


def streams(k, v, *shifts):
    """q, key, val and the rates, each about its shift: a step that is small enough that rounding dies out."""
    x = {"q": drawn(1, TOKENS, H, k), "key": drawn(1, TOKENS, H, k), "val": drawn(1, TOKENS, H, v)}
    return {**x, **{name: (drawn(1, TOKENS, H) + shift).float().double() for name, shift in shifts}}


def single(number):
    """As a spec's constant is held."""
    return torch.tensor(number, dtype=torch.float32).item()


def unit(z):
    return z / torch.sqrt((z * z).sum() + single(1e-6))


def gradients(loss, weights):
    """Of a loss, a function of weights, at them."""
    given = [w.detach().clone().requires_grad_() for w in weights]
    return torch.autograd.grad(loss(*given), given)


def write_formula(name, spec, module, sizes, title, paper, published, states, oracle, inputs, y, final, weights=None, **more):
    write(name, {
        "spec": f"models/{spec}.rondo", "module": module, "set": sizes, "title": title, "paper": paper, "class": published, "states": states,
        "oracle": oracle, **{**FORMULA, **more},
    }, {key: f32(value.numpy()) for key, value in inputs.items()}, {"y": y.numpy(), **{f"state.{key}": value.numpy() for key, value in final.items()}},
        {key: value.numpy() for key, value in (weights or {}).items()} or None)


def titans_linear():
    torch.manual_seed(27)
    x = streams(K, V, ("theta", -1), ("eta", 0), ("alpha", -1))
    y, memory, surprise = torch.zeros(1, TOKENS, H, V), torch.zeros(1, H, K, V), torch.zeros(1, H, K, V)
    for t in range(TOKENS):
        for h in range(H):
            k, v = unit(x["key"][0, t, h]), x["val"][0, t, h]
            theta, eta, alpha = (torch.sigmoid(x[rate][0, t, h]) for rate in ("theta", "eta", "alpha"))
            wrong = memory[0, h].T @ k - v
            surprise[0, h] = eta * surprise[0, h] - theta * 2 * torch.outer(k, wrong)
            memory[0, h] = (1 - alpha) * memory[0, h] + surprise[0, h]
            y[0, t, h] = memory[0, h].T @ unit(x["q"][0, t, h])
    write_formula("titans_linear", "titans", "titans_linear", {"h": H, "k": K, "v": V}, "Titans, linear memory", "2501.00663",
                  "affine in memory and momentum together (2x2), rank 1",
                  {"M": "matrix of decays [h], rank 1 that reads the state (delta rule)", "S": "decay per head [h], rank 1 that reads M"},
                  "equations 9, 10 and 13 with the gradient 2 k (k.M - v) by hand", x, y, {"M": memory, "S": surprise})


def titans_deep():
    torch.manual_seed(28)
    x = streams(K, V, ("theta", -3), ("eta", 0), ("alpha", -1))
    weights = {"W1_0": drawn(H, K, M, scale=0.5), "W2_0": drawn(H, M, V, scale=0.5)}

    def recall(z, first, second):
        hidden = z @ first
        return (hidden * torch.sigmoid(hidden)) @ second

    y, final = torch.zeros(1, TOKENS, H, V), {"W1": [], "W2": [], "S1": [], "S2": []}
    for h in range(H):
        w, s = [weights["W1_0"][h], weights["W2_0"][h]], [torch.zeros(K, M), torch.zeros(M, V)]
        for t in range(TOKENS):
            anchor = w if t % BATCH == 0 else anchor
            theta, eta, alpha = (torch.sigmoid(x[rate][0, t, h]) for rate in ("theta", "eta", "alpha"))
            g = gradients(lambda a, b: ((recall(unit(x["key"][0, t, h]), a, b) - x["val"][0, t, h]) ** 2).sum(), anchor)
            s = [eta * old - theta * new for old, new in zip(s, g)]
            w = [(1 - alpha) * old + new for old, new in zip(w, s)]
            y[0, t, h] = recall(unit(x["q"][0, t, h]), *w)
        for name, value in zip(("W1", "W2", "S1", "S2"), w + s):
            final[name].append(value)
    write_formula("titans_deep", "titans", "titans_deep", {"h": H, "k": K, "v": V, "m": M, "batch": BATCH}, "Titans, deep memory", "2501.00663",
                  "non-linear across mini-batches, momentum and decay inside",
                  {"W1": "matrix of decays [h], rank 1", "W2": "matrix of decays [h], rank 1", "S1": "decay per head [h], rank 1", "S2": "decay per head [h], rank 1"},
                  "equations 9 to 14, the gradient by torch at the weights before the mini-batch", x, y,
                  {name: torch.stack(value)[None] for name, value in final.items()}, weights)


def learned(rule):
    torch.manual_seed(29)
    x = streams(K, V, ("theta", -1), ("eta", 0), ("alpha", -1))
    y, memory = torch.zeros(1, TOKENS, H, V), torch.zeros(1, H, K, V)
    for t in range(TOKENS):
        for h in range(H):
            k, v, theta = x["key"][0, t, h], x["val"][0, t, h], torch.sigmoid(x["theta"][0, t, h])
            if rule == "delta":
                theta = theta / (k @ k + single(1e-6))
            memory[0, h] = (1 - torch.sigmoid(x["alpha"][0, t, h])) * memory[0, h]
            memory[0, h] = memory[0, h] + theta * torch.outer(k, v - memory[0, h].T @ k)
            y[0, t, h] = memory[0, h].T @ x["q"][0, t, h]
    title = {"sgd": "Memory learned by gradient descent", "delta": "Memory learned by normalised steps (NLMS)"}[rule]
    write_formula(f"learned_{rule}", "titans", "learned", {"h": H, "k": K, "v": V, "rule": rule}, title, {"sgd": "2407.04620", "delta": "Widrow and Hoff 1960"}[rule],
                  "scalar decay + rank-1", {"M": "decay per head [h], rank 1 that reads the state (delta rule)"},
                  "the gated delta rule, written out", x, y, {"M": memory}, options=["rule"])


def miras(name, title, weight, loss, initial, published, states, gates=(), scale=1, **more):
    """A memory of two layers whose weights are `weight` of what decays and learns."""
    torch.manual_seed(30)
    size = 6
    x = streams(size, size, ("eta", -4), ("alpha", 4), *((gate, 0) for gate in gates))
    weights = {initial.format(1): drawn(H, size, M, scale=scale), initial.format(2): drawn(H, M, size, scale=scale)}

    def recall(z, first, second):
        hidden = z @ first
        out = (hidden * (1 + torch.erf(hidden / single(2**0.5))) / 2) @ second
        return z + torch.nn.functional.layer_norm(out, out.shape[-1:], eps=single(1e-5))

    y, final = torch.zeros(1, TOKENS, H, size), [[], []]
    for h in range(H):
        a = [w[h] for w in weights.values()]
        for t in range(TOKENS):
            anchor = [weight(z) for z in a] if t % BATCH == 0 else anchor
            eta, alpha = (torch.sigmoid(x[rate][0, t, h]) for rate in ("eta", "alpha"))
            extra = [x[gate][0, t, h] for gate in gates]
            g = gradients(lambda *w: loss(recall(unit(x["key"][0, t, h]), *w) - x["val"][0, t, h], *extra), anchor)
            a = [alpha * old - eta * new for old, new in zip(a, g)]
            y[0, t, h] = recall(unit(x["q"][0, t, h]), *(weight(z) for z in a))
        for collected, value in zip(final, a):
            collected.append(value)
    write_formula(name, "miras", name, {"h": H, "k": size, "m": M, "batch": BATCH}, title, "2504.13173", published, states,
                  "the paper's formulas, the gradient by torch at the weights before the mini-batch", x, y,
                  {state: torch.stack(value)[None] for state, value in zip(states, final)}, weights, **DEEP, **more)


def moneta():
    def scaled(a):
        return a / (((a**2 + single(1e-6)) ** (4 / 2)).sum() ** ((4 - 2) / 4))
    miras("moneta", "Moneta", scaled, lambda wrong: ((wrong**2 + single(1e-6)) ** (3 / 2)).sum(), "W{}_0", "non-linear across mini-batches, l_q normalised",
          {"A1": "decay per head [h], rank 1", "A2": "decay per head [h], rank 1"})


def yaad():
    def huber(wrong, delta):
        delta = torch.nn.functional.softplus(delta)
        return (wrong**2).sum() if (wrong**2).sum().sqrt() <= delta else delta * wrong.abs().sum()
    miras("yaad", "Yaad", lambda a: a, huber, "W{}_0", "non-linear across mini-batches, a decayed sum inside",
          {"W1": "decay per head [h], rank 1", "W2": "decay per head [h], rank 1"}, gates=("delta",))


def memora():
    miras("memora", "Memora", lambda a: torch.softmax(a, 0), lambda wrong: (wrong**2).sum(), "L{}_0", "non-linear across mini-batches, softmax of a decayed sum",
          {"L1": "decay per value channel [h], rank 1", "L2": "decay per value channel [h], rank 1"}, scale=3)


# ---- Titans as published in code


def neural_memory(batch):
    from titans_pytorch import NeuralMemory
    torch.manual_seed(31)
    d, heads, chunk = (8, 2, 4) if batch is None else (6, 1, 4)
    layer = NeuralMemory(dim=d, heads=heads, dim_head=d // heads, chunk_size=chunk, batch_size=batch, momentum=True, default_model_kwargs={"depth": 2, "expansion_factor": 2.0}).double()
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            shift = 1.0 if name.endswith("norm.weight") else -2.0 if name == "to_adaptive_step.0.bias" else 0.0
            parameter.data = (drawn(*parameter.shape, scale=0.5) + shift).float().double()
    layer.store_norm.eps = layer.retrieve_norm.eps = 2.0**-23
    layer.memory_model.norm.ln.eps = single(1e-5)
    x = drawn(1, TOKENS, d)
    y = layer(x)[0].detach()
    weights = {name: value.detach().numpy() for name, value in layer.state_dict().items() if not name.startswith("memory_model.")}
    name = "neural_memory" + ("" if batch is None else "_batched")
    write(name, {
        "spec": "models/neural_memory.rondo", "module": "neural_memory", "set": {"d": d, "h": heads, "k": d // heads, "chunk": chunk, **({} if batch is None else {"batch": batch})},
        "options": ["batch"],
        "title": "Titans' memory as in titans-pytorch" + ("" if batch is None else ", weights renewed"), "paper": "2501.00663",
        "class": "non-linear across batches, momentum and decay between chunks",
        "states": {"sum_u": "decay per head, rank 1", **{weight + state: "matrix of decays [h], rank 1" for weight in "gUW" for state in ("", "M")}, **{weight + "S": "decay per head, rank 1" for weight in "gUW"}},
        "oracle": "titans_pytorch 0.5.5:NeuralMemory in f64",
        "tolerance": 1e-6, "tolerance_f32": 2e-5, "verify_inputs": True,
        "why": "the spec's square root of 2 is an f32, and weights that learn from themselves make more of it; f32 rounding likewise",
    }, {"x": x.numpy()}, {"out": y.numpy()}, weights)


CASES = {
    "neural_memory": lambda: neural_memory(None),
    "neural_memory_batched": lambda: neural_memory(8),
    "titans_linear": titans_linear,
    "titans_deep": titans_deep,
    "learned_sgd": lambda: learned("sgd"),
    "learned_delta": lambda: learned("delta"),
    "moneta": moneta,
    "yaad": yaad,
    "memora": memora,
    "ttt_linear": lambda: ttt("linear"),
    "ttt_linear_gated": lambda: ttt("linear", use_gate=True, share_qk=True),
    "ttt_mlp": lambda: ttt("mlp", d=8),
    "ttt_mlp_token": lambda: ttt("mlp", batch=1, d=8, refused=["is not affine", "z = unit_variance[v](dot[m](W@start, hidden)"]),
}

if __name__ == "__main__":
    for name in sys.argv[2:] or CASES:
        CASES[name]()

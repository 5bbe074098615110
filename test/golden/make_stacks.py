#!/usr/bin/env python3
"""Writes checkpoint folders of stacks that no published package runs here: Jamba at its published 1:7 with experts, BlackMamba, StripedHyena and the long stack.

    python3 test/golden/make_stacks.py [NAME...]        (numpy, safetensors)

Each model is the paper's formulas, token by token in f64, with nothing of the compiler: weights by their names in, logits out. As make_golden.py does it: random weights, a
seed taken only when each greedy choice is clear (the two best logits at least 0.01 apart) and when weights that are off by f32's last bit move no logit by more than
1e-5: the choice of experts and norms of short vectors can make more of it.
"""

import json
import os
import sys

import numpy as np
from safetensors.numpy import save_file

FOLDER = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 5e-5


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def silu(z):
    return z * sigmoid(z)


def softplus(z):
    return np.log1p(np.exp(z))


def rms(x, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def conv(x, weight, bias=0.0):
    """x [T, c], weight [c, 1, taps]: the last tap is the token's own."""
    taps = weight.shape[-1]
    padded = np.concatenate([np.zeros((taps - 1, x.shape[1])), x])
    return sum(padded[i:i + len(x)] * weight[:, 0, i] for i in range(taps)) + bias


def turn(x, theta):
    """x [T, heads, k]: pairs (i, i + k/2) turn by position * theta^(-2i/k)."""
    half = x.shape[-1] // 2
    angle = np.arange(len(x))[:, None] * theta ** (-np.arange(half) / half)
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    low, high = x[..., :half], x[..., half:]
    return np.concatenate([low * c - high * s, high * c + low * s], -1)


def attend(q, key, val, window=None):
    """q [T, h, k], key and val [T, g, k]."""
    out = np.zeros_like(q)
    share = q.shape[1] // key.shape[1]
    for t in range(len(q)):
        first = 0 if window is None else max(0, t - window + 1)
        for h in range(q.shape[1]):
            weights = softmax(key[first:t + 1, h // share] @ q[t, h] / np.sqrt(q.shape[2]))
            out[t, h] = weights @ val[first:t + 1, h // share]
    return out.reshape(len(q), -1)


def mamba(w, u, norms=None):
    """Selective scan; norms: the epsilon of norms on step, input and output vectors."""
    x, z = np.split(u @ w("in_proj.weight").T, 2, -1)
    x = silu(conv(x, w("conv1d.weight"), w("conv1d.bias")))
    A = -np.exp(w("A_log"))
    inner, n = A.shape
    low, B, C = np.split(x @ w("x_proj.weight").T, [w("x_proj.weight").shape[0] - 2 * n, w("x_proj.weight").shape[0] - n], -1)
    if norms:
        low, B, C = (rms(v, norms) * w(f"{name}_layernorm.weight") for name, v in (("dt", low), ("b", B), ("c", C)))
    dt = softplus(low @ w("dt_proj.weight").T + w("dt_proj.bias"))
    state, y = np.zeros((inner, n)), np.zeros_like(x)
    for t in range(len(u)):
        state = np.exp(dt[t][:, None] * A) * state + (dt[t] * x[t])[:, None] * B[t]
        y[t] = state @ C[t] + w("D") * x[t]
    return (y * silu(z)) @ w("out_proj.weight").T


def mamba_shapes(d, inner, n, r, norms):
    shapes = {"in_proj.weight": (2 * inner, d), "conv1d.weight": (inner, 1, 4), "conv1d.bias": (inner,), "A_log": (inner, n), "D": (inner,),
              "x_proj.weight": (r + 2 * n, inner), "dt_proj.weight": (inner, r), "dt_proj.bias": (inner,), "out_proj.weight": (d, inner)}
    return shapes | ({"dt_layernorm.weight": (r,), "b_layernorm.weight": (n,), "c_layernorm.weight": (n,)} if norms else {})


def gated_mlp(w, x, gate="gate_proj", up="up_proj", down="down_proj", act=silu):
    return (act(x @ w(gate + ".weight").T) * (x @ w(up + ".weight").T)) @ w(down + ".weight").T


def under(scope, shapes):
    return {f"{scope}.{name}": shape for name, shape in shapes.items()}


def inside(w, scope):
    return lambda name: w(f"{scope}.{name}")


def best_of(shares, count):
    """Which experts each token visits: [T, e] of 0 and 1."""
    chosen = np.zeros_like(shares)
    for t, row in enumerate(shares):
        chosen[t, np.argsort(-row, kind="stable")[:count]] = 1
    return chosen


# ---- Jamba: attention in one layer of eight, experts in every other MLP


def jamba():
    c = dict(architectures=["JambaForCausalLM"], hidden_size=16, intermediate_size=20, num_hidden_layers=8, vocab_size=61, num_attention_heads=2, num_key_value_heads=1,
             attn_layer_period=8, attn_layer_offset=4, expert_layer_period=2, expert_layer_offset=1, num_experts=6, num_experts_per_tok=2, mamba_d_state=4, mamba_d_conv=4,
             mamba_expand=2, mamba_dt_rank=3, mamba_conv_bias=True, mamba_proj_bias=False, rms_norm_eps=1e-6, tie_word_embeddings=False, hidden_act="silu")
    d, f, eps = 16, 20, 1e-6
    shapes = {"model.embed_tokens.weight": (61, d), "model.final_layernorm.weight": (d,), "lm_head.weight": (61, d)}
    mlp = {"gate_proj.weight": (f, d), "up_proj.weight": (f, d), "down_proj.weight": (d, f)}
    for i in range(8):
        layer = f"model.layers.{i}"
        shapes |= {f"{layer}.input_layernorm.weight": (d,), f"{layer}.pre_ff_layernorm.weight": (d,)}
        if i % 8 == 4:
            shapes |= under(layer + ".self_attn", {"q_proj.weight": (16, d), "k_proj.weight": (8, d), "v_proj.weight": (8, d), "o_proj.weight": (d, 16)})
        else:
            shapes |= under(layer + ".mamba", mamba_shapes(d, 32, 4, 3, True))
        if i % 2 == 1:
            shapes |= {f"{layer}.feed_forward.router.weight": (6, d)}
            for e in range(6):
                shapes |= under(f"{layer}.feed_forward.experts.{e}", mlp)
        else:
            shapes |= under(layer + ".feed_forward", mlp)

    def logits(w, ids):
        x = w("model.embed_tokens.weight")[ids]
        for i in range(8):
            at = inside(w, f"model.layers.{i}")
            u = rms(x, eps) * at("input_layernorm.weight")
            if i % 8 == 4:
                q, key, val = ((u @ at(f"self_attn.{name}_proj.weight").T).reshape(len(u), -1, 8) for name in "qkv")
                x = x + attend(q, key, val) @ at("self_attn.o_proj.weight").T
            else:
                x = x + mamba(inside(at, "mamba"), u, eps)
            u = rms(x, eps) * at("pre_ff_layernorm.weight")
            if i % 2 == 1:
                shares = softmax(u @ at("feed_forward.router.weight").T)
                weights = shares * best_of(shares, 2)
                x = x + sum(weights[:, e:e + 1] * gated_mlp(inside(at, f"feed_forward.experts.{e}"), u) for e in range(6))
            else:
                x = x + gated_mlp(inside(at, "feed_forward"), u)
        return rms(x, eps) * w("model.final_layernorm.weight") @ w("lm_head.weight").T

    return "jamba_1_7", c, shapes, logits, "arXiv 2403.19887", "one attention layer of eight, without positions; experts in every other MLP, shares not renormalised"


# ---- BlackMamba: Mamba and experts in turn


def blackmamba():
    c = dict(architectures=["BlackMambaForCausalLM"], hidden_size=20, ffn_hidden_size=12, num_layers=4, vocab_size=67, num_moe_experts=4, state_size=5, time_step_rank=3,
             conv_kernel=4, expand=2, layer_norm_epsilon=1e-5, tie_word_embeddings=True, hidden_act="silu")
    d, f, eps = 20, 12, 1e-5
    shapes = {"embedding.weight": (67, d), "decoder.final_layernorm.weight": (d,)}
    for i in range(4):
        layer = f"decoder.layers.{i}"
        shapes[layer + ".norm.weight"] = (d,)
        if i % 2 == 0:
            shapes |= under(layer + ".mixer", mamba_shapes(d, 40, 5, 3, False))
        else:
            shapes[layer + ".mixer.router.weight"] = (4, d)
            for e in range(4):
                shapes |= under(f"{layer}.mixer.local_experts.{e}", {"linear_fc1.weight": (2 * f, d), "linear_fc2.weight": (d, f)})

    def logits(w, ids):
        x = w("embedding.weight")[ids]
        for i in range(4):
            at = inside(w, f"decoder.layers.{i}")
            u = rms(x, eps) * at("norm.weight")
            if i % 2 == 0:
                x = x + mamba(inside(at, "mixer"), u)
            else:
                scores = sigmoid(u @ at("mixer.router.weight").T)
                best = scores.argmax(-1)
                y = np.zeros_like(u)
                for t, e in enumerate(best):
                    gate, up = np.split(at(f"mixer.local_experts.{e}.linear_fc1.weight") @ u[t], 2)
                    y[t] = scores[t, e] * (at(f"mixer.local_experts.{e}.linear_fc2.weight") @ (silu(gate) * up))
                x = x + y
        return rms(x, eps) * w("decoder.final_layernorm.weight") @ w("embedding.weight").T

    return "blackmamba", c, shapes, logits, "arXiv 2402.01771", "Mamba and experts in turn, the best by its sigmoid, tied"


# ---- StripedHyena: filters that are sums of complex exponentials, as convolutions


def striped_hyena():
    c = dict(architectures=["StripedHyenaModelForCausalLM"], hidden_size=16, inner_mlp_size=24, num_layers=3, vocab_size=59, num_attention_heads=2, state_size=3,
             short_filter_length=3, attn_layer_idxs=[1], eps=1e-6, rotary_emb_base=10000, mlp_activation="silu", qkv_proj_bias=True, mha_out_proj_bias=True,
             hyena_out_proj_bias=True)
    d, f, n, eps = 16, 24, 3, 1e-6
    shapes = {"embedding_layer.weight": (59, d), "norm.scale": (d,)}
    for i in range(3):
        block = f"blocks.{i}"
        shapes |= {f"{block}.pre_norm.scale": (d,), f"{block}.post_norm.scale": (d,)}
        shapes |= under(block + ".mlp", {"l1.weight": (f, d), "l2.weight": (f, d), "l3.weight": (d, f)})
        if i == 1:
            shapes |= under(block + ".inner_mha_cls", {"Wqkv.weight": (3 * d, d), "Wqkv.bias": (3 * d,), "out_proj.weight": (d, d), "out_proj.bias": (d,)})
        else:
            shapes |= under(block, {"projections.weight": (3 * d, d), "projections.bias": (3 * d,), "out_filter_dense.weight": (d, d), "out_filter_dense.bias": (d,)})
            shapes |= under(block + ".filter", {"short_filter_weight": (3 * d, 1, 3), "short_filter_bias": (3 * d,), "D": (d,), "poles": (d, n, 1, 2), "residues": (d, n, 1, 2)})

    def logits(w, ids):
        x = w("embedding_layer.weight")[ids]
        for i in range(3):
            at = inside(w, f"blocks.{i}")
            u = rms(x, eps) * at("pre_norm.scale")
            if i == 1:
                qkv = (u @ at("inner_mha_cls.Wqkv.weight").T + at("inner_mha_cls.Wqkv.bias")).reshape(len(u), 3, 2, 8)
                y = attend(turn(qkv[:, 0], 10000.0), turn(qkv[:, 1], 10000.0), qkv[:, 2])
                x = x + y @ at("inner_mha_cls.out_proj.weight").T + at("inner_mha_cls.out_proj.bias")
            else:
                z = u @ at("projections.weight").T + at("projections.bias")
                x2, x1, v = np.split(conv(z, at("filter.short_filter_weight"), at("filter.short_filter_bias")), 3, -1)
                pole, residue = (at(f"filter.{name}")[:, :, 0, 0] + 1j * at(f"filter.{name}")[:, :, 0, 1] for name in ("poles", "residues"))
                v = x1 * v
                filter = np.stack([(residue * pole ** lag).sum(-1).real for lag in range(len(u))])   # [lag, d]
                y = np.stack([sum(filter[t - s] * v[s] for s in range(t + 1)) for t in range(len(u))]) + at("filter.D") * v
                x = x + (x2 * y) @ at("out_filter_dense.weight").T + at("out_filter_dense.bias")
            x = x + gated_mlp(inside(at, "mlp"), rms(x, eps) * at("post_norm.scale"), "l1", "l2", "l3")
        return rms(x, eps) * w("norm.scale") @ w("embedding_layer.weight").T

    return "striped_hyena", c, shapes, logits, "Poli et al. 2023", "gated long convolutions with filters of 3 complex exponentials, written as sums over all lags; attention in the second block"


# ---- the long stack: state spaces, a window, 256 experts of which 8, a memory of the last 2 periods


def long_stack():
    c = dict(architectures=["LongStackForCausalLM"], hidden_size=16, mamba_num_heads=2, mamba_head_dim=8, state_size=4, n_groups=1, conv_kernel=4, state_space_layers=2, vocab_size=64,
             num_attention_heads=2, num_key_value_heads=1, head_dim=8, sliding_window=12, num_experts=256, num_experts_per_tok=8, moe_intermediate_size=4, memory_heads=2,
             memory_key_dim=4, memory_value_dim=5, memory_period=16, rms_norm_eps=1e-5, rope_theta=10000, hidden_act="silu", tie_word_embeddings=False)
    d, inner, n, eps, m = 16, 16, 4, 1e-5, 4
    shapes = {"embeddings.weight": (64, d), "norm_f.weight": (d,), "lm_head.weight": (64, d), "window.norm.weight": (d,), "mixture.norm.weight": (d,), "memory_norm.weight": (d,)}
    for i in range(2):
        shapes |= under(f"state_space.{i}", {"norm.weight": (d,), "mixer.in_proj.weight": (2 * inner + 2 * n + 2, d), "mixer.conv1d.weight": (inner + 2 * n, 1, 4),
                                             "mixer.conv1d.bias": (inner + 2 * n,), "mixer.A_log": (2,), "mixer.D": (2,), "mixer.dt_bias": (2,), "mixer.norm.weight": (inner,),
                                             "mixer.out_proj.weight": (d, inner)})
    shapes |= under("window.attention", {"q_proj.weight": (16, d), "k_proj.weight": (8, d), "v_proj.weight": (8, d), "o_proj.weight": (d, 16)})
    shapes |= {"mixture.gate.weight": (256, d), "mixture.experts.input_linear.weight": (256, 2 * m, d), "mixture.experts.output_linear.weight": (256, d, m)}
    shapes |= under("memory", {"q_proj.weight": (8, d), "k_proj.weight": (8, d), "v_proj.weight": (10, d), "rate.weight": (2, d), "norm.weight": (5,), "o_proj.weight": (d, 10)})

    def ssd(w, u):
        z, xBC, dt = np.split(u @ w("in_proj.weight").T, [inner, 2 * inner + 2 * n], -1)
        x, B, C = np.split(silu(conv(xBC, w("conv1d.weight"), w("conv1d.bias"))), [inner, inner + n], -1)
        dt, x = softplus(dt + w("dt_bias")), x.reshape(-1, 2, 8)
        state, y = np.zeros((2, 8, n)), np.zeros_like(x)
        for t in range(len(u)):
            state = np.exp(-np.exp(w("A_log")) * dt[t])[:, None, None] * state + (dt[t][:, None] * x[t])[..., None] * B[t]
            y[t] = state @ C[t] + w("D")[:, None] * x[t]
        return rms(y.reshape(len(u), -1) * silu(z), eps) * w("norm.weight") @ w("out_proj.weight").T

    def memory(w, u):
        """A learner starts at every 16th token; the one that started a period before the latest is read."""
        unit = lambda v: v / np.sqrt((v * v).sum(-1, keepdims=True) + 1e-6)
        q, key = (unit((u @ w(f"{name}_proj.weight").T).reshape(-1, 2, 4)) for name in "qk")
        val, rate = (u @ w("v_proj.weight").T).reshape(-1, 2, 5), sigmoid(u @ w("rate.weight").T)
        learners, y = {}, np.zeros((len(u), 2, 5))
        for t in range(len(u)):
            if t % 16 == 0:
                learners[t // 16] = np.zeros((2, 4, 5))
            for start in learners:
                S = learners[start]
                error = np.einsum("hab,ha->hb", S, key[t]) - val[t]
                learners[start] = S - rate[t][:, None, None] * np.einsum("ha,hb->hab", key[t], error)
            # Before the first period is over there is an old learner too: it starts with the text.
            read = learners[max(t // 16 - 1, 0)]
            y[t] = np.einsum("hab,ha->hb", read, q[t])
        return (rms(y, eps) * w("norm.weight")).reshape(len(u), -1) @ w("o_proj.weight").T

    def logits(w, ids):
        x = w("embeddings.weight")[ids]
        for i in range(2):
            at = inside(w, f"state_space.{i}")
            x = x + ssd(inside(at, "mixer"), rms(x, eps) * at("norm.weight"))
        at = inside(w, "window.attention")
        u = rms(x, eps) * w("window.norm.weight")
        q, key, val = ((u @ at(f"{name}_proj.weight").T).reshape(len(u), -1, 8) for name in "qkv")
        x = x + attend(turn(q, 10000.0), turn(key, 10000.0), val, 12) @ at("o_proj.weight").T
        u = rms(x, eps) * w("mixture.norm.weight")
        scores = u @ w("mixture.gate.weight").T
        for t in range(len(u)):
            chosen = np.argsort(-scores[t], kind="stable")[:8]
            y = np.zeros(d)
            for weight, e in zip(softmax(scores[t, chosen]), chosen):
                gate, up = np.split(w("mixture.experts.input_linear.weight")[e] @ u[t], 2)
                y += weight * (w("mixture.experts.output_linear.weight")[e] @ (silu(gate) * up))
            x[t] = x[t] + y
        x = x + memory(inside(w, "memory"), rms(x, eps) * w("memory_norm.weight"))
        return rms(x, eps) * w("norm_f.weight") @ w("lm_head.weight").T

    return "long_stack", c, shapes, logits, "models/long_stack.rondo", "Mamba-2, a window of 12 tokens, 8 of 256 experts, and a memory of the last 16 to 32 tokens that learns at test time"


# ---- writing


def drawn(random, name, shape, tied):
    if name.endswith("A_log"):
        return np.log(random.uniform(0.5, 4, shape))
    if name.endswith("poles"):
        angle, radius = random.uniform(-2, 2, shape[:-1]), random.uniform(0.5, 0.97, shape[:-1])
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    if "norm" in name:
        return 1 + 0.2 * random.normal(size=shape)
    if "embed" in name:
        return random.normal(size=shape) * (1.2 / np.sqrt(shape[-1]) if tied else 1)
    if len(shape) == 1:
        return 0.3 * random.normal(size=shape)
    return random.normal(size=shape) * (0.4 if len(shape) > 2 and shape[1] in (1, 3) else 1.2 / np.sqrt(shape[-1]))


def make(model, seed):
    name, config, shapes, logits_of, paper, covers = model
    random = np.random.default_rng(seed)
    tied = not any("lm_head" in key for key in shapes)
    stored = {key: drawn(random, key, shape, tied).astype(np.float16).astype(np.float32) for key, shape in shapes.items()}   # numbers that the files hold
    weights = {key: value.astype(np.float64) for key, value in stored.items()}
    used = set()

    def w(key):
        used.add(key)
        return weights[key]

    nudged = {key: value * (1 + random.uniform(-1, 1, value.shape) * 2.0 ** -24) for key, value in weights.items()}

    vocab = config["vocab_size"]
    draw = lambda rows, length: random.integers(vocab, size=(rows, length))
    expected, margin = {"input_ids_a": draw(2, 19), "input_ids_b": draw(1, 70)}, float("inf")
    for which in "ab":
        expected[f"logits_{which}"] = np.stack([logits_of(w, ids) for ids in expected[f"input_ids_{which}"]])
        moved = np.stack([logits_of(nudged.get, ids) for ids in expected[f"input_ids_{which}"]])
        if abs(moved - expected[f"logits_{which}"]).max() > 1e-5:
            return False
    for index, length in enumerate((5, 23)):
        prompt = ids = draw(1, length)
        for _ in range(16):
            last = logits_of(w, ids[0])[-1]
            order = np.argsort(-last)
            margin = min(margin, last[order[0]] - last[order[1]])
            if margin < 0.01:
                return False
            ids = np.concatenate([ids, order[:1][None]], 1)
        expected[f"gen{index}_prompt"], expected[f"gen{index}_tokens"] = prompt, ids[:, length:]
    if missing := set(shapes) - used:
        sys.exit(f"make_stacks: {name} has weights that nothing reads: {sorted(missing)[:5]}")
    folder = os.path.join(FOLDER, name)
    os.makedirs(folder, exist_ok=True)
    meta = {"reference": f"formulas ({paper}), token by token in f64 (make_stacks.py)", "covers": covers, "seed": seed, "tolerance_max_abs": TOLERANCE,
            "logits_std": round(float(expected["logits_b"].std()), 2), "smallest_top2_margin": round(float(margin), 4)}
    for file, values in (("config.json", config), ("meta.json", meta)):
        with open(os.path.join(folder, file), "w") as text:
            text.write(json.dumps(values, indent=2) + "\n")
    save_file({key: np.ascontiguousarray(value) for key, value in stored.items()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    save_file({key: np.ascontiguousarray(value.astype(np.float32 if value.dtype.kind == "f" else np.int32)) for key, value in expected.items()},
              os.path.join(folder, "expected.safetensors"))
    print(f"{name}: {meta}, {sum(os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder))} bytes")
    return True


def main():
    models = [jamba(), blackmamba(), striped_hyena(), long_stack()]
    unknown = set(sys.argv[1:]) - {model[0] for model in models}
    if unknown:
        sys.exit(f"make_stacks: unknown {', '.join(sorted(unknown))}; expected of {', '.join(model[0] for model in models)}")
    for model in models:
        if not sys.argv[1:] or model[0] in sys.argv[1:]:
            next(seed for seed in range(1, 400) if make(model, seed))


if __name__ == "__main__":
    main()

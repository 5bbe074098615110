#!/usr/bin/env python3
"""Attention that reads a few chosen tokens: the published formula in numpy, f64, token by token.

    python3 make_sparse.py        (numpy, safetensors)
"""

import numpy as np

from golden import f32, write

H, K, V, I, E = 3, 4, 6, 4, 4  # roots of K and E are whole: constants of the IR are f32


def sparse_attention_indexer():
    random = np.random.default_rng(41)
    tokens, kept, places = 26, 5, 100
    shapes = {"q": (H, K), "key": (H, K), "val": (H, V), "asked": (I, E), "named": (E,), "weight": (I,)}
    inputs = {name: f32(random.standard_normal((2, tokens, *shape))) for name, shape in shapes.items()}
    q, key, val, asked, named, weight = (inputs[name].astype(np.float64) for name in shapes)
    y, closest, left_out, early = np.zeros((2, tokens, H, V)), np.inf, 0, 0
    for b in range(2):
        for t in range(tokens):
            scores = np.array([sum(weight[b, t, j] * max(asked[b, t, j] @ named[b, s] / np.sqrt(E), 0) for j in range(I)) for s in range(t + 1)])
            order = sorted(range(t + 1), key=lambda s: (-scores[s], s))
            read = order[:kept]
            if t >= kept:
                between = scores[order[kept - 1]] - scores[order[kept]]
                closest = min(closest, between if between > 0 else np.inf)  # equal ones: of the two the earlier, in any precision
                left_out += t not in read
                early += any(s < t - kept for s in read)
            for a in range(H):
                score = np.array([q[b, t, a] @ key[b, s, a] / np.sqrt(K) for s in read])
                p = np.exp(score - score.max())
                y[b, t, a] = sum(p[n] / p.sum() * val[b, s, a] for n, s in enumerate(read))
    assert closest > 1e-4, closest  # no choice hangs on a last bit of f32
    assert left_out > 10 and early > 10, (left_out, early)  # neither a window nor always the token itself
    write("sparse_attention_indexer", {
        "spec": "models/sparse_attention_indexer.rondo", "set": {"h": H, "k": K, "v": V, "i": I, "e": E, "kept": kept, "places": places}, "options": ["places"],
        "title": "Attention to tokens chosen by an indexer", "paper": "2512.02556", "class": "no finite state (KV cache), and the indexer's keys",
        "states": {"names": "identity"},
        "oracle": "the published formula in numpy, f64, a sort for each token", "tolerance": 1e-10, "tolerance_f32": 5e-6,
        "why": "f64 on both sides; f32 rounding, with the last score that is read at least 1e-4 above the next",
    }, inputs, {"y": y})


if __name__ == "__main__":
    sparse_attention_indexer()

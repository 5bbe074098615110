"""Mamba in JAX, as its paper writes it: the whole model over a prompt, and one step. Weights are random; the shapes are those of the checkpoint's config.json."""

import json
import os

import jax
import jax.numpy as jnp
import numpy
from jax import lax


def weights(folder):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    vocabulary, d, layers, n, taps = (config[k] for k in ("vocab_size", "hidden_size", "num_hidden_layers", "state_size", "conv_kernel"))
    inner, rank = config["intermediate_size"], config["time_step_rank"]
    random = numpy.random.default_rng(1)

    def draw(*shape):
        return random.standard_normal(shape, dtype=numpy.float32) * numpy.float32(0.02)

    made = {"embedding": draw(vocabulary, d), "norm": numpy.ones(d, numpy.float32)}
    made["layers"] = [
        {
            "norm": numpy.ones(d, numpy.float32), "into": draw(d, 2 * inner), "taps": draw(inner, taps), "bias": draw(inner), "parts": draw(inner, rank + 2 * n),
            "delta": draw(rank, inner), "delta_bias": draw(inner) - 4.6, "A": -numpy.tile(numpy.arange(1, n + 1, dtype=numpy.float32), (inner, 1)),
            "D": numpy.ones(inner, numpy.float32), "out": draw(inner, d),
        }
        for _ in range(layers)
    ]
    return made


def norm(x, weight):
    return x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5) * weight


def parts(layer, conv):
    n = layer["A"].shape[1]
    mixed = conv @ layer["parts"]
    rank = mixed.shape[-1] - 2 * n
    return jax.nn.softplus(mixed[..., :rank] @ layer["delta"] + layer["delta_bias"]), mixed[..., rank:rank + n], mixed[..., rank + n:]


def update(layer, state, x, delta, B, C):
    state = jnp.exp(delta[:, None] * layer["A"]) * state + (delta * x)[:, None] * B
    return state, state @ C + layer["D"] * x


def prefill(model, tokens):
    """Logits of the last token."""
    x = model["embedding"][tokens]
    for layer in model["layers"]:
        up, gate = jnp.split(norm(x, layer["norm"]) @ layer["into"], 2, axis=-1)
        taps = layer["taps"].shape[1]
        padded = jnp.pad(up, ((taps - 1, 0), (0, 0)))
        conv = jax.nn.silu(sum(padded[i:i + up.shape[0]] * layer["taps"][:, i] for i in range(taps)) + layer["bias"])
        delta, B, C = parts(layer, conv)
        _, y = lax.scan(lambda state, row: update(layer, state, *row), jnp.zeros(layer["A"].shape, jnp.float32), (conv, delta, B, C))
        x = x + (y * jax.nn.silu(gate)) @ layer["out"]
    return norm(x[-1], model["norm"]) @ model["embedding"].T


def step(model, state, token):
    x, after = model["embedding"][token], []
    for layer, (window, memory) in zip(model["layers"], state):
        up, gate = jnp.split(norm(x, layer["norm"]) @ layer["into"], 2)
        window = jnp.concatenate([window[:, 1:], up[:, None]], 1)
        conv = jax.nn.silu((window * layer["taps"]).sum(1) + layer["bias"])
        memory, y = update(layer, memory, conv, *parts(layer, conv))
        after.append((window, memory))
        x = x + (y * jax.nn.silu(gate)) @ layer["out"]
    return jnp.argmax(norm(x, model["norm"]) @ model["embedding"].T), after


def start(model):
    return [(jnp.zeros(layer["taps"].shape), jnp.zeros(layer["A"].shape)) for layer in model["layers"]]

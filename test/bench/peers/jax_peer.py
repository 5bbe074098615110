"""JAX (XLA on the CPU): Mamba whole, and the recurrences in blocks or by lax.scan, whichever of its ways is quicker."""

import os

import serve

asked = serve.work()
if asked["threads"] == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
from jax import lax

import jax_mamba

T = asked["tokens"]


def drawn(seed, *shape):
    return jax.random.normal(jax.random.PRNGKey(seed), shape)


def blocks(x, size):
    """[h, T, …] → [blocks, h, size, …]"""
    return jnp.moveaxis(x.reshape(x.shape[0], T // size, size, *x.shape[2:]), 1, 0)


def between(gate):
    """Decays between two tokens of a block, from the running sum of gates [..., c]."""
    c = gate.shape[-1]
    return jnp.exp(jnp.where(jnp.tril(jnp.ones((c, c), bool)), gate[..., :, None] - gate[..., None, :], -jnp.inf))


def ssd(h, k, v, size=64):
    def run(q, key, val, gate):
        def block(state, now):
            q, key, val, g = now
            y = (q * jnp.exp(g)[..., None]) @ state + ((q @ jnp.swapaxes(key, -1, -2)) * between(g)) @ val
            kept = key * jnp.exp(g[..., -1:] - g)[..., None]
            return state * jnp.exp(g[..., -1])[..., None, None] + jnp.swapaxes(kept, -1, -2) @ val, y

        rows = (*(blocks(x, size) for x in (q, key, val)), jnp.cumsum(blocks(gate, size), -1))
        return lax.scan(block, jnp.zeros((h, k, v)), rows)[1]

    return run, (drawn(1, h, T, k), drawn(2, h, T, k), drawn(3, h, T, v), jax.nn.log_sigmoid(drawn(4, h, T) + 3))


def gdn(h, k, v, size=64):
    def run(q, key, val, gate, beta):
        q, key, val, gate, beta = (blocks(x, size) for x in (q, key, val, gate, beta))
        g = jnp.cumsum(gate, -1)
        decays, scaled = between(g), key * beta[..., None]
        system = (scaled @ jnp.swapaxes(key, -1, -2)) * decays * jnp.tril(jnp.ones((size, size)), -1) + jnp.eye(size)
        right = jnp.concatenate([val * beta[..., None], scaled * jnp.exp(g)[..., None]], -1)
        solved = lax.linalg.triangular_solve(system, right, left_side=True, lower=True, unit_diagonal=True)
        scores = (q @ jnp.swapaxes(key, -1, -2)) * decays
        rows = (solved[..., :v], solved[..., v:], scores, q * jnp.exp(g)[..., None], key * jnp.exp(g[..., -1:] - g)[..., None], jnp.exp(g[..., -1]))

        def block(state, now):
            u, w, score, q, key, decay = now
            new = u - w @ state
            return state * decay[..., None, None] + jnp.swapaxes(key, -1, -2) @ new, q @ state + score @ new

        return lax.scan(block, jnp.zeros((h, k, v)), rows)[1]

    key = drawn(2, h, T, k)
    arguments = (drawn(1, h, T, k), key / jnp.linalg.norm(key, axis=-1, keepdims=True), drawn(3, h, T, v), jax.nn.log_sigmoid(drawn(4, h, T) + 3), jax.nn.sigmoid(drawn(5, h, T)))
    return run, arguments


def scan(d, n):
    def run(A, D, x, delta, B, C):
        layer = {"A": A, "D": D}
        return lax.scan(lambda state, row: jax_mamba.update(layer, state, *row), jnp.zeros((d, n)), (x, delta, B, C))[1]

    return run, (-jnp.exp(drawn(1, d, n)), jnp.ones(d), drawn(2, T, d), jax.nn.softplus(drawn(3, T, d) - 3), drawn(4, T, n), drawn(5, T, n))


def model():
    made = jax.device_put(jax_mamba.weights(os.path.join(asked["folder"], asked["model"])))
    if asked["kind"] == "prefill":
        whole = jax.jit(jax_mamba.prefill)
        tokens = jnp.arange(T) % 1000
        return lambda: jax.block_until_ready(whole(made, tokens))
    one, state = jax.jit(jax_mamba.step, donate_argnums=1), [jax_mamba.start(made), jnp.array(1)]

    def decode():
        for _ in range(T):
            token, after = one(made, state[0], state[1])
            state[:] = [after, token]
        jax.block_until_ready(state)

    return decode


if asked["kind"] == "kernel":
    name, _, sizes = asked["model"].partition("-")
    function, arguments = {"ssd": ssd, "gdn": gdn, "scan": scan}[name](*[int(s) for s in sizes.split("x")])
    compiled = jax.jit(function)
    serve.serve(f"jax {jax.__version__}", lambda: jax.block_until_ready(compiled(*arguments)))
else:
    serve.serve(f"jax {jax.__version__}", model())

"""The recurrences as transformers, flash-linear-attention and xlstm compute them on a CPU with torch, and torch's matrix products (MKL for f32, oneDNN for bf16)."""

import serve

asked = serve.work()

import torch

torch.set_num_threads(asked["threads"])
torch.set_grad_enabled(False)
torch.manual_seed(1)
T = asked["tokens"]
version = f"torch {torch.__version__}"


def gates(h):
    return torch.nn.functional.logsigmoid(torch.randn(1, T, h) + 3)


def inputs(h, k, v):
    return torch.randn(1, T, h, k), torch.nn.functional.normalize(torch.randn(1, T, h, k), dim=-1), torch.randn(1, T, h, v), gates(h)


def ssd(h, k, v):
    from fla.ops.simple_gla.naive import naive_chunk_simple_gla

    arguments = inputs(h, k, v)
    return lambda: naive_chunk_simple_gla(*arguments)


def gdn(h, k, v):
    import sys

    sys.modules["fla"] = None  # transformers would take its Triton kernels, which need a GPU
    from transformers.models.qwen3_5.modeling_qwen3_5 import torch_chunk_gated_delta_rule

    arguments = (*inputs(h, k, v), torch.rand(1, T, h))
    return lambda: torch_chunk_gated_delta_rule(*arguments)


def scan(d, n):
    """The loop that transformers runs where its CUDA kernels do not."""
    u, delta = torch.randn(d, T), torch.rand(d, T) * 0.1
    A, D, B, C = -torch.rand(d, n) * 8, torch.ones(d), torch.randn(T, n), torch.randn(T, n)

    def run():
        decay = torch.exp(A[:, None] * delta[..., None])
        into = delta[..., None] * B * u[..., None]
        state, outs = torch.zeros(d, n), []
        for t in range(T):
            state = decay[:, t] * state + into[:, t]
            outs.append(state @ C[t])
        return torch.stack(outs, -1) + u * D[:, None]

    return run


def ttt(h, k):
    from fla.ops.ttt.naive import chunk_ttt_linear_ref

    q, key, v, _ = inputs(h, k, k)
    w, b, rate = torch.ones(h, k), torch.zeros(h, k), torch.rand(1, T, h, 1) * 0.1
    return lambda: chunk_ttt_linear_ref(q, key, v, w, b, rate, scale=1.0, mini_batch_size=min(16, T))


def slstm():
    from xlstm.blocks.slstm.layer import sLSTMLayer, sLSTMLayerConfig

    layer = sLSTMLayer(sLSTMLayerConfig(embedding_dim=256, num_heads=4, conv1d_kernel_size=4, backend="vanilla")).eval()
    x = torch.randn(1, T, 256)
    return lambda: layer(x)


def product(m, n, k):
    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[asked["precision"]]
    a, b = torch.randn(m, k).to(kind), torch.randn(k, n).to(kind)
    out = torch.empty(m, n, dtype=kind)
    repeats = max(1, int(2e8 / (m * n * k)))

    def run():
        import time

        begin = time.perf_counter()
        for _ in range(repeats):
            torch.matmul(a, b, out=out)
        return (time.perf_counter() - begin) / repeats

    return run


name, _, sizes = asked["model"].partition("-")
made = {"ssd": ssd, "gdn": gdn, "scan": scan, "slstm": slstm, "ttt": ttt, "product": product}[name](*[int(s) for s in sizes.split("x") if s])
serve.serve(version, made)

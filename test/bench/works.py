"""What is compared: a list of works, each with the systems that can do it and the ratio to the best of them that Rondo is to reach."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    name: str
    kind: str  # prefill, decode: of a model; kernel: of a module; cold: a process from start to first token
    model: str  # a checkpoint of checkpoints.py, or a module of kernels()
    precision: str = "f32"  # rondoc's --precision
    tokens: int = 512
    peers: tuple = ()  # (system, precision there)
    threads: tuple = (2,)
    target: float = 1.0  # times the best peer
    most: float = 0.0  # seconds that Rondo may take; 0: what counts is the ratio


def llama(*types):
    return tuple(("llama.cpp", t) for t in types)


def works():
    both = (1, 2)
    return [
        Work("prefill 512, Mamba-1, f32", "prefill", "mamba-130m", "f32", 512, llama("f32") + (("jax", "f32"), ("iree", "f32"), ("torch", "f32"), ("onnxruntime", "f32"), ("openvino", "f32")), both, 2.0),
        Work("prefill 512, Mamba-1, bf16", "prefill", "mamba-130m", "bf16", 512, llama("BF16"), both, 6.0),
        Work("prefill 512, Mamba-1, int8", "prefill", "mamba-130m", "w8", 512, llama("Q8_0"), both, 5.0),
        Work("prefill 512, Mamba-1, int4", "prefill", "mamba-130m", "w4", 512, llama("Q4_0"), both, 4.0),
        Work("prefill 512, Mamba-2, f32", "prefill", "mamba2-130m", "f32", 512, llama("f32") + (("torch", "f32"),), both, 2.8),
        Work("prefill 512, Mamba-2, bf16", "prefill", "mamba2-130m", "bf16", 512, llama("BF16") + (("torch", "bf16"),), both, 2.5),
        Work("prefill 512, Llama 125M, f32", "prefill", "llama-125m", "f32", 512, llama("f32") + (("torch", "f32"),), both, 1.5),
        Work("prefill 512, Llama 125M, bf16", "prefill", "llama-125m", "bf16", 512, llama("BF16") + (("torch", "bf16"),), both, 1.4),
        *[
            Work(f"prefill {tokens}, {name}, f32", "prefill", model, "f32", tokens, llama("f32"), (1,), target)
            for tokens in (2048, 8192)
            for name, model, target in (("Mamba-1", "mamba-130m", 3.0), ("Mamba-2", "mamba2-130m", 3.0), ("Llama 125M", "llama-125m", 1.5))
        ],
        *[
            Work(f"decode, {name}, {precision}", "decode", model, precision, 32, llama(other) + extra, both, target)
            for precision, other, targets in (("f32", "f32", (1, 1, 1, 1)), ("bf16", "BF16", (1, 1, 1, 1)), ("w8", "Q8_0", (1.5, 1.4, 1.1, 1.3)), ("w4", "Q4_0", (2, 1.7, 1.25, 1.5)))
            for (name, model, more), target in zip(
                (("Mamba-1", "mamba-130m", (("jax", "f32"), ("onnxruntime", "f32"), ("openvino", "f32"))), ("Mamba-2", "mamba2-130m", ()), ("Llama 125M", "llama-125m", ()), ("RWKV-7", "rwkv7-0.1b", ())), targets
            )
            for extra in [more if precision == "f32" else ()]
        ],
        *[
            Work(f"decode, {name}, w4", "decode", model, "w4", 32, llama("Q4_0"), (2,), target)
            for name, model, target in (
                ("Gated DeltaNet hybrid", "gdn-hybrid", 1.5), ("Jamba", "jamba-small", 1.5), ("Falcon-H1", "falcon-h1-small", 1.5), ("LFM2 350M", "lfm2-350m", 1.1),
            )
        ],
        Work("prefill 512, xLSTM, f32", "prefill", "xlstm-small", "f32", 512, (("torch", "f32"),), (2,), 5.0),
        Work("decode, xLSTM, f32", "decode", "xlstm-small", "f32", 16, (("torch", "f32"),), (2,), 5.0),
        Work("sLSTM layer, 4 heads of 64, 512 tokens", "kernel", "slstm", "f32", 512, (("torch", "f32"),), (2,), 5.0),
        Work("sLSTM layer, 4 heads of 64, one token", "kernel", "slstm", "f32", 1, (("torch", "f32"),), (2,), 5.0),
        Work("TTT-Linear, 12 heads of 64, 2048 tokens", "kernel", "ttt-12x64", "f32", 2048, (("torch", "f32"),), both, 5.0),
        Work("TTT-Linear, 12 heads of 64, one token", "kernel", "ttt-12x64", "f32", 1, (("torch", "f32"),), both, 5.0),
        *[
            Work(f"SSD, {heads} heads 64x64, 4096 tokens", "kernel", f"ssd-{heads}x64x64", "f32", 4096, (("torch", "f32"), ("jax", "f32")), both, 10.0)
            for heads in (12, 24)
        ],
        *[
            Work(f"Gated DeltaNet, {heads} heads {size}x{size}, 4096 tokens", "kernel", f"gdn-{heads}x{size}x{size}", "f32", 4096, (("torch", "f32"), ("jax", "f32")), both, 10.0)
            for heads, size in ((12, 64), (12, 128), (24, 64))
        ],
        Work("selective scan, 1536 channels x 16, 2048 tokens", "kernel", "scan-1536x16", "f32", 2048, (("jax", "f32"),), both, 15.0),
        Work("selective scan, torch's loop", "kernel", "scan-1536x16", "f32", 2048, (("torch", "f32"),), (2,), 15.0),
        *[
            Work(f"product of {size[0]}x{size[2]} by {size[2]}x{size[1]}, f32", "kernel", "product-" + "x".join(map(str, size)), "f32", size[0],
                 (("openblas", "f32"), ("torch", "f32")), (1,), 1.0)
            for size in ((64, 64, 64), (128, 128, 128), (256, 256, 256), (250, 250, 250), (512, 512, 512), (1024, 1024, 1024), (512, 2048, 2048), (2048, 2048, 2048))
        ],
        Work("product of 512x2048 by 2048x2048, bf16", "kernel", "product-512x2048x2048", "bf16", 512, (("torch", "bf16"),), (1,), 1.0),
        Work("start to first token, Mamba-1, f32", "cold", "mamba-130m", "f32", 1, llama("f32"), (2,), most=0.1),
        Work("start to first token, Mamba-1, int8", "cold", "mamba-130m", "w8", 1, llama("Q8_0"), (2,), most=0.1),
    ]

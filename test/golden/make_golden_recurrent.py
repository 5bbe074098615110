#!/usr/bin/env python3
"""Writes the checkpoint folders whose layers hand something to the next: HGRN2's bounds, which grow with depth, and RWKV-7's first values.

    python3 test/golden/make_golden_recurrent.py        (what mechanisms/make_fla.py and mechanisms/make_rwkv.py need)

As make_golden.py does it: random weights, logits in f64, greedy tokens by full passes. Nothing of it is needed to run tests.
"""

import contextlib
import importlib
import io
import json
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, "mechanisms"))
os.environ.update(RWKV_JIT_ON="0", RWKV_CUDA_ON="0", RWKV_V7_ON="1")

import torch

F32 = torch.float32
import fla_f64  # noqa: E402,F401
from fla.models import HGRN2Config, HGRN2ForCausalLM  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

TOLERANCE = 5e-5


def write(name, config, stored, logits_of, reference, covers, seed):
    generator = torch.Generator().manual_seed(seed)
    vocab = config["vocab_size"]
    draw = lambda rows, length: torch.randint(vocab, (rows, length), generator=generator)
    expected, margin = {"input_ids_a": draw(2, 19), "input_ids_b": draw(1, 70)}, float("inf")
    for which in "ab":
        expected[f"logits_{which}"] = torch.stack([logits_of(ids) for ids in expected[f"input_ids_{which}"]])
    for index, length in enumerate((5, 23)):
        ids = prompt = draw(1, length)
        for _ in range(16):
            best = logits_of(ids[0])[-1].topk(2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            ids = torch.cat([ids, best.indices[:1].view(1, 1)], dim=1)
        expected[f"gen{index}_prompt"], expected[f"gen{index}_tokens"] = prompt, ids[:, length:]
    if margin < 0.01:
        return False
    folder = os.path.join(FOLDER, name)
    os.makedirs(folder, exist_ok=True)
    spread = float(expected["logits_b"].std())
    meta = {"reference": reference, "covers": covers, "seed": seed, "tolerance_max_abs": TOLERANCE, "logits_std": round(spread, 2), "smallest_top2_margin": round(margin, 4)}
    for file, values in (("config.json", config), ("meta.json", meta)):
        with open(os.path.join(folder, file), "w") as text:
            text.write(json.dumps(values, indent=2) + "\n")
    save_file({key: value.to(F32).contiguous() for key, value in stored.items()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    save_file({key: (value.to(F32) if value.is_floating_point() else value.int()).contiguous() for key, value in expected.items()}, os.path.join(folder, "expected.safetensors"))
    print(f"{name}: seed {seed}, deviation {spread:.2f}, {sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))} bytes")
    return True


def random(shape, scale, offset=0.0):
    """Numbers that the files hold."""
    return (torch.randn(shape) * scale + offset).to(torch.half).double()


def hgrn2(seed):
    torch.manual_seed(seed)
    sizes = dict(hidden_size=20, expand_ratio=5, num_hidden_layers=3, intermediate_size=28, vocab_size=67)
    model = HGRN2ForCausalLM(HGRN2Config(**sizes, fuse_norm=False, fuse_swiglu=False, fuse_cross_entropy=False, norm_eps=1e-5)).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 1.0 if "embeddings" in name or "lower_bounds" in name else 1.2 / parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else 0.3
            parameter.copy_(random(parameter.shape, scale, 1.0 if parameter.dim() == 1 else 0.0))

    def logits_of(ids):
        with torch.no_grad():
            return model(input_ids=ids[None], use_cache=False).logits[0]

    config = {"architectures": ["HGRN2ForCausalLM"], "model_type": "hgrn2", **sizes, "num_heads": 4, "hidden_act": "swish", "norm_eps": 1e-5, "tie_word_embeddings": False,
              "use_lower_bound": True, "use_short_conv": False, "attn": None}
    stored = {name: value.detach() for name, value in model.named_parameters()}
    return write("hgrn2_depth", config, stored, logits_of, "flash-linear-attention 0.6: HGRN2ForCausalLM, in f64", "bounds that grow with depth, three layers", seed)


def rwkv7(seed):
    torch.manual_seed(seed)
    d, size, layers, ffn, vocab, low = 16, 8, 3, 24, 67, {"w": 3, "a": 2, "v": 5, "g": 6}
    w = {"emb.weight": random((vocab, d), 1.0), "head.weight": random((vocab, d), 1.2 / d**0.5)}
    norms = ["ln_out", "blocks.0.ln0"]
    for i in range(layers):
        b = f"blocks.{i}."
        norms += [b + "ln1", b + "ln2", b + "att.ln_x"]
        for m in ("receptance", "key", "value", "output"):
            w[f"{b}att.{m}.weight"] = random((d, d), 1.2 / d**0.5)
        for c in "rwkvag":
            w[f"{b}att.x_{c}"] = random((1, 1, d), 0.3, 0.5)
        for c in "wavg":
            w |= {f"{b}att.{c}1": random((d, low[c]), 0.4), f"{b}att.{c}2": random((low[c], d), 0.6)}
            w |= {f"{b}att.{c}0": random((1, 1, d), 1.5)} if c != "g" else {}
        w |= {f"{b}att.k_k": random((1, 1, d), 0.3, 1.0), f"{b}att.k_a": random((1, 1, d), 0.4, 1.0), f"{b}att.r_k": random((d // size, size), 0.5)}
        w |= {f"{b}ffn.x_k": random((1, 1, d), 0.3, 0.5), f"{b}ffn.key.weight": random((ffn, d), 1.2 / d**0.5), f"{b}ffn.value.weight": random((d, ffn), 1.2 / ffn**0.5)}
    for norm in norms:
        w |= {f"{norm}.weight": random((d,), 0.2, 1.0), f"{norm}.bias": random((d,), 0.2)}
    torch.jit.script = torch.jit.script_method = lambda function, *_, **__: function
    torch.jit.ScriptModule = torch.nn.Module
    import rwkv.model
    torch.load = lambda *_, **__: {key: value.clone() for key, value in w.items()}  # as if from a file
    with contextlib.redirect_stdout(io.StringIO()):
        model = importlib.reload(rwkv.model).RWKV(model="m", strategy="cpu fp32")

    def logits_of(ids):
        with torch.no_grad():
            return model.forward(ids.tolist(), None, full_output=True)[0].reshape(len(ids), vocab)

    assert logits_of(torch.arange(4)).dtype == torch.float64
    config = {"architectures": ["RWKV_x070"], "n_embd": d, "head_size": size, "n_layer": layers, "dim_ffn": ffn, "vocab_size": vocab, "decay_low_rank_dim": low["w"],
              "a_low_rank_dim": low["a"], "v_low_rank_dim": low["v"], "gate_low_rank_dim": low["g"]}
    return write("rwkv7_layers", config, w, logits_of, "the rwkv package 0.8.32: RWKV_x070, in f64", "values of the first layer in the later ones, three layers", seed)


def main():
    for make in (hgrn2, rwkv7):
        next(seed for seed in range(1, 100) if make(seed))


if __name__ == "__main__":
    main()

"""transformers on torch, eager: prefill with the logits of the last token, decode with the model's own cache."""

import os
import sys

import serve

asked = serve.work()
sys.modules["fla"] = None  # transformers would take its Triton kernels, which need a GPU

import torch
import transformers

torch.set_num_threads(asked["threads"])
torch.set_grad_enabled(False)
transformers.logging.set_verbosity_error()
folder = os.path.join(asked["folder"], asked["model"])
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype={"f32": torch.float32, "bf16": torch.bfloat16}[asked["precision"]]).eval()
version = f"transformers {transformers.__version__}, torch {torch.__version__}"
torch.manual_seed(1)
vocabulary = model.config.vocab_size


def prefill():
    tokens = torch.randint(0, vocabulary, (1, asked["tokens"]))
    try:
        model(tokens, use_cache=True, logits_to_keep=1)
    except TypeError:
        model(tokens, use_cache=True)


def decode():
    """A fresh cache each time: what counts are the steps after a prompt of 16 tokens."""
    import time

    out = model(torch.randint(0, vocabulary, (1, 16)), use_cache=True)
    name = "cache_params" if getattr(out, "cache_params", None) is not None else "past_key_values"
    cache, token = getattr(out, name), torch.zeros(1, 1, dtype=torch.long)
    begin = time.perf_counter()
    for _ in range(asked["tokens"]):
        token = model(token, use_cache=True, **{name: cache}).logits[:, -1:].argmax(-1)
    return time.perf_counter() - begin


serve.serve(version, {"prefill": prefill, "decode": decode}[asked["kind"]])

#!/usr/bin/env python3
"""Repeats the figures of this folder's README with the published reference code.

    python3 -m venv v && v/bin/pip install torch transformers safetensors
    v/bin/python models/demo/reference.py
"""

import math
import os

import torch
import transformers

FOLDER = os.path.dirname(os.path.abspath(__file__))
PROMPT = b"hacker\n n.\n\n    "


def main():
    model = transformers.Mamba2ForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with open(os.path.join(FOLDER, "heldout.txt"), "rb") as file:
        text = torch.tensor(list(file.read())).view(1, -1)
    with torch.no_grad():
        logits = model(text[:, :-1], use_cache=False).logits[0]
        nats = torch.nn.functional.cross_entropy(logits, text[0, 1:])
        print(f"bits per byte: {nats.item() / math.log(2):.5f} over {text.shape[1] - 1} predictions")
        ids = torch.tensor(list(PROMPT)).view(1, -1)
        for _ in range(96):
            ids = torch.cat([ids, model(ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    print(f"continuation: {bytes(ids[0, len(PROMPT):].tolist())!r}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes the small encoder `bert` of this folder and what the published reference code computes from it, as make_golden.py does for decoders.

    v/bin/python test/golden/make_golden_bert.py

Needs torch and transformers (the folder here: torch 2.15.0, transformers 5.23.0). What is expected under `logits` are the vectors of the tokens,
last_hidden_state.
"""

import os

import torch
import transformers

import make_golden

COVERS = "5 heads of 6, 3 kinds of segment, odd feed-forward, norms after sums; a pooler that nothing reads"


def main():
    config = transformers.BertConfig(hidden_size=30, num_attention_heads=5, intermediate_size=46, num_hidden_layers=3, vocab_size=300,
                                     max_position_embeddings=96, type_vocab_size=3, layer_norm_eps=1e-7, pad_token_id=0)
    config._attn_implementation = "eager"
    generator = torch.Generator().manual_seed(7)
    model = transformers.BertModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale, mean = (0.2, 1.0) if "LayerNorm.weight" in name else (0.2, 0.0) if name.endswith("bias") else (0.7, 0.0) if "embeddings" in name else (
                1.3 / parameter.shape[-1] ** 0.5, 0.0)
            parameter.copy_((torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * scale + mean).float())
    ids = [torch.randint(config.vocab_size, shape, generator=generator) for shape in ((2, 19), (1, 70))]
    stored = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        rough = [model(i).last_hidden_state for i in ids]
        make_golden.in_f64()
        model = model.double()
        exact = [model(i).last_hidden_state for i in ids]
    assert exact[0].dtype == torch.float64
    error = max(float((r.double() - e).abs().max()) for r, e in zip(rough, exact))
    assert error < make_golden.TOLERANCE / 2
    expected = {"input_ids_a": ids[0].int(), "input_ids_b": ids[1].int(), "logits_a": exact[0].to(make_golden.F32), "logits_b": exact[1].to(make_golden.F32)}
    meta = {"reference": f"transformers {transformers.__version__}: BertModel, in f64", "covers": COVERS, "seed": 7,
            "tolerance_max_abs": make_golden.TOLERANCE, "reference_f32_error": float(f"{error:.2g}"), "logits_std": round(float(exact[1].std()), 2)}
    make_golden.CHECKPOINTS["bert"] = ("Bert", COVERS, {}, "f32")
    make_golden.write("bert", config, stored, expected, meta)
    path = os.path.join(make_golden.FOLDER, "bert", "config.json")
    with open(path) as file:
        text = file.read().replace("BertForCausalLM", "BertModel")
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main()

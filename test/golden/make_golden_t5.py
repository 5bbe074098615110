#!/usr/bin/env python3
"""Writes the small encoder-decoders `t5_gated` and `t5_tied` of this folder and what the published reference code computes from them.

    v/bin/python test/golden/make_golden_t5.py

Needs torch and transformers (the folders here: torch 2.15.0, transformers 5.23.0). A row of input_ids is the source's ids and then the decoder's, which begin with the
start id 0; expected logits are the decoder's, and 0 where the source stands, which the published code gives none for.
"""

import os

import torch
import transformers

import make_golden

MODELS = {
    "t5_gated": ("3 layers and 2, 3 heads of 6, gated feed-forward, untied, 12 buckets to a distance of 40", dict(
        d_model=30, d_kv=6, num_heads=3, d_ff=46, num_layers=3, num_decoder_layers=2, vocab_size=97, relative_attention_num_buckets=12,
        relative_attention_max_distance=40, feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
    "t5_tied": ("relu, tied, the published buckets, 2 heads of 9", dict(
        d_model=22, d_kv=9, num_heads=2, d_ff=31, num_layers=2, num_decoder_layers=2, vocab_size=83, feed_forward_proj="relu", tie_word_embeddings=True)),
}


def logits(model, ids, source):
    made = model(input_ids=ids[:, :source], decoder_input_ids=ids[:, source:]).logits
    return torch.cat([torch.zeros(ids.shape[0], source, made.shape[-1], dtype=made.dtype), made], 1)


def main():
    configs, models, inputs, rough = {}, {}, {}, {}
    for name, (_, sizes) in MODELS.items():
        configs[name] = config = transformers.T5Config(**sizes, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
        config._attn_implementation = "eager"
        config.architectures = ["T5ForConditionalGeneration"]
        untied = not sizes["tie_word_embeddings"]
        generator = torch.Generator().manual_seed(11)
        model = models[name] = transformers.T5ForConditionalGeneration(config).eval()
        if untied:  # as published with version 1.1: the config says so, and there is a matrix of its own
            model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
            config.tie_word_embeddings = False
        with torch.no_grad():
            for path, parameter in model.named_parameters():
                mean = 1.0 if "layer_norm" in path else 0.0
                scale = 0.2 if mean else 1.0 if "shared" in path or "bias" in path else 1.2 / parameter.shape[-1] ** 0.5
                if path.endswith((".q.weight", ".k.weight")):
                    scale *= 0.5  # scores are not divided by anything
                parameter.copy_((torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * scale + mean).float())
        inputs[name] = []
        for rows, count, source in ((2, 19, 11), (1, 110, 63)):
            ids = torch.randint(2, config.vocab_size, (rows, count), generator=generator)
            ids[:, source] = 0
            inputs[name].append((ids, source))
        with torch.no_grad():
            rough[name] = [logits(model, *i) for i in inputs[name]]
    make_golden.in_f64()
    for name, (covers, _) in MODELS.items():
        stored = {key: value.clone() for key, value in models[name].state_dict().items() if not key.endswith("embed_tokens.weight")}
        if configs[name].tie_word_embeddings:
            stored.pop("lm_head.weight")
        with torch.no_grad():
            exact = [logits(models[name].double(), *i) for i in inputs[name]]
        assert exact[0].dtype == torch.float64
        error = max(float((r.double() - e).abs().max()) for r, e in zip(rough[name], exact))
        assert error < make_golden.TOLERANCE / 2, error
        (a, _), (b, _) = inputs[name]
        expected = {"input_ids_a": a.int(), "input_ids_b": b.int(), "logits_a": exact[0].to(make_golden.F32), "logits_b": exact[1].to(make_golden.F32)}
        meta = {"reference": f"transformers {transformers.__version__}: T5ForConditionalGeneration, in f64", "covers": covers, "seed": 11,
                "tolerance_max_abs": make_golden.TOLERANCE, "reference_f32_error": float(f"{error:.2g}"),
                "logits_std": round(float(exact[1][:, 63:].std()), 2)}
        make_golden.CHECKPOINTS[name] = ("T5", covers, {}, "f32")
        make_golden.write(name, configs[name], stored, expected, meta)
        path = os.path.join(make_golden.FOLDER, name, "config.json")
        with open(path) as file:
            text = file.read().replace("T5ForCausalLM", "T5ForConditionalGeneration")
        with open(path, "w") as file:
            file.write(text)


if __name__ == "__main__":
    main()

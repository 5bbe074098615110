#!/usr/bin/env python3
"""Mamba and Mamba-2 as layers, from the published code of transformers in f64.

    python3 test/golden/mechanisms/make_mamba.py        (numpy, torch, transformers, safetensors)
"""

import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""
for package in ("fla", "mamba_ssm", "causal_conv1d", "kernels"):
    sys.modules[package] = None  # the plain code, not a kernel of another package

import torch
from transformers.models.mamba.configuration_mamba import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer
from transformers.models.mamba2.configuration_mamba2 import Mamba2Config
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from golden import write

torch.manual_seed(7)
TOKENS = 37


def layer(mixer, d):
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
        mixer.float().double()  # the numbers that the files hold
        x = torch.randn(1, TOKENS, d).float().double()
        return {"u": x.numpy()}, {"y": mixer(x).numpy()}, {name: value.numpy() for name, value in mixer.state_dict().items()}


def mamba():
    config = MambaConfig(hidden_size=12, state_size=8, expand=2, conv_kernel=4, time_step_rank=3, num_hidden_layers=1, use_mambapy=False)
    inputs, expected, weights = layer(MambaMixer(config, layer_idx=0).double(), 12)
    write("mamba", {
        "spec": "models/mamba.rondo", "module": "mamba", "set": {"d": 12, "n": 8, "r": 3},
        "title": "Mamba", "paper": "2312.00752", "class": "diagonal (per channel x state), input dependent",
        "states": {"S": "decay per key and value channel [inner n], rank 1"},
        "oracle": "transformers:MambaMixer in f64",
        "tolerance": 1e-6, "tolerance_f32": 1e-5,
        "why": "the published code keeps its scan in f32 whatever the input; f32 rounding over 37 tokens",
    }, inputs, expected, weights)


def mamba2():
    config = Mamba2Config(hidden_size=12, num_heads=4, head_dim=6, expand=2, state_size=8, n_groups=2, conv_kernel=4, chunk_size=8, num_hidden_layers=1)
    inputs, expected, weights = layer(Mamba2Mixer(config, layer_idx=0).double(), 12)
    write("mamba2", {
        "spec": "models/mamba2.rondo", "module": "mamba2", "set": {"d": 12, "h": 4, "p": 6, "n": 8, "g": 2},
        "title": "Mamba-2 (SSD)", "paper": "2405.21060", "class": "scalar decay",
        "states": {"S": "decay per head [h], rank 1"},
        "oracle": "transformers:Mamba2Mixer in f64",
        "tolerance": 1e-6, "tolerance_f32": 1e-5,
        "why": "the published code keeps its scan in f32 whatever the input; f32 rounding over 37 tokens",
    }, inputs, expected, weights)


if __name__ == "__main__":
    mamba()
    mamba2()

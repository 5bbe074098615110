#!/usr/bin/env python3
"""mLSTM and sLSTM layers in f64: of transformers (xLSTM-7B) and of the xlstm package (the paper's).

    python3 test/golden/mechanisms/make_xlstm.py        (numpy, torch, transformers, xlstm, mlstm_kernels, einops, safetensors)

The published code adds 1e-6 to the denominator in units of its running maximum, which are no one's: here that is 0.
"""

import functools
import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch
from xlstm.blocks.mlstm.backends import parallel_stabilized_simple
from xlstm.blocks.mlstm.layer import mLSTMLayer, mLSTMLayerConfig
from xlstm.blocks.slstm.layer import sLSTMLayer, sLSTMLayerConfig

from golden import write

for name in [n for n in sys.modules if n.split(".")[0] == "xlstm"] + ["xlstm"]:
    sys.modules[name] = None  # transformers has code of its own, for where the package is not
for package in ("fla", "mamba_ssm", "causal_conv1d", "kernels"):
    sys.modules[package] = None

from transformers import xLSTMConfig
from transformers.models.xlstm.modeling_xlstm import xLSTMLayer

TOKENS = 37
torch.set_default_dtype(torch.float64)
WHY = {"tolerance": 1e-8, "tolerance_f32": 2e-5,
       "why": "both sides are f64, but the epsilons and scales of a spec are f32 numbers (3e-8 of 1e-6 in a norm); f32 rounding over 37 tokens"}
SCALAR = {"S": "decay per head [h], rank 1", "z": "decay per head [h], rank 1"}


def layer(module, d, special):
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            value = torch.randn(parameter.shape) * (1.3 / parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else 0.4)
            value = special[name](parameter) if name in special else value + (1 if name in ("multihead_norm.weight", "learnable_skip") else 0)
            parameter.copy_(value.to(torch.half).double())
        x = torch.randn(1, TOKENS, d).to(torch.half).double()
        y = module.double().eval()(x)
        y = y[0] if isinstance(y, tuple) else y
        return {"x": x.numpy()}, {"y": y.numpy()}, {name: value.detach().numpy() for name, value in module.named_parameters()}


def seven_b():
    d, h = 24, 2
    config = xLSTMConfig(hidden_size=d, num_heads=h, num_hidden_layers=1, qk_dim_factor=0.5, v_dim_factor=1.0, gate_soft_cap=6.0, eps=0.0, chunkwise_kernel="chunkwise--native_autograd",
                         sequence_kernel="native_sequence__native", step_kernel="native", mode="inference",
                         norm_reduction_force_float32=False)
    module = xLSTMLayer(config).double()
    # The sequence as it is, token by token, without padding to chunks.
    from transformers.models.xlstm.modeling_xlstm import mlstm_recurrent_sequence_native
    run = functools.partial(mlstm_recurrent_sequence_native, c_initial=None, n_initial=None, m_initial=None, return_last_states=True, eps=0.0, dtype_state=torch.float64)
    backend = lambda query, key, value, igate, fgate, **_: run(query=query, key=key, value=value, igate=igate, fgate=fgate)
    del module.mlstm_backend
    module.mlstm_backend = backend
    inputs, expected, weights = layer(module, d, {"igate_preact.bias": lambda p: torch.linspace(-4, 4, h), "fgate_preact.bias": lambda p: torch.linspace(0, 4, h)})
    write("xlstm", {
        "spec": "models/xlstm.rondo", "module": "mlstm_layer", "set": {"d": d, "h": h, "cap": 6},
        "title": "mLSTM (xLSTM-7B)", "paper": "2503.13427", "class": "scalar decay, exp input gate, max-plus m",
        "states": SCALAR, "oracle": "transformers:xLSTMLayer with mlstm_recurrent_sequence_native in f64, eps = 0", **WHY,
    }, inputs, expected, weights)


def mlstm():
    d, h = 12, 2
    module = mLSTMLayer(mLSTMLayerConfig(embedding_dim=d, num_heads=h, context_length=TOKENS, qkv_proj_blocksize=4, round_proj_up_to_multiple_of=8))
    module.mlstm_cell.backend_fn = functools.partial(parallel_stabilized_simple, eps=0.0)
    inputs, expected, weights = layer(module, d, {"mlstm_cell.igate.bias": lambda p: torch.linspace(-3, 5, h), "mlstm_cell.fgate.bias": lambda p: torch.linspace(0, 4, h)})
    write("mlstm", {
        "spec": "models/xlstm_blocks.rondo", "module": "mlstm_layer", "set": {"d": d, "h": h},
        "title": "mLSTM (the paper's layer)", "paper": "2405.04517", "class": "scalar decay, exp input gate, max-plus m",
        "states": SCALAR, "oracle": "xlstm:mLSTMLayer with parallel_stabilized_simple in f64, eps = 0", **WHY,
    }, inputs, expected, weights)


def slstm():
    d, h = 16, 2
    module = sLSTMLayer(sLSTMLayerConfig(embedding_dim=d, num_heads=h, conv1d_kernel_size=4, backend="vanilla"))
    inputs, expected, weights = layer(module, d, {})
    write("slstm", {
        "spec": "models/xlstm_blocks.rondo", "module": "slstm_layer", "set": {"d": d, "h": h},
        "title": "sLSTM (the paper's layer)", "paper": "2405.04517", "class": "nonlinear in state (h feeds gates), max-plus m",
        "states": {name: "no memory of itself, rank 0" for name in "cny"}, "refused": ["c = sigmoid(wf + back", "is not affine"],
        "oracle": "xlstm:sLSTMLayer (vanilla) in f64", **WHY,
    }, inputs, expected, weights)


if __name__ == "__main__":
    for index, make in enumerate((seven_b, mlstm, slstm)):
        torch.manual_seed(400 + index)
        make()

#!/usr/bin/env python3
"""State-space models that are constant in time, and convolutions: S4D, S4, H3, Hyena, S5, MEGALODON's complex EMA.

    python3 test/golden/mechanisms/make_ssm.py S4_FOLDER SAFARI_FOLDER        (numpy, torch, einops, safetensors)

The folders are checkouts of state-spaces/s4 and HazyResearch/safari. What of them is not needed here (training frameworks, GPU extensions) is stood in for by empty modules.
"""

import importlib.machinery
import logging
import os
import sys
import types

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import torch

from golden import f32, write

TOKENS = 37
torch.set_default_dtype(torch.float64)
torch.jit.script = lambda function: function  # it wants source files


def stand_in(name, **members):
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


def source(folder, path, without=(), **given):
    """The classes of one file of a checkout; names that it imports by lines left out are given."""
    with open(os.path.join(folder, path)) as file:
        text = file.read()
    for line in without:
        if line not in text:
            raise ValueError(f"{path} has no line '{line}': another version")
        text = text.replace(line, "")
    names = {"__name__": path, **given}
    exec(compile(text, path, "exec"), names)
    return names


def rounded(module):
    """A module whose parameters are the numbers that the files hold."""
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.dtype == torch.float64:
                tensor.copy_(tensor.float().double())
    return module


def weights_of(module):
    return {name: value.detach().numpy() for name, value in module.state_dict().items() if value.dtype.is_floating_point}


def inputs_of(d, seed):
    return torch.from_numpy(f32(np.random.default_rng(seed).normal(size=(1, TOKENS, d))).astype(np.float64))


def s4d(folder):
    torch.manual_seed(1)
    code = source(folder, "models/s4/s4d.py", without=["from src.models.nn import DropoutNd\n"], DropoutNd=torch.nn.Identity)
    layer = rounded(code["S4D"](6, d_state=16, dt_min=0.05, dt_max=0.8).double())
    u = inputs_of(6, 1)
    with torch.no_grad():
        y, _ = layer(u.transpose(1, 2))
    write("s4d", {
        "spec": "models/s4d.rondo", "module": "s4d", "set": {"h": 6, "n": 8},
        "title": "S4D", "paper": "2206.11893", "class": "LTI diagonal complex (conv)",
        "states": {"re": "matrix of decays [h n], constant in time, rank 1",
                   "im": "matrix of decays [h n], constant in time, rank 1"},
        "oracle": "state-spaces/s4:models/s4/s4d.py:S4D in f64, by FFT",
        "tolerance": 1e-8, "tolerance_f32": 1e-5,
        "why": "f64 on both sides, but for gelu's constant, which a program holds in f32; f32 rounding of a sum over 37 tokens",
    }, {"u": u.numpy()}, {"y": y.transpose(1, 2).numpy()}, weights_of(layer))


def s4(folder):
    torch.manual_seed(2)
    stand_in("pytorch_lightning")
    stand_in("pytorch_lightning.utilities", rank_zero_only=lambda f: f)
    special = stand_in("scipy.special", ss=None)
    stand_in("scipy", special=special)
    stand_in("opt_einsum", contract=lambda expression, *tensors: torch.einsum(expression.replace(" ", ""), *tensors))
    code = source(folder, "models/s4/s4.py")
    block = code["S4Block"](4, d_state=16, mode="dplr", init="legs", l_max=64, transposed=False, dt_min=0.05, dt_max=0.5).double()
    u = inputs_of(4, 2)
    with torch.no_grad():
        block(u)  # brings C into the form that belongs to the kernel's length
        kernel = block.layer.kernel
        kernel.setup_step(mode="linear") if hasattr(kernel, "setup_step") else kernel._setup_step(mode="linear")
        own = kernel.dC / 2  # [channels, h, n]: C of the recurrence
        # The numbers that the files hold, in the step form: C back to the kernel's afterwards.
        for tensor in block.parameters():
            tensor.copy_(tensor.float().double())
        kernel._setup_step(mode="linear")
        kernel.dC = 2 * torch.view_as_complex(torch.view_as_real(own).float().double().contiguous())
        state = block.default_state(1)
        rows = []
        for t in range(TOKENS):
            y, state = block.step(u[:, t], state)
            rows.append(y)
    weights = weights_of(block)
    weights["layer.kernel.C"] = torch.view_as_real(kernel.dC / 2).numpy()
    write("s4", {
        "spec": "models/s4.rondo", "module": "s4", "set": {"h": 4, "n": 8},
        "title": "S4 (DPLR)", "paper": "2111.00396", "class": "LTI diag+low-rank (conv)",
        "states": {"re": "matrix of decays [h n], constant in time, rank 5 that reads the state (delta rule) that reads im",
                   "im": "matrix of decays [h n], constant in time, rank 4 that reads the state (delta rule) that reads re"},
        "oracle": "state-spaces/s4:models/s4/s4.py:S4Block(mode='dplr').step in f64",
        "tolerance": 1e-6, "tolerance_f32": 2e-5,
        "why": "the published code keeps parts of its parameters in complex64; f32 rounding of 37 steps",
    }, {"u": u.numpy()}, {"y": torch.stack(rows, 1).numpy()}, weights)


def s5():
    """Equations 3 to 6 of the paper with complex numbers, token by token."""
    random = np.random.default_rng(5)
    d, n = 6, 8
    weights = {
        "Lambda_re": f32(-random.uniform(0.2, 1.5, n)), "Lambda_im": f32(np.pi * np.arange(n) + random.normal(size=n) * 0.1),
        "B": f32(random.normal(size=(n, d, 2))), "C": f32(random.normal(size=(d, n, 2))), "D": f32(random.normal(size=d)),
        "log_step": f32(np.log(random.uniform(0.02, 0.5, (n, 1)))),
    }
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    u = f32(random.normal(size=(1, TOKENS, d)))
    eigen = w["Lambda_re"] + 1j * w["Lambda_im"]
    a = np.exp(eigen * np.exp(w["log_step"][:, 0]))
    b = ((a - 1) / eigen)[:, None] * (w["B"][..., 0] + 1j * w["B"][..., 1])
    c = w["C"][..., 0] + 1j * w["C"][..., 1]
    state, y = np.zeros(n, complex), np.zeros((1, TOKENS, d))
    for t in range(TOKENS):
        state = a * state + b @ u[0, t].astype(np.float64)
        y[0, t] = 2 * (c @ state).real + w["D"] * u[0, t]
    write("s5", {
        "spec": "models/s5.rondo", "module": "s5", "set": {"d": d, "n": n},
        "title": "S5", "paper": "2208.04933", "class": "LTI diagonal complex (one state for all channels)",
        "states": {"re": "matrix of decays [n], constant in time, rank 1",
                   "im": "matrix of decays [n], constant in time, rank 1"},
        "oracle": "numpy in f64, complex: equations 3 to 6 of the paper",
        "tolerance": 1e-10, "tolerance_f32": 1e-5,
        "why": "f64 on both sides; f32 rounding of a sum over 37 tokens",
    }, {"u": u}, {"y": y, "state.re": state.real[None].copy(), "state.im": state.imag[None].copy()}, weights)


def cema():
    """MultiHeadComplexEMA of the published code, with complex numbers, token by token."""
    random = np.random.default_rng(6)
    d, n = 6, 4
    weights = {name: f32(random.normal(size=shape)) for name, shape in
               {"alpha": (d, n, 1), "delta": (d, n, 1), "theta": (d, 1, 1), "gamma": (d, n, 2), "omega": (d, 1)}.items()}
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = f32(random.normal(size=(1, TOKENS, d)))

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    p = sigmoid(w["alpha"])[..., 0]
    q = (1 - p * sigmoid(w["delta"])[..., 0]) * np.exp(1j * np.arange(1, n + 1) * sigmoid(w["theta"])[..., 0] * 2 * np.pi / n)
    gamma = (w["gamma"][..., 0] + 1j * w["gamma"][..., 1]) * np.sqrt(1 / n)
    state, y = np.zeros((d, n), complex), np.zeros((1, TOKENS, d))
    for t in range(TOKENS):
        now = x[0, t].astype(np.float64)
        state = q * state + p * now[:, None]
        y[0, t] = (gamma * state).sum(-1).real + w["omega"][:, 0] * now
    write("cema", {
        "spec": "models/cema.rondo", "module": "cema", "set": {"d": d, "n": n},
        "title": "MEGALODON's complex EMA", "paper": "2404.08801", "class": "LTI diagonal complex",
        "states": {"re": "matrix of decays [d n], constant in time, rank 1",
                   "im": "matrix of decays [d n], constant in time, rank 0"},
        "oracle": "numpy in f64, complex: MultiHeadComplexEMA of XuezheMax/megalodon, whose kernels need a GPU",
        "tolerance": 1e-6, "tolerance_f32": 1e-5,
        "why": "f64 on both sides, but for the constant 2 pi / n of every turn, which a program holds in f32; f32 rounding of a sum over 37 tokens",
    }, {"x": x}, {"y": y, "state.re": state.real[None].copy(), "state.im": state.imag[None].copy()}, weights)


def hyena(folder):
    torch.manual_seed(8)
    code = source(folder, "standalone_hyena.py")
    layer = rounded(code["HyenaOperator"](6, l_max=128, filter_order=8, w=3).double())
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "pos_emb" not in name:
                parameter.copy_((parameter + torch.randn_like(parameter) * 0.2).float().double())
    u = inputs_of(6, 8)
    with torch.no_grad():
        y = layer(u)
    keep = lambda name: not name.endswith(("pos_emb.t", "modulation.deltas", "filter.3.freq", "filter.5.freq"))
    weights = {name: value for name, value in weights_of(layer).items() if keep(name)}
    write("hyena", {
        "spec": "models/hyena.rondo", "module": "hyena", "set": {"d": 6, "lag": 128, "order": 8},
        "title": "Hyena", "paper": "2302.10866", "class": "implicit long conv (LTI, no finite state)",
        "states": {},
        "oracle": "safari:standalone_hyena.py:HyenaOperator in f64, by FFT",
        "tolerance": 1e-6, "tolerance_f32": 2e-5,
        "why": "the published code's table of lags passes f32; f32 rounding of a sum over 37 tokens",
    }, {"u": u.numpy()}, {"y": y.numpy()}, weights)


def h3(folder):
    torch.manual_seed(9)
    sys.path.insert(0, folder)
    stand_in("pytorch_lightning")
    stand_in("pytorch_lightning.utilities", rank_zero_only=lambda f: f)
    stand_in("opt_einsum", contract=lambda expression, *tensors: torch.einsum(expression.replace(" ", ""), *tensors))
    special = stand_in("scipy.special", ss=None)
    stand_in("scipy", special=special)
    stand_in("src.models.sequence")
    for package, path in (("src", "src"), ("src.models", "src/models"), ("src.models.sequence", "src/models/sequence"),
                          ("src.models.sequence.ssm", "src/models/sequence/ssm"), ("src.ops", "src/ops"), ("src.utils", "src/utils")):
        stand_in(package).__path__ = [os.path.join(folder, path)]

    class OptimModule(torch.nn.Module):
        def register(self, name, tensor, lr=None, wd=0.0):
            self.register_parameter(name, torch.nn.Parameter(tensor))

    stand_in("src.utils.train", OptimModule=OptimModule, get_logger=logging.getLogger)
    from src.models.sequence.h3 import H3
    layer = H3(8, d_state=8, l_max=64, head_dim=2, mode="diag", measure="diag-lin", dt_min=0.05, dt_max=0.5).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_((parameter + torch.randn_like(parameter) * 0.1).float().double())
    u = inputs_of(8, 9)
    with torch.no_grad():
        y = layer(u)
    write("h3", {
        "spec": "models/h3.rondo", "module": "h3", "set": {"d": 8, "e": 2, "n": 8},
        "title": "H3", "paper": "2212.14052", "class": "shift LTI conv + diag LTI conv with q,k,v gating",
        "states": {"re": "matrix of decays [h m], constant in time, rank 1",
                   "im": "matrix of decays [h m], constant in time, rank 1"},
        "oracle": "safari:src/models/sequence/h3.py:H3 in f64, by FFT",
        "tolerance": 1e-6, "tolerance_f32": 2e-5,
        "why": "the published shift kernel passes f32; f32 rounding of a sum over 37 tokens",
    }, {"u": u.numpy()}, {"y": y.numpy()}, weights_of(layer))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    s4d(sys.argv[1])
    s4(sys.argv[1])
    s5()
    cema()
    hyena(sys.argv[2])
    h3(sys.argv[2])

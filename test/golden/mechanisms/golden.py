"""What the make_*.py scripts share: one folder a mechanism, written from numpy arrays. Not needed to run tests."""

import json
import os

import numpy as np
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))


def f32(array):
    """The numbers that the files hold: the oracle must see them too."""
    return np.asarray(array, dtype=np.float64).astype(np.float32)


def write(name, case, inputs, expected, weights=None):
    """inputs: [B, T, axes...]; expected: outputs likewise, final states `state.NAME` [B, axes...], kept in f64 where the oracle is."""
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    for key in ("spec", "title", "paper", "class", "states", "oracle", "tolerance", "tolerance_f32", "why"):
        if key not in case:
            raise ValueError(f"{name}: case.json needs '{key}'")
    with open(os.path.join(folder, "case.json"), "w") as file:
        json.dump(case, file, indent=2, ensure_ascii=False)
        file.write("\n")
    contiguous = lambda tensors: {key: np.ascontiguousarray(value) for key, value in tensors.items()}
    save_file(contiguous({key: f32(value) if np.asarray(value).dtype.kind == "f" else value for key, value in inputs.items()}), os.path.join(folder, "inputs.safetensors"))
    save_file(contiguous(expected), os.path.join(folder, "expected.safetensors"))
    if weights:
        save_file(contiguous({key: f32(value) for key, value in weights.items()}), os.path.join(folder, "weights.safetensors"))
    total = sum(os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder))
    print(f"{name}: {total} bytes")
    if total > 60_000:
        raise ValueError(f"{name}: {total} bytes; a case has at most 60,000")

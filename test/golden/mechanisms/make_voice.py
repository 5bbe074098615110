#!/usr/bin/env python3
"""A pretrained voice-activity network's architecture with small sizes and random weights, by torch's own convolutions and LSTM cell in f64.

    python3 make_voice.py        (torch, numpy, safetensors)

tools/real-weights compares the network itself, with its weights, on a recording.
"""

import numpy as np
import torch
from torch.nn.functional import conv1d, pad

from golden import f32, write

SAMPLES, HOP, BEFORE, MIRRORED, WIDE, NARROW, E, TOKENS = 32, 8, 4, 4, 10, 6, 7, 13


def voice_activity():
    random = np.random.default_rng(41)
    freq = HOP + 1
    shapes = {"stft_conv.weight": (2 * freq, 1, 2 * HOP), "conv1.weight": (WIDE, freq, 3), "conv2.weight": (NARROW, WIDE, 3), "conv3.weight": (NARROW, NARROW, 3),
              "conv4.weight": (WIDE, NARROW, 3), "lstm_cell.weight_ih": (4 * E, WIDE), "lstm_cell.weight_hh": (4 * E, E), "final_conv.weight": (1, E, 1)}
    weights = {name: f32(random.standard_normal(shape) * 1.5 / np.sqrt(np.prod(shape[1:]))) for name, shape in shapes.items()}
    for name in ("conv1", "conv2", "conv3", "conv4", "final_conv"):
        weights[name + ".bias"] = f32(random.standard_normal(weights[name + ".weight"].shape[0]) * 0.3)
    for name in ("lstm_cell.bias_ih", "lstm_cell.bias_hh"):
        weights[name] = f32(random.standard_normal(4 * E) * 0.5)
    x = f32(random.standard_normal((2, TOKENS, SAMPLES)))

    w = {name: torch.from_numpy(value.astype(np.float64)) for name, value in weights.items()}
    sound = torch.from_numpy(x.astype(np.float64))
    h = cell = torch.zeros(2, E, dtype=torch.float64)
    before, spoken = torch.zeros(2, BEFORE, dtype=torch.float64), []
    for t in range(TOKENS):
        y = pad(torch.cat([before, sound[:, t]], 1)[:, None], (0, MIRRORED), mode="reflect")
        before = sound[:, t, -BEFORE:]
        y = conv1d(y, w["stft_conv.weight"], stride=HOP)
        y = (y[:, :freq]**2 + y[:, freq:]**2).sqrt()
        for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
            y = conv1d(y, w[name + ".weight"], w[name + ".bias"], stride=stride, padding=1).relu()
        h, cell = torch.lstm_cell(y[:, :, 0], (h, cell), *[w["lstm_cell." + part] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")])
        spoken.append(torch.sigmoid(conv1d(h.relu()[:, :, None], w["final_conv.weight"], w["final_conv.bias"]))[:, 0, 0])
    write("voice_activity", {
        "spec": "models/voice_activity.rondo", "module": "voice_activity",
        "set": {"samples": SAMPLES, "hop": HOP, "before": BEFORE, "mirrored": MIRRORED, "wide": WIDE, "narrow": NARROW, "e": E},
        "title": "Voice activity (convolutions and an LSTM)", "paper": "Silero VAD; LSTM: Hochreiter and Schmidhuber 1997",
        "class": "nonlinear: gates read the previous output", "states": {"cell": "no memory of itself, rank 0", "h": "no memory of itself, rank 0"}, "refused": ["not affine", "cell = sigmoid(gates"],
        "oracle": "torch:conv1d, pad(mode='reflect'), lstm_cell in f64", "tolerance": 1e-9, "tolerance_f32": 1e-5,
        "why": "f64 on both sides; f32 rounding of six layers and 13 steps",
    }, {"x": x}, {"spoken": torch.stack(spoken, 1).numpy(), "state.lstm_cell.h": h.numpy(), "state.lstm_cell.cell": cell.numpy()}, weights)


if __name__ == "__main__":
    voice_activity()

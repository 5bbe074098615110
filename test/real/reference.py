"""What published code makes of published weights: run by tools/real-weights in its own Python environment.

    reference.py sentences MODEL_FOLDER TEXTS OUT       sentence-transformers: `embeddings` [lines, numbers]
    reference.py voice MODEL_FILE RECORDING WEIGHTS OUT  the TorchScript module: its tensors into WEIGHTS, `x` [1, T, 512] and `probabilities` [T] into OUT

A recording is 16 bits, mono, at a multiple of 16 kHz.
"""

import os
import sys
import wave

import numpy
import torch
from safetensors.numpy import save_file

# What the TorchScript module calls its tensors, and what the release's own safetensors file does.
TENSORS = {
    "stft.forward_basis_buffer": "stft_conv.weight",
    **{f"encoder.{i}.reparam_conv.{part}": f"conv{i + 1}.{part}" for i in range(4) for part in ("weight", "bias")},
    **{f"decoder.rnn.{part}": f"lstm_cell.{part}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
    **{f"decoder.decoder.2.{part}": f"final_conv.{part}" for part in ("weight", "bias")},
}


def sentences(model, texts, out):
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer
    with open(texts, encoding="utf-8") as file:
        lines = file.read().splitlines()
    save_file({"embeddings": SentenceTransformer(model, device="cpu").encode(lines, batch_size=16)}, out)


def read_recording(path):
    with wave.open(path) as file:
        rate, frames = file.getframerate(), file.readframes(file.getnframes())
        if file.getsampwidth() != 2 or file.getnchannels() != 1 or rate % 16000:
            raise SystemExit(f"{path}: found {8 * file.getsampwidth()} bits, {file.getnchannels()} channels, {rate} Hz; expected 16, 1 and a multiple of 16000")
    sound = numpy.frombuffer(frames, numpy.int16).astype(numpy.float32) / 32768
    step = rate // 16000
    sound = sound[:len(sound) // step * step].reshape(-1, step).mean(1)
    return numpy.pad(sound, (0, -len(sound) % 512)).reshape(-1, 512)


def voice(model, recording, weights, out):
    module = torch.jit.load(model).eval()
    stored = module._model.state_dict()
    save_file({theirs: stored[ours].numpy() for ours, theirs in TENSORS.items()}, weights)
    sound = read_recording(recording)
    module.reset_states()
    with torch.no_grad():
        probabilities = [module(torch.from_numpy(part.copy()), 16000).item() for part in sound]
    save_file({"x": sound[None], "probabilities": numpy.array(probabilities, numpy.float32)}, out)


if __name__ == "__main__":
    {"sentences": sentences, "voice": voice}[sys.argv[1]](*sys.argv[2:])

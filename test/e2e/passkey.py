#!/usr/bin/env python3
"""A passkey in a long text: found by a hybrid whose weights are written by hand, in the memory that `rondo inspect` predicts.

    python3 test/e2e/passkey.py --tokens 65536 [--bin build/bin] [--keep FOLDER] [--threads 2]

The text repeats five sentences; somewhere in it stands "The pass key is 68427.", and it ends with the question. The checkpoint is of models/jamba.rondo (its published
config.json and tensor names): the convolutions of two state-space layers bring the six bytes before each byte beside it, and an attention layer over all tokens finds the
place whose six bytes before are the last six here (an induction head), and copies the byte there. Nothing else tells the answer: every other weight is 0.

Bytes have random codes of 32 signs. A convolution's output goes through silu, so each sign goes in twice, as itself and negated: silu(x) - silu(-x) = x.
Prints what was generated, the seconds, the predicted and the largest resident memory; exits with 1 when the key is wrong or memory exceeds what was predicted.
"""

import argparse
import array
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time

import tensors

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
CODE, BEFORE, GATE, SHARPNESS = 32, 6, 10.0, 2.0
# The residual: the byte's code, the codes of the six before, what attention copied, a 1, and padding.
COPIED, ONE = CODE * (1 + BEFORE), CODE * (2 + BEFORE)
D = ONE + 8
INNER = 2 * D
FILLER = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. "
QUESTION = "What is the pass key? The pass key is "


class Matrix:
    """Zeros, and what is set."""

    def __init__(self, *shape, fill=0.0):
        self.shape = shape
        self.values = array.array("f", [fill]) * math.prod(shape)

    def set(self, value, *index):
        at = 0
        for i, extent in zip(index, self.shape):
            at = at * extent + i
        self.values[at] = value
        return self


def state_space_layer(first, known):
    """Adds the codes of bytes first to first + 2 before: those that lie in slot first - 1 of the residual, 1, 2 and 3 tokens back. `known`: slots that are filled."""
    size = 1 / (1 + math.exp(-GATE)) * GATE
    project, conv, out = Matrix(2 * INNER, D), Matrix(INNER, 1, 4), Matrix(D, INNER)
    for back in range(1, 4):
        for i in range(CODE):
            for negated in (0, 1):
                channel = ((back - 1) * CODE + i) * 2 + negated
                sign = -1.0 if negated else 1.0
                project.set(sign, channel, (first - 1) * CODE + i)
                project.set(GATE, INNER + channel, ONE)
                conv.set(1.0, channel, 0, 3 - back)
                out.set(sign / size, (first - 1 + back) * CODE + i, channel)
    norm = math.sqrt((known * CODE + 1) / D)  # the residual's own root mean square: the norm gives it back as it was
    return {"input_layernorm.weight": Matrix(D, fill=norm), "mamba.in_proj.weight": project, "mamba.conv1d.weight": conv, "mamba.conv1d.bias": Matrix(INNER),
            "mamba.x_proj.weight": Matrix(1 + 2 * 4, INNER), "mamba.dt_proj.weight": Matrix(INNER, 1), "mamba.dt_proj.bias": Matrix(INNER),
            "mamba.dt_layernorm.weight": Matrix(1), "mamba.b_layernorm.weight": Matrix(4), "mamba.c_layernorm.weight": Matrix(4), "mamba.A_log": Matrix(INNER, 4),
            "mamba.D": Matrix(INNER, fill=1.0), "mamba.out_proj.weight": out}


def attention_layer():
    """The query is this byte and the five before, a key the six bytes before its own; the value is the byte."""
    matrices = {name: Matrix(D, D) for name in ("q_proj", "k_proj", "v_proj", "o_proj")}
    for i in range(BEFORE * CODE):
        matrices["q_proj"].set(SHARPNESS * math.sqrt(D), i, i)
        matrices["k_proj"].set(1.0, i, CODE + i)
    for i in range(CODE):
        matrices["v_proj"].set(1.0, i, i)
        matrices["o_proj"].set(1.0, COPIED + i, i)
    norm = math.sqrt(((1 + BEFORE) * CODE + 1) / D)
    return {"input_layernorm.weight": Matrix(D, fill=norm), **{f"self_attn.{name}.weight": m for name, m in matrices.items()}}


def write_checkpoint(folder):
    os.makedirs(folder, exist_ok=True)
    signs = random.Random(5)
    embedding, head = Matrix(256, D), Matrix(256, D)
    for byte in range(256):
        embedding.set(1.0, byte, ONE)
        for i in range(CODE):
            sign = signs.choice((-1.0, 1.0))
            embedding.set(sign, byte, i)
            head.set(sign, byte, COPIED + i)
    weights = {"model.embed_tokens.weight": embedding, "lm_head.weight": head, "model.final_layernorm.weight": Matrix(D, fill=1.0)}
    for i, layer in enumerate((state_space_layer(1, 1), state_space_layer(4, 4), attention_layer())):
        layer.update({"pre_ff_layernorm.weight": Matrix(D), "feed_forward.gate_proj.weight": Matrix(8, D), "feed_forward.up_proj.weight": Matrix(8, D),
                      "feed_forward.down_proj.weight": Matrix(D, 8)})
        weights.update({f"model.layers.{i}.{name}": matrix for name, matrix in layer.items()})
    tensors.write(os.path.join(folder, "model.safetensors"), {name: ("F32", m.shape, m.values) for name, m in weights.items()})
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump({"architectures": ["JambaForCausalLM"], "hidden_size": D, "intermediate_size": 8, "num_hidden_layers": 3, "vocab_size": 256,
                   "num_attention_heads": 1, "num_key_value_heads": 1, "attn_layer_period": 3, "attn_layer_offset": 2, "num_experts": 1, "num_experts_per_tok": 1,
                   "mamba_d_state": 4, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 1, "mamba_conv_bias": True, "mamba_proj_bias": False,
                   "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "hidden_act": "silu"}, file, indent=2)


def text(tokens, key, place):
    """Of that many bytes, the key's sentence after the given share of it."""
    needle = f"The pass key is {key}. Remember it. "
    room = tokens - len(needle) - len(QUESTION)
    filler = (FILLER * (room // len(FILLER) + 1))[:room]
    at = int(room * place)
    return filler[:at] + needle + filler[at:] + QUESTION


# A process counts what the one that started it had resident until then: a fresh interpreter has less than any run of rondo.
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print("\\n" + str(usage.ru_maxrss * 1024))
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def peak(command):
    """Standard output, the process's largest resident memory in bytes, seconds."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-S", "-c", MEASURE, *command], capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: failed\n{done.stderr[-2000:]}")
    out, _, resident = done.stdout.rstrip("\n").rpartition("\n")
    return out, int(resident), seconds


def look(binaries, folder, tokens, key="68427", place=0.37, threads=2):
    """Writes, compiles, asks: (what was generated, predicted bytes, largest resident bytes, seconds)."""
    package, prompt = os.path.join(folder, "passkey.rpk"), os.path.join(folder, "passkey.txt")
    rondo = os.path.join(binaries, "rondo")
    if not os.path.exists(package):
        write_checkpoint(os.path.join(folder, "passkey"))
        subprocess.run([os.path.join(binaries, "rondoc"), "--checkpoint", os.path.join(folder, "passkey"), "-o", package], check=True)
    with open(prompt, "w") as file:
        file.write(text(tokens, key, place))
    described = json.loads(subprocess.run([rondo, "inspect", package, "--json", "--tokens", str(tokens + len(key)), "-t", str(threads)], check=True,
                                          capture_output=True, text=True).stdout)
    out, resident, seconds = peak([rondo, "run", package, "--file", prompt, "-n", str(len(key)), "--temp", "0", "--json", "-t", str(threads)])
    return json.loads(out)["text"], described["memory"], resident, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=65536)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "bin"))
    parser.add_argument("--keep", help="a folder for the checkpoint, the package and the text")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rondo-passkey-") as scratch:
        folder = options.keep or scratch
        os.makedirs(folder, exist_ok=True)
        found, memory, resident, seconds = look(options.bin, folder, options.tokens, threads=options.threads)
    mib = 1 << 20
    print(f"{options.tokens} tokens, key 68427: generated {found!r} in {seconds:.1f} s on {options.threads} threads; "
          f"{resident / mib:.1f} MiB resident at most, {memory['bytes'] / mib:.1f} MiB predicted ({memory['state_bytes'] / mib:.1f} MiB of states)")
    return 0 if found == "68427" and resident <= memory["bytes"] else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Compiles a checkpoint folder and compares it with what the published code computed from the same weights.

    test/e2e/check_checkpoint.py [--bin BUILD/bin] FOLDER

FOLDER holds a published checkpoint, expected.safetensors and meta.json as test/golden/README.md says. Checked are
    forward   every logit of every expected batch, within tolerance_max_abs of meta.json
    greedy    16 tokens after each prompt, equal
    verify    chunked = sequential = step = interpreter, by `rondo verify`
Prints one line a check and exits with 1 when one fails, after the command that repeats it.
"""

import argparse
import array
import json
import os
import sys
import tempfile
import time

import tensors
from programs import Failed, run


def tolerance(meta, batch):
    limit = meta["tolerance_max_abs"]
    return limit[batch] if isinstance(limit, dict) else limit


def check_forward(rondo, package, expected, meta, scratch, only):
    batches = sorted(name[len("logits_"):] for name in expected if name.startswith("logits_"))
    if only is not None and only not in batches:
        raise Failed(f"forward {only}: the folder has the batches {batches}")
    for batch in [only] if only is not None else batches:
        _, shape, ids = expected["input_ids_" + batch]
        inputs, outputs = os.path.join(scratch, f"in_{batch}.safetensors"), os.path.join(scratch, f"out_{batch}.safetensors")
        tensors.write(inputs, {"tokens": ("I64", shape, array.array("q", ids))})
        run([rondo, "eval", package, "--entry", "forward", "--inputs", inputs, "--outputs", outputs])
        made = tensors.read(outputs)
        if "logits" not in made:
            raise Failed(f"forward {batch}: outputs are {sorted(made)}; expected logits")
        dtype, found_shape, found = made["logits"]
        _, wanted_shape, wanted = expected["logits_" + batch]
        if (dtype, found_shape) != ("F32", wanted_shape):
            raise Failed(f"forward {batch}: logits are {dtype} {found_shape}; expected F32 {wanted_shape}")
        worst, at = 0.0, 0
        for index, (f, w) in enumerate(zip(found, wanted)):
            difference = abs(f - w)
            if not difference <= worst:
                worst, at = difference, index
                if difference != difference:  # not a number: nothing later can be worse
                    break
        vocabulary = wanted_shape[-1]
        where = f"sequence {at // vocabulary // wanted_shape[1]}, token {at // vocabulary % wanted_shape[1]}, logit {at % vocabulary}"
        limit = tolerance(meta, batch)
        if not worst <= limit:
            raise Failed(f"forward {batch}: logits differ by {worst:.3g} at {where} (found {found[at]:.6g}, expected {wanted[at]:.6g}); tolerance {limit:g}")
        print(f"forward {batch} {wanted_shape}: largest difference {worst:.2g} (tolerance {limit:g})")


def check_greedy(rondo, package, expected):
    prompts = sorted(name[:-len("_prompt")] for name in expected if name.endswith("_prompt"))
    for case in prompts:
        if case + "_tokens" not in expected:
            continue
        prompt, wanted = list(expected[case + "_prompt"][2]), list(expected[case + "_tokens"][2])
        output = run([rondo, "run", package, "--tokens", ",".join(map(str, prompt)), "-n", str(len(wanted)), "--temp", "0", "--json"])
        try:
            found = json.loads(output)["tokens"]
        except (ValueError, KeyError) as error:
            raise Failed(f"greedy {case}: --json printed {output[:500]!r} ({error}); expected an object with tokens")
        if found != wanted:
            raise Failed(f"greedy {case}: found {found}; expected {wanted}")
        print(f"greedy {case}: {len(wanted)} tokens after {len(prompt)}, equal")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser.add_argument("--bin", default=os.path.join(root, "build", "bin"), help="where rondoc and rondo are (default: build/bin)")
    parser.add_argument("--precision", default="f32", help="of the package's weights; others than f32 are held to their own reference, by verify alone")
    parser.add_argument("--only", action="append", choices=["forward", "greedy", "verify"], help="this check alone; may be given again")
    parser.add_argument("--batch", help="of forward: this batch of expected.safetensors alone")
    parser.add_argument("--reference-tokens", default=None, help="of verify: so many tokens by the interpreter (default: by the size of the model)")
    parser.add_argument("--checkpoint", help="what is compiled, where that is a file of another format than the folder's")
    parser.add_argument("folder")
    arguments = parser.parse_args()
    rondoc, rondo = (os.path.join(arguments.bin, name) for name in ("rondoc", "rondo"))
    folder = arguments.folder.rstrip("/")
    expected = tensors.read(os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "meta.json")) as file:
        meta = json.load(file)
    repeat = f"{os.path.relpath(sys.argv[0])} --bin {os.path.relpath(arguments.bin)} --precision {arguments.precision} {os.path.relpath(folder)}" + (f" --checkpoint {arguments.checkpoint}" if arguments.checkpoint else "")
    failures = []
    with tempfile.TemporaryDirectory(prefix="rondo-check-") as scratch:
        package = os.path.join(scratch, "m.rpk")
        checks = {"forward": lambda: check_forward(rondo, package, expected, meta, scratch, arguments.batch),
                  "greedy": lambda: check_greedy(rondo, package, expected),
                  "verify": lambda: print(run([rondo, "verify", package] + reference), end="")}
        reference = ["--reference-tokens", arguments.reference_tokens] if arguments.reference_tokens else []
        only = arguments.only or (list(checks) if arguments.precision == "f32" else ["verify"])
        checks = {name: checks[name] for name in checks if name in only}
        try:
            began = time.monotonic()
            run([rondoc, "--checkpoint", arguments.checkpoint or folder, "--precision", arguments.precision, "-o", package])
            print(f"compiled in {time.monotonic() - began:.1f} s")
        except Failed as failure:
            failures.append(f"compile: {failure}")
            checks = {}
        for name, check in checks.items():
            try:
                check()
            except Failed as failure:
                failures.append(f"{failure}\nrepeat with: {repeat} --only {name}")
    for failure in failures:
        print(f"failed: {failure}")
    if failures:
        print(f"repeat with: {repeat}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Holds one mechanism's spec against what computed it elsewhere, and every form that was derived of it against the token loop.

    test/e2e/check_mechanism.py [--bin BUILD/bin] [--only CHECK] FOLDER|NAME...

FOLDER (or its name under test/golden/mechanisms/) holds case.json, inputs.safetensors, expected.safetensors and, where the spec has parameters,
weights.safetensors, as test/golden/mechanisms/README.md says. Checked are
    class     the transition class of every state, or the line that is not affine, as case.json says
    oracle    the interpreter in f64 = expected.safetensors, within `tolerance`
    f32       the compiled package in each of its forms = expected.safetensors, within `tolerance_f32`
    forms     each form at block level in f64 = the token loop, to 1e-10: sequences of 0, 1, C-1, C, C+1 and 3C+5 tokens, packed, cut in two, after other tokens
    verify    the entries of the package, as chosen and in blocks, against each other and the interpreter, by `rondo verify`: pieces, steps, packed, saved states
Differences are relative to the largest value of a tensor. Prints one line a check and exits with 1 when one fails, after the command that repeats it.
"""

import argparse
import array
import json
import math
import os
import re
import sys
import tempfile
import time

import tensors
from programs import Failed, run

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
CASES = os.path.join(ROOT, "test", "golden", "mechanisms")
# Both sides are f64; what differs is the order of sums, and exp(a)exp(b) against exp(a + b), over at most four blocks.
REORDERED_F64 = 1e-10
CHUNKS = (4, 16)


def difference(name, expected, found):
    """The largest difference of two tensors, relative to the largest expected value."""
    (_, wanted_shape, wanted), (_, shape, values) = expected, found
    if list(wanted_shape) != list(shape):
        raise Failed(f"{name}: found shape {shape}, expected {wanted_shape}")
    largest = max((abs(w) for w in wanted), default=0.0)
    worst = 0.0
    for index, (w, v) in enumerate(zip(wanted, values)):
        if not math.isfinite(v):
            raise Failed(f"{name}: element {index} is {v}; expected {w:.6g}")
        worst = max(worst, abs(w - v))
    return worst / largest if largest else worst


def compare(expected, found, bound, what):
    """Every expected tensor, within the bound; the largest difference."""
    worst = 0.0
    for name in sorted(expected):
        if name not in found:
            raise Failed(f"{what}: there is no '{name}'; found {', '.join(sorted(found))}")
        far = difference(f"{what}: {name}", expected[name], found[name])
        if not far <= bound:
            raise Failed(f"{what}: {name} differs by {far:.3g} of its largest value; bound {bound:g}")
        worst = max(worst, far)
    return worst


def unscaled(found, recurrences):
    """States as the spec has them: those that the compiler keeps scaled are multiplied by the exponential of their scale."""
    states = [state for part in recurrences for state in part["states"]]
    axes = {state["name"]: state["axes"] for state in states}
    result = dict(found)
    for state in states:
        if "scale" not in state:
            continue
        own, scale = state["name"], state["scale"]
        for name, (dtype, shape, values) in found.items():
            if not (name.startswith("state.") and (name[len("state."):] == own or name.endswith("." + own))):
                continue
            _, scale_shape, exponents = found[name[:len(name) - len(own)] + scale]
            numbers = array.array(values.typecode)
            for at, value in enumerate(values):
                index, left = {}, at
                for axis, extent in zip(reversed(["", *axes[own]]), reversed(shape)):
                    index[axis], left = left % extent, left // extent
                place = 0
                for axis, extent in zip(["", *axes[scale]], scale_shape):
                    place = place * extent + index[axis]
                numbers.append(value * math.exp(exponents[place]) if value else 0)
            result[name] = (dtype, shape, numbers)
    return result


class Mechanism:
    def __init__(self, folder, bin_folder, scratch):
        self.folder, self.scratch = folder, scratch
        self.programs = {name: os.path.join(bin_folder, name) for name in ("rondoc", "rondo", "rondo-interp")}
        with open(os.path.join(folder, "case.json")) as file:
            self.case = json.load(file)
        self.spec = os.path.join(ROOT, self.case["spec"])
        self.inputs = tensors.read(os.path.join(folder, "inputs.safetensors"))
        self.expected = tensors.read(os.path.join(folder, "expected.safetensors"))
        weights = os.path.join(folder, "weights.safetensors")
        self.weights = weights if os.path.exists(weights) else None
        self.admissible = None
        self.sizes = []
        for name, value in self.case.get("set", {}).items():
            self.sizes += ["--set", f"{name}={json.dumps(value) if isinstance(value, (bool, list)) else value}"]
        if "module" in self.case:
            self.sizes += ["--module", self.case["module"]]

    def path(self, name):
        return os.path.join(self.scratch, name)

    def explain(self, form=None):
        command = [self.programs["rondoc"], self.spec, *self.sizes, "--explain", "--json", "--emit", "block", "-o", self.path("block.mlir")]
        if form:
            command += ["--form", f"*={form}"]
        entries = json.loads(run(command))["entries"]
        return next(entry["parts"] for entry in entries if entry["entry"] == "forward")

    def recurrences(self, form=None):
        return [part for part in self.explain(form) if part["kind"] == "recurrence"]

    def package(self, form):
        """Compiled in one form; None: as the compiler chooses."""
        path = self.path(f"{(form or 'own').replace(':', '-')}.rpk")
        if not os.path.exists(path):
            command = [self.programs["rondoc"], self.spec, *self.sizes, "-o", path]
            command += ["--checkpoint", self.weights] if self.weights else ["--random-init", "1"]
            # One that is compared across this machine's levels is enough.
            run(command + (["--form", f"*={form}", "--target", "native"] if form else []))
        return path

    def interpret(self, program, inputs, options=()):
        """What the interpreter makes in f64 of a spec or a stage's IR."""
        given, made = self.path("given.safetensors"), self.path("made.safetensors")
        tensors.write(given, inputs)
        command = [self.programs["rondo-interp"], program, "--f64", "--inputs", given, "--outputs", made, *options]
        run(command + (["--params", self.weights] if self.weights else []))
        return tensors.read(made)

    # ---- checks

    def line_of(self, part):
        """The spec's line that a refusal names."""
        line = re.search(r"\(line (\d+)\)", part["why"])
        if not line:
            return "no line is named"
        with open(part["place"].rsplit(":", 2)[0]) as file:
            return file.read().splitlines()[int(line.group(1)) - 1].strip()

    def check_class(self):
        clauses, refusals = {}, []
        for part in self.recurrences():
            for clause in part["transition"].split("; "):
                name, colon, said = clause.partition(": ")
                if colon:
                    clauses.setdefault(name.split("[")[0], []).append(said)
            if "not affine" in part["transition"]:
                refusals.append(f"{part['why']}: {self.line_of(part)}")
        for name, wanted in self.case["states"].items():
            for found in clauses.get(name, ["no such state"]):
                if found != wanted and not found.startswith(wanted + ",") and not found.endswith(", that is " + wanted):
                    raise Failed(f"state {name}: found '{found}', expected '{wanted}'")
        # Running maxima that scale states are the compiler's own.
        for scale in {state["scale"] for part in self.recurrences() for state in part["states"] if "scale" in state} - set(self.case["states"]):
            clauses.pop(scale, None)
        if set(clauses) != set(self.case["states"]):
            raise Failed(f"found the states {', '.join(sorted(clauses)) or 'none'}; expected {', '.join(sorted(self.case['states'])) or 'none'}")
        wanted = self.case.get("refused", [])
        if not wanted and refusals:
            raise Failed(f"not affine: {'; '.join(refusals)}; expected affine")
        if wanted and not any(all(text in refusal for text in wanted) for refusal in refusals):
            raise Failed(f"expected a refusal with {wanted}, found {'; '.join(refusals) or 'none'}")
        return "; ".join([f"{name}: {clause}" for name, found in clauses.items() for clause in found] + refusals) or "no recurrence"

    def check_oracle(self):
        made = self.interpret(self.spec, self.inputs, self.sizes)
        return f"largest difference {compare(self.expected, made, self.case['tolerance'], 'interpreter in f64'):.2g} (tolerance {self.case['tolerance']:g})"

    def forms(self):
        """The forms that a recurrence of this spec has, each asked for by --form."""
        if self.admissible is None:
            self.admissible = ["sequential"]
            if any(part["form"] == "chunk" for part in self.recurrences(f"chunk:{CHUNKS[0]}")):
                self.admissible += [f"chunk:{chunk}" for chunk in CHUNKS]
        return self.admissible

    def compiled_forms(self):
        """As chosen, and the other of the token loop and blocks: what blocks of other sizes compute is the forms check's."""
        chosen = {part["form"] for part in self.recurrences()}
        return [None, *(form for form in self.forms() if form != f"chunk:{CHUNKS[0]}" and chosen - {form.partition(":")[0]})]

    def check_f32(self):
        bound, said = self.case["tolerance_f32"], []
        for form in self.compiled_forms():
            outputs = self.path("f32.safetensors")
            run([self.programs["rondo"], "eval", self.package(form), "--inputs", os.path.join(self.folder, "inputs.safetensors"), "--outputs", outputs])
            far = compare(self.expected, unscaled(tensors.read(outputs), self.recurrences()), bound, f"package, {form or 'as chosen'}")
            said.append(f"{form or 'as chosen'} {far:.2g}")
        return f"{', '.join(said)} (tolerance {bound:g})"

    def rows(self, begin, lengths):
        """Packed inputs of sequences of these lengths: of sequence i the tokens from begin[i] on, taken over and over from the case's inputs."""
        packed = {"lengths": ("I64", [len(lengths)], array.array("q", lengths))}
        for name, (dtype, shape, values) in self.inputs.items():
            if name.startswith("state."):
                continue
            count, row = shape[0] * shape[1], math.prod(shape[2:])
            taken = array.array(values.typecode)
            for i, length in enumerate(lengths):
                for t in range(begin[i], begin[i] + length):
                    at = (11 * i + t) % count
                    taken.extend(values[at * row:(at + 1) * row])
            packed[name] = (dtype, [sum(lengths), *shape[2:]], taken)
        return packed

    def pieces(self, program, options, pieces):
        """Outputs of every piece, each begun in the states that the one before it left, and the last states."""
        begin, states, made = [0] * len(pieces[0]), {}, {}
        for number, lengths in enumerate(pieces):
            outputs = self.interpret(program, {**self.rows(begin, lengths), **states}, options)
            states = {name: tensor for name, tensor in outputs.items() if name.startswith("state.")}
            made[number] = {name: tensor for name, tensor in outputs.items() if not name.startswith("state.")}
            begin = [b + n for b, n in zip(begin, lengths)]
        return made, states

    def sequences(self, made, pieces):
        """{sequence, output: values} of the pieces joined."""
        joined = {}
        for number, lengths in enumerate(pieces):
            for name, (dtype, shape, values) in made[number].items():
                row, at = math.prod(shape[1:]), 0
                for i, length in enumerate(lengths):
                    joined.setdefault((i, name), array.array(values.typecode)).extend(values[at * row:(at + length) * row])
                    at += length
        return {f"sequence {i}: {name}": ("F64", [len(values)], values) for (i, name), values in joined.items()}

    def compare_form(self, form, chunk):
        recurrences = self.recurrences(form)
        own = {state["name"] for part in recurrences for state in part["states"]}
        lengths = [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk + 5]
        before, half = [3, 0, 2, 0, 5, 1], [length // 2 for length in lengths]
        whole, cut = [before, lengths], [before, half, [n - h for n, h in zip(lengths, half)]]
        if self.case.get("whole"):
            whole = cut = [lengths]
        expected, states = self.pieces(self.spec, self.sizes, whole)
        found, found_states = self.pieces(self.path("block.mlir"), [], cut)
        found_states = unscaled(found_states, recurrences)
        def last(of):
            return {name: tensor for name, tensor in of.items() if name.split("[")[0].split(".")[-1] in own}
        wanted = {**self.sequences(expected, whole), **last(states)}
        return compare(wanted, {**self.sequences(found, cut), **last(found_states)}, REORDERED_F64, f"{form}, blocks of {chunk}")

    def check_forms(self):
        said = []
        for form in self.forms():
            chunk = int(form.partition(":")[2] or CHUNKS[0])
            said.append(f"{form} {self.compare_form(form, chunk):.2g}")
        return f"{', '.join(said)} (tolerance {REORDERED_F64:g})"

    def check_verify(self):
        given = ["--inputs", os.path.join(self.folder, "inputs.safetensors")] if self.case.get("verify_inputs") else ["--tokens", "100"]
        said = []
        for form in [form for form in self.compiled_forms() if form != "sequential"]:  # the token loop is in every package: its steps
            table = run([self.programs["rondo"], "verify", self.package(form), *given, "--reference-tokens", "37"])
            said.append(f"{form or 'as chosen'}: {table.strip().splitlines()[-1].split(': ')[-1]}")
        return "; ".join(said)


CHECKS = ("class", "oracle", "f32", "forms", "verify")


def check(folder, arguments):
    began, failures = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="rondo-mechanism-") as scratch:
        try:
            mechanism = Mechanism(folder, arguments.bin, scratch)
        except (OSError, ValueError, KeyError) as problem:
            print(f"failed: {folder}: {type(problem).__name__}: {problem}; expected what test/golden/mechanisms/README.md says")
            return False
        waits = mechanism.case.get("waits", {})
        for name in [arguments.only] if arguments.only else CHECKS:
            if name in waits:
                print(f"{name}: not checked: {waits[name]}")
                continue
            try:
                print(f"{name}: {getattr(mechanism, 'check_' + name)()}")
            except Failed as failure:
                repeat = f"{os.path.relpath(sys.argv[0])} --bin {os.path.relpath(arguments.bin)} {os.path.relpath(folder)} --only {name}"
                failures.append(f"{name}: {failure}\nrepeat with: {repeat}")
    for failure in failures:
        print(f"failed: {failure}")
    print(f"{os.path.basename(folder)}: {len(failures)} failed, {time.monotonic() - began:.1f} s")
    return not failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="\n".join(__doc__.splitlines()[2:]), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "bin"), help="where the programs are (default: build/bin)")
    parser.add_argument("--only", choices=CHECKS, help="one check alone")
    parser.add_argument("folder", nargs="+")
    arguments = parser.parse_args()
    folders = [folder.rstrip("/") if os.path.isdir(folder) else os.path.join(CASES, folder) for folder in arguments.folder]
    sys.exit(0 if all([check(folder, arguments) for folder in folders]) else 1)


if __name__ == "__main__":
    main()

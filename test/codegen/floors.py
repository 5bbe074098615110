#!/usr/bin/env python3
"""Floors of emitted code, without a clock: what the assembly of a kernel must look like, whatever machine the test runs on.

    floors.py --bin build/bin            checks every row of FLOORS
    floors.py --bin build/bin --print    prints what the kernels have, in the form of FLOORS

Of each innermost loop it counts multiply-adds (a pair or quad of a low precision counts as one, a product of tiles too), reads of memory by vector and tile instructions (an operand in memory is a read too), and
vector registers that are kept on the stack. Of a kernel: its bytes, and calls of functions other than memcpy and memset, which LLVM makes of copies. A kernel's row holds for the loop that has most of the first for the
second; a kernel that is not there, or has no such loop, fails.
"""

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
Row = collections.namedtuple("Row", "spec options kernel per_read kept bytes")
KERNELS = "test/bench/kernels/"
PRODUCT = (KERNELS + "product.rondo", "--set k=768 --set n=2048")
RAGGED = (KERNELS + "product.rondo", "--set k=61 --set n=61")

# spec, options of rondoc, kernel's symbol, least multiply-adds for a read in its best loop, most registers kept on the stack in its loops, most bytes of text
FLOORS = [
    Row(*PRODUCT, "forward_product_v4", 1.6, 0, 2500),
    Row(*PRODUCT, "forward_product_v3", 1.5, 0, 4000),
    Row(*RAGGED, "forward_product_v4", 1.6, 0, 5500),
    Row(*RAGGED, "forward_product_v3", 1.5, 1, 5500),
    Row(PRODUCT[0], PRODUCT[1] + " --precision bf16", "forward_product_v4bf16", 1.6, 0, 3000),
    Row(PRODUCT[0], PRODUCT[1] + " --precision bf16", "forward_product_v4amx", 1.0, 0, 3500),
    Row(PRODUCT[0], PRODUCT[1] + " --precision w8", "forward_product_v4bf16", 1.3, 0, 7000),
    Row(PRODUCT[0], PRODUCT[1] + " --precision w4", "forward_product_v4bf16", 1.3, 0, 7500),
    Row(PRODUCT[0], PRODUCT[1] + " --precision w8", "forward_product_v4", 1.6, 0, 6500),
    Row(PRODUCT[0], PRODUCT[1] + " --precision w8", "forward_product_v3", 1.3, 0, 4500),
    Row(PRODUCT[0], PRODUCT[1] + " --precision w4", "forward_product_v4", 1.6, 0, 8000),
    Row(PRODUCT[0], PRODUCT[1] + " --precision w4", "forward_product_v3", 1.3, 0, 5000),
    Row(KERNELS + "ssd.rondo", "", "forward_scan_v4", 1.6, 0, 9000),
    Row(KERNELS + "ssd.rondo", "", "forward_scan_v3", 1.5, 4, 11000),
    Row(KERNELS + "gated_delta.rondo", "", "forward_scan_v4", 1.6, 8, 20000),
    Row(KERNELS + "selective_scan.rondo", "", "forward_scan_v4", 1.2, 0, 3500),
    Row("models/llama.rondo", "", "model_layers_product_v4", 1.6, 0, 2500),
    Row("models/llama.rondo", "", "model_layers_attend_v4", 1.6, 10, 30000),
]
MULTIPLY_ADD = re.compile(r"^vf(n?m(add|sub))\d+[ps]s|^vdpbf16ps|^vpdp(busd|wssd)s?$|^vpmaddwd|^tdp")
ALLOWED = {"memcpy", "memset"}


def functions(text):
    """Symbol → its lines: (label or None, instruction, operands)."""
    found, current = {}, None
    for line in text.splitlines():
        line = line.split("#")[0].rstrip()
        label = re.match(r"^([.\w$]+):", line)
        if label and not label.group(1).startswith(".L"):
            current = found.setdefault(label.group(1), [])
        elif label and current is not None:
            current.append((label.group(1), "", ""))
        elif re.match(r"^\s+[a-z]", line) and current is not None:
            parts = line.split(None, 1)
            current.append((None, parts[0], parts[1] if len(parts) > 1 else ""))
    return found


def innermost(lines):
    """Loops without a loop inside: from a label to the last jump back to it."""
    places, spans = {}, []
    for at, (label, name, operands) in enumerate(lines):
        if label:
            places[label] = at
        elif name.startswith("j") and operands in places:
            spans.append((places[operands], at))
    return [
        (begin, end) for begin, end in spans
        if not any(other != (begin, end) and begin <= other[0] and other[1] <= end for other in spans)
    ]


def measure(lines):
    """Multiply-adds and reads of the innermost loop that has the most of the first for the second, among those of eight and more; and vector registers that are written to the
    stack in any innermost loop."""
    best, kept = (0, 1), 0
    # %rbp is of the stack where the function makes it so, and else a register like others.
    frames = {"%rsp", "%rbp"} if any(re.sub(r"\s", "", operands) == "%rsp,%rbp" for _, _, operands in lines) else {"%rsp"}
    for begin, end in innermost(lines):
        adds = reads = 0
        for _, name, operands in lines[begin:end + 1]:
            memory = re.search(r"-?\w*\([^)]*\)", operands)
            adds += bool(MULTIPLY_ADD.match(name))
            if not memory or not re.search(r"%[txyz]mm\d", operands):
                continue
            if re.match(r"^vp?(mov|extract|extr)", name) and operands.rstrip().endswith(")"):
                kept += any(frame in memory.group(0) for frame in frames)
            else:
                reads += 1
        if adds >= 8 and adds * best[1] > best[0] * max(reads, 1):
            best = adds, max(reads, 1)
    return best, kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="where rondoc is")
    parser.add_argument("--nm", default="llvm-nm-22")
    parser.add_argument("--print", action="store_true", dest="show")
    options = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        for spec, arguments in dict.fromkeys((row.spec, row.options) for row in FLOORS):
            command = [os.path.join(options.bin, "rondoc"), os.path.join(ROOT, spec), "--random-init", "1", *arguments.split()]
            text, image = os.path.join(scratch, "k.s"), os.path.join(scratch, "k.o")
            subprocess.run([*command, "--emit", "asm", "-o", text], check=True)
            subprocess.run([*command, "--emit", "object", "-o", image], check=True)
            listed = subprocess.run([options.nm, "-S", "--defined-only", image], check=True, capture_output=True, text=True).stdout
            sizes = {fields[3]: int(fields[1], 16) for fields in map(str.split, listed.splitlines()) if len(fields) == 4}
            with open(text) as file:
                kernels = functions(file.read())
            for name, lines in kernels.items():
                calls = {operands for _, instruction, operands in lines if instruction.startswith("call")} | {
                    operands for _, instruction, operands in lines if instruction == "jmp" and not operands.startswith((".L", "*"))}
                calls = {c.replace("@PLT", "") for c in calls if not c.startswith("*")} - ALLOWED - set(kernels)
                (adds, reads), kept = measure(lines)
                if options.show:
                    print(f"{spec} {arguments}: {name}: {adds} multiply-adds, {reads} reads, {kept} kept on the stack, {sizes.get(name)} bytes, calls {sorted(calls) or 'nothing'}")
                if calls:
                    failures.append(f"{spec}: {name} calls {', '.join(sorted(calls))}; expected no function of a library")
            for row in (row for row in FLOORS if (row.spec, row.options) == (spec, arguments)):
                if row.kernel not in kernels:
                    failures.append(f"{spec}: there is no kernel {row.kernel}, only {', '.join(kernels)}")
                    continue
                (adds, reads), kept = measure(kernels[row.kernel])
                if adds < row.per_read * reads:
                    failures.append(f"{spec}: {row.kernel}: {adds} multiply-adds for {reads} reads in its best loop; expected {row.per_read} for one")
                if kept > row.kept:
                    failures.append(f"{spec}: {row.kernel}: {kept} vector registers are written to the stack inside loops; expected at most {row.kept}")
                if sizes[row.kernel] > row.bytes:
                    failures.append(f"{spec}: {row.kernel}: {sizes[row.kernel]} bytes; expected at most {row.bytes}")
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

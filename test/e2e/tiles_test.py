"""Models whose products are of tile registers, by emulation where the machine has none: `rondo verify` compares them with the interpreter and with every level below.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/tiles_test.py
"""

import json
import os
import subprocess
import tempfile
import unittest

import refusals

PROGRAM = os.path.join(refusals.BIN, "..", "test", "bin", "rondo-with-tiles")
LEVEL, BELOW = "x86-64-v4-amx", "x86-64-v4-bf16"


def has_level_below():
    with open("/proc/cpuinfo") as file:
        flags = next((line for line in file if line.startswith("flags")), "").split()
    return {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_bf16", "avx512_vnni"} <= set(flags)


@unittest.skipUnless(has_level_below(), "tiles are emulated beside dot products of AVX-512, which this machine does not have")
class Tiles(unittest.TestCase):
    def verify(self, checkpoint, precision):
        with tempfile.TemporaryDirectory(prefix="rondo-tiles-") as scratch:
            environment = {**os.environ, "PATH": os.path.abspath(refusals.BIN) + os.pathsep + os.environ.get("PATH", "")}  # of rondo-interp
            package = os.path.join(scratch, "m.rpk")
            subprocess.run([os.path.join(refusals.BIN, "rondoc"), "--checkpoint", os.path.join(refusals.GOLDEN, checkpoint), "--precision", precision, "-o", package], check=True)
            done = subprocess.run([PROGRAM, "verify", package, "--isa", LEVEL, "--tokens", "90", "--reference-tokens", "40", "--json"], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        checks = {check["comparison"]: check for check in json.loads(done.stdout)["comparisons"]}
        between = checks[f"{LEVEL} = {BELOW}"]
        self.assertEqual(between["result"], "pass", between)
        return between["max_abs"]

    def test_pairs_of_bf16(self):
        for checkpoint in ("mamba2_groups", "llama_gqa"):
            self.verify(checkpoint, "bf16")

    def test_integers_are_the_same_bits(self):
        for checkpoint, precision in (("mamba2_groups", "w8"), ("llama_gqa", "w4")):
            self.assertEqual(self.verify(checkpoint, precision), 0)


if __name__ == "__main__":
    unittest.main()

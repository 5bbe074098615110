"""Exponential gates far outside of f32: finite, and what the interpreter says in extended precision.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/exponential_gates_test.py

Gate pre-activations lie in [-60, 60], and in [-600, 600], where an f32 that holds their exponential is infinite; decays between exp(-80) and 1 - exp(-60), over 8,192 tokens: long runs that keep nearly everything, cut by tokens that
forget nearly everything. Keys and queries are positive, so that no sum that is divided by cancels, and a relative error is the arithmetic's own.
"""

import array
import math
import os
import random
import subprocess
import tempfile
import unittest

import refusals
import tensors

SPEC = os.path.join(refusals.ROOT, "test", "e2e", "Inputs", "exponential_gates.rondo")
H, K, V = 2, 4, 4
# A state that keeps nearly everything is rounded once a token, by at most half an ulp (6e-8), in no preferred direction: sqrt(8192) times that is 5.4e-6. Exponents
# that matter (weights above 1e-7 of the largest) are below 16 in magnitude and rounded by 1e-6 at most, a weighted mean of such errors smaller than the largest.
F32 = 1e-5
# Likewise in f64, with blocks that sum in another order.
F64 = 1e-12


class ExponentialGates(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="rondo-gates-")
        self.addCleanup(scratch.cleanup)
        self.path = lambda name: os.path.join(scratch.name, name)

    def run_program(self, name, *arguments):
        command = [os.path.join(refusals.BIN, name), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{done.stderr[-3000:]}")

    def write_inputs(self, names, tokens, reach):
        draw = random.Random(7)
        def forget():
            kind = draw.random()
            return draw.uniform(-80, -20) if kind < 0.01 else draw.uniform(-3, 3) if kind < 0.1 else draw.uniform(4, 60)
        makers = {"q": (K, lambda: draw.uniform(0.1, 1)), "key": (K, lambda: draw.uniform(0.1, 1)), "val": (V, lambda: draw.uniform(-1, 1)),
                  "i": (0, lambda: draw.uniform(-reach, reach)), "f": (0, forget)}
        inputs = {}
        for name in names:
            extent, make = makers[name]
            shape = [1, tokens, H] + ([extent] if extent else [])
            inputs[name] = ("F32", shape, array.array("f", [make() for _ in range(math.prod(shape))]))
        tensors.write(self.path("in.safetensors"), inputs)

    def difference(self, output, exact, file):
        """The largest difference from `exact`, relative to the largest value."""
        found = tensors.read(self.path(file))[output][2]
        self.assertEqual(len(found), len(exact))
        self.assertTrue(all(math.isfinite(x) for x in found), f"{file}: not finite")
        return max(abs(a - b) for a, b in zip(exact, found)) / max(map(abs, exact))

    def compare(self, module, names, output, forms, tokens, reach, bound=F32):
        self.write_inputs(names, tokens, reach)
        into = lambda file: ("--inputs", self.path("in.safetensors"), "--outputs", self.path(file))
        self.run_program("rondo-interp", SPEC, "--module", module, "--extended", *into("exact.safetensors"))
        exact = tensors.read(self.path("exact.safetensors"))[output][2]
        self.assertTrue(all(math.isfinite(x) for x in exact))
        self.assertGreater(max(map(abs, exact)), 0.1)
        for form in forms:
            package = self.path("p.rpk")
            self.run_program("rondoc", SPEC, "--module", module, "--random-init", "1", "--form", f"*={form}", "-o", package)
            self.run_program("rondo", "eval", package, *into("f32.safetensors"))
            self.assertLess(self.difference(output, exact, "f32.safetensors"), bound, f"package, {form}")
        block = self.path("block.mlir")
        self.run_program("rondoc", SPEC, "--module", module, "--form", f"*={forms[-1]}", "--emit", "block", "-o", block)
        self.run_program("rondo-interp", block, "--f64", *into("f64.safetensors"))
        self.assertLess(self.difference(output, exact, "f64.safetensors"), F64, f"block level, {forms[-1]}")

    def test_a_memory_in_blocks(self):
        self.compare("memory", ("q", "key", "val", "i", "f"), "y", ("sequential", "chunk:64", "chunk:16"), tokens=8192, reach=60)

    def test_a_memory_far_outside(self):
        self.compare("memory", ("q", "key", "val", "i", "f"), "y", ("chunk:16",), tokens=1024, reach=600)

    def test_a_cell_whose_gates_read_its_output(self):
        # The exponent 2 (i + y) is a number of f32 in any order of evaluation: rounded by up to half an ulp of 400.
        self.compare("cell", ("val", "i", "f"), "out", ("sequential",), tokens=2048, reach=200, bound=F32 + 400 * 2**-24)


if __name__ == "__main__":
    unittest.main()

"""Sequences go on from the states that an earlier piece left behind, whoever computed it: the package or the interpreter.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/carried_states_test.py
"""

import array
import os
import random
import subprocess
import tempfile
import unittest

import refusals
import tensors

SPEC = os.path.join(refusals.ROOT, "test", "e2e", "Inputs", "carried_states.rondo")
D, LENGTHS, FIRST = 6, (20, 13), (11, 4)
# f32 sums in another order, over 20 tokens; values are below 1.
BOUND = 2e-6


class CarriedStates(unittest.TestCase):
    def test_every_pair_of_pieces(self):
        with tempfile.TemporaryDirectory(prefix="rondo-carried-") as scratch:
            path = lambda name: os.path.join(scratch, name)

            def run(program, *arguments):
                command = [os.path.join(refusals.BIN, program), *arguments]
                done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{done.stderr[-3000:]}")

            run("rondoc", SPEC, "--random-init", "1", "-o", path("p.rpk"))
            draw = random.Random(1)
            x = [[[draw.uniform(-1, 1) for _ in range(D)] for _ in range(length)] for length in LENGTHS]

            def evaluate(begin, end, states, options):
                """The packed sequences' tokens from begin[i] to end[i]: outputs sequence by sequence, and the states after them."""
                rows = [row for own, b, e in zip(x, begin, end) for row in own[b:e]]
                counts = [e - b for b, e in zip(begin, end)]
                tensors.write(path("in"), {"x": ("F32", [1, len(rows), D], array.array("f", sum(rows, []))),
                                           "cu_seqlens": ("I64", [3], array.array("q", [0, counts[0], sum(counts)])), **states})
                run("rondo", "eval", path("p.rpk"), "--inputs", path("in"), "--outputs", path("out"), *options)
                made = tensors.read(path("out"))
                values = made["o"][2]
                return [values[:counts[0] * D], values[counts[0] * D:]], {name: tensor for name, tensor in made.items() if name.startswith("state.")}

            whole, _ = evaluate((0, 0), LENGTHS, {}, [])
            for first in ([], ["--reference"]):
                _, states = evaluate((0, 0), FIRST, {}, first)
                for second in ([], ["--reference"], []):  # the last again from the same states: rewound
                    rest, _ = evaluate(FIRST, LENGTHS, states, second)
                    for expected, found, skipped in zip(whole, rest, FIRST):
                        far = max(abs(a - b) for a, b in zip(expected[skipped * D:], found))
                        self.assertLess(far, BOUND, f"first piece {first}, second {second}")

            # Where sequences begin: numbers as the spec means them, also of states that the package keeps scaled.
            given = {"state.S": ("F32", [2, D], array.array("f", [draw.uniform(1, 2) for _ in range(2 * D)])),
                     "state.n": ("F32", [2, D], array.array("f", [draw.uniform(1, 2) for _ in range(2 * D)]))}
            (package, _), (exact, _), (other, _) = (evaluate((0, 0), LENGTHS, states, options) for states, options in ((given, []), (given, ["--reference"]), ({}, [])))
            for expected, found, without in zip(exact, package, other):
                self.assertLess(max(abs(a - b) for a, b in zip(expected, found)), BOUND)
                self.assertGreater(max(abs(a - b) for a, b in zip(expected, without)), 0.01)


if __name__ == "__main__":
    unittest.main()

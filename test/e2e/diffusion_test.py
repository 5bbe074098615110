"""`rondo run` with models that fill hidden tokens, against the algorithms written out over `rondo eval --entry forward`.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/diffusion_test.py
"""

import array
import json
import math
import os
import subprocess
import tempfile
import unittest

import refusals
import tensors

LLADA = os.path.join(refusals.ROOT, "models", "llada.rondo")
SCORES = os.path.join(refusals.ROOT, "test", "e2e", "Inputs", "score_entropy.rondo")
SIZES = ["--set=layers=2", "--set=vocab=40", "--set=d=32", "--set=f=48", "--set=h=4", "--set=mask_id=39"]
MASK, PROMPT = 39, [3, 1, 4, 1, 5]


class Diffusion(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="rondo-diffusion-")
        self.addCleanup(self.scratch.cleanup)
        self.package = os.path.join(self.scratch.name, "m.rpk")

    def call(self, program, *arguments, code=0):
        done = subprocess.run([os.path.join(refusals.BIN, program), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr[-3000:])
        return done.stdout if code == 0 else done.stderr

    def generate(self, *options):
        tokens = ",".join(map(str, PROMPT))
        return json.loads(self.call("rondo", "run", self.package, "--tokens", tokens, "--json", *options))["tokens"]

    def logits(self, tokens):
        files = [os.path.join(self.scratch.name, name) for name in ("in", "out")]
        tensors.write(files[0], {"tokens": ("I64", [1, len(tokens)], array.array("q", tokens))})
        self.call("rondo", "eval", self.package, "--entry", "forward", "--inputs", files[0], "--outputs", files[1])
        _, shape, values = tensors.read(files[1])["logits"]
        return [values[i * shape[2]:(i + 1) * shape[2]] for i in range(shape[1])]

    def test_the_surest_stay(self):
        """Algorithm 5 of arXiv 2502.09992, with and without blocks."""
        self.call("rondoc", LLADA, *SIZES, "--random-init", "5", "-o", self.package)
        for count, steps, block in ((12, 5, 12), (12, 6, 4), (9, 3, 4)):
            tokens = PROMPT + [MASK] * count
            blocks = -(-count // block)
            for b in range(blocks):
                places = range(len(PROMPT) + b * block, min(len(PROMPT) + (b + 1) * block, len(tokens)))
                own = min(max(1, steps // blocks), len(places))
                for step in range(own):
                    found = []
                    for place, row in enumerate(self.logits(tokens)):
                        if place in places and tokens[place] == MASK:
                            best = max((i for i in range(MASK)), key=lambda i: row[i])
                            found.append((-math.exp(row[best]) / sum(map(math.exp, row)), place, best))
                    for _, place, best in sorted(found)[:len(places) // own + (step < len(places) % own)]:
                        tokens[place] = best
            made = self.generate("-n", str(count), "--steps", str(steps), "--block-length", str(block))
            self.assertEqual(made, tokens[len(PROMPT):], f"{count} tokens, {steps} steps, blocks of {block}")
        self.assertEqual(self.generate("-n", "12", "--temp", "1", "--seed", "3"), self.generate("-n", "12", "--temp", "1", "--seed", "3", "-t", "3"))
        self.assertNotEqual(self.generate("-n", "12", "--temp", "1", "--seed", "3"), self.generate("-n", "12", "--temp", "1", "--seed", "4"))

    def test_scores_with_a_level_of_noise(self):
        self.call("rondoc", SCORES, "--random-init", "5", "-o", self.package)
        made = self.generate("-n", "10", "--steps", "6")
        self.assertEqual(len(made), 10)
        self.assertTrue(all(0 <= token < 23 for token in made), made)
        self.assertEqual(made, self.generate("-n", "10", "--steps", "6", "-t", "1"))
        self.assertNotEqual(made, self.generate("-n", "10", "--steps", "6", "--seed", "2"))
        self.assertIn("--block-length 5", self.call("rondo", "run", self.package, "--tokens", "1", "-n", "10", "--block-length", "5", code=1))

    def test_what_is_refused(self):
        self.call("rondoc", LLADA, *SIZES, "--random-init", "5", "-o", self.package)
        self.assertIn("mask, id 39", self.call("rondo", "run", self.package, "--tokens", "1,39", "-n", "4", code=1))
        self.assertIn("state", self.call("rondo", "run", self.package, "--tokens", "1", "--state-out", "x", code=1))
        self.call("rondoc", os.path.join(refusals.ROOT, "models", "llama.rondo"), *SIZES[:-1], "--random-init", "5", "-o", self.package)
        self.assertIn("--steps", self.call("rondo", "run", self.package, "--tokens", "1", "--steps", "4", code=1))
        spec = os.path.join(self.scratch.name, "m.rondo")
        for objective, expected in (("masked_diffusion()", "needs mask"), ("score_entropy(mask = 0.5)", "a token's id"), ("masked_diffusion(hide = 3)", "no argument 'hide'")):
            with open(SCORES) as file, open(spec, "w") as out:
                out.write(file.read().replace("score_entropy(mask = vocab - 1)", objective).replace("../../../models/std.rondo", os.path.join(refusals.ROOT, "models", "std.rondo")))
            self.assertIn(expected, self.call("rondoc", spec, "--random-init", "1", "-o", self.package, code=1))


if __name__ == "__main__":
    unittest.main()

"""What sequences hold in memory: what `rondo inspect` predicts is what there is, windows stop growing, recurrent states never grow, and a passkey is found within it.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/memory_test.py
"""

import json
import os
import subprocess
import tempfile
import unittest

import passkey
import refusals

TILE = 64


class Memory(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="rondo-memory-")
        self.addCleanup(self.scratch.cleanup)

    def call(self, program, *arguments):
        done = subprocess.run([os.path.join(refusals.BIN, program), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return done.stdout

    def compile(self, folder):
        package = os.path.join(self.scratch.name, os.path.basename(folder) + ".rpk")
        self.call("rondoc", "--checkpoint", folder, "-o", package)
        return package

    def held(self, package, depths):
        """Bytes of a sequence's states after so many tokens and 64 further ones, as a run has them; what is predicted is no less than what was written."""
        rows = json.loads(self.call("rondo", "bench", package, "-p", "0", "-n", "64", "-r", "1", "--no-warmup", "-t", "1", "--json", "-d", ",".join(map(str, depths))))
        held = [row["state_bytes"] for row in rows]
        predicted = [self.inspect(package, depth + 64)["memory"]["state_bytes"] for depth in depths]
        for depth, there, said in zip(depths, held, predicted):
            self.assertLessEqual(said, there, depth)
            self.assertLessEqual(there, said * 9 / 8 + self.row_bytes(package) * TILE, depth)
        return held

    def inspect(self, package, tokens):
        return json.loads(self.call("rondo", "inspect", package, "--json", "--tokens", str(tokens)))

    def row_bytes(self, package):
        return self.inspect(package, 1)["cache_bytes_per_token"]

    def test_recurrent_states_never_grow(self):
        package = self.compile(os.path.join(refusals.ROOT, "models", "demo"))
        few, many = self.held(package, [10, 20000])
        self.assertEqual(few, many)
        self.assertEqual(self.inspect(package, 10)["memory"]["state_bytes"], self.inspect(package, 1000000)["memory"]["state_bytes"])

    def test_a_window_stops_growing(self):
        package = self.compile(os.path.join(refusals.GOLDEN, "mistral_window"))
        described = self.inspect(package, 1)
        window, piece = described["states"][0]["tokens"], max(entry["max_rows"] for entry in described["entries"])
        self.assertEqual(window, 7)
        held = self.held(package, [1, window + piece + TILE, 10 * (window + piece)])
        self.assertLess(held[0], held[1])
        self.assertEqual(held[1], held[2])
        self.assertLessEqual(held[2], (window + piece + 2 * TILE) * self.row_bytes(package))

    def test_a_cache_of_all_tokens_grows_with_them(self):
        package = self.compile(os.path.join(refusals.GOLDEN, "llama_gqa"))
        held = self.held(package, [0, 1000, 3000])
        self.assertEqual(held[0], TILE * self.row_bytes(package))  # nothing is there before it is needed
        self.assertLess(held[1], held[2])

    def test_a_passkey_is_found_in_the_memory_that_was_predicted(self):
        for tokens, key, place in ((700, "31337", 0.0), (6000, "90210", 0.6)):
            found, memory, resident, _ = passkey.look(refusals.BIN, self.scratch.name, tokens, key, place)
            self.assertEqual(found, key)
            self.assertLessEqual(resident, memory["bytes"], tokens)
            self.assertGreater(resident, memory["bytes"] / 2, tokens)


if __name__ == "__main__":
    unittest.main()

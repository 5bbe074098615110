"""What every refusal of bad input has in common.

A command that meets a bad file ends with exit code 1 (not a signal, not a sanitizer's report), says on stderr which file, where in it, what was found and what
was expected, prints no result, and leaves nothing behind.
"""

import os
import re
import subprocess
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BIN = os.path.abspath(os.environ.get("RONDO_BIN", os.path.join(ROOT, "build", "bin")))
RONDOC, RONDO = (os.path.join(BIN, name) for name in ("rondoc", "rondo"))
GOLDEN = os.path.join(ROOT, "test", "golden")


class RefusalTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="rondo-refusal-")
        self.out = os.path.join(self.scratch.name, "out")
        os.mkdir(self.out)

    def tearDown(self):
        self.scratch.cleanup()

    def refused(self, command, file, *says, timeout=60):
        """Runs a command that writes into self.out if anywhere. `says` are patterns its message must match, letter case aside."""
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=timeout)
        shown = f"\n{' '.join(command)}\nexit code {done.returncode}\nstdout: {done.stdout[-1000:]}\nstderr: {done.stderr[-3000:]}"
        self.assertNotIn("Sanitizer", done.stderr, shown)
        self.assertNotIn("runtime error:", done.stderr, shown)
        self.assertEqual(done.returncode, 1, shown)
        self.assertEqual(done.stdout, "", shown)
        self.assertIn(file, done.stderr, "the message must name the file" + shown)
        for pattern in says:
            self.assertIsNotNone(re.search(pattern, done.stderr, re.IGNORECASE), f"the message must match {pattern!r}" + shown)
        self.assertLess(len(done.stderr), 4000, "a message is short" + shown)
        self.assertEqual(os.listdir(self.out), [], "nothing may be left behind" + shown)

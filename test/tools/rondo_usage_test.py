"""The command line of `rondo`: exit code 2 for what cannot be understood, help with examples on stdout.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/tools/rondo_usage_test.py
"""

import os
import subprocess
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
RONDO = os.path.join(os.environ.get("RONDO_BIN", os.path.join(ROOT, "build", "bin")), "rondo")
COMMANDS = ["run", "score", "eval", "bench", "verify", "inspect"]


def rondo(*arguments):
    return subprocess.run([RONDO, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


class Usage(unittest.TestCase):
    def misused(self, *arguments):
        done = rondo(*arguments)
        self.assertEqual(done.returncode, 2, (arguments, done.stdout, done.stderr))
        self.assertEqual(done.stdout, "")
        self.assertNotEqual(done.stderr, "")

    def test_no_command(self):
        self.misused()

    def test_unknown_command(self):
        self.misused("frobnicate")

    def test_no_package(self):
        for command in COMMANDS:
            self.misused(command)

    def test_unknown_flag(self):
        for command in COMMANDS:
            self.misused(command, "m.rpk", "--frobnicate")

    def test_run_without_prompt(self):
        self.misused("run", "m.rpk")

    def test_run_with_two_prompts(self):
        self.misused("run", "m.rpk", "-p", "x", "--tokens", "1")

    def test_run_with_text_as_ids(self):
        self.misused("run", "m.rpk", "--tokens", "one")

    def test_negative_temperature(self):
        self.misused("run", "m.rpk", "-p", "x", "--temp", "-1")

    def test_bench_of_nothing(self):
        self.misused("bench", "m.rpk", "-p", "0", "-n", "0")

    def test_f64_without_reference(self):
        self.misused("eval", "m.rpk", "--inputs", "i", "--outputs", "o", "--precision", "f64")

    def test_help_has_examples(self):
        for command in [[], *([c] for c in COMMANDS)]:
            done = rondo(*command, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertIn("Examples:", done.stdout)
            self.assertEqual(done.stderr, "")

    def test_version(self):
        done = rondo("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^rondo \d+\.\d+\.\d+\n$")

    def test_missing_package_is_a_failure_not_misuse(self):
        done = rondo("inspect", "no-such.rpk")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertIn("no-such.rpk", done.stderr)


if __name__ == "__main__":
    unittest.main()

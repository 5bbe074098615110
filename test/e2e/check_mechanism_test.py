"""check_mechanism.py accepts what is right and finds what is wrong, with this build's programs behind a wrapper that spoils one answer.

    python3 test/run_unittest.py test/e2e/check_mechanism_test.py
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ.get("RONDO_BIN", os.path.join(HERE, "..", "..", "build", "bin"))
CASE = os.path.join(HERE, "..", "golden", "mechanisms", "mamba2")

WRAPPER = """#!%(python)s
import os, subprocess, sys
sys.path.insert(0, %(here)r)
import tensors
name, error = os.path.basename(sys.argv[0]), %(error)r
done = subprocess.run([os.path.join(%(bin)r, name), *sys.argv[1:]], capture_output=True, text=True)
output = done.stdout
if name == "rondoc" and error == "class":
    output = output.replace("decay per head", "no decay")
block = any(argument.endswith(".mlir") for argument in sys.argv)
by = {("rondo-interp", "oracle"): 0 if block else 1e-4, ("rondo-interp", "block"): 1e-8 if block else 0, ("rondo-interp", "nan"): float("nan"),
      ("rondo", "package"): 1e-3}.get((name, error), 0)
if by and "--outputs" in sys.argv:
    path = sys.argv[sys.argv.index("--outputs") + 1]
    made = tensors.read(path)
    if len(made["y"][2]):
        made["y"][2][-1] += by
    tensors.write(path, made)
print(output, end="")
print(done.stderr, end="", file=sys.stderr)
sys.exit(1 if error == "verify" and name == "rondo" and sys.argv[1] == "verify" else done.returncode)
"""


class CheckMechanism(unittest.TestCase):
    def check(self, error=None, only=None, change=None):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("rondoc", "rondo", "rondo-interp"):
                path = os.path.join(folder, name)
                with open(path, "w") as file:
                    file.write(WRAPPER % {"python": sys.executable, "here": HERE, "bin": os.path.abspath(BIN), "error": error})
                os.chmod(path, stat.S_IRWXU)
            case = os.path.join(folder, "mamba2")
            shutil.copytree(CASE, case)
            if change:
                with open(os.path.join(case, "case.json")) as file:
                    text = json.load(file)
                change(text)
                with open(os.path.join(case, "case.json"), "w") as file:
                    json.dump(text, file)
            command = [sys.executable, os.path.join(HERE, "check_mechanism.py"), "--bin", folder, case]
            return subprocess.run(command + (["--only", only] if only else []), capture_output=True, text=True)

    def fails(self, message, **how):
        done = self.check(**how)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(message, done.stdout)

    def test_what_is_right(self):
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for check in ("class: S: decay per head [h]", "oracle: ", "f32: as chosen", "chunk:16", "verify: "):
            self.assertIn(check, done.stdout)

    def test_another_class(self):
        self.fails("state S: found 'no decay [h]", error="class", only="class")
        self.fails("expected a refusal with ['line 7']", only="class", change=lambda case: case.update(refused=["line 7"]))
        self.fails("found the states S; expected S, z", only="class", change=lambda case: case["states"].update(z="no such state"))

    def test_another_value(self):
        self.fails("interpreter in f64: y differs by", error="oracle", only="oracle")
        self.fails("is nan", error="nan", only="oracle")
        self.fails("package, as chosen: y differs by", error="package", only="f32")

    def test_another_form(self):
        self.fails("bound 1e-10", error="block", only="forms")

    def test_verify_that_fails(self):
        self.fails("exit code 1", error="verify", only="verify")

    def test_a_check_that_waits_says_so(self):
        done = self.check(only="verify", error="verify", change=lambda case: case.update(waits={"verify": "a reason"}))
        self.assertEqual(done.returncode, 0)
        self.assertIn("verify: not checked: a reason", done.stdout)

    def test_no_case(self):
        done = subprocess.run([sys.executable, os.path.join(HERE, "check_mechanism.py"), "nothing"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("case.json", done.stdout)


if __name__ == "__main__":
    unittest.main()

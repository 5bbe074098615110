"""check_checkpoint.py accepts what is right and finds what is wrong, with programs that answer from the expectations.

    python3 test/run_unittest.py test/e2e/check_checkpoint_test.py
"""

import os
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "..", "golden", "mamba2_limit")

RONDOC = """#!%(python)s
import sys
open(sys.argv[sys.argv.index("-o") + 1], "w").close()
"""

# Answers with the expected values, off by `error` in one logit, one token or the exit code of verify.
RONDO = """#!%(python)s
import json, sys
sys.path.insert(0, %(here)r)
import tensors
expected = tensors.read(%(folder)r + "/expected.safetensors")
error = %(error)r
value = lambda flag: sys.argv[sys.argv.index(flag) + 1]
if sys.argv[1] == "eval":
    ids = list(tensors.read(value("--inputs"))["tokens"][2])
    batch = next(b for b in "ab" if list(expected["input_ids_" + b][2]) == ids)
    dtype, shape, logits = expected["logits_" + batch]
    logits[77] += {"logit": 1e-4, "nan": float("nan")}.get(error, 1e-6)
    tensors.write(value("--outputs"), {"logits": (dtype, shape[1:] if error == "shape" else shape, logits)})
elif sys.argv[1] == "run":
    prompt = list(map(int, value("--tokens").split(",")))
    case = next(c for c in ("gen0", "gen1") if list(expected[c + "_prompt"][2]) == prompt)
    tokens = list(expected[case + "_tokens"][2])[:int(value("-n"))]
    tokens[-1] ^= error == "token"
    print(json.dumps({"tokens": tokens}))
else:
    sys.exit(error == "verify")
"""


class CheckCheckpoint(unittest.TestCase):
    def check(self, error):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("rondoc", RONDOC), ("rondo", RONDO)):
                path = os.path.join(folder, name)
                with open(path, "w") as file:
                    file.write(text % {"python": sys.executable, "here": HERE, "folder": FOLDER, "error": error})
                os.chmod(path, stat.S_IRWXU)
            script = os.path.join(HERE, "check_checkpoint.py")
            return subprocess.run([sys.executable, script, "--bin", folder, FOLDER], capture_output=True, text=True)

    def fails(self, error, message):
        done = self.check(error)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(message, done.stdout)
        self.assertIn("repeat with: ", done.stdout)

    def test_right_is_accepted(self):
        done = self.check("")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_logit_off(self):
        self.fails("logit", "forward a: logits differ by 0.0001 at sequence 0, token 1, logit 13")

    def test_logit_not_a_number(self):
        self.fails("nan", "forward a: logits differ by nan")

    def test_other_shape(self):
        self.fails("shape", "expected F32 [2, 19, 64]")

    def test_other_token(self):
        self.fails("token", "greedy gen0: found")

    def test_forms_disagree(self):
        self.fails("verify", "exit code 1")


if __name__ == "__main__":
    unittest.main()

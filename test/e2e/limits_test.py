"""What a user waits for, and what a program carries: the limits that the project promises.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/limits_test.py

Times are of the processor, all threads together, which other work on the machine does not stretch; the best of a few runs.
"""

import os
import resource
import shutil
import subprocess
import tempfile
import unittest

import refusals

LLVM = "/usr/lib/llvm-22/bin"
SPEC = os.path.join(refusals.ROOT, "models", "mamba2.rondo")


def processor_time():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def best_time(command, runs):
    times = []
    for _ in range(runs):
        began = processor_time()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        times.append(processor_time() - began)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr[-2000:]}")
    return min(times)


class Limits(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="rondo-limits-")
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name

    def test_rondo_links_no_compiler(self):
        dynamic = subprocess.run([os.path.join(LLVM, "llvm-readelf"), "-d", refusals.RONDO], check=True, capture_output=True, text=True).stdout
        self.assertIn("NEEDED", dynamic)
        for library in ("MLIR", "LLVM", "clang"):
            self.assertNotIn(library, dynamic)

    def test_runtime_is_below_2_megabytes(self):
        stripped = os.path.join(self.scratch, "rondo")
        shutil.copy(refusals.RONDO, stripped)
        subprocess.run([os.path.join(LLVM, "llvm-strip"), stripped], check=True)
        self.assertLess(os.path.getsize(stripped), 2 << 20)

    def test_package_starts_within_100_milliseconds(self):
        package = os.path.join(self.scratch, "m.rpk")
        subprocess.run([refusals.RONDOC, "--checkpoint", os.path.join(refusals.GOLDEN, "mamba2_limit"), "-o", package], check=True, stdin=subprocess.DEVNULL)
        self.assertLess(best_time([refusals.RONDO, "run", package, "--tokens", "1", "-n", "1", "--temp", "0"], 5), 0.1)

    def test_24_layers_of_130_million_parameters_compile_within_10_seconds(self):
        command = [refusals.RONDOC, SPEC, "--random-init", "1", "-o", os.path.join(self.scratch, "m.rpk")]
        self.assertLess(best_time(command, 1), 10)


if __name__ == "__main__":
    unittest.main()

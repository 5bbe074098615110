"""The totals that tools/check prints count cases, not suites, and no failure is lost.

    python3 test/run_unittest.py test/house/totals_test.py
"""

import os
import subprocess
import sys
import tempfile
import unittest

TOTALS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "totals.py")


def suite(*cases):
    return "<testsuites><testsuite>" + "".join(cases) + "</testsuite></testsuites>"


def case(name, inside="", attributes='classname="rondo.passes"'):
    return f'<testcase {attributes} name="{name}">{inside}</testcase>'


class Totals(unittest.TestCase):
    def totals(self, **files):
        with tempfile.TemporaryDirectory() as build:
            results = os.path.join(build, "test", "results")
            os.makedirs(results)
            for name, text in files.items():
                with open(os.path.join(results, name.replace("_", "-") + ".xml"), "w") as file:
                    file.write(text)
            done = subprocess.run([sys.executable, TOTALS, build], capture_output=True, text=True)
            return done.returncode, done.stdout.replace(build, "BUILD").splitlines()

    def test_cases_count(self):
        code, lines = self.totals(ctest=suite(case("lit-passes"), case("house")), lit_passes=suite(case("a.mlir"), case("b.mlir")))
        self.assertEqual((code, lines), (0, ["3 passed, 0 failed"]))

    def test_failed_case_is_repeatable(self):
        code, lines = self.totals(ctest=suite(case("lit-passes", "<failure/>")), lit_passes=suite(case("a.mlir"), case("b.mlir", "<failure/>")))
        self.assertEqual(code, 1)
        self.assertEqual(lines, ["failed: lit-passes: b.mlir", "  repeat with: /usr/lib/llvm-22/bin/lit -v BUILD/test/passes/b.mlir", "1 passed, 1 failed"])

    def test_googletest_case_is_repeatable(self):
        bad = case("Scalar", "<failure/>", 'classname="Algebra" status="run"')
        code, lines = self.totals(ctest=suite(case("unit-algebra", "<failure/>")), unit_algebra=suite(bad))
        self.assertEqual((code, lines[1]), (1, "  repeat with: BUILD/test/bin/unit-algebra --gtest_filter=Algebra.Scalar"))

    def test_crash_after_the_last_case_counts(self):
        code, lines = self.totals(ctest=suite(case("unit-algebra", "<failure/>")), unit_algebra=suite(case("Scalar")))
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed"))

    def test_crash_without_a_result_counts(self):
        code, lines = self.totals(ctest=suite(case("unit-algebra", "<failure/>"), case("house")))
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed"))

    def test_skipped_is_not_passed(self):
        code, lines = self.totals(ctest=suite(case("lit-passes")), lit_passes=suite(case("a.mlir", "<skipped/>"), case("b.mlir")))
        self.assertEqual((code, lines), (0, ["1 skipped", "1 passed, 0 failed"]))

    def test_no_test_is_a_failure(self):
        self.assertEqual(self.totals(ctest=suite())[0], 1)

    def test_no_result_is_a_failure(self):
        code, lines = self.totals()
        self.assertEqual((code, lines[-1]), (1, "0 passed, 1 failed"))


if __name__ == "__main__":
    unittest.main()

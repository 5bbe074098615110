"""tools/new_pass.py writes the four pieces in their sorted places, and refuses what exists or is misnamed.

    python3 test/run_unittest.py test/house/new_pass_test.py

Works on a scratch copy of this tree's passes/ and test/passes/, and asks the house's own rules about the result.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import check_house

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class NewPassTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.root = self.scratch.name
        shutil.copytree(os.path.join(ROOT, "passes"), os.path.join(self.root, "passes"))
        if os.path.isdir(os.path.join(ROOT, "test", "passes")):
            shutil.copytree(os.path.join(ROOT, "test", "passes"), os.path.join(self.root, "test", "passes"))

    def tearDown(self):
        self.scratch.cleanup()

    def run_tool(self, *arguments):
        tool = os.path.join(ROOT, "tools", "new_pass.py")
        return subprocess.run([sys.executable, tool, "--root", self.root, *arguments], capture_output=True, text=True)

    def read(self, path):
        with open(os.path.join(self.root, path)) as file:
            return file.read()

    def house(self):
        house = check_house.House(self.root)
        house.triple()
        house.arrows()
        house.lists()
        house.opening()
        house.leftovers()
        house.refusals()
        return house.problems

    def test_keeps_the_house(self):
        before = self.house()
        for name in ("AaaFirst", "MergeDecays", "ZzzLast"):
            done = self.run_tool(name, "one decay for a chain")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.house(), before)
        self.assertIn("def AaaFirstPass", self.read("passes/Passes.td"))

    def test_sorted_place(self):
        self.assertEqual(self.run_tool("AaaFirst").returncode, 0)
        self.assertEqual(self.run_tool("ZzzLast").returncode, 0)
        entries = re.findall(r"^def (\w+)Pass", self.read("passes/Passes.td"), re.MULTILINE)
        sources = re.findall(r"^\s+(\w+)\.cpp$", self.read("passes/CMakeLists.txt"), re.MULTILINE)
        self.assertEqual((entries[0], entries[-1]), ("AaaFirst", "ZzzLast"))
        self.assertEqual((sources[0], sources[-1]), ("AaaFirst", "ZzzLast"))
        self.assertTrue(self.read("passes/Passes.td").rstrip().endswith("#endif // RONDO_PASSES_TD"))

    def test_source_and_test_belong_together(self):
        self.assertEqual(self.run_tool("MergeDecays", "one decay for a chain").returncode, 0)
        self.assertIn("GEN_PASS_DEF_MERGEDECAYSPASS", self.read("passes/MergeDecays.cpp"))
        self.assertIn("-rondo-merge-decays", self.read("test/passes/merge-decays.mlir"))
        for path in ("passes/MergeDecays.cpp", "passes/Passes.td", "test/passes/merge-decays.mlir"):
            self.assertIsNone(re.search(r"@(Name|NAME|name|Summary|summary|dashes)@", self.read(path)), path)

    def test_existing_is_kept(self):
        self.assertEqual(self.run_tool("MergeDecays").returncode, 0)
        before = {path: self.read(path) for path in ("passes/Passes.td", "passes/CMakeLists.txt", "passes/MergeDecays.cpp")}
        done = self.run_tool("MergeDecays", "another")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("exists already: passes/MergeDecays.cpp, test/passes/merge-decays.mlir", done.stderr)
        self.assertEqual(before, {path: self.read(path) for path in before})

    def test_misnamed_is_refused(self):
        for name in ("mergeDecays", "merge-decays", "MergeDecaysPass", "Merge_Decays"):
            done = self.run_tool(name)
            self.assertEqual(done.returncode, 2, name)
            self.assertIn("expected CamelCase without 'Pass'", done.stderr)


if __name__ == "__main__":
    unittest.main()

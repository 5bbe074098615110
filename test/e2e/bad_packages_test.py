"""Packages that are damaged or lie: each is refused by name, place, found and expected, before anything of it is used.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/bad_packages_test.py [BadPackages.test_truncated]

Each case is a copy of one small good package with one thing changed.
"""

import os
import shutil
import struct
import subprocess
import tempfile

import refusals

CHECKPOINT = os.path.join(refusals.GOLDEN, "mamba2_limit")
COMMANDS = {
    "run": lambda package: [refusals.RONDO, "run", package, "--tokens", "1,2,3", "-n", "2", "--temp", "0"],
    "inspect": lambda package: [refusals.RONDO, "inspect", package],
    "verify": lambda package: [refusals.RONDO, "verify", package],
}


class BadPackages(refusals.RefusalTest):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory(prefix="rondo-packages-")
        cls.good = os.path.join(cls.home.name, "good.rpk")
        subprocess.run([refusals.RONDOC, "--checkpoint", CHECKPOINT, "-o", cls.good], check=True, stdin=subprocess.DEVNULL)
        with open(cls.good, "rb") as file:
            cls.bytes = file.read()

    @classmethod
    def tearDownClass(cls):
        cls.home.cleanup()

    def setUp(self):
        super().setUp()
        self.package = os.path.join(self.scratch.name, "bad.rpk")
        shutil.copy(self.good, self.package)

    def refused_by_rondo(self, *says, commands=("run",)):
        for name in commands:
            self.refused(COMMANDS[name](self.package), "bad.rpk", *says)

    def change(self, at, new):
        with open(self.package, "r+b") as file:
            file.seek(at)
            file.write(new)

    def flip(self, at):
        self.change(at, bytes([self.bytes[at] ^ 0x40]))

    def test_good_is_accepted(self):
        """Otherwise every refusal below would be worth nothing."""
        for name in ("run", "inspect"):
            done = subprocess.run(COMMANDS[name](self.package), capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 0, done.stderr)

    # The file.
    def test_missing(self):
        os.remove(self.package)
        self.refused_by_rondo(commands=COMMANDS)

    def test_folder(self):
        os.remove(self.package)
        os.mkdir(self.package)
        self.refused_by_rondo()

    def test_empty(self):
        os.truncate(self.package, 0)
        self.refused_by_rondo("expected", commands=COMMANDS)

    def test_truncated_in_header(self):
        os.truncate(self.package, 20)
        self.refused_by_rondo("expected")

    def test_truncated_after_header(self):
        os.truncate(self.package, 4096)
        self.refused_by_rondo("expected")

    def test_truncated_in_the_middle(self):
        os.truncate(self.package, len(self.bytes) // 2)
        self.refused_by_rondo("expected")

    def test_truncated_by_one_byte(self):
        os.truncate(self.package, len(self.bytes) - 1)
        self.refused_by_rondo("expected")

    def test_another_format(self):
        with open(self.package, "w") as file:
            file.write("size d = 16\n" * 1000)
        self.refused_by_rondo("expected", commands=COMMANDS)

    def test_wrong_magic(self):
        self.flip(0)
        self.refused_by_rondo("expected", "RONDOPK1")

    def test_wrong_version(self):
        self.change(8, struct.pack("<I", 77))
        self.refused_by_rondo("version", "77", "expected")


if __name__ == "__main__":
    refusals.unittest.main()

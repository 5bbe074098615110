"""Packages that are damaged or lie: each is refused by name, place, found and expected, before anything of it is used.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/bad_packages_test.py [BadPackages.test_truncated]

Each case is a copy of one small good package with one thing changed. The file's layout is in runtime/package.h; "signed" cases carry right hashes
over wrong contents, as a package made to do harm would.
"""

import ctypes
import os
import random
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

HEADER = 128
MANIFEST, CODE, WEIGHTS = 0, 1, 2


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxhash = ctypes.CDLL("libxxhash.so.0")
xxhash.XXH3_64bits.restype = ctypes.c_uint64
xxhash.XXH3_128bits.restype = Hash128
for function in (xxhash.XXH3_64bits, xxhash.XXH3_128bits):
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def section(data, index):
    """Offset and size of a section."""
    return struct.unpack_from("<QQ", data, 24 + 32 * index)


def signed(data):
    """The package with the hashes that its contents have."""
    data = bytearray(data)
    for index in (MANIFEST, CODE, WEIGHTS):
        offset, size = section(data, index)
        part = bytes(data[offset:offset + size])
        value = xxhash.XXH3_128bits(part, len(part))
        struct.pack_into("<QQ", data, 24 + 32 * index + 16, value.low, value.high)
    struct.pack_into("<Q", data, 120, xxhash.XXH3_64bits(bytes(data[:120]), 120))
    return data


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

    def write(self, data):
        with open(self.package, "wb") as file:
            file.write(data)

    def header(self, at, value):
        """Changes a number of the header and signs the result."""
        data = bytearray(self.bytes)
        struct.pack_into("<Q", data, at, value)
        struct.pack_into("<Q", data, 120, xxhash.XXH3_64bits(bytes(data[:120]), 120))
        self.write(data)

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
        self.refused_by_rondo("expect", commands=COMMANDS)

    def test_truncated_in_header(self):
        os.truncate(self.package, 20)
        self.refused_by_rondo("expect")

    def test_truncated_after_header(self):
        os.truncate(self.package, 4096)
        self.refused_by_rondo("expect")

    def test_truncated_in_the_middle(self):
        os.truncate(self.package, len(self.bytes) // 2)
        self.refused_by_rondo("expect")

    def test_truncated_by_one_byte(self):
        os.truncate(self.package, len(self.bytes) - 1)
        self.refused_by_rondo("expect")

    def test_another_format(self):
        with open(self.package, "w") as file:
            file.write("size d = 16\n" * 1000)
        self.refused_by_rondo("expect", commands=COMMANDS)

    def test_wrong_magic(self):
        self.flip(0)
        self.refused_by_rondo("expect", "RONDOPK1")

    def test_wrong_version(self):
        self.change(8, struct.pack("<I", 77))
        self.refused_by_rondo("version", "77", "expect")

    def test_longer_than_it_says(self):
        self.write(self.bytes + bytes(4096))
        self.refused_by_rondo(str(len(self.bytes)), "expect")

    # Damage: one bit in each part.
    def test_flip_in_header(self):
        self.flip(40)
        self.refused_by_rondo("header", "hash", "expect")

    def flip_in(self, index):
        offset, size = section(self.bytes, index)
        self.flip(offset + size // 2)

    def test_flip_in_manifest(self):
        self.flip_in(MANIFEST)
        self.refused_by_rondo("manifest", "hash", "expect", commands=COMMANDS)

    def test_flip_in_code(self):
        self.flip_in(CODE)
        self.refused_by_rondo("code", "hash", "expect")

    def test_flip_in_weights(self):
        self.flip_in(WEIGHTS)
        self.refused_by_rondo("weights", "hash", "expect", commands=("verify",))

    # Lies with the right hashes.
    def test_signing_is_right(self):
        """Signing the good package gives it back: the cases below are refused for what they say."""
        self.assertEqual(signed(self.bytes), self.bytes)

    def test_file_size_lies(self):
        self.header(16, len(self.bytes) + 4096)
        self.refused_by_rondo(str(len(self.bytes) + 4096), "expect")

    def test_section_beyond_file(self):
        self.header(24 + 32 * WEIGHTS, 1 << 40)
        self.refused_by_rondo("weights", str(1 << 40), "expect")

    def test_section_size_wraps(self):
        offset, _ = section(self.bytes, WEIGHTS)
        self.header(24 + 32 * WEIGHTS + 8, (1 << 64) - offset + 4096)
        self.refused_by_rondo("weights", "expect")

    def test_sections_overlap(self):
        self.header(24 + 32 * CODE, section(self.bytes, MANIFEST)[0])
        self.refused_by_rondo("code", "overlap")

    def test_section_not_aligned(self):
        self.header(24 + 32 * CODE, section(self.bytes, CODE)[0] + 8)
        self.refused_by_rondo("code", "4096", "expect")

    def test_manifest_is_not_a_manifest(self):
        data = bytearray(self.bytes)
        offset, size = section(data, MANIFEST)
        data[offset:offset + size] = bytes(size)
        self.write(signed(data))
        self.refused_by_rondo("manifest", "expect", commands=COMMANDS)

    def test_code_is_not_code(self):
        data = bytearray(self.bytes)
        offset, size = section(data, CODE)
        data[offset:offset + size] = bytes(size)
        self.write(signed(data))
        self.refused_by_rondo("code|shared object|ELF")

    def test_damaged_manifests_never_crash(self):
        """200 signed manifests with a few bytes changed: each is read or refused, none ends by a signal."""
        offset, size = section(self.bytes, MANIFEST)
        accepted = 0
        for seed in range(200):
            draw = random.Random(seed)
            data = bytearray(self.bytes)
            for _ in range(draw.choice((1, 1, 2, 8))):
                data[offset + draw.randrange(size)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
            self.write(signed(data))
            done = subprocess.run(COMMANDS["inspect"](self.package), capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=60)
            shown = f"seed {seed}\n{done.stderr[-3000:]}"
            self.assertIn(done.returncode, (0, 1), shown)
            self.assertNotIn("Sanitizer", done.stderr, shown)
            self.assertNotIn("runtime error:", done.stderr, shown)
            accepted += done.returncode == 0
        self.assertLess(accepted, 200)


if __name__ == "__main__":
    refusals.unittest.main()

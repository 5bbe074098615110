"""GGUF files with Python's standard library: enough for tests to write what llama.cpp's converter writes, and to damage it.

A tensor is (type, shape, bytes): type F32, Q8_0 or Q4_0, the shape slowest axis first. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct

TYPES = {"F32": (0, 1, 4), "Q4_0": (2, 32, 18), "Q8_0": (8, 32, 34)}  # number, numbers of a block, its bytes


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def setting(value):
    if isinstance(value, list):  # of one type, which stands before the first
        items = [setting(item) for item in value]
        return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(item[4:] for item in items)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<II", 4, value)


def join(settings, tensors, version=3, count=None, alignment=32):
    """The file's bytes; `count`: what it says of how many tensors it has."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if count is None else count, len(settings))
    head += b"".join(text(key) + setting(value) for key, value in settings.items())
    data = b""
    for name, (kind, shape, values) in tensors.items():
        number = TYPES[kind][0] if kind in TYPES else kind
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in reversed(shape))
        head += struct.pack("<IQ", number, len(data))
        data += bytes(values) + b"\0" * (-len(values) % alignment)
    return head + b"\0" * (-len(head) % alignment) + data


def neighbours(values, rows, heads):
    """Rows of heads whose pairs are halves, with pairs as neighbours: bytes of equally long rows."""
    length, half = len(values) // rows, rows // heads // 2
    order = [head * 2 * half + part * half + place for head in range(heads) for place in range(half) for part in range(2)]
    return b"".join(values[row * length:(row + 1) * length] for row in order)


def blocks(kind, random, count):
    """Blocks of random numbers, and those numbers."""
    data, numbers = b"", []
    for _ in range(count):
        scale = struct.pack("<e", random.uniform(-0.02, 0.02))
        (factor,) = struct.unpack("<e", scale)
        if kind == "Q8_0":
            integers = [random.randint(-127, 127) for _ in range(32)]
            data += scale + struct.pack("<32b", *integers)
        else:
            integers = [random.randint(-8, 7) for _ in range(32)]
            data += scale + bytes(integers[i] + 8 | integers[i + 16] + 8 << 4 for i in range(16))
        numbers += [factor * integer for integer in integers]
    return data, numbers

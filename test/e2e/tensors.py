"""safetensors files with Python's standard library: enough for tests to read, write and damage them.

A tensor is (dtype, shape, values): values an array.array for F32, F64, I32, I64, bytes for any other type.
Format: 8 bytes header length (little endian), a JSON header {name: {dtype, shape, data_offsets: [begin, end]}}, the data.
"""

import array
import json
import struct

TYPES = {"F32": "f", "F64": "d", "I32": "i", "I64": "q"}


def split(path):
    """The header as a dictionary, and the data, of a file that is well formed."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + length]), data[8 + length:]


def join(header, data):
    """The file's bytes. `header` is a dictionary, or bytes taken as they are."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def read(path):
    header, data = split(path)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = data[begin:end]
        if entry["dtype"] in TYPES:
            values = array.array(TYPES[entry["dtype"]], values)
        tensors[name] = (entry["dtype"], entry["shape"], values)
    return tensors


def write(path, tensors):
    header, parts, at = {}, [], 0
    for name, (dtype, shape, values) in tensors.items():
        part = bytes(values)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    with open(path, "wb") as file:
        file.write(join(header, b"".join(parts)))

"""Writes and prints safetensors files for tests, with the standard library alone.

  tensors.py write FILE 'NAME=DTYPE:JSON'...   e.g.  x=F32:[[[1,2]]]  tokens=I64:[[0,1,2]]
  tensors.py print FILE [NAME...]              NAME [shape] v v v, in order of names, numbers rounded to 9 digits
"""
import json
import struct
import sys

FORMATS = {"F32": "f", "F64": "d", "I64": "q", "BOOL": "?"}


def shape_of(value):
    return [len(value)] + (shape_of(value[0]) if value else []) if isinstance(value, list) else []


def flatten(value):
    return [x for item in value for x in flatten(item)] if isinstance(value, list) else [value]


def write(path, tensors):
    header, data = {}, b""
    for text in tensors:
        name, rest = text.split("=", 1)
        dtype, value = rest.split(":", 1)
        value = json.loads(value)
        numbers = flatten(value)
        start = len(data)
        data += struct.pack("<%d%s" % (len(numbers), FORMATS[dtype]), *numbers)
        header[name] = {"dtype": dtype, "shape": shape_of(value), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def show(path, names):
    raw = open(path, "rb").read()
    (size,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8:8 + size])
    for name in sorted(names or (n for n in header if n != "__metadata__")):
        entry = header[name]
        start, end = entry["data_offsets"]
        form = FORMATS[entry["dtype"]]
        count = (end - start) // struct.calcsize(form)
        numbers = struct.unpack_from("<%d%s" % (count, form), raw, 8 + size + start)
        print(name, entry["dtype"], entry["shape"], *("%.9g" % x for x in numbers))


if sys.argv[1] == "write":
    write(sys.argv[2], sys.argv[3:])
else:
    show(sys.argv[2], sys.argv[3:])

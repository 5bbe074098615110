"""Matrix products of numpy's OpenBLAS, told of the processor's AVX-512, which it does not always find out itself."""

import os

import serve

asked = serve.work()
with open("/proc/cpuinfo") as file:
    if " avx512f " in file.read():
        os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX"

import time

import numpy

m, n, k = (int(s) for s in asked["model"].split("-")[1].split("x"))
random = numpy.random.default_rng(1)
a, b = random.standard_normal((m, k), dtype=numpy.float32), random.standard_normal((k, n), dtype=numpy.float32)
out = numpy.empty((m, n), dtype=numpy.float32)
repeats = max(1, int(2e8 / (m * n * k)))


def run():
    begin = time.perf_counter()
    for _ in range(repeats):
        numpy.matmul(a, b, out=out)
    return (time.perf_counter() - begin) / repeats


serve.serve(f"OpenBLAS of numpy {numpy.__version__}", run)

# How lit finds and runs the tests of a build. Loaded by lit.site.cfg.py in the build folder:
#   lit -v build/test/passes                          one room
#   lit -v build/test/passes/chunk-recurrence.mlir    one test
#
# Tools are found on PATH (this build's first, then LLVM's FileCheck, not, count, split-file, mlir-opt).
#
# Substitutions beside lit's own (%s, %S, %t, %T ...):
#   %models   the folder of specs      %golden   the folder of small checkpoints
#   %python   the Python interpreter   %rondo_src   the source tree   %rondo_build   the build folder
# Features for REQUIRES and UNSUPPORTED: avx2, avx512 (this machine's), asan.

import os
import lit.formats

config.name = "rondo"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".rondo", ".test"]
config.excludes = ["Inputs", "golden", "house", "bench"]
config.test_source_root = os.path.join(config.rondo_source, "test")
config.test_exec_root = os.path.join(config.rondo_build, "test")

config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.rondo_build, "bin"), config.rondo_llvm_tools, "/usr/local/bin", "/usr/bin", "/bin"])
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

config.substitutions += [
    ("%models", os.path.join(config.rondo_source, "models")),
    ("%golden", os.path.join(config.rondo_source, "test", "golden")),
    ("%rondo_src", config.rondo_source),
    ("%rondo_build", config.rondo_build),
    ("%python", config.rondo_python),
]

with open("/proc/cpuinfo") as info:
    flags = next((line.split(":", 1)[1].split() for line in info if line.startswith("flags")), [])
if {"avx2", "fma", "bmi2"} <= set(flags):
    config.available_features.add("avx2")
if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= set(flags):
    config.available_features.add("avx512")
if config.rondo_sanitized == "ON":
    config.available_features.add("asan")

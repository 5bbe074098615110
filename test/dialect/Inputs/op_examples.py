"""Prints the examples of the ops' descriptions as modules for rondo-opt -split-input-file; fails when an op has none."""
import re
import sys

text = open(sys.argv[1], encoding="utf-8").read()
examples = []
for op in re.split(r"^def ", text, flags=re.M)[1:]:
    name = re.search(r'Rondo_Op<"(\w+)"', op).group(1)
    found = re.findall(r"```mlir\n(.*?)```", op, flags=re.S)
    if not found and name != "yield":
        sys.exit(f"{name}: no example in its description")
    if not re.search(r"Equation: |In `recur`", op) or not re.search(r"\*\*C1\*\*|its C4", op):
        sys.exit(f"{name}: no equation or no constraints in its description")
    examples += found
print("// -----\n".join(examples))

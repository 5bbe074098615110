#!/usr/bin/env python3
"""Checks what the compiler cannot: rooms and arrows, the pass triple, and the habits that can be read off the text.

    test/house/check_house.py [ROOT]

Prints one line a violation, `file:line: what was found; what was expected`, and exits with 1 when there is any.
The rules, each with a planted violation in check_house_test.py:

    arrows        a room includes only the rooms it may; runtime/ includes no MLIR or LLVM; include paths start at the root
    triple        XPass in Passes.td <-> flag rondo-x <-> X.cpp beside it <-> test/ROOM/x.mlir, which the td entry names
    names         no architecture is named in frontend/, dialect/, passes/, codegen/, runtime/, tools/
    refusals      no bare `return failure();` in passes/ and codegen/: say why
    options       no global cl::opt in a library
    size          no file over 1,000 lines, no runOnOperation over 40
    opening       a source file opens with a comment that says what it is
    leftovers     no note of unfinished work, no machine path, no file called utils or misc
    lists         sources in CMakeLists.txt stand one a line, sorted
    readmes       each room has a README of at most 60 lines, tables that a program writes apart
    packages      README.md lists what tools/setup installs, and why
    executable    a script with #! is executable, any other file is not
"""

import os
import re
import sys

ROOMS = ["frontend", "dialect", "passes", "codegen", "runtime", "models", "test", "tools"]
COMPILER_ROOMS = ["frontend", "dialect", "passes", "codegen", "runtime"]

# What files of a room may include beside their own room. A pattern matches the include path.
MAY_INCLUDE = {
    "frontend": [],
    "dialect": [],
    "passes": [r"dialect/"],
    # The package's schema and writer, and the checkpoint's reader, are the runtime's: what is written is what it reads.
    "codegen": [r"passes/", r"dialect/", r"runtime/(abi|error|file|package|package_generated|safetensors|stored|tensor|weight_groups|weight_layout)\.h$"],
    "runtime": [],
    "tools": [r"(frontend|dialect|passes|codegen|runtime)/"],
    "test": [r"(frontend|dialect|passes|codegen|runtime|tools)/"],
}
# Files of the front end that make IR; only they see the dialect and MLIR.
IR_GENERATOR = re.compile(r"frontend/(.*/)?(IRGen|Frontend\.)[^/]*$")
LLVM = re.compile(r"(mlir|mlir-c|llvm|llvm-c|lld|clang)/")

ARCHITECTURES = re.compile(
    r"(?<![a-z])(mamba|llama|falcon|mistral|mixtral|qwen|gemma|deepseek|rwkv|retnet|hgrn|xlstm|jamba|bamba|zamba|samba|olmo"
    r"|hyena|titans|kimi|minimax|griffin|lfm2|bitnet|nemotron|cohere|granite|delta_?net|longhorn|megalodon|gpt-?_?\d|gpt_neo|phi-?\d|bert)",
    re.IGNORECASE)
# Written so that the rule does not find itself.
LEFTOVERS = re.compile("|".join([r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bXX" + r"X\b", r"\bnot implemen" + r"ted\b", r"\bfor n" + r"ow\b"]))
MACHINE_PATHS = re.compile(r"(?<![\w.])/(wo" + r"rk|ho" + r"me|ro" + r"ot)/")
SOURCE = (".cpp", ".h", ".td", ".c", ".fbs")
TEXT = SOURCE + (".py", ".md", ".txt", ".cmake", ".mlir", ".rondo", ".test", ".json", ".in", ".cfg", ".sh", "")
SKIPPED_FOLDERS = re.compile(r"^(\.git|build.*|__pycache__|Output)$")
DATA = re.compile(r"^(test/golden/.+/|models/demo/).*\.(json|txt)$")


def kebab(name):
    """ChunkRecurrence -> chunk-recurrence, FormIRLists -> form-ir-lists."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


class House:
    def __init__(self, root):
        self.root = root
        self.problems = []
        self.files = {}
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(f for f in folders if not SKIPPED_FOLDERS.match(f))
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if name != ".git" and os.path.splitext(name)[1] in TEXT and os.path.isfile(os.path.join(root, path)):
                    try:
                        with open(os.path.join(root, path), encoding="utf-8") as file:
                            self.files[path] = file.read().split("\n")
                    except UnicodeDecodeError:
                        pass  # a binary without an ending

    def report(self, path, line, message):
        self.problems.append(f"{path}:{line}: {message}")

    def of_room(self, rooms, endings=SOURCE):
        for path, lines in self.files.items():
            if path.split("/")[0] in rooms and path.endswith(endings):
                yield path, lines

    def check(self):
        for rule in (self.arrows, self.triple, self.names, self.refusals, self.options, self.size, self.opening, self.leftovers, self.lists,
                     self.readmes, self.packages, self.executable):
            rule()
        return self.problems

    def arrows(self):
        include = re.compile(r'^\s*#?\s*include\s+(["<])([^">]+)[">]')
        for path, lines in self.of_room(MAY_INCLUDE):
            room = path.split("/")[0]
            generator = IR_GENERATOR.match(path)
            for number, line in enumerate(lines, 1):
                found = include.match(line)
                if not found:
                    continue
                quote, target = found.groups()
                first = target.split("/")[0]
                if quote == '"' and "/" not in target and target.endswith((".h", ".td", ".inc")):
                    if os.path.exists(os.path.join(self.root, os.path.dirname(path), target)):
                        self.report(path, number, f'includes "{target}"; expected the path from the root, "{os.path.dirname(path)}/{target}"')
                if LLVM.match(target):
                    if room == "runtime":
                        self.report(path, number, f"includes {target}; runtime/ has no MLIR or LLVM")
                    if room == "frontend" and target.startswith("mlir") and not generator:
                        self.report(path, number, f"includes {target}; in frontend/ only Frontend and IRGen files see MLIR")
                if first not in COMPILER_ROOMS + ["tools", "test"] or first == room:
                    if room == "codegen" and first == "codegen":
                        own, other = path.split("/")[1], target.split("/")[1]
                        if {own, other} == {"cpu", "cuda"} or (own == "common" and other in ("cpu", "cuda")):
                            self.report(path, number, f"includes {target}; codegen/{own} does not see codegen/{other}")
                    continue
                allowed = MAY_INCLUDE[room] + ([r"dialect/"] if generator else [])
                if not any(re.match(pattern, target) for pattern in allowed):
                    expected = ", ".join(allowed) if allowed else "nothing of other rooms"
                    self.report(path, number, f"includes {target}; {room}/ may include {expected}")
        for number, line in enumerate(self.files.get("runtime/CMakeLists.txt", []), 1):
            if re.search(r"\b(rondo_mlir|MLIR|LLVM|rondo_(dialect|passes|frontend|codegen))\b", line.split("#")[0]):
                self.report("runtime/CMakeLists.txt", number, "links the compiler; runtime/ builds alone")

    def triple(self):
        entry = re.compile(r'^def\s+(\w+?)(Pass)?\s*:\s*Pass<"([^"]*)"')
        definition = re.compile(r"#define\s+GEN_PASS_DEF_(\w+)")
        for td, lines in self.files.items():
            if not td.endswith("Passes.td"):
                continue
            folder = os.path.dirname(td)
            known = {}
            starts = [i for i, line in enumerate(lines) if entry.match(line)]
            for start, end in zip(starts, starts[1:] + [len(lines)]):
                name, suffix, flag = entry.match(lines[start]).groups()
                known[name.upper() + "PASS"] = name
                at = start + 1
                if not suffix:
                    self.report(td, at, f"found 'def {name}'; expected 'def {name}Pass'")
                if flag != "rondo-" + kebab(name):
                    self.report(td, at, f"found flag '{flag}'; {name}Pass has 'rondo-{kebab(name)}'")
                source, test = f"{folder}/{name}.cpp", f"test/{folder.split('/')[0]}/{kebab(name)}.mlir"
                if source not in self.files:
                    self.report(td, at, f"{name}Pass has no {source}")
                elif not any(definition.match(l) and definition.match(l).group(1) == name.upper() + "PASS" for l in self.files[source]):
                    self.report(source, 1, f"does not define GEN_PASS_DEF_{name.upper()}PASS")
                if test not in self.files:
                    self.report(td, at, f"{name}Pass has no {test}")
                elif not any(flag in line for line in self.files[test] if "RUN:" in line):
                    self.report(test, 1, f"does not run {flag}")
                if not any(test in line for line in lines[start:end]):
                    self.report(td, at, f"the entry does not point at its example {test}")
            for path, source in self.of_room([folder.split("/")[0]], (".cpp",)):
                if os.path.dirname(path) != folder:
                    continue
                for number, line in enumerate(source, 1):
                    found = definition.match(line)
                    if found and known.get(found.group(1)) != os.path.basename(path)[:-4]:
                        self.report(path, number, f"defines {found.group(1)}; a pass lives in the file of its name, with an entry in {td}")

    def names(self):
        for path, lines in self.of_room(COMPILER_ROOMS + ["tools"]):
            for number, line in enumerate(lines, 1):
                # Tools may show a spec's path in the examples of --help.
                text = re.sub(r"models/[\w.]+", "", line) if path.startswith("tools/") else line
                # Kinds of rules in the format of tokenizer.json, whoever uses them.
                text = re.sub(r"\b(Bert|Roberta)(Normalizer|PreTokenizer|Processing)\b", "", text)
                found = ARCHITECTURES.search(text)
                if found:
                    self.report(path, number, f"names '{found.group(0)}'; no architecture is known here")

    def refusals(self):
        explained = re.compile(r"emit\w*Error|emitRemark|emitWarning|notifyMatchFailure|report|diagnos|error\(|failed\(|Error\(", re.IGNORECASE)
        for path, lines in self.of_room(["passes", "codegen"]):
            for number, line in enumerate(lines, 1):
                if not re.search(r"\breturn (mlir::)?failure\(\);", line):
                    continue
                # A failure that was reported before, or is handed on, is explained.
                before = "\n".join(lines[max(0, number - 4):number])
                if not explained.search(before):
                    self.report(path, number, "found a bare 'return failure();'; expected notifyMatchFailure or emitError with the reason")

    def options(self):
        for path, lines in self.of_room(COMPILER_ROOMS):
            for number, line in enumerate(lines, 1):
                if re.search(r"\bcl::(opt|list|alias)\b", line):
                    self.report(path, number, "found a global command-line option; options are structs handed down, parsed in tools/")

    def size(self):
        for path, lines in self.files.items():
            if len(lines) > 1001 and not DATA.match(path):
                self.report(path, 1, f"has {len(lines) - 1} lines; a file has at most 1000")
        for path, lines in self.of_room(["passes", "codegen"], (".cpp",)):
            for number, line in enumerate(lines, 1):
                if not re.search(r"void runOnOperation\(\).*\{", line):
                    continue
                indent = re.match(r"\s*", line).group(0)
                length = next((i for i, later in enumerate(lines[number:], 1) if later.startswith(indent + "}")), 0)
                if length > 40:
                    self.report(path, number, f"runOnOperation has {length} lines; expected at most 40")

    def opening(self):
        for path, lines in self.of_room(ROOMS):
            if not lines[0].startswith(("//", "/*")):
                self.report(path, 1, f"opens with '{lines[0][:40]}'; expected a comment that says what the file is")

    def leftovers(self):
        for path, lines in self.files.items():
            stem = os.path.splitext(os.path.basename(path))[0].lower()
            if stem in ("utils", "util", "misc", "helpers", "common", "uncategorized"):
                self.report(path, 1, f"is called '{stem}'; expected a name that says what it holds")
            if DATA.match(path):
                continue
            for number, line in enumerate(lines, 1):
                for rule in (LEFTOVERS, MACHINE_PATHS):
                    found = rule.search(line)
                    if found:
                        self.report(path, number, f"found '{found.group(0)}'; finish it, or say what is so and why")

    def lists(self):
        for path, lines in self.files.items():
            if os.path.basename(path) != "CMakeLists.txt":
                continue
            last = None
            for number, line in enumerate(lines, 1):
                source = re.match(r"^\s+([\w./-]+\.cpp)\)?$", line)
                if source and last and source.group(1) < last:
                    self.report(path, number, f"found {source.group(1)} after {last}; expected sorted sources")
                last = source.group(1) if source else None

    def readmes(self):
        for room in ROOMS:
            path = f"{room}/README.md"
            if path not in self.files:
                self.report(path, 1, "is missing; it says what lives here, what must not, what to read first, how to add one")
                continue
            lines, written = 0, False  # by hand: what a program writes stands between two comments that say by which
            for line in self.files[path][:-1]:
                written = (written or " is written by " in line) and not line.endswith(": end -->")
                lines += not written
            if lines > 60:
                self.report(path, 1, f"has {lines} lines; expected at most 60")

    def packages(self):
        lines = self.files.get("tools/setup", [])
        begin = next((i for i, line in enumerate(lines) if "<<'LIST'" in line), None)
        if begin is None:
            return
        listed = [tuple(part.strip() for part in line.split("|")) for line in lines[begin + 1:lines.index("LIST", begin)]]
        shown = [tuple(part.strip() for part in line.strip("|").split("|")) for line in self.files.get("README.md", [])]
        for name, purpose in listed:
            if (name, purpose) not in shown:
                self.report("README.md", 1, f"does not list '{name} | {purpose}', which tools/setup installs")

    def executable(self):
        for path, lines in self.files.items():
            runs = os.access(os.path.join(self.root, path), os.X_OK)
            if lines[0].startswith("#!") and not runs:
                self.report(path, 1, "starts with #! and is not executable")
            if runs and not lines[0].startswith("#!"):
                self.report(path, 1, "is executable and does not start with #!")


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    problems = House(os.path.abspath(root)).check()
    for problem in problems:
        print(problem)
    print(f"house: {len(problems)} problem{'' if len(problems) == 1 else 's'}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

"""A clean tree passes the house's rules, and each planted violation is found where it is.

    python3 test/run_unittest.py test/house/check_house_test.py
"""

import os
import tempfile
import unittest

import check_house

PASSES_TD = """// Passes.td - The passes.
def MergeShiftsPass : Pass<"rondo-merge-shifts"> {
  let summary = "one shift for a chain";
  let description = [{ Example: test/passes/merge-shifts.mlir. }];
}
"""

PASS = """// MergeShifts.cpp - One shift for a chain.
#define GEN_PASS_DEF_MERGESHIFTSPASS
#include "dialect/Rondo.h"
#include "mlir/IR/Builders.h"
#include "passes/Passes.h"
struct MergeShifts {
  LogicalResult match() {
    if (failed(inner()))
      return failure();
    return rewriter.notifyMatchFailure(op, "source is not a shift");
  }
  void runOnOperation() override {
    work();
  }
};
"""

CLEAN = {
    "passes/Passes.td": PASSES_TD,
    "passes/MergeShifts.cpp": PASS,
    "passes/CMakeLists.txt": "add_library(rondo_passes STATIC\n  MergeShifts.cpp\n  Pipelines.cpp\n)\n",
    "test/passes/merge-shifts.mlir": "// RUN: rondo-opt %s -rondo-merge-shifts\n",
    "frontend/IRGen.cpp": '// IRGen.cpp - Makes IR.\n#include "dialect/Rondo.h"\n#include "frontend/Ast.h"\n#include "mlir/IR/Builders.h"\n',
    "codegen/cpu/Emit.cpp": '// Emit.cpp - Emits.\n#include "codegen/common/Plan.h"\n#include "passes/Passes.h"\n#include "runtime/abi.h"\n',
    "runtime/package.cpp": '// package.cpp - Reads.\n#include "runtime/package.h"\n#include <vector>\n',
    "tools/rondoc.cpp": '// rondoc.cpp - Compiles.\n// rondoc models/mamba2.rondo\n#include "frontend/Ast.h"\n',
} | {f"{room}/README.md": "A room.\n" for room in check_house.ROOMS}


def problems(files, executable=()):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
            if path in executable:
                os.chmod(full, 0o755)
        return check_house.House(root).check()


class HouseTest(unittest.TestCase):
    def found(self, path, text, expected, executable=()):
        """Adds or replaces one file of the clean tree (None: removes it): exactly one problem, which says what is expected."""
        files = dict(CLEAN)
        if text is None:
            del files[path]
        else:
            files[path] = text
        result = problems(files, executable)
        self.assertEqual(len(result), 1, result)
        self.assertIn(expected, result[0])

    def test_clean_tree(self):
        self.assertEqual(problems(CLEAN), [])

    def test_names_derive(self):
        self.assertEqual(check_house.kebab("ChunkRecurrence"), "chunk-recurrence")
        self.assertEqual(check_house.kebab("ToIRForm"), "to-ir-form")

    # Arrows.
    def test_runtime_includes_llvm(self):
        self.found("runtime/a.cpp", '// a\n#include "llvm/ADT/StringRef.h"\n', "runtime/a.cpp:2: includes llvm/ADT/StringRef.h; runtime/ has no MLIR")

    def test_runtime_includes_room(self):
        self.found("runtime/a.cpp", '// a\n#include "dialect/Rondo.h"\n', "runtime/ may include nothing of other rooms")

    def test_runtime_links_compiler(self):
        self.found("runtime/CMakeLists.txt", "target_link_libraries(rondo_runtime PUBLIC rondo_mlir)\n", "runtime/CMakeLists.txt:1: links the compiler")

    def test_parser_includes_dialect(self):
        self.found("frontend/Parser.cpp", '// p\n#include "dialect/Rondo.h"\n', "frontend/Parser.cpp:2: includes dialect/Rondo.h")

    def test_parser_includes_mlir(self):
        self.found("frontend/Parser.cpp", '// p\n#include "mlir/IR/Builders.h"\n', "only Frontend and IRGen files see MLIR")

    def test_pass_includes_codegen(self):
        self.found("passes/Analysis.h", '// a\n#include "codegen/cpu/Isa.h"\n', "passes/ may include dialect/")

    def test_dialect_includes_pass(self):
        self.found("dialect/Rondo.cpp", '// a\n#include "passes/Passes.h"\n', "dialect/ may include nothing of other rooms")

    def test_td_include(self):
        self.found("dialect/Rondo.td", '// a\ninclude "passes/Passes.td"\n', "dialect/Rondo.td:2")

    def test_codegen_includes_runtime_internals(self):
        self.found("codegen/common/Plan.cpp", '// a\n#include "runtime/executor.h"\n', "codegen/ may include")

    def test_one_target_sees_another(self):
        self.found("codegen/cuda/Emit.cpp", '// a\n#include "codegen/cpu/Isa.h"\n', "codegen/cuda does not see codegen/cpu")

    def test_include_beside(self):
        files = dict(CLEAN) | {"passes/A.h": "// a\n", "passes/B.h": '// b\n#include "A.h"\n'}
        self.assertEqual(problems(files), ['passes/B.h:2: includes "A.h"; expected the path from the root, "passes/A.h"'])

    # The triple.
    def test_flag_misspelt(self):
        result = problems(CLEAN | {"passes/Passes.td": PASSES_TD.replace('"rondo-merge-shifts"', '"rondo-merge-shift"')})
        self.assertIn("passes/Passes.td:2: found flag 'rondo-merge-shift'; MergeShiftsPass has 'rondo-merge-shifts'", result)

    def test_source_missing(self):
        self.found("passes/MergeShifts.cpp", None, "MergeShiftsPass has no passes/MergeShifts.cpp")

    def test_lit_test_missing(self):
        self.found("test/passes/merge-shifts.mlir", None, "MergeShiftsPass has no test/passes/merge-shifts.mlir")

    def test_lit_test_runs_another(self):
        self.found("test/passes/merge-shifts.mlir", "// RUN: rondo-opt %s\n", "does not run rondo-merge-shifts")

    def test_example_not_named(self):
        self.found("passes/Passes.td", PASSES_TD.replace("Example: test/passes/merge-shifts.mlir.", ""), "does not point at its example")

    def test_pass_without_suffix(self):
        self.found("passes/Passes.td", PASSES_TD.replace("MergeShiftsPass", "MergeShifts"), "expected 'def MergeShiftsPass'")

    def test_pass_in_another_file(self):
        self.found("passes/Other.cpp", "// o\n#define GEN_PASS_DEF_MERGESHIFTSPASS\n", "a pass lives in the file of its name")

    def test_pass_without_entry(self):
        self.found("passes/Lost.cpp", "// o\n#define GEN_PASS_DEF_LOSTPASS\n", "with an entry in passes/Passes.td")

    # Habits.
    def test_architecture_named(self):
        self.found("codegen/cpu/Choose.cpp", '// c\nif (name == "mamba2")\n', "codegen/cpu/Choose.cpp:2: names 'mamba'")

    def test_architecture_in_comment(self):
        self.found("runtime/t.cpp", "// c\n// as Llama does\n", "runtime/t.cpp:2: names 'Llama'")

    def test_bare_failure(self):
        self.found("passes/Analysis.cpp", "// a\nbool f() {\n  if (x)\n    return failure();\n}\n", "passes/Analysis.cpp:4: found a bare 'return failure();'")

    def test_global_option(self):
        self.found("passes/Analysis.cpp", '// a\nstatic llvm::cl::opt<int> chunk("chunk");\n', "options are structs")

    def test_long_file(self):
        self.found("frontend/Long.cpp", "// l\n" * 1001, "has 1001 lines")

    def test_long_run_on_operation(self):
        body = "// l\n  void runOnOperation() override {\n" + "    x();\n" * 40 + "  }\n"
        self.found("passes/Long.cpp", body, "runOnOperation has 41 lines")

    def test_no_opening(self):
        self.found("frontend/Ast.h", "#pragma once\n", "expected a comment that says what the file is")

    def test_unfinished(self):
        self.found("dialect/a.cpp", "// a\n// TO" + "DO: later\n", "dialect/a.cpp:2: found 'TO" + "DO'")

    def test_machine_path(self):
        self.found("tools/run", "read /ho" + "me/someone/x\n", "tools/run:1: found '/ho" + "me/'")

    def test_utils(self):
        self.found("passes/Utils.h", "// u\n", "is called 'utils'")

    def test_unsorted_sources(self):
        self.found("frontend/CMakeLists.txt", "add_library(f\n  Parser.cpp\n  Lexer.cpp\n)\n", "found Lexer.cpp after Parser.cpp")

    def test_readme_missing(self):
        self.found("models/README.md", None, "models/README.md:1: is missing")

    def test_readme_long(self):
        self.found("models/README.md", "line\n" * 61, "has 61 lines; expected at most 60")
        written = "<!-- rows: what follows is written by tools/rows -->\n" + "row\n" * 70 + "<!-- rows: end -->\n"
        self.found("models/README.md", "line\n" * 30 + written + "line\n" * 30, "has 61 lines; expected at most 60")

    def test_package_not_listed(self):
        self.found("tools/setup", "packages() {\n  cat <<'LIST'\nninja-build | runs the build\nLIST\n}\n", "README.md:1: does not list 'ninja-build | runs the build'")

    def test_script_not_executable(self):
        self.found("tools/run", "#!/bin/sh\n", "is not executable")

    def test_source_executable(self):
        self.found("frontend/Ast.h", "// a\n", "does not start with #!", executable=["frontend/Ast.h"])


if __name__ == "__main__":
    unittest.main()

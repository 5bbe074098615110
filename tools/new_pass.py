#!/usr/bin/env python3
"""Adds a pass: td entry, source, lit test and CMake line, each in its sorted place, registered and passing.

    tools/new_pass.py MergeDecays "one decay for a chain of decays"
    ninja -C build check-passes

The name is in CamelCase without "Pass": MergeDecays gives MergeDecaysPass, the flag -rondo-merge-decays, passes/MergeDecays.cpp and
test/passes/merge-decays.mlir. Nothing is written when any of them exists.
"""

import argparse
import os
import re
import sys

TD = '''def @Name@Pass : Pass<"rondo-@name@"> {
  let summary = "@summary@";
  let description = [{
    Say here what the pass is for, in one or two sentences.

    - Before: any token-level IR.
    - After: say what the IR holds, or no longer holds.
    - Does not apply: say where it leaves the IR as it is; each case is remarked.

    Exactness: bitwise. Example: test/passes/@name@.mlir.
  }];
  let dependentDialects = ["::rondo::RondoDialect"];
  let statistics = [
    Statistic<"numRewritten", "num-rewritten", "ops rewritten">
  ];
}

'''

SOURCE = '''//===- @Name@.cpp - @Summary@ @dashes@===//
//
// Token level to token level.
//
//   map f(x)  ->  map f(x)
//
// Say here why it is sound, and whether it is bitwise exact.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"

#include "dialect/Rondo.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace rondo {
#define GEN_PASS_DEF_@NAME@PASS
#include "passes/Passes.h.inc"
} // namespace rondo

using namespace mlir;
using namespace rondo;

namespace {

struct Rewrite : OpRewritePattern<MapOp> {
  Rewrite(MLIRContext *context, llvm::function_ref<void()> rewritten)
      : OpRewritePattern(context), rewritten(rewritten) {}

  LogicalResult matchAndRewrite(MapOp op, PatternRewriter &rewriter) const override {
    // Every reason not to match is named: it shows under -debug-only=greedy-rewriter.
    if (op.getInputs().size() != 0)
      return rewriter.notifyMatchFailure(op, "has inputs");
    rewriter.eraseOp(op);
    rewritten();
    return success();
  }

private:
  llvm::function_ref<void()> rewritten;
};

struct @Name@ : rondo::impl::@Name@PassBase<@Name@> {
  using @Name@PassBase::@Name@PassBase;

  void runOnOperation() override {
    auto rewritten = [&] { ++numRewritten; };
    RewritePatternSet patterns(&getContext());
    patterns.add<Rewrite>(&getContext(), rewritten);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
'''

LIT = '''// RUN: rondo-opt %s -rondo-@name@ | FileCheck %s

// @Summary@. Any other op stays.

// CHECK-LABEL: @other_ops_are_left
func.func @other_ops_are_left(%x: tensor<?x8xf32, #rondo.axes<[t, h]>>) -> tensor<?x8xf32, #rondo.axes<[t, h]>> {
  // CHECK: rondo.map neg(%{{.*}})
  %0 = rondo.map neg(%x) : (tensor<?x8xf32, #rondo.axes<[t, h]>>) -> tensor<?x8xf32, #rondo.axes<[t, h]>>
  return %0 : tensor<?x8xf32, #rondo.axes<[t, h]>>
}
'''


def kebab(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def insert_entry(td, name, entry):
    """Puts the entry in front of the first one of a greater name, at the end when there is none."""
    for found in re.finditer(r"^def (\w+?)Pass\s*:", td, re.MULTILINE):
        if found.group(1) > name:
            # A comment that belongs to the next entry stays with it.
            at = found.start()
            while True:
                before = td.rfind("\n", 0, at - 1) + 1
                if at == 0 or not td[before:at].startswith("//"):
                    break
                at = before
            return td[:at] + entry + td[at:]
    end = td.rfind("#endif")
    if end < 0:
        raise SystemExit("new_pass: passes/Passes.td has no #endif; expected an include guard")
    return td[:end] + entry + td[end:]


def insert_source(cmake, line):
    """Puts the source in its sorted place among those of the rondo_passes library."""
    lines = cmake.split("\n")
    try:
        start = next(i for i, text in enumerate(lines) if re.match(r"add_library\(rondo_passes\b", text)) + 1
    except StopIteration:
        raise SystemExit("new_pass: passes/CMakeLists.txt has no add_library(rondo_passes")
    at = start
    while at < len(lines) and re.match(r"\s+[\w/]+\.cpp$", lines[at]) and lines[at].strip() < line.strip():
        at += 1
    return "\n".join(lines[:at] + [line] + lines[at:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="example: tools/new_pass.py MergeDecays 'one decay for a chain of decays'")
    parser.add_argument("name", help="CamelCase, without 'Pass'")
    parser.add_argument("summary", nargs="?", help="one line, what becomes what")
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not re.fullmatch(r"([A-Z][a-z0-9]*)+", arguments.name) or arguments.name.endswith("Pass"):
        parser.error(f"found the name '{arguments.name}'; expected CamelCase without 'Pass', as in MergeDecays")

    name, root = kebab(arguments.name), arguments.root
    summary = arguments.summary or name.replace("-", " ")
    if '"' in summary or "\n" in summary:
        parser.error("found a quote or a line break in the summary; expected one plain line")

    def fill(text):
        opening = f"//===- {arguments.name}.cpp - {summary[0].upper() + summary[1:]} "
        return (text.replace("@Name@", arguments.name).replace("@NAME@", arguments.name.upper()).replace("@name@", name)
                .replace("@Summary@", summary[0].upper() + summary[1:]).replace("@summary@", summary)
                .replace("@dashes@", "-" * max(1, 74 - len(opening) - 1)))

    path = {what: os.path.join(root, *parts) for what, parts in {
        "td": ("passes", "Passes.td"), "cmake": ("passes", "CMakeLists.txt"),
        "source": ("passes", arguments.name + ".cpp"), "lit": ("test", "passes", name + ".mlir")}.items()}
    with open(path["td"]) as file:
        td = file.read()
    with open(path["cmake"]) as file:
        cmake = file.read()
    taken = [path[what] for what in ("source", "lit") if os.path.exists(path[what])]
    if f"def {arguments.name}Pass" in td:
        taken.append(path["td"] + f" (def {arguments.name}Pass)")
    if taken:
        raise SystemExit("new_pass: exists already: " + ", ".join(os.path.relpath(t, root) for t in taken))

    written = {"td": insert_entry(td, arguments.name, fill(TD)), "cmake": insert_source(cmake, f"  {arguments.name}.cpp"),
               "source": fill(SOURCE), "lit": fill(LIT)}
    for what, text in written.items():
        os.makedirs(os.path.dirname(path[what]), exist_ok=True)
        with open(path[what], "w") as file:
            file.write(text)
        print("wrote", os.path.relpath(path[what], root))
    print(f"next: the pattern in passes/{arguments.name}.cpp, a case that fires in test/passes/{name}.mlir, a line in passes/Pipelines.cpp; "
          "then ninja -C build check-passes")


if __name__ == "__main__":
    sys.exit(main())

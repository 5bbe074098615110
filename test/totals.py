"""Adds up what a run of ctest left in BUILD/test/results, and says how to repeat what failed.

    python3 test/totals.py BUILD

ctest.xml says which tests ran. One of several cases (lit suites, GoogleTest executables, unittest files) left NAME.xml beside it and
counts by its cases; any other counts as one. The last line is "N passed, N failed"; the exit code is 1 when anything failed or nothing ran.
"""

import os
import sys
from xml.etree import ElementTree

LIT = "/usr/lib/llvm-22/bin/lit"


def outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return "skipped"
    return "passed"


def repeat(build, test, case):
    """The command that runs one case of one ctest test again."""
    if case.get("repeat"):  # a unittest case knows
        return case.get("repeat")
    klass, name = case.get("classname", ""), case.get("name", "")
    if test.startswith("lit-"):
        # lit writes the suite and folder as "rondo.passes", the file as the name.
        folder = klass.split(".", 1)[1].replace(".", "/") if "." in klass else ""
        return f"{LIT} -v {os.path.join(build, 'test', folder, name)}"
    if test.startswith("unit-"):
        return f"{os.path.join(build, 'test', 'bin', test)} --gtest_filter={klass}.{name}"
    return f"ctest --test-dir {build} -R '^{test}$' --output-on-failure"


def main():
    build = sys.argv[1].rstrip("/")
    results = os.path.join(build, "test", "results")
    count = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []
    try:
        tests = list(ElementTree.parse(os.path.join(results, "ctest.xml")).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        tests = []
        failures.append((f"no readable result of ctest ({error})", f"ctest --test-dir {build} --output-on-failure"))
        count["failed"] += 1
    if not tests and not failures:
        failures.append(("no test ran", f"ctest --test-dir {build} --show-only"))
        count["failed"] += 1
    for test in tests:
        name, whole = test.get("name"), outcome(test)
        try:
            cases = list(ElementTree.parse(os.path.join(results, name + ".xml")).iter("testcase"))
        except (OSError, ElementTree.ParseError):
            cases = []
        bad = 0
        for case in cases:
            state = outcome(case)
            count[state] += 1
            if state == "failed":
                bad += 1
                failures.append((f"{name}: {case.get('name')}", repeat(build, name, case)))
        # Without cases the test is one; a test that crashed or ran out of time after its last case failed as well.
        if not cases:
            count[whole] += 1
        if whole == "failed" and not bad:
            count["failed"] += bool(cases)
            failures.append((name, f"ctest --test-dir {build} -R '^{name}$' --output-on-failure"))
    for what, command in failures:
        print(f"failed: {what}\n  repeat with: {command}")
    if count["skipped"]:
        print(f"{count['skipped']} skipped")
    print(f"{count['passed']} passed, {count['failed']} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

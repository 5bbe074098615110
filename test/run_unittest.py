"""Runs the unittest cases of one file and leaves their JUnit file, so that each counts as a test.

    python3 test/run_unittest.py [--junit OUT.xml] FILE.py [NAME...]

NAME picks cases, as in `python3 -m unittest`: Class or Class.test.
"""

import argparse
import importlib.util
import os
import sys
import time
import unittest
from xml.etree import ElementTree


class Recorder(unittest.TextTestResult):
    """Keeps a JUnit element for each case."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.suite = ElementTree.Element("testsuite")
        self.command = ""

    def startTest(self, test):
        super().startTest(test)
        klass, _, name = test.id().rpartition(".")
        self.started = time.monotonic()
        self.case = ElementTree.SubElement(self.suite, "testcase", classname=klass, name=name,
                                           repeat=f"{self.command} {'.'.join(test.id().split('.')[-2:])}")

    def stopTest(self, test):
        super().stopTest(test)
        self.case.set("time", f"{time.monotonic() - self.started:.3f}")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note("failure", test)

    def addError(self, test, error):
        super().addError(test, error)
        self.note("failure", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        ElementTree.SubElement(self.case, "skipped", message=reason)

    def note(self, kind, test):
        if self.case.find(kind) is None:
            ElementTree.SubElement(self.case, kind).text = "see the output"
        self.stream.writeln(f"repeat with: {self.case.get('repeat')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--junit")
    parser.add_argument("file")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()

    sys.path.insert(0, os.path.dirname(os.path.abspath(arguments.file)))
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(arguments.file))[0], arguments.file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)

    loader = unittest.TestLoader()
    tests = loader.loadTestsFromNames(arguments.names, module) if arguments.names else loader.loadTestsFromModule(module)

    def record(*positional, **options):
        result = Recorder(*positional, **options)
        result.command = f"python3 {os.path.relpath(__file__)} {os.path.relpath(arguments.file)}"
        return result

    result = unittest.TextTestRunner(resultclass=record, verbosity=1).run(tests)
    if arguments.junit:
        os.makedirs(os.path.dirname(arguments.junit), exist_ok=True)
        result.suite.set("name", os.path.basename(arguments.file))
        ElementTree.ElementTree(result.suite).write(arguments.junit)
    # A file without a case tests nothing: that is a failure too.
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


if __name__ == "__main__":
    main()

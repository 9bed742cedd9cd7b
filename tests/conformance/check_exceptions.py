#!/usr/bin/env python3
"""Judges what run_released_suite.sh left in OUT: every test must pass but those in a list, and those must fail.

usage: check_exceptions.py OUT EXCEPTIONS COUNT

EXCEPTIONS has a line `file::test  reason` for each test that cannot pass; `file` is as the suite prints it
(core/test_client). COUNT is how many tests there are. Prints what differs; ends non-zero if anything does.
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def exceptions(path):
    found = {}
    for line in Path(path).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            test, _, reason = line.strip().partition(" ")
            if not reason.strip():
                sys.exit(f"{path}: {test} has no reason")
            found[test] = reason.strip()
    return found


def results(folder):
    """Whether each test passed."""
    found = {}
    for report in sorted(Path(folder).glob("*.xml")):
        # core_test_client.xml is of core/test_client.
        file = report.stem.replace("_test_", "/test_", 1)
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            complaints = [case.find(kind) for kind in ("failure", "error", "skipped")]
            found[f"{file}::{case.get('name')}"] = all(one is None for one in complaints)
    return found


def main():
    out, listed, count = sys.argv[1], exceptions(sys.argv[2]), int(sys.argv[3])
    found = results(out)
    wrong = [f"fails: {test}" for test, passed in found.items() if not passed and test not in listed]
    wrong += [f"passes, and is listed as an exception: {test}" for test in listed if found.get(test)]
    wrong += [f"listed as an exception, and is no test: {test}" for test in listed if test not in found]
    if len(found) != count:
        wrong.append(f"{len(found)} tests, not {count}")
    for line in wrong:
        print(line)
    print(f"{sum(found.values())} passed, {len(listed)} exceptions, of {count}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

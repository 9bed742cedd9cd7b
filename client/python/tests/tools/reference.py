#!/usr/bin/env python3
"""Checks the installed package against the reference, name by name, and prints `N of N`.

usage: reference.py [--list]

For every name that the reference documents (what comes later excepted: `LATER_SECTIONS` in
documented.py): it exists, has the signature and the defaults (signatures.py, with the exceptions
and their reasons), has a docstring with types, units and errors (docstrings.py has the rule), and
a test covers it (coverage.py). The rows of the raw clients hold for the wrapper as well:
`vineyard.connect` returns that one. Ends non-zero if a name fails; --list prints the test of each.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools import coverage, docstrings, signatures
from tools.documented import Name, documented

RAW_CLIENTS = ("vineyard.IPCClient.", "vineyard.RPCClient.")
WRAPPER = "vineyard.Client."
MISSING = object()


def check(name: Name, package: ModuleType) -> list[str]:
    """What is wrong with one name, in the raw client and in the wrapper."""
    found = _check_at(name.path, name, package)
    for raw in RAW_CLIENTS:
        if name.path.startswith(raw):
            path = WRAPPER + name.path.removeprefix(raw)
            found += [f"{words} (vineyard.Client)" for words in _check_at(path, name, package)]
    return found


def _check_at(path: str, name: Name, package: ModuleType) -> list[str]:
    owner, actual = find(path)
    if actual is MISSING:
        return ["does not exist"]
    if name.kind == "module":
        return []
    found = []
    if name.kind == "property":
        if callable(actual):
            found.append("is called, and should be a property")
    elif not callable(actual):
        found.append("cannot be called")
    else:
        found += signatures.complaints(name, actual)
    return found + docstrings.complaints(name, owner, actual, package)


def find(path: str) -> tuple[Any, Any]:
    """What has the last part of `path`, and what it is there."""
    parts = path.split(".")
    owner: Any = None
    value: Any = None
    for place, part in enumerate(parts):
        owner = value
        value = getattr(owner, part, MISSING) if place else MISSING
        if value is MISSING and (place == 0 or isinstance(owner, ModuleType)):
            try:
                value = importlib.import_module(".".join(parts[: place + 1]))
            except ModuleNotFoundError:
                return owner, MISSING
        if value is MISSING:
            return owner, MISSING
    return owner, value


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "--list", action="store_true", help="print the test that covers each name"
    )
    options = arguments.parse_args()
    import vineyard

    names = documented()
    tests = coverage.covered(names.values())
    failures = {path: check(name, vineyard) for path, name in names.items()}
    for path in names:
        if path not in tests:
            failures[path].append("no test covers it")
        elif options.list:
            print(f"{path}: {tests[path]}")
    wrong = {path: found for path, found in failures.items() if found}
    for path, found in wrong.items():
        print(f"{path}: {'; '.join(found)}")
    stray = coverage.unknown_marks(names.values())
    for words in stray:
        print(f"covers what the reference does not have: {words}")
    print(f"{len(names) - len(wrong)} of {len(names)}")
    return 1 if wrong or stray else 0


if __name__ == "__main__":
    sys.exit(main())

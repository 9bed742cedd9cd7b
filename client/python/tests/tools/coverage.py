"""Which names of the reference the tests cover.

A test covers what its marker says: `@pytest.mark.covers("vineyard.Blob.size")`; braces stand for
several names, as in `"vineyard.{IPCClient,RPCClient}.exists"`. A name that only one class of the
reference has, or a function's or a class's, is also covered by a test that uses it.

It reads the tests and never runs them.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tools.documented import Name

TESTS = Path(__file__).resolve().parents[1]


def covered(names: Iterable[Name], folder: Path = TESTS) -> dict[str, str]:
    """For each name that is covered, one test that does."""
    marked: dict[str, str] = {}
    used: dict[str, str] = {}
    for file in sorted(folder.glob("test_*.py")):
        for test in _tests(ast.parse(file.read_text())):
            words = f"{file.name}::{test.name}"
            for path in _marks(test):
                marked.setdefault(path, words)
            for attribute in _used(test):
                used.setdefault(attribute, words)
    names = list(names)
    holders = Counter(name.path.rpartition(".")[2] for name in names)
    found = {}
    for name in names:
        last = name.path.rpartition(".")[2]
        if name.path in marked:
            found[name.path] = marked[name.path]
        elif holders[last] == 1 and last in used:
            found[name.path] = used[last]
    return found


def unknown_marks(names: Iterable[Name], folder: Path = TESTS) -> list[str]:
    """Marks with names that the reference does not have: a misspelt one would cover nothing."""
    known = {name.path for name in names}
    found = []
    for file in sorted(folder.glob("test_*.py")):
        for test in _tests(ast.parse(file.read_text())):
            found += [
                f"{file.name}::{test.name}: {path}" for path in _marks(test) if path not in known
            ]
    return found


def _tests(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, functions) and node.name.startswith("test_")
    ]


def _marks(test: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    found = []
    for mark in test.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.covers":
            for argument in mark.args:
                if isinstance(argument, ast.Constant):
                    found += expanded(str(argument.value))
    return found


def expanded(pattern: str) -> list[str]:
    """`a.{b,c}.d` as `a.b.d` and `a.c.d`."""
    parts = re.split(r"\{([^}]*)\}", pattern)
    choices = [part.split(",") if place % 2 else [part] for place, part in enumerate(parts)]
    return ["".join(one) for one in itertools.product(*choices)]


def _used(test: ast.AST) -> set[str]:
    attributes = {node.attr for node in ast.walk(test) if isinstance(node, ast.Attribute)}
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    return attributes | names

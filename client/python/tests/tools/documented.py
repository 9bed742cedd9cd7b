"""Reads the reference: which names it documents, and with which signatures.

Promise: every name of the text is found once, with all overloads that the text gives, unless its
section is listed as left out. This file never imports the package: it reads a text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
REFERENCE = ROOT / "tests" / "conformance" / "python-api-reference.txt"

SECTIONS = (
    "Objects",
    "Metadata",
    "Vineyard client",
    "Vineyard cluster",
    "Blob",
    "Resolvers and builders",
    "Shared memory",
    "Deployment",
    "I/O Drivers",
    "Streams",
    "Interacting with the CSI Driver",
    "Vineyard Cli Tool",
    "Vineyard LLM KV Cache",
)
# What comes later, and is absent until then.
LATER_SECTIONS = ("Vineyard LLM KV Cache",)
LATER_PREFIXES = ("vineyard.deploy.kubernetes.",)
# Named in the text by a sentence or a command line only, where no heading can be found.
UNHEADED = {
    "vineyard.shared_memory.SharedMemory.unlink": (
        "Shared memory",
        "Requests that the underlying shared memory block be destroyed.",
    ),
    "vineyard.cli": ("Vineyard Cli Tool", "$ python -m vineyard.cli <command> [options]"),
}

REQUIRED = object()


@dataclass(frozen=True)
class Parameter:
    """One parameter as the text gives it: `name` is None if it gives a type alone."""

    name: str | None
    default: object = REQUIRED
    stars: str = ""
    keyword_only: bool = False


@dataclass
class Name:
    """A documented name. `kind` is class, function, method, property or module."""

    path: str
    kind: str
    section: str
    overloads: list[list[Parameter]] = field(default_factory=list)
    returns: bool = False


def documented(text: str | None = None) -> dict[str, Name]:
    """Every name of the reference that is due, by its path."""
    text = REFERENCE.read_text() if text is None else text
    names: dict[str, Name] = {}
    for name in _scan(text.splitlines()):
        names.setdefault(name.path, name)
    for path, (section, sentence) in UNHEADED.items():
        if sentence in text.splitlines():
            kind = "method" if "SharedMemory" in path else "module"
            names[path] = Name(path, kind, section)
    return {path: name for path, name in names.items() if _is_due(name)}


def _is_due(name: Name) -> bool:
    return name.section not in LATER_SECTIONS and not name.path.startswith(LATER_PREFIXES)


def _scan(lines: list[str]) -> Iterator[Name]:
    owner, current = None, None
    seen: set[str] = set()
    sections = iter(SECTIONS)
    section, next_section = "", next(sections)
    for index, line in enumerate(lines):
        # In their order only: `Blob` is also what a method returns.
        if line == next_section:
            section, next_section = line, next(sections, None)
            continue
        if index and lines[index - 1].startswith(">>>"):
            continue
        found = _heading(line, owner, seen)
        if found is None:
            _add_overload(current, lines, index)
            continue
        if current is not None:
            yield current
        path, kind, rest = found
        if kind in ("class", "function"):
            owner = path if kind == "class" else None
            seen = set()
        else:
            seen.add(path)
        current = Name(path, kind, section)
        if rest is not None:
            _take(current, rest)
    if current is not None:
        yield current


def _heading(line: str, owner: str | None, seen: set[str]) -> tuple[str, str, str | None] | None:
    """The path, the kind, and the signature if the heading has one."""
    if match := re.match(r"class (vineyard[\w.]*)(\(.*)?(?:\[source\])?$", line):
        return match[1], "class", match[2]
    if match := re.match(r"(vineyard\.[\w.]+)(\(.*\[source\])$", line):
        return match[1], "function", match[2]
    if owner is None:
        return None
    if match := re.match(r"property (\w+)$", line):
        return f"{owner}.{match[1]}", "property", None
    match = re.match(r"(?:static )?(\w+)(\(\))?(\(.*)?(\[source\])?$", line)
    if match is None or not (match[2] or match[3] or match[4]):
        return None
    path = f"{owner}.{match[1]}"
    # A name that has had its heading is an overload in the words below another, as `get_member` is
    # below `member`.
    if path in seen or (match[3] and "(" not in line):
        return None
    return path, "method", match[3]


def _add_overload(current: Name | None, lines: list[str], index: int) -> None:
    """Takes a signature that stands in the words below a heading, over as many lines as it has."""
    if current is None or current.kind == "class":
        return
    if lines[index] in ("Returns:", "Return type:"):
        current.returns = True
    match = re.match(r"(\w+)(\(.*)$", lines[index])
    if match is None or current.kind != "method":
        return
    if f"{current.path.rpartition('.')[0]}.{match[1]}" not in _spoken_of(current):
        return
    words, at = match[2], index
    while words.count("(") > words.count(")") and lines[at + 1].strip():
        at += 1
        words += " " + lines[at].strip()
    if lines[at + 1].startswith("->"):
        words += " " + lines[at + 1]
    _take(current, words)


def _spoken_of(current: Name) -> set[str]:
    owner, _, own = current.path.rpartition(".")
    return {f"{owner}.{own}", f"{owner}.get_member"} if own == "member" else {current.path}


def _take(name: Name, words: str) -> None:
    inside, after = _parenthesis(words)
    name.overloads.append(list(_parameters(inside)))
    after = after.replace("[source]", "").replace("->", "").strip()
    name.returns = name.returns or after not in ("", "None")


def _parenthesis(words: str) -> tuple[str, str]:
    """What is between the first parenthesis and its end. The text forgets one: then up to the
    arrow.
    """
    depth = 0
    for at, letter in enumerate(words):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return words[1:at], words[at + 1 :]
    inside, _, after = words[1:].partition(" -> ")
    return inside, after


def _parameters(inside: str) -> Iterator[Parameter]:
    keyword_only = False
    for part in _split(inside):
        if part == "*":
            keyword_only = True
            continue
        stars = re.match(r"\**", part)[0]
        declaration, has_default, default = part[len(stars) :].partition("=")
        name = declaration.partition(":")[0].strip()
        if name == "self":
            continue
        if " or " in name or name in ("ObjectID", "Object"):
            # A type without a name: one of several words joined by commas, the last of which
            # counts.
            if " or " in name:
                yield Parameter(None)
            continue
        # `RemoteBlob blob` is a type and a name.
        name = name.split()[-1]
        value = _value(default.strip()) if has_default else REQUIRED
        yield Parameter(name, value, stars, keyword_only)
        # No position is left for what follows.
        keyword_only = keyword_only or stars == "*"


def _split(inside: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(inside):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(inside[start:at].strip())
            start = at + 1
    parts.append(inside[start:].strip())
    return [part for part in parts if part]


def _value(default: str) -> object:
    """The text writes some of its values as C++ does."""
    return ast.literal_eval({"true": "True", "false": "False"}.get(default, default))

"""The rule for docstrings, as far as a program can check it.

1. Everything has a docstring of its own, whose first paragraph is one or more whole sentences.
2. A function names each of its parameters below `Parameters:`, as `name: type`.
3. A function that returns something says what below `Returns:`; one without parameters may give
   the type in parentheses in its first paragraph instead, as a property must: `The size in bytes
   (int).`
4. A function with parameters has `Raises:`, with an exception that exists, or the word nothing.
5. What measures memory, time or a place says its unit: bytes, seconds, milliseconds.

Special methods (`__eq__`, ...) need the first only, and may have the docstring of the interpreter.
"""

from __future__ import annotations

import builtins
import inspect
import re
from typing import Any

from tools.documented import Name
from tools.signatures import parameters

MEASURES = (
    "allocated_size",
    "memory_limit",
    "memory_usage",
    "nbytes",
    "offset",
    "size",
    "sizes",
    "timeout",
    "timeout_seconds",
)
# Variable arguments have no names of their own to be listed under.
UNNAMED = ("args", "arguments", "kw", "kwargs")
UNITS = re.compile(r"\b(bytes?|seconds?|milliseconds?)\b", re.IGNORECASE)
SECTION = re.compile(
    r"^ *(Parameters|Returns|Yields|Raises|Attributes|Examples?|See [Aa]lso):? *$", re.MULTILINE
)
TYPE = re.compile(r"\([A-Za-z][^()]*\)")


def complaints(name: Name, owner: Any, actual: Any, package: Any) -> list[str]:
    """What is wrong with the docstring of `actual`; nothing is right."""
    text = _text(name, owner, actual)
    if not text:
        return ["no docstring"]
    last = name.path.rpartition(".")[2]
    first = text.strip().split("\n\n")[0].strip()
    if last.startswith("__"):
        return []
    found = (
        [] if first.endswith((".", ":", "::")) else ["the docstring does not begin with a sentence"]
    )
    if name.kind == "property":
        if not TYPE.search(text):
            found.append("the docstring gives no type in parentheses")
    elif name.kind in ("function", "method"):
        found += _function(name, actual, text, first, package)
    elif name.kind == "class" and name.overloads:
        found += _listed(_parameters(name, actual), _section(text, "Parameters"))
    if last in MEASURES and not UNITS.search(text):
        found.append("the docstring gives no unit")
    return found


def _text(name: Name, owner: Any, actual: Any) -> str:
    text = inspect.getdoc(actual) or ""
    if name.kind == "class":
        own = actual.__dict__.get("__doc__") or ""
        made = _maker(actual)
        return inspect.cleandoc(own) + "\n\n" + (inspect.getdoc(made) or "" if made else "")
    return text


def _maker(kind: type) -> Any:
    """What makes instances of a class: its own, or that of a class it extends."""
    for one in kind.__mro__:
        if one is not object and (made := vars(one).get("__init__") or vars(one).get("__new__")):
            return made
    return None


def _function(name: Name, actual: Any, text: str, first: str, package: Any) -> list[str]:
    named = _parameters(name, actual)
    found = _listed(named, _section(text, "Parameters"))
    returned = _section(text, "Returns") or _section(text, "Yields")
    if name.returns and not returned and (named or not TYPE.search(first)):
        found.append("no Returns:")
    raised = _section(text, "Raises")
    if named and not raised:
        found.append("no Raises:")
    elif raised and not _names_an_exception(raised, package):
        found.append("Raises: names no exception that exists")
    return found


def _parameters(name: Name, actual: Any) -> list[str]:
    try:
        ours = parameters(name, actual)
    except (TypeError, ValueError):
        return []
    return [one.name for one in ours if one.name not in UNNAMED and not one.name.startswith("_")]


def _section(text: str, title: str) -> str:
    """The words of one section, up to the next."""
    match = re.search(rf"^ *{title}:? *$", text, re.MULTILINE)
    if match is None:
        return ""
    rest = text[match.end() :]
    end = SECTION.search(rest)
    return rest[: end.start()] if end else rest


def _listed(parameters: list[str], section: str) -> list[str]:
    found = []
    for parameter in parameters:
        match = re.search(rf"^ *\*{{0,2}}{re.escape(parameter)}: *\S", section, re.MULTILINE)
        if match is None:
            found.append(f"Parameters: does not give `{parameter}: type`")
            continue
        entry = re.split(r"\n *\w+: ", section[match.start() :].lstrip("\n"), maxsplit=1)[0]
        if parameter in MEASURES and not UNITS.search(entry):
            found.append(f"no unit of {parameter}")
    return found


def _names_an_exception(section: str, package: Any) -> bool:
    words = re.findall(r"[A-Za-z]+", section)
    return any(
        word.lower() == "nothing"
        or (
            isinstance(kind := getattr(package, word, getattr(builtins, word, None)), type)
            and issubclass(kind, BaseException)
        )
        for word in words
    )

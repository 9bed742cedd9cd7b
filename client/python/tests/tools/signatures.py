"""Compares a signature with what the reference gives, and keeps the list of where the two differ
on purpose.

Promise: every parameter the reference gives is there, in its place, under its name, with its
default; every further parameter of ours has a default. Where one name has several
overloads in the reference, a parameter may have the name that any of them gives to its place, and
one that not all of them have must have a default.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tools.documented import REQUIRED, Name, Parameter

# What was decided otherwise than the reference says: signature and reason, by the last part of a
# path or the last two.
DECIDED: dict[str, tuple[str, str]] = {
    "ObjectMeta.set_global": ("(global_=True)", "the reference gives the parameter in words only"),
    "get_meta": ("(object_id, sync_remote=True)", "the released default is True"),
    "get_metas": ("(object_ids, sync_remote=True)", "the released default is True"),
    "BlobBuilder.copy": (
        "(offset, ptr, size=None, concurrency=6)",
        "also takes a buffer, which has a size of its own",
    ),
    "RemoteBlobBuilder.copy": (
        "(offset, ptr, size=None, concurrency=6)",
        "also takes a buffer, which has a size of its own",
    ),
    "is_fetchable": ("(meta)", "the reference gives no signature"),
    "BlobBuilder.abort": ("(client=None)", "the reference gives no signature"),
    "BlobBuilder.shrink": ("(*args)", "shrink(size), and the released shrink(client, size)"),
    "RemoteBlobBuilder.abort": ("(client=None)", "the reference gives no signature"),
    "InstanceStatus.__init__": ("()", "only a node makes it"),
}
# Slots of the interpreter, whose parameters have no names worth giving.
NAMELESS = (
    "__eq__",
    "__hash__",
    "__repr__",
    "__str__",
    "__contains__",
    "__getitem__",
    "__setitem__",
)


def decided(path: str) -> tuple[str, str] | None:
    """The signature decided for a path and the reason, if it differs from the reference."""
    parts = path.split(".")
    return DECIDED.get(".".join(parts[-2:])) or DECIDED.get(parts[-1])


def complaints(name: Name, actual: Callable[..., Any]) -> list[str]:
    """What is wrong with the signature of `actual`; nothing is right."""
    last = name.path.rpartition(".")[2]
    exception = decided(name.path)
    if last in NAMELESS or last == "__init__":
        return []
    overloads = name.overloads
    if exception is not None:
        overloads = [_parsed(exception[0])]
        if overloads == [[]] or any(parameter.stars for parameter in overloads[0]):
            return []
    if not overloads:
        return []
    try:
        ours = parameters(name, actual)
    except (TypeError, ValueError) as error:
        return [f"no signature can be read: {error}"]
    found = []
    for overload in overloads:
        found += _compare(overload, overloads, ours)
    found += _beyond(overloads, ours)
    return sorted(set(found))


def _parsed(text: str) -> list[Parameter]:
    scope: dict[str, Any] = {}
    exec(f"def decided{text}: ...", scope)
    parameters = inspect.signature(scope["decided"]).parameters.values()
    return [
        Parameter(
            one.name,
            REQUIRED if one.default is one.empty else one.default,
            {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, ""),
        )
        for one in parameters
    ]


def parameters(name: Name, actual: Callable[..., Any]) -> list[inspect.Parameter]:
    """What a caller may pass: without the object that a method is called on."""
    ours = list(inspect.signature(actual).parameters.values())
    bound = name.kind == "method" and inspect.isfunction(actual)
    if ours and (bound or ours[0].name in ("self", "cls", "$self")):
        ours = ours[1:]
    return ours


def _compare(
    overload: list[Parameter], overloads: list[list[Parameter]], ours: list[inspect.Parameter]
) -> list[str]:
    found = []
    positional = [
        one for one in ours if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    by_name = {one.name: one for one in ours}
    for place, wanted in enumerate(overload):
        if wanted.stars:
            kind = "VAR_POSITIONAL" if wanted.stars == "*" else "VAR_KEYWORD"
            if not any(one.kind.name == kind for one in ours):
                found.append(f"takes no {wanted.stars}{wanted.name}")
            continue
        if wanted.keyword_only:
            actual = by_name.get(wanted.name or "")
        else:
            actual = positional[place] if place < len(positional) else None
        if actual is None:
            found.append(f"has no parameter {wanted.name}")
            continue
        names = {other[place].name for other in overloads if place < len(other)}
        if wanted.name is not None and actual.name not in names:
            found.append(
                f"parameter {place} is {actual.name}, not {' or '.join(sorted(map(str, names)))}"
            )
        found += _default(wanted, actual, any(len(other) <= place for other in overloads))
    return found


def _default(wanted: Parameter, actual: inspect.Parameter, left_out: bool) -> list[str]:
    has = actual.default is not actual.empty
    if wanted.default is REQUIRED:
        if left_out and not has:
            return [f"{actual.name} needs a default: an overload has none"]
        return []
    if not has:
        return [f"{actual.name} has no default, not {wanted.default!r}"]
    if actual.default != wanted.default or type(actual.default) is not type(wanted.default):
        return [f"the default of {actual.name} is {actual.default!r}, not {wanted.default!r}"]
    return []


def _beyond(overloads: list[list[Parameter]], ours: list[inspect.Parameter]) -> list[str]:
    known = max(len(overload) for overload in overloads)
    names = {parameter.name for overload in overloads for parameter in overload}
    return [
        f"{one.name} is not in the reference and has no default"
        for one in ours[known:]
        if one.default is one.empty
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        and one.name not in names
    ]

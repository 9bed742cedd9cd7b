"""Where in a value the part is that cannot be pickled.

Promise: nothing is done here unless a put has failed; parts are pickled once more, one by one, to
find the one that fails.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from vineyard.data import _splice

# What pickling raises for what cannot be pickled.
FAILURES = (TypeError, AttributeError, ValueError, NotImplementedError, pickle.PicklingError)

_KEY_LENGTH_MAX = 60


def located(error: Exception, value: Any, is_ours: Callable[[type], bool]) -> Exception:
    """The error with the path of the part that cannot be pickled, such as ``value['a'][3]``; the
    error itself if all parts can be, or the value is that part.

    `is_ours`: whether values of a type are stored by this package, not by a builder of the user.
    """
    if not _fails(value, is_ours):
        return error
    path = _path(value, is_ours)
    if not path:
        return error
    kind = type(error) if type(error) in FAILURES else TypeError
    return kind(f"{error}, at value{path}")


def _fails(value: Any, is_ours: Callable[[type], bool]) -> bool:
    if not is_ours(type(value)):
        return False
    try:
        _splice.dump(value)
    except FAILURES:
        return True
    return False


def _path(value: Any, is_ours: Callable[[type], bool]) -> str:
    path = ""
    seen: set[int] = set()
    while id(value) not in seen:
        seen.add(id(value))
        failing = ((step, part) for step, part in _parts(value) if _fails(part, is_ours))
        step, value = next(failing, ("", value))
        path += step
    return path


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value, each with how it is written behind the value."""
    if isinstance(value, dict):
        yield from ((f" key {_short(key)}", key) for key in value)
        yield from ((f"[{_short(key)}]", item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from _numbered(value)
    elif isinstance(value, set | frozenset):
        yield from ((f" item {_short(item)}", item) for item in value)
    yield from _parts_of_libraries(value)
    fields = getattr(value, "__dict__", None)
    if isinstance(fields, dict) and not isinstance(value, type):
        yield from ((f".{name}", item) for name, item in fields.items())


def _parts_of_libraries(value: Any) -> Iterator[tuple[str, Any]]:
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and isinstance(value, numpy.ndarray) and value.dtype.kind == "O":
        at = numpy.ndindex(value.shape)
        yield from ((f"[{', '.join(map(str, place))}]", value[place]) for place in at)
    if pandas is None:
        return
    if isinstance(value, pandas.DataFrame | pandas.Series):
        # Before the columns: taking a column copies the attributes in depth.
        yield ".attrs", value.attrs
        yield ".index", value.index
    if isinstance(value, pandas.DataFrame):
        columns = enumerate(value.columns)
        yield from ((f"[{_short(label)}]", value.iloc[:, at]) for at, label in columns)
    elif isinstance(value, pandas.Series):
        yield from ((f".iloc{step}", item) for step, item in _numbered(value.array))
    elif isinstance(value, pandas.Index):
        yield from _numbered(value)


def _numbered(values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"[{at}]", item) for at, item in enumerate(values))


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= _KEY_LENGTH_MAX else f"{text[:_KEY_LENGTH_MAX]}..."

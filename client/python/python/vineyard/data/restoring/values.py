"""Plain values of the language, and what pickles use to name functions."""

from __future__ import annotations

import importlib
from typing import Any

from vineyard.data.restoring import names
from vineyard.data.restoring.checks import NotListed, check, is_bytes

_FORMATS = "bBhHiIlLqQfd?cB"


def make(machine: Any, kind: Any, *arguments: Any) -> Any:
    """A value of a class, of arguments that the class checks."""
    return kind(*arguments)


def number(machine: Any, kind: Any, real: Any, imaginary: Any) -> complex:
    """A complex number."""
    check(type(real) is float and type(imaginary) is float, "a complex number")
    return complex(real, imaginary)


def whole_numbers(machine: Any, kind: Any, *numbers: Any) -> Any:
    """A range, slice or timedelta."""
    check(all(type(one) in (int, type(None)) for one in numbers), "whole numbers")
    return kind(*numbers)


def items(machine: Any, kind: Any, values: Any) -> list[Any]:
    """A list of a list."""
    check(type(values) is list, "a list of no list")
    made: list[Any] = values[:]
    return made


def decimal(machine: Any, kind: Any, text: Any) -> Any:
    """A Decimal."""
    check(type(text) is str, "a Decimal of no text")
    return kind(text)


def view(machine: Any, kind: Any, content: Any) -> memoryview:
    """A memoryview of bytes of the pickle."""
    check(is_bytes(content), "a view of no bytes")
    return memoryview(content)


def cast_view(machine: Any, kind: Any, content: Any, form: Any, shape: Any = None) -> memoryview:
    """A memoryview with another format and shape."""
    check(type(content) is memoryview, "a cast of no view")
    check(type(form) is str and form.lstrip("@") in tuple(_FORMATS), "the format of a view")
    made: memoryview = content.cast(form) if shape is None else content.cast(form, shape)
    return made


def text(machine: Any, kind: Any, content: Any, encoding: Any, errors: Any) -> str:
    """Text of its bytes."""
    check(is_bytes(content), "text of no bytes")
    check((encoding, errors) == ("utf-8", "surrogatepass"), "the encoding of text")
    return str(content, "utf-8", "surrogatepass")


def partial(machine: Any, kind: Any, function: Any) -> names.Partial:
    """A function that keywords are given to."""
    if names.name_of(function) is None:
        raise NotListed(f"functools.partial of {type(function).__qualname__}")
    return names.Partial(function)


def give_keywords(target: names.Partial, state: Any) -> None:
    """The keywords of a `functools.partial`."""
    check(type(state) is tuple and len(state) == 4, "the state of a functools.partial")
    function, arguments, keywords, attributes = state
    if function is not target.function or arguments != () or attributes:
        raise NotListed("functools.partial with another function, arguments or attributes")
    check(type(keywords) is dict and all(type(key) is str for key in keywords), "keywords")
    target.keywords = keywords


def module(machine: Any, kind: Any, name: Any) -> Any:
    """A module that names are asked of."""
    check(type(name) is str, "the name of a module")
    if name not in names.MODULES:
        raise NotListed(f"module {name!r}")
    return importlib.import_module(name)


def attribute(machine: Any, kind: Any, owner: Any, name: Any) -> Any:
    """What a listed name stands for, by the name of its owner and its own; or the array of a
    pandas series.
    """
    check(type(name) is str, "the name of an attribute")
    where = names.name_of(owner) or getattr(owner, "__name__", None)
    if names.name_of(owner) is None and not any(owner is _imported(one) for one in names.MODULES):
        if name == "array" and _is_series(owner):
            return owner.array
        raise NotListed(f"attribute {name!r} of {type(owner).__qualname__}")
    return names.found(f"{where}.{name}")


def _imported(name: str) -> Any:
    import sys

    return sys.modules.get(name, False)


def _is_series(value: Any) -> bool:
    pandas = _imported("pandas")
    return pandas is not False and type(value) is pandas.Series

"""Options as text: the forms that the released package takes, and what they mean.

Promise: a text that says nothing of the kind is a ValueError with the name of the option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vineyard.io._needs import needed

_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}

_ESCAPED = re.compile(r"\\([tvfab0\\]|x[0-7][0-9a-fA-F])")

Parser = Callable[[str, Any], Any]

# The names of `normalize_arrow_dtype`, and those that pyarrow has no alias for.
_TYPES = {
    **dict.fromkeys(("int8_t", "byte"), "int8"),
    **dict.fromkeys(("uint8_t", "char"), "uint8"),
    **dict.fromkeys(("int16_t", "short"), "int16"),
    "uint16_t": "uint16",
    **dict.fromkeys(("int32_t", "int"), "int32"),
    "uint32_t": "uint32",
    **dict.fromkeys(("int64_t", "long"), "int64"),
    "uint64_t": "uint64",
    "half": "float16",
    "str": "string",
    **dict.fromkeys(("std::string", "std::__1::string"), "large_string"),
    "std::__cxx11::string": "large_string",
}


def flag(name: str, value: Any) -> bool:
    """True or False, 1 or 0, or their texts."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise ValueError(f"{name} is {value!r}: it must be true or false, yes or no, 1 or 0")


def size(name: str, value: Any) -> int:
    """Bytes: a number, or a text such as ``64M``, of which a unit is 1,024 of the one before."""
    found = _SIZE.fullmatch(str(value).strip())
    bytes_ = int(float(found[1]) * (1 << _UNITS[found[2].lower()])) if found else 0
    if bytes_ <= 0:
        raise ValueError(f"{name} is {value!r}: it must be a number of bytes, such as 64M")
    return bytes_


def count(name: str, value: Any) -> int:
    """A whole number from 0 on."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0 or (isinstance(value, float) and number != value):
        raise ValueError(f"{name} is {value!r}: it must be a whole number")
    return number


def text(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}: it must be a text")
    return value


def anything(name: str, value: Any) -> Any:
    """The value as it is; what uses it checks it."""
    return value


def one_of(*choices: str) -> Parser:
    """The parser of an option that is one of a few texts."""

    def parse(name: str, value: Any) -> str:
        if value not in choices:
            raise ValueError(f"{name} is {value!r}: it must be {' or '.join(choices)}")
        return str(value)

    return parse


def names(name: str, value: Any) -> tuple[str, ...]:
    """Names: a comma list, or an iterable of texts."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",")) if value else ()
    if isinstance(value, Iterable):
        found = tuple(value)
        if all(isinstance(one, str) for one in found):
            return found
    raise ValueError(f"{name} is {value!r}: it must be names, as a list or with commas between")


def delimiter(name: str, value: Any) -> str:
    r"""One character, or an escape such as ``\t``."""
    given = text(name, value)
    if _ESCAPED.fullmatch(given):
        given = given.encode("ascii").decode("unicode_escape")
    if len(given) != 1 or ord(given) > 127 or given in '"\r\n':
        raise ValueError(f"{name} is {value!r}: it must be one ASCII character")
    return given


def schema(name: str, value: Any) -> Any:
    """An Arrow schema, or names as of :func:`names`."""
    pyarrow = needed("pyarrow")
    return value if isinstance(value, pyarrow.Schema) else names(name, value)


def types(name: str, value: Any) -> Any:
    """Arrow types, by column name or in order; None in the order leaves a column as it is."""
    if isinstance(value, Mapping):
        return {column: arrow_type(name, kind) for column, kind in value.items()}
    listed = names(name, value) if isinstance(value, str) else tuple(value)
    return tuple(arrow_type(name, kind) if kind else None for kind in listed)


def arrow_type(name: str, value: Any) -> Any:
    """An Arrow type of its name, as the released package or pyarrow has it."""
    pyarrow = needed("pyarrow")
    if isinstance(value, pyarrow.DataType):
        return value
    word = text(name, value).strip()
    try:
        return pyarrow.type_for_alias(_TYPES.get(word, word))
    except ValueError:
        pass
    listed = re.fullmatch(r"(large_)?list<item: (.+)>", word)
    if listed:
        inner = arrow_type(name, listed[2])
        return pyarrow.large_list(inner) if listed[1] else pyarrow.list_(inner)
    zoned = re.fullmatch(r"timestamp\[(s|ms|us|ns), tz=(.+)\]", word)
    if zoned:
        return pyarrow.timestamp(zoned[1], zoned[2])
    decimal = re.fullmatch(r"decimal128\((\d+), ?(-?\d+)\)", word)
    if decimal:
        return pyarrow.decimal128(int(decimal[1]), int(decimal[2]))
    raise ValueError(f"{name}: {word!r} is no type; types are named as int64, double, string")

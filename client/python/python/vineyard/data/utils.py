"""Small encodings that the types share: labels as JSON, exact values as text, sizes."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from vineyard.data import _plain as plain
from vineyard.data._reader import Reader
from vineyard.data._splice import in_band
from vineyard.data._unpickling import unpickle

# How every pickle of protocol 5 begins in base 64; no JSON text begins with it.
_PICKLED = "gA"
# What the C++ side calls the element types of tensors and matrices.
_CPP_NAMES = {"int32": "int", "float32": "float", "float64": "double", "str": "std::string"}
_NUMPY_NAMES = {cpp: name for name, cpp in _CPP_NAMES.items()}


def normalize_dtype(name: str) -> str:
    """The C++ name of a numpy dtype's name: ``int32`` becomes ``int`` (str); others stay."""
    return _CPP_NAMES.get(name, name)


def normalize_cpptype(name: str) -> str:
    """The numpy name of a C++ element type: ``double`` becomes ``float64`` (str); others stay."""
    return _NUMPY_NAMES.get(name, name)


def to_json(label: Any) -> str:
    """`label` as JSON that any client can read; what JSON lacks becomes its text."""
    return json.dumps(label, default=_plain)


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    plain = item() if callable(item) else value
    return plain if isinstance(plain, str | int | float | bool | None) else str(value)


def is_exact_json(label: Any) -> bool:
    """Whether JSON gives back an equal label of the same type."""
    kind = type(label)
    if kind is str:
        return label.isascii() or _is_text(label)
    return label is None or kind in (int, bool) or (kind is float and math.isfinite(label))


def _is_text(label: str) -> bool:
    try:
        label.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_text(value: Any) -> str:
    """`value` exactly, as ASCII text: its plain description, or else its pickle in base 64."""
    try:
        return plain.Writer().text(value)
    except plain.NotPlain:
        return pickled_text(value)


def pickled_text(value: Any) -> str:
    """The pickle of `value` in base 64."""
    return base64.b64encode(in_band(value)).decode("ascii")


def from_text(reader: Reader, text: str) -> Any:
    """The value that :func:`to_text` was given, also by an earlier build, which pickled everything.

    Raises:
        PickleRefused: it is a pickle with a name that is not listed, and the client refuses them.
    """
    if text.startswith(_PICKLED):
        return unpickle(base64.b64decode(text), reader)
    return plain.Reader().value(text)


def put_label(tree: dict[str, Any], key: str, label: Any) -> None:
    """Writes a label under `key` as JSON, and exactly beside it where JSON cannot hold it."""
    tree[key] = to_json(label)
    if not is_exact_json(label):
        tree[f"{key}_exact_"] = to_text(label)


def get_label(reader: Reader, tree: dict[str, Any], key: str) -> Any:
    """What :func:`put_label` wrote. Lists become tuples: a label must be hashable."""
    exact = tree.get(f"{key}_exact_")
    if exact is not None:
        return from_text(reader, exact)
    text = tree.get(key)
    return as_label(json.loads(text)) if text and text != "null" else None


def as_label(label: Any) -> Any:
    """A label that came through JSON: lists become tuples."""
    return tuple(as_label(item) for item in label) if isinstance(label, list) else label

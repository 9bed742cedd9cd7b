"""Frames and series on memory that cannot be written: pandas copies a column before it writes.

Promise: a write to such a value, or to any that shares its memory, changes a private copy. It holds
for as long as the memory is used, and costs nothing that grows with the values. pandas 2 writes in
place unless its option ``mode.copy_on_write`` is set, and then refuses,
as docs/python-types.md says.

How: before a write, pandas copies the values of a block if a block beside it refers to them. Here
all values have such a reference, to a block that never ends.
"""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

import pandas

# Owns the block: it ends with this module.
_OWNER: Any = pandas.Series([0])


def _reference() -> Any:
    """The block that refers to all values; None if the installed pandas has no such references."""
    blocks = getattr(getattr(_OWNER, "_mgr", None), "blocks", ())
    return next((block for block in blocks if hasattr(block.refs, "add_reference")), None)


_REFERENCE = _reference()


_Value = TypeVar("_Value", pandas.DataFrame, "pandas.Series[Any]")


def protected(value: _Value) -> _Value:
    """The value itself."""
    manager: Any = getattr(value, "_mgr", None)
    if _REFERENCE is None:
        # As long as this one frame lives, its shallow copy does, which has the same effect.
        object.__setattr__(value, "__vineyard_copy", value.copy(deep=False))
        return value
    for block in manager.blocks:
        block.refs.add_reference(_REFERENCE)
    return value


def unpickle_block(*arguments: Any) -> Any:
    """In place of the function by which pandas unpickles the values of a frame or series."""
    # It has no public name, but every pickle of a frame names it, so pandas keeps it.
    internals = importlib.import_module("pandas._libs.internals")
    block = internals._unpickle_block(*arguments)
    if _REFERENCE is not None:
        block.refs.add_reference(_REFERENCE)
    return block

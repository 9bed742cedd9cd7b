"""Pickles of values with functions and classes of a script or notebook, whose code cloudpickle
carries.

Promise: what pickle refuses and has no code, cloudpickle does not take either. It knows no tree.
"""

from __future__ import annotations

import io
import sys
from collections import ChainMap
from typing import Any, ClassVar

import cloudpickle

from vineyard.data._reduce import reducer_of

_STREAMS = ("stdin", "stdout", "stderr")


def _reduce_file(file: Any) -> Any:
    """Only the streams of a process are known by name. Of another text file cloudpickle would store
    the content, and give a StringIO.
    """
    if any(file is getattr(sys, name) for name in _STREAMS):
        return cloudpickle.Pickler.dispatch_table[io.TextIOWrapper](file)
    raise TypeError(
        f"cannot pickle {type(file).__name__!r} object: it is an open file ({file.name!r}); put "
        "its content or its path"
    )


# cloudpickle has no types for the checker.
class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """As that of cloudpickle, but for open files."""

    dispatch_table: ClassVar[Any] = ChainMap(
        {io.TextIOWrapper: _reduce_file},
        cloudpickle.Pickler.dispatch_table,
    )

    def reducer_override(self, obj: Any) -> Any:
        """What an object is pickled as: values of libraries as without functions beside them."""
        reduce = reducer_of(type(obj))
        made = NotImplemented if reduce is None else reduce(obj)
        return super().reducer_override(obj) if made is NotImplemented else made

"""Plain descriptions of pickled values, as earlier builds wrote them beside a pickle: calls of the
functions listed here, with plain values and the buffers of the pickle as arguments.

Promise: reading calls only what `_NAMES` lists, with buffers within the payload. Nothing writes
descriptions any more: clients that refuse pickles read those of listed names.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

from vineyard.core.contexts.pickle_setting import PickleRefused
from vineyard.data import _plain
from vineyard.data._unpickling import first

# All that a description may call. Each makes a value of its arguments and does nothing else; none
# takes the name of something to import, or an address.
_NAMES = (
    "numpy.asanyarray",
    "pandas.array",
    "pandas.Categorical.from_codes",
    "pandas.DatetimeTZDtype",
    "pandas.PeriodDtype",
    "pandas.arrays.ArrowExtensionArray",
    "pandas.arrays.BooleanArray",
    "pandas.arrays.FloatingArray",
    "pandas.arrays.IntegerArray",
    "pandas.arrays.IntervalArray.from_arrays",
    "pandas.arrays.PeriodArray",
    "pandas.CategoricalIndex",
    "pandas.DatetimeIndex",
    "pandas.Index",
    "pandas.IntervalIndex",
    "pandas.MultiIndex",
    "pandas.PeriodIndex",
    "pandas.RangeIndex",
    "pandas.TimedeltaIndex",
    "polars.Series",
    *(
        f"scipy.sparse.{kind}_{family}"
        for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
        for family in ("array", "matrix")
    ),
)


def restore(text: bytes, buffers: Sequence[memoryview], refusal: PickleRefused, peel: bool) -> Any:
    """The value of a description; `peel` as in :func:`vineyard.data._unpickling.unpickle`."""
    return _Reader(buffers, refusal, peel).value(text)


@functools.cache
def _functions(library: str) -> dict[str, Any]:
    """The listed functions of a library, by name; a version may lack some."""
    found = {}
    for name in _NAMES:
        if name.startswith(f"{library}."):
            found[name] = _find(name)
    return {name: function for name, function in found.items() if function is not None}


def _find(name: str) -> Any:
    library, *path = name.split(".")
    if library == "scipy":
        library, path = "scipy.sparse", path[1:]
    found: Any = importlib.import_module(library)
    for part in path:
        found = getattr(found, part, None)
    return found


class _Reader(_plain.Reader):
    def __init__(self, buffers: Sequence[memoryview], refusal: PickleRefused, peel: bool) -> None:
        self._buffers = buffers
        self._refusal = refusal
        self._peel = peel

    def other(self, tag: str, rest: list[Any]) -> Any:
        read = _TAGS.get(tag)
        return super().other(tag, rest) if read is None else read(self, *rest)

    def call(self, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """The result of a function that is listed."""
        if name not in _NAMES:
            raise ValueError(f"a plain description does not call {name!r}")
        function = _functions(name.partition(".")[0])[name]
        if self._peel and name == "numpy.asanyarray":
            function = first
        values = [self.of(argument) for argument in arguments]
        return function(*values, **{key: self.of(node) for key, node in keywords.items()})

    def text(self, at: int) -> str:
        """Text, also with lone surrogates."""
        return str(self._buffers[at], "utf-8", "surrogatepass")

    def dtype(self, text: str | None) -> Any:
        """A numpy dtype; None is the one of objects."""
        import numpy

        from vineyard.data import _dtypes

        return numpy.dtype("O") if text is None else _dtypes.from_text(text)

    def array(self, dtype: str, shape: list[int], order: Any, at: int) -> Any:
        """A view of a buffer."""
        import numpy

        from vineyard.data import _dtypes

        return numpy.ndarray(shape, _dtypes.from_text(dtype), self._buffers[at], order=order)

    def objects(self, shape: list[int], nodes: list[Any]) -> Any:
        """An array of objects."""
        import numpy

        array = numpy.empty(len(nodes), object)
        for at, node in enumerate(nodes):
            array[at] = self.of(node)
        return array.reshape(shape)

    def sparse(self, values: Any, indices: Any, size: int, fill: Any, kind: str) -> Any:
        """A pandas SparseArray."""
        from vineyard.data.extension import sparse_array

        parts = (self._inline(values), self._inline(indices))
        return sparse_array(*parts, size, self.of(fill), kind)

    def _inline(self, node: list[Any]) -> Any:
        import numpy

        from vineyard.data import _dtypes

        dtype = _dtypes.without_objects(numpy.dtype(node[0]))
        return numpy.frombuffer(self.of(node[1]), dtype)

    def arrow(self, *rest: Any) -> Any:
        """A pyarrow array."""
        from vineyard.data import _arrow_parts

        return _arrow_parts.read(rest, self._buffers, self._refusal)


_TAGS: dict[str, Callable[..., Any]] = {
    "call": _Reader.call,
    "text": _Reader.text,
    "dtype": _Reader.dtype,
    "array": _Reader.array,
    "objects": _Reader.objects,
    "sparse": _Reader.sparse,
    "arrow": _Reader.arrow,
}

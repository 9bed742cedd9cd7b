"""Plain descriptions of pickled values: calls of the functions listed here, with plain values and
the buffers of the pickle as arguments.

Promise: reading calls only what `_NAMES` lists, with buffers within the payload. A value that
cannot be described this way is stored as a pickle without a description.
"""

from __future__ import annotations

import functools
import importlib
import pickle
from collections.abc import Callable, Sequence
from typing import Any

from vineyard.core.contexts.pickle_setting import PickleRefused
from vineyard.data import _plain
from vineyard.data._plain import NotPlain
from vineyard.data._reduce import Call
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
_LIBRARIES = frozenset(name.partition(".")[0] for name in _NAMES)


def describe(value: Any, buffers: Sequence[pickle.PickleBuffer], reduced: dict[int, Any]) -> bytes:
    """The description of `value`, whose pickle has `buffers`; empty if there is none.

    `reduced`: by the id of each array and matrix, the object itself and what it was reduced to.
    """
    try:
        return _Writer(buffers, reduced).text(value).encode("ascii")
    except NotPlain:
        return b""


def restore(text: bytes, buffers: Sequence[memoryview], refusal: PickleRefused, peel: bool) -> Any:
    """The value of a description; `peel` as in :func:`vineyard.data._unpickling.unpickle`."""
    return _Reader(buffers, refusal, peel).value(text)


class _Writer(_plain.Writer):
    def __init__(self, buffers: Sequence[pickle.PickleBuffer], reduced: dict[int, Any]) -> None:
        super().__init__()
        self._reduced = reduced
        self._buffers = buffers
        self._of_buffer = {id(buffer): at for at, buffer in enumerate(buffers)}
        self._of_address: dict[tuple[int, int], int] | None = None

    def other(self, value: Any) -> Any:
        kind = type(value)
        name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
        if kind is Call:
            return self._call(value.function, value.arguments)
        if value is object:
            return ["dtype", None]
        write = _LIBRARY_WRITERS.get(name)
        if write is not None:
            return write(self, value)
        if kind.__module__.startswith("numpy") and kind.__name__.endswith("DType"):
            return self._dtype(value)
        if name.startswith("scipy.") and id(value) in self._reduced:
            return self._call(*self._reduced[id(value)][1])
        if name.startswith("pyarrow."):
            from vineyard.data import _arrow_parts

            return _arrow_parts.write(value, self._at_address)
        raise NotPlain(kind.__name__)

    def _dtype(self, dtype: Any) -> Any:
        from vineyard.data import _dtypes

        text = _dtypes.to_text(dtype)
        if text is None:
            raise NotPlain("a dtype with metadata")
        return ["dtype", None if dtype.kind == "O" else text]

    def _call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        if function is str:
            return ["text", self._place(arguments[0])]
        keywords: dict[str, Any] = {}
        if type(function) is functools.partial:
            if function.args:
                raise NotPlain(repr(function))
            function, keywords = function.func, function.keywords
        name = _name_of(function)
        said = {key: self.node(value) for key, value in keywords.items()}
        return ["call", name, [self.node(value) for value in arguments], said]

    def _place(self, buffer: Any) -> int:
        at = self._of_buffer.get(id(buffer))
        if at is None:
            raise NotPlain("a buffer that is not in the pickle")
        return at

    def _at_address(self, address: int, size: int) -> int:
        """Which buffer is the one at an address."""
        if self._of_address is None:
            self._of_address = {_address(buffer): at for at, buffer in enumerate(self._buffers)}
        at = self._of_address.get((address, size))
        if at is None:
            raise NotPlain("a buffer that is not in the pickle")
        return at

    def array(self, value: Any) -> Any:
        """A numpy array: of objects item by item, others by their buffer."""
        from vineyard.data import _dtypes

        if value.dtype.kind == "O" and not value.dtype.metadata:
            return ["objects", list(value.shape), self._objects(value.reshape(-1).tolist())]
        reduced = self._reduced.get(id(value))
        text = _dtypes.to_text(value.dtype)
        if reduced is None or text is None:
            raise NotPlain(str(value.dtype))
        # The third of the arguments that `_reduce_array` gives.
        buffer = reduced[1][1][2]
        is_fortran = value.flags.f_contiguous and not value.flags.c_contiguous
        order = "F" if is_fortran else "C"
        return ["array", text, list(value.shape), order, self._place(buffer)]

    def _objects(self, items: list[Any]) -> list[Any]:
        return [item if type(item) is str else self.node(item) for item in self._counted(items)]

    def sparse(self, value: Any) -> Any:
        """A pandas SparseArray: its stored values, and where they are."""
        import numpy

        arrays = [numpy.asarray(value.sp_values), value.sp_index.to_int_index().indices]
        inline = [self._inline(array) for array in arrays]
        return ["sparse", *inline, len(value), self.node(value.dtype.fill_value), value.kind]

    def _inline(self, array: Any) -> Any:
        """A small array whose own buffer the pickle may not have."""
        return [array.dtype.str, self.node(array.tobytes())]


_LIBRARY_WRITERS: dict[str, Callable[[_Writer, Any], Any]] = {
    "numpy.ndarray": _Writer.array,
    "pandas.SparseArray": _Writer.sparse,
}


def _address(buffer: pickle.PickleBuffer) -> tuple[int, int]:
    import pyarrow

    raw = pyarrow.py_buffer(buffer.raw())
    return raw.address, raw.size


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


def _name_of(function: Any) -> str:
    module = getattr(function, "__module__", None) or ""
    library = module.partition(".")[0]
    if library in _LIBRARIES:
        for name, listed in _functions(library).items():
            if listed == function:
                return name
    raise NotPlain(repr(function))


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

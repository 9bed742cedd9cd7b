"""Values of a given size, by name: what the memory and the time of a put and a get are measured of.

Each row makes a value of about so many bytes. It must not import what the row does not need: memory
of libraries would be counted.
"""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

Make = Callable[[int], Any]
ROWS: dict[str, Make] = {}
PANDAS = importlib.metadata.version("pandas")

# Of the table in docs/benchmarks.md: what a put takes beside the value, and why.
PRIVATE_AT_PUT = {
    "numpy U16 text": "four bytes a character; it is stored as UTF-8, which is made first",
    "text: numpy objects": "the objects are stored as UTF-8, which is made first",
    "text: polars": "polars has a view of 16 bytes for each text; what is stored is made first",
}

# Text of which Arrow may have offsets of 32 bits. They are stored with 64: 8 bytes for each text.
WIDENED = {"text: pandas str", "text: pandas string[pyarrow]", "text: Arrow table"}
TEXT_BYTES = 32


def row(name: str) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        ROWS[name] = make
        return make

    return add


def floats(nbytes: int) -> np.ndarray:
    return np.ones(nbytes // 8)


row("contiguous")(floats)
row("structured")(lambda nbytes: np.zeros(nbytes // 16, [("a", "i8"), ("b", "f8")]))
row("bytes of numpy (S16)")(lambda nbytes: np.full(nbytes // 16, b"a" * 16))
row("strided")(lambda nbytes: np.ones(nbytes // 4)[::2])
row("reversed")(lambda nbytes: floats(nbytes)[::-1])
row("Fortran")(lambda nbytes: np.ones((1024, nbytes // 8192), order="F"))
row("transposed")(lambda nbytes: np.ones((nbytes // 8192, 1024)).T)
row("axes swapped")(lambda nbytes: np.ones((16, nbytes // 8192, 64)).transpose(0, 2, 1))
row("list of arrays")(lambda nbytes: [np.full(nbytes // 80, at) for at in range(10)])
row("list of strided arrays")(lambda nbytes: [np.ones(nbytes // 40)[::2] for _ in range(10)])
row("bytes")(lambda nbytes: b"x" * nbytes)
row("memoryview, strided")(lambda nbytes: memoryview(bytearray(2 * nbytes))[::2])
row("bytearray")(lambda nbytes: bytearray(nbytes))
row("list of bytes")(lambda nbytes: [bytes([at]) * (nbytes // 100) for at in range(100)])
row("dict of arrays")(lambda nbytes: {at: np.full(nbytes // 80, at) for at in range(10)})
row("nested dict")(lambda nbytes: {"a": {"b": {"c": floats(nbytes)}}})
row("dict of strided arrays")(lambda nbytes: {at: np.ones(nbytes // 40)[::2] for at in range(10)})
row("dict of bytes")(lambda nbytes: {at: b"x" * (nbytes // 10) for at in range(10)})


@row("frame of one block")
def _(nbytes: int) -> Any:
    import pandas as pd

    return pd.DataFrame(np.ones((nbytes // 800, 100)))


@row("frame of columns")
def _(nbytes: int) -> Any:
    import pandas as pd

    return pd.DataFrame({f"c{at}": np.full(nbytes // 80, at) for at in range(10)})


@row("categories")
def _(nbytes: int) -> Any:
    import pandas as pd

    codes = np.zeros(nbytes // 2, "i2")
    return pd.Series(pd.Categorical.from_codes(codes, [f"c{at}" for at in range(1000)]))


@row("periods")
def _(nbytes: int) -> Any:
    import pandas as pd

    return pd.Series(pd.arrays.PeriodArray(np.arange(nbytes // 8), dtype="period[D]"))


@row("nullable")
def _(nbytes: int) -> Any:
    import pandas as pd

    mask = np.zeros(nbytes // 9, bool)
    mask[::2] = True
    return pd.Series(pd.arrays.IntegerArray(np.ones(nbytes // 9, "i8"), mask))


@row("Arrow table")
def _(nbytes: int) -> Any:
    import pyarrow as pa

    return pa.table({f"c{at}": np.full(nbytes // 80, at) for at in range(10)})


def _sparse(nbytes: int, kind: str) -> Any:
    import scipy.sparse

    rows, items = 1000, nbytes // 12
    indptr = np.linspace(0, items, rows + 1).astype("i4")
    indices = (np.arange(items) % (items // rows + 1)).astype("i4")
    make = getattr(scipy.sparse, kind)
    return make((np.ones(items), indices, indptr), shape=(rows, items // rows + 2))


row("csr_matrix")(lambda nbytes: _sparse(nbytes, "csr_matrix"))
row("csr_array")(lambda nbytes: _sparse(nbytes, "csr_array"))

row("recarray")(lambda nbytes: np.rec.array(np.zeros(nbytes // 16, [("a", "i8"), ("b", "f8")])))


class Subclass(np.ndarray):
    """Of which pickles have the name alone."""


row("own subclass")(lambda nbytes: floats(nbytes).view(Subclass))
row("matrix")(lambda nbytes: np.asmatrix(np.ones((nbytes // 8192, 1024))))
row("masked")(lambda nbytes: np.ma.masked_array(np.ones(nbytes // 9), np.zeros(nbytes // 9, bool)))
row("recarray, strided")(lambda nbytes: np.rec.array(np.zeros(nbytes // 8, "i4,f4"))[::2])
row("matrix, strided")(lambda nbytes: np.asmatrix(np.ones((nbytes // 8192, 2048)))[:, ::2])
row("matrix, transposed")(lambda nbytes: np.asmatrix(np.ones((nbytes // 8192, 1024))).T)


@row("masked, strided")
def _(nbytes: int) -> Any:
    size = 2 * nbytes // 9
    return np.ma.masked_array(np.ones(size), np.zeros(size, bool))[::2]


@row("memmap")
def _(nbytes: int) -> Any:
    with tempfile.TemporaryFile(dir=os.environ.get("TMPDIR")) as file:
        file.truncate(nbytes)
        return np.memmap(file, "f8", "c", shape=(nbytes // 8,))


row("numpy U16 text")(lambda nbytes: np.full(nbytes // 64, "a text of 16 cha"))


def _texts(nbytes: int) -> np.ndarray:
    """Text objects of `TEXT_BYTES` characters, of which there are few."""
    few = np.array([f"{at:0{TEXT_BYTES}d}" for at in range(1000)], object)
    return few[np.arange(nbytes // TEXT_BYTES) % 1000]


def _of_pandas(dtype: str) -> Make:
    def make(nbytes: int) -> Any:
        import pandas as pd

        return pd.Series(pd.array(_texts(nbytes), dtype=dtype))

    return make


row("text: pandas string[pyarrow]")(_of_pandas("string[pyarrow]"))
# The default of pandas 3, which pandas 2 has not.
row("text: pandas str")(_of_pandas("str" if PANDAS >= "3" else "string[pyarrow]"))


@row("text: Arrow large_string")
def _(nbytes: int) -> Any:
    import pyarrow as pa

    return pa.array(_texts(nbytes), pa.large_string())


@row("text: Arrow table")
def _(nbytes: int) -> Any:
    import pyarrow as pa

    return pa.table({"a": pa.array(_texts(nbytes), pa.string())})


@row("text: ArrowDtype")
def _(nbytes: int) -> Any:
    import pandas as pd
    import pyarrow as pa

    array = pa.chunked_array([_texts(nbytes)], pa.large_string())
    return pd.Series(pd.arrays.ArrowExtensionArray(array))


@row("text: polars")
def _(nbytes: int) -> Any:
    import polars as pl

    return pl.Series(_texts(nbytes), dtype=pl.String)


row("text: numpy objects")(_texts)

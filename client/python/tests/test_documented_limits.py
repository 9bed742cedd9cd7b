"""What docs/python-types.md says is equal, but not exact: one check for each line of its list, by
how the line begins; and what it says is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import ROOT


def section() -> str:
    text = (ROOT / "docs" / "python-types.md").read_text()
    return text.partition("## What is exact")[2].partition("\n## ")[0]


def wide_text(client: Any) -> None:
    assert client.get(client.put(pa.array(["a"]))).type == pa.large_string()
    assert client.get(client.put({"in": pa.array(["a"])}))["in"].type == pa.string()
    assert type(client.get(client.put([b"a"]))[0]) is memoryview
    frame = pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])})
    assert client.get(client.put(frame))["a"].dtype == np.dtype("int64")


def bytes_in_a_dict(client: Any) -> None:
    assert type(client.get(client.put({"in": b"a"}))["in"]) is bytes


def names_of_a_map(client: Any) -> None:
    key = pa.field("k", pa.string(), nullable=False)
    kind = pa.map_(key, pa.field("v", pa.int64()))
    value = pa.array([[("a", 1)]], kind)
    assert client.get(client.put(value)).type.key_field.name == "k"
    got = client.get(client.put(pa.table({"m": value})))
    assert got.schema.field("m").type.key_field.name == "key"
    assert got["m"].to_pylist() == value.to_pylist()


def text_of_pandas_3(client: Any) -> None:
    """`test_crossed_libraries.py` reads what the other libraries wrote."""
    value = pd.Series(["a", None])
    assert client.get(client.put({"in": value}))["in"].dtype == value.dtype


class Tagged(np.ndarray):
    """An array that may have attributes."""


def attributes_of_arrays(client: Any) -> None:
    value: Any = np.arange(3).view(Tagged)
    value.tag = "x"
    got = client.get(client.put(value))
    assert type(got) is Tagged
    assert not hasattr(got, "tag")


LIMITS: dict[str, Callable[[Any], None]] = {
    "a bare `StringArray` of pyarrow": wide_text,
    "bytes inside a dict": bytes_in_a_dict,
    "own names of the key and value of a map": names_of_a_map,
    "pandas before 2.3": text_of_pandas_3,
    "attributes that a subclass of `numpy.ndarray` adds": attributes_of_arrays,
}


def test_every_line_has_its_check() -> None:
    lines = re.findall(r"^\* (.+)$", section(), re.MULTILINE)
    assert len(lines) == len(LIMITS)
    for line, begin in zip(lines, LIMITS, strict=True):
        assert line.startswith(begin)


@pytest.mark.parametrize("begin", LIMITS)
def test_it_is_equal_as_the_line_says(ipc_client, begin: str) -> None:
    LIMITS[begin](ipc_client)


def test_what_is_refused_is_refused_with_its_place(ipc_client) -> None:
    assert "value['a'][3]" in section()
    with pytest.raises(TypeError, match=r"at value\['a'\]\[3\]$"):
        ipc_client.put({"a": [1, 2, 3, (number for number in ())]})

"""Every type of docs/python-types.md comes back as it was put, over the Unix socket and TCP."""

from __future__ import annotations

import re

import numpy as np
import pytest
import vineyard
from conftest import ROOT
from data_cases import CASES
from data_equal import assert_same

LARGE_INTEGERS = [2**63, -(2**63) - 1, 2**64, 10**100, -(10**2000), 1 << 200_000]
FLOATS = [0.1, 1e300, 5e-324, -0.0, float("nan"), float("inf"), float("-inf")]


# They are made by functions, or by other languages, or the released client does not read them.
ROWS_WITH_A_TEST_OF_THEIR_OWN = {
    "GlobalDataFrame",
    "GlobalTensor",
    "Array",
    "Graph",
    "pandas.DataFrame wide",
}


def documented_rows() -> set[str]:
    """The rows of the types table: what is in its first column."""
    text = (ROOT / "docs" / "python-types.md").read_text()
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))


def test_every_row_of_the_types_table_has_a_case() -> None:
    rows = {row for row, _ in CASES.values()}
    assert rows | ROWS_WITH_A_TEST_OF_THEIR_OWN == documented_rows()


@pytest.mark.parametrize("name", CASES)
def test_a_value_comes_back_as_it_was_put(client, name: str) -> None:
    value = CASES[name][1]()
    assert_same(value, client.get(client.put(value)))


@pytest.mark.parametrize("name", CASES)
def test_what_was_got_can_be_put_again(ipc_client, name: str) -> None:
    value = CASES[name][1]()
    got = ipc_client.get(ipc_client.put(value))
    assert_same(value, ipc_client.get(ipc_client.put(got)))


@pytest.mark.parametrize("value", LARGE_INTEGERS, ids=lambda value: f"{value.bit_length()}bits")
def test_an_integer_of_any_size_comes_back(client, value: int) -> None:
    assert_same(value, client.get(client.put(value)))


@pytest.mark.parametrize("value", FLOATS)
def test_a_float_comes_back_to_the_last_bit(client, value: float) -> None:
    assert_same(value, client.get(client.put(value)))
    assert_same([value], client.get(client.put([value])))


@pytest.mark.parametrize("value", ["\ud800", "x" * 200_000, "\0", "\x7f\u2028"])
def test_any_text_comes_back(client, value: str) -> None:
    assert client.get(client.put(value)) == value


def test_bytes_above_127_equal_what_was_put(client) -> None:
    got = client.get(client.put(b"\xff\x00\x80"))
    assert got == b"\xff\x00\x80"
    assert list(got) == [255, 0, 128]


def test_an_array_of_another_language_is_a_numpy_array(ipc_client) -> None:
    numbers = np.arange(5, dtype="i4")
    meta = vineyard.ObjectMeta()
    meta["typename"] = "vineyard::Array<int>"
    meta["size_"] = 5
    meta.add_member("buffer_", ipc_client.get_meta(ipc_client.put(numbers.tobytes())))
    got = ipc_client.get(ipc_client.create_metadata(meta).id)
    assert_same(numbers, got)


def test_a_graph_of_another_language_reads_its_metadata(ipc_client) -> None:
    meta = vineyard.ObjectMeta()
    meta["typename"] = "vineyard::Graph<x>"
    meta["directed_"] = 1
    graph = ipc_client.get(ipc_client.create_metadata(meta).id)
    assert graph.attr("directed_") == 1
    with pytest.raises(KeyError):
        graph.attr("nope")


def test_polars_columns_that_arrow_cannot_carry_are_pickled(client):
    polars = pytest.importorskip("polars")
    series = polars.Series("wide", [1, -(2**100), None], polars.Int128)
    for value in (series, series.to_frame()):
        assert client.get(client.put(value)).equals(value)

"""The rows from 60 on of docs/python.md under *Fixed*: types of values that the released package
does not give back.
"""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from data_equal import assert_same


def comes_back(client: Any, value: Any) -> Any:
    got = client.get(client.put(value))
    assert_same(value, got)
    return got


@pytest.mark.parametrize("value", [0.1, 1e300, float("nan"), float("inf"), -0.0])
def test_fixed_60_floats_come_back_to_the_last_bit(client, value):
    comes_back(client, value)


@pytest.mark.parametrize("value", [2**63, 2**64 - 1, -(2**63) - 1, 10**40])
def test_fixed_61_any_int_comes_back(client, value):
    comes_back(client, value)


def test_fixed_62_bool_stays_bool(client):
    assert comes_back(client, True) is True
    assert comes_back(client, False) is False


def test_fixed_63_a_list_stays_a_list(client):
    comes_back(client, [1, [2], (3, [4])])


def test_fixed_64_bytes_structures_and_byte_order_come_back(client):
    comes_back(client, np.array([b"a", b"bc"]))
    comes_back(client, np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]))
    comes_back(client, np.arange(3, dtype=">i4"))


def test_fixed_65_arrays_of_text_keep_their_dtype(client):
    comes_back(client, np.array(["a", "bcd"]))


@pytest.mark.parametrize("kind", ["dok_matrix", "lil_matrix", "csr_array"])
def test_fixed_66_every_kind_of_sparse_matrix_comes_back(client, kind):
    comes_back(client, getattr(scipy.sparse, kind)(np.eye(3)))


def test_fixed_67_indexes_keep_their_kind(client):
    comes_back(client, pd.RangeIndex(3, name="r"))
    comes_back(client, pd.MultiIndex.from_product([[1, 2], ["a"]], names=["x", "y"]))
    comes_back(client, pd.date_range("2020", periods=3, tz="Asia/Tokyo"))
    comes_back(client, pd.Index([1], name=("a", 1)))


def test_fixed_68_series_keep_their_dtype(client):
    comes_back(client, pd.Series(["a", "b"], dtype="category"))
    comes_back(client, pd.Series([1, None], dtype="Int64"))
    comes_back(client, pd.Series(["a", None], dtype="string"))
    comes_back(client, pd.Series(pd.date_range("2020", periods=2, tz="UTC")))


def test_fixed_69_frames_keep_the_dtypes_of_their_columns(client):
    columns = {
        "c": pd.Categorical(["a", "b"]),
        "n": pd.array([1, None], dtype="Int64"),
        "t": pd.date_range("2020", periods=2),
    }
    assert "2020-01-02" in str(comes_back(client, pd.DataFrame(columns)))


def test_fixed_70_two_columns_of_one_name_stay_two(client):
    comes_back(client, pd.DataFrame([[1, 2.5]], columns=["a", "a"]))


def test_fixed_71_any_labels_come_back(client):
    comes_back(client, pd.DataFrame([[1, 2]], columns=pd.date_range("2020", periods=2)))
    labels = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])
    comes_back(client, pd.DataFrame([[1, 2]], columns=labels))


def test_fixed_72_sparse_arrays_of_both_indexes_come_back(client):
    comes_back(client, pd.arrays.SparseArray([1.0, np.nan, 2.0], kind="block"))


@pytest.mark.parametrize(
    "kind",
    [pa.float32(), pa.float16(), pa.date32(), pa.time64("us"), pa.timestamp("ns", "UTC")],
    ids=str,
)
def test_fixed_73_arrow_floats_and_times_come_back(client, kind):
    one = np.float16(1) if kind == pa.float16() else 1
    comes_back(client, pa.array([one, None], kind))


def test_fixed_74_arrow_bytes_and_decimals_come_back(client):
    comes_back(client, pa.array([b"a", None], pa.large_binary()))
    comes_back(client, pa.array([b"ab", None], pa.binary(2)))
    comes_back(client, pa.array([decimal.Decimal("1.5")], pa.decimal128(3, 1)))


def test_fixed_75_an_empty_table_comes_back(client):
    comes_back(client, pa.schema([("a", pa.int64()), ("b", pa.string())]).empty_table())


def test_fixed_76_the_schema_of_a_table_comes_back(client):
    comes_back(client, pa.table({"a": ["x", None], "b": [["y"], []]}))


def test_fixed_77_bytes_equal_what_was_put(client):
    assert client.get(client.put(b"\x00\x7f\x80\xff")) == b"\x00\x7f\x80\xff"


def test_fixed_78_lone_surrogates_and_planes_of_bytes_come_back(client):
    comes_back(client, "\ud800")
    plane = memoryview(bytes(range(6))).cast("B", (2, 3))
    assert client.get(client.put(plane)) == bytes(range(6))


def test_fixed_79_an_array_in_a_dict_is_a_view(ipc_client):
    object_id = ipc_client.put({"a": np.arange(1000)})
    one, other = ipc_client.get(object_id)["a"], ipc_client.get(object_id)["a"]
    assert np.shares_memory(one, other)

"""Values that are got are read-only views of the shared memory, which stays while they exist."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from vineyard._C import ObjectNotExistsException
from vineyard.core.builder import get_current_builders

ROWS = 4096


def frame() -> pd.DataFrame:
    zoned = pd.date_range("2020", periods=ROWS, tz="UTC").array
    return pd.DataFrame(
        {
            "a": np.arange(ROWS),
            "z": zoned,
            "c": pd.Categorical.from_codes(np.zeros(ROWS, "i1"), ["x"]),
            "n": pd.array(np.arange(ROWS), dtype="Int64"),
        }
    )


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def addresses(value: Any) -> dict[str, int]:
    """The addresses of the bytes of a value, by part."""
    if isinstance(value, np.ndarray):
        return {"array": address(value)}
    if isinstance(value, dict):
        return {key: address(item) for key, item in value.items()}
    if isinstance(value, pd.Series):
        return {"series": address(value.to_numpy())}
    if isinstance(value, pd.DataFrame):
        return {
            "a": address(value["a"].to_numpy()),
            "z": address(value["z"].array.view("i8")),
            "c": address(value["c"].array.codes),
        }
    if isinstance(value, pl.DataFrame):
        return {name: address(value[name].to_numpy()) for name in value.columns}
    if isinstance(value, pa.Table):
        return {name: value[name].chunk(0).buffers()[1].address for name in value.column_names}
    return {"arrow": value.buffers()[1].address}


VALUES = {
    "array": lambda: np.arange(ROWS),
    "fortran": lambda: np.asfortranarray(np.ones((64, 64))),
    "dates": lambda: np.arange(ROWS).astype("M8[ns]"),
    "pickled": lambda: {"x": np.arange(ROWS), "y": np.ones(ROWS)},
    "series": lambda: pd.Series(np.arange(float(ROWS))),
    "frame": frame,
    "arrow": lambda: pa.array(range(ROWS)),
    "table": lambda: pa.table({"x": range(ROWS), "y": np.ones(ROWS)}),
    "polars": lambda: pl.DataFrame({"x": range(ROWS), "y": np.ones(ROWS)}),
}


@pytest.mark.parametrize("name", VALUES)
def test_two_gets_share_the_address_of_the_arena(ipc_client, name: str) -> None:
    object_id = ipc_client.put(VALUES[name]())
    one, other = ipc_client.get(object_id), ipc_client.get(object_id)
    assert addresses(one) == addresses(other)


@pytest.mark.parametrize("name", ["array", "dates", "arrow", "table"])
def test_a_view_begins_where_its_blob_does(ipc_client, name: str) -> None:
    got = ipc_client.get(ipc_client.put(VALUES[name]()))
    for at in addresses(got).values():
        assert ipc_client.find_shared_memory(at) is not None


@pytest.mark.parametrize("name", VALUES)
def test_a_view_stays_valid_after_everything_else_is_gone(fresh_client, name: str) -> None:
    value = VALUES[name]()
    object_id = fresh_client.put(value)
    got = fresh_client.get(object_id)
    fresh_client.delete(object_id)
    gc.collect()
    for _ in range(8):
        fresh_client.put(np.full(ROWS * 4, -1))
    expected = VALUES[name]()
    if isinstance(expected, dict):
        assert all((got[key] == expected[key]).all() for key in expected)
    elif isinstance(expected, np.ndarray):
        assert (got == expected).all()
    else:
        assert got.equals(expected)


@pytest.mark.parametrize("name", ["array", "fortran", "dates"])
def test_writing_to_an_array_raises(client, name: str) -> None:
    got = client.get(client.put(VALUES[name]()))
    with pytest.raises(ValueError, match="read-only"):
        got[0] = got[1]


def test_writing_to_a_pickled_array_a_column_or_bytes_raises(client) -> None:
    with pytest.raises(ValueError, match="read-only"):
        client.get(client.put(VALUES["pickled"]()))["x"][0] = 1
    with pytest.raises(ValueError, match="read-only"):
        client.get(client.put(VALUES["frame"]()))["a"].to_numpy()[0] = 1
    with pytest.raises(TypeError):
        client.get(client.put(b"abc"))[0] = 1


@pytest.mark.parametrize("name", ["array", "dates", "arrow", "table"])
def test_putting_a_view_again_links_its_blob(ipc_client, name: str) -> None:
    got = ipc_client.get(ipc_client.put(VALUES[name]()))
    before = ipc_client.status.memory_usage
    again = ipc_client.get(ipc_client.put(got))
    assert ipc_client.status.memory_usage == before
    assert addresses(again) == addresses(got)


@pytest.mark.parametrize("kind", ["i8", "f8", "M8[ns]", "m8[ns]"])
def test_putting_an_index_again_links_its_blob(ipc_client, kind: str) -> None:
    got = ipc_client.get(ipc_client.put(pd.Index(np.arange(ROWS).astype(kind))))
    before = ipc_client.status.memory_usage
    again = ipc_client.get(ipc_client.put(got))
    assert ipc_client.status.memory_usage == before
    assert address(again.to_numpy()) == address(got.to_numpy())


def test_a_part_of_a_view_is_copied(ipc_client) -> None:
    got = ipc_client.get(ipc_client.put(np.arange(ROWS)))
    assert ipc_client.get(ipc_client.put(got[: ROWS // 2])).tolist() == list(range(ROWS // 2))


def test_a_view_whose_blob_was_deleted_can_be_put(ipc_client) -> None:
    object_id = ipc_client.put(np.arange(ROWS))
    got = ipc_client.get(object_id)
    ipc_client.delete(object_id)
    assert (ipc_client.get(ipc_client.put(got)) == np.arange(ROWS)).all()


def test_a_slice_of_an_arrow_array_leaves_the_rest_behind(ipc_client) -> None:
    before = ipc_client.status.memory_usage
    ipc_client.put(pa.array(range(1_000_000))[500_000:500_100])
    assert ipc_client.status.memory_usage - before < 10_000


class Counting:
    """A client that counts the bytes it sends."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.trees = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _put_tree(self, *arguments: Any) -> Any:
        self.trees += 1
        return self._client._put_tree(*arguments)


@pytest.mark.parametrize(
    "value",
    [[1, (2, [np.arange(3)]), {"a": 1}], frame(), pa.table({"x": ["a"], "y": [[1]]})],
    ids=["list", "frame", "table"],
)
def test_one_put_is_one_tree(ipc_client, value: Any) -> None:
    counting = Counting(ipc_client)
    get_current_builders().run(counting, value)
    assert counting.trees == 1


@pytest.fixture
def fresh_client(fresh_node):
    import vineyard

    client = vineyard.connect(fresh_node.socket)
    yield client
    client.close()


def test_memory_returns_to_its_start(fresh_client, fresh_node) -> None:
    before = fresh_client.status.memory_usage
    for make in VALUES.values():
        object_id = fresh_client.put(make())
        got = fresh_client.get(object_id)
        again = fresh_client.put(got)
        del got
        fresh_client.delete(again)
        fresh_client.delete(object_id)
    gc.collect()
    assert fresh_client.status.memory_usage == before
    fresh_node.assert_all_is_free()


def test_a_value_whose_bytes_were_deleted_says_so(client) -> None:
    object_id = client.put(np.arange(1000))
    blob_id = client.get_meta(object_id)["buffer_"].id
    client.delete(blob_id)
    with pytest.raises(ObjectNotExistsException, match=f"{blob_id!r}.*(deleted|has none)"):
        client.get(object_id)
    client.delete(object_id)

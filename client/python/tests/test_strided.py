"""Arrays whose bytes do not lie together, or not in C order: alone, and inside other values."""

from __future__ import annotations

import numpy as np
import pytest
from data_equal import assert_same
from vineyard.data.pickle import PickledReader, PickledWriter

SEEDS = 60
DTYPES = ["i1", "i2", "f4", "f8", "c16", "M8[s]", "S3", "U2", "?", ">i4", "V5", "f2", "g"]
STRUCTURED = [("a", "i1"), ("b", "f8", (2,)), ("c", "S3")]


def strided(generator: np.random.Generator, dtype: object) -> np.ndarray:
    """A view with random steps, order of axes and axes of one item."""
    dtype = np.dtype(dtype)
    shape = generator.integers(1, 7, generator.integers(1, 5)) * 2
    content = generator.bytes(int(np.prod(shape)) * dtype.itemsize)
    if dtype.kind == "?" or dtype.kind == "b":
        whole = (np.frombuffer(content, "u1") % 2).view(dtype).reshape(shape)
    elif dtype.kind == "U":
        whole = np.frombuffer(content, "u4").astype("u1").astype("u4").view(dtype).reshape(shape)
    else:
        whole = np.frombuffer(content, dtype).reshape(shape)
    steps = tuple(
        slice(generator.integers(0, 2), None, int(generator.choice([-2, -1, 1, 2])))
        for _ in range(whole.ndim)
    )
    view = whole[steps].transpose(generator.permutation(whole.ndim))
    if generator.integers(0, 3) == 0:
        view = np.broadcast_to(view, (3, *view.shape))
    return view


def same(put: np.ndarray, got: np.ndarray) -> None:
    assert (got.dtype, got.shape) == (put.dtype, put.shape)
    assert got.tobytes() == put.tobytes()
    assert not got.flags.writeable


@pytest.mark.parametrize("dtype", [*DTYPES, STRUCTURED], ids=str)
def test_a_view_comes_back(client, dtype):
    for seed in range(SEEDS):
        value = strided(np.random.default_rng(seed), dtype)
        if value.dtype.kind != "U" or value.ndim > 1:
            same(value, client.get(client.put(value)))
        got = client.get(client.put({"a": value, "b": [value, 1], "c": value[..., :0]}))
        same(value, got["a"])
        assert got["b"][0] is got["a"]
        assert got["c"].shape == value[..., :0].shape


@pytest.mark.parametrize("step", [-1, 2, 3])
def test_large_views_come_back(client, step):
    value = np.arange(3 << 19).reshape(-1, 3, 64)[::step, ::-1]
    object_id = client.put([value, {"a": value.transpose(2, 0, 1)}])
    got = client.get(object_id)
    client.delete(object_id)
    assert (got[0] == value).all()
    assert (got[1]["a"] == value.transpose(2, 0, 1)).all()


def test_a_put_with_a_bar_sends_pieces_too(rpc_client, capsys):
    pytest.importorskip("tqdm")
    value = {"a": np.arange(1 << 18)[::2], "b": np.arange(1 << 18), "c": memoryview(b"ab")[::-1]}
    got = rpc_client.get(rpc_client.put([value, np.ones(3)], progress=True), progress=False)[0]
    assert (got["a"] == value["a"]).all()
    assert (got["b"] == value["b"]).all()
    assert got["c"] == b"ba"
    assert "put" in capsys.readouterr().err


def test_views_of_bytes_come_back(client):
    content = bytes(range(256)) * 1000
    for view in (memoryview(content)[::-1], memoryview(content).cast("B", (1000, 256))[::3]):
        assert bytes(client.get(client.put(view))) == view.tobytes()
        assert client.get(client.put({"a": view}))["a"].tobytes() == view.tobytes()


def test_blocks_of_a_pickle_have_views_too():
    value = {"a": np.arange(1000)[::-3], "b": memoryview(b"abcdef")[::2]}
    reader = PickledReader(value)
    writer = PickledWriter(reader.store_size)
    while block := reader.read(100):
        writer.write(block)
    writer.close()
    assert_same(value["a"], writer.value["a"])
    assert writer.value["b"] == value["b"]


def test_a_view_is_read_as_it_was_by_a_client_without_pickles(node):
    import vineyard

    refusing = vineyard.connect(node.socket, pickle="refuse")
    value = np.arange(1000.0)[::-3]
    same(value, refusing.get(refusing.put(value)))
    same(value, refusing.get(refusing.put({"a": value}))["a"])

"""Text that is made, or lies, in several Arrow arrays: stored as one without joining them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from data_equal import assert_same
from vineyard.data import strings


@pytest.fixture
def short_chunks(monkeypatch):
    """Arrays of numpy are made into text three items at a time."""
    monkeypatch.setattr(strings, "_CHUNK_ITEMS", 3)


TEXTS = ["", "a", "é", "longer than the others", "", "", "", "x" * 100, "\0", "z"]


@pytest.mark.parametrize("size", [1, 3, 4, 6, 7, 10])
def test_arrays_of_text_come_back(client, short_chunks, size):
    texts = TEXTS[:size]
    for value in (
        np.array(texts),
        np.array(texts, object),
        np.array(texts * 2)[::2],
        np.array(texts * 2, object)[::-2],
    ):
        assert_same(value, client.get(client.put(value)))
    assert_same(pd.Series(texts, dtype=object), client.get(client.put(pd.Series(texts, dtype="O"))))


def test_arrays_that_are_not_all_text_come_back(client, short_chunks):
    for odd in (None, 1, "\ud800", np.str_("a")):
        value = np.array([*TEXTS, odd, "after"], object)
        got = client.get(client.put(value))
        assert got.tolist() == value.tolist()
        assert list(map(type, got)) == list(map(type, value))


CHUNKS = {
    "none": [],
    "empty": [[]],
    "one": [["a", None]],
    "two": [["a", None, "é"], ["b"]],
    "with empty ones": [[], ["a"], [], [""], [], [None] * 9, ["z", None]],
    "without nulls": [["a"], ["b", "cc"], ["", ""]],
}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
@pytest.mark.parametrize("name", CHUNKS)
def test_pandas_text_in_chunks_comes_back(client, name, kind):
    chunks = [pa.array(chunk, kind) for chunk in CHUNKS[name]]
    sliced = [pa.array(["before", *chunk, "after"], kind)[1:-1] for chunk in CHUNKS[name]]
    for arrays in (chunks, sliced, chunks + sliced):
        array = pd.arrays.ArrowStringArray(pa.chunked_array(arrays, kind))
        for value in (pd.Series(array), pd.DataFrame({"a": array})):
            assert_same(value, client.get(client.put(value)))


def test_long_arrays_of_text_come_back(client):
    texts = np.array([f"{at}é" for at in range(200_000)], object)
    for value in (texts, texts.astype("U")):
        got = client.get(client.put(value))
        assert (got == value).all()
        assert got.dtype == value.dtype

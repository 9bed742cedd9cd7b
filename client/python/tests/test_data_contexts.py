"""Values of the user's own types inside values of ours, and global objects."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vineyard
from data_equal import assert_same
from vineyard.core import builder_context, resolver_context
from vineyard.data.dataframe import NDArrayArray, make_global_dataframe
from vineyard.data.tensor import make_global_tensor


class Point:
    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y


def build_point(client: Any, value: Point, builder: Any) -> Any:
    meta = vineyard.ObjectMeta()
    meta["typename"] = "test::Point"
    meta.add_member("both", builder.run(client, (value.x, value.y)))
    return client.create_metadata(meta)


def resolve_point(obj: Any, resolver: Any) -> Point:
    return Point(*resolver.run(obj.member("both")))


def test_a_foreign_builder_and_resolver_serve_the_items_of_a_list(client) -> None:
    with builder_context({Point: build_point}), resolver_context({"test::Point": resolve_point}):
        first, (second, third) = client.get(client.put([Point(1, 2), (Point(3, 4), 5)]))
    assert (first.x, first.y, second.x, second.y, third) == (1, 2, 3, 4, 5)


def test_a_resolver_of_a_context_serves_the_columns_of_a_frame(client) -> None:
    object_id = client.put(pd.DataFrame({"a": [1.0, 2.0]}))
    with resolver_context({"vineyard::Tensor": lambda obj: np.zeros(2)}):
        assert client.get(object_id)["a"].tolist() == [0, 0]


def test_ids_and_metadata_in_a_list_are_linked(client) -> None:
    number = client.put(7)
    assert client.get(client.put([number, client.get_meta(number)])) == [7, 7]


def test_a_global_frame_gives_the_list_of_its_partitions(client) -> None:
    frames = [pd.DataFrame({"a": [at]}) for at in range(3)]
    meta = make_global_dataframe(client, [client.put(one) for one in frames], {"note": "x"})
    assert meta["note"] == "x"
    assert meta["partition_shape_row_"] == 3
    assert client.get_meta(meta.id).isglobal
    assert_same(frames, client.get(meta.id))


def test_a_global_tensor_is_an_object_with_its_shape(client) -> None:
    blocks = [client.put(np.ones((2, 2))) for _ in range(2)]
    meta = make_global_tensor(client, blocks, shape=(4, 2), partition_shape=(2, 1))
    assert (meta["shape_"], meta["partition_shape_"]) == ("[4, 2]", "[2, 1]")
    got = client.get_object(meta.id)
    assert got.typename == "vineyard::GlobalTensor"
    assert got.isglobal


def test_a_column_of_arrays_comes_back(client) -> None:
    rows = np.arange(12.0).reshape(4, 3)
    got = client.get(client.put(pd.DataFrame({"data": NDArrayArray(rows), "label": range(4)})))
    assert got.shape == (4, 2)
    assert (got["data"].array.to_numpy() == rows).all()


def test_a_subclass_comes_back_as_itself(client) -> None:
    value = np.ma.array([1, 2], mask=[False, True])
    got = client.get(client.put(value))
    assert type(got) is np.ma.MaskedArray
    assert got.tolist() == [1, None]


def test_what_cannot_be_pickled_says_so(client) -> None:
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        client.put(item for item in ())


def test_values_of_the_language_need_no_library(node) -> None:
    script = f"""
import sys, vineyard
client = vineyard.connect({node.socket!r})
for value in (1, 1.5, True, "x", b"x", None, (1,), [1], {{"a": 1}}, {{1}}):
    client.get(client.put(value))
libraries = ("numpy", "pandas", "polars", "pyarrow", "scipy")
print([name for name in libraries if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

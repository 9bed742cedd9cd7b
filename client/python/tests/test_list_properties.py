"""Lists of as many items as decide how they are stored, with repeats, links and cycles, come back
as they were put, and what was one object is one object.

`VINEYARD_EXAMPLES` says how many examples are tried, 200 without it. A failure prints the example;
`pytest --hypothesis-seed=SEED` repeats it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vineyard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

many = settings(
    max_examples=int(os.environ.get("VINEYARD_EXAMPLES", "200")),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

LINKED = "what is linked"
SIZES = (0, 1, 2, 8, 9, 10, 11, 63, 64, 65, 66, 199, 200, 201, 202)
LARGE = 64 * 1024

# Items without others in them, new at each call. The client puts what is to be linked.
ITEMS: dict[str, Callable[[Any], Any]] = {
    "int": lambda client: 2**70,
    "none": lambda client: None,
    "text": lambda client: "some text",
    "long text": lambda client: "long " * LARGE,
    "bytes": lambda client: bytes([1, 2, 3]),
    "large bytes": lambda client: bytes(LARGE),
    "array": lambda client: np.arange(5),
    "large array": lambda client: np.arange(LARGE // 8),
    "got array": lambda client: client.get(client.put(np.arange(7))),
    "got frame": lambda client: client.get(client.put(pd.DataFrame({"a": np.arange(7)}))),
    "frame": lambda client: pd.DataFrame({"a": [1, 2]}),
    "dict": lambda client: {"a": [1, np.arange(3)]},
    "short list": lambda client: [1, "a"],
    "list of an array": lambda client: [np.arange(3)],
    "link": lambda client: client.put(LINKED),
}
# What fills a list up: items that are different objects.
FILLERS: dict[str, Callable[[int], Any]] = {
    "ints": lambda at: at,
    "texts": lambda at: f"text {at}",
    "bytes": lambda at: b"bytes %d" % at,
    "arrays": lambda at: np.array([at]),
    "lists": lambda at: [at],
}
# How a list gets into itself.
CYCLES: dict[str, Callable[[list], Any]] = {
    "itself": lambda value: value,
    "dict": lambda value: {"up": value},
    "tuple": lambda value: (value,),
    "list": lambda value: [[value]],
}


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, Any]:
    """What a value is made of: names of items, which of them each list has, and their sizes."""
    names = draw(st.lists(st.sampled_from(sorted(ITEMS)), max_size=4))
    chosen = st.lists(st.integers(0, 9), max_size=6)
    one = st.tuples(st.sampled_from(SIZES), st.sampled_from(sorted(FILLERS)), chosen, st.booleans())
    return {
        "names": names,
        "lists": draw(st.lists(one, min_size=1, max_size=4)),
        "cycle": None if "link" in names else draw(st.none() | st.sampled_from(sorted(CYCLES))),
    }


def made(client: Any, recipe: dict[str, Any]) -> list:
    """The value of a recipe. Each list may have items of all, and the lists made before."""
    items = [ITEMS[name](client) for name in recipe["names"]]
    value: list = []
    for size, filler, chosen, is_tuple in recipe["lists"]:
        inside = [items[at % len(items)] for at in chosen if items]
        value = inside + [FILLERS[filler](at) for at in range(size - len(inside))]
        items.append(tuple(value) if is_tuple else value)
    if recipe["cycle"] is not None:
        value.append(CYCLES[recipe["cycle"]](value))
    return value


def shape(value: Any, seen: dict[int, int]) -> Any:
    """The value as text and tuples, with a number for each object that is not plain, the same
    wherever it occurs.
    """
    if isinstance(value, vineyard.ObjectID):
        return LINKED
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, bytes | memoryview):
        # Python has some short bytes once, and a get may give views.
        return bytes(value)
    if isinstance(value, tuple):
        return "tuple", tuple(shape(item, seen) for item in value)
    if id(value) in seen:
        return "seen", seen[id(value)]
    number = seen[id(value)] = len(seen)
    if isinstance(value, list):
        return "list", number, tuple(shape(item, seen) for item in value)
    if isinstance(value, dict):
        return "dict", number, tuple((key, shape(item, seen)) for key, item in value.items())
    return type(value).__name__, number, repr(value)


@many
@given(recipe=recipes())
def test_lists_around_the_bounds_come_back(ipc_client, recipe) -> None:
    value = made(ipc_client, recipe)
    expected = shape(value, {})
    object_ids = [ipc_client.put(value)]
    got = ipc_client.get(object_ids[0])
    assert shape(got, {}) == expected
    assert shape(ipc_client.get(object_ids[0], copy=True), {}) == expected
    object_ids.append(ipc_client.put(got))
    assert shape(ipc_client.get(object_ids[1]), {}) == expected
    if "link" not in recipe["names"]:
        object_ids.append(ipc_client.put({"in": value}))
        assert shape(ipc_client.get(object_ids[2])["in"], {}) == expected
    ipc_client.delete(object_ids)


def test_the_shape_tells_one_object_from_two() -> None:
    array = np.arange(3)
    assert shape([array, [array]], {}) != shape([array, [array.copy()]], {})
    with pytest.raises(AssertionError):
        assert shape([array], {}) == shape([array + 1], {})

"""Lists and tuples: pickled whole, or one member for each item; what they cost; cycles."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vineyard
import yaml
from counting import calls
from data_equal import assert_same
from vineyard.core.builder import get_current_builders
from vineyard.data.sequences import StoredList

# A pickle has a blob besides, which takes some calls more than an int.
MORE_CALLS = 12
SEQUENCE, PICKLE = "vineyard::Sequence", "vineyard::PickleBuffer"


def nested(levels: int) -> list:
    value: list = ["inside"]
    for _ in range(levels):
        value = [value]
    return value


def typename(client: Any, value: Any) -> str:
    return client.get_meta(client.put(value)).typename


def test_lists_of_many_levels_come_back(client):
    for levels in (8, 9, 10, 58, 59, 60, 61, 150, 300):
        assert client.get(client.put(nested(levels))) == nested(levels)


def test_lists_of_many_items_come_back(client):
    for value in (list(range(300_000)), [list(range(100))] * 200, ((1.5,),) * 6000):
        got = client.get(client.put(value))
        assert got == value
        assert type(got) is type(value)


PLAIN = {
    "ints": lambda size: list(range(size)),
    "floats": lambda size: [at / 3 for at in range(size)],
    "texts": lambda size: [f"text {at}" for at in range(size)],
    "nones": lambda size: [None] * size,
    "tuple": lambda size: tuple(range(size)),
    "mixed": lambda size: [(at, "a", None, 0.5, 2**70, True, "é")[at % 7] for at in range(size)],
}


@pytest.mark.parametrize("kind", PLAIN)
def test_up_to_nine_plain_items_are_members_and_more_are_one_pickle(client, kind):
    for size in (0, 1, 9, 10, 100, 9_999, 10_001):
        value = PLAIN[kind](size)
        object_id = client.put(value)
        assert client.get_meta(object_id).typename == (SEQUENCE if size < 10 else PICKLE)
        assert_same(value, client.get(object_id))


@pytest.mark.parametrize("kind", PLAIN)
def test_row_5_plain_items_are_one_pickle_whatever_their_number(ipc_client, kind):
    """What it costs is in docs/benchmarks.md, by `cargo xtask values`."""
    costs = set()
    for size in (10, 100, 999, 1_000):
        value = PLAIN[kind](size)
        # The first put and get of a kind load what they need.
        object_id = ipc_client.put(value)
        assert_same(value, ipc_client.get(object_id))
        put_calls = calls(lambda value=value: ipc_client.put(value))
        get_calls = calls(lambda object_id=object_id: ipc_client.get(object_id))
        costs.add((put_calls, get_calls))
    assert len(costs) == 1, "calls grow with the number of items"
    put_calls, get_calls = costs.pop()
    one = ipc_client.put(1)
    assert put_calls <= calls(lambda: ipc_client.put(1)) + MORE_CALLS
    assert get_calls <= calls(lambda: ipc_client.get(one)) + MORE_CALLS


def test_row_1_one_array_many_times_is_stored_once_and_is_one_object(client):
    array = np.ones(1 << 15)
    for value in ([array] * 3, [array] * 1000, tuple([array] * 100), [[array], array, (array,)]):
        before = client.status.memory_usage
        object_id = client.put(value)
        assert client.status.memory_usage - before < 2 * array.nbytes
        got = client.get(object_id)
        assert_same(value, got)
        client.delete(object_id)
    got = client.get(client.put([array] * 1000))
    assert all(item is got[0] for item in got)
    few = client.get(client.put([array, "between", array]))
    assert few[0] is few[2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: pd.DataFrame({"a": np.arange(5.0)}),
        lambda: pa.table({"a": [1, 2]}),
        lambda: {"a": np.arange(5)},
        lambda: [np.arange(5)],
        lambda: collections.Counter("abc"),
    ],
    ids=["frame", "table", "dict", "list", "counter"],
)
def test_any_item_many_times_is_one_object(client, make):
    item = make()
    for count in (2, 100):
        got = client.get(client.put([item] * count))
        assert len(got) == count
        assert all(one is got[0] for one in got)
        assert_same(item, got[0])


def test_arrays_in_a_long_list_are_views(ipc_client):
    object_id = ipc_client.put([np.arange(100)] * 20_000)
    assert np.shares_memory(ipc_client.get(object_id)[0], ipc_client.get(object_id)[0])


def test_large_items_are_members_and_small_ones_one_pickle(ipc_client):
    large = [np.full(1 << 14, at) for at in range(100)]
    assert typename(ipc_client, large) == SEQUENCE
    assert typename(ipc_client, [*large, *range(64)]) == SEQUENCE
    assert typename(ipc_client, [*large, *range(65)]) == PICKLE
    assert typename(ipc_client, [np.full(8, at) for at in range(64)]) == SEQUENCE
    assert typename(ipc_client, [np.full(8, at) for at in range(65)]) == PICKLE
    assert typename(ipc_client, [bytes([at]) * 70_000 for at in range(100)]) == SEQUENCE
    assert typename(ipc_client, [bytes([at]) for at in range(100)]) == PICKLE


@pytest.mark.parametrize("count", [2, 100, 1000])
def test_items_that_live_in_the_store_are_linked(ipc_client, count):
    parts = [ipc_client.get(ipc_client.put(np.full(100, at))) for at in range(count)]
    frames = [ipc_client.get(ipc_client.put(pd.DataFrame({"a": np.arange(100)})))] * count
    for value in (parts, [parts[0]] * count, [{"a": 1}, *parts], frames, [frames, parts]):
        before = ipc_client.status.memory_usage
        got = ipc_client.get(ipc_client.put(value))
        assert ipc_client.status.memory_usage - before < 1000
        assert_same(value, got)
    same = ipc_client.get(ipc_client.put([parts[0]] * count))
    assert all(item is same[0] for item in same)


def test_items_whose_blobs_were_deleted_are_copied(ipc_client):
    object_ids = [ipc_client.put(np.full(100, at)) for at in range(100)]
    parts = [ipc_client.get(object_id) for object_id in object_ids]
    ipc_client.delete(object_ids)
    assert_same(parts, ipc_client.get(ipc_client.put(parts)))


def test_a_list_that_contains_itself_comes_back(client):
    for width in (1, 3, 100):
        value: list = [1]
        value += [value] * width
        got = client.get(client.put(value))
        assert got[0] == 1
        assert all(item is got for item in got[1:])


class Holder:
    def __init__(self, inside: Any) -> None:
        self.inside = inside


def through_objects(value: Any) -> np.ndarray:
    array = np.empty(1, object)
    array[0] = value
    return array


CYCLES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "dict": (lambda value: {"up": value}, lambda item: item["up"]),
    "attribute": (Holder, lambda item: item.inside),
    "tuple": (lambda value: (value,), lambda item: item[0]),
    "list": (lambda value: [value], lambda item: item[0]),
    "array": (through_objects, lambda item: item[0]),
    "frame": (lambda value: pd.DataFrame({"a": through_objects(value)}), lambda item: item["a"][0]),
}


@pytest.mark.parametrize("through", CYCLES)
def test_row_29_a_list_that_reaches_itself_comes_back(ipc_client, through):
    wrap, unwrap = CYCLES[through]
    stored = ipc_client.get(ipc_client.put(np.arange(100)))
    for beside in ([], [1] * 100, [np.arange(9)], [stored]):
        value: list = [*beside]
        value.append(wrap(value))
        got = ipc_client.get(ipc_client.put(value))
        assert unwrap(got[-1]) is got
        assert len(got) == len(value)
        inner = ipc_client.get(ipc_client.put([stored, value]))[1]
        assert unwrap(inner[-1]) is inner


def test_a_cycle_with_an_object_that_must_be_linked_is_refused(ipc_client):
    value: list = [ipc_client.put("part")]
    value.append({"up": value})
    with pytest.raises(ValueError, match="contains itself"):
        ipc_client.put(value)
    value[1] = value
    with pytest.raises(ValueError, match="contains itself"):
        ipc_client.put(value)


def test_a_long_list_of_ids_links_them(client):
    part = client.put("part")
    other = client.put("other")
    object_id = client.put([part] * 12_000 + [other, vineyard.ObjectID(int(part))])
    meta = client.get_meta(object_id)
    assert meta.typename == SEQUENCE
    assert client.get(object_id) == ["part"] * 12_000 + ["other", "part"]


def test_plain_items_beside_a_linked_one_are_one_pickle(client):
    part = client.put("part")
    object_id = client.put([part, list(range(5_000))])
    assert client.get(object_id) == ["part", list(range(5_000))]
    assert client.get_meta(object_id)["__elements_-1"].typename == PICKLE


def test_a_builder_of_ones_own_is_asked_in_a_long_list(client):
    class Mine:
        pass

    with vineyard.builder_context({Mine: lambda client, value: client.put("mine")}):
        object_id = client.put([[Mine()], *range(11_000)])
    assert client.get(object_id)[0] == ["mine"]


def test_a_list_that_is_got_is_a_list_and_can_be_put_again(client):
    for size in (3, 100):
        got = client.get(client.put(list(range(size))))
        assert isinstance(got, list)
        again = client.get(client.put([got, {"in": got}]))
        assert again == [list(range(size)), {"in": list(range(size))}]
        assert again[0] is again[1]["in"]


def test_row_33_a_list_that_is_got_can_be_made_plain(client):
    """For libraries that take no subclass of list."""
    got = client.get(client.put([1, "a"]))
    assert type(list(got)) is list
    assert yaml.safe_dump(list(got)) == yaml.safe_dump([1, "a"])


def test_a_list_that_another_thread_changes_is_put_as_it_was_at_some_time(client):
    class Growing(list):
        """Stands for the other thread: asking for an item's builder makes the list longer."""

    value: list = [np.arange(3), "a"]

    def describe_and_grow(client_: Any, item: Any) -> Any:
        value.append("later")
        return client.put("grown")

    value.append(Growing())
    with vineyard.builder_context({Growing: describe_and_grow}):
        got = client.get(client.put(value))
    assert got[1:] == ["a", "grown"]


def test_one_put_of_a_list_is_one_tree(ipc_client):
    trees = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(ipc_client, name)

        def _put_tree(self, *arguments: Any) -> Any:
            trees.append(arguments)
            return ipc_client._put_tree(*arguments)

    cycle: list = [np.arange(3)]
    cycle.append({"up": cycle})
    for value in ([np.arange(3), {"a": 1}], cycle, [pd.Series([1]), (1, 2)]):
        get_current_builders().run(Counting(), value)
    assert len(trees) == 3
    # What was described before the cycle was found is not sent.
    assert len(trees[1][1]) == 1


def test_an_item_beside_a_link_is_stored_once_and_is_one_object(client):
    array = np.ones(1 << 15)
    text = "x" * array.nbytes
    links = (lambda: client.put("part"), lambda: client.get(client.put(np.arange(100))))
    for make_link in links:
        for one in (array, text, [array], (array, 1), [array, *range(100)]):
            for inside in (
                [one, [one]],
                [[one], one, one],
                [[one] for _ in range(50)],
                [[one, *range(100)] for _ in range(5)],
                [((one,), [[one]]), [[[(one, "a")]]]],
            ):
                value = [make_link(), *inside]
                before = client.status.memory_usage
                object_id = client.put(value)
                assert client.status.memory_usage - before < 2 * array.nbytes
                found = leaves_of(client.get(object_id))
                assert len(found) > 1
                assert all(item is found[0] for item in found)
                client.delete(object_id)


def leaves_of(value: Any) -> list[Any]:
    """The long arrays and texts on all levels."""
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves_of(item)]
    return [value] if isinstance(value, np.ndarray | str) and len(value) > 1000 else []


def test_a_sequence_beside_a_link_is_one_object(client):
    part = client.put("part")
    for inner in ([1, 2], [part], [np.arange(3)], [{"a": 1}], list(range(100))):
        got = client.get(client.put([part, inner, [inner, inner], (0, [inner])]))
        assert got[1] is got[2][0] is got[2][1] is got[3][1][0]
    got = client.get(client.put([part, [part], [[part]]]))
    assert got == ["part", ["part"], [["part"]]]


def test_items_of_a_linked_list_are_not_taken_for_those_of_the_list_around_it(client):
    part = client.put("part")
    shared, other = np.arange(4), np.arange(5)
    inner = client.put([part, shared, [shared]])
    got = client.get(client.put([inner, other, [other], inner, [inner]]))
    assert got[0][1] is got[0][2][0]
    assert got[1] is got[2][0]
    assert_same([shared, other], [got[0][1], got[1]])


def test_the_types_that_come_back_are_those_that_the_documentation_says(client):
    for size in (1, 9, 10, 11, 200, 201):
        kind = type(client.get(client.put(list(range(size)))))
        assert kind is (StoredList if size <= 9 else list)
    for size in (1, 9, 10, 64, 65, 200, 201):
        distinct = [b"bytes %d" % at for at in range(size)]
        got = client.get(client.put(distinct))
        assert {type(item) for item in got} == {memoryview if size <= 64 else bytes}
        assert type(got) is (StoredList if size <= 64 else list)


def test_lists_that_double_beside_a_link_do_not_get_members_for_each_place(client):
    part = client.put("part")
    levels: list = [[np.arange(3)]]
    for _ in range(30):
        levels.append([levels[-1]] * 2)
    got = client.get(client.put([part, levels[-1]]))[1]
    assert got[0] is got[1]
    assert client.get(client.put([part, *levels]))[-1][0][1] is not None
    twice = np.arange(3)
    object_id = client.put([part, [twice, twice, *range(100)]])
    assert client.get_meta(object_id)["__elements_-1"].typename == PICKLE

"""Lists that are too large for a tree: with many items, many levels, or with themselves inside."""

from __future__ import annotations

import numpy as np
import vineyard


def nested(levels: int) -> list:
    value: list = ["inside"]
    for _ in range(levels):
        value = [value]
    return value


def test_lists_of_many_levels_come_back(client):
    for levels in (58, 59, 60, 61, 150, 300):
        assert client.get(client.put(nested(levels))) == nested(levels)


def test_lists_of_many_items_come_back(client):
    for value in (list(range(300_000)), [list(range(100))] * 200, ((1.5,),) * 6000):
        got = client.get(client.put(value))
        assert got == value
        assert type(got) is type(value)


def test_few_items_are_members_and_many_are_one_pickle(client):
    few, many = client.put(list(range(100))), client.put(list(range(20_000)))
    assert client.get_meta(few).typename == "vineyard::Sequence"
    assert client.get_meta(many).typename == "vineyard::PickleBuffer"


def test_arrays_in_a_long_list_are_views(ipc_client):
    object_id = ipc_client.put([np.arange(100)] * 20_000)
    assert np.shares_memory(ipc_client.get(object_id)[0], ipc_client.get(object_id)[0])


def test_a_list_that_contains_itself_comes_back(client):
    for width in (1, 3):
        value: list = [1]
        value += [value] * width
        got = client.get(client.put(value))
        assert got[0] == 1
        assert all(item is got for item in got[1:])


def test_a_long_list_of_ids_links_them(client):
    part = client.put("part")
    object_id = client.put([part] * 12_000)
    meta = client.get_meta(object_id)
    assert meta.typename == "vineyard::Sequence"
    assert client.get(object_id)[11_999] == "part"


def test_a_builder_of_ones_own_is_asked_in_a_long_list(client):
    class Mine:
        pass

    with vineyard.builder_context({Mine: lambda client, value: client.put("mine")}):
        object_id = client.put([[Mine()], *range(11_000)])
    assert client.get(object_id)[0] == ["mine"]

"""How often a caller waits for the node: at most twice for a put, once for a get, for all types.

A proxy between client and node counts. Each case has connections of its own, so that the first
transfer of the arena is in the count.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import vineyard
from conftest import Node
from data_cases import CASES
from tools.proxy import Proxy

PUT_TRIPS_MAX = 2
GET_TRIPS_MAX = 1
# Over TCP, a put too large for one frame waits for the node to accept it.
LARGE_BYTES = 4 << 20


@pytest.fixture(scope="module", params=["ipc", "rpc"])
def proxy(request: pytest.FixtureRequest, node: Node, short_folder: Path) -> Iterator[Proxy]:
    target = node.socket if request.param == "ipc" else (node.host, node.port)
    with Proxy(target, short_folder) as one:
        yield one


@pytest.fixture
def connect(proxy: Proxy):
    """Connects through the proxy; each call is a connection of its own."""
    clients = []

    def fresh() -> vineyard.Client:
        address = proxy.address
        over_ipc = isinstance(address, str)
        one = vineyard.connect(address) if over_ipc else vineyard.connect(endpoint=address)
        # Connections are shared within a process: `fork` gives this client its own.
        clients.append(one.fork() or one)
        return clients[-1]

    yield fresh
    for client in clients:
        client.close()


def trips(proxy: Proxy, connect, value) -> tuple[int, int, int]:
    """The round trips of a put, and of a first and a second get by another client."""
    writer, reader = connect(), connect()
    for client in (writer, reader):
        assert client.connected
        client.instance_id  # noqa: B018 - connects, if connecting is put off until it is needed
        client.exists(vineyard.ObjectID(1))
    with proxy.counted() as put:
        object_id = writer.put(value)
    with proxy.counted() as first:
        reader.get(object_id)
    with proxy.counted() as again:
        reader.get(object_id)
    writer.delete(object_id)
    return put.count, first.count, again.count


@pytest.mark.parametrize("name", CASES)
def test_put_and_get_of_each_type(proxy, connect, name):
    value = CASES[name][1]()
    put, first, again = trips(proxy, connect, value)
    assert put <= PUT_TRIPS_MAX, f"a put of {name} took {put} round trips"
    assert first <= GET_TRIPS_MAX, f"a get of {name} took {first} round trips"
    assert again <= GET_TRIPS_MAX, f"another get of {name} took {again} round trips"


def test_put_and_get_of_much(proxy, connect):
    put, first, _ = trips(proxy, connect, bytes(LARGE_BYTES))
    assert put <= PUT_TRIPS_MAX
    assert first <= GET_TRIPS_MAX


def test_get_by_name_is_one_round_trip(proxy, connect):
    client = connect()
    object_id = client.put([1, "two", 3.0], persist=True, name="counted")
    with proxy.counted() as get:
        assert client.get(name="counted") == [1, "two", 3.0]
    assert get.count <= GET_TRIPS_MAX
    client.delete(object_id)


def test_put_persisted_and_named(proxy, connect):
    client = connect()
    with proxy.counted() as put:
        object_id = client.put([1, "two", 3.0], persist=True, name="counted at once")
    assert put.count <= PUT_TRIPS_MAX
    client.delete(object_id)


def test_the_proxy_counts(proxy, connect):
    client = connect()
    client.status  # noqa: B018
    with proxy.counted() as some:
        for _ in range(5):
            client.exists(vineyard.ObjectID(1))
    assert some.count == 5

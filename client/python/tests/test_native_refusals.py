"""`vineyard._C` alone: its error texts, and the state after an interrupted put."""

from __future__ import annotations

import functools
import operator
import os
import signal

import pytest
import vineyard
from vineyard import _C, ObjectID

LARGE = 32 << 20


def blob(number: int) -> dict:
    return {"typename": "vineyard::Blob", "_buffer": number}


def interrupted(call) -> None:
    """Runs `call`, and sends a signal while it waits for the node."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    # `map` runs both without a step of the interpreter between them, which alone runs handlers: the
    # signal finds nothing but the call.
    start = functools.partial(signal.setitimer, signal.ITIMER_REAL, 1e-6)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(map(operator.call, [start, call]))
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("size", [0, 100, LARGE])
def test_an_interrupted_put_leaves_nothing(raw, size):
    typename = f"test::Interrupted{size}"
    before = raw.status.memory_usage
    tree = {"typename": typename, "buffer_": blob(0), "part": {"typename": typename}}
    content = [bytes(size)]
    put = functools.partial(raw._put_tree, tree, content)
    interrupted(put)
    assert raw.list_metadatas(typename) == []
    interrupted(functools.partial(put, persist=True, name=typename))
    assert raw.list_metadatas(typename) == []
    assert raw.list_names(typename) == {}
    interrupted(functools.partial(raw._put_tree, {"_buffer": 0}, content))
    assert raw.status.memory_usage == before


def test_an_interrupted_put_keeps_what_it_links(raw):
    part = raw._put_tree({"typename": "test::Linked", "buffer_": blob(0)}, [b"mine"])
    tree = {"typename": "test::Linking", "part": {"id": repr(part.id)}}
    interrupted(functools.partial(raw._put_tree, tree, []))
    assert bytes(raw._get_tree(part.id)._buffer("buffer_")) == b"mine"


def test_a_name_that_does_not_appear_is_named(raw):
    assert vineyard.DeadlineException is _C.DeadlineException
    for wait in (
        lambda: raw.get_name("absent", wait=True, timeout=0.05),
        lambda: raw._get_tree(name="absent", wait=0.05),
    ):
        with pytest.raises(vineyard.DeadlineException) as error:
            wait()
        assert str(error.value) == 'IOError: no name "absent" appeared within 0.05 s'
    assert raw.connected


def test_a_wait_for_a_name_ends_though_the_node_does_not_answer(fresh_node):
    client = _C._connect(fresh_node.socket)
    # An answer may take 600 s: if the call waited for one, pytest would end the test.
    client.timeout_seconds = 600
    assert client.status
    os.kill(fresh_node.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError, match="absent"):
            client.get_name("absent", wait=True, timeout=0.1)
    finally:
        os.kill(fresh_node.process.pid, signal.SIGCONT)
    client.close()


def test_who_persists_a_blob_is_told_what_to_do(client):
    before = client.status.memory_usage
    with pytest.raises(vineyard.AssertionFailedException, match=r"put\(\[value\]"):
        client.put(b"abc", persist=True, name="bytes")
    object_id = client.put(b"abc")
    with pytest.raises(vineyard.AssertionFailedException, match="frombuffer"):
        client.persist(object_id)
    client.delete(object_id)
    named = client.put([b"abc"], persist=True, name="bytes")
    assert bytes(client.get(name="bytes")[0]) == b"abc"
    client.delete(named)
    assert client.status.memory_usage == before


def test_an_id_is_read_as_it_is_printed():
    object_id = ObjectID(0x43C5C6D5E646)
    assert ObjectID(str(object_id)) == ObjectID(repr(object_id)) == object_id
    assert ObjectID(" o5\n") == ObjectID("5\t") == ObjectID(5)
    for text in ("ObjectID <o5>", 'ObjectID <"">', 'ObjectID <"o5"', "o 5", " ", "o+5"):
        with pytest.raises(ValueError):
            ObjectID(text)


@pytest.mark.parametrize("verb", ["list_names", "list_metadatas", "list_objects"])
def test_a_limit_is_a_count(raw, verb):
    made = raw._put_tree({"typename": f"test::{verb}"}, [], persist=True, name=f"test::{verb}")
    for limit in (1, 2**63, 2**64 - 1, 10**20, 10**60):
        assert len(getattr(raw, verb)(f"test::{verb}", limit=limit)) == 1
    for limit in (-1, -(10**20)):
        with pytest.raises(ValueError, match="0 or more"):
            getattr(raw, verb)("*", limit=limit)
    with pytest.raises(TypeError):
        getattr(raw, verb)("*", limit="5")
    raw.delete(made)


def test_a_raw_client_says_how_to_read_what_is_elsewhere(cluster):
    with vineyard.connect(cluster[0].socket) as first, vineyard.connect(cluster[1].socket) as other:
        object_id = first.put([b"elsewhere" * 100], persist=True)
        other.sync_meta()
        with pytest.raises(vineyard.ObjectNotExistsException, match="fetch=True") as error:
            other.ipc_client.get(object_id)
        assert str(first.instance_id) in str(error.value)
        first.delete(object_id)

"""The extension alone: `vineyard._C` against a real node."""

from __future__ import annotations

import ast
import ctypes
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FunctionType

import pytest
from vineyard import _C

BLOB = "vineyard::Blob"
THREADS = 32
FORKS = 32


@pytest.fixture
def ipc(node):
    client = _C._connect(node.socket).fork()
    yield client
    client.close()


@pytest.fixture
def rpc(node):
    client = _C._connect(node.host, node.port).fork()
    yield client
    client.close()


@pytest.fixture(params=["ipc", "rpc"])
def raw(request, node):
    place = (node.socket,) if request.param == "ipc" else (node.host, node.port)
    client = _C._connect(*place).fork()
    yield client
    client.close()


def tree_of(size: int = 1) -> dict:
    return {"typename": "test::Bytes", "n": size, "buffer_": {"typename": BLOB, "_buffer": 0}}


# ids


def test_an_id_prints_parses_and_travels():
    one = _C.ObjectID("o000043c5c6d5e646")
    assert repr(one) == "o000043c5c6d5e646" and str(one) == 'ObjectID <"o000043c5c6d5e646">'
    assert one == _C.ObjectID("000043c5c6d5e646") == _C.ObjectID(int(one)) == _C.ObjectID(one)
    assert one != 5 and one != "o000043c5c6d5e646"
    assert hash(one) == hash(int(one)) and {one: 1}[_C.ObjectID(int(one))] == 1
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.uri == "vineyard://o000043c5c6d5e646" and _C.ObjectID.from_uri(one.uri) == one
    assert int(_C.ObjectID()) == 2**64 - 1 and int(_C.ObjectID("5")) == 5


@pytest.mark.parametrize("text", ["", "o", "zz", "o00000000000000000", "hello", "+1"])
def test_a_text_that_is_no_id_is_a_value_error(text):
    with pytest.raises(ValueError, match="not an object id"):
        _C.ObjectID(text)


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, b"o1", [], object()])
def test_what_is_no_id_is_a_type_error(value):
    with pytest.raises(TypeError):
        _C.ObjectID(value)


def test_a_bad_uri_is_a_user_input_error():
    for uri in ["file:///x", "vineyard://zz", ""]:
        with pytest.raises(_C.UserInputErrorException, match="User input error: Not a valid uri"):
            _C.ObjectID.from_uri(uri)


def test_a_name_is_hashable_and_travels():
    name = _C.ObjectName("abc")
    assert (repr(name), str(name), name.uri) == ("'abc'", "abc", "vineyard://abc")
    assert name == _C.ObjectName("abc") == pickle.loads(pickle.dumps(name))
    assert len({name, _C.ObjectName("abc")}) == 1 and name != "abc"


# exceptions


def test_exceptions_are_below_one_and_say_what_builtins_they_are():
    names = [name for name in vars(_C) if name.endswith("Exception")]
    assert len(names) == 37
    for name in names:
        assert issubclass(getattr(_C, name), _C.VineyardException)
        assert getattr(_C, name).__doc__
    assert issubclass(_C.VineyardException, RuntimeError)
    assert issubclass(_C.ConnectionFailedException, ConnectionError)
    assert _C.ConnectionFailed is _C.ConnectionFailedException
    assert issubclass(_C.DeadlineException, TimeoutError)


def test_a_failed_connection_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("VINEYARD_IPC_SKIP_RETRY", "1")
    monkeypatch.setenv("VINEYARD_RPC_SKIP_RETRY", "1")
    for place in [(str(tmp_path / "none"),), ("127.0.0.1", 1)]:
        with pytest.raises(
            ConnectionError, match=r"Connection failed: .*is a node running"
        ) as error:
            _C._connect(*place)
        assert isinstance(error.value, _C.ConnectionFailed)


# metadata


def test_values_come_back_as_they_went_in(raw):
    values = {
        "float": 0.1,
        "whole": 1.0,
        "huge": 1e300,
        "largest": 2**64 - 1,
        "smallest": -(2**63),
        "true": True,
        "one": 1,
        "none": None,
        "text": "ünï",
    }
    meta = _C.ObjectMeta()
    meta["typename"] = "test::Values"
    for key, value in values.items():
        meta[key] = value
    made = raw.create_metadata(meta)
    assert made is meta
    for got in [meta, raw.get_meta(meta.id)]:
        for key, value in values.items():
            assert got[key] == value and type(got[key]) is type(value), key
        assert got.id == meta.id and got.typename == "test::Values" and got.nbytes == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, -(2**63) - 1, [float("nan")]])
def test_what_json_cannot_hold_is_refused(value):
    meta = _C.ObjectMeta()
    with pytest.raises(ValueError, match="metadata"):
        meta["x"] = value
    assert "x" not in meta


def test_parts_become_text_and_other_values_type_errors():
    numpy = pytest.importorskip("numpy")
    meta = _C.ObjectMeta()
    meta["list"], meta["tuple"], meta["dict"] = [1, 2], ("a", 1.5), {"b": [True], "a": None}
    assert (meta["list"], meta["tuple"]) == ("[1,2]", '["a",1.5]')
    assert meta["dict"] == '{"a":null,"b":[true]}'
    meta["bytes"], meta["numpy"], meta["flag"] = b"ab", numpy.int8(3), numpy.bool_(True)
    meta["single"] = numpy.float32(0.5)
    assert (meta["bytes"], meta["numpy"], meta["flag"], meta["single"]) == ("ab", 3, True, 0.5)
    for value in [{1, 2}, object(), numpy.arange(3), 1j]:
        with pytest.raises(TypeError):
            meta["x"] = value


def test_a_meta_is_a_sorted_mapping_that_prints_and_travels():
    meta = _C.ObjectMeta()
    meta["b"], meta["a"] = 1, "x"
    assert list(meta) == list(meta.keys()) == ["a", "b", "global"] and len(meta) == 3
    assert dict(meta.items()) == {"a": "x", "b": 1, "global": False}
    assert meta.get("c") is None and meta.get("c", 7) == 7
    with pytest.raises(KeyError, match="key 'c' does not exist"):
        meta["c"]
    assert repr(meta) == '{\n    "a": "x",\n    "b": 1,\n    "global": false\n}'
    assert str(meta) == "ObjectMeta " + repr(meta)
    assert repr(pickle.loads(pickle.dumps(meta))) == repr(meta)
    meta.reset_key("a")
    assert "a" not in meta
    meta.set_global()
    assert meta.isglobal and not meta.islocal
    for unset in ["id", "typename", "nbytes", "signature", "instance_id"]:
        with pytest.raises(RuntimeError, match=f"no '{unset}' yet"):
            getattr(meta, unset)


def test_members_are_linked_read_and_never_overwritten(ipc):
    blob = ipc.create_blob(3).seal(ipc)
    inner = _C.ObjectMeta()
    inner["typename"] = "test::Inner"
    inner.add_member("buffer_", blob)
    ipc.create_metadata(inner)
    outer = _C.ObjectMeta()
    outer["typename"] = "test::Outer"
    outer["meta"], outer["id_only"], outer["object"] = inner, inner.id, ipc.get_object(inner.id)
    with pytest.raises(RuntimeError):
        outer["meta"] = inner
    with pytest.raises(RuntimeError):
        outer["meta"] = 1
    ipc.create_metadata(outer)
    assert outer["id_only"]["typename"] == "test::Inner"
    got = ipc.get_object(outer.id)
    assert repr(got) == f'Object <"{outer.id!r}": test::Outer>'
    for name in ["meta", "id_only", "object"]:
        assert got.member(name).id == inner.id == got[name].id
        assert got[name]["buffer_"].id == blob.id
    assert got.meta.get_member("nope") is None
    with pytest.raises(RuntimeError):
        got.member("nope")
    with pytest.raises(RuntimeError):
        got.meta.get_member("typename")
    assert got.meta.memory_usage == 3
    assert got.meta.memory_usage_details()["summary"] == "3 B"


def test_a_change_stays_in_its_own_copy(ipc):
    made = ipc._put_tree({"typename": "a", "m": {"typename": "b", "x": 1}}, [])
    member = made["m"]
    member["x"] = 2
    assert member["x"] == 2 and made["m"]["x"] == 1


def test_creation_is_refused_with_the_reason(raw):
    meta = _C.ObjectMeta()
    with pytest.raises(_C.MetaTreeInvalidException, match="typename"):
        raw.create_metadata(meta)
    meta["typename"] = "test::Outer"
    meta["m"] = _C.ObjectID(12345)
    with pytest.raises(_C.MetaTreeSubtreeNotExistsException):
        raw.create_metadata(meta)


# blobs


def test_a_blob_is_filled_sealed_and_read_in_place(ipc):
    builder = ipc.create_blob(5)
    memoryview(builder).cast("B")[:] = b"hello"
    builder[4] = ord("O")
    assert not builder.issealed and len(builder) == builder.size == 5
    blob = builder.seal(ipc)
    assert builder.issealed and blob.id == builder.id and bytes(blob) == b"hellO"
    with pytest.raises(_C.AssertionFailedException, match="already sealed"):
        builder.seal(ipc)
    got = ipc.get_blob(blob.id)
    assert bytes(got) == b"hellO" and list(got) == list("hellO") and got[-1] == ord("O")
    view = memoryview(got)
    assert view.readonly and view.format == "b" and view.ndim == 1
    assert ctypes.addressof(ctypes.c_char.from_address(got.address)) == got.address
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises(IndexError):
        got[5]
    assert (got.nbytes, got.typename, got.islocal, got.ispersist) == (5, BLOB, True, False)
    assert ipc.get_blobs([got.id, _C.ObjectID(1), _C.ObjectID(2**63 + 2**62)])[1:] == [None, None]


def test_an_unsealed_blob_is_read_only_on_demand(ipc, rpc):
    builder = ipc.create_blob(4)
    with pytest.raises(_C.ObjectNotSealedException, match="unsafe=True"):
        ipc.get_blob(builder.id)
    builder.copy(0, b"abcd")
    assert bytes(ipc.get_blob(builder.id, unsafe=True)) == b"abcd"
    with pytest.raises(_C.ObjectNotSealedException):
        rpc.get_remote_blob(builder.id, unsafe=True)
    assert bytes(builder.seal(ipc)) == b"abcd"


def test_several_blobs_are_made_at_once_and_empty_ones_are_one(ipc):
    builders = ipc.create_blob([1, 0, 70_000])
    assert [len(builder) for builder in builders] == [1, 0, 70_000]
    empty = builders[1].seal(ipc)
    assert empty.id == ipc.create_empty_blob().id == _C.Blob.empty().id
    assert repr(empty.id) == "o8000000000000000" and bytes(empty) == b"" and empty.is_empty
    with pytest.raises(TypeError):
        ipc.create_blob(-1)
    with pytest.raises(_C.NotEnoughMemoryException, match="--size"):
        ipc.create_blob(1 << 40)


def test_a_view_keeps_the_memory_of_a_builder(ipc):
    builder = ipc.create_blob(100)
    view = memoryview(builder)
    for act in [lambda: builder.abort(ipc), lambda: builder.shrink(ipc, 10)]:
        with pytest.raises(BufferError, match="1 views"):
            act()
    view.release()
    with pytest.raises(_C.InvalidException, match="cannot shrink to size 200"):
        builder.shrink(ipc, 200)
    builder.shrink(ipc, 10)
    assert len(builder) == 10
    builder.abort(ipc)
    with pytest.raises(_C.ObjectNotExistsException):
        builder.abort(ipc)
    with pytest.raises(_C.ObjectNotExistsException):
        memoryview(builder)


def test_a_sealed_builder_is_neither_aborted_nor_shrunk_nor_written(ipc):
    builder = ipc.create_blob(10)
    builder.seal(ipc)
    for act in [
        lambda: builder.abort(ipc),
        lambda: builder.shrink(ipc, 5),
        lambda: builder.copy(0, b"x"),
        lambda: builder.__setitem__(0, 1),
    ]:
        with pytest.raises(_C.ObjectSealedException):
            act()
    assert memoryview(builder).readonly


def test_copies_are_checked(ipc):
    builder = ipc.create_blob(4)
    builder.copy(1, b"abc")
    source = ctypes.create_string_buffer(b"xy", 2)
    builder.copy(0, ctypes.addressof(source), 2)
    for act in [lambda: builder.copy(2, b"abc"), lambda: builder.copy(5, b"")]:
        with pytest.raises(_C.AssertionFailedException, match="size at most"):
            act()
    with pytest.raises(TypeError):
        builder.copy(0, 4096)
    assert bytes(builder.seal(ipc)) == b"xybc"


def test_memory_is_copied_between_buffers_and_addresses():
    target, source = bytearray(6), b"abcd"
    _C.memory_copy(target, source, offset=2)
    assert target == b"\0\0abcd"
    address = ctypes.addressof((ctypes.c_char * 6).from_buffer(target))
    _C.memory_copy(address, 6, b"xy")
    other = ctypes.create_string_buffer(b"zz", 2)
    _C.memory_copy(target, ctypes.addressof(other), 2, 2)
    assert target == b"xyzzcd"
    with pytest.raises(_C.AssertionFailedException):
        _C.memory_copy(target, source, offset=3)
    with pytest.raises(TypeError, match="read-only"):
        _C.memory_copy(b"abcd", b"x")
    large, copied = os.urandom(33 << 20), bytearray(33 << 20)
    _C.memory_copy(copied, large)
    assert copied == large


def test_shared_memory_is_found_while_a_value_shows_it(ipc, node):
    made = ipc._put_tree(tree_of(), [os.urandom(4096)])
    blob = ipc._get_tree(made.id)._buffer("buffer_")
    address = blob.address
    assert ipc.find_shared_memory(address) == blob.id and ipc.is_shared_memory(memoryview(blob))
    assert ipc.find_shared_memory(address + 8) is None
    del blob
    gc.collect()
    assert ipc.find_shared_memory(address) is None


# whole trees


@pytest.mark.parametrize("size", [0, 1, 1000, 65_536, 65_537, 5 << 20])
def test_a_tree_is_put_and_got_with_its_bytes(raw, size):
    content = os.urandom(size)
    made = raw._put_tree(tree_of(size), [content])
    got = raw._get_tree(made.id)
    assert got._tree()["n"] == size and got._tree()["typename"] == "test::Bytes"
    assert bytes(got._buffer("buffer_")) == content
    assert bytes(got._buffer(got._tree()["buffer_"]["id"])) == content
    assert bytes(raw.get_object(made.id).member("buffer_")) == content


def test_a_bare_blob_is_put(raw):
    for size in [0, 10, 100_000]:
        content = bytearray(os.urandom(size))
        made = raw._put_tree({"_buffer": 0}, [content])
        assert made.typename == BLOB and made.nbytes == size
        assert bytes(raw.get_object(made.id)) == content


def test_a_tree_is_nested_linked_persisted_and_named(raw):
    linked = raw._put_tree({"typename": "test::Leaf", "x": 1}, [])
    tree = {
        "typename": "test::Root",
        "list": [1, "a", None],
        "inner": {"typename": "test::Inner", "deep": {"typename": BLOB, "_buffer": 1}},
        "link": {"id": repr(linked.id)},
        "buffer_": {"typename": BLOB, "_buffer": 0},
    }
    name = f"root-{linked.id!r}"
    made = raw._put_tree(tree, [b"one", memoryview(b"two")], persist=True, name=name)
    got = raw._get_tree(name=name)
    assert got.id == made.id == raw.get_name(name)
    assert got["link"].id == linked.id and got._tree()["list"] == [1, "a", None]
    assert bytes(got["inner"]._buffer("deep")) == b"two"
    assert raw.get_object(made.id).ispersist
    assert raw.list_names(name) == {name: made.id}
    raw.drop_name(name)
    assert raw.list_names(name) == {}


def test_a_tree_that_makes_no_sense_is_refused(raw):
    with pytest.raises(IndexError):
        raw._put_tree(tree_of(), [])
    with pytest.raises(TypeError):
        raw._put_tree(tree_of(), ["text"])
    with pytest.raises(TypeError):
        raw._put_tree({"typename": "a", "x": object()}, [])
    with pytest.raises(ValueError, match="metadata"):
        raw._put_tree({"typename": "a", "x": 2**70}, [])
    with pytest.raises(BufferError):
        raw._put_tree(tree_of(), [memoryview(b"abcdef")[::2]])
    with pytest.raises(_C.VineyardException):
        raw._put_tree({"typename": "a", "m": {"id": "o00007fffffffffff"}}, [])


def test_lists_labels_copies_and_deletes(raw):
    made = [
        raw._put_tree(tree_of(i) | {"typename": f"test::Listed<{i}>"}, [b"x"]) for i in range(3)
    ]
    assert len(raw.list_metadatas("test::Listed<*>")) == 3
    assert len(raw.list_objects("test::Listed<[12]>", regex=True)) == 2
    assert len(raw.list_metadatas("test::Listed<*>", limit=1, nobuffer=True)) == 1
    raw.label(made[0].id, "k", "v")
    raw.label(made[0].id, {"l": "w"})
    labelled = raw.get_meta(made[0].id)
    assert labelled.labels == {"k": "v", "l": "w"} and labelled.label("none") == ""
    assert labelled.timestamp > 0
    copy = raw.shallow_copy(made[0].id, {"n": 1.5})
    assert (
        raw.get_meta(copy)["n"] == 1.5
        and raw.get_meta(copy)["buffer_"].id == labelled["buffer_"].id
    )
    with pytest.raises(_C.AssertionFailedException, match="primitives"):
        raw.shallow_copy(made[0].id, {"n": [1]})
    raw.delete(copy)
    raw.delete(labelled)
    raw.delete([raw.get_object(made[1].id), made[2]])
    raw.delete([])
    for one in made:
        assert not raw.exists(one.id)
    with pytest.raises(_C.ObjectNotExistsException):
        raw.get_meta(made[0].id)
    with pytest.raises(_C.ObjectNotExistsException):
        raw.get_metas([made[0].id])
    with pytest.raises(TypeError):
        raw.delete("o0000000000000001")


def test_remote_blobs_are_sent_and_read(rpc):
    builder = _C.RemoteBlobBuilder(5)
    memoryview(builder).cast("B")[:] = b"hello"
    wrapped = _C.RemoteBlobBuilder.wrap(bytearray(b"world"))
    sent = rpc.create_remote_blob([builder, wrapped, _C.RemoteBlobBuilder.make(0)])
    assert [meta.nbytes for meta in sent] == [5, 5, 0] and sent[0].typename == BLOB
    got = rpc.get_remote_blobs([meta.id for meta in sent])
    assert [bytes(blob) for blob in got] == [b"hello", b"world", b""]
    assert repr(got[0]) and got[0].instance_id == rpc.remote_instance_id
    assert memoryview(got[0]).readonly
    with pytest.raises(_C.ObjectNotExistsException):
        rpc.get_remote_blob(_C.ObjectID(2**63 + 2**62))
    view = memoryview(builder)
    with pytest.raises(BufferError):
        builder.abort(rpc)
    view.release()
    builder.abort(rpc)
    with pytest.raises(TypeError, match="read-only"):
        _C.RemoteBlobBuilder.wrap(b"abc").copy(0, b"x")


# connections


def test_who_connects_twice_shares_and_closes_for_all(node):
    one = _C._connect(node.socket)
    assert _C._connect(node.socket) is one
    socket = one.ipc_socket
    one.close()
    assert not one.connected and one.ipc_socket == socket
    with pytest.raises(_C.ConnectionErrorException, match="Client is not connected"):
        one.status  # noqa: B018
    two = _C._connect(node.socket)
    assert two is not one and two.connected


def test_values_outlive_their_client_and_a_delete(fresh_node):
    client = _C._connect(fresh_node.socket)
    content = os.urandom(100_000)
    made = client._put_tree(tree_of(), [content])
    view = memoryview(client._get_tree(made.id)._buffer("buffer_"))
    client.delete(made.id)
    other = client.fork()
    for _ in range(100):
        other._put_tree(tree_of(), [b"\0" * 100_000])
    assert bytes(view) == content
    client.close()
    del client, made
    gc.collect()
    other.clear()
    for _ in range(100):
        other._put_tree(tree_of(), [b"\0" * 100_000])
    assert bytes(view) == content
    del view
    gc.collect()
    other.clear()
    assert other.status.memory_usage == 0


def test_memory_comes_back_when_values_go(fresh_node):
    client = _C._connect(fresh_node.socket)
    before = client.status.memory_usage
    made = [client._put_tree(tree_of(), [os.urandom(100_000)]) for _ in range(20)]
    values = [client._get_tree(one.id)._buffer("buffer_") for one in made]
    unsealed = client.create_blob(1000)
    client.delete([one.id for one in made])
    assert client.status.memory_usage > before
    del values, unsealed, made
    gc.collect()
    assert client.status.memory_usage == before


def test_options_change_while_connected(rpc):
    content = bytes(1_000_000)
    for enabled in [True, False]:
        rpc.compression = enabled
        assert rpc.compression is enabled
        made = rpc._put_tree(tree_of(), [content])
        assert bytes(rpc._get_tree(made.id)._buffer("buffer_")) == content
    assert rpc.timeout_seconds == 300
    rpc.timeout_seconds = 7
    assert rpc.timeout_seconds == 7 and rpc.connected
    with pytest.raises(ValueError):
        rpc.timeout_seconds = 0


def test_threads_share_a_client(raw):
    errors = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                content = os.urandom(1 + number * 1000 + turn)
                made = raw._put_tree(tree_of(number), [content])
                got = raw._get_tree(made.id)
                assert got._tree()["n"] == number and bytes(got._buffer("buffer_")) == content
                raw.delete(made.id)
        except BaseException:
            errors.append(traceback.format_exc())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_children_use_the_client_and_leave_the_parents_alone(raw):
    content = os.urandom(10_000)
    made = raw._put_tree(tree_of(), [content])
    value = raw._get_tree(made.id)._buffer("buffer_")
    filling = raw.create_blob(10) if isinstance(raw, _C.IPCClient) else None
    children = []
    for number in range(FORKS):
        pid = os.fork()
        if pid:
            children.append(pid)
            continue
        status = 1
        try:
            assert bytes(value) == content
            mine = raw._put_tree(tree_of(number), [str(number).encode()])
            assert bytes(raw._get_tree(mine.id)._buffer("buffer_")) == str(number).encode()
            assert bytes(raw._get_tree(made.id)._buffer("buffer_")) == content
            if filling is not None:
                with pytest.raises(_C.AssertionFailedException):
                    filling.seal(raw)
            # What lies in the parent's memory goes here, and must stay there.
            mine = value = filling = None
            gc.collect()
            raw.close()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * FORKS
    assert raw.connected and bytes(value) == content
    assert bytes(raw._get_tree(made.id)._buffer("buffer_")) == content
    if filling is not None:
        assert len(filling.seal(raw)) == 10


# waiting


def test_a_name_is_waited_for(raw, node):
    name = f"later-{raw._put_tree({'typename': 'a'}, []).id!r}"
    found = []
    waiter = threading.Thread(target=lambda: found.append(raw.get_name(name, wait=True)))
    waiter.start()
    other = raw.fork()
    made = other._put_tree({"typename": "a"}, [], persist=True, name=name)
    waiter.join()
    assert found == [made.id]
    with pytest.raises(TimeoutError, match="nobody-gives-this") as error:
        raw.get_name("nobody-gives-this", wait=True, timeout=0.05)
    assert isinstance(error.value, _C.VineyardException)
    with pytest.raises(_C.ObjectNotExistsException):
        raw.get_name("nobody-gives-this")


def test_ctrl_c_ends_a_wait(node):
    code = f"""
from vineyard import _C
client = _C._connect({node.socket!r})
try:
    print("ready", flush=True)
    client.get_name("nobody-gives-this", wait=True)
except KeyboardInterrupt:
    assert client.connected
    client._put_tree({{"typename": "a"}}, [])
    print("interrupted", flush=True)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    assert child.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 20
    while child.poll() is None and time.monotonic() < deadline:
        # The first one may come before the wait has begun.
        child.send_signal(signal.SIGINT)
        try:
            child.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    assert child.stdout.read() == "interrupted\n"
    assert child.returncode == 0


# the node and the command line


def test_the_command_line_is_linked_in(node, capfd):
    assert _C.vineyardctl(["--socket", node.socket, "status", "-o", "json"]) == 0
    assert '"cluster"' in capfd.readouterr().out
    assert _C.vineyardctl(["--nonsense"]) == 2
    assert _C.vineyardd(["--version"]) == 0


def test_status_prints(raw):
    status = raw.status
    assert str(status).startswith("InstanceStatus:\n    instance_id: ") and status.memory_limit > 0
    assert repr(status).startswith("{\n    instance_id: ") and status.deployment == "local"
    assert status.ipc_connections + status.rpc_connections > 0
    assert next(iter(raw.meta.values()))["rpc_endpoint"] == raw.rpc_endpoint


@pytest.mark.cluster
def test_bytes_of_another_instance_are_read_and_fetched(cluster):
    here, there = (_C._connect(cluster[i].socket).fork() for i in (0, 1))
    content = os.urandom(200_000)
    made = there._put_tree(tree_of(), [content], persist=True)
    got = here.get_meta(made.id)
    assert not got.islocal and got.memory_usage == 0 and got._buffer("buffer_") is None
    with pytest.raises(_C.ObjectNotExistsException, match="fetch=True"):
        memoryview(here.get_object(made.id).member("buffer_"))
    here._complete(got)
    assert bytes(got._buffer("buffer_")) == content
    fetched = here.get_object(made.id, fetch=True)
    assert fetched.islocal and fetched.id != made.id and bytes(fetched["buffer_"]) == content
    assert here.migrate(made.id) == fetched.id


# what it says of itself


def members(body) -> set[str]:
    names = set()
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.ClassDef):
            names.add(one.name)
        elif isinstance(one, ast.AnnAssign):
            names.add(one.target.id)
        elif isinstance(one, ast.Assign):
            names.update(target.id for target in one.targets)
    return names


def test_the_stubs_name_what_there_is_and_all_of_it_has_a_docstring():
    stubs = ast.parse(Path(_C.__file__).with_name("_C.pyi").read_text())
    public = {name for name in vars(_C) if not name.startswith("__") and name != "_connect"}
    declared = {name for name in members(stubs.body) if not name.startswith("_")}
    assert declared == public
    stubs = [one for one in stubs.body if isinstance(one, ast.ClassDef)]
    classes = {one.name: members(one.body) for one in stubs}
    for stub in stubs:
        real = getattr(_C, stub.name)
        assert real.__doc__, stub.name
        if issubclass(real, BaseException):
            continue
        # What the package adds to the classes is not the extension's.
        native = (name for name, value in vars(real).items() if not isinstance(value, FunctionType))
        own = {name for name in native if not name.startswith("__")}
        named = {name for name in classes[stub.name] if not name.startswith("__")}
        above = [base.__name__ for base in real.__mro__[1:]]
        assert own <= named.union(*(classes.get(name, set()) for name in above)), stub.name
        # Each of the two clients says it in its own way.
        assert named - set(dir(real)) <= {"instance_id"}, stub.name
        for name in own:
            assert getattr(vars(real)[name], "__doc__", None), f"{stub.name}.{name}"

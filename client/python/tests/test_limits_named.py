"""What met a limit says which: one test for each message."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import vineyard
from conftest import Node, program


def refused_at_once(place) -> str:
    """What connecting to a path says, without a pause before another try."""
    with mock.patch("time.sleep") as pause, pytest.raises(ConnectionError) as error:
        vineyard.connect(place)
    assert not pause.called, "nobody waits for a node where none can listen"
    return str(error.value)


def test_a_node_that_is_not_there_is_waited_for(tmp_path):
    """So that the tests of those that are not could fail."""
    with mock.patch("time.sleep") as pause, pytest.raises(ConnectionError):
        vineyard.connect(tmp_path / "absent")
    assert pause.call_count > 1


@pytest.mark.parametrize("kind", ["file", "folder", "fifo"])
def test_row_33_a_path_that_is_no_socket(tmp_path, kind):
    place = tmp_path / "place"
    {"file": place.touch, "folder": place.mkdir, "fifo": lambda: os.mkfifo(place)}[kind]()
    said = refused_at_once(place)
    assert f"it is a {'folder' if kind == 'folder' else 'file'}, not a socket" in said
    assert str(place) in said and "--socket" in said


def test_row_33_a_path_that_is_too_long(tmp_path):
    said = refused_at_once(f"/{'x' * 107}")
    assert "its path has 108 bytes, and that of a Unix socket has at most 107" in said
    said = refused_at_once("/" + "é" * 60)
    assert "its path has 121 bytes" in said


def test_a_path_with_a_zero_byte():
    assert "zero byte" in refused_at_once("/tmp/a\0b")


def test_row_33_a_path_may_be_bytes(node):
    for path in (os.fsencode(node.socket), pathlib.Path(node.socket), BytesPath(node.socket)):
        with vineyard.connect(path) as client:
            assert client.ipc_socket == node.socket


class BytesPath:
    def __init__(self, path: str) -> None:
        self._path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self._path)


def test_a_path_that_is_not_utf_8(monkeypatch):
    for path in (b"/tmp/\xff", os.fsdecode(b"/tmp/\xff")):
        with pytest.raises(ValueError, match=r"is UTF-8, and '/tmp/\\udcff' is not"):
            vineyard.connect(path)
    monkeypatch.setenv("VINEYARD_IPC_SOCKET", os.fsdecode(b"/tmp/\xff"))
    with pytest.raises(ValueError, match="UTF-8"):
        vineyard.connect()


@pytest.mark.parametrize("endpoint", [b"host:1", (b"host", 1), 5, ("host", "x"), ["a", 1, 2]])
def test_an_endpoint_that_is_none(endpoint):
    with pytest.raises(ValueError, match=r"an endpoint is 'host:port' or \(host, port\), not"):
        vineyard.connect(endpoint=endpoint)


NAMED = {
    "put": lambda client, name: client.put(1, persist=True, name=name),
    "put bytes": lambda client, name: client.put([b"1"], persist=True, name=name),
    "put_name": lambda client, name: client.put_name(client.put(1, persist=True), name),
    "get": lambda client, name: client.get(name=name),
    "get_name": lambda client, name: client.get_name(name),
    "drop_name": lambda client, name: client.drop_name(name),
}


@pytest.mark.parametrize("verb", NAMED.values(), ids=NAMED.keys())
def test_row_33_a_name_with_surrogates(client, verb):
    with pytest.raises(ValueError, match=r"UTF-8 can carry, and 'a\\ud800' has a lone surrogate"):
        verb(client, "a\ud800")


def test_row_33_a_name_has_a_longest_length(client):
    before = client.list_names("*", limit=1 << 20)
    longest = "é" * (1 << 15)
    client.put(1, persist=True, name=longest)
    for verb in ("put", "put bytes", "put_name"):
        for size in (1 << 16) + 1, 2_000_000:
            with pytest.raises(vineyard.InvalidException) as error:
                NAMED[verb](client, "x" * size)
            assert f"a name has at most 65536 bytes, and this one has {size}" in str(error.value)
    assert client.list_names("*", limit=1 << 20).keys() - before.keys() == {longest}
    client.drop_name(longest)


def test_row_33_an_arrow_tensor_is_stored(client):
    pa = pytest.importorskip("pyarrow")
    for array, names in (
        (np.arange(6.0).reshape(2, 3), ("x", "y")),
        (np.asfortranarray(np.arange(6).reshape(2, 3)), None),
        (np.arange(6, dtype="u1"), ("only",)),
    ):
        tensor = pa.Tensor.from_numpy(array, dim_names=names)
        for got in (client.get(client.put(tensor)), client.get(client.put({"t": tensor}))["t"]):
            assert type(got) is pa.Tensor
            assert got.equals(tensor)
            assert got.dim_names == tensor.dim_names
            assert got.strides == tensor.strides


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("mode", ["r", "w"])
def test_row_33_an_open_text_file_is_refused(client, tmp_path, nested, mode):
    pytest.importorskip("cloudpickle")
    path = tmp_path / "text"
    path.write_text("content")
    with path.open(mode) as file, pytest.raises(TypeError, match="open file"):
        client.put({"file": file} if nested else file)
    # With code beside it, cloudpickle is needed.
    with path.open(mode) as file, pytest.raises(TypeError, match="open file"):
        client.put([lambda: 1, file] if nested else (lambda: 1, {"a": file}))


def test_what_cloudpickle_carries_is_still_stored(client):
    pytest.importorskip("cloudpickle")
    text = io.StringIO("content")
    function, again = client.get(client.put((lambda: 41 + 1, text)))
    assert (function(), again.getvalue()) == (42, "content")


def test_row_33_an_arena_beyond_the_memory_is_refused(short_folder):
    with pytest.raises(RuntimeError, match="--size 1 TiB: the machine has"):
        Node(short_folder / "large", size="1T")


SMALL_ADDRESS_SPACE = """
import resource, sys
import numpy as np
import vineyard
client = vineyard.connect(sys.argv[1])
kept = client.put([1])
limit = 1 << 30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
stored = vineyard.ObjectID(sys.argv[2])
for verb in (lambda: client.put(np.ones(1 << 20)), lambda: client.get(stored)):
    try:
        verb()
    except vineyard.VineyardException as error:
        print(type(error).__name__, error)
print(client.get(kept))
"""


def test_row_27_an_arena_beyond_the_address_space_is_named(short_folder):
    node = Node(short_folder / "wide", size="4G")
    try:
        with vineyard.connect(node.socket) as client:
            blob = repr(client.put(np.ones(1 << 20)))
            command = [sys.executable, "-c", SMALL_ADDRESS_SPACE, node.socket, blob]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            put, got, kept = ran.stdout.splitlines()
    finally:
        node.stop()
    for line in (put, got):
        assert "the arena of 42949" in line, line
        assert "does not fit into the address space of this process (ulimit -v 1048576)" in line
        assert "connect again" not in line
    assert kept == "[1]"


@pytest.fixture
def small(short_folder):
    """A client of a node with 64 MB."""
    node = Node(short_folder / "small", size="64M")
    with vineyard.connect(node.socket) as client:
        yield client
    node.stop()
    shutil.rmtree(node.folder)


def test_row_25_an_arena_in_pieces_is_named(small):
    ids = [small.put(np.zeros(256 << 10, "u1")) for _ in range(256)]
    small.delete(ids[::2])
    assert small.status.largest_free_bytes == 256 << 10
    with pytest.raises(vineyard.NotEnoughMemoryException) as error:
        small.create_blob(1 << 20)
    said = str(error.value)
    assert "and 33554432 are already in use; the largest free piece has 262144 bytes" in said
    assert "enough is free, but not in one piece" in said
    assert "deleted objects" not in said


def test_row_26_what_readers_of_deleted_objects_hold_is_named(small):
    object_id = small.put(np.zeros(8 << 20, "u1"))
    with contextlib.closing(small.ipc_client.fork()) as reader:
        view = memoryview(reader.get_blob(small.get_meta(object_id)["buffer_"].id))
        small.delete(object_id)
        status = small.status
        assert (status.memory_usage, status.deleted_bytes) == (0, 8 << 20)
        assert status.largest_free_bytes < 60 << 20
        assert f"deleted_bytes: {8 << 20}" in str(status)
        with pytest.raises(vineyard.NotEnoughMemoryException) as error:
            small.create_blob(60 << 20)
        assert "readers of deleted objects still hold 8388608" in str(error.value)
        listed = subprocess.run(
            [*program("vineyardctl"), "--socket", small.ipc_socket, "status", "-o", "json"],
            check=True,
            capture_output=True,
        )
        (told,) = json.loads(listed.stdout)["nodes"]
        assert told["deleted_bytes"] == 8 << 20
        assert told["largest_free_bytes"] == status.largest_free_bytes
        del view
    small.create_blob(60 << 20).abort(small)


def test_every_node_of_a_cluster_tells_its_pieces(cluster):
    command = [*program("vineyardctl"), "--socket", cluster[1].socket, "status", "-o", "json"]
    listed = subprocess.run(command, check=True, capture_output=True)
    nodes = json.loads(listed.stdout)["nodes"]
    assert len(nodes) == 3
    assert all(node["largest_free_bytes"] > 0 and "deleted_bytes" in node for node in nodes)


def test_row_27_a_node_without_room_for_a_connection_says_so_at_once(short_folder):
    limited = ["bash", "-c", 'ulimit -n 256 && exec "$@"', "limited"]
    node = Node(short_folder / "few", before=limited)
    kept = []
    try:
        with vineyard.connect(node.socket) as client:
            with pytest.raises(vineyard.ConnectionFailedException) as error:
                while True:
                    kept.append(client.ipc_client.fork())
            said = [str(error.value)]
            assert client.get(client.put(1)) == 1
            for _ in range(20):
                with pytest.raises(vineyard.ConnectionFailedException) as error:
                    client.ipc_client.fork()
                said.append(str(error.value))
            # Without a descriptor to spare the node closes at once; else it says why.
            assert all("takes no more" in one or "is closed" in one for one in said)
        assert node.log.read_text().count("closing connections: too many") == 1
    finally:
        for one in kept:
            one.close()
        node.stop()

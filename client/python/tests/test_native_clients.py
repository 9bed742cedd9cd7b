"""`vineyard._C` alone: connections, threads, forks, waits, and the programs linked in."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import traceback

import pytest
from native_tree import tree_of
from vineyard import _C

THREADS = 32
FORKS = 32


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
    fresh_node.assert_all_is_free()


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
    # A child collects what it made itself: all that other tests left takes it a second.
    gc.freeze()
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
            # The child drops its copies of the parent's objects; the parent's must stay.
            mine = value = filling = None
            gc.collect()
            raw.close()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    gc.unfreeze()
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * FORKS
    assert raw.connected and bytes(value) == content
    assert bytes(raw._get_tree(made.id)._buffer("buffer_")) == content
    if filling is not None:
        assert len(filling.seal(raw)) == 10


def test_a_name_is_waited_for(raw, node):
    name = f"later-{raw._put_tree({'typename': 'a'}, []).id!r}"
    found = []
    waiter = threading.Thread(target=lambda: found.append(raw.get_name(name, wait=True)))
    waiter.start()
    other = raw.fork()
    made = other._put_tree({"typename": "a"}, [], persist=True, name=name)
    waiter.join()
    assert found == [made.id]
    with pytest.raises(TimeoutError, match="no-such-name") as error:
        raw.get_name("no-such-name", wait=True, timeout=0.05)
    assert isinstance(error.value, _C.VineyardException)
    with pytest.raises(_C.ObjectNotExistsException):
        raw.get_name("no-such-name")


def test_ctrl_c_ends_a_wait(node):
    code = f"""
from vineyard import _C
client = _C._connect({node.socket!r})
try:
    print("ready", flush=True)
    client.get_name("no-such-name", wait=True)
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

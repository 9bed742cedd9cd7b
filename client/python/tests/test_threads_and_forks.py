"""One client, used by 32 threads and by 32 forked processes at once."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import vineyard
from conftest import Node

THREADS = 32
ROUNDS = 20
FORKS = 32
VALUES = 4096
SETTLE_SECONDS = 20

# Run in a process of its own: the test process has threads, which do not survive a fork.
FORKING = """
import os, sys
import numpy as np
import vineyard

forks, own_fork, address = int(sys.argv[1]), sys.argv[2] == "fork", sys.argv[3]
client = vineyard.connect(address)
start = client.status.memory_usage
shared = client.put(np.arange(4096), persist=True, name="before the forks")
view = client.get(shared)

def child(number):
    if own_fork:
        client.fork()
    assert (view == np.arange(4096)).all()
    assert (client.get(shared) == np.arange(4096)).all()
    mine = client.put(np.full(1024, number))
    assert (client.get(mine) == number).all()
    assert client.get_name("before the forks") == shared
    return mine

children = []
for number in range(forks):
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writes, repr(child(number)).encode())
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"child {number}: {error!r}\\n")
            sys.stderr.flush()
            os._exit(1)
    os.close(writes)
    children.append((pid, reads))
# Meanwhile the parent goes on with the connection that was there before.
for _ in range(50):
    assert (client.get(shared) == np.arange(4096)).all()
for number, (pid, reads) in enumerate(children):
    text = b""
    while piece := os.read(reads, 64):
        text += piece
    os.close(reads)
    assert os.waitpid(pid, 0)[1] == 0, number
    mine = vineyard.ObjectID(text.decode().strip("'"))
    value = client.get(mine)
    assert (value == number).all()
    del value
    client.delete(mine)
del view
client.delete(shared)
assert client.connected
print("start", start)
"""


def memory_returns(node: Node, client: vineyard.Client, start: int) -> None:
    """Waits until the node uses as much memory as at the start: clients release references with a
    delay.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while (usage := client.status.memory_usage) != start:
        assert time.monotonic() < deadline, f"{usage} bytes in use, {start} at the start"
        gc.collect()
        time.sleep(0.02)
    node.assert_all_is_free()


@pytest.mark.parametrize("kind", ["ipc", "rpc"])
def test_32_threads_on_one_client(fresh_node, kind):
    address = fresh_node.socket if kind == "ipc" else fresh_node.endpoint
    with vineyard.connect(address) as client:
        start = client.status.memory_usage
        barrier = threading.Barrier(THREADS)
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                barrier.wait()
                for turn in range(ROUNDS):
                    value = np.full(VALUES, number * ROUNDS + turn)
                    object_id = client.put(value)
                    assert client.exists(object_id)
                    got = client.get(object_id)
                    assert (got == value).all()
                    del got
                    client.delete(object_id)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        memory_returns(fresh_node, client, start)


@pytest.mark.parametrize("how", ["fork", "as it is"])
@pytest.mark.parametrize("kind", ["ipc", "rpc"])
def test_32_forks_of_one_client(fresh_node, kind, how):
    address = fresh_node.socket if kind == "ipc" else fresh_node.endpoint
    with vineyard.connect(fresh_node.socket) as watcher:
        start = watcher.status.memory_usage
        command = [sys.executable, "-c", FORKING, str(FORKS), how, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"start {start}\n"
        memory_returns(fresh_node, watcher, start)
        assert watcher.status.ipc_connections == 1
        assert watcher.status.rpc_connections == 0


def test_memory_returns_when_values_go(fresh_node):
    with vineyard.connect(fresh_node.socket) as client:
        start = client.status.memory_usage
        ids = [client.put(np.arange(number)) for number in range(1, 200)]
        values = client.get(ids[-1]), client.get(ids[0])
        assert client.status.memory_usage > start
        client.delete(ids)
        # A value that still exists keeps its bytes unchanged.
        assert (values[0] == np.arange(199)).all()
        del values
        memory_returns(fresh_node, client, start)

"""Nodes from a script: one, several as a cluster, a private one, and over ssh."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import vineyard
from vineyard.deploy import distributed
from vineyard.deploy.invitation import Invitation, InvitationFile
from vineyard.deploy.local import start_vineyardd

GONE_SECONDS = 30


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path, short_folder):
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    for name in ("VINEYARD_IPC_SOCKET", "VINEYARD_RPC_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VINEYARD_CONFIG", str(tmp_path / "absent"))


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_node_for_a_block(short_folder):
    socket = str(short_folder / "mine.sock")
    with start_vineyardd(size="64M", socket=socket, rpc_socket_port=0) as (process, path, cluster):
        assert path == socket
        assert Invitation.parse(cluster)
        with vineyard.connect(socket) as client:
            assert client.status.memory_limit == 64 << 20
            assert client.get(client.put("here")) == "here"
            with vineyard.connect(client.rpc_endpoint) as remote:
                assert remote.connected
    assert process.poll() == 0
    assert not os.path.exists(socket)


def test_a_node_without_rpc():
    with (
        start_vineyardd(meta="local", size="64M", rpc=False) as (_, socket, _),
        vineyard.connect(socket) as client,
    ):
        assert client.get(client.put(1)) == 1


def test_the_third_value_joins_the_cluster():
    with (
        start_vineyardd(size="64M", rpc_socket_port=0) as (_, first, cluster),
        start_vineyardd(etcd_endpoints=cluster, size="64M", rpc_socket_port=0) as (_, second, same),
        start_vineyardd(etcd_endpoints=same, size="64M", rpc_socket_port=0) as (_, third, _),
    ):
        meet(first, second, third)


def test_nodes_under_one_etcd_form_one_cluster():
    etcd = f"http://127.0.0.1:2379/{os.getpid()}"
    options = {"etcd_endpoints": etcd, "size": "64M", "rpc_socket_port": 0}
    with (
        start_vineyardd(**options) as (_, first, _),
        start_vineyardd(**options) as (_, second, _),
        start_vineyardd(**options, etcd_prefix="other") as (_, other, _),
    ):
        meet(first, second)
        with vineyard.connect(other) as client:
            assert len(client.meta) == 1


def meet(*sockets: str) -> None:
    """Persists an object on the first node and reads it on the others."""
    clients = [vineyard.connect(socket) for socket in sockets]
    deadline = time.monotonic() + GONE_SECONDS
    while any(len(client.meta) != len(sockets) for client in clients):
        assert time.monotonic() < deadline, [client.meta for client in clients]
        time.sleep(0.05)
    object_id = clients[0].put([b"x" * 100, "text"], persist=True)
    for client in clients:
        client.sync_meta()
        assert client.get(object_id)[1] == "text"
        client.close()


def test_a_board_keeps_only_who_listens():
    invitation_file = InvitationFile(f"test {os.getpid()}")
    with invitation_file.locked() as invitations:
        assert invitations == []
        invitations.append(Invitation("127.0.0.1:1", "token"))
    with invitation_file.locked() as invitations:
        assert invitations == []
    invitation_file._path.unlink()


def test_an_invitation_reads_as_it_was_written():
    invitation = Invitation("[::1]:9600", "vy1.a.b")
    assert Invitation.parse(str(invitation)) == invitation
    assert Invitation.parse("http://127.0.0.1:2379") is None


def test_what_cannot_start_says_why(short_folder):
    with pytest.raises(RuntimeError, match="redis"), start_vineyardd(meta="redis"):
        pass
    with pytest.raises(FileNotFoundError), start_vineyardd(vineyardd_path="/nowhere/vineyardd"):
        pass
    nowhere = start_vineyardd(socket="/dev/null/no.sock", rpc_socket_port=0)
    with pytest.raises(RuntimeError, match="exited unexpectedly with code"), nowhere:
        pass


def test_a_private_node_is_not_started_where_others_could_replace_its_files(short_folder):
    open_to_all = short_folder / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    tempfile.tempdir = str(open_to_all)  # put back by the fixture
    with (
        pytest.raises(RuntimeError, match=f"{open_to_all} can be written by other users"),
        start_vineyardd(size="64M", rpc_socket_port=0),
    ):
        pass
    with pytest.raises(RuntimeError, match="can be written by other users"):
        vineyard.connect()
    assert list(open_to_all.iterdir()) == []


def test_a_program_of_ones_own(short_folder):
    program = short_folder / "vineyardd"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m vineyard "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with start_vineyardd(vineyardd_path=str(program), size="64M", rpc=False) as (_, socket, _):
        assert vineyard.connect(socket).connected


def test_a_private_node_and_its_end():
    with pytest.raises(ValueError, match="not been initialized"):
        vineyard.get_current_socket()
    vineyard.shutdown()
    vineyard.try_init()
    try:
        socket = vineyard.get_current_socket()
        assert os.environ["VINEYARD_IPC_SOCKET"] == socket
        with pytest.raises(AssertionError):
            vineyard.try_init()
        object_id = vineyard.put("private")
        assert vineyard.get(object_id) == "private"
        assert vineyard.connect().ipc_socket == socket
    finally:
        vineyard.shutdown()
    assert "VINEYARD_IPC_SOCKET" not in os.environ
    assert not os.path.exists(socket)
    with vineyard.envvars("VINEYARD_IPC_SOCKET", "/a.sock"), pytest.raises(ValueError):
        vineyard.try_init()


def test_connecting_to_nothing_starts_a_private_node():
    try:
        first, second = vineyard.connect(), vineyard.connect()
        assert first.instance_id == second.instance_id
        assert second.get(first.put(1024)) == 1024
    finally:
        vineyard.shutdown()


def test_threads_that_connect_to_nothing_share_one_private_node():
    try:
        with ThreadPoolExecutor(8) as pool:
            clients = list(pool.map(lambda _: vineyard.connect(), range(8)))
        assert len({client.ipc_socket for client in clients}) == 1
        with pytest.raises(AssertionError, match="called before"):
            vineyard.try_init()
    finally:
        vineyard.shutdown()


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_a_private_node_ends_with_the_process(end):
    code = (
        "import vineyard; from vineyard.deploy import local; client = vineyard.connect();"
        "print(local._private._node.process.pid, client.ipc_socket, flush=True);"
        + ("" if end == "exit" else "import time; time.sleep(60)")
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid, socket = process.stdout.readline().split()
    if end == "kill":
        process.send_signal(signal.SIGKILL)
    process.wait(GONE_SECONDS)
    process.stdout.close()
    wait_gone(int(pid))
    assert not os.path.exists(os.path.dirname(socket))


SSH = """#!/bin/sh
# A stand-in: the host is an address of this machine, and has folders of its own.
case "$1" in *unreachable*) echo "no route to host" >&2; exit 255;; esac
host=${{1#*@}}; shift
command=$(printf '%s' "$*" | sed "s#SOCKET#{folder}/$host.sock#g")
PATH={folder}:$PATH exec sh -c "$command"
"""


@pytest.fixture
def ssh(short_folder, monkeypatch):
    """Puts a stand-in for ssh on PATH, with the programs of the package beside it."""
    folder = short_folder / "ssh"
    folder.mkdir(exist_ok=True)
    programs = {
        "ssh": SSH.format(folder=folder),
        "vineyardd": f'#!/bin/sh\nexec {sys.executable} -m vineyard "$@"\n',
        "vineyardctl": f'#!/bin/sh\nexec {sys.executable} -m vineyard.cli "$@"\n',
    }
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_three_hosts_over_ssh_are_one_cluster(ssh):
    hosts = ["127.0.0.1", "user@127.0.0.2", "127.0.0.3"]
    options = {"size": "64M", "socket": "SOCKET", "rpc_socket_port": free_port()}
    with distributed.start_vineyardd(hosts, **options) as (processes, _, cluster):
        assert len(processes) == 3
        sockets = [str(ssh / f"127.0.0.{number}.sock") for number in (1, 2, 3)]
        meet(*sockets)
        more = distributed.start_vineyardd(["127.0.0.4"], etcd_endpoints=cluster, **options)
        with more as (_, _, same):
            assert same == cluster
            meet(*sockets, str(ssh / "127.0.0.4.sock"))
    assert all(process.poll() is not None for process in processes)
    assert not any(os.path.exists(socket) for socket in sockets)


def test_a_host_that_does_not_answer_is_named(ssh):
    unreachable = distributed.start_vineyardd(["unreachable"], socket="SOCKET")
    with pytest.raises(RuntimeError, match=r"unreachable(.|\n)*no route to host"), unreachable:
        pass

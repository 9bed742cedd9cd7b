"""`hosts=`: reads whose shares are read by processes that ssh and kubectl start, on three nodes.

ssh is the real one, and so is its server; kubectl is a script. All hosts are this machine, each
with a node of its own.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import io_servers
import pandas as pd
import pyarrow as pa
import pytest
import vineyard
import vineyard.io
from vineyard._C import StreamFailedException
from vineyard.io import ReadError

ROWS = 3000
NAMED = "read-on-hosts"
MARKER = "MARKER-of-a-secret"
GONE_SECONDS = 20
CHUNK = {"chunk_size": 8192, "header_row": True}
HOSTS = ["one", "localhost", "three"]

SERVER = """
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/mine.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AcceptEnv VINEYARD_IPC_SOCKET
ForceCommand PATH={path} PYTHONPATH={package} sh -c "$SSH_ORIGINAL_COMMAND"
"""
CLIENT = """
Host *
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known
  GlobalKnownHostsFile none
  HostKeyAlias host
Host * !stranger
  IdentityFile {folder}/mine
Host one
  SetEnv VINEYARD_IPC_SOCKET={sockets[0]}
Host three
  SetEnv VINEYARD_IPC_SOCKET={sockets[2]}
Host stranger
  IdentityFile {folder}/other
"""
# Writes down what it was called with.
SSH = """#!/bin/sh
printf '%s\\n' "$@" >> {folder}/called
case "$*" in *dead*) set -- -p {closed} "$@" ;; esac
exec {ssh} -F {folder}/client "$@"
"""
KUBECTL = """#!/bin/sh
printf '%s\\n' "$*" >> {folder}/called
shift 2
while [ "$1" != -- ]; do
  case "$1" in -n | -c) shift 2 ;; *) pod=$1; shift ;; esac
done
shift
VINEYARD_IPC_SOCKET=$(cat {folder}/$pod) PYTHONPATH={package} exec "$@"
"""


class Hosts:
    """A server of ssh, and what leads to it: a folder for PATH, with the files of both sides."""

    def __init__(self, folder: Path, sockets: list[str]) -> None:
        self.folder = folder
        server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        self._server = server
        is_there = all((server, shutil.which("ssh"), shutil.which("ssh-keygen")))
        # Why there is no login; empty if there is one, None before it was tried.
        self._refusal = None if is_there else "openssh is not installed"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Bound and not listening: connections are refused.
        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))
        for name in ("host", "mine", "other") if is_there else ():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
            key = (folder / f"{name}.pub").read_text()
            with (folder / "known").open("a") as known:
                known.write(f"{name} {key}")
        package = Path(vineyard.__file__).parents[1]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        words = {
            "folder": folder,
            "package": package,
            "path": path,
            "sockets": sockets,
            "port": self._listener.getsockname()[1],
            "closed": self._closed.getsockname()[1],
            "user": getpass.getuser(),
            "ssh": shutil.which("ssh"),
        }
        for name, text in (("server", SERVER), ("client", CLIENT)):
            (folder / name).write_text(text.format(**words))
        for name, text in (("ssh", SSH), ("kubectl", KUBECTL)):
            (folder / name).write_text(text.format(**words))
            (folder / name).chmod(0o755)
        for pod, path in zip(("pod-1", "pod-2", "pod-3"), sockets, strict=True):
            (folder / pod).write_text(path)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError), (self.folder / "log").open("wb") as log:
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    assert self._server is not None
                    command = [self._server, "-i", "-e", "-f", str(self.folder / "server")]
                    ends = {"stdin": connection, "stdout": connection, "stderr": log}
                    self._processes.append(subprocess.Popen(command, **ends))

    def need_logins(self) -> None:
        """Leaves a test out where this machine lets nobody in by ssh."""
        if self._refusal is None:
            command = [str(self.folder / "ssh"), "one", "true"]
            tried = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self._refusal = f"ssh says {tried.stderr}" if tried.returncode else ""
            (self.folder / "called").write_text("")
        if self._refusal:
            pytest.skip(f"needs a login by ssh: {self._refusal}")

    def called(self) -> str:
        """What ssh and kubectl were called with."""
        return (self.folder / "called").read_text()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self._closed.close()
        for process in self._processes:
            process.wait(GONE_SECONDS)


@pytest.fixture(scope="module")
def hosts(cluster, tmp_path_factory) -> Iterator[Hosts]:
    if os.getuid() == 0:
        # Made at the start of the service; it stays, for a server of another session needs it, too.
        Path("/run/sshd").mkdir(exist_ok=True)
    made = Hosts(tmp_path_factory.mktemp("hosts"), [node.socket for node in cluster])
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def found_first(hosts, monkeypatch) -> None:
    places = [str(hosts.folder), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", ":".join(places))
    (hosts.folder / "called").write_text("")


@pytest.fixture
def logins(hosts, found_first) -> None:
    hosts.need_logins()


@pytest.fixture
def clients(cluster) -> Iterator[list[Any]]:
    made = [vineyard.connect(node.socket, endpoint=(node.host, node.port)) for node in cluster]
    yield made
    for client in made:
        client.close()


@pytest.fixture
def csv(tmp_path) -> str:
    path = tmp_path / "x.csv"
    frame = pd.DataFrame({"a": range(ROWS), "b": [f"text {at}" for at in range(ROWS)]})
    frame.to_csv(path, index=False)
    return str(path)


def objects_of(clients: list[Any]) -> set[Any]:
    """All objects of all nodes."""
    found = set()
    for client in clients:
        client.sync_meta()
        found |= {meta.id for meta in client.list_metadatas("*", limit=100_000)}
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("deployment", "names", "called"),
    [
        ("ssh", HOSTS, ["one", "three"]),
        ("kubernetes", ["space:pod-1:box", "localhost", "space:pod-3"], ["pod-1 -c box", "pod-3"]),
    ],
)
def test_three_hosts_make_what_one_read_makes(deployment, names, called, hosts, clients, csv):
    if deployment == "ssh":
        hosts.need_logins()
    offset = 10

    def moves(batch: pa.RecordBatch) -> pa.RecordBatch:
        numbers = pa.array([number.as_py() + offset for number in batch["a"]])
        return pa.RecordBatch.from_arrays([numbers, batch["b"]], names=["a", "b"])

    given = {"accumulate": True, "chunk_hook": moves, "name": NAMED, "client": clients[1]}
    where = {"hosts": names, "deployment": deployment}
    meta = vineyard.io.read(csv, **CHUNK, **where, **given)
    parts = [meta[f"partitions_-{at}"] for at in range(meta["partitions_-size"])]
    owners = [part.instance_id for part in parts]
    assert list(dict.fromkeys(owners)) == [client.instance_id for client in clients]
    places = [part["row_batch_index_"] for part in parts]
    assert places == sorted(set(places))
    single = vineyard.io.read(csv, accumulate=True, client=clients[1], **CHUNK)
    whole = pd.concat(clients[1].get(single.id), ignore_index=True)
    whole["a"] += offset
    for client in clients:
        client.sync_meta()
        assert client.get_name(NAMED) == meta.id
        assert pd.concat(client.get(meta.id), ignore_index=True).equals(whole)
    for words in called:
        assert words in hosts.called()
    assert csv not in hosts.called()
    clients[1].delete([meta.id, single.id], force=True)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("dead", "host dead: ssh ended with code 255: .*Connection refused"),
        ("stranger", r"host stranger: ssh ended with code 255: .*Permission denied \(publickey"),
    ],
)
def test_a_host_that_cannot_be_reached_is_named(logins, host, says, clients, csv):
    before = objects_of(clients)
    with pytest.raises(ReadError, match=says):
        vineyard.io.read(
            csv, accumulate="arrow", hosts=["localhost", host], client=clients[1], **CHUNK
        )
    assert objects_of(clients) == before


def test_what_one_host_fails_of_is_told_with_its_name(logins, clients, csv):
    def dies(batch: Any) -> Any:
        if "/n0/" in os.environ.get("VINEYARD_IPC_SOCKET", ""):
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    before = objects_of(clients)
    given = {"accumulate": "arrow", "client": clients[1], **CHUNK}
    with pytest.raises(ReadError, match="host one: ssh ended with code"):
        vineyard.io.read(csv, chunk_hook=dies, hosts=HOSTS, **given)
    # What the process had put that was killed, and nothing of the others.
    left = objects_of(clients) - before
    owners = {clients[0].get_meta(one).instance_id for one in left}
    assert owners <= {clients[0].instance_id}
    with pytest.raises(FileNotFoundError, match=r"there is no such file \(on host one\)"):
        vineyard.io.read(f"{csv}.none", hosts=["one"], **given)


def test_nothing_is_left_of_a_read_that_is_killed(logins, clients, cluster, csv):
    go = Path(csv).with_name("go")
    script = (
        "import os, sys, time, vineyard, vineyard.io\n"
        "from pathlib import Path\n"
        "def hook(batch):\n"
        "    if '/n2/' in os.environ.get('VINEYARD_IPC_SOCKET', ''):\n"
        "        Path(go + '.reads').touch()\n"
        "        while not Path(go).exists():\n"
        "            time.sleep(0.02)\n"
        "    return batch\n"
        "go, csv, socket = sys.argv[1:]\n"
        "client = vineyard.connect(socket)\n"
        "given = {'accumulate': 'arrow', 'header_row': True, 'chunk_size': 8192}\n"
        "vineyard.io.read(csv, chunk_hook=hook, hosts=['one', 'three'], client=client, **given)\n"
    )
    before = objects_of(clients)
    environment = os.environ | {"PYTHONPATH": str(Path(vineyard.__file__).parents[1])}
    command = [sys.executable, "-c", script, str(go), csv, cluster[1].socket]
    with subprocess.Popen(command, env=environment) as process:
        wait_until(go.with_name("go.reads").exists)
        wait_until(lambda: objects_of(clients) != before)
        process.kill()
    go.touch()
    wait_until(lambda: objects_of(clients) == before)


def test_streams_are_filled_where_they_are(logins, clients, cluster, csv):
    handlers: list[Any] = []
    given = {"client": clients[1], "handlers": handlers, **CHUNK}
    read = vineyard.io.read(csv, hosts=HOSTS, **given)
    streams = [clients[at].get(stream.id) for at, stream in enumerate(read.streams)]
    tables = [stream.open_reader(clients[at]).read_table() for at, stream in enumerate(streams)]
    assert pa.concat_tables(tables)["a"].to_pylist() == list(range(ROWS))
    read.join()
    assert read.progress == 1.0
    assert [handler.status for handler in handlers] == ["done"] * 3
    clients[1].delete(read, force=True)

    def fails(batch: Any) -> Any:
        raise KeyError("there")

    handlers.clear()
    read = vineyard.io.read(csv, hosts=["three"], chunk_hook=fails, **given)
    with pytest.raises(ReadError, match=r"chunk_hook raised KeyError .* \(on host three\)"):
        read.join()
    with pytest.raises(StreamFailedException, match="chunk_hook raised KeyError"):
        list(clients[2].get(read.streams[0].id).open_reader(clients[2]))
    assert handlers[0].status == "failed" and "KeyError" in handlers[0].diagnostics[0]


def test_secrets_reach_the_hosts_and_are_seen_nowhere(logins, clients, cluster, hosts, csv):
    def looks(batch: Any) -> Any:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                assert MARKER.encode() not in path.read_bytes()
        # The file was read, so the secret was there.
        raise KeyError("all is well")

    with io_servers.s3("on-hosts") as options:
        options["secret"] = MARKER
        path = "s3://on-hosts/x.csv"
        vineyard.io.write(path, pd.read_csv(csv), header_row=True, storage_options=options)
        given = {"storage_options": options, "client": clients[1], **CHUNK}
        read = vineyard.io.read(path, hosts=["three"], chunk_hook=looks, **given)
        with pytest.raises(ReadError, match=r"x\.csv: .*'all is well' \(on host three\)") as raised:
            read.join()
    texts = [hosts.called(), *(node.log.read_text() for node in cluster)]
    texts += [repr(clients[2].get_meta(one)) for one in objects_of(clients)]
    error: BaseException | None = raised.value
    while error is not None:
        texts.append(f"{error!r} {error}")
        error = error.__cause__ or error.__context__
    assert repr(read) in " ".join(texts)
    assert not [text for text in texts if MARKER in text]
    clients[1].delete(read, force=True)


def test_what_cannot_be_is_refused_before_a_process_is_started(clients, hosts, csv):
    given = {"client": clients[1], "accumulate": True}
    for wrong, says in (
        ({"hosts": ["one"], "rank": 0, "size": 2}, "give hosts=, which starts processes, or rank"),
        ({"hosts": ["-oProxyCommand=x"]}, "'-oProxyCommand=x' in hosts is no name of a host"),
        ({"hosts": ["one"], "header": True}, "header in the call is no option"),
        ({"hosts": [1]}, "hosts is .*: it must be names"),
        ({"hosts": ["one"], "deployment": "mpi"}, "deployment is 'mpi': it must be ssh or kub"),
    ):
        with pytest.raises(ValueError, match=says):
            vineyard.io.read(csv, **given, **wrong)
    lock = threading.Lock()
    with pytest.raises(TypeError, match="cannot be sent to a host"):
        vineyard.io.read(csv, hosts=["one"], chunk_hook=lambda batch: lock, **given)
    with pytest.raises(ValueError, match="hosts= is for reads"):
        vineyard.io.write(csv, pd.DataFrame({"a": [1]}), hosts=["one"])
    assert hosts.called() == ""

"""Fixtures: real nodes in temporary folders, and clients connected to them.

A node listens on a port that the system picks; it ends with the session, and its folder with it.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Every test that may be skipped somewhere, with its reason.
SKIPS = ROOT / "tests" / "skips.txt"
READY_SECONDS = 30
END_SECONDS = 20
SETTLE_SECONDS = 20
CLUSTER_NODES = 3


def program(name: str) -> list[str]:
    """How to start `name`: the developer's build, or the one that came with the package."""
    built = ROOT / "target" / os.environ.get("VINEYARD_TEST_PROFILE", "debug") / name
    if built.exists():
        return [str(built)]
    call = f"import sys; from vineyard._C import {name}; sys.exit({name}(sys.argv[1:]))"
    return [sys.executable, "-c", call]


class Node:
    """One `vineyardd` as a process of its own.

    `socket` is its Unix socket, `endpoint` its `host:port`, `folder` where it keeps data and log.
    """

    def __init__(
        self,
        folder: Path,
        *flags: str,
        size: str = "256M",
        token: str | None = None,
        listen: str = "127.0.0.1:0",
        before: list[str] | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = str(folder / "sock")
        command = [*(before or []), *program("vineyardd"), "--socket", self.socket, "--size", size]
        command += ["--data-dir", str(folder / "data"), "--listen", listen, *flags]
        command += [] if "--join" in flags else ["--found"]
        self.log = folder / "log"
        environment = os.environ | ({"VINEYARD_TOKEN": token} if token else {})
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self.endpoint = self._wait_ready()

    def _wait_ready(self) -> str:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            text = self.log.read_text(errors="replace")
            ready = re.search(r"ready; to add a node: .* vineyardd --join ([0-9.]+:\d+)", text)
            if ready:
                return ready.group(1)
            if self.process.poll() is not None:
                raise RuntimeError(f"vineyardd ended with {self.process.returncode}:\n{text}")
            time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"vineyardd was not ready after {READY_SECONDS} s:\n{text}")

    @property
    def host(self) -> str:
        return self.endpoint.rsplit(":", 1)[0]

    @property
    def port(self) -> int:
        return int(self.endpoint.rsplit(":", 1)[1])

    def token(self) -> str:
        """What another node needs to join this one's cluster."""
        command = [*program("vineyardctl"), "--socket", self.socket, "token"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def assert_all_is_free(self) -> None:
        """Waits until a blob as large as the whole arena can be created.

        The status does not count deleted blobs that readers still refer to, and clients release
        references with a delay, so this tries again until a deadline.
        """
        import vineyard

        # Not closed: the test may share this connection.
        client = vineyard.connect(self.socket)
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            gc.collect()
            try:
                client.create_blob(client.status.memory_limit).abort(client)
                return
            except vineyard.NotEnoughMemoryException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        """Ends the process without a warning, and waits until it has ended."""
        self.process.kill()
        self.process.wait()

    def again(self) -> Node:
        """A node in the same folder, on the same socket and port, after this one has ended."""
        return Node(self.folder, listen=self.endpoint)

    def stop(self) -> None:
        """Ends the process, and waits until it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Cluster:
    """Three nodes that agree with each other; `cluster[0]` to `cluster[2]`."""

    def __init__(self, folder: Path) -> None:
        self.nodes: list[Node] = []
        try:
            self.nodes.append(Node(folder / "n0"))
            token = self.nodes[0].token()
            for number in range(1, CLUSTER_NODES):
                joins = ("--join", self.nodes[0].endpoint)
                self.nodes.append(Node(folder / f"n{number}", *joins, token=token))
            for node in self.nodes:
                command = [*program("vineyardctl"), "--socket", node.socket, "wait", "--ready"]
                subprocess.run([*command, "--nodes", str(CLUSTER_NODES)], check=True)
        except BaseException:
            self.stop()
            raise

    def __getitem__(self, index: int) -> Node:
        return self.nodes[index]

    def __len__(self) -> int:
        return len(self.nodes)

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs three nodes")
    covers = "covers(*names): what of the reference a test covers; tools/coverage.py reads it"
    config.addinivalue_line("markers", covers)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker("cluster")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the session if a test was skipped that is not listed with its reason."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    listed = {line.split(" ", 1)[0] for line in SKIPS.read_text().splitlines()}
    for report in skipped:
        file, _, test = report.nodeid.partition("::")
        if not listed & {Path(file).name, test.partition("[")[0]}:
            print(f"\n{report.nodeid} was skipped and is not in {SKIPS}: {report.longrepr}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path is short enough for a Unix socket (108 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="vy-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def node(short_folder: Path) -> Iterator[Node]:
    """One node, for the whole session."""
    one = Node(short_folder / "node")
    yield one
    one.stop()


@pytest.fixture(scope="session")
def cluster(short_folder: Path) -> Iterator[Cluster]:
    """Three nodes as one cluster, for the whole session."""
    three = Cluster(short_folder / "cluster")
    yield three
    three.stop()


@pytest.fixture
def fresh_node() -> Iterator[Node]:
    """A node for one test: for tests that count memory or kill the node."""
    folder = Path(tempfile.mkdtemp(prefix="vy-"))
    one = Node(folder / "node")
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def ipc_client(node: Node):
    """A `vineyard.Client` over the Unix socket, closed after the test."""
    import vineyard

    client = vineyard.connect(node.socket)
    yield client
    client.close()


@pytest.fixture
def rpc_client(node: Node):
    """A `vineyard.Client` over TCP, closed after the test."""
    import vineyard

    client = vineyard.connect(endpoint=(node.host, node.port))
    yield client
    client.close()


@pytest.fixture(params=["ipc", "rpc"])
def client(request: pytest.FixtureRequest, node: Node):
    """Each of the two, one after the other."""
    import vineyard

    if request.param == "ipc":
        one = vineyard.connect(node.socket)
    else:
        one = vineyard.connect(endpoint=(node.host, node.port))
    yield one
    one.close()


@pytest.fixture
def ipc(node: Node):
    """A raw `IPCClient` with a connection of its own."""
    from vineyard import _C

    one = _C._connect(node.socket).fork()
    yield one
    one.close()


@pytest.fixture
def rpc(node: Node):
    """A raw `RPCClient` with a connection of its own."""
    from vineyard import _C

    one = _C._connect(node.host, node.port).fork()
    yield one
    one.close()


@pytest.fixture(params=["ipc", "rpc"])
def raw(request: pytest.FixtureRequest):
    """Each of the two, one after the other."""
    return request.getfixturevalue(request.param)

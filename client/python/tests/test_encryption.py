"""TCP in TLS: which node a client takes, and what it says of it."""

from __future__ import annotations

import subprocess

import pytest
import vineyard
from conftest import Node, program


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A node that takes no plain TCP, also of its own machine."""
    node = Node(tmp_path_factory.mktemp("strict"), "--require-tls", size="64M")
    yield node
    node.stop()


def authority(node: Node, *flags: str) -> str:
    command = [*program("vineyardctl"), "--socket", node.socket, "token", "ca", *flags]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_client_takes_the_nodes_of_its_ca_alone(strict, tmp_path, monkeypatch):
    file = tmp_path / "ca.pem"
    file.write_text(authority(strict, "--pem"))
    for ca in (authority(strict), file, str(file), file.read_text()):
        with vineyard.connect(endpoint=strict.endpoint, ca=ca) as client:
            assert f"rpc_endpoint={strict.endpoint!r} (TLS, node verified)" in repr(client)
            assert client.get(client.put([1, "two"])) == [1, "two"]
    other = "sha256:" + "0" * 64
    with pytest.raises(vineyard.ConnectionFailedException, match="no node of the authority in ca"):
        vineyard.connect(endpoint=strict.endpoint, ca=other)
    with pytest.raises(vineyard.ConnectionFailedException, match="no fingerprint"):
        vineyard.connect(endpoint=strict.endpoint, ca="/no/such/file")
    monkeypatch.setenv("VINEYARD_CA", authority(strict))
    with vineyard.connect(endpoint=strict.endpoint) as client:
        assert "(TLS, node verified)" in repr(client)


def test_without_a_ca_it_says_that_nobody_was_verified(strict):
    with vineyard.connect(endpoint=strict.endpoint) as client:
        assert "(TLS, node not verified)" in repr(client)
        assert client.rpc_client.security == "TLS, node not verified"
    with vineyard.connect(strict.socket) as client:
        assert client.ipc_client.security == "local"

"""The configuration file: where it is searched for, and what is read from it."""

from __future__ import annotations

import pytest
import vineyard


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch):
    for name in ("VINEYARD_IPC_SOCKET", "VINEYARD_RPC_ENDPOINT", "VINEYARD_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VINEYARD_IPC_SKIP_RETRY", "1")
    monkeypatch.setenv("VINEYARD_RPC_SKIP_RETRY", "1")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "vineyard-config.yaml"


def test_a_file_given_to_connect(file, node):
    file.write_text(f"Vineyard:\n  IPCSocket: {node.socket}\n  RPCEndpoint: {node.endpoint}\n")
    with vineyard.connect(config=str(file)) as client:
        assert client.is_ipc
        assert client.has_rpc_client()
        assert client.rpc_endpoint == node.endpoint


def test_an_endpoint_alone(file, node):
    file.write_text(f"Vineyard:\n  RPCEndpoint: {node.endpoint}\n")
    with vineyard.connect(config=str(file)) as client:
        assert client.is_rpc


def test_a_socket_that_is_not_there_leaves_the_endpoint(file, node):
    file.write_text(f"Vineyard:\n  IPCSocket: absent.sock\n  RPCEndpoint: {node.endpoint}\n")
    with vineyard.connect(config=str(file)) as client:
        assert client.is_rpc


def test_arguments_come_before_the_file(file, node, monkeypatch):
    file.write_text("Vineyard:\n  IPCSocket: absent.sock\n  RPCEndpoint: 127.0.0.1:1\n")
    monkeypatch.setenv("VINEYARD_CONFIG", str(file))
    with vineyard.connect(node.socket) as client:
        assert client.is_ipc


@pytest.mark.parametrize("text", ["", "Vineyard:\n", "Vineyard: 5\n", "- a list\n", "{", "\0"])
def test_a_file_that_says_nothing_is_a_connection_error(file, text):
    file.write_text(text)
    with pytest.raises((ConnectionError, ValueError)):
        vineyard.connect(config=str(file))

"""A node with `--htpasswd` accepts clients with the right password only, over IPC and RPC."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import vineyard
from conftest import Node

PASSWORD = "open sesame"
# What Apache's `htpasswd -nbB -C 5 ali "open sesame"` and `htpasswd -nbs baba "open sesame"` write.
LINES = """ali:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW
baba:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=
"""


@pytest.fixture(scope="module")
def guarded() -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="vy-"))
    passwords = folder / "passwords"
    passwords.write_text(LINES)
    one = Node(folder / "node", "--htpasswd", str(passwords))
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["ipc", "rpc"])
def where(request, guarded, monkeypatch) -> dict:
    """The arguments of connect that name the node."""
    monkeypatch.setenv("VINEYARD_IPC_SKIP_RETRY", "1")
    monkeypatch.setenv("VINEYARD_RPC_SKIP_RETRY", "1")
    if request.param == "ipc":
        return {"socket": guarded.socket}
    return {"host": guarded.host, "port": guarded.port}


@pytest.mark.parametrize("username", ["ali", "baba"])
def test_the_right_password_opens(where, username):
    with vineyard.connect(**where, username=username, password=PASSWORD) as client:
        assert client.get(client.put([1, 2])) == [1, 2]
        # A connection made anew, as after a fork, logs in like the first.
        client.fork()
        assert client.get(client.put([3])) == [3]


@pytest.mark.parametrize(
    "login",
    [
        {"username": "ali", "password": "open barley"},
        {"username": "ali", "password": ""},
        {"username": "baba", "password": PASSWORD.upper()},
        {"username": "nobody", "password": PASSWORD},
        {"username": "ali"},
        {},
    ],
)
def test_a_wrong_password_is_refused_and_told(where, login):
    with pytest.raises(vineyard.ConnectionFailedException, match=r"(?i)user|password") as raised:
        vineyard.connect(**where, **login)
    assert isinstance(raised.value, ConnectionError)
    assert PASSWORD not in str(raised.value)


def test_a_refused_login_leaves_no_connection(guarded, monkeypatch):
    monkeypatch.setenv("VINEYARD_IPC_SKIP_RETRY", "1")
    with vineyard.connect(guarded.socket, username="ali", password=PASSWORD) as client:
        before = client.status.ipc_connections
        for _ in range(20):
            with pytest.raises(vineyard.ConnectionFailedException):
                vineyard.connect(guarded.socket, username="ali", password="no")
        assert client.status.ipc_connections == before


def test_a_shared_connection_is_not_given_to_a_client_without_the_password(guarded, monkeypatch):
    """Clients of one socket share a connection only if they give the same password."""
    monkeypatch.setenv("VINEYARD_IPC_SKIP_RETRY", "1")
    with vineyard.connect(guarded.socket, username="ali", password=PASSWORD) as client:
        with pytest.raises(vineyard.ConnectionFailedException):
            vineyard.connect(guarded.socket)
        with pytest.raises(vineyard.ConnectionFailedException):
            vineyard.connect(guarded.socket, username="ali", password="no")
        assert client.connected

"""Connecting: every form of the arguments, the environment, the configuration file, both
connections at once.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest
import vineyard
from vineyard.core.connections.addresses import from_arguments, from_surroundings, parse_endpoints

VARIABLES = ("VINEYARD_IPC_SOCKET", "VINEYARD_RPC_ENDPOINT", "VINEYARD_CONFIG")


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VINEYARD_CONFIG", str(tmp_path / "absent"))
    monkeypatch.setenv("VINEYARD_IPC_SKIP_RETRY", "1")
    monkeypatch.setenv("VINEYARD_RPC_SKIP_RETRY", "1")


def kinds(client) -> tuple[bool, bool]:
    return isinstance(client, vineyard.IPCClient), isinstance(client, vineyard.RPCClient)


def test_a_socket_is_ipc(node):
    for arguments in ({"socket": node.socket}, {"socket": node.socket, "session": 5}):
        with vineyard.connect(**arguments) as client:
            assert (client.is_ipc, client.is_rpc) == (True, False)
            assert kinds(client) == (True, False)
            assert client.ipc_socket == node.socket
            assert client.has_ipc_client() and not client.has_rpc_client()


@pytest.mark.parametrize("form", range(8))
def test_an_endpoint_is_rpc(node, form):
    host, port = node.host, node.port
    arguments, keywords = [
        ((host, port), {}),
        ((host, str(port)), {}),
        ((), {"host": host, "port": port}),
        ((), {"endpoint": (host, port)}),
        ((), {"endpoint": (host, str(port))}),
        ((), {"endpoint": f"{host}:{port}"}),
        ((f"{host}:{port}",), {}),
        ((), {"endpoint": f"{host}:1,{host}:{port}"}),
    ][form]
    with vineyard.connect(*arguments, **keywords) as client:
        assert (client.is_ipc, client.is_rpc) == (False, True)
        assert kinds(client) == (False, True)
        assert client.get(client.put([1])) == [1]
        with pytest.raises(AssertionError, match="IPC client is not available"):
            client.create_blob(1)


def test_both_at_once_prefer_ipc(node):
    with vineyard.connect(node.socket, endpoint=node.endpoint) as client:
        assert kinds(client) == (True, True)
        assert (client.is_ipc, client.is_rpc) == (True, False)
        assert client.rpc_endpoint == node.endpoint
        assert client.instance_id == client.remote_instance_id
        blob_id = client.put(b"both")
        assert bytes(client.get_remote_blob(blob_id)) == b"both"


def test_raw_clients_are_instances_too(node):
    with vineyard.connect(node.socket, endpoint=node.endpoint) as client:
        assert isinstance(client.ipc_client, vineyard.IPCClient)
        assert isinstance(client.rpc_client, vineyard.RPCClient)
        assert not isinstance(client.ipc_client, vineyard.RPCClient)
        assert not isinstance(client.rpc_client, vineyard.IPCClient)
    assert not isinstance(5, vineyard.IPCClient)
    assert issubclass(vineyard._C.IPCClient, vineyard.IPCClient)


def test_the_environment(node, monkeypatch):
    monkeypatch.setenv("VINEYARD_IPC_SOCKET", node.socket)
    for client in (vineyard.connect(), vineyard.connect(None), vineyard.connect(username="")):
        with client:
            assert kinds(client) == (True, False)
    monkeypatch.setenv("VINEYARD_RPC_ENDPOINT", node.endpoint)
    with vineyard.connect() as client:
        assert kinds(client) == (True, True)
    monkeypatch.delenv("VINEYARD_IPC_SOCKET")
    with vineyard.connect() as client:
        assert kinds(client) == (False, True)
    assert vineyard.get(vineyard.put({"a": 1})) == {"a": 1}


def test_one_of_two_that_answers_is_enough(node, monkeypatch):
    monkeypatch.setenv("VINEYARD_IPC_SOCKET", "/nowhere/at.sock")
    monkeypatch.setenv("VINEYARD_RPC_ENDPOINT", node.endpoint)
    with vineyard.connect() as client:
        assert kinds(client) == (False, True)


def test_a_configuration_file(node, monkeypatch, tmp_path):
    file = tmp_path / "vineyard-config.yaml"
    file.write_text(
        f"# a comment\nOther:\n  IPCSocket: wrong\nVineyard:\n  IPCSocket: '{node.socket}'\n"
        f"  RPCEndpoint: {node.endpoint}  # where\n"
    )
    for config in (file, tmp_path):
        with vineyard.connect(config=str(config)) as client:
            assert kinds(client) == (True, True)
        monkeypatch.setenv("VINEYARD_CONFIG", str(config))
        with vineyard.connect() as client:
            assert kinds(client) == (True, True)


def test_a_configuration_file_one_folder_below(node, tmp_path):
    (tmp_path / "vineyard").mkdir()
    file = tmp_path / "vineyard" / "vineyard-config.yaml"
    file.write_text(f"Vineyard:\n  RPCEndpoint: {node.endpoint}\n  IPCSocket: absent.sock\n")
    with vineyard.connect(config=str(tmp_path)) as client:
        assert kinds(client) == (False, True)


def test_a_relative_socket_is_beside_the_file(tmp_path):
    (tmp_path / "here.sock").touch()
    file = tmp_path / "vineyard-config.yaml"
    file.write_text("Vineyard:\n  IPCSocket: here.sock\n")
    assert from_surroundings(str(tmp_path)).socket == str(tmp_path / "here.sock")


def test_the_environment_comes_before_the_file(monkeypatch):
    monkeypatch.setenv("VINEYARD_IPC_SOCKET", "/a.sock")
    monkeypatch.setenv("VINEYARD_CONFIG", "/nowhere")
    assert from_surroundings().socket == "/a.sock"


def test_nothing_to_connect_to_says_what_was_tried():
    with pytest.raises(ConnectionError, match=r"VINEYARD_IPC_SOCKET.*configuration file"):
        vineyard.connect(None)


@pytest.mark.parametrize("endpoint", ["abc", "abc:", ":1", "abc:x", ("a", "b", "c")])
def test_a_bad_endpoint_is_a_value_error(endpoint):
    with pytest.raises(ValueError):
        vineyard.connect(endpoint=endpoint)


def test_endpoints_of_many_forms():
    assert parse_endpoints("[::1]:5, host:6") == [("::1", 5), ("host", 6)]
    assert parse_endpoints(("host", "7")) == [("host", 7)]
    assert from_arguments("/a.sock", None, None, "h:1").endpoints == (("h", 1),)
    with pytest.raises(ValueError, match="needs a port"):
        from_arguments(None, None, "host", None)
    with pytest.raises(ValueError, match="needs a host"):
        from_arguments(None, 1, None, None)


def test_unknown_arguments_are_type_errors():
    with pytest.raises(TypeError):
        vineyard.connect(sockett="/a.sock")


def test_sessions_are_refused_over_rpc(node):
    with pytest.raises(ConnectionError, match="session"):
        vineyard.connect(endpoint=node.endpoint, session=5)


def test_a_node_that_starts_late_is_waited_for(monkeypatch, short_folder):
    from conftest import Node

    monkeypatch.delenv("VINEYARD_IPC_SKIP_RETRY")
    late: list[Node] = []
    folder = short_folder / "late"
    folder.mkdir()
    thread = threading.Thread(target=lambda: (time.sleep(0.5), late.append(Node(folder))))
    thread.start()
    try:
        with vineyard.connect(str(folder / "sock")) as client:
            assert client.connected
    finally:
        thread.join()
        late[0].stop()


def test_who_shares_a_connection_is_closed_with_it(node):
    first, second = vineyard.connect(node.socket), vineyard.connect(node.socket)
    assert first.ipc_client is second.ipc_client
    first.close()
    assert not second.connected
    assert second.ipc_socket == node.socket
    assert isinstance(second.instance_id, int)
    with pytest.raises(vineyard.ConnectionErrorException):
        second.put(1)
    with vineyard.connect(node.socket) as third:
        assert third.get(third.put(1)) == 1


def test_the_last_block_closes_what_is_shared(node):
    with vineyard.connect(node.socket) as outer:
        with vineyard.connect(node.socket) as inner:
            assert inner.ipc_client is outer.ipc_client
        assert outer.get(outer.put(1)) == 1
    assert not outer.connected


@pytest.mark.parametrize("ending", ["stop", "kill"])
@pytest.mark.parametrize("over", ["ipc", "rpc", "both"])
def test_row_4_connecting_again_after_the_node_was_started_again(fresh_node, over, ending):
    arguments = {
        "ipc": {"socket": fresh_node.socket},
        "rpc": {"endpoint": fresh_node.endpoint},
        "both": {"socket": fresh_node.socket, "endpoint": fresh_node.endpoint},
    }[over]
    first = vineyard.connect(**arguments)
    first.put(1, persist=True, name="kept")
    getattr(fresh_node, ending)()
    restarted = fresh_node.again()
    try:
        second = vineyard.connect(**arguments)
        assert second.get(second.put(2)) == 2
        assert second.get(name="kept") == 1
        assert vineyard.connect(**arguments).default_client() is second.default_client()
        # The old client connects again by itself, because its connection is known to be closed.
        assert first.get(first.put(3)) == 3
    finally:
        restarted.stop()


def test_a_connection_that_is_open_is_shared_while_another_thread_uses_it(node):
    with vineyard.connect(node.socket) as client:
        waiting = threading.Thread(target=lambda: client.get_name("comes", wait=True))
        waiting.start()
        assert vineyard.connect(node.socket).ipc_client is client.ipc_client
        client.put_name(client.put(1, persist=True), "comes")
        waiting.join()


def test_a_forked_client_is_its_own(node):
    with vineyard.connect(node.socket) as shared:
        alone = vineyard.connect(node.socket)
        raw = alone.ipc_client
        assert alone.fork() is alone
        assert alone.ipc_client is not raw
        alone.close()
        assert shared.connected


def test_forked_processes_each_reconnect(client):
    object_id = client.put(list(range(10)))
    children = []
    for number in range(8):
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException):
                client.fork()
                mine = client.put((number, "child"))
                fine = client.get(object_id) == list(range(10))
                code = 0 if fine and client.get(mine) == (number, "child") else 2
            os._exit(code)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 8
    assert client.get(object_id) == list(range(10))


def test_repr_says_where_and_whether(node):
    client = vineyard.connect(node.socket, endpoint=node.endpoint)
    assert repr(client) == (
        f"Client(ipc_socket={node.socket!r}, rpc_endpoint={node.endpoint!r} (plain), connected)"
    )
    client.close()
    assert "closed" in repr(client)


def test_importing_loads_no_library_of_values():
    code = (
        "import sys, vineyard;"
        "print(*sorted({'numpy', 'pandas', 'pyarrow', 'polars', 'scipy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == []


def test_everything_exported_is_there():
    for name in [*vineyard.__all__, "_connect", "cli", "ctl"]:
        assert getattr(vineyard, name) is not None
    assert set(vineyard.__all__) <= set(dir(vineyard))
    with pytest.raises(AttributeError):
        vineyard.llm  # noqa: B018
    assert vineyard.__version__


def test_plug_ins_run_and_may_fail(tmp_path):
    folder = tmp_path / ".vineyard"
    folder.mkdir()
    (folder / "01-good.py").write_text("import vineyard; vineyard.plugged_in = True\n")
    (folder / "02-bad.py").write_text("raise SystemError('mine to fail')\n")
    code = "import vineyard; print(vineyard.plugged_in)"
    environment = {**os.environ, "HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == "True"


def test_the_released_package_beside_ours_is_told(tmp_path):
    (tmp_path / "vineyard-0.24.2.dist-info").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", "import vineyard"], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0
    assert "vineyard 0.24.2 is installed" in ran.stderr
    assert "pip uninstall" in ran.stderr


def test_a_socket_may_be_a_path_object(node):
    with vineyard.connect(pathlib.Path(node.socket)) as client:
        assert client.ipc_socket == node.socket

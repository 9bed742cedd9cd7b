"""The environment of the package: each variable that it reads, and the versions of libraries."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import pytest
import vineyard

# Every variable of section 14 of the released package's description, and the test below that has
# it; those without one belong to what comes later, or are about a loader that ours does not have.
VARIABLES = {
    "VINEYARD_IPC_SOCKET": "test_ipc_socket",
    "VINEYARD_RPC_ENDPOINT": "test_rpc_endpoint",
    "VINEYARD_CONFIG": "test_config",
    "VINEYARD_RDMA_ENDPOINT": "test_rdma_endpoint",
    "VINEYARD_IPC_SKIP_RETRY": "test_ipc_skip_retry",
    "VINEYARD_RPC_SKIP_RETRY": "test_rpc_skip_retry",
    "VINEYARD_RPC_SOCKET": "test_rpc_socket_of_the_command_line",
    "VINEYARD_DEVELOP": "test_develop",
    "VINEYARD_LLM_CACHE_SHARED_MEMORY": "the LLM KV cache comes later",
    "VINEYARD_LLM_CACHE_FILESYSTEM": "the LLM KV cache comes later",
    "__VINEYARD_INTERNAL_REGISTRY": "set by the released package for its own loader",
}
# The versions of requirements-oldest.txt; the newest are the latest of the registry.
OLDEST = {"numpy": "1.26", "pandas": "2.2", "pyarrow": "17"}
NEWEST_AT_LEAST = {"numpy": 2, "pandas": 3, "pyarrow": 21}
# How often a client tries to connect to a node that may be just starting.
TRIES = 10

SAY_WHERE = """
import vineyard
with vineyard.connect() as client:
    print(client.is_ipc, client.has_rpc_client(), client.get(client.put(7)))
"""


def python(words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a few lines in a process that has these variables of ours and no others."""
    clean = {name: value for name, value in os.environ.items() if "VINEYARD" not in name}
    command = [sys.executable, "-c", words]
    return subprocess.run(
        command, env=clean | variables, capture_output=True, text=True, timeout=60
    )


def test_every_variable_has_its_test():
    tests = {name for name in globals() if name.startswith("test_")}
    for variable, test in VARIABLES.items():
        assert test in tests or " " in test, variable


def test_ipc_socket(node):
    done = python(SAY_WHERE, VINEYARD_IPC_SOCKET=node.socket)
    assert done.stdout == "True False 7\n", done.stderr


def test_rpc_endpoint(node):
    done = python(SAY_WHERE, VINEYARD_RPC_ENDPOINT=node.endpoint)
    assert done.stdout == "False True 7\n", done.stderr
    both = {"VINEYARD_RPC_ENDPOINT": node.endpoint, "VINEYARD_IPC_SOCKET": node.socket}
    done = python(SAY_WHERE, **both)
    assert done.stdout == "True True 7\n", done.stderr


def test_config(node, tmp_path):
    file = tmp_path / "vineyard-config.yaml"
    file.write_text(f"Vineyard:\n  IPCSocket: {node.socket}\n  RPCEndpoint: {node.endpoint}\n")
    for config in (file, tmp_path):
        done = python(SAY_WHERE, VINEYARD_CONFIG=str(config))
        assert done.stdout == "True True 7\n", done.stderr
    # A relative socket is beside the file.
    (tmp_path / "beside").symlink_to(node.socket)
    file.write_text("Vineyard:\n  IPCSocket: beside\n")
    done = python(SAY_WHERE, VINEYARD_CONFIG=str(file))
    assert done.stdout == "True False 7\n", done.stderr


def test_rdma_endpoint(node):
    """Accepted and without effect: bytes go over TCP."""
    done = python(
        SAY_WHERE, VINEYARD_RPC_ENDPOINT=node.endpoint, VINEYARD_RDMA_ENDPOINT="127.0.0.1:1"
    )
    assert done.stdout == "False True 7\n", done.stderr


REFUSED = """
import time, vineyard
pauses = []
time.sleep = pauses.append
try:
    vineyard.connect()
except ConnectionError as error:
    assert isinstance(error, vineyard.ConnectionFailedException)
print(len(pauses))
"""


def pauses_before_refused(**variables: str) -> int:
    """How often a client waits for a node that is just starting."""
    done = python(REFUSED, **variables)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_ipc_skip_retry(tmp_path):
    nowhere = str(tmp_path / "absent.sock")
    assert pauses_before_refused(VINEYARD_IPC_SOCKET=nowhere, VINEYARD_IPC_SKIP_RETRY="1") == 0
    assert pauses_before_refused(VINEYARD_IPC_SOCKET=nowhere) == TRIES - 1


def test_rpc_skip_retry():
    nobody = "127.0.0.1:1"
    assert pauses_before_refused(VINEYARD_RPC_ENDPOINT=nobody, VINEYARD_RPC_SKIP_RETRY="1") == 0
    assert pauses_before_refused(VINEYARD_RPC_ENDPOINT=nobody) == TRIES - 1


def test_rpc_socket_of_the_command_line(node):
    for variables in (
        {"VINEYARD_RPC_SOCKET": node.endpoint},
        {"VINEYARD_RPC_ENDPOINT": node.endpoint},
        {"VINEYARD_IPC_SOCKET": node.socket},
    ):
        clean = {name: value for name, value in os.environ.items() if "VINEYARD" not in name}
        command = [sys.executable, "-m", "vineyard.cli", "status", "-o", "json"]
        done = subprocess.run(
            command, env=clean | variables, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (variables, done.stderr)
        assert '"commit_index"' in done.stdout


def test_develop():
    """How the released package loads its own library; ours loads the same either way."""
    done = python("import vineyard; print(vineyard.ObjectID(1))", VINEYARD_DEVELOP="TRUE")
    assert done.stdout == 'ObjectID <"o0000000000000001">\n', done.stderr


def test_the_versions_are_those_of_this_environment():
    environment = os.environ.get("VINEYARD_TEST_ENVIRONMENT")
    if environment == "oldest":
        for name, version in OLDEST.items():
            assert importlib.metadata.version(name).startswith(version + "."), name
    elif environment == "newest":
        for name, major in NEWEST_AT_LEAST.items():
            assert int(importlib.metadata.version(name).split(".")[0]) >= major, name
    assert importlib.metadata.version("vineyard-rs") if environment else True
    assert vineyard.__version__


def test_importing_loads_no_library_of_values():
    done = python(
        "import sys, vineyard\n"
        "print([name for name in ('numpy', 'pandas', 'pyarrow', 'polars', 'scipy', 'tqdm', 'yaml')"
        " if name in sys.modules])"
    )
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("library", ["pandas", "pyarrow", "polars", "scipy"])
def test_what_is_not_installed_is_not_needed(node, library):
    """Values of other types can be put and got without `library`."""
    words = f"""
import sys
sys.modules[{library!r}] = None
import vineyard
with vineyard.connect({node.socket!r}) as client:
    for value in (1, 1.5, 'a', b'b', None, (1, 2), [1, [2]], {{'a': 1}}):
        got = client.get(client.put(value))
        assert bytes(got) == value if isinstance(value, bytes) else got == value, value
    import numpy
    assert (client.get(client.put(numpy.arange(3))) == [0, 1, 2]).all()
print('well')
"""
    done = python(words)
    assert done.stdout == "well\n", done.stderr

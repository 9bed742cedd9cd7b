"""Opens raw connections, and waits a little for a node that is just starting.

Promise: every failure is a ConnectionFailedException that says what was tried.
"""

from __future__ import annotations

import os
import socket as sockets
import time
from collections.abc import Callable
from typing import TypeVar

from vineyard._C import ConnectionFailedException, IPCClient, RPCClient, _connect

RETRIES_MAX = 10
RETRY_SECONDS = 1.0
PROBE_SECONDS = 5.0

Raw = TypeVar("Raw", IPCClient, RPCClient)


def open_ipc(socket: str, username: str | None = None, password: str | None = None) -> IPCClient:
    """Connects to the Unix socket of a node.

    Parameters:
        socket: str
            The path of the socket.
        username: str or None
            Who logs in, if the node asks.
        password: str or None
            Their password.

    Raises:
        ConnectionFailedException: nothing answers there, after ten retries a second apart (none, if
        the environment
            has VINEYARD_IPC_SKIP_RETRY=1), or the node refuses.
    """

    def probe() -> None:
        with sockets.socket(sockets.AF_UNIX) as probing:
            probing.settimeout(PROBE_SECONDS)
            probing.connect(socket)

    skip = os.environ.get("VINEYARD_IPC_SKIP_RETRY") == "1" or not os.path.isdir(
        os.path.dirname(socket) or "."
    )
    return _patiently(
        lambda: _connect(socket, username=username or "", password=password or ""),
        probe,
        0 if skip else RETRIES_MAX,
    )


def open_rpc(
    endpoint: tuple[str, int],
    username: str | None = None,
    password: str | None = None,
    patient: bool = True,
) -> RPCClient:
    """Connects to the TCP endpoint of a node.

    Parameters:
        endpoint: tuple of str and int
            Host and port.
        username: str or None
            Who logs in, if the node asks.
        password: str or None
            Their password.
        patient: bool
            Whether to try again for ten seconds, unless the environment has
            VINEYARD_RPC_SKIP_RETRY=1.

    Raises:
        ConnectionFailedException: nothing answers there, or the node refuses.
    """
    host, port = endpoint

    def probe() -> None:
        sockets.create_connection(endpoint, PROBE_SECONDS).close()

    skip = not patient or os.environ.get("VINEYARD_RPC_SKIP_RETRY") == "1"
    return _patiently(
        lambda: _connect(host, port, username=username or "", password=password or ""),
        probe,
        0 if skip else RETRIES_MAX,
    )


def _patiently(connect: Callable[[], Raw], probe: Callable[[], None], retries: int) -> Raw:
    """Tries again while nobody listens. What a listener refuses, it will refuse again."""
    while True:
        try:
            return connect()
        except ConnectionFailedException:
            if retries == 0:
                raise
            try:
                probe()
            except sockets.gaierror:
                raise_now = (
                    True  # A name that does not resolve is a mistake, not a node that starts.
                )
            except OSError:
                raise_now = False
            else:
                raise_now = True
            if raise_now:
                raise
        retries -= 1
        time.sleep(RETRY_SECONDS)

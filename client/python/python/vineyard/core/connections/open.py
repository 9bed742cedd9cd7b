"""Opens raw connections.

Promise: every failure is a ConnectionFailedException that says what was tried. The extension waits
a little for a node that is just starting.
"""

from __future__ import annotations

from vineyard._C import ConnectionFailedException, IPCClient, RPCClient, _connect

PROBE_SECONDS = 5.0


def open_ipc(
    socket: str,
    username: str | None = None,
    password: str | None = None,
    ca: str | None = None,
) -> IPCClient:
    """Connects to the Unix socket of a node.

    Parameters:
        socket: str
            The path of the socket.
        username: str or None
            The user name, for nodes that ask for one.
        password: str or None
            The password of that user.
        ca: str or None
            Whose nodes are taken where bytes are read from other nodes over TCP.

    Returns:
        IPCClient

    Raises:
        ConnectionFailedException: nothing answers there, after ten tries a second apart (one, if
            the environment has VINEYARD_IPC_SKIP_RETRY=1), or the node refuses.
    """
    return _connect(socket, username=username or "", password=password or "", ca=ca)


def open_rpc(
    endpoint: tuple[str, int],
    username: str | None = None,
    password: str | None = None,
    ca: str | None = None,
    patient: bool = True,
) -> RPCClient:
    """Connects to the TCP endpoint of a node.

    Parameters:
        endpoint: tuple of str and int
            Host and port.
        username: str or None
            The user name, for nodes that ask for one.
        password: str or None
            The password of that user.
        ca: str or None
            Whose nodes are taken: a file in PEM, PEM itself, or fingerprints.
        patient: bool
            Whether to try ten times, a second apart, while no node listens there (once, if the
            environment has VINEYARD_RPC_SKIP_RETRY=1).

    Returns:
        RPCClient

    Raises:
        ConnectionFailedException: nothing answers there, or the node refuses.
    """
    host, port = endpoint
    if not patient:
        _expect_listener(endpoint)
    return _connect(host, port, username=username or "", password=password or "", ca=ca)


def _expect_listener(endpoint: tuple[str, int]) -> None:
    import socket as sockets

    try:
        sockets.create_connection(endpoint, PROBE_SECONDS).close()
    except OSError as error:
        raise ConnectionFailedException(
            f"Connection failed: no node listens at {endpoint[0]}:{endpoint[1]}: {error}"
        ) from error

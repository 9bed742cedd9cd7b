"""The client that a read or write uses."""

from __future__ import annotations

from typing import Any


def client_of(call: dict[str, Any]) -> Any:
    """The client that was given, or one that is connected as `vineyard.connect` does.

    Parameters:
        call: dict
            May have `client`, `vineyard_ipc_socket` and `vineyard_endpoint`, which is
            ``host:port`` or the path of a socket.

    Raises:
        ConnectionFailedException: nothing answers.
    """
    client = call.get("client")
    if client is not None:
        return client
    from vineyard.core.connect import connect

    socket, endpoint = call.get("vineyard_ipc_socket"), call.get("vineyard_endpoint")
    if socket is not None:
        # The endpoint is another way to the same node, which is not needed.
        return connect(socket)
    if endpoint is None:
        return connect()
    if isinstance(endpoint, str) and "/" in endpoint:
        return connect(endpoint)
    return connect(endpoint=endpoint)

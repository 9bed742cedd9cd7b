"""Environment variables that are set for the time of a block."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Mapping
from typing import Any


@contextlib.contextmanager
def envvars(
    key: str | Mapping[str, str | None], value: str | None = None, append: bool = False
) -> Generator[Any, Any, Any]:
    """Sets environment variables for the time of a with block.

    >>> with vineyard.envvars("VINEYARD_IPC_SOCKET", client.ipc_socket):
    ...     vineyard.connect().ipc_socket == client.ipc_socket
    True

    Parameters:
        key: str, or dict of str to str or None
            The variable, or several with their values; None removes one.
        value: str or None
            The value of the one; None removes it.
        append: bool
            Whether to put the value behind the present one, after a colon. Default False.

    Yields:
        os.environ. The old values come back at the end, also after an error.
    """
    wanted: Mapping[str, str | None] = {key: value} if isinstance(key, str) else key
    before = {name: os.environ.get(name) for name in wanted}
    try:
        for name, new in wanted.items():
            old = before[name]
            _set(name, f"{old}:{new}" if append and old is not None and new is not None else new)
        yield os.environ
    finally:
        for name, old in before.items():
            _set(name, old)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value

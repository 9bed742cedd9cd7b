"""The addresses that a client connects to: from arguments, else the environment, else a file.

Promise: it only reads; it opens no connection and starts nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

DEFAULT_FOLDER = "/var/run"
FILE_NAMES = ("vineyard-config.yaml", "vineyard/vineyard-config.yaml")

_ENDPOINTS = re.compile(r"[^/\s]+:\d+(,[^/\s]+:\d+)*")

Endpoint = str | tuple[str, int | str]


@dataclass(frozen=True)
class Addresses:
    """What a client may connect to. `source` says where it was found, for error texts."""

    socket: str | None = None
    endpoints: tuple[tuple[str, int], ...] = ()
    source: str = "arguments"

    def __bool__(self) -> bool:
        return bool(self.socket or self.endpoints)


def from_arguments(
    socket: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None,
    port: int | str | None,
    host: str | None,
    endpoint: Endpoint | None,
) -> Addresses:
    """The addresses the arguments of `connect` mean; none if they name nothing.

    Raises:
        ValueError: an endpoint is not ``host:port``, a port comes without a host, or a path is not
            UTF-8.
    """
    socket = _path(socket) if socket is not None else None
    endpoints: list[tuple[str, int]] = []
    if port is not None and host is None:
        host, socket = socket, None
        if host is None:
            raise ValueError(f"connect(port={port!r}) needs a host: connect(host, port)")
    if host is not None:
        if port is None:
            raise ValueError(f"connect(host={host!r}) needs a port: connect(host, port)")
        endpoints.append((host, int(port)))
    if socket is not None and _ENDPOINTS.fullmatch(socket) and not os.path.exists(socket):
        endpoints += parse_endpoints(socket)
        socket = None
    if endpoint is not None:
        endpoints += parse_endpoints(endpoint)
    return Addresses(socket or None, tuple(endpoints))


def _path(socket: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    path = os.fsdecode(socket)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the path of a socket is UTF-8, and {path!r} is not") from None
    return path


def parse_endpoints(endpoint: Endpoint) -> list[tuple[str, int]]:
    """``(host, port)``, ``"host:port"`` or several of the latter with commas between.

    Raises:
        ValueError: it is none of these.
    """
    if not isinstance(endpoint, str):
        try:
            host, port = endpoint
            return [(_host(host), int(port))]
        except (TypeError, ValueError):
            raise _no_endpoint(endpoint) from None
    found = []
    for one in endpoint.split(","):
        host, colon, port = one.strip().rpartition(":")
        if not colon or not host or not port.isdigit():
            raise _no_endpoint(endpoint)
        found.append((host.strip("[]"), int(port)))
    return found


def _host(host: Any) -> str:
    if not isinstance(host, str):
        raise TypeError(type(host).__name__)
    return host


def _no_endpoint(endpoint: object) -> ValueError:
    return ValueError(f"an endpoint is 'host:port' or (host, port), not {endpoint!r}")


def endpoint_of(described: dict[str, Any]) -> tuple[str, int]:
    """The host and port at which an instance of `client.meta` can be reached."""
    host, port = parse_endpoints(described["rpc_endpoint"])[0]
    return (described["hostname"] if host in ("0.0.0.0", "::") else host), port


def from_surroundings(config: str | None = None) -> Addresses:
    """The addresses in VINEYARD_IPC_SOCKET and VINEYARD_RPC_ENDPOINT, else in the configuration
    file.

    Parameters:
        config: str or None
            A file, or a folder with one in it, to read instead of the environment.

    Raises:
        ValueError: VINEYARD_RPC_ENDPOINT, or an endpoint in the file, is not ``host:port``; or a
            path is not UTF-8.
    """
    if config is None:
        socket = os.environ.get("VINEYARD_IPC_SOCKET") or None
        socket = _path(socket) if socket is not None else None
        endpoint = os.environ.get("VINEYARD_RPC_ENDPOINT")
        if socket or endpoint:
            endpoints = tuple(parse_endpoints(endpoint)) if endpoint else ()
            return Addresses(socket, endpoints, "VINEYARD_IPC_SOCKET and VINEYARD_RPC_ENDPOINT")
        config = os.environ.get("VINEYARD_CONFIG") or DEFAULT_FOLDER
    return _from_file(config)


def _from_file(path: str) -> Addresses:
    files = [path]
    if os.path.isdir(path):
        files = [os.path.join(path, name) for name in FILE_NAMES]
    for file in files:
        try:
            with open(file, encoding="utf-8") as opened:
                settings = _read(opened.read())
        except OSError:
            continue  # Absent or not ours to read: the next place is asked.
        socket = settings.get("IPCSocket")
        if socket:
            socket = os.path.join(os.path.dirname(file), socket)
            socket = socket if os.path.exists(socket) else None
        endpoint = settings.get("RPCEndpoint")
        endpoints = tuple(parse_endpoints(endpoint)) if endpoint else ()
        if socket or endpoints:
            return Addresses(socket, endpoints, file)
    return Addresses(source=" and ".join(files))


def _read(text: str) -> dict[str, str]:
    """The keys below ``Vineyard:`` in a YAML file of ``key: value`` lines, without a library."""
    settings: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not colon or line.lstrip().startswith("#"):
            continue
        if not line[0].isspace():
            inside = key.strip() == "Vineyard"
        elif inside:
            settings[key.strip()] = _scalar(value)
    return settings


def _scalar(value: str) -> str:
    value = value.strip()
    if value[:1] in ("'", '"'):
        return value[1:].partition(value[0])[0]
    return value.partition(" #")[0].strip()

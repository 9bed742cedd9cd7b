"""`vineyard.Client`: what `vineyard.connect` returns. One or two connections, and every verb on
them.

Promise: a verb uses the Unix socket if there is one; one that needs the other connection says so.
"""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
import weakref
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

from vineyard._C import ConnectionFailedException, InstanceStatus, IPCClient, RPCClient
from vineyard.core.connections.addresses import (
    Addresses,
    Endpoint,
    from_arguments,
    from_surroundings,
)
from vineyard.core.connections.open import open_ipc, open_rpc
from vineyard.core.contexts import pickle_setting
from vineyard.core.extension import pickling
from vineyard.core.transfers import upload
from vineyard.core.verbs.blobs import BlobVerbs
from vineyard.core.verbs.instance import InstanceVerbs
from vineyard.core.verbs.metadata import MetadataVerbs
from vineyard.core.verbs.names import NameVerbs
from vineyard.core.verbs.objects import ObjectVerbs
from vineyard.core.verbs.streams import StreamVerbs

UNAVAILABLE = (
    "Connection failed: Failed to connect to vineyard via both IPC and RPC connection. Arguments, "
    "environment variables `VINEYARD_IPC_SOCKET` and `VINEYARD_RPC_ENDPOINT`, as well as the "
    "configuration file, are all unavailable."
)


class Client(ObjectVerbs, BlobVerbs, MetadataVerbs, NameVerbs, InstanceVerbs, StreamVerbs):
    """A client of a vineyard instance, over its Unix socket (IPC), over TCP (RPC), or both.

    ``isinstance(client, vineyard.IPCClient)`` holds if it has the first, ``vineyard.RPCClient`` if
    it has the second. It is a context manager: the last block that uses a connection closes it.
    Threads may share a client; a process that was forked uses :meth:`fork`.
    """

    __reduce__ = pickling.reduce_client
    __copy__ = __deepcopy__ = pickling.itself

    def __init__(
        self,
        socket: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None = None,
        port: int | str | None = None,
        host: str | None = None,
        endpoint: Endpoint | None = None,
        rdma_endpoint: str | tuple[str, int | str] | None = None,
        session: int | None = None,
        username: str | None = None,
        password: str | None = None,
        config: str | None = None,
        pickle: str | None = None,
        ca: str | os.PathLike[str] | None = None,
    ) -> None:
        """Connects. With neither a socket nor an endpoint, the environment and the configuration
        file are asked.

        Parameters:
            socket: str, bytes, os.PathLike or None
                The path of a Unix socket, of at most 107 bytes; or a host, if a port is given; or
                ``"host:port"``.
            port: int, str or None
                A TCP port.
            host: str or None
                The host of the port.
            endpoint: tuple of str and int, or str, or None
                ``(host, port)``, ``"host:port"``, or several of the latter with commas: the first
                that answers.
            rdma_endpoint: str, tuple or None
                Accepted and not used: bytes go over TCP.
            session: int or None
                Ignored over IPC; over RPC no node has sessions.
            username: str or None
                The user name, for nodes that ask for one.
            password: str or None
                The password of that user.
            config: str or None
                A configuration file, or the folder of one, with ``IPCSocket`` and ``RPCEndpoint``
                below ``Vineyard``.
            pickle: str or None
                ``"allow"`` or ``"refuse"``: whether a get may read pickles, which runs code that
                their writer chose. None: what VINEYARD_PICKLE says, or else ``"allow"``.
            ca: str, os.PathLike or None
                Over TCP, take only nodes of this cluster: the path of a file in PEM, PEM itself, or
                the fingerprint that ``vineyardctl token ca`` prints. None: what VINEYARD_CA says;
                without that, TCP that leaves the machine is encrypted and nobody is verified.

        Raises:
            ConnectionFailedException: nothing to connect to, nothing answers, or the node refuses.
                It is a ConnectionError, too.
            ValueError: an endpoint is not ``host:port``, a path is not UTF-8, or `pickle` (or
                VINEYARD_PICKLE) is neither ``"allow"`` nor ``"refuse"``.
        """
        self._pickle = pickle_setting.chosen(pickle)
        addresses = Addresses() if config else from_arguments(socket, port, host, endpoint)
        addresses = addresses or from_surroundings(config)
        if not addresses:
            raise ConnectionFailedException(UNAVAILABLE)
        if session is not None and not addresses.socket:
            raise ConnectionFailedException(
                f"Connection failed: session {session} was asked for, but nodes have no sessions"
            )
        self._login = {
            "username": username,
            "password": password,
            "ca": None if ca is None else os.fspath(ca),
        }
        self._compression = True
        self._spread = False
        self._use(*self._open(addresses))
        _open_clients.add(self)

    def _open(self, addresses: Addresses) -> tuple[IPCClient | None, RPCClient | None]:
        """Connects to the socket and to one endpoint; fails if neither answers."""
        ipc: IPCClient | None = None
        rpc: RPCClient | None = None
        failures: list[ConnectionFailedException] = []
        if addresses.socket:
            try:
                ipc = open_ipc(addresses.socket, **self._login)
            except ConnectionFailedException as error:
                failures.append(error)
        for number, endpoint in enumerate(addresses.endpoints, 1):
            try:
                is_last = number == len(addresses.endpoints) and ipc is None
                rpc = open_rpc(endpoint, patient=is_last, **self._login)
                break
            except ConnectionFailedException as error:
                failures.append(error)
        if ipc is None and rpc is None:
            if len(failures) == 1:
                raise failures[0]
            tried = "; ".join(str(failure) for failure in failures)
            raise ConnectionFailedException(f"Connection failed: {addresses.source}: {tried}")
        if failures and rpc is None:
            warnings.warn(f"connected without RPC: {failures[-1]}", stacklevel=4)
        return ipc, rpc

    def _use(self, ipc: IPCClient | None, rpc: RPCClient | None) -> None:
        self._ipc_client, self._rpc_client = ipc, rpc
        # Bound once, because every put and get calls them.
        self._get_tree = self.default_client()._get_tree
        if ipc is not None:
            self._put_tree = ipc._put_tree
        elif rpc is not None:
            self._put_tree = functools.partial(upload.put_tree, rpc)
        for client in (ipc, rpc):
            if client is not None:
                pickle_setting.bind(client, self._pickle)

    def _configure(self, client: IPCClient | RPCClient) -> None:
        """Gives another raw client this one's settings. A change makes it connect anew."""
        if client.is_rpc and client.compression != self.compression:
            client.compression = self.compression
        if client.timeout_seconds != self.timeout_seconds:
            client.timeout_seconds = self.timeout_seconds

    def _reconnect(self, socket: str | None, endpoint: tuple[str, int]) -> None:
        ipc, rpc = self._open(Addresses(socket, (endpoint,)))
        for client in (ipc, rpc):
            if client is not None:
                self._configure(client)
        self._use(ipc, rpc)

    def _status_at(self, endpoint: tuple[str, int]) -> InstanceStatus:
        """What another node says of itself, over a connection for this question alone."""
        with contextlib.closing(open_rpc(endpoint, patient=False, **self._login).fork()) as other:
            return other.status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _open_clients.discard(self)
        # Clients of one node share its connection: it is closed when the last block ends.
        mine = {self._ipc_client, self._rpc_client} - {None}
        if not any({one._ipc_client, one._rpc_client} & mine for one in list(_open_clients)):
            self.close()

    def __repr__(self) -> str:
        parts = []
        if self._ipc_client is not None:
            parts.append(f"ipc_socket={self._ipc_client.ipc_socket!r}")
        if self._rpc_client is not None:
            rpc = self._rpc_client
            parts.append(f"rpc_endpoint={rpc.rpc_endpoint!r} ({rpc.security})")
        return f"Client({', '.join(parts)}, {'connected' if self.connected else 'closed'})"

    def close(self) -> None:
        """Ends the connections, also for other clients of this process that share them."""
        _open_clients.discard(self)
        for client in (self._ipc_client, self._rpc_client):
            if client is not None:
                client.close()

    def fork(self) -> Self:
        """Reconnects, so that a forked process has connections of its own.

        Returns:
            Client: this client.

        Raises:
            ConnectionFailedException: the node does not answer.
        """
        self._use(
            self._ipc_client.fork() if self._ipc_client is not None else None,
            self._rpc_client.fork() if self._rpc_client is not None else None,
        )
        return self

    @property
    def pickle(self) -> str:
        """Whether a get reads pickles (str): ``"allow"`` or ``"refuse"``, set when connecting."""
        return self._pickle

    @property
    def compression(self) -> bool:
        """Whether bytes are compressed on the network (bool); True at first."""
        if self._rpc_client is not None:
            self._compression = self._rpc_client.compression
        return self._compression

    @compression.setter
    def compression(self, enabled: bool) -> None:
        self._compression = bool(enabled)
        if self._rpc_client is not None and self._rpc_client.compression != self._compression:
            self._rpc_client.compression = self._compression

    @contextlib.contextmanager
    def with_compression(self, enabled: bool = True) -> Generator[None, Any, Any]:
        """Sets ``compression`` for the time of a with block.

        Parameters:
            enabled: bool
                What it is inside. Default True.
        """
        before, self.compression = self.compression, enabled
        try:
            yield
        finally:
            self.compression = before

    @property
    def spread(self) -> bool:
        """Whether builders that put many parts may put them on several instances (bool); False at
        first.
        """
        return self._spread

    @spread.setter
    def spread(self, enabled: bool) -> None:
        self._spread = bool(enabled)

    @contextlib.contextmanager
    def with_spread(self, enabled: bool = True) -> Generator[None, Any, Any]:
        """Sets ``spread`` for the time of a with block.

        Parameters:
            enabled: bool
                What it is inside. Default True.
        """
        before, self.spread = self.spread, enabled
        try:
            yield
        finally:
            self.spread = before

    @property
    def timeout_seconds(self) -> float:
        """Seconds an exchange may take (float); 300 at first."""
        return self.default_client().timeout_seconds

    @timeout_seconds.setter
    def timeout_seconds(self, seconds: float) -> None:
        for client in (self._ipc_client, self._rpc_client):
            if client is not None and client.timeout_seconds != seconds:
                client.timeout_seconds = seconds

    @property
    def rdma_endpoint(self) -> str:
        """Always empty (str): bytes go over TCP."""
        return ""


_open_clients: weakref.WeakSet[Client] = weakref.WeakSet()

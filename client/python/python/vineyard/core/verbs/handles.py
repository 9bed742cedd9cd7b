"""The base of all verbs: the connections of the wrapper, and the id of a target."""

from __future__ import annotations

from collections.abc import Callable

from vineyard._C import InstanceStatus, IPCClient, Object, ObjectID, ObjectMeta, RPCClient

Target = ObjectID | Object | ObjectMeta
Targets = list[Target] | tuple[Target, ...] | set[Target] | frozenset[Target]


class Handles:
    """The connections of a wrapper client. Knows no verb."""

    _ipc_client: IPCClient | None = None
    _rpc_client: RPCClient | None = None
    # Whether a get reads pickles: "allow" or "refuse".
    _pickle: str
    # The verbs that put and get whole trees, of the connection that most verbs use.
    _put_tree: Callable[..., ObjectMeta]
    _get_tree: Callable[..., ObjectMeta]

    def _status_at(self, endpoint: tuple[str, int]) -> InstanceStatus:
        """What another node says of itself."""
        raise NotImplementedError

    def _reconnect(self, socket: str | None, endpoint: tuple[str, int]) -> None:
        """Replaces the connections by those to another node."""
        raise NotImplementedError

    @property
    def ipc_client(self) -> IPCClient:
        """The connection over the Unix socket (IPCClient).

        Raises:
            AssertionError: this client has none.
        """
        assert self._ipc_client is not None, (
            "IPC client is not available. This needs a connection over the Unix socket of a node "
            "on this machine: vineyard.connect('/path/of/its.sock')."
        )
        return self._ipc_client

    @property
    def rpc_client(self) -> RPCClient:
        """The connection over TCP (RPCClient).

        Raises:
            AssertionError: this client has none.
        """
        assert self._rpc_client is not None, (
            "RPC client is not available. This needs a connection over TCP: "
            "vineyard.connect(endpoint='host:port'), or both: "
            "vineyard.connect('/path/of/its.sock', endpoint='host:port')."
        )
        return self._rpc_client

    @property
    def compression(self) -> bool:
        """Whether bytes are compressed on the network (bool)."""
        raise NotImplementedError

    def has_ipc_client(self) -> bool:
        """Whether this client has a connection over the Unix socket (bool)."""
        return self._ipc_client is not None

    def has_rpc_client(self) -> bool:
        """Whether this client has a connection over TCP (bool)."""
        return self._rpc_client is not None

    def default_client(self) -> IPCClient | RPCClient:
        """The connection most verbs use (IPCClient or RPCClient): the Unix socket if there is one.

        Raises:
            AssertionError: this client has no connection.
        """
        if self._ipc_client is not None:
            return self._ipc_client
        return self.rpc_client

    def _connected_instance(self) -> int:
        """The instance that most verbs go to."""
        if self._ipc_client is not None:
            return self._ipc_client.instance_id
        return self.rpc_client.remote_instance_id


def id_of(target: Target) -> ObjectID:
    """The id of an ObjectID, Object or ObjectMeta.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(target, ObjectID):
        return target
    found = getattr(target, "id", None)
    if isinstance(found, ObjectID):
        return found
    raise TypeError(
        f"expected an ObjectID, ObjectMeta or Object, got {type(target).__name__}: {target!r}"
    )


def ids_of(targets: Target | Targets) -> list[ObjectID]:
    """The ids of one target or of several."""
    if isinstance(targets, list | tuple | set | frozenset):
        return [id_of(target) for target in targets]
    return [id_of(targets)]

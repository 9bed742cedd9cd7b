"""Verbs on the connected instance: its id, its status, and the cluster it is in."""

from __future__ import annotations

from typing import Any

from vineyard._C import InstanceStatus
from vineyard.core.verbs.handles import Handles


class InstanceVerbs(Handles):
    """The connected instance and its cluster."""

    @property
    def connected(self) -> bool:
        """Whether the connection is open (bool)."""
        return self.default_client().connected

    @property
    def instance_id(self) -> int:
        """The id of the connected instance (int). Over RPC 2**64 - 2, "unspecified": see
        ``remote_instance_id``.
        """
        return self.default_client().instance_id

    @property
    def remote_instance_id(self) -> int:
        """The id of the instance connected over RPC (int).

        Raises:
            AssertionError: the client has no RPC connection.
        """
        return self.rpc_client.remote_instance_id

    @property
    def is_ipc(self) -> bool:
        """Whether most verbs use the Unix socket (bool)."""
        return self.default_client().is_ipc

    @property
    def is_rpc(self) -> bool:
        """Whether most verbs use TCP (bool)."""
        return self.default_client().is_rpc

    @property
    def ipc_socket(self) -> str:
        """The path of the instance's Unix socket (str)."""
        return self.default_client().ipc_socket

    @property
    def rpc_endpoint(self) -> str:
        """The ``host:port`` of the instance (str); ``0.0.0.0:0`` if it does not listen."""
        if self._rpc_client is not None:
            return self._rpc_client.rpc_endpoint
        return self.default_client().rpc_endpoint

    @property
    def version(self) -> str:
        """The version of the protocol the instance speaks (str), ``MAJOR.MINOR.PATCH``."""
        return self.default_client().version

    @property
    def status(self) -> InstanceStatus:
        """Memory in bytes, and connections, of the connected instance (InstanceStatus)."""
        return self.default_client().status

    @property
    def meta(self) -> dict[int, dict[str, Any]]:
        """The instances of the cluster (dict of int to dict).

        Each has ``hostid``, ``hostname``, ``nodename``, ``ipc_socket``, ``rpc_endpoint`` and
        ``timestamp``.
        """
        return self.default_client().meta

    def is_fetchable(self, meta: Any) -> bool:
        """Whether the blobs of an object can be fetched from the connected instance over RPC.

        Parameters:
            meta: ObjectMeta
                The object.

        Returns:
            bool: True if it lives on the instance that the RPC connection goes to.

        Raises:
            AssertionError: the client has no RPC connection.
        """
        return self.rpc_client.is_fetchable(meta)

    def sync_meta(self) -> None:
        """Waits until the instance knows what the cluster has agreed on."""
        self.default_client().sync_meta()

    def clear(self) -> None:
        """Deletes every object this instance can see."""
        self.default_client().clear()

    def reset(self) -> None:
        """The same as :meth:`clear`, on every connection this client has."""
        for client in (self._ipc_client, self._rpc_client):
            if client is not None:
                client.clear()

    def memory_trim(self) -> bool:
        """Gives unused memory back to the operating system.

        Returns:
            bool: whether there was any.
        """
        return self.default_client().memory_trim()

    def debug(self, debug: dict[str, Any]) -> Any:
        """Sends a debug request to the instance.

        Parameters:
            debug: dict
                The request.

        Returns:
            The answer of the instance; None for now.
        """
        return self.default_client().debug(debug)

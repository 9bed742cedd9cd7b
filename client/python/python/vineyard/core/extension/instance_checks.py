"""`vineyard.IPCClient` and `vineyard.RPCClient`: classes for `isinstance` and `issubclass`.

The released package documents that `connect` returns one of them, and returns its wrapper. Here
both are true: each class accepts the raw clients and the wrappers that have such a connection.
"""

from __future__ import annotations

from typing import Any

from vineyard import _C
from vineyard.core.verbs.handles import Handles


class _AcceptsWrappers(type):
    """Answers isinstance and issubclass for a raw client class and the wrappers around it."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if isinstance(instance, Handles):
            has: bool = getattr(instance, cls.__dict__["_has"])()
            return has
        return type.__instancecheck__(cls.__mro__[1], instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return type.__subclasscheck__(cls.__mro__[1], subclass)


class IPCClient(_C.IPCClient, metaclass=_AcceptsWrappers):
    """A client over the Unix socket of a node on this machine: blobs are read and written in place.

    :func:`vineyard.connect` makes one; it has no public constructor.
    """

    _has = "has_ipc_client"


class RPCClient(_C.RPCClient, metaclass=_AcceptsWrappers):
    """A client over TCP: the bytes of blobs are sent over the network.

    :func:`vineyard.connect` makes one; it has no public constructor.
    """

    _has = "has_rpc_client"

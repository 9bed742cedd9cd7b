"""`vineyard.IPCClient` and `vineyard.RPCClient`: the raw clients, and every wrapper that has such a
connection.

The released package documents that `connect` returns one of them, and returns its wrapper; here
both are true.
"""

from __future__ import annotations

import functools
from typing import Any

from vineyard import _C
from vineyard.core import builder, pickles, resolver
from vineyard.core.verbs.handles import Handles


class _Face(type):
    """Answers isinstance and issubclass for a raw client class and the wrappers around it."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if isinstance(instance, Handles):
            has: bool = getattr(instance, cls.__dict__["_has"])()
            return has
        return type.__instancecheck__(cls.__mro__[1], instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return type.__subclasscheck__(cls.__mro__[1], subclass)


class IPCClient(_C.IPCClient, metaclass=_Face):
    """A client over the Unix socket of a node on this machine: blobs are read and written in place.

    :func:`vineyard.connect` makes one; it has no public constructor.
    """

    _has = "has_ipc_client"


class RPCClient(_C.RPCClient, metaclass=_Face):
    """A client over TCP: blobs travel.

    :func:`vineyard.connect` makes one; it has no public constructor.
    """

    _has = "has_rpc_client"


def _object(
    self: Any, object_id: Any, name: str | None, fetch: bool, sync_remote: bool = True
) -> _C.Object:
    """What :func:`vineyard.core.resolver.get` resolves, for a raw client: no bytes of other
    instances.
    """
    meta = self._get_tree(object_id, name=name, sync_remote=sync_remote)
    if fetch and not meta.islocal:
        meta = self._get_tree(self.migrate(meta.id), sync_remote=sync_remote)
    if pickles.setting_of(self) == pickles.REFUSE:
        # For who resolves the object later, without this client.
        meta._client = self
    return _C.Object.from_(meta)


def _with_setting(fork: Any) -> Any:
    """The `fork` of a raw client, whose setting for pickles goes with it."""

    @functools.wraps(fork)
    def forked(self: Any) -> Any:
        made = fork(self)
        pickles.inherit(self, made)
        return made

    return forked


def complete_raw_clients() -> None:
    """Gives the raw classes the verbs that are written in Python: put and get."""
    for raw in (_C.IPCClient, _C.RPCClient):
        raw.put = builder.put
        raw.get = resolver.get
        raw._object = _object
        raw.fork = _with_setting(raw.fork)

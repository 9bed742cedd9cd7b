"""What a get reads: the tree of an object that was fetched already, with its blobs.

Promise: no round trips. It knows no type of value.
"""

from __future__ import annotations

from typing import Any

from vineyard._C import ObjectNotExistsException
from vineyard.core.contexts.pickle_setting import PickleRefused, setting_of
from vineyard.data._draft import Tree

# The blob without bytes, the same on every instance.
_EMPTY = "o8000000000000000"


class Reader:
    """Gives the blobs and the parts of one object."""

    __slots__ = ("_buffer", "_path", "_pickle", "context", "copies", "kwargs", "meta", "parts")

    def __init__(self, meta: Any, context: Any, kwargs: Tree) -> None:
        self.meta = meta
        self._buffer = meta._buffer
        if context is None:
            from vineyard.core.resolver import get_current_resolvers

            context = get_current_resolvers()
        self.context = context
        self.kwargs = kwargs
        self._pickle: str | None = None
        # Whether values are made of private bytes, which can be written, instead of shared ones.
        self.copies = bool(kwargs.get("copy"))
        # What is in several sequences, by the number that the put gave it.
        self.parts: dict[str | None, Any] = {}
        self._path: list[str] = []

    @property
    def pickle(self) -> str:
        """Whether a pickle may be read (str): what the client of this get says."""
        if self._pickle is None:
            client = self.kwargs.get("__vineyard_client")
            self._pickle = setting_of(client if client is not None else self.meta._client)
        return self._pickle

    def blob(self, node: Tree) -> Any:
        """The bytes of a blob for a value to be made of: an object with the buffer protocol. It is
        a private copy if this reader copies; else it is read-only, and the memory stays mapped
        while it exists.
        """
        shared = self._buffer(node["id"])
        if shared is None:
            shared = self._blob_of_elsewhere(node)
        return bytearray(shared) if self.copies else shared

    def shared_blob(self, node: Tree) -> Any:
        """The bytes of a blob in the shared memory, for what copies them by itself."""
        blob = self._buffer(node["id"])
        return self._blob_of_elsewhere(node) if blob is None else blob

    def _blob_of_elsewhere(self, node: Tree) -> bytes:
        """The bytes of a blob that the memory here does not have."""
        if node["id"] == _EMPTY:
            return b""
        holder = _instance_of(self.meta._tree(), node["id"])
        what = f"the bytes of blob {node['id']} of {self.meta.id!r}"
        if self.meta.islocal and holder == self.meta.instance_id:
            raise ObjectNotExistsException(f"Object not exists: {what} were deleted")
        raise ObjectNotExistsException(
            f"Object not exists: {what} are on instance {holder}, and this client reads those of "
            "its own alone: vineyard.connect(...).get(...) reads them from there, and with "
            "fetch=True copies them"
        )

    def refusal(self, name: str = "") -> PickleRefused:
        """The error for a pickle in the part that is being read, which needs `name`."""
        return PickleRefused(self.meta.id, self.meta.typename, ".".join(self._path), name)

    def part(self, tree: Tree, key: str) -> Any:
        """The value of the member `key`, by the resolver that the context has for it."""
        node = tree[key]
        resolver = self.context.find(node["typename"])
        restore = getattr(resolver, "restore", None)
        self._path.append(key)
        try:
            return restore(self, node) if restore is not None else self._foreign()
        finally:
            self._path.pop()

    def shared_part(self, tree: Tree, key: str) -> Any:
        """As :meth:`part`, on the shared memory: for a caller that makes a copy of it anyway."""
        copies, self.copies = self.copies, False
        try:
            return self.part(tree, key)
        finally:
            self.copies = copies

    def _foreign(self) -> Any:
        return self.context(self.object(), **self.kwargs)

    def object(self) -> Any:
        """The part that is being read, as it is: the ObjectMeta of the whole, or an Object."""
        obj: Any = self.meta
        for key in self._path:
            obj = obj.get_member(key) if obj is self.meta else obj.member(key)
        return obj


def _instance_of(tree: Tree, blob_id: str) -> int | None:
    """The instance that a blob of `tree` is said to be on; None if there is no such blob."""
    if tree.get("typename") == "vineyard::Blob":
        return tree["instance_id"] if tree["id"] == blob_id else None
    parts = (_instance_of(part, blob_id) for part in tree.values() if isinstance(part, dict))
    return next((instance for instance in parts if instance is not None), None)

"""What a put will send: the metadata tree of a value, and the buffers for its blobs.

Promise: nothing is sent while a value of a type of ours is described. It knows no type of value.
"""

from __future__ import annotations

from typing import Any

from vineyard._C import Object, ObjectID, ObjectMeta

Tree = dict[str, Any]

BLOB = "vineyard::Blob"


class PutDraft:
    """Collects the buffers of one put, and says how the parts of a value are built."""

    __slots__ = ("_address_of", "buffers", "client", "context", "kwargs", "links", "measured")

    def __init__(self, client: Any, context: Any, kwargs: Tree, reuse: bool = True) -> None:
        """`reuse`: blobs that the value already lives in are linked, not copied."""
        self.client = client
        self.context = context
        self.kwargs = kwargs
        self.buffers: list[Any] = []
        self.links = 0
        # Whether the size of the tree of the current value was checked already.
        self.measured = False
        self._address_of = client.find_shared_memory if reuse and client.is_ipc else None

    def blob(self, buffer: Any) -> Tree:
        """A new blob with the bytes of `buffer`, which is C-contiguous."""
        self.buffers.append(buffer)
        return {"typename": BLOB, "_buffer": len(self.buffers) - 1}

    def shared(self, address: int) -> Tree | None:
        """The blob that begins at `address`, if it is one of this node's."""
        if self._address_of is None or not address:
            return None
        object_id = self._address_of(address)
        if object_id is None:
            return None
        self.links += 1
        # The released server needs the instance of a blob that is only linked.
        return link(object_id) | {"instance_id": self.client.instance_id}

    def describes(self, kind: type) -> bool:
        """Whether values of a type are described in place, rather than linked."""
        if issubclass(kind, ObjectID | Object | ObjectMeta):
            return False
        return getattr(self.context.find(kind), "describe", None) is not None

    def part(self, value: Any) -> Tree:
        """A member: described in place if its builder is one of ours, otherwise built now and
        linked.
        """
        if isinstance(value, ObjectID):
            return link(value)
        if isinstance(value, Object | ObjectMeta):
            return link(value.id)
        builder = self.context.find(type(value))
        describe = getattr(builder, "describe", None)
        if describe is not None:
            tree: Tree = describe(self, value)
            return tree
        from vineyard.core.builder import id_of_built

        return link(id_of_built(self.context.run(self.client, value), builder))


def link(object_id: ObjectID) -> Tree:
    """A member that exists already."""
    is_blob = int(object_id) >> 63
    return {"id": repr(object_id), "typename": BLOB} if is_blob else {"id": repr(object_id)}

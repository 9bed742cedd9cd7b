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

    __slots__ = (
        "_address_of",
        "buffers",
        "client",
        "context",
        "kwargs",
        "links",
        "open",
        "parts",
        "repeated",
    )

    def __init__(self, client: Any, context: Any, kwargs: Tree, reuse: bool = True) -> None:
        """`reuse`: blobs that the value already lives in are linked, not copied."""
        self.client = client
        self.context = context
        self.kwargs = kwargs
        self.buffers: list[Any] = []
        self.links = 0
        # The sequences whose items are being described, by id.
        self.open: dict[int, Any] = {}
        # By id: what these sequences have described, and in how many places what is in several is.
        self.parts: dict[int, Any] = {}
        self.repeated: dict[int, int] = {}
        self._address_of = client.find_shared_memory if reuse and client.is_ipc else None

    def blob(self, buffer: Any) -> Tree:
        """A new blob with the bytes of `buffer`: a C-contiguous buffer, or a list of pieces as for
        :meth:`blob_of`.
        """
        self.buffers.append(buffer)
        return {"typename": BLOB, "_buffer": len(self.buffers) - 1}

    def blob_of(self, pieces: list[Any]) -> Tree:
        """A new blob with the bytes of `pieces`, one after the other: buffers of any strides, whose
        bytes are taken in C order.
        """
        return self.blob(pieces[0] if len(pieces) == 1 and type(pieces[0]) is bytes else pieces)

    def shared(self, address: int) -> Tree | None:
        """The blob that begins at `address`, if it is one of this node's."""
        object_id = self.find(address)
        if object_id is None:
            return None
        self.links += 1
        # The released server needs the instance of a blob that is only linked.
        return link(object_id) | {"instance_id": self.client.instance_id}

    def find(self, address: int) -> ObjectID | None:
        """The id of the blob that begins at `address`, if it is one of this node's."""
        if self._address_of is None or not address:
            return None
        found: ObjectID | None = self._address_of(address)
        return found

    @property
    def reuses(self) -> bool:
        """Whether blobs that a value lives in are linked."""
        return self._address_of is not None

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

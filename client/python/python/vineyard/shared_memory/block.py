"""A block of shared memory: one blob, written by its creator, then frozen and read by all."""

from __future__ import annotations

from typing import Any

from vineyard._C import (
    Blob,
    BlobBuilder,
    ObjectID,
    ObjectNotExistsException,
    ObjectNotSealedException,
)


class SharedMemory:
    """A block of shared memory, like :class:`multiprocessing.shared_memory.SharedMemory`.

    Its creator fills ``buf`` and calls :meth:`freeze`; from then on others open it by ``name``,
    read only.
    """

    def __init__(
        self, vineyard_client: Any, name: str | None = None, create: bool = False, size: int = 0
    ) -> None:
        """Creates a block, or opens one.

        Parameters:
            vineyard_client: Client
                A client with an IPC connection.
            name: str or None
                The block to open.
            create: bool
                Whether to create one instead. Default False.
            size: int
                Bytes of the one to create.

        Raises:
            ValueError: a size that is not positive; or a name with ``create``, or no name without.
            ObjectNotExistsException: there is no such block, or it is not frozen yet.
            NotEnoughMemoryException: there is no room.
        """
        if size < 0:
            raise ValueError("'size' must be a positive integer")
        if create and size == 0:
            raise ValueError("'size' must be a positive number different from zero")
        if create and name is not None:
            raise ValueError("'name' can only be None if create=True")
        if not create and name is None:
            raise ValueError("'name' cannot be None if create=False")
        self._client = vineyard_client
        self._builder: BlobBuilder | None = None
        self._blob: Blob | None = None
        if name is None:
            self._builder = vineyard_client.create_blob(size)
            self._id = self._builder.id
            self._size = size
        else:
            self._id = ObjectID(name)
            self._blob = self._open(name)
            self._size = self._blob.size

    def _open(self, name: str) -> Blob:
        try:
            blob: Blob | None = self._client.get_blob(self._id)
        except ObjectNotSealedException:
            raise ObjectNotExistsException(
                f"Object not exists: the shared memory {name} is not frozen yet: its creator "
                "calls freeze()"
            ) from None
        if blob is None:
            raise ObjectNotExistsException(
                f"Object not exists: there is no shared memory {name} on {self._client.ipc_socket}"
            )
        return blob

    def __reduce__(self) -> tuple[Any, ...]:
        if self._blob is None:
            raise ValueError("shared memory can be pickled when it is frozen: call freeze() first")
        return _reopen, (self._client.ipc_socket, self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, size={self.size})"

    @property
    def buf(self) -> memoryview:
        """The bytes (memoryview): writable until the block is frozen, read-only after."""
        for bytes_of in (self._blob, self._builder):
            if bytes_of is not None:
                return memoryview(bytes_of).cast("B")
        raise ValueError(f"the shared memory {self.name} was unlinked before it was frozen")

    @property
    def name(self) -> str:
        """The name by which other processes open the block (str)."""
        return repr(self._id)

    @property
    def size(self) -> int:
        """Size in bytes (int)."""
        return self._size

    def freeze(self) -> SharedMemory:
        """Seals the block: it changes no more, and others can open it. Freezing again does nothing.

        Returns:
            SharedMemory: this block.

        Raises:
            BufferError: a view of ``buf`` lives, and could write to the block after it is sealed:
                ``del view`` or ``view.release()`` first.
        """
        if self._blob is None and self._builder is not None:
            self._builder._check_no_views("freeze")
            self._blob = self._builder.seal(self._client)
            self._builder = None
        return self

    def close(self) -> None:
        """The same as :meth:`freeze`, for code that was written for `multiprocessing`, where it
        is a BufferError as well if a view lives.
        """
        self.freeze()

    def unlink(self) -> None:
        """Destroys the block. Processes that have it open can still read it; a block that is not
        frozen is freed.
        """
        if self._builder is not None:
            self._builder.abort(self._client)
            self._builder = None
        else:
            self._client.delete(self._id)


def _reopen(ipc_socket: str, name: str) -> SharedMemory:
    """Opens the block of a pickle."""
    from vineyard.core.client import Client

    return SharedMemory(Client(ipc_socket), name=name)

"""Verbs on blobs: bytes in shared memory, and bytes sent over the network."""

from __future__ import annotations

from typing import overload

from vineyard._C import (
    Blob,
    BlobBuilder,
    Object,
    ObjectID,
    ObjectMeta,
    RemoteBlob,
    RemoteBlobBuilder,
)
from vineyard.core.verbs.handles import Handles


class BlobVerbs(Handles):
    """Create and read blobs, and find the blob at an address."""

    @overload
    def create_blob(self, size: int) -> BlobBuilder: ...
    @overload
    def create_blob(self, size: list[int]) -> list[BlobBuilder]: ...
    def create_blob(self, size: int | list[int]) -> BlobBuilder | list[BlobBuilder]:
        """Allocates a blob to fill, or several at once: all of them or none. Needs IPC.

        Parameters:
            size: int or list of int
                Bytes of each.

        Returns:
            BlobBuilder, or a list of them.

        Raises:
            NotEnoughMemoryException: the node has no room; the message says how much is free.
            AssertionError: the client has no IPC connection.
        """
        return self.ipc_client.create_blob(size)

    def create_empty_blob(self) -> Blob:
        """The blob of no bytes (Blob), the same one each time. Needs IPC.

        Raises:
            AssertionError: the client has no IPC connection.
        """
        return self.ipc_client.create_empty_blob()

    def get_blob(self, object_id: ObjectID, unsafe: bool = False) -> Blob | None:
        """A blob of this node, in place. Needs IPC.

        Parameters:
            object_id: ObjectID
                The blob.
            unsafe: bool
                Whether it may be unsealed. Default False.

        Returns:
            Blob, or None if this node has no such blob.

        Raises:
            ObjectNotSealedException: it is not sealed yet.
            AssertionError: the client has no IPC connection.
        """
        return self.ipc_client.get_blob(object_id, unsafe)

    def get_blobs(self, object_ids: list[ObjectID], unsafe: bool = False) -> list[Blob | None]:
        """Several blobs of this node, in one exchange. Needs IPC.

        Parameters:
            object_ids: list of ObjectID
                The blobs.
            unsafe: bool
                Whether they may be unsealed. Default False.

        Returns:
            list of Blob, with None in place of each that this node does not have.

        Raises:
            ObjectNotSealedException: one is not sealed yet.
            AssertionError: the client has no IPC connection.
        """
        return self.ipc_client.get_blobs(object_ids, unsafe)

    @overload
    def create_remote_blob(self, blob_builder: RemoteBlobBuilder) -> ObjectMeta: ...
    @overload
    def create_remote_blob(self, blob_builder: list[RemoteBlobBuilder]) -> list[ObjectMeta]: ...
    def create_remote_blob(
        self, blob_builder: RemoteBlobBuilder | list[RemoteBlobBuilder]
    ) -> ObjectMeta | list[ObjectMeta]:
        """Sends the bytes of a builder, or of several, to the connected node. Needs RPC.

        Parameters:
            blob_builder: RemoteBlobBuilder or list of RemoteBlobBuilder
                The bytes; later changes of the builder have no effect.

        Returns:
            ObjectMeta of the new blob, or a list of them.

        Raises:
            NotEnoughMemoryException: the node has no room.
            AssertionError: the client has no RPC connection.
        """
        return self.rpc_client.create_remote_blob(blob_builder)

    def get_remote_blob(self, object_id: ObjectID, unsafe: bool = False) -> RemoteBlob:
        """Fetches the bytes of a blob of the connected node over the network. Needs RPC.

        Parameters:
            object_id: ObjectID
                The blob.
            unsafe: bool
                Whether it may be unsealed. Default False.

        Returns:
            RemoteBlob

        Raises:
            ObjectNotExistsException: the connected node has no such blob.
            AssertionError: the client has no RPC connection.
        """
        return self.rpc_client.get_remote_blob(object_id, unsafe)

    def get_remote_blobs(
        self, object_ids: list[ObjectID], unsafe: bool = False
    ) -> list[RemoteBlob]:
        """Fetches the bytes of several blobs of the connected node in one exchange. Needs RPC.

        Parameters:
            object_ids: list of ObjectID
                The blobs.
            unsafe: bool
                Whether they may be unsealed. Default False.

        Returns:
            list of RemoteBlob

        Raises:
            ObjectNotExistsException: the connected node does not have one of them.
            AssertionError: the client has no RPC connection.
        """
        return self.rpc_client.get_remote_blobs(object_ids, unsafe)

    def allocated_size(self, target: Object | ObjectID) -> int:
        """The bytes of all blobs below an object. Needs IPC.

        Parameters:
            target: Object or ObjectID
                The object.

        Returns:
            int: bytes; a blob that occurs twice counts once.

        Raises:
            ObjectNotExistsException: there is no such object.
            AssertionError: the client has no IPC connection.
        """
        return self.ipc_client.allocated_size(target)

    def is_shared_memory(self, target: int) -> bool:
        """Whether an address is the start of a blob of this node. Needs IPC.

        Parameters:
            target: int or buffer
                An address, or an object whose memory is meant, such as an ndarray.

        Returns:
            bool

        Raises:
            AssertionError: the client has no IPC connection.
        """
        return self.ipc_client.is_shared_memory(target)

    def find_shared_memory(self, target: int) -> ObjectID | None:
        """The blob that begins at an address. Needs IPC.

        Parameters:
            target: int or buffer
                An address, or an object whose memory is meant, such as an ndarray.

        Returns:
            ObjectID, or None if no blob begins there.

        Raises:
            AssertionError: the client has no IPC connection.
        """
        return self.ipc_client.find_shared_memory(target)

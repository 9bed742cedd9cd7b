"""Puts over the network: in one request, or blob by blob so that a progress bar can follow."""

from __future__ import annotations

from typing import Any

from vineyard._C import ObjectMeta, RPCClient
from vineyard.core.transfers.progress import Progress, is_shown, wanted

# Smaller puts take one request even if a bar was asked for: they are over at once.
WATCHED_BYTES_MIN = 1 << 20


def put_tree(
    client: RPCClient,
    tree: dict[str, Any],
    buffers: list[Any],
    persist: bool = False,
    name: str | None = None,
) -> ObjectMeta:
    """The same as the `_put_tree` of a raw client, with a bar if one is wanted.

    Raises:
        NotEnoughMemoryException: the node has no room for the bytes.
    """
    total = sum(map(_nbytes, buffers))
    if total >= WATCHED_BYTES_MIN and is_shown(total, wanted()):
        return _put_blob_by_blob(client, tree, buffers, total, persist, name)
    return client._put_tree(tree, buffers, persist, name)


def _put_blob_by_blob(
    client: RPCClient,
    tree: dict[str, Any],
    buffers: list[Any],
    total: int,
    persist: bool,
    name: str | None,
) -> ObjectMeta:
    """Sends each buffer by itself, then the metadata that links them. On an error the blobs that
    were sent are deleted.
    """
    sent: list[ObjectMeta] = []
    try:
        with Progress(total, "put", True) as bar:
            for buffer in buffers:
                sent.append(client._put_tree({"_buffer": 0}, [buffer]))
                bar.advance(_nbytes(buffer))
        return client._put_tree(_linked(tree, sent), [], persist, name)
    except BaseException:
        client.delete([meta.id for meta in sent])
        raise


def _nbytes(buffer: Any) -> int:
    """The bytes of a buffer, or of one in pieces."""
    if isinstance(buffer, list):
        return sum(memoryview(piece).nbytes for piece in buffer)
    return memoryview(buffer).nbytes


def _linked(tree: dict[str, Any], sent: list[ObjectMeta]) -> dict[str, Any]:
    """The tree with the blobs that were sent in place of the numbers of buffers."""
    if "_buffer" in tree:
        blob: ObjectMeta = sent[tree["_buffer"]]
        return blob._tree()
    return {
        key: _linked(value, sent) if isinstance(value, dict) else value
        for key, value in tree.items()
    }

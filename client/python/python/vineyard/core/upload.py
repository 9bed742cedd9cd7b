"""A put over the network, blob by blob, so that a progress bar can follow it."""

from __future__ import annotations

from typing import Any

from vineyard._C import ObjectMeta, RemoteBlobBuilder, RPCClient
from vineyard.core.progress import Progress, is_shown

# Smaller puts take one exchange, whatever was asked for: there is nothing to watch.
WATCHED_BYTES_MIN = 1 << 20


def worth_watching(buffers: list[Any], wanted: bool | None) -> bool:
    """Whether sending `buffers` shows a bar (bool); `wanted` as for :class:`Progress`."""
    total = sum(memoryview(buffer).nbytes for buffer in buffers)
    return total >= WATCHED_BYTES_MIN and is_shown(total, wanted)


def put_watched(
    client: RPCClient,
    tree: dict[str, Any],
    buffers: list[Any],
    persist: bool,
    name: str | None,
) -> ObjectMeta:
    """Sends each buffer by itself, then the metadata that links them.

    Raises:
        NotEnoughMemoryException: the node has no room; the blobs sent so far are deleted.
    """
    total = sum(memoryview(buffer).nbytes for buffer in buffers)
    sent: list[ObjectMeta] = []
    try:
        with Progress(total, "put", True) as bar:
            for buffer in buffers:
                view = memoryview(buffer).cast("B")
                sent.append(client.create_remote_blob(RemoteBlobBuilder.wrap(view, view.nbytes)))
                bar.advance(view.nbytes)
        return client._put_tree(_linked(tree, sent), [], persist, name)
    except BaseException:
        client.delete([meta.id for meta in sent])
        raise


def _linked(tree: dict[str, Any], sent: list[ObjectMeta]) -> dict[str, Any]:
    """The tree with the blobs that were sent in place of the numbers of buffers."""
    if "_buffer" in tree:
        blob: ObjectMeta = sent[tree["_buffer"]]
        return blob._tree()
    return {
        key: _linked(value, sent) if isinstance(value, dict) else value
        for key, value in tree.items()
    }

"""The bytes of objects that live elsewhere: fetched from their owners over RPC, stored nowhere.

Promise: after :func:`attach` every blob below an object has its bytes, or an error has named the
one that has not and the instance that should have it.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vineyard._C import IOErrorException, ObjectID, ObjectMeta, RPCClient
from vineyard.core.connections.addresses import endpoint_of
from vineyard.core.transfers.progress import Progress

BLOB = "vineyard::Blob"
OWNERS_AT_ONCE_MAX = 8
# What one exchange aims at: small enough that a progress bar moves, large enough that round trips
# do not count.
BATCH_BYTES = 64 << 20
# The first exchange with an owner: metadata does not say how large blobs are.
BATCH_BLOBS_FIRST = 64
BATCH_BLOBS_MAX = 1024


def attach(client: Any, meta: ObjectMeta, progress: bool | None = None) -> None:
    """Fetches the blobs below `meta` that are not attached, from each owner at once.

    Raises:
        IOErrorException: an owner is no longer in the cluster, or cannot be reached.
        ObjectNotExistsException: an owner does not have the bytes.
    """
    missing = _missing(meta)
    if not missing:
        return
    with Progress(_size_bytes(meta._tree()) or None, "fetch", progress) as bar:
        owners = []
        for instance, ids in missing.items():
            what = f"{meta.id!r} (blob {ids[0]})"
            owners.append((_owner(client, instance, what), instance, what, ids))

        def fetch(owned: tuple[RPCClient, int, str, list[str]]) -> list[Any]:
            owner, instance, what, ids = owned
            with _named(instance, owner.rpc_endpoint, what):
                return _fetch(owner, ids, bar)

        if len(owners) == 1:
            fetched = [fetch(owners[0])]
        else:
            with ThreadPoolExecutor(min(len(owners), OWNERS_AT_ONCE_MAX)) as pool:
                fetched = list(pool.map(fetch, owners))
    for blobs in fetched:
        for blob in blobs:
            meta.add_remote_blob(blob)


def _missing(meta: ObjectMeta) -> dict[int, list[str]]:
    """The ids of the blobs without bytes here, by the instance that has them."""
    missing: dict[int, dict[str, None]] = defaultdict(dict)
    absent = {node["id"] for node in _blobs(meta._content()) if meta._buffer(node["id"]) is None}
    for node in _blobs(meta._tree()) if absent else ():
        if node["id"] in absent:
            missing[int(node["instance_id"])][node["id"]] = None
    return {instance: list(ids) for instance, ids in missing.items()}


def instance_of(meta: ObjectMeta, blob_id: str) -> int | None:
    """The instance that a blob below `meta` is said to be on; None if there is no such blob."""
    nodes = (node for node in _blobs(meta._tree()) if node["id"] == blob_id)
    return next((node["instance_id"] for node in nodes), None)


def _size_bytes(tree: dict[str, Any]) -> int:
    """How large an object says it is, or its parts together; 0 if they do not say. A guess, for a
    progress bar.
    """
    parts = sum(_size_bytes(value) for value in tree.values() if isinstance(value, dict))
    return max(int(tree.get("length") or tree.get("nbytes") or 0), parts)


def _blobs(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if tree.get("typename") == BLOB:
        yield tree
        return
    for value in tree.values():
        if isinstance(value, dict):
            yield from _blobs(value)


def _owner(client: Any, instance: int, what: str) -> RPCClient:
    """A connection to the instance that has the bytes of `what`."""
    own = client._rpc_client
    if own is not None and own.remote_instance_id == instance:
        connected: RPCClient = own
        return connected
    described = client.meta.get(instance)
    if described is None:
        known = ", ".join(str(i) for i in sorted(client.meta)) or "none"
        raise IOErrorException(
            f"IOError: the bytes of {what} are on instance {instance}, which is not "
            f"in the cluster now (there are: {known}); an object survives its node if it was "
            "migrated, or fetched with fetch=True, before the node stopped"
        )
    host, port = endpoint_of(described)
    with _named(instance, f"{host}:{port}", what):
        owner: RPCClient = client._rpc_to((host, port))
        return owner


@contextlib.contextmanager
def _named(instance: int, endpoint: str, what: str) -> Generator[None, Any, Any]:
    """Says of which object and instance it is that a connection fails."""
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        raise IOErrorException(
            f"IOError: the bytes of {what} are on instance {instance} at {endpoint}, which cannot "
            f"be reached now, though the cluster has not given it up yet: {error}"
        ) from error


def _fetch(owner: RPCClient, ids: list[str], bar: Progress) -> list[Any]:
    """The blobs of one owner, as many at once as the sizes of those before allow."""
    blobs: list[Any] = []
    count = BATCH_BLOBS_FIRST
    while len(blobs) < len(ids):
        wanted = ids[len(blobs) : len(blobs) + count]
        batch = owner.get_remote_blobs([ObjectID(blob_id) for blob_id in wanted])
        size = sum(len(blob) for blob in batch)
        bar.advance(size)
        blobs += batch
        count = min(max(len(batch) * BATCH_BYTES // max(size, 1), 1), BATCH_BLOBS_MAX)
    return blobs

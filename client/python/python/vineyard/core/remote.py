"""The bytes of objects that live elsewhere: fetched from their owners over RPC, stored nowhere.

Promise: after :func:`attach` every blob below an object has its bytes, or an error has named the
one that has not and the instance that should have it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from vineyard._C import IOErrorException, ObjectID, ObjectMeta, RPCClient
from vineyard.core.configuration import parse_endpoints
from vineyard.core.progress import Progress

if TYPE_CHECKING:
    from vineyard.core.client import Client

BLOB = "vineyard::Blob"
OWNERS_AT_ONCE_MAX = 8
# Blobs of one exchange: few enough that a progress bar moves, many enough that round trips do not
# count.
BATCH_BYTES_MAX = 64 << 20

Wanted = dict[str, int]


def attach(client: Client, meta: ObjectMeta, progress: bool | None = None) -> None:
    """Fetches the blobs below `meta` that are not attached, from each owner at once.

    Raises:
        IOErrorException: an owner is no longer in the cluster, or does not have the bytes.
        ConnectionFailedException: an owner cannot be reached.
    """
    missing = _missing(meta)
    if not missing:
        return
    total = sum(sum(wanted.values()) for wanted in missing.values())
    with Progress(total, "fetch", progress) as bar:
        owners = {
            instance: _owner(client, instance, wanted) for instance, wanted in missing.items()
        }
        if len(owners) == 1:
            fetched = [_fetch(owners[i], wanted, bar) for i, wanted in missing.items()]
        else:
            with ThreadPoolExecutor(min(len(owners), OWNERS_AT_ONCE_MAX)) as pool:
                fetched = list(
                    pool.map(lambda item: _fetch(owners[item[0]], item[1], bar), missing.items())
                )
    for blobs in fetched:
        for blob in blobs:
            meta.add_remote_blob(blob)


def _missing(meta: ObjectMeta) -> dict[int, Wanted]:
    """The blobs without bytes here, with their sizes, by the instance that has them."""
    missing: dict[int, Wanted] = defaultdict(dict)
    for node in _blobs(meta._tree()):
        size = int(node.get("length") or node.get("nbytes") or 0)
        if meta._buffer(node["id"]) is None:
            missing[int(node["instance_id"])][node["id"]] = size
    return missing


def _blobs(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if tree.get("typename") == BLOB:
        yield tree
        return
    for value in tree.values():
        if isinstance(value, dict):
            yield from _blobs(value)


def _owner(client: Client, instance: int, wanted: Wanted) -> RPCClient:
    own = client._rpc_client
    if own is not None and own.remote_instance_id == instance:
        return own
    described = client.meta.get(instance)
    if described is None:
        known = ", ".join(str(i) for i in sorted(client.meta)) or "none"
        raise IOErrorException(
            f"IOError: the bytes of {next(iter(wanted))} are on instance {instance}, which is not "
            f"in the cluster now (there are: {known}); an object survives its node if it was "
            "migrated, or fetched with fetch=True, before the node stopped"
        )
    return client._rpc_to(endpoint_of(described))


def endpoint_of(described: dict[str, Any]) -> tuple[str, int]:
    """The host and port at which an instance of `client.meta` can be reached."""
    host, port = parse_endpoints(described["rpc_endpoint"])[0]
    return (described["hostname"] if host in ("0.0.0.0", "::") else host), port


def _fetch(owner: RPCClient, wanted: Wanted, bar: Progress) -> list[Any]:
    blobs: list[Any] = []
    batch: list[ObjectID] = []
    size = 0
    for number, (blob_id, length) in enumerate(wanted.items(), 1):
        batch.append(ObjectID(blob_id))
        size += length
        if size >= BATCH_BYTES_MAX or number == len(wanted):
            blobs += owner.get_remote_blobs(batch)
            bar.advance(size)
            batch, size = [], 0
    return blobs

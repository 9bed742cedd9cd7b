"""Objects of folders.

Promise: all checksums are right before anything is made, and an error leaves no object.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from vineyard._C import ObjectID, ObjectMeta
from vineyard.core.connections.addresses import endpoint_of
from vineyard.core.transfers.progress import Progress
from vineyard.io import _paths as paths
from vineyard.io._ahead import in_order
from vineyard.io._formats.inputs import read_range
from vineyard.io._options import DeserializeOptions, Storage
from vineyard.io._serialize import layout, released
from vineyard.io._source import usable_processors
from vineyard.io.errors import MissingFile, ReadError

BLOB = "vineyard::Blob"
# What a node fills in when an object is made.
_MADE = ("id", "signature", "instance_id", "transient", "__timestamp")

Tree = dict[str, Any]


def deserialize(
    path: Any,
    client: Any,
    options: DeserializeOptions,
    storage: Storage,
    progress: bool | None,
) -> ObjectID:
    """Makes the object of a folder.

    Parameters:
        path: str or os.PathLike
            The folder, as :func:`vineyard.io.serialize` or the released package wrote it.
        client: Client
            Makes it.
        options: DeserializeOptions
            Where its members go.
        storage: Storage
            The options of the file system.
        progress: bool or None
            Whether to show a bar.

    Returns:
        ObjectID: the new object, which is persisted.

    Raises:
        ReadError: a file is missing (then it is a FileNotFoundError, too), damaged, or newer.
        NotEnoughMemoryException: there is no room.
    """
    folder = paths.place(path, storage)
    threads = options.parallelism or usable_processors()
    with Progress(None, "deserialize", progress) as bar, contextlib.ExitStack() as opened:
        try:
            manifest = layout.read_manifest(folder)
        except MissingFile:
            tree, buffers = released.tree_of(folder, threads, bar)
            return _make(client, tree, buffers, options.spread)
        buffers, at = _load(folder, manifest, threads, bar, opened)
        tree = _fresh(manifest["tree"], at)
        made = _make(client, tree, buffers, options.spread, manifest["tree"])
    for name in manifest["names"]:
        client.put_name(made, name)
    return made


def _load(
    folder: paths.Place,
    manifest: layout.Manifest,
    threads: int,
    bar: Progress,
    opened: contextlib.ExitStack,
) -> tuple[list[Any], dict[str, int]]:
    """The bytes of all blobs, and which is which by id."""
    files = [_DataFile(folder, file, opened) for file in manifest["files"]]

    def work(item: tuple[str, Tree]) -> Iterator[tuple[str, Any]]:
        blob_id, told = item
        file = files[told["file"]]
        stored = file.read(told["offset"], told["stored"])
        if len(stored) != told["stored"] or layout.xxh3(stored) != told["xxh3"]:
            reason = f"is damaged: the checksum of blob {blob_id} is wrong"
            raise ReadError(file.place.shown, reason)
        yield blob_id, _decompressed(stored, told["length"], manifest["compression"])

    buffers: list[Any] = []
    at: dict[str, int] = {}
    for blob_id, data in in_order(list(manifest["blobs"].items()), work, threads):
        at[blob_id] = len(buffers)
        buffers.append(data)
        bar.advance(len(data))
    return buffers, at


def _decompressed(stored: Any, length: int, compression: str) -> Any:
    if compression == "none" or not length:
        return stored
    import pyarrow

    return memoryview(pyarrow.Codec(compression).decompress(stored, decompressed_size=length))


class _DataFile:
    """A data file: mapped, if it is of this machine, else read range by range."""

    def __init__(self, folder: paths.Place, told: Tree, opened: contextlib.ExitStack) -> None:
        import pyarrow

        self.place = layout.inside(folder, told["name"])
        length = told["length"]
        with self.place.guard():
            found = folder.fs.info(self.place.path)["size"]
        if found != length:
            raise ReadError(self.place.shown, f"is damaged: {found} bytes of {length}")
        self._mapped: memoryview | None = None
        if self.place.is_local and length:
            mapped = opened.enter_context(pyarrow.memory_map(self.place.path, "rb"))
            self._mapped = memoryview(mapped.read_buffer(length))

    def read(self, offset: int, length: int) -> Any:
        """Some of its bytes."""
        if not length:
            return b""
        if self._mapped is not None:
            return self._mapped[offset : offset + length]
        place = self.place
        file = paths.File(place.fs, place.path, place.shown, place.storage)
        return read_range(file, offset, offset + length)


def _fresh(tree: Tree, at: dict[str, int]) -> Tree:
    """The tree of an object to make: without what a node fills in, and with buffers for blobs."""
    if tree.get("typename") == BLOB:
        return {"typename": BLOB, "_buffer": at[tree["id"]]}
    return {
        key: _fresh(value, at) if isinstance(value, dict) else value
        for key, value in tree.items()
        if key not in _MADE
    }


def _make(
    client: Any, tree: Tree, buffers: list[Any], spread: str, before: Tree | None = None
) -> ObjectID:
    if tree.get("typename") == BLOB:
        blob: ObjectMeta = client._put_tree({"_buffer": tree["_buffer"]}, buffers)
        return blob.id
    if not tree.get("global"):
        made: ObjectMeta = client._put_tree(tree, buffers, True)
        return made.id
    return _make_global(client, tree, buffers, spread, before or {})


def _make_global(
    client: Any, tree: Tree, buffers: list[Any], spread: str, before: Tree
) -> ObjectID:
    """A global object: its members first, each on the instance that it is meant for."""
    members = {key: value for key, value in tree.items() if isinstance(value, dict)}
    meta = ObjectMeta()
    meta.set_global(True)
    for key, value in tree.items():
        if key not in members and key != "global":
            meta[key] = value
    made: dict[str, ObjectMeta] = {}
    with contextlib.ExitStack() as connections:
        chosen = _Instances(client, spread, connections)
        try:
            for number, (key, member) in enumerate(members.items()):
                origin = before.get(key, {}).get("instance_id")
                owner = chosen.client_for(number, origin)
                used, moved = _only(member, buffers, {})
                made[key] = owner._put_tree(moved, used, True)
                meta.add_member(key, made[key].id)
            created: ObjectMeta = client.create_metadata(meta)
            client.persist(created.id)
        except BaseException:
            client.delete([one.id for one in made.values()], force=True)
            raise
    return created.id


def _only(tree: Tree, buffers: list[Any], at: dict[int, int]) -> tuple[list[Any], Tree]:
    """A tree with the buffers of its own, numbered anew."""
    moved: Tree = {}
    for key, value in tree.items():
        if not isinstance(value, dict):
            moved[key] = at.setdefault(value, len(at)) if key == "_buffer" else value
        else:
            moved[key] = _only(value, buffers, at)[1]
    return [buffers[old] for old in at], moved


class _Instances:
    """Where the members of a global object go."""

    def __init__(self, client: Any, spread: str, connections: contextlib.ExitStack) -> None:
        self._client, self._spread, self._connections = client, spread, connections
        self._known = client.meta if spread != "here" else {}
        self._here = client._connected_instance()
        self._clients: dict[int, Any] = {self._here: client}

    def client_for(self, number: int, origin: Any) -> Any:
        """The client for a member: by number, or the instance it was on, if that is still there."""
        wanted = self._here
        if self._spread == "even":
            wanted = sorted(self._known)[number % len(self._known)]
        elif self._spread == "origin" and origin in self._known:
            wanted = origin
        if wanted not in self._clients:
            self._clients[wanted] = self._connect(self._known[wanted])
        return self._clients[wanted]

    def _connect(self, described: Any) -> Any:
        from vineyard.core.client import Client

        client = Client(endpoint=endpoint_of(described), **self._client._login)
        return self._connections.enter_context(client)

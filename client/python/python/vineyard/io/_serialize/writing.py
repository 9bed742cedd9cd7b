"""Objects into folders.

Promise: the folder has the old object or the new one, at every moment; bytes of other instances are
read from there, one member of a global object after the other.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from typing import Any

from vineyard._C import Object, ObjectID, ObjectMeta
from vineyard.core.transfers.progress import Progress
from vineyard.io import _paths as paths
from vineyard.io._ahead import in_order
from vineyard.io._options import SerializeOptions, Storage
from vineyard.io._serialize import layout
from vineyard.io._source import usable_processors
from vineyard.io._writers.commit import Output, Outputs, writing
from vineyard.io.errors import ReadError

logger = logging.getLogger("vineyard")

BLOB = "vineyard::Blob"
EMPTY = "o8000000000000000"
# Names that are looked through for those of one object.
NAMES_MAX = 1_000_000

Tree = dict[str, Any]


def serialize(
    path: Any,
    what: Any,
    client: Any,
    options: SerializeOptions,
    storage: Storage,
    progress: bool | None,
) -> None:
    """Writes an object to a folder.

    Parameters:
        path: str or os.PathLike
            The folder.
        what: ObjectID, ObjectMeta, Object, or a value
            The object; a value is put first, and deleted again.
        client: Client
            Reads it.
        options: SerializeOptions
            How.
        storage: Storage
            The options of the file system.
        progress: bool or None
            Whether to show a bar.

    Raises:
        WriteError: the folder cannot be written; what was there is as it was.
        ObjectNotExistsException: there is no such object, or bytes of it are gone.
    """
    folder = paths.place(path, storage)
    if isinstance(what, ObjectID | ObjectMeta | Object):
        object_id = what if isinstance(what, ObjectID) else what.id
        _serialize(folder, object_id, client, options, progress)
        return
    object_id = client.put(what)
    try:
        _serialize(folder, object_id, client, options, progress)
    finally:
        client.delete(object_id)


def _serialize(
    folder: paths.Place,
    object_id: ObjectID,
    client: Any,
    options: SerializeOptions,
    progress: bool | None,
) -> None:
    before = _files_before(folder)
    tree = client.get_meta(object_id)._tree()
    with Outputs() as outputs:
        files = _Files(folder, outputs)
        blobs: dict[str, Tree] = {}
        with Progress(None, "serialize", progress) as bar:
            for unit in _units(tree):
                meta = _with_bytes(client, ObjectID(unit), object_id)
                _write_blobs(meta, files, blobs, options, bar)
        manifest = {
            "version": layout.VERSION,
            "compression": options.compression,
            "tree": tree,
            "blobs": blobs,
            "files": files.described(),
            "instances": _instances(client, tree),
            "names": _names(client, object_id) if options.names else [],
        }
        place = layout.inside(folder, layout.MANIFEST)
        with writing(place):
            outputs.create(place).stream.write(layout.encode(manifest))
    _remove(folder, before)


def _units(tree: Tree) -> list[str]:
    """The ids of what is read at once: the members of a global object, or the object itself."""
    members = [value for value in tree.values() if isinstance(value, dict)]
    if tree.get("global") and members and all(one["typename"] != BLOB for one in members):
        return list(dict.fromkeys(one["id"] for one in members))
    return [tree["id"]]


def _with_bytes(client: Any, unit: ObjectID, whole: ObjectID) -> Any:
    meta = client._get_tree(unit)
    client._complete(meta)
    return meta


def _write_blobs(
    meta: Any, files: _Files, blobs: dict[str, Tree], options: SerializeOptions, bar: Progress
) -> None:
    wanted = [one for one in dict.fromkeys(_blob_ids(meta._tree())) if one not in blobs]

    def work(blob_id: str) -> Iterator[tuple[str, int, Any, str]]:
        data = memoryview(b"" if blob_id == EMPTY else meta._buffer(blob_id)).cast("B")
        stored = _compressed(data, options)
        yield blob_id, len(data), stored, layout.xxh3(stored)

    threads = options.parallelism or usable_processors()
    for blob_id, length, stored, digest in in_order(wanted, work, threads):
        number, offset = files.append(stored)
        blobs[blob_id] = {
            "file": number,
            "offset": offset,
            "stored": len(stored),
            "length": length,
            "xxh3": digest,
        }
        bar.advance(length)


def _compressed(data: memoryview, options: SerializeOptions) -> Any:
    if options.compression == "none" or not len(data):
        return data
    import pyarrow

    level = options.compression_level
    # As bytes, because the memoryview of the Buffer that it returns has the length it had before
    # it was cut to what was needed.
    return pyarrow.Codec("zstd", compression_level=level).compress(data, asbytes=True)


def _blob_ids(tree: Tree) -> Iterator[str]:
    if tree.get("typename") == BLOB:
        yield tree["id"]
        return
    for value in tree.values():
        if isinstance(value, dict):
            yield from _blob_ids(value)


class _Files:
    """The data files of one write."""

    def __init__(self, folder: paths.Place, outputs: Outputs) -> None:
        self._folder, self._outputs = folder, outputs
        self._token = secrets.token_hex(4)
        self._names: list[str] = []
        self._lengths: list[int] = []
        self._open: Output | None = None

    def append(self, data: Any) -> tuple[int, int]:
        """Writes bytes: the number of the file and where they begin in it."""
        if self._open is None or (
            self._lengths[-1] and self._lengths[-1] + len(data) > layout.FILE_BYTES_MAX
        ):
            name = layout.data_name(self._token, len(self._names))
            self._open = self._outputs.create(layout.inside(self._folder, name))
            self._names.append(name)
            self._lengths.append(0)
        offset = self._lengths[-1]
        with writing(self._open.place):
            self._open.stream.write(data)
        self._lengths[-1] += len(data)
        return len(self._names) - 1, offset

    def described(self) -> list[Tree]:
        """The files as the manifest has them."""
        pairs = zip(self._names, self._lengths, strict=True)
        return [{"name": name, "length": length} for name, length in pairs]


def _instances(client: Any, tree: Tree) -> dict[str, str]:
    known = client.meta
    found: dict[str, str] = {}
    left = [tree]
    while left:
        node = left.pop()
        left += [value for value in node.values() if isinstance(value, dict)]
        instance = node.get("instance_id")
        if isinstance(instance, int) and instance in known:
            found[str(instance)] = str(known[instance].get("hostname", ""))
    return found


def _names(client: Any, object_id: ObjectID) -> list[str]:
    listed = client.list_names("*", limit=NAMES_MAX)
    return sorted(str(name) for name, one in listed.items() if one == object_id)


def _files_before(folder: paths.Place) -> list[str]:
    """The data files of the object that is there."""
    try:
        return [str(file["name"]) for file in layout.read_manifest(folder)["files"]]
    except ReadError:
        return []


def _remove(folder: paths.Place, names: list[str]) -> None:
    """Removes the files of the object that was there before. The new one is whole without that."""
    for name in names:
        place = layout.inside(folder, name)
        try:
            folder.fs.rm(place.path)
        except Exception as error:
            hidden = folder.storage.secrets.hide(str(error))
            logger.warning("%s of an older object is left: %s", place.shown, hidden)

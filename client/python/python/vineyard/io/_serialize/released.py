"""The folders that `serialize` of vineyard 0.24 writes.

    N-K/metadata.json               of N workers, what K wrote: the keys of the object
    N-K/MEMBER/metadata.json, …     an object that is a member
    N-K/MEMBER/blob                 a blob that is a member, as one zstd frame
    N-K/MEMBER/blob.meta.json       its length, and how it is compressed

Of a global object each worker wrote the members of its own instance.
"""

from __future__ import annotations

import json
import re
from typing import Any

from vineyard.core.transfers.progress import Progress
from vineyard.io._ahead import in_order
from vineyard.io._paths import Place
from vineyard.io._serialize.layout import MANIFEST, inside
from vineyard.io.errors import MissingFile, ReadError

_WORKER = re.compile(r"(\d+)-(\d+)")
# Keys of the stream that was written, and what a node fills in.
_LEFT_OUT = {
    *("typename", "id", "signature", "instance_id", "transient", "__timestamp"),
    *("global", "__global", "__path", "__typename", "__options"),
}
DEPTH_MAX = 100

Tree = dict[str, Any]
Blobs = list[Place]


def tree_of(folder: Place, threads: int, bar: Progress) -> tuple[Tree, list[Any]]:
    """The tree of an object to make, and the bytes of its blobs.

    Raises:
        ReadError: a file is missing or damaged; for a folder of something else it is a
            FileNotFoundError that names the manifest.
    """
    blobs: Blobs = []
    tree: Tree | None = None
    for worker in _workers(folder):
        part = _tree(worker, blobs, 0)
        if tree is None:
            tree = part
            continue
        if not part.get("global"):
            raise ReadError(worker.shown, "is a second object, and no part of a global one")
        tree |= {key: value for key, value in part.items() if isinstance(value, dict)}
    if tree is None:
        raise MissingFile(inside(folder, MANIFEST).shown, "there is no such file")
    buffers = []
    for data in in_order(blobs, lambda place: (_blob(place),), threads):
        buffers.append(data)
        bar.advance(len(data))
    return tree, buffers


def _workers(folder: Place) -> list[Place]:
    with folder.guard():
        names = _folders(folder) if folder.fs.isdir(folder.path) else []
    found = {(int(one[1]), int(one[2])): name for name in names if (one := _worker(name))}
    counts = {count for count, _ in found}
    if len(counts) > 1:
        raise ReadError(folder.shown, f"has parts of several writes: {', '.join(names)}")
    for count in counts:
        for number in range(count):
            if (count, number) not in found:
                raise MissingFile(
                    inside(folder, f"{count}-{number}").shown, "there is no such part"
                )
    return [inside(folder, found[key]) for key in sorted(found)]


def _worker(name: str) -> re.Match[str] | None:
    return _WORKER.fullmatch(name)


def _folders(folder: Place) -> list[str]:
    listed = folder.fs.ls(folder.path, detail=True)
    return sorted(
        one["name"].rstrip("/").rpartition("/")[2] for one in listed if one["type"] == "directory"
    )


def _tree(folder: Place, blobs: Blobs, depth: int) -> Tree:
    """The tree of one object or blob."""
    if depth > DEPTH_MAX:
        raise ReadError(folder.shown, f"is deeper than {DEPTH_MAX} folders")
    metadata = inside(folder, "metadata.json")
    with folder.guard():
        if not folder.fs.exists(metadata.path):
            blobs.append(inside(folder, "blob"))
            return {"typename": "vineyard::Blob", "_buffer": len(blobs) - 1}
        members = _folders(folder)
    told = _json(metadata)
    tree: Tree = {"typename": told.get("__typename"), "global": bool(told.get("__global"))}
    for key, value in told.items():
        if key not in _LEFT_OUT and not key.startswith("__streams"):
            tree[key] = json.dumps(value) if isinstance(value, dict | list) else value
    for name in members:
        tree[name] = _tree(inside(folder, name), blobs, depth + 1)
    return tree


def _json(place: Place) -> Tree:
    with place.guard():
        data = place.fs.cat_file(place.path)
    try:
        told = json.loads(data)
    except ValueError as error:
        raise ReadError(place.shown, f"is damaged: {error}") from error
    if not isinstance(told, dict):
        raise ReadError(place.shown, "is damaged: it is no JSON object")
    return told


def _blob(place: Place) -> Any:
    """The bytes of a blob."""
    import pyarrow

    told = _json(
        Place(place.fs, f"{place.path}.meta.json", f"{place.shown}.meta.json", place.storage)
    )
    with place.guard():
        stored = place.fs.cat_file(place.path)
    length = int(told.get("length", len(stored)))
    options = told.get("__options") or "{}"
    method = json.loads(options).get("compression_method") if isinstance(options, str) else None
    if method != "zstd" or not length:
        return stored
    try:
        return memoryview(pyarrow.Codec("zstd").decompress(stored, decompressed_size=length))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise ReadError(place.shown, f"is damaged: {error}") from error

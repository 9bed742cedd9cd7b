"""The folder of a serialized object.

    manifest.json           what is here; written last
    data-TOKEN-00000.bin    the bytes of blobs, one after the other
    data-TOKEN-00001.bin    …

TOKEN is new for each write, so that a write over an older object changes none of its files until
the manifest is replaced. The manifest is JSON with these keys:

    version       1
    compression   "zstd" or "none": each blob is a frame of its own
    tree          the metadata of the object, as a node has it, with its members
    blobs         for each blob's id: file (its number), offset, stored and length (bytes in the
                  file, and decompressed), xxh3 (of the stored bytes, 64 bits, as 16 hex digits)
    files         for each data file: name, length (bytes)
    instances     for each instance that held a part: its hostname
    names         the names of the object, if they were asked for
    xxh3          of all of the above, as JSON with sorted keys and no spaces

Promise: this file alone knows the layout; what is read is checked before it is used.
"""

from __future__ import annotations

import json
from typing import Any

from vineyard.io._needs import needed
from vineyard.io._paths import Place
from vineyard.io.errors import MissingFile, ReadError

MANIFEST = "manifest.json"
VERSION = 1
# A data file is at most so large, unless it has one blob alone.
FILE_BYTES_MAX = 512 << 20

Manifest = dict[str, Any]


def xxh3(data: Any) -> str:
    """The checksum of bytes: 16 hex digits."""
    digest: str = needed("xxhash").xxh3_64_hexdigest(data)
    return digest


def data_name(token: str, number: int) -> str:
    """The name of a data file (str)."""
    return f"data-{token}-{number:05}.bin"


def inside(folder: Place, name: str) -> Place:
    """A file of the folder."""
    path, shown = folder.path.rstrip("/"), folder.shown.rstrip("/")
    return Place(folder.fs, f"{path}/{name}", f"{shown}/{name}", folder.storage)


def encode(manifest: Manifest) -> bytes:
    """The bytes of a manifest, with its checksum."""
    whole = {**manifest, "xxh3": xxh3(_canonical(manifest))}
    return json.dumps(whole, indent=1, sort_keys=True).encode("ascii")


def decode(data: bytes, place: Place) -> Manifest:
    """The manifest of its bytes.

    Raises:
        ReadError: it is damaged, or of a newer version.
    """
    try:
        manifest = json.loads(data)
        version = int(manifest["version"])
        told = manifest.pop("xxh3", None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReadError(place.shown, f"is no manifest of an object: {error}") from error
    if version > VERSION:
        raise ReadError(place.shown, f"is of version {version}; this package reads {VERSION}")
    if told != xxh3(_canonical(manifest)):
        raise ReadError(place.shown, "is damaged: its checksum is wrong")
    known: Manifest = manifest
    return known


def read_manifest(folder: Place) -> Manifest:
    """The manifest of a folder.

    Raises:
        ReadError: it is not there (then it is a FileNotFoundError, too), or damaged.
    """
    place = inside(folder, MANIFEST)
    with place.guard():
        folder.fs.invalidate_cache()
        if not folder.fs.exists(place.path):
            raise MissingFile(place.shown, "there is no such file")
        data = folder.fs.cat_file(place.path)
    return decode(data, place)


def _canonical(manifest: Manifest) -> bytes:
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode("ascii")

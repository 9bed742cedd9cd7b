"""Paths: which file system they mean, and which files.

Promise: a path is a name and nothing else. What exists under that very name is meant; only then a
pattern is looked for; and a name that nothing has is an error, never a longer name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Generator, Iterable
from typing import Any
from urllib.parse import unquote

from vineyard.io._needs import for_scheme, needed
from vineyard.io._options import Storage
from vineyard.io._secrets import hide_login
from vineyard.io.errors import MissingFile, ReadError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(?:://|::)")
_MAGIC = re.compile(r"[*?\[]")
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
PathLike = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Place:
    """A path on a file system. `shown` is what errors call it."""

    fs: Any
    path: str
    shown: str
    storage: Storage

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine (bool)."""
        return scheme_of_fs(self.fs) == "file"

    @contextlib.contextmanager
    def guard(self) -> Generator[None, Any, Any]:
        """What goes wrong inside with the storage is a ReadError that names this path."""
        try:
            yield
        except (ReadError, MemoryError, ImportError):
            raise
        except FileNotFoundError as error:
            raise MissingFile(self.shown, "there is no such file") from self._clean(error)
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ReadError(self.shown, self.storage.secrets.hide(reason)) from self._clean(error)

    def _clean(self, error: Exception) -> BaseException:
        return self.storage.secrets.cause(error)


@dataclasses.dataclass(frozen=True)
class File(Place):
    """A file that is there. `size_bytes` is None if the storage does not say it; `partition` has
    the `key=value` folders below the folder that was asked for.
    """

    size_bytes: int | None = None
    partition: tuple[tuple[str, str | None], ...] = ()


def scheme_of(path: PathLike) -> str:
    """The scheme of a path, in lower case (str): ``file`` without one. Of a chain, the first."""
    found = _SCHEME.match(os.fspath(path))
    return found[1].lower() if found else "file"


def scheme_of_fs(fs: Any) -> str:
    """The scheme of a file system (str)."""
    protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    return "file" if protocol == "local" else str(protocol)


def split_options(path: PathLike, known: Callable[[str], bool]) -> tuple[str, dict[str, str]]:
    """Parts a path from the options at its end, as in ``x.csv#header_row=1&delimiter=,``.

    Parameters:
        path: str or os.PathLike
            The path.
        known: callable
            Says of a name (str) whether it is an option.

    Returns:
        (str, dict): the path, and the options, percent-decoded. What follows a ``#`` is options
        only if all its pieces are known names with values; else it belongs to the path.
    """
    whole = os.fspath(path)
    at = whole.find("#")
    while at >= 0:
        pieces = [piece.partition("=") for piece in re.split("[&#]", whole[at + 1 :])]
        if all(between and known(name) for name, between, _ in pieces):
            return whole[:at], {name: unquote(value) for name, _, value in pieces}
        at = whole.find("#", at + 1)
    return whole, {}


def place(path: PathLike, storage: Storage) -> Place:
    """The file system of a path, and the path on it. Local paths may begin with ``~`` and have
    variables of the environment.

    Raises:
        ImportError: the scheme needs a library that is not installed.
        ValueError: nothing is known of the scheme.
        ReadError: the storage's options are refused.
    """
    fsspec = needed("fsspec")
    given = os.fspath(path)
    scheme = scheme_of(given)
    if scheme in ("file", "local"):
        local = os.path.expanduser(os.path.expandvars(re.sub(r"^(file|local)://", "", given)))
        return Place(fsspec.filesystem("file"), os.path.abspath(local), local, storage)
    if scheme == "hive":
        given = "hdfs" + given[len("hive") :]
    shown = storage.secrets.hide(given)
    try:
        fs, inside = fsspec.core.url_to_fs(_with_sshfs(given, scheme), **storage.options)
    except ImportError as error:
        raise for_scheme(scheme, error) from storage.secrets.cause(error)
    except ValueError as error:
        if scheme not in fsspec.available_protocols():
            raise ValueError(f"No IO driver registered for {shown}") from None
        raise ReadError(shown, storage.secrets.hide(str(error))) from storage.secrets.cause(error)
    except Exception as error:
        reason = storage.secrets.hide(str(error))
        raise ReadError(shown, reason) from storage.secrets.cause(error)
    return Place(fs, inside, shown, storage)


def _with_sshfs(path: str, scheme: str) -> str:
    """The path with the scheme of sshfs, if that is there: fsspec's own for ``sftp`` is slow."""
    if scheme != "sftp":
        return path
    try:
        import sshfs  # noqa: F401
    except ImportError:
        return path
    return "ssh" + path[len("sftp") :]


def find(paths: PathLike | Iterable[PathLike], storage: Storage) -> list[File]:
    """The files of a path, or of several, in their order.

    A file is itself; a folder is all files below it, without those whose names, or whose folders'
    names, begin with ``.`` or ``_``; a pattern is what it matches. Files of a folder or a pattern
    are sorted by path.

    Raises:
        ReadError: a path finds nothing (then it is a FileNotFoundError, too), or the storage
            refuses.
        ImportError, ValueError: as :func:`place`.
    """
    if isinstance(paths, str | os.PathLike):
        return _find_one(place(paths, storage))
    found = [file for path in paths for file in _find_one(place(path, storage))]
    if not found:
        raise ValueError("the list of paths is empty")
    return found


def _find_one(at: Place) -> list[File]:
    with at.guard():
        # What a listing said before may be old.
        at.fs.invalidate_cache()
        try:
            info = at.fs.info(at.path)
        except FileNotFoundError:
            return _match(at)
        if info["type"] != "directory":
            return [_file(at, at.path, info, at.shown, at.path)]
        found = _below(at, at.path, at.path)
    if not found:
        raise MissingFile(at.shown, "the folder has no files")
    return found


def _match(at: Place) -> list[File]:
    """What a pattern matches: a name that nothing has may be one."""
    magic = _MAGIC.search(at.path)
    if magic is None:
        raise MissingFile(at.shown, "there is no such file" + _hint(at))
    root = at.path[: magic.start()].rpartition("/")[0]
    found: list[File] = []
    matched: dict[str, Any] = at.fs.glob(at.path, detail=True)
    for path, info in sorted(matched.items()):
        if info["type"] == "directory":
            found += _below(at, path, root)
        else:
            found.append(_file(at, path, info, _shown(at, path), root))
    if not found:
        raise MissingFile(at.shown, "the pattern matches no file")
    return found


def _below(at: Place, folder: str, root: str) -> list[File]:
    listed: dict[str, Any] = at.fs.find(folder, detail=True)
    below = len(folder.rstrip("/"))
    return [
        _file(at, path, info, _shown(at, path), root)
        for path, info in sorted(listed.items())
        if info["type"] != "directory" and not re.search(r"/[._]", path[below:])
    ]


def _file(at: Place, path: str, info: dict[str, Any], shown: str, root: str) -> File:
    folders = path[len(root.rstrip("/")) :].split("/")[1:-1]
    pairs = [folder.partition("=") for folder in folders if "=" in folder]
    partition = tuple(
        (unquote(key), None if value == HIVE_NULL else unquote(value)) for key, _, value in pairs
    )
    size = info.get("size")
    if scheme_of_fs(at.fs) in ("http", "https") and not info.get("partial"):
        size = None  # The server gives no ranges, so the file is read from its begin to its end.
    return File(at.fs, path, shown, at.storage, size, partition)


def _shown(at: Place, path: str) -> str:
    return path if at.is_local else hide_login(at.fs.unstrip_protocol(path))


def _hint(at: Place) -> str:
    """What else may have been meant."""
    name, hash_, options = at.path.rpartition("#")
    if hash_ and "=" in options and at.fs.exists(name):
        return f"; not all of {options!r} are options, so they are taken for a part of the name"
    if at.fs.exists(f"{at.path}_0"):
        return f"; to read its parts: {at.shown}_*"
    return ""

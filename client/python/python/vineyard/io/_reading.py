"""`vineyard.io.read`: files into objects.

A read is parted: its shares become members of a global frame, or streams, and one object is made of
them all. Where several processes read, each puts its own shares, and one of them makes the object:
`vineyard.io._machines`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

from vineyard._C import ObjectID, ObjectMeta
from vineyard.io import _accumulate, _streaming
from vineyard.io import _options as options
from vineyard.io import _paths as paths
from vineyard.io._clients import client_of
from vineyard.io._hooks import Hook
from vineyard.io._machines.here import are_elsewhere
from vineyard.io._needs import needed
from vineyard.io._objects import SCHEME, ObjectSource
from vineyard.io._source import open_source, usable_processors
from vineyard.io.parallel import make_parallel_stream

PathLike = str | os.PathLike[str]


def read_files(
    path: PathLike | Iterable[PathLike],
    how: Any,
    chunk_hook: Any,
    handlers: Any,
    keywords: dict[str, Any],
) -> Any:
    """Reads files into a global data frame (ObjectMeta), or into streams (ObjectID).

    Parameters:
        path: str, os.PathLike, or several
            What to read; see :func:`vineyard.io.read`.
        how: bool or str
            What ``accumulate`` says.
        chunk_hook: callable or None
            Changes each batch.
        handlers: list, dict or None
            Gets what fills the streams.
        keywords: dict
            All other arguments.
    """
    if not isinstance(path, str | os.PathLike):
        path = list(path)
    reading = make_reading(path, how, chunk_hook, keywords)
    if are_elsewhere(reading.call):
        from vineyard.io._machines.hosts import read_on_hosts

        return read_on_hosts(path, how, chunk_hook, handlers, keywords)
    if reading.size > 1 and reading.is_joined:
        from vineyard.io._machines.ranks import read_joined

        return read_joined(reading, handlers)
    reading.open()
    parts = reading.put()
    try:
        made = reading.join(parts)
    except BaseException:
        reading.discard(parts)
        raise
    return reading.result(made, handlers)


@dataclasses.dataclass(frozen=True)
class Share:
    """Of `total` shares, `count` from `first` on."""

    first: int
    count: int
    total: int


def make_reading(
    path: PathLike | Iterable[PathLike],
    how: Any,
    chunk_hook: Any,
    keywords: dict[str, Any],
    share: Share | None = None,
) -> Reading:
    """A read with all its arguments checked; the parameters are those of :func:`read_files`.

    Parameters:
        share: Share or None
            What is read here, if other processes read the rest of the same object. None: what
            `rank` and `size` say.

    Raises:
        ValueError: an option is unknown or wrong.
        TypeError: the hook cannot be called.
        ImportError: a library is not installed.
    """
    accumulates, as_arrow = _how(how)
    needed("pyarrow")
    names, fragment = _split(path)
    asked = options.for_reading(keywords, fragment)
    hook = Hook.of(chunk_hook, asked.call)
    if accumulates:
        return Accumulated(names, asked, hook, share, as_arrow)
    return Streamed(names, asked, hook, share)


class Reading:
    """A read whose options were checked. `open` finds the files; then `put` makes the parts, `join`
    one object of parts, and `result` is what the caller gets. `discard` deletes parts.
    """

    accumulates = True
    # How the members of the object are called.
    _members = ""

    def __init__(
        self, names: Any, asked: options.Asked, hook: Hook, share: Share | None = None
    ) -> None:
        """`names`: the path, or several, without options."""
        self._names, self._data, self.storage = names, asked.data, asked.storage
        self.call, self._hook = asked.call, hook
        self.workers, self.rank, self.size = _shares_of(self.call)
        workers = self.workers
        self._share = share or Share(self.rank * workers, workers, self.size * workers)
        # Whether other processes read parts of the same object.
        self.is_joined = share is not None or (self.size > 1 and "name" in self.call)
        if share is not None or self.size > 1:
            # All must cut the files at the same places, however many threads each has.
            self._data = dataclasses.replace(self._data, shares=self._share.total)
        self._threads = self.call.get("threads") or usable_processors()
        self.source: Any = None
        # What fills the streams, if there are any.
        self.jobs: list[Any] = []

    @functools.cached_property
    def client(self) -> Any:
        """The client that puts (Client)."""
        return client_of(self.call)

    def open(self) -> None:
        """Finds and checks the files.

        Raises:
            ReadError: one cannot be read.
            ValueError: an option does not fit them.
        """
        if isinstance(self._names, str) and paths.scheme_of(self._names) == SCHEME:
            self.source = ObjectSource(self.client, self._names)
        else:
            given = self.call.get("threads")
            self.source = open_source(self._names, self._data, self.storage, given)
        if self.source.schema is None and self._hook.function is not None:
            raise ValueError("chunk_hook takes record batches, and bytes have none")

    def put(self, check: Callable[[], None] = lambda: None) -> list[ObjectID]:
        """Makes the parts, in order; `check` is called now and then, and may raise."""
        raise NotImplementedError

    @property
    def described(self) -> str:
        """What `open` found (str); every process must find the same."""
        pieces = self.source.pieces
        return f"{len(pieces)} pieces of {sum(piece.size_bytes for piece in pieces)} bytes"

    def join(self, parts: list[ObjectID]) -> ObjectMeta:
        """Makes one object of parts, persists it and gives it the name that was asked for."""
        if self.is_joined:
            self.client.sync_meta()
        made = self._join(parts)
        if "name" in self.call:
            self.client.put_name(made.id, self.call["name"])
        return made

    def discard(self, parts: list[ObjectID]) -> None:
        """Deletes parts, and what was made of them."""
        self.client.delete(parts, force=True)

    def parts_of(self, made: ObjectMeta) -> list[ObjectID]:
        """The parts of an object, which may be of any kind."""
        found: Any = made.get(f"{self._members}size", 0)
        size = int(found)
        members: list[Any] = [made[f"{self._members}{at}"] for at in range(size)]
        return [member.id for member in members]

    def result(self, made: ObjectMeta, handlers: Any) -> Any:
        """What the caller gets for the object that was made."""
        raise NotImplementedError

    def _join(self, parts: list[ObjectID]) -> ObjectMeta:
        raise NotImplementedError

    def _shares(self) -> list[Any]:
        share = self._share
        return [self.source.share(share.first + at, share.total) for at in range(share.count)]


class Accumulated(Reading):
    """Files into a global data frame."""

    _members = "partitions_-"

    def __init__(
        self,
        names: Any,
        asked: options.Asked,
        hook: Hook,
        share: Share | None,
        as_arrow: bool,
    ) -> None:
        """`as_arrow`: whether its members are record batches."""
        super().__init__(names, asked, hook, share)
        self._as_arrow = as_arrow

    def open(self) -> None:
        super().open()
        if self.source.schema is None:
            raise ValueError("bytes have no columns: accumulate needs another format")
        _check_index(self.source, self.call.get("index_col"), self._as_arrow)

    def put(self, check: Callable[[], None] = lambda: None) -> list[ObjectID]:
        return _accumulate.put_members(
            self.client,
            self.source,
            self._shares(),
            self._threads,
            as_arrow=self._as_arrow,
            index_col=self.call.get("index_col"),
            hook=self._hook,
            progress=self.call.get("progress"),
            first=self._first_place() if self.is_joined else 0,
            check=check,
        )

    def _first_place(self) -> int:
        share, places = self._share, _accumulate.places_of
        return sum(places(self.source.share(at, share.total)) for at in range(share.first))

    def result(self, made: ObjectMeta, handlers: Any) -> ObjectMeta:
        return made

    def _join(self, parts: list[ObjectID]) -> ObjectMeta:
        return _accumulate.join_members(self.client, parts)


class Streamed(Reading):
    """Files into streams."""

    accumulates = False
    _members = "__streams_-"

    def __init__(self, names: Any, asked: options.Asked, hook: Hook, share: Share | None) -> None:
        super().__init__(names, asked, hook, share)
        if self.call.get("index_col") is not None:
            raise ValueError("index_col is for data frames: it needs accumulate=True")
        if self._data.chunk_size == options.CHUNK_BYTES:
            self._data = dataclasses.replace(self._data, chunk_size=_streaming.CHUNK_BYTES)

    def put(self, check: Callable[[], None] = lambda: None) -> list[ObjectID]:
        # As text, which C++ reads too.
        data = self._data
        params = {"header_row": str(int(data.header_row)), "delimiter": data.delimiter}
        self.jobs = _streaming.open_jobs(
            self.client,
            self.source,
            self._shares(),
            self._threads,
            params=params,
            hook=self._hook,
            progress=self.call.get("progress"),
        )
        return [job.stream.id for job in self.jobs]

    def discard(self, parts: list[ObjectID]) -> None:
        for job in self.jobs:
            job.stream.drop()

    def result(self, made: ObjectMeta, handlers: Any) -> ObjectID:
        return _streaming.start_jobs(made.id, self.jobs, handlers)

    def _join(self, parts: list[ObjectID]) -> ObjectMeta:
        return make_parallel_stream(self.client, parts)


def _how(accumulates: Any) -> tuple[bool, bool]:
    """Whether one object is made, and whether of record batches."""
    if not accumulates:
        return False, False
    word = accumulates.lower() if isinstance(accumulates, str) else ""
    if isinstance(accumulates, str) and word not in ("1", "true", "arrow"):
        raise ValueError(f"accumulate is {accumulates!r}: it must be True or 'arrow'")
    return True, word == "arrow"


def _split(path: PathLike | Iterable[PathLike]) -> tuple[Any, dict[str, str]]:
    """The paths, and the options at their ends.

    Raises:
        ValueError: two paths disagree in an option.
    """
    if isinstance(path, str | os.PathLike):
        return paths.split_options(path, options.is_read_option)
    names: list[PathLike] = []
    together: dict[str, str] = {}
    for one in path:
        name, found = paths.split_options(one, options.is_read_option)
        for key, value in found.items():
            if together.setdefault(key, value) != value:
                raise ValueError(f"{key} is {together[key]!r} in one path and {value!r} in another")
        names.append(name)
    return names, together


def _shares_of(call: dict[str, Any]) -> tuple[int, int, int]:
    workers = call.get("num_workers", len(call.get("hosts", ())) or 1)
    rank, size = call.get("rank", 0), call.get("size", 1)
    if workers < 1:
        raise ValueError("num_workers must be at least 1")
    if rank >= size:
        raise ValueError(f"rank is {rank} of size {size}: ranks count from 0")
    return workers, rank, size


def _check_index(source: Any, index: Any, as_arrow: bool) -> None:
    if index is None:
        return
    if as_arrow:
        raise ValueError("index_col is for data frames; record batches have no index")
    names = source.schema.names
    for one in index if isinstance(index, list) else [index]:
        if (isinstance(one, int) and 0 <= one < len(names)) or one in names:
            continue
        near = difflib.get_close_matches(str(one), names, 1)
        hint = f"did you mean {near[0]}?" if near else f"the columns are {', '.join(names)}"
        raise ValueError(f"index_col has no column {one!r}: {hint}")

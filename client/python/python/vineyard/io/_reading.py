"""`vineyard.io.read`: files into objects."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterable
from typing import Any

from vineyard._C import ObjectID, ObjectMeta
from vineyard.io import _options as options
from vineyard.io import _paths as paths
from vineyard.io._accumulate import accumulate
from vineyard.io._clients import client_of
from vineyard.io._needs import needed
from vineyard.io._objects import SCHEME, ObjectSource
from vineyard.io._source import open_source, usable_processors
from vineyard.io._streaming import CHUNK_BYTES, read_streams

PathLike = str | os.PathLike[str]


def read_files(
    path: PathLike | Iterable[PathLike],
    how: Any,
    chunk_hook: Any,
    handlers: Any,
    keywords: dict[str, Any],
) -> ObjectMeta | ObjectID:
    """Reads files into a global data frame, or into streams.

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
    accumulates, as_arrow = _how(how)
    needed("pyarrow")
    names, fragment = _split(path)
    asked = options.for_reading(keywords, fragment)
    call = asked.call
    workers, rank, size = _shares_of(call)
    data = asked.data
    if not accumulates and data.chunk_size == options.CHUNK_BYTES:
        data = dataclasses.replace(data, chunk_size=CHUNK_BYTES)
    source: Any
    if isinstance(names, str) and paths.scheme_of(names) == SCHEME:
        source = ObjectSource(client_of(call), names)
    else:
        source = open_source(names, data, asked.storage, call.get("threads"))
    shares = [source.share(rank * workers + at, size * workers) for at in range(workers)]
    threads = call.get("threads") or usable_processors()
    if not accumulates:
        if call.get("index_col") is not None:
            raise ValueError("index_col is for data frames: it needs accumulate=True")
        return read_streams(
            client_of(call),
            source,
            shares,
            threads,
            params=_params(data),
            chunk_hook=chunk_hook,
            handlers=handlers,
            name=call.get("name"),
            progress=call.get("progress"),
        )
    if source.schema is None:
        raise ValueError("bytes have no columns: accumulate needs another format")
    _check_index(source, call.get("index_col"), as_arrow)
    client = client_of(call)
    made = accumulate(
        client,
        source,
        shares,
        threads,
        as_arrow=as_arrow,
        index_col=call.get("index_col"),
        chunk_hook=chunk_hook,
        progress=call.get("progress"),
    )
    if "name" in call:
        client.put_name(made.id, call["name"])
    return made


def _how(accumulates: Any) -> tuple[bool, bool]:
    """Whether one object is made, and whether of record batches."""
    if not accumulates:
        return False, False
    word = accumulates.lower() if isinstance(accumulates, str) else ""
    if isinstance(accumulates, str) and word not in ("1", "true", "arrow"):
        raise ValueError(f"accumulate is {accumulates!r}: it must be True or 'arrow'")
    return True, word == "arrow"


def _params(data: options.ReadOptions) -> dict[str, str]:
    """What a stream says of its files, as text that C++ reads too."""
    return {"header_row": str(int(data.header_row)), "delimiter": data.delimiter}


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
    hosts = call.get("hosts") or ["localhost"]
    if any(host not in ("localhost", "127.0.0.1") for host in hosts):
        raise NotImplementedError("vineyard.io reads on this machine alone yet: leave out hosts=")
    workers = call.get("num_workers", len(hosts))
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

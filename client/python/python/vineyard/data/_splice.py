"""Pickles whose large buffers lie in them as they are, to be used in place.

Promise: the bytes are a complete pickle of protocol 5 that `pickle.loads` reads, without knowing
this file. This package finds the raw buffers by the table behind the pickle and maps them instead
of copying them.

How: :mod:`vineyard.data._stream` puts the buffers between the opcodes. What follows the STOP opcode
is ignored by every unpickler: there is the table, two little-endian 64-bit numbers for each buffer:
its offset and its length. Earlier builds wrote a plain description of the value before it, JSON of
`_program`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pickle
import pickletools
from collections.abc import Iterator
from typing import Any

from vineyard.data import _program
from vineyard.data._reduce import reducer_of
from vineyard.data._stream import HEADER_BYTES, SPAN, Pieces, Stream
from vineyard.data._unpickling import Source, unpickle

_NEXT_BUFFER = b"\x97"
_READONLY_BUFFER = b"\x98"

# Classes of pandas that hold objects.
_CONTAINERS = ("DataFrame", "Series", "Index")


class Pickler(pickle.Pickler):
    """Pickles values of libraries by their public constructors."""

    def reducer_override(self, obj: Any) -> Any:
        """What an object is pickled as, or NotImplemented: as it says itself."""
        reduce = reducer_of(type(obj))
        return NotImplemented if reduce is None else reduce(obj)


class _OwnFrames(Pickler):
    """Leaves frames, series and indexes to pandas, whose own pickling refers back to one that
    contains itself.
    """

    def reducer_override(self, obj: Any) -> Any:
        """As in :class:`Pickler`, but for these."""
        kind = type(obj)
        is_own = kind.__module__.partition(".")[0] == "pandas" and kind.__name__ in _CONTAINERS
        return NotImplemented if is_own else super().reducer_override(obj)


@dataclasses.dataclass(frozen=True)
class Spliced:
    """A pickle with what follows it. `spans`: the number of buffers in the table."""

    pieces: Pieces
    spans: int


def dumps(value: Any, outside: dict[int, Any] | None = None) -> Spliced:
    """The pickle of `value` with its table; `outside` as for :func:`dump`."""
    stream = dump(value, outside)
    pieces = stream.pieces()
    pieces.add(pieces.table)
    return Spliced(pieces, len(stream.buffers))


def read(payload: Any, spans: int, source: Source, peel: bool = False) -> Any:
    """The value of a pickle made by :func:`dumps`; buffers are views of `payload`.

    `peel`: leave out calls of `numpy.asanyarray` and give what would have been converted.
    """
    view = _bytes_of(payload)
    if not spans:
        return unpickle(view, source, peel=peel)
    end = view.nbytes - spans * SPAN.size
    pieces: list[Any] = []
    begin = 0
    for offset, length in SPAN.iter_unpack(view[end:]):
        pieces += [view[begin : offset - HEADER_BYTES], _NEXT_BUFFER]
        begin = offset + length
    pieces.append(view[begin:end])
    stream = b"".join(pieces)
    buffers = _buffers(view, end)
    return unpickle(stream if view.readonly else _writable(stream), source, buffers, peel)


def _writable(stream: bytes) -> bytes:
    """The pickle without the opcodes that make a buffer read-only, because the array that was
    pickled was: a private copy of it can be written.
    """
    if _READONLY_BUFFER not in stream:
        return stream
    ends = [at for name, at in _opcodes(stream) if name == "READONLY_BUFFER"]
    begins = [0, *(at + 1 for at in ends)]
    return b"".join(stream[begin:end] for begin, end in zip(begins, [*ends, None], strict=True))


def read_plain(
    payload: Any, spans: int, plain_bytes: int, source: Source, peel: bool = False
) -> Any:
    """The value by the description that an earlier build wrote: the pickle is not looked at."""
    view = _bytes_of(payload)
    end = view.nbytes - spans * SPAN.size
    plain = bytes(view[end - plain_bytes : end])
    return _program.restore(plain, _buffers(view, end), source.refusal(), peel)


def _bytes_of(payload: Any) -> memoryview:
    view = memoryview(payload)
    return view if view.format == "B" else view.cast("B")


def _buffers(view: memoryview, table: int) -> list[memoryview]:
    """The buffers that the table at the end lists."""
    return [view[offset : offset + length] for offset, length in SPAN.iter_unpack(view[table:])]


def dump(value: Any, outside: dict[int, Any] | None = None) -> Stream:
    """The pickle of `value`.

    `outside`: sequences, by id, that must not be in it.

    Raises:
        Cycle: one of `outside` is in it.
    """
    try:
        stream, pickler = _dumped(Pickler, value)
    except RecursionError:
        stream, pickler = _dumped(_OwnFrames, value)
    except (pickle.PicklingError, AttributeError, TypeError):
        # Functions and classes of a script or notebook: cloudpickle carries their code, if it is
        # installed.
        if importlib.util.find_spec("cloudpickle") is None:
            raise
        from vineyard.data import _code

        stream, pickler = _dumped(_code.Pickler, value)
    if outside:
        stream.check_outside(pickler.memo.copy(), outside)
    return stream


def _dumped(kind: Any, value: Any) -> tuple[Stream, Any]:
    stream = Stream()
    pickler = kind(stream, protocol=5, buffer_callback=stream.put_aside)
    pickler.dump(value)
    return stream, pickler


def in_band(value: Any) -> bytes:
    """The pickle of a small `value`, with the bytes of its buffers in it."""
    return dump(value).pieces().joined()


def _opcodes(stream: bytes) -> Iterator[tuple[str, int]]:
    """The names of the opcodes, and where each begins."""
    for opcode, _, at in pickletools.genops(stream):
        assert at is not None, "bytes have positions"
        yield opcode.name, at

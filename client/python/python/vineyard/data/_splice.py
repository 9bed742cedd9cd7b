"""Pickles whose large buffers lie in them as they are, to be used in place.

Promise: the bytes are a complete pickle of protocol 5 that `pickle.loads` reads, without knowing
this file. This package finds the raw buffers by the table behind the pickle and maps them instead
of copying them.

How: the value is pickled with its buffers out of band, which leaves a NEXT_BUFFER opcode for each.
Each is replaced by a BYTEARRAY8 opcode, its length and the raw bytes, after opcodes that do nothing
but bring the bytes to an aligned offset. What follows the STOP opcode is ignored by every
unpickler: there is the table, two little-endian 64-bit numbers for each buffer: its offset and its
length. Earlier builds wrote a plain description of the value before it, JSON of `_program`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import pickle
import pickletools
import struct
from collections.abc import Iterator
from typing import Any

from vineyard.data import _program
from vineyard.data._reduce import reducer_of
from vineyard.data._unpickling import Source, unpickle

_NEXT_BUFFER = b"\x97"
_READONLY_BUFFER = b"\x98"
_BYTEARRAY8 = b"\x96"
_HEADER_BYTES = 9
_ALIGNMENT_BYTES = 64
_SPAN = struct.Struct("<QQ")
_PROTO_BYTES = 2
_FRAME = struct.Struct("<cQ")
_FRAME_OPCODE = b"\x95"

# Classes of pandas that hold objects.
_CONTAINERS = ("DataFrame", "Series", "Index")

# NONE, POP and BININT1 n, POP: they leave the stack as it was.
_PAD_EVEN = b"N0"
_PAD_ODD = b"K\x000"


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

    payload: bytes
    spans: int


def dumps(value: Any) -> Spliced:
    """The pickle of `value` with its table."""
    buffers: list[pickle.PickleBuffer] = []
    stream = dump(value, buffers)
    if not buffers:
        return Spliced(stream, 0)
    pieces: list[Any] = []
    table = bytearray()
    written = begin = 0
    stream = _unframed(stream)
    for at, buffer in zip(_placeholders(stream, len(buffers)), buffers, strict=True):
        raw = buffer.raw()
        pieces.append(stream[begin:at])
        written += at - begin
        padding = _padding(-(written + _HEADER_BYTES) % _ALIGNMENT_BYTES)
        pieces += [padding, _BYTEARRAY8, struct.pack("<Q", raw.nbytes), raw]
        written += len(padding) + _HEADER_BYTES
        table += _SPAN.pack(written, raw.nbytes)
        written += raw.nbytes
        begin = at + 1
    pieces += [stream[begin:], table]
    return Spliced(b"".join(pieces), len(buffers))


def read(payload: Any, spans: int, source: Source, peel: bool = False) -> Any:
    """The value of a pickle made by :func:`dumps`; buffers are views of `payload`.

    `peel`: leave out calls of `numpy.asanyarray` and give what would have been converted.
    """
    view = _bytes_of(payload)
    if not spans:
        return unpickle(view, source, peel=peel)
    end = view.nbytes - spans * _SPAN.size
    pieces: list[Any] = []
    begin = 0
    for offset, length in _SPAN.iter_unpack(view[end:]):
        pieces += [view[begin : offset - _HEADER_BYTES], _NEXT_BUFFER]
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
    end = view.nbytes - spans * _SPAN.size
    plain = bytes(view[end - plain_bytes : end])
    return _program.restore(plain, _buffers(view, end), source.refusal(), peel)


def _bytes_of(payload: Any) -> memoryview:
    view = memoryview(payload)
    return view if view.format == "B" else view.cast("B")


def _buffers(view: memoryview, table: int) -> list[memoryview]:
    """The buffers that the table at the end lists."""
    return [view[offset : offset + length] for offset, length in _SPAN.iter_unpack(view[table:])]


def dump(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    """The pickle of `value`, without the bytes of its buffers, which are appended to `buffers`."""
    try:
        return _pickled(Pickler, value, buffers)
    except RecursionError:
        buffers.clear()
        return _pickled(_OwnFrames, value, buffers)
    except (pickle.PicklingError, AttributeError, TypeError):
        # Functions and classes of a script or notebook: cloudpickle carries their code, if it is
        # installed.
        if importlib.util.find_spec("cloudpickle") is None:
            raise
    from vineyard.data import _code

    buffers.clear()
    return _code.dumps(value, buffers)


def _pickled(kind: type[Pickler], value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    file = io.BytesIO()
    kind(file, protocol=5, buffer_callback=buffers.append).dump(value)
    return file.getvalue()


def in_band(value: Any) -> bytes:
    """The pickle of a small `value`, with the bytes of its buffers where they are needed."""
    file = io.BytesIO()
    Pickler(file, protocol=5).dump(value)
    return file.getvalue()


def _unframed(stream: bytes) -> bytes:
    """The pickle without FRAME opcodes, whose lengths would no longer be right."""
    first = _PROTO_BYTES + _FRAME.size
    if _FRAME.unpack_from(stream, _PROTO_BYTES) == (_FRAME_OPCODE, len(stream) - first):
        return stream[:_PROTO_BYTES] + stream[first:]
    kept = []
    begin = 0
    for name, at in _opcodes(stream):
        if name == "FRAME":
            kept.append(stream[begin:at])
            begin = at + _FRAME.size
    return b"".join([*kept, stream[begin:]])


def _placeholders(stream: bytes, count: int) -> list[int]:
    """The offsets of the NEXT_BUFFER opcodes."""
    if stream.count(_NEXT_BUFFER) == count:
        found = []
        at = -1
        for _ in range(count):
            at = stream.index(_NEXT_BUFFER, at + 1)
            found.append(at)
        return found
    return [at for name, at in _opcodes(stream) if name == "NEXT_BUFFER"]


def _opcodes(stream: bytes) -> Iterator[tuple[str, int]]:
    """The names of the opcodes, and where each begins."""
    for opcode, _, at in pickletools.genops(stream):
        assert at is not None, "bytes have positions"
        yield opcode.name, at


def _padding(size: int) -> bytes:
    """At least `size` bytes of opcodes without effect, and the same modulo the alignment."""
    if size == 1:
        size += _ALIGNMENT_BYTES
    odd = size % 2
    return _PAD_ODD * odd + _PAD_EVEN * ((size - 3 * odd) // 2)

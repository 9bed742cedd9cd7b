"""Pickles whose large buffers lie in them as they are, to be used in place.

Promise: the bytes are a complete pickle of protocol 5 that `pickle.loads` reads, without knowing
this file. Whoever knows it finds the raw buffers by the table behind the pickle and maps them
instead of copying them.

How: the value is pickled with its buffers out of band, which leaves a NEXT_BUFFER opcode for each.
Each is replaced by a BYTEARRAY8 opcode, its length and the raw bytes, after opcodes that do nothing
but bring the bytes to an aligned offset. What follows the STOP opcode is ignored by every
unpickler: there lies the table, two little-endian 64-bit numbers for each buffer: offset and
length.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from typing import Any

from vineyard.data import _zones
from vineyard.data._reduce import reducer_of

_NEXT_BUFFER = b"\x97"
_BYTEARRAY8 = b"\x96"
_HEADER_BYTES = 9
_ALIGNMENT_BYTES = 64
_SPAN = struct.Struct("<QQ")
_PROTO_BYTES = 2
_FRAME = struct.Struct("<cQ")
_FRAME_OPCODE = b"\x95"

# NONE, POP and BININT1 n, POP: they leave the stack as it was.
_PAD_EVEN = b"N0"
_PAD_ODD = b"K\x000"


class Pickler(pickle.Pickler):
    """Pickles values of libraries by their public constructors."""

    def reducer_override(self, obj: Any) -> Any:
        reduce = reducer_of(type(obj))
        return NotImplemented if reduce is None else reduce(obj)


class _Peeler(_zones.ZoneUnpickler):
    """Leaves out the conversion to an array that was put around a value for the released client."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "asanyarray" and module == "numpy":
            return _first
        return super().find_class(module, name)


def _first(value: Any, *_: Any) -> Any:
    return value


def dumps(value: Any) -> tuple[bytes, int]:
    """The pickle of `value` with its table, and the number of buffers in the table."""
    buffers: list[pickle.PickleBuffer] = []
    stream = dump(value, buffers)
    if not buffers:
        return stream, 0
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
    return b"".join(pieces), len(buffers)


def loads(payload: Any, spans: int, peel: bool = False) -> Any:
    """The value of a pickle made by :func:`dumps`; buffers are views of `payload`.

    `peel`: leave out calls of `numpy.asanyarray` and give what would have been converted.
    """
    view = memoryview(payload)
    if view.format != "B":
        view = view.cast("B")
    buffers: list[memoryview] = []
    stream: Any = view
    if spans:
        end = view.nbytes - spans * _SPAN.size
        pieces: list[Any] = []
        begin = 0
        for offset, length in _SPAN.iter_unpack(view[end:]):
            pieces += [view[begin : offset - _HEADER_BYTES], _NEXT_BUFFER]
            buffers.append(view[offset : offset + length])
            begin = offset + length
        pieces.append(view[begin:end])
        stream = b"".join(pieces)
    if peel:
        return _Peeler(io.BytesIO(stream), buffers=buffers).load()
    try:
        return pickle.loads(stream, buffers=buffers)
    except ModuleNotFoundError as error:
        if error.name != "pytz":
            raise
    return _zones.loads(stream, buffers)


def dump(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    """The pickle of `value`, without the bytes of its buffers, which are appended to `buffers`."""
    file = io.BytesIO()
    try:
        Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
        return file.getvalue()
    except (pickle.PicklingError, AttributeError, TypeError):
        # Functions and classes of a script or notebook: cloudpickle carries their code, if it is
        # installed.
        try:
            import cloudpickle
        except ImportError:
            cloudpickle = None
        if cloudpickle is None:
            raise
    buffers.clear()
    return cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)


def _unframed(stream: bytes) -> bytes:
    """The pickle without FRAME opcodes, whose lengths would no longer be right."""
    first = _PROTO_BYTES + _FRAME.size
    if _FRAME.unpack_from(stream, _PROTO_BYTES) == (_FRAME_OPCODE, len(stream) - first):
        return stream[:_PROTO_BYTES] + stream[first:]
    kept = []
    begin = 0
    for opcode, _, at in pickletools.genops(stream):
        if opcode.name == "FRAME":
            kept.append(stream[begin:at])
            begin = at + _FRAME.size
    return b"".join([*kept, stream[begin:]])


def _placeholders(stream: bytes, count: int) -> list[int]:
    """Where the NEXT_BUFFER opcodes are."""
    if stream.count(_NEXT_BUFFER) == count:
        found = []
        at = -1
        for _ in range(count):
            at = stream.index(_NEXT_BUFFER, at + 1)
            found.append(at)
        return found
    return [at for opcode, _, at in pickletools.genops(stream) if opcode.name == "NEXT_BUFFER"]


def _padding(size: int) -> bytes:
    """At least `size` bytes of opcodes without effect, and the same modulo the alignment."""
    if size == 1:
        size += _ALIGNMENT_BYTES
    odd = size % 2
    return _PAD_ODD * odd + _PAD_EVEN * ((size - 3 * odd) // 2)

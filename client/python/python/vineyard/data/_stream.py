"""The opcodes of a pickle as the pickler writes them, and the pieces that they and the buffers make
together: what is stored is never joined in the memory of this process.

Promise: the pieces, one after the other, are a complete pickle of protocol 5. Buffers and long
bytes are pieces themselves, without a copy. It must never know a type of value or a reducer.

How: the value is pickled with its buffers out of band, which leaves a NEXT_BUFFER opcode for each.
Each is replaced by a BYTEARRAY8 opcode, its length and the raw bytes, after opcodes that do nothing
but bring the bytes to an aligned offset. FRAME opcodes are left out: their lengths would no longer
be right.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections.abc import Container, Iterator
from typing import Any

_NEXT_BUFFER = b"\x97"
_BYTEARRAY8 = b"\x96"
_ALIGNMENT_BYTES = 64
_PROTO_BYTES = 2
_FRAME = struct.Struct("<cQ")
_FRAME_OPCODE = 0x95
# BINUNICODE and BINUNICODE8.
_TEXT_OPCODES = b"X\x8d"
# The pickler writes no FRAME opcode for fewer bytes.
_FRAME_BYTES_MIN = 4
# Shorter buffers are copied: to hand over a piece costs as much.
_PIECE_BYTES_MIN = 1024
# So many bytes travel in the request itself.
_JOINED_BYTES_MAX = 64 << 10

# NONE, POP and BININT1 n, POP: they leave the stack as it was.
_PAD_EVEN = b"N0"
_PAD_ODD = b"K\x000"

HEADER_BYTES = 9
SPAN = struct.Struct("<QQ")
"""The offset and the length of a buffer, as the table has them."""


class Cycle(Exception):
    """A value contains a sequence whose items are being described one by one."""


class Strided(bytearray):
    """Is pickled as a buffer, and stands for an array whose bytes do not lie together, or not in
    C order: those are copied to their place when they are stored.
    """

    def __init__(self, array: Any) -> None:
        super().__init__()
        self.array = array


def raw(buffer: pickle.PickleBuffer) -> Any:
    """What a buffer stands for: bytes, or an array to be written in C order."""
    owner = memoryview(buffer).obj
    return owner.array if isinstance(owner, Strided) else buffer.raw()


class Stream:
    """A file for a pickler, and its callback for buffers."""

    def __init__(self) -> None:
        # What was written: opcodes, and whole values that are long. Neither is changed.
        self.chunks: list[Any] = []
        self.buffers: list[pickle.PickleBuffer] = []
        # By buffer: in which chunk its NEXT_BUFFER opcode is.
        self._chunk_of: list[int] = []

    def write(self, data: Any) -> None:
        """What comes next. Other threads cannot change the size of a bytearray from here on."""
        self.chunks.append(data if type(data) is bytes else memoryview(data))

    def put_aside(self, buffer: pickle.PickleBuffer) -> None:
        """A buffer whose NEXT_BUFFER opcode is what is written next."""
        self.buffers.append(buffer)
        self._chunk_of.append(len(self.chunks))

    def check_outside(self, memo: Container[int], sequences: dict[int, Any]) -> None:
        """Checks that what was pickled, which is in `memo` by id, contains none of `sequences`.

        Raises:
            Cycle: it does.
        """
        if any(at in memo for at in sequences):
            raise Cycle

    def bare(self) -> bytes:
        """The pickle without its buffers."""
        return b"".join(self.chunks)

    def pieces(self) -> Pieces:
        """The pickle with its buffers."""
        made = Pieces()
        if not self.buffers:
            for chunk in self.chunks:
                made.add(chunk)
            return made
        buffers = iter(self.buffers)
        made.add(self.chunks[0][:_PROTO_BYTES])
        for opcodes, count, header, value in self._parts():
            begin = 0
            for at in _places(opcodes, count) if count else ():
                made.add(opcodes[begin:at])
                made.add_buffer(raw(next(buffers)))
                begin = at + 1
            made.add(opcodes[begin:])
            if header.nbytes:
                made.add(header)
                made.add(value)
        return made

    def long_bytes(self) -> Iterator[memoryview]:
        """The bytes and bytearrays that were written by themselves."""
        for _, _, header, value in self._parts():
            if header.nbytes and header[0] not in _TEXT_OPCODES:
                yield value

    def _parts(self) -> Iterator[tuple[memoryview, int, memoryview, memoryview]]:
        """The opcodes behind the first, PROTO, without FRAME opcodes; how many of them are
        NEXT_BUFFER; and the long value behind them with its header, or nothing.
        """
        counts = [0] * len(self.chunks)
        for at in self._chunk_of:
            counts[at] += 1
        nothing = memoryview(b"")
        begin = _PROTO_BYTES
        pairs = iter(zip(self.chunks, counts, strict=True))
        for chunk, count in pairs:
            opcodes, header = _taken_apart(memoryview(chunk)[begin:])
            begin = 0
            # It has one dimension: the pickler writes bytes and bytearrays by themselves.
            value = memoryview(next(pairs)[0]) if header.nbytes else nothing
            yield opcodes, count, header, value


class Pieces:
    """Bytes in pieces, and where buffers are among them.

    `nbytes`: of all pieces. `table`: the offset and the length of each buffer, as :data:`SPAN`.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self.table = bytearray()
        self._parts: list[Any] = []

    def add(self, part: bytes | bytearray | memoryview) -> None:
        """Bytes, in one dimension."""
        self.nbytes += len(part)
        self._parts.append(part)

    def add_buffer(self, buffer: Any) -> None:
        """A buffer of the pickle, at an aligned offset. If it is not contiguous, it stands for its
        bytes in C order.
        """
        length = memoryview(buffer).nbytes
        padding = _padding(-(self.nbytes + HEADER_BYTES) % _ALIGNMENT_BYTES)
        self.add(padding + _BYTEARRAY8 + length.to_bytes(8, "little"))
        self.table += SPAN.pack(self.nbytes, length)
        self.nbytes += length
        self._parts.append(buffer)

    def parts(self) -> list[Any]:
        """The same bytes in fewer buffers."""
        if self.nbytes <= _JOINED_BYTES_MAX:
            return [self.joined()]
        made: list[Any] = []
        short: list[bytes] = []
        for part in self._parts:
            if memoryview(part).nbytes < _PIECE_BYTES_MIN:
                short.append(_bytes_of(part))
                continue
            if short:
                made.append(b"".join(short))
                short = []
            made.append(part)
        return [*made, b"".join(short)] if short else made

    def joined(self) -> bytes:
        """All bytes, copied."""
        return b"".join(map(_bytes_of, self._parts))


def _bytes_of(part: Any) -> bytes:
    return part if type(part) is bytes else memoryview(part).tobytes()


def _taken_apart(chunk: memoryview) -> tuple[memoryview, memoryview]:
    """The opcodes of a chunk, and behind them the header of a long value, or nothing."""
    if chunk.nbytes and chunk[0] == _FRAME_OPCODE:
        _, length = _FRAME.unpack_from(chunk)
        end = _FRAME.size + length
        return chunk[_FRAME.size : end], chunk[end:]
    # Too few opcodes for a frame. A header has one opcode, and a length of 4 or 8 bytes.
    left = chunk.nbytes - _FRAME_BYTES_MIN + 1
    header_bytes = 0 if left <= 0 else 5 if left <= 5 else HEADER_BYTES
    end = chunk.nbytes - header_bytes
    return chunk[:end], chunk[end:]


def _places(opcodes: memoryview, count: int) -> list[int]:
    """The offsets of the NEXT_BUFFER opcodes, of which there are `count`."""
    found = bytes(opcodes)
    if found.count(_NEXT_BUFFER) > count:
        # Arguments of other opcodes have that byte too.
        parsed = pickletools.genops(found + pickle.STOP)
        return [at for opcode, _, at in parsed if opcode.name == "NEXT_BUFFER" and at is not None]
    places = []
    at = -1
    for _ in range(count):
        at = found.index(_NEXT_BUFFER, at + 1)
        places.append(at)
    return places


def _padding(size: int) -> bytes:
    """At least `size` bytes of opcodes without effect, and the same modulo the alignment."""
    if size == 1:
        size += _ALIGNMENT_BYTES
    odd = size % 2
    return _PAD_ODD * odd + _PAD_EVEN * ((size - 3 * odd) // 2)

"""Pickles read and written block by block, with the bytes of arrays behind the pickle instead of in
it.

Layout: ``__VINEYARD__``, the number of buffers, their lengths, the length of the pickle (64-bit
big-endian numbers), the pickle, the buffers.
"""

from __future__ import annotations

import struct
from typing import Any

from vineyard.core.contexts.pickle_setting import PickleRefused, chosen
from vineyard.data import _splice
from vineyard.data._stream import raw
from vineyard.data._unpickling import unpickle

_MAGIC = b"__VINEYARD__"
_COUNT = struct.Struct(">Q")


class _Blocks:
    """Bytes without a client: the setting of the environment says whether they are unpickled."""

    def __init__(self) -> None:
        self.pickle = chosen()

    def refusal(self, name: str = "") -> PickleRefused:
        """The error for a pickle that needs `name`: there is no object to name."""
        return PickleRefused(name=name)


class PickledReader:
    """Gives the pickle of a value in blocks; large buffers are not copied."""

    def __init__(self, value: Any) -> None:
        """Pickles `value`; its buffers stay in place and must not change until all is read."""
        pickled = _splice.dump(value)
        stream = pickled.bare()
        raws = [_contiguous(memoryview(raw(buffer))) for buffer in pickled.buffers]
        header = _MAGIC + _COUNT.pack(len(raws))
        header += b"".join(_COUNT.pack(raw.nbytes) for raw in raws) + _COUNT.pack(len(stream))
        self._pieces = [memoryview(header + stream), *raws]
        self._store_size = sum(piece.nbytes for piece in self._pieces)
        self._at = 0
        self._offset = 0

    @property
    def store_size(self) -> int:
        """All bytes there are to read (int, bytes)."""
        return self._store_size

    def read(self, block_size: int = -1) -> bytes | memoryview | None:
        """The next bytes (bytes or memoryview), at most `block_size`, or all that are left if it is
        negative.

        None at the end.
        """
        left = self._store_size if block_size < 0 else block_size
        taken: list[memoryview] = []
        while left > 0 and self._at < len(self._pieces):
            piece = self._pieces[self._at]
            part = piece[self._offset : self._offset + left]
            if part.nbytes:
                taken.append(part)
            left -= part.nbytes
            self._offset += part.nbytes
            if self._offset == piece.nbytes:
                self._at, self._offset = self._at + 1, 0
        if not taken:
            return None
        return taken[0] if len(taken) == 1 else b"".join(taken)


class PickledWriter:
    """Takes what a :class:`PickledReader` gave, in blocks of any size; makes the value of it."""

    def __init__(self, store_size: int) -> None:
        """`store_size`: how many bytes will be written, in bytes."""
        self._buffer = bytearray(store_size)
        self._written = 0
        self._value: Any = None

    @property
    def value(self) -> Any:
        """The value, once closed; None before."""
        return self._value

    def write(self, block: Any) -> int:
        """Takes the next block (bytes-like); returns its size in bytes.

        Raises:
            ValueError: there are more bytes than `store_size` said.
        """
        view = memoryview(block).cast("B")
        end = self._written + view.nbytes
        if end > len(self._buffer):
            raise ValueError(f"{end} bytes written, {len(self._buffer)} were announced")
        self._buffer[self._written : end] = view
        self._written = end
        return view.nbytes

    def close(self) -> None:
        """Makes the value of all that was written.

        Raises:
            ValueError: bytes are missing, or they are not what a PickledReader gives.
            PickleRefused: the environment has ``VINEYARD_PICKLE=refuse``, and the pickle needs a
                name that is not listed.
        """
        if self._written != len(self._buffer) or not self._buffer.startswith(_MAGIC):
            raise ValueError(f"not a whole pickle: {self._written} of {len(self._buffer)} bytes")
        view = memoryview(self._buffer)
        at = len(_MAGIC)
        count = _COUNT.unpack_from(view, at)[0]
        at += _COUNT.size
        sizes = [
            _COUNT.unpack_from(view, at + index * _COUNT.size)[0] for index in range(count + 1)
        ]
        at += (count + 1) * _COUNT.size
        stream = view[at : at + sizes[-1]]
        at += sizes[-1]
        buffers = []
        for size in sizes[:-1]:
            buffers.append(view[at : at + size])
            at += size
        self._value = unpickle(stream, _Blocks(), buffers)


def _contiguous(view: memoryview) -> memoryview:
    return view if view.c_contiguous else memoryview(view.tobytes())

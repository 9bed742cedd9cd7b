"""Pickles whose large buffers lie in them as they are, to be used in place.

Promise: the bytes are a complete pickle of protocol 5 that `pickle.loads` reads, without knowing
this file. This package finds the raw buffers by the table behind the pickle and maps them instead
of copying them. A client that refuses pickles reads the plain description of the value before the
table, if there is one.

How: :mod:`vineyard.data._stream` puts the buffers between the opcodes. What follows the STOP opcode
is ignored by every unpickler: there are the description, JSON of `_program`, and the table, two
little-endian 64-bit numbers for each buffer: its offset and its length.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pickle
from typing import Any

from vineyard.data import _program
from vineyard.data._reduce import reducer_of
from vineyard.data._stream import HEADER_BYTES, SPAN, Pieces, Stream
from vineyard.data._unpickling import Source, unpickle, unpickle_nameless

_NEXT_BUFFER = b"\x97"


class Pickler(pickle.Pickler):
    """Pickles values of libraries by their public constructors.

    `reduced`: by the id of each object, the object itself, so that its id is not used
    again, and what it was reduced to.
    """

    reduced: dict[int, Any]

    def reducer_override(self, obj: Any) -> Any:
        reduce = reducer_of(type(obj))
        if reduce is None:
            return NotImplemented
        made = reduce(obj)
        if made is not NotImplemented:
            self.reduced[id(obj)] = (obj, made)
        return made


@dataclasses.dataclass(frozen=True)
class Spliced:
    """A pickle with what follows it. `spans`: the number of buffers in the table. `plain_bytes`:
    the size of the description, 0 without one.
    """

    pieces: Pieces
    spans: int
    plain_bytes: int

    @property
    def payload(self) -> bytes:
        """All bytes, copied."""
        return self.pieces.joined()


def dumps(value: Any, outside: dict[int, Any] | None = None) -> Spliced:
    """The pickle of `value` with its description and table; `outside` as for :func:`dump`."""
    reduced: dict[int, Any] = {}
    stream = dump(value, reduced, outside)
    plain = _program.describe(value, stream.buffers, reduced)
    pieces = stream.pieces()
    pieces.add(plain)
    pieces.add(pieces.table)
    return Spliced(pieces, len(stream.buffers), len(plain))


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
    return unpickle(b"".join(pieces), source, _buffers(view, end), peel)


def read_plain(
    payload: Any, spans: int, plain_bytes: int, source: Source, peel: bool = False
) -> Any:
    """The value by its description alone: the pickle is not looked at. Without a description, the
    value of a pickle that names nothing.

    Raises:
        PickleRefused: there is no description, and the pickle names a class or a function.
    """
    view = _bytes_of(payload)
    if not plain_bytes:
        return unpickle_nameless(view, source)
    end = view.nbytes - spans * SPAN.size
    plain = bytes(view[end - plain_bytes : end])
    return _program.restore(plain, _buffers(view, end), source.refusal(), peel)


def _bytes_of(payload: Any) -> memoryview:
    view = memoryview(payload)
    return view if view.format == "B" else view.cast("B")


def _buffers(view: memoryview, table: int) -> list[memoryview]:
    """The buffers that the table at the end lists."""
    return [view[offset : offset + length] for offset, length in SPAN.iter_unpack(view[table:])]


def dump(
    value: Any,
    reduced: dict[int, Any] | None = None,
    outside: dict[int, Any] | None = None,
) -> Stream:
    """The pickle of `value`; `reduced` as in :class:`Pickler`.

    `outside`: sequences, by id, that must not be in it.

    Raises:
        Cycle: one of `outside` is in it.
    """
    stream = Stream()
    pickler: Any
    try:
        pickler = Pickler(stream, protocol=5, buffer_callback=stream.put_aside)
        pickler.reduced = {} if reduced is None else reduced
        pickler.dump(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        # Functions and classes of a script or notebook: cloudpickle carries their code, if it is
        # installed.
        if importlib.util.find_spec("cloudpickle") is None:
            raise
        import cloudpickle

        stream = Stream()
        pickler = cloudpickle.Pickler(stream, protocol=5, buffer_callback=stream.put_aside)
        pickler.dump(value)
    if outside:
        stream.check_outside(pickler.memo.copy(), outside)
    return stream

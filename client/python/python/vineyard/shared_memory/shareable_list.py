"""A list of numbers and short texts in one block of shared memory, in the layout of the standard
library.

The layout, in units of 8 bytes: the length; the offset of each item and of the end; the items; the
struct format of each item. Then one byte for each item, which says whether it is text, bytes, None
or a number; then one byte, LENGTHS_EXACT.

The formats of text and bytes have their exact lengths, where the standard library has the size of
the place: readers that know only that layout read the same items. A list of an earlier build has no
last byte, and no exact lengths; zeros at the end of its texts are padding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from types import GenericAlias
from typing import Any

from vineyard.shared_memory.block import SharedMemory

Item = int | float | bool | str | bytes | None

ALIGNMENT = 8
PLAIN, TEXT, BYTES, NONE = range(4)
FORMATS: dict[type, str] = {int: "q", float: "d", bool: "xxxxxxx?", type(None): "xxxxxx?x"}
MEANINGS: dict[type, int] = {str: TEXT, bytes: BYTES, type(None): NONE}
# The last byte of a list whose formats have exact lengths.
LENGTHS_EXACT = 1
# What a format of 8 characters can say: ``"9999999s"``.
ITEM_BYTES_MAX = 9_999_999


class ShareableList:
    """A list of fixed length in shared memory, like
    :class:`multiprocessing.shared_memory.ShareableList`.

    Items are int (64 bits), float, bool, str, bytes and None. Its creator may assign items until
    :meth:`freeze`; a list that is opened by name is read-only. An assigned text may be as long as
    the first one at its place, rounded up to 8 bytes.
    """

    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(
        self,
        vineyard_client: Any,
        sequence: Iterable[Item] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        """Creates a list, or opens one.

        Parameters:
            vineyard_client: Client
                A client with an IPC connection.
            sequence: iterable or None
                The items of the list to create.
            name: str or None
                The name of the list to open, ``other.shm.name``.

        Raises:
            KeyError: an item is of another type.
            ValueError: neither items nor a name; or a text of more than 9,999,999 bytes.
            ObjectNotExistsException: there is no list of this name, or it is not frozen yet.
        """
        if name is None and sequence is not None:
            items = list(sequence)
            formats = [_format_of(item) for item in items]
            self._offsets = [0]
            for each in formats:
                self._offsets.append(self._offsets[-1] + _room_of(each))
            self._length = len(items)
            self._exact = True
            self.shm = SharedMemory(vineyard_client, create=True, size=self._end + 1)
            struct.pack_into(f"{self._length + 2}q", self.shm.buf, 0, self._length, *self._offsets)
            for position, item in enumerate(items):
                self._write(position, formats[position], item)
            self.shm.buf[self._end] = LENGTHS_EXACT
        else:
            self.shm = SharedMemory(vineyard_client, name=name)
            (self._length,) = struct.unpack_from("q", self.shm.buf, 0)
            self._offsets = list(struct.unpack_from(f"{self._length + 1}q", self.shm.buf, 8))
            self._exact = self.shm.size > self._end and self.shm.buf[self._end] == LENGTHS_EXACT

    @property
    def _data_start(self) -> int:
        return (self._length + 2) * ALIGNMENT

    @property
    def _formats_start(self) -> int:
        return self._data_start + self._offsets[-1]

    @property
    def _codes_start(self) -> int:
        return self._formats_start + self._length * ALIGNMENT

    @property
    def _end(self) -> int:
        return self._codes_start + self._length

    @property
    def format(self) -> str:
        """The struct format of all items (str); of text and bytes that of their places, as in the
        standard library.
        """
        return "".join(self._place_format(position) for position in range(self._length))

    def _place_format(self, position: int) -> str:
        format = self._format(position)
        return f"{self._room(position)}s" if format.endswith("s") else format

    def _room(self, position: int) -> int:
        return self._offsets[position + 1] - self._offsets[position]

    def _format(self, position: int) -> str:
        at = self._formats_start + position * ALIGNMENT
        (packed,) = struct.unpack_from("8s", self.shm.buf, at)
        text: str = packed.rstrip(b"\x00").decode()
        return text

    def _place(self, position: int, what: str) -> int:
        if not -self._length <= position < self._length:
            raise IndexError(what)
        return position % self._length

    def __getitem__(self, position: int) -> Item:
        """The item (int, float, bool, str, bytes or None) at `position` (int).

        Raises:
            IndexError: there is none.
        """
        position = self._place(position, "index out of range")
        at = self._data_start + self._offsets[position]
        value: Item = struct.unpack_from(self._format(position), self.shm.buf, at)[0]
        (meaning,) = struct.unpack_from("b", self.shm.buf, self._codes_start + position)
        if meaning == NONE:
            return None
        if isinstance(value, bytes):
            packed = value if self._exact else value.rstrip(b"\x00")
            return packed.decode() if meaning == TEXT else packed
        return value

    def __setitem__(self, position: int, value: Item) -> None:
        """Replaces the item at `position` (int).

        Raises:
            IndexError: there is none.
            ValueError: a text that is longer than the place, or than 9,999,999 bytes.
            KeyError: an item of another type.
            TypeError: the list is frozen.
        """
        position = self._place(position, "assignment index out of range")
        if self.shm.buf.readonly:
            raise TypeError("cannot modify read-only memory")
        if isinstance(value, str | bytes) and len(_encoded(value)) > self._room(position):
            raise ValueError("bytes/str item exceeds available storage")
        self._write(position, _format_of(value), value)

    def _write(self, position: int, format: str, value: Item) -> None:
        buffer = self.shm.buf
        at = self._data_start + self._offsets[position]
        packed = struct.pack(format, _encoded(value) if isinstance(value, str) else value)
        # The memory may have been of another object.
        buffer[at : at + self._room(position)] = packed.ljust(self._room(position), b"\x00")
        at = self._formats_start + position * ALIGNMENT
        struct.pack_into("8s", buffer, at, format.encode())
        meaning = MEANINGS.get(type(value), PLAIN)
        struct.pack_into("b", buffer, self._codes_start + position, meaning)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Item]:
        return (self[position] for position in range(self._length))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)}, name={self.shm.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.shm,)

    def count(self, value: Item) -> int:
        """How often `value` (any item) occurs (int)."""
        return sum(value == item for item in self)

    def index(self, value: Item) -> int:
        """The first place (int) of `value` (any item).

        Raises:
            ValueError: it does not occur.
        """
        for position, item in enumerate(self):
            if value == item:
                return position
        raise ValueError("ShareableList.index(x): x not in list")

    def freeze(self) -> ShareableList:
        """Seals the list: it changes no more, and others can open it by ``shm.name``.

        Returns:
            ShareableList: this list.

        Raises:
            BufferError: a view of ``shm.buf`` lives.
        """
        self.shm.freeze()
        return self


def _encoded(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _format_of(value: Item) -> str:
    if not isinstance(value, str | bytes):
        return FORMATS[type(value)]
    size = len(_encoded(value))
    if size > ITEM_BYTES_MAX:
        raise ValueError(
            f"an item of a ShareableList has at most {ITEM_BYTES_MAX:,} bytes, not {size:,}: "
            "SharedMemory holds more"
        )
    return f"{size}s"


def _room_of(format: str) -> int:
    """The bytes that an item with this format gets: of text and bytes at least one more than it
    has, as in the standard library.
    """
    size = struct.calcsize(format)
    return ALIGNMENT * (size // ALIGNMENT + 1) if format.endswith("s") else size


def _reopen(block: SharedMemory) -> ShareableList:
    """Opens the list of a pickle."""
    return ShareableList(block._client, name=block.name)

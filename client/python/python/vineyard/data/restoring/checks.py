"""What the functions of this folder check their arguments with."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class NotListed(Exception):
    """The pickle needs something that is not listed; the text says what."""


# How many bytes a pickle of any size may have libraries make, and how many more for each byte that
# it has with its buffers: a few calls for each value are usual, and an item takes a pointer.
_BYTES_FREE = 1 << 27
_BYTES_PER_BYTE = 32
_POINTER = 8
_HASHED_LEVELS_MAX = 100
# What a long exponent says in a few bytes, a whole number has digits for.
_DIGITS_MAX = 10_000
_SEQUENCES = (list, tuple, set, frozenset)
_MAPPINGS = (dict, OrderedDict)
_PLAIN = frozenset((str, bytes, int, float, bool, type(None)))


class Budget:
    """How many bytes libraries may be given, in all calls together: a short pickle can say a long
    range, or give the same array a thousand times to what copies it.
    """

    def __init__(self, size: int) -> None:
        """`size`: of the pickle and its buffers, in bytes."""
        self._left = _BYTES_FREE + _BYTES_PER_BYTE * size

    def take(self, size: int) -> None:
        """Takes bytes off.

        Raises:
            ValueError: there are not so many left.
        """
        self._left -= size
        if self._left < 0:
            raise ValueError("a pickle that makes far more than it has bytes")

    def take_for(self, value: Any) -> None:
        """Takes off the bytes of an argument with all that is inside it: as often as it is there,
        as what copies it makes each anew.
        """
        self.take(self._size(value, {}))

    def _size(self, value: Any, sizes: dict[int, int | None]) -> int:
        """`sizes`: those of the containers that were seen, None while their items are added up."""
        open_containers = [value]
        while open_containers:
            one = open_containers[-1]
            kind = type(one)
            if kind not in _SEQUENCES and kind not in _MAPPINGS:
                return self._size_of_one(one)
            inside = [*one, *one.values()] if kind in _MAPPINGS else list(one)
            known = sizes.get(id(one), -1)
            if known == -1:
                sizes[id(one)] = None
                below = [each for each in inside if _is_container(each)]
                check(
                    not any(sizes.get(id(each), -1) is None for each in below),
                    "an argument that contains itself",
                )
                open_containers += [each for each in below if id(each) not in sizes]
                continue
            open_containers.pop()
            if known is None:
                size = _POINTER * (len(inside) + 1)
                for each in inside:
                    held = sizes[id(each)] if _is_container(each) else self._size_of_one(each)
                    size += held or 0
                sizes[id(one)] = size
        return sizes[id(value)] or 0

    def _size_of_one(self, value: Any) -> int:
        kind = type(value)
        if kind in (str, bytes, bytearray):
            return len(value)
        if kind is memoryview:
            return int(value.nbytes)
        if kind.__name__ == "Decimal":
            exponent = value.as_tuple().exponent
            check(type(exponent) is not int or abs(exponent) <= _DIGITS_MAX, "a long exponent")
        if not hasattr(kind, "__len__"):
            return 0
        # Arrays without dimensions and matrices have a size, but no length.
        size = getattr(value, "size", None)
        items = len(value) if size is None or callable(size) else int(size)
        if getattr(getattr(value, "dtype", None), "kind", "") == "O" and hasattr(value, "flat"):
            self._check_objects(value)
        itemsize = getattr(getattr(value, "dtype", None), "itemsize", _POINTER)
        return items * max(int(itemsize), 1)

    def _check_objects(self, array: Any) -> None:
        if set(map(type, array.flat)) <= _PLAIN:
            return
        for item in array.flat:
            if type(item) in (tuple, frozenset):
                self.take_for_hash(item)
            elif type(item).__name__ == "Decimal":
                self._size_of_one(item)

    def take_for_hash(self, value: Any) -> None:
        """Takes off what it costs to hash or compare a value; that goes down into tuples without an
        end, and into the same one as often as it is there.
        """
        if type(value) not in (tuple, frozenset):
            return
        inside = [(value, 0)]
        while inside:
            one, level = inside.pop()
            check(level < _HASHED_LEVELS_MAX, "a key of too many levels")
            # A step here takes as long as many bytes.
            self.take(_POINTER * _POINTER * (len(one) + 1))
            deeper = [each for each in one if type(each) in (tuple, frozenset)]
            inside += [(each, level + 1) for each in deeper]


def _is_container(value: Any) -> bool:
    return type(value) in _SEQUENCES or type(value) in _MAPPINGS


def check(holds: bool, what: str) -> None:
    """Raises ValueError with `what`, unless it holds."""
    if not holds:
        raise ValueError(f"a pickle that no put makes: {what}")


def is_bytes(value: Any) -> bool:
    """Whether a value is bytes of the pickle, in one of the forms that the machine makes."""
    return type(value) in (bytes, bytearray, memoryview)

"""What the functions of this folder check their arguments with."""

from __future__ import annotations

from typing import Any


class NotListed(Exception):
    """The pickle needs something that is not listed; the text says what."""


# How many items a pickle of any size may have libraries make, and how many more for each byte that
# it has with its buffers: a few calls for each item are usual.
_ITEMS_FREE = 1 << 24
_ITEMS_PER_BYTE = 32
_LEVELS_MAX = 3


class Budget:
    """How many items libraries may be given, in all calls together: a short pickle can say a long
    range, or give the same array a thousand times to what copies it.
    """

    def __init__(self, size: int) -> None:
        """`size`: of the pickle and its buffers, in bytes."""
        self._left = _ITEMS_FREE + _ITEMS_PER_BYTE * size

    def take(self, items: int) -> None:
        """Takes items off.

        Raises:
            ValueError: there are not so many left.
        """
        self._left -= items
        if self._left < 0:
            raise ValueError("a pickle that makes far more items than it has bytes")

    def take_for(self, value: Any, levels: int = _LEVELS_MAX) -> None:
        """Takes off the items of an argument, and of those inside it."""
        kind = type(value)
        if kind in (list, tuple, dict) and levels:
            self.take(len(value))
            for item in value.values() if kind is dict else value:
                self.take_for(item, levels - 1)
        elif kind not in (str, bytes, bytearray, memoryview) and hasattr(kind, "__len__"):
            # Arrays without dimensions and matrices have a size, but no length.
            size = getattr(value, "size", None)
            self.take(len(value) if size is None else int(size))


def check(holds: bool, what: str) -> None:
    """Raises ValueError with `what`, unless it holds."""
    if not holds:
        raise ValueError(f"a pickle that no put makes: {what}")


def is_bytes(value: Any) -> bool:
    """Whether a value is bytes of the pickle, in one of the forms that the machine makes."""
    return type(value) in (bytes, bytearray, memoryview)

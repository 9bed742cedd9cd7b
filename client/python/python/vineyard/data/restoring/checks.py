"""What the functions of this folder check their arguments with."""

from __future__ import annotations

from typing import Any


class NotListed(Exception):
    """The pickle needs something that is not listed; the text says what."""


class Budget:
    """How many items may be made that the pickle has no bytes for: as many as it has bytes."""

    def __init__(self, items: int) -> None:
        self._left = items

    def take(self, items: int) -> None:
        """Takes items off.

        Raises:
            ValueError: there are not so many left.
        """
        if items > self._left:
            raise ValueError(f"{items} items are more than a pickle of this size has")
        self._left -= items


def check(holds: bool, what: str) -> None:
    """Raises ValueError with `what`, unless it holds."""
    if not holds:
        raise ValueError(f"a pickle that no put makes: {what}")


def is_bytes(value: Any) -> bool:
    """Whether a value is bytes of the pickle, in one of the forms that the machine makes."""
    return type(value) in (bytes, bytearray, memoryview)

"""How deep arrays of objects lie in each other.

Promise: no value has more levels of them than are freed without harm: numpy frees one within the
other, and ends the process when the stack is full. It knows no opcode and no name.
"""

from __future__ import annotations

from typing import Any

import numpy

from vineyard.data.restoring.checks import NotListed

_LEVELS_MAX = 100


class Levels:
    """The levels of the arrays of one pickle, by id; the arrays are kept, so that each has its
    own.
    """

    def __init__(self) -> None:
        self._of: dict[int, tuple[Any, int]] = {}
        self._inside: set[int] = set()

    def fill(self, target: Any, items: list[Any]) -> None:
        """Notes that an array got these items.

        Raises:
            NotListed: the levels are too many, or the array is inside another already.
        """
        if id(target) in self._inside:
            raise NotListed("an array that is filled once it is inside another")
        level = 1
        for item in items:
            if isinstance(item, numpy.ndarray) and item.dtype.kind == "O" and item is not target:
                level = max(level, 1 + self._put_inside(item))
        if level > _LEVELS_MAX:
            raise NotListed(f"arrays of more than {_LEVELS_MAX} levels")
        self._of[id(target)] = (target, level)

    def _put_inside(self, array: Any) -> int:
        """The level of an array that is an item of another."""
        if id(array) not in self._of:
            # Not filled, or a copy or a view of one that was.
            self.fill(array, array.reshape(-1).tolist())
        owner = array
        while isinstance(owner, numpy.ndarray):
            self._inside.add(id(owner))
            owner = owner.base
        return self._of[id(array)][1]

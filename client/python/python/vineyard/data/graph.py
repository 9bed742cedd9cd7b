"""Graphs that other languages made: named by their metadata, read through it."""

from __future__ import annotations

from typing import Any

from vineyard.data._draft import Tree
from vineyard.data._reader import Reader


class Graph:
    """A graph stored in vineyard. Its content is read by the keys of its metadata."""

    def __init__(self, meta: Any) -> None:
        """`meta`: the ObjectMeta of the graph."""
        self.meta = meta

    def __repr__(self) -> str:
        return f"Graph <{self.meta.id!r}>"

    def attr(self, key: str) -> Any:
        """The metadata under `key`: a scalar, or an ObjectMeta for a member.

        Raises:
            KeyError: the graph has no such key.
        """
        return self.meta[key]


def restore(reader: Reader, tree: Tree) -> Graph:
    """The graph of an object."""
    return Graph(reader.meta)
